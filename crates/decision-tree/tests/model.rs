//! The clear model: what it accepts, what it says, and that a file changes nothing.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // test code

use proptest::prelude::*;

use subrosa_decision_tree::Error;
use subrosa_decision_tree::model::*;
use subrosa_transport::with_causes;

/// x₀ ≤ 1 ? 0 : (x₁ < 2 ? 1 : 0), as class weights.
fn parts() -> ModelParts {
    ModelParts {
        task: Task::Classification { labels: vec!["a".into(), "b".into()] },
        kind: Kind::DecisionTree,
        features: vec!["x0".into(), "x1".into()],
        precision: Precision::Double,
        trees: vec![Tree::new(vec![
            Node::Split { feature: 0, rule: Rule::LessOrEqual, threshold: 1.0, left: 1, right: 2 },
            Node::leaf(0, 1.0),
            Node::Split { feature: 1, rule: Rule::Less, threshold: 2.0, left: 3, right: 4 },
            Node::leaf(1, 1.0),
            Node::leaf(0, 1.0),
        ])],
        aggregate: Aggregate::Sum,
        base: vec![0.0, 0.0],
        post_transform: PostTransform::None,
        decision_threshold: 0.0,
        missing: None,
    }
}

fn refusal(change: impl FnOnce(&mut ModelParts)) -> ModelError {
    let mut parts = parts();
    change(&mut parts);
    match Model::new(parts) {
        Err(Error::Model(error)) => error,
        other => panic!("accepted or refused otherwise: {other:?}"),
    }
}

#[test]
fn rules_decide_on_the_threshold_itself() {
    let model = Model::new(parts()).unwrap();
    let class = |row: [f64; 2]| model.predict(&row).unwrap().class().unwrap();
    assert_eq!(class([1.0, 0.0]), 0);
    assert_eq!(class([1.0 + f64::EPSILON, 0.0]), 1);
    assert_eq!(class([5.0, 2.0]), 0);
    assert_eq!(class([f64::INFINITY, f64::NEG_INFINITY]), 1);
    assert_eq!((model.splits(), model.depth(), model.outputs()), (2, 2, 2));
}

#[test]
fn single_precision_rounds_the_value_and_not_the_threshold() {
    let just_above = 1.0 + 1e-9;
    let mut single = parts();
    single.precision = Precision::Single;
    assert_eq!(Model::new(parts()).unwrap().predict(&[just_above, 0.0]).unwrap().class(), Some(1));
    assert_eq!(Model::new(single).unwrap().predict(&[just_above, 0.0]).unwrap().class(), Some(0));
}

#[test]
fn aggregates_and_transforms() {
    let stump = |left: &[f64], right: &[f64]| {
        Tree::new(vec![
            Node::Split { feature: 0, rule: Rule::LessOrEqual, threshold: 0.0, left: 1, right: 2 },
            Node::leaf_of(left),
            Node::leaf_of(right),
        ])
    };
    let mut forest = parts();
    forest.base = vec![0.5, 0.25];
    forest.trees = vec![stump(&[0.75, 0.25], &[0.5, 0.5]), stump(&[0.25, 0.75], &[1.0, 0.0])];
    let scores = |aggregate: Aggregate, x: f64| {
        let mut parts = forest.clone();
        parts.aggregate = aggregate;
        Model::new(parts).unwrap().evaluate(&[x, 0.0]).unwrap().raw().to_vec()
    };
    assert_eq!(scores(Aggregate::Sum, -1.0), [1.5, 1.25]);
    assert_eq!(scores(Aggregate::Average, -1.0), [1.0, 0.75]);
    assert_eq!(scores(Aggregate::Votes, -1.0), [1.5, 1.25]);
    // The first tree's tie goes to the lower class.
    assert_eq!(scores(Aggregate::Votes, 1.0), [2.5, 0.25]);

    let scores = Model::new(forest).unwrap().evaluate(&[-1.0, 0.0]).unwrap();
    assert_eq!(scores.transformed(PostTransform::Sigmoid)[0], 1.0 / (1.0 + (-1.5f64).exp()));
    let softmax = scores.transformed(PostTransform::Softmax);
    assert!((softmax[0] - 1.0 / (1.0 + (-0.25f64).exp())).abs() < 1e-15);
}

#[test]
fn one_score_for_two_classes_is_compared_with_the_decision_threshold() {
    let mut single = parts();
    single.base = vec![0.0];
    single.decision_threshold = 0.5;
    single.trees = vec![Tree::new(vec![
        Node::Split { feature: 0, rule: Rule::LessOrEqual, threshold: 0.0, left: 1, right: 2 },
        Node::leaf(0, 0.5),
        Node::leaf(0, 0.51),
    ])];
    let model = Model::new(single).unwrap();
    assert_eq!(model.predict(&[0.0, 0.0]).unwrap().label(), Some("a"));
    assert_eq!(model.predict(&[0.1, 0.0]).unwrap().label(), Some("b"));
}

#[test]
fn malformed_models_are_refused_by_name() {
    let split = |left, right| Node::Split { feature: 0, rule: Rule::Less, threshold: 0.0, left, right };
    assert_eq!(refusal(|p| p.trees.clear()), ModelError::NoTrees);
    assert_eq!(refusal(|p| p.trees.push(Tree::new(vec![]))), ModelError::EmptyTree { tree: 1 });
    assert_eq!(
        refusal(|p| p.trees = vec![Tree::new(vec![split(0, 1), Node::leaf(0, 1.0)])]),
        ModelError::NotATree { tree: 0, node: 0 }
    );
    let ring = vec![split(1, 3), split(2, 3), split(1, 3), Node::leaf(0, 1.0)];
    assert_eq!(refusal(|p| p.trees = vec![Tree::new(ring)]), ModelError::NotATree { tree: 0, node: 1 });
    assert_eq!(
        refusal(|p| p.trees = vec![Tree::new(vec![Node::leaf(0, 1.0), Node::leaf(0, 1.0)])]),
        ModelError::Unreachable { tree: 0, node: 1 }
    );
    assert_eq!(
        refusal(|p| p.trees = vec![Tree::new(vec![split(1, 9), Node::leaf(0, 1.0)])]),
        ModelError::NoSuch { tree: 0, node: 0, what: "child", index: 9 }
    );
    assert_eq!(
        refusal(|p| p.features.truncate(1)),
        ModelError::NoSuch { tree: 0, node: 2, what: "feature", index: 1 }
    );
    assert_eq!(
        refusal(|p| p.trees = vec![Tree::new(vec![Node::leaf(2, 1.0)])]),
        ModelError::NoSuch { tree: 0, node: 0, what: "output", index: 2 }
    );
    assert!(matches!(
        refusal(|p| p.trees = vec![Tree::new(vec![Node::leaf(0, f64::NAN)])]),
        ModelError::NotFinite { .. }
    ));
    assert!(matches!(refusal(|p| p.features[1] = "x0".into()), ModelError::BadName { what: "feature", .. }));
    assert!(matches!(refusal(|p| p.base.push(0.0)), ModelError::OutputCount { outputs: 3, .. }));
    assert!(matches!(refusal(|p| p.base[0] = f64::INFINITY), ModelError::NotFinite { .. }));
    assert_eq!(
        refusal(|p| p.task = Task::Classification { labels: vec!["only".into()] }),
        ModelError::TooFewClasses
    );
    let comb = |depth: usize| {
        let nodes = (0..depth).flat_map(|i| [split(2 * i + 1, 2 * i + 2), Node::leaf(0, 1.0)]);
        Tree::new(nodes.chain([Node::leaf(0, 1.0)]).collect())
    };
    assert!(matches!(refusal(|p| p.trees = vec![comb(MAX_DEPTH + 1)]), ModelError::TooMany { .. }));
    assert_eq!(comb(MAX_DEPTH).depth(), MAX_DEPTH);
}

#[test]
fn rows_are_checked() {
    let model = Model::new(parts()).unwrap();
    let error = |row: &[f64]| with_causes(&model.predict(row).unwrap_err());
    assert_eq!(error(&[1.0]), "the model cannot be used: a row has 1 values, the model 2 features");
    assert_eq!(
        error(&[1.0, f64::NAN]),
        "the model cannot be used: the value of feature 1 is missing, and the model does not say where missing values go"
    );
}

#[test]
fn files_of_other_formats_and_versions_are_refused() {
    let text = Model::new(parts()).unwrap().to_json().unwrap();
    let read = |text: &str| with_causes(&Model::from_json(text.as_bytes()).unwrap_err());
    assert!(read(&text.replace("subrosa-tree-model", "other")).contains("another format"));
    assert!(read(&text.replace("\"version\":1", "\"version\":2")).contains("version 2"));
    assert!(read(&text.replace("\"kind\"", "\"kin\"")).contains("not a model file"));
    for end in 0..text.len() {
        assert!(Model::from_json(&text.as_bytes()[..end]).is_err());
    }
}

proptest! {
    #[test]
    fn a_file_keeps_every_bit(threshold in any::<f64>(), weight in any::<f64>()) {
        prop_assume!(threshold.is_finite() && weight.is_finite());
        let mut parts = parts();
        parts.trees.push(Tree::new(vec![
            Node::Split { feature: 1, rule: Rule::Less, threshold, left: 2, right: 1 },
            Node::leaf(1, weight),
            Node::Leaf { weights: vec![] },
        ]));
        let model = Model::new(parts).unwrap();
        prop_assert_eq!(&Model::from_json(model.to_json().unwrap().as_bytes()).unwrap(), &model);
    }

    #[test]
    fn random_bytes_are_no_model(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Model::from_json(&bytes).is_err());
    }
}
