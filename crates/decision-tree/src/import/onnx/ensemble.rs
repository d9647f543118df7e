//! `TreeEnsembleClassifier` and `TreeEnsembleRegressor`: what their attributes mean.
//!
//! The operators' specification leaves some cases open; what is said here about them was measured on ONNX Runtime
//! 1.31. Where runtimes disagree with the exporters, or with each other, the model is refused.

use super::attributes::Attributes;
use super::graph::{Operator, Place, labels};
use super::nodes::{Weight, read_trees, read_weights};
use crate::import::{ImportError, ImportOptions};
use crate::model::{
    Aggregate, Kind, MAX_FEATURES, MAX_OUTPUTS, ModelParts, Node, PostTransform, Precision, Task, Tree,
};

/// Every attribute of the two operators, without the prefix of those that list weights.
const KNOWN: [&str; 16] = [
    "base_values",
    "base_values_as_tensor",
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_hitrates",
    "nodes_hitrates_as_tensor",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_nodeids",
    "nodes_treeids",
    "nodes_truenodeids",
    "nodes_values",
    "nodes_values_as_tensor",
    "post_transform",
    "classlabels_int64s",
    "classlabels_strings",
];

/// The least score above which a probability counts as more than one half after rounding to `f32`.
///
/// Runtimes sum `f32` weights such as 1/10 in `f32`, where five of them make exactly 0.5, and ask whether the sum is
/// above 0.5. This crate sums in `f64`, where they make 0.5 + 7·10⁻⁹. A sum rounds to more than 0.5 in `f32` exactly
/// if it is above 0.5 + 2⁻²⁵ (a tie rounds to even, which is 0.5).
const HALF_IN_F32: f64 = 0.5 + 1.0 / (1u32 << 25) as f64;

pub(super) fn read(place: &Place<'_>, options: &ImportOptions) -> Result<ModelParts, ImportError> {
    let attributes = Attributes::of(place.node);
    // Runtimes read the double variants with double inputs only.
    if place.input.precision == Precision::Single && attributes.any_tensor() {
        let why = "the input is float32, so runtimes ignore the attributes that end in _as_tensor";
        return Err(ImportError::unsupported("attribute", "nodes_values_as_tensor", why));
    }
    match place.task {
        Operator::Classifier => classifier(place, attributes, options),
        Operator::Regressor => regressor(place, attributes, options),
    }
}

fn classifier(
    place: &Place<'_>,
    attributes: Attributes<'_>,
    options: &ImportOptions,
) -> Result<ModelParts, ImportError> {
    let weights_names =
        ["class_ids", "class_nodeids", "class_treeids", "class_weights", "class_weights_as_tensor"];
    attributes.only(&[&KNOWN[..], &weights_names[..]].concat())?;
    let labels = labels(place.node)?;
    if place.behind.zipmap_labels.as_ref().is_some_and(|zipped| *zipped != labels) {
        return Err(ImportError::unsupported("operator", "ZipMap", "its class labels are not the trees'"));
    }
    check_outputs(labels.len())?;
    let mut weights = read_weights(attributes, "class", labels.len())?;
    let base = attributes.numbers("base_values")?;
    let transform = post_transform(attributes)?;
    if labels.len() == 2 && base.is_empty() {
        drop_mirrored(&mut weights);
    }
    let scores = if labels.len() == 2 {
        one_score(&mut weights, base, transform)?
    } else {
        score_per_class(&weights, base, transform, labels.len())?
    };
    let (trees, features) = read_trees(attributes, &weights, place)?;
    if labels.len() > 2 {
        check_every_class_scores(&trees, &weights, &scores)?;
    }
    let mut parts = ModelParts {
        kind: kind(&trees, &weights, scores.transform),
        task: Task::Classification { labels },
        features: feature_names(place, features, options)?,
        precision: place.input.precision,
        trees,
        aggregate: Aggregate::Sum,
        base: scores.base,
        post_transform: scores.transform,
        decision_threshold: scores.threshold,
        missing: options.missing_number(),
    };
    if place.behind.transform != PostTransform::None && scores.threshold != 0.0 {
        let why = "no weight is negative, so runtimes take the log-odds for a probability";
        return Err(ImportError::unsupported("operator", "Sigmoid", why));
    }
    apply_behind(place, &mut parts)?;
    Ok(parts)
}

/// Carries what happens behind the trees into leaves, base values and post-transform.
fn apply_behind(place: &Place<'_>, parts: &mut ModelParts) -> Result<(), ImportError> {
    let behind = &place.behind;
    if behind.scale != 1.0 {
        if parts.post_transform != PostTransform::None || parts.decision_threshold != 0.0 {
            let why = "it scales probabilities";
            return Err(ImportError::unsupported("operator", "Mul", why));
        }
        parts.base.iter_mut().for_each(|base| *base *= behind.scale);
        for tree in &mut parts.trees {
            *tree = tree.scaled(behind.scale);
        }
    }
    // e^s · c is e^(s + ln c).
    parts.base.iter_mut().for_each(|base| *base += behind.factor.ln());
    match (parts.post_transform, behind.transform) {
        (_, PostTransform::None) => Ok(()),
        (PostTransform::None, transform) => {
            parts.post_transform = transform;
            Ok(())
        }
        _ => {
            let why = "the trees apply a post-transform of their own before it";
            Err(ImportError::unsupported("operator", "Sigmoid", why))
        }
    }
}

/// CatBoost gives each leaf a weight for the second class and its negative for the first. Runtimes then ask whether the second class's
/// score is positive, so that the first class's weights say nothing.
fn drop_mirrored(weights: &mut Vec<Weight>) {
    let mut seconds = std::collections::HashMap::new();
    for weight in weights.iter().filter(|weight| weight.output == 1) {
        *seconds.entry((weight.tree, weight.node)).or_insert(0.0) += weight.weight;
    }
    let firsts = weights.iter().filter(|weight| weight.output == 0);
    let mirrored = |weight: &Weight| seconds.get(&(weight.tree, weight.node)) == Some(&-weight.weight);
    if firsts.clone().count() * 2 == weights.len() && firsts.clone().all(mirrored) {
        weights.retain(|weight| weight.output == 1);
    }
}

/// How raw scores become a class.
struct ClassScores {
    base: Vec<f64>,
    /// Whether the file states base values.
    stated: bool,
    threshold: f64,
    transform: PostTransform,
}

/// Two classes share one score, which is the second class's. All weights must name the same class id.
fn one_score(
    weights: &mut [Weight],
    base: Vec<f64>,
    transform: PostTransform,
) -> Result<ClassScores, ImportError> {
    let two = "two classes";
    let first = weights.first().map_or(0, |weight| weight.output);
    if weights.iter().any(|weight| weight.output != first) {
        let why = "both have weights of their own, and runtimes do not take the greater score then";
        return Err(ImportError::unsupported("ensemble of", two, why));
    }
    if base.len() > 1 || (first == 1 && !base.is_empty()) {
        let why = "runtimes disagree about base_values other than a single one for class id 0";
        return Err(ImportError::unsupported("ensemble of", two, why));
    }
    let probability = weights.iter().all(|weight| weight.weight >= 0.0);
    let threshold = match (probability, transform) {
        (_, PostTransform::Softmax) => {
            return Err(ImportError::unsupported("post_transform", "SOFTMAX", "two classes share one score"));
        }
        (true, PostTransform::Sigmoid) => {
            let why = "no weight is negative, so runtimes take the log-odds for a probability";
            return Err(ImportError::unsupported("post_transform", "LOGISTIC", why));
        }
        (true, _) => HALF_IN_F32,
        (false, _) => 0.0,
    };
    for weight in weights.iter_mut() {
        weight.output = 0;
    }
    let stated = !base.is_empty();
    let base = if stated { base } else { vec![0.0] };
    Ok(ClassScores { base, stated, threshold, transform })
}

fn score_per_class(
    weights: &[Weight],
    base: Vec<f64>,
    transform: PostTransform,
    classes: usize,
) -> Result<ClassScores, ImportError> {
    let stated = !base.is_empty();
    let base = if stated { base } else { vec![0.0; classes] };
    if base.len() != classes {
        return Err(ImportError::Length { field: "base_values".into(), got: base.len(), expected: classes });
    }
    if weights.is_empty() {
        return Err(ImportError::missing("class_weights"));
    }
    Ok(ClassScores { base, stated, threshold: 0.0, transform })
}

/// A runtime leaves out of the comparison a class for which no leaf on a row's paths has a weight; this crate counts
/// it as 0. That is the same unless scores can be negative.
fn check_every_class_scores(
    trees: &[Tree],
    weights: &[Weight],
    scores: &ClassScores,
) -> Result<(), ImportError> {
    if scores.stated || weights.iter().all(|weight| weight.weight >= 0.0) {
        return Ok(());
    }
    match (0..scores.base.len()).find(|&class| !always_scored(trees, class)) {
        Some(class) => {
            let why = "some leaves give it no weight while others are negative; runtimes leave it out then";
            Err(ImportError::unsupported("class id", class.to_string(), why))
        }
        None => Ok(()),
    }
}

/// Whether some tree gives this output a weight in every leaf.
fn always_scored(trees: &[Tree], output: usize) -> bool {
    trees.iter().any(|tree| {
        tree.nodes().iter().all(|node| match node {
            Node::Leaf { weights } => weights.iter().any(|weight| weight.output == output),
            Node::Split { .. } => true,
        })
    })
}

fn regressor(
    place: &Place<'_>,
    attributes: Attributes<'_>,
    options: &ImportOptions,
) -> Result<ModelParts, ImportError> {
    let own = [
        "aggregate_function",
        "n_targets",
        "target_ids",
        "target_nodeids",
        "target_treeids",
        "target_weights",
        "target_weights_as_tensor",
    ];
    attributes.only(&[&KNOWN[..14], &own[..]].concat())?;
    let targets = attributes.int("n_targets")?.ok_or_else(|| ImportError::missing("n_targets"))?;
    let targets = usize::try_from(targets).map_err(|_| ImportError::OutOfRange {
        field: "n_targets".into(),
        index: 0,
        value: targets,
    })?;
    check_outputs(targets)?;
    let aggregate = match attributes.string("aggregate_function", "SUM")? {
        "SUM" => Aggregate::Sum,
        "AVERAGE" => Aggregate::Average,
        other => {
            let why = "ciphertexts can be added, not compared";
            return Err(ImportError::unsupported("aggregate_function", other, why));
        }
    };
    let transform = post_transform(attributes)?;
    if transform != PostTransform::None {
        let name = attributes.string("post_transform", "NONE")?;
        let why = "ONNX Runtime applies it to regressions of several targets only";
        return Err(ImportError::unsupported("post_transform", name, why));
    }
    let mut base = attributes.numbers("base_values")?;
    if base.is_empty() {
        base = vec![0.0; targets];
    }
    if base.len() != targets {
        return Err(ImportError::Length { field: "base_values".into(), got: base.len(), expected: targets });
    }
    let weights = read_weights(attributes, "target", targets)?;
    let (trees, features) = read_trees(attributes, &weights, place)?;
    let dropped = |&target: &usize| base[target] != 0.0 && !always_scored(&trees, target);
    if let (2.., Some(target)) = (targets, (0..targets).find(dropped)) {
        let why = "some leaves give it no weight, and ONNX Runtime drops its base value then";
        return Err(ImportError::unsupported("target id", target.to_string(), why));
    }
    let mut parts = ModelParts {
        kind: kind(&trees, &weights, transform),
        task: Task::Regression,
        features: feature_names(place, features, options)?,
        precision: place.input.precision,
        trees,
        aggregate,
        base,
        post_transform: transform,
        decision_threshold: 0.0,
        missing: options.missing_number(),
    };
    apply_behind(place, &mut parts)?;
    Ok(parts)
}

fn post_transform(attributes: Attributes<'_>) -> Result<PostTransform, ImportError> {
    match attributes.string("post_transform", "NONE")? {
        "NONE" => Ok(PostTransform::None),
        "LOGISTIC" => Ok(PostTransform::Sigmoid),
        "SOFTMAX" => Ok(PostTransform::Softmax),
        other => Err(ImportError::unsupported("post_transform", other, "NONE, LOGISTIC and SOFTMAX are")),
    }
}

fn check_outputs(count: usize) -> Result<(), ImportError> {
    if count > MAX_OUTPUTS {
        let what = "classes or targets".into();
        return Err(ImportError::TooLarge { what, count, limit: MAX_OUTPUTS });
    }
    Ok(())
}

/// As many names as the graph's input has columns or, if it does not say, as the trees refer to.
fn feature_names(
    place: &Place<'_>,
    used: usize,
    options: &ImportOptions,
) -> Result<Vec<String>, ImportError> {
    let named = options.features.as_ref().map(Vec::len);
    let used = if place.input.columns.is_some() { place.input.features.unwrap_or(0) } else { used };
    let count = place.input.features.or(named).unwrap_or(used).max(used);
    if count > MAX_FEATURES {
        return Err(ImportError::TooLarge { what: "features".into(), count, limit: MAX_FEATURES });
    }
    options.names(count, place.input.names.clone())
}

/// What the file most likely holds: ONNX does not say, and nothing depends on it.
fn kind(trees: &[Tree], weights: &[Weight], transform: PostTransform) -> Kind {
    let negative = weights.iter().any(|weight| weight.weight < 0.0);
    match trees.len() {
        1 if transform == PostTransform::None => Kind::DecisionTree,
        _ if transform != PostTransform::None || negative => Kind::GradientBoosting,
        _ => Kind::RandomForest,
    }
}
