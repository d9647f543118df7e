//! From the trees' input back to the graph's: which columns they see, and which operators lie on the way.

use super::attributes::Attributes;
use super::columns::{Column, Step};
use super::damaged;
use super::graph::{Graph, cast_target, only, unsupported};
use super::proto::{self, data_type};
use crate::import::ImportError;
use crate::model::{MAX_FEATURES, Precision};

/// Greatest number of operators between a column and the trees.
const MAX_WAY: usize = 100;

/// What the trees see.
#[derive(Debug, PartialEq)]
pub(super) struct Input {
    /// How feature values reach the first comparison or step.
    pub(super) precision: Precision,
    /// The columns; `None` where they are the graph's input itself and it does not state their number.
    pub(super) columns: Option<Vec<Column>>,
    /// The number of all columns of the graph's inputs, where they state it.
    pub(super) features: Option<usize>,
    /// The names of the inputs if each is one column.
    pub(super) names: Vec<String>,
    /// The operators on the way.
    pub(super) used: Vec<usize>,
}

/// Follows the ensemble's input back to the graph's.
pub(super) fn trace_input(graph: &Graph<'_>, ensemble: &proto::Node) -> Result<Input, ImportError> {
    let name = only(ensemble, &ensemble.input, "inputs")?;
    let mut tracer = Tracer { graph, rounded: false, changed: false, precisions: vec![], used: vec![] };
    let columns = tracer.columns(name, 0)?;
    let mut precision = Precision::Single;
    if tracer.precisions.iter().all(|kind| *kind == data_type::DOUBLE) && !tracer.rounded {
        precision = Precision::Double;
    }
    if precision == Precision::Double && tracer.changed {
        return Err(ImportError::unsupported(
            "input element type",
            "double",
            "runtimes disagree about the precision of the steps before the trees; export with float inputs",
        ));
    }
    let inputs = graph.inputs()?;
    let features = inputs.iter().map(|input| input.width).sum::<Option<usize>>();
    let single = inputs.len() > 1 && inputs.iter().all(|input| input.width == Some(1));
    let names = if single { inputs.iter().map(|input| input.name.to_owned()).collect() } else { vec![] };
    Ok(Input { precision, columns, features, names, used: tracer.used })
}

struct Tracer<'a> {
    graph: &'a Graph<'a>,
    rounded: bool,
    changed: bool,
    /// Element types of the inputs that are used.
    precisions: Vec<i32>,
    used: Vec<usize>,
}

type Columns = Option<Vec<Column>>;

impl Tracer<'_> {
    fn columns(&mut self, name: &str, way: usize) -> Result<Columns, ImportError> {
        if way > MAX_WAY {
            return Err(damaged("the graph has a cycle"));
        }
        let Some(index) = self.graph.maker(name) else { return self.input(name) };
        let node = &self.graph.nodes()[index];
        if !self.used.contains(&index) {
            self.used.push(index);
        }
        let data = node.input.first().map(String::as_str);
        let before = data.ok_or_else(|| ImportError::missing(format!("the input of {}", node.op_type)))?;
        match (node.op_type.as_str(), cast_target(node)?) {
            ("Identity", _) | ("Cast", Some(data_type::DOUBLE)) => self.columns(before, way + 1),
            ("Cast", Some(data_type::FLOAT)) => {
                self.rounded = true;
                self.columns(before, way + 1)
            }
            ("Scaler", _) => {
                let attributes = Attributes::of(node);
                let (offset, scale) = (attributes.floats("offset")?, attributes.floats("scale")?);
                let columns = self.columns(before, way + 1)?;
                let steps = pairs(node, &offset, &scale)?;
                self.step(node, columns, &steps)
            }
            ("Imputer", _) => {
                let attributes = Attributes::of(node);
                if attributes.float("replaced_value_float")?.is_none_or(|value| !value.is_nan()) {
                    return Err(unsupported(node, "it replaces a number other than NaN"));
                }
                let values = attributes.floats("imputed_value_floats")?;
                let columns = self.columns(before, way + 1)?;
                self.step(node, columns, &values.iter().map(|value| Step::Fill(*value)).collect::<Vec<_>>())
            }
            (op @ ("Add" | "Sub" | "Mul" | "Div"), _) => {
                let numbers = self.graph.constant(node.input.get(1))?;
                let numbers =
                    numbers.ok_or_else(|| unsupported(node, "its second input is not a constant"))?;
                let step = match op {
                    "Add" => Step::Add,
                    "Sub" => Step::Subtract,
                    "Mul" => Step::Multiply,
                    _ => Step::Divide,
                };
                #[allow(clippy::cast_possible_truncation)] // the graph computes in f32
                let steps: Vec<Step> = numbers.iter().map(|number| step(*number as f32)).collect();
                let columns = self.columns(before, way + 1)?;
                self.step(node, columns, &steps)
            }
            ("ArrayFeatureExtractor" | "Gather", _) => {
                if node.op_type == "Gather" && Attributes::of(node).int("axis")? != Some(1) {
                    return Err(unsupported(node, "it does not choose columns"));
                }
                let places = self.graph.constant(node.input.get(1))?;
                let places = places.ok_or_else(|| unsupported(node, "its second input is not a constant"))?;
                let columns = self.columns(before, way + 1)?;
                let columns =
                    columns.ok_or_else(|| unsupported(node, "the input does not state its columns"))?;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // of a place that fits
                let chosen = places.iter().map(|place| match *place {
                    place if (0.0..4_096.0).contains(&place) => columns.get(place as usize).cloned(),
                    _ => None,
                });
                let chosen: Option<Vec<Column>> = chosen.collect();
                chosen.map(Some).ok_or_else(|| unsupported(node, "it chooses a column that does not exist"))
            }
            ("Concat" | "FeatureVectorizer", _) => {
                let mut all = Vec::new();
                for name in &node.input {
                    let columns = self.columns(name, way + 1)?;
                    let columns =
                        columns.ok_or_else(|| unsupported(node, "the input does not state its columns"))?;
                    all.extend(columns);
                    if all.len() > MAX_FEATURES {
                        let (count, limit) = (all.len(), MAX_FEATURES);
                        return Err(ImportError::TooLarge { what: "columns".into(), count, limit });
                    }
                }
                Ok(Some(all))
            }
            _ => Err(unsupported(
                node,
                "it changes the features before the trees compare them in a way that no threshold can; apply it \
                 before the model and export the trees alone",
            )),
        }
    }

    /// Appends one step to each column, or the same to all.
    fn step(&mut self, node: &proto::Node, columns: Columns, steps: &[Step]) -> Result<Columns, ImportError> {
        if steps.iter().any(|step| !step.is_proper()) {
            return Err(unsupported(node, "it multiplies by zero or by a number that is not finite"));
        }
        self.changed = true;
        let mut columns = match columns {
            Some(columns) => columns,
            None if steps.len() > 1 => identity(0, steps.len()),
            None => return Err(unsupported(node, "the input does not state its columns")),
        };
        let expected = columns.len();
        if steps.len() != expected && steps.len() != 1 {
            let field = format!("the numbers of {}", node.op_type);
            return Err(ImportError::Length { field, got: steps.len(), expected });
        }
        for (column, step) in columns.iter_mut().zip(steps.iter().cycle()) {
            column.steps.push(*step);
        }
        Ok(Some(columns))
    }

    fn input(&mut self, name: &str) -> Result<Columns, ImportError> {
        let inputs = self.graph.inputs()?;
        let place = inputs.iter().position(|input| input.name == name);
        let place = place.ok_or_else(|| ImportError::missing(format!("the graph's input {name:?}")))?;
        self.precisions.push(inputs[place].element);
        let first = inputs[..place].iter().map(|input| input.width).sum::<Option<usize>>();
        match (first, inputs[place].width) {
            (Some(first), Some(width)) => Ok(Some(identity(first, width))),
            (Some(0), None) => Ok(None),
            _ => Err(ImportError::missing(format!("the number of columns of the inputs before {name:?}"))),
        }
    }
}

fn identity(first: usize, width: usize) -> Vec<Column> {
    (first..first + width).map(|feature| Column { feature, steps: vec![] }).collect()
}

/// A scaler's steps: one for each column, where a single number counts for all.
fn pairs(node: &proto::Node, offset: &[f32], scale: &[f32]) -> Result<Vec<Step>, ImportError> {
    let expected = offset.len().max(scale.len());
    for got in [offset.len(), scale.len()] {
        if got != expected && got != 1 {
            let field = format!("the numbers of {}", node.op_type);
            return Err(ImportError::Length { field, got, expected });
        }
    }
    let steps = (0..expected).filter_map(|index| {
        let number = |list: &[f32]| list.get(index).or(list.first()).copied();
        number(offset).zip(number(scale)).map(|(offset, scale)| Step::Scale { offset, scale })
    });
    Ok(steps.collect())
}
