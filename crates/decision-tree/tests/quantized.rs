//! Schemas, grids and quantised models, all in the clear.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)] // test code

mod common;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use common::*;
use subrosa_decision_tree::model::*;
use subrosa_decision_tree::schema::{Feature, Grid, SchemaError};
use subrosa_decision_tree::{Error, QuantizedModel, Schema};

fn numeric(grid: Grid) -> subrosa_decision_tree::Result<Schema> {
    Schema::new(vec![Feature::numeric("x", grid)], vec![], Precision::Double)
}

fn cell(schema: &Schema, value: f64) -> u32 {
    schema.quantize(&[value]).unwrap().cells()[0]
}

#[test]
fn an_edge_belongs_to_the_cell_below_it() {
    let schema = numeric(Grid::Uniform { low: 0.0, high: 8.0, bits: 3 }).unwrap();
    assert_eq!(cell(&schema, 1.0), 0);
    assert_eq!(cell(&schema, 1.0f64.next_up()), 1);
    assert_eq!(cell(&schema, 7.0), 6);
    assert_eq!(cell(&schema, 7.1), 7);
    assert_eq!(cell(&schema, 1e300), 7);
    assert_eq!(cell(&schema, f64::NEG_INFINITY), 0);
    let single = Schema::new(vec![Feature::binary("b")], vec![], Precision::Single).unwrap();
    // Rounds to ½ as f32.
    assert_eq!(cell(&single, 0.5 + 1e-12), 0);
}

#[test]
fn quantile_cells_hold_equally_many_values() {
    let values: Vec<f64> = (0..1_000).map(|i| f64::from(i * i)).collect();
    let schema = numeric(Grid::quantiles(&values, 3).unwrap()).unwrap();
    let mut counts = [0; 8];
    values.iter().for_each(|value| counts[cell(&schema, *value) as usize] += 1);
    assert_eq!(counts, [125; 8]);

    let few = Grid::quantiles(&[1.0, 1.0, 1.0, 2.0], 8).unwrap();
    assert!(matches!(&few, Grid::Edges(edges) if edges.len() == 2 || edges.len() == 1), "{few:?}");
    assert!(Grid::quantiles(&[1.0; 9], 8).is_err());
    assert!(Grid::quantiles(&[1.0, f64::NAN], 8).is_err());
    assert!(Grid::quantiles(&[1.0, 2.0], 12).is_err());
}

#[test]
fn schemas_that_are_none_are_refused() {
    let refused = |grid: Grid| matches!(numeric(grid), Err(Error::Schema(SchemaError::Grid { .. })));
    assert!(refused(Grid::Uniform { low: 1.0, high: 1.0, bits: 8 }));
    assert!(refused(Grid::Uniform { low: 0.0, high: f64::INFINITY, bits: 8 }));
    assert!(refused(Grid::Uniform { low: f64::NAN, high: 1.0, bits: 8 }));
    assert!(refused(Grid::Uniform { low: 0.0, high: 1.0, bits: 0 }));
    assert!(refused(Grid::Uniform { low: 0.0, high: 1.0, bits: 12 }));
    assert!(refused(Grid::Uniform { low: 0.0, high: f64::from_bits(100), bits: 11 }));
    assert!(refused(Grid::Logarithmic { low: 0.0, high: 1.0, bits: 8 }));
    assert!(refused(Grid::Edges(vec![])));
    assert!(refused(Grid::Edges(vec![1.0, 1.0])));
    assert!(refused(Grid::Edges((0..2048).map(f64::from).collect())));
    let twice = vec![Feature::binary("x"), Feature::binary("x")];
    assert!(Schema::new(twice, vec![], Precision::Double).is_err());
    assert!(Schema::new(vec![], vec![], Precision::Double).is_err());
    let schema = schema(&[8, 1], 2);
    assert!(schema.clone().with_span(100).is_err());
    assert!(schema.clone().with_span(4096).is_err());
    assert!(matches!(schema.quantize(&[0.0]), Err(Error::Schema(SchemaError::RowLength { .. }))));
    assert!(matches!(
        schema.quantize(&[0.0, f64::NAN]),
        Err(Error::Schema(SchemaError::NotANumber { feature: 1 }))
    ));
}

#[test]
fn a_schema_file_keeps_the_schema_and_its_id() {
    let schema = schema(&[8, 11, 3, 1], 3).with_span(128).unwrap();
    let text = schema.to_json().unwrap();
    let read = Schema::from_json(text.as_bytes()).unwrap();
    assert_eq!((&read, read.id()), (&schema, schema.id()));
    assert_ne!(schema.clone().with_span(256).unwrap().id(), schema.id());
    assert!(Schema::from_json(text.replace("\"version\": 1", "\"version\": 9").as_bytes()).is_err());
    assert!(Schema::from_json(text.replace("\"x0\"", "\"x1\"").as_bytes()).is_err());
    for end in 0..text.len() {
        assert!(Schema::from_json(&text.as_bytes()[..end]).is_err());
    }
}

#[test]
fn a_row_does_not_print() {
    let row = schema(&[8], 2).quantize(&[0.3]).unwrap();
    assert_eq!(format!("{row:?}"), "QuantizedRow(<redacted>)");
}

#[test]
fn thresholds_outside_the_grid_disappear() {
    let schema = numeric(Grid::Uniform { low: 0.0, high: 16.0, bits: 4 }).unwrap();
    let splits = |threshold: f64| {
        let split = Node::Split { feature: 0, rule: Rule::LessOrEqual, threshold, left: 1, right: 2 };
        let model = Model::new(ModelParts {
            task: Task::Regression,
            kind: Kind::DecisionTree,
            features: vec!["x".into()],
            precision: Precision::Double,
            trees: vec![Tree::new(vec![split, Node::leaf(0, 1.0), Node::leaf(0, 2.0)])],
            aggregate: Aggregate::Sum,
            base: vec![0.0],
            post_transform: PostTransform::None,
            decision_threshold: 0.0,
            missing: None,
        });
        let quantized = QuantizedModel::new(&model.unwrap(), &schema).unwrap();
        (quantized.splits(), quantized.predict(&[8.0]).unwrap().values()[0])
    };
    assert_eq!(splits(-3.0), (0, 2.0));
    assert_eq!(splits(0.4), (0, 2.0));
    assert_eq!(splits(0.6), (1, 2.0));
    assert_eq!(splits(15.4), (1, 1.0));
    assert_eq!(splits(15.6), (0, 1.0));
    assert_eq!(splits(1e300), (0, 1.0));
}

/// Half-way between two edges `x < t` moves to the one below and `x ≤ t` to the one above.
#[test]
fn strict_rules_move_to_the_edge_below() {
    let grid = Grid::Uniform { low: 0.0, high: 8.0, bits: 3 };
    for (precision, rule, expected) in [
        (Precision::Double, Rule::Less, 2.0),
        (Precision::Single, Rule::Less, 2.0),
        (Precision::Double, Rule::LessOrEqual, 1.0),
    ] {
        let schema = Schema::new(vec![Feature::numeric("x", grid.clone())], vec![], precision).unwrap();
        let split = Node::Split { feature: 0, rule, threshold: 1.5, left: 1, right: 2 };
        let model = Model::new(ModelParts {
            task: Task::Regression,
            kind: Kind::DecisionTree,
            features: vec!["x".into()],
            precision,
            trees: vec![Tree::new(vec![split, Node::leaf(0, 1.0), Node::leaf(0, 2.0)])],
            aggregate: Aggregate::Sum,
            base: vec![0.0],
            post_transform: PostTransform::None,
            decision_threshold: 0.0,
            missing: None,
        });
        let quantized = QuantizedModel::new(&model.unwrap(), &schema).unwrap();
        assert_eq!([0.9, 1.7].map(|x| quantized.predict(&[x]).unwrap().values()[0]), [1.0, expected]);
    }
}

/// A split that repeats an ancestor's on the grid is decided already, on either side.
#[test]
fn splits_that_an_ancestor_has_decided_disappear() {
    let schema = numeric(Grid::Uniform { low: 0.0, high: 16.0, bits: 4 }).unwrap();
    let split =
        |threshold, left, right| Node::Split { feature: 0, rule: Rule::LessOrEqual, threshold, left, right };
    // x ≤ 8 ? (x ≤ inner ? 1 : 2) : (x ≤ inner ? 3 : 4)
    let quantized = |inner: f64| {
        let mut nodes = vec![split(8.0, 1, 2), split(inner, 3, 4), split(inner, 5, 6)];
        nodes.extend([1.0, 2.0, 3.0, 4.0].map(|value| Node::leaf(0, value)));
        let model = Model::new(ModelParts {
            task: Task::Regression,
            kind: Kind::DecisionTree,
            features: vec!["x".into()],
            precision: Precision::Double,
            trees: vec![Tree::new(nodes)],
            aggregate: Aggregate::Sum,
            base: vec![0.0],
            post_transform: PostTransform::None,
            decision_threshold: 0.0,
            missing: None,
        });
        let quantized = QuantizedModel::new(&model.unwrap(), &schema).unwrap();
        let value = |x: f64| quantized.predict(&[x]).unwrap().values()[0];
        (quantized.splits(), [2.0, 7.5, 8.5, 14.0].map(value))
    };
    assert_eq!(quantized(8.0), (1, [1.0, 1.0, 4.0, 4.0]));
    assert_eq!(quantized(8.3), (1, [1.0, 1.0, 4.0, 4.0]));
    assert_eq!(quantized(9.0), (2, [1.0, 1.0, 3.0, 4.0]));
    assert_eq!(quantized(7.0), (2, [1.0, 2.0, 4.0, 4.0]));
}

#[test]
fn models_of_other_features_classes_or_precision_are_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let model = model(&mut rng, &schema(&[8, 8], 2), single_tree(2, 3));
    let refused = |schema: &Schema| matches!(QuantizedModel::new(&model, schema), Err(Error::Quantize(_)));
    assert!(refused(&schema(&[8], 2)));
    assert!(refused(&schema(&[8, 8, 8], 2)));
    assert!(refused(&schema(&[8, 8], 3)));
    let features = schema(&[8, 8], 2).features().to_vec();
    assert!(refused(&Schema::new(features, labels(2), Precision::Single).unwrap()));
    assert!(QuantizedModel::with_leaf_bits(&model, &schema(&[8, 8], 2), 25).is_err());
}

#[test]
fn the_report_counts() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let fine = schema(&[8, 8, 1], 2);
    let model = model(&mut rng, &fine, single_tree(2, 12));
    let rows: Vec<Vec<f64>> = (0..300).map(|_| row(&mut rng, &fine)).collect();
    let labels: Vec<usize> = rows.iter().map(|row| model.predict(row).unwrap().class().unwrap()).collect();
    let exact = QuantizedModel::new(&model, &fine).unwrap().agreement(&model, &rows, Some(&labels)).unwrap();
    assert_eq!((exact.rows, exact.agreeing, exact.original_correct), (300, 300, Some(300)));
    assert_eq!(exact.quantized_correct, Some(300));
    let coarse = schema(&[2, 2, 1], 2);
    let coarse =
        QuantizedModel::new(&model, &coarse).unwrap().agreement(&model, &rows, Some(&labels)).unwrap();
    assert!(coarse.agreeing < 300 && coarse.quantized_correct == Some(coarse.agreeing));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn quantising_is_monotone(bits in 2u32..=11, mut values in proptest::collection::vec(any::<f64>(), 2..50)) {
        values.retain(|value| !value.is_nan());
        values.sort_by(f64::total_cmp);
        let schema = schema(&[bits, bits, bits, 1], 2);
        let rows: Vec<_> = values.iter().map(|v| schema.quantize(&[*v; 4]).unwrap().cells().to_vec()).collect();
        for pair in rows.windows(2) {
            prop_assert!(pair[0].iter().zip(&pair[1]).all(|(low, high)| low <= high));
        }
    }

    #[test]
    fn thresholds_on_edges_lose_nothing(seed in any::<u64>(), bits in 2u32..=9, splits in 0usize..30) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for (classes, shape) in [
            (2, single_tree(2, splits)),
            (5, single_tree(5, splits)),
            (2, forest(2, 7, splits, Aggregate::Votes)),
            (4, forest(4, 5, splits, Aggregate::Votes)),
        ] {
            let schema = schema(&[bits, bits, bits, 1], classes);
            let model = model(&mut rng, &schema, shape);
            let quantized = QuantizedModel::new(&model, &schema).unwrap();
            for _ in 0..20 {
                let row = row(&mut rng, &schema);
                prop_assert_eq!(quantized.predict(&row).unwrap().class(), model.predict(&row).unwrap().class());
            }
        }
    }

    #[test]
    fn scores_are_off_by_half_a_step_per_tree_at_most(seed in any::<u64>(), splits in 0usize..30) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let schema = schema(&[6, 6, 6, 1], 0);
        let model = model(&mut rng, &schema, boosted(0, 2, 8, splits));
        let quantized = QuantizedModel::with_leaf_bits(&model, &schema, 10).unwrap();
        for _ in 0..20 {
            let row = row(&mut rng, &schema);
            let (exact, close) = (model.evaluate(&row).unwrap(), quantized.predict(&row).unwrap());
            for (exact, close) in exact.raw().iter().zip(close.values()) {
                // Leaf weights lie within (−2, 2): a step is less than 4/1023.
                prop_assert!((exact - close).abs() <= 8.0 * 2.0 / 1023.0 + 1e-9);
            }
        }
    }

    #[test]
    fn relaxed_thresholds_keep_the_verdicts_on_the_rows_given(seed in any::<u64>(), splits in 1usize..40) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let schema = schema(&[8, 8, 8, 1], 3);
        let model = model(&mut rng, &schema, single_tree(3, splits));
        let rows: Vec<Vec<f64>> = (0..rng.random_range(0..60)).map(|_| row(&mut rng, &schema)).collect();
        let before = QuantizedModel::new(&model, &schema).unwrap();
        let mut after = before.clone();
        after.relax_thresholds(&rows).unwrap();
        for row in &rows {
            prop_assert_eq!(before.predict(row).unwrap().class(), after.predict(row).unwrap().class());
        }
    }
}
