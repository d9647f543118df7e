//! Random models, schemas and rows for the tests.
#![allow(dead_code, unreachable_pub)] // each test file uses its own part
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)] // test code

use rand::{Rng, RngExt};

use subrosa_decision_tree::model::*;
use subrosa_decision_tree::schema::{Feature, Grid};
use subrosa_decision_tree::{Answer, ClientKey, Evaluator, Query, Schema};

/// What kind of ensemble to make.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub kind: Kind,
    /// 0 for a regression.
    pub classes: usize,
    /// Scores per row.
    pub outputs: usize,
    pub trees: usize,
    /// Splits per tree, at most.
    pub splits: usize,
    pub aggregate: Aggregate,
}

pub fn single_tree(classes: usize, splits: usize) -> Shape {
    let outputs = classes;
    Shape { kind: Kind::DecisionTree, classes, outputs, trees: 1, splits, aggregate: Aggregate::Sum }
}

pub fn forest(classes: usize, trees: usize, splits: usize, aggregate: Aggregate) -> Shape {
    Shape { kind: Kind::RandomForest, classes, outputs: classes, trees, splits, aggregate }
}

pub fn boosted(classes: usize, outputs: usize, trees: usize, splits: usize) -> Shape {
    Shape { kind: Kind::GradientBoosting, classes, outputs, trees, splits, aggregate: Aggregate::Sum }
}

/// A schema of uniform, logarithmic, quantile and binary features in turn.
pub fn schema(bits: &[u32], classes: usize) -> Schema {
    let features = bits.iter().enumerate().map(|(index, &bits)| {
        let name = format!("x{index}");
        match (bits, index % 3) {
            (1, _) => Feature::binary(name),
            (_, 0) => Feature::numeric(name, Grid::Uniform { low: -1.0, high: 1.0, bits }),
            (_, 1) => Feature::numeric(name, Grid::Logarithmic { low: 0.01, high: 100.0, bits }),
            _ => {
                let edges = (1..1 << bits).map(|i| f64::from(i) * 1.5).collect();
                Feature::numeric(name, Grid::Edges(edges))
            }
        }
    });
    Schema::new(features.collect(), labels(classes), Precision::Double).unwrap()
}

pub fn labels(classes: usize) -> Vec<String> {
    (0..classes).map(|class| format!("class {class}")).collect()
}

/// The edges of a feature, found through the public interface alone.
pub fn edges(schema: &Schema, feature: usize) -> Vec<f64> {
    match &schema.features()[feature].kind {
        subrosa_decision_tree::schema::FeatureKind::Binary => vec![0.5],
        subrosa_decision_tree::schema::FeatureKind::Numeric(grid) => match grid {
            Grid::Edges(edges) => edges.clone(),
            Grid::Uniform { low, high, bits } => {
                let cells = 1 << bits;
                (1..cells).map(|i| low + (high - low) * (f64::from(i) / f64::from(cells))).collect()
            }
            Grid::Logarithmic { low, high, bits } => {
                let cells = 1 << bits;
                (1..cells)
                    .map(|i| low * ((high / low).ln() * f64::from(i) / f64::from(cells)).exp())
                    .collect()
            }
            other => panic!("edges of {other:?} are not known here"),
        },
        other => panic!("edges of {other:?} are not known here"),
    }
}

/// A random model whose thresholds lie on the schema's edges.
pub fn model(rng: &mut impl Rng, schema: &Schema, shape: Shape) -> Model {
    let trees = (0..shape.trees).map(|_| tree(rng, schema, shape)).collect();
    Model::new(ModelParts {
        task: match shape.classes {
            0 => Task::Regression,
            classes => Task::Classification { labels: labels(classes) },
        },
        kind: shape.kind,
        features: schema.features().iter().map(|feature| feature.name.clone()).collect(),
        precision: schema.precision(),
        trees,
        aggregate: shape.aggregate,
        // A single classification tree would say the same class of every row with most base values.
        base: match (shape.kind, shape.classes) {
            (Kind::DecisionTree, 1..) => vec![0.0; shape.outputs],
            _ => (0..shape.outputs).map(|_| rng.random_range(-1.0..1.0)).collect(),
        },
        post_transform: PostTransform::None,
        decision_threshold: 0.0,
        missing: None,
    })
    .unwrap()
}

fn tree(rng: &mut impl Rng, schema: &Schema, shape: Shape) -> Tree {
    let mut nodes = vec![];
    grow(rng, schema, shape, shape.splits, &mut nodes);
    Tree::new(nodes)
}

/// Pushes a subtree of `splits` splits and returns its root.
fn grow(rng: &mut impl Rng, schema: &Schema, shape: Shape, splits: usize, nodes: &mut Vec<Node>) -> usize {
    let index = nodes.len();
    if splits == 0 {
        nodes.push(match (shape.kind, shape.aggregate) {
            (Kind::DecisionTree, _) | (_, Aggregate::Votes) if shape.classes > 0 => {
                Node::leaf(rng.random_range(0..shape.outputs), 1.0)
            }
            (Kind::GradientBoosting, _) => {
                Node::leaf(rng.random_range(0..shape.outputs), rng.random_range(-2.0..2.0))
            }
            _ => Node::leaf_of(&(0..shape.outputs).map(|_| rng.random_range(0.0..1.0)).collect::<Vec<_>>()),
        });
        return index;
    }
    nodes.push(Node::leaf(0, 0.0));
    let left_splits = rng.random_range(0..splits);
    let left = grow(rng, schema, shape, left_splits, nodes);
    let right = grow(rng, schema, shape, splits - 1 - left_splits, nodes);
    let feature = rng.random_range(0..schema.features().len());
    let edges = edges(schema, feature);
    let threshold = edges[rng.random_range(0..edges.len())];
    // "x < the next number up" is the same as "x ≤ threshold".
    nodes[index] = if rng.random() {
        Node::Split { feature, rule: Rule::LessOrEqual, threshold, left, right }
    } else {
        Node::Split { feature, rule: Rule::Less, threshold: threshold.next_up(), left, right }
    };
    index
}

/// Evaluates a query with whatever the client's parameter set needs.
pub fn evaluate(
    evaluator: &Evaluator,
    key: &ClientKey,
    query: &Query,
    rng: &mut impl rand::CryptoRng,
) -> Answer {
    match key.conversion_key(rng) {
        Some(conversion) => evaluator.evaluate_with(&conversion.prepare(), query, rng).unwrap(),
        None => evaluator.evaluate(query, rng).unwrap(),
    }
}

/// A random row: values inside the grid, exactly on edges, next to them, and outside the grid.
pub fn row(rng: &mut impl Rng, schema: &Schema) -> Vec<f64> {
    (0..schema.features().len())
        .map(|feature| {
            let edges = edges(schema, feature);
            let (low, high) = (edges[0], edges[edges.len() - 1]);
            let edge = edges[rng.random_range(0..edges.len())];
            match rng.random_range(0..8) {
                0 => edge,
                1 => edge.next_up(),
                2 => edge.next_down(),
                3 => low - rng.random_range(0.0..1e6),
                4 => high + rng.random_range(0.0..1e6),
                5 => [f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX][rng.random_range(0..5)],
                _ => rng.random_range(low..=high),
            }
        })
        .collect()
}
