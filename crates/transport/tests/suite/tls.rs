//! The network over TLS: the laws, sessions, certificates, configurations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::common::{tls::*, *};
use subrosa_transport::{
    Deadline, Session, Transport, conformance, testing,
    tls::{
        TlsConfig, TlsConfigError, TlsError, TlsLimits, TlsParty, TlsProblem, TlsRecordError, TlsTransport,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

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
    type Expected = fn(&TlsProblem) -> bool;
    let cases: [(_, _, _, Expected); 4] = [
        (
            signed("bank-b", &authority(), 4000),
            "refused the connection",
            "not signed by the agreed authority",
            |refusal| matches!(refusal, TlsProblem::UnknownAuthority),
        ),
        (
            signed("bank-b", &trusted, 2001),
            "refused the connection",
            "has expired, or a clock is wrong",
            |refusal| matches!(refusal, TlsProblem::CertificateExpired(_)),
        ),
        (signed("bank-c", &trusted, 4000), not_a_party, "not one of a party", |refusal| {
            matches!(refusal, TlsProblem::NotAParty)
        }),
        // The name of the party to whom it connects.
        (signed("bank-a", &trusted, 4000), not_a_party, "not one of a party", |refusal| {
            matches!(refusal, TlsProblem::NotAParty)
        }),
    ];
    for (certificate, b_reads, a_reads, is_the_reason) in cases {
        let (mut a, b) = two_under(&trusted, certificate);
        let start = Instant::now();
        while (a.latest_refusal().is_none() || b.problem(A).is_none())
            && start.elapsed() < Duration::from_secs(20)
        {
            thread::sleep(Duration::from_millis(5));
        }
        let error = b.wait_connected(Deadline::now()).unwrap_err();
        let TlsError::NotConnected(missing) = &error else { panic!("{error}") };
        assert_eq!((missing[0].party, missing[0].name.as_str()), (A, "bank-a"));
        assert!(missing[0].problem.to_string().contains(b_reads), "{error}");
        let refused = |problem: &TlsProblem| match problem {
            TlsProblem::RefusedByAlert { .. } => true,
            TlsProblem::Record(TlsRecordError::Refused { .. }) => b_reads == not_a_party,
            _ => false,
        };
        assert!(refused(&missing[0].problem), "{error:?}");
        assert!(is_the_reason(&a.latest_refusal().unwrap()), "{error:?}");
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
    let parties = vec![TlsParty::named("a", "x:1"), TlsParty::named("A", "x:2")];
    let ca = seats[0].certificate.clone();
    let error = TlsConfig::with_authority("a", parties, ca.clone(), vec![ca], key()).unwrap_err();
    assert!(error.to_string().contains("a and A are the same name in a certificate"), "{error}");
    let config = TlsConfig::pinned("a", vec![pin("a", &seats[0]), pin("b", &seats[1])], key()).unwrap();
    assert!(!format!("{config:?}").contains("Pkcs8"));
    // Limits with which nothing could ever be sent or read.
    type Spoil = fn(&mut TlsLimits);
    type Expected = fn(&TlsConfigError) -> bool;
    let broken: [(Spoil, Expected); 3] = [
        (|limits| limits.keepalive = Duration::ZERO, |error| matches!(error, TlsConfigError::ZeroTime)),
        (
            |limits| limits.handshake_timeout = Duration::ZERO,
            |error| matches!(error, TlsConfigError::ZeroTime),
        ),
        (
            |limits| limits.max_unsent = limits.max_frame,
            |error| matches!(error, TlsConfigError::NoRoomForAFrame { .. }),
        ),
    ];
    for (spoil, expected) in broken {
        let mut limits = limits();
        spoil(&mut limits);
        let parties = vec![pin("a", &seats[0]), pin("b", &seats[1])];
        let config = TlsConfig::pinned("a", parties, key()).unwrap().with_limits(limits);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let Err(TlsError::Config(error)) = TlsTransport::start(config, listener) else {
            panic!("it started")
        };
        assert!(expected(&error), "{error}");
    }
    // A key that does not belong to the certificate.
    let config =
        TlsConfig::pinned("a", vec![pin("a", &seats[0]), pin("b", &seats[1])], seats[1].key.clone_key())
            .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(matches!(TlsTransport::start(config, listener), Err(TlsError::Certificate(_))));
}
