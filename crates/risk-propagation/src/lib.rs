#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
// Marks what needs a feature, on docs.rs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod agreement;
pub mod audit;
pub mod banks;
pub mod checkpoint;
mod ciphertexts;
pub mod data;
pub mod disclosure;
pub mod encrypted;
pub mod error;
pub mod explain;
pub mod fixed;
pub mod forecast;
pub mod generate;
pub mod links;
pub mod messages;
pub mod network;
pub mod periods;
pub mod plaintext;
pub mod plan;
pub mod protocol;
pub mod randomness;
pub mod record;
mod resume;
pub mod senders;
pub mod settings;
pub mod weights;

pub use agreement::Agreed;
pub use banks::{BankId, Banks};
pub use checkpoint::{CheckpointError, CheckpointProblem, CheckpointStore, FileStore};
pub use error::{Error, Problem, Rejected};
pub use forecast::{Calibration, Forecast};
pub use network::{Network, NetworkBuilder, Transfer};
pub use periods::PeriodActivity;
pub use plan::{NetworkSizes, Plan, PlanError};
pub use protocol::{Event, Outcome, PROTOCOL, Propagation, Stage, Stopped, parameters};
pub use randomness::RunSeed;
pub use settings::{Delta, KeyUse, Mismatch, Settings, Step};

/// Re-exported: a session, a key share and a key are what a run is given.
pub use {subrosa_paillier, subrosa_threshold_decryption, subrosa_transport};

/// Re-exported: it is in signatures.
#[doc(no_inline)]
pub use rand_core;
