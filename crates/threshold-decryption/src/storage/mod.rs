//! Key shares in files: versioned, checksummed, encrypted under a passphrase.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0–7 | magic `SUBROSAK` |
//! | 8–9 | version of this format, 1; all numbers are little-endian |
//! | 10 | kind: 1 unencrypted, 2 under a passphrase |
//! | 11–26 | fingerprint of the Paillier key |
//! | 27–34 | epoch of the shares |
//! | 35–36 | the party, from 0 |
//! | 37–40 | length of what follows, without the checksum |
//! | 41– | kind 1: the share. Kind 2: Argon2id's memory in KiB, passes and lanes (4 bytes each), salt (16), nonce (24), then the share under XChaCha20-Poly1305, with everything before as associated data |
//! | last 32 | SHA-256 of everything before |
//!
//! Frame, encryption and files are those of [`subrosa_sealing`].
//!
//! The checksum distinguishes damage from a wrong passphrase. It does not protect against forgery; the encryption does.
//! A key that was read is checked as any other, and a share that does not fit its verification key is refused.
//!
//! # Security
//! Fingerprint, epoch and party can be read without the passphrase. A share that was replaced by a renewal may survive
//! on the disk: deleting files does not erase them, and copies of t+1 old shares decrypt.

mod error;
mod format;
mod payload;
mod public;

use std::path::Path;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::KeyShare;
use subrosa_sealing::file;

pub use error::StorageError;
pub use format::{FORMAT_VERSION, FileInfo, MAX_FILE_BYTES};
pub use subrosa_sealing::{KdfCost, SealingError};

use format::FORMAT;

/// What a file says about itself, without its secret; length, version and checksum are verified.
///
/// # Errors
/// [`StorageError`], as for [`unseal`], but for the passphrase and what it guards.
pub fn inspect(bytes: &[u8]) -> Result<FileInfo, StorageError> {
    Ok(FileInfo::of(&FORMAT.parse(bytes)?))
}

/// Encodes a share as the bytes of a file, encrypted under a passphrase.
///
/// # Errors
/// [`SealingError::EmptyPassphrase`]; [`SealingError::Cost`] if the memory for the passphrase's key cannot be had.
pub fn seal(
    share: &KeyShare,
    passphrase: &[u8],
    cost: KdfCost,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, StorageError> {
    let payload = payload::encode(share)?;
    Ok(FORMAT.seal(&format::header(share)?, &payload, passphrase, cost, rng)?)
}

/// Decodes the share in bytes that [`seal`] made.
///
/// # Errors
/// [`SealingError::WrongPassphrase`] if the passphrase is another one, or somebody changed the file and its checksum;
/// [`SealingError::Checksum`], [`SealingError::Truncated`] and others for a file that is damaged or not one of these;
/// [`SealingError::Cost`] for one that asks for too much memory or time.
pub fn unseal(bytes: &[u8], passphrase: &[u8]) -> Result<KeyShare, StorageError> {
    let frame = FORMAT.parse(bytes)?;
    payload::decode(&frame.unseal(passphrase)?, &FileInfo::of(&frame))
}

/// Encodes a share as the bytes of a file, **not encrypted**. Whoever reads t+1 of them can decrypt everything.
///
/// # Security
/// For stores that encrypt themselves, such as a key management service.
///
/// # Errors
/// [`SealingError::TooLong`] if the share is too long for a file.
pub fn expose_unencrypted(share: &KeyShare) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    Ok(FORMAT.expose_unencrypted(&format::header(share)?, &payload::encode(share)?)?)
}

/// Decodes the share in bytes that [`expose_unencrypted`] made.
///
/// # Errors
/// As [`unseal`], but for the passphrase; [`SealingError::Encrypted`].
pub fn read_unencrypted(bytes: &[u8]) -> Result<KeyShare, StorageError> {
    let frame = FORMAT.parse(bytes)?;
    payload::decode(frame.unencrypted()?, &FileInfo::of(&frame))
}

/// Writes a share to a file under a passphrase. A file that is there is replaced as a whole or not at all, and only
/// by a share of the same key, party and no earlier epoch.
///
/// # Errors
/// [`StorageError::OtherShare`] or [`StorageError::LaterEpoch`] for a file that must not be replaced, a file there
/// that is not one of these, [`SealingError::Io`].
#[doc(alias("keystore", "persist"))]
pub fn save(
    path: impl AsRef<Path>,
    share: &KeyShare,
    passphrase: &[u8],
    cost: KdfCost,
    rng: &mut impl CryptoRng,
) -> Result<(), StorageError> {
    let path = path.as_ref();
    if let Some(there) = file::read_if_there(path, MAX_FILE_BYTES)? {
        format::check_replacement(&inspect(&there)?, share)?;
    }
    let bytes = seal(share, passphrase, cost, rng)?;
    Ok(file::write_atomically(path, &bytes, rng)?)
}

/// Reads a share from a file that [`save`] wrote.
///
/// # Errors
/// [`SealingError::Io`]; otherwise as [`unseal`].
pub fn load(path: impl AsRef<Path>, passphrase: &[u8]) -> Result<KeyShare, StorageError> {
    unseal(&file::read(path, MAX_FILE_BYTES)?, passphrase)
}
