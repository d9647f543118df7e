//! Eight numbers side by side, one in each 64-bit lane of a vector: with IFMA ([`mul`]), or with AVX2 as twice four
//! ([`avx2`]).
//!
//! Against [`ifma`](super::ifma), which lays the words of one number side by side, nothing has to move between lanes:
//! carries go from vector to vector, each lane may have a modulus of its own, and the number of limbs need not be a
//! multiple of eight. Values are kept in [0, 2m) likewise, with R a power of two above 4m.
//!
//! With IFMA, on a Zen 5, squarings and multiplications of 79 to 158 limbs issue 8.2 to 8.5 multiplications in a nanosecond,
//! which is about two in a cycle and all that the processor can. What is left is to multiply less. Karatsuba's formula for
//! the products was estimated and not built: at 4,096 bits it would save less than 3 % of a power, at 8,192 bits about 5 %.
//! A window of 6 bits in place of 5 costs more in look-ups than it saves.
#![allow(
    unsafe_code,
    reason = "vector loads and stores, and calls of functions that need an instruction set; each block says why it is sound"
)]

mod avx2;
mod mul;
mod numbers;
mod table;
#[cfg(test)]
mod tests;

use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64, _mm512_sub_epi64,
};

use self::mul::Operands;
pub(crate) use self::numbers::Eight;
use self::numbers::{load, store};
pub(crate) use self::table::{Table, select_shared};
use super::ifma::{self, WORD_BITS};
use crate::Kernel;
use crate::wiped::Wiped;
use crate::words::{self, low_mask, repack};

/// Numbers that are computed side by side.
pub(crate) const LANES: usize = 8;

/// Zero limbs behind an operand.
const PAD: usize = LANES;

/// Fewest limbs of a number.
const MIN_WORDS: usize = 10;

/// How eight numbers lie in memory, and what multiplies them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Limbs of 52 bits, one of all eight numbers in a vector: AVX-512 IFMA.
    Wide,
    /// Limbs of 27 bits, four numbers and then the other four: AVX2.
    Narrow,
}

impl Form {
    /// The form that goes with a kernel for one number and a modulus of so many bits; `None` where the processor cannot.
    pub(crate) fn of(kernel: Kernel, bits: u64) -> Option<Self> {
        match kernel {
            Kernel::Ifma => ifma::is_available().then_some(Self::Wide),
            // Above this the sums of a column have not been bounded.
            Kernel::Mulx => (is_x86_feature_detected!("avx2") && bits <= NARROW_BITS).then_some(Self::Narrow),
            Kernel::Portable => None,
        }
    }

    /// Bits of a limb.
    pub(crate) fn limb_bits(self) -> u32 {
        match self {
            Self::Wide => WORD_BITS,
            Self::Narrow => avx2::LIMB_BITS,
        }
    }

    /// Bits of the words in which numbers come and go.
    fn word_bits(self) -> u32 {
        match self {
            Self::Wide => WORD_BITS,
            Self::Narrow => 64,
        }
    }

    /// Numbers in a vector.
    fn lanes(self) -> usize {
        match self {
            Self::Wide => LANES,
            Self::Narrow => avx2::LANES,
        }
    }

    /// Limbs for a modulus of so many bits: R > 4m.
    pub(crate) fn limbs(self, bits: u64) -> usize {
        let n = (bits + 2).div_ceil(u64::from(self.limb_bits()));
        // At most 316 or 456, for the longest moduli.
        let n = usize::try_from(n).map_or(usize::MAX, |n| n.max(MIN_WORDS));
        if self == Self::Narrow { n.next_multiple_of(2) } else { n }
    }
}

/// Longest modulus for limbs of 27 bits: 2·456 products below 2^54 and a carry are below 2^64.
const NARROW_BITS: u64 = 12_288;

/// The moduli of eight numbers. That one exists shows that the processor has the instructions.
pub(crate) struct Moduli {
    form: Form,
    n: usize,
    /// Numbers in use.
    count: usize,
    m: Limbs,
    negated_inverse: [u64; LANES],
}

/// Limbs of one modulus for all lanes, or of one for each.
enum Limbs {
    Shared(Wiped),
    Each(Eight),
}

impl Moduli {
    /// One modulus of `bits` bits for `count` numbers in `n` limbs, in words of the kernel for one number;
    /// `negated_inverse` is −m⁻¹ modulo at least the limb's power of two. `None` where the processor cannot.
    pub(crate) fn shared(
        (kernel, bits): (Kernel, u64),
        n: usize,
        count: usize,
        m: &[u64],
        negated_inverse: u64,
    ) -> Option<Self> {
        let form = Form::of(kernel, bits)?;
        let mut limbs = Wiped::zeros(n);
        repack(&mut limbs, form.limb_bits(), m, form.word_bits());
        Self::new(form, n, count, Limbs::Shared(limbs), [negated_inverse; LANES])
    }

    /// A modulus for each lane.
    pub(crate) fn each(
        (kernel, bits): (Kernel, u64),
        n: usize,
        count: usize,
        moduli: [(&[u64], u64); LANES],
    ) -> Option<Self> {
        let form = Form::of(kernel, bits)?;
        let mut limbs = Eight::zeros(form, n);
        moduli.iter().enumerate().for_each(|(lane, (m, _))| limbs.set(lane, m));
        Self::new(form, n, count, Limbs::Each(limbs), moduli.map(|(_, inverse)| inverse))
    }

    fn new(form: Form, n: usize, count: usize, m: Limbs, negated_inverse: [u64; LANES]) -> Option<Self> {
        let negated_inverse = negated_inverse.map(|inverse| inverse & low_mask(form.limb_bits()));
        let fits = n >= MIN_WORDS && (form == Form::Wide || n.is_multiple_of(2));
        fits.then_some(Self { form, n, count, m, negated_inverse })
    }

    /// The form of the numbers.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Limbs of a number.
    pub(crate) fn limbs(&self) -> usize {
        self.n
    }

    /// `a = a·b/R mod m` in each lane, values in [0, 2m). `scratch` holds whatever a multiplication leaves.
    pub(crate) fn mul_assign(&self, a: &mut Eight, b: &Eight, scratch: &mut Eight) {
        assert!([&*a, b, scratch].iter().all(|eight| self.fits(eight)));
        self.multiply::<false>(a, b.pointer(), scratch);
    }

    /// `a = a²/R mod m` in each lane, values in [0, 2m).
    pub(crate) fn square_assign(&self, a: &mut Eight, scratch: &mut Eight) {
        assert!(self.fits(a) && self.fits(scratch));
        let b = a.pointer();
        self.multiply::<true>(a, b, scratch);
    }

    fn fits(&self, eight: &Eight) -> bool {
        eight.form == self.form && eight.limbs() == self.n
    }

    fn multiply<const SQUARE: bool>(&self, a: &mut Eight, b: *const u64, q: &mut Eight) {
        let (m, is_shared) = match &self.m {
            Limbs::Shared(limbs) => (limbs.as_ptr(), true),
            Limbs::Each(limbs) => (limbs.pointer(), false),
        };
        let operands = Operands {
            n: self.n,
            a: a.pointer_mut(),
            b,
            m,
            negated_inverse: self.negated_inverse,
            q: q.pointer_mut(),
        };
        // SAFETY: `Form::of` has found the instructions, `Self::new` enough limbs. The callers have asserted that all have
        // n limbs in this form, with zeros behind, and their borrows keep them apart. A group of four lanes is as long as
        // half the vectors.
        unsafe {
            match self.form {
                Form::Wide if is_shared => mul::multiply::<SQUARE, true>(operands),
                Form::Wide => mul::multiply::<SQUARE, false>(operands),
                Form::Narrow => {
                    for group in 0..self.count.div_ceil(avx2::LANES) {
                        let start = group * (self.n + PAD) * avx2::LANES;
                        let mut operands = operands;
                        operands.a = operands.a.add(start);
                        operands.b = operands.b.add(start);
                        operands.q = operands.q.add(start);
                        operands.negated_inverse.rotate_left(group * avx2::LANES);
                        if is_shared {
                            avx2::multiply::<SQUARE, true>(operands);
                        } else {
                            operands.m = operands.m.add(start);
                            avx2::multiply::<SQUARE, false>(operands);
                        }
                    }
                }
            }
        }
    }

    /// Brings the numbers from [0, 2m) into [0, m).
    pub(crate) fn finish(&self, a: &mut Eight) {
        assert!(self.fits(a));
        match self.form {
            // SAFETY: `Form::of` has found the instructions.
            Form::Wide => unsafe { self.finish_vector(a) },
            Form::Narrow => self.finish_narrow(a),
        }
    }

    fn finish_narrow(&self, a: &mut Eight) {
        let (mut m, mut number) = (Wiped::zeros(self.n), Wiped::zeros(self.n));
        for lane in 0..LANES {
            match &self.m {
                Limbs::Shared(limbs) => m.copy_from_slice(limbs),
                Limbs::Each(limbs) => {
                    let mut limbs = limbs.clone();
                    (0..self.n).for_each(|i| m[i] = *limbs.limb(lane, i));
                }
            }
            (0..self.n).for_each(|i| number[i] = *a.limb(lane, i));
            words::reduce_once::<{ avx2::LIMB_BITS }>(&mut number, 0, &m);
            (0..self.n).for_each(|i| *a.limb(lane, i) = number[i]);
        }
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
        for (i, limb) in a.vectors[..self.n].iter_mut().enumerate() {
            let mut m = match &self.m {
                Limbs::Shared(words) => _mm512_set1_epi64(words[i].cast_signed()),
                Limbs::Each(words) => load(&words.vectors[i]),
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
