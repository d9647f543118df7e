//! Eight numbers in memory.
#![allow(unsafe_code, reason = "vector loads and stores; each block says why it is in bounds")]

use std::arch::x86_64::{__m512i, _mm512_load_si512, _mm512_store_si512};

use super::form::{Form, LANES, PAD};
use crate::wiped::Wiped;
use crate::words::repack;

/// Eight words that are aligned; in the form [`Form::Wide`], one limb of eight numbers.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Vector(pub(super) [u64; LANES]);

/// Eight numbers, each group of lanes with [`PAD`] zeros behind; overwritten on drop. Aligned, since a load that crosses a
/// cache line takes twice as long.
#[derive(Clone)]
pub(crate) struct Eight {
    pub(super) form: Form,
    pub(super) vectors: Vec<Vector>,
}

impl Drop for Eight {
    fn drop(&mut self) {
        self.vectors.fill(Vector([0; LANES]));
        // As for `Wiped`: the zeros count as read.
        zeroize::optimization_barrier(self.vectors.as_slice());
    }
}

impl Eight {
    /// Zeros of `n` limbs.
    pub(crate) fn zeros(form: Form, n: usize) -> Self {
        Self { form, vectors: vec![Vector([0; LANES]); n + PAD] }
    }

    /// The same number in all lanes, in words as for [`Self::set`].
    pub(crate) fn same(form: Form, n: usize, words: &[u64]) -> Self {
        let mut eight = Self::zeros(form, n);
        (0..LANES).for_each(|lane| eight.set(lane, words));
        eight
    }

    /// Limbs of each number.
    pub(super) fn limbs(&self) -> usize {
        self.vectors.len() - PAD
    }

    /// Where a limb of one lane is: the vector, and the word in it.
    fn place(&self, lane: usize, limb: usize) -> (usize, usize) {
        let lanes = self.form.lanes();
        let at = (lane / lanes * self.vectors.len() + limb) * lanes + lane % lanes;
        (at / LANES, at % LANES)
    }

    /// A limb of one lane.
    pub(super) fn limb(&self, lane: usize, limb: usize) -> u64 {
        let (vector, word) = self.place(lane, limb);
        self.vectors[vector].0[word]
    }

    /// Sets a limb of one lane.
    pub(super) fn set_limb(&mut self, lane: usize, limb: usize, to: u64) {
        let (vector, word) = self.place(lane, limb);
        self.vectors[vector].0[word] = to;
    }

    /// Sets the number of one lane: words as the kernel for one number has them. What is beyond the limbs must be zero.
    pub(crate) fn set(&mut self, lane: usize, words: &[u64]) {
        let n = self.limbs();
        if self.form == Form::Wide {
            for (limb, &word) in self.vectors[..n].iter_mut().zip(words) {
                limb.0[lane] = word;
            }
            return;
        }
        let mut limbs = Wiped::zeros(n);
        repack(&mut limbs, self.form.limb_bits(), words, self.form.word_bits());
        limbs.iter().enumerate().for_each(|(i, &word)| self.set_limb(lane, i, word));
    }

    /// Copies the number of one lane to `words`; zeros beyond the limbs.
    pub(crate) fn get(&self, lane: usize, words: &mut [u64]) {
        let n = self.limbs();
        if self.form == Form::Wide {
            words.fill(0);
            for (limb, word) in self.vectors[..n].iter().zip(words) {
                *word = limb.0[lane];
            }
            return;
        }
        let mut limbs = Wiped::zeros(n);
        limbs.iter_mut().enumerate().for_each(|(i, word)| *word = self.limb(lane, i));
        repack(words, self.form.word_bits(), &limbs, self.form.limb_bits());
    }

    /// Copies another's numbers.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.vectors.copy_from_slice(&other.vectors);
    }

    pub(super) fn pointer(&self) -> *const u64 {
        self.vectors.as_ptr().cast()
    }

    pub(super) fn pointer_mut(&mut self) -> *mut u64 {
        self.vectors.as_mut_ptr().cast()
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(x: &Vector) -> __m512i {
    // SAFETY: eight aligned words are there.
    unsafe { _mm512_load_si512(x.0.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store(to: &mut Vector, x: __m512i) {
    // SAFETY: eight aligned words are there.
    unsafe { _mm512_store_si512(to.0.as_mut_ptr().cast(), x) }
}
