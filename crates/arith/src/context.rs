//! A modulus with everything that is computed from it once, and the operations on words that need it.

use num_bigint::BigUint;

use crate::kernel::Kernel;
#[cfg(target_arch = "x86_64")]
use crate::kernel::{ifma, mulx};
use crate::kernel::{portable, rows};
use crate::wipe_uint;
use crate::wiped::Wiped;
use crate::words::{self, SmallMultiplier};

/// The largest modulus, in bits: above this the kernels' column sums have not been bounded.
pub(crate) const MAX_BITS: u64 = 16_384;

/// Shared by all residues of one modulus.
///
/// The multiplications take and leave **loose** words, in [0, 2m) where the kernel is IFMA's, else in [0, m);
/// [`Context::finish`] makes them **reduced**, in [0, m). Additions and comparisons want reduced words.
pub(crate) struct Context {
    value: BigUint,
    bits: u64,
    kernel: Kernel,
    engine: Engine,
    /// m in words of the kernel.
    m: Wiped,
    /// −m⁻¹ mod 2^64.
    negated_inverse: u64,
    /// R mod m, which is 1 in Montgomery form.
    one: Wiped,
    /// R² mod m, which takes a number to Montgomery form.
    r_squared: Wiped,
    small: SmallMultiplier,
}

/// A modulus may be a secret prime, or its square.
impl Drop for Context {
    fn drop(&mut self) {
        wipe_uint(&mut self.value);
    }
}

/// The kernel with what it needs; a variant that exists can run on this processor.
enum Engine {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Mulx(mulx::MulxRows),
    #[cfg(target_arch = "x86_64")]
    Ifma(ifma::Constants),
}

/// The kernel's word width in bits, and the words that a modulus of this many bits takes.
fn layout(kernel: Kernel, bits: u64) -> (u32, usize) {
    let (width, words) = match kernel {
        #[cfg(target_arch = "x86_64")]
        Kernel::Mulx => (64, bits.div_ceil(64).next_multiple_of(4)),
        #[cfg(target_arch = "x86_64")]
        Kernel::Ifma => (ifma::WORD_BITS, ifma::words(bits)),
        _ => (64, bits.div_ceil(64)),
    };
    // At most 320, for `MAX_BITS`.
    (width, usize::try_from(words).unwrap_or(usize::MAX))
}

/// −m⁻¹ mod 2^64 for odd m, by Newton's iteration: each step doubles the number of right bits, from 3 to 96.
fn negated_inverse(m: u64) -> u64 {
    let mut inverse = m;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(m.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}

/// −m⁻¹ mod 2^bits for odd m, likewise.
#[cfg(target_arch = "x86_64")]
fn long_negated_inverse(m: &BigUint, bits: u64) -> BigUint {
    let modulus = BigUint::from(1u8) << bits;
    let low = |x: BigUint, bits: u64| x & ((BigUint::from(1u8) << bits) - 1u8);
    let mut inverse = BigUint::from(negated_inverse(m.iter_u64_digits().next().unwrap_or(1)).wrapping_neg());
    let mut right = 64;
    while right < bits {
        right = (2 * right).min(bits);
        // x ← x·(2 − m·x), and 2 − m·x ≡ 2 + 2^right − (m·x mod 2^right).
        let product = low(m * &inverse, right);
        inverse = low(inverse * ((BigUint::from(1u8) << right) + 2u8 - product), right);
    }
    modulus - low(inverse, bits)
}

impl Context {
    /// `value` is odd and in [3, 2^`MAX_BITS`); [`crate::Modulus`] checks it. `None` where the processor cannot run
    /// the kernel.
    pub(crate) fn new(value: BigUint, kernel: Kernel) -> Option<Self> {
        let bits = value.bits();
        let (width, words) = layout(kernel, bits);
        let r_bits = u64::from(width) * words as u64;
        let one = (BigUint::from(1u8) << r_bits) % &value;
        let r_squared = (&one * &one) % &value;
        let m = Wiped::from(words::split(&value, words, width));
        let engine = match kernel {
            Kernel::Portable => Engine::Portable,
            #[cfg(target_arch = "x86_64")]
            Kernel::Mulx => Engine::Mulx(mulx::MulxRows::new()?),
            #[cfg(target_arch = "x86_64")]
            Kernel::Ifma => {
                let inverse = Wiped::from(words::split(&long_negated_inverse(&value, r_bits), words, width));
                Engine::Ifma(ifma::Constants::new(&m, &inverse)?)
            }
            #[cfg(not(target_arch = "x86_64"))]
            Kernel::Mulx | Kernel::Ifma => return None,
        };
        Some(Self {
            bits,
            kernel,
            engine,
            negated_inverse: negated_inverse(value.iter_u64_digits().next().unwrap_or(1)),
            one: words::split(&one, words, width).into(),
            r_squared: words::split(&r_squared, words, width).into(),
            small: SmallMultiplier::new(&value),
            m,
            value,
        })
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

    /// m in words of the kernel.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn modulus_words(&self) -> &[u64] {
        &self.m
    }

    /// −m⁻¹ mod 2^64.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn negated_inverse(&self) -> u64 {
        self.negated_inverse
    }

    /// 2^`exponent` mod m, as words of the number itself. As many doublings as the exponent exceeds the bits of m by.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn power_of_two(&self, exponent: u64) -> Wiped {
        let width = u64::from(self.word_bits());
        let set = exponent.min(self.bits - 1);
        let mut power = Wiped::zeros(self.words());
        power[crate::words::index(set / width)] = 1 << (set % width);
        for _ in set..exponent {
            let same = power.clone();
            self.add_assign(&mut power, &same);
        }
        power
    }

    /// 1 in Montgomery form.
    pub(crate) fn one(&self) -> &[u64] {
        &self.one
    }

    /// Whether residues of the two contexts have the same words for the same number.
    pub(crate) fn same_form(&self, other: &Context) -> bool {
        std::ptr::eq(self, other) || (self.kernel == other.kernel && self.value == other.value)
    }

    /// Words of scratch space that [`Self::mul_assign`] and [`Self::square_assign`] need. They are zero at first, and
    /// whatever a multiplication leaves later on.
    pub(crate) fn scratch_words(&self) -> usize {
        match &self.engine {
            #[cfg(target_arch = "x86_64")]
            Engine::Ifma(constants) => constants.scratch_words(),
            _ => 2 * self.words() + rows::scratch_words(self.words()),
        }
    }

    /// `a = a·b/R mod m`, loose.
    pub(crate) fn mul_assign(&self, a: &mut [u64], b: &[u64], scratch: &mut [u64]) {
        match &self.engine {
            Engine::Portable => self.mul_by_rows(portable::PortableRows, a, b, scratch),
            #[cfg(target_arch = "x86_64")]
            Engine::Mulx(rows) => self.mul_by_rows(*rows, a, b, scratch),
            #[cfg(target_arch = "x86_64")]
            Engine::Ifma(constants) => constants.mul_assign(a, b, scratch),
        }
    }

    /// `a = a²/R mod m`, loose.
    pub(crate) fn square_assign(&self, a: &mut [u64], scratch: &mut [u64]) {
        match &self.engine {
            Engine::Portable => self.square_by_rows(portable::PortableRows, a, scratch),
            #[cfg(target_arch = "x86_64")]
            Engine::Mulx(rows) => self.square_by_rows(*rows, a, scratch),
            #[cfg(target_arch = "x86_64")]
            Engine::Ifma(constants) => constants.square_assign(a, scratch),
        }
    }

    /// Makes loose words reduced.
    pub(crate) fn finish(&self, a: &mut [u64]) {
        match &self.engine {
            #[cfg(target_arch = "x86_64")]
            Engine::Ifma(constants) => constants.finish(a),
            _ => debug_assert_eq!(a.len(), self.words()),
        }
    }

    fn mul_by_rows<R: rows::Rows>(&self, rows: R, a: &mut [u64], b: &[u64], scratch: &mut [u64]) {
        let (product, rest) = scratch.split_at_mut(2 * self.words());
        rows::multiply(rows, product, a, b, rest);
        self.reduce_by_rows(rows, a, product);
    }

    fn square_by_rows<R: rows::Rows>(&self, rows: R, a: &mut [u64], scratch: &mut [u64]) {
        let (product, rest) = scratch.split_at_mut(2 * self.words());
        rows::square(rows, product, a, rest);
        self.reduce_by_rows(rows, a, product);
    }

    fn reduce_by_rows<R: rows::Rows>(&self, rows: R, out: &mut [u64], product: &mut [u64]) {
        let carry = rows::reduce(rows, product, &self.m, self.negated_inverse);
        out.copy_from_slice(&product[self.words()..]);
        words::reduce_once::<64>(out, carry, &self.m);
    }

    /// Bits of a word that are in use.
    pub(crate) fn word_bits(&self) -> u32 {
        layout(self.kernel, self.bits).0
    }

    /// `a = a·c mod m` for c below 2^[`words::SMALL_BITS`]; `a` is loose before and reduced after.
    pub(crate) fn mul_small_assign(&self, a: &mut [u64], c: u64) {
        match self.word_bits() {
            64 => words::mul_small::<64>(a, c, &self.m, &self.small),
            _ => words::mul_small::<52>(a, c, &self.m, &self.small),
        }
    }

    pub(crate) fn add_assign(&self, a: &mut [u64], b: &[u64]) {
        match self.word_bits() {
            64 => words::add_mod::<64>(a, b, &self.m),
            _ => words::add_mod::<52>(a, b, &self.m),
        }
    }

    pub(crate) fn sub_assign(&self, a: &mut [u64], b: &[u64]) {
        match self.word_bits() {
            64 => words::sub_mod::<64>(a, b, &self.m),
            _ => words::sub_mod::<52>(a, b, &self.m),
        }
    }

    pub(crate) fn neg_assign(&self, a: &mut [u64]) {
        match self.word_bits() {
            64 => words::neg_mod::<64>(a, &self.m),
            _ => words::neg_mod::<52>(a, &self.m),
        }
    }

    /// The words of x·R mod m for any x, reduced.
    pub(crate) fn words_of(&self, x: &BigUint, scratch: &mut [u64]) -> Wiped {
        let width = self.word_bits();
        let mut out = Wiped::from(if x < &self.value {
            words::split(x, self.words(), width)
        } else {
            words::split(&(x % &self.value), self.words(), width)
        });
        self.mul_assign(&mut out, &self.r_squared, scratch);
        self.finish(&mut out);
        out
    }

    /// The number in [0, m) whose Montgomery form is `a`.
    pub(crate) fn integer_from(&self, a: &[u64], scratch: &mut [u64]) -> BigUint {
        let mut unit = Wiped::zeros(self.words());
        unit[0] = 1;
        // unit·a/R: the words of `a` are only read, so that the plain number is in `unit` alone.
        self.mul_assign(&mut unit, a, scratch);
        self.finish(&mut unit);
        words::join(&unit, self.word_bits())
    }

    /// Copies entry `index` of `table` (entries of [`Self::words`] words) to `out`, reading every entry.
    pub(crate) fn select(&self, out: &mut [u64], table: &[u64], index: u64) {
        #[cfg(target_arch = "x86_64")]
        if let Engine::Ifma(constants) = &self.engine {
            return constants.select(out, table, index);
        }
        out.fill(0);
        for (i, entry) in (0u64..).zip(table.chunks_exact(self.words())) {
            let keep = crate::ct::eq_mask(i, index);
            for (x, &y) in out.iter_mut().zip(entry) {
                *x |= y & keep;
            }
        }
    }
}
