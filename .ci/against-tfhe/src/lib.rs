//! Compares keys, encryption and products of `subrosa-decision-tree` with `tfhe`'s own implementation of the same. There are only
//! tests here: `cargo test --manifest-path .ci/against-tfhe/Cargo.toml`.

#![forbid(unsafe_code)]
#![cfg(test)]

// The module is private there. It uses nothing else of its crate.
#[allow(dead_code, unreachable_pub, reason = "these tests use a part of it")]
#[path = "../../../crates/decision-tree/src/crypto/mod.rs"]
mod crypto;

mod comparison;
