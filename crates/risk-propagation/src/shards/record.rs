//! What shards send each other, and how it is counted.

use std::{fmt, mem};

use zeroize::Zeroize;

use super::ShardsError;

/// Bytes of one kind that one shard sends to another.
///
/// What is in it is a secret of the bank: scores and names of accounts. It is wiped when the record is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    kind: u8,
    bytes: Vec<u8>,
}

impl Record {
    /// Most bytes of a record.
    pub const LIMIT: usize = 1 << 20;

    /// A record of these bytes. What a kind means is up to the step that sends it.
    ///
    /// # Errors
    /// [`ShardsError::Record`] if there are more than [`LIMIT`](Self::LIMIT).
    pub fn new(kind: u8, bytes: Vec<u8>) -> Result<Self, ShardsError> {
        if bytes.len() <= Self::LIMIT {
            Ok(Self { kind, bytes })
        } else {
            Err(ShardsError::Record { bytes: bytes.len(), limit: Self::LIMIT })
        }
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the bytes out.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        mem::take(&mut self.bytes)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the bytes: they are scores.
        f.debug_struct("Record")
            .field("kind", &self.kind)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// What one shard has sent to another in one round: how many records, and a checksum of them that does not depend on their order.
///
/// # Security
/// The checksum finds what is lost, doubled or damaged by mistake. It is no protection against somebody who falsifies records on
/// purpose: that is what the connections among machines are authenticated for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    records: u64,
    checksum: u64,
}

impl Tally {
    /// Length of [`to_bytes`](Self::to_bytes), in bytes.
    pub const BYTES: usize = 16;

    /// Counts a record.
    pub fn count(&mut self, record: &Record) {
        self.records += 1;
        self.checksum = self.checksum.wrapping_add(checksum(record));
    }

    /// How many records were counted.
    #[must_use]
    pub fn records(self) -> u64 {
        self.records
    }

    /// For the wire: the number of records and the checksum, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        (u128::from(self.records) | u128::from(self.checksum) << 64).to_le_bytes()
    }

    /// What [`to_bytes`](Self::to_bytes) gave.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [mut records, mut checksum] = [[0; 8]; 2];
        records.copy_from_slice(&bytes[..8]);
        checksum.copy_from_slice(&bytes[8..]);
        Self { records: u64::from_le_bytes(records), checksum: u64::from_le_bytes(checksum) }
    }
}

/// A hash of kind, length and bytes: multiply and xor by words, then the finaliser of `MurmurHash3` (Appleby).
fn checksum(record: &Record) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(ODD).rotate_left(29);
    let (words, rest) = record.bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let start = mix(u64::from(record.kind) + 1, record.bytes.len() as u64);
    let mut hash = words.iter().map(|word| u64::from_le_bytes(*word)).fold(start, mix);
    hash = mix(hash, u64::from_le_bytes(last));
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(records: &[(u8, &[u8])]) -> Tally {
        let mut tally = Tally::default();
        records.iter().for_each(|&(kind, bytes)| tally.count(&Record::new(kind, bytes.to_vec()).unwrap()));
        tally
    }

    #[test]
    fn what_is_lost_doubled_or_altered_changes_the_tally_and_the_order_does_not() {
        let (a, b) = ((1, b"one score".as_slice()), (1, b"two scores".as_slice()));
        assert_eq!(tally(&[a, b]), tally(&[b, a]));
        assert_eq!(Tally::from_bytes(tally(&[a, b]).to_bytes()), tally(&[a, b]));
        let others: [&[(u8, &[u8])]; 7] = [
            &[a],
            &[a, a],
            &[a, b, b],
            &[(2, a.1), b],
            &[(1, b"one scorf"), b],
            &[(1, b"one score\0"), b],
            &[(1, b"one scoretwo scores"), (1, b"")],
        ];
        for other in others {
            assert_ne!(tally(&[a, b]), tally(other), "{other:?}");
        }
    }

    #[test]
    fn bytes_are_limited_and_not_shown() {
        assert!(Record::new(0, vec![7; Record::LIMIT]).is_ok());
        let (bytes, limit) = (Record::LIMIT + 1, Record::LIMIT);
        assert_eq!(Record::new(0, vec![7; bytes]), Err(ShardsError::Record { bytes, limit }));
        let shown = format!("{:?}", Record::new(3, vec![77; 2]).unwrap());
        assert!(shown.contains("length: 2") && !shown.contains("77"), "{shown}");
    }
}
