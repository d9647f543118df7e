//! Compares keys, encryption and products of `subrosa-decision-tree` with `tfhe`'s own implementation of the same. There are only
//! tests here: `cargo test --manifest-path .ci/against-tfhe/Cargo.toml`.

#![forbid(unsafe_code)]
#![cfg(test)]

// The module is private there. It uses nothing else of its crate but the error.
#[allow(dead_code, unused_imports, unreachable_pub, reason = "these tests use a part of it")]
#[path = "../../../crates/decision-tree/src/crypto/mod.rs"]
mod crypto;

mod comparison;

/// Stands for the crate's error.
#[derive(Debug)]
pub(crate) enum Error {
    /// What must hold does not.
    Internal {
        /// What, and where.
        #[allow(dead_code, reason = "printed when a test fails")]
        place: &'static str,
    },
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
