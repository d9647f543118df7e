//! Scores as whole numbers, in flat arrays.
//!
//! A row holds one account: its risk types side by side in lanes of a slot's width, as they lie in a plaintext of
//! Paillier. So one multiplication by a weight serves all of them, and nothing carries from one lane into the next
//! as long as the plan's bounds hold.

use num_bigint::{BigInt, BigUint};
use num_traits::ToPrimitive;

use crate::network::Network;
use crate::plan::Plan;
use crate::weights::fixed_point;

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
    #[must_use]
    pub fn initial(network: &Network, plan: &Plan) -> Self {
        let mut scores = Self::zeros(network.account_count(), plan);
        let rows = scores.rows.chunks_mut(scores.words);
        for (row, values) in rows.zip(network.initial_scores().chunks(plan.columns())) {
            let mut packed = BigUint::ZERO;
            for value in values.iter().rev() {
                packed <<= plan.slot_bits();
                packed += fixed_point(*value, plan.score_bits()).unwrap_or_default();
            }
            for (word, digit) in row.iter_mut().zip(packed.iter_u64_digits()) {
                *word = digit;
            }
        }
        scores
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

    /// The words of an account; empty for one that is not there.
    #[must_use]
    pub fn row(&self, account: usize) -> &[u64] {
        self.rows.get(account * self.words..(account + 1) * self.words).unwrap_or(&[])
    }

    /// An account's row as one number.
    #[must_use]
    pub fn packed(&self, account: usize) -> BigUint {
        from_words(self.row(account))
    }

    /// All rows, one after the other, for parallel work over them.
    pub(crate) fn rows_mut(&mut self) -> &mut [u64] {
        &mut self.rows
    }

    /// An account's scores, one for each risk type, as whole numbers at the present scale.
    #[must_use]
    pub fn lanes(&self, account: usize, plan: &Plan) -> Vec<BigUint> {
        lanes(&self.packed(account), plan)
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

/// Adds `weight·value` to `sum`, word by word. What passes the last word is cut off, which the plan rules out.
pub(crate) fn add_product(sum: &mut [u64], value: &[u64], weight: u64) {
    let mut carry = 0_u64;
    for (sum, value) in sum.iter_mut().zip(value) {
        let wide = u128::from(*sum) + u128::from(*value) * u128::from(weight) + u128::from(carry);
        (*sum, carry) = split(wide);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a 128-bit number")]
fn split(wide: u128) -> (u64, u64) {
    (wide as u64, (wide >> 64) as u64)
}

/// The disclosed score: `value`·2^−scale rounded to the plan's grid and kept within [0, 1].
pub(crate) fn to_grid(value: &BigInt, scale: usize, decimals: u32) -> f64 {
    let grid = BigInt::from(10_u8).pow(decimals);
    let one = BigInt::from(1_u8) << scale;
    let twice: BigInt = (value * &grid * 2_u8 + &one) / (&one * 2_u8);
    let rounded = twice.clamp(BigInt::ZERO, grid.clone());
    // Decimal digits first, so that the float is the nearest to the decimal number.
    let digits = decimals as usize;
    let text = format!("{rounded:0>width$}", width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    format!("{whole}.{fraction}0").parse().unwrap_or_else(|_| rounded.to_f64().unwrap_or(0.0))
}

/// `value`·2^−scale, to the precision of a float.
pub(crate) fn to_float(value: &BigUint, scale: usize) -> f64 {
    // The highest 64 bits are more than a float holds; the shift keeps both factors within its range.
    let excess = usize::try_from(value.bits()).unwrap_or(usize::MAX).saturating_sub(64);
    let top = (value >> excess).to_f64().unwrap_or(0.0);
    let exponent = i64::try_from(excess).unwrap_or(i64::MAX) - i64::try_from(scale).unwrap_or(i64::MAX);
    top * f64::exp2(i32::try_from(exponent).map_or(f64::NEG_INFINITY, f64::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        let at = |value: i64, scale, decimals| to_grid(&BigInt::from(value), scale, decimals);
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
            weight in any::<u64>(),
        ) {
            let expected = from_words(&sum) + from_words(&value) * weight;
            let mut found = sum.clone();
            add_product(&mut found, &value, weight);
            let mask = (BigUint::from(1_u8) << 256_u32) - 1_u8;
            prop_assert_eq!(from_words(&found), expected & mask);
        }
    }
}
