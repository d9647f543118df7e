//! How well a classifier finds fraud.

use std::fmt;

/// Predictions counted by what was predicted and what was true. "Positive" means fraudulent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Fraud that was found.
    pub true_positives: usize,
    /// Genuine purchases taken for fraud.
    pub false_positives: usize,
    /// Genuine purchases taken for genuine.
    pub true_negatives: usize,
    /// Fraud that was missed.
    pub false_negatives: usize,
}

impl Confusion {
    /// Counts pairs of (predicted, true).
    pub fn count(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = Self::default();
        for pair in pairs {
            *match pair {
                (true, true) => &mut counts.true_positives,
                (true, false) => &mut counts.false_positives,
                (false, false) => &mut counts.true_negatives,
                (false, true) => &mut counts.false_negatives,
            } += 1;
        }
        counts
    }

    /// All pairs.
    pub fn total(&self) -> usize {
        self.true_positives + self.false_positives + self.true_negatives + self.false_negatives
    }

    /// The share of right predictions; 0 where there are none.
    pub fn accuracy(&self) -> f64 {
        ratio(self.true_positives + self.true_negatives, self.total())
    }

    /// The share of fraud among what was taken for fraud.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_positives)
    }

    /// The share of fraud that was found.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// The harmonic mean of precision and recall.
    pub fn f1(&self) -> f64 {
        ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)
    }
}

#[allow(clippy::cast_precision_loss)] // counts of rows
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl fmt::Display for Confusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { true_positives, false_positives, true_negatives, false_negatives } = self;
        writeln!(
            f,
            "  accuracy {:.4}, precision {:.4}, recall {:.4}, F1 {:.4}",
            self.accuracy(),
            self.precision(),
            self.recall(),
            self.f1()
        )?;
        writeln!(f, "                   predicted genuine   predicted fraud")?;
        writeln!(f, "  truly genuine    {true_negatives:>17}   {false_positives:>15}")?;
        write!(f, "  truly fraud      {false_negatives:>17}   {true_positives:>15}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against scikit-learn's `classification_report` of the same sixteen pairs.
    #[test]
    fn known_answers() {
        let pairs = [(true, true, 5), (true, false, 2), (false, false, 8), (false, true, 1)];
        let pairs = pairs.iter().flat_map(|&(predicted, truth, times)| vec![(predicted, truth); times]);
        let confusion = Confusion::count(pairs);
        assert_eq!(confusion.total(), 16);
        let close = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-4, "{value}");
        close(confusion.accuracy(), 0.8125);
        close(confusion.precision(), 0.7143);
        close(confusion.recall(), 0.8333);
        close(confusion.f1(), 0.7692);
    }

    #[test]
    fn nothing_to_count_is_zero_and_not_nan() {
        let empty = Confusion::count([]);
        assert_eq!([empty.accuracy(), empty.precision(), empty.recall(), empty.f1()], [0.0; 4]);
    }
}
