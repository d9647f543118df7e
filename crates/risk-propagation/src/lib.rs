#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
// Marks what needs a feature, on docs.rs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod audit;
mod banks;
pub mod checkpoint;
#[cfg(any(feature = "arrow", feature = "csv"))]
pub mod data;
mod error;
pub mod explain;
mod forecast;
mod limits;
mod network;
pub mod plaintext;
mod plan;
pub mod record;
mod run;
pub mod shards;
pub mod steps;
#[cfg(feature = "synthetic")]
pub mod synthetic;

#[doc(inline)]
pub use {
    banks::{BankId, Banks, BanksError},
    checkpoint::{CheckpointError, CheckpointProblem, CheckpointStore, FileStore},
    error::{Disagreement, Error, Problem, Rejected, Violation},
    forecast::{Calibration, Forecast},
    limits::{MAX_AMOUNT, MAX_IN_DEGREE_BITS, MAX_KEY_BITS, MAX_STEPS, MAX_WEIGHT_BITS, NAME_LIMIT},
    network::{ForeignAccount, Network, NetworkBuilder, Node, Period, Transfer},
    plan::{DecodeError, Delta, KeyUse, Mismatch, NetworkSizes, Plan, PlanError, Settings, Step},
    run::{Event, Outcome, PROTOCOL, Propagation, Stage, Stopped, parameters},
    steps::agreement::{Agreed, periods::PeriodActivity},
    steps::randomness::RunSeed,
};

/// Re-exported: a session, a key share and a key are what a run is given.
pub use {subrosa_paillier, subrosa_threshold_decryption, subrosa_transport};

/// Re-exported: they are in signatures.
#[doc(no_inline)]
pub use {num_bigint, rand_core};
