//! Imported models predict what the frameworks that trained them predict, on every committed row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

mod imported;

use imported::{Expected, data, load, rows};
use subrosa_decision_tree::Model;
use subrosa_decision_tree::import::ImportOptions;
use subrosa_decision_tree::model::{Kind, Node, Precision, Rule, Tree};
use subrosa_transport::with_causes;

/// The greatest distance allowed between a score and the framework's, in units of 2⁻²³ of the greater of 1 and the
/// score: a framework's `f32` sum of up to 13 terms, each step off by half a unit of the partial sum, and one `exp`.
const TOLERANCE: f64 = 4.0;

/// Every model with an ONNX file.
const ONNX: [&str; 23] = [
    "sk_tree_2",
    "sk_tree_4",
    "sk_tree_names",
    "sk_forest_2",
    "sk_forest_3",
    "sk_extra_3",
    "sk_boost_2",
    "sk_boost_3",
    "sk_tree_value",
    "sk_tree_values",
    "sk_forest_value",
    "sk_boost_value",
    "double_3",
    "double_value",
    "modes_values",
    "ties_6",
    "ties_10",
    "xgb_2",
    "xgb_3",
    "xgb_value",
    "lgb_2",
    "lgb_3",
    "lgb_value",
];

#[test]
fn onnx_models_predict_what_their_frameworks_predict() {
    for name in ONNX {
        let model = load(&format!("{name}.onnx"));
        compare(name, &model);
    }
}

#[test]
fn xgboost_json_predicts_what_xgboost_predicts() {
    for name in ["xgb_2", "xgb_3", "xgb_value"] {
        let model = load(&format!("{name}.json"));
        compare(name, &model);
    }
}

/// Labels equal, scores within the tolerance, on every row, against the framework and against ONNX Runtime.
fn compare(name: &str, model: &Model) {
    let rows = rows(name);
    assert!(rows.len() >= 200, "{name}: {} rows", rows.len());
    let mut worst: f64 = 0.0;
    for (number, row) in rows.iter().enumerate() {
        let scores = model.evaluate(&row.features).unwrap();
        let prediction = model.prediction(&scores).unwrap();
        let ours = scores.transformed(model.parts().post_transform);
        for Expected { label, scores, source } in &row.expected {
            assert_eq!(prediction.label(), label.as_deref(), "{name}, row {number}, {source}");
            for (our, their) in ours.iter().zip(comparable(&ours, scores)) {
                worst = worst.max((our - their).abs() / their.abs().max(1.0) * f64::from(1 << 23));
            }
        }
    }
    println!("{name}: {} rows, scores within {worst:.2} units", rows.len());
    assert!(worst <= TOLERANCE, "{name}: scores differ by {worst} units");
}

/// Where a model has one score for two classes it is the second's; of the first, runtimes report different things.
fn comparable<'a>(ours: &[f64], theirs: &'a [f64]) -> &'a [f64] {
    match (ours, theirs) {
        ([_], [_, second @ ..]) if second.len() == 1 => second,
        _ => {
            assert_eq!(ours.len(), theirs.len());
            theirs
        }
    }
}

/// The rows stand on thresholds: read with the other comparison, every model gives other predictions.
#[test]
fn the_rows_tell_the_comparisons_apart() {
    for name in ONNX {
        let model = load(&format!("{name}.onnx"));
        let mut parts = model.clone().into_parts();
        parts.trees = parts.trees.iter().map(with_other_comparison).collect();
        let other = Model::new(parts).unwrap();
        let differ = rows(name)
            .iter()
            .any(|row| model.evaluate(&row.features).unwrap() != other.evaluate(&row.features).unwrap());
        assert!(differ, "{name}");
    }
}

fn with_other_comparison(tree: &Tree) -> Tree {
    let other = |rule: Rule| match rule {
        Rule::Less => Rule::LessOrEqual,
        Rule::LessOrEqual => Rule::Less,
        Rule::LessOrMissing => Rule::LessOrEqualOrMissing,
        Rule::LessOrEqualOrMissing => Rule::LessOrMissing,
        Rule::LessNotMissing => Rule::LessOrEqualNotMissing,
        Rule::LessOrEqualNotMissing => Rule::LessNotMissing,
        other => other,
    };
    let nodes = tree.nodes().iter().cloned().map(|mut node| {
        if let Node::Split { rule, .. } = &mut node {
            *rule = other(*rule);
        }
        node
    });
    Tree::new(nodes.collect())
}

#[test]
fn precision_kind_and_names_come_from_the_file() {
    assert_eq!(load("sk_tree_2.onnx").parts().precision, Precision::Single);
    assert_eq!(load("double_3.onnx").parts().precision, Precision::Double);
    assert_eq!(load("sk_tree_names.onnx").labels(), ["block", "check", "clear"]);
    assert_eq!(load("sk_tree_4.onnx").kind(), Kind::DecisionTree);
    assert_eq!(load("sk_forest_3.onnx").kind(), Kind::RandomForest);
    assert_eq!(load("lgb_2.onnx").kind(), Kind::GradientBoosting);
    assert_eq!(load("xgb_3.json").kind(), Kind::GradientBoosting);
    assert_eq!(load("xgb_3.json").features(), ["x0", "x1", "x2", "x3", "x4", "x5"]);
    let named = ImportOptions::with_features(["a", "b", "c", "d", "e", "f"]);
    assert_eq!(Model::from_file(data("xgb_3.json"), &named).unwrap().features()[5], "f");
    let short = ImportOptions::with_features(["a", "b"]);
    let error = with_causes(&Model::from_file(data("xgb_3.json"), &short).unwrap_err());
    assert!(error.contains("xgb_3.json") && error.contains("feature names has 2 entries"), "{error}");
}

/// XGBoost's JSON and its ONNX export are the same trees.
#[test]
fn both_forms_of_an_xgboost_model_agree_on_every_score() {
    for name in ["xgb_2", "xgb_3", "xgb_value"] {
        let (json, onnx) = (load(&format!("{name}.json")), load(&format!("{name}.onnx")));
        for row in rows(name) {
            let scores = [&json, &onnx].map(|model| model.evaluate(&row.features).unwrap());
            let near = scores[0].raw().iter().zip(scores[1].raw()).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(near, "{name}: {scores:?}");
        }
    }
}

/// Our own format carries an imported model without changing a number.
#[test]
fn an_imported_model_survives_our_own_format() {
    let model = load("sk_forest_3.onnx");
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("forest.json");
    std::fs::write(&path, model.to_json().unwrap()).unwrap();
    assert_eq!(Model::from_file(&path, &ImportOptions::default()).unwrap(), model);
}
