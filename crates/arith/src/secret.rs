//! Secret integers: they know a public bound of their size, print nothing and wipe themselves.

use std::fmt;
use std::sync::OnceLock;

use num_bigint::BigUint;
use num_traits::Zero;
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{ArithError, sample};

/// Overwrites the words of `x` with ones, then makes it 0.
///
/// `num-bigint` has no way to wipe a number. But `x |= y` with a `y` of no more words than `x` writes to the words of
/// `x` where they are, so that an or with ones leaves ones in memory; and behind it stands
/// [`zeroize::optimization_barrier`], so that the writes count as read and cannot be left out as dead. What this cannot
/// reach: words that an earlier, longer value left in the unused part of the allocation, and copies that arithmetic
/// made on its way.
pub fn wipe_uint(x: &mut BigUint) {
    let words = x.iter_u64_digits().len();
    if words > 0 {
        match ONES.get(words) {
            Some(ones) => *x |= ones.get_or_init(|| all_ones(words)),
            None => *x |= &all_ones(words),
        }
        zeroize::optimization_barrier(x);
    }
    x.set_zero();
}

/// Numbers of so many words whose bits are all set: most secrets are no longer.
static ONES: [OnceLock<BigUint>; 257] = [const { OnceLock::new() }; 257];

fn all_ones(words: usize) -> BigUint {
    (BigUint::from(1u8) << (words * 64)) - 1u8
}

/// A non-negative secret integer with a **public** bound on its bits.
///
/// The bound alone decides how long an exponentiation with it takes; operations give their result the bound that
/// follows from those of the operands.
///
/// # Security
/// The value is wiped on drop ([`wipe_uint`]), `Debug` redacts it, and there is neither `Display` nor serialisation:
/// a protocol that stores or sends one calls [`SecretInt::expose`] where a reader sees it. Exponentiation is constant
/// time; addition, multiplication and reduction are those of `num-bigint`, which run through all words but whose
/// time depends on the number of words and, in reduction, may depend on the values.
#[derive(Clone)]
#[doc(alias("zeroize", "exponent"))]
pub struct SecretInt {
    value: BigUint,
    bits: u64,
}

impl Drop for SecretInt {
    fn drop(&mut self) {
        wipe_uint(&mut self.value);
    }
}

impl Zeroize for SecretInt {
    fn zeroize(&mut self) {
        wipe_uint(&mut self.value);
    }
}

impl ZeroizeOnDrop for SecretInt {}

impl fmt::Debug for SecretInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretInt(<redacted>, at most {} bits)", self.bits)
    }
}

impl SecretInt {
    /// `value`, which the caller states to be below 2^`bits`.
    ///
    /// # Errors
    /// [`ArithError::BoundExceeded`] if it is not; the value is wiped all the same.
    pub fn new(value: BigUint, bits: u64) -> Result<Self, ArithError> {
        // Made first, so that it wipes itself on the way out.
        let secret = Self { value, bits };
        if secret.value.bits() > bits { Err(ArithError::BoundExceeded { bound: bits }) } else { Ok(secret) }
    }

    /// 0, with a bound of 0 bits.
    pub fn zero() -> Self {
        Self { value: BigUint::ZERO, bits: 0 }
    }

    /// Uniform in [0, 2^`bits`).
    pub fn random_bits(rng: &mut impl CryptoRng, bits: u64) -> Self {
        Self { value: sample::random_bits(rng, bits), bits }
    }

    /// Uniform in [0, `bound`); 0 for a `bound` of 0.
    pub fn random_below(rng: &mut impl CryptoRng, bound: &BigUint) -> Self {
        let bits = if bound.is_zero() { 0 } else { (bound - 1u8).bits() };
        Self { value: sample::random_below(rng, bound), bits }
    }

    /// The public bound: the value is below 2^`bits()`.
    pub fn bits(&self) -> u64 {
        self.bits
    }

    /// The value.
    ///
    /// # Security
    /// It leaves the type here: what is computed from it is neither wiped nor redacted.
    pub fn expose(&self) -> &BigUint {
        &self.value
    }

    /// The same value with another bound.
    ///
    /// # Errors
    /// [`ArithError::BoundExceeded`] if the value does not keep within it.
    pub fn with_bits(&self, bits: u64) -> Result<Self, ArithError> {
        Self::new(self.value.clone(), bits)
    }

    /// Sum; the bound is one bit above the larger one.
    pub fn add(&self, other: &SecretInt) -> Self {
        Self { value: &self.value + &other.value, bits: self.bits.max(other.bits) + 1 }
    }

    /// Sum with a public number.
    pub fn add_uint(&self, other: &BigUint) -> Self {
        Self { value: &self.value + other, bits: self.bits.max(other.bits()) + 1 }
    }

    /// Difference; the bound stays.
    ///
    /// # Errors
    /// [`ArithError::NegativeDifference`].
    pub fn checked_sub(&self, other: &SecretInt) -> Result<Self, ArithError> {
        if self.value < other.value {
            return Err(ArithError::NegativeDifference);
        }
        Ok(Self { value: &self.value - &other.value, bits: self.bits })
    }

    /// Product; the bounds add up.
    pub fn mul(&self, other: &SecretInt) -> Self {
        Self { value: &self.value * &other.value, bits: self.bits + other.bits }
    }

    /// Product with a public number.
    pub fn mul_uint(&self, other: &BigUint) -> Self {
        Self { value: &self.value * other, bits: self.bits + other.bits() }
    }

    /// The value times 2^`by`.
    pub fn shl(&self, by: u64) -> Self {
        Self { value: &self.value << by, bits: self.bits + by }
    }

    /// The value divided by 2^`by`, rounded down.
    pub fn shr(&self, by: u64) -> Self {
        Self { value: &self.value >> by, bits: self.bits.saturating_sub(by) }
    }

    /// Remainder by a public number; the bound is that of the divisor.
    ///
    /// # Errors
    /// [`ArithError::EmptyRange`] for a divisor of 0.
    pub fn rem(&self, divisor: &BigUint) -> Result<Self, ArithError> {
        if divisor.is_zero() {
            return Err(ArithError::EmptyRange);
        }
        Ok(Self { value: &self.value % divisor, bits: divisor.bits() })
    }
}
