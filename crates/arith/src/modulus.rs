//! The modulus as its users see it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use num_bigint::{BigInt, BigUint, Sign};

use crate::context::{Context, MAX_BITS};
use crate::wiped::Wiped;
use crate::words::SMALL_BITS;
use crate::{ArithError, Kernel, Residue};

/// An odd modulus of 2 to 16,384 bits with its Montgomery constants.
///
/// Made once and cloned cheaply: clones share the constants, which are overwritten with zeros when the last of them is
/// dropped, since a modulus may be a secret prime. All methods that do not have `vartime` in their name run
/// in a time that depends on the sizes of their arguments only, except the conversions from and to
/// [`BigUint`]/[`BigInt`].
#[derive(Clone)]
#[doc(alias("Montgomery", "modular arithmetic"))]
pub struct Modulus {
    pub(crate) context: Arc<Context>,
}

impl fmt::Debug for Modulus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value is left out: a secret prime is a modulus, too.
        f.debug_struct("Modulus")
            .field("bits", &self.bits())
            .field("kernel", &self.kernel())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Modulus {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl Eq for Modulus {}

impl Modulus {
    /// The context of `m`, with the fastest kernel that this processor has.
    ///
    /// # Errors
    /// `m` is even, smaller than 3 or longer than 16,384 bits.
    pub fn new(m: &BigUint) -> Result<Self, ArithError> {
        Self::with_kernel(m, Kernel::fastest(m.bits()))
    }

    /// The context of `m` with a certain kernel, for tests and measurements.
    ///
    /// # Errors
    /// As [`Modulus::new`]; and [`ArithError::KernelUnavailable`] where the processor cannot run it.
    pub fn with_kernel(m: &BigUint, kernel: Kernel) -> Result<Self, ArithError> {
        if m.bits() > MAX_BITS {
            return Err(ArithError::ModulusTooLarge { bits: m.bits(), limit: MAX_BITS });
        }
        if m.bits() < 2 {
            return Err(ArithError::ModulusTooSmall);
        }
        if !m.bit(0) {
            return Err(ArithError::EvenModulus);
        }
        let context = Context::new(m.clone(), kernel).ok_or(ArithError::KernelUnavailable(kernel))?;
        Ok(Self { context: Arc::new(context) })
    }

    /// The modulus.
    pub fn value(&self) -> &BigUint {
        self.context.value()
    }

    /// Bits of the modulus.
    pub fn bits(&self) -> u64 {
        self.context.bits()
    }

    /// The kernel in use.
    pub fn kernel(&self) -> Kernel {
        self.context.kernel()
    }

    /// Bytes that one residue occupies, without the fixed part.
    pub fn residue_bytes(&self) -> usize {
        self.context.words() * 8
    }

    /// `x` mod m.
    pub fn residue(&self, x: &BigUint) -> Residue {
        self.wrap(self.context.words_of(x, &mut self.scratch()))
    }

    /// `x` mod m for an `x` of either sign.
    pub fn residue_signed(&self, x: &BigInt) -> Residue {
        let magnitude = self.residue(x.magnitude());
        if x.sign() == Sign::Minus { self.neg(&magnitude) } else { magnitude }
    }

    /// `x` mod m.
    pub fn residue_u64(&self, x: u64) -> Residue {
        self.residue(&BigUint::from(x))
    }

    /// The number in [0, m) that `r` stands for.
    pub fn to_uint(&self, r: &Residue) -> BigUint {
        self.context.integer_from(&self.own(r), &mut self.scratch())
    }

    /// 0.
    pub fn zero(&self) -> Residue {
        self.wrap(Wiped::zeros(self.context.words()))
    }

    /// 1.
    pub fn one(&self) -> Residue {
        self.wrap(Wiped::from(self.context.one()))
    }

    /// Whether `r` is 0; reads all words.
    pub fn is_zero(&self, r: &Residue) -> bool {
        self.own(r).iter().fold(0, |acc, &word| acc | word) == 0
    }

    /// Whether `r` is 1; reads all words.
    pub fn is_one(&self, r: &Residue) -> bool {
        self.own(r).iter().zip(self.context.one()).fold(0, |acc, (&a, &b)| acc | (a ^ b)) == 0
    }

    /// Whether `a` and `b` are the same modulo m; reads all words.
    pub fn eq(&self, a: &Residue, b: &Residue) -> bool {
        self.own(a).iter().zip(self.own(b).iter()).fold(0, |acc, (&a, &b)| acc | (a ^ b)) == 0
    }

    /// `a + b`.
    pub fn add(&self, a: &Residue, b: &Residue) -> Residue {
        let mut out = self.take(a);
        self.add_assign(&mut out, b);
        out
    }

    /// `a − b`.
    pub fn sub(&self, a: &Residue, b: &Residue) -> Residue {
        let mut out = self.take(a);
        self.sub_assign(&mut out, b);
        out
    }

    /// `−a`.
    pub fn neg(&self, a: &Residue) -> Residue {
        let mut out = self.take(a);
        self.context.neg_assign(&mut out.words);
        out
    }

    /// `a·b`.
    pub fn mul(&self, a: &Residue, b: &Residue) -> Residue {
        let mut out = self.take(a);
        self.mul_assign(&mut out, b);
        out
    }

    /// `a²`, faster than `a·a`.
    pub fn square(&self, a: &Residue) -> Residue {
        let mut out = self.take(a);
        self.square_assign(&mut out);
        out
    }

    /// `a += b`.
    pub fn add_assign(&self, a: &mut Residue, b: &Residue) {
        self.adopt(a);
        self.context.add_assign(&mut a.words, &self.own(b));
    }

    /// `a −= b`.
    pub fn sub_assign(&self, a: &mut Residue, b: &Residue) {
        self.adopt(a);
        self.context.sub_assign(&mut a.words, &self.own(b));
    }

    /// `a ·= b`.
    pub fn mul_assign(&self, a: &mut Residue, b: &Residue) {
        self.adopt(a);
        self.context.mul_assign(&mut a.words, &self.own(b), &mut self.scratch());
        self.context.finish(&mut a.words);
    }

    /// `a = a²`.
    pub fn square_assign(&self, a: &mut Residue) {
        self.adopt(a);
        self.context.square_assign(&mut a.words, &mut self.scratch());
        self.context.finish(&mut a.words);
    }

    /// `a·c`, at the cost of a few passes over the words.
    ///
    /// # Security
    /// The time tells whether `c` reaches 2^55; apart from that it depends on the modulus' size only.
    pub fn mul_u64(&self, a: &Residue, c: u64) -> Residue {
        let mut out = self.take(a);
        if c >> SMALL_BITS == 0 {
            self.context.mul_small_assign(&mut out.words, c);
            return out;
        }
        // c = high·2^32 + low: a·high·2^32 + a·low.
        let mut lower = out.clone();
        self.context.mul_small_assign(&mut lower.words, c & 0xffff_ffff);
        self.context.mul_small_assign(&mut out.words, c >> 32);
        self.context.mul_small_assign(&mut out.words, 1 << 32);
        self.context.add_assign(&mut out.words, &lower.words);
        out
    }

    /// The inverse of `a`, or `None` where `a` and m have a common divisor. For public values only: the time taken
    /// depends on them.
    #[doc(alias("modular inverse", "modinv", "GCD"))]
    pub fn vartime_invert(&self, a: &Residue) -> Option<Residue> {
        self.to_uint(a).modinv(self.value()).map(|inverse| self.residue(&inverse))
    }

    /// Scratch space for the kernels; wiped after use since it holds products of what may be secret.
    pub(crate) fn scratch(&self) -> Wiped {
        Wiped::zeros(self.context.scratch_words())
    }

    /// A residue of loose words.
    pub(crate) fn wrap_loose(&self, mut words: Wiped) -> Residue {
        self.context.finish(&mut words);
        self.wrap(words)
    }

    /// A residue of reduced words.
    pub(crate) fn wrap(&self, words: Wiped) -> Residue {
        Residue { context: Arc::clone(&self.context), words }
    }

    /// The words of `r` in this context's form.
    pub(crate) fn own<'a>(&self, r: &'a Residue) -> Own<'a> {
        if self.context.same_form(&r.context) {
            Own::Borrowed(&r.words)
        } else {
            Own::Converted(self.context.words_of(&r.to_integer(), &mut self.scratch()))
        }
    }

    /// A copy of `r` that belongs to this modulus.
    fn take(&self, r: &Residue) -> Residue {
        self.wrap(Wiped::from(&*self.own(r)))
    }

    /// Makes `r` belong to this modulus.
    fn adopt(&self, r: &mut Residue) {
        if !self.context.same_form(&r.context) {
            *r = self.take(r);
        }
    }
}

/// The words of a residue, converted only where it belongs to another modulus.
pub(crate) enum Own<'a> {
    Borrowed(&'a [u64]),
    Converted(Wiped),
}

impl Deref for Own<'_> {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        match self {
            Own::Borrowed(words) => words,
            Own::Converted(words) => words,
        }
    }
}
