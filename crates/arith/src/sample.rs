//! Uniform random integers from a cryptographic generator.

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::{One, Zero};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{ArithError, Modulus};

/// Uniform in [0, 2^`bits`).
pub fn random_bits(rng: &mut impl CryptoRng, bits: u64) -> BigUint {
    let length = usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(vec![0u8; length]);
    rng.fill_bytes(&mut bytes);
    if let Some(top) = bytes.last_mut() {
        // Between 0 and 7 bits of the highest byte are too many.
        *top >>= (8 - bits % 8) % 8;
    }
    BigUint::from_bytes_le(&bytes)
}

/// Uniform in [0, `bound`), by drawing again until the draw is below; 0 for a `bound` of 0.
///
/// # Security
/// The number of draws is independent of the one that is kept.
#[doc(alias = "uniform")]
pub fn random_below(rng: &mut impl CryptoRng, bound: &BigUint) -> BigUint {
    if bound.is_zero() {
        return BigUint::ZERO;
    }
    let bits = (bound - 1u8).bits();
    loop {
        let mut draw = random_bits(rng, bits);
        if &draw < bound {
            return draw;
        }
        crate::wipe_uint(&mut draw);
    }
}

/// Uniform in [`low`, `high`).
///
/// # Errors
/// [`ArithError::EmptyRange`] unless `low` < `high`.
pub fn random_range(rng: &mut impl CryptoRng, low: &BigUint, high: &BigUint) -> Result<BigUint, ArithError> {
    if low >= high {
        return Err(ArithError::EmptyRange);
    }
    Ok(low + random_below(rng, &(high - low)))
}

/// Uniform among the numbers in [1, m) that are coprime to m.
///
/// ```
/// use subrosa_arith::{Modulus, sample};
///
/// let modulus = Modulus::new(&15_u8.into())?;
/// let unit = modulus.residue(&sample::random_unit(&mut rand::rng(), &modulus));
/// assert!(modulus.vartime_invert(&unit).is_some());
/// # Ok::<(), subrosa_arith::ArithError>(())
/// ```
#[doc(alias = "coprime")]
pub fn random_unit(rng: &mut impl CryptoRng, modulus: &Modulus) -> BigUint {
    loop {
        let draw = random_below(rng, modulus.value());
        // 1 is among them, so that the loop ends.
        if draw.gcd(modulus.value()).is_one() {
            return draw;
        }
    }
}
