//! Finding the tree ensemble in a graph, and making sure that nothing around it changes a prediction.

use std::collections::HashMap;

use super::attributes::Attributes;
use super::damaged;
use super::proto::{self, data_type};
use crate::import::ImportError;
use crate::model::{MAX_FEATURES, Precision};

const DOMAIN: &str = "ai.onnx.ml";

/// The tree ensemble of a graph with what the graph says about its input.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) node: &'a proto::Node,
    pub(super) task: Operator,
    /// How feature values reach the comparison.
    pub(super) precision: Precision,
    /// The number of features, where the graph states it.
    pub(super) features: Option<usize>,
    /// The class labels of a `ZipMap` behind the ensemble: they must be the ensemble's own.
    pub(super) zipmap_labels: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Classifier,
    Regressor,
}

impl Operator {
    fn of(node: &proto::Node) -> Option<Self> {
        match node.op_type.as_str() {
            "TreeEnsembleClassifier" => Some(Self::Classifier),
            "TreeEnsembleRegressor" => Some(Self::Regressor),
            _ => None,
        }
    }
}

pub(super) fn find_ensemble(model: &proto::Model) -> Result<Place<'_>, ImportError> {
    let graph = model.graph.as_ref().ok_or_else(|| ImportError::missing("graph"))?;
    let mut found = None;
    for (index, node) in graph.node.iter().enumerate() {
        if let Some(operator) = Operator::of(node) {
            if found.is_some() {
                return Err(unsupported(node, "the graph has another tree ensemble already"));
            }
            found = Some((index, node, operator));
        }
    }
    let Some((index, node, task)) = found else {
        return Err(no_ensemble(graph));
    };
    check_version(model, node)?;
    let (precision, features, before) = trace_input(graph, node)?;
    let mut used = before;
    used.push(index);
    let zipmap_labels = check_outputs(graph, node, task, &mut used)?;
    if let Some((_, stray)) = graph.node.iter().enumerate().find(|(index, _)| !used.contains(index)) {
        return Err(unsupported(stray, "it is neither on the way to the tree ensemble nor behind it"));
    }
    Ok(Place { node, task, precision, features, zipmap_labels })
}

fn no_ensemble(graph: &proto::Graph) -> ImportError {
    match graph.node.iter().find(|node| node.op_type == "TreeEnsemble") {
        Some(node) => unsupported(
            node,
            "this is the operator of ai.onnx.ml 5; export with target_opset {'ai.onnx.ml': 3}",
        ),
        None => ImportError::missing("an operator TreeEnsembleClassifier or TreeEnsembleRegressor"),
    }
}

fn check_version(model: &proto::Model, node: &proto::Node) -> Result<(), ImportError> {
    if node.domain != DOMAIN {
        return Err(ImportError::unsupported(
            "operator domain",
            &node.domain,
            "tree ensembles belong to ai.onnx.ml",
        ));
    }
    let version = model.opset_import.iter().find(|set| set.domain == DOMAIN).map(|set| set.version);
    match version {
        // Version 5 only declares the two operators deprecated.
        Some(1..=5) => Ok(()),
        Some(other) => Err(ImportError::unsupported(
            "ai.onnx.ml version",
            other.to_string(),
            "versions 1 to 5 are known",
        )),
        None => Err(ImportError::missing("opset_import of ai.onnx.ml")),
    }
}

/// Follows the ensemble's input back to the graph's: how values are rounded on the way, how many features there are,
/// and which operators lie on the way.
fn trace_input(
    graph: &proto::Graph,
    ensemble: &proto::Node,
) -> Result<(Precision, Option<usize>, Vec<usize>), ImportError> {
    let makers: HashMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index)))
        .collect();
    let mut name = only(ensemble, &ensemble.input, "inputs")?;
    let mut rounded = false;
    let mut way = Vec::new();
    while let Some(&index) = makers.get(name) {
        let node = &graph.node[index];
        if way.contains(&index) || std::ptr::eq(node, ensemble) {
            return Err(damaged("the graph has a cycle"));
        }
        way.push(index);
        match (node.op_type.as_str(), cast_target(node)?) {
            ("Identity", _) | ("Cast", Some(data_type::DOUBLE)) => {}
            ("Cast", Some(data_type::FLOAT)) => rounded = true,
            _ => return Err(unsupported(node, "it changes the features before the trees compare them")),
        }
        name = only(node, &node.input, "inputs")?;
    }
    let input = graph.input.iter().find(|input| input.name == name);
    let input = input.ok_or_else(|| ImportError::missing(format!("the graph's input {name:?}")))?;
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| ImportError::missing(format!("the tensor type of input {name:?}")))?;
    let precision = match tensor.elem_type {
        data_type::DOUBLE if !rounded => Precision::Double,
        // Runtimes convert integers to float32 before they compare them.
        data_type::DOUBLE | data_type::FLOAT | data_type::INT32 | data_type::INT64 => Precision::Single,
        other => {
            let why = "the input must be a tensor of float, double, int32 or int64";
            return Err(ImportError::unsupported("input element type", other.to_string(), why));
        }
    };
    Ok((precision, feature_count(tensor)?, way))
}

/// The last dimension of the input, if it is stated.
fn feature_count(tensor: &proto::TensorType) -> Result<Option<usize>, ImportError> {
    let Some(last) = tensor.shape.as_ref().and_then(|shape| shape.dim.last()) else { return Ok(None) };
    match usize::try_from(last.dim_value) {
        Ok(0) | Err(_) => Ok(None),
        Ok(count) if count > MAX_FEATURES => {
            Err(ImportError::TooLarge { what: "features of the input".into(), count, limit: MAX_FEATURES })
        }
        Ok(count) => Ok(Some(count)),
    }
}

/// Follows the ensemble's outputs to the graph's. Only what leaves the prediction as it is may stand there.
fn check_outputs(
    graph: &proto::Graph,
    ensemble: &proto::Node,
    task: Operator,
    used: &mut Vec<usize>,
) -> Result<Option<Vec<String>>, ImportError> {
    let mut zipmap_labels = None;
    let label = (task == Operator::Classifier).then(|| ensemble.output.first()).flatten();
    // (name of a value, whether it is the label)
    let mut open: Vec<(&str, bool)> =
        ensemble.output.iter().map(|name| (name.as_str(), Some(name) == label)).collect();
    while let Some((name, is_label)) = open.pop() {
        for (index, node) in graph.node.iter().enumerate() {
            if !node.input.iter().any(|input| input == name) {
                continue;
            }
            if used.contains(&index) {
                return Err(unsupported(node, "it uses a prediction twice, or before it is made"));
            }
            used.push(index);
            only(node, &node.input, "inputs")?;
            match (node.op_type.as_str(), cast_target(node)?, is_label) {
                ("Identity", _, _) => {}
                ("Cast", Some(data_type::INT64 | data_type::STRING), true) => {}
                ("Cast", Some(data_type::FLOAT | data_type::DOUBLE), false) => {}
                ("ZipMap", _, false) if task == Operator::Classifier => zipmap_labels = Some(labels(node)?),
                _ => return Err(unsupported(node, "it changes the prediction after the trees have made it")),
            }
            open.extend(node.output.iter().map(|name| (name.as_str(), is_label)));
        }
    }
    Ok(zipmap_labels)
}

/// The class labels of a classifier or of a `ZipMap`, as text.
pub(super) fn labels(node: &proto::Node) -> Result<Vec<String>, ImportError> {
    let attributes = Attributes::of(node);
    let integers = attributes.ints("classlabels_int64s")?;
    let strings = attributes.strings("classlabels_strings")?;
    match (integers, &strings[..]) {
        ([], []) => Err(ImportError::missing("classlabels_int64s or classlabels_strings")),
        ([], strings) => Ok(strings.iter().map(ToString::to_string).collect()),
        (integers, []) => Ok(integers.iter().map(ToString::to_string).collect()),
        _ => Err(unsupported(node, "it has class labels of both kinds")),
    }
}

/// The element type that a `Cast` casts to.
fn cast_target(node: &proto::Node) -> Result<Option<i32>, ImportError> {
    if node.op_type != "Cast" {
        return Ok(None);
    }
    let to = Attributes::of(node).int("to")?.ok_or_else(|| ImportError::missing("attribute to of Cast"))?;
    Ok(i32::try_from(to).ok())
}

/// The only one of an operator's inputs.
fn only<'a>(node: &proto::Node, names: &'a [String], what: &str) -> Result<&'a str, ImportError> {
    match names {
        [name] => Ok(name),
        _ => Err(ImportError::Length {
            field: format!("the {what} of {}", node.op_type),
            got: names.len(),
            expected: 1,
        }),
    }
}

fn unsupported(node: &proto::Node, why: &'static str) -> ImportError {
    ImportError::unsupported("operator", &node.op_type, why)
}
