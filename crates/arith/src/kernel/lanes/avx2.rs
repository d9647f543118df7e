//! The same as [`mul`](super::mul) for processors without IFMA but with AVX2: four numbers side by side in limbs of 27 bits, of
//! which `vpmuludq` multiplies four pairs at once.
//!
//! A product of two limbs has 54 bits and needs one sum, where IFMA needs one for either half. A column has at most 2n
//! products, for n < 512 below 2^64 with the carry.
//!
//! On a Zen 5 (IFMA not used), eight powers with secret exponents take 0.43 (512 bits) to 0.56 (8,192 bits) of the time that
//! the rows of `mulx` take.
//!
//! No branch and no address depends on a word's value: the loops depend on n alone.
#![allow(
    unsafe_code,
    reason = "vector loads and stores through pointers; each block says why it is in bounds"
)]

use std::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_cmpeq_epi64, _mm256_loadu_si256, _mm256_mul_epu32,
    _mm256_or_si256, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_srli_epi64, _mm256_storeu_si256,
};

use super::form::{NARROW_LANES as LANES, NARROW_LIMB_BITS as LIMB_BITS};
use super::mul::{MIN_TILE, Operands, TILE};
use super::numbers::Vector;

/// Masks that a look-up holds in registers.
const MASKS: usize = 8;

/// A limb with all bits set.
const FULL: i64 = (1 << LIMB_BITS) - 1;

/// `a = a·b/R mod m` in each lane, values in [0, 2m); or a² where `SQUARE`, in which case `b` is not read.
///
/// # Safety
/// The pointers are valid for what [`Operands`] says; `n` ≥ [`MIN_WORDS`]; `q` overlaps nothing, and `a` nothing but `b`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn multiply<const SQUARE: bool, const SHARED: bool>(operands: Operands) {
    let tiles = operands.n.div_ceil(TILE);
    let (width, wider) = (operands.n / tiles, operands.n % tiles);
    let mut carry = _mm256_setzero_si256();
    for half in 0..2 {
        let mut column = half * operands.n;
        for tile in 0..tiles {
            let width = width + usize::from(tile < wider);
            // SAFETY: the caller's; the widths add up to n in each half, and lie in MIN_TILE..=TILE.
            unsafe {
                match (half, width) {
                    (0, MIN_TILE) => lower_tile::<MIN_TILE, SQUARE, SHARED>(operands, column, &mut carry),
                    (0, 6) => lower_tile::<6, SQUARE, SHARED>(operands, column, &mut carry),
                    (0, 7) => lower_tile::<7, SQUARE, SHARED>(operands, column, &mut carry),
                    (0, _) => lower_tile::<TILE, SQUARE, SHARED>(operands, column, &mut carry),
                    (_, MIN_TILE) => upper_tile::<MIN_TILE, SQUARE, SHARED>(operands, column, &mut carry),
                    (_, 6) => upper_tile::<6, SQUARE, SHARED>(operands, column, &mut carry),
                    (_, 7) => upper_tile::<7, SQUARE, SHARED>(operands, column, &mut carry),
                    (_, _) => upper_tile::<TILE, SQUARE, SHARED>(operands, column, &mut carry),
                }
            }
            column += width;
        }
    }
}

/// Sums for `W` columns.
struct Sums<const W: usize>([__m256i; W]);

/// Calls a function with each of the literals as constant.
macro_rules! for_each_constant {
    ($k:ident in $($value:literal)* => $call:expr) => {$({
        const $k: usize = $value;
        $call;
    })*};
}

impl<const W: usize> Sums<W> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn zero() -> Self {
        Self([_mm256_setzero_si256(); W])
    }

    /// Adds x·y[at + g] to the columns g in `from..to`. Both bounds are constants where this is called.
    ///
    /// # Safety
    /// `y` has those limbs, of one word each where `SHARED`, else of eight; to ≤ `W`.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn add<const SHARED: bool>(
        &mut self,
        x: __m256i,
        y: *const u64,
        at: usize,
        (from, to): (usize, usize),
    ) {
        let mut g = from;
        while g < to {
            // SAFETY: the caller's. Wrapping, since y[at] alone may lie outside.
            unsafe {
                let y = limb::<SHARED>(y, at.wrapping_add(g));
                self.0[g] = _mm256_add_epi64(self.0[g], _mm256_mul_epu32(x, y));
            }
            g += 1;
        }
    }

    /// Adds Σ x[i]·y[c−i] for i in `range` to each column c.
    ///
    /// # Safety
    /// `x` and `y` have those limbs.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn add_rows<const SHARED: bool>(
        &mut self,
        x: *const u64,
        y: *const u64,
        column: usize,
        (from, to): (usize, usize),
    ) {
        let mut i = from;
        while i < to {
            // SAFETY: the caller's.
            unsafe { self.add::<SHARED>(limb::<false>(x, i), y, column.wrapping_sub(i), (0, W)) };
            i += 1;
        }
    }

    /// The products with indices from `column − n + 1` on that only some columns have.
    ///
    /// # Safety
    /// `x` and `y` have n limbs, and n ≤ `column` ≤ 2n − `W`.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn add_first<const SHARED: bool>(
        &mut self,
        x: *const u64,
        y: *const u64,
        n: usize,
        column: usize,
    ) {
        for_each_constant!(K in 0 1 2 3 4 5 6 => if K + 1 < W {
            // SAFETY: x[column − n + 1 + K] meets y[n − 1 − K + g] for g ≤ K; both are below n.
            unsafe { self.add::<SHARED>(limb::<false>(x, column - n + 1 + K), y, n - 1 - K, (0, K + 1)) }
        });
    }
}

/// Limb `at`, or the same word in all lanes where `SHARED`.
///
/// # Safety
/// It is there.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn limb<const SHARED: bool>(x: *const u64, at: usize) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        if SHARED {
            _mm256_set1_epi64x((*x.wrapping_add(at)).cast_signed())
        } else {
            _mm256_loadu_si256(x.wrapping_add(at.wrapping_mul(LANES)).cast())
        }
    }
}

/// Columns `column` to `column + W − 1`, all below n: makes their digits q.
///
/// # Safety
/// As for [`multiply`].
#[inline(never)]
#[target_feature(enable = "avx2")]
unsafe fn lower_tile<const W: usize, const SQUARE: bool, const SHARED: bool>(
    operands: Operands,
    column: usize,
    carry: &mut __m256i,
) {
    let Operands { a, b, m, q, negated_inverse, .. } = operands;
    let mut sums = Sums::<W>::zero();
    // SAFETY: all indices lie in 0..column + W, which are at most n.
    unsafe {
        if SQUARE {
            let half = column.div_ceil(2);
            sums.add_rows::<false>(a, a, column, (0, half));
            square_end(&mut sums, a, column);
        } else {
            sums.add_rows::<false>(a, b, column, (0, column));
            for_each_constant!(K in 0 1 2 3 4 5 6 7 => if K < W {
                sums.add::<false>(limb::<false>(a, column + K), b, 0usize.wrapping_sub(K), (K, W));
            });
        }
        sums.add_rows::<SHARED>(q, m, column, (0, column));
        let full = _mm256_set1_epi64x(FULL);
        let negated_inverse = _mm256_loadu_si256(negated_inverse.as_ptr().cast());
        for_each_constant!(G in 0 1 2 3 4 5 6 7 => if G < W {
            let sum = _mm256_add_epi64(sums.0[G], *carry);
            let digit = _mm256_and_si256(_mm256_mul_epu32(sum, negated_inverse), full);
            _mm256_storeu_si256(q.add((column + G) * LANES).cast(), digit);
            // Now the column is a multiple of 2^27.
            let sum = _mm256_add_epi64(sum, _mm256_mul_epu32(digit, limb::<SHARED>(m, 0)));
            *carry = _mm256_srli_epi64::<{ LIMB_BITS.cast_signed() }>(sum);
            sums.add::<SHARED>(digit, m, 0usize.wrapping_sub(G), (G + 1, W));
        });
    }
}

/// Columns `column` to `column + W − 1`, all from n on: writes the result's limbs.
///
/// # Safety
/// As for [`multiply`].
#[inline(never)]
#[target_feature(enable = "avx2")]
unsafe fn upper_tile<const W: usize, const SQUARE: bool, const SHARED: bool>(
    operands: Operands,
    column: usize,
    carry: &mut __m256i,
) {
    let Operands { n, a, b, m, q, .. } = operands;
    let mut sums = Sums::<W>::zero();
    // From here on all columns have a product.
    let common = column + W - n;
    // SAFETY: all indices are below n, or within the zeros behind `a`. The limb written, column − n + g, is below all that
    // later tiles read of `a` and `b`.
    unsafe {
        if SQUARE {
            let half = column.div_ceil(2);
            if common <= half {
                sums.add_first::<false>(a, a, n, column);
                sums.add_rows::<false>(a, a, column, (common, half));
            } else {
                // Too few columns are left. The zeros behind `a` stand for the products that are not there.
                sums.add_rows::<false>(a, a, column, (column - n + 1, half));
            }
            square_end(&mut sums, a, column);
        } else {
            sums.add_first::<false>(a, b, n, column);
            sums.add_rows::<false>(a, b, column, (common, n));
        }
        sums.add_first::<SHARED>(q, m, n, column);
        sums.add_rows::<SHARED>(q, m, column, (common, n));
        let full = _mm256_set1_epi64x(FULL);
        let out = a.add((column - n) * LANES);
        let mut g = 0;
        while g < W {
            let sum = _mm256_add_epi64(sums.0[g], *carry);
            _mm256_storeu_si256(out.add(g * LANES).cast(), _mm256_and_si256(sum, full));
            *carry = _mm256_srli_epi64::<{ LIMB_BITS.cast_signed() }>(sum);
            g += 1;
        }
    }
}

/// The rest of a square's columns: the products from index ⌈column/2⌉ on, doubling, and the squares of words.
///
/// # Safety
/// `a` has limbs up to `column`, `W` more and zeros from n on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn square_end<const W: usize>(sums: &mut Sums<W>, a: *const u64, column: usize) {
    // SAFETY: the caller's.
    unsafe {
        if column.is_multiple_of(2) {
            square_end_of::<W, 0>(sums, a, column);
        } else {
            square_end_of::<W, 1>(sums, a, column);
        }
    }
}

/// The same for columns that start at an even (`ODD` = 0) or odd one.
///
/// # Safety
/// As for [`square_end`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn square_end_of<const W: usize, const ODD: usize>(sums: &mut Sums<W>, a: *const u64, column: usize) {
    let half = column.div_ceil(2);
    // SAFETY: a[half + K] meets a[column + g − half − K], which has the higher index where g > 2K + ODD.
    unsafe {
        for_each_constant!(K in 0 1 2 3 => if 2 * K + ODD + 1 < W {
            let x = limb::<false>(a, half + K);
            sums.add::<false>(x, a, (column - half).wrapping_sub(K), (2 * K + ODD + 1, W));
        });
        let mut g = 0;
        while g < W {
            sums.0[g] = _mm256_add_epi64(sums.0[g], sums.0[g]);
            g += 1;
        }
        let mut g = ODD;
        while g < W {
            let x = limb::<false>(a, half + g / 2);
            sums.0[g] = _mm256_add_epi64(sums.0[g], _mm256_mul_epu32(x, x));
            g += 2;
        }
    }
}

/// Copies to each of the first four lanes of `out` the entry of its digit, reading every entry. Each vector of `out` has
/// `stride` entries, a multiple of [`MASKS`], one after the other.
#[target_feature(enable = "avx2")]
pub(super) fn select(out: &mut [Vector], entries: &[Vector], stride: usize, digits: [u64; 2 * LANES]) {
    // SAFETY: four words are there.
    let digits = unsafe { _mm256_loadu_si256(digits.as_ptr().cast()) };
    out.fill(Vector([0; 2 * LANES]));
    for first in (0..stride).step_by(MASKS) {
        let mut masks = [_mm256_setzero_si256(); MASKS];
        for (mask, entry) in masks.iter_mut().zip(first as i64..) {
            *mask = _mm256_cmpeq_epi64(digits, _mm256_set1_epi64x(entry));
        }
        for (out, entries) in out.iter_mut().zip(entries.chunks_exact(stride)) {
            let (groups, _) = entries.as_chunks::<MASKS>();
            let Some(entries) = groups.get(first / MASKS) else { continue };
            for half in 0..2 {
                let at = half * LANES;
                // SAFETY: a vector has eight words, of which the four from `at` on are read and written.
                unsafe {
                    let mut chosen = _mm256_loadu_si256(out.0.as_ptr().add(at).cast());
                    let mut i = 0;
                    while i < MASKS {
                        let words = _mm256_loadu_si256(entries[i].0.as_ptr().add(at).cast());
                        chosen = _mm256_or_si256(chosen, _mm256_and_si256(words, masks[i]));
                        i += 1;
                    }
                    _mm256_storeu_si256(out.0.as_mut_ptr().add(at).cast(), chosen);
                }
            }
        }
    }
}
