use num_bigint::BigUint;
use num_traits::One;

use super::GCD_OPENINGS;
use crate::KeygenParameters;
use subrosa_threshold_decryption::STATISTICAL_BITS;

/// Bits by which a mask of the range checks is longer than the value that it hides. There are 2·144 answers of each of
/// up to 99 others, in each of four attempts. Each has a statistical distance of at most 2^−98, and all together less
/// than 2^−80.
const RANGE_SLACK: u64 = STATISTICAL_BITS as u64 + 18;

/// Ranges of what is dealt and of what is answered, all of them `[0, bound)`.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Of β and β′: N.
    pub beta: BigUint,
    /// Of r: n·2^(2k+σ).
    pub key_mask: BigUint,
    /// Of ρ: n·2^(k+σ+2).
    pub gcd_mask: BigUint,
    /// L₁ = 2·X₁·2^(σ+18), of μ, where p′ᵢ and q′ᵢ are below X₁ = 2^(k/2−2).
    pub small_mask: BigUint,
    /// L₁ + 2X₁, of the answers that μ masks.
    pub small_answer: BigUint,
    /// L₂ = X₂·2^(σ+18), of ν, where β + Σ (β′ⱼ + ρⱼ) is below X₂ = (J+1)·2^k + J·n·2^(k+σ+2).
    pub wide_mask: BigUint,
    /// L₂ + X₂, of the answers that ν masks.
    pub wide_answer: BigUint,
    /// Of u: n·(N² + n·2^(2k+σ)).
    pub key_opening: BigUint,
    /// Of w: n·(N² + N·n·2^(k+σ+2)).
    pub gcd_opening: BigUint,
}

impl Bounds {
    pub(super) fn new(parameters: &KeygenParameters, n: &BigUint) -> Self {
        let (k, sigma) = (parameters.key_bits(), u64::from(STATISTICAL_BITS));
        let parties = BigUint::from(parameters.access().parties());
        let power = |bits: u64| BigUint::one() << bits;
        let factors = power(k / 2 - 1);
        let key_mask = &parties << (2 * k + sigma);
        let gcd_mask = &parties << (k + sigma + 2);
        let openings = GCD_OPENINGS as u64;
        let wide = power(k) * (openings + 1) + &gcd_mask * openings;
        let (small_mask, wide_mask) = (&factors << RANGE_SLACK, &wide << RANGE_SLACK);
        Self {
            beta: n.clone(),
            key_opening: (n * n + &key_mask) * &parties,
            gcd_opening: (n * n + n * &gcd_mask) * &parties,
            small_answer: &small_mask + &factors,
            wide_answer: &wide_mask + &wide,
            key_mask,
            gcd_mask,
            small_mask,
            wide_mask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over ℤ, and not only modulo Q, with the greatest number of parties and everything at the bound of its check: the
    /// summands of p and q, their product, and w.
    #[test]
    fn nothing_that_passes_its_check_wraps_around() {
        for (n, t, k) in [(3u32, 1, 256u64), (100, 49, 512), (100, 49, 2048)] {
            let parameters = KeygenParameters::insecure(n, t, k).unwrap();
            let modulus = BigUint::one() << k;
            let bounds = Bounds::new(&parameters, &modulus);
            let half = parameters.winner_ring().ring().modulus() >> 1u32;
            // |p′ᵢ| < L₁ + 2X₁; |βᵢ|, |β′ᵢ|, |ρᵢ| < L₂ + X₂; so |p| < 4n(L₁ + 2X₁) + 3 and φ is below 2^k + 2p.
            let factor = &bounds.small_answer * 4u32 * n + 3u32;
            assert!(&factor * &factor + &modulus < half, "p·q, n = {n}, k = {k}");
            let totient = &modulus + &factor * 2u32 + 1u32;
            let wide = &bounds.wide_answer * n;
            assert!((&totient + &modulus) * &wide + &bounds.gcd_opening < half, "w, n = {n}, k = {k}");
            assert!(
                totient * wide + &bounds.key_opening + &bounds.key_mask * n < half,
                "u, n = {n}, k = {k}"
            );
            assert!(bounds.key_opening < half && bounds.gcd_opening < half);
        }
    }
}
