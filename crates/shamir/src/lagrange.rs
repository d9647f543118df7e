use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};

use crate::ShamirError;

/// Computes Δ = `n!`, the factor that makes the Lagrange coefficients over the parties' points integers.
pub fn factorial(n: u32) -> BigUint {
    (2..=n).fold(BigUint::one(), |product, i| product * i)
}

/// Computes the coefficients `μⱼ = Δ·∏_{i∈S∖{j}} i/(i−j)` for the points of `subset`, in its order, with `Δ =
/// parties!`.
///
/// For an integer polynomial f of degree below `|S|` they give `Δ·f(0) = Σ μⱼ·f(j)` without a division
/// (Shoup, *Practical Threshold Signatures*, EUROCRYPT 2000, section 2.2).
///
/// ```
/// // Parties 1 and 3 of three, Δ = 6: the line through (1, 10) and (3, 4) is 13 at 0, and 9·10 − 3·4 = 6·13.
/// let coefficients = subrosa_shamir::integer_lagrange_at_zero(3, &[1, 3])?;
/// assert_eq!(coefficients, [9.into(), (-3).into()]);
/// # Ok::<(), subrosa_shamir::ShamirError>(())
/// ```
///
/// # Errors
/// [`ShamirError::BadPoint`] where a point is 0, greater than `parties`, or there twice.
#[doc(alias = "interpolation")]
pub fn integer_lagrange_at_zero(parties: u32, subset: &[u32]) -> Result<Vec<BigInt>, ShamirError> {
    integer_lagrange(parties, subset, 0)
}

/// Computes the coefficients as [`integer_lagrange_at_zero`], for the value at a point `at` from 0 to `parties` outside
/// the subset.
///
/// # Errors
/// [`ShamirError::BadPoint`] where a point is 0, greater than `parties`, or there twice, or `at` is greater
/// than `parties`.
pub fn integer_lagrange(parties: u32, subset: &[u32], at: u32) -> Result<Vec<BigInt>, ShamirError> {
    check_points(parties, subset)?;
    if at > parties {
        return Err(ShamirError::BadPoint { point: at });
    }
    let delta = BigInt::from(factorial(parties));
    let coefficient = |j: u32| {
        let (mut numerator, mut denominator) = (delta.clone(), BigInt::one());
        for &i in subset.iter().filter(|&&i| i != j) {
            numerator *= i64::from(i) - i64::from(at);
            denominator *= i64::from(i) - i64::from(j);
        }
        // Exact: the product of the |i−j| over distinct points of 1..=n divides n!/j up to the numerator's factor.
        let (quotient, remainder) = numerator.div_rem(&denominator);
        if remainder.is_zero() {
            Ok(quotient)
        } else {
            Err(ShamirError::Internal { place: "lagrange: a coefficient times Δ is no integer" })
        }
    };
    subset.iter().map(|&j| coefficient(j)).collect()
}

/// Refuses points that are 0, greater than `parties`, or repeated.
pub(crate) fn check_points(parties: u32, points: &[u32]) -> Result<(), ShamirError> {
    let mut seen = std::collections::BTreeSet::new();
    match points.iter().find(|&&point| point == 0 || point > parties || !seen.insert(point)) {
        Some(&point) => Err(ShamirError::BadPoint { point }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_of_three_parties_by_hand() {
        // Δ = 6; S = {1, 3}: μ₁ = 6·3/(3−1) = 9, μ₃ = 6·1/(1−3) = −3.
        assert_eq!(integer_lagrange_at_zero(3, &[1, 3]).unwrap(), [BigInt::from(9), BigInt::from(-3)]);
        // At 2 of the line through 1 and 3: the mean, times Δ.
        assert_eq!(integer_lagrange(3, &[1, 3], 2).unwrap(), [BigInt::from(3), BigInt::from(3)]);
    }

    #[test]
    fn bad_points_are_named() {
        for (points, bad) in [(&[0, 1][..], 0), (&[1, 4], 4), (&[2, 3, 2], 2)] {
            assert_eq!(integer_lagrange_at_zero(3, points), Err(ShamirError::BadPoint { point: bad }));
        }
        assert_eq!(integer_lagrange(3, &[1], 4), Err(ShamirError::BadPoint { point: 4 }));
    }

    #[test]
    fn every_coefficient_is_an_integer_up_to_seven_parties() {
        for n in 1u32..=7 {
            for mask in 1u32..1 << n {
                let subset: Vec<u32> = (1..=n).filter(|i| mask >> (i - 1) & 1 == 1).collect();
                for at in (0..=n).filter(|at| !subset.contains(at)) {
                    // The constant polynomial 1: the coefficients sum to Δ, which a truncated quotient breaks.
                    let sum: BigInt = integer_lagrange(n, &subset, at).unwrap().into_iter().sum();
                    assert_eq!(sum, BigInt::from(factorial(n)), "n {n} subset {subset:?} at {at}");
                }
            }
        }
    }
}
