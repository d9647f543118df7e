//! The public card-transaction data: the purchase that a published demonstration calls fraud is fraud here too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

use std::path::Path;

use card_fraud::table::Table;
use card_fraud::train::{Labelled, TrainOptions, is_fraud, train};
use subrosa_decision_tree::{ClientKey, Evaluator, ParameterSet};

/// 34 km from home, 50 km from the last purchase, three times the median price, online, nothing else.
const PURCHASE: [f64; 7] = [34.0, 50.0, 3.0, 0.0, 0.0, 0.0, 1.0];

#[test]
fn the_purchase_of_the_published_demonstration_is_fraud_under_encryption() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/card_transdata.csv");
    let (rows, labels) = Table::read_labelled(&path).unwrap();
    let trained = train(&Labelled { rows, labels }, &TrainOptions::default()).unwrap();
    assert_eq!(trained.agreeing, trained.held_out.rows.len());
    assert_eq!(trained.original_counts, trained.quantized_counts);
    assert!(trained.quantized_counts.recall() > 0.99, "{}", trained.quantized_counts);
    assert_eq!(is_fraud(trained.model.predict(&PURCHASE).unwrap().class()), Some(true));

    let mut rng = rand::rng();
    let evaluator = Evaluator::new(trained.quantized, ParameterSet::Standard).unwrap();
    let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
    let query = key.encrypt(evaluator.model().schema(), &PURCHASE, &mut rng).unwrap();
    let verdict = key.decrypt(&evaluator.evaluate(&query, &mut rng).unwrap()).unwrap();
    assert_eq!(is_fraud(verdict.class()), Some(true));
}
