//! What the fuzz targets feed, in three parts: what banks decode, tables in columns, and what the two sides of encrypted trees
//! decode.
//!
//! One function for each kind of bytes from outside: whatever the bytes, it returns. A panic, a hang or memory without
//! bound is a finding. Ordinary tests call the same functions with arbitrary bytes: `examples/bank-node/tests/decoders.rs`
//! and `crates/decision-tree/tests/decoders.rs`.

#![forbid(unsafe_code)]

pub mod banks;
#[cfg(feature = "arrow")]
pub mod tables;
#[cfg(feature = "trees")]
pub mod trees;
