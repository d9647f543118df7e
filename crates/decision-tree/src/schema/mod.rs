//! The public agreement between client and server: which features a row has, and how each becomes an integer.
//!
//! Every query and every answer holds the [`Schema::id`]. Messages under another schema are therefore refused.

mod error;
mod feature;
mod fit;
mod grid;

pub use error::SchemaError;
pub use feature::{Feature, FeatureKind, MissingCell};
pub use fit::FeatureLoss;
pub(crate) use fit::{Samples, at_most};
pub use grid::{DEFAULT_BITS, Grid, MAX_BITS};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::model::Precision;
use feature::{bits, last_cell};

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

fn check_names<'a>(what: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), SchemaError> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if name.is_empty() || !seen.insert(name) {
            return Err(SchemaError::BadName { what, name: name.to_owned() });
        }
    }
    Ok(())
}
