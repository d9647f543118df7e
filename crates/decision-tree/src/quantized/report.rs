//! How much a model changed when it was put on a grid.

use super::{QuantizeError, QuantizedModel};
use crate::model::Model;

/// The comparison of a model with its quantised form on a data set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[doc(alias("confusion matrix", "recall", "precision"))]
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
    /// The original's classes against the quantised model's.
    pub confusion: Confusion,
    /// The true classes against the original's; `None` without labels.
    pub original: Option<Confusion>,
    /// The true classes against the quantised model's; `None` without labels.
    pub quantized: Option<Confusion>,
}

/// A confusion matrix: how many rows of each true class were given each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: Vec<String>,
    counts: Vec<Vec<usize>>,
}

/// What to look at before a quantised model is used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AgreementWarning {
    /// The quantised model gives a class to no row.
    #[error("class {class:?} disappears: the original gives it to {rows} rows, the quantised model to none")]
    ClassDisappears {
        /// The class.
        class: String,
        /// Number of rows that the original gives it to.
        rows: usize,
    },
    /// The quantised model finds less of a class than the original.
    #[error("recall of class {class:?} falls from {original:.3} to {quantized:.3}")]
    RecallFalls {
        /// The class.
        class: String,
        /// The original's recall.
        original: f64,
        /// The quantised model's recall.
        quantized: f64,
    },
}

impl Confusion {
    fn new(classes: &[String]) -> Self {
        Self { classes: classes.to_vec(), counts: vec![vec![0; classes.len()]; classes.len()] }
    }

    fn add(&mut self, truth: Option<usize>, given: Option<usize>) {
        let row = truth.and_then(|truth| self.counts.get_mut(truth));
        if let Some(count) = row.zip(given).and_then(|(row, given)| row.get_mut(given)) {
            *count += 1;
        }
    }

    /// The classes' names; empty for a regression.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// One list for each true class, with the number of its rows that were given each class.
    #[must_use]
    pub fn counts(&self) -> &[Vec<usize>] {
        &self.counts
    }

    /// Number of rows of a true class.
    #[must_use]
    pub fn of(&self, class: usize) -> usize {
        self.counts.get(class).map_or(0, |row| row.iter().sum())
    }

    /// Number of rows that were given a class.
    #[must_use]
    pub fn given(&self, class: usize) -> usize {
        self.counts.iter().filter_map(|row| row.get(class)).sum()
    }

    /// The share of a true class's rows that were given this class; `None` where it has no rows.
    #[must_use]
    pub fn recall(&self, class: usize) -> Option<f64> {
        ratio(self.correct(class), self.of(class))
    }

    /// The share of the rows that were given a class and belong to it; `None` where it was given to none.
    #[must_use]
    pub fn precision(&self, class: usize) -> Option<f64> {
        ratio(self.correct(class), self.given(class))
    }

    fn correct(&self, class: usize) -> usize {
        self.counts.get(class).and_then(|row| row.get(class)).copied().unwrap_or(0)
    }

    fn total_correct(&self) -> usize {
        (0..self.counts.len()).map(|class| self.correct(class)).sum()
    }
}

#[allow(clippy::cast_precision_loss)] // counts of rows
fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl std::fmt::Display for Confusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (class, row) in self.classes.iter().zip(&self.counts) {
            let counts: Vec<String> = row.iter().map(ToString::to_string).collect();
            writeln!(f, "  {class}: {}", counts.join(" "))?;
        }
        for (index, class) in self.classes.iter().enumerate() {
            let percent = |share: Option<f64>| {
                share.map_or("–".to_owned(), |share| format!("{:.2} %", share * 100.0))
            };
            let (recall, precision) = (percent(self.recall(index)), percent(self.precision(index)));
            writeln!(f, "  {class}: recall {recall}, precision {precision}")?;
        }
        Ok(())
    }
}

impl Agreement {
    /// Share of the rows on which both agree; 1 without rows.
    #[must_use]
    pub fn share(&self) -> f64 {
        ratio(self.agreeing, self.rows).unwrap_or(1.0)
    }

    /// What to look at before the quantised model is used: classes that disappear, and recall that falls by more than a hundredth.
    ///
    /// Recall is that of the true classes where labels were given, and otherwise of the original's classes.
    #[must_use]
    pub fn warnings(&self) -> Vec<AgreementWarning> {
        let mut warnings = Vec::new();
        for (index, class) in self.confusion.classes.iter().enumerate() {
            let rows = self.confusion.of(index);
            if rows > 0 && self.confusion.given(index) == 0 {
                warnings.push(AgreementWarning::ClassDisappears { class: class.clone(), rows });
            }
            let recalls = match (&self.original, &self.quantized) {
                (Some(original), Some(quantized)) => original.recall(index).zip(quantized.recall(index)),
                _ => self.confusion.recall(index).map(|recall| (1.0, recall)),
            };
            if let Some((original, quantized)) = recalls.filter(|(before, after)| before - after > 0.01) {
                warnings.push(AgreementWarning::RecallFalls { class: class.clone(), original, quantized });
            }
        }
        warnings
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} of {} rows agree ({:.2} %)", self.agreeing, self.rows, self.share() * 100.0)?;
        if self.confusion.classes.is_empty() {
            return writeln!(f, "greatest difference of a value: {}", self.largest_difference);
        }
        write!(f, "original's classes against the quantised model's:\n{}", self.confusion)?;
        if let Some((original, quantized)) = self.original.as_ref().zip(self.quantized.as_ref()) {
            write!(f, "true classes against the original's:\n{original}")?;
            write!(f, "true classes against the quantised model's:\n{quantized}")?;
        }
        self.warnings().iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}

impl QuantizedModel {
    /// Compares this model with the one it was made from, on `rows`; `labels`, where given, holds the true class of
    /// each row.
    ///
    /// # Errors
    /// Those of [`Model::predict`] for a row that does not fit; [`QuantizeError::LabelCount`] and [`QuantizeError::NoSuchLabel`] for
    /// labels that do not fit rows and classes.
    pub fn agreement<R: AsRef<[f64]>>(
        &self,
        original: &Model,
        rows: &[R],
        labels: Option<&[usize]>,
    ) -> crate::Result<Agreement> {
        let classes = original.labels();
        if let Some(labels) = labels {
            check_labels(labels, rows.len(), classes.len())?;
        }
        let mut pairs = Vec::with_capacity(rows.len());
        let mut confusion = Confusion::new(classes);
        for row in rows {
            let pair = (original.predict(row.as_ref())?, self.predict(row.as_ref())?);
            confusion.add(pair.0.class(), pair.1.class());
            pairs.push(pair);
        }
        let against = |class: fn(&Pair) -> Option<usize>| {
            let mut confusion = Confusion::new(classes);
            pairs.iter().zip(labels?).for_each(|(pair, label)| confusion.add(Some(*label), class(pair)));
            Some(confusion)
        };
        let (original, quantized) = (against(|pair| pair.0.class()), against(|pair| pair.1.class()));
        let values = || pairs.iter().flat_map(|(original, _)| original.values().to_vec());
        let range = values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min);
        let differences: Vec<f64> = pairs.iter().map(difference).collect();
        let agrees = |(pair, difference): (&Pair, &f64)| match pair.0.class() {
            Some(class) => pair.1.class() == Some(class),
            None => *difference <= range / 1_000.0,
        };
        Ok(Agreement {
            rows: rows.len(),
            agreeing: pairs.iter().zip(&differences).filter(|&both| agrees(both)).count(),
            largest_difference: differences.iter().copied().fold(0.0, f64::max),
            original_correct: original.as_ref().map(Confusion::total_correct),
            quantized_correct: quantized.as_ref().map(Confusion::total_correct),
            confusion,
            original,
            quantized,
        })
    }
}

fn check_labels(labels: &[usize], rows: usize, classes: usize) -> Result<(), QuantizeError> {
    if labels.len() != rows {
        return Err(QuantizeError::LabelCount { got: labels.len(), expected: rows });
    }
    match labels.iter().position(|label| *label >= classes) {
        Some(row) => Err(QuantizeError::NoSuchLabel { row, classes }),
        None => Ok(()),
    }
}

type Pair = (crate::model::Prediction, super::Verdict);

/// The greatest difference of a regression's values; 0 for a classification.
fn difference((original, quantized): &Pair) -> f64 {
    let pairs = original.values().iter().zip(quantized.values());
    pairs.map(|(left, right)| (left - right).abs()).fold(0.0, f64::max)
}
