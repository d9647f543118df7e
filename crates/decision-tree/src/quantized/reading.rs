//! How the sums of leaf values are read as a verdict. Public: it travels in every answer.

use crate::model::{PostTransform, Scores, class_of};

/// How the channels' sums become a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub(crate) kind: ReadingKind,
    /// Added to each channel's score.
    pub(crate) offsets: Vec<f64>,
    /// The score that one unit of a sum stands for.
    pub(crate) step: f64,
    pub(crate) decision_threshold: f64,
    pub(crate) post_transform: PostTransform,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadingKind {
    /// The one channel holds the class itself.
    ClassIndex { classes: usize },
    /// One channel per class, or a single one that is compared with the decision threshold.
    Scores { classes: usize },
    /// The channels are a regression's values.
    Values,
}

/// What a client learns: the same whether it was computed in the clear or under encryption.
#[derive(Clone, PartialEq)]
pub struct Verdict {
    class: Option<usize>,
    scores: Scores,
    post_transform: PostTransform,
    sums: Vec<u64>,
}

impl Reading {
    pub(crate) fn class_index(classes: usize) -> Self {
        Self {
            kind: ReadingKind::ClassIndex { classes },
            offsets: vec![0.0],
            step: 1.0,
            decision_threshold: 0.0,
            post_transform: PostTransform::None,
        }
    }

    /// How many sums a verdict is read from.
    pub fn channels(&self) -> usize {
        self.offsets.len()
    }

    /// Reads one sum per channel.
    pub(crate) fn verdict(&self, sums: Vec<u64>) -> Verdict {
        #[allow(clippy::cast_precision_loss)] // sums stay far below 2^53
        let raw: Vec<f64> =
            sums.iter().zip(&self.offsets).map(|(sum, o)| o + self.step * *sum as f64).collect();
        let class = match self.kind {
            // A class beyond the last one cannot come from an honest server.
            ReadingKind::ClassIndex { classes } => {
                Some(usize::try_from(sums.first().copied().unwrap_or(0)).map_or(0, |i| i.min(classes - 1)))
            }
            ReadingKind::Scores { .. } => Some(class_of(&raw, self.decision_threshold)),
            ReadingKind::Values => None,
        };
        Verdict { class, scores: Scores::from_raw(raw), post_transform: self.post_transform, sums }
    }
}

impl Verdict {
    /// The class's index; `None` for a regression.
    pub fn class(&self) -> Option<usize> {
        self.class
    }

    /// The raw scores that came with the verdict: the class itself for a single classification tree; the second
    /// class's lead over the first where there are two classes; else one score per class or regression value.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    /// The scores after the post-transform: probabilities where the model gives such.
    pub fn values(&self) -> Vec<f64> {
        self.scores.transformed(self.post_transform)
    }

    /// The exact integers that the scores were read from.
    pub fn sums(&self) -> &[u64] {
        &self.sums
    }
}

/// A verdict is what the protocol hides from the server, so it does not end up in a log by accident.
impl std::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verdict(<redacted>)")
    }
}
