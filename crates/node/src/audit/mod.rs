//! The audit trail: a log of the runs in JSON lines. Each line is bound to all lines before it by a hash.
//!
//! A line is `{"hash":"<hex>","record":{…}}`. The hash is SHA-256 over a domain, the hash of the line before (zeros for the
//! first line) and the bytes of the record as they stand in the line. Whoever knows the last hash can detect every change of a
//! line before it. The node therefore logs the last hash at the end of a run; hand it to those who are to trust the trail.
//!
//! # Security
//! The trail holds no private value. It holds names, parameters, sizes, public hashes, and reasons that were sent to all banks.
//! Hashes of private values (the input, the messages) are keyed with a secret that lies in a file beside the trail. Without it
//! nobody can test guesses; with it the bank can prove what its input was. A trail by itself proves what a bank recorded, not
//! that the bank was honest.

mod event;
mod files;
mod line;
mod recompute;
mod trail;
mod verify;

use std::path::PathBuf;

use subrosa_encoding::Hex;
use subrosa_risk_propagation::record::RecordError;

pub use event::{Event, Flow, Member, Record};
pub use files::{TrailSecret, frames_file, secret_file, seeds_file};
pub use recompute::{Evidence, Recomputation, RecomputeError, recompute};
pub use trail::Trail;
pub use verify::{Report, TrailError, compare, verify};

/// Why an audit trail cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The file cannot be read or written.
    #[error("audit trail {} cannot be read or written", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The trail that is to be continued does not verify.
    #[error("audit trail {} does not verify; move it away, or set another file", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// The first line that does not verify.
        source: TrailError,
    },
    /// The trail that is to be continued is not text.
    #[error("audit trail {} is not UTF-8; move it away, or set another file", .0.display())]
    NotText(PathBuf),
    /// Another process writes to the trail.
    #[error("audit trail {}: another process writes to it; does this bank run already?", .0.display())]
    InUse(PathBuf),
    /// The record of frames cannot be read or written.
    #[error("record of frames {} cannot be read or written", file.display())]
    Record {
        /// The file.
        file: PathBuf,
        /// Cause.
        source: RecordError,
    },
    /// The secret file holds no secret.
    #[error("{}: this should hold the 64 hexadecimal digits of the audit secret", file.display())]
    Secret {
        /// The file.
        file: PathBuf,
    },
}

/// Formats bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}
