//! Truncated, mutated and random files give a model or a typed error, never a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

mod imported;

use std::sync::LazyLock;

use proptest::prelude::*;

use imported::data;
use subrosa_decision_tree::import::ImportOptions;
use subrosa_decision_tree::{Error, Model};

const FILES: [&str; 16] = [
    "sk_tree_4.onnx",
    "sk_boost_2.onnx",
    "sk_tree_values.onnx",
    "double_value.onnx",
    "lgb_3.onnx",
    "modes_values.onnx",
    "xgb_2.json",
    "xgb_3.json",
    "kinds/xgb_vector.json",
    "kinds/xgb_categories.json",
    "kinds/xgb_dart.ubj",
    "kinds/xgb_categories.ubj",
    "kinds/sk_columns.onnx",
    "kinds/lgb_categories.onnx",
    "kinds/lgb_text_categories.txt",
    "kinds/lgb_text_zero.txt",
];

static CONTENTS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| FILES.iter().map(|name| std::fs::read(data(name)).unwrap()).collect());

fn read(file: usize, bytes: &[u8]) -> Result<Model, Error> {
    let options = ImportOptions::default().with_missing(f64::NAN);
    if FILES[file].ends_with(".ubj") {
        Model::from_xgboost_ubj(bytes, &options)
    } else if FILES[file].ends_with(".txt") {
        Model::from_lightgbm(bytes, &options)
    } else if FILES[file].ends_with(".json") {
        Model::from_xgboost_json(bytes, &options)
    } else {
        Model::from_onnx(bytes, &options)
    }
}

/// A model that came through is whole: it evaluates.
fn check(result: Result<Model, Error>) -> Result<(), TestCaseError> {
    match result {
        Ok(model) => {
            let scores = model.evaluate(&vec![1.0; model.features().len()]);
            prop_assert!(scores.is_ok());
        }
        Err(Error::Import(_) | Error::Model(_)) => {}
        Err(other) => prop_assert!(false, "{other:?}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn truncated_files_are_errors(file in 0..FILES.len(), cut in any::<prop::sample::Index>()) {
        let content = &CONTENTS[file];
        let result = read(file, &content[..cut.index(content.len())]);
        check(result)?;
    }

    #[test]
    fn mutated_files_never_panic(
        file in 0..FILES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut content = CONTENTS[file].clone();
        for (place, byte) in changes {
            let place = place.index(content.len());
            content[place] = byte;
        }
        check(read(file, &content))?;
    }

    #[test]
    fn spliced_files_never_panic(
        file in 0..FILES.len(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        length in 1usize..400,
    ) {
        let mut content = CONTENTS[file].clone();
        let start = from.index(content.len());
        let piece = content[start..(start + length).min(content.len())].to_vec();
        let at = to.index(content.len());
        content.splice(at..at, piece);
        check(read(file, &content))?;
    }

    #[test]
    fn random_bytes_never_panic(file in 0..FILES.len(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(read(file, &bytes))?;
    }
}
