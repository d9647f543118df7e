//! The frame of a key file.

use sha2::{Digest, Sha256};

use super::StorageError;
use crate::KeyShare;

const MAGIC: [u8; 8] = *b"SUBROSAK";
/// Version of the format.
pub const FORMAT_VERSION: u16 = 1;
/// No key file is longer: a hundred verification keys for the longest key take a fifth of it.
pub const MAX_FILE_BYTES: usize = 1 << 20;

pub(super) const PREFIX_BYTES: usize = 41;
pub(super) const CHECKSUM_BYTES: usize = 32;

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain = 1,
    Sealed = 2,
}

/// What a key file says about itself without a passphrase. Unless it was [unsealed](super::unseal), nothing vouches
/// for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    pub(super) kind: Kind,
    pub(super) key: [u8; 16],
    pub(super) epoch: u64,
    pub(super) party: u16,
}

impl FileInfo {
    /// Whether the share is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.kind == Kind::Sealed
    }

    /// The fingerprint of the Paillier key.
    pub fn key(&self) -> [u8; 16] {
        self.key
    }

    /// The epoch of the share.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The party, from 0.
    pub fn party(&self) -> u16 {
        self.party
    }

    pub(super) fn describes(&self, share: &KeyShare) -> bool {
        self.same_place(share) && share.key().lineage().epoch() == self.epoch
    }

    fn same_place(&self, share: &KeyShare) -> bool {
        *share.key().public().id().as_bytes() == self.key && share.party().index() == usize::from(self.party)
    }
}

/// A file in parts.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    pub(super) info: FileInfo,
    pub(super) prefix: &'a [u8],
    pub(super) body: &'a [u8],
}

/// The bytes before a body of `length` bytes.
pub(super) fn prefix(share: &KeyShare, kind: Kind, length: usize) -> Result<Vec<u8>, StorageError> {
    let too_long = || StorageError::TooLong { limit: MAX_FILE_BYTES };
    if length > MAX_FILE_BYTES - PREFIX_BYTES - CHECKSUM_BYTES {
        return Err(too_long());
    }
    let party = u16::try_from(share.party().index()).map_err(|_| too_long())?;
    let length = u32::try_from(length).map_err(|_| too_long())?;
    let mut out = Vec::with_capacity(PREFIX_BYTES);
    out.extend(MAGIC);
    out.extend(FORMAT_VERSION.to_le_bytes());
    out.push(kind as u8);
    out.extend(share.key().public().id().as_bytes());
    out.extend(share.key().lineage().epoch().to_le_bytes());
    out.extend(party.to_le_bytes());
    out.extend(length.to_le_bytes());
    Ok(out)
}

/// Adds the checksum.
pub(super) fn finish(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// Takes a file apart and verifies everything that needs no passphrase.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, StorageError> {
    let found = bytes.len();
    if found > MAX_FILE_BYTES {
        return Err(StorageError::TooLong { limit: MAX_FILE_BYTES });
    }
    let mut rest = bytes;
    if take(&mut rest, found)? != MAGIC {
        return Err(StorageError::NotAKeyFile);
    }
    let version = u16::from_le_bytes(take(&mut rest, found)?);
    if version != FORMAT_VERSION {
        return Err(StorageError::Version { found: version, known: FORMAT_VERSION });
    }
    let [kind] = take(&mut rest, found)?;
    let key = take(&mut rest, found)?;
    let epoch = u64::from_le_bytes(take(&mut rest, found)?);
    let party = u16::from_le_bytes(take(&mut rest, found)?);
    let length = u32::from_le_bytes(take(&mut rest, found)?);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let expected = length.saturating_add(PREFIX_BYTES + CHECKSUM_BYTES);
    if found < expected {
        return Err(StorageError::Truncated { found, expected });
    }
    let (checked, checksum) = bytes.split_at(found - CHECKSUM_BYTES);
    if found > expected || Sha256::digest(checked).as_slice() != checksum {
        return Err(StorageError::Checksum);
    }
    let kind = match kind {
        1 => Kind::Plain,
        2 => Kind::Sealed,
        _ => return Err(StorageError::Malformed { reason: "it is of an unknown kind" }),
    };
    let (prefix, body) = checked.split_at(PREFIX_BYTES);
    Ok(Parsed { info: FileInfo { kind, key, epoch, party }, prefix, body })
}

/// The next bytes of a file of `found` bytes.
pub(super) fn take<const N: usize>(rest: &mut &[u8], found: usize) -> Result<[u8; N], StorageError> {
    let cut_off = StorageError::Truncated { found, expected: PREFIX_BYTES + CHECKSUM_BYTES };
    let (first, others) = rest.split_first_chunk::<N>().ok_or(cut_off)?;
    *rest = others;
    Ok(*first)
}

/// Whether a file may be replaced by one with `share`.
pub(super) fn check_replacement(there: &FileInfo, share: &KeyShare) -> Result<(), StorageError> {
    let new = share.key().lineage().epoch();
    if !there.same_place(share) {
        return Err(StorageError::OtherShare);
    }
    if there.epoch > new { Err(StorageError::LaterEpoch { there: there.epoch, new }) } else { Ok(()) }
}
