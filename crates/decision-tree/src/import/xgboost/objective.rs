//! What an objective makes of the sums of leaf values.

use crate::import::ImportError;
use crate::model::PostTransform;

/// What an objective makes of the sums of leaf values.
pub(super) struct Meaning {
    /// `None` for a regression.
    pub(super) classes: Option<usize>,
    pub(super) outputs: usize,
    pub(super) transform: PostTransform,
    /// The second of two classes is predicted above this sum.
    pub(super) threshold: f64,
    pub(super) base: Base,
}

/// How `base_score` becomes a sum to start from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// As it is.
    Score,
    /// A probability, to become log-odds.
    Probability,
    /// A positive number, to become its logarithm.
    Positive,
}

pub(super) fn meaning(objective: &str, classes: usize, targets: usize) -> Result<Meaning, ImportError> {
    let (classes, transform, base) = match objective {
        // Several targets of yes or no: each a probability of its own.
        "binary:logistic" if targets > 1 => (None, PostTransform::Sigmoid, Base::Probability),
        "binary:logistic" => (Some(2), PostTransform::Sigmoid, Base::Probability),
        "binary:logitraw" if targets == 1 => (Some(2), PostTransform::None, Base::Score),
        "binary:hinge" if targets == 1 => (Some(2), PostTransform::Step, Base::Score),
        "multi:softprob" | "multi:softmax" if targets == 1 => {
            (Some(classes), PostTransform::Softmax, Base::Score)
        }
        "reg:logistic" => (None, PostTransform::Sigmoid, Base::Probability),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            (None, PostTransform::Exp, Base::Positive)
        }
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:absoluteerror"
        | "reg:pseudohubererror"
        | "reg:quantileerror"
        | "rank:ndcg"
        | "rank:map"
        | "rank:pairwise" => (None, PostTransform::None, Base::Score),
        other => {
            let why = "known are those of binary:, multi:, reg:, rank:, survival: and count: up to XGBoost 3.2; \
                       a custom objective's model can be trained with the nearest of them";
            return Err(ImportError::unsupported("objective", other, why));
        }
    };
    Ok(Meaning {
        classes,
        outputs: if transform == PostTransform::Softmax { classes.unwrap_or(1) } else { targets },
        transform,
        // XGBoost's scikit-learn interface compares the raw score of this objective with one half.
        threshold: if objective == "binary:logitraw" { 0.5 } else { 0.0 },
        base,
    })
}

/// `5E-1`, or `[5E-1]`, or one number for each output.
pub(super) fn base_scores(text: &str, outputs: usize, base: Base) -> Result<Vec<f64>, ImportError> {
    let wrong =
        || ImportError::WrongType { field: "base_score".into(), expected: "a number or a list of numbers" };
    let inner = text.trim();
    let inner = match inner.strip_prefix('[') {
        Some(list) => list.strip_suffix(']').ok_or_else(wrong)?,
        None => inner,
    };
    let mut scores = Vec::new();
    for number in inner.split(',') {
        let score: f32 = number.trim().parse().map_err(|_| wrong())?;
        let (score, expected) = match base {
            Base::Score => (score, "a finite number"),
            Base::Probability => (-(1.0 / score - 1.0).ln(), "a probability between 0 and 1"),
            Base::Positive => (score.ln(), "a positive number"),
        };
        if !score.is_finite() {
            return Err(ImportError::WrongType { field: "base_score".into(), expected });
        }
        scores.push(f64::from(score));
    }
    match scores[..] {
        [single] => Ok(vec![single; outputs]),
        _ if scores.len() == outputs => Ok(scores),
        _ => Err(ImportError::Length { field: "base_score".into(), got: scores.len(), expected: outputs }),
    }
}
