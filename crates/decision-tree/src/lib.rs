#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
pub mod import;
pub mod model;

pub use error::{Error, Result};
pub use model::Model;
