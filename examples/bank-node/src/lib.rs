#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[path = "../../../crates/node/src/audit/trail.rs"]
pub mod audit;
#[path = "../../../crates/node/src/certs/make.rs"]
pub mod certs;
#[path = "../../../crates/node/src/clock.rs"]
pub mod clock;
pub mod compare;
pub mod config;
#[path = "../../../crates/node/src/checkpoints.rs"]
mod kept;
#[path = "../../../crates/node/src/keys/files.rs"]
pub mod keys;
#[path = "../../../crates/node/src/node/mod.rs"]
pub mod node;
#[path = "../../../crates/node/src/audited_transport.rs"]
pub mod wire;
