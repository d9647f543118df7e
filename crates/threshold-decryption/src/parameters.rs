use num_bigint::BigUint;
use num_traits::One;

use crate::KeyError;
use subrosa_shamir::{IntegerSharing, factorial};

/// σ: statistical hiding leaves at most about 2^−σ.
pub const STATISTICAL_BITS: u32 = 80;

/// Greatest number of parties. Δ = n! multiplies exponents, so that more parties would make decryption too slow.
const MAX_PARTIES: u32 = 100;

/// The access structure: of n parties any t+1 can decrypt, and any t cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias("threshold", "quorum"))]
pub struct AccessStructure {
    parties: u32,
    threshold: u32,
}

impl AccessStructure {
    /// Creates the access structure of `parties`, of whom up to `threshold` may be corrupted.
    ///
    /// # Errors
    /// [`KeyError::AccessStructure`] unless `threshold ≥ 1` and `parties ≥ 2·threshold + 1`, and `parties` is at most 100.
    pub fn new(parties: u32, threshold: u32) -> Result<Self, KeyError> {
        let enough = threshold.checked_mul(2).is_some_and(|double| parties > double);
        if threshold == 0 || !enough || parties > MAX_PARTIES {
            return Err(KeyError::AccessStructure { parties, threshold });
        }
        Ok(Self { parties, threshold })
    }

    /// Returns n, the number of parties.
    pub fn parties(&self) -> u32 {
        self.parties
    }

    /// Returns t, how many parties may be corrupted.
    pub fn threshold(&self) -> u32 {
        self.threshold
    }

    /// Returns t + 1, how many parties decrypt.
    pub fn quorum(&self) -> usize {
        self.threshold as usize + 1
    }

    /// Δ = n!.
    pub fn delta(&self) -> BigUint {
        factorial(self.parties)
    }
}

/// A, below which the coefficients of the polynomials that share a fresh decryption key lie: `Δ·t·n·2^(2k+σ)`.
///
/// The key d is below n·2^(2k), and what an adversary may learn of it is bounded as
/// [`IntegerSharing`] states.
pub fn coefficient_bound(access: AccessStructure, key_bits: u64) -> BigUint {
    let key_bound = BigUint::from(access.parties) << (2 * key_bits);
    IntegerSharing::hiding_bound(access.parties, access.threshold, &key_bound, STATISTICAL_BITS)
}

/// A public bound on the bits of a share of a fresh decryption key: `Δ·d + n·Σₘ A·n^m`.
pub fn share_bits(access: AccessStructure, key_bits: u64) -> u64 {
    let n = BigUint::from(access.parties);
    let key = access.delta() * (&n << (2 * key_bits));
    let powers: BigUint = (1..=access.threshold).map(|m| n.pow(m)).sum();
    (key + coefficient_bound(access, key_bits) * powers * &n + BigUint::one()).bits()
}
