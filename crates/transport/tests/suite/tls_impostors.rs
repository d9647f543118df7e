//! The network over TLS: strangers, second processes of one name, parties that break the rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::common::tls::*;
use subrosa_transport::{Deadline, PartyId, Transport, tls::TlsTransport};

/// What only a party can do: b as a raw TLS connection to a, with its greeting sent.
fn raw(seats: &[Seat]) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(seats[0].certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![seats[1].certificate.clone()], seats[1].key.clone_key())
        .unwrap();
    let client = rustls::ClientConnection::new(Arc::new(config), "a".try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(address(&seats[0].listener)).unwrap();
    let mut stream = rustls::StreamOwned::new(client, socket);
    let mut greeting = [0; 128];
    greeting[..5].copy_from_slice(b"SBTL\x01");
    greeting[5..21].copy_from_slice(&[7; 16]);
    greeting[45..53].copy_from_slice(&(limits().max_frame as u64).to_le_bytes());
    stream.write_all(&greeting).unwrap();
    let mut answer = [0; 128];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..5], *b"SBTL\x01");
    stream
}

/// A frame's head: kind, number, length.
fn head(number: u64, length: u32) -> Vec<u8> {
    [&[1][..], &number.to_le_bytes(), &length.to_le_bytes()].concat()
}

fn until_lost(transport: &TlsTransport, peer: PartyId) -> String {
    let start = Instant::now();
    while transport.is_connected(peer) {
        assert!(start.elapsed() < Duration::from_secs(20), "it is still connected");
        thread::sleep(Duration::from_millis(5));
    }
    transport.problem(peer).map(|problem| problem.with_causes()).unwrap_or_default()
}

#[test]
fn a_party_that_announces_four_gigabytes_is_cut_off() {
    let seats = [seat("a"), seat("b")];
    let mut a = pinned(&["a", "b"], &seats, 0);
    let mut stream = raw(&seats);
    stream.write_all(&head(0, 2)).unwrap();
    stream.write_all(b"ok").unwrap();
    assert_eq!(a.receive(B, Deadline::after(Duration::from_secs(20))).unwrap(), b"ok");
    stream.write_all(&head(1, u32::MAX)).unwrap();
    let problem = until_lost(&a, B);
    assert!(problem.contains("announced a frame of 4294967295 bytes"), "{problem}");
}

#[test]
fn bytes_that_drip_are_no_sign_of_life() {
    let seats = [seat("a"), seat("b")];
    let mut hasty = limits();
    hasty.keepalive = Duration::from_millis(100);
    let a = pinned_with(&["a", "b"], &seats, 0, hasty);
    let mut stream = raw(&seats);
    stream.write_all(&head(0, 1000)).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // A byte of the frame at a time, more often than a sign of life is due.
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) && stream.write_all(&[1]).is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        let problem = until_lost(&a, B);
        over.store(true, Ordering::SeqCst);
        assert!(problem.contains("no sign of life"), "{problem}");
    });
}

#[test]
fn a_second_process_of_the_same_name_is_turned_away() {
    let names = ["a", "b"];
    let seats = [seat("a"), seat("b")];
    let mut a = pinned(&names, &seats, 0);
    let mut b = pinned(&names, &seats, 1);
    b.send(A, b"one").unwrap();
    assert_eq!(a.receive(B, Deadline::after(Duration::from_secs(20))).unwrap(), b"one");
    let second = pinned(&names, &seats, 1);
    let start = Instant::now();
    while second.problem(A).is_none() && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(5));
    }
    let error = second.wait_connected(Deadline::now()).unwrap_err();
    assert!(error.to_string().contains("another process of the same name is connected already"), "{error}");
    drop(second);
    b.send(A, b"two").unwrap();
    assert_eq!(a.receive(B, Deadline::after(Duration::from_secs(20))).unwrap(), b"two");
}

#[test]
fn strangers_get_nowhere_and_hold_nobody_up() {
    let names = ["a", "b"];
    let seats = [seat("a"), seat("b")];
    let mut patient = limits();
    // Longer than the test waits: those who say nothing must give way, not time out.
    patient.handshake_timeout = Duration::from_secs(120);
    let mut a = pinned_with(&names, &seats, 0, patient);
    let target = address(&seats[0].listener);
    // Silent ones, more than are let in, and one that talks rubbish.
    let silent: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(&target).unwrap()).collect();
    let mut rubbish = TcpStream::connect(&target).unwrap();
    let _ = rubbish.write_all(&[0x16; 5000]);
    // One that drips a byte at a time.
    let drip = thread::spawn({
        let target = target.clone();
        move || {
            let mut slow = TcpStream::connect(target).unwrap();
            for byte in [0x16_u8, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 1, 1, 1, 1, 1, 1, 1] {
                if slow.write_all(&[byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(100));
            }
        }
    });
    let mut b = pinned(&names, &seats, 1);
    b.send(A, b"through the crowd").unwrap();
    assert_eq!(a.receive(B, Deadline::after(Duration::from_secs(20))).unwrap(), b"through the crowd");
    drop(silent);
    drip.join().unwrap();
}
