//! Tests of the public interface, in one program: each program compiles sessions and rounds anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "test code"
)]

mod channel;
mod common;
mod conformance;
mod memory;
mod misbehaviour;
mod opening;
mod rounds;
mod streams;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_connections;
#[cfg(feature = "tls")]
mod tls_impostors;
mod wire;
