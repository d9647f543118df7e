use num_bigint::{BigInt, BigUint};
use num_traits::{One, Signed, ToPrimitive, Zero};

use crate::{Ciphertext, PaillierError, PublicKey};

/// Scale and bound of a fixed-point number: the number is `mantissa · 2^−scale` with `|mantissa| ≤ bound`.
///
/// Operations on encodings give the encodings of the results of the same operations on numbers. A whole computation can
/// thus be planned, or refused, before anything is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias("fixed point", "precision"))]
pub struct Encoding {
    scale: u32,
    bound: BigUint,
}

impl Encoding {
    /// Numbers with `scale` bits behind the point and mantissas of magnitude up to `bound`.
    pub fn new(scale: u32, bound: BigUint) -> Self {
        Self { scale, bound }
    }

    /// Bits behind the point.
    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// Greatest magnitude of the mantissa.
    pub fn bound(&self) -> &BigUint {
        &self.bound
    }

    /// The encoding of a sum.
    ///
    /// # Errors
    /// [`PaillierError::ScaleMismatch`].
    pub fn add(&self, other: &Self) -> Result<Self, PaillierError> {
        if self.scale != other.scale {
            return Err(PaillierError::ScaleMismatch { left: self.scale, right: other.scale });
        }
        Ok(Self { scale: self.scale, bound: &self.bound + &other.bound })
    }

    /// The encoding of a product.
    pub fn mul(&self, other: &Self) -> Self {
        Self { scale: self.scale.saturating_add(other.scale), bound: &self.bound * &other.bound }
    }

    /// Refuses an encoding whose numbers `key` cannot hold.
    ///
    /// # Errors
    /// [`PaillierError::BoundTooLarge`] if the bound could pass N/2.
    pub fn check(&self, key: &PublicKey) -> Result<(), PaillierError> {
        if key.holds(&self.bound) {
            return Ok(());
        }
        Err(PaillierError::BoundTooLarge { bits: self.bound.bits(), key_bits: key.bits() })
    }
}

/// A fixed-point number in the clear, with its encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias("EncodedNumber", "fixed point"))]
pub struct Encoded {
    mantissa: BigInt,
    encoding: Encoding,
}

impl Encoded {
    /// The number `mantissa · 2^−scale`.
    ///
    /// # Errors
    /// [`PaillierError::NotEncodable`] if the mantissa is beyond the bound.
    pub fn new(mantissa: BigInt, encoding: Encoding) -> Result<Self, PaillierError> {
        if mantissa.magnitude() > encoding.bound() {
            return Err(PaillierError::NotEncodable { reason: "it is beyond its bound" });
        }
        Ok(Self { mantissa, encoding })
    }

    /// `value` rounded to the nearest multiple of `2^−scale`; halves away from zero.
    ///
    /// # Errors
    /// [`PaillierError::NotEncodable`] if it is not finite or beyond the bound.
    pub fn from_f64(value: f64, encoding: Encoding) -> Result<Self, PaillierError> {
        let not_finite = PaillierError::NotEncodable { reason: "it is not finite" };
        if !value.is_finite() {
            return Err(not_finite);
        }
        // A double is an integer times a power of two, so that scaling and rounding are exact.
        let bits = value.to_bits();
        let exponent = i64::try_from(bits >> 52 & 0x7ff).map_err(|_| not_finite)?;
        let fraction = bits & ((1 << 52) - 1);
        let significand = BigInt::from(if exponent == 0 { fraction } else { fraction | 1 << 52 });
        let shift = exponent.max(1) - 1075 + i64::from(encoding.scale);
        let magnitude = match u64::try_from(shift) {
            // The value is surely beyond the bound, and may be too long to represent.
            Ok(left) if left > encoding.bound.bits() && !significand.is_zero() => {
                return Err(PaillierError::NotEncodable { reason: "it is beyond its bound" });
            }
            Ok(left) if !significand.is_zero() => significand << left,
            Ok(_) => significand,
            Err(_) => round_shift(&significand, shift.unsigned_abs()),
        };
        Self::new(if value < 0.0 { -magnitude } else { magnitude }, encoding)
    }

    /// The integer that is encrypted.
    pub fn mantissa(&self) -> &BigInt {
        &self.mantissa
    }

    /// Scale and bound.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        // Keep 64 bits before converting, so that mantissas of thousands of bits do not overflow to infinity.
        let excess = self.mantissa.bits().saturating_sub(64);
        let head = (self.mantissa.abs() >> excess).to_f64().unwrap_or(f64::INFINITY);
        let exponent =
            i64::try_from(excess).unwrap_or(i64::MAX).saturating_sub(i64::from(self.encoding.scale));
        let exponent = i32::try_from(exponent.clamp(-4000, 4000)).unwrap_or(0);
        // In two steps, so that a subnormal result does not underflow on the way.
        let value = head * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2);
        if self.mantissa.is_negative() { -value } else { value }
    }
}

/// `value / 2^shift` for a value that is not negative, rounded to the nearest integer, halves up.
fn round_shift(value: &BigInt, shift: u64) -> BigInt {
    if shift > value.bits() + 1 {
        return BigInt::zero();
    }
    (value + (BigInt::one() << (shift - 1))) >> shift
}

/// An encrypted fixed-point number that carries its scale and bound through every operation.
///
/// ```
/// use num_bigint::BigUint;
/// use subrosa_paillier::{Blinder, Encoded, Encoding, EncryptedNumber, PrivateKey, Randomness};
///
/// let mut rng = rand::rng();
/// let private = PrivateKey::generate_insecure(512, &mut rng)?;
/// let key = private.public();
/// let blinder = Blinder::new(key, Randomness::Short, 1 << 18)?;
///
/// // 20 bits behind the point, magnitudes up to 2^20.
/// let encoding = Encoding::new(20, BigUint::from(1_u8) << 40_u32);
/// let price = Encoded::from_f64(19.5, encoding.clone())?;
/// let price = EncryptedNumber::new(key, blinder.encrypt(price.mantissa(), &mut rng)?.into_inner(), encoding.clone())?;
///
/// let sum = price.vartime_mul_plain(key, &Encoded::from_f64(-3.0, encoding)?)?;
/// assert_eq!(sum.encoding().scale(), 40);
/// assert_eq!(sum.decode(private.decrypt(sum.ciphertext())?)?.to_f64(), -58.5);
/// # Ok::<(), subrosa_paillier::PaillierError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EncryptedNumber {
    ciphertext: Ciphertext,
    encoding: Encoding,
}

impl EncryptedNumber {
    /// A ciphertext of a mantissa together with its encoding.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`], [`PaillierError::BoundTooLarge`] if `key` cannot hold such numbers.
    pub fn new(key: &PublicKey, ciphertext: Ciphertext, encoding: Encoding) -> Result<Self, PaillierError> {
        key.check(&ciphertext)?;
        encoding.check(key)?;
        Ok(Self { ciphertext, encoding })
    }

    /// The ciphertext of the mantissa, not blinded.
    pub fn ciphertext(&self) -> &Ciphertext {
        &self.ciphertext
    }

    /// Scale and bound.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// The sum of two numbers.
    ///
    /// # Errors
    /// [`PaillierError::ScaleMismatch`], [`PaillierError::OtherKey`], [`PaillierError::BoundTooLarge`].
    pub fn add(&self, key: &PublicKey, other: &Self) -> Result<Self, PaillierError> {
        let encoding = self.encoding.add(&other.encoding)?;
        encoding.check(key)?;
        Self::new(key, key.add(&self.ciphertext, &other.ciphertext)?, encoding)
    }

    /// The sum with a number in the clear.
    ///
    /// # Errors
    /// [`PaillierError::ScaleMismatch`], [`PaillierError::OtherKey`], [`PaillierError::BoundTooLarge`].
    pub fn add_plain(&self, key: &PublicKey, other: &Encoded) -> Result<Self, PaillierError> {
        let encoding = self.encoding.add(&other.encoding)?;
        encoding.check(key)?;
        Self::new(key, key.add_plain(&self.ciphertext, &other.mantissa)?, encoding)
    }

    /// The product with a number in the clear that is not secret: the time taken depends on it.
    ///
    /// The new bound takes the factor's own magnitude, which is at most the factor's bound.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`], [`PaillierError::BoundTooLarge`].
    pub fn vartime_mul_plain(&self, key: &PublicKey, factor: &Encoded) -> Result<Self, PaillierError> {
        let exact = Encoding::new(factor.encoding.scale, factor.mantissa.magnitude().clone());
        let encoding = self.encoding.mul(&exact);
        encoding.check(key)?;
        Self::new(key, key.vartime_mul_plain(&self.ciphertext, &factor.mantissa)?, encoding)
    }

    /// The number that a decrypted mantissa stands for.
    ///
    /// # Errors
    /// [`PaillierError::NotEncodable`] if the mantissa is beyond the bound: the ciphertext was not what it claimed.
    pub fn decode(&self, mantissa: BigInt) -> Result<Encoded, PaillierError> {
        Encoded::new(mantissa, self.encoding.clone())
    }
}
