//! One tree as a flat array of nodes.

use serde::{Deserialize, Serialize};

use super::{MAX_DEPTH, ModelError};

/// The comparison of a split. Frameworks' `>` and `≥` become these by exchanging the children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Left when x ≤ threshold (scikit-learn, LightGBM).
    LessOrEqual,
    /// Left when x < threshold (XGBoost).
    Less,
}

/// What a leaf adds to one output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeafWeight {
    /// The output's index: a class, or a target of a regression.
    pub output: usize,
    /// What is added; finite.
    pub weight: f64,
}

/// A node of a tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// Compares one feature and goes left or right.
    Split {
        /// The feature's index.
        feature: usize,
        /// The comparison.
        rule: Rule,
        /// What is compared with; not NaN and not infinite.
        threshold: f64,
        /// The node's index where the comparison holds.
        left: usize,
        /// The node's index where it does not.
        right: usize,
    },
    /// Ends the path. Outputs that are not named get nothing.
    Leaf {
        /// The weights, at most one for each output.
        weights: Vec<LeafWeight>,
    },
}

impl Node {
    /// The weights of a leaf; `None` for a split.
    pub(crate) fn weights(&self) -> Option<&[LeafWeight]> {
        match self {
            Self::Leaf { weights } => Some(weights),
            Self::Split { .. } => None,
        }
    }

    /// The comparison of a split; `None` for a leaf.
    pub(crate) fn rule(&self) -> Option<Rule> {
        match self {
            Self::Split { rule, .. } => Some(*rule),
            Self::Leaf { .. } => None,
        }
    }

    /// A split that goes to node `left` where the feature is at most `threshold`, else to node `right`.
    #[must_use]
    pub fn split(feature: usize, threshold: f64, left: usize, right: usize) -> Self {
        Self::Split { feature, rule: Rule::LessOrEqual, threshold, left, right }
    }

    /// A leaf that adds `weight` to one output.
    #[must_use]
    pub fn leaf(output: usize, weight: f64) -> Self {
        Self::Leaf { weights: vec![LeafWeight { output, weight }] }
    }

    /// A leaf with one weight for each output, in order.
    #[must_use]
    pub fn leaf_of(weights: &[f64]) -> Self {
        let weights = weights.iter().enumerate().map(|(output, &weight)| LeafWeight { output, weight });
        Self::Leaf { weights: weights.collect() }
    }
}

impl Rule {
    /// Whether the comparison is x < threshold and not x ≤ threshold.
    pub(crate) fn is_strict(self) -> bool {
        match self {
            Self::Less => true,
            Self::LessOrEqual => false,
        }
    }

    /// Whether `value` goes left of `threshold`.
    #[must_use]
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::LessOrEqual => value <= threshold,
            Self::Less => value < threshold,
        }
    }
}

/// A binary tree; node 0 is the root. A `Tree` by itself may still be malformed: [`super::Model::new`] checks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// Takes the nodes as they are; children may stand anywhere in the array.
    #[must_use]
    pub fn new(nodes: Vec<Node>) -> Self {
        Self { nodes }
    }

    /// The nodes; index 0 is the root.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How many nodes are splits.
    #[must_use]
    pub fn splits(&self) -> usize {
        self.nodes.iter().filter(|node| matches!(node, Node::Split { .. })).count()
    }

    /// How many splits the longest path has (0 for a malformed tree).
    #[must_use]
    pub fn depth(&self) -> usize {
        let mut deepest = 0;
        let mut open = vec![(0usize, 0usize)];
        let mut steps = 0;
        while let Some((index, depth)) = open.pop() {
            steps += 1;
            if steps > self.nodes.len() {
                return 0;
            }
            deepest = deepest.max(depth);
            if let Some(Node::Split { left, right, .. }) = self.nodes.get(index) {
                open.push((*left, depth + 1));
                open.push((*right, depth + 1));
            }
        }
        deepest
    }

    /// The weights of the leaf that a row ends in; `value(feature)` gives the row's values. `None` only for a
    /// malformed tree.
    pub(crate) fn leaf_weights(&self, value: impl Fn(usize) -> Option<f64>) -> Option<&[LeafWeight]> {
        let mut index = 0;
        for _ in 0..=self.nodes.len() {
            match self.nodes.get(index)? {
                Node::Leaf { weights } => return Some(weights),
                Node::Split { feature, rule, threshold, left, right } => {
                    index = if rule.holds(value(*feature)?, *threshold) { *left } else { *right };
                }
            }
        }
        None
    }

    /// Every node reached exactly once from the root, every index in range, every number finite.
    pub(super) fn check(&self, tree: usize, features: usize, outputs: usize) -> Result<(), ModelError> {
        if self.nodes.is_empty() {
            return Err(ModelError::EmptyTree { tree });
        }
        let mut reached = vec![false; self.nodes.len()];
        let mut open = vec![(0usize, 0usize)];
        while let Some((node, depth)) = open.pop() {
            if depth > MAX_DEPTH {
                return Err(ModelError::TooMany { what: "splits on a path", count: depth, limit: MAX_DEPTH });
            }
            match reached.get_mut(node) {
                Some(seen @ false) => *seen = true,
                _ => return Err(ModelError::NotATree { tree, node }),
            }
            match &self.nodes[node] {
                Node::Leaf { weights } => check_leaf(tree, node, weights, outputs)?,
                Node::Split { feature, threshold, left, right, .. } => {
                    if *feature >= features {
                        return Err(ModelError::NoSuch { tree, node, what: "feature", index: *feature });
                    }
                    if !threshold.is_finite() {
                        return Err(ModelError::NotFinite {
                            what: format!("tree {tree}, node {node}: the threshold"),
                        });
                    }
                    for &child in [left, right] {
                        if child >= self.nodes.len() {
                            return Err(ModelError::NoSuch { tree, node, what: "child", index: child });
                        }
                        open.push((child, depth + 1));
                    }
                }
            }
        }
        match reached.iter().position(|seen| !seen) {
            Some(node) => Err(ModelError::Unreachable { tree, node }),
            None => Ok(()),
        }
    }
}

fn check_leaf(tree: usize, node: usize, weights: &[LeafWeight], outputs: usize) -> Result<(), ModelError> {
    let mut seen = vec![false; outputs];
    for LeafWeight { output, weight } in weights {
        match seen.get_mut(*output) {
            None => return Err(ModelError::NoSuch { tree, node, what: "output", index: *output }),
            Some(true) => return Err(ModelError::DuplicateWeight { tree, node, output: *output }),
            Some(first) => *first = true,
        }
        if !weight.is_finite() {
            return Err(ModelError::NotFinite {
                what: format!("tree {tree}, node {node}: the weight of output {output}"),
            });
        }
    }
    Ok(())
}
