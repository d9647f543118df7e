//! Tests of the public interface, in one program: each program compiles the protocol anew.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, reason = "test code")]

mod audit;
mod banks;
mod cheating;
mod checkpoints;
mod common;
mod data;
mod disclosure;
mod explain;
mod hostile;
mod inconsistent;
mod reference;
mod senders;
mod steps;
mod windows;
