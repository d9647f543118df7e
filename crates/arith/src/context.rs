//! A modulus with everything that is computed from it once, and the operations on words that need it.

use num_bigint::BigUint;

use crate::kernel::{Kernel, portable};
use crate::words::{self, SmallMultiplier};

/// The largest modulus, in bits: above this the kernels' column sums have not been bounded.
pub(crate) const MAX_BITS: u64 = 16_384;

/// Shared by all residues of one modulus.
pub(crate) struct Context {
    value: BigUint,
    bits: u64,
    kernel: Kernel,
    /// m in words of the kernel.
    m: Vec<u64>,
    /// −m⁻¹ mod 2^64.
    negated_inverse: u64,
    /// R mod m, which is 1 in Montgomery form.
    one: Vec<u64>,
    /// R² mod m, which takes a number to Montgomery form.
    r_squared: Vec<u64>,
    small: SmallMultiplier,
}

/// −m⁻¹ mod 2^64 for odd m, by Newton's iteration: each step doubles the number of right bits, from 3 to 96.
fn negated_inverse(m: u64) -> u64 {
    let mut inverse = m;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(m.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}

impl Context {
    /// `value` is odd and in [3, 2^`MAX_BITS`), and `kernel` runs on this processor; [`crate::Modulus`] checks it.
    pub(crate) fn new(value: BigUint, kernel: Kernel) -> Self {
        let bits = value.bits();
        let words = kernel.words(bits);
        let width = kernel.word_bits();
        let r = BigUint::from(1u8) << (words * width as usize);
        let one = &r % &value;
        let r_squared = (&one * &one) % &value;
        let m = words::split(&value, words, width);
        Self {
            bits,
            kernel,
            negated_inverse: negated_inverse(value.iter_u64_digits().next().unwrap_or(1)),
            one: words::split(&one, words, width),
            r_squared: words::split(&r_squared, words, width),
            small: SmallMultiplier::new(&value),
            m,
            value,
        }
    }

    pub(crate) fn value(&self) -> &BigUint {
        &self.value
    }

    pub(crate) fn bits(&self) -> u64 {
        self.bits
    }

    pub(crate) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Words of a residue.
    pub(crate) fn words(&self) -> usize {
        self.m.len()
    }

    /// 1 in Montgomery form.
    pub(crate) fn one(&self) -> &[u64] {
        &self.one
    }

    /// Whether residues of the two contexts have the same words for the same number.
    pub(crate) fn same_form(&self, other: &Context) -> bool {
        std::ptr::eq(self, other) || (self.kernel == other.kernel && self.value == other.value)
    }

    /// Words of scratch space that [`Self::mul_assign`] and [`Self::square_assign`] need.
    pub(crate) fn scratch_words(&self) -> usize {
        match self.kernel {
            Kernel::Portable => 2 * self.words(),
        }
    }

    /// `a = a·b/R mod m`. All values are in [0, m); `scratch` has [`Self::scratch_words`] words.
    pub(crate) fn mul_assign(&self, a: &mut [u64], b: &[u64], scratch: &mut [u64]) {
        match self.kernel {
            Kernel::Portable => {
                portable::multiply(scratch, a, b);
                self.finish_portable(a, scratch);
            }
        }
    }

    /// `a = a²/R mod m`.
    pub(crate) fn square_assign(&self, a: &mut [u64], scratch: &mut [u64]) {
        match self.kernel {
            Kernel::Portable => {
                portable::square(scratch, a);
                self.finish_portable(a, scratch);
            }
        }
    }

    fn finish_portable(&self, out: &mut [u64], product: &mut [u64]) {
        let carry = portable::reduce(product, &self.m, self.negated_inverse);
        out.copy_from_slice(&product[self.words()..]);
        words::reduce_once::<64>(out, carry, &self.m);
    }

    /// `a = a·c mod m` for c below 2^[`words::SMALL_BITS`].
    pub(crate) fn mul_small_assign(&self, a: &mut [u64], c: u64) {
        match self.kernel.word_bits() {
            64 => words::mul_small::<64>(a, c, &self.m, &self.small),
            _ => words::mul_small::<52>(a, c, &self.m, &self.small),
        }
    }

    pub(crate) fn add_assign(&self, a: &mut [u64], b: &[u64]) {
        match self.kernel.word_bits() {
            64 => words::add_mod::<64>(a, b, &self.m),
            _ => words::add_mod::<52>(a, b, &self.m),
        }
    }

    pub(crate) fn sub_assign(&self, a: &mut [u64], b: &[u64]) {
        match self.kernel.word_bits() {
            64 => words::sub_mod::<64>(a, b, &self.m),
            _ => words::sub_mod::<52>(a, b, &self.m),
        }
    }

    pub(crate) fn neg_assign(&self, a: &mut [u64]) {
        match self.kernel.word_bits() {
            64 => words::neg_mod::<64>(a, &self.m),
            _ => words::neg_mod::<52>(a, &self.m),
        }
    }

    /// The words of x·R mod m for any x.
    pub(crate) fn words_of(&self, x: &BigUint, scratch: &mut [u64]) -> Vec<u64> {
        let width = self.kernel.word_bits();
        let mut out = if x < &self.value {
            words::split(x, self.words(), width)
        } else {
            words::split(&(x % &self.value), self.words(), width)
        };
        self.mul_assign(&mut out, &self.r_squared, scratch);
        out
    }

    /// The number in [0, m) whose Montgomery form is `a`.
    pub(crate) fn integer_from(&self, a: &[u64], scratch: &mut [u64]) -> BigUint {
        let mut unit = vec![0u64; self.words()];
        unit[0] = 1;
        // unit·a/R: the words of `a` are only read, so that the plain number is in `unit` alone.
        self.mul_assign(&mut unit, a, scratch);
        let out = words::join(&unit, self.kernel.word_bits());
        zeroize::Zeroize::zeroize(&mut unit);
        out
    }

    /// Copies entry `index` of `table` (entries of [`Self::words`] words) to `out`, reading every entry.
    pub(crate) fn select(&self, out: &mut [u64], table: &[u64], index: u64) {
        out.fill(0);
        for (i, entry) in (0u64..).zip(table.chunks_exact(self.words())) {
            let keep = crate::ct::eq_mask(i, index);
            for (x, &y) in out.iter_mut().zip(entry) {
                *x |= y & keep;
            }
        }
    }
}
