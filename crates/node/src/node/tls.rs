//! Certificates and addresses as the transport takes them.

use std::path::Path;

use super::NodeError;
use crate::NodeConfig;
use crate::certs::{CertError, read_certificates, read_key};
use subrosa_transport::tls::{TlsConfig, TlsLimits, TlsParty};

/// Reads the certificates, and lists the addresses of all banks.
pub(super) fn tls_config(config: &NodeConfig) -> Result<TlsConfig, NodeError> {
    let chain = read_certificates(&config.tls.certificate)?;
    let key = read_key(&config.tls.key)?;
    let mut parties = Vec::new();
    for name in config.banks() {
        let peer = config.peers.iter().find(|peer| peer.name == name);
        let address = peer.map_or(config.listen.as_str(), |peer| peer.address.as_str());
        let pinned = match (&config.tls.authority, peer) {
            (Some(_), _) => None,
            (None, None) => chain.first().cloned(),
            (None, Some(peer)) => {
                let file = peer.certificate.as_deref().unwrap_or(Path::new(""));
                read_certificates(file)?.first().cloned()
            }
        };
        parties.push(match pinned {
            Some(certificate) => TlsParty::pinned(name, address, certificate),
            None => TlsParty::named(name, address),
        });
    }
    let tls = match &config.tls.authority {
        None => TlsConfig::pinned(&config.name, parties, key)?,
        Some(file) => {
            let Some(authority) = read_certificates(file)?.into_iter().next() else {
                let problem = "it holds no certificate".to_owned();
                return Err(CertError::Pem { file: file.clone(), problem }.into());
            };
            TlsConfig::with_authority(&config.name, parties, authority, chain, key)?
        }
    };
    let mut limits = TlsLimits::default();
    limits.give_up = config.timeouts.reconnect;
    limits.keepalive = config.timeouts.keepalive;
    Ok(tls.with_limits(limits))
}
