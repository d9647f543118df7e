//! Grids: how a number becomes a small integer, monotonically (E1 of docs/protocols/decision-tree.md).

use serde::{Deserialize, Serialize};

use super::SchemaError;
use crate::Error;

/// Greatest number of bits of a quantised feature.
pub const MAX_BITS: u32 = 11;
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
}

impl Grid {
    /// A grid whose cells hold about equally many of `values` (not NaN; equal values share a cell, so that there
    /// may be fewer cells than 2^`bits`).
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
        let cells = 1usize << bits;
        let mut edges: Vec<f64> = Vec::new();
        for cell in 1..cells {
            let index = sorted.len() * cell / cells;
            let (Some(&below), Some(&above)) =
                (index.checked_sub(1).and_then(|i| sorted.get(i)), sorted.get(index))
            else {
                continue;
            };
            // Between two neighbours; where they are equal, just above the whole run.
            let edge = if below < above { below + (above - below) / 2.0 } else { below };
            if edges.last().is_none_or(|last| *last < edge) && sorted.last().is_some_and(|last| edge < *last)
            {
                edges.push(edge);
            }
        }
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
        let above = edges.partition_point(|edge| *edge < threshold);
        // The ends of a uniform or logarithmic grid count as edges: beyond them lies no cell.
        let (first, last) = match *self {
            Self::Uniform { low, high, .. } | Self::Logarithmic { low, high, .. } => (low, high),
            Self::Edges(_) => (f64::NEG_INFINITY, f64::INFINITY),
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

fn check_bits(bits: u32) -> Result<(), SchemaError> {
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
