//! ONNX files with one tree ensemble of the domain `ai.onnx.ml`.

mod attributes;
mod columns;
mod ensemble;
mod graph;
mod nodes;
mod outputs;
mod proto;
mod scan;
#[cfg(test)]
mod tests;
mod trace;

use prost::Message;

use super::{ImportError, ImportOptions};
use crate::Result;
use crate::model::Model;

/// Greatest size of an ONNX file, in bytes. A node of a tree takes 30 to 60 of them.
pub const MAX_ONNX_BYTES: usize = 256 << 20;

pub(super) fn read(file: &[u8], options: &ImportOptions) -> Result<Model> {
    if file.len() > MAX_ONNX_BYTES {
        let what = "bytes of the file".into();
        return Err(ImportError::TooLarge { what, count: file.len(), limit: MAX_ONNX_BYTES }.into());
    }
    scan::check_counts(file)?;
    let model = proto::Model::decode(file).map_err(|error| damaged(error.to_string()))?;
    let place = graph::find_ensemble(&model)?;
    let parts = ensemble::read(&place, options)?;
    Model::new(parts)
}

fn damaged(reason: impl Into<String>) -> ImportError {
    ImportError::Malformed { format: "ONNX", reason: reason.into() }
}
