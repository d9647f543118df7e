//! What a model says about a row, in the clear.

use super::{Aggregate, LeafWeight, Model, ModelError, PostTransform, Precision, Task};
use crate::Error;

/// The raw scores of one row: aggregated leaf weights plus base values, before the post-transform.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores(Vec<f64>);

impl Scores {
    /// One number per output.
    #[must_use]
    pub fn raw(&self) -> &[f64] {
        &self.0
    }

    pub(crate) fn from_raw(raw: Vec<f64>) -> Self {
        Self(raw)
    }

    /// The scores after the post-transform, as frameworks report them.
    #[must_use]
    pub fn transformed(&self, transform: PostTransform) -> Vec<f64> {
        match transform {
            PostTransform::None => self.0.clone(),
            PostTransform::Sigmoid => self.0.iter().map(|score| 1.0 / (1.0 + (-score).exp())).collect(),
            PostTransform::Step => self.0.iter().map(|score| f64::from(u8::from(*score > 0.0))).collect(),
            PostTransform::Exp => self.0.iter().map(|score| score.exp()).collect(),
            PostTransform::Softmax => {
                let greatest = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = self.0.iter().map(|score| (score - greatest).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.into_iter().map(|power| power / sum).collect()
            }
        }
    }
}

/// What a model predicts for one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// A class.
    Class {
        /// Its index.
        index: usize,
        /// Its name.
        label: String,
    },
    /// A regression's values, after the post-transform, one per output.
    Values(Vec<f64>),
}

impl Prediction {
    /// The class's index; `None` for a regression.
    #[must_use]
    pub fn class(&self) -> Option<usize> {
        match self {
            Self::Class { index, .. } => Some(*index),
            Self::Values(_) => None,
        }
    }

    /// The class's name; `None` for a regression.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Class { label, .. } => Some(label),
            Self::Values(_) => None,
        }
    }

    /// A regression's values; empty for a classification.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        match self {
            Self::Class { .. } => &[],
            Self::Values(values) => values,
        }
    }
}

/// The class that raw scores stand for: the greatest (lowest index among equals), or, for a single score, the
/// second class above the decision threshold.
pub(crate) fn class_of(raw: &[f64], decision_threshold: f64) -> usize {
    match raw {
        [single] => usize::from(*single > decision_threshold),
        _ => greatest(raw.iter().copied()),
    }
}

/// The index of the greatest value, the lowest among equals.
pub(crate) fn greatest(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, value) in values.enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}

/// The output that a leaf votes for: its greatest weight, outputs that it does not name counting as 0.
pub(crate) fn vote(weights: &[LeafWeight], outputs: usize) -> usize {
    let mut dense = vec![0.0; outputs];
    for LeafWeight { output, weight } in weights {
        if let Some(slot) = dense.get_mut(*output) {
            *slot = *weight;
        }
    }
    greatest(dense.into_iter())
}

impl Model {
    /// The raw scores of a row, one value per feature in the model's order.
    ///
    /// Sums are taken in `f64` in the order of the trees; a framework that sums in `f32` can differ in the last
    /// places of a score.
    ///
    /// # Errors
    /// [`ModelError::RowLength`], [`ModelError::NotANumber`]; [`ModelError::NotFinite`] for a sum of weights that `f64`
    /// cannot hold.
    pub fn evaluate(&self, row: &[f64]) -> crate::Result<Scores> {
        let parts = &self.parts;
        if row.len() != parts.features.len() {
            return Err(ModelError::RowLength { got: row.len(), expected: parts.features.len() }.into());
        }
        let row: Vec<f64> = row.iter().map(|&value| self.read(value)).collect();
        let refused = |(feature, value): (usize, &f64)| value.is_nan() && !self.takes_missing(feature);
        if let Some(feature) = row.iter().enumerate().position(refused) {
            return Err(ModelError::NotANumber { feature }.into());
        }
        let value = |feature: usize| row.get(feature).copied();
        let mut sums = vec![0.0; parts.base.len()];
        for tree in &parts.trees {
            let place = "evaluate: a checked tree does not end in a leaf";
            let weights = tree.leaf_weights(value).ok_or(Error::Internal { place })?;
            if parts.aggregate == Aggregate::Votes {
                sums[vote(weights, parts.base.len())] += 1.0;
            } else {
                weights.iter().for_each(|leaf| sums[leaf.output] += leaf.weight);
            }
        }
        #[allow(clippy::cast_precision_loss)] // at most MAX_TREES
        let divisor = if parts.aggregate == Aggregate::Average { parts.trees.len() as f64 } else { 1.0 };
        let raw: Vec<f64> = sums.iter().zip(&parts.base).map(|(sum, base)| sum / divisor + base).collect();
        match raw.iter().position(|score| !score.is_finite()) {
            Some(output) => {
                Err(ModelError::NotFinite { what: format!("the score of output {output}") }.into())
            }
            None => Ok(Scores(raw)),
        }
    }

    /// What the model predicts for a row.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn predict(&self, row: &[f64]) -> crate::Result<Prediction> {
        self.prediction(&self.evaluate(row)?)
    }

    /// Reads scores of this model as a prediction.
    ///
    /// # Errors
    /// [`ModelError::OutputCount`] for scores of another model, as far as their number shows it.
    pub fn prediction(&self, scores: &Scores) -> crate::Result<Prediction> {
        let outputs = scores.raw().len();
        if outputs != self.outputs() {
            return Err(ModelError::OutputCount { outputs, what: "the model" }.into());
        }
        Ok(match &self.parts.task {
            Task::Classification { labels } => {
                let index = class_of(scores.raw(), self.parts.decision_threshold);
                let place = "prediction: a class has no name";
                let label = labels.get(index).cloned().ok_or(Error::Internal { place })?;
                Prediction::Class { index, label }
            }
            Task::Regression => Prediction::Values(scores.transformed(self.parts.post_transform)),
        })
    }
}

impl Precision {
    /// A feature value as the framework would compare it.
    #[must_use]
    pub fn read(self, value: f64) -> f64 {
        match self {
            #[allow(clippy::cast_possible_truncation)] // rounding to f32 is the purpose
            Self::Single => f64::from(value as f32),
            Self::Double => value,
        }
    }
}
