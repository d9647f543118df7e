//! What the fuzz targets and `examples/bank-node/tests/decoders.rs` have in common.

#![forbid(unsafe_code)]

pub mod decoders;
