//! Models on a schema's grid. They hold integers only, so clear and encrypted evaluation agree exactly.

mod build;
mod grow;
mod reading;
mod report;
mod thresholds;

pub use build::QuantizeError;
pub use reading::{Reading, Verdict};
pub use report::{Agreement, AgreementWarning, Confusion};

use crate::Error;
use crate::model::Model;
use crate::schema::{QuantizedRow, Samples, Schema};

/// Default bits of a leaf value.
pub const DEFAULT_LEAF_BITS: u32 = 12;

/// A model whose thresholds are cells of a schema's grid and whose leaf values are small integers.
///
/// A server evaluates this model under encryption, not the original. [`Self::agreement`] reports how much accuracy
/// quantising has cost.
///
/// ```
/// use subrosa_decision_tree::{Feature, Grid, Model, Node, QuantizedModel, Schema};
///
/// let nodes = vec![Node::split(0, 300.0, 1, 2), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
/// let model = Model::classifier(["amount"], ["genuine", "fraud"], nodes)?;
/// let amounts = Grid::Logarithmic { low: 1.0, high: 10_000.0, bits: 8 };
/// let schema = Schema::for_model(&model, vec![Feature::numeric("amount", amounts)])?;
/// let quantized = QuantizedModel::new(&model, &schema)?;
/// assert_eq!(quantized.predict(&[950.0])?.class(), Some(1));
///
/// // The nearest edge of the grid is above 300: one row changes its class.
/// let report = quantized.agreement(&model, &[[20.0], [301.0], [950.0]], None)?;
/// assert_eq!((report.agreeing, report.rows), (2, 3));
/// # Ok::<(), subrosa_decision_tree::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[doc(alias("quantize", "n_bits"))]
pub struct QuantizedModel {
    schema: Schema,
    trees: Vec<QuantizedTree>,
    reading: Reading,
}

/// A tree without splits that decide nothing. Node 0 is the root; children stand behind their parents, and equal subtrees are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QuantizedTree {
    pub(crate) nodes: Vec<QuantizedNode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum QuantizedNode {
    /// Left where the feature's cell is at most `threshold`, which is below the grid's last cell.
    Split { feature: usize, threshold: u32, left: usize, right: usize },
    /// One value per channel of the reading.
    Leaf { values: Vec<u32> },
}

impl QuantizedModel {
    /// Puts a model on a schema's grid: thresholds move to the nearest edge (splits that can then go only one way
    /// disappear), leaf values to integers of at most [`DEFAULT_LEAF_BITS`] bits.
    ///
    /// # Errors
    /// [`QuantizeError`] where features, classes or precision of model and schema differ.
    pub fn new(model: &Model, schema: &Schema) -> crate::Result<Self> {
        Self::with_leaf_bits(model, schema, DEFAULT_LEAF_BITS)
    }

    /// As [`Self::new`], with another resolution of the leaf values: 1 to 24 bits between the least and the
    /// greatest leaf of the ensemble. Votes and a single tree's classes are exact whatever is chosen. A finer
    /// resolution costs answer bytes, and payload coefficients where one does not hold a sum any more.
    ///
    /// # Errors
    /// As [`Self::new`], and [`QuantizeError::LeafBits`].
    pub fn with_leaf_bits(model: &Model, schema: &Schema, leaf_bits: u32) -> crate::Result<Self> {
        build::build(model, schema, leaf_bits, None)
    }

    /// As [`Self::new`], with the thresholds placed by sample rows: a threshold moves to an edge that no row of the sample
    /// lies in between or, where there is none, to the edge with the fewest rows in between. [`Schema::losses`] reports this
    /// feature by feature. Give the training rows.
    ///
    /// # Errors
    /// As [`Self::new`], and [`crate::schema::SchemaError`] for a row that does not fit the model.
    pub fn fitted<R: AsRef<[f64]>>(model: &Model, schema: &Schema, rows: &[R]) -> crate::Result<Self> {
        let samples = Samples::read(model, rows)?;
        build::build(model, schema, DEFAULT_LEAF_BITS, Some(&samples))
    }

    /// The schema whose grid the model is on.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How a sum of leaf values is read as a verdict.
    #[must_use]
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// How many splits are left in all trees together.
    #[must_use]
    pub fn splits(&self) -> usize {
        let is_split = |node: &&QuantizedNode| matches!(node, QuantizedNode::Split { .. });
        self.trees.iter().map(|tree| tree.nodes.iter().filter(is_split).count()).sum()
    }

    /// How many trees the model has.
    #[must_use]
    pub fn tree_count(&self) -> usize {
        self.trees.len()
    }

    /// The greatest number of splits between a root and a leaf.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.trees.iter().flat_map(QuantizedTree::heights).max().unwrap_or(0)
    }

    /// The exact verdict on a row, in the clear.
    ///
    /// # Errors
    /// [`crate::schema::SchemaError`] for a row that does not fit the schema.
    pub fn predict(&self, row: &[f64]) -> crate::Result<Verdict> {
        self.predict_quantized(&self.schema.quantize(row)?)
    }

    /// The exact verdict on a row that is on the grid already.
    ///
    /// # Errors
    /// [`crate::schema::SchemaError`] for a row that is not of this schema.
    pub fn predict_quantized(&self, row: &QuantizedRow) -> crate::Result<Verdict> {
        self.schema.check_row(row)?;
        let mut sums = vec![0u64; self.reading.channels()];
        for tree in &self.trees {
            for (sum, value) in sums.iter_mut().zip(tree.leaf(row.cells())?) {
                *sum += u64::from(*value);
            }
        }
        self.reading.verdict(sums)
    }

    /// Moves thresholds within the gap that `rows` leave around them, so that more of their lowest bits are ones,
    /// each of which saves a ciphertext product per split. No verdict on any of `rows` changes; verdicts on other
    /// rows may. Give the training rows.
    ///
    /// # Errors
    /// [`crate::schema::SchemaError`] for a row that does not fit the schema.
    pub fn relax_thresholds<R: AsRef<[f64]>>(&mut self, rows: &[R]) -> crate::Result<()> {
        let rows: Vec<QuantizedRow> =
            rows.iter().map(|row| self.schema.quantize(row.as_ref())).collect::<crate::Result<_>>()?;
        self.trees.iter_mut().for_each(|tree| tree.relax(&rows));
        Ok(())
    }

    pub(crate) fn trees(&self) -> &[QuantizedTree] {
        &self.trees
    }
}

impl QuantizedNode {
    /// The values of a leaf; `None` for a split.
    pub(crate) fn values(&self) -> Option<&[u32]> {
        match self {
            Self::Leaf { values } => Some(values),
            Self::Split { .. } => None,
        }
    }
}

impl QuantizedTree {
    /// Whether a node is a split of two leaves.
    pub(crate) fn is_bottom(&self, index: usize) -> bool {
        let leaf = |index: &usize| matches!(self.nodes.get(*index), Some(QuantizedNode::Leaf { .. }));
        matches!(self.nodes.get(index), Some(QuantizedNode::Split { left, right, .. }) if leaf(left) && leaf(right))
    }

    /// The values of the leaf that a row ends in.
    fn leaf(&self, cells: &[u32]) -> crate::Result<&[u32]> {
        let internal = |place| Error::Internal { place };
        let mut index = 0;
        loop {
            match self.nodes.get(index).ok_or(internal("predict: a child is not in its tree"))? {
                QuantizedNode::Leaf { values } => return Ok(values),
                QuantizedNode::Split { feature, threshold, left, right } => {
                    let cell = cells.get(*feature);
                    let cell = cell.ok_or(internal("predict: a split on a feature that no row has"))?;
                    index = if cell <= threshold { *left } else { *right };
                }
            }
        }
    }

    /// For each node the number of splits on the longest path below it, its own included (0 for a leaf).
    pub(crate) fn heights(&self) -> Vec<usize> {
        let mut heights = vec![0; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if let QuantizedNode::Split { left, right, .. } = node {
                heights[index] = 1 + heights[*left].max(heights[*right]);
            }
        }
        heights
    }
}
