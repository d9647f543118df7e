//! Every way in which this crate refuses.

use crate::import::ImportError;
use crate::model::ModelError;
use crate::quantized::QuantizeError;
use crate::schema::SchemaError;

/// What went wrong, one variant per subject.
///
/// No message holds a feature value, a key or a plaintext.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model that is malformed or past a limit.
    #[error("model: {0}")]
    Model(#[from] ModelError),
    /// A schema that is malformed, or a row that does not fit it.
    #[error("schema: {0}")]
    Schema(#[from] SchemaError),
    /// A model that does not fit a schema.
    #[error("quantising: {0}")]
    Quantize(#[from] QuantizeError),
    /// A model file that cannot be imported.
    #[error("import: {0}")]
    Import(#[from] ImportError),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
