//! The workers of a cluster and its time limits.

use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::error::ConfigError;

/// The least time limit that is taken.
const LEAST: Duration = Duration::from_millis(100);

/// One process of a cluster.
#[derive(Clone, Debug)]
pub struct Worker {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) certificate: CertificateDer<'static>,
}

impl Worker {
    /// A worker that listens at an address (`host:port`) and proves by a certificate who it is.
    ///
    /// The certificate is compared byte by byte; its names and dates do not matter. The address is used by the workers that come later in
    /// the list.
    pub fn new(
        name: impl Into<String>,
        address: impl Into<String>,
        certificate: CertificateDer<'static>,
    ) -> Self {
        Self { name: name.into(), address: address.into(), certificate }
    }
}

/// Time limits of a cluster. Workers may differ in all of them, but `silence` should be equal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How long all workers have to connect. Default 60 s.
    pub connect: Duration,
    /// How long a new connection has to prove who it is. Default 10 s.
    pub handshake: Duration,
    /// After this much silence a worker counts as lost; signs of life are sent four times as often. Default 20 s.
    pub silence: Duration,
    /// How long a shard waits in a round in which nothing comes or goes, while all workers are alive. It must be longer than any
    /// shard computes between two rounds. Default 2 h.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
            silence: Duration::from_secs(20),
            stall: Duration::from_secs(2 * 3600),
        }
    }
}

impl Limits {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let all = [
            ("connect", self.connect),
            ("handshake", self.handshake),
            ("silence", self.silence),
            ("stall", self.stall),
        ];
        match all.into_iter().find(|(_, duration)| *duration < LEAST) {
            Some((limit, _)) => Err(ConfigError::Limit { limit, least: LEAST }),
            None => Ok(()),
        }
    }
}
