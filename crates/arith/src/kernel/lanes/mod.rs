//! Eight numbers side by side, one in each 64-bit lane of a 512-bit vector: limb i of all eight is one vector.
//!
//! Against [`ifma`](super::ifma), which lays the words of one number side by side, nothing has to move between lanes:
//! carries go from vector to vector, each lane may have a modulus of its own, and the number of limbs need not be a
//! multiple of eight. Values are kept in [0, 2m) likewise, with R = 2^(52n) > 4m.
#![allow(
    unsafe_code,
    reason = "vector loads and stores, and calls of functions that need an instruction set; each block says why it is sound"
)]

mod mul;
#[cfg(test)]
mod tests;

use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_cmpeq_epi64_mask, _mm512_load_si512, _mm512_maskz_set1_epi64,
    _mm512_or_si512, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64, _mm512_store_si512,
    _mm512_sub_epi64,
};

use self::mul::Operands;
use super::ifma::{self, WORD_BITS};
use crate::wiped::Wiped;
use crate::words::low_mask;

/// Numbers that are computed side by side.
pub(crate) const LANES: usize = 8;

/// Zero limbs behind an operand.
const PAD: usize = LANES;

/// Fewest limbs of a number.
const MIN_WORDS: usize = 10;

/// Masks that a look-up holds in registers; even.
const MASKS: usize = 16;

/// Limbs for a modulus of so many bits: R > 4m.
pub(crate) fn words(bits: u64) -> usize {
    // At most 316, for `MAX_BITS`.
    usize::try_from((bits + 2).div_ceil(u64::from(WORD_BITS))).map_or(usize::MAX, |n| n.max(MIN_WORDS))
}

/// One limb of eight numbers.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Vector([u64; LANES]);

/// Eight numbers, with [`PAD`] zeros behind; overwritten on drop. Aligned, since a load that crosses a cache line takes
/// twice as long.
#[derive(Clone)]
pub(crate) struct Eight(Vec<Vector>);

impl Drop for Eight {
    fn drop(&mut self) {
        self.0.fill(Vector([0; LANES]));
        // As for `Wiped`: the zeros count as read.
        zeroize::optimization_barrier(self.0.as_slice());
    }
}

impl Eight {
    /// Zeros of `n` limbs.
    pub(crate) fn zeros(n: usize) -> Self {
        Self(vec![Vector([0; LANES]); n + PAD])
    }

    /// Limbs of each number.
    fn limbs(&self) -> usize {
        self.0.len() - PAD
    }

    /// The same number in all lanes. What is beyond the limbs must be zero.
    pub(crate) fn same(n: usize, words: &[u64]) -> Self {
        let mut eight = Self::zeros(n);
        debug_assert!(words.iter().skip(n).all(|&word| word == 0));
        for (limb, &word) in eight.0[..n].iter_mut().zip(words) {
            limb.0 = [word; LANES];
        }
        eight
    }

    /// Sets the number of one lane. What is beyond the limbs must be zero.
    pub(crate) fn set(&mut self, lane: usize, words: &[u64]) {
        let n = self.limbs();
        for (limb, &word) in self.0[..n].iter_mut().zip(words) {
            limb.0[lane] = word;
        }
        debug_assert!(words.iter().skip(n).all(|&word| word == 0));
    }

    /// Copies the number of one lane to `words`; zeros beyond the limbs.
    pub(crate) fn get(&self, lane: usize, words: &mut [u64]) {
        words.fill(0);
        for (limb, word) in self.0[..self.limbs()].iter().zip(words) {
            *word = limb.0[lane];
        }
    }

    /// Copies another's numbers.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.0.copy_from_slice(&other.0);
    }

    fn pointer(&self) -> *const u64 {
        self.0.as_ptr().cast()
    }

    fn pointer_mut(&mut self) -> *mut u64 {
        self.0.as_mut_ptr().cast()
    }
}

/// The moduli of eight numbers. That one exists shows that the processor has the instructions.
pub(crate) struct Moduli {
    n: usize,
    m: Limbs,
    negated_inverse: Vector,
}

/// Words of one modulus for all lanes, or of one for each.
enum Limbs {
    Shared(Wiped),
    Each(Eight),
}

impl Moduli {
    /// One modulus of `n` limbs for all lanes; `negated_inverse` is −m⁻¹ mod 2^52, and may have more bits. `None` where
    /// the processor cannot.
    pub(crate) fn shared(n: usize, m: &[u64], negated_inverse: u64) -> Option<Self> {
        let mut limbs = Wiped::zeros(n);
        limbs.iter_mut().zip(m).for_each(|(limb, &word)| *limb = word);
        Self::new(n, Limbs::Shared(limbs), [negated_inverse; LANES])
    }

    /// A modulus for each lane.
    pub(crate) fn each(n: usize, moduli: [(&[u64], u64); LANES]) -> Option<Self> {
        let mut limbs = Eight::zeros(n);
        moduli.iter().enumerate().for_each(|(lane, (m, _))| limbs.set(lane, m));
        Self::new(n, Limbs::Each(limbs), moduli.map(|(_, inverse)| inverse))
    }

    fn new(n: usize, m: Limbs, negated_inverse: [u64; LANES]) -> Option<Self> {
        let negated_inverse = Vector(negated_inverse.map(|inverse| inverse & low_mask(WORD_BITS)));
        (ifma::is_available() && n >= MIN_WORDS).then_some(Self { n, m, negated_inverse })
    }

    /// Limbs of a number.
    pub(crate) fn limbs(&self) -> usize {
        self.n
    }

    /// `a = a·b/R mod m` in each lane, values in [0, 2m). `scratch` holds whatever a multiplication leaves.
    pub(crate) fn mul_assign(&self, a: &mut Eight, b: &Eight, scratch: &mut Eight) {
        assert!([a.limbs(), b.limbs(), scratch.limbs()] == [self.n; 3]);
        let operands = self.operands(a, b.pointer(), scratch);
        // SAFETY: `Self::new` has found the instructions and enough limbs. All have n limbs, as asserted, with zeros
        // behind `a`, and the borrows keep them apart.
        unsafe {
            match self.m {
                Limbs::Shared(_) => mul::multiply::<false, true>(operands),
                Limbs::Each(_) => mul::multiply::<false, false>(operands),
            }
        }
    }

    /// `a = a²/R mod m` in each lane, values in [0, 2m).
    pub(crate) fn square_assign(&self, a: &mut Eight, scratch: &mut Eight) {
        assert!([a.limbs(), scratch.limbs()] == [self.n; 2]);
        let operands = self.operands(a, std::ptr::null(), scratch);
        // SAFETY: as for `Self::mul_assign`; `b` is not read.
        unsafe {
            match self.m {
                Limbs::Shared(_) => mul::multiply::<true, true>(operands),
                Limbs::Each(_) => mul::multiply::<true, false>(operands),
            }
        }
    }

    fn operands(&self, a: &mut Eight, b: *const u64, q: &mut Eight) -> Operands {
        let m = match &self.m {
            Limbs::Shared(words) => words.as_ptr(),
            Limbs::Each(words) => words.pointer(),
        };
        Operands {
            n: self.n,
            a: a.pointer_mut(),
            b,
            m,
            negated_inverse: self.negated_inverse.0,
            q: q.pointer_mut(),
        }
    }

    /// Brings the numbers from [0, 2m) into [0, m).
    pub(crate) fn finish(&self, a: &mut Eight) {
        assert!(a.limbs() == self.n);
        // SAFETY: `Self::new` has found the instructions.
        unsafe { self.finish_vector(a) }
    }

    #[target_feature(enable = "avx512f")]
    fn finish_vector(&self, a: &mut Eight) {
        let borrow = self.subtract(a, _mm512_setzero_si512(), false);
        // All ones where nothing was borrowed.
        let keep = _mm512_sub_epi64(borrow, _mm512_set1_epi64(1));
        let _ = self.subtract(a, keep, true);
    }

    /// The borrow out of a − (m & keep), or of a − m where nothing is to be written.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn subtract(&self, a: &mut Eight, keep: __m512i, write: bool) -> __m512i {
        let full = _mm512_set1_epi64(low_mask(WORD_BITS).cast_signed());
        let mut borrow = _mm512_setzero_si512();
        for (i, limb) in a.0[..self.n].iter_mut().enumerate() {
            let mut m = match &self.m {
                Limbs::Shared(words) => _mm512_set1_epi64(words[i].cast_signed()),
                Limbs::Each(words) => load(&words.0[i]),
            };
            if write {
                m = _mm512_and_si512(m, keep);
            }
            let difference = _mm512_sub_epi64(_mm512_sub_epi64(load(limb), m), borrow);
            borrow = _mm512_srli_epi64::<63>(difference);
            if write {
                store(limb, _mm512_and_si512(difference, full));
            }
        }
        borrow
    }
}

/// Powers of eight numbers: limb i of all entries lies together, so that a look-up runs through memory once.
pub(crate) struct Table {
    /// Entries, filled up with zeros to a multiple of [`MASKS`].
    stride: usize,
    powers: Eight,
}

impl Table {
    /// A table of so many entries of `n` limbs.
    pub(crate) fn new(n: usize, entries: usize) -> Self {
        let stride = entries.next_multiple_of(MASKS);
        Self { stride, powers: Eight::zeros(n * stride) }
    }

    /// Writes an entry.
    pub(crate) fn set(&mut self, entry: usize, numbers: &Eight) {
        for (i, limb) in numbers.0[..numbers.limbs()].iter().enumerate() {
            self.powers.0[i * self.stride + entry] = *limb;
        }
    }

    /// Copies an entry, the same in all lanes, to `out`. The address depends on it: for public indices only.
    pub(crate) fn vartime_get(&self, entry: usize, out: &mut Eight) {
        let n = out.limbs();
        for (i, limb) in out.0[..n].iter_mut().enumerate() {
            *limb = self.powers.0[i * self.stride + entry];
        }
    }

    /// Copies to each lane of `out` the entry of its digit, reading every entry.
    pub(crate) fn select(&self, out: &mut Eight, digits: [u64; LANES], moduli: &Moduli) {
        assert!(self.powers.limbs() == moduli.n * self.stride && out.limbs() == moduli.n);
        // SAFETY: `Moduli::new` has found the instructions.
        unsafe { self.select_vector(out, digits) }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn select_vector(&self, out: &mut Eight, digits: [u64; LANES]) {
        let n = out.limbs();
        for first in (0..self.stride).step_by(MASKS) {
            let masks = masks(&Vector(digits), first);
            for (limb, entries) in out.0[..n].iter_mut().zip(self.powers.0.chunks_exact(self.stride)) {
                let (groups, _) = entries.as_chunks::<MASKS>();
                let Some(entries) = groups.get(first / MASKS) else { continue };
                // Two chains, so that an entry does not wait for the one before.
                let mut even = if first == 0 { _mm512_setzero_si512() } else { load(limb) };
                let mut odd = _mm512_setzero_si512();
                let mut i = 0;
                while i < MASKS {
                    even = _mm512_or_si512(even, _mm512_and_si512(load(&entries[i]), masks[i]));
                    odd = _mm512_or_si512(odd, _mm512_and_si512(load(&entries[i + 1]), masks[i + 1]));
                    i += 2;
                }
                store(limb, _mm512_or_si512(even, odd));
            }
        }
    }
}

/// Copies to each lane of `out` the entry of its digit from a table of single numbers, as many words each as `out` has
/// limbs, one after the other; reads every entry.
pub(crate) fn select_shared(out: &mut Eight, table: &[u64], digits: [u64; LANES], moduli: &Moduli) {
    assert!(out.limbs() == moduli.n && table.len().is_multiple_of(moduli.n));
    // SAFETY: `Moduli::new` has found the instructions.
    unsafe { select_shared_vector(out, table, digits) }
}

#[target_feature(enable = "avx512f,avx512dq")]
fn select_shared_vector(out: &mut Eight, table: &[u64], digits: [u64; LANES]) {
    let n = out.limbs();
    let digits = Vector(digits);
    let mut first = 0;
    out.0[..n].fill(Vector([0; LANES]));
    let mut groups = table.chunks_exact(n * MASKS);
    for entries in &mut groups {
        select_some::<MASKS>(&mut out.0[..n], entries, &masks(&digits, first));
        first += MASKS;
    }
    for entry in groups.remainder().chunks_exact(n) {
        select_some::<1>(&mut out.0[..n], entry, &masks(&digits, first));
        first += 1;
    }
}

/// Adds the entries that the masks want to `out`.
#[inline]
#[target_feature(enable = "avx512f")]
fn select_some<const COUNT: usize>(out: &mut [Vector], entries: &[u64], masks: &[__m512i; MASKS]) {
    let n = out.len();
    // The words of one entry after the other; slices of the same length, so that no bound is checked in the loop.
    let entries: [&[u64]; COUNT] = std::array::from_fn(|entry| &entries[entry * n..(entry + 1) * n]);
    for (i, limb) in out.iter_mut().enumerate() {
        let mut chosen = load(limb);
        let mut entry = 0;
        while entry < COUNT {
            let word = _mm512_set1_epi64(entries[entry][i].cast_signed());
            chosen = _mm512_or_si512(chosen, _mm512_and_si512(word, masks[entry]));
            entry += 1;
        }
        store(limb, chosen);
    }
}

/// For each of the entries from `first` on, all ones in the lanes that want it.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn masks(digits: &Vector, first: usize) -> [__m512i; MASKS] {
    let digits = load(digits);
    std::array::from_fn(|i| {
        let wanted = _mm512_set1_epi64((first + i) as i64);
        _mm512_maskz_set1_epi64(_mm512_cmpeq_epi64_mask(digits, wanted), -1)
    })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(x: &Vector) -> __m512i {
    // SAFETY: eight aligned words are there.
    unsafe { _mm512_load_si512(x.0.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(to: &mut Vector, x: __m512i) {
    // SAFETY: eight aligned words are there.
    unsafe { _mm512_store_si512(to.0.as_mut_ptr().cast(), x) }
}
