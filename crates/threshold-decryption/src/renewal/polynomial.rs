//! Integer polynomials with commitments to their coefficients.

use num_bigint::{BigInt, BigUint};
use num_traits::Zero;
use rand_core::CryptoRng;

use subrosa_arith::{Modulus, Residue, SecretInt, wipe_uint};

/// `constant + Σ aₘX^m` for m = 1, …, t with aₘ uniform below a bound. Wipes itself.
pub(super) struct Polynomial {
    constant: BigInt,
    coefficients: Vec<SecretInt>,
}

impl Polynomial {
    pub(super) fn random(constant: BigInt, degree: u32, bound: &BigUint, rng: &mut impl CryptoRng) -> Self {
        let coefficients = (0..degree).map(|_| SecretInt::random_below(rng, bound)).collect();
        Self { constant, coefficients }
    }

    /// `base^aₘ` for each m, in constant time.
    pub(super) fn commit(&self, modulus: &Modulus, base: &Residue) -> Vec<BigUint> {
        self.coefficients.iter().map(|a| modulus.to_uint(&modulus.pow(base, a))).collect()
    }

    /// The value at `point`.
    pub(super) fn evaluate(&self, point: u32) -> BigInt {
        let mut tail = BigUint::zero();
        for coefficient in self.coefficients.iter().rev() {
            tail = (tail + coefficient.expose()) * point;
        }
        &self.constant + BigInt::from(tail)
    }
}

impl Drop for Polynomial {
    fn drop(&mut self) {
        wipe_uint(&mut std::mem::take(&mut self.constant).into_parts().1);
    }
}

/// The greatest value at any of `parties` points of `Σ aₘX^m` with t coefficients below `bound`: `bound·Σₘ n^m`.
pub(super) fn greatest_value(bound: &BigUint, degree: u32, parties: u32) -> BigUint {
    let n = BigUint::from(parties);
    let powers: BigUint = (1..=degree).map(|m| n.pow(m)).sum();
    bound * powers
}

/// `∏ₘ commitmentsₘ^(point^m)`: `base^(f(point) − f(0))`.
pub(super) fn commitment_at(modulus: &Modulus, commitments: &[BigUint], point: u32) -> Residue {
    let bases: Vec<Residue> = commitments.iter().map(|value| modulus.residue(value)).collect();
    let powers = (1u32..).take(bases.len()).map(|m| BigUint::from(point).pow(m));
    modulus.vartime_multi_pow(&bases, &powers.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn values_commitments_and_bounds_agree() {
        let modulus = Modulus::new(&BigUint::from(1_000_003u32)).unwrap();
        let base = modulus.residue_u64(4);
        let bound = BigUint::from(1000u32);
        for seed in 0..10 {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let f = Polynomial::random(BigInt::from(-77), 3, &bound, &mut rng);
            let commitments = f.commit(&modulus, &base);
            assert_eq!(f.evaluate(0), BigInt::from(-77));
            for point in 1..=5 {
                let tail = (f.evaluate(point) + BigInt::from(77)).to_biguint().unwrap();
                assert!(tail < greatest_value(&bound, 3, 5));
                assert_eq!(commitment_at(&modulus, &commitments, point), modulus.vartime_pow(&base, &tail));
            }
        }
    }
}
