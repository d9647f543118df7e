//! The bank's file: its tree and the public schema in one JSON file.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};
use subrosa_decision_tree::{Model, QuantizedModel, Schema};
use subrosa_transport::with_causes;

/// Greatest size of a model file, in bytes.
const MAX_BYTES: u64 = 64 << 20;
const FORMAT: &str = "card-fraud-model";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    /// As [`Schema::to_json`] writes it.
    schema: Value,
    /// As [`Model::to_json`] writes it.
    model: Value,
}

/// Writes a model with its schema. The file holds the bank's tree in the clear.
///
/// # Errors
/// [`Error::File`].
pub fn write(path: &Path, model: &Model, schema: &Schema) -> Result<()> {
    let value =
        |text: String| serde_json::from_str::<Value>(&text).map_err(|error| fault(path, error.to_string()));
    let file = File {
        format: FORMAT.to_owned(),
        version: VERSION,
        schema: value(schema.to_json()?)?,
        model: value(model.to_json()?)?,
    };
    let text = serde_json::to_vec_pretty(&file).map_err(|error| fault(path, error.to_string()))?;
    replace(path, &text)
}

/// Reads a file that [`write()`] wrote and puts the model on the schema's grid.
///
/// # Errors
/// [`Error::File`]; [`Error::ModelFile`] for any other content.
pub fn read(path: &Path) -> Result<QuantizedModel> {
    use std::io::Read;
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| Error::file(path, error))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(|error| Error::file(path, error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(fault(path, format!("longer than {MAX_BYTES} bytes")));
    }
    let file: File = serde_json::from_slice(&text).map_err(|error| fault(path, error.to_string()))?;
    if file.format != FORMAT || file.version != VERSION {
        return Err(fault(path, format!("not version {VERSION} of {FORMAT}")));
    }
    let schema = Schema::from_json(file.schema.to_string().as_bytes());
    let schema = schema.map_err(|error| fault(path, with_causes(&error)))?;
    let model = Model::from_json(file.model.to_string().as_bytes());
    let model = model.map_err(|error| fault(path, with_causes(&error)))?;
    QuantizedModel::new(&model, &schema).map_err(|error| fault(path, with_causes(&error)))
}

/// Replaces a file as a whole: writes a temporary file in the same folder, then renames it.
///
/// # Errors
/// [`Error::File`].
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = std::fs::File::create(&part)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&part, path));
    written.map_err(|error| {
        // The temporary file is incomplete.
        let _ = std::fs::remove_file(&part);
        Error::file(path, error)
    })
}

fn fault(path: &Path, reason: String) -> Error {
    Error::ModelFile { file: path.display().to_string(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::purchases;
    use crate::train::{Labelled, TrainOptions, train};

    #[test]
    fn a_model_comes_back_as_it_was() {
        let (rows, labels) = purchases(2_000, 3);
        let trained = train(&Labelled { rows, labels }, &TrainOptions::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.json");
        write(&path, &trained.model, trained.quantized.schema()).unwrap();
        assert_eq!(read(&path).unwrap(), trained.quantized);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_model_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.json");
        let missing = read(&path).unwrap_err();
        assert!(matches!(missing, Error::File { .. }) && missing.to_string().contains("model.json"));
        for text in [
            "",
            "[]",
            "{\"format\": \"card-fraud-model\"}",
            "{\"format\":\"x\",\"version\":1,\"schema\":1,\"model\":2}",
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert!(
                matches!(error, Error::ModelFile { .. }) && error.to_string().contains("model.json"),
                "{error}"
            );
        }
    }
}
