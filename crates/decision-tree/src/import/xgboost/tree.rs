//! One tree of an XGBoost file.
//!
//! XGBoost goes left where x < threshold, both in `f32`; a leaf's value stands where a split's threshold would. A category in
//! a split's set goes right.

use std::collections::HashMap;

use serde::Deserialize;

use crate::import::ImportError;
use crate::import::tree::{Comparison, FileNode, FileTree};
use crate::model::LeafWeight;

/// One tree, with the parallel lists that matter here.
#[derive(Deserialize)]
pub(super) struct FileTreeJson {
    left_children: Vec<i64>,
    right_children: Vec<i64>,
    split_indices: Vec<i64>,
    /// Through `f64`: XGBoost writes the shortest decimals of an `f32`, which both precisions read alike.
    split_conditions: Vec<f64>,
    /// Whether a missing value goes left.
    #[serde(default)]
    default_left: Vec<Flag>,
    #[serde(default)]
    split_type: Vec<i64>,
    /// The sets of all splits on categories, one after the other.
    #[serde(default)]
    categories: Vec<i64>,
    #[serde(default)]
    categories_nodes: Vec<i64>,
    #[serde(default)]
    categories_segments: Vec<i64>,
    #[serde(default)]
    categories_sizes: Vec<i64>,
    /// One value for each node and output, where leaves have several.
    #[serde(default)]
    base_weights: Vec<f64>,
    /// One value for each leaf and output, where leaves have several.
    #[serde(default)]
    leaf_weights: Vec<f64>,
    #[serde(default)]
    tree_param: TreeParam,
}

/// A boolean, which later versions write as a number.
#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Flag {
    Boolean(bool),
    Number(i64),
}

#[derive(Deserialize, Default)]
struct TreeParam {
    #[serde(default)]
    size_leaf_vector: String,
}

impl Flag {
    fn is_set(self) -> bool {
        match self {
            Self::Boolean(set) => set,
            Self::Number(number) => number != 0,
        }
    }
}

impl FileTreeJson {
    /// Whether a missing value goes left in some split on a number.
    pub(super) fn has_learned_missing(&self) -> bool {
        self.default_left.iter().enumerate().any(|(node, flag)| {
            let is_split = self.left_children.get(node).is_some_and(|child| *child != -1);
            flag.is_set() && is_split && self.split_type.get(node).is_none_or(|kind| *kind == 0)
        })
    }
}

/// What the nodes of one tree have in common.
struct Context<'a> {
    id: i64,
    tree: &'a FileTreeJson,
    /// The output of all leaves, or their number if leaves have a value for each.
    output: usize,
    outputs: usize,
    vector: bool,
    weight: Option<f32>,
    sets: HashMap<i64, Vec<(f64, f64)>>,
}

pub(super) fn file_tree(
    id: i64,
    tree: &FileTreeJson,
    output: usize,
    outputs: usize,
    weight: Option<f32>,
) -> Result<FileTree, ImportError> {
    let length = tree.left_children.len();
    let optional = |list: usize| if list == 0 { length } else { list };
    let lists = [
        ("right_children", tree.right_children.len()),
        ("split_indices", tree.split_indices.len()),
        ("split_conditions", tree.split_conditions.len()),
        ("default_left", optional(tree.default_left.len())),
        ("split_type", optional(tree.split_type.len())),
    ];
    if let Some((name, got)) = lists.into_iter().find(|(_, got)| *got != length) {
        return Err(ImportError::Length { field: format!("trees[{id}].{name}"), got, expected: length });
    }
    let leaf_values = match tree.tree_param.size_leaf_vector.as_str() {
        "" | "0" => 1,
        text => super::count("size_leaf_vector", text, usize::MAX)?,
    };
    let vector = leaf_values > 1;
    if vector {
        check_vectors(id, tree, leaf_values, outputs)?;
    }
    let sets = category_sets(id, tree)?;
    let context = Context { id, tree, output, outputs, vector, weight, sets };
    let nodes = (0..length).map(|index| {
        let node = i64::try_from(index).unwrap_or(i64::MAX);
        Ok((node, context.node(node, index)?))
    });
    let nodes = nodes.collect::<Result<_, ImportError>>()?;
    // Pruning leaves nodes behind that nothing points to.
    Ok(FileTree { id, nodes, all_reachable: false, shared: false })
}

/// Leaves with a value for each output: all lists of them agree.
fn check_vectors(
    id: i64,
    tree: &FileTreeJson,
    leaf_values: usize,
    outputs: usize,
) -> Result<(), ImportError> {
    let length = |field: &str, got: usize, expected: usize| {
        let field = format!("trees[{id}].{field}");
        if got == expected { Ok(()) } else { Err(ImportError::Length { field, got, expected }) }
    };
    length("tree_param.size_leaf_vector", leaf_values, outputs)?;
    let leaves = tree.left_children.iter().filter(|child| **child == -1).count();
    match tree.leaf_weights.len() {
        0 => {
            length("base_weights", tree.base_weights.len(), tree.left_children.len().saturating_mul(outputs))
        }
        got => length("leaf_weights", got, leaves.saturating_mul(outputs)),
    }
}

/// The sets of categories by node, as intervals of the values that XGBoost takes for them.
fn category_sets(id: i64, tree: &FileTreeJson) -> Result<HashMap<i64, Vec<(f64, f64)>>, ImportError> {
    let field = |name: &str| format!("trees[{id}].{name}");
    let expected = tree.categories_nodes.len();
    for (name, got) in [
        ("categories_segments", tree.categories_segments.len()),
        ("categories_sizes", tree.categories_sizes.len()),
    ] {
        if got != expected {
            return Err(ImportError::Length { field: field(name), got, expected });
        }
    }
    let stated = tree.categories_sizes.iter().fold(0i64, |sum, size| sum.saturating_add(*size));
    if usize::try_from(stated).ok() != Some(tree.categories.len()) {
        let got = tree.categories.len();
        let expected = usize::try_from(stated).unwrap_or(0);
        return Err(ImportError::Length { field: field("categories"), got, expected });
    }
    let mut sets = HashMap::new();
    for (index, &node) in tree.categories_nodes.iter().enumerate() {
        let (start, size) = (tree.categories_segments[index], tree.categories_sizes[index]);
        let slice = usize::try_from(start).ok().zip(usize::try_from(size).ok());
        let slice = slice.and_then(|(start, size)| tree.categories.get(start..start.checked_add(size)?));
        let slice = slice.ok_or(ImportError::OutOfRange {
            field: field("categories_segments"),
            index,
            value: start,
        })?;
        let mut categories = slice.to_vec();
        categories.sort_unstable();
        let mut intervals: Vec<(f64, f64)> = Vec::new();
        for category in categories {
            let known = u32::try_from(category).ok().filter(|category| *category < 1 << 24);
            let value = f64::from(known.ok_or(ImportError::OutOfRange {
                field: field("categories"),
                index,
                value: category,
            })?);
            match intervals.last_mut() {
                Some((_, end)) if *end >= value => *end = value + 1.0,
                _ => intervals.push((value, value + 1.0)),
            }
        }
        if sets.insert(node, intervals).is_some() {
            return Err(ImportError::Tree { tree: id, node, reason: "it has two sets of categories" });
        }
    }
    Ok(sets)
}

impl Context<'_> {
    fn node(&self, node: i64, index: usize) -> Result<FileNode, ImportError> {
        let tree = self.tree;
        let fault = |reason| ImportError::Tree { tree: self.id, node, reason };
        let (left, right) = (tree.left_children[index], tree.right_children[index]);
        // Where leaves have several values, the right child of a leaf is its number among the leaves.
        if left == -1 && (right == -1 || self.vector) {
            return self
                .leaf(index, right)
                .map(FileNode::Leaf)
                .ok_or_else(|| fault("it has no leaf weights"));
        }
        let child = |child: i64| usize::try_from(child).map_err(|_| fault("it has one child only"));
        let feature =
            usize::try_from(tree.split_indices[index]).map_err(|_| fault("its feature is negative"))?;
        let (left, right) = (child(left)?, child(right)?);
        let missing_left = tree.default_left.get(index).map(|flag| flag.is_set());
        match tree.split_type.get(index) {
            None | Some(0) => Ok(FileNode::Branch {
                comparison: Comparison::Less,
                feature,
                #[allow(clippy::cast_possible_truncation)] // XGBoost's own precision
                threshold: f64::from(tree.split_conditions[index] as f32),
                yes: left,
                no: right,
                missing: missing_left,
            }),
            Some(1) => Ok(FileNode::Members {
                feature,
                members: self.sets.get(&node).cloned().ok_or_else(|| fault("it has no set of categories"))?,
                yes: right,
                no: left,
                missing: missing_left.map(|left| !left),
            }),
            Some(_) => Err(fault("its split_type is neither 0 nor 1")),
        }
    }

    fn leaf(&self, index: usize, number: i64) -> Option<Vec<LeafWeight>> {
        #[allow(clippy::cast_possible_truncation)] // XGBoost's own precision
        let scaled = |value: f64| f64::from(value as f32 * self.weight.unwrap_or(1.0));
        if !self.vector {
            let weight = scaled(*self.tree.split_conditions.get(index)?);
            return Some(vec![LeafWeight { output: self.output, weight }]);
        }
        let (list, place) = match &self.tree.leaf_weights[..] {
            [] => (&self.tree.base_weights, index),
            _ => (&self.tree.leaf_weights, usize::try_from(number).ok()?),
        };
        let start = place.checked_mul(self.outputs)?;
        let values = list.get(start..start.checked_add(self.outputs)?)?.iter().enumerate();
        Some(values.map(|(output, value)| LeafWeight { output, weight: scaled(*value) }).collect())
    }
}
