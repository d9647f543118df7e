//! Training: a decision tree from labelled purchases, and its quality on held-out rows.

use linfa::Dataset;
use linfa::traits::Fit;
use linfa_trees::{DecisionTree, SplitQuality, TreeNode};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;

use crate::metrics::Confusion;
use crate::table::{FEATURE_NAMES, FEATURES, Purchase};
use crate::{Error, Result};
use subrosa_decision_tree::model::{
    Aggregate, Kind, ModelParts, Node, PostTransform, Precision, Rule, Task, Tree,
};
use subrosa_decision_tree::{Model, QuantizedModel, Schema};

/// The two verdicts, in the order of their indices.
pub const CLASSES: [&str; 2] = ["genuine", "fraud"];

/// Whether a verdict's class is fraud; `None` if it is not an index into [`CLASSES`].
#[must_use]
pub fn is_fraud(class: Option<usize>) -> Option<bool> {
    match class {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    }
}

/// Greatest number of bits of an amount on its grid.
const AMOUNT_BITS: u32 = 10;

/// Options of the learner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainOptions {
    /// Greatest number of splits on a path.
    pub max_depth: usize,
    /// Share of the rows that is held out, of each class alike; above 0 and below 1.
    pub hold_out: f64,
    /// Seed of the split into training and held-out rows.
    pub seed: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self { max_depth: 7, hold_out: 0.2, seed: 1 }
    }
}

/// Labelled purchases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labelled {
    /// The purchases.
    pub rows: Vec<Purchase>,
    /// Whether each was fraudulent.
    pub labels: Vec<bool>,
}

/// A trained tree, the same tree on the public grid, and the quality of both on held-out rows.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The tree as it was learned.
    pub model: Model,
    /// The tree on the schema's grid: what is evaluated under encryption.
    pub quantized: QuantizedModel,
    /// Rows used for training.
    pub training_rows: usize,
    /// The rows that were held out.
    pub held_out: Labelled,
    /// The learned tree on the held-out rows.
    pub original_counts: Confusion,
    /// The tree on the grid on the same rows.
    pub quantized_counts: Confusion,
    /// Number of held-out rows on which both give the same class.
    pub agreeing: usize,
}

/// Splits, trains, puts the tree on the grid and compares.
///
/// # Errors
/// [`Error::Data`] where one class has fewer than ten rows.
pub fn train(data: &Labelled, options: &TrainOptions) -> Result<Trained> {
    let (training, held_out) = split(data, options)?;
    let model = fit(&training, options.max_depth)?;
    let schema = Schema::fit(&model, &training.rows, AMOUNT_BITS)?;
    let quantized = QuantizedModel::fitted(&model, &schema, &training.rows)?;
    let mut original = Vec::with_capacity(held_out.rows.len());
    let mut on_grid = Vec::with_capacity(held_out.rows.len());
    for row in &held_out.rows {
        original.push(model.predict(row)?.class() == Some(1));
        on_grid.push(quantized.predict(row)?.class() == Some(1));
    }
    let count =
        |verdicts: &[bool]| Confusion::count(verdicts.iter().copied().zip(held_out.labels.iter().copied()));
    Ok(Trained {
        original_counts: count(&original),
        quantized_counts: count(&on_grid),
        agreeing: original.iter().zip(&on_grid).filter(|(a, b)| a == b).count(),
        training_rows: training.rows.len(),
        model,
        quantized,
        held_out,
    })
}

/// Holds out the same share of each class (a stratified split), by a seeded shuffle.
fn split(data: &Labelled, options: &TrainOptions) -> Result<(Labelled, Labelled)> {
    let mut rng = ChaCha12Rng::seed_from_u64(options.seed);
    let mut chosen = vec![false; data.rows.len()];
    for class in [false, true] {
        let mut members: Vec<usize> = (0..data.rows.len()).filter(|&row| data.labels[row] == class).collect();
        if members.len() < 10 {
            let class = CLASSES[usize::from(class)];
            let message = format!("{} rows are labelled {class}, at least 10 are needed", members.len());
            return Err(Error::Data(message));
        }
        members.shuffle(&mut rng);
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
        // A share of a number of rows.
        let held_out = (members.len() as f64 * options.hold_out).round() as usize;
        members.iter().take(held_out.clamp(1, members.len() - 1)).for_each(|&row| chosen[row] = true);
    }
    let part = |held_out: bool| {
        let rows = (0..data.rows.len()).filter(|&row| chosen[row] == held_out);
        let (rows, labels) = rows.map(|row| (data.rows[row], data.labels[row])).unzip();
        Labelled { rows, labels }
    };
    Ok((part(false), part(true)))
}

/// Learns a tree (CART with Gini impurity) in which both classes weigh about the same.
fn fit(training: &Labelled, max_depth: usize) -> Result<Model> {
    let frauds = training.labels.iter().filter(|label| **label).count();
    let genuine = training.labels.len() - frauds;
    // A whole number: linfa adds and subtracts weights in f32, where whole numbers stay exact up to 2^24.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    let fraud_weight = (genuine as f64 / frauds as f64).round().max(1.0) as f32;
    let mut grower = Grower { training, fraud_weight, max_depth, nodes: Vec::new() };
    grower.grow(&(0..training.rows.len()).collect::<Vec<_>>(), 0)?;
    Ok(Model::new(ModelParts {
        task: Task::Classification { labels: CLASSES.map(String::from).to_vec() },
        kind: Kind::DecisionTree,
        features: FEATURE_NAMES.map(String::from).to_vec(),
        precision: Precision::Double,
        trees: vec![Tree::new(grower.nodes)],
        aggregate: Aggregate::Sum,
        base: vec![0.0; CLASSES.len()],
        post_transform: PostTransform::None,
        decision_threshold: 0.0,
        missing: None,
    })?)
}

/// Grows a tree one split at a time, each found by `linfa-trees` on the node's own rows.
///
/// Given all rows and a greater depth, `linfa-trees` 0.8.1 compares a row with its neighbour in sorted order even if
/// that neighbour belongs to another branch. Below the root it then finds next to no split on a switch, whose values
/// are all 0 or 1.
struct Grower<'a> {
    training: &'a Labelled,
    fraud_weight: f32,
    max_depth: usize,
    nodes: Vec<Node>,
}

impl Grower<'_> {
    /// Appends the subtree for these rows; `Some(class)` if it is a leaf.
    fn grow(&mut self, rows: &[usize], depth: usize) -> Result<Option<usize>> {
        let split = if depth < self.max_depth { self.best_split(rows)? } else { None };
        let Some((feature, threshold)) = split else {
            let class = self.majority(rows);
            self.nodes.push(Node::leaf(class, 1.0));
            return Ok(Some(class));
        };
        let goes_left = |&row: &usize| self.training.rows[row][feature] <= threshold;
        let (below, above): (Vec<usize>, Vec<usize>) = rows.iter().partition(|row| goes_left(row));
        let index = self.nodes.len();
        self.nodes.push(Node::leaf(0, 1.0));
        let left = index + 1;
        let left_class = self.grow(&below, depth + 1)?;
        let right = self.nodes.len();
        let right_class = self.grow(&above, depth + 1)?;
        if let Some(class) = left_class.filter(|_| left_class == right_class) {
            // A split between two leaves of one class changes no verdict.
            self.nodes.truncate(index);
            self.nodes.push(Node::leaf(class, 1.0));
            return Ok(Some(class));
        }
        self.nodes[index] = Node::Split { feature, rule: Rule::LessOrEqual, threshold, left, right };
        Ok(None)
    }

    /// The split with the least impurity; `None` if no split lowers it or the rows are of one class.
    fn best_split(&self, rows: &[usize]) -> Result<Option<(usize, f64)>> {
        let label = |row: &usize| self.training.labels[*row];
        if rows.iter().all(label) || !rows.iter().any(label) {
            return Ok(None);
        }
        let value = |(row, column): (usize, usize)| self.training.rows[rows[row]][column];
        let records = Array2::from_shape_fn((rows.len(), FEATURES), value);
        let targets: Array1<usize> = rows.iter().map(|row| usize::from(label(row))).collect();
        let weight = |row| if label(row) { self.fraud_weight } else { 1.0 };
        let weights: Array1<f32> = rows.iter().map(weight).collect();
        let stump = DecisionTree::params()
            .split_quality(SplitQuality::Gini)
            .max_depth(Some(1))
            // At least one fraud, or as many genuine purchases as weigh the same, on either side.
            .min_weight_leaf(self.fraud_weight)
            .fit(&Dataset::new(records, targets).with_weights(weights))?;
        // The root keeps its split even where both of its leaves say the same; without a split it has no decrease.
        let root = stump.iter_nodes().next().map(TreeNode::split);
        let useful = root.filter(|(_, _, decrease)| *decrease > 0.0);
        // A midpoint can round up to the greatest value, which would leave one side empty.
        Ok(useful.map(|(feature, threshold, _)| (feature, threshold)).filter(|&(feature, threshold)| {
            let left = rows.iter().filter(|row| self.training.rows[**row][feature] <= threshold).count();
            0 < left && left < rows.len()
        }))
    }

    /// The class that weighs more; genuine if both weigh the same.
    fn majority(&self, rows: &[usize]) -> usize {
        let frauds = rows.iter().filter(|row| self.training.labels[**row]).count();
        #[allow(clippy::cast_precision_loss)] // counts of rows
        let (fraud, genuine) = (frauds as f32 * self.fraud_weight, (rows.len() - frauds) as f32);
        usize::from(fraud > genuine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{is_fraudulent, purchases};

    fn data(rows: usize) -> Labelled {
        let (rows, labels) = purchases(rows, 5);
        Labelled { rows, labels }
    }

    #[test]
    fn the_split_is_stratified_and_complete() {
        let data = data(3_000);
        let (training, held_out) = split(&data, &TrainOptions::default()).unwrap();
        assert_eq!(training.rows.len() + held_out.rows.len(), 3_000);
        let share = |part: &Labelled| {
            part.labels.iter().filter(|label| **label).count() as f64 / part.labels.len() as f64
        };
        assert!((share(&training) - share(&held_out)).abs() < 1e-3);
        assert!((held_out.rows.len() as f64 / 3_000.0 - 0.2).abs() < 1e-3);
    }

    #[test]
    fn a_tree_learns_the_rule_in_spite_of_the_noise() {
        let trained = train(&data(12_000), &TrainOptions::default()).unwrap();
        assert!(trained.original_counts.accuracy() > 0.99, "{}", trained.original_counts);
        assert!(trained.quantized_counts.accuracy() > 0.99, "{}", trained.quantized_counts);
        assert!(trained.agreeing * 1_000 >= trained.held_out.rows.len() * 990, "{}", trained.agreeing);
        let (fresh, _) = purchases(2_000, 99);
        let right = fresh
            .iter()
            .filter(|row| (trained.model.predict(*row).unwrap().class() == Some(1)) == is_fraudulent(row));
        assert!(right.count() >= 1_980);
    }

    #[test]
    fn one_class_alone_cannot_be_learned() {
        let mut data = data(300);
        data.labels.fill(false);
        let error = train(&data, &TrainOptions::default()).unwrap_err().to_string();
        assert!(error.contains("0 rows are labelled fraud"), "{error}");
    }
}
