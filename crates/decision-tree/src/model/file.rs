//! This crate's own model file: JSON with a format name and a version.

use serde::{Deserialize, Serialize};

use super::{Model, ModelError, ModelParts};

/// Greatest size of a model file, in bytes.
pub const MAX_JSON_BYTES: usize = 512 << 20;

const FORMAT: &str = "subrosa-tree-model";
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    version: u32,
    model: &'a ModelParts,
}

#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct Read {
    model: ModelParts,
}

impl Model {
    /// The model as JSON; [`Self::from_json`] reads back the very same numbers.
    ///
    /// # Errors
    /// [`ModelError::File`] if the text cannot be built, which finite numbers never cause.
    pub fn to_json(&self) -> crate::Result<String> {
        serde_json::to_string(&Written { format: FORMAT, version: VERSION, model: &self.parts })
            .map_err(|error| ModelError::File { reason: error.to_string() }.into())
    }

    /// Reads and checks a model that [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// [`ModelError`]: text past [`MAX_JSON_BYTES`], not JSON, of another format or version, or not a well-formed
    /// model.
    pub fn from_json(text: &[u8]) -> crate::Result<Self> {
        if text.len() > MAX_JSON_BYTES {
            return Err(
                ModelError::TooMany { what: "bytes", count: text.len(), limit: MAX_JSON_BYTES }.into()
            );
        }
        let header: Header = parse(text)?;
        if header.format != FORMAT {
            return Err(ModelError::File { reason: "another format name".into() }.into());
        }
        if header.version != VERSION {
            return Err(ModelError::Version { found: header.version, supported: VERSION }.into());
        }
        Self::new(parse::<Read>(text)?.model)
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, ModelError> {
    serde_json::from_slice(text).map_err(|error| ModelError::File {
        reason: format!("line {}, column {}: {:?} error", error.line(), error.column(), error.classify()),
    })
}
