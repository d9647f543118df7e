//! Reading a model from a path: which format it is, and errors that name the file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{ImportError, ImportOptions, MAX_ONNX_BYTES, MAX_XGBOOST_BYTES};
use crate::model::{MAX_JSON_BYTES, Model};
use crate::{Error, Result};

pub(super) fn read(path: &Path, options: &ImportOptions) -> Result<Model> {
    bounded(path).map_err(Error::from).and_then(|bytes| parse(path, &bytes, options)).map_err(|error| {
        ImportError::InFile { file: path.display().to_string(), error: Box::new(error) }.into()
    })
}

fn parse(path: &Path, bytes: &[u8], options: &ImportOptions) -> Result<Model> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    match extension.to_ascii_lowercase().as_str() {
        "onnx" => Model::from_onnx(bytes, options),
        "json" if is_xgboost(bytes) => Model::from_xgboost_json(bytes, options),
        "json" => Model::from_json(bytes),
        other => {
            let why = "known are .onnx, and .json of XGBoost or of this crate";
            Err(ImportError::unsupported("file extension", other, why).into())
        }
    }
}

/// XGBoost's JSON is one object whose first key is `learner` or `version`; ours begins with `format`.
fn is_xgboost(bytes: &[u8]) -> bool {
    let start: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(11).collect();
    start.starts_with(br#"{"learner""#)
        || start.starts_with(br#"{"version":"#) && !contains(bytes, b"\"format\"")
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.iter().take(200).copied().collect::<Vec<u8>>().windows(word.len()).any(|window| window == word)
}

/// The file's bytes, without reading past the greatest size of any format.
fn bounded(path: &Path) -> Result<Vec<u8>, ImportError> {
    let limit = MAX_ONNX_BYTES.max(MAX_XGBOOST_BYTES).max(MAX_JSON_BYTES);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(ImportError::TooLarge { what: "bytes".into(), count: bytes.len(), limit });
    }
    Ok(bytes)
}
