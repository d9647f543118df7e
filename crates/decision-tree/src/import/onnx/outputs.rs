//! From the trees' scores to the graph's outputs: only what leaves the prediction as it is, or what the client can do, may stand there.

use super::graph::{Graph, Operator, cast_target, labels, only, unsupported};
use super::proto::{self, data_type};
use crate::import::ImportError;
use crate::model::PostTransform;

/// What happens to the scores behind the trees.
#[derive(Debug)]
pub(super) struct Behind {
    /// The class labels of a `ZipMap`: they must be the ensemble's own.
    pub(super) zipmap_labels: Option<Vec<String>>,
    /// A positive factor of all scores.
    pub(super) scale: f64,
    /// Applied after the factor.
    pub(super) transform: PostTransform,
    /// A positive factor of the exponentials.
    pub(super) factor: f64,
}

/// What a value of the graph is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    Label,
    Scores,
    /// Scores of which columns were chosen or shapes changed.
    Columns,
}

/// Follows the ensemble's outputs to the graph's.
pub(super) fn check_outputs(
    graph: &Graph<'_>,
    ensemble: &proto::Node,
    task: Operator,
    used: &mut Vec<usize>,
) -> Result<Behind, ImportError> {
    let mut behind = Behind { zipmap_labels: None, scale: 1.0, transform: PostTransform::None, factor: 1.0 };
    let label = (task == Operator::Classifier).then(|| ensemble.output.first()).flatten();
    let kind = |name: &String| if Some(name) == label { Value::Label } else { Value::Scores };
    let mut open: Vec<(&str, Value)> =
        ensemble.output.iter().map(|name| (name.as_str(), kind(name))).collect();
    while let Some((name, value)) = open.pop() {
        for (index, node) in graph.nodes().iter().enumerate() {
            if !node.input.iter().any(|input| input == name) {
                continue;
            }
            if used.contains(&index) {
                return Err(unsupported(node, "it uses a prediction twice, or before it is made"));
            }
            used.push(index);
            let next = behind.pass(graph, node, task, value)?;
            open.extend(node.output.iter().map(|name| (name.as_str(), next)));
        }
    }
    Ok(behind)
}

impl Behind {
    /// Takes note of what an operator does to a value, and says what the value is then.
    fn pass(
        &mut self,
        graph: &Graph<'_>,
        node: &proto::Node,
        task: Operator,
        value: Value,
    ) -> Result<Value, ImportError> {
        let name = node.op_type.as_str();
        match (name, value) {
            ("Slice" | "ArrayFeatureExtractor" | "Gather", Value::Scores | Value::Columns)
                if task == Operator::Classifier =>
            {
                return Ok(Value::Columns);
            }
            ("Reshape" | "Squeeze" | "Flatten", Value::Scores | Value::Columns) => return Ok(Value::Columns),
            ("Reshape" | "Squeeze" | "Flatten", Value::Label) => return Ok(value),
            ("Div", Value::Scores | Value::Columns) => {
                let why = "onnxmltools divides the averages of LightGBM's rf once more, and the file gives other values than \
                           the model; save LightGBM's text with save_model(\"model.txt\")";
                return Err(unsupported(node, why));
            }
            ("Mul", Value::Scores) => {
                let factor = graph.constant(node.input.get(1))?;
                let [factor] = factor.as_deref().unwrap_or(&[]) else {
                    return Err(unsupported(node, "its second input is not a constant number"));
                };
                if !factor.is_normal() || *factor <= 0.0 {
                    return Err(unsupported(node, "its factor is not a positive number"));
                }
                match self.transform {
                    PostTransform::None => self.scale *= factor,
                    PostTransform::Exp => self.factor *= factor,
                    _ if *factor == 1.0 => {}
                    _ => return Err(unsupported(node, "it scales probabilities")),
                }
                return Ok(value);
            }
            _ => {}
        }
        only(node, &node.input, "inputs")?;
        match (name, cast_target(node)?, value) {
            ("Identity", _, _) => {}
            ("Cast", Some(data_type::INT64 | data_type::STRING), Value::Label) => {}
            ("Cast", Some(data_type::FLOAT | data_type::DOUBLE), Value::Scores | Value::Columns) => {}
            ("ZipMap", _, Value::Scores) if task == Operator::Classifier => {
                self.zipmap_labels = Some(labels(node)?);
            }
            ("Sigmoid", _, Value::Scores) if self.transform == PostTransform::None => {
                self.transform = PostTransform::Sigmoid;
            }
            ("Exp", _, Value::Scores)
                if self.transform == PostTransform::None && task == Operator::Regressor =>
            {
                self.transform = PostTransform::Exp;
            }
            _ => {
                let why = "it changes the prediction after the trees have made it; export the trees alone";
                return Err(unsupported(node, why));
            }
        }
        Ok(value)
    }
}
