//! Exact arithmetic on polynomials modulo X^N + 1 with coefficients modulo 2⁶⁴.

use crate::{Error, Result};

/// Running sums of a polynomial's negacyclic extension, with which a product by Σ X^−i over a range costs N
/// subtractions.
#[derive(Debug, Default)]
pub(crate) struct PrefixSums {
    /// sums[j] = Σ_{i<j} aᵢ for j in 0..=2N, where a_{N+i} = −aᵢ.
    sums: Vec<u64>,
}

impl PrefixSums {
    /// Sums the polynomial anew, in the same memory.
    pub(crate) fn fill(&mut self, polynomial: &[u64]) {
        self.sums.clear();
        self.sums.reserve(2 * polynomial.len() + 1);
        let mut sum = 0u64;
        self.sums.push(sum);
        for coefficient in polynomial {
            sum = sum.wrapping_add(*coefficient);
            self.sums.push(sum);
        }
        for coefficient in polynomial {
            sum = sum.wrapping_sub(*coefficient);
            self.sums.push(sum);
        }
    }

    /// Adds `factor` · X^shift · a(X) · Σ_{i in low..high} X^−i; low ≤ high ≤ N, shift < N.
    ///
    /// # Errors
    /// [`Error::Internal`] if the sums have not been filled, or with a polynomial of another length.
    pub(crate) fn add_window(
        &self,
        low: usize,
        high: usize,
        shift: usize,
        factor: u64,
        out: &mut [u64],
    ) -> Result<()> {
        let (wrapped, straight) = out.split_at_mut(shift);
        let len = straight.len();
        self.add_differences(low, high, factor, straight)?;
        // What X^shift pushes over the end comes back negated.
        self.add_differences(low + len, high + len, factor.wrapping_neg(), wrapped)
    }

    /// out[j] += factor · (sums[high + j] − sums[low + j]).
    fn add_differences(&self, low: usize, high: usize, factor: u64, out: &mut [u64]) -> Result<()> {
        let sums = |first: usize| {
            let place = "window: it passes the end of the sums";
            self.sums.get(first..first + out.len()).ok_or(Error::Internal { place })
        };
        let (upper, lower) = (sums(high)?, sums(low)?);
        for ((out, upper), lower) in out.iter_mut().zip(upper).zip(lower) {
            *out = out.wrapping_add(upper.wrapping_sub(*lower).wrapping_mul(factor));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// a · X^e by definition, e of any sign.
    fn shifted(a: &[u64], e: i64) -> Vec<u64> {
        let n = i64::try_from(a.len()).unwrap();
        let mut out = vec![0u64; a.len()];
        for (i, value) in a.iter().enumerate() {
            let position = (i64::try_from(i).unwrap() + e).rem_euclid(2 * n);
            let index = usize::try_from(position % n).unwrap();
            out[index] = if position < n { *value } else { value.wrapping_neg() };
        }
        out
    }

    proptest! {
        #[test]
        fn windows_by_definition(
            a in proptest::collection::vec(any::<u64>(), 16),
            low in 0usize..=16, len in 0usize..=16, factor in any::<u64>(), shift in 0usize..16,
        ) {
            let high = (low + len).min(16);
            let mut expected = vec![5u64; 16];
            for i in low..high {
                let exponent = i64::try_from(shift).unwrap() - i64::try_from(i).unwrap();
                for (out, value) in expected.iter_mut().zip(shifted(&a, exponent)) {
                    *out = out.wrapping_add(value.wrapping_mul(factor));
                }
            }
            let mut out = vec![5u64; 16];
            let mut sums = PrefixSums::default();
            sums.fill(&a);
            sums.add_window(low, high, shift, factor, &mut out).unwrap();
            prop_assert_eq!(out, expected);
        }
    }
}
