//! Multiplication and squaring of eight numbers side by side, with Montgomery's reduction in the same pass.
//!
//! Column c of the result's sum is Σ a[i]·b[c−i] + Σ q[i]·m[c−i]. The lower halves of these products belong to column c,
//! the upper halves to column c+1. Up to [`TILE`] neighbouring columns are summed at a time, in registers. The digit q[c]
//! makes column c a multiple of 2^52, so that columns 0 to n−1 leave a carry only and columns n to 2n−1 are the result. A
//! sum has at most 4·316 + 4 terms below 2^52, far below 2^64.
//!
//! The chain q[c] → column c+1 → q[c+1] is the one thing that has to wait. The processor fills the wait with the products
//! a[i]·b[c−i] of the next tile.
//!
//! No branch and no address depends on a word's value: the loops depend on n alone.
#![allow(
    unsafe_code,
    reason = "vector loads and stores through pointers; each block says why it is in bounds"
)]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_loadu_epi64, _mm512_madd52hi_epu64,
    _mm512_madd52lo_epu64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64, _mm512_storeu_epi64,
};

use super::form::{LANES, MIN_WORDS, PAD};
use crate::kernel::ifma::WORD_BITS;

/// Most columns in a tile. Fewer than [`MIN_TILE`] do not occur, since n is at least [`MIN_WORDS`].
pub(super) const TILE: usize = 8;

/// Fewest columns in a tile.
pub(super) const MIN_TILE: usize = 5;

/// Zero words behind an operand that a tile may read.
const _: () = assert!(PAD >= TILE && MIN_WORDS >= 2 * MIN_TILE && MIN_WORDS > TILE);

/// A word with all bits set.
const FULL: i64 = (1 << WORD_BITS) - 1;

/// What a multiplication reads and writes. All pointers are to the words of all lanes for each of the n limbs, except `m`
/// where the modulus is shared by the lanes: then it is to one word for each limb.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    /// Limbs.
    pub(super) n: usize,
    /// First factor, and the product. [`PAD`] limbs behind it are zero.
    pub(super) a: *mut u64,
    /// Second factor; for a square, the same as `a`.
    pub(super) b: *const u64,
    /// The moduli.
    pub(super) m: *const u64,
    /// −m⁻¹ mod 2^52 for each lane.
    pub(super) negated_inverse: [u64; LANES],
    /// Room for the digits q.
    pub(super) q: *mut u64,
}

/// `a = a·b/R mod m` in each lane, values in [0, 2m); or a² where `SQUARE`, in which case `b` is not read.
///
/// # Safety
/// The pointers are valid for what [`Operands`] says; `n` ≥ [`MIN_WORDS`]; `q` overlaps nothing, and `a` nothing but `b`.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) unsafe fn multiply<const SQUARE: bool, const SHARED: bool>(operands: Operands) {
    let tiles = operands.n.div_ceil(TILE);
    let (width, wider) = (operands.n / tiles, operands.n % tiles);
    let mut carry = Carry { high: _mm512_setzero_si512(), low: _mm512_setzero_si512() };
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

/// What a column hands on to the next one.
struct Carry {
    /// Sum of the upper halves.
    high: __m512i,
    /// Bits of the column above the 52nd.
    low: __m512i,
}

/// Sums of lower and of upper halves for `W` columns.
struct Sums<const W: usize> {
    low: [__m512i; W],
    high: [__m512i; W],
}

/// Calls a function with each of the literals as constant.
macro_rules! for_each_constant {
    ($k:ident in $($value:literal)* => $call:expr) => {$({
        const $k: usize = $value;
        $call;
    })*};
}

impl<const W: usize> Sums<W> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn zero() -> Self {
        Self { low: [_mm512_setzero_si512(); W], high: [_mm512_setzero_si512(); W] }
    }

    /// Adds x·y[at + g] to the columns g in `from..to`. Both bounds are constants where this is called.
    ///
    /// # Safety
    /// `y` has those limbs, of one word each where `SHARED`, else of eight; to ≤ `W`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    unsafe fn add<const SHARED: bool>(
        &mut self,
        x: __m512i,
        y: *const u64,
        at: usize,
        (from, to): (usize, usize),
    ) {
        let mut g = from;
        while g < to {
            // SAFETY: the caller's. Wrapping, since y[at] alone may lie outside.
            unsafe {
                let y = limb::<SHARED>(y, at.wrapping_add(g));
                self.low[g] = _mm512_madd52lo_epu64(self.low[g], x, y);
                self.high[g] = _mm512_madd52hi_epu64(self.high[g], x, y);
            }
            g += 1;
        }
    }

    /// Adds Σ x[i]·y[c−i] for i in `range` to each column c.
    ///
    /// # Safety
    /// `x` and `y` have those limbs.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
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
    #[target_feature(enable = "avx512f,avx512ifma")]
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
#[target_feature(enable = "avx512f")]
unsafe fn limb<const SHARED: bool>(x: *const u64, at: usize) -> __m512i {
    // SAFETY: the caller's.
    unsafe {
        if SHARED {
            _mm512_set1_epi64((*x.wrapping_add(at)).cast_signed())
        } else {
            _mm512_loadu_epi64(x.wrapping_add(at.wrapping_mul(LANES)).cast())
        }
    }
}

/// Columns `column` to `column + W − 1`, all below n: makes their digits q.
///
/// # Safety
/// As for [`multiply`].
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
unsafe fn lower_tile<const W: usize, const SQUARE: bool, const SHARED: bool>(
    operands: Operands,
    column: usize,
    carry: &mut Carry,
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
        let full = _mm512_set1_epi64(FULL);
        let negated_inverse = _mm512_loadu_epi64(negated_inverse.as_ptr().cast());
        for_each_constant!(G in 0 1 2 3 4 5 6 7 => if G < W {
            let sum = _mm512_add_epi64(_mm512_add_epi64(sums.low[G], carry.high), carry.low);
            let digit = _mm512_madd52lo_epu64(_mm512_setzero_si512(), sum, negated_inverse);
            _mm512_storeu_epi64(q.add((column + G) * LANES).cast(), digit);
            // The column and the lower half of q·m[0] add up to a multiple of 2^52: the column, rounded up.
            carry.low = _mm512_srli_epi64::<WORD_BITS>(_mm512_add_epi64(sum, full));
            sums.high[G] = _mm512_madd52hi_epu64(sums.high[G], digit, limb::<SHARED>(m, 0));
            carry.high = sums.high[G];
            sums.add::<SHARED>(digit, m, 0usize.wrapping_sub(G), (G + 1, W));
        });
    }
}

/// Columns `column` to `column + W − 1`, all from n on: writes the result's limbs.
///
/// # Safety
/// As for [`multiply`].
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
unsafe fn upper_tile<const W: usize, const SQUARE: bool, const SHARED: bool>(
    operands: Operands,
    column: usize,
    carry: &mut Carry,
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
        let full = _mm512_set1_epi64(FULL);
        let out = a.add((column - n) * LANES);
        let mut g = 0;
        while g < W {
            let sum = _mm512_add_epi64(_mm512_add_epi64(sums.low[g], carry.high), carry.low);
            _mm512_storeu_epi64(out.add(g * LANES).cast(), _mm512_and_si512(sum, full));
            carry.low = _mm512_srli_epi64::<WORD_BITS>(sum);
            carry.high = sums.high[g];
            g += 1;
        }
    }
}

/// The rest of a square's columns: the products from index ⌈column/2⌉ on, doubling, and the squares of words.
///
/// # Safety
/// `a` has limbs up to `column`, `W` more and zeros from n on.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
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
#[target_feature(enable = "avx512f,avx512ifma")]
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
            sums.low[g] = _mm512_add_epi64(sums.low[g], sums.low[g]);
            sums.high[g] = _mm512_add_epi64(sums.high[g], sums.high[g]);
            g += 1;
        }
        let mut g = ODD;
        while g < W {
            let x = limb::<false>(a, half + g / 2);
            sums.low[g] = _mm512_madd52lo_epu64(sums.low[g], x, x);
            sums.high[g] = _mm512_madd52hi_epu64(sums.high[g], x, x);
            g += 2;
        }
    }
}
