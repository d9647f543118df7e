//! Grids: how a number becomes a small integer, monotonically (E1 of docs/protocols/decision-tree.md).

use serde::{Deserialize, Serialize};

use super::SchemaError;
use crate::Error;

/// Greatest number of bits of a quantised feature.
pub const MAX_BITS: u32 = 11;
/// Whole numbers up to this one have exact halves.
const MAX_INTEGER: i64 = (1 << 52) - 1;
/// Default bits of a numeric feature.
pub const DEFAULT_BITS: u32 = 8;

/// The edges between a feature's cells.
///
/// A grid of b bits has 2^b cells and 2^b − 1 edges. A value's cell is the number of edges below it. Values outside the
/// grid fall into the first or the last cell.
///
/// # Security
/// The grid is public. Edges at the data's quantiles reveal the distribution of the data. Edges at a model's thresholds
/// would reveal the thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[doc(alias("quantizer", "binning"))]
#[non_exhaustive]
pub enum Grid {
    /// Cells of equal width from `low` to `high`.
    Uniform {
        /// Lower end of the first cell.
        low: f64,
        /// Upper end of the last cell, above `low`.
        high: f64,
        /// 1 to [`MAX_BITS`].
        bits: u32,
    },
    /// Cells whose ends grow by a constant factor, for positive heavy-tailed quantities such as amounts.
    Logarithmic {
        /// Lower end of the first cell, positive.
        low: f64,
        /// Upper end of the last cell, above `low`.
        high: f64,
        /// 1 to [`MAX_BITS`].
        bits: u32,
    },
    /// Edges given one by one, strictly increasing, 1 to 2^[`MAX_BITS`] − 1 of them; see [`Grid::quantiles`].
    Edges(Vec<f64>),
    /// One cell for each whole number from `low` to `high`, at most 2^[`MAX_BITS`] of them. Other values are refused.
    Integers {
        /// The least value.
        low: i64,
        /// The greatest value, above `low`.
        high: i64,
    },
}

impl Grid {
    /// A grid whose cells hold about equally many of `values` (not NaN). Every edge lies midway between two neighbouring
    /// values. Equal values share a cell, so that there may be fewer cells than 2^`bits`.
    ///
    /// # Errors
    /// [`SchemaError::Grid`] for NaN, fewer than two distinct finite values, or bits outside 1..=11.
    pub fn quantiles(values: &[f64], bits: u32) -> crate::Result<Self> {
        check_bits(bits)?;
        if values.iter().any(|value| value.is_nan()) {
            return Err(SchemaError::Grid { reason: "a value is not a number" }.into());
        }
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let mut edges: Vec<f64> = quantile_gaps(&sorted, 1 << bits)
            .into_iter()
            .map(|(below, above)| midway(below, above))
            .collect();
        edges.dedup();
        if edges.is_empty() {
            return Err(SchemaError::Grid { reason: "fewer than two distinct values" }.into());
        }
        Ok(Self::Edges(edges))
    }

    /// Bits of a cell's index.
    #[must_use]
    pub fn bits(&self) -> u32 {
        match self {
            Self::Uniform { bits, .. } | Self::Logarithmic { bits, .. } => *bits,
            Self::Edges(edges) => edges.len().checked_ilog2().map_or(1, |log| log + 1),
            Self::Integers { low, high } => high.abs_diff(*low).checked_ilog2().map_or(1, |log| log + 1),
        }
    }

    /// Checks the grid and lists its edges.
    pub(super) fn edges(&self) -> Result<Vec<f64>, SchemaError> {
        let edges: Vec<f64> = match *self {
            Self::Uniform { low, high, bits } => {
                let cells = check_range(low, high, bits)?;
                (1..cells).map(|cell| low + (high - low) * (f64::from(cell) / f64::from(cells))).collect()
            }
            Self::Logarithmic { low, high, bits } => {
                if low <= 0.0 {
                    return Err(SchemaError::Grid {
                        reason: "a logarithmic grid needs a positive lower end",
                    });
                }
                let cells = check_range(low, high, bits)?;
                let span = (high / low).ln();
                (1..cells).map(|cell| low * (span * f64::from(cell) / f64::from(cells)).exp()).collect()
            }
            Self::Edges(ref edges) => {
                if edges.is_empty() || edges.len() >= 1 << MAX_BITS {
                    return Err(SchemaError::Grid { reason: "the number of edges is not in 1..=2047" });
                }
                edges.clone()
            }
            Self::Integers { low, high } => {
                let ends = -MAX_INTEGER..=MAX_INTEGER;
                if low >= high
                    || high.abs_diff(low) >= 1 << MAX_BITS
                    || !ends.contains(&low)
                    || !ends.contains(&high)
                {
                    let reason = "the whole numbers are not 2 to 2048 in increasing order below 2^52";
                    return Err(SchemaError::Grid { reason });
                }
                #[allow(clippy::cast_precision_loss)] // below 2^52, so that a half is exact
                (low..high).map(|value| value as f64 + 0.5).collect()
            }
        };
        let increasing = edges.windows(2).all(|pair| pair[0] < pair[1]);
        if !increasing || edges.iter().any(|edge| !edge.is_finite()) {
            return Err(SchemaError::Grid { reason: "the edges are not finite and strictly increasing" });
        }
        Ok(edges)
    }

    /// E2: the cell t for which "cell ≤ t" comes nearest to "value ≤ `threshold`": −1 where no cell is, 2^bits − 1
    /// where every cell is.
    pub(super) fn snap(&self, edges: &[f64], threshold: f64) -> Result<i32, Error> {
        if threshold == f64::NEG_INFINITY {
            return Ok(-1);
        }
        if let Self::Integers { low, high } = *self {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // −1 to 2^11, exactly
            return Ok((threshold.floor().clamp((low - 1) as f64, high as f64) - low as f64) as i32);
        }
        let above = edges.partition_point(|edge| *edge < threshold);
        // The ends of a uniform or logarithmic grid count as edges: beyond them lies no cell.
        let (first, last) = match *self {
            Self::Uniform { low, high, .. } | Self::Logarithmic { low, high, .. } => (low, high),
            Self::Edges(_) | Self::Integers { .. } => (f64::NEG_INFINITY, f64::INFINITY),
        };
        let below_edge = above.checked_sub(1).and_then(|i| edges.get(i)).copied().unwrap_or(first);
        let above_edge = edges.get(above).copied().unwrap_or(last);
        let nearer_below = match self {
            Self::Logarithmic { .. } if threshold <= 0.0 => true,
            Self::Logarithmic { .. } => threshold / below_edge < above_edge / threshold,
            _ => threshold - below_edge < above_edge - threshold,
        };
        let place = "snap: a grid has more than 2^31 edges";
        let above = i32::try_from(above).map_err(|_| Error::Internal { place })?;
        Ok(if nearer_below { above - 1 } else { above })
    }
}

/// The pairs of neighbouring distinct values between which the quantiles of sorted `values` fall, for at most `cells` cells.
pub(super) fn quantile_gaps(values: &[f64], cells: usize) -> Vec<(f64, f64)> {
    let mut gaps: Vec<(f64, f64)> = Vec::new();
    for cell in 1..cells {
        let index = values.len() * cell / cells;
        let Some(&below) = index.checked_sub(1).and_then(|index| values.get(index)) else { continue };
        // Where the quantile falls into a run of equal values, the gap behind the run.
        let Some(&above) = values.get(values.partition_point(|value| *value <= below)) else { continue };
        if gaps.last() != Some(&(below, above)) {
            gaps.push((below, above));
        }
    }
    gaps
}

/// A number from `below` on and less than `above`, as near to their middle as there is one.
pub(super) fn midway(below: f64, above: f64) -> f64 {
    let middle = below + (above / 2.0 - below / 2.0);
    if middle < above { middle } else { below }
}

pub(super) fn check_bits(bits: u32) -> Result<(), SchemaError> {
    if (1..=MAX_BITS).contains(&bits) {
        Ok(())
    } else {
        Err(SchemaError::Grid { reason: "the number of bits is not in 1..=11" })
    }
}

fn check_range(low: f64, high: f64, bits: u32) -> Result<u32, SchemaError> {
    check_bits(bits)?;
    if low.is_finite() && high.is_finite() && low < high && (high - low).is_finite() {
        Ok(1 << bits)
    } else {
        Err(SchemaError::Grid { reason: "the ends are not finite and in order" })
    }
}
