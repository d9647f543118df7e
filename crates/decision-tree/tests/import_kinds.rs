//! The kinds of models that people have in files: imported, on the grid, and one of each sort under encryption.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

mod imported;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use imported::data;
use subrosa_decision_tree::import::ImportOptions;
use subrosa_decision_tree::schema::DEFAULT_BITS;
use subrosa_decision_tree::{ClientKey, Evaluator, Model, ParameterSet, QuantizedModel, Schema};
use subrosa_transport::with_causes;

/// The file, and the value that was missing in training where the file cannot say it.
const KINDS: [(&str, Option<f64>); 39] = [
    ("xgb_missing.json", Some(f64::NAN)),
    ("xgb_missing.ubj", Some(f64::NAN)),
    ("xgb_zero_missing.json", Some(0.0)),
    ("xgb_dart.json", None),
    ("xgb_dart.ubj", None),
    ("xgb_multi.ubj", Some(f64::NAN)),
    ("xgb_poisson.json", None),
    ("xgb_gamma.json", Some(f64::NAN)),
    ("xgb_tweedie.json", None),
    ("xgb_quantiles.json", None),
    ("xgb_targets.json", Some(f64::NAN)),
    ("xgb_vector.json", Some(f64::NAN)),
    ("xgb_vector.ubj", Some(f64::NAN)),
    ("xgb_rank.json", None),
    ("xgb_logitraw.json", None),
    ("xgb_hinge.json", None),
    ("xgb_categories.json", Some(f64::NAN)),
    ("xgb_categories.ubj", Some(f64::NAN)),
    ("lgb_missing.onnx", None),
    ("lgb_no_zipmap.onnx", None),
    ("lgb_categories.onnx", None),
    ("lgb_tweedie.onnx", None),
    ("cat_2.onnx", None),
    ("cat_3.onnx", None),
    ("sk_imputer.onnx", None),
    ("sk_scaler.onnx", None),
    ("sk_minmax.onnx", None),
    ("sk_columns.onnx", None),
    ("sk_exponential.onnx", None),
    ("sk_zipmap_columns.onnx", None),
    ("sk_lost_missing.onnx", None),
    ("lgb_text_missing.txt", None),
    ("lgb_text_zero.txt", None),
    ("lgb_text_never_missing.txt", None),
    ("lgb_text_forest.txt", None),
    ("lgb_text_multi.txt", None),
    ("lgb_text_one_for_each.txt", None),
    ("lgb_text_categories.txt", None),
    ("lgb_text_gamma.txt", None),
];

struct Rows {
    features: Vec<Vec<f64>>,
    labels: Vec<Option<String>>,
    scores: Vec<Vec<f64>>,
}

/// The rows and predictions of a model's CSV; an empty cell is a missing value.
fn rows(file: &str) -> Rows {
    let name = file.split('.').next().unwrap();
    let text = std::fs::read_to_string(data(&format!("kinds/{name}.csv"))).unwrap();
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut rows = Rows { features: vec![], labels: vec![], scores: vec![] };
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let numbers = |prefix: &str| {
            let of = head.iter().zip(&cells).filter(|(name, _)| name.starts_with(prefix));
            of.map(|(_, cell)| cell.parse().unwrap_or(f64::NAN)).collect::<Vec<f64>>()
        };
        rows.features.push(numbers("x"));
        rows.scores.push(numbers("score"));
        rows.labels.push(head.iter().position(|name| *name == "label").map(|at| cells[at].to_owned()));
    }
    assert!(rows.features.len() >= 60);
    rows
}

fn load(file: &str, missing: Option<f64>) -> Model {
    let mut options = ImportOptions::default();
    let path = data(&format!("kinds/{file}"));
    if let Some(value) = missing {
        let error = with_causes(&Model::from_file(&path, &options).unwrap_err());
        assert!(error.contains("ImportOptions::missing"), "{error}");
        options = options.with_missing(value);
    }
    Model::from_file(&path, &options).unwrap_or_else(|error| panic!("{}", with_causes(&error)))
}

#[test]
fn every_kind_predicts_what_its_framework_predicts() {
    for (file, missing) in KINDS {
        let (model, rows) = (load(file, missing), rows(file));
        for (number, row) in rows.features.iter().enumerate() {
            if file == "sk_lost_missing.onnx" && row.iter().any(|value| value.is_nan()) {
                // The exporter loses where these go: better no prediction than another one.
                let error = with_causes(&model.predict(row).unwrap_err());
                assert!(error.contains("does not say where missing values go"), "{error}");
                continue;
            }
            let scores = model.evaluate(row).unwrap();
            let prediction = model.prediction(&scores).unwrap();
            assert_eq!(prediction.label(), rows.labels[number].as_deref(), "{file}, row {number}");
            let ours = scores.transformed(model.parts().post_transform);
            let theirs = &rows.scores[number];
            let ours = &ours[ours.len() - theirs.len()..];
            for (our, their) in ours.iter().zip(theirs) {
                let difference = (our - their).abs() / their.abs().max(1.0);
                assert!(difference < 1e-6, "{file}, row {number}: {our} and {their}");
            }
        }
    }
}

#[test]
fn every_kind_keeps_its_classes_on_the_grid() {
    for (file, missing) in KINDS {
        let (model, rows) = (load(file, missing), rows(file));
        let known =
            |row: &&Vec<f64>| (0..4).all(|feature| !row[feature].is_nan() || model.takes_missing(feature));
        let features: Vec<&Vec<f64>> = rows.features.iter().filter(known).collect();
        let schema = Schema::fit(&model, &features, DEFAULT_BITS).unwrap();
        for loss in schema.losses(&model, &features).unwrap() {
            assert_eq!(loss.exact, loss.thresholds, "{file}: {loss}");
        }
        let quantized = QuantizedModel::fitted(&model, &schema, &features).unwrap();
        let report = quantized.agreement(&model, &features, None).unwrap();
        assert_eq!(report.agreeing, report.rows, "{file}: {report}");
    }
}

#[test]
fn missing_values_categories_and_several_outputs_come_through_encryption() {
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let key = ClientKey::generate(ParameterSet::LowNoise, &mut rng);
    for (file, missing) in KINDS.into_iter().filter(|(file, _)| {
        [
            "xgb_missing.ubj",
            "xgb_categories.json",
            "xgb_vector.json",
            "lgb_categories.onnx",
            "cat_3.onnx",
            "lgb_text_zero.txt",
        ]
        .contains(file)
    }) {
        let (model, rows) = (load(file, missing), rows(file));
        let schema = Schema::fit(&model, &rows.features, DEFAULT_BITS).unwrap();
        let quantized = QuantizedModel::fitted(&model, &schema, &rows.features).unwrap();
        let evaluator = Evaluator::new(quantized, ParameterSet::LowNoise).unwrap();
        for row in rows.features.iter().step_by(10) {
            let query = key.encrypt(&schema, row, &mut rng).unwrap();
            let verdict = key.decrypt(&evaluator.evaluate(&query, &mut rng).unwrap()).unwrap();
            assert!(verdict == evaluator.model().predict(row).unwrap(), "{file}");
            assert_eq!(verdict.class(), model.predict(row).unwrap().class(), "{file}");
        }
    }
}
