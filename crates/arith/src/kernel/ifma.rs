//! Multiplication on the 512-bit vector unit: words of 52 bits, eight to a vector, and the instructions
//! `vpmadd52luq`/`vpmadd52huq`, which add the lower or upper 52 bits of eight products to eight 64-bit sums.
//!
//! **Products by columns.** Column c of a·b is Σⱼ a[c−j]·b[j]. Eight neighbouring columns at a time: for each j, one
//! (unaligned) load of a[c−j…c−j+7] and a broadcast b[j]; lower and upper halves are summed apart, and the upper ones
//! belong one column higher. Words beyond the ends of a are zeros that stand there for this purpose ([`PAD`]). A sum
//! has at most 2·316 + 2 terms below 2^52, far below 2^64, so that carries wait until the end.
//!
//! **Reduction** of T < 4m² with R = 2^(52n) > 4m, without a chain of words that wait for each other: q = T·(−m⁻¹) mod R
//! is the lower half of a product, (T + q·m)/R the upper half of another. Of its lower half only the carry is wanted:
//! T + q·m is a multiple of R, so that column n−1 alone tells it (see [`Constants::reduce`]).
//!
//! Values are kept below 2m and not below m (Walter, *Montgomery exponentiation needs no final subtractions*, 1999);
//! [`Constants::finish`] does the last subtraction. No branch, no index and no address depends on a word's value.
#![allow(
    unsafe_code,
    reason = "vector loads and stores through pointers; each block says why it is in bounds"
)]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512, _mm512_cmpeq_epu64_mask,
    _mm512_cmpgt_epu64_mask, _mm512_cmplt_epu64_mask, _mm512_loadu_epi64, _mm512_madd52hi_epu64,
    _mm512_madd52lo_epu64, _mm512_mask_add_epi64, _mm512_mask_madd52hi_epu64, _mm512_mask_madd52lo_epu64,
    _mm512_mask_sub_epi64, _mm512_or_si512, _mm512_permutexvar_epi64, _mm512_set_epi64, _mm512_set1_epi64,
    _mm512_setzero_si512, _mm512_srli_epi64, _mm512_storeu_epi64, _mm512_sub_epi64,
};

use crate::wiped::Wiped;

/// Bits in a word.
pub(crate) const WORD_BITS: u32 = 52;

/// Words in a vector.
const LANES: usize = 8;

/// Most vectors of columns that are summed together: twelve sums in flight hide the latency of the multiplication.
const MAX_TILE: usize = 6;

/// Values of j that are taken together.
const STEP: usize = 4;

/// Zero words on either side of a padded operand.
const PAD: usize = LANES;

/// Least number of words: shorter numbers are padded.
const MIN_WORDS: usize = 2 * LANES;

/// A word with all bits set.
const FULL: i64 = (1 << WORD_BITS) - 1;

/// Whether this processor has the instructions.
pub(crate) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma")
}

/// Words for a modulus of this many bits: a multiple of eight, at least [`MIN_WORDS`], with R > 4m.
pub(crate) fn words(bits: u64) -> u64 {
    (bits + 2).div_ceil(u64::from(WORD_BITS)).next_multiple_of(LANES as u64).max(MIN_WORDS as u64)
}

/// What this kernel keeps for a modulus. That one exists shows that the processor has the instructions.
pub(crate) struct Constants {
    /// Words of a value, a multiple of eight.
    n: usize,
    /// m, padded.
    m: Wiped,
    /// −m⁻¹ mod R, padded.
    negated_inverse: Wiped,
}

impl Constants {
    /// `m` and `negated_inverse` (−m⁻¹ mod R) in words of 52 bits; `None` where the processor cannot.
    pub(crate) fn new(m: &[u64], negated_inverse: &[u64]) -> Option<Self> {
        let padded = |words: &[u64]| {
            let mut out = vec![0; words.len() + 2 * PAD];
            out[PAD..PAD + words.len()].copy_from_slice(words);
            Wiped::from(out)
        };
        let fits = m.len().is_multiple_of(LANES) && m.len() >= MIN_WORDS && m.len() == negated_inverse.len();
        (is_available() && fits).then(|| Self {
            n: m.len(),
            m: padded(m),
            negated_inverse: padded(negated_inverse),
        })
    }

    /// Words of scratch space: a padded operand, a product, a padded quotient, half a product and a vector.
    /// They must be zero before the first use.
    pub(crate) fn scratch_words(&self) -> usize {
        5 * self.n + 4 * PAD + LANES
    }

    /// `a = a·b/R mod m`, values in [0, 2m).
    pub(crate) fn mul_assign(&self, a: &mut [u64], b: &[u64], scratch: &mut [u64]) {
        assert!(a.len() == self.n && b.len() == self.n);
        // SAFETY: `Self::new` has found the instructions.
        unsafe { self.mul_assign_vector(a, b, scratch) }
    }

    /// `a = a²/R mod m`, values in [0, 2m).
    pub(crate) fn square_assign(&self, a: &mut [u64], scratch: &mut [u64]) {
        assert!(a.len() == self.n);
        // SAFETY: `Self::new` has found the instructions.
        unsafe { self.square_assign_vector(a, scratch) }
    }

    /// Brings `a` from [0, 2m) into [0, m).
    pub(crate) fn finish(&self, a: &mut [u64]) {
        assert!(a.len() == self.n);
        // SAFETY: `Self::new` has found the instructions.
        unsafe { subtract_once(a, &self.m[PAD..PAD + self.n]) }
    }

    /// `out |= entry` for the entry of `table` at `index`, reading every entry.
    pub(crate) fn select(&self, out: &mut [u64], table: &[u64], index: u64) {
        assert!(out.len() == self.n);
        // SAFETY: `Self::new` has found the instructions.
        unsafe { select(out, table, index) }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn mul_assign_vector(&self, a: &mut [u64], b: &[u64], scratch: &mut [u64]) {
        let n = self.n;
        let (padded, rest) = scratch.split_at_mut(n + 2 * PAD);
        padded[PAD..PAD + n].copy_from_slice(a);
        columns(&mut rest[..2 * n], padded, b, 0);
        self.reduce(a, rest);
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn square_assign_vector(&self, a: &mut [u64], scratch: &mut [u64]) {
        let n = self.n;
        let (padded, rest) = scratch.split_at_mut(n + 2 * PAD);
        padded[PAD..PAD + n].copy_from_slice(a);
        square_columns(&mut rest[..2 * n], padded);
        self.reduce(a, rest);
    }

    /// `out = T/R mod m`, below 2m, for the column sums T at the start of `scratch`.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn reduce(&self, out: &mut [u64], scratch: &mut [u64]) {
        let n = self.n;
        let (t, rest) = scratch.split_at_mut(2 * n);
        let (padded_q, upper) = rest.split_at_mut(n + 2 * PAD);
        let upper = &mut upper[..n + LANES];
        let (t_low, t_high) = t.split_at_mut(n);
        t_high[0] += carry(t_low);
        let q = &mut padded_q[PAD..PAD + n];
        columns(q, &self.negated_inverse, t_low, 0);
        // What is carried out of q is a multiple of R.
        let _ = carry(q);
        columns(upper, &self.m, &padded_q[PAD..PAD + n], n / LANES - 1);
        let (below, upper) = upper.split_at_mut(LANES);
        // The lower half of T + q·m is C·R for an integer C. Its columns below n−1 add less than 2^12 units of column
        // n−1, so that C is that column, rounded up to a multiple of 2^52.
        let column = below[LANES - 1] + t_low[n - 1];
        upper[0] += (column + 0xfff) >> WORD_BITS;
        for (x, &y) in upper.iter_mut().zip(&*t_high) {
            *x += y;
        }
        // (T + q·m)/R < 2m < R: nothing is carried out.
        let _ = carry(upper);
        out.copy_from_slice(upper);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &[u64; LANES]) -> __m512i {
    // SAFETY: eight words are there.
    unsafe { _mm512_loadu_epi64(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(words: &mut [u64; LANES], x: __m512i) {
    // SAFETY: eight words are there.
    unsafe { _mm512_storeu_epi64(words.as_mut_ptr().cast(), x) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(x: u64) -> __m512i {
    _mm512_set1_epi64(x.cast_signed())
}

/// Sums of lower and of upper halves for the columns of a tile of `W` vectors.
struct Sums<const W: usize> {
    low: [__m512i; W],
    high: [__m512i; W],
}

impl<const W: usize> Sums<W> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn zero() -> Self {
        Self { low: [_mm512_setzero_si512(); W], high: [_mm512_setzero_si512(); W] }
    }

    /// Adds a[8·(k+g) + lane − j]·b[j] for j in `from..to` to the vectors g in `LOW..HIGH`, 8k being `column`; `COUNT`
    /// values of j at a time.
    ///
    /// # Safety
    /// `a` points behind the leading zeros of a padded operand and `b` to its words without padding, n of either; `to` −
    /// `from` is a multiple of `COUNT`; `to` ≤ n; and for all those j and g, 8·(k+g) − j lies in [−`PAD`, n + `PAD` − 8].
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    unsafe fn add<const LOW: usize, const HIGH: usize, const COUNT: usize>(
        &mut self,
        a: *const u64,
        b: *const u64,
        (from, to): (usize, usize),
        column: usize,
    ) {
        let mut at = from;
        while at < to {
            let mut j = 0;
            while j < COUNT {
                // SAFETY: `b` is read at at + j in from..to, and `a` at 8·(k+g) − (at + j) and the seven words behind.
                // Wrapping, since the way to an address that is within may lead through one that is not.
                unsafe {
                    let factor = broadcast(*b.add(at + j));
                    let mut g = LOW;
                    while g < HIGH {
                        let x = a.wrapping_add(column + LANES * g).wrapping_sub(at + j);
                        let x = _mm512_loadu_epi64(x.cast());
                        self.low[g] = _mm512_madd52lo_epu64(self.low[g], factor, x);
                        self.high[g] = _mm512_madd52hi_epu64(self.high[g], factor, x);
                        g += 1;
                    }
                }
                j += 1;
            }
            at += COUNT;
        }
    }

    /// The same for `COUNT` values of j or none, without a loop.
    ///
    /// # Safety
    /// As for [`Self::add`]; and `to` is `from` or `from` + `COUNT`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    unsafe fn add_once<const LOW: usize, const HIGH: usize, const COUNT: usize>(
        &mut self,
        a: *const u64,
        b: *const u64,
        (from, to): (usize, usize),
        column: usize,
    ) {
        if from < to {
            // SAFETY: the caller's.
            unsafe { self.add::<LOW, HIGH, COUNT>(a, b, (from, from + COUNT), column) };
        }
    }

    /// Adds a[8·(k+g) + lane − j]·b[j] for j in `first[g]..last[g]` to each vector g. The bounds ascend with g, those of
    /// neighbours by `RISE` and `FALL` or not at all, and lie apart enough: `first[W − 1]` ≤ `last[0]`.
    ///
    /// # Safety
    /// As for [`Self::add`], for each g and the j of its own range.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    unsafe fn add_ranges<const RISE: usize, const FALL: usize>(
        &mut self,
        a: *const u64,
        b: *const u64,
        first: &[usize; MAX_TILE],
        last: &[usize; MAX_TILE],
        column: usize,
    ) {
        // SAFETY: since the bounds ascend, each call's j lie in the ranges of all its g. Calls for g ≥ W are left out.
        unsafe {
            if W > 1 {
                self.add_once::<0, 1, RISE>(a, b, (first[0], first[1]), column);
            }
            if W > 2 {
                self.add_once::<0, 2, RISE>(a, b, (first[1], first[2]), column);
            }
            if W > 3 {
                self.add_once::<0, 3, RISE>(a, b, (first[2], first[3]), column);
            }
            if W > 4 {
                self.add_once::<0, 4, RISE>(a, b, (first[3], first[4]), column);
            }
            if W > 5 {
                self.add_once::<0, 5, RISE>(a, b, (first[4], first[5]), column);
            }
            self.add::<0, W, STEP>(a, b, (first[W - 1], last[0]), column);
            if W > 1 {
                self.add_once::<1, W, FALL>(a, b, (last[0], last[1]), column);
            }
            if W > 2 {
                self.add_once::<2, W, FALL>(a, b, (last[1], last[2]), column);
            }
            if W > 3 {
                self.add_once::<3, W, FALL>(a, b, (last[2], last[3]), column);
            }
            if W > 4 {
                self.add_once::<4, W, FALL>(a, b, (last[3], last[4]), column);
            }
            if W > 5 {
                self.add_once::<5, W, FALL>(a, b, (last[4], last[5]), column);
            }
        }
    }

    /// Writes the columns, with the upper halves moved up by one column; `previous` hands the last one on.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn write(&self, out: &mut [[u64; LANES]; W], previous: &mut __m512i) {
        let mut g = 0;
        while g < W {
            let moved = _mm512_alignr_epi64::<7>(self.high[g], *previous);
            store(&mut out[g], _mm512_add_epi64(self.low[g], moved));
            *previous = self.high[g];
            g += 1;
        }
    }
}

/// Cuts `out` into tiles of about equal width and gives each to `tile`, with its first column.
macro_rules! for_each_tile {
    ($out:expr, $n:expr, $first_column:expr, |$part:ident, $column:ident| $tile:ident($($argument:expr),*)) => {{
        let (mut rest, _) = $out.as_chunks_mut::<LANES>();
        // With more than n/8 + 2 vectors in a tile, `first` and `last` of `Sums::add_ranges` would cross.
        let limit = MAX_TILE.min($n / LANES + 2);
        let mut $column = $first_column;
        while !rest.is_empty() {
            let width = rest.len().div_ceil(rest.len().div_ceil(limit));
            let ($part, others) = rest.split_at_mut(width);
            match width {
                1 => $tile::<1>($($argument),*),
                2 => $tile::<2>($($argument),*),
                3 => $tile::<3>($($argument),*),
                4 => $tile::<4>($($argument),*),
                5 => $tile::<5>($($argument),*),
                _ => $tile::<6>($($argument),*),
            }
            $column += LANES * width;
            rest = others;
        }
    }};
}

/// Column sums of a·b from column 8·`first_vector` on, as many as `out` has room for.
///
/// Where `first_vector` > 0, the upper halves of the column before are missing in the first column.
#[target_feature(enable = "avx512f,avx512ifma")]
fn columns(out: &mut [u64], a: &[u64], b: &[u64], first_vector: usize) {
    let n = b.len();
    assert!(n >= MIN_WORDS && n.is_multiple_of(LANES) && a.len() == n + 2 * PAD);
    assert!(out.len() + LANES * first_vector <= 2 * n);
    let mut previous = _mm512_setzero_si512();
    for_each_tile!(out, n, LANES * first_vector, |part, column| product_tile(
        part,
        a,
        b,
        column,
        &mut previous
    ));
}

/// A tile of [`columns`].
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn product_tile<const W: usize>(
    out: &mut [[u64; LANES]],
    a: &[u64],
    b: &[u64],
    column: usize,
    previous: &mut __m512i,
) {
    let n = b.len();
    assert!(n.is_multiple_of(LANES) && a.len() == n + 2 * PAD && column.is_multiple_of(LANES));
    // The words of a and b meet for j > column + 8g − n. One j more adds zeros and keeps the bounds multiples of 8.
    let first: [usize; MAX_TILE] = std::array::from_fn(|g| (column + LANES * g).saturating_sub(n).min(n));
    let last: [usize; MAX_TILE] = std::array::from_fn(|g| (column + LANES * (g + 1)).min(n));
    let mut sums = Sums::<W>::zero();
    // SAFETY: all bounds are multiples of 8 and at most n. For j in first[g]..last[g], 8·(k+g) − j lies in [−7, n]: with
    // eight words from there, within the padding of `PAD` words on either side.
    unsafe { sums.add_ranges::<8, 8>(a.as_ptr().add(PAD), b.as_ptr(), &first, &last, column) };
    if let Ok(out) = out.try_into() {
        sums.write(out, previous);
    }
}

/// Column sums of a²: the products of different words once and doubled, then the squares of the words.
#[target_feature(enable = "avx512f,avx512ifma")]
fn square_columns(out: &mut [u64], padded: &[u64]) {
    let n = padded.len() - 2 * PAD;
    assert!(n >= MIN_WORDS && n.is_multiple_of(LANES) && out.len() == 2 * n);
    let mut previous = _mm512_setzero_si512();
    for_each_tile!(out, n, 0, |part, column| square_tile(part, padded, column, &mut previous));
}

/// A tile of [`square_columns`].
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn square_tile<const W: usize>(
    out: &mut [[u64; LANES]],
    padded: &[u64],
    column: usize,
    previous: &mut __m512i,
) {
    let n = padded.len() - 2 * PAD;
    assert!(n.is_multiple_of(LANES) && column.is_multiple_of(LANES) && column + LANES * W <= 2 * n);
    // As for a product, but j stays below half the column.
    let first: [usize; MAX_TILE] = std::array::from_fn(|g| (column + LANES * g).saturating_sub(n).min(n));
    let half: [usize; MAX_TILE] = std::array::from_fn(|g| ((column + LANES * g) / 2).min(n));
    let mut sums = Sums::<W>::zero();
    // SAFETY: all bounds are multiples of 4 and at most n. For j in first[g]..half[g], 8·(k+g) − j lies in [0, n], and
    // with eight words from there within the padding. `square_rest` is called for g < W, whose columns are below 2n.
    unsafe {
        let a = padded.as_ptr().add(PAD);
        if first[W - 1] <= half[0] {
            sums.add_ranges::<8, 4>(a, a, &first, &half, column);
        } else {
            add_single::<W, 0>(&mut sums, a, &first, &half, column);
            add_single::<W, 1>(&mut sums, a, &first, &half, column);
            add_single::<W, 2>(&mut sums, a, &first, &half, column);
            add_single::<W, 3>(&mut sums, a, &first, &half, column);
            add_single::<W, 4>(&mut sums, a, &first, &half, column);
            add_single::<W, 5>(&mut sums, a, &first, &half, column);
        }
        let mut g = 0;
        while g < W {
            (sums.low[g], sums.high[g]) = square_rest(sums.low[g], sums.high[g], a, column + LANES * g);
            g += 1;
        }
    }
    if let Ok(out) = out.try_into() {
        sums.write(out, previous);
    }
}

/// The products for one vector of a square's tile.
///
/// # Safety
/// As for [`Sums::add`], for the j of this vector's range.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
unsafe fn add_single<const W: usize, const G: usize>(
    sums: &mut Sums<W>,
    a: *const u64,
    first: &[usize; MAX_TILE],
    half: &[usize; MAX_TILE],
    column: usize,
) {
    if G < W {
        // SAFETY: the caller's.
        let (low, high) = unsafe {
            let mut single = Sums { low: [sums.low[G]], high: [sums.high[G]] };
            single.add::<0, 1, STEP>(a, a, (first[G], half[G]), column + LANES * G);
            (single.low[0], single.high[0])
        };
        (sums.low[G], sums.high[G]) = (low, high);
    }
}

/// The rest of eight columns of a square: the products where j is near half the column, doubling, squares of words.
///
/// # Safety
/// `a` points behind the leading zeros of a padded operand of n words, and `column` ≤ 2n − 8.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
unsafe fn square_rest(
    mut low: __m512i,
    mut high: __m512i,
    a: *const u64,
    column: usize,
) -> (__m512i, __m512i) {
    let half = column / 2;
    let mut r = 0;
    // j = half + r meets the word half + lane − r, which has the higher index where lane > 2r.
    while r < 4 {
        let lanes = [0xfe, 0xf8, 0xe0, 0x80][r];
        // SAFETY: half + r ≤ n − 1, and half − r ≥ −3; eight words from there end below n + 4.
        let (factor, x) =
            unsafe { (broadcast(*a.add(half + r)), _mm512_loadu_epi64(a.add(half).sub(r).cast())) };
        low = _mm512_mask_madd52lo_epu64(low, lanes, factor, x);
        high = _mm512_mask_madd52hi_epu64(high, lanes, factor, x);
        r += 1;
    }
    low = _mm512_add_epi64(low, low);
    high = _mm512_add_epi64(high, high);
    // SAFETY: eight words from half end below n + 4.
    let words = unsafe { _mm512_loadu_epi64(a.add(half).cast()) };
    // The squares of four words belong to the even columns.
    let spread = _mm512_permutexvar_epi64(_mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0), words);
    low = _mm512_mask_madd52lo_epu64(low, 0x55, spread, spread);
    high = _mm512_mask_madd52hi_epu64(high, 0x55, spread, spread);
    (low, high)
}

/// Where carries arrive, for up to 64 words at once: `generate` has the words that carry out by themselves,
/// `propagate` those that do if a carry arrives. An addition of integers lets the carries run.
///
/// Returns the words at which a carry arrives, and the carry out of the last of `count` words.
#[inline]
fn ripple(generate: u64, propagate: u64, carry_in: u64, count: usize) -> (u64, u64) {
    let sum = ((u128::from(generate) << 1) | u128::from(carry_in)) + u128::from(propagate);
    let arrivals = sum ^ u128::from(propagate);
    (crate::words::low(arrivals), crate::words::low(arrivals >> count) & 1)
}

/// Brings column sums to words of 52 bits; returns what is carried out.
#[target_feature(enable = "avx512f,avx512dq")]
fn carry(words: &mut [u64]) -> u64 {
    let full = _mm512_set1_epi64(FULL);
    let one = _mm512_set1_epi64(1);
    let (vectors, _) = words.as_chunks_mut::<LANES>();
    let (mut previous, mut carry_in) = (_mm512_setzero_si512(), 0);
    for block in vectors.chunks_mut(LANES) {
        let mut sums = [_mm512_setzero_si512(); LANES];
        let (mut generate, mut propagate) = (0, 0);
        // First every word's upper bits go to its neighbour; after that at most 1 is carried anywhere.
        for (i, (words, sum)) in block.iter().zip(&mut sums).enumerate() {
            let x = load(words);
            let upper = _mm512_srli_epi64::<WORD_BITS>(x);
            *sum = _mm512_add_epi64(_mm512_and_si512(x, full), _mm512_alignr_epi64::<7>(upper, previous));
            previous = upper;
            generate |= u64::from(_mm512_cmpgt_epu64_mask(*sum, full)) << (LANES * i);
            propagate |= u64::from(_mm512_cmpeq_epu64_mask(*sum, full)) << (LANES * i);
        }
        let (arrivals, carry_out) = ripple(generate, propagate, carry_in, LANES * block.len());
        carry_in = carry_out;
        for (i, (words, &sum)) in block.iter_mut().zip(&sums).enumerate() {
            let [lanes, ..] = (arrivals >> (LANES * i)).to_le_bytes();
            store(words, _mm512_and_si512(_mm512_mask_add_epi64(sum, lanes, sum, one), full));
        }
    }
    let mut last = [0; LANES];
    store(&mut last, previous);
    last[LANES - 1] + carry_in
}

/// Subtracts `m` from `a` unless `a` is smaller.
#[target_feature(enable = "avx512f,avx512dq")]
fn subtract_once(a: &mut [u64], m: &[u64]) {
    let (a, _) = a.as_chunks_mut::<LANES>();
    let (m, _) = m.as_chunks::<LANES>();
    let zero = _mm512_setzero_si512();
    let smaller = subtract_masked(a, m, zero, false);
    let keep = broadcast(crate::ct::mask(1 ^ smaller));
    let _ = subtract_masked(a, m, keep, true);
}

/// The borrow out of a − (m & keep), or of a − m where nothing is to be written.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn subtract_masked(a: &mut [[u64; LANES]], m: &[[u64; LANES]], keep: __m512i, write: bool) -> u64 {
    let full = _mm512_set1_epi64(FULL);
    let one = _mm512_set1_epi64(1);
    let mut borrow = 0;
    for (a, m) in a.chunks_mut(LANES).zip(m.chunks(LANES)) {
        let mut differences = [_mm512_setzero_si512(); LANES];
        let (mut generate, mut propagate) = (0, 0);
        for (i, ((x, y), difference)) in a.iter().zip(m).zip(&mut differences).enumerate() {
            let (x, mut y) = (load(x), load(y));
            if write {
                y = _mm512_and_si512(y, keep);
            }
            *difference = _mm512_sub_epi64(x, y);
            generate |= u64::from(_mm512_cmplt_epu64_mask(x, y)) << (LANES * i);
            propagate |= u64::from(_mm512_cmpeq_epu64_mask(x, y)) << (LANES * i);
        }
        let (arrivals, borrow_out) = ripple(generate, propagate, borrow, LANES * a.len());
        borrow = borrow_out;
        if write {
            for (i, (words, &difference)) in a.iter_mut().zip(&differences).enumerate() {
                let [lanes, ..] = (arrivals >> (LANES * i)).to_le_bytes();
                let difference = _mm512_mask_sub_epi64(difference, lanes, difference, one);
                store(words, _mm512_and_si512(difference, full));
            }
        }
    }
    borrow
}

/// Copies the entry at `index` to `out`; every entry is read, with a mask that is all ones for the right one only.
#[target_feature(enable = "avx512f")]
fn select(out: &mut [u64], table: &[u64], index: u64) {
    let n = out.len();
    let (out, _) = out.as_chunks_mut::<LANES>();
    // Up to eight vectors of the result stay in registers while the table goes by.
    for (part, out) in out.chunks_mut(LANES).enumerate() {
        let mut chosen = [_mm512_setzero_si512(); LANES];
        for (i, entry) in (0u64..).zip(table.chunks_exact(n)) {
            let keep = broadcast(crate::ct::eq_mask(i, index));
            let (entry, _) = entry[part * LANES * LANES..].as_chunks::<LANES>();
            for (chosen, words) in chosen.iter_mut().zip(entry.iter().take(out.len())) {
                *chosen = _mm512_or_si512(*chosen, _mm512_and_si512(load(words), keep));
            }
        }
        for (words, &chosen) in out.iter_mut().zip(&chosen) {
            store(words, chosen);
        }
    }
}
