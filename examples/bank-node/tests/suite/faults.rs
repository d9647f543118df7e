//! What happens to real processes on a real (loopback) network: killed banks, broken lines, strangers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{BANKS, Banks, LIMIT, binary, free_ports, peak_memory, text};

/// Kills a bank when a bank's log says `words`, starts it again, and expects the right scores in the end.
fn killed_at(watched: usize, words: &str, killed: usize) {
    let mut banks = Banks::new(90);
    banks.start_all(&[]);
    banks.wait_for(watched, words, 1);
    banks.kill(killed);
    // Long enough for the others to see the connection go, and to look for the bank in vain.
    thread::sleep(Duration::from_millis(100));
    banks.start(killed, &[]);
    banks.all_succeed();
    banks.scores_are_right(2);
    banks.trails_agree();
    // The trail goes on where the kill tore it off, and a key is nowhere or everywhere.
    assert!(BANKS.iter().all(|bank| banks.path(&format!("{bank}.key")).exists()));
}

#[test]
fn a_bank_is_killed_before_it_meets_the_others() {
    killed_at(0, "waiting for the other banks", 0);
}

#[test]
fn a_bank_is_killed_while_the_key_is_generated() {
    killed_at(1, "generating a key", 1);
}

#[test]
fn a_bank_is_killed_while_shares_are_written() {
    killed_at(0, "a modulus is found", 2);
    killed_at(2, "key generated", 0);
}

#[test]
fn a_bank_is_killed_while_transfers_are_compared() {
    killed_at(0, "comparing the transfers", 1);
}

#[test]
fn a_bank_is_killed_while_scores_are_encrypted() {
    killed_at(1, "encrypting scores", 0);
}

#[test]
fn a_bank_is_killed_in_an_iteration() {
    killed_at(0, "iteration", 0);
    killed_at(0, "iteration number=2", 1);
}

#[test]
fn a_bank_is_killed_while_scores_are_decrypted() {
    killed_at(1, "decrypting", 2);
}

#[test]
fn a_bank_is_killed_when_another_has_its_scores() {
    killed_at(0, "scores written", 1);
}

#[test]
fn a_bank_that_lost_its_states_costs_a_key_and_a_new_start() {
    let mut banks = Banks::new(90);
    banks.start_all(&[]);
    banks.wait_for(0, "iteration", 1);
    banks.kill(2);
    std::fs::remove_dir_all(banks.path("checkpoints/coral")).unwrap();
    banks.start(2, &[]);
    banks.all_succeed();
    banks.scores_are_right(2);
    banks.trails_agree();
    assert!(banks.log(2).contains("the key in use has served a run"), "{}", banks.log(2));
}

#[test]
fn a_bank_is_killed_while_a_key_takes_the_place_of_another() {
    for (watched, words, killed) in
        [(1, "generating a key", 1), (2, "key generated", 0), (0, "key generated", 2)]
    {
        let mut banks = Banks::new(60);
        banks.start_all(&[]);
        banks.all_succeed();
        banks.start_all(&["run"]);
        banks.wait_for(watched, words, 2);
        banks.kill(killed);
        thread::sleep(Duration::from_millis(100));
        banks.start(killed, &["run"]);
        banks.all_succeed();
        banks.scores_are_right(2);
        banks.trails_agree();
    }
}

#[test]
fn a_bank_that_is_gone_is_missed_by_the_others() {
    let mut banks = Banks::new(90);
    banks.start_all(&[]);
    banks.wait_for(0, "generating a key", 1);
    banks.kill(2);
    for bank in [0, 1] {
        banks.wait_for(bank, "the connection is lost; waiting for it to come back bank=\"coral\"", 1);
    }
    banks.start(2, &[]);
    banks.all_succeed();
    banks.scores_are_right(2);
}

#[test]
fn two_banks_are_killed_at_once() {
    let mut banks = Banks::new(60);
    banks.start_all(&[]);
    banks.wait_for(0, "iteration", 1);
    banks.kill(0);
    banks.kill(2);
    banks.start(2, &[]);
    banks.start(0, &[]);
    banks.all_succeed();
    banks.scores_are_right(2);
}

#[test]
fn a_stopped_bank_tells_why_and_goes_on_later() {
    let mut banks = Banks::new(90);
    banks.start_all(&[]);
    banks.wait_for(1, "generating a key", 1);
    banks.terminate(1);
    assert_eq!(banks.wait(1).code(), Some(3), "{}", banks.log(1));
    assert!(banks.log(1).contains("stopped by a signal"), "{}", banks.log(1));
    banks.wait_for(0, "told to stop", 1);
    banks.start(1, &[]);
    banks.all_succeed();
    banks.scores_are_right(2);
    assert!(banks.read("birch.jsonl").contains("\"stopped\""));
}

#[test]
fn a_bank_that_never_comes_is_named() {
    let mut banks = Banks::new(30);
    // Birch gives up first, so that it does not see amber leave.
    for (bank, seconds) in [(0, 4), (1, 1)] {
        let network = format!("connect_seconds = {seconds}, attempts = 1");
        banks.configure(bank, |changes| changes.network = network);
        banks.start(bank, &[]);
    }
    for bank in [1, 0] {
        assert_eq!(banks.wait(bank).code(), Some(1));
        assert!(banks.log(bank).contains("coral ("), "{}", banks.log(bank));
    }
    assert!(!banks.log(1).contains("amber ("), "{}", banks.log(1));
}

/// What a proxy does to bytes on their way.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// The connection is cut after so many bytes, again and again.
    Cut(usize),
    /// Every piece is late.
    Delay(Duration),
    /// So many bytes pass, then half of a piece, then the connection is cut.
    Truncate(usize),
    /// So many bytes pass, then some are swallowed.
    Swallow(usize),
    /// So many bytes pass, then some come twice.
    Duplicate(usize),
    /// So many bytes pass, then a bit changes.
    Corrupt(usize),
}

/// Forwards connections to `target` and spoils the first `times` of them.
fn proxy(target: u16, trouble: Trouble, times: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let spoiled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&spoiled);
    thread::spawn(move || {
        for incoming in listener.incoming().flatten() {
            // Nobody behind the proxy: the connection just ends.
            let Ok(outgoing) = TcpStream::connect(("127.0.0.1", target)) else { continue };
            let this = if count.load(Ordering::SeqCst) < times { trouble } else { Trouble::None };
            for (from, to) in [(&incoming, &outgoing), (&outgoing, &incoming)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let count = Arc::clone(&count);
                thread::spawn(move || {
                    // A connection that breaks is what this is about.
                    let _ = forward(&from, &to, this, &count);
                    let _ = from.shutdown(Shutdown::Both);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    (port, spoiled)
}

fn forward(
    mut from: &TcpStream,
    mut to: &TcpStream,
    trouble: Trouble,
    spoiled: &AtomicUsize,
) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    let mut passed = 0;
    let mut done = false;
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let piece = &mut buffer[..length];
        passed += length;
        let mut at = |limit: usize| {
            let now = !done && passed > limit;
            if now {
                done = true;
                spoiled.fetch_add(1, Ordering::SeqCst);
            }
            now
        };
        match trouble {
            Trouble::Cut(limit) if at(limit) => return Ok(()),
            Trouble::Delay(delay) => thread::sleep(delay),
            Trouble::Truncate(limit) if at(limit) => return to.write_all(&piece[..length / 2]),
            Trouble::Swallow(limit) if at(limit) => {
                to.write_all(&piece[..length / 2])?;
                continue;
            }
            Trouble::Duplicate(limit) if at(limit) => to.write_all(piece)?,
            Trouble::Corrupt(limit) if at(limit) => piece[length / 2] ^= 4,
            _ => {}
        }
        to.write_all(piece)?;
    }
}

/// Coral reaches amber only through a proxy that makes trouble; everything comes out right all the same.
fn survives(trouble: Trouble, times: usize) {
    let mut banks = Banks::new(60);
    let (port, spoiled) = proxy(banks.ports[0], trouble, times);
    banks.configure(2, |changes| changes.addresses[0] = format!("127.0.0.1:{port}"));
    banks.start_all(&[]);
    banks.all_succeed();
    banks.scores_are_right(2);
    if !matches!(trouble, Trouble::Delay(_)) {
        assert!(spoiled.load(Ordering::SeqCst) > 0, "{trouble:?} did not happen");
        // The protocol did not notice: nobody began again.
        assert!((0..3).all(|bank| !banks.log(bank).contains("beginning again")), "{}", banks.log(0));
    }
}

#[test]
fn a_line_that_is_cut_comes_back() {
    survives(Trouble::Cut(30_000), 4);
}

#[test]
fn a_slow_line_is_waited_for() {
    survives(Trouble::Delay(Duration::from_millis(5)), usize::MAX);
}

#[test]
fn bytes_that_are_cut_off_are_sent_again() {
    survives(Trouble::Truncate(20_000), 2);
}

#[test]
fn bytes_that_are_lost_on_the_way_are_sent_again() {
    survives(Trouble::Swallow(20_000), 1);
}

#[test]
fn bytes_that_come_twice_are_noticed() {
    survives(Trouble::Duplicate(20_000), 2);
}

#[test]
fn bytes_that_change_are_noticed_and_sent_again() {
    survives(Trouble::Corrupt(20_000), 2);
}

#[test]
fn strangers_get_nowhere_and_cost_little() {
    let mut banks = Banks::new(60);
    // Birch and coral come late, so that amber has time for strangers.
    banks.start(0, &[]);
    banks.wait_for(0, "waiting for the other banks", 1);
    let port = banks.ports[0];
    let connect = || TcpStream::connect(("127.0.0.1", port));
    let over = Arc::new(AtomicBool::new(false));

    // Silent ones, more than are let in at a time.
    let silent: Vec<_> = (0..60).filter_map(|_| connect().ok()).collect();
    thread::scope(|scope| {
        // A slow one: a byte now and then, which would begin a TLS record.
        scope.spawn(|| {
            let Ok(mut slow) = connect() else { return };
            for byte in std::iter::repeat([22_u8]) {
                if over.load(Ordering::SeqCst) || slow.write_all(&byte).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(200));
            }
        });
        // Rubbish, and a frame of four gigabytes without any TLS around it.
        scope.spawn(|| {
            for number in 0..40_u8 {
                let Ok(mut stranger) = connect() else { continue };
                let _ = stranger.write_all(&[number; 2000]);
                let Ok(mut stranger) = connect() else { continue };
                let _ = stranger.write_all(b"\xff\xff\xff\xffSUBR\x01\x01");
                let _ = stranger.write_all(&[0; 4000]);
            }
        });
        thread::sleep(Duration::from_millis(500));
        drop(silent);
        banks.start(1, &[]);
        banks.start(2, &[]);
        banks.wait_for(0, "decrypting", 1);
        let memory = peak_memory(banks.id(0));
        assert!(memory < 256 << 10, "{memory} KiB");
        over.store(true, Ordering::SeqCst);
    });
    banks.all_succeed();
    banks.scores_are_right(2);
}

#[test]
fn a_second_process_of_the_same_name_is_refused() {
    let mut banks = Banks::new(60);
    banks.start_all(&[]);
    banks.wait_for(2, "all banks are connected", 1);
    // The same configuration and certificate on another port: it dials amber and birch as coral.
    let [port] = free_ports();
    let config = banks.read("coral.toml");
    let own = format!("listen = \"127.0.0.1:{}\"", banks.ports[2]);
    let second = config
        .replace(&own, &format!("listen = \"127.0.0.1:{port}\""))
        .replace("audit = \"coral.jsonl\"", "audit = \"second.jsonl\"")
        .replace("output = \"coral.csv\"", "output = \"second.csv\"")
        .replace("connect_seconds = 60", "connect_seconds = 1")
        .replace("attempts = 6", "attempts = 1");
    let file = banks.path("second.toml");
    std::fs::write(&file, second).unwrap();
    let begin = Instant::now();
    let output = binary().arg("--config").arg(&file).output().unwrap();
    assert!(begin.elapsed() < LIMIT);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("another process of the same name is connected already"), "{told}");
    banks.all_succeed();
    banks.scores_are_right(2);
}

/// What only a bank can do: a connection to amber with coral's certificate, and the transport's greeting in it.
fn as_coral(banks: &Banks, process: u8) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let certificate = |name: &str| CertificateDer::from_pem_file(banks.path(name)).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate("certs/ca.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![certificate("certs/coral.pem")],
            PrivateKeyDer::from_pem_file(banks.path("certs/coral-key.pem")).unwrap(),
        )
        .unwrap();
    let client = rustls::ClientConnection::new(Arc::new(config), "amber".try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(("127.0.0.1", banks.ports[0])).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut stream = rustls::StreamOwned::new(client, socket);
    let mut greeting = [0; 128];
    greeting[..5].copy_from_slice(b"SBTL\x01");
    greeting[5..21].copy_from_slice(&[process; 16]);
    greeting[45..53].copy_from_slice(&(subrosa_transport::DEFAULT_MAX_FRAME as u64).to_le_bytes());
    stream.write_all(&greeting).unwrap();
    let mut answer = [0; 128];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..5], *b"SBTL\x01", "{}", text(&answer));
    stream
}

#[test]
fn a_bank_that_announces_four_gigabytes_or_lets_bytes_drip_is_cut_off() {
    let mut banks = Banks::new(60);
    banks.start(0, &[]);
    banks.wait_for(0, "waiting for the other banks", 1);
    // The head of a frame: kind, number, length.
    let head = |length: u32| [&[1][..], &[0; 8], &length.to_le_bytes()].concat();
    let mut stream = as_coral(&banks, 1);
    stream.write_all(&head(u32::MAX)).unwrap();
    // Amber ends the connection.
    assert!(!matches!(stream.read(&mut [0; 1]), Ok(1..)));
    banks.wait_for(0, "it announced a frame of 4294967295 bytes", 1);

    // A frame that never comes to its end: bytes that drip are no sign of life.
    let mut stream = as_coral(&banks, 2);
    stream.write_all(&head(1 << 20)).unwrap();
    while stream.write_all(&[1]).is_ok() {
        thread::sleep(Duration::from_millis(100));
    }
    banks.wait_for(0, "it gave no sign of life in time", 1);
    let memory = peak_memory(banks.id(0));
    assert!(memory < 256 << 10, "{memory} KiB");

    // Nothing of this was a frame, so the bank itself is welcome.
    banks.start(1, &[]);
    banks.start(2, &[]);
    banks.all_succeed();
    banks.scores_are_right(2);
}
