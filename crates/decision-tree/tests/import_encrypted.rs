//! Imported models all the way: put on a grid, evaluated under encryption, compared with the framework's predictions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

mod imported;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use imported::{load, rows};
use subrosa_decision_tree::model::{Node, Precision, Rule};
use subrosa_decision_tree::schema::{Feature, Grid};
use subrosa_decision_tree::{ClientKey, Evaluator, Model, ParameterSet, QuantizedModel, Schema};

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

/// Grids whose edges are the model's own thresholds, so that nothing is lost. A bank would not publish these: they
/// give the thresholds away.
fn schema_of(model: &Model) -> Schema {
    let parts = model.parts();
    let mut edges = vec![Vec::new(); model.features().len()];
    for node in model.trees().iter().flat_map(|tree| tree.nodes()) {
        let Node::Split { feature, rule, threshold, .. } = node else { continue };
        // A cell ends with its upper edge: x < t is x ≤ the number before t.
        edges[*feature].push(match (rule, parts.precision) {
            (Rule::LessOrEqual, _) => *threshold,
            (Rule::Less, Precision::Double) => threshold.next_down(),
            #[allow(clippy::cast_possible_truncation)] // the threshold is an f32
            (Rule::Less, Precision::Single) => f64::from((*threshold as f32).next_down()),
        });
    }
    let feature = |(name, mut edges): (&String, Vec<f64>)| {
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        if edges.is_empty() {
            edges.push(0.0);
        }
        Feature::numeric(name, Grid::Edges(edges))
    };
    let features = model.features().iter().zip(edges).map(feature).collect();
    Schema::new(features, model.labels().to_vec(), parts.precision).unwrap()
}

#[test]
fn an_imported_model_says_under_encryption_what_its_framework_says() {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let keys = ParameterSet::ALL.map(|set| ClientKey::generate(set, &mut rng));
    for file in MODELS {
        let model = load(file);
        let schema = schema_of(&model);
        let quantized = QuantizedModel::new(&model, &schema).unwrap();
        let rows = rows(file.split('.').next().unwrap());
        let features: Vec<&[f64]> = rows.iter().map(|row| &row.features[..]).collect();
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
