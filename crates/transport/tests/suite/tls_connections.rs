//! The network over TLS: connections that break, parties that are started anew, full queues.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::common::tls::*;
use subrosa_transport::{
    Deadline, Fault, PartyId, Transport,
    tls::{TlsConfig, TlsParty, TlsTransport},
};

/// A proxy that passes bytes on and cuts each connection after a random number of them.
struct Proxy {
    address: String,
    cuts: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    /// Connections are cut and nobody is let through.
    down: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Proxy {
    fn new(target: String, longest: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = address(&listener);
        let (cuts, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let down = Arc::new(AtomicBool::new(false));
        let (count, stopped, cut) = (Arc::clone(&cuts), Arc::clone(&stop), Arc::clone(&down));
        let thread = thread::spawn(move || {
            let mut random = 12345_usize;
            while !stopped.load(Ordering::SeqCst) {
                let Ok((client, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                client.set_nonblocking(false).unwrap();
                let Ok(server) = TcpStream::connect(&target) else { continue };
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let budget = Arc::new(AtomicUsize::new(2000 + (random >> 33) % longest));
                for (mut from, mut to) in
                    [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    let (budget, count) = (Arc::clone(&budget), Arc::clone(&count));
                    let (stopped, cut) = (Arc::clone(&stopped), Arc::clone(&cut));
                    from.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
                    thread::spawn(move || {
                        let mut buffer = [0; 1024];
                        while !stopped.load(Ordering::SeqCst) && !cut.load(Ordering::SeqCst) {
                            let length = match from.read(&mut buffer) {
                                Ok(0) => break,
                                Ok(length) => length,
                                Err(error)
                                    if matches!(
                                        error.kind(),
                                        ErrorKind::WouldBlock | ErrorKind::TimedOut
                                    ) =>
                                {
                                    continue;
                                }
                                Err(_) => break,
                            };
                            if budget.fetch_sub(length.min(budget.load(Ordering::SeqCst)), Ordering::SeqCst)
                                <= length
                            {
                                count.fetch_add(1, Ordering::SeqCst);
                                // Half of what came still goes out.
                                let _ = to.write_all(&buffer[..length / 2]);
                                break;
                            }
                            if to.write_all(&buffer[..length]).is_err() {
                                break;
                            }
                        }
                        let _ = from.shutdown(Shutdown::Both);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { address, cuts, stop, down, thread: Some(thread) }
    }

    /// As a kill looks to the others: the line goes dead without a goodbye.
    fn kill(&self, party: TlsTransport) {
        self.down.store(true, Ordering::SeqCst);
        while party.roster().others().any(|peer| party.is_connected(peer)) {
            thread::sleep(Duration::from_millis(1));
        }
        drop(party);
        self.down.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A party of a and b, where b connects to a through a proxy.
fn started(proxy: &Proxy, seats: &[Seat], me: &str, seat: &Seat) -> TlsTransport {
    let parties = vec![
        TlsParty::pinned("a", proxy.address.clone(), seats[0].certificate.clone()),
        TlsParty::pinned("b", address(&seats[1].listener), seats[1].certificate.clone()),
    ];
    let config = TlsConfig::pinned(me, parties, seat.key.clone_key()).unwrap().with_limits(limits());
    TlsTransport::start(config, seat.listener.try_clone().unwrap()).unwrap()
}

/// a and b, with b connecting to a through a proxy.
fn through(proxy: &Proxy, seats: &[Seat]) -> (TlsTransport, TlsTransport) {
    (started(proxy, seats, "a", &seats[0]), started(proxy, seats, "b", &seats[1]))
}

#[test]
fn connections_that_break_come_back_and_nothing_is_lost_or_doubled() {
    let seats = [seat("a"), seat("b")];
    let proxy = Proxy::new(address(&seats[0].listener), 60_000);
    let (mut a, mut b) = through(&proxy, &seats);
    let frame = |direction: u8, number: u32| {
        let mut frame = vec![direction; 20 + (number as usize * 977) % 5000];
        frame[..4].copy_from_slice(&number.to_le_bytes());
        frame
    };
    let deadline = || Deadline::after(Duration::from_secs(60));
    for number in 0..300 {
        a.send(B, &frame(1, number)).unwrap();
        b.send(A, &frame(2, number)).unwrap();
    }
    for number in 0..300 {
        assert_eq!(b.receive(A, deadline()).unwrap(), frame(1, number));
        assert_eq!(a.receive(B, deadline()).unwrap(), frame(2, number));
    }
    assert!(a.receive(B, Deadline::after(Duration::from_millis(50))).unwrap_err().is_timeout());
    assert!(proxy.cuts.load(Ordering::SeqCst) >= 5, "{} cuts", proxy.cuts.load(Ordering::SeqCst));
}

#[test]
fn a_party_that_stays_away_is_given_up() {
    let seats = [seat("a"), seat("b")];
    let proxy = Proxy::new(address(&seats[0].listener), 60_000);
    let mut short = limits();
    short.give_up = Duration::from_millis(300);
    short.linger = Duration::from_millis(100);
    let names = ["a", "b"];
    let mut a = pinned_with(&names, &seats, 0, short.clone());
    {
        let parties = vec![
            TlsParty::pinned("a", proxy.address.clone(), seats[0].certificate.clone()),
            TlsParty::pinned("b", address(&seats[1].listener), seats[1].certificate.clone()),
        ];
        let config = TlsConfig::pinned("b", parties, seats[1].key.clone_key()).unwrap().with_limits(short);
        let mut b = TlsTransport::start(config, seats[1].listener.try_clone().unwrap()).unwrap();
        b.send(A, b"hello").unwrap();
        assert_eq!(a.receive(B, Deadline::after(Duration::from_secs(20))).unwrap(), b"hello");
        // No goodbye: the line is cut for good.
        drop(proxy);
        let start = Instant::now();
        let error = loop {
            match a.receive(B, Deadline::after(Duration::from_millis(50))) {
                Err(error) if error.is_timeout() => assert!(start.elapsed() < Duration::from_secs(30)),
                Err(error) => break error,
                Ok(_) => {}
            }
        };
        assert!(matches!(error.fault(), Fault::Failed(_)), "{error}");
        assert_eq!(error.peer(), B);
        assert_eq!(a.send(B, b"x").unwrap_err(), error);
    }
}

#[test]
fn a_party_that_was_started_anew_is_noticed() {
    let seats = [seat("a"), seat("b")];
    let proxy = Proxy::new(address(&seats[0].listener), 60_000);
    let (mut a, mut b) = through(&proxy, &seats);
    b.send(A, b"one").unwrap();
    assert_eq!(a.receive(B, Deadline::after(Duration::from_secs(20))).unwrap(), b"one");
    // As after a kill: the line goes dead without a goodbye, and another process comes with the same certificate.
    drop(proxy);
    while a.is_connected(B) {
        thread::sleep(Duration::from_millis(1));
    }
    let second = pinned(&["a", "b"], &seats, 1);
    let error = a.receive(B, Deadline::after(Duration::from_secs(20))).unwrap_err();
    assert!(error.to_string().contains("b cannot be reached: it was started anew"), "{error}");
    assert_eq!(a.send(B, b"x").unwrap_err(), error);
    assert!(!second.is_connected(A));
    // It would have to be a new run, and the old process cannot come back either.
    drop(b);
}

#[test]
fn whoever_dials_a_party_that_was_started_anew_notices() {
    let names = ["a", "b"];
    let seats = [seat("a"), seat("b")];
    let proxy = Proxy::new(address(&seats[0].listener), usize::MAX >> 40);
    let (mut a, mut b) = through(&proxy, &seats);
    a.send(B, b"one").unwrap();
    assert_eq!(b.receive(A, Deadline::after(Duration::from_secs(20))).unwrap(), b"one");
    proxy.kill(a);
    // Another process answers at its address.
    let second = pinned(&names, &seats, 0);
    let error = b.receive(A, Deadline::after(Duration::from_secs(20))).unwrap_err();
    assert!(error.to_string().contains("a cannot be reached: it was started anew"), "{error}");
    assert!(!second.is_connected(B));
}

#[test]
fn a_party_that_was_started_anew_before_its_first_frame_is_taken_as_it_is() {
    let names = ["a", "b"];
    let soon = || Deadline::after(Duration::from_secs(20));
    for (stays, goes) in [(0, 1), (1, 0)] {
        let seats = [seat("a"), seat("b")];
        let peer = |me: usize| PartyId::new(u16::try_from(1 - me).unwrap());
        let proxy = Proxy::new(address(&seats[0].listener), usize::MAX >> 40);
        let (a, b) = through(&proxy, &seats);
        a.wait_connected(soon()).unwrap();
        b.wait_connected(soon()).unwrap();
        let (mut stays_there, leaves) = if stays == 0 { (a, b) } else { (b, a) };
        proxy.kill(leaves);
        // Queued for whichever process comes.
        stays_there.send(peer(stays), b"to whom it may concern").unwrap();
        let mut second =
            if goes == 1 { started(&proxy, &seats, "b", &seats[1]) } else { pinned(&names, &seats, 0) };
        assert_eq!(second.receive(peer(goes), soon()).unwrap(), b"to whom it may concern");
        second.send(peer(goes), b"thank you").unwrap();
        assert_eq!(stays_there.receive(peer(stays), soon()).unwrap(), b"thank you");
    }
}

#[test]
fn a_queue_that_nobody_empties_has_an_end() {
    let names = ["a", "b"];
    let seats = [seat("a"), seat("b")];
    let mut small = limits();
    small.max_unsent = 100_000;
    small.linger = Duration::ZERO;
    let mut a = pinned_with(&names, &seats, 0, small);
    a.send(B, &[0; 60_000]).unwrap();
    let error = a.send(B, &[0; 60_000]).unwrap_err();
    assert!(matches!(error.fault(), Fault::Failed(_)), "{error}");
    assert_eq!(a.receive(B, Deadline::now()).unwrap_err().fault(), error.fault());
}

#[test]
fn a_reader_that_pauses_slows_the_sender_and_loses_nothing() {
    let names = ["a", "b"];
    let seats = [seat("a"), seat("b")];
    let mut small = limits();
    small.max_unread = 100_000;
    let mut a = pinned_with(&names, &seats, 0, small);
    let mut b = pinned(&names, &seats, 1);
    for number in 0..200_u8 {
        b.send(A, &vec![number; 50_000]).unwrap();
    }
    thread::sleep(Duration::from_millis(300));
    for number in 0..200_u8 {
        assert_eq!(a.receive(B, Deadline::after(Duration::from_secs(20))).unwrap(), vec![number; 50_000]);
    }
}
