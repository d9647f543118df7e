//! Reading a model from a path: which format it is, and errors that name the file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{ImportError, ImportOptions, MAX_LIGHTGBM_BYTES, MAX_ONNX_BYTES, MAX_XGBOOST_BYTES};
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
        "ubj" => Model::from_xgboost_ubj(bytes, options),
        "json" => json(bytes, options),
        "txt" | "lgb" | "lgbm" => Model::from_lightgbm(bytes, options),
        other => Err(ImportError::unsupported("file extension", other, export(other)).into()),
    }
}

fn json(bytes: &[u8], options: &ImportOptions) -> Result<Model> {
    let start = bytes.get(..4_096).unwrap_or(bytes);
    let has = |word: &str| start.windows(word.len()).any(|window| window == word.as_bytes());
    if has("\"subrosa-tree-model\"") {
        Model::from_json(bytes)
    } else if start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        Err(dump_of("XGBoost").into())
    } else if has("\"learner\"") {
        Model::from_xgboost_json(bytes, options)
    } else if has("\"tree_info\"") || has("\"feature_infos\"") {
        Err(dump_of("LightGBM").into())
    } else if has("\"oblivious_trees\"") || has("\"features_info\"") {
        let why = "CatBoost's JSON is not read; export with save_model(\"model.onnx\", format=\"onnx\")";
        Err(ImportError::unsupported("file of", "CatBoost", why).into())
    } else {
        Model::from_json(bytes)
    }
}

/// The refusal of a list of trees that was made for reading.
pub(super) fn dump_of(framework: &'static str) -> ImportError {
    let why = match framework {
        "XGBoost" => {
            "dump_model and get_dump leave out the objective and the base score; export with save_model(\"model.json\")"
        }
        _ => "dump_model is not read; export with save_model(\"model.txt\")",
    };
    ImportError::unsupported("dump of", framework, why)
}

/// How to export what has this file extension.
fn export(extension: &str) -> &'static str {
    match extension {
        "pkl" | "pickle" | "joblib" | "skops" => {
            "it holds Python objects, which only Python can load; load it there and export it with skl2onnx.to_onnx \
             (scikit-learn), save_model(\"model.json\") (XGBoost) or booster_.save_model(\"model.txt\") (LightGBM)"
        }
        "cbm" => "load it with catboost and export it with save_model(\"model.onnx\", format=\"onnx\")",
        "txt" | "lgb" | "lgbm" => {
            "load it with lightgbm.Booster and export it with onnxmltools.convert_lightgbm"
        }
        "bin" | "model" | "deprecated" => {
            "load it with xgboost.Booster and export it with save_model(\"model.json\")"
        }
        "pmml" | "pb" | "mlmodel" | "zip" => "export the model to ONNX, or to XGBoost's JSON or UBJSON",
        _ => "known are .onnx, .ubj of XGBoost, .txt of LightGBM, and .json of XGBoost or of this crate",
    }
}

/// The file's bytes, without reading past the greatest size of any format.
fn bounded(path: &Path) -> Result<Vec<u8>, ImportError> {
    let limit = MAX_ONNX_BYTES.max(MAX_XGBOOST_BYTES).max(MAX_LIGHTGBM_BYTES).max(MAX_JSON_BYTES);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(ImportError::TooLarge { what: "bytes".into(), count: bytes.len(), limit });
    }
    Ok(bytes)
}
