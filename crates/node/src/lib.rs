#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod audit;
mod audited_transport;
pub mod certs;
mod checkpoints;
mod clock;
mod config;
pub mod keys;
mod names;
mod node;

pub use checkpoints::CheckpointFolder;
pub use config::{AuditFiles, ConfigError, NodeConfig, Peer, Timeouts, TlsFiles, check_banks};
pub use keys::Passphrase;
pub use node::{Node, NodeError, Task};
/// Re-exported: their types are part of a [`NodeConfig`] and of what a run returns.
pub use {subrosa_distributed_paillier, subrosa_risk_propagation};
