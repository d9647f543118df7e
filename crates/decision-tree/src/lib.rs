#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
pub mod import;
pub mod model;
pub mod quantized;
pub mod schema;

pub use error::{Error, Result};
pub use model::Model;
pub use quantized::{QuantizedModel, Verdict};
pub use schema::Schema;
