#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod audit;
pub mod certs;
pub mod clock;
pub mod compare;
pub mod config;
mod kept;
pub mod keys;
pub mod node;
pub mod wire;
