//! Decrypted verdicts equal the clear quantised model's, on every row tried.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)] // test code

mod common;

use common::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use subrosa_decision_tree::{ClientKey, Evaluator, ParameterSet, QuantizedModel, Schema};

/// Evaluates `rows` random rows under encryption for each of `models` random models and compares. Returns how many
/// evaluations there were.
fn check(
    parameters: ParameterSet,
    schema: &Schema,
    shape: Shape,
    models: u64,
    rows: usize,
    seed: u64,
) -> usize {
    (0..models)
        .into_par_iter()
        .map(|index| {
            let mut rng = ChaCha20Rng::seed_from_u64(seed << 32 | index);
            let quantized = QuantizedModel::new(&model(&mut rng, schema, shape), schema).unwrap();
            let key = ClientKey::generate(parameters, &mut rng);
            let evaluator = Evaluator::new(quantized, parameters).unwrap();
            for _ in 0..rows {
                let row = row(&mut rng, schema);
                let query = key.encrypt(schema, &row, &mut rng).unwrap();
                let answer = evaluator.evaluate(&query, &mut rng).unwrap();
                let (got, expected) =
                    (key.decrypt(&answer).unwrap(), evaluator.model().predict(&row).unwrap());
                assert!(got == expected, "{:?} {:?}", got.sums(), expected.sums());
            }
            rows
        })
        .sum()
}

#[test]
fn classification_trees() {
    let mut total = 0;
    for (seed, (bits, classes, splits)) in [
        (&[4, 3, 1][..], 2, 6),
        (&[8, 1, 1], 3, 12),
        (&[2, 2, 2, 1], 10, 20),
        (&[10, 1], 2, 10),
        (&[11], 2, 5),
    ]
    .into_iter()
    .enumerate()
    {
        let schema = schema(bits, classes);
        total += check(ParameterSet::Standard, &schema, single_tree(classes, splits), 8, 25, seed as u64);
    }
    assert_eq!(total, 1_000);
}
