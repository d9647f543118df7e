//! Secret and noise randomness: a `ChaCha20` generator of its own for each operation, seeded by the caller's.

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};
use zeroize::Zeroizing;

/// Draws keys, noise and flooding. Independent of the public seeds of the masks.
pub(crate) struct NoiseSource(ChaCha20Rng);

impl NoiseSource {
    pub(crate) fn new(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0u8; 32]);
        rng.fill_bytes(&mut *seed);
        Self(ChaCha20Rng::from_seed(*seed))
    }

    /// Adds noise from `TUniform(log2)`: uniform in [−2^b, 2^b], the two ends half as likely. b is at most 29.
    pub(crate) fn add(&mut self, coefficients: &mut [u64], log2: u32) {
        let mut words = Zeroizing::new([0u8; 4 * 256]);
        for chunk in coefficients.chunks_mut(256) {
            self.0.fill_bytes(&mut *words);
            for (coefficient, word) in chunk.iter_mut().zip(words.as_chunks::<4>().0) {
                // r is uniform in [0, 2^(b+2)), so that ⌈r/2⌉ takes 0 and 2^(b+1) half as often as the rest.
                let r = u32::from_le_bytes(*word) >> (32 - log2 - 2);
                let shifted = u64::from(r.div_ceil(2));
                *coefficient = coefficient.wrapping_add(shifted).wrapping_sub(1 << log2);
            }
        }
    }

    /// Fills with uniform bits, one per coefficient.
    pub(crate) fn bits(&mut self, bits: &mut [u64]) {
        let mut bytes = Zeroizing::new(vec![0u8; bits.len().div_ceil(8)]);
        self.0.fill_bytes(&mut bytes);
        for (chunk, byte) in bits.chunks_mut(8).zip(bytes.iter()) {
            for (position, bit) in chunk.iter_mut().enumerate() {
                *bit = u64::from(byte >> position & 1);
            }
        }
    }

    /// A number uniform in [−bound, bound], as a torus element; `bound` is below 2⁶².
    pub(crate) fn uniform(&mut self, bound: u64) -> u64 {
        let width = 2 * bound + 1;
        let limit = u64::MAX - u64::MAX % width;
        loop {
            let word = self.0.next_u64();
            if word < limit {
                return (word % width).wrapping_sub(bound);
            }
        }
    }
}

impl std::fmt::Debug for NoiseSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NoiseSource(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_stays_in_its_bounds_and_has_its_variance() {
        let mut source = NoiseSource::new(&mut ChaCha20Rng::seed_from_u64(7));
        let mut noise = vec![0u64; 1 << 17];
        source.add(&mut noise, 4);
        let mut counts = [0usize; 33];
        for value in &noise {
            counts[usize::try_from(value.wrapping_add(16)).unwrap()] += 1;
        }
        // 4096 of each, half of it at the ends; five standard deviations are 320 and 226.
        assert!(counts[1..32].iter().all(|count| count.abs_diff(4096) < 320), "{counts:?}");
        assert!(counts[0].abs_diff(2048) < 226 && counts[32].abs_diff(2048) < 226, "{counts:?}");
    }

    #[test]
    fn uniform_reaches_both_ends_and_no_further() {
        let mut source = NoiseSource::new(&mut ChaCha20Rng::seed_from_u64(8));
        let mut seen = [false; 7];
        for _ in 0..1_000 {
            seen[usize::try_from(source.uniform(3).wrapping_add(3)).unwrap()] = true;
        }
        assert_eq!(seen, [true; 7]);
    }
}
