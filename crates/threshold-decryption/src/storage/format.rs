//! The header of a key file, and the rule for replacing files.

use super::StorageError;
use crate::KeyShare;
use subrosa_sealing::{Format, Frame};

/// Version of the format.
pub const FORMAT_VERSION: u16 = 1;
/// No key file is longer: a hundred verification keys for the longest key take a fifth of it.
pub const MAX_FILE_BYTES: usize = 1 << 20;

const KEY_BYTES: usize = 16;
const EPOCH_BYTES: usize = 8;
const PARTY_BYTES: usize = 2;
/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = KEY_BYTES + EPOCH_BYTES + PARTY_BYTES;

pub(super) const FORMAT: Format<HEADER_BYTES> = Format::new(*b"SUBROSAK", FORMAT_VERSION, MAX_FILE_BYTES);

/// The header of a key file, which can be read without the passphrase. It is authentic only if the file was
/// [unsealed](super::unseal).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    encrypted: bool,
    key: [u8; KEY_BYTES],
    epoch: u64,
    party: u16,
}

impl FileInfo {
    pub(super) fn of(frame: &Frame<'_, HEADER_BYTES>) -> Self {
        let (mut key, mut epoch, mut party) = ([0; KEY_BYTES], [0; EPOCH_BYTES], [0; PARTY_BYTES]);
        let fields = key.iter_mut().chain(&mut epoch).chain(&mut party);
        fields.zip(frame.header()).for_each(|(field, byte)| *field = *byte);
        let (epoch, party) = (u64::from_le_bytes(epoch), u16::from_le_bytes(party));
        Self { encrypted: frame.is_encrypted(), key, epoch, party }
    }

    /// Whether the share is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
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

/// Fingerprint, epoch and party.
pub(super) fn header(share: &KeyShare) -> Result<[u8; HEADER_BYTES], StorageError> {
    let reason = "the party's number is too large";
    let party = u16::try_from(share.party().index()).map_err(|_| StorageError::Malformed { reason })?;
    let (id, epoch) = (share.key().public().id(), share.key().lineage().epoch().to_le_bytes());
    let mut header = [0; HEADER_BYTES];
    let fields = id.as_bytes().iter().copied().chain(epoch).chain(party.to_le_bytes());
    header.iter_mut().zip(fields).for_each(|(place, byte)| *place = byte);
    Ok(header)
}

/// Whether a file may be replaced by one with `share`.
pub(super) fn check_replacement(there: &FileInfo, share: &KeyShare) -> Result<(), StorageError> {
    let new = share.key().lineage().epoch();
    if !there.same_place(share) {
        return Err(StorageError::OtherShare);
    }
    if there.epoch > new { Err(StorageError::LaterEpoch { there: there.epoch, new }) } else { Ok(()) }
}
