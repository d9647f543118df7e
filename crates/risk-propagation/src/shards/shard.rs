//! In which shard an account lies.

use std::fmt;

use sha2::{Digest, Sha256};

/// What is hashed before the names.
const DOMAIN: &[u8] = b"subrosa shard v1";

/// Why there are no such shards, or no such record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardsError {
    /// A number of shards that a bank cannot be cut in.
    #[error("a bank is cut in 1 to {} shards, not in {shards}", Shards::MOST)]
    Number {
        /// The number.
        shards: u16,
    },
    /// A shard that is not among the shards.
    #[error("there are {shards} shards, counted from 0, and so no shard {index}")]
    Index {
        /// The index.
        index: u16,
        /// How many shards there are.
        shards: u16,
    },
    /// A record that is too long.
    #[error("a record of {bytes} bytes is over the limit of {limit} bytes")]
    Record {
        /// Length of the record, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
}

/// In how many shards each bank is cut: 1 to 1,024, equal at all banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shards(u16);

impl Shards {
    /// Greatest number of shards.
    pub const MOST: u16 = 1024;

    /// One shard: a bank that is not cut.
    pub const ONE: Self = Self(1);

    /// That many shards.
    ///
    /// # Errors
    /// [`ShardsError::Number`] if there are none, or more than [`MOST`](Self::MOST).
    pub fn new(shards: u16) -> Result<Self, ShardsError> {
        if (1..=Self::MOST).contains(&shards) {
            Ok(Self(shards))
        } else {
            Err(ShardsError::Number { shards })
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> usize {
        usize::from(self.0)
    }

    /// The shard of that index, counted from 0.
    ///
    /// # Errors
    /// [`ShardsError::Index`] if there are not that many.
    pub fn shard(self, index: u16) -> Result<Shard, ShardsError> {
        if index < self.0 { Ok(Shard(index)) } else { Err(ShardsError::Index { index, shards: self.0 }) }
    }

    /// All shards in order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Shard> + ExactSizeIterator {
        (0..self.0).map(Shard)
    }

    /// Whether the shard is one of these.
    #[must_use]
    pub fn contains(self, shard: Shard) -> bool {
        shard.0 < self.0
    }

    /// The shard in which an account lies, by the public hash of the [module's page](super).
    ///
    /// `bank` is the name of the account's bank, `account` the account's name there. Neither contains a zero byte where the
    /// hash is to tell all pairs apart; no harm is done otherwise, since the hash only spreads accounts.
    #[must_use]
    pub fn of(self, bank: &str, account: &str) -> Shard {
        let hash = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update([0])
            .chain_update(bank)
            .chain_update([0])
            .chain_update(account)
            .finalize();
        let mut first = [0; 8];
        first.iter_mut().zip(hash).for_each(|(byte, of)| *byte = of);
        let remainder = u64::from_le_bytes(first) % u64::from(self.0);
        // A remainder by a `u16` fits one.
        Shard(u16::try_from(remainder).unwrap_or_default())
    }
}

impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of the [`Shards`] of a bank, by its index from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u16);

impl Shard {
    /// The shard that is always there.
    pub(super) const FIRST: Self = Self(0);

    /// The index, counted from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The index as a number for the wire.
    #[must_use]
    pub fn to_u16(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {}", self.0)
    }
}
