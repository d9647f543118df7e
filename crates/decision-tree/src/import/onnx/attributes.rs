//! An operator's attributes by name and type.

use super::proto::{self, attribute_type, data_type};
use crate::import::ImportError;

/// The attributes of one operator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a>(&'a [proto::Attribute]);

impl<'a> Attributes<'a> {
    pub(super) fn of(node: &'a proto::Node) -> Self {
        Self(&node.attribute)
    }

    /// Refuses an attribute that is not among `known`: it could change what the operator means.
    pub(super) fn only(self, known: &[&str]) -> Result<(), ImportError> {
        match self.0.iter().find(|attribute| !known.contains(&attribute.name.as_str())) {
            Some(attribute) => Err(ImportError::unsupported(
                "attribute",
                &attribute.name,
                "it is not one of the operator's own",
            )),
            None => Ok(()),
        }
    }

    /// Whether some list of numbers is given as a tensor.
    pub(super) fn any_tensor(self) -> bool {
        self.0.iter().any(|attribute| attribute.name.ends_with("_as_tensor"))
    }

    /// The attribute of this name, checked for its type; `None` if it is absent.
    fn get(
        self,
        name: &str,
        kind: i32,
        expected: &'static str,
    ) -> Result<Option<&'a proto::Attribute>, ImportError> {
        let mut all = self.0.iter().filter(|attribute| attribute.name == name);
        let Some(attribute) = all.next() else { return Ok(None) };
        if all.next().is_some() {
            return Err(super::damaged(format!("the attribute {name} appears twice")));
        }
        // Files of the first ONNX versions leave the type out.
        if attribute.r#type != kind && attribute.r#type != 0 {
            return Err(ImportError::WrongType { field: name.into(), expected });
        }
        Ok(Some(attribute))
    }

    pub(super) fn ints(self, name: &str) -> Result<&'a [i64], ImportError> {
        Ok(self.get(name, attribute_type::INTS, "a list of integers")?.map_or(&[], |found| &found.ints))
    }

    pub(super) fn int(self, name: &str) -> Result<Option<i64>, ImportError> {
        Ok(self.get(name, attribute_type::INT, "an integer")?.map(|found| found.i))
    }

    pub(super) fn float(self, name: &str) -> Result<Option<f32>, ImportError> {
        Ok(self.get(name, attribute_type::FLOAT, "a number")?.map(|found| found.f))
    }

    pub(super) fn floats(self, name: &str) -> Result<Vec<f32>, ImportError> {
        let found = self.get(name, attribute_type::FLOATS, "a list of floats")?;
        Ok(found.map_or(vec![], |found| found.floats.clone()))
    }

    /// A string, or `default` if it is absent.
    pub(super) fn string(self, name: &str, default: &'static str) -> Result<&'a str, ImportError> {
        match self.get(name, attribute_type::STRING, "a string")? {
            Some(found) => text(name, &found.s),
            None => Ok(default),
        }
    }

    pub(super) fn strings(self, name: &str) -> Result<Vec<&'a str>, ImportError> {
        let found = self.get(name, attribute_type::STRINGS, "a list of strings")?;
        found.map_or(&[][..], |found| &found.strings).iter().map(|bytes| text(name, bytes)).collect()
    }

    /// The numbers of `name` (floats) or of `name` + `_as_tensor` (a tensor of floats or doubles).
    pub(super) fn numbers(self, name: &str) -> Result<Vec<f64>, ImportError> {
        let plain = self.get(name, attribute_type::FLOATS, "a list of floats")?;
        let tensor_name = format!("{name}_as_tensor");
        let tensor = self.get(&tensor_name, attribute_type::TENSOR, "a tensor")?;
        match (plain, tensor) {
            (Some(_), Some(_)) => Err(ImportError::unsupported(
                "attribute",
                tensor_name,
                "the plain attribute is present as well",
            )),
            (Some(found), None) => Ok(found.floats.iter().copied().map(f64::from).collect()),
            (None, Some(found)) => {
                let tensor = found.t.as_ref().ok_or_else(|| ImportError::missing(&tensor_name))?;
                if ![data_type::FLOAT, data_type::DOUBLE].contains(&tensor.data_type) {
                    let expected = "a tensor of floats or doubles";
                    return Err(ImportError::WrongType { field: tensor_name, expected });
                }
                tensor_numbers(&tensor_name, tensor)
            }
            (None, None) => Ok(Vec::new()),
        }
    }
}

fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, ImportError> {
    std::str::from_utf8(bytes)
        .map_err(|_| ImportError::WrongType { field: name.into(), expected: "UTF-8 text" })
}

/// The numbers of a tensor of at most one dimension that is longer than 1.
pub(super) fn tensor_numbers(name: &str, tensor: &proto::Tensor) -> Result<Vec<f64>, ImportError> {
    if tensor.data_location != 0 {
        return Err(ImportError::unsupported("tensor", name, "its data lie in another file"));
    }
    let mut expected = 1usize;
    for (index, &dim) in tensor.dims.iter().enumerate() {
        let field = || format!("{name}.dims");
        let size = usize::try_from(dim);
        let size = size.map_err(|_| ImportError::OutOfRange { field: field(), index, value: dim })?;
        if size != 1 && expected != 1 {
            return Err(ImportError::WrongType { field: name.into(), expected: "a tensor of one dimension" });
        }
        expected = expected.saturating_mul(size);
    }
    let raw = &tensor.raw_data;
    #[allow(clippy::cast_precision_loss)] // places and small whole numbers
    let values: Vec<f64> = match tensor.data_type {
        data_type::FLOAT if raw.is_empty() => tensor.float_data.iter().copied().map(f64::from).collect(),
        data_type::FLOAT => {
            raw.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
        }
        data_type::DOUBLE if raw.is_empty() => tensor.double_data.clone(),
        data_type::DOUBLE => raw.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
        data_type::INT64 if raw.is_empty() => tensor.int64_data.iter().map(|number| *number as f64).collect(),
        data_type::INT64 => raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect(),
        _ => {
            return Err(ImportError::WrongType {
                field: name.into(),
                expected: "a tensor of floats, doubles or int64",
            });
        }
    };
    if expected == values.len() {
        Ok(values)
    } else {
        Err(ImportError::Length { field: name.into(), got: values.len(), expected })
    }
}
