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

pub use answer::{Answer, AnswerError, MAX_ANSWER_BYTES};
pub use client::ClientKey;
pub use conversion::{ConversionKey, PreparedKey};
pub use crypto::ParameterSet;
pub use error::{Error, Result};
pub use evaluator::{Evaluator, FAILURE_LOG2, Plan, PlanError, QueryError};
pub use model::{Model, Node};
pub use quantized::{QuantizedModel, Verdict};
pub use query::Query;
pub use schema::{Feature, Grid, Schema};
pub use sealed::{MAX_SEALED_BYTES, SEALED_VERSION, SealError};
/// Re-exported: what stored keys cost to open, and why they cannot be.
pub use subrosa_sealing::{KdfCost, SealingError};
/// Re-exported, since [`service`] speaks its types.
pub use subrosa_transport;
pub use wire::{CodecError, WIRE_VERSION};

/// Re-exported: it is in signatures.
#[doc(no_inline)]
pub use rand_core;
