#![doc = include_str!("../README.md")]

mod hash;
mod hex;
pub mod wire;

pub use hash::Hasher;
pub use hex::{Hex, parse_hex};

/// Re-exported: it is in signatures.
#[doc(no_inline)]
pub use num_bigint;
