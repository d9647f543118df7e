//! One tree as a flat array of nodes.

use serde::{Deserialize, Serialize};

use super::{MAX_DEPTH, ModelError};

/// The comparison of a split, and where a missing value goes. Frameworks' `>` and `≥` become these by exchanging the children.
///
/// A value is missing if it is NaN or [`super::ModelParts::missing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// Left when x ≤ threshold (scikit-learn, LightGBM). A missing value is refused.
    LessOrEqual,
    /// Left when x < threshold (XGBoost). A missing value is refused.
    Less,
    /// Left when x ≤ threshold or x is missing.
    LessOrEqualOrMissing,
    /// Left when x < threshold or x is missing.
    LessOrMissing,
    /// Left when x ≤ threshold. A missing value goes right.
    LessOrEqualNotMissing,
    /// Left when x < threshold. A missing value goes right.
    LessNotMissing,
    /// Left when x is missing. The threshold has no effect.
    Missing,
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
    /// x < threshold if `strict`, else x ≤ threshold; `missing` says whether a missing value goes left.
    pub(crate) fn new(strict: bool, missing: Option<bool>) -> Self {
        match (strict, missing) {
            (false, None) => Self::LessOrEqual,
            (true, None) => Self::Less,
            (false, Some(true)) => Self::LessOrEqualOrMissing,
            (true, Some(true)) => Self::LessOrMissing,
            (false, Some(false)) => Self::LessOrEqualNotMissing,
            (true, Some(false)) => Self::LessNotMissing,
        }
    }

    /// Whether the comparison is x < threshold and not x ≤ threshold.
    pub(crate) fn is_strict(self) -> bool {
        match self {
            Self::Less | Self::LessOrMissing | Self::LessNotMissing => true,
            Self::LessOrEqual | Self::LessOrEqualOrMissing | Self::LessOrEqualNotMissing | Self::Missing => {
                false
            }
        }
    }

    /// Whether a missing value goes left; `None` where it is refused.
    #[must_use]
    pub fn missing_goes_left(self) -> Option<bool> {
        match self {
            Self::LessOrEqual | Self::Less => None,
            Self::LessOrEqualOrMissing | Self::LessOrMissing | Self::Missing => Some(true),
            Self::LessOrEqualNotMissing | Self::LessNotMissing => Some(false),
        }
    }

    /// Whether `value`, NaN if it is missing, goes left of `threshold`.
    #[must_use]
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        if value.is_nan() {
            return self.missing_goes_left() == Some(true);
        }
        match self {
            Self::Missing => false,
            _ if self.is_strict() => value < threshold,
            _ => value <= threshold,
        }
    }
}

/// A binary tree; node 0 is the root. A node may be the child of several others, as if it stood below each of them. A `Tree` by itself may still be malformed: [`super::Model::new`] checks it.
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

    /// The tree with every weight multiplied by `factor`.
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        let mut nodes = self.nodes.clone();
        for node in &mut nodes {
            if let Node::Leaf { weights } = node {
                weights.iter_mut().for_each(|leaf| leaf.weight *= factor);
            }
        }
        Self { nodes }
    }

    /// How many nodes are splits.
    #[must_use]
    pub fn splits(&self) -> usize {
        self.nodes.iter().filter(|node| matches!(node, Node::Split { .. })).count()
    }

    /// How many splits the longest path has (0 for a malformed tree).
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depths().map_or(0, |depths| depths.into_iter().flatten().max().unwrap_or(0))
    }

    /// The greatest number of splits between the root and each node, `None` where no path leads; the error is a node that a
    /// path leads back to. Children that do not exist are passed over.
    fn depths(&self) -> Result<Vec<Option<usize>>, usize> {
        let children = |index: usize| match self.nodes.get(index) {
            Some(Node::Split { left, right, .. }) => [*left, *right],
            _ => [usize::MAX; 2],
        };
        let mut parents = vec![0usize; self.nodes.len()];
        let mut reached = vec![false; self.nodes.len()];
        let mut open = vec![0usize];
        while let Some(index) = open.pop() {
            match reached.get_mut(index) {
                Some(seen @ false) => *seen = true,
                _ => continue,
            }
            for child in children(index) {
                if let Some(parents) = parents.get_mut(child) {
                    *parents += 1;
                    open.push(child);
                }
            }
        }
        let mut depths: Vec<Option<usize>> = vec![None; self.nodes.len()];
        let mut ready = if parents.first() == Some(&0) { vec![0] } else { vec![] };
        depths.iter_mut().take(ready.len()).for_each(|depth| *depth = Some(0));
        while let Some(index) = ready.pop() {
            // A node is ready once all its parents are done.
            reached[index] = false;
            for child in children(index) {
                if let (Some(parents), Some(depth)) = (parents.get_mut(child), depths[index]) {
                    depths[child] = depths[child].max(Some(depth + 1));
                    *parents -= 1;
                    if *parents == 0 {
                        ready.push(child);
                    }
                }
            }
        }
        match reached.iter().position(|open| *open) {
            Some(node) => Err(node),
            None => Ok(depths),
        }
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

    /// Every node reached from the root and none from itself, every index in range, every number finite.
    pub(super) fn check(&self, tree: usize, features: usize, outputs: usize) -> Result<(), ModelError> {
        if self.nodes.is_empty() {
            return Err(ModelError::EmptyTree { tree });
        }
        for (node, content) in self.nodes.iter().enumerate() {
            match content {
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
                    if let Some(&index) = [left, right].into_iter().find(|child| **child >= self.nodes.len())
                    {
                        return Err(ModelError::NoSuch { tree, node, what: "child", index });
                    }
                }
            }
        }
        let depths = self.depths().map_err(|node| ModelError::NotATree { tree, node })?;
        let depth = depths.iter().flatten().copied().max().unwrap_or(0);
        if depth > MAX_DEPTH {
            return Err(ModelError::TooMany { what: "splits on a path", count: depth, limit: MAX_DEPTH });
        }
        match depths.iter().position(Option::is_none) {
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
