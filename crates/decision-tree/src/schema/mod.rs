//! The public agreement between client and server: which features a row has, and how each becomes an integer.
//!
//! Every query and every answer holds the [`Schema::id`]. Messages under another schema are therefore refused.

mod fit;
mod grid;

pub use fit::FeatureLoss;
pub(crate) use fit::{Samples, at_most};
pub use grid::{DEFAULT_BITS, Grid, MAX_BITS};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::model::Precision;

/// Greatest number of features of a schema.
pub const MAX_FEATURES: usize = 4_096;
/// Greatest number of bits of a whole row.
pub const MAX_ROW_BITS: u32 = 4_096;
/// Greatest size of a schema file, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 64 << 20;
/// Longest block of a feature in the polynomials for the bottom nodes; see [`Schema::with_span`].
pub const MAX_SPAN: u32 = 2_048;

const FORMAT: &str = "subrosa-tree-schema";
const VERSION: u32 = 1;

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
    fn is_refused(&self) -> bool {
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

    fn edges(&self) -> Result<Vec<f64>, SchemaError> {
        match &self.kind {
            FeatureKind::Binary => Ok(vec![0.5]),
            FeatureKind::Numeric(grid) => grid.edges(),
            FeatureKind::Unread => Ok(vec![]),
        }
    }
}

/// The public agreement of client and server: features, their grids, and classes.
///
/// ```
/// use subrosa_decision_tree::model::Precision;
/// use subrosa_decision_tree::schema::{Feature, Grid, Schema};
///
/// let schema = Schema::new(
///     vec![
///         Feature::numeric("amount", Grid::Logarithmic { low: 1.0, high: 10_000.0, bits: 8 }),
///         Feature::binary("online"),
///     ],
///     vec!["genuine".into(), "fraud".into()],
///     Precision::Double,
/// )?;
/// assert_eq!(schema.quantize(&[100.0, 1.0])?.cells(), [127, 1]);
/// assert_eq!(schema.quantize(&[1e9, 0.0])?.cells(), [255, 0]);
/// assert!(schema.quantize(&[f64::NAN, 0.0]).is_err());
/// # Ok::<(), subrosa_decision_tree::Error>(())
/// ```
#[derive(Clone, PartialEq)]
#[doc(alias = "quantizer")]
pub struct Schema {
    written: Written,
    edges: Vec<Vec<f64>>,
    id: SchemaId,
}

/// The schema as its file holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    version: u32,
    precision: Precision,
    /// The value that stands for a missing one, besides NaN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing: Option<f64>,
    span: u32,
    classes: Vec<String>,
    features: Vec<Feature>,
}

/// SHA-256 of a schema: two schemas are interchangeable exactly when their ids are equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SchemaId(pub(crate) [u8; 32]);

impl SchemaId {
    /// The hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for SchemaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a schema, or a row under it, is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// No features, or more of something than a schema may have.
    #[error("{count} {what}, allowed are 1 to {limit}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// An empty name or one that appears twice.
    #[error("the {what} name {name:?} is empty or appears twice")]
    BadName {
        /// `feature` or `class`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An invalid grid.
    #[error("grid: {reason}")]
    Grid {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A span that is not a power of two from 16 to [`MAX_SPAN`], or 0.
    #[error("the span {span} is neither 0 nor a power of two from 16 to {MAX_SPAN}")]
    Span {
        /// The span.
        span: u32,
    },
    /// A file that cannot be read.
    #[error("not a schema file: {reason}")]
    File {
        /// What the reader found.
        reason: String,
    },
    /// A file of a version that this crate does not know.
    #[error("schema version {found}, this crate reads {VERSION}")]
    Version {
        /// The file's version.
        found: u32,
    },
    /// A row with another number of values than the schema has features.
    #[error("a row has {got} values, the schema {expected} features")]
    RowLength {
        /// Values in the row.
        got: usize,
        /// Features of the schema.
        expected: usize,
    },
    /// A cell that the feature's grid does not have.
    #[error("the grid of feature {feature} has no such cell")]
    Cell {
        /// The feature's index.
        feature: usize,
    },
    /// A value between the whole numbers that the feature has.
    #[error("the value of feature {feature} is not a whole number")]
    NotWhole {
        /// The feature's index.
        feature: usize,
    },
    /// A missing value of a feature that must not be missing.
    #[error("the value of feature {feature} is missing, and the schema has no cell for a missing value")]
    NotANumber {
        /// The feature's index.
        feature: usize,
    },
}

/// A row on the grid: one cell per feature.
///
/// A query hides it. `Debug` therefore prints `<redacted>`, and the cells are wiped when dropped.
#[derive(Clone, PartialEq, Eq, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct QuantizedRow(Vec<u32>);

impl QuantizedRow {
    /// The cells, in the schema's order; each is below 2^bits of its feature.
    #[must_use]
    pub fn cells(&self) -> &[u32] {
        &self.0
    }
}

impl std::fmt::Debug for QuantizedRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QuantizedRow(<redacted>)")
    }
}

impl Schema {
    /// A schema of `features`, in the order of a row's values, for verdicts among `classes` (empty for a
    /// regression).
    ///
    /// # Errors
    /// [`SchemaError`] for too few or too many features or bits, bad names or bad grids.
    pub fn new(features: Vec<Feature>, classes: Vec<String>, precision: Precision) -> crate::Result<Self> {
        let (format, version) = (FORMAT.to_owned(), VERSION);
        Self::check(Written { format, version, precision, missing: None, span: 512, classes, features })
    }

    /// A schema for the verdicts of `model`: its classes, its precision and the value that it reads as missing, with these features in
    /// the order of its own.
    ///
    /// The schema holds nothing else of the model, and its grids are the caller's choice.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn for_model(model: &crate::Model, features: Vec<Feature>) -> crate::Result<Self> {
        let mut schema = Self::new(features, model.labels().to_vec(), model.parts().precision)?;
        schema.written.missing = model.parts().missing;
        Self::check(schema.written)
    }

    /// The same schema with another span: the longest block, in polynomial coefficients, that a query's monomial
    /// ciphertexts give one feature. A query has ⌈(Σ 2^bits)/span⌉ of them or a few more. A model with m payload
    /// coefficients evaluates its bottom nodes without any ciphertext product when span · m is at most the ring
    /// dimension. 0 leaves the monomial ciphertexts out. The default is 512.
    ///
    /// # Errors
    /// [`SchemaError::Span`] unless `span` is 0 or a power of two from 16 to [`MAX_SPAN`].
    pub fn with_span(mut self, span: u32) -> crate::Result<Self> {
        self.written.span = span;
        Self::check(self.written)
    }

    fn check(written: Written) -> crate::Result<Self> {
        let count = |what, count, limit| SchemaError::Count { what, count, limit };
        if !(1..=MAX_FEATURES).contains(&written.features.len()) {
            return Err(count("features", written.features.len(), MAX_FEATURES).into());
        }
        if written.classes.len() > crate::model::MAX_OUTPUTS {
            return Err(count("classes", written.classes.len(), crate::model::MAX_OUTPUTS).into());
        }
        check_names("feature", written.features.iter().map(|feature| feature.name.as_str()))?;
        check_names("class", written.classes.iter().map(String::as_str))?;
        let span = written.span;
        if span != 0 && (!span.is_power_of_two() || !(16..=MAX_SPAN).contains(&span)) {
            return Err(SchemaError::Span { span }.into());
        }
        let edges: Vec<Vec<f64>> =
            written.features.iter().map(|feature| feature.edges()).collect::<Result<_, _>>()?;
        for (feature, edges) in written.features.iter().zip(&edges) {
            if feature.kind == FeatureKind::Unread && !feature.missing.is_refused() {
                return Err(SchemaError::Grid {
                    reason: "an unread feature has no cell for a missing value",
                }
                .into());
            }
            if last_cell(feature, edges) >= 1 << MAX_BITS {
                return Err(SchemaError::Grid { reason: "2048 cells leave none for a missing value" }.into());
            }
        }
        if written.missing.is_some_and(|missing| !missing.is_finite()) {
            return Err(SchemaError::Grid {
                reason: "the value that stands for a missing one is not finite",
            }
            .into());
        }
        let bits: u32 =
            written.features.iter().zip(&edges).map(|(feature, edges)| bits(feature, edges)).sum();
        if bits > MAX_ROW_BITS {
            return Err(count("bits", bits as usize, MAX_ROW_BITS as usize).into());
        }
        let text = serde_json::to_vec(&written).map_err(|e| SchemaError::File { reason: e.to_string() })?;
        let id = SchemaId(Sha256::digest(&text).into());
        Ok(Self { written, edges, id })
    }

    /// The schema as JSON.
    ///
    /// # Errors
    /// [`SchemaError::File`] if the text cannot be built, which a checked schema never causes.
    pub fn to_json(&self) -> crate::Result<String> {
        serde_json::to_string_pretty(&self.written)
            .map_err(|error| SchemaError::File { reason: error.to_string() }.into())
    }

    /// Reads and checks a schema that [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// [`SchemaError`] for text past [`MAX_SCHEMA_BYTES`], not JSON, of another format or version, or not a
    /// proper schema.
    pub fn from_json(text: &[u8]) -> crate::Result<Self> {
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(
                SchemaError::Count { what: "bytes", count: text.len(), limit: MAX_SCHEMA_BYTES }.into()
            );
        }
        #[derive(Deserialize)]
        struct Header {
            format: String,
            version: u32,
        }
        let file = |error: serde_json::Error| SchemaError::File {
            reason: format!("line {}, column {}: {:?} error", error.line(), error.column(), error.classify()),
        };
        let header: Header = serde_json::from_slice(text).map_err(file)?;
        if header.format != FORMAT {
            return Err(SchemaError::File { reason: "another format name".into() }.into());
        }
        if header.version != VERSION {
            return Err(SchemaError::Version { found: header.version }.into());
        }
        Self::check(serde_json::from_slice(text).map_err(file)?)
    }

    /// The schema's hash.
    #[must_use]
    pub fn id(&self) -> SchemaId {
        self.id
    }

    /// The features, in the order of a row's values.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.written.features
    }

    /// The classes that a verdict can name; empty for a regression.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.written.classes
    }

    /// How feature values are read before they are put on the grid.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.written.precision
    }

    /// The longest block of one feature in a query's monomial ciphertexts.
    #[must_use]
    pub fn span(&self) -> u32 {
        self.written.span
    }

    /// Bits of each feature's cell.
    #[must_use]
    pub fn bits(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.written.features.iter().zip(&self.edges).map(|(feature, edges)| bits(feature, edges))
    }

    /// The value that stands for a missing one, besides NaN.
    #[must_use]
    pub fn missing(&self) -> Option<f64> {
        self.written.missing
    }

    /// Puts a row on the grid. Values outside a grid fall into its first or last cell. NaN stands for a missing value.
    ///
    /// # Errors
    /// [`SchemaError::RowLength`], [`SchemaError::NotANumber`], [`SchemaError::NotWhole`].
    #[doc(alias = "quantize_input")]
    pub fn quantize(&self, row: &[f64]) -> crate::Result<QuantizedRow> {
        if row.len() != self.edges.len() {
            return Err(SchemaError::RowLength { got: row.len(), expected: self.edges.len() }.into());
        }
        // Into memory of the right size, so that no copy of a cell stays behind unwiped.
        let mut cells = QuantizedRow(Vec::with_capacity(row.len()));
        for (index, (value, (feature, edges))) in
            row.iter().zip(self.written.features.iter().zip(&self.edges)).enumerate()
        {
            cells.0.push(self.cell(index, *value, feature, edges)?);
        }
        Ok(cells)
    }

    fn cell(&self, index: usize, value: f64, feature: &Feature, edges: &[f64]) -> crate::Result<u32> {
        if feature.kind == FeatureKind::Unread {
            return Ok(0);
        }
        let precision = self.written.precision;
        let value = precision.read(value);
        if value.is_nan() || self.written.missing.is_some_and(|missing| precision.read(missing) == value) {
            return match feature.missing {
                MissingCell::Refused => Err(SchemaError::NotANumber { feature: index }.into()),
                MissingCell::First => Ok(0),
                MissingCell::Last => Ok(last_cell(feature, edges)),
            };
        }
        if matches!(feature.kind, FeatureKind::Numeric(Grid::Integers { .. })) && value.fract() != 0.0 {
            return Err(SchemaError::NotWhole { feature: index }.into());
        }
        let place = "quantise: a grid has more than 2^32 cells";
        let cell = u32::try_from(edges.partition_point(|edge| *edge < value));
        Ok(cell.map_err(|_| Error::Internal { place })? + u32::from(feature.missing == MissingCell::First))
    }

    /// Where missing values stand among the cells of a feature.
    pub(crate) fn missing_cell(&self, feature: usize) -> MissingCell {
        self.written.features.get(feature).map_or(MissingCell::Refused, |feature| feature.missing)
    }

    /// The last cell of each feature.
    pub(crate) fn last_cells(&self) -> impl Iterator<Item = u32> + '_ {
        self.written.features.iter().zip(&self.edges).map(|(feature, edges)| last_cell(feature, edges))
    }

    /// Refuses a row whose length or cells do not fit the schema.
    pub(crate) fn check_row(&self, row: &QuantizedRow) -> crate::Result<()> {
        let (got, expected) = (row.cells().len(), self.edges.len());
        if got != expected {
            return Err(SchemaError::RowLength { got, expected }.into());
        }
        match row.cells().iter().zip(self.bits()).position(|(cell, bits)| *cell >> bits != 0) {
            Some(feature) => Err(SchemaError::Cell { feature }.into()),
            None => Ok(()),
        }
    }

    /// The quantised threshold nearest to "value ≤ threshold" for a feature, counted without the missing cell: −1 never holds, that of
    /// the last cell always.
    pub(crate) fn snap(&self, feature: usize, threshold: f64) -> crate::Result<i32> {
        let feature = self.written.features.get(feature).zip(self.edges.get(feature));
        let place = "snap: a split on a feature that the schema does not have";
        let (feature, edges) = feature.ok_or(Error::Internal { place })?;
        match &feature.kind {
            FeatureKind::Binary => Ok(i32::from(threshold >= 0.0) + i32::from(threshold >= 1.0) - 1),
            FeatureKind::Numeric(grid) => grid.snap(edges, threshold),
            FeatureKind::Unread => Err(Error::Internal { place: "snap: a split on an unread feature" }),
        }
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schema").field("id", &self.id).field("written", &self.written).finish_non_exhaustive()
    }
}

/// The last cell of a feature, that of a missing value included.
fn last_cell(feature: &Feature, edges: &[f64]) -> u32 {
    // At most 2^11 edges.
    u32::try_from(edges.len()).unwrap_or(u32::MAX).saturating_add(u32::from(!feature.missing.is_refused()))
}

/// Bits of a feature's cell.
fn bits(feature: &Feature, edges: &[f64]) -> u32 {
    match feature.kind {
        FeatureKind::Unread => 0,
        _ => last_cell(feature, edges).checked_ilog2().map_or(1, |log| log + 1),
    }
}

fn check_names<'a>(what: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), SchemaError> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if name.is_empty() || !seen.insert(name) {
            return Err(SchemaError::BadName { what, name: name.to_owned() });
        }
    }
    Ok(())
}
