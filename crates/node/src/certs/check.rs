//! Checking certificates.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore, client::WebPkiServerVerifier, server::WebPkiClientVerifier};
use time::OffsetDateTime;

use super::CertError;
use crate::NodeConfig;
use subrosa_transport::with_causes;

/// With a smaller difference, a wrong clock is the likely reason.
const CLOCK: Duration = Duration::from_secs(24 * 3600);

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Whether the check succeeded.
    pub good: bool,
    /// What was found, and how to correct it.
    pub text: String,
}

fn good(text: impl Into<String>) -> Finding {
    Finding { good: true, text: text.into() }
}

fn bad(text: impl Into<String>) -> Finding {
    Finding { good: false, text: text.into() }
}

/// Checks all certificates that a configuration names, at the time `now`. Each finding names the file or the bank.
#[must_use]
pub fn check(config: &NodeConfig, now: SystemTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tls = &config.tls;
    let chain = take(&mut findings, read_certificates(&tls.certificate));
    let key = take(&mut findings, read_key(&tls.key));
    if let (Some(chain), Some(key)) = (&chain, key) {
        findings.push(check_key(config, chain, key));
    }
    match &tls.authority {
        Some(authority) => {
            let authority = take(&mut findings, read_certificates(authority));
            if let (Some(chain), Some(authority)) = (&chain, authority) {
                findings.extend(check_chain(config, chain, &authority, now));
            }
        }
        None => {
            for peer in &config.peers {
                let Some(file) = &peer.certificate else { continue };
                match read_certificates(file) {
                    Ok(certificates)
                        if certificates.first() == chain.as_ref().and_then(|chain| chain.first()) =>
                    {
                        let text =
                            "this is the same certificate as this bank's own; put the peer's file there";
                        findings.push(bad(format!("{}: {}: {text}", peer.name, file.display())));
                    }
                    Ok(_) => findings.push(good(format!("{}: known by {}", peer.name, file.display()))),
                    Err(error) => findings.push(bad(format!("{}: {}", peer.name, with_causes(&error)))),
                }
            }
        }
    }
    findings
}

fn take<R>(findings: &mut Vec<Finding>, result: Result<R, CertError>) -> Option<R> {
    result.map_err(|error| findings.push(bad(with_causes(&error)))).ok()
}

/// Reads the certificates of a PEM file, at least one.
pub(crate) fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let problem = |problem: String| CertError::Pem { file: file.to_owned(), problem };
    let bytes = std::fs::read(file).map_err(|source| CertError::Io { file: file.to_owned(), source })?;
    let certificates = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| problem(format!("it is damaged: {}", with_causes(&error))))?;
    if certificates.is_empty() {
        let hint =
            if PrivateKeyDer::from_pem_slice(&bytes).is_ok() { "; it holds a private key" } else { "" };
        return Err(problem(format!("it holds no certificate{hint}")));
    }
    Ok(certificates)
}

/// Reads the private key of a PEM file.
pub(crate) fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, CertError> {
    let bytes = std::fs::read(file).map_err(|source| CertError::Io { file: file.to_owned(), source })?;
    let bytes = zeroize::Zeroizing::new(bytes);
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| CertError::Pem {
        file: file.to_owned(),
        problem: "it holds no private key (one that is not protected by a passphrase is needed)".to_owned(),
    })
}

fn check_key(config: &NodeConfig, chain: &[CertificateDer<'static>], key: PrivateKeyDer<'static>) -> Finding {
    let (certificate, key_file) = (config.tls.certificate.display(), config.tls.key.display());
    let provider = rustls::crypto::ring::default_provider();
    match rustls::sign::CertifiedKey::from_der(chain.to_vec(), key, &provider) {
        Ok(_) => good(format!("{key_file} is the key of {certificate}")),
        Err(rustls::Error::InconsistentKeys(_)) => {
            bad(format!("{key_file} is not the key of {certificate}: they belong to different certificates"))
        }
        Err(error) => bad(format!("{certificate} with {key_file}: {}", with_causes(&error))),
    }
}

/// Makes the checks that the other banks will make.
fn check_chain(
    config: &NodeConfig,
    chain: &[CertificateDer<'static>],
    authority: &[CertificateDer<'static>],
    now: SystemTime,
) -> Vec<Finding> {
    let file = config.tls.certificate.display();
    let unusable = |problem: String| vec![bad(problem)];
    let mut roots = RootCertStore::empty();
    for root in authority {
        if let Err(error) = roots.add(root.clone()) {
            return unusable(format!("the authority's certificate is not usable: {}", with_causes(&error)));
        }
    }
    let Some((own, between)) = chain.split_first() else { return Vec::new() };
    let Ok(name) = ServerName::try_from(config.name.clone()) else {
        return unusable(format!("{:?} is not a name that a certificate can hold", config.name));
    };
    let (roots, provider) = (Arc::new(roots), Arc::new(rustls::crypto::ring::default_provider()));
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = UnixTime::since_unix_epoch(since_epoch);
    let server =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build();
    let client = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
    let (server, client) = match (server, client) {
        (Ok(server), Ok(client)) => (server, client),
        (Err(error), _) | (_, Err(error)) => return unusable(with_causes(&error)),
    };
    let as_server = server.verify_server_cert(own, between, &name, &[], at).map(drop);
    let as_client = client.verify_client_cert(own, between, at).map(drop);
    let mut findings = Vec::new();
    for result in [as_server, as_client] {
        let finding = match result {
            Ok(()) => continue,
            Err(error) => bad(format!("{file}: {}", explain(&error, &config.name, at))),
        };
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    if findings.is_empty() {
        findings.push(good(format!("{file} is valid for `{}`, signed by the authority", config.name)));
    }
    findings
}

/// Describes an error and how to correct it.
fn explain(error: &rustls::Error, name: &str, now: UnixTime) -> String {
    use CertificateError::{
        Expired, ExpiredContext, InvalidPurpose, InvalidPurposeContext, NotValidForName,
        NotValidForNameContext, NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    let clock = |other: &UnixTime| {
        let apart = now.as_secs().abs_diff(other.as_secs());
        if apart < CLOCK.as_secs() {
            " Or this machine's clock is wrong: compare it with another."
        } else {
            ""
        }
    };
    let rustls::Error::InvalidCertificate(error) = error else { return with_causes(error) };
    match error {
        ExpiredContext { not_after, .. } => format!(
            "it has expired: it was valid until {}, and now it is {}. Make a new one.{}",
            date(not_after),
            date(&now),
            clock(not_after)
        ),
        NotValidYetContext { not_before, .. } => format!(
            "it is not valid yet: it will be from {}, and now it is {}.{}",
            date(not_before),
            date(&now),
            clock(not_before)
        ),
        Expired => "it has expired. Make a new one.".to_owned(),
        NotValidYet => "it is not valid yet. Is this machine's clock right?".to_owned(),
        NotValidForNameContext { presented, .. } => format!(
            "it is for another name: it says {}, and this bank is called `{name}`.",
            if presented.is_empty() { "none".to_owned() } else { presented.join(", ") }
        ),
        NotValidForName => format!("it is for another name than `{name}`."),
        UnknownIssuer => "it was not signed by the authority in `tls.authority`. Was it made by another one?".to_owned(),
        InvalidPurpose | InvalidPurposeContext { .. } => {
            "it must be good for both ends of a connection (server and client authentication).".to_owned()
        }
        CertificateError::BadSignature => {
            "its signature is not the authority's: an authority of the same name, but with another key, signed it."
                .to_owned()
        }
        other => other.to_string(),
    }
}

fn date(time: &UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| "never".to_owned(), crate::clock::readable)
}
