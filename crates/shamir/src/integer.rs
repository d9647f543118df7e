use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::Zero;
use rand_core::CryptoRng;

use crate::lagrange::{factorial, integer_lagrange_at_zero};
use crate::share::into_unsigned;
use crate::{IntegerShare, ShamirError};
use subrosa_arith::{sample, wipe_uint};

/// Shamir sharing over the integers, for secrets that are exponents in a group of unknown order.
///
/// A secret s is dealt by `f(X) = Δ·s + Σ_{m=1..t} aₘ·X^m` with `Δ = n!` and every `aₘ` uniform in `[0, A)`.
/// Any t+1 shares give `Δ²·s` by [`integer_lagrange_at_zero`] without a division.
///
/// # Security
/// Over ℤ hiding is statistical. For two secrets that differ by at most B, the views of any t parties are within
/// statistical distance `t·Δ·B/A`. The polynomial that turns one secret into the other is `Δ·(s′−s)·∏_{i∈C}(i−X)/i`.
/// Its coefficients are integers, and the magnitudes of all but the constant one add up to at most `t·Δ·B`. With `A =
/// t·Δ·B·2^σ` the distance is at most 2^−σ. See Damgård–Thorbek, *Linear Integer Secret Sharing*, PKC 2006, and Rabin,
/// *A Simplified Approach to Threshold and Proactive RSA*, CRYPTO 1998.
///
/// ```
/// use num_bigint::{BigInt, BigUint};
/// use subrosa_shamir::IntegerSharing;
///
/// // Five parties, any three of which are enough; secrets of up to 64 bits, hidden up to 2^−80.
/// let secrets = BigUint::from(u64::MAX);
/// let sharing = IntegerSharing::new(5, 2, IntegerSharing::hiding_bound(5, 2, &secrets, 80))?;
/// let shares = sharing.share(&BigInt::from(-42), &mut rand::rng());
/// assert_eq!(sharing.reconstruct(&shares[1..4])?, BigInt::from(-42));
/// assert!(sharing.reconstruct(&shares[1..3]).is_err());
/// # Ok::<(), subrosa_shamir::ShamirError>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias("LISS", "linear integer secret sharing"))]
pub struct IntegerSharing {
    parties: u32,
    degree: u32,
    coefficient_bound: BigUint,
}

impl IntegerSharing {
    /// Creates a sharing among `parties`, with polynomials of `degree` whose coefficients lie in `[0,
    /// coefficient_bound)`.
    ///
    /// # Errors
    /// [`ShamirError::DegreeTooHigh`] if not even all parties could reconstruct, [`ShamirError::OutOfRange`] if the
    /// bound is 0.
    pub fn new(parties: u32, degree: u32, coefficient_bound: BigUint) -> Result<Self, ShamirError> {
        if degree >= parties {
            return Err(ShamirError::DegreeTooHigh { degree, parties });
        }
        if coefficient_bound.is_zero() {
            return Err(ShamirError::OutOfRange { what: "a coefficient bound of at least 1" });
        }
        Ok(Self { parties, degree, coefficient_bound })
    }

    /// Computes the bound `A = t·Δ·B·2^σ`, with which secrets that differ by at most B are hidden up to distance 2^−σ.
    pub fn hiding_bound(parties: u32, degree: u32, difference: &BigUint, sigma: u32) -> BigUint {
        (factorial(parties) * degree.max(1) * difference) << sigma
    }

    /// Returns the degree t of the polynomials.
    pub fn degree(&self) -> u32 {
        self.degree
    }

    /// Deals `secret`, of either sign, to all parties.
    pub fn share(&self, secret: &BigInt, rng: &mut impl CryptoRng) -> Vec<IntegerShare> {
        self.deal(BigInt::from(factorial(self.parties)) * secret, rng)
    }

    /// Deals a polynomial whose value at 0 is `constant` itself, without the factor Δ.
    pub fn deal(&self, constant: BigInt, rng: &mut impl CryptoRng) -> Vec<IntegerShare> {
        let mut coefficients: Vec<BigUint> =
            (0..self.degree).map(|_| sample::random_below(rng, &self.coefficient_bound)).collect();
        let shares = (1..=self.parties)
            .map(|j| {
                let mut tail = BigUint::zero();
                for coefficient in coefficients.iter().rev() {
                    tail = (tail + coefficient) * j;
                }
                IntegerShare::new(j, &constant + BigInt::from(tail))
            })
            .collect();
        coefficients.iter_mut().for_each(wipe_uint);
        wipe_uint(&mut constant.into_parts().1);
        shares
    }

    /// Reconstructs the secret from at least t+1 shares, for tests and for dealers that check their dealing.
    ///
    /// # Errors
    /// [`ShamirError::TooFewShares`], [`ShamirError::BadPoint`], and [`ShamirError::Inconsistent`] if the shares are
    /// not those of an integer secret.
    pub fn reconstruct(&self, shares: &[IntegerShare]) -> Result<BigInt, ShamirError> {
        let degree = self.degree;
        if shares.len() <= degree as usize {
            return Err(ShamirError::TooFewShares { given: shares.len(), degree });
        }
        let points: Vec<u32> = shares.iter().map(IntegerShare::point).collect();
        let coefficients = integer_lagrange_at_zero(self.parties, &points)?;
        let scaled: BigInt = coefficients.iter().zip(shares).map(|(c, share)| c * share.expose()).sum();
        let delta = BigInt::from(factorial(self.parties));
        let (secret, remainder) = scaled.div_rem(&(&delta * &delta));
        if remainder.is_zero() { Ok(secret) } else { Err(ShamirError::Inconsistent { degree }) }
    }

    /// Adds one party's shares from all dealers. The sum must not be negative.
    ///
    /// # Errors
    /// [`ShamirError::OutOfRange`] if the sum is negative, [`ShamirError::BadPoint`] if the points differ.
    pub fn total(shares: &[IntegerShare]) -> Result<BigUint, ShamirError> {
        let first = shares.first().ok_or(ShamirError::TooFewShares { given: 0, degree: 0 })?;
        if let Some(other) = shares.iter().find(|share| share.point() != first.point()) {
            return Err(ShamirError::BadPoint { point: other.point() });
        }
        let total: BigInt = shares.iter().map(IntegerShare::expose).sum();
        into_unsigned(total).ok_or(ShamirError::OutOfRange { what: "a share of at least 0" })
    }
}
