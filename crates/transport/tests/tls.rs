//! The network over TLS: the laws, lost connections, strangers, impostors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod common;

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

use common::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, CertifiedKey, IsCa, KeyPair};
use subrosa_transport::{
    Deadline, Fault, PartyId, Session, Transport, conformance, testing,
    tls::{
        TlsConfig, TlsError, TlsLimits, TlsParty, TlsTransport,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

const A: PartyId = PartyId::new(0);
const B: PartyId = PartyId::new(1);

fn limits() -> TlsLimits {
    let mut limits = TlsLimits::default();
    limits.max_frame = 1 << 16;
    limits.linger = Duration::from_millis(500);
    limits.keepalive = Duration::from_secs(1);
    limits
}

/// A party's self-signed certificate with its key, and its listening socket.
struct Seat {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    listener: TcpListener,
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

fn seat(name: &str) -> Seat {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    Seat {
        certificate: cert.der().clone(),
        key: private(&signing_key),
        listener: TcpListener::bind("127.0.0.1:0").unwrap(),
    }
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().unwrap().to_string()
}

fn pinned(names: &[&str], seats: &[Seat], me: usize) -> TlsTransport {
    pinned_with(names, seats, me, limits())
}

fn pinned_with(names: &[&str], seats: &[Seat], me: usize, limits: TlsLimits) -> TlsTransport {
    let party = |(name, seat): (&&str, &Seat)| {
        TlsParty::pinned(*name, address(&seat.listener), seat.certificate.clone())
    };
    let parties = names.iter().zip(seats).map(party).collect();
    let config =
        TlsConfig::pinned(names[me], parties, seats[me].key.clone_key()).unwrap().with_limits(limits);
    TlsTransport::start(config, seats[me].listener.try_clone().unwrap()).unwrap()
}

fn network(names: &[&str]) -> Vec<TlsTransport> {
    let seats: Vec<Seat> = names.iter().map(|name| seat(name)).collect();
    (0..names.len()).map(|me| pinned(names, &seats, me)).collect()
}

#[test]
fn it_conforms() {
    conformance::check_all(network).unwrap();
}

#[test]
fn sessions_run_over_it() {
    let outcomes = testing::run_network(network(&["a", "b", "c"]), |me, mut transport| {
        let mut session = Session::open(
            &mut transport,
            PROTOCOL,
            &subrosa_transport::Parameters::new(),
            settings(30_000),
            &mut rng(me.index() as u64),
        )
        .unwrap();
        let mut sum = 0;
        for round in 0..20 {
            let all = session.broadcast(&Numbers(vec![me.index() as u64, round]), &BOUNDS).unwrap();
            sum += all.values().map(|numbers| numbers.0[0]).sum::<u64>();
        }
        session.confirm().unwrap();
        (sum, session.transcript())
    });
    assert!(outcomes.iter().all(|outcome| *outcome == (60, outcomes[0].1)));
}

/// Certificates for names, signed by one authority.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn signed(
    name: &str,
    authority: &CertifiedIssuer<'static, KeyPair>,
    not_after: i32,
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(not_after, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().der().clone(), private(&key))
}

/// a and b under one authority, b with a certificate of the caller's.
fn two_under(
    authority: &CertifiedIssuer<'static, KeyPair>,
    b: (CertificateDer<'static>, PrivateKeyDer<'static>),
) -> (TlsTransport, TlsTransport) {
    let listeners: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ca = authority.der().clone();
    let mut certificates = [signed("bank-a", authority, 4000), b].into_iter();
    let mut transports = ["bank-a", "bank-b"].into_iter().zip(&listeners).map(|(me, listener)| {
        let parties = ["bank-a", "bank-b"]
            .into_iter()
            .zip(&listeners)
            .map(|(name, listener)| TlsParty::named(name, address(listener)))
            .collect();
        let (certificate, key) = certificates.next().unwrap();
        let config = TlsConfig::with_authority(me, parties, ca.clone(), vec![certificate], key).unwrap();
        TlsTransport::start(config.with_limits(limits()), listener.try_clone().unwrap()).unwrap()
    });
    (transports.next().unwrap(), transports.next().unwrap())
}

#[test]
fn an_authority_vouches_for_names() {
    let authority = authority();
    let (mut a, mut b) = two_under(&authority, signed("bank-b", &authority, 4000));
    b.send(A, b"good morning").unwrap();
    assert_eq!(a.receive(B, Deadline::after(Duration::from_secs(20))).unwrap(), b"good morning");
    assert_eq!(a.roster().identity(A).len(), 32);
    assert_eq!(a.roster().identity(A), b.roster().identity(A));
}

#[test]
fn certificates_that_do_not_fit_are_refused_and_explained() {
    let trusted = authority();
    let not_a_party = "it refused: the certificate is not one of a party that connects here";
    // What b reads, and what a reads about somebody.
    let cases = [
        (
            signed("bank-b", &authority(), 4000),
            "refused the connection",
            "not signed by the agreed authority",
        ),
        (signed("bank-b", &trusted, 2001), "refused the connection", "has expired, or a clock is wrong"),
        (signed("bank-c", &trusted, 4000), not_a_party, "not one of a party"),
        // The name of the party to whom it connects.
        (signed("bank-a", &trusted, 4000), not_a_party, "not one of a party"),
    ];
    for (certificate, b_reads, a_reads) in cases {
        let (mut a, b) = two_under(&trusted, certificate);
        let start = Instant::now();
        while (a.latest_refusal().is_none() || b.problem(A).is_none())
            && start.elapsed() < Duration::from_secs(20)
        {
            thread::sleep(Duration::from_millis(5));
        }
        let error = b.wait_connected(Deadline::now()).unwrap_err();
        let TlsError::NotConnected(missing) = &error else { panic!("{error}") };
        assert_eq!(missing[0].0, "bank-a");
        assert!(missing[0].1.contains(b_reads), "{error}");
        let error = a.wait_connected(Deadline::now()).unwrap_err();
        assert!(error.to_string().contains(a_reads), "{error}");
        assert!(a.receive(B, Deadline::now()).unwrap_err().is_timeout());
    }
}

#[test]
fn a_server_that_is_somebody_else_is_refused() {
    // b believes that a has another certificate than it has.
    let names = ["a", "b"];
    let seats = [seat("a"), seat("b")];
    let a = pinned(&names, &seats, 0);
    let parties = vec![
        TlsParty::pinned("a", address(&seats[0].listener), seat("a").certificate),
        TlsParty::pinned("b", address(&seats[1].listener), seats[1].certificate.clone()),
    ];
    let config = TlsConfig::pinned("b", parties, seats[1].key.clone_key()).unwrap().with_limits(limits());
    let b = TlsTransport::start(config, seats[1].listener.try_clone().unwrap()).unwrap();
    let start = Instant::now();
    while b.problem(A).is_none() && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(5));
    }
    let error = b.wait_connected(Deadline::now()).unwrap_err();
    assert!(error.to_string().contains("another certificate than the one it is known by"), "{error}");
    assert!(!a.is_connected(B));
}

#[test]
fn configurations_are_checked() {
    let seats = [seat("a"), seat("b")];
    let key = || seats[0].key.clone_key();
    let pin = |name: &str, seat: &Seat| TlsParty::pinned(name, "127.0.0.1:1", seat.certificate.clone());
    let error = |parties| TlsConfig::pinned("a", parties, key()).unwrap_err().to_string();
    assert!(error(vec![pin("b", &seats[0]), pin("c", &seats[1])]).contains("a is not among"));
    assert!(error(vec![pin("a", &seats[0]), pin("a", &seats[1])]).contains("two parties"));
    assert!(error(vec![pin("a", &seats[0]), pin("b", &seats[0])]).contains("same channel identity"));
    assert!(error(vec![pin("a", &seats[0]), TlsParty::named("b", "x:1")]).contains("no certificate"));
    let parties = vec![TlsParty::named("a", "x:1"), TlsParty::named("bank b", "x:2")];
    let ca = seats[0].certificate.clone();
    let error = TlsConfig::with_authority("a", parties, ca.clone(), vec![ca], key()).unwrap_err();
    assert!(error.to_string().contains("not a DNS name"), "{error}");
    let config = TlsConfig::pinned("a", vec![pin("a", &seats[0]), pin("b", &seats[1])], key()).unwrap();
    assert!(!format!("{config:?}").contains("Pkcs8"));
    // Limits with which nothing could ever be sent or read.
    let broken: [fn(&mut TlsLimits); 3] = [
        |limits| limits.keepalive = Duration::ZERO,
        |limits| limits.handshake_timeout = Duration::ZERO,
        |limits| limits.max_unsent = limits.max_frame,
    ];
    for spoil in broken {
        let mut limits = limits();
        spoil(&mut limits);
        let parties = vec![pin("a", &seats[0]), pin("b", &seats[1])];
        let config = TlsConfig::pinned("a", parties, key()).unwrap().with_limits(limits);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(TlsTransport::start(config, listener), Err(TlsError::Config(_))));
    }
    // A key that does not belong to the certificate.
    let config =
        TlsConfig::pinned("a", vec![pin("a", &seats[0]), pin("b", &seats[1])], seats[1].key.clone_key())
            .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(matches!(TlsTransport::start(config, listener), Err(TlsError::Certificate(_))));
}

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
    transport.problem(peer).unwrap_or_default()
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
