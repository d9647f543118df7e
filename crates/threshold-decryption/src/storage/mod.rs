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
//! The checksum tells damage from a wrong passphrase; it is no protection against forgery, which the encryption is. What
//! is read is checked as a key from anywhere else: a share that does not fit its verification key is refused.
//!
//! # Security
//! Fingerprint, epoch and party can be read without the passphrase. A share that was replaced by a renewal may survive
//! on the disk: deleting files does not erase them, and copies of t+1 old shares decrypt.

mod error;
mod file;
mod format;
mod payload;
mod public;
mod seal;

use std::path::Path;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::KeyShare;

pub use error::StorageError;
pub use format::{FORMAT_VERSION, FileInfo, MAX_FILE_BYTES};
pub use seal::KdfCost;

use format::Kind;

/// What a file says about itself, without its secret; length, version and checksum are verified.
///
/// # Errors
/// [`StorageError`], as for [`unseal`], but for the passphrase and what it guards.
pub fn inspect(bytes: &[u8]) -> Result<FileInfo, StorageError> {
    Ok(format::parse(bytes)?.info)
}

/// A share as the bytes of a file, encrypted under a passphrase.
///
/// # Errors
/// [`StorageError::Cost`] if the memory for the passphrase's key cannot be had.
pub fn seal(
    share: &KeyShare,
    passphrase: &[u8],
    cost: KdfCost,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, StorageError> {
    let payload = payload::encode(share)?;
    let prefix = format::prefix(share, Kind::Sealed, seal::sealed_length(payload.len()))?;
    Ok(format::finish(seal::seal(prefix, &payload, passphrase, cost, rng)?))
}

/// The share in the bytes that [`seal`] made.
///
/// # Errors
/// [`StorageError::WrongPassphrase`] if the passphrase is another one, or somebody changed the file and its checksum;
/// [`StorageError::Checksum`], [`StorageError::Truncated`] and others for a file that is damaged or not one of these;
/// [`StorageError::Cost`] for one that asks for too much memory or time.
pub fn unseal(bytes: &[u8], passphrase: &[u8]) -> Result<KeyShare, StorageError> {
    let parsed = format::parse(bytes)?;
    if parsed.info.kind != Kind::Sealed {
        return Err(StorageError::NotEncrypted);
    }
    let payload = seal::open(&parsed, passphrase)?;
    payload::decode(&payload, &parsed.info)
}

/// A share as the bytes of a file, **not encrypted**: whoever reads t+1 of them decrypts everything.
///
/// # Security
/// For stores that encrypt themselves, such as a key management service.
///
/// # Errors
/// [`StorageError::Malformed`] if the share is too long for a file.
pub fn expose_unencrypted(share: &KeyShare) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    let payload = payload::encode(share)?;
    let mut bytes = format::prefix(share, Kind::Plain, payload.len())?;
    bytes.reserve_exact(payload.len() + format::CHECKSUM_BYTES);
    bytes.extend_from_slice(&payload);
    Ok(Zeroizing::new(format::finish(bytes)))
}

/// The share in the bytes that [`expose_unencrypted`] made.
///
/// # Errors
/// As [`unseal`], but for the passphrase; [`StorageError::Encrypted`].
pub fn read_unencrypted(bytes: &[u8]) -> Result<KeyShare, StorageError> {
    let parsed = format::parse(bytes)?;
    if parsed.info.kind != Kind::Plain {
        return Err(StorageError::Encrypted);
    }
    payload::decode(parsed.body, &parsed.info)
}

/// Writes a share to a file under a passphrase. A file that is there is replaced as a whole or not at all, and only
/// by a share of the same key, party and no earlier epoch.
///
/// # Errors
/// [`StorageError::OtherShare`] or [`StorageError::LaterEpoch`] for a file that must not be replaced, a file there
/// that is not one of these, [`StorageError::Io`].
#[doc(alias("keystore", "persist"))]
pub fn save(
    path: impl AsRef<Path>,
    share: &KeyShare,
    passphrase: &[u8],
    cost: KdfCost,
    rng: &mut impl CryptoRng,
) -> Result<(), StorageError> {
    let path = path.as_ref();
    if let Some(there) = file::read_if_there(path)? {
        format::check_replacement(&inspect(&there)?, share)?;
    }
    let bytes = seal(share, passphrase, cost, rng)?;
    file::write_atomically(path, &bytes, rng)
}

/// Reads a share from a file that [`save`] wrote.
///
/// # Errors
/// [`StorageError::Io`]; otherwise as [`unseal`].
pub fn load(path: impl AsRef<Path>, passphrase: &[u8]) -> Result<KeyShare, StorageError> {
    unseal(&file::read(path.as_ref())?, passphrase)
}
