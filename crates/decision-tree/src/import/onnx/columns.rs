//! What happens to the features between the graph's input and the trees: columns are chosen, moved, scaled and filled in.
//!
//! Every step is monotone in its feature, so that a comparison behind it is a comparison of the feature itself with another threshold.
//! That threshold is searched among all `f32` values, with the arithmetic of the runtime; no row is decided otherwise.

use crate::import::ImportError;
use crate::import::tree::{Comparison, FileNode};

/// One column as the trees see it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    /// The feature's index among all columns of the graph's inputs.
    pub(super) feature: usize,
    pub(super) steps: Vec<Step>,
}

/// A step on one column, in `f32`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// (x − offset) · scale.
    Scale { offset: f32, scale: f32 },
    /// x + c.
    Add(f32),
    /// x − c.
    Subtract(f32),
    /// x · c.
    Multiply(f32),
    /// x / c.
    Divide(f32),
    /// A number in place of a missing value.
    Fill(f32),
}

impl Step {
    fn apply(self, x: f32) -> f32 {
        match self {
            Self::Scale { offset, scale } => (x - offset) * scale,
            Self::Add(number) => x + number,
            Self::Subtract(number) => x - number,
            Self::Multiply(number) => x * number,
            Self::Divide(number) => x / number,
            Self::Fill(number) if x.is_nan() => number,
            Self::Fill(_) => x,
        }
    }

    /// Whether a greater value stays greater; `None` where nothing of the value is left.
    fn grows(self) -> Option<bool> {
        let factor = match self {
            Self::Scale { scale, .. } => scale,
            Self::Multiply(factor) | Self::Divide(factor) => factor,
            Self::Add(_) | Self::Subtract(_) | Self::Fill(_) => 1.0,
        };
        (factor != 0.0).then_some(factor > 0.0)
    }

    /// Whether the step's numbers are finite and leave something of the value.
    pub(super) fn is_proper(self) -> bool {
        let numbers = match self {
            Self::Scale { offset, scale } => [offset, scale],
            Self::Add(number)
            | Self::Subtract(number)
            | Self::Multiply(number)
            | Self::Divide(number)
            | Self::Fill(number) => [number, 1.0],
        };
        numbers.iter().all(|number| number.is_finite()) && self.grows().is_some()
    }
}

impl Column {
    fn apply(&self, x: f32) -> f32 {
        self.steps.iter().fold(x, |x, step| step.apply(x))
    }

    /// The comparison of the column as one of the feature; `None` for an equality of a column that was changed.
    fn compare(&self, comparison: Comparison, threshold: f64) -> Option<(Comparison, f64)> {
        let meets = |x: f32| {
            let x = f64::from(self.apply(x));
            match comparison {
                Comparison::LessOrEqual | Comparison::Greater => x <= threshold,
                Comparison::Less | Comparison::GreaterOrEqual => x < threshold,
                Comparison::Equal | Comparison::NotEqual => false,
            }
        };
        if matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
            return None;
        }
        let low_is_yes = matches!(comparison, Comparison::LessOrEqual | Comparison::Less);
        let grows = self.steps.iter().filter(|step| step.grows() == Some(false)).count() % 2 == 0;
        // The values that meet "at most the threshold" lie at the low end if the column grows with the feature, else at the high end.
        let (mut low, mut high) = (rank(f32::NEG_INFINITY), rank(f32::INFINITY));
        if grows {
            if !meets(f32::NEG_INFINITY) {
                return Some(at(f64::NEG_INFINITY, true, low_is_yes));
            }
            while low < high {
                let middle = low + (high - low + 1) / 2;
                if meets(unrank(middle)) { low = middle } else { high = middle - 1 }
            }
            Some(at(f64::from(unrank(low)), false, low_is_yes))
        } else {
            if !meets(f32::INFINITY) {
                return Some(at(f64::INFINITY, false, !low_is_yes));
            }
            while low < high {
                let middle = low + (high - low) / 2;
                if meets(unrank(middle)) { high = middle } else { low = middle + 1 }
            }
            Some(at(f64::from(unrank(low)), true, !low_is_yes))
        }
    }
}

/// "Less than" if `strict`, else "at most" the threshold, with the yes branch for what is below it or for the rest.
fn at(threshold: f64, strict: bool, below_is_yes: bool) -> (Comparison, f64) {
    let comparison = match (strict, below_is_yes) {
        (true, true) => Comparison::Less,
        (false, true) => Comparison::LessOrEqual,
        (true, false) => Comparison::GreaterOrEqual,
        (false, false) => Comparison::Greater,
    };
    (comparison, threshold)
}

/// The place of a number in the order of all `f32`.
fn rank(x: f32) -> i64 {
    let bits = i64::from(x.to_bits() & 0x7fff_ffff);
    if x.is_sign_negative() { -bits - 1 } else { bits }
}

fn unrank(rank: i64) -> f32 {
    // At most 31 bits.
    let bits = |rank: i64| u32::try_from(rank).unwrap_or(0);
    if rank < 0 { -f32::from_bits(bits(-(rank + 1))) } else { f32::from_bits(bits(rank)) }
}

/// A node's comparison carried back to the graph's input.
pub(super) fn carry_back(
    columns: &[Column],
    tree: i64,
    id: i64,
    node: FileNode,
) -> Result<FileNode, ImportError> {
    let FileNode::Branch { comparison, feature, threshold, yes, no, missing } = node else { return Ok(node) };
    let fault = |reason| ImportError::Tree { tree, node: id, reason };
    let column = columns.get(feature).ok_or_else(|| fault("its feature is not a column of the input"))?;
    if column.steps.is_empty() {
        return Ok(FileNode::Branch { comparison, feature: column.feature, threshold, yes, no, missing });
    }
    let filled = column.apply(f32::NAN);
    let missing = if filled.is_nan() {
        missing
    } else {
        let filled = f64::from(filled);
        Some(match comparison {
            Comparison::LessOrEqual => filled <= threshold,
            Comparison::Less => filled < threshold,
            Comparison::GreaterOrEqual => filled >= threshold,
            Comparison::Greater => filled > threshold,
            Comparison::Equal => filled == threshold,
            Comparison::NotEqual => filled != threshold,
        })
    };
    let changed = column.steps.iter().any(|step| !matches!(step, Step::Fill(_)));
    let (comparison, threshold) = if changed {
        let equality = "it compares a scaled feature for equality";
        column.compare(comparison, threshold).ok_or_else(|| fault(equality))?
    } else {
        (comparison, threshold)
    };
    Ok(FileNode::Branch { comparison, feature: column.feature, threshold, yes, no, missing })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [&[Step]; 6] = [
        &[Step::Scale { offset: 11.039_388, scale: 0.072_101_38 }],
        &[Step::Subtract(0.1), Step::Divide(3.3)],
        &[Step::Multiply(-2.5), Step::Add(0.3)],
        &[Step::Scale { offset: -1.0e-3, scale: -1.0e20 }],
        &[Step::Fill(4.0), Step::Divide(-7.0)],
        &[Step::Multiply(1.0e-30)],
    ];

    #[test]
    fn a_comparison_behind_steps_decides_every_value_as_the_runtime_does() {
        for steps in STEPS {
            let column = Column { feature: 0, steps: steps.to_vec() };
            for start in [-9.75f32, 0.0, 1.0e-30, 3.25, 1.0e9] {
                for threshold in [column.apply(start), column.apply(start).next_up(), 0.0, f32::INFINITY] {
                    for comparison in [
                        Comparison::LessOrEqual,
                        Comparison::Less,
                        Comparison::Greater,
                        Comparison::GreaterOrEqual,
                    ] {
                        check(&column, comparison, f64::from(threshold), start);
                    }
                }
            }
        }
    }

    fn check(column: &Column, comparison: Comparison, threshold: f64, start: f32) {
        let holds = |comparison, x: f64, t: f64| match comparison {
            Comparison::LessOrEqual => x <= t,
            Comparison::Less => x < t,
            Comparison::GreaterOrEqual => x >= t,
            _ => x > t,
        };
        let (carried, cut) = column.compare(comparison, threshold).unwrap();
        #[allow(clippy::cast_possible_truncation)] // an f32
        let around = cut as f32;
        let mut values =
            vec![start, around, -3.0, 0.0, -0.0, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY];
        for step in 0..200 {
            values.extend([unrank(rank(around) + step - 100), unrank(rank(start) + step - 100)]);
        }
        for x in values.into_iter().filter(|x| !x.is_nan()) {
            let expected = holds(comparison, f64::from(column.apply(x)), threshold);
            assert_eq!(
                holds(carried, f64::from(x), cut),
                expected,
                "{column:?} {comparison:?} {threshold} at {x:e}"
            );
        }
    }

    #[test]
    fn ranks_are_the_order_of_numbers() {
        let values = [f32::NEG_INFINITY, -1.5, -1.0e-45, -0.0, 0.0, 1.0e-45, 2.0, f32::MAX, f32::INFINITY];
        for pair in values.windows(2) {
            assert!(rank(pair[0]) < rank(pair[1]));
        }
        assert!(values.iter().all(|value| unrank(rank(*value)).to_bits() == value.to_bits()));
    }
}
