use num_bigint::BigUint;
use num_traits::{One, Zero};

use crate::{AccessStructure, KeyError, STATISTICAL_BITS, ThresholdKeyParts};
use subrosa_encoding::Hasher;

/// How often the shares of a key were renewed, and the bounds that follow from that.
///
/// A refresh and a resharing begin a new *epoch*. Shares of different epochs do not combine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    pub(crate) epoch: u64,
    pub(crate) refreshes: u32,
    pub(crate) dealt_bits: u64,
    pub(crate) secret_bound: BigUint,
    pub(crate) base_exponent: BigUint,
}

impl Lineage {
    pub(crate) fn fresh(parts: &ThresholdKeyParts) -> Self {
        Self {
            epoch: 0,
            refreshes: 0,
            dealt_bits: parts.share_bits,
            secret_bound: BigUint::from(parts.access.parties()) << (2 * parts.public.bits()),
            base_exponent: BigUint::one(),
        }
    }

    /// Returns the number of refreshes and resharings so far. It is 0 for a fresh key.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Refreshes since the shares were dealt, by key generation or by the last resharing.
    pub fn refreshes(&self) -> u32 {
        self.refreshes
    }

    /// Bound on the bits of a share when the shares were dealt.
    pub fn dealt_bits(&self) -> u64 {
        self.dealt_bits
    }

    /// Bound on the decryption key d.
    pub fn secret_bound(&self) -> &BigUint {
        &self.secret_bound
    }

    /// The base of the verification keys is the public base raised to this.
    pub fn base_exponent(&self) -> &BigUint {
        &self.base_exponent
    }

    /// `2A`, below which the coefficients of one party's polynomial in a refresh lie: `A = t·κ·D·2^σ` with the bound D
    /// on d. For a fresh key κ = Δ, and A is the bound of the dealt coefficients.
    ///
    /// Let two keys differ by at most D. The view of t parties before and t others after the refresh differs between
    /// them only by the difference of two polynomials. The coefficients of each add up to at most t·κ·D.
    pub(crate) fn refresh_bound(&self, access: AccessStructure, scale: &BigUint) -> BigUint {
        (&self.secret_bound * scale * access.threshold()) << (STATISTICAL_BITS + 1)
    }

    /// A bound on the bits of a share after `refreshes` refreshes: `2^dealt + R·n·2A·Σₘ n^m`.
    pub(crate) fn refreshed_bits(&self, access: AccessStructure, scale: &BigUint, refreshes: u32) -> u64 {
        let n = BigUint::from(access.parties());
        let powers: BigUint = (1..=access.threshold()).map(|m| n.pow(m)).sum();
        let added = self.refresh_bound(access, scale) * powers * n * refreshes;
        ((BigUint::one() << self.dealt_bits) + added).bits()
    }

    /// Refuses values that no renewal gives.
    pub(crate) fn check(&self, parts: &ThresholdKeyParts) -> Result<(), KeyError> {
        let (bits, k) = (parts.share_bits, parts.public.bits());
        let counted = u64::from(self.refreshes) <= self.epoch;
        let bounded = self.secret_bound.bits() <= 3 * k && self.base_exponent.bits() <= 8 * k;
        if !counted || !bounded || self.base_exponent.is_zero() || self.dealt_bits > bits {
            return Err(KeyError::Invalid { reason: "the record of its renewals is out of range" });
        }
        Ok(())
    }

    pub(crate) fn add_to(&self, hasher: Hasher) -> Hasher {
        hasher
            .u64("epoch", self.epoch)
            .u64("refreshes", u64::from(self.refreshes))
            .u64("dealt bits", self.dealt_bits)
            .uint("secret bound", &self.secret_bound)
            .uint("base exponent", &self.base_exponent)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::{ThresholdKey, dealer};
    use subrosa_paillier::PrivateKey;

    fn key() -> ThresholdKey {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let private = PrivateKey::generate_insecure(256, &mut rng).unwrap();
        dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng).unwrap()[0].key().clone()
    }

    #[test]
    fn records_that_no_renewal_makes_are_refused() {
        let key = key();
        let refused = |change: &dyn Fn(&mut Lineage)| {
            let mut lineage = key.lineage().clone();
            change(&mut lineage);
            let refused = KeyError::Invalid { reason: "the record of its renewals is out of range" };
            ThresholdKey::with_lineage(key.parts().clone(), lineage).err() == Some(refused)
        };
        assert!(!refused(&|_| ()));
        assert!(!refused(&|lineage| (lineage.epoch, lineage.refreshes) = (2, 2)));
        assert!(refused(&|lineage| (lineage.epoch, lineage.refreshes) = (1, 2)));
        assert!(refused(&|lineage| lineage.dealt_bits += 1));
        assert!(refused(&|lineage| lineage.secret_bound = BigUint::one() << (3u32 * 256)));
        assert!(refused(&|lineage| lineage.base_exponent = BigUint::zero()));
        assert!(refused(&|lineage| lineage.base_exponent = BigUint::one() << (8u32 * 256)));
    }

    /// 2A = 2·t·κ·D·2^σ with D = n·2^(2k), and s ≤ 2^dealt + R·n·2A·Σ n^m.
    #[test]
    fn bounds_are_the_formulas() {
        let (key, access) = (key(), AccessStructure::new(5, 2).unwrap());
        let (lineage, scale) = (key.lineage(), BigUint::from(7u32));
        let d = BigUint::from(3u32) << 512u32;
        assert_eq!(lineage.secret_bound(), &d);
        let bound = (d * 2u32 * 2u32 * 7u32) << 80u32;
        assert_eq!(lineage.refresh_bound(access, &scale), bound);
        for refreshes in [0u32, 1, 1_000] {
            let greatest = (BigUint::one() << lineage.dealt_bits()) + &bound * (5u32 + 25) * 5u32 * refreshes;
            assert_eq!(lineage.refreshed_bits(access, &scale, refreshes), greatest.bits(), "{refreshes}");
        }
    }
}
