//! Precision, widths and bounds of a run, fixed before the first message.
//!
//! **Budget.** Of the accuracy asked for, fixed point may use a quarter, the disclosure noise a half and the grid on
//! which scores are shown a quarter.
//!
//! **Scales.** A score after j steps is a whole number at scale 2^(f₀ + j·f): f₀ bits for the initial scores, f bits
//! more with each step's weights, F = f₀ + T·f in the end. By `weights`, the error is at most
//! 2^(−f₀−1) + T·(deg/2 + 1)·2^(−f−1), where deg bounds the number of senders of any account.
//!
//! **Slots.** Nothing is ever negative and a score is at most 1, so after T steps it fits F + 1 bits; with the noise of
//! all noise contributors it stays below 2^(F+2), the width of a slot. A ciphertext carries ⌊(k−2)/(F+2)⌋ slots.

mod bytes;
mod error;
mod settings;

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_IN_DEGREE_BITS, MAX_KEY_BITS, MAX_STEPS, MAX_WEIGHT_BITS};

pub use bytes::DecodeError;
pub use error::PlanError;
use error::risk_types;
pub use settings::{Delta, KeyUse, Mismatch, Settings, Step};

/// Public sizes on which a plan rests. Every bank holds the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSizes {
    /// Bits of the modulus N.
    pub key_bits: usize,
    /// Risk types.
    pub columns: usize,
    /// No account has more than 2^`in_degree_bits` senders in any period.
    pub in_degree_bits: u32,
    /// For each period, whether the run takes it: see [`periods`](crate::steps::agreement::periods).
    pub active_periods: Vec<bool>,
    /// Parties that add noise before a score is disclosed.
    pub noise_contributors: usize,
}

/// Everything that follows from sizes and settings.
///
/// With serde a plan is what it rests on: whoever reads one derives and checks the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Foundations", into = "Foundations")]
pub struct Plan {
    foundations: Foundations,
    score_bits: u32,
    weight_bits: u32,
    noise_bits: u32,
    decimals: u32,
}

/// What a plan rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Foundations {
    steps: Vec<Step>,
    accuracy: f64,
    columns: usize,
    noise_contributors: usize,
    key_bits: usize,
    in_degree_bits: u32,
    min_foreign_senders: u32,
}

impl TryFrom<Foundations> for Plan {
    type Error = PlanError;

    fn try_from(foundations: Foundations) -> Result<Self, PlanError> {
        Self::derive(foundations)
    }
}

impl From<Plan> for Foundations {
    fn from(plan: Plan) -> Self {
        plan.foundations
    }
}

impl Plan {
    /// Derives precision and widths, or says why they do not exist.
    ///
    /// # Errors
    /// [`PlanError`]: settings out of range, or a run that does not fit the key.
    pub fn new(sizes: &NetworkSizes, settings: &Settings) -> Result<Self, PlanError> {
        Self::derive(Foundations {
            steps: settings.steps(&sizes.active_periods)?,
            accuracy: settings.accuracy,
            columns: sizes.columns,
            noise_contributors: sizes.noise_contributors,
            key_bits: sizes.key_bits,
            in_degree_bits: sizes.in_degree_bits,
            min_foreign_senders: settings.min_foreign_senders.max(1),
        })
    }

    /// The plan that follows from what it rests on, all of which is checked here.
    fn derive(foundations: Foundations) -> Result<Self, PlanError> {
        let Foundations { accuracy, columns, noise_contributors, in_degree_bits, .. } = foundations;
        if !(1e-15..=0.1).contains(&accuracy) {
            return Err(PlanError::Accuracy { accuracy });
        }
        if columns == 0 {
            return Err(PlanError::NoColumns);
        }
        // A plan comes from outside, too: what is made from it takes memory by these bits.
        if foundations.key_bits > MAX_KEY_BITS {
            return Err(PlanError::KeyTooLong { bits: foundations.key_bits });
        }
        if in_degree_bits > MAX_IN_DEGREE_BITS {
            return Err(PlanError::InDegree { bits: in_degree_bits });
        }
        let steps = &foundations.steps;
        if steps.len() > MAX_STEPS {
            return Err(PlanError::TooManySteps { steps: steps.len() });
        }
        for &Step { period, iteration, delta } in steps {
            if period >= MAX_STEPS {
                return Err(PlanError::Periods { found: period.saturating_add(1), agreed: MAX_STEPS });
            }
            if !(0.0..=1.0).contains(&delta) {
                return Err(PlanError::Delta { iteration, delta: Some(delta) });
            }
        }

        // Half of the quarter each: 2^(−f₀−1) ≤ accuracy/8 and T·(deg/2 + 1)·2^(−f−1) ≤ accuracy/8.
        let score_bits = bits_above(4.0 / accuracy);
        let half_degree = f64::exp2(f64::from(in_degree_bits) - 1.0);
        let per_unit = count(steps.len()) * (half_degree + 1.0);
        let weight_bits = if steps.is_empty() { 0 } else { bits_above(4.0 * per_unit / accuracy) };
        if weight_bits > MAX_WEIGHT_BITS {
            return Err(PlanError::WeightsTooLong {
                accuracy,
                steps: steps.len(),
                in_degree_bits,
                bits: weight_bits,
            });
        }
        // At most 22·10^4 bits: no overflow.
        let final_bits = score_bits + weight_bits * u32::try_from(steps.len()).unwrap_or(u32::MAX);
        // a·2^g ≤ ½·accuracy·2^F.
        let noise_bits = match noise_contributors {
            0 => 0,
            _ => final_bits.saturating_sub(bits_above(2.0 * count(noise_contributors) / accuracy)),
        };
        // Half a unit of the grid is at most a quarter of the accuracy.
        let decimals = digits_above(2.0 / accuracy);

        let plan = Self { foundations, score_bits, weight_bits, noise_bits, decimals };
        plan.check_fit()?;
        Ok(plan)
    }

    fn check_fit(&self) -> Result<(), PlanError> {
        if self.accounts_per_ciphertext() > 0 {
            return Ok(());
        }
        let fits = |step: &usize| {
            let width = self.score_bits as usize + step * self.weight_bits as usize + 2;
            width.saturating_mul(self.foundations.columns) <= self.plaintext_bits()
        };
        Err(PlanError::DoesNotFit {
            first_too_many: (0..=self.foundations.steps.len()).find(|step| !fits(step)).unwrap_or(0),
            steps: self.foundations.steps.len(),
            columns: self.foundations.columns,
            slot_bits: self.slot_bits(),
            needed: self.slot_bits().saturating_mul(self.foundations.columns),
            key_bits: self.foundations.key_bits,
            available: self.plaintext_bits(),
        })
    }

    /// The steps in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.foundations.steps
    }

    /// Accuracy asked for: greatest absolute error of a disclosed score.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.foundations.accuracy
    }

    /// Risk types.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.foundations.columns
    }

    /// Parties that add noise to each ciphertext before it is decrypted.
    #[must_use]
    pub fn noise_contributors(&self) -> usize {
        self.foundations.noise_contributors
    }

    /// Bits of the key that this plan is for.
    #[must_use]
    pub fn key_bits(&self) -> usize {
        self.foundations.key_bits
    }

    /// No account may have more senders than this in any period.
    #[must_use]
    pub fn greatest_in_degree(&self) -> usize {
        1_usize.checked_shl(self.foundations.in_degree_bits).unwrap_or(usize::MAX)
    }

    /// f₀, bits of an initial score.
    #[must_use]
    pub fn score_bits(&self) -> u32 {
        self.score_bits
    }

    /// f, bits of a weight.
    #[must_use]
    pub fn weight_bits(&self) -> u32 {
        self.weight_bits
    }

    /// Scale of a score after a number of steps: f₀ + j·f bits.
    #[must_use]
    pub fn scale_after(&self, steps: usize) -> usize {
        self.score_bits as usize + steps * self.weight_bits as usize
    }

    /// F, the scale of the final scores.
    #[must_use]
    pub fn final_scale(&self) -> usize {
        self.scale_after(self.foundations.steps.len())
    }

    /// g: the noise of each contributor is uniform in [0, 2^g) units of 2^−F.
    #[must_use]
    pub fn noise_bits(&self) -> u32 {
        self.noise_bits
    }

    /// Bits of a slot, which holds one score of one account.
    #[must_use]
    pub fn slot_bits(&self) -> usize {
        self.final_scale() + 2
    }

    /// Bits that a plaintext can hold without touching the modulus: k − 2.
    #[must_use]
    pub fn plaintext_bits(&self) -> usize {
        self.foundations.key_bits.saturating_sub(2)
    }

    /// Accounts whose scores are decrypted together.
    #[must_use]
    pub fn accounts_per_ciphertext(&self) -> usize {
        self.plaintext_bits() / self.slot_bits().saturating_mul(self.foundations.columns).max(1)
    }

    /// Digits after the point of a disclosed score.
    #[must_use]
    pub fn decimals(&self) -> u32 {
        self.decimals
    }

    /// Fewest foreign senders that must determine a score for its foreign part to be disclosed.
    #[must_use]
    pub fn min_foreign_senders(&self) -> u32 {
        self.foundations.min_foreign_senders
    }

    /// The numbers that the banks compare: equal sizes and settings must lead to equal ones.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("steps", self.foundations.steps.len() as u64),
            ("bits of an initial score", u64::from(self.score_bits)),
            ("bits of a weight", u64::from(self.weight_bits)),
            ("bits of noise", u64::from(self.noise_bits)),
            ("bits of a slot", self.slot_bits() as u64),
            ("accounts in a ciphertext", self.accounts_per_ciphertext() as u64),
            ("decimals", u64::from(self.decimals)),
            ("parties that add noise", self.foundations.noise_contributors as u64),
        ]
    }

    /// Greatest error that fixed point brings: 2^(−f₀−1) + T·(deg/2 + 1)·2^(−f−1).
    #[must_use]
    pub fn fixed_point_error(&self) -> f64 {
        let degree = f64::exp2(f64::from(self.foundations.in_degree_bits));
        f64::exp2(-f64::from(self.score_bits) - 1.0)
            + count(self.foundations.steps.len())
                * (degree / 2.0 + 1.0)
                * f64::exp2(-f64::from(self.weight_bits) - 1.0)
    }

    /// Greatest error that the disclosure noise brings once its mean is taken off: ½·a·(2^g − 1)·2^−F.
    #[must_use]
    pub fn noise_error(&self) -> f64 {
        let scale = count(self.final_scale());
        let top = f64::exp2(f64::from(self.noise_bits) - scale) - f64::exp2(-scale);
        0.5 * count(self.foundations.noise_contributors) * top
    }

    /// Greatest error of rounding to the grid on which scores are shown.
    #[must_use]
    pub fn grid_error(&self) -> f64 {
        0.5 * 10_f64.powf(-f64::from(self.decimals))
    }

    /// Greatest error of a disclosed score: at most the accuracy asked for.
    #[must_use]
    pub fn error_bound(&self) -> f64 {
        self.fixed_point_error() + self.noise_error() + self.grid_error()
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "steps                     {}", self.foundations.steps.len())?;
        writeln!(f, "scale of initial scores   2^{}", self.score_bits)?;
        writeln!(f, "scale of weights          2^{}", self.weight_bits)?;
        writeln!(f, "scale of final scores     2^{}", self.final_scale())?;
        writeln!(f, "senders of one account    at most 2^{}", self.foundations.in_degree_bits)?;
        writeln!(
            f,
            "slot                      {} bits, {}, {} accounts in a ciphertext of {} bits",
            self.slot_bits(),
            risk_types(self.foundations.columns),
            self.accounts_per_ciphertext(),
            self.plaintext_bits()
        )?;
        if self.foundations.min_foreign_senders > 1 {
            let least = self.foundations.min_foreign_senders;
            writeln!(
                f,
                "foreign senders           at least {least}, or the foreign part of a score is withheld"
            )?;
        }
        writeln!(
            f,
            "noise                     {} bits from each of {} banks",
            self.noise_bits, self.foundations.noise_contributors
        )?;
        writeln!(f, "error of fixed point      {:.2e}", self.fixed_point_error())?;
        writeln!(f, "error of noise            {:.2e}", self.noise_error())?;
        writeln!(f, "error of display          {:.2e}", self.grid_error())?;
        write!(f, "error in all              {:.2e} of {:.2e}", self.error_bound(), self.foundations.accuracy)
    }
}

/// Smallest logarithm of a power of two that is at least `degree`.
#[must_use]
pub fn in_degree_bits(degree: usize) -> u32 {
    degree.max(1).next_power_of_two().ilog2()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn count(value: usize) -> f64 {
    value as f64
}

/// Smallest b ≥ 0 with 2^b ≥ x.
fn bits_above(x: f64) -> u32 {
    (0..1024).find(|&bits| f64::exp2(f64::from(bits)) >= x).unwrap_or(1024)
}

/// Smallest d ≥ 0 with 10^d ≥ x, up to a rounding error in x.
fn digits_above(x: f64) -> u32 {
    (0..300).find(|&digits| 10_f64.powf(f64::from(digits)) >= x * (1.0 - 1e-12)).unwrap_or(300)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sizes(key_bits: usize) -> NetworkSizes {
        NetworkSizes {
            key_bits,
            columns: 1,
            in_degree_bits: 8,
            active_periods: vec![true],
            noise_contributors: 2,
        }
    }

    #[test]
    fn default_run() {
        let plan = Plan::new(&sizes(2048), &Settings::default()).unwrap();
        // accuracy/8 = 1.25e-7 ≥ 2^-23; 3·129·2^-32 = 9.01e-8 ≤ 1.25e-7 < 3·129·2^-31.
        assert_eq!((plan.score_bits(), plan.weight_bits()), (22, 31));
        assert_eq!(plan.final_scale(), 22 + 3 * 31);
        // 2·2^g ≤ 5e-7·2^115: g = 93, as 2^-22 = 2.4e-7 ≤ 2.5e-7.
        assert_eq!(plan.noise_bits(), 93);
        assert_eq!(plan.slot_bits(), 117);
        assert_eq!(plan.accounts_per_ciphertext(), 17);
        assert_eq!(plan.decimals(), 7);
        assert!(plan.error_bound() <= 1e-6);
    }

    #[test]
    fn says_why_not() {
        let settings = |iterations, accuracy| Settings { iterations, accuracy, ..Settings::default() };
        let refused = |sizes: &NetworkSizes, settings: &Settings| Plan::new(sizes, settings).unwrap_err();
        assert!(matches!(refused(&sizes(2048), &settings(3, 0.0)), PlanError::Accuracy { .. }));
        assert!(matches!(refused(&sizes(2048), &settings(3, f64::NAN)), PlanError::Accuracy { .. }));
        assert!(matches!(refused(&sizes(2048), &settings(3, 1e-15)), PlanError::WeightsTooLong { .. }));
        let error = refused(&sizes(256), &settings(9, 1e-6));
        // 22 + j·33 + 2 ≤ 254 holds up to j = 6.
        assert!(matches!(error, PlanError::DoesNotFit { first_too_many: 7, steps: 9, .. }), "{error:?}");
        let said = "step 7 of 9 does not fit: the slots of 1 risk type, 321 bits each, need 321 bits";
        assert!(error.to_string().starts_with(said), "{error}");
        let wide = NetworkSizes { columns: 18, ..sizes(2048) };
        assert!(matches!(refused(&wide, &settings(3, 1e-6)), PlanError::DoesNotFit { .. }));
        let none = NetworkSizes { columns: 0, ..sizes(2048) };
        assert_eq!(refused(&none, &settings(3, 1e-6)), PlanError::NoColumns);
        let bad = Settings { delta: Delta::fixed(1.5), ..Settings::default() };
        assert!(matches!(refused(&sizes(2048), &bad), PlanError::Delta { iteration: 0, delta: Some(_) }));
        let short = Settings { delta: Delta::by_iteration(2, |_| 0.5), ..Settings::default() };
        assert_eq!(refused(&sizes(2048), &short), PlanError::Delta { iteration: 2, delta: None });
        assert!(matches!(refused(&sizes(2048), &settings(u32::MAX, 1e-6)), PlanError::TooManySteps { .. }));
    }

    #[test]
    fn no_steps_without_iterations_or_transfers() {
        let settings = Settings { iterations: 0, ..Settings::default() };
        assert!(Plan::new(&sizes(2048), &settings).unwrap().steps().is_empty());
        let idle = NetworkSizes { active_periods: vec![false, true, false], ..sizes(2048) };
        let plan = Plan::new(&idle, &Settings::default()).unwrap();
        assert!(plan.steps().iter().all(|step| step.period == 1));
        assert_eq!(plan.steps().len(), 3);
    }

    proptest! {
        #[test]
        fn stays_within_its_budget(
            exponent in -11.0..-1.0_f64,
            iterations in 0..8_u32,
            in_degree_bits in 0..16_u32,
            noise_contributors in 1..20_usize,
        ) {
            let accuracy = 10_f64.powf(exponent);
            let settings = Settings { accuracy, iterations, ..Settings::default() };
            let sizes = NetworkSizes { in_degree_bits, noise_contributors, ..sizes(4096) };
            let Ok(plan) = Plan::new(&sizes, &settings) else { return Ok(()) };
            prop_assert!(plan.fixed_point_error() <= accuracy / 4.0);
            prop_assert!(plan.noise_error() <= accuracy / 2.0);
            prop_assert!(plan.grid_error() <= accuracy / 4.0 * (1.0 + 1e-9));
            let noise = noise_contributors as f64 * f64::exp2(f64::from(plan.noise_bits()));
            let top = f64::exp2(plan.final_scale() as f64) + noise;
            prop_assert!(top < f64::exp2(plan.slot_bits() as f64));
        }

        #[test]
        fn holds_at_the_extremes(
            exponent in -15.0..=-1.0_f64,
            iterations in 0..60_u32,
            periods in 0..8_usize,
            in_degree_bits in 0..=31_u32,
            noise_contributors in 1..1000_usize,
            columns in 1..40_usize,
            key_bits in 0..9000_usize,
        ) {
            let accuracy = 10_f64.powf(exponent).clamp(1e-15, 0.1);
            let settings = Settings { accuracy, iterations, ..Settings::default() };
            let active_periods = vec![true; periods];
            let sizes = NetworkSizes { key_bits, columns, in_degree_bits, active_periods, noise_contributors };
            match Plan::new(&sizes, &settings) {
                Ok(plan) => {
                    prop_assert!(plan.weight_bits() <= MAX_WEIGHT_BITS);
                    prop_assert!(plan.error_bound() <= accuracy * (1.0 + 1e-9));
                    let used = plan.accounts_per_ciphertext() * columns * plan.slot_bits();
                    prop_assert!(used > 0 && used + 2 <= key_bits);
                    // Where anything is decrypted there is noise, of nearly the size that the accuracy allows.
                    let scale = plan.final_scale() as f64;
                    let noise = noise_contributors as f64 * f64::exp2(f64::from(plan.noise_bits()) - scale);
                    prop_assert!(plan.steps().is_empty() || (noise > accuracy / 8.0 && noise <= accuracy / 2.0));
                }
                Err(PlanError::DoesNotFit { first_too_many, steps, needed, available, .. }) => {
                    prop_assert!(needed > available && first_too_many <= steps);
                }
                Err(error) => {
                    let too_long = matches!(error, PlanError::WeightsTooLong { bits, .. } if bits > 60);
                    prop_assert!(too_long, "{}", error);
                }
            }
        }
    }
}
