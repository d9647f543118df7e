//! The crate's error type.

use crate::answer::AnswerError;
use crate::evaluator::{EvaluationPlanError, QueryError};
use crate::import::ImportError;
use crate::model::ModelError;
use crate::quantized::QuantizeError;
use crate::schema::SchemaError;
use crate::sealed::SealError;
use crate::service::ServiceError;
use crate::wire::CodecError;
use subrosa_transport::FailureKind;

/// What went wrong, one variant per subject.
///
/// A message names the stage; the cause is in `source()`, and [`subrosa_transport::with_causes`] prints both. No message holds a feature
/// value, a key or a plaintext.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model that is malformed or past a limit.
    #[error("the model cannot be used")]
    Model(#[from] ModelError),
    /// A schema that is malformed, or a row that does not fit it.
    #[error("the schema or a row cannot be used")]
    Schema(#[from] SchemaError),
    /// A model that does not fit a schema.
    #[error("the model cannot be quantised")]
    Quantize(#[from] QuantizeError),
    /// A model whose answers would be wrong too often.
    #[error("the model cannot be evaluated under encryption")]
    Plan(#[from] EvaluationPlanError),
    /// A query that the evaluator was not made for.
    #[error("the query cannot be evaluated")]
    Query(#[from] QueryError),
    /// An answer that the key cannot read.
    #[error("the answer cannot be decrypted")]
    Answer(#[from] AnswerError),
    /// Bytes that are not a message of the expected kind.
    #[error("the message cannot be decoded")]
    Codec(#[from] CodecError),
    /// A stored key that cannot be opened.
    #[error("the key cannot be stored or opened")]
    Seal(#[from] SealError),
    /// An exchange between client and server that failed.
    #[error("the exchange with the other side failed")]
    Service(#[from] ServiceError),
    /// A model file that cannot be imported.
    #[error("the model cannot be imported")]
    Import(#[from] ImportError),
    /// A broken invariant: a mistake in this library.
    #[error("internal error: {place}")]
    Internal {
        /// The broken invariant and its place.
        place: &'static str,
    },
}

impl Error {
    /// Whose failure it is.
    ///
    /// ```
    /// use subrosa_decision_tree::subrosa_transport::FailureKind;
    /// use subrosa_decision_tree::{Model, Node};
    ///
    /// let error = Model::classifier(["amount"], ["genuine"], vec![Node::leaf(0, 1.0)]).unwrap_err();
    /// assert_eq!(error.kind(), FailureKind::Input);
    /// ```
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Model(_)
            | Self::Schema(_)
            | Self::Quantize(_)
            | Self::Plan(_)
            | Self::Answer(_)
            | Self::Seal(_) => FailureKind::Input,
            Self::Import(ImportError::InFile { error, .. }) => error.kind(),
            Self::Import(_) => FailureKind::Input,
            Self::Query(QueryError::Schema | QueryError::Parameters) => FailureKind::Limits,
            Self::Query(QueryError::KeyMissing) => FailureKind::Misuse,
            Self::Codec(CodecError::Version { .. } | CodecError::Parameters | CodecError::Schema) => {
                FailureKind::Limits
            }
            Self::Codec(_) => FailureKind::Peer,
            Self::Service(error) => error.kind(),
            Self::Internal { .. } => FailureKind::Internal,
        }
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
