//! Missing values and shared subtrees: in the clear, on the grid and under encryption.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs)] // test code

use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use subrosa_decision_tree::model::*;
use subrosa_decision_tree::quantized::QuantizeError;
use subrosa_decision_tree::schema::{Feature, Grid, MissingCell, SchemaError};
use subrosa_decision_tree::{ClientKey, Error, Evaluator, ParameterSet, QuantizedModel, Schema};

const RULES: [Rule; 5] = [
    Rule::LessOrEqualOrMissing,
    Rule::LessOrMissing,
    Rule::LessOrEqualNotMissing,
    Rule::LessNotMissing,
    Rule::Missing,
];

/// A random tree over three features in which a node may stand below several others.
fn shared_tree(rng: &mut impl Rng, splits: usize) -> Vec<Node> {
    let leaves = 4;
    let mut nodes = vec![];
    for index in 0..splits {
        // Children stand behind their parent; the next node is one of them, so that all are reached.
        let other = rng.random_range(index + 1..splits + leaves);
        let (left, right) = if rng.random() { (index + 1, other) } else { (other, index + 1) };
        let threshold = f64::from(rng.random_range(0u8..6));
        let rule = RULES[rng.random_range(0..RULES.len())];
        nodes.push(Node::Split { feature: rng.random_range(0..3), rule, threshold, left, right });
    }
    // A last chain reaches every leaf.
    for leaf in 0..leaves - 1 {
        let (left, right) = (
            splits + leaves - 1 + leaf,
            if leaf + 2 < leaves { splits + leaf + 1 } else { splits + 2 * leaves - 2 },
        );
        nodes.push(Node::Split {
            feature: leaf % 3,
            rule: Rule::LessNotMissing,
            threshold: 3.0,
            left,
            right,
        });
    }
    nodes.extend((0..leaves).map(|leaf| Node::leaf(leaf % 3, 1.0)));
    nodes
}

fn row(rng: &mut impl Rng) -> Vec<f64> {
    let value = |rng: &mut dyn Rng| match rng.random_range(0u8..4) {
        0 => f64::NAN,
        1 => f64::from(rng.random_range(0u8..6)).next_down(),
        _ => f64::from(rng.random_range(0u8..12)) / 2.0,
    };
    (0..3).map(|_| value(rng)).collect()
}

fn random_model(rng: &mut impl Rng, splits: usize) -> Model {
    let nodes = shared_tree(rng, splits);
    Model::classifier(["x", "y", "z"], ["a", "b", "c"], nodes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn fitted_schemas_place_missing_values_exactly(
        seed in any::<u64>(), splits in 1usize..12, stands_for in any::<bool>(),
    ) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut parts = random_model(&mut rng, splits).into_parts();
        parts.missing = stands_for.then_some(2.0);
        let model = Model::new(parts).unwrap();
        let rows: Vec<Vec<f64>> = (0..60).map(|_| row(&mut rng)).collect();
        let schema = Schema::fit(&model, &rows, 8).unwrap();
        let quantized = QuantizedModel::fitted(&model, &schema, &rows).unwrap();
        for row in rows.iter().chain(&(0..60).map(|_| row(&mut rng)).collect::<Vec<_>>()) {
            prop_assert_eq!(quantized.predict(row).unwrap().class(), model.predict(row).unwrap().class());
        }
        for cell in [MissingCell::First, MissingCell::Last] {
            let features = ["x", "y", "z"].map(|name| {
                let edges = (0u8..6).flat_map(|edge| [f64::from(edge).next_down(), f64::from(edge)]);
                Feature::numeric(name, Grid::Edges(edges.collect())).with_missing(cell)
            });
            let schema = Schema::for_model(&model, features.to_vec()).unwrap();
            let quantized = QuantizedModel::new(&model, &schema).unwrap();
            for row in &rows {
                prop_assert_eq!(quantized.predict(row).unwrap().class(), model.predict(row).unwrap().class());
            }
        }
    }
}

#[test]
fn missing_values_and_shared_subtrees_are_exact_under_encryption() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for parameters in [ParameterSet::Standard, ParameterSet::SmallQuery] {
        for splits in [2, 5, 9, 14] {
            let model = random_model(&mut rng, splits);
            let rows: Vec<Vec<f64>> = (0..25).map(|_| row(&mut rng)).collect();
            let schema = Schema::fit(&model, &rows, 5).unwrap();
            let evaluator =
                Evaluator::new(QuantizedModel::new(&model, &schema).unwrap(), parameters).unwrap();
            let key = ClientKey::generate(parameters, &mut rng);
            let prepared = key.conversion_key(&mut rng).map(|key| key.prepare());
            for row in &rows {
                let query = key.encrypt(&schema, row, &mut rng).unwrap();
                let answer = match &prepared {
                    Some(prepared) => evaluator.evaluate_with(prepared, &query, &mut rng).unwrap(),
                    None => evaluator.evaluate(&query, &mut rng).unwrap(),
                };
                let class = key.decrypt(&answer).unwrap().class();
                assert_eq!(class, model.predict(row).unwrap().class(), "{row:?}");
            }
        }
    }
}

/// A set of two hundred categories, as exporters write it: each equality leads to the same subtree.
#[test]
fn a_shared_subtree_is_evaluated_once() {
    let mut nodes = vec![];
    for category in 0..60u8 {
        let index = nodes.len();
        let threshold = f64::from(2 * category);
        // x ≤ t ? (x < t ? shared : other) : next.
        nodes.push(Node::Split {
            feature: 0,
            rule: Rule::LessOrEqual,
            threshold,
            left: index + 1,
            right: index + 2,
        });
        nodes.push(Node::Split { feature: 0, rule: Rule::Less, threshold, left: 120, right: 121 });
    }
    nodes.push(Node::split(1, 5.0, 122, 123));
    nodes.push(Node::split(1, 7.0, 122, 123));
    nodes.extend([Node::leaf(0, 1.0), Node::leaf(1, 1.0)]);
    let model = Model::classifier(["x", "y"], ["a", "b"], nodes).unwrap();
    let schema =
        Schema::for_model(&model, vec![Feature::integer("x", 0..=127), Feature::integer("y", 0..=9)]);
    let schema = schema.unwrap();
    let quantized = QuantizedModel::new(&model, &schema).unwrap();
    for x in 0..128 {
        for y in 0..10 {
            let row = [f64::from(x), f64::from(y)];
            assert_eq!(quantized.predict(&row).unwrap().class(), model.predict(&row).unwrap().class());
        }
    }
    // One split for each end of an interval of categories, and the two subtrees.
    assert!(quantized.splits() <= 122, "{}", quantized.splits());
}

#[test]
fn what_does_not_say_where_missing_values_go_is_refused() {
    let plain = Model::classifier(
        ["x"],
        ["a", "b"],
        vec![Node::split(0, 1.0, 1, 2), Node::leaf(0, 1.0), Node::leaf(1, 1.0)],
    )
    .unwrap();
    assert!(!plain.takes_missing(0));
    assert!(matches!(plain.predict(&[f64::NAN]), Err(Error::Model(ModelError::NotANumber { feature: 0 }))));
    assert!(Schema::fit(&plain, &[[f64::NAN]], 8).is_err());
    let grid = Grid::Edges(vec![1.0]);
    let schema = |model: &Model, cell| {
        Schema::for_model(model, vec![Feature::numeric("x", grid.clone()).with_missing(cell)]).unwrap()
    };
    let refused = QuantizedModel::new(&plain, &schema(&plain, MissingCell::Last));
    assert!(matches!(refused, Err(Error::Quantize(QuantizeError::MissingRefused { feature: 0 }))));
    assert!(matches!(
        schema(&plain, MissingCell::Refused).quantize(&[f64::NAN]),
        Err(Error::Schema(SchemaError::NotANumber { feature: 0 }))
    ));
    let mut parts = plain.clone().into_parts();
    parts.missing = Some(0.0);
    let zero = Model::new(parts.clone()).unwrap();
    assert!(matches!(zero.predict(&[0.0]), Err(Error::Model(ModelError::NotANumber { feature: 0 }))));
    let refused = QuantizedModel::new(&zero, &schema(&plain, MissingCell::Refused));
    assert!(matches!(refused, Err(Error::Quantize(QuantizeError::Missing))));
    parts.missing = Some(f64::INFINITY);
    assert!(Model::new(parts).is_err());
    // A schema's id covers the missing cell, and its file keeps it.
    let last = schema(&zero, MissingCell::Last);
    assert_ne!(last.id(), schema(&zero, MissingCell::First).id());
    let read = Schema::from_json(last.to_json().unwrap().as_bytes()).unwrap();
    assert_eq!((read.id(), read.missing()), (last.id(), Some(0.0)));
    let full = Grid::Edges((0..2_047).map(f64::from).collect());
    let full = vec![Feature::numeric("x", full).with_missing(MissingCell::First)];
    assert!(matches!(
        Schema::new(full, vec![], Precision::Double),
        Err(Error::Schema(SchemaError::Grid { .. }))
    ));
}
