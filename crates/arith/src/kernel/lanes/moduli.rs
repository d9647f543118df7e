//! Multiplication, squaring and the last subtraction, by the instructions of the form.
#![allow(
    unsafe_code,
    reason = "calls of functions that need an instruction set; each block says why it is there"
)]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64, _mm512_sub_epi64,
};

use super::form::{Form, LANES, MIN_WORDS, NARROW_LANES, NARROW_LIMB_BITS, PAD};
use super::mul::Operands;
use super::numbers::{Eight, Vector, load, store};
use super::{avx2, mul};
use crate::Kernel;
use crate::kernel::ifma::WORD_BITS;
use crate::wiped::Wiped;
use crate::words::{self, low_mask, repack};

/// The moduli of eight numbers. That one exists shows that the processor has the instructions.
pub(crate) struct Moduli {
    pub(super) form: Form,
    pub(super) n: usize,
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

    /// `a = a·c` in each lane, not reduced: for the form [`Form::Wide`], words below 2^52, and products below 2^(52n).
    pub(crate) fn mul_small_assign(&self, a: &mut Eight, factors: [u64; LANES]) {
        assert!(self.form == Form::Wide && self.fits(a));
        // SAFETY: `Form::of` has found the instructions.
        unsafe { self.mul_small_vector(a, Vector(factors)) }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn mul_small_vector(&self, a: &mut Eight, factors: Vector) {
        let (zero, full) = (_mm512_setzero_si512(), _mm512_set1_epi64(low_mask(WORD_BITS).cast_signed()));
        let factors = load(&factors);
        let mut carry = zero;
        for limb in &mut a.vectors[..self.n] {
            let value = load(limb);
            let low = _mm512_madd52lo_epu64(carry, value, factors);
            let high = _mm512_madd52hi_epu64(zero, value, factors);
            store(limb, _mm512_and_si512(low, full));
            carry = _mm512_add_epi64(high, _mm512_srli_epi64::<WORD_BITS>(low));
        }
    }

    pub(super) fn fits(&self, eight: &Eight) -> bool {
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
                    for group in 0..self.count.div_ceil(NARROW_LANES) {
                        let start = group * (self.n + PAD) * NARROW_LANES;
                        let mut operands = operands;
                        operands.a = operands.a.add(start);
                        operands.b = operands.b.add(start);
                        operands.q = operands.q.add(start);
                        operands.negated_inverse.rotate_left(group * NARROW_LANES);
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
                Limbs::Each(limbs) => (0..self.n).for_each(|i| m[i] = limbs.limb(lane, i)),
            }
            (0..self.n).for_each(|i| number[i] = a.limb(lane, i));
            words::reduce_once::<{ NARROW_LIMB_BITS }>(&mut number, 0, &m);
            (0..self.n).for_each(|i| a.set_limb(lane, i, number[i]));
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
