//! What banks decode: frames, the messages of every round, files.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod files;
mod replay;
mod rounds;
mod setting;
pub mod spoil;

pub use files::*;
pub use rounds::*;
