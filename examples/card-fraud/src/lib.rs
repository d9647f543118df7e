#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod commands;
mod error;
pub mod exchange;
pub mod gate;
pub mod generate;
pub mod journal;
pub mod metrics;
pub mod model_file;
pub mod server;
pub mod table;
pub mod tcp;
pub mod times;
pub mod train;
pub mod web;

pub use error::{Error, Result};
