//! Finding the tree ensemble in a graph, and making sure that nothing around it changes a prediction.

use std::collections::HashMap;

use super::attributes::{Attributes, tensor_numbers};
use super::damaged;
use super::outputs::{Behind, check_outputs};
use super::proto::{self, data_type};
use super::trace::{Input, trace_input};
use crate::import::ImportError;
use crate::model::MAX_FEATURES;

const DOMAIN: &str = "ai.onnx.ml";

/// The tree ensemble of a graph with what the graph says about its input.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) node: &'a proto::Node,
    pub(super) task: Operator,
    /// What lies between the graph's input and the trees.
    pub(super) input: Input,
    /// What happens to the scores behind the trees.
    pub(super) behind: Behind,
    /// Whether the file says where missing values go.
    pub(super) missing_known: bool,
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
                let why = "the graph has another tree ensemble already; bagging, AdaBoost, one-vs-rest, calibration and \
                           isolation forests are not read: export each of their ensembles by itself";
                return Err(unsupported(node, why));
            }
            found = Some((index, node, operator));
        }
    }
    let Some((index, node, task)) = found else {
        return Err(no_ensemble(graph));
    };
    check_version(model, node)?;
    let whole = Graph::new(graph);
    let mut input = trace_input(&whole, node)?;
    if input.used.contains(&index) {
        return Err(damaged("the graph has a cycle"));
    }
    let mut used = std::mem::take(&mut input.used);
    used.push(index);
    let behind = check_outputs(&whole, node, task, &mut used)?;
    if let Some((_, stray)) = graph.node.iter().enumerate().find(|(index, _)| !used.contains(index)) {
        return Err(unsupported(stray, "it is neither on the way to the tree ensemble nor behind it"));
    }
    let missing_known = says_where_missing_go(model, node)?;
    Ok(Place { node, task, input, behind, missing_known })
}

/// skl2onnx loses where scikit-learn's trees and forests send missing values, and writes zeros.
fn says_where_missing_go(model: &proto::Model, node: &proto::Node) -> Result<bool, ImportError> {
    let flags = Attributes::of(node).ints("nodes_missing_value_tracks_true")?;
    let lost = model.producer_name == "skl2onnx" && flags.iter().all(|flag| *flag == 0);
    Ok(!flags.is_empty() && !lost)
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

/// One input of the graph.
pub(super) struct GraphInput<'a> {
    pub(super) name: &'a str,
    /// The type of its elements.
    pub(super) element: i32,
    /// The number of its columns, if it is stated.
    pub(super) width: Option<usize>,
}

/// A graph with its constants and with the makers of its values.
pub(super) struct Graph<'a> {
    graph: &'a proto::Graph,
    makers: HashMap<&'a str, usize>,
}

impl<'a> Graph<'a> {
    fn new(graph: &'a proto::Graph) -> Self {
        let outputs = graph.node.iter().enumerate();
        let makers =
            outputs.flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index)));
        Self { graph, makers: makers.collect() }
    }

    pub(super) fn nodes(&self) -> &'a [proto::Node] {
        &self.graph.node
    }

    /// The operator that makes a value.
    pub(super) fn maker(&self, name: &str) -> Option<usize> {
        self.makers.get(name).copied()
    }

    /// The numbers of a constant; `None` if the value is none.
    pub(super) fn constant(&self, name: Option<&String>) -> Result<Option<Vec<f64>>, ImportError> {
        let Some(name) = name else { return Ok(None) };
        let tensor = self.graph.initializer.iter().find(|tensor| tensor.name == *name);
        tensor.map(|tensor| tensor_numbers(name, tensor)).transpose()
    }

    /// The inputs that are no constants.
    pub(super) fn inputs(&self) -> Result<Vec<GraphInput<'a>>, ImportError> {
        let given = self
            .graph
            .input
            .iter()
            .filter(|input| self.graph.initializer.iter().all(|tensor| tensor.name != input.name));
        given.map(graph_input).collect()
    }
}

fn graph_input(input: &proto::ValueInfo) -> Result<GraphInput<'_>, ImportError> {
    let name = input.name.as_str();
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| ImportError::missing(format!("the tensor type of input {name:?}")))?;
    match tensor.elem_type {
        // Runtimes convert integers to float32 before they compare them.
        data_type::DOUBLE | data_type::FLOAT | data_type::INT32 | data_type::INT64 => {}
        other => {
            let why = "the input must be a tensor of float, double, int32 or int64; encode texts as numbers before the model";
            return Err(ImportError::unsupported("input element type", other.to_string(), why));
        }
    }
    Ok(GraphInput { name, element: tensor.elem_type, width: feature_count(tensor)? })
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
pub(super) fn cast_target(node: &proto::Node) -> Result<Option<i32>, ImportError> {
    if node.op_type != "Cast" {
        return Ok(None);
    }
    let to = Attributes::of(node).int("to")?.ok_or_else(|| ImportError::missing("attribute to of Cast"))?;
    Ok(i32::try_from(to).ok())
}

/// The only one of an operator's inputs.
pub(super) fn only<'a>(node: &proto::Node, names: &'a [String], what: &str) -> Result<&'a str, ImportError> {
    match names {
        [name] => Ok(name),
        _ => Err(ImportError::Length {
            field: format!("the {what} of {}", node.op_type),
            got: names.len(),
            expected: 1,
        }),
    }
}

pub(super) fn unsupported(node: &proto::Node, why: &'static str) -> ImportError {
    ImportError::unsupported("operator", &node.op_type, why)
}
