//! Remainders of one number modulo eight products of small primes side by side, for [sieving](crate::sieve).
//!
//! A block of [`BLOCK`] limbs xₖ of 52 bits is reduced as Σ xₖ·(2^(52k) mod P): two instructions for each limb and eight
//! products. Two Montgomery steps take the sum back to one limb, and divide by 2^104. Blocks come from the highest down; what
//! is above a block enters it times 2^104, so that a remainder is that of the number times a power of two.
//!
//! Everything here is public: the numbers are candidates that all parties see.
#![allow(unsafe_code, reason = "vector loads through references; each block says why it is in bounds")]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_load_epi64, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64, _mm512_store_epi64,
};

use super::ifma::{self, WORD_BITS};

/// Products in a vector.
pub(crate) const LANES: usize = 8;

/// A product is below 2^51, so that a remainder, which may be a little above the product, is a limb.
pub(crate) const PRODUCT_BITS: u32 = WORD_BITS - 1;

/// Limbs that are summed before a reduction. The powers for so many, of 12,000 primes, fit a second-level cache.
const BLOCK: usize = 8;

/// One word for each product.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Row([u64; LANES]);

impl Row {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(&self) -> __m512i {
        // SAFETY: the row has 64 bytes, and their alignment.
        unsafe { _mm512_load_epi64(self.0.as_ptr().cast()) }
    }
}

/// Eight odd products below 2^[`PRODUCT_BITS`], with what reduction by them takes.
#[derive(Debug, Clone)]
pub(crate) struct Products {
    product: Row,
    /// −P⁻¹ mod 2^52.
    negated_inverse: Row,
    /// 2^(52k) mod P.
    powers: [Row; BLOCK + 3],
}

impl Products {
    /// Whether this processor can compute remainders.
    pub(crate) fn are_available() -> bool {
        ifma::is_available()
    }

    /// `negated_inverses` are −P⁻¹ modulo 2^64.
    pub(crate) fn new(products: [u64; LANES], negated_inverses: [u64; LANES]) -> Self {
        let mut powers = [Row(products.map(|product| 1 % product)); BLOCK + 3];
        for k in 1..powers.len() {
            for (lane, &product) in products.iter().enumerate() {
                let power = u128::from(powers[k - 1].0[lane]) << WORD_BITS;
                #[expect(clippy::cast_possible_truncation, reason = "a remainder by a word is a word")]
                let power = (power % u128::from(product)) as u64;
                powers[k].0[lane] = power;
            }
        }
        let negated_inverse = Row(negated_inverses.map(|inverse| inverse & ((1 << WORD_BITS) - 1)));
        Self { product: Row(products), negated_inverse, powers }
    }

    /// For each product a number below 2^52 that is congruent to the number of these limbs times a power of two.
    pub(crate) fn remainders(&self, limbs: &[u64]) -> [u64; LANES] {
        assert!(Self::are_available(), "remainders are asked for where they are available");
        // SAFETY: the processor has the instructions.
        unsafe { self.reduce(limbs) }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce(&self, limbs: &[u64]) -> [u64; LANES] {
        let zero = _mm512_setzero_si512();
        let (product, inverse) = (self.product.load(), self.negated_inverse.load());
        let step = |low: __m512i, high: __m512i| {
            let q = _mm512_madd52lo_epu64(zero, low, inverse);
            let carry = _mm512_srli_epi64::<WORD_BITS>(_mm512_madd52lo_epu64(low, q, product));
            _mm512_madd52hi_epu64(_mm512_add_epi64(carry, high), q, product)
        };
        let mut remainder = zero;
        for block in limbs.rchunks(BLOCK) {
            // At most nine terms below 2^52 each.
            let (mut low, mut high) = (zero, zero);
            for (&limb, power) in block.iter().zip(&self.powers) {
                let (limb, power) = (_mm512_set1_epi64(limb.cast_signed()), power.load());
                low = _mm512_madd52lo_epu64(low, limb, power);
                high = _mm512_madd52hi_epu64(high, limb, power);
            }
            let power = self.powers[block.len() + 2].load();
            low = _mm512_madd52lo_epu64(low, remainder, power);
            high = _mm512_madd52hi_epu64(high, remainder, power);
            // Below 2^56 + P after the first step, below 2^4 + P after the second.
            remainder = step(step(low, high), zero);
        }
        let mut row = Row([0; LANES]);
        // SAFETY: the row has 64 bytes, and their alignment.
        unsafe { _mm512_store_epi64(row.0.as_mut_ptr().cast(), remainder) };
        row.0
    }
}

/// A number of 64-bit words in limbs of 52 bits.
pub(crate) fn limbs(words: &[u64]) -> Vec<u64> {
    let (mut limbs, mut bits, mut held) = (Vec::with_capacity(words.len() * 16 / 13 + 1), 0u128, 0);
    for &word in words {
        bits |= u128::from(word) << held;
        held += 64;
        while held >= WORD_BITS {
            #[expect(clippy::cast_possible_truncation, reason = "cut to a limb")]
            limbs.push(bits as u64 & ((1 << WORD_BITS) - 1));
            bits >>= WORD_BITS;
            held -= WORD_BITS;
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "less than a limb")]
    limbs.push(bits as u64);
    limbs
}
