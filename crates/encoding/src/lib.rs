#![doc = include_str!("../README.md")]

mod hash;
mod hex;
pub mod wire;

pub use hash::Hasher;
pub use hex::{Hex, parse_hex};
