#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod agreement;
pub mod banks;
pub mod data;
pub mod disclosure;
pub mod encrypted;
pub mod error;
pub mod fixed;
pub mod generate;
pub mod messages;
pub mod network;
pub mod plaintext;
pub mod plan;
pub mod protocol;
pub mod settings;
pub mod weights;

pub use agreement::Agreed;
pub use banks::{BankId, Banks};
pub use error::{Error, Problem, Rejected};
pub use network::{Network, NetworkBuilder, Transfer};
pub use plan::{NetworkSizes, Plan, PlanError};
pub use protocol::{Event, Outcome, PROTOCOL, Stage, parameters, propagate};
pub use settings::{Delta, Mismatch, Settings, Step};
