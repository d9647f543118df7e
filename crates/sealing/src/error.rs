use std::io;

use subrosa_failure::FailureKind;

/// Why something was not stored or not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealingError {
    /// The file could not be read or written.
    #[error("the file cannot be read or written")]
    Io(#[from] io::Error),
    /// More bytes than the format allows.
    #[error("more than {limit} bytes, which no file of this kind has")]
    TooLong {
        /// The greatest length in bytes.
        limit: usize,
    },
    /// The bytes do not begin with the magic of the format.
    #[error("this is not a file of the expected kind")]
    OtherFormat,
    /// A version of the format that this library does not know.
    #[error("the file has version {found}, this program reads version {known}")]
    Version {
        /// The version of the file.
        found: u16,
        /// The version that this library writes.
        known: u16,
    },
    /// The bytes end too early.
    #[error("the file is cut off: it has {found} bytes of {expected}")]
    Truncated {
        /// Their number.
        found: usize,
        /// The expected number, as far as the bytes show it.
        expected: usize,
    },
    /// The bytes are damaged.
    #[error("the file is damaged: its checksum does not match")]
    Checksum,
    /// The bytes are intact, but their kind is unknown.
    #[error("the file is neither encrypted nor unencrypted: its kind is {found}")]
    Kind {
        /// The kind that the file names.
        found: u8,
    },
    /// The contents are not encrypted, but a passphrase was given.
    #[error("the file is not encrypted, and an encrypted one is expected")]
    NotEncrypted,
    /// The contents are encrypted, but no passphrase was given.
    #[error("the file is encrypted: a passphrase is needed")]
    Encrypted,
    /// The cost of the passphrase's key is too high or too low.
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
    /// An empty passphrase was given to seal with.
    #[error("an empty passphrase protects nothing")]
    EmptyPassphrase,
    /// The passphrase is wrong, or the file was changed on purpose.
    #[error("the passphrase is wrong, or somebody changed the file")]
    WrongPassphrase,
}

impl SealingError {
    /// Returns whose failure it is. A file, a cost or a passphrase is this party's input.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Io(_)
            | Self::TooLong { .. }
            | Self::OtherFormat
            | Self::Version { .. }
            | Self::Truncated { .. }
            | Self::Checksum
            | Self::Kind { .. }
            | Self::NotEncrypted
            | Self::Encrypted
            | Self::Cost { .. }
            | Self::EmptyPassphrase
            | Self::WrongPassphrase => FailureKind::Input,
        }
    }
}
