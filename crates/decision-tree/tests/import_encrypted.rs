//! Imported models all the way: put on a grid, evaluated under encryption, compared with the framework's predictions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

mod imported;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use imported::{load, rows};
use subrosa_decision_tree::schema::DEFAULT_BITS;
use subrosa_decision_tree::{ClientKey, Evaluator, ParameterSet, QuantizedModel, Schema};

/// Models of each framework and kind.
const MODELS: [&str; 12] = [
    "sk_tree_4.onnx",
    "sk_tree_names.onnx",
    "sk_forest_2.onnx",
    "sk_forest_3.onnx",
    "sk_boost_3.onnx",
    "sk_tree_values.onnx",
    "sk_boost_value.onnx",
    "double_3.onnx",
    "xgb_2.json",
    "xgb_3.onnx",
    "lgb_2.onnx",
    "lgb_value.onnx",
];

#[test]
fn an_imported_model_says_under_encryption_what_its_framework_says() {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let keys = ParameterSet::ALL.map(|set| ClientKey::generate(set, &mut rng));
    for file in MODELS {
        let model = load(file);
        let rows = rows(file.split('.').next().unwrap());
        let features: Vec<&[f64]> = rows.iter().map(|row| &row.features[..]).collect();
        let schema = Schema::fit(&model, &features, DEFAULT_BITS).unwrap();
        let losses = schema.losses(&model, &features).unwrap();
        assert!(losses.iter().all(|loss| loss.exact == loss.thresholds), "{file}: {losses:?}");
        let quantized = QuantizedModel::fitted(&model, &schema, &features).unwrap();
        let agreement = quantized.agreement(&model, &features, None).unwrap();
        println!("{file}: on the grid {} of {} rows agree", agreement.agreeing, agreement.rows);
        // Only the leaves are rounded: that can decide a near tie of classes otherwise.
        assert!(agreement.agreeing * 1_000 >= agreement.rows * 990, "{file}: {agreement:?}");

        let evaluator =
            ParameterSet::ALL.into_iter().find_map(|set| Evaluator::new(quantized.clone(), set).ok());
        let evaluator = evaluator.unwrap_or_else(|| panic!("{file}: no parameter set carries it"));
        let key = keys.iter().find(|key| key.parameters() == evaluator.parameters()).unwrap();
        let mut as_framework = 0;
        for row in rows.iter().step_by(8) {
            let query = key.encrypt(&schema, &row.features, &mut rng).unwrap();
            let verdict = key.decrypt(&evaluator.evaluate(&query, &mut rng).unwrap()).unwrap();
            assert_eq!(verdict, quantized.predict(&row.features).unwrap(), "{file}");
            let label = verdict.class().map(|class| model.labels()[class].clone());
            as_framework += usize::from(row.expected.iter().all(|expected| expected.label == label));
        }
        assert!(as_framework >= 29, "{file}: {as_framework} of 30 verdicts are the framework's");
    }
}
