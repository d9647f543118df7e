//! Tests of the public interface, in one program: each program compiles the protocols anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub,
    reason = "test code"
)]

mod common;
mod decryption;
mod delays;
mod fixtures;
mod proofs;
mod renewal;
mod robustness;
mod storage;
mod vectors;
