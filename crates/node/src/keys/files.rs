//! The files of a bank's key shares, and of the public parts of its keys.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Passphrase;
use subrosa_threshold_decryption::storage::{self, KdfCost, SealingError, StorageError};
use subrosa_threshold_decryption::{KeyShare, ThresholdKey};
use subrosa_transport::PartyId;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The passphrase file cannot be read.
    #[error("passphrase file {} cannot be read", file.display())]
    Passphrase {
        /// The file.
        file: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The passphrase is empty.
    #[error("key file {}: there is no passphrase for it", file.display())]
    NoPassphrase {
        /// The key file.
        file: PathBuf,
    },
    /// The key file cannot be read or written, is damaged, or has another passphrase.
    #[error("key file {} cannot be used", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Cause.
        source: StorageError,
    },
    /// The file of a key's public part cannot be read or written, or is damaged.
    #[error("file {} of a key's public part cannot be used", file.display())]
    Public {
        /// The file.
        file: PathBuf,
        /// Cause.
        source: StorageError,
    },
    /// The key file holds the share of another bank.
    #[error("key file {}: it holds the share of {found}, this bank is {expected}", file.display())]
    OtherBank {
        /// The file.
        file: PathBuf,
        /// Owner of the share.
        found: PartyId,
        /// This bank.
        expected: PartyId,
    },
}

/// Reads the share in a file. Returns `None` if there is no such file.
fn read(file: &Path, passphrase: &str) -> Result<Option<KeyShare>, KeyFileError> {
    match storage::load(file, passphrase.as_bytes()) {
        Ok(share) => Ok(Some(share)),
        Err(StorageError::Sealing(SealingError::Io(error)))
            if error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(source) => Err(KeyFileError::File { file: file.to_owned(), source }),
    }
}

/// Returns the file of the public part of a key. It lies beside the key file; `fingerprint` is that of the key.
#[must_use]
pub fn public_key_file(key_file: &Path, fingerprint: &str) -> PathBuf {
    let mut name = key_file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{fingerprint}.public"));
    key_file.with_file_name(name)
}

/// Reads the public part of a key.
///
/// # Errors
/// [`KeyFileError::Public`] if the file cannot be read, is too long, or holds no key.
pub fn read_public_key(file: &Path) -> Result<ThresholdKey, KeyFileError> {
    let failed = |source| KeyFileError::Public { file: file.to_owned(), source };
    let length = std::fs::metadata(file).map_err(|error| failed(error.into()))?.len();
    if length > storage::MAX_FILE_BYTES as u64 {
        return Err(failed(SealingError::TooLong { limit: storage::MAX_FILE_BYTES }.into()));
    }
    let bytes = std::fs::read(file).map_err(|error| failed(error.into()))?;
    ThresholdKey::from_bytes(&bytes).map_err(failed)
}

/// Writes the public part of a key beside the key file, unless it is there.
fn store_public(key_file: &Path, key: &ThresholdKey) -> Result<(), KeyFileError> {
    let file = public_key_file(key_file, &key.public().id().to_string());
    let failed = |source| KeyFileError::Public { file: file.clone(), source };
    if read_public_key(&file).is_ok_and(|stored| stored.digest() == key.digest()) {
        return Ok(());
    }
    let bytes = key.to_bytes().map_err(failed)?;
    // Beside its place first: after a crash there is no half of a key.
    let partial = file.with_extension(format!("{}.partial", std::process::id()));
    let attempt = || {
        let mut out = File::create(&partial)?;
        out.write_all(&bytes)?;
        out.sync_all()?;
        std::fs::rename(&partial, &file)
    };
    attempt().map_err(|error| {
        let _ = std::fs::remove_file(&partial);
        failed(error.into())
    })
}

/// The key files of this bank: the share in use, and the pending share that waits for the other banks.
pub(crate) struct KeyFiles {
    file: PathBuf,
    pending_file: PathBuf,
    passphrase: Zeroizing<String>,
    active: Option<KeyShare>,
    pending: Option<KeyShare>,
}

impl KeyFiles {
    /// Reads the shares of party `me`. A pending file that is damaged counts as missing.
    pub(crate) fn open(file: &Path, passphrase: &Passphrase, me: PartyId) -> Result<Self, KeyFileError> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".pending");
        let pending_file = file.with_file_name(name);
        let passphrase = passphrase.read(file)?;
        let active = read(file, &passphrase)?;
        let pending = read(&pending_file, &passphrase).unwrap_or(None).filter(|share| share.party() == me);
        if let Some(found) = active.as_ref().map(KeyShare::party).filter(|&found| found != me) {
            return Err(KeyFileError::OtherBank { file: file.to_owned(), found, expected: me });
        }
        let keys = Self { file: file.to_owned(), pending_file, passphrase, active, pending };
        keys.active.iter().try_for_each(|share| store_public(file, share.key()))?;
        Ok(keys)
    }

    /// Whether there is a share, in use or pending.
    pub(crate) fn is_any(&self) -> bool {
        self.active.is_some() || self.pending.is_some()
    }

    /// The share in use.
    pub(crate) fn active(&self) -> Option<&KeyShare> {
        self.active.as_ref()
    }

    /// The share that waits for the other banks.
    pub(crate) fn pending(&self) -> Option<&KeyShare> {
        self.pending.as_ref()
    }

    /// Writes a fresh share to the pending file, until all banks have theirs.
    pub(crate) fn store_pending(&mut self, share: KeyShare) -> Result<(), KeyFileError> {
        let failed = |source| KeyFileError::File { file: self.pending_file.clone(), source };
        match std::fs::remove_file(&self.pending_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error.into())),
            _ => {}
        }
        let passphrase = self.passphrase.as_bytes();
        storage::save(&self.pending_file, &share, passphrase, KdfCost::default(), &mut rand::rng())
            .map_err(failed)?;
        self.pending = Some(share);
        Ok(())
    }

    /// Replaces the share in use by the pending one.
    pub(super) fn promote(&mut self) -> Result<(), KeyFileError> {
        self.pending.iter().try_for_each(|share| store_public(&self.file, share.key()))?;
        std::fs::rename(&self.pending_file, &self.file)
            .map_err(|error| KeyFileError::File { file: self.file.clone(), source: error.into() })?;
        self.active = self.pending.take();
        Ok(())
    }
}

impl std::fmt::Debug for KeyFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the passphrase.
        f.debug_struct("KeyFiles")
            .field("file", &self.file)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}
