//! Weights as whole numbers that add up exactly.
//!
//! One step of the propagation is s′(v) = (1−δ)·s(v) + δ·Σᵤ amount(u→v)/income(v)·s(u). With f bits of precision
//! it becomes s′(v)·2^f = W₀·s(v) + Σᵤ Wᵤ·s(u) with whole W₀ + Σ Wᵤ = 2^f, so that scores stay between 0 and 1
//! whatever is rounded.
//!
//! **Rounding.** D = ⌊δ·2^f⌉ and W₀ = 2^f − D. Each Wᵤ starts as ⌊D·amount/income⌋; what is missing to D goes, one
//! each, to the largest remainders. Among equal remainders the smaller name comes first, by bank, then account,
//! so that the result depends on no order of rows.
//!
//! **Error of one step.** The exact shares D·amount/income and the weights both add up to D, so the units that
//! rounding adds and those it takes away balance: with fractional parts rᵤ, of which R = Σ rᵤ are rounded up, either
//! sum is at most R·(1 − R/deg) ≤ deg/4. Scores being in [0, 1], the step is off by at most deg/4 units, and D by
//! half a unit: (deg/2 + 1)·2^(−f−1) in all. Steps are convex combinations, so earlier errors do not grow.
//!
//! **Cost.** Weights are computed anew in each iteration, some 0.15 µs of processor time for each sender of an account. With
//! k = 2048 that is at most 0.4 % of the products in which they are exponents, by measurements with 6 and with 38 senders on
//! average. To keep them for all iterations of a period would take 8 bytes for each.

use num_bigint::BigUint;
use num_traits::ToPrimitive;

use crate::error::Error;
use crate::limits::MAX_WEIGHT_BITS;
use crate::network::{Network, Node};
use crate::plan::Plan;
use crate::plan::Step;

/// δ as D = ⌊δ·2^f⌉ beside f.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mixing {
    bits: u32,
    incoming: u64,
}

impl Mixing {
    /// Rounds δ to f bits.
    ///
    /// # Arguments
    /// `delta` in [0, 1]; `bits` is f, at most [`MAX_WEIGHT_BITS`]. `None` outside these ranges.
    #[must_use]
    pub fn new(delta: f64, bits: u32) -> Option<Self> {
        if !(0.0..=1.0).contains(&delta) || bits > MAX_WEIGHT_BITS {
            return None;
        }
        Some(Self { bits, incoming: fixed_point(delta, bits)?.to_u64()? })
    }

    /// That of a step, which a plan has checked.
    pub(crate) fn of(step: Step, plan: &Plan) -> Result<Self, Error> {
        let place = "δ or the precision of a step is out of range";
        Self::new(step.delta, plan.weight_bits()).ok_or(Error::Internal { place })
    }

    /// W₀ = 2^f − D, the weight of an account's own score.
    #[must_use]
    pub fn own(self) -> u64 {
        (1 << self.bits) - self.incoming
    }

    /// D, the sum of the weights of all senders.
    #[must_use]
    pub fn incoming(self) -> u64 {
        self.incoming
    }

    /// f.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// Weights of an account's senders, appended to `out` in the order of `amounts`. They add up to D, or are
    /// none where there are no amounts.
    ///
    /// # Arguments
    /// `amounts` above 0; `smaller(i, j)` orders the senders by name. Amounts that add up to 2^128 or more are
    /// refused with `None`.
    #[must_use]
    pub fn senders(
        self,
        amounts: &[u128],
        compare: impl Fn(usize, usize) -> std::cmp::Ordering,
        out: &mut Vec<u64>,
    ) -> Option<()> {
        let mut income = 0_u128;
        for amount in amounts {
            income = income.checked_add(*amount)?;
        }
        if income == 0 {
            out.extend(amounts.iter().map(|_| 0));
            return Some(());
        }
        let start = out.len();
        let mut remainders = Vec::with_capacity(amounts.len());
        let mut missing = self.incoming;
        for (index, &amount) in amounts.iter().enumerate() {
            let (weight, remainder) = divide(self.incoming, amount, income)?;
            missing = missing.checked_sub(weight)?;
            out.push(weight);
            if remainder > 0 {
                remainders.push((remainder, index));
            }
        }
        // Σ remainders = missing · income, so that there are more remainders than missing units.
        remainders.sort_unstable_by(|(left, i), (right, j)| right.cmp(left).then_with(|| compare(*i, *j)));
        for (_, index) in remainders.iter().take(usize::try_from(missing).ok()?) {
            *out.get_mut(start + index)? += 1;
        }
        Some(())
    }
}

/// One account's senders in one step; `out` holds their weights afterwards, in the same order.
pub(crate) fn sender_weights<'a>(
    network: &'a Network,
    period: usize,
    account: usize,
    mixing: Mixing,
    out: &mut Vec<u64>,
) -> Result<&'a [Node], Error> {
    let (senders, amounts) = network.edges_of(period, account)?;
    let compare = |i: usize, j: usize| match (senders.get(i), senders.get(j)) {
        (Some(&left), Some(&right)) => network.compare(left, right),
        _ => i.cmp(&j),
    };
    out.clear();
    // The builder refuses accounts whose income passes 128 bits.
    let place = "the income of an account passes 128 bits";
    mixing.senders(amounts, compare, out).ok_or(Error::Internal { place })?;
    if out.len() != senders.len() {
        return Err(Error::internal("an account has another number of senders than of amounts"));
    }
    Ok(senders)
}

/// ⌊factor·amount/income⌋ and the remainder, exactly.
fn divide(factor: u64, amount: u128, income: u128) -> Option<(u64, u128)> {
    if let Some(product) = u128::from(factor).checked_mul(amount) {
        return Some(((product / income).try_into().ok()?, product % income));
    }
    let product = BigUint::from(factor) * amount;
    Some(((&product / income).to_u64()?, (product % income).to_u128()?))
}

/// ⌊x·2^bits⌉ for x in [0, 1], exactly and for any number of bits; halves are rounded up.
pub(crate) fn fixed_point(x: f64, bits: u32) -> Option<BigUint> {
    if !(0.0..=1.0).contains(&x) {
        return None;
    }
    if x == 0.0 {
        return Some(BigUint::ZERO);
    }
    // x = mantissa·2^exponent with a mantissa of at most 53 bits.
    let raw = x.to_bits();
    let field = (raw >> 52) & 0x7ff;
    let (mantissa, exponent) = match field {
        0 => (raw & ((1 << 52) - 1), -1074),
        _ => (raw & ((1 << 52) - 1) | 1 << 52, i64::try_from(field).ok()? - 1075),
    };
    let shift = exponent + i64::from(bits);
    let mantissa = BigUint::from(mantissa);
    if shift >= 0 {
        return Some(mantissa << u64::try_from(shift).ok()?);
    }
    let down = u64::try_from(-shift).ok()?;
    Some((mantissa + (BigUint::from(1_u8) << (down - 1))) >> down)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(delta: f64, bits: u32, amounts: &[u128]) -> Vec<u64> {
        let mut out = Vec::new();
        Mixing::new(delta, bits).unwrap().senders(amounts, |i, j| i.cmp(&j), &mut out).unwrap();
        out
    }

    #[test]
    fn known_weights() {
        // D = 8: shares 8/3 each; the two largest of three equal remainders go to the first names.
        assert_eq!(weights(0.5, 4, &[1, 1, 1]), [3, 3, 2]);
        // D = 8: shares 0.8, 2.4, 4.8; what is missing goes to the remainders 0.8 and 0.8.
        assert_eq!(weights(0.5, 4, &[1, 3, 6]), [1, 2, 5]);
        assert_eq!(weights(0.25, 3, &[7]), [2]);
        assert_eq!(weights(0.0, 10, &[7, 9]), [0, 0]);
        assert_eq!(weights(1.0, 60, &[u128::from(u64::MAX)]), [1 << 60]);
        assert_eq!(weights(0.5, 4, &[]), []);
    }

    #[test]
    fn delta_is_rounded_exactly() {
        assert_eq!(Mixing::new(0.1, 10).unwrap().incoming(), 102);
        assert_eq!(Mixing::new(0.1, 10).unwrap().own(), 922);
        // 0.7 as a double is 0x3FE6666666666666, that is 6305039478318694·2^-53.
        assert_eq!(Mixing::new(0.7, 53).unwrap().incoming(), 6_305_039_478_318_694);
        assert_eq!(fixed_point(0.5, 200).unwrap(), BigUint::from(1_u8) << 199);
        assert_eq!(fixed_point(f64::from_bits(1), 100).unwrap(), BigUint::ZERO);
        assert_eq!(Mixing::new(f64::NAN, 10), None);
        assert_eq!(Mixing::new(1.1, 10), None);
        assert_eq!(Mixing::new(0.5, 61), None);
    }

    #[test]
    fn products_beyond_128_bits_are_exact() {
        let big = u128::MAX / 3;
        assert_eq!(
            weights(1.0, 60, &[big, big, big]),
            [384_307_168_202_282_326, 384_307_168_202_282_325, 384_307_168_202_282_325]
        );
        let mixing = Mixing::new(1.0, 60).unwrap();
        assert_eq!(mixing.senders(&[u128::MAX, 1], |i, j| i.cmp(&j), &mut Vec::new()), None);
    }

    proptest! {
        #[test]
        fn add_up_and_stay_near(
            delta in 0.0..=1.0_f64,
            bits in 1..=60_u32,
            amounts in proptest::collection::vec(1..=u128::from(u64::MAX), 1..40),
        ) {
            let mixing = Mixing::new(delta, bits).unwrap();
            let found = weights(delta, bits, &amounts);
            prop_assert_eq!(found.iter().sum::<u64>(), mixing.incoming());
            prop_assert_eq!(mixing.own() + mixing.incoming(), 1 << bits);
            let income: BigUint = amounts.iter().copied().map(BigUint::from).sum();
            for (weight, amount) in found.iter().zip(&amounts) {
                // |W·income − D·amount| < income
                let exact = BigUint::from(mixing.incoming()) * *amount;
                let here = BigUint::from(*weight) * &income;
                let difference = if here > exact { here - exact } else { exact - here };
                prop_assert!(difference < income);
            }
        }
    }
}
