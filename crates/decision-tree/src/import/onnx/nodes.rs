//! The parallel lists `nodes_…` and `class_…` or `target_…` of an ensemble, as trees.

use std::collections::{HashMap, HashSet};

use super::attributes::Attributes;
use super::columns::{Column, carry_back};
use super::graph::Place;
use crate::import::ImportError;
use crate::import::tree::{Comparison, FileNode, FileTree};
use crate::model::{LeafWeight, MAX_NODES, Tree};

/// A leaf's weight as the file lists it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    pub(super) tree: i64,
    pub(super) node: i64,
    pub(super) output: usize,
    pub(super) weight: f64,
}

/// Reads `class_…` or `target_…`, whichever `prefix` names.
pub(super) fn read_weights(
    attributes: Attributes<'_>,
    prefix: &str,
    outputs: usize,
) -> Result<Vec<Weight>, ImportError> {
    let ids_name = format!("{prefix}_ids");
    let ids = attributes.ints(&ids_name)?;
    let list = |what: &str| -> Result<&[i64], ImportError> {
        let name = format!("{prefix}_{what}");
        same_length(&name, attributes.ints(&name)?, ids.len())
    };
    let (trees, nodes) = (list("treeids")?, list("nodeids")?);
    let weights_name = format!("{prefix}_weights");
    let weights = attributes.numbers(&weights_name)?;
    same_length(&weights_name, &weights, ids.len())?;
    let mut found = Vec::with_capacity(ids.len());
    for (index, ((&tree, &node), (&id, &weight))) in
        trees.iter().zip(nodes).zip(ids.iter().zip(&weights)).enumerate()
    {
        let output = usize::try_from(id).ok().filter(|&id| id < outputs);
        let output =
            output.ok_or_else(|| ImportError::OutOfRange { field: ids_name.clone(), index, value: id })?;
        found.push(Weight { tree, node, output, weight });
    }
    Ok(found)
}

/// The trees, and how many features they refer to.
pub(super) fn read_trees(
    attributes: Attributes<'_>,
    weights: &[Weight],
    place: &Place<'_>,
) -> Result<(Vec<Tree>, usize), ImportError> {
    let columns = place.input.columns.as_deref();
    let lists = Lists::read(attributes, place.missing_known)?;
    let mut leaves: HashMap<(i64, i64), Vec<LeafWeight>> = HashMap::new();
    for weight in weights {
        let leaf = leaves.entry((weight.tree, weight.node)).or_default();
        leaf.push(LeafWeight { output: weight.output, weight: weight.weight });
    }
    let mut trees = Vec::new();
    let mut seen = HashSet::new();
    let mut features = 0;
    let mut nodes_left = MAX_NODES;
    let mut start = 0;
    // A tree is a run of equal tree ids; its root is the first node of the run, as runtimes have it.
    for run in lists.trees.chunk_by(|a, b| a == b) {
        let range = start..start + run.len();
        start = range.end;
        let id = run[0];
        if !seen.insert(id) {
            let node = lists.ids[range.start];
            return Err(ImportError::Tree {
                tree: id,
                node,
                reason: "the tree's nodes are not listed together",
            });
        }
        let tree = lists.file_tree(id, range, &mut leaves, &mut features, columns)?;
        trees.push(tree.into_tree(&mut nodes_left)?);
    }
    if let Some((tree, node)) = leaves.into_keys().next() {
        return Err(ImportError::Tree { tree, node, reason: "a weight is given to a node that is no leaf" });
    }
    Ok((trees, features))
}

/// The lists with one entry for each node.
struct Lists<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    features: &'a [i64],
    modes: Vec<&'a str>,
    thresholds: Vec<f64>,
    yes: &'a [i64],
    no: &'a [i64],
    /// Whether a missing value goes to `yes`; empty where the file does not say.
    missing: &'a [i64],
}

impl<'a> Lists<'a> {
    fn read(attributes: Attributes<'a>, missing_known: bool) -> Result<Self, ImportError> {
        let trees = attributes.ints("nodes_treeids")?;
        if trees.is_empty() {
            return Err(ImportError::missing("nodes_treeids"));
        }
        if trees.len() > MAX_NODES {
            let what = "entries of nodes_treeids".into();
            return Err(ImportError::TooLarge { what, count: trees.len(), limit: MAX_NODES });
        }
        let ints = |name| same_length(name, attributes.ints(name)?, trees.len());
        let modes = attributes.strings("nodes_modes")?;
        same_length("nodes_modes", &modes, trees.len())?;
        let thresholds = attributes.numbers("nodes_values")?;
        same_length("nodes_values", &thresholds, trees.len())?;
        Ok(Self {
            trees,
            ids: ints("nodes_nodeids")?,
            features: ints("nodes_featureids")?,
            modes,
            thresholds,
            yes: ints("nodes_truenodeids")?,
            no: ints("nodes_falsenodeids")?,
            missing: match attributes.ints("nodes_missing_value_tracks_true")? {
                _ if !missing_known => &[],
                list => same_length("nodes_missing_value_tracks_true", list, trees.len())?,
            },
        })
    }

    /// The nodes of one tree; takes their weights out of `leaves` and raises `features` past every feature named.
    fn file_tree(
        &self,
        id: i64,
        range: std::ops::Range<usize>,
        leaves: &mut HashMap<(i64, i64), Vec<LeafWeight>>,
        features: &mut usize,
        columns: Option<&[Column]>,
    ) -> Result<FileTree, ImportError> {
        let mut positions = HashMap::new();
        for (position, &node) in self.ids[range.clone()].iter().enumerate() {
            if positions.insert(node, position).is_some() {
                return Err(ImportError::Tree { tree: id, node, reason: "the node is listed twice" });
            }
        }
        let mut nodes = Vec::with_capacity(range.len());
        for index in range {
            let node_id = self.ids[index];
            let mode = self.modes[index];
            let node = if mode == "LEAF" {
                FileNode::Leaf(leaves.remove(&(id, node_id)).unwrap_or_default())
            } else {
                let feature = usize::try_from(self.features[index]).map_err(|_| ImportError::OutOfRange {
                    field: "nodes_featureids".into(),
                    index,
                    value: self.features[index],
                })?;
                *features = (*features).max(feature.saturating_add(1));
                let child = |child: i64| {
                    let missing =
                        ImportError::Tree { tree: id, node: node_id, reason: "a child does not exist" };
                    positions.get(&child).copied().ok_or(missing)
                };
                FileNode::Branch {
                    comparison: comparison(mode)?,
                    feature,
                    threshold: self.thresholds[index],
                    yes: child(self.yes[index])?,
                    no: child(self.no[index])?,
                    // A missing value is not equal to anything.
                    missing: self.missing.get(index).map(|flag| *flag != 0 || mode == "BRANCH_NEQ"),
                }
            };
            let node = match columns {
                Some(columns) => carry_back(columns, id, node_id, node)?,
                None => node,
            };
            nodes.push((node_id, node));
        }
        Ok(FileTree { id, nodes, all_reachable: true, shared: true })
    }
}

fn comparison(mode: &str) -> Result<Comparison, ImportError> {
    Ok(match mode {
        "BRANCH_LEQ" => Comparison::LessOrEqual,
        "BRANCH_LT" => Comparison::Less,
        "BRANCH_GTE" => Comparison::GreaterOrEqual,
        "BRANCH_GT" => Comparison::Greater,
        "BRANCH_EQ" => Comparison::Equal,
        "BRANCH_NEQ" => Comparison::NotEqual,
        other => return Err(ImportError::unsupported("node mode", other, "it is not one of ai.onnx.ml")),
    })
}

fn same_length<'a, T>(name: &str, list: &'a [T], expected: usize) -> Result<&'a [T], ImportError> {
    if list.len() == expected {
        Ok(list)
    } else {
        Err(ImportError::Length { field: name.into(), got: list.len(), expected })
    }
}
