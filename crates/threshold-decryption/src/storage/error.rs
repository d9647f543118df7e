use std::io;

use crate::KeyError;

/// Why a share was not stored or not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The file could not be read or written.
    #[error("the key file cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// The file is longer than any key file.
    #[error("the file has more than {limit} bytes, which no key file has")]
    TooLong {
        /// The greatest length.
        limit: usize,
    },
    /// The file does not begin as key files do.
    #[error("this is not a key file")]
    NotAKeyFile,
    /// A version of the format that this library does not know.
    #[error("the key file has version {found}, this program reads version {known}")]
    Version {
        /// The version of the file.
        found: u16,
        /// The version that this library writes.
        known: u16,
    },
    /// The file ends too early.
    #[error("the key file is cut off: it has {found} bytes of {expected}")]
    Truncated {
        /// Its length.
        found: usize,
        /// The length that it should have, as far as it tells.
        expected: usize,
    },
    /// The file is damaged.
    #[error("the key file is damaged: its checksum does not match")]
    Checksum,
    /// The file is not encrypted, but a passphrase was given.
    #[error("the key file is not encrypted, and an encrypted one is expected")]
    NotEncrypted,
    /// The file is encrypted, but no passphrase was given.
    #[error("the key file is encrypted: a passphrase is needed")]
    Encrypted,
    /// The passphrase's key would take too much memory or time, or too little to be of use.
    #[error(
        "the cost of turning a passphrase into a key is out of range: {memory_kib} KiB, {passes} passes, {lanes} lanes"
    )]
    Cost {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// The passphrase is wrong, or the file was changed on purpose.
    #[error("the passphrase is wrong, or somebody changed the key file")]
    WrongPassphrase,
    /// The file is intact, but what it holds is not a share, or not the one that its header names.
    #[error("the key file holds no valid share: {reason}")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
    /// The key or the share in the file is not valid.
    #[error("the key file holds no valid share: {0}")]
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
