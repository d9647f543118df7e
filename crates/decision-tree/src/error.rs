//! Every way in which this crate refuses.

use crate::answer::AnswerError;
use crate::evaluator::{PlanError, QueryError};
use crate::import::ImportError;
use crate::model::ModelError;
use crate::quantized::QuantizeError;
use crate::schema::SchemaError;
use crate::sealed::SealError;
use crate::service::ServiceError;
use crate::wire::CodecError;

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
    /// A model whose answers would be wrong too often.
    #[error("planning: {0}")]
    Plan(#[from] PlanError),
    /// A query that the evaluator was not made for.
    #[error("query: {0}")]
    Query(#[from] QueryError),
    /// An answer that the key cannot read.
    #[error("answer: {0}")]
    Answer(#[from] AnswerError),
    /// Bytes that are not what they should be.
    #[error("decoding: {0}")]
    Codec(#[from] CodecError),
    /// A stored key that cannot be opened.
    #[error("the key cannot be stored or opened")]
    Seal(#[from] SealError),
    /// An exchange between client and server that failed.
    #[error("service: {0}")]
    Service(#[from] ServiceError),
    /// A model file that cannot be imported.
    #[error("import: {0}")]
    Import(#[from] ImportError),
    /// What must hold does not: a mistake in this library, and nobody's fault.
    #[error("internal error: {place}")]
    Internal {
        /// What does not hold, and where.
        place: &'static str,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
