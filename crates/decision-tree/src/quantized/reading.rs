//! How the sums of leaf values are read as a verdict. Public: it travels in every answer.

use crate::Error;
use crate::model::{MAX_OUTPUTS, PostTransform, Scores, class_of};
use crate::schema::Schema;
use crate::wire::{self, CodecError};

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

/// What a client learns about a row. It is the same in the clear and under encryption.
#[derive(Clone, PartialEq)]
#[doc(alias = "prediction")]
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
    #[must_use]
    pub fn channels(&self) -> usize {
        self.offsets.len()
    }

    /// Bytes in the wire form.
    pub(crate) fn size(&self) -> usize {
        4 + 8 * (2 + self.offsets.len())
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(match self.kind {
            ReadingKind::ClassIndex { .. } => 1,
            ReadingKind::Scores { .. } => 2,
            ReadingKind::Values => 3,
        });
        out.push(match self.post_transform {
            PostTransform::None => 0,
            PostTransform::Sigmoid => 1,
            PostTransform::Softmax => 2,
            PostTransform::Exp => 3,
            PostTransform::Step => 4,
        });
        // At most MAX_OUTPUTS channels; readers refuse more.
        out.extend_from_slice(&u16::try_from(self.offsets.len()).unwrap_or(u16::MAX).to_le_bytes());
        for number in [self.step, self.decision_threshold].iter().chain(&self.offsets) {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Reads the wire form; the number of classes is the schema's.
    pub(crate) fn read(rest: &mut &[u8], schema: &Schema) -> Result<Self, CodecError> {
        let [kind, transform, low, high] = wire::take(rest)?;
        let channels = usize::from(u16::from_le_bytes([low, high]));
        let classes = schema.classes().len();
        let kind = match (kind, classes) {
            (1, 2..) if channels == 1 => ReadingKind::ClassIndex { classes },
            (2, 2..) if channels == classes || (channels == 1 && classes == 2) => {
                ReadingKind::Scores { classes }
            }
            (3, 0) if (1..=MAX_OUTPUTS).contains(&channels) => ReadingKind::Values,
            _ => return Err(CodecError::Value { what: "the kind of verdict" }),
        };
        let post_transform = match transform {
            0 => PostTransform::None,
            1 => PostTransform::Sigmoid,
            2 => PostTransform::Softmax,
            3 => PostTransform::Exp,
            4 => PostTransform::Step,
            _ => return Err(CodecError::Value { what: "the post-transform" }),
        };
        let step = wire::take_number(rest)?;
        let decision_threshold = wire::take_number(rest)?;
        let offsets = (0..channels).map(|_| wire::take_number(rest)).collect::<Result<_, _>>()?;
        Ok(Self { kind, offsets, step, decision_threshold, post_transform })
    }

    /// Reads one sum per channel.
    pub(crate) fn verdict(&self, sums: Vec<u64>) -> crate::Result<Verdict> {
        if sums.len() != self.channels() {
            return Err(Error::Internal { place: "verdict: another number of sums than channels" });
        }
        #[allow(clippy::cast_precision_loss)] // sums stay far below 2^53
        let raw: Vec<f64> =
            sums.iter().zip(&self.offsets).map(|(sum, o)| o + self.step * *sum as f64).collect();
        let class = match self.kind {
            // A class beyond the last one cannot come from an honest server. It becomes the last class, because an
            // error would show the server whether the decryption looked right.
            ReadingKind::ClassIndex { classes } => {
                let last = classes - 1;
                sums.first().map(|sum| usize::try_from(*sum).map_or(last, |class| class.min(last)))
            }
            ReadingKind::Scores { .. } => Some(class_of(&raw, self.decision_threshold)),
            ReadingKind::Values => None,
        };
        Ok(Verdict { class, scores: Scores::from_raw(raw), post_transform: self.post_transform, sums })
    }
}

impl Verdict {
    /// The class's index; `None` for a regression.
    #[must_use]
    pub fn class(&self) -> Option<usize> {
        self.class
    }

    /// The raw scores that came with the verdict: the class itself for a single classification tree; the second
    /// class's lead over the first where there are two classes; else one score per class or regression value.
    #[must_use]
    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    /// The scores after the post-transform: probabilities where the model gives such.
    #[doc(alias = "predict_proba")]
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.scores.transformed(self.post_transform)
    }

    /// The exact integers that the scores were read from.
    #[must_use]
    pub fn sums(&self) -> &[u64] {
        &self.sums
    }
}

/// The protocol hides verdicts from the server, so `Debug` does not print them.
impl std::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verdict(<redacted>)")
    }
}
