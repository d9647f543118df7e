//! What is refused, and under which name. Each test changes one thing in a committed file that is read otherwise.

use super::proto::{self, Attribute, attribute_type, data_type};
use super::*;
use crate::Error;

fn committed(name: &str) -> proto::Model {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    proto::Model::decode(&std::fs::read(path).unwrap()[..]).unwrap()
}

/// The error for a changed file, as text; panics if it is read or if the unchanged file is not.
fn refusal(name: &str, change: impl FnOnce(&mut proto::Graph)) -> String {
    let mut model = committed(name);
    assert!(read(&model.encode_to_vec(), &ImportOptions::default()).is_ok());
    change(model.graph.as_mut().unwrap());
    match read(&model.encode_to_vec(), &ImportOptions::default()) {
        Err(error @ (Error::Import(_) | Error::Model(_))) => subrosa_transport::with_causes(&error),
        other => panic!("{other:?}"),
    }
}

fn attribute<'a>(graph: &'a mut proto::Graph, name: &str) -> &'a mut Attribute {
    let node = graph.node.iter_mut().find(|node| node.op_type.starts_with("TreeEnsemble")).unwrap();
    node.attribute.iter_mut().find(|attribute| attribute.name == name).unwrap()
}

fn add(graph: &mut proto::Graph, attribute: Attribute) {
    let node = graph.node.iter_mut().find(|node| node.op_type.starts_with("TreeEnsemble")).unwrap();
    node.attribute.push(attribute);
}

fn text(name: &str, value: &str) -> Attribute {
    Attribute {
        name: name.into(),
        s: value.as_bytes().to_vec(),
        r#type: attribute_type::STRING,
        ..Attribute::default()
    }
}

fn floats(name: &str, values: &[f32]) -> Attribute {
    Attribute {
        name: name.into(),
        floats: values.to_vec(),
        r#type: attribute_type::FLOATS,
        ..Attribute::default()
    }
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn post_transforms_and_aggregates_are_refused_by_name() {
    for name in ["PROBIT", "SOFTMAX_ZERO", "ELSE"] {
        let message = refusal("sk_boost_3.onnx", |graph| attribute(graph, "post_transform").s = name.into());
        says(&message, &["post_transform", name]);
    }
    let message =
        refusal("sk_tree_value.onnx", |graph| attribute(graph, "post_transform").s = b"LOGISTIC".to_vec());
    says(&message, &["post_transform", "LOGISTIC"]);
    for name in ["MIN", "MAX"] {
        let message = refusal("sk_forest_value.onnx", |graph| add(graph, text("aggregate_function", name)));
        says(&message, &["aggregate_function", name]);
    }
}

#[test]
fn what_runtimes_disagree_about_is_refused_by_name() {
    let both = |graph: &mut proto::Graph| attribute(graph, "class_ids").ints[3] = 1;
    says(&refusal("sk_forest_2.onnx", both), &["two classes", "both have weights"]);
    let two = |graph: &mut proto::Graph| attribute(graph, "base_values").floats.push(0.5);
    says(&refusal("sk_boost_2.onnx", two), &["base_values"]);
    let softmax = |graph: &mut proto::Graph| attribute(graph, "post_transform").s = b"SOFTMAX".to_vec();
    says(&refusal("sk_boost_2.onnx", softmax), &["SOFTMAX", "share one score"]);
    let positive = |graph: &mut proto::Graph| {
        attribute(graph, "class_weights").floats.iter_mut().for_each(|weight| *weight = weight.abs());
    };
    says(&refusal("sk_boost_2.onnx", positive), &["LOGISTIC", "probability"]);
    let second = |graph: &mut proto::Graph| attribute(graph, "class_ids").ints.fill(1);
    says(&refusal("sk_boost_2.onnx", second), &["base_values"]);
    let silent = |graph: &mut proto::Graph| {
        let node = graph.node.iter_mut().find(|node| node.op_type.starts_with("TreeEnsemble")).unwrap();
        node.attribute.retain(|attribute| attribute.name != "base_values");
        attribute(graph, "class_ids").ints.iter_mut().for_each(|id| *id = (*id).min(1));
    };
    says(&refusal("lgb_3.onnx", silent), &["class id", "\"2\""]);
    let dropped = |graph: &mut proto::Graph| add(graph, floats("base_values", &[0.0, 1.0]));
    assert!(refusal_of_values(dropped).contains("target id"));
}

/// A regression of two targets of which no tree's leaves name both.
fn refusal_of_values(change: impl FnOnce(&mut proto::Graph)) -> String {
    refusal("sk_tree_values.onnx", |graph| {
        attribute(graph, "target_ids").ints.fill(0);
        // Two weights for target 0 in one leaf would be refused first.
        let kept: Vec<usize> = (0..attribute(graph, "target_ids").ints.len()).step_by(2).collect();
        for name in ["target_ids", "target_nodeids", "target_treeids"] {
            let list = &mut attribute(graph, name).ints;
            *list = kept.iter().map(|&index| list[index]).collect();
        }
        let weights = &mut attribute(graph, "target_weights").floats;
        *weights = kept.iter().map(|&index| weights[index]).collect();
        change(graph);
    })
}

#[test]
fn operators_around_the_trees_are_refused_by_name() {
    let scaler = |graph: &mut proto::Graph| {
        graph.node[0].input = vec!["scaled".into()];
        graph.node.push(operator("Normalizer", "X", "scaled"));
    };
    says(&refusal("sk_tree_4.onnx", scaler), &["operator", "Normalizer", "before"]);
    let empty = |graph: &mut proto::Graph| {
        graph.node[0].input = vec!["scaled".into()];
        graph.node.push(operator("Scaler", "X", "scaled"));
    };
    says(&refusal("sk_tree_4.onnx", empty), &["Scaler has 0 entries"]);
    let zero = |graph: &mut proto::Graph| {
        let mut scaler = operator("Scaler", "X", "scaled");
        scaler.attribute = vec![floats("offset", &[1.0]), floats("scale", &[0.0])];
        graph.node[0].input = vec!["scaled".into()];
        graph.node.push(scaler);
    };
    says(&refusal("sk_tree_4.onnx", zero), &["Scaler", "multiplies by zero"]);
    let halves = |graph: &mut proto::Graph| {
        let output = graph.node[0].output[0].clone();
        graph.node.push(operator("Div", &output, "halved"));
    };
    says(&refusal("sk_tree_value.onnx", halves), &["Div", "rf"]);
    let exponential = |graph: &mut proto::Graph| {
        let output = graph.node[0].output[0].clone();
        graph.node.push(operator("Exp", &output, "lifted"));
    };
    let message = refusal("sk_tree_4.onnx", |graph| {
        let output = graph.node[0].output[1].clone();
        graph.node.push(operator("Exp", &output, "lifted"));
    });
    says(&message, &["operator", "Exp", "after"]);
    let mut lifted = committed("sk_tree_value.onnx");
    exponential(lifted.graph.as_mut().unwrap());
    let lifted = read(&lifted.encode_to_vec(), &ImportOptions::default()).unwrap();
    assert_eq!(lifted.parts().post_transform, crate::model::PostTransform::Exp);
    let stray = |graph: &mut proto::Graph| graph.node.push(operator("Normalizer", "elsewhere", "nowhere"));
    says(&refusal("sk_tree_4.onnx", stray), &["operator", "Normalizer"]);
    let twice = |graph: &mut proto::Graph| graph.node.push(graph.node[0].clone());
    says(&refusal("sk_tree_4.onnx", twice), &["another tree ensemble"]);
    let newer = |graph: &mut proto::Graph| graph.node[0].op_type = "TreeEnsemble".into();
    says(&refusal("sk_tree_4.onnx", newer), &["TreeEnsemble", "ai.onnx.ml 5"]);
    let none = |graph: &mut proto::Graph| graph.node.clear();
    says(&refusal("sk_tree_4.onnx", none), &["TreeEnsembleClassifier", "missing"]);
    let domain = |graph: &mut proto::Graph| graph.node[0].domain = "elsewhere".into();
    says(&refusal("sk_tree_4.onnx", domain), &["domain", "elsewhere"]);
    let cycle = |graph: &mut proto::Graph| {
        graph.node[0].input = vec!["a".into()];
        graph.node.push(operator("Identity", "b", "a"));
        graph.node.push(operator("Identity", "a", "b"));
    };
    says(&refusal("sk_tree_4.onnx", cycle), &["cycle"]);
    let strings = |graph: &mut proto::Graph| {
        graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = data_type::STRING;
    };
    says(&refusal("sk_tree_4.onnx", strings), &["input element type"]);
    let renamed = |graph: &mut proto::Graph| {
        let zipmap = graph.node.iter_mut().find(|node| node.op_type == "ZipMap").unwrap();
        zipmap.attribute[0].ints[0] = 17;
    };
    says(&refusal("sk_tree_2.onnx", renamed), &["ZipMap", "labels"]);
}

fn operator(kind: &str, input: &str, output: &str) -> proto::Node {
    proto::Node {
        input: vec![input.into()],
        output: vec![output.into()],
        op_type: kind.into(),
        ..proto::Node::default()
    }
}

#[test]
fn harmless_operators_are_passed() {
    let mut model = committed("sk_tree_4.onnx");
    let graph = model.graph.as_mut().unwrap();
    graph.node[0].input = vec!["same".into()];
    graph.node.push(operator("Identity", "X", "same"));
    let label = graph.node[0].output[0].clone();
    graph.node.push(operator("Identity", &label, "same label"));
    let read = |model: &proto::Model| read(&model.encode_to_vec(), &ImportOptions::default()).unwrap();
    assert_eq!(read(&model), read(&committed("sk_tree_4.onnx")));
}

#[test]
fn a_cast_to_float_before_the_trees_sets_the_precision() {
    let mut model = committed("double_3.onnx");
    let graph = model.graph.as_mut().unwrap();
    let plain = committed("sk_extra_3.onnx");
    graph.node = plain.graph.unwrap().node;
    graph.node[0].input = vec!["narrow".into()];
    let mut cast = operator("Cast", "X", "narrow");
    cast.attribute.push(Attribute {
        name: "to".into(),
        i: 1,
        r#type: attribute_type::INT,
        ..Attribute::default()
    });
    graph.node.push(cast);
    let read = |model: &proto::Model| read(&model.encode_to_vec(), &ImportOptions::default()).unwrap();
    assert_eq!(read(&model), read(&committed("sk_extra_3.onnx")));
}

#[test]
fn malformed_lists_are_refused_by_name() {
    let ints = [
        "nodes_nodeids",
        "nodes_featureids",
        "nodes_truenodeids",
        "nodes_falsenodeids",
        "class_nodeids",
        "class_treeids",
    ];
    for name in ints {
        let message = refusal("sk_boost_3.onnx", |graph| {
            attribute(graph, name).ints.pop();
        });
        says(&message, &[name, "entries"]);
    }
    let message = refusal("sk_boost_3.onnx", |graph| {
        attribute(graph, "nodes_values").floats.pop();
    });
    says(&message, &["nodes_values"]);
    let message = refusal("sk_boost_3.onnx", |graph| {
        attribute(graph, "nodes_modes").strings.pop();
    });
    says(&message, &["nodes_modes"]);
    let message = refusal("sk_boost_3.onnx", |graph| {
        attribute(graph, "class_weights").floats.pop();
    });
    says(&message, &["class_weights"]);
    let message = refusal("sk_boost_3.onnx", |graph| {
        attribute(graph, "base_values").floats.pop();
    });
    says(&message, &["base_values"]);
    let message = refusal("sk_boost_3.onnx", |graph| attribute(graph, "class_ids").ints[4] = 3);
    says(&message, &["class_ids[4] = 3"]);
    let message = refusal("sk_boost_3.onnx", |graph| attribute(graph, "nodes_featureids").ints[0] = -1);
    says(&message, &["nodes_featureids[0] = -1"]);
    let message = refusal("sk_boost_3.onnx", |graph| {
        attribute(graph, "nodes_modes").strings[1] = b"BRANCH_MEMBER".to_vec();
    });
    says(&message, &["node mode", "BRANCH_MEMBER"]);
    let message =
        refusal("sk_boost_3.onnx", |graph| attribute(graph, "nodes_values").r#type = attribute_type::INTS);
    says(&message, &["nodes_values is not a list of floats"]);
    let message = refusal("sk_tree_4.onnx", |graph| add(graph, text("nodes_secret", "?")));
    says(&message, &["attribute", "nodes_secret"]);
    let message = refusal("sk_tree_4.onnx", |graph| {
        let again = attribute(graph, "nodes_values").clone();
        add(graph, again);
    });
    says(&message, &["nodes_values appears twice"]);
}

#[test]
fn trees_that_are_none_are_refused_by_node() {
    let message = refusal("sk_tree_4.onnx", |graph| attribute(graph, "nodes_truenodeids").ints[2] = 0);
    says(&message, &["tree 0, node 2", "root"]);
    let message = refusal("sk_tree_4.onnx", |graph| attribute(graph, "nodes_truenodeids").ints[2] = 4_000);
    says(&message, &["tree 0, node 2", "does not exist"]);
    let message = refusal("sk_tree_4.onnx", |graph| attribute(graph, "nodes_nodeids").ints[7] = 2);
    says(&message, &["tree 0, node 2", "twice"]);
    let message = refusal("sk_tree_4.onnx", |graph| attribute(graph, "class_nodeids").ints[0] = 0);
    says(&message, &["tree 0, node 0", "no leaf"]);
    let message = refusal("sk_forest_3.onnx", |graph| {
        for name in ["nodes_truenodeids", "nodes_falsenodeids", "nodes_featureids", "nodes_treeids"] {
            attribute(graph, name).ints.push(0);
        }
        attribute(graph, "nodes_nodeids").ints.push(1_000);
        attribute(graph, "nodes_values").floats.push(0.0);
        attribute(graph, "nodes_modes").strings.push(b"LEAF".to_vec());
    });
    says(&message, &["tree 0", "listed together"]);
    let message = refusal("sk_tree_4.onnx", |graph| attribute(graph, "nodes_values").floats[0] = f32::NAN);
    says(&message, &["tree 0, node 0", "threshold is not a number"]);
}

#[test]
fn tensors_are_checked_before_they_are_used() {
    fn tensor(graph: &mut proto::Graph) -> &mut proto::Tensor {
        attribute(graph, "nodes_values_as_tensor").t.as_mut().unwrap()
    }
    let outside = |graph: &mut proto::Graph| tensor(graph).data_location = 1;
    says(&refusal("double_value.onnx", outside), &["nodes_values_as_tensor", "another file"]);
    let short = |graph: &mut proto::Graph| tensor(graph).raw_data.truncate(80);
    says(&refusal("double_value.onnx", short), &["nodes_values_as_tensor has 10 entries"]);
    let other = |graph: &mut proto::Graph| tensor(graph).data_type = data_type::INT64;
    says(&refusal("double_value.onnx", other), &["floats or doubles"]);
    let square = |graph: &mut proto::Graph| tensor(graph).dims = vec![2, 3];
    says(&refusal("double_value.onnx", square), &["one dimension"]);
    let single = |graph: &mut proto::Graph| {
        graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = data_type::FLOAT;
    };
    says(&refusal("double_value.onnx", single), &["_as_tensor", "float32"]);
}

#[test]
fn sizes_have_limits() {
    let message = refusal("sk_tree_4.onnx", |graph| {
        let tensor = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
        tensor.shape.as_mut().unwrap().dim.last_mut().unwrap().dim_value = 1 << 40;
    });
    says(&message, &["features"]);
    let message = refusal("sk_tree_4.onnx", |graph| attribute(graph, "nodes_featureids").ints[0] = 1 << 40);
    says(&message, &["tree 0, node 0", "not a column"]);
    let message = refusal("sk_tree_values.onnx", |graph| attribute(graph, "n_targets").i = 1 << 40);
    says(&message, &["classes or targets"]);
    let message = refusal("sk_tree_4.onnx", |graph| {
        graph.node.extend(std::iter::repeat_n(proto::Node::default(), 30_000));
    });
    says(&message, &["operators"]);
}
