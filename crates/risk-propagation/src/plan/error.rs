//! Why there is no plan.

use crate::limits::{MAX_IN_DEGREE_BITS, MAX_KEY_BITS, MAX_WEIGHT_BITS};

/// Why a run cannot be planned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The accuracy is not a usable number.
    #[error("an accuracy of {accuracy} is not in the range from 1e-15 to 0.1")]
    Accuracy {
        /// What was asked for.
        accuracy: f64,
    },
    /// A δ is missing or out of range.
    #[error("delta in iteration {} is {}, but must be between 0 and 1", iteration + 1,
            delta.map_or("missing".to_owned(), |delta| delta.to_string()))]
    Delta {
        /// Iteration within a period, from 0.
        iteration: u32,
        /// δ, where one was given.
        delta: Option<f64>,
    },
    /// More steps than this crate takes.
    #[error("{steps} steps are more than {}", crate::limits::MAX_STEPS)]
    TooManySteps {
        /// Iterations times periods.
        steps: usize,
    },
    /// More periods than the banks agreed on.
    #[error("there are {found} periods where the settings say {agreed}")]
    Periods {
        /// Periods of a bank's data.
        found: usize,
        /// [`Settings::periods`](crate::Settings::periods).
        agreed: usize,
    },
    /// A key that is longer than any.
    #[error("a key of {bits} bits is longer than {MAX_KEY_BITS}")]
    KeyTooLong {
        /// Bits of the key.
        bits: usize,
    },
    /// No risk type at all.
    #[error("there is no column of scores")]
    NoColumns,
    /// A bound on the number of senders that is too wide.
    #[error("a bound of 2^{bits} senders for one account is more than 2^{MAX_IN_DEGREE_BITS}")]
    InDegree {
        /// Logarithm of the bound.
        bits: u32,
    },
    /// Weights would need more bits than they have.
    #[error(
        "an accuracy of {accuracy} over {steps} steps with up to 2^{in_degree_bits} senders for one account needs \
         weights of {bits} bits, more than {MAX_WEIGHT_BITS}; ask for less accuracy or fewer iterations"
    )]
    WeightsTooLong {
        /// Accuracy asked for.
        accuracy: f64,
        /// Steps of the run.
        steps: usize,
        /// Logarithm of the bound on the number of senders.
        in_degree_bits: u32,
        /// Bits that weights would need.
        bits: u32,
    },
    /// The scores of one account do not fit a ciphertext.
    #[error(
        "step {first_too_many} of {steps} does not fit: the slots of {}, {slot_bits} bits each, \
         need {needed} bits, a key of {key_bits} bits carries {available}; ask for fewer iterations, less accuracy or a \
         longer key",
        risk_types(*columns)
    )]
    DoesNotFit {
        /// First step, counted from 1, after which the scores are too long; 0 if the initial ones are.
        first_too_many: usize,
        /// Steps of the run.
        steps: usize,
        /// Risk types.
        columns: usize,
        /// Bits of one slot at the end of the run.
        slot_bits: usize,
        /// Bits of all slots of an account.
        needed: usize,
        /// Bits of the key.
        key_bits: usize,
        /// Bits that a plaintext can hold.
        available: usize,
    },
}

pub(super) fn risk_types(count: usize) -> String {
    if count == 1 { "1 risk type".to_owned() } else { format!("{count} risk types") }
}
