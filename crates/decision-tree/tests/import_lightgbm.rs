//! LightGBM's text: what is damaged or cannot be carried over is refused by tree, node and field.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

mod imported;

use imported::data;
use subrosa_decision_tree::import::ImportOptions;
use subrosa_decision_tree::{Error, Model};
use subrosa_transport::with_causes;

fn committed(name: &str) -> String {
    std::fs::read_to_string(data(&format!("kinds/{name}.txt"))).unwrap()
}

/// The file with the first line of tree `tree` that begins with `field` replaced.
fn changed(name: &str, tree: &str, field: &str, line: &str) -> String {
    let text = committed(name);
    let start = text.find(tree).unwrap();
    let at = start + text[start..].find(&format!("\n{field}=")).unwrap() + 1;
    let end = at + text[at..].find('\n').unwrap();
    format!("{}{line}{}", &text[..at], &text[end..])
}

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let message = match Model::from_lightgbm(text.as_bytes(), &ImportOptions::default()) {
        Err(error @ (Error::Import(_) | Error::Model(_))) => with_causes(&error),
        other => panic!("{other:?}"),
    };
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn damage_is_named() {
    let name = "lgb_text_missing";
    let change = |field: &str, line: &str| changed(name, "Tree=2", field, line);
    refused(&change("threshold", "threshold=1 2"), &["Tree=2: threshold has 2 entries"]);
    refused(&change("leaf_value", "leaf_value=x"), &["Tree=2: leaf_value is not a list of numbers"]);
    refused(&change("split_gain", "threshold=1"), &["Tree=2: threshold appears twice"]);
    refused(&change("num_leaves", "num_leaves=0"), &["Tree=2"]);
    refused(&change("num_leaves", "num_leaves=-3"), &["Tree=2: num_leaves is not a number"]);
    refused(&change("decision_type", "other=1"), &["Tree=2: decision_type is missing"]);
    let text = committed(name);
    refused(text.replace("Tree=2", "Tree=7").as_str(), &["behind 2 trees", "\"Tree=2\""]);
    refused(text.replace("end of trees", "").as_str(), &["behind 4 trees", "end of trees"]);
    refused(&text[..text.find("end of trees").unwrap()], &["\"end of trees\" is missing"]);
    refused(text.replacen("tree\n", "forest\n", 1).as_str(), &["the first line"]);
    refused("", &["the first line"]);
    refused(&changed(name, "tree", "max_feature_idx", "max_feature_idx=99999999"), &["features"]);
    refused(
        &changed(name, "tree", "num_tree_per_iteration", "num_tree_per_iteration=3"),
        &["the trees has 4 entries"],
    );
    refused(
        &changed("lgb_text_categories", "tree", "cat_threshold", "cat_threshold="),
        &["set of categories"],
    );
    // The place of a set is a whole number in the list, also where cutting it off would make it one.
    for set in ["0.5", "-0.5", "2", "nan", "1e300"] {
        let rest = "0.95 1.02 41.8 9.48";
        let line = format!("threshold={set} {rest}");
        refused(&changed("lgb_text_categories", "tree", "threshold", &line), &["set of categories"]);
    }
    assert!(Model::from_lightgbm(b"tree\n\xff", &ImportOptions::default()).is_err());
}

#[test]
fn nodes_that_form_no_tree_are_named() {
    let name = "lgb_text_missing";
    let text = committed(name);
    let start = text.find("Tree=1").unwrap();
    let at = start + text[start..].find("left_child=").unwrap() + "left_child=".len();
    let list = text[at..].lines().next().unwrap();
    let with_first = |child: &str| {
        let rest = list.split_once(' ').unwrap().1;
        changed(name, "Tree=1", "left_child", &format!("left_child={child} {rest}"))
    };
    refused(&with_first("0"), &["tree 1, node 0", "root"]);
    refused(&with_first("900"), &["tree 1, node 0", "does not exist"]);
    refused(&with_first("-900"), &["tree 1, node 0", "does not exist"]);
}

#[test]
fn what_cannot_be_carried_over_is_refused_with_a_way_out() {
    let name = "lgb_text_missing";
    refused(&changed(name, "Tree=0", "is_linear", "is_linear=1"), &["Tree=0", "linear_tree=false"]);
    for objective in ["regression sqrt", "cross_entropy_lambda", "custom", ""] {
        let line = format!("objective={objective}");
        refused(&changed(name, "tree", "objective", &line), &["objective", objective]);
    }
    refused(&changed(name, "tree", "objective", "objective=binary sigmoid:-1"), &["sigmoid", "positive"]);
}
