//! XGBoost's JSON: other versions' forms are read alike, what cannot be carried over is refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

mod imported;

use serde_json::{Value, json};

use imported::{data, rows};
use subrosa_decision_tree::import::{ImportError, ImportOptions};
use subrosa_decision_tree::{Error, Model};
use subrosa_transport::with_causes;

fn committed(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(data(name)).unwrap()).unwrap()
}

fn read(value: &Value) -> Result<Model, Error> {
    Model::from_xgboost_json(&serde_json::to_vec(value).unwrap(), &ImportOptions::default())
}

fn changed(name: &str, pointer: &str, new: Value) -> Value {
    let mut value = committed(name);
    *value.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = new;
    value
}

#[track_caller]
fn refused(value: &Value, parts: &[&str]) {
    let message = match read(value) {
        Err(error @ Error::Import(_)) => with_causes(&error),
        other => panic!("{other:?}"),
    };
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

const BASE: &str = "/learner/learner_model_param/base_score";

/// Before version 3.1 `base_score` was one number, also for several classes.
#[test]
fn older_forms_of_the_base_score_mean_the_same() {
    for (name, list, number) in
        [("xgb_2.json", "[2.5E-1]", "2.5E-1"), ("xgb_3.json", "[5E-1,5E-1,5E-1]", "5E-1")]
    {
        let models = [list, number].map(|text| read(&changed(name, BASE, json!(text))).unwrap());
        assert_eq!(models[0], models[1]);
    }
    // A probability becomes log-odds: ln(0.25 / 0.75).
    let model = read(&changed("xgb_2.json", BASE, json!("0.25"))).unwrap();
    assert!((model.parts().base[0] + 3f64.ln()).abs() < 1e-6);
}

#[test]
fn softmax_predicts_the_classes_of_softprob() {
    let softprob = read(&committed("xgb_3.json")).unwrap();
    let softmax = read(&changed("xgb_3.json", "/learner/objective/name", json!("multi:softmax"))).unwrap();
    for row in rows("xgb_3") {
        let classes = [&softprob, &softmax].map(|model| model.predict(&row.features).unwrap().class());
        assert_eq!(classes[0], classes[1]);
    }
}

#[test]
fn boosters_objectives_and_splits_are_refused_by_name() {
    for (booster, says) in
        [("dart", "gbtree is missing"), ("gblinear", "linear model"), ("other", "\"other\"")]
    {
        let value = changed("xgb_2.json", "/learner/gradient_booster/name", json!(booster));
        refused(&value, &[says]);
    }
    for objective in ["reg:mine", "binary:mine", ""] {
        let value = changed("xgb_value.json", "/learner/objective/name", json!(objective));
        refused(&value, &["objective", objective]);
    }
    let tree = "/learner/gradient_booster/model/trees/0";
    refused(
        &changed("xgb_2.json", &format!("{tree}/split_type/0"), json!(1)),
        &["tree 0, node 0", "categories"],
    );
    refused(
        &changed("xgb_2.json", &format!("{tree}/split_type/0"), json!(2)),
        &["tree 0, node 0", "split_type"],
    );
    refused(&changed("xgb_2.json", &format!("{tree}/categories"), json!([1, 2])), &["trees[0].categories"]);
    let leaves = format!("{tree}/tree_param/size_leaf_vector");
    refused(&changed("xgb_2.json", &leaves, json!("3")), &["size_leaf_vector"]);
    let targets = changed("xgb_2.json", "/learner/objective/name", json!("binary:hinge"));
    let mut targets = targets;
    targets["learner"]["learner_model_param"]["num_target"] = json!("2");
    refused(&targets, &["objective", "binary:hinge"]);
    let cats =
        changed("xgb_2.json", "/learner/gradient_booster/model/cats", json!({"enc": [{"values": [0, 2]}]}));
    refused(&cats, &["categorical feature", "encode"]);
}

/// A file that has learned from missing values does not say what was missing.
#[test]
fn what_was_missing_in_training_must_be_said() {
    let left = "/learner/gradient_booster/model/trees/3/default_left/0";
    let value = changed("xgb_2.json", left, json!(1));
    refused(&value, &["tree 3", "ImportOptions::missing", "NaN"]);
    let bytes = serde_json::to_vec(&value).unwrap();
    let options = ImportOptions::default();
    let nan = Model::from_xgboost_json(&bytes, &options.clone().with_missing(f64::NAN)).unwrap();
    let zero = Model::from_xgboost_json(&bytes, &options.with_missing(0.0)).unwrap();
    assert_eq!((nan.parts().missing, zero.parts().missing), (None, Some(0.0)));
    for row in rows("xgb_2") {
        let mut row = row.features;
        let expected = nan.evaluate(&row).unwrap();
        if !row.contains(&0.0) {
            assert_eq!(zero.evaluate(&row).unwrap(), expected);
        }
        row[0] = f64::NAN;
        let missing = nan.evaluate(&row).unwrap();
        row[0] = 0.0;
        if row[1..].iter().all(|value| *value != 0.0) {
            assert_eq!(zero.evaluate(&row).unwrap(), missing);
        }
    }
}

/// What people have in files that are no models of these formats: each refusal says how to export.
#[test]
fn other_files_are_refused_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content, says) in [
        ("a.pkl", "", "skl2onnx"),
        ("a.joblib", "", "save_model"),
        ("a.cbm", "", "format=\"onnx\""),
        ("a.txt", "x", "not a readable LightGBM text file"),
        ("a.model", "", "save_model(\"model.json\")"),
        ("a.weights", "", "known are .onnx"),
        ("dump.json", "[ { \"nodeid\": 0, \"leaf\": 1 } ]", "save_model(\"model.json\")"),
        ("lgb.json", "{\"name\":\"tree\",\"tree_info\":[]}", "save_model(\"model.txt\")"),
        ("cat.json", "{\"features_info\":{},\"oblivious_trees\":[]}", "format=\"onnx\""),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = with_causes(&Model::from_file(&path, &ImportOptions::default()).unwrap_err());
        assert!(error.contains(name) && error.contains(says), "{error}");
    }
}

#[test]
fn trees_past_an_early_stop_are_refused() {
    let stopped = |best: &str| changed("xgb_2.json", "/learner/attributes", json!({"best_iteration": best}));
    refused(&stopped("4"), &["best_iteration", "stopped early"]);
    assert_eq!(read(&stopped("9")).unwrap(), read(&committed("xgb_2.json")).unwrap());
}

#[test]
fn malformed_fields_are_refused_by_name() {
    for text in ["", "half", "[1E-1", "[1E-1,2E-1]", "2", "0", "NaN", "[]"] {
        refused(&changed("xgb_2.json", BASE, json!(text)), &["base_score"]);
    }
    let model = "/learner/gradient_booster/model";
    let trees = format!("{model}/trees/3");
    let at = |list: &str| format!("{trees}/{list}");
    refused(&changed("xgb_2.json", &at("split_indices"), json!([0])), &["trees[3].split_indices"]);
    refused(&changed("xgb_2.json", &at("left_children/0"), json!(-1)), &["tree 3, node 0", "one child"]);
    refused(&changed("xgb_2.json", &at("left_children/1"), json!(0)), &["tree 3, node 1", "root"]);
    refused(&changed("xgb_2.json", &at("left_children/1"), json!(999)), &["tree 3, node 1", "not exist"]);
    refused(&changed("xgb_2.json", &format!("{model}/tree_info/2"), json!(1)), &["tree_info[2] = 1"]);
    refused(&changed("xgb_2.json", &format!("{model}/tree_info"), json!([0])), &["tree_info"]);
    let count = format!("{model}/gbtree_model_param/num_trees");
    refused(&changed("xgb_2.json", &count, json!("11")), &["trees has 10 entries"]);
    refused(
        &changed("xgb_2.json", "/learner/learner_model_param/num_feature", json!("-6")),
        &["num_feature"],
    );
    let feature = read(&changed("xgb_2.json", &at("split_indices/0"), json!(6)));
    assert!(matches!(feature, Err(Error::Model(_))), "{feature:?}");
}

#[test]
fn a_file_that_is_no_json_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in
        [("a.json", &b"{\"learner\": 3"[..]), ("b.json", b"\x80\x81"), ("c.ubj", b"{L"), ("d.onnx", b"PK")]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = Model::from_file(&path, &ImportOptions::default()).unwrap_err();
        assert!(matches!(&error, Error::Import(ImportError::InFile { .. })), "{error:?}");
        assert!(with_causes(&error).contains(name), "{error}");
    }
    let missing = Model::from_file(folder.path().join("none.onnx"), &ImportOptions::default()).unwrap_err();
    assert!(with_causes(&missing).contains("none.onnx"));
}
