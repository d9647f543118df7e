//! Schemas fitted to models and rows: what they lose, and what the report says about it.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs)] // test code

mod common;

use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use common::*;
use subrosa_decision_tree::model::*;
use subrosa_decision_tree::quantized::{AgreementWarning, QuantizeError};
use subrosa_decision_tree::schema::{DEFAULT_BITS, Feature, Grid, SchemaError};
use subrosa_decision_tree::{ClientKey, Error, Evaluator, ParameterSet, QuantizedModel, Query, Schema};

/// x₀ ≤ threshold ? a : b.
fn stump(rule: Rule, threshold: f64, precision: Precision) -> Model {
    let split = Node::Split { feature: 0, rule, threshold, left: 1, right: 2 };
    let nodes = vec![split, Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
    let mut parts = Model::classifier(["x"], ["a", "b"], nodes).unwrap().into_parts();
    parts.precision = precision;
    Model::new(parts).unwrap()
}

fn class(model: &QuantizedModel, x: f64) -> usize {
    model.predict(&[x]).unwrap().class().unwrap()
}

/// The integers 1 to 4 and a threshold between two of them: the model of a data scientist that whole numbers broke.
#[test]
fn quantile_edges_lie_midway_between_values() {
    let values: Vec<f64> = (0..1_000).map(|i| f64::from(1 + i % 4)).collect();
    let Grid::Edges(edges) = Grid::quantiles(&values, 8).unwrap() else { panic!("other edges") };
    assert_eq!(edges, [1.5, 2.5, 3.5]);
    let model = stump(Rule::LessOrEqual, 1.5, Precision::Double);
    let grid = Grid::quantiles(&values, 8).unwrap();
    let schema = Schema::for_model(&model, vec![Feature::numeric("x", grid)]).unwrap();
    let quantized = QuantizedModel::new(&model, &schema).unwrap();
    assert_eq!([1.0, 2.0, 3.0, 4.0].map(|x| class(&quantized, x)), [0, 1, 1, 1]);
    // No number lies between neighbouring floats: the edge is the lower one.
    let close = [1.0, 1.0f64.next_up()];
    let Grid::Edges(edges) = Grid::quantiles(&close, 1).unwrap() else { panic!("other edges") };
    assert_eq!(edges, [1.0]);
}

#[test]
fn whole_numbers_have_an_exact_grid() {
    for rule in [Rule::LessOrEqual, Rule::Less] {
        for step in -70..70 {
            let threshold = f64::from(step) / 10.0;
            let model = stump(rule, threshold, Precision::Single);
            let schema = Schema::for_model(&model, vec![Feature::integer("x", -5..=5)]).unwrap();
            assert_eq!(schema.bits().collect::<Vec<_>>(), [4]);
            for quantized in [
                QuantizedModel::new(&model, &schema).unwrap(),
                QuantizedModel::fitted(&model, &schema, &[[0.0], [1.0]]).unwrap(),
            ] {
                for x in (-5..=5).map(f64::from) {
                    let original = model.predict(&[x]).unwrap().class().unwrap();
                    assert_eq!(class(&quantized, x), original, "{x} {rule:?} {threshold}");
                }
            }
        }
    }
    let schema = |range| Schema::new(vec![Feature::integer("x", range)], vec![], Precision::Double);
    let cells = |value| schema(-5..=5).unwrap().quantize(&[value]).map(|row| row.cells().to_vec());
    assert_eq!(cells(-900.0).unwrap(), [0]);
    assert_eq!(cells(900.0).unwrap(), [10]);
    for value in [0.5, f64::INFINITY, -2.25] {
        assert!(matches!(cells(value), Err(Error::Schema(SchemaError::NotWhole { feature: 0 }))));
    }
    assert_eq!(schema(0..=2_047).unwrap().bits().collect::<Vec<_>>(), [11]);
    #[allow(clippy::reversed_empty_ranges)] // what a caller may get wrong
    let wrong = [0..=2_048, 3..=3, 3..=2, i64::MIN..=i64::MAX, i64::MAX - 3..=i64::MAX];
    for range in wrong {
        assert!(matches!(schema(range), Err(Error::Schema(SchemaError::Grid { .. }))));
    }
    let text = schema(-5..=5).unwrap().to_json().unwrap();
    assert_eq!(Schema::from_json(text.as_bytes()).unwrap().id(), schema(-5..=5).unwrap().id());
}

/// LightGBM's threshold "above zero" between 0 and 1: the middle of the gap is nearer to the next edge.
#[test]
fn rows_place_a_threshold_that_the_nearest_edge_would_misplace() {
    let model = stump(Rule::LessOrEqual, 1e-35, Precision::Double);
    let grid = Grid::Edges(vec![-0.25, 0.5, 1.5]);
    let schema = Schema::for_model(&model, vec![Feature::numeric("x", grid)]).unwrap();
    let rows = [[-1.0], [0.0], [1.0], [2.0]];
    let nearest = QuantizedModel::new(&model, &schema).unwrap();
    let fitted = QuantizedModel::fitted(&model, &schema, &rows).unwrap();
    assert_eq!(rows.map(|row| class(&nearest, row[0])), [0, 1, 1, 1]);
    assert_eq!(rows.map(|row| class(&fitted, row[0])), [0, 0, 1, 1]);
    let losses = schema.losses(&model, &rows).unwrap();
    assert_eq!((losses[0].thresholds, losses[0].exact, losses[0].moved, losses[0].lossy), (1, 0, 1, 0));
    assert!(losses[0].is_lossless());
}

#[test]
fn a_threshold_without_an_edge_loses_the_fewest_rows_and_is_reported() {
    let model = stump(Rule::LessOrEqual, 5.0, Precision::Double);
    let schema = Schema::for_model(&model, vec![Feature::numeric("x", Grid::Edges(vec![4.9, 9.0]))]).unwrap();
    // Nearest is 4.9, which three rows lie above; one row lies below 9.
    let rows = [[1.0], [4.95], [4.96], [4.97], [8.0], [10.0]];
    let fitted = QuantizedModel::fitted(&model, &schema, &rows).unwrap();
    assert_eq!(rows.map(|row| class(&fitted, row[0])), [0, 0, 0, 0, 0, 1]);
    let losses = schema.losses(&model, &rows).unwrap();
    assert_eq!((losses[0].lossy, losses[0].rows), (1, 1));
    assert!(losses[0].to_string().contains("1 moved across 1 sample rows"), "{}", losses[0]);
}

#[test]
fn a_fitted_schema_holds_the_thresholds_among_quantiles() {
    let mut nodes = vec![Node::split(1, 30.0, 1, 2), Node::split(0, 0.5, 3, 4), Node::split(2, 7.0, 3, 4)];
    nodes.extend([Node::leaf(0, 1.0), Node::leaf(1, 1.0)]);
    let model = Model::classifier(["flag", "amount", "constant"], ["no", "yes"], nodes).unwrap();
    let rows: Vec<[f64; 3]> = (0..200).map(|i| [f64::from(i % 2), f64::from(i * i % 997), 7.0]).collect();
    let schema = Schema::fit(&model, &rows, 6).unwrap();
    assert_eq!(schema.bits().collect::<Vec<_>>(), [1, 6, 1]);
    assert!(edges(&schema, 1).contains(&30.0));
    let by_rows = Schema::fit_rows(&model, &rows, 6).unwrap();
    assert!(!edges(&by_rows, 1).contains(&30.0));
    for schema in [&schema, &by_rows] {
        let cells: Vec<u32> = rows.iter().map(|row| schema.quantize(row).unwrap().cells()[1]).collect();
        for cell in 0..64 {
            let held = cells.iter().filter(|found| **found == cell).count();
            assert!((1..=8).contains(&held), "cell {cell} holds {held} of 200 rows");
        }
        // What is above the only value seen is told from it.
        assert_eq!(schema.quantize(&[0.0, 0.0, 7.0]).unwrap().cells()[2], 0);
        assert_eq!(schema.quantize(&[0.0, 0.0, 7.1]).unwrap().cells()[2], 1);
    }
    for fit in [Schema::fit::<Vec<f64>>, Schema::fit_rows::<Vec<f64>>] {
        let refused = |rows: &[Vec<f64>], bits| fit(&model, rows, bits).is_err();
        assert!(refused(&[], 6) && refused(&[vec![0.0, 1.0]], 6) && refused(&[vec![0.0, f64::NAN, 0.0]], 6));
        assert!(refused(&[vec![0.0, 1.5, 0.0], vec![0.0, 2.5, 0.0]], 12));
    }
}

/// Hundreds of columns of which a model reads two cost what two cost.
#[test]
fn features_that_the_model_does_not_read_are_not_sent() {
    let mut nodes = vec![Node::split(400, 30.0, 1, 2), Node::leaf(0, 1.0), Node::split(7, 0.5, 3, 4)];
    nodes.extend([Node::leaf(0, 1.0), Node::leaf(1, 1.0)]);
    let names = |count: usize| (0..count).map(|index| format!("x{index}")).collect::<Vec<_>>();
    let model = Model::classifier(names(432), ["no", "yes"], nodes.clone()).unwrap();
    let rows: Vec<Vec<f64>> =
        (0..200).map(|i| (0..432).map(|column| f64::from(i * (column + 1) % 97)).collect()).collect();
    let wide = Schema::fit(&model, &rows, 6).unwrap();
    for node in &mut nodes {
        if let Node::Split { feature, .. } = node {
            *feature = usize::from(*feature == 7);
        }
    }
    let narrow = Model::classifier(names(2), ["no", "yes"], nodes).unwrap();
    let few: Vec<[f64; 2]> = rows.iter().map(|row| [row[400], row[7]]).collect();
    let narrow = Schema::fit(&narrow, &few, 6).unwrap();
    let mut rng = rand::rng();
    for parameters in [ParameterSet::Standard, ParameterSet::SmallQuery] {
        assert_eq!(Query::size(&wide, parameters), Query::size(&narrow, parameters));
        let quantized = QuantizedModel::fitted(&model, &wide, &rows).unwrap();
        let evaluator = Evaluator::new(quantized, parameters).unwrap();
        let key = ClientKey::generate(parameters, &mut rng);
        for row in rows.iter().step_by(20) {
            let mut row = row.clone();
            let expected = model.predict(&row).unwrap().class();
            row[0] = f64::NAN;
            let query = key.encrypt(&wide, &row, &mut rng).unwrap();
            let answer = evaluate(&evaluator, &key, &query, &mut rng);
            assert_eq!(key.decrypt(&answer).unwrap().class(), expected);
        }
    }
    let mut features = wide.features().to_vec();
    features[7] = Feature::unread("x7");
    let schema = Schema::for_model(&model, features).unwrap();
    let refused = QuantizedModel::new(&model, &schema);
    assert!(matches!(refused, Err(Error::Quantize(QuantizeError::Unread { feature: 7 }))));
    let leaf = Model::classifier(["x", "y"], ["no", "yes"], vec![Node::leaf(1, 1.0)]).unwrap();
    assert_eq!(Schema::fit(&leaf, &few, 6).unwrap().bits().collect::<Vec<_>>().len(), 2);
}

/// More thresholds than edges: those that no sample lies between share one.
#[test]
fn thresholds_past_the_grid_share_edges_where_no_row_lies() {
    let mut nodes = Vec::new();
    // A chain x ≤ 0.1 ? 0 : x ≤ 0.2 ? 1 : …, thirty thresholds between few samples.
    for step in 1..=30u8 {
        let index = nodes.len();
        nodes.push(Node::split(0, f64::from(step) / 10.0, index + 1, index + 2));
        nodes.push(Node::leaf(usize::from(step % 3), 1.0));
    }
    nodes.push(Node::leaf(0, 1.0));
    let model = Model::classifier(["x"], ["a", "b", "c"], nodes).unwrap();
    let rows: Vec<[f64; 1]> = [0.05, 0.95, 1.45, 2.25, 2.65, 9.0].map(|x| [x]).to_vec();
    let schema = Schema::fit(&model, &rows, 3).unwrap();
    let losses = &schema.losses(&model, &rows).unwrap()[0];
    assert_eq!((losses.thresholds, losses.lossy), (30, 0));
    assert!(losses.exact <= 7 && losses.exact + losses.moved == 30, "{losses:?}");
    let quantized = QuantizedModel::fitted(&model, &schema, &rows).unwrap();
    let report = quantized.agreement(&model, &rows, None).unwrap();
    assert_eq!(report.agreeing, rows.len());
    // With one edge, rows are lost and the schema says so.
    let coarse = Schema::fit(&model, &rows, 1).unwrap();
    let losses = &coarse.losses(&model, &rows).unwrap()[0];
    assert!(losses.lossy > 0 && losses.rows > 0 && !losses.is_lossless(), "{losses:?}");
}

#[test]
fn the_report_tells_which_class_is_lost() {
    let model = stump(Rule::LessOrEqual, 9.5, Precision::Double);
    let schema =
        Schema::for_model(&model, vec![Feature::numeric("x", Grid::Edges(vec![20.0, 30.0]))]).unwrap();
    let quantized = QuantizedModel::new(&model, &schema).unwrap();
    let rows: Vec<[f64; 1]> = (1..=10).map(|x| [f64::from(x)]).collect();
    let labels: Vec<usize> = (1..=10).map(|x| usize::from(x > 8)).collect();
    let report = quantized.agreement(&model, &rows, Some(&labels)).unwrap();
    assert_eq!(report.confusion.counts(), [[9, 0], [1, 0]]);
    assert_eq!((report.confusion.recall(1), report.confusion.precision(1)), (Some(0.0), None));
    let (original, after) = (report.original.as_ref().unwrap(), report.quantized.as_ref().unwrap());
    assert_eq!((original.recall(1), original.precision(1)), (Some(0.5), Some(1.0)));
    assert_eq!((after.recall(1), after.recall(0), after.precision(0)), (Some(0.0), Some(1.0), Some(0.8)));
    assert_eq!((report.original_correct, report.quantized_correct), (Some(9), Some(8)));
    let warnings = report.warnings();
    assert!(warnings.contains(&AgreementWarning::ClassDisappears { class: "b".into(), rows: 1 }));
    assert!(warnings.contains(&AgreementWarning::RecallFalls {
        class: "b".into(),
        original: 0.5,
        quantized: 0.0
    }));
    assert!(report.to_string().contains("class \"b\" disappears"), "{report}");
    let refused = |labels: &[usize]| quantized.agreement(&model, &rows, Some(labels));
    assert!(matches!(refused(&[0; 9]), Err(Error::Quantize(QuantizeError::LabelCount { .. }))));
    assert!(matches!(refused(&[2; 10]), Err(Error::Quantize(QuantizeError::NoSuchLabel { row: 0, .. }))));
}

/// The kinds of columns that people have.
fn sample(rng: &mut impl Rng, column: usize) -> f64 {
    match column {
        0 => f64::from(rng.random_range(-3i32..9)),
        1 => f64::from(rng.random_range(0u8..2)),
        2 => f64::from(rng.random_range(-1.0f32..1.0)),
        _ => f64::from(rng.random_range(-4.0f32..9.0).exp()),
    }
}

/// A random tree over four columns with both comparisons and thresholds on and between values.
fn random_tree(rng: &mut impl Rng, splits: usize, classes: usize, nodes: &mut Vec<Node>) -> usize {
    let index = nodes.len();
    nodes.push(Node::leaf(rng.random_range(0..classes), 1.0));
    if splits > 0 {
        let left_splits = rng.random_range(0..splits);
        let left = random_tree(rng, left_splits, classes, nodes);
        let right = random_tree(rng, splits - 1 - left_splits, classes, nodes);
        let feature = rng.random_range(0..4);
        let value = sample(rng, feature);
        let threshold = match rng.random_range(0..4) {
            0 => value,
            1 => value + 0.5,
            2 => 1e-35,
            _ => (value + sample(rng, feature)) / 2.0,
        };
        let rule = if rng.random() { Rule::Less } else { Rule::LessOrEqual };
        nodes[index] = Node::Split { feature, rule, threshold, left, right };
    }
    index
}

/// A row with values on, just below and just above thresholds, in the model's precision.
fn row_at(rng: &mut impl Rng, model: &Model) -> Vec<f64> {
    let mut row: Vec<f64> = (0..4).map(|column| sample(rng, column)).collect();
    let nodes: Vec<&Node> = model.trees().iter().flat_map(|tree| tree.nodes()).collect();
    for _ in 0..3 {
        if let Node::Split { feature, threshold, .. } = nodes[rng.random_range(0..nodes.len())] {
            #[allow(clippy::cast_possible_truncation)] // the neighbouring f32 is wanted
            let single = *threshold as f32;
            row[*feature] = match rng.random_range(0..6) {
                0 => threshold.next_down(),
                1 => threshold.next_up(),
                2 => f64::from(single.next_down()),
                3 => f64::from(single.next_up()),
                4 => threshold.round(),
                _ => *threshold,
            };
        }
    }
    row
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// With enough bits a fitted schema loses no row, whether it was in the sample or not.
    #[test]
    fn a_fitted_schema_with_enough_bits_is_exact(seed in any::<u64>(), splits in 1usize..60, trees in 1usize..4) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let trees: Vec<Tree> = (0..trees)
            .map(|_| {
                let mut nodes = vec![];
                random_tree(&mut rng, splits, 3, &mut nodes);
                Tree::new(nodes)
            })
            .collect();
        let mut parts = Model::classifier(["n", "flag", "u", "amount"], ["a", "b", "c"], trees[0].nodes().to_vec())
            .unwrap()
            .into_parts();
        parts.trees = trees;
        parts.aggregate = Aggregate::Votes;
        for precision in [Precision::Single, Precision::Double] {
            parts.precision = precision;
            let model = Model::new(parts.clone()).unwrap();
            let rows: Vec<Vec<f64>> =
                (0..rng.random_range(1..80)).map(|_| (0..4).map(|column| sample(&mut rng, column)).collect()).collect();
            let schema = Schema::fit(&model, &rows, DEFAULT_BITS).unwrap();
            prop_assert!(schema.bits().all(|bits| bits <= DEFAULT_BITS));
            for loss in schema.losses(&model, &rows).unwrap() {
                prop_assert_eq!(loss.exact, loss.thresholds, "{}", loss);
            }
            for quantized in [
                QuantizedModel::new(&model, &schema).unwrap(),
                QuantizedModel::fitted(&model, &schema, &rows).unwrap(),
            ] {
                for row in (0..40).map(|_| row_at(&mut rng, &model)) {
                    let expected = model.predict(&row).unwrap().class();
                    prop_assert_eq!(quantized.predict(&row).unwrap().class(), expected, "{:?}", row);
                }
            }
        }
    }

    /// Where no threshold moves across a sample row, every sample row keeps its class.
    #[test]
    fn sample_rows_keep_their_class_unless_the_schema_says_otherwise(
        seed in any::<u64>(), splits in 1usize..60, bits in 1u32..5, by_rows in any::<bool>(),
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut nodes = vec![];
        random_tree(&mut rng, splits, 3, &mut nodes);
        let model = Model::classifier(["n", "flag", "u", "amount"], ["a", "b", "c"], nodes).unwrap();
        let rows: Vec<Vec<f64>> =
            (0..30).map(|_| (0..4).map(|column| sample(&mut rng, column)).collect()).collect();
        let fit = if by_rows { Schema::fit_rows } else { Schema::fit };
        let schema = fit(&model, &rows, bits).unwrap();
        let losses = schema.losses(&model, &rows).unwrap();
        let quantized = QuantizedModel::fitted(&model, &schema, &rows).unwrap();
        let report = quantized.agreement(&model, &rows, None).unwrap();
        let most: usize = losses.iter().map(|loss| loss.rows).sum();
        prop_assert!(report.rows - report.agreeing <= most, "{:?} {:?}", report, losses);
    }
}
