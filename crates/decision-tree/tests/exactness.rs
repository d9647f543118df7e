//! Decrypted verdicts equal the clear quantised model's, on every row tried: 10,000 evaluations and more.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)] // test code

mod common;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use common::*;
use subrosa_decision_tree::model::Aggregate;
use subrosa_decision_tree::{ClientKey, Evaluator, ParameterSet, QuantizedModel, Schema};

/// Evaluates `rows` random rows under encryption for each of `models` random models and compares. Returns how many
/// evaluations there were.
fn check(parameters: ParameterSet, schema: &Schema, shape: Shape, models: u64, rows: usize) -> usize {
    (0..models)
        .into_par_iter()
        .map(|index| {
            let mut rng = ChaCha20Rng::seed_from_u64(index);
            let quantized = QuantizedModel::new(&model(&mut rng, schema, shape), schema).unwrap();
            let key = ClientKey::generate(parameters, &mut rng);
            let evaluator = Evaluator::new(quantized, parameters).unwrap();
            let prepared = key.conversion_key(&mut rng).map(|key| key.prepare());
            for _ in 0..rows {
                let row = row(&mut rng, schema);
                let query = key.encrypt(schema, &row, &mut rng).unwrap();
                let answer = match &prepared {
                    Some(prepared) => evaluator.evaluate_with(prepared, &query, &mut rng).unwrap(),
                    None => evaluator.evaluate(&query, &mut rng).unwrap(),
                };
                let (got, expected) =
                    (key.decrypt(&answer).unwrap(), evaluator.model().predict(&row).unwrap());
                assert!(got == expected, "{row:?}: {:?} instead of {:?}", got.sums(), expected.sums());
            }
            rows
        })
        .sum()
}

#[test]
fn small_classification_trees() {
    let total: usize = [(&[2, 1][..], 2, 3), (&[3, 2, 1], 3, 6), (&[2, 2, 1, 1], 5, 10), (&[4], 4, 8)]
        .into_iter()
        .map(|(bits, classes, splits)| {
            let schema = schema(bits, classes);
            check(ParameterSet::Standard, &schema, single_tree(classes, splits), 40, 50)
        })
        .sum();
    assert_eq!(total, 8_000);
}

#[test]
fn large_classification_trees() {
    for (bits, classes, splits) in
        [(&[8, 1, 1][..], 3, 12), (&[10, 10, 1], 2, 40), (&[11], 2, 5), (&[5, 6, 7, 8], 60, 150)]
    {
        let schema = schema(bits, classes);
        check(ParameterSet::Standard, &schema, single_tree(classes, splits), 6, 20);
    }
}

#[test]
fn small_queries() {
    for (bits, classes, splits) in
        [(&[2, 1][..], 2, 3), (&[10, 10, 10, 1], 2, 20), (&[11, 11], 2, 12), (&[6], 3, 6)]
    {
        let schema = schema(bits, classes);
        check(ParameterSet::SmallQuery, &schema, single_tree(classes, splits), 8, 25);
    }
}

#[test]
fn every_span_gives_the_same_verdicts() {
    for span in [0, 16, 64, 512, 2_048] {
        let schema = schema(&[6, 9, 1], 3).with_span(span).unwrap();
        check(ParameterSet::Standard, &schema, single_tree(3, 15), 6, 15);
        check(ParameterSet::LowNoise, &schema, forest(3, 3, 6, Aggregate::Average), 4, 10);
    }
}

#[test]
fn forests() {
    for aggregate in [Aggregate::Votes, Aggregate::Average, Aggregate::Sum] {
        let two = schema(&[4, 3, 1], 2);
        check(ParameterSet::Standard, &two, forest(2, 9, 7, aggregate), 10, 25);
        check(ParameterSet::LowNoise, &two, forest(2, 9, 7, aggregate), 10, 10);
        let many = schema(&[4, 3, 1], 4);
        check(ParameterSet::Standard, &many, forest(4, 5, 7, aggregate), 10, 25);
        check(ParameterSet::LowNoise, &many, forest(4, 5, 7, aggregate), 10, 10);
    }
}

#[test]
fn boosted_ensembles_and_regressions() {
    for parameters in [ParameterSet::Standard, ParameterSet::LowNoise] {
        let single = schema(&[4, 3, 1], 2);
        check(parameters, &single, boosted(2, 1, 12, 5), 10, 20);
        let classes = schema(&[4, 3, 1], 3);
        check(parameters, &classes, boosted(3, 3, 9, 5), 10, 20);
        let regression = schema(&[4, 3, 1], 0);
        check(parameters, &regression, boosted(0, 1, 10, 5), 10, 20);
        check(parameters, &regression, boosted(0, 3, 6, 5), 10, 20);
        check(parameters, &regression, Shape { trees: 1, ..boosted(0, 2, 1, 12) }, 10, 20);
    }
}

#[test]
fn a_forest_of_fifty_trees() {
    let schema = schema(&[8, 8, 8, 8, 1, 1], 2);
    check(ParameterSet::Standard, &schema, forest(2, 50, 31, Aggregate::Votes), 2, 10);
}

#[test]
fn batches_are_the_same_as_rows() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let schema = schema(&[4, 3, 1], 3);
    let quantized =
        QuantizedModel::new(&model(&mut rng, &schema, forest(3, 4, 6, Aggregate::Average)), &schema).unwrap();
    let evaluator = Evaluator::new(quantized, ParameterSet::Standard).unwrap();
    let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
    let rows: Vec<Vec<f64>> = (0..100).map(|_| row(&mut rng, &schema)).collect();
    let queries = key.encrypt_batch(&schema, &rows, &mut rng).unwrap();
    let answers = evaluator.evaluate_batch(None, &queries, &mut rng).unwrap();
    for (row, answer) in rows.iter().zip(&answers) {
        assert!(key.decrypt(answer).unwrap() == evaluator.model().predict(row).unwrap());
    }
    assert!(key.encrypt_batch(&schema, &[vec![0.0; 3], vec![f64::NAN; 3]], &mut rng).is_err());
    assert_eq!(answers.len(), 100);
}

#[test]
fn answers_to_one_query_differ() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let schema = schema(&[4, 3, 1], 2);
    let quantized = QuantizedModel::new(&model(&mut rng, &schema, single_tree(2, 6)), &schema).unwrap();
    let evaluator = Evaluator::new(quantized, ParameterSet::Standard).unwrap();
    let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
    let row = row(&mut rng, &schema);
    let query = key.encrypt(&schema, &row, &mut rng).unwrap();
    assert!(query != key.encrypt(&schema, &row, &mut rng).unwrap());
    let answers: Vec<Vec<u8>> =
        (0..2).map(|_| evaluator.evaluate(&query, &mut rng).unwrap().to_bytes()).collect();
    // Re-randomised masks agree in one byte in 256 or so.
    let equal = answers[0].iter().zip(&answers[1]).filter(|(left, right)| left == right).count();
    assert!(equal < answers[0].len() / 10, "{equal} of {} bytes are equal", answers[0].len());
}
