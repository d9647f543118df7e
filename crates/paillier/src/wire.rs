use num_bigint::BigUint;
use serde::{Deserialize, Serialize};

use crate::{Blinded, Ciphertext, KeyId, PaillierError, PublicKey};
use subrosa_encoding::Hasher;

/// Ciphertexts under one key, to be sent to another party.
///
/// A batch is made only from blinded ciphertexts. Only [`accept`](Self::accept) turns it into ciphertexts again, and
/// checks them against a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiphertextBatch {
    key: KeyId,
    #[serde(with = "subrosa_encoding::wire::uints")]
    values: Vec<BigUint>,
}

impl CiphertextBatch {
    /// Creates the batch of `ciphertexts`, in their order.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`] if one is not under `key`.
    pub fn new<'a>(
        key: &PublicKey,
        ciphertexts: impl IntoIterator<Item = &'a Blinded<Ciphertext>>,
    ) -> Result<Self, PaillierError> {
        let values = ciphertexts
            .into_iter()
            .map(|ciphertext| key.check(ciphertext).map(|()| ciphertext.value().clone()))
            .collect::<Result<_, _>>()?;
        Ok(Self { key: key.id(), values })
    }

    /// Returns the number of ciphertexts.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether the batch is empty.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Computes a hash of the key's fingerprint and all ciphertexts.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Hasher::new("subrosa/paillier/batch", 1)
            .field("key", self.key.as_bytes())
            .uints("ciphertexts", &self.values)
            .finish()
    }

    /// Greatest encoded length, in bytes, of a batch of `count` ciphertexts under `key`.
    pub fn max_bytes(key: &PublicKey, count: usize) -> usize {
        // Key fingerprint, then the width and the length of the bytes, each a varint of at most ten.
        count.saturating_mul(key.ciphertext_bytes()).saturating_add(16 + 2 * 10)
    }

    /// Splits the batch into batches of at most `size` ciphertexts, in their order, so that they can be checked side by side.
    #[must_use]
    pub fn split(self, size: usize) -> Vec<Self> {
        let Self { key, values } = self;
        let mut rest = values.into_iter();
        let next = || -> Option<Self> {
            let values: Vec<BigUint> = rest.by_ref().take(size.max(1)).collect();
            (!values.is_empty()).then_some(Self { key, values })
        };
        std::iter::from_fn(next).collect()
    }

    /// Returns the ciphertexts after a check: they are under the right key, in `(0, N²)`, and coprime to N.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`], [`PaillierError::InvalidCiphertext`] that names the entry.
    pub fn accept(self, key: &PublicKey) -> Result<Vec<Ciphertext>, PaillierError> {
        if self.key != key.id() {
            return Err(PaillierError::OtherKey { expected: key.id(), found: self.key });
        }
        key.accept_all(self.values)
    }
}
