//! Multiplication on the 512-bit vector unit: words of 52 bits, eight to a vector, and the instructions
//! `vpmadd52luq`/`vpmadd52huq`, which add the lower or upper 52 bits of eight products to eight 64-bit sums.
//!
//! **Products by columns.** Column c of a·b is Σⱼ a[c−j]·b[j]. Eight neighbouring columns at a time: for each j, one
//! (unaligned) load of a[c−j…c−j+7] and a broadcast b[j]; lower and upper halves are summed apart, and the upper ones
//! belong one column higher. Words beyond the ends of a are zeros that stand there for this purpose ([`PAD`]). A sum
//! has at most 2·315 + 2 terms below 2^52, far below 2^64, so that carries wait until the end.
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

/// Bits in a word.
pub(crate) const WORD_BITS: u32 = 52;

/// Words in a vector.
const LANES: usize = 8;

/// Vectors of columns that are summed together: eight sums in flight hide the latency of the multiplication.
const TILE: usize = 4;

/// Zero words on either side of a padded operand: a tile reaches so far beyond its first vector.
const PAD: usize = LANES * TILE;

/// A word with all bits set.
const FULL: i64 = (1 << WORD_BITS) - 1;

/// Whether this processor has the instructions.
pub(crate) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma")
}

/// Words for a modulus of so many bits: a multiple of eight with R > 4m.
pub(crate) fn words(bits: u64) -> u64 {
    (bits + 2).div_ceil(u64::from(WORD_BITS)).next_multiple_of(8)
}

/// What this kernel keeps for a modulus. That one exists shows that the processor has the instructions.
pub(crate) struct Constants {
    /// Words of a value, a multiple of eight.
    n: usize,
    /// m, padded.
    m: Vec<u64>,
    /// −m⁻¹ mod R, padded.
    negated_inverse: Vec<u64>,
}

impl Constants {
    /// `m` and `negated_inverse` (−m⁻¹ mod R) in words of 52 bits; `None` where the processor cannot.
    pub(crate) fn new(m: &[u64], negated_inverse: &[u64]) -> Option<Self> {
        let padded = |words: &[u64]| {
            let mut out = vec![0; words.len() + 2 * PAD];
            out[PAD..PAD + words.len()].copy_from_slice(words);
            out
        };
        let fits = m.len().is_multiple_of(LANES) && m.len() == negated_inverse.len();
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

/// Sums of lower and of upper halves for the columns of a tile.
#[derive(Clone, Copy)]
struct Sums {
    low: [__m512i; TILE],
    high: [__m512i; TILE],
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn zero() -> Self {
        Self { low: [_mm512_setzero_si512(); TILE], high: [_mm512_setzero_si512(); TILE] }
    }

    /// Adds a[8·(k+g) + lane − j]·b[j] for j in `from..to` to the vectors g in `LOW..HIGH`, 8k being `column`.
    ///
    /// # Safety
    /// `a` is a padded operand of `b.len()` words; `to` ≤ `b.len()`; and for all those j and g,
    /// 8·(k+g) − j lies in [−`PAD`, `b.len()` + `PAD` − 8].
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    unsafe fn add<const LOW: usize, const HIGH: usize>(
        &mut self,
        a: &[u64],
        b: &[u64],
        from: usize,
        to: usize,
        column: usize,
    ) {
        let (mut j, a, b) = (from, a.as_ptr(), b.as_ptr());
        while j < to {
            // SAFETY: j < to ≤ b.len().
            let factor = broadcast(unsafe { *b.add(j) });
            let mut g = LOW;
            while g < HIGH {
                // SAFETY: PAD + 8·(k+g) − j is at least 0 and eight words from there are within a.
                let x = unsafe { _mm512_loadu_epi64(a.add(PAD + column + LANES * g - j).cast()) };
                self.low[g] = _mm512_madd52lo_epu64(self.low[g], factor, x);
                self.high[g] = _mm512_madd52hi_epu64(self.high[g], factor, x);
                g += 1;
            }
            j += 1;
        }
    }

    /// Writes the columns, with the upper halves moved up by one column; `previous` hands the last one on.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn write(&self, out: &mut [[u64; LANES]], previous: &mut __m512i) {
        let mut g = 0;
        while g < TILE {
            if let Some(words) = out.get_mut(g) {
                let moved = _mm512_alignr_epi64::<7>(self.high[g], *previous);
                store(words, _mm512_add_epi64(self.low[g], moved));
                *previous = self.high[g];
            }
            g += 1;
        }
    }
}

/// The bounds of j: for the vectors g = 0 … 3 of a tile that starts at `column`, the words of a and b meet for j in
/// `first[g]..last[g]`; `half[g]` is where j reaches half the column.
struct Bounds {
    first: [usize; TILE],
    last: [usize; TILE],
    half: [usize; TILE],
}

impl Bounds {
    #[inline]
    fn new(n: usize, column: usize) -> Self {
        let of = |g: usize| column + LANES * g;
        Self {
            first: std::array::from_fn(|g| (of(g) + 1).saturating_sub(n).min(n)),
            last: std::array::from_fn(|g| (of(g) + LANES).min(n)),
            half: std::array::from_fn(|g| (of(g) / 2).min(n)),
        }
    }
}

/// Column sums of a·b from column 8·`first_vector` on, as many as `out` has room for.
///
/// Where `first_vector` > 0, the upper halves of the column before are missing in the first column.
#[target_feature(enable = "avx512f,avx512ifma")]
fn columns(out: &mut [u64], a: &[u64], b: &[u64], first_vector: usize) {
    let n = b.len();
    assert!(a.len() == n + 2 * PAD && out.len() + LANES * first_vector <= 2 * n);
    let mut previous = _mm512_setzero_si512();
    let (out, _) = out.as_chunks_mut::<LANES>();
    for (tile, out) in out.chunks_mut(TILE).enumerate() {
        let column = LANES * (first_vector + TILE * tile);
        let Bounds { first, last, .. } = Bounds::new(n, column);
        let mut sums = Sums::zero();
        // SAFETY: all upper bounds are at most n. For j in first[g]..last[g], 8·(k+g) − j lies in [−7, n − 1]. In the
        // first branch j keeps to the bounds of its g, since both sequences ascend. In the second, with
        // first[0] ≤ j < last[3], 8·(k+g) − j lies in [−31, n + 23]. Both are within the padding of 32 words.
        unsafe {
            if first[3] <= last[0] {
                sums.add::<0, 1>(a, b, first[0], first[1], column);
                sums.add::<0, 2>(a, b, first[1], first[2], column);
                sums.add::<0, 3>(a, b, first[2], first[3], column);
                sums.add::<0, 4>(a, b, first[3], last[0], column);
                sums.add::<1, 4>(a, b, last[0], last[1], column);
                sums.add::<2, 4>(a, b, last[1], last[2], column);
                sums.add::<3, 4>(a, b, last[2], last[3], column);
            } else {
                sums.add::<0, 4>(a, b, first[0], last[3], column);
            }
        }
        sums.write(out, &mut previous);
    }
}

/// Column sums of a²: the products of different words once and doubled, then the squares of the words.
#[target_feature(enable = "avx512f,avx512ifma")]
fn square_columns(out: &mut [u64], padded: &[u64]) {
    let n = padded.len() - 2 * PAD;
    assert!(out.len() == 2 * n);
    let a = &padded[PAD..PAD + n];
    let mut previous = _mm512_setzero_si512();
    let (out, _) = out.as_chunks_mut::<LANES>();
    for (tile, out) in out.chunks_mut(TILE).enumerate() {
        let column = LANES * TILE * tile;
        let Bounds { first, half, .. } = Bounds::new(n, column);
        let mut sums = Sums::zero();
        // SAFETY: half[g] ≤ n. For j in first[g]..half[g], 8·(k+g) − j lies in [0, n − 1]; in the first branch j keeps
        // to the bounds of its g, since both sequences ascend.
        unsafe {
            if first[3] <= half[0] {
                sums.add::<0, 1>(padded, a, first[0], first[1], column);
                sums.add::<0, 2>(padded, a, first[1], first[2], column);
                sums.add::<0, 3>(padded, a, first[2], first[3], column);
                sums.add::<0, 4>(padded, a, first[3], half[0], column);
                sums.add::<1, 4>(padded, a, half[0], half[1], column);
                sums.add::<2, 4>(padded, a, half[1], half[2], column);
                sums.add::<3, 4>(padded, a, half[2], half[3], column);
            } else {
                sums.add::<0, 1>(padded, a, first[0], half[0], column);
                sums.add::<1, 2>(padded, a, first[1], half[1], column);
                sums.add::<2, 3>(padded, a, first[2], half[2], column);
                sums.add::<3, 4>(padded, a, first[3], half[3], column);
            }
        }
        let mut g = 0;
        while g < TILE {
            if g < out.len() {
                finish_square(&mut sums, g, padded, n, column + LANES * g);
            }
            g += 1;
        }
        sums.write(out, &mut previous);
    }
}

/// The rest of eight columns of a square: the products where j is near half the column, doubling, squares of words.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn finish_square(sums: &mut Sums, g: usize, padded: &[u64], n: usize, column: usize) {
    let (mut low, mut high) = (sums.low[g], sums.high[g]);
    let half = column / 2;
    // j = half + r meets the word half + lane − r, which has the higher index where lane > 2r.
    for (r, lanes) in [(0, 0xfe), (1, 0xf8), (2, 0xe0), (3, 0x80)] {
        let j = half + r;
        if j < n
            && let Some((words, _)) = padded[PAD + column - j..].split_first_chunk()
        {
            let (factor, x) = (broadcast(padded[PAD + j]), load(words));
            low = _mm512_mask_madd52lo_epu64(low, lanes, factor, x);
            high = _mm512_mask_madd52hi_epu64(high, lanes, factor, x);
        }
    }
    low = _mm512_add_epi64(low, low);
    high = _mm512_add_epi64(high, high);
    if let Some((words, _)) = padded[PAD + half..].split_first_chunk() {
        // The squares of four words belong to the even columns.
        let spread = _mm512_permutexvar_epi64(_mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0), load(words));
        low = _mm512_mask_madd52lo_epu64(low, 0x55, spread, spread);
        high = _mm512_mask_madd52hi_epu64(high, 0x55, spread, spread);
    }
    (sums.low[g], sums.high[g]) = (low, high);
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
