use std::io;

use crate::KeyError;
use subrosa_sealing::SealingError;
use subrosa_transport::FailureKind;

/// Why a share was not stored or not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The file could not be read or written, is not a key file, is damaged, or has another passphrase.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The file is intact, but what it holds is not a share, or not the one that its header names.
    #[error("the key file holds no valid share: {reason}")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
    /// The key or the share in the file is not valid.
    #[error("the key file holds no valid share")]
    Key(#[from] KeyError),
    /// The file that is there holds a share of another key or another party.
    #[error("the file that would be replaced holds the share of another key or party")]
    OtherShare,
    /// The file that is there holds a later share.
    #[error("the file that would be replaced holds a share of epoch {there}, later than {new}")]
    LaterEpoch {
        /// The epoch of the file.
        there: u64,
        /// The epoch of the share to be stored.
        new: u64,
    },
}

impl StorageError {
    /// Whose failure it is: what a file holds is this party's input.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Key(error) => error.kind(),
            Self::Sealing(error) => error.kind(),
            Self::Malformed { .. } | Self::OtherShare | Self::LaterEpoch { .. } => FailureKind::Input,
        }
    }
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        SealingError::Io(error).into()
    }
}
