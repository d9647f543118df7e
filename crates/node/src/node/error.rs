//! Why a node ends without a result.

use std::path::PathBuf;

use crate::audit::AuditError;
use crate::certs::CertError;
use crate::config::ConfigError;
use crate::keys::{KeyFileError, MeetingError};
use subrosa_distributed_paillier::KeygenError;
use subrosa_risk_propagation as propagation;
use subrosa_transport::tls::TlsError;
use subrosa_transport::{FailureKind, PartyId, SessionError, with_causes};

/// Why a node ends without a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A certificate or its private key cannot be used.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// A key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The audit trail cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The network cannot be set up, or some banks are not connected in time.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address to listen on is not free, or does not belong to this machine.
    #[error("{}`listen`: {address} cannot be used", file.as_ref().map(|file| format!("{}: ", file.display())).unwrap_or_default())]
    Listen {
        /// File that the configuration was read from.
        file: Option<PathBuf>,
        /// The address.
        address: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The meeting of the banks failed, or they hold different keys.
    #[error(transparent)]
    Meeting(#[from] MeetingError),
    /// Key generation failed.
    #[error("key generation failed")]
    Keygen(#[from] KeygenError),
    /// The data or the plan cannot be used, or the propagation failed.
    #[error(transparent)]
    Propagation(#[from] propagation::Error),
    /// The folder of checkpoints cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] propagation::CheckpointError),
    /// A session failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// [`Task::Resume`](super::Task::Resume) found no stopped run in the folder of checkpoints.
    #[error("there is no stopped run in {}; `run` begins one", .0.display())]
    NothingToResume(PathBuf),
    /// The task needs a key, and there is no key file.
    #[error("there is no key file {}; `keygen` makes one together with the other banks", .0.display())]
    NoKey(PathBuf),
    /// The stop flag was set.
    #[error("stopped by a signal")]
    Stopped,
    /// The banks met too often, and some still have no scores.
    #[error("the banks met again and again, and some still have no scores")]
    NoEnd,
    /// The last attempt failed.
    #[error("attempt {attempts}, the last one, failed; the first failed because: {}", with_causes(first))]
    GaveUp {
        /// Number of attempts.
        attempts: u32,
        /// Why the first attempt failed.
        first: Box<NodeError>,
        /// Why the last attempt failed.
        #[source]
        last: Box<NodeError>,
    },
}

impl NodeError {
    /// Returns the banks that are to blame, by their places in the alphabetical order. Empty if no bank can be blamed.
    pub fn culprits(&self) -> Vec<PartyId> {
        match self {
            Self::Session(error) | Self::Meeting(MeetingError::Session(error)) => error.culprits(),
            Self::Keygen(error) => error.culprits(),
            Self::Propagation(error) => error.culprits(),
            Self::Checkpoint(error) => error.culprits(),
            Self::GaveUp { last, .. } => last.culprits(),
            Self::Config(_)
            | Self::Cert(_)
            | Self::KeyFile(_)
            | Self::Audit(_)
            | Self::Tls(_)
            | Self::Listen { .. }
            | Self::Meeting(MeetingError::File(_) | MeetingError::Different(_))
            | Self::NothingToResume(_)
            | Self::NoKey(_)
            | Self::Stopped
            | Self::NoEnd => Vec::new(),
        }
    }

    /// Whether another attempt may succeed: a bank left, was restarted or could not be reached.
    pub(super) fn is_passing(&self) -> bool {
        let kind = match self {
            Self::Session(error) | Self::Meeting(MeetingError::Session(error)) => error.kind(),
            Self::Keygen(error) => error.kind(),
            Self::Propagation(error) => error.kind(),
            _ => return false,
        };
        matches!(kind, FailureKind::Network | FailureKind::Abort)
    }

    /// The reason for the audit trail. It is the error only if all banks know it.
    pub(super) fn public_reason(&self) -> String {
        match self {
            Self::Session(_) | Self::Meeting(_) | Self::Keygen(_) | Self::Tls(_) | Self::Stopped => {
                with_causes(self)
            }
            Self::Propagation(propagation::Error::Session(error)) => with_causes(error),
            Self::GaveUp { last, .. } => last.public_reason(),
            Self::Propagation(_) => "the propagation failed; this bank's log says why".to_owned(),
            _ => "this bank failed; its log says why".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_can_be_examined_and_is_printed_with_its_causes() {
        let session = |by: u16| SessionError::Aborted {
            by: PartyId::new(by),
            name: format!("bank {by}"),
            reason: "stopped".to_owned(),
            culprits: vec![PartyId::new(by)],
        };
        let first = Box::new(NodeError::Keygen(KeygenError::Session(session(1))));
        let error = NodeError::GaveUp { attempts: 3, first, last: Box::new(session(2).into()) };
        let NodeError::GaveUp { first, .. } = &error else { panic!("{error}") };
        assert_eq!((first.culprits(), error.culprits()), (vec![PartyId::new(1)], vec![PartyId::new(2)]));
        assert_eq!(
            error.to_string(),
            "attempt 3, the last one, failed; the first failed because: key generation failed: bank 1 aborted: stopped"
        );
    }
}
