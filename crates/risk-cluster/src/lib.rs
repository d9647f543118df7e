#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cluster;
mod connect;
mod engine;
mod error;
mod greeting;
mod hosted;
mod link;
mod panics;
mod parcel;
mod post;
mod trust;
mod worker;

pub use cluster::Cluster;
pub use error::{ClusterError, Common, ConfigError, ConnectProblem, LossReason, LostWorker, Missing};
pub use panics::{EXIT_CODE, exit_on_panic};
/// Re-exported: certificates and keys are what a worker is given.
pub use rustls::pki_types;
/// Re-exported: the shards of a bank and what they do among each other.
pub use subrosa_risk_propagation;
pub use worker::{Limits, Worker};
