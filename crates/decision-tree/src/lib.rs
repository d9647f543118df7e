#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod answer;
mod client;
mod conversion;
mod crypto;
mod error;
mod evaluator;
pub mod import;
mod layout;
pub mod model;
pub mod quantized;
mod query;
pub mod schema;
mod sealed;
pub mod service;
mod wire;

#[doc(inline)]
pub use {
    answer::{Answer, AnswerError, MAX_ANSWER_BYTES},
    client::ClientKey,
    conversion::{ConversionKey, PreparedKey},
    crypto::ParameterSet,
    error::{Error, Result},
    evaluator::{EvaluationPlan, EvaluationPlanError, Evaluator, FAILURE_LOG2, QueryError},
    model::{Model, Node},
    quantized::{QuantizedModel, Verdict},
    query::Query,
    schema::{Feature, Grid, Schema},
    sealed::{MAX_SEALED_BYTES, SEALED_VERSION, SealError},
    wire::{CodecError, WIRE_VERSION},
};

/// Re-exported: the cost of a passphrase's key, and the errors of stored keys.
pub use subrosa_sealing::{KdfCost, SealingError};
/// Re-exported: [`service`] uses its types.
pub use subrosa_transport;

/// Re-exported: it is in signatures.
#[doc(no_inline)]
pub use rand_core;
