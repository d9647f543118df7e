//! Scores as whole numbers, in flat arrays.
//!
//! A row holds one account: its risk types side by side in lanes of a slot's width, as they lie in a plaintext of
//! Paillier. So one multiplication by a weight serves all of them, and nothing carries from one lane into the next
//! as long as the plan's bounds hold.

use num_bigint::{BigInt, BigUint};

use super::weights::fixed_point;
use crate::error::Error;
use crate::network::Network;
use crate::plan::Plan;

/// One row of 64-bit words, lowest first, for each account.
#[derive(Clone, PartialEq, Eq)]
pub struct FixedScores {
    words: usize,
    rows: Vec<u64>,
}

/// Leaves the scores out: they are the bank's secret.
impl std::fmt::Debug for FixedScores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FixedScores(<redacted>, {} accounts)", self.len())
    }
}

impl FixedScores {
    /// Zeros for a number of accounts, wide enough for the whole of the plan.
    #[must_use]
    pub fn zeros(accounts: usize, plan: &Plan) -> Self {
        let words = (plan.slot_bits() * plan.columns()).div_ceil(64);
        Self { words, rows: vec![0; accounts * words] }
    }

    /// The scores before the first step, ⌊s·2^f₀⌉ each.
    ///
    /// # Errors
    /// [`Error::Internal`] where the network has other risk types than the plan.
    pub fn initial(network: &Network, plan: &Plan) -> Result<Self, Error> {
        let mut scores = Self::zeros(network.account_count(), plan);
        if network.initial_scores().len() != scores.len() * plan.columns() {
            return Err(Error::internal("the network has other risk types than the plan"));
        }
        let rows = scores.rows.chunks_mut(scores.words);
        for (row, values) in rows.zip(network.initial_scores().chunks(plan.columns())) {
            let mut packed = BigUint::ZERO;
            for value in values.iter().rev() {
                packed <<= plan.slot_bits();
                let value = fixed_point(*value, plan.score_bits());
                packed += value.ok_or(Error::Internal { place: "a score is not between 0 and 1" })?;
            }
            let digits = packed.iter_u64_digits();
            if digits.len() > row.len() {
                return Err(Error::internal("the scores of an account do not fit its row"));
            }
            for (word, digit) in row.iter_mut().zip(digits) {
                *word = digit;
            }
        }
        Ok(scores)
    }

    /// Rows that were written out by [`FixedScores::words_of_all`], if they fit plan and network.
    pub(crate) fn from_words(rows: Vec<u64>, accounts: usize, plan: &Plan) -> Option<Self> {
        let words = (plan.slot_bits() * plan.columns()).div_ceil(64);
        (rows.len() == accounts * words).then_some(Self { words, rows })
    }

    /// All rows, one after the other.
    pub(crate) fn words_of_all(&self) -> &[u64] {
        &self.rows
    }

    /// Number of accounts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() / self.words
    }

    /// Whether there are no accounts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Words of one row.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words
    }

    /// The words of an account.
    ///
    /// # Errors
    /// [`Error::Internal`] for an account that is not there.
    pub fn row(&self, account: usize) -> Result<&[u64], Error> {
        let row = self.rows.get(account * self.words..(account + 1) * self.words);
        row.ok_or(Error::Internal { place: "an account has no row of scores" })
    }

    /// An account's row as one number.
    ///
    /// # Errors
    /// As [`row`](Self::row).
    pub fn packed(&self, account: usize) -> Result<BigUint, Error> {
        Ok(from_words(self.row(account)?))
    }

    /// All rows, one after the other, for parallel work over them.
    pub(crate) fn rows_mut(&mut self) -> &mut [u64] {
        &mut self.rows
    }

    /// An account's scores, one for each risk type, as whole numbers at the present scale.
    ///
    /// # Errors
    /// As [`row`](Self::row).
    pub fn lanes(&self, account: usize, plan: &Plan) -> Result<Vec<BigUint>, Error> {
        Ok(lanes(&self.packed(account)?, plan))
    }

    /// The scores of all accounts, one after the other, as [`lanes`](Self::lanes) gives them.
    pub(crate) fn all_lanes(&self, plan: &Plan) -> impl Iterator<Item = BigUint> {
        self.rows.chunks(self.words).flat_map(|row| lanes(&from_words(row), plan))
    }
}

/// Splits a packed row into its lanes.
pub(crate) fn lanes(packed: &BigUint, plan: &Plan) -> Vec<BigUint> {
    let mask = (BigUint::from(1_u8) << plan.slot_bits()) - 1_u8;
    (0..plan.columns()).map(|lane| (packed >> (lane * plan.slot_bits())) & &mask).collect()
}

/// A number from its words, lowest first.
pub(crate) fn from_words(words: &[u64]) -> BigUint {
    BigUint::from_bytes_le(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())
}

/// Adds `weight·value` to `sum`, word by word. The plan makes both equally long and the sum fit.
pub(crate) fn add_product(sum: &mut [u64], value: &[u64], weight: u64) -> Result<(), Error> {
    if sum.len() != value.len() {
        return Err(Error::internal("rows of scores have different lengths"));
    }
    let mut carry = 0_u64;
    for (sum, value) in sum.iter_mut().zip(value) {
        let wide = u128::from(*sum) + u128::from(*value) * u128::from(weight) + u128::from(carry);
        (*sum, carry) = split(wide);
    }
    if carry == 0 { Ok(()) } else { Err(Error::internal("a sum of scores does not fit its row")) }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a 128-bit number")]
fn split(wide: u128) -> (u64, u64) {
    (wide as u64, (wide >> 64) as u64)
}

/// The disclosed score: `value`·2^−scale rounded to the plan's grid and kept within [0, 1], which noise may pass.
pub(crate) fn to_grid(value: &BigInt, scale: usize, decimals: u32) -> Result<f64, Error> {
    let grid = BigInt::from(10_u8).pow(decimals);
    let one = BigInt::from(1_u8) << scale;
    let twice: BigInt = (value * &grid * 2_u8 + &one) / (&one * 2_u8);
    let rounded = twice.clamp(BigInt::ZERO, grid.clone());
    // Decimal digits first, so that the float is the nearest to the decimal number.
    let digits = decimals as usize;
    let text = format!("{rounded:0>width$}", width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    let place = "a score on the grid is no number";
    format!("{whole}.{fraction}0").parse().map_err(|_| Error::Internal { place })
}

/// `value`·2^−scale, to the precision of a float.
#[expect(clippy::cast_precision_loss, reason = "a float is what is wanted")]
pub(crate) fn to_float(value: &BigUint, scale: usize) -> f64 {
    // The highest 64 bits are more than a float holds; the shift keeps both factors within its range.
    let excess = value.bits().saturating_sub(64);
    // Zero has no digits.
    let top = (value >> excess).iter_u64_digits().next().unwrap_or(0);
    top as f64 * f64::exp2(excess as f64 - scale as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn floats_of_any_scale() {
        let power = |bits: usize| BigUint::from(1_u8) << bits;
        assert_eq!(to_float(&(power(5000) * 3_u8), 5002), 0.75);
        assert_eq!(to_float(&power(115), 115), 1.0);
        assert_eq!(to_float(&BigUint::from(3_u8), 5000), 0.0);
        assert_eq!(to_float(&BigUint::ZERO, 115), 0.0);
        assert_eq!(to_float(&(power(115) / 3_u8), 115), 1.0 / 3.0);
    }

    #[test]
    fn grid() {
        let at = |value: i64, scale, decimals| to_grid(&BigInt::from(value), scale, decimals).unwrap();
        assert_eq!(at(1, 1, 1), 0.5);
        assert_eq!(at(1, 2, 1), 0.3);
        assert_eq!(at(1, 3, 3), 0.125);
        assert_eq!(at(-5, 3, 3), 0.0);
        assert_eq!(at(9, 3, 3), 1.0);
        assert_eq!(at(3, 2, 0), 1.0);
        assert_eq!(at(1234, 20, 7), 0.001_176_8);
    }

    proptest! {
        #[test]
        fn products_match_big_numbers(
            sum in proptest::collection::vec(any::<u64>(), 4),
            value in proptest::collection::vec(any::<u64>(), 4),
            weight in prop_oneof![Just(0), Just(1), any::<u64>()],
        ) {
            let expected = from_words(&sum) + from_words(&value) * weight;
            let mut found = sum.clone();
            let fits = add_product(&mut found, &value, weight).is_ok();
            prop_assert_eq!(fits, expected.bits() <= 256);
            prop_assert!(!fits || from_words(&found) == expected);
            prop_assert!(add_product(&mut found, &value[..3], weight).is_err());
        }
    }
}
