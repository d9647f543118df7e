//! XGBoost's own files, as `save_model("model.json")` and `save_model("model.ubj")` write them (schema of XGBoost 1.0 to 3.x).
//!
//! Several versions are read: `base_score` is one number or a list, booleans are numbers or booleans.

mod objective;
mod tree;
mod ubj;

use std::collections::HashMap;

use serde::Deserialize;

use super::{ImportError, ImportOptions};
use crate::Result;
use crate::model::{
    Aggregate, Kind, MAX_FEATURES, MAX_NODES, MAX_OUTPUTS, Model, ModelParts, Precision, Task,
};
use objective::{base_scores, meaning};
use tree::{FileTreeJson, file_tree};

/// Greatest size of an XGBoost JSON file, in bytes. A node of a tree takes about 60 of them.
pub const MAX_XGBOOST_BYTES: usize = 512 << 20;
/// Greatest size of an XGBoost UBJSON file, in bytes. A node of a tree takes about 40 of them.
pub const MAX_UBJ_BYTES: usize = 128 << 20;

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
    /// Absent for a linear model.
    #[serde(default)]
    model: Option<serde_json::Value>,
    /// The trees of the booster `dart`.
    #[serde(default)]
    gbtree: Option<Gbtree>,
    /// A weight for each tree of the booster `dart`.
    #[serde(default)]
    weight_drop: Vec<f64>,
}

#[derive(Deserialize)]
struct Gbtree {
    model: serde_json::Value,
}

#[derive(Deserialize)]
struct BoosterModel {
    #[serde(default)]
    cats: Categories,
    gbtree_model_param: BoosterParam,
    tree_info: Vec<i64>,
    trees: Vec<FileTreeJson>,
}

/// The categories of each column, where the training data named them.
#[derive(Deserialize, Default)]
struct Categories {
    #[serde(default)]
    enc: Vec<Encoding>,
}

/// The categories of one column: texts if there are offsets.
#[derive(Deserialize)]
struct Encoding {
    #[serde(default)]
    offsets: Vec<i64>,
    #[serde(default)]
    values: Vec<f64>,
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

pub(super) fn read(file: &[u8], options: &ImportOptions) -> Result<Model> {
    check_size(file.len(), MAX_XGBOOST_BYTES)?;
    if file.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(super::file::dump_of("XGBoost").into());
    }
    let File { learner } = serde_json::from_slice(file).map_err(|error| malformed("XGBoost JSON", &error))?;
    Model::new(parts(learner, options, "XGBoost JSON")?)
}

pub(super) fn read_ubj(file: &[u8], options: &ImportOptions) -> Result<Model> {
    check_size(file.len(), MAX_UBJ_BYTES)?;
    let format = "XGBoost UBJSON";
    let value = ubj::read(file).map_err(|reason| ImportError::Malformed { format, reason })?;
    let File { learner } = serde_json::from_value(value).map_err(|error| malformed(format, &error))?;
    Model::new(parts(learner, options, format)?)
}

fn check_size(count: usize, limit: usize) -> Result<(), ImportError> {
    let what = "bytes of the file".into();
    if count > limit { Err(ImportError::TooLarge { what, count, limit }) } else { Ok(()) }
}

fn malformed(format: &'static str, error: &serde_json::Error) -> ImportError {
    ImportError::Malformed { format, reason: error.to_string() }
}

fn parts(learner: Learner, options: &ImportOptions, format: &'static str) -> Result<ModelParts, ImportError> {
    let Learner { attributes, feature_names, gradient_booster, learner_model_param: param, objective } =
        learner;
    let (booster, weights) = booster(gradient_booster, format)?;
    let features = count("num_feature", &param.num_feature, MAX_FEATURES)?;
    let number = |field, text: &str| if text.is_empty() { Ok(0) } else { count(field, text, MAX_OUTPUTS) };
    let classes = number("num_class", &param.num_class)?;
    let targets = number("num_target", &param.num_target)?.max(1);
    let meaning = meaning(&objective.name, classes, targets)?;
    let base = base_scores(&param.base_score, meaning.outputs, meaning.base)?;
    check_trees(&booster, &attributes, meaning.outputs)?;
    check_categories(&booster.cats)?;
    check_missing(&booster, options)?;
    let kind = kind(&booster, meaning.outputs)?;
    let mut nodes_left = MAX_NODES;
    let mut trees = Vec::with_capacity(booster.trees.len());
    for (index, (tree, &output)) in booster.trees.iter().zip(&booster.tree_info).enumerate() {
        let in_range = usize::try_from(output).ok().filter(|&output| output < meaning.outputs);
        let output =
            in_range.ok_or(ImportError::OutOfRange { field: "tree_info".into(), index, value: output })?;
        let id = i64::try_from(index).unwrap_or(i64::MAX);
        let weight = weights.as_ref().and_then(|weights| weights.get(index)).copied();
        trees.push(file_tree(id, tree, output, meaning.outputs, weight)?.into_tree(&mut nodes_left)?);
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
        decision_threshold: meaning.threshold,
        missing: options.missing_number(),
    })
}

/// The trees, and a weight for each of them if the booster has such.
fn booster(booster: Booster, format: &'static str) -> Result<(BoosterModel, Option<Vec<f32>>), ImportError> {
    let missing = || ImportError::missing("learner.gradient_booster.model");
    let (model, weights) = match (booster.name.as_str(), booster.gbtree) {
        ("gbtree", _) => (booster.model.ok_or_else(missing)?, None),
        ("dart", Some(trees)) => {
            #[allow(clippy::cast_possible_truncation)] // XGBoost's own precision
            let weights: Vec<f32> = booster.weight_drop.iter().map(|weight| *weight as f32).collect();
            (trees.model, Some(weights))
        }
        ("dart", None) => return Err(ImportError::missing("learner.gradient_booster.gbtree")),
        ("gblinear", _) => {
            let why = "it is a linear model without trees; train with booster=\"gbtree\" or \"dart\"";
            return Err(ImportError::unsupported("booster", booster.name, why));
        }
        _ => {
            let why = "gbtree and dart are; train with one of them";
            return Err(ImportError::unsupported("booster", booster.name, why));
        }
    };
    let model: BoosterModel = serde_json::from_value(model).map_err(|error| malformed(format, &error))?;
    match &weights {
        Some(weights) if weights.len() != model.trees.len() => Err(ImportError::Length {
            field: "weight_drop".into(),
            got: weights.len(),
            expected: model.trees.len(),
        }),
        _ => Ok((model, weights)),
    }
}

/// Categories are their own codes, or texts that a row gives by their place.
fn check_categories(categories: &Categories) -> Result<(), ImportError> {
    #[allow(clippy::cast_precision_loss)] // places in a list
    let coded = |encoding: &Encoding| {
        !encoding.offsets.is_empty()
            || encoding.values.iter().enumerate().all(|(code, value)| code as f64 == *value)
    };
    match categories.enc.iter().position(|encoding| !coded(encoding)) {
        Some(feature) => {
            let why =
                "its categories are numbers other than 0, 1, 2, …; encode the column so before training";
            Err(ImportError::unsupported("categorical feature", feature.to_string(), why))
        }
        None => Ok(()),
    }
}

/// Without missing values in training, XGBoost sends them right in every split on a number. Otherwise it has learned where they go,
/// and the file does not say which value stood for a missing one.
fn check_missing(booster: &BoosterModel, options: &ImportOptions) -> Result<(), ImportError> {
    if options.missing.is_some() {
        return Ok(());
    }
    match booster.trees.iter().position(FileTreeJson::has_learned_missing) {
        Some(tree) => Err(ImportError::MissingNotStated { tree }),
        None => Ok(()),
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
