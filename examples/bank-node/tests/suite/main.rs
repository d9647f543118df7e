//! All tests of `bank-node` in one executable: each executable would compile the protocols anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "test code"
)]

#[cfg(unix)]
mod certificates;
#[cfg(unix)]
mod common;
mod decoders;
#[cfg(unix)]
mod faults;
#[cfg(unix)]
mod recompute;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod trail;
