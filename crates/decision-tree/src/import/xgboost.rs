//! XGBoost's own JSON, as `save_model("model.json")` writes it (schema of XGBoost 1.0 to 3.x).
//!
//! XGBoost goes left where x < threshold, both in `f32`; a leaf's value stands where a split's threshold would.
//! Several of its versions are read: `base_score` is one number or a list, booleans are numbers or booleans.

use std::collections::HashMap;

use serde::Deserialize;

use super::tree::{Comparison, FileNode, FileTree};
use super::{ImportError, ImportOptions};
use crate::Result;
use crate::model::{
    Aggregate, Kind, LeafWeight, MAX_FEATURES, MAX_NODES, MAX_OUTPUTS, Model, ModelParts, PostTransform,
    Precision, Task,
};

/// Greatest size of an XGBoost JSON file, in bytes. A node of a tree takes about 60 of them.
pub const MAX_XGBOOST_BYTES: usize = 512 << 20;

#[derive(Deserialize)]
struct File {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    #[serde(default)]
    attributes: HashMap<String, String>,
    #[serde(default)]
    feature_names: Vec<String>,
    gradient_booster: Booster,
    learner_model_param: LearnerParam,
    objective: Objective,
}

#[derive(Deserialize)]
struct Booster {
    name: String,
    model: Option<BoosterModel>,
}

#[derive(Deserialize)]
struct BoosterModel {
    gbtree_model_param: BoosterParam,
    tree_info: Vec<i64>,
    trees: Vec<FileTreeJson>,
}

#[derive(Deserialize)]
struct BoosterParam {
    num_trees: String,
    #[serde(default)]
    num_parallel_tree: String,
}

#[derive(Deserialize)]
struct LearnerParam {
    base_score: String,
    #[serde(default)]
    num_class: String,
    num_feature: String,
    #[serde(default)]
    num_target: String,
}

#[derive(Deserialize)]
struct Objective {
    name: String,
}

/// One tree, with the parallel lists that matter here.
#[derive(Deserialize)]
struct FileTreeJson {
    left_children: Vec<i64>,
    right_children: Vec<i64>,
    split_indices: Vec<i64>,
    /// Through `f64`: XGBoost writes the shortest decimals of an `f32`, which both precisions read alike.
    split_conditions: Vec<f64>,
    #[serde(default)]
    split_type: Vec<i64>,
    #[serde(default)]
    categories: Vec<i64>,
    #[serde(default)]
    tree_param: TreeParam,
}

#[derive(Deserialize, Default)]
struct TreeParam {
    #[serde(default)]
    size_leaf_vector: String,
}

/// What an objective makes of the sums of leaf values.
struct Meaning {
    classes: Option<usize>,
    transform: PostTransform,
    /// Whether `base_score` is a probability that has to become log-odds.
    base_is_probability: bool,
}

pub(super) fn read(file: &[u8], options: &ImportOptions) -> Result<Model> {
    if file.len() > MAX_XGBOOST_BYTES {
        let what = "bytes of the file".into();
        return Err(ImportError::TooLarge { what, count: file.len(), limit: MAX_XGBOOST_BYTES }.into());
    }
    let File { learner } = serde_json::from_slice(file).map_err(|error| malformed(&error))?;
    Model::new(parts(learner, options)?)
}

fn malformed(error: &serde_json::Error) -> ImportError {
    ImportError::Malformed { format: "XGBoost JSON", reason: error.to_string() }
}

fn parts(learner: Learner, options: &ImportOptions) -> Result<ModelParts, ImportError> {
    let Learner { attributes, feature_names, gradient_booster, learner_model_param: param, objective } =
        learner;
    if gradient_booster.name != "gbtree" {
        let why = "only gbtree sums its trees without weights";
        return Err(ImportError::unsupported("booster", gradient_booster.name, why));
    }
    let booster =
        gradient_booster.model.ok_or_else(|| ImportError::missing("learner.gradient_booster.model"))?;
    if !matches!(param.num_target.as_str(), "" | "0" | "1") {
        let why = "only one target is";
        return Err(ImportError::unsupported("num_target", param.num_target, why));
    }
    let features = count("num_feature", &param.num_feature, MAX_FEATURES)?;
    let classes =
        if param.num_class.is_empty() { 0 } else { count("num_class", &param.num_class, MAX_OUTPUTS)? };
    let meaning = meaning(&objective.name, classes)?;
    let outputs = if meaning.transform == PostTransform::Softmax { classes } else { 1 };
    let base = base_scores(&param.base_score, outputs, meaning.base_is_probability)?;
    check_trees(&booster, &attributes, outputs)?;
    let kind = kind(&booster, outputs)?;
    let mut nodes_left = MAX_NODES;
    let mut trees = Vec::with_capacity(booster.trees.len());
    for (index, (tree, &output)) in booster.trees.into_iter().zip(&booster.tree_info).enumerate() {
        let in_range = usize::try_from(output).ok().filter(|&output| output < outputs);
        let output =
            in_range.ok_or(ImportError::OutOfRange { field: "tree_info".into(), index, value: output })?;
        let id = i64::try_from(index).unwrap_or(i64::MAX);
        trees.push(file_tree(id, &tree, output)?.into_tree(&mut nodes_left)?);
    }
    Ok(ModelParts {
        task: match meaning.classes {
            Some(classes) => {
                Task::Classification { labels: (0..classes).map(|class| class.to_string()).collect() }
            }
            None => Task::Regression,
        },
        kind,
        features: options.names(features, feature_names)?,
        precision: Precision::Single,
        trees,
        aggregate: Aggregate::Sum,
        base,
        post_transform: meaning.transform,
        decision_threshold: 0.0,
        missing: None,
    })
}

fn meaning(objective: &str, classes: usize) -> Result<Meaning, ImportError> {
    let (classes, transform) = match objective {
        "binary:logistic" => (Some(2), PostTransform::Sigmoid),
        "multi:softprob" | "multi:softmax" => (Some(classes), PostTransform::Softmax),
        "reg:logistic" => (None, PostTransform::Sigmoid),
        "reg:squarederror" | "reg:linear" | "reg:absoluteerror" | "reg:pseudohubererror" => {
            (None, PostTransform::None)
        }
        other => {
            let why = "known are binary:logistic, multi:softprob, multi:softmax, reg:logistic, reg:squarederror, \
                       reg:absoluteerror and reg:pseudohubererror";
            return Err(ImportError::unsupported("objective", other, why));
        }
    };
    Ok(Meaning { classes, transform, base_is_probability: transform == PostTransform::Sigmoid })
}

/// `5E-1`, or `[5E-1]`, or one number for each class.
fn base_scores(text: &str, outputs: usize, probability: bool) -> Result<Vec<f64>, ImportError> {
    let wrong =
        || ImportError::WrongType { field: "base_score".into(), expected: "a number or a list of numbers" };
    let inner = text.trim();
    let inner = match inner.strip_prefix('[') {
        Some(list) => list.strip_suffix(']').ok_or_else(wrong)?,
        None => inner,
    };
    let mut scores = Vec::new();
    for number in inner.split(',') {
        let score: f32 = number.trim().parse().map_err(|_| wrong())?;
        let score = if probability { -(1.0 / score - 1.0).ln() } else { score };
        if !score.is_finite() {
            let expected = if probability { "a probability between 0 and 1" } else { "a finite number" };
            return Err(ImportError::WrongType { field: "base_score".into(), expected });
        }
        scores.push(f64::from(score));
    }
    match scores[..] {
        [single] => Ok(vec![single; outputs]),
        _ if scores.len() == outputs => Ok(scores),
        _ => Err(ImportError::Length { field: "base_score".into(), got: scores.len(), expected: outputs }),
    }
}

fn check_trees(
    booster: &BoosterModel,
    attributes: &HashMap<String, String>,
    outputs: usize,
) -> Result<(), ImportError> {
    let trees = booster.trees.len();
    let stated = count("num_trees", &booster.gbtree_model_param.num_trees, usize::MAX)?;
    if stated != trees {
        return Err(ImportError::Length { field: "trees".into(), got: trees, expected: stated });
    }
    if booster.tree_info.len() != trees {
        let got = booster.tree_info.len();
        return Err(ImportError::Length { field: "tree_info".into(), got, expected: trees });
    }
    // With early stopping, XGBoost's scikit-learn interface uses the best iteration's trees and its booster all.
    if let Some(best) = attributes.get("best_iteration") {
        let per_round = outputs.saturating_mul(parallel(booster)?).max(1);
        let last = (trees / per_round).saturating_sub(1);
        if best.parse() != Ok(last) {
            let why =
                "training stopped early and later trees are in the file: save booster[:best_iteration + 1]";
            return Err(ImportError::unsupported("best_iteration", best, why));
        }
    }
    Ok(())
}

/// Trees of each round and output; files of early versions do not say, and have one.
fn parallel(booster: &BoosterModel) -> Result<usize, ImportError> {
    match booster.gbtree_model_param.num_parallel_tree.as_str() {
        "" => Ok(1),
        text => Ok(count("num_parallel_tree", text, usize::MAX)?.max(1)),
    }
}

/// One round of parallel trees is a forest.
fn kind(booster: &BoosterModel, outputs: usize) -> Result<Kind, ImportError> {
    let per_round = outputs.saturating_mul(parallel(booster)?);
    let forest = per_round > outputs && per_round == booster.trees.len();
    Ok(if forest { Kind::RandomForest } else { Kind::GradientBoosting })
}

fn file_tree(id: i64, tree: &FileTreeJson, output: usize) -> Result<FileTree, ImportError> {
    let length = tree.left_children.len();
    let lists = [
        ("right_children", tree.right_children.len()),
        ("split_indices", tree.split_indices.len()),
        ("split_conditions", tree.split_conditions.len()),
    ];
    if let Some((name, got)) = lists.into_iter().find(|(_, got)| *got != length) {
        return Err(ImportError::Length { field: format!("trees[{id}].{name}"), got, expected: length });
    }
    if !matches!(tree.tree_param.size_leaf_vector.as_str(), "" | "0" | "1") {
        let name = tree.tree_param.size_leaf_vector.as_str();
        return Err(ImportError::unsupported("size_leaf_vector", name, "leaves with several values are not"));
    }
    if tree.split_type.iter().any(|&kind| kind != 0) || !tree.categories.is_empty() {
        let why = "a set of categories is not a threshold; encode the column as numbers before training";
        return Err(ImportError::unsupported("split_type", "categorical", why));
    }
    let mut nodes = Vec::with_capacity(length);
    for index in 0..length {
        let node = i64::try_from(index).unwrap_or(i64::MAX);
        nodes.push((node, file_node(id, node, tree, index, output)?));
    }
    // Pruning leaves nodes behind that nothing points to.
    Ok(FileTree { id, nodes, all_reachable: false, shared: false })
}

fn file_node(
    tree_id: i64,
    node: i64,
    tree: &FileTreeJson,
    index: usize,
    output: usize,
) -> Result<FileNode, ImportError> {
    let fault = |reason| ImportError::Tree { tree: tree_id, node, reason };
    let (left, right) = (tree.left_children[index], tree.right_children[index]);
    #[allow(clippy::cast_possible_truncation)] // XGBoost's own precision
    let condition = f64::from(tree.split_conditions[index] as f32);
    if left == -1 && right == -1 {
        return Ok(FileNode::Leaf(vec![LeafWeight { output, weight: condition }]));
    }
    let child = |child: i64| usize::try_from(child).map_err(|_| fault("it has one child only"));
    let feature = usize::try_from(tree.split_indices[index]).map_err(|_| fault("its feature is negative"))?;
    Ok(FileNode::Branch {
        comparison: Comparison::Less,
        feature,
        threshold: condition,
        yes: child(left)?,
        no: child(right)?,
        missing: None,
    })
}

fn count(field: &str, text: &str, limit: usize) -> Result<usize, ImportError> {
    let count = text.parse().map_err(|_| ImportError::WrongType {
        field: field.into(),
        expected: "a count in quotation marks",
    })?;
    if count > limit {
        return Err(ImportError::TooLarge { what: field.into(), count, limit });
    }
    Ok(count)
}
