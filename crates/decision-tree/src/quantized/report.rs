//! How much a model changed when it was put on a grid.

use super::QuantizedModel;
use crate::model::Model;

/// The comparison of a model with its quantised form on a data set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Agreement {
    /// Rows compared.
    pub rows: usize,
    /// Rows on which both give the same class (for a regression: whose values differ by at most one part in a
    /// thousand of the model's own range on these rows).
    pub agreeing: usize,
    /// For a regression the greatest difference of a value; 0 for a classification.
    pub largest_difference: f64,
    /// Rows that the original classifies as `labels` say; `None` without labels.
    pub original_correct: Option<usize>,
    /// Rows that the quantised model classifies as `labels` say; `None` without labels.
    pub quantized_correct: Option<usize>,
}

impl QuantizedModel {
    /// Compares this model with the one it was made from, on `rows`; `labels`, where given, holds the true class of
    /// each row.
    ///
    /// # Errors
    /// Those of [`Model::predict`] for a row that does not fit.
    pub fn agreement<R: AsRef<[f64]>>(
        &self,
        original: &Model,
        rows: &[R],
        labels: Option<&[usize]>,
    ) -> crate::Result<Agreement> {
        let mut pairs = Vec::with_capacity(rows.len());
        for row in rows {
            pairs.push((original.predict(row.as_ref())?, self.predict(row.as_ref())?));
        }
        let correct = |class: fn(&Pair) -> Option<usize>| {
            labels.map(|labels| pairs.iter().zip(labels).filter(|(pair, l)| class(pair) == Some(**l)).count())
        };
        let (original_correct, quantized_correct) =
            (correct(|pair| pair.0.class()), correct(|pair| pair.1.class()));
        let values = || pairs.iter().flat_map(|(original, _)| original.values().to_vec());
        let range = values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min);
        let differences: Vec<f64> = pairs.iter().map(difference).collect();
        let largest_difference = differences.iter().copied().fold(0.0, f64::max);
        let agrees = |(pair, difference): (&Pair, &f64)| match pair.0.class() {
            Some(class) => pair.1.class() == Some(class),
            None => *difference <= range / 1_000.0,
        };
        let agreeing = pairs.iter().zip(&differences).filter(|&both| agrees(both)).count();
        Ok(Agreement { rows: rows.len(), agreeing, largest_difference, original_correct, quantized_correct })
    }
}

type Pair = (crate::model::Prediction, super::Verdict);

/// The greatest difference of a regression's values; 0 for a classification.
fn difference((original, quantized): &Pair) -> f64 {
    let pairs = original.values().iter().zip(quantized.values());
    pairs.map(|(left, right)| (left - right).abs()).fold(0.0, f64::max)
}
