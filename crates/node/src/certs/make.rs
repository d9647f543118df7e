//! Making certificates.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::CertError;
use crate::names::{name_problem, same_name};

/// The time in which certificates are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub from: SystemTime,
    /// Last moment.
    pub until: SystemTime,
}

impl Validity {
    /// Returns the time from yesterday until `days` days from now. It begins a day early so that a slow clock does no harm.
    pub fn days(days: u32) -> Self {
        let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 3600));
        Self { from: now - day, until: now + day * days }
    }
}

/// Writes `ca.pem`, `ca-key.pem` and, for each bank, `NAME.pem` and `NAME-key.pem` into a folder, and returns the files.
///
/// # Errors
/// [`CertError`] if a name or a file cannot be used. Existing files are not overwritten.
///
/// # Security
/// Whoever has `ca-key.pem` can impersonate every bank. In production, each bank makes its own key and only has its
/// certificate signed, and the authority's key is kept offline.
pub fn make(folder: &Path, names: &[String], validity: Validity) -> Result<Vec<PathBuf>, CertError> {
    let authority_name = "subrosa banks";
    let failed = |name: &str| {
        let name = name.to_owned();
        move |source: rcgen::Error| CertError::Make { name, source: Box::new(source) }
    };
    check_names(names)?;
    // All is made before anything is written: what fails leaves nothing that would be in the way of another attempt.
    let mut files: Vec<(PathBuf, String, bool)> = Vec::new();
    let mut put = |name: String, text: String, secret: bool| files.push((folder.join(name), text, secret));

    let mut parameters = parameters(authority_name, validity);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(failed(authority_name))?;
    let certificate = parameters.self_signed(&key).map_err(failed(authority_name))?;
    put("ca-key.pem".to_owned(), key.serialize_pem(), true);
    put("ca.pem".to_owned(), certificate.pem(), false);
    let issuer = Issuer::new(parameters, key);

    for name in names {
        let key = KeyPair::generate().map_err(failed(name))?;
        let certificate = node_parameters(name, validity)
            .and_then(|parameters| parameters.signed_by(&key, &issuer))
            .map_err(failed(name))?;
        put(format!("{name}-key.pem"), key.serialize_pem(), true);
        put(format!("{name}.pem"), certificate.pem(), false);
    }

    let io = |file: &Path, source| CertError::Io { file: file.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
    if let Some((there, ..)) = files.iter().find(|(file, ..)| file.exists()) {
        return Err(io(there, std::io::ErrorKind::AlreadyExists.into()));
    }
    let mut written = Vec::new();
    for (file, text, secret) in files {
        write_new(&file, &text, secret).map_err(|source| io(&file, source))?;
        written.push(file);
    }
    Ok(written)
}

/// Checks that certificates can hold the names, and that each name gives a file of its own.
fn check_names(names: &[String]) -> Result<(), CertError> {
    let mut seen = BTreeSet::from(["ca".to_owned()]);
    for name in names {
        let problem = match name_problem(name, true) {
            None if name.eq_ignore_ascii_case("ca") => Some("this name is the authority's here"),
            None if !seen.insert(same_name(name)) => Some("two banks have this name, capitals or not"),
            problem => problem,
        };
        if let Some(problem) = problem {
            return Err(CertError::Name { name: name.clone(), problem });
        }
    }
    Ok(())
}

fn parameters(name: &str, validity: Validity) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = validity.from.into();
    parameters.not_after = validity.until.into();
    parameters
}

fn node_parameters(name: &str, validity: Validity) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = parameters(name, validity);
    parameters.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into()?)];
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

/// Writes a file that does not exist yet. Only its owner can read a secret file.
fn write_new(file: &Path, text: &str, secret: bool) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    options.open(file)?.write_all(text.as_bytes())
}
