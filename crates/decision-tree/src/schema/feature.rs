//! One feature of a row: its name, the values that it has, and how they become cells.

use serde::{Deserialize, Serialize};

use super::{Grid, SchemaError};

/// One feature of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Its name, as in the model.
    pub name: String,
    /// What values it has.
    #[serde(flatten)]
    pub kind: FeatureKind,
    /// Where a missing value stands among its cells.
    #[serde(default, skip_serializing_if = "MissingCell::is_refused")]
    pub missing: MissingCell,
}

/// Where a missing value stands among a feature's cells.
///
/// The server learns nothing from it: a missing value is encrypted like any other. A split is cheapest if the model sends missing values
/// to the side of the missing cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissingCell {
    /// Nowhere: a row that lacks the value is refused.
    #[default]
    Refused,
    /// In a cell of its own before the others.
    First,
    /// In a cell of its own behind the others.
    Last,
}

impl MissingCell {
    pub(super) fn is_refused(&self) -> bool {
        *self == Self::Refused
    }
}

/// What values a feature has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[serde(tag = "kind", content = "grid")]
#[non_exhaustive]
pub enum FeatureKind {
    /// 0 or 1 (anything above ½ counts as 1): one bit.
    Binary,
    /// A number on a grid.
    Numeric(Grid),
    /// A value that no model reads: it is neither encrypted nor sent.
    Unread,
}

impl Feature {
    /// A feature that is 0 or 1.
    #[must_use]
    pub fn binary(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: FeatureKind::Binary, missing: MissingCell::Refused }
    }

    /// A feature on a grid.
    #[must_use]
    pub fn numeric(name: impl Into<String>, grid: Grid) -> Self {
        Self { name: name.into(), kind: FeatureKind::Numeric(grid), missing: MissingCell::Refused }
    }

    /// A feature that stands in a row and is neither encrypted nor sent. Its value may be anything, also missing.
    ///
    /// # Security
    /// The schema reveals that the model does not read it.
    #[must_use]
    pub fn unread(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: FeatureKind::Unread, missing: MissingCell::Refused }
    }

    /// A feature that has only the whole numbers from `values.start()` to `values.end()`, at most 2,048 of them. No threshold loses
    /// anything on its grid.
    ///
    /// ```
    /// use subrosa_decision_tree::model::Precision;
    /// use subrosa_decision_tree::schema::{Feature, Schema};
    ///
    /// let schema = Schema::new(vec![Feature::integer("age", 18..=120)], vec![], Precision::Double)?;
    /// assert_eq!(schema.quantize(&[21.0])?.cells(), [3]);
    /// assert!(schema.quantize(&[21.5]).is_err());
    /// # Ok::<(), subrosa_decision_tree::Error>(())
    /// ```
    #[must_use]
    pub fn integer(name: impl Into<String>, values: std::ops::RangeInclusive<i64>) -> Self {
        Self::numeric(name, Grid::Integers { low: *values.start(), high: *values.end() })
    }

    /// The same feature with a cell for a missing value.
    ///
    /// ```
    /// use subrosa_decision_tree::model::Precision;
    /// use subrosa_decision_tree::schema::{Feature, Grid, MissingCell, Schema};
    ///
    /// let income = Feature::numeric("income", Grid::Edges(vec![1_000.0, 5_000.0])).with_missing(MissingCell::Last);
    /// let schema = Schema::new(vec![income], vec![], Precision::Double)?;
    /// assert_eq!(schema.quantize(&[f64::NAN])?.cells(), [3]);
    /// # Ok::<(), subrosa_decision_tree::Error>(())
    /// ```
    #[must_use]
    pub fn with_missing(mut self, cell: MissingCell) -> Self {
        self.missing = cell;
        self
    }

    pub(super) fn edges(&self) -> Result<Vec<f64>, SchemaError> {
        match &self.kind {
            FeatureKind::Binary => Ok(vec![0.5]),
            FeatureKind::Numeric(grid) => grid.edges(),
            FeatureKind::Unread => Ok(vec![]),
        }
    }
}

/// The last cell of a feature, that of a missing value included.
pub(super) fn last_cell(feature: &Feature, edges: &[f64]) -> u32 {
    // At most 2^11 edges.
    u32::try_from(edges.len()).unwrap_or(u32::MAX).saturating_add(u32::from(!feature.missing.is_refused()))
}

/// Bits of a feature's cell.
pub(super) fn bits(feature: &Feature, edges: &[f64]) -> u32 {
    match feature.kind {
        FeatureKind::Unread => 0,
        _ => last_cell(feature, edges).checked_ilog2().map_or(1, |log| log + 1),
    }
}
