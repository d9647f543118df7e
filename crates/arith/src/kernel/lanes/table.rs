//! Powers of eight numbers, and look-ups that read every entry.
#![allow(
    unsafe_code,
    reason = "calls of functions that need an instruction set; each block says why it is there"
)]

use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_cmpeq_epi64_mask, _mm512_maskz_set1_epi64, _mm512_or_si512,
    _mm512_set1_epi64, _mm512_setzero_si512,
};

use super::avx2;
use super::form::{Form, LANES, NARROW_LANES, PAD};
use super::moduli::Moduli;
use super::numbers::{Eight, Vector, load, store};

/// Masks that a look-up holds in registers; even.
const MASKS: usize = 16;

/// Powers of eight numbers: vector i of all entries lies together, so that a look-up runs through memory once.
pub(crate) struct Table {
    /// Entries, filled up with zeros to a multiple of [`MASKS`].
    stride: usize,
    powers: Eight,
}

impl Table {
    /// A table of entries of `n` limbs each.
    pub(crate) fn new(form: Form, n: usize, entries: usize) -> Self {
        let stride = entries.next_multiple_of(MASKS);
        Self { stride, powers: Eight::zeros(form, (n + PAD) * stride) }
    }

    /// Writes an entry.
    pub(crate) fn set(&mut self, entry: usize, numbers: &Eight) {
        for (i, vector) in numbers.vectors.iter().enumerate() {
            self.powers.vectors[i * self.stride + entry] = *vector;
        }
    }

    /// Copies an entry, the same in all lanes, to `out`. The address depends on it: for public indices only.
    pub(crate) fn vartime_get(&self, entry: usize, out: &mut Eight) {
        for (i, vector) in out.vectors.iter_mut().enumerate() {
            *vector = self.powers.vectors[i * self.stride + entry];
        }
    }

    /// Copies to each lane of `out` the entry of its digit, reading every entry.
    pub(crate) fn select(&self, out: &mut Eight, digits: [u64; LANES], moduli: &Moduli) {
        assert!(self.powers.limbs() == (moduli.n + PAD) * self.stride);
        assert!(moduli.fits(out) && moduli.form == self.powers.form);
        let n = out.limbs();
        // SAFETY: `Form::of` has found the instructions.
        unsafe {
            match moduli.form {
                Form::Wide => self.select_vector(&mut out.vectors[..n], digits),
                Form::Narrow => {
                    let half = out.vectors.len() / 2;
                    let entries = &self.powers.vectors;
                    for (group, out) in out.vectors.chunks_exact_mut(half).enumerate() {
                        let entries = &entries[group * half * self.stride..];
                        let mut digits = digits;
                        digits.rotate_left(group * NARROW_LANES);
                        avx2::select(out, entries, self.stride, digits);
                    }
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn select_vector(&self, out: &mut [Vector], digits: [u64; LANES]) {
        for first in (0..self.stride).step_by(MASKS) {
            let masks = masks(&Vector(digits), first);
            for (limb, entries) in out.iter_mut().zip(self.powers.vectors.chunks_exact(self.stride)) {
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
    assert!(moduli.form == Form::Wide && moduli.fits(out) && table.len().is_multiple_of(moduli.n));
    // SAFETY: `Form::of` has found the instructions.
    unsafe { select_shared_vector(out, table, digits) }
}

#[target_feature(enable = "avx512f,avx512dq")]
fn select_shared_vector(out: &mut Eight, table: &[u64], digits: [u64; LANES]) {
    let n = out.limbs();
    let digits = Vector(digits);
    let mut first = 0;
    out.vectors[..n].fill(Vector([0; LANES]));
    let mut groups = table.chunks_exact(n * MASKS);
    for entries in &mut groups {
        select_some::<MASKS>(&mut out.vectors[..n], entries, &masks(&digits, first));
        first += MASKS;
    }
    for entry in groups.remainder().chunks_exact(n) {
        select_some::<1>(&mut out.vectors[..n], entry, &masks(&digits, first));
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
