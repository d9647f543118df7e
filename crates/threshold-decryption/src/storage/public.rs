//! The public part of a key as bytes.

use sha2::{Digest, Sha256};

use super::payload::StoredKey;
use super::{MAX_FILE_BYTES, SealingError, StorageError};
use crate::ThresholdKey;

const MAGIC: [u8; 8] = *b"SUBROSAP";
const VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 32;

impl ThresholdKey {
    /// Encodes the key as bytes, with the state that renewals of its shares lead to. The bytes are public. They are for
    /// those who hold no share, such as an auditor, or a party that is to receive a share in a resharing.
    ///
    /// Magic `SUBROSAP`, the version 1 in two bytes (little-endian), the constants, SHA-256 of everything before.
    ///
    /// # Errors
    /// [`SealingError::TooLong`], [`StorageError::Malformed`]: no key that parties can generate.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StorageError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        let mut bytes = postcard::to_extend(&StoredKey::of(self), bytes)
            .map_err(|_| StorageError::Malformed { reason: "it cannot be encoded" })?;
        bytes.extend_from_slice(&Sha256::digest(&bytes));
        if bytes.len() > MAX_FILE_BYTES {
            return Err(SealingError::TooLong { limit: MAX_FILE_BYTES }.into());
        }
        Ok(bytes)
    }

    /// Decodes the key in bytes that [`to_bytes`](Self::to_bytes) made, and checks it as [`new`](Self::new) does.
    ///
    /// # Security
    /// The checksum detects damage. It does not show that this is the key of the parties. Compare
    /// [`digest`](Self::digest) with theirs.
    ///
    /// # Errors
    /// [`StorageError`] for bytes of another kind or version, for damaged ones, and for an invalid key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StorageError> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(SealingError::TooLong { limit: MAX_FILE_BYTES }.into());
        }
        let truncated =
            SealingError::Truncated { found: bytes.len(), expected: MAGIC.len() + 2 + CHECKSUM_BYTES };
        let Some((magic, rest)) = bytes.split_first_chunk::<8>() else { return Err(truncated.into()) };
        if *magic != MAGIC {
            return Err(SealingError::OtherFormat.into());
        }
        let Some((version, rest)) = rest.split_first_chunk::<2>() else { return Err(truncated.into()) };
        let found = u16::from_le_bytes(*version);
        if found != VERSION {
            return Err(SealingError::Version { found, known: VERSION }.into());
        }
        let Some((constants, checksum)) = rest.split_last_chunk::<CHECKSUM_BYTES>() else {
            return Err(truncated.into());
        };
        let (checked, _) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if Sha256::digest(checked).as_slice() != checksum {
            return Err(SealingError::Checksum.into());
        }
        match postcard::take_from_bytes::<StoredKey>(constants) {
            Ok((stored, [])) => Ok(stored.into_key()?),
            _ => Err(StorageError::Malformed { reason: "it does not decode" }),
        }
    }
}
