//! Configuration: the addresses of the parties, and how they prove who they are.

use std::{fmt, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use sha2::{Digest, Sha256};

use super::{TlsConfigError, TlsError, trust::Pins};
use crate::{DEFAULT_MAX_FRAME, PartyId, Roster, wiped::cost};

/// One party of a network over TLS.
#[derive(Clone, Debug)]
pub struct TlsParty {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) certificate: Option<CertificateDer<'static>>,
}

impl TlsParty {
    /// Creates a party with its name and address (`host:port`). A private authority signs its certificate for that
    /// name.
    ///
    /// The parties that come later in the roster use the address. The address of the last party is never used.
    pub fn named(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self { name: name.into(), address: address.into(), certificate: None }
    }

    /// Creates a party that is known by its certificate. Name, issuer and dates in the certificate do not matter.
    pub fn pinned(
        name: impl Into<String>,
        address: impl Into<String>,
        certificate: CertificateDer<'static>,
    ) -> Self {
        Self { name: name.into(), address: address.into(), certificate: Some(certificate) }
    }
}

/// Configuration of a network over TLS.
///
/// All parties list the same parties in the same order. Of each pair, the party that comes later in the roster connects
/// to the earlier one. The last party therefore needs no reachable address, and the first connects to nobody.
pub struct TlsConfig {
    pub(super) parties: Vec<TlsParty>,
    pub(super) me: PartyId,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authority: Option<CertificateDer<'static>>,
    pub(super) limits: TlsLimits,
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the private key.
        f.debug_struct("TlsConfig")
            .field("parties", &self.parties)
            .field("me", &self.me)
            .field("key", &"<redacted>")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Times and sizes of a network over TLS. Parties may differ in all but `max_frame`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsLimits {
    /// Greatest frame in bytes, equal at all parties. Default 64 MiB.
    pub max_frame: usize,
    /// Greatest size of the frames for one peer that it has not confirmed, in bytes. More is an error. Default 1 GiB.
    pub max_unsent: usize,
    /// Greatest size of the frames from one peer that the protocol has not received, in bytes. With more, its
    /// connection is not read. Default 256 MiB.
    pub max_unread: usize,
    /// Timeout for a new connection to prove who it is. Default 10 s.
    pub handshake_timeout: Duration,
    /// Time of silence after which a keepalive is sent. After four times as long, the connection counts as dead. A
    /// connection also counts as dead if in that time no record becomes complete and less than 16 KiB come. Default 5
    /// s.
    pub keepalive: Duration,
    /// Time after which a peer is given up whose connection was lost. Default 120 s.
    pub give_up: Duration,
    /// Time for which dropping the transport waits for peers to confirm the last frames. Default 5 s.
    pub linger: Duration,
}

impl Default for TlsLimits {
    fn default() -> Self {
        Self {
            max_frame: DEFAULT_MAX_FRAME,
            max_unsent: 1 << 30,
            max_unread: 256 << 20,
            handshake_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(5),
            give_up: Duration::from_secs(120),
            linger: Duration::from_secs(5),
        }
    }
}

impl TlsLimits {
    /// Returns the time of silence after which a connection counts as dead.
    pub(super) fn silence(&self) -> Duration {
        self.keepalive.saturating_mul(4)
    }

    /// Checks that a network can work with these limits.
    pub(super) fn check(&self) -> Result<(), TlsConfigError> {
        let (max_frame, max_unsent, needed) = (self.max_frame, self.max_unsent, cost(self.max_frame));
        if u32::try_from(max_frame).is_err() {
            Err(TlsConfigError::FrameLimit { max_frame })
        } else if max_unsent < needed {
            Err(TlsConfigError::NoRoomForAFrame { max_unsent, needed })
        } else if self.keepalive.is_zero() || self.handshake_timeout.is_zero() {
            Err(TlsConfigError::ZeroTime)
        } else {
            Ok(())
        }
    }
}

impl TlsConfig {
    /// Creates the configuration of a network in which every party is known by its certificate ([`TlsParty::pinned`]).
    ///
    /// `me` is this party's name among `parties`, and `key` the private key of its certificate there.
    ///
    /// # Errors
    /// The parties do not make a roster, `me` is not among them, or a certificate is missing.
    pub fn pinned(me: &str, parties: Vec<TlsParty>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let me = find(me, &parties)?;
        if let Some(party) = parties.iter().find(|party| party.certificate.is_none()) {
            return Err(TlsConfigError::NoCertificate { name: party.name.clone() }.into());
        }
        let chain = parties[me.index()].certificate.iter().cloned().collect();
        Self { parties, me, chain, key, authority: None, limits: TlsLimits::default() }.checked()
    }

    /// Creates the configuration of a network in which a private authority signs every party's certificate for its name
    /// ([`TlsParty::named`]).
    ///
    /// Names are DNS names, such as `bank-a`. `chain` is this party's certificate, then the certificates between it and
    /// the authority, if any. A party's certificate allows both `serverAuth` and `clientAuth`.
    ///
    /// # Security
    /// Whoever holds the authority's key can impersonate every party. With pinned certificates nobody can.
    ///
    /// # Errors
    /// The parties do not make a roster, `me` is not among them, a name is not a DNS name, or two names differ in capitals
    /// only.
    pub fn with_authority(
        me: &str,
        parties: Vec<TlsParty>,
        authority: CertificateDer<'static>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let me = find(me, &parties)?;
        for (index, party) in parties.iter().enumerate() {
            server_name(&party.name)?;
            // A certificate for one would also be for the other, and so identify neither.
            let same = |other: &&TlsParty| other.name.eq_ignore_ascii_case(&party.name);
            if let Some(other) =
                parties.iter().take(index).find(same).filter(|other| other.name != party.name)
            {
                let (first, second) = (other.name.clone(), party.name.clone());
                return Err(TlsConfigError::EqualNames { first, second }.into());
            }
        }
        Self { parties, me, chain, key, authority: Some(authority), limits: TlsLimits::default() }.checked()
    }

    fn checked(self) -> Result<Self, TlsError> {
        self.roster()?;
        Ok(self)
    }

    /// Sets times and sizes.
    #[must_use]
    pub fn with_limits(mut self, limits: TlsLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Returns the roster. A party's channel identity is the SHA-256 of its certificate, or of the authority's
    /// certificate and its name.
    ///
    /// # Errors
    /// Names or certificates that are equal, or names that a roster does not take.
    pub fn roster(&self) -> Result<Roster, TlsError> {
        let identity = |party: &TlsParty| {
            let mut hash = Sha256::new();
            match (&self.authority, &party.certificate) {
                (Some(authority), _) => {
                    hash.update((authority.len() as u64).to_le_bytes());
                    hash.update(authority);
                    hash.update(&party.name);
                }
                (None, certificate) => hash.update(certificate.as_deref().unwrap_or_default()),
            }
            hash.finalize().to_vec()
        };
        let parties = self.parties.iter().map(|party| (party.name.clone(), identity(party)));
        Ok(Roster::with_identities(parties, self.me)?)
    }

    /// Prepares what TLS needs to connect and to accept connections.
    pub(super) fn build(&self) -> Result<Endpoints, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = &[&rustls::version::TLS13];
        let client =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let server =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let names = self.parties.iter().map(|party| match self.authority {
            Some(_) => server_name(&party.name),
            // With pinned certificates the name in the handshake is ignored, and party names need not be DNS names.
            None => server_name("subrosa"),
        });
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let mut clients = Vec::with_capacity(self.parties.len());
        let server = match &self.authority {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.clone())?;
                let roots = Arc::new(roots);
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
                let mut client = client
                    .with_webpki_verifier(verifier.build().map_err(TlsConfigError::Authority)?)
                    .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
                client.resumption = Resumption::disabled();
                let client = Arc::new(client);
                clients = vec![client; self.parties.len()];
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                server.with_client_cert_verifier(verifier.build().map_err(TlsConfigError::Authority)?)
            }
            None => {
                let pins: Vec<_> =
                    self.parties.iter().filter_map(|party| party.certificate.clone()).collect();
                for pin in &pins {
                    let verifier = Pins::new(vec![pin.clone()], &provider);
                    let mut client = client
                        .clone()
                        .dangerous() // rustls' word for any verifier of one's own; this one compares certificates
                        .with_custom_certificate_verifier(Arc::new(verifier))
                        .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
                    client.resumption = Resumption::disabled();
                    clients.push(Arc::new(client));
                }
                server.with_client_cert_verifier(Arc::new(Pins::new(pins, &provider)))
            }
        };
        let mut server = server.with_single_cert(self.chain.clone(), self.key.clone_key())?;
        // Every connection proves both certificates anew, whatever the other end offers.
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Endpoints { server: Arc::new(server), clients, names })
    }

    /// Finds the party that presented this certificate, which has been verified already.
    pub(super) fn identify(&self, certificate: &CertificateDer<'_>) -> Option<PartyId> {
        let matches = |party: &TlsParty| match &self.authority {
            None => party.certificate.as_ref() == Some(certificate),
            Some(_) => {
                let parsed = rustls::server::ParsedCertificate::try_from(certificate);
                let (Ok(parsed), Ok(name)) = (parsed, server_name(&party.name)) else { return false };
                rustls::client::verify_server_name(&parsed, &name).is_ok()
            }
        };
        // A certificate that is valid for two names identifies nobody.
        let mut found = self.parties.iter().enumerate().filter(|(_, party)| matches(party));
        match (found.next(), found.next()) {
            (Some((index, _)), None) => Some(PartyId::from_index(index)),
            _ => None,
        }
    }
}

/// The two ends of TLS connections.
#[derive(Debug)]
pub(super) struct Endpoints {
    pub(super) server: Arc<ServerConfig>,
    /// By the party to connect to.
    pub(super) clients: Vec<Arc<ClientConfig>>,
    pub(super) names: Vec<ServerName<'static>>,
}

fn find(me: &str, parties: &[TlsParty]) -> Result<PartyId, TlsConfigError> {
    let index = parties.iter().position(|party| party.name == me);
    index.map(PartyId::from_index).ok_or_else(|| TlsConfigError::UnknownParty { name: me.to_owned() })
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsConfigError> {
    match ServerName::try_from(name.to_owned()) {
        Ok(name @ ServerName::DnsName(_)) => Ok(name),
        _ => Err(TlsConfigError::NotADnsName { name: name.to_owned() }),
    }
}
