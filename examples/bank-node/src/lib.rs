#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod audit;
pub mod certs;
pub mod clock;
pub mod compare;
pub mod config;
pub mod keys;
pub mod node;
mod scores;
pub mod wire;
