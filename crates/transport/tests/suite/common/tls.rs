//! Parties on the loopback interface, each with a certificate of its own.

use std::{net::TcpListener, time::Duration};

use rcgen::{CertifiedKey, KeyPair};

use subrosa_transport::{
    PartyId,
    tls::{
        TlsConfig, TlsLimits, TlsParty, TlsTransport,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

pub const A: PartyId = PartyId::new(0);
pub const B: PartyId = PartyId::new(1);

pub fn limits() -> TlsLimits {
    let mut limits = TlsLimits::default();
    limits.max_frame = 1 << 16;
    limits.linger = Duration::from_millis(500);
    limits.keepalive = Duration::from_secs(1);
    limits
}

/// A party's self-signed certificate with its key, and its listening socket.
pub struct Seat {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
    pub listener: TcpListener,
}

pub fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

pub fn seat(name: &str) -> Seat {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    Seat {
        certificate: cert.der().clone(),
        key: private(&signing_key),
        listener: TcpListener::bind("127.0.0.1:0").unwrap(),
    }
}

pub fn address(listener: &TcpListener) -> String {
    listener.local_addr().unwrap().to_string()
}

pub fn pinned(names: &[&str], seats: &[Seat], me: usize) -> TlsTransport {
    pinned_with(names, seats, me, limits())
}

pub fn pinned_with(names: &[&str], seats: &[Seat], me: usize, limits: TlsLimits) -> TlsTransport {
    let party = |(name, seat): (&&str, &Seat)| {
        TlsParty::pinned(*name, address(&seat.listener), seat.certificate.clone())
    };
    let parties = names.iter().zip(seats).map(party).collect();
    let config =
        TlsConfig::pinned(names[me], parties, seats[me].key.clone_key()).unwrap().with_limits(limits);
    TlsTransport::start(config, seats[me].listener.try_clone().unwrap()).unwrap()
}

pub fn network(names: &[&str]) -> Vec<TlsTransport> {
    let seats: Vec<Seat> = names.iter().map(|name| seat(name)).collect();
    (0..names.len()).map(|me| pinned(names, &seats, me)).collect()
}
