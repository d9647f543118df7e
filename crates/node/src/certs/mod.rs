//! Certificates: an authority of the banks' own, and one certificate for each bank.

mod check;
mod make;

use std::path::PathBuf;

pub use check::{Finding, check};
pub(crate) use check::{read_certificates, read_key};
pub use make::{Validity, make};

/// Why certificates cannot be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// A certificate cannot be made.
    #[error("making the certificate of `{name}` failed")]
    Make {
        /// Name in the certificate.
        name: String,
        /// Cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A bank cannot have this name.
    #[error("`{name}`: {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file cannot be read or written.
    #[error("{} cannot be read or written", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A file does not hold the certificate or key that it should hold.
    #[error("{}: {problem}", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}
