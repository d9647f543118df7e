#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod biprimality;
pub mod candidates;
pub mod dealing;
mod driver;
mod error;
pub mod messages;
mod parameters;
pub mod receipts;
pub mod records;
pub mod replay;
pub mod sharing;
mod stage;
pub mod winner;

pub use driver::{Keygen, PROTOCOL};
pub use error::KeygenError;
pub use parameters::{KeygenParameters, SecurityLevel};
pub use stage::KeygenStage;
pub use subrosa_threshold_decryption::{KeyShare, ThresholdKey};
/// Re-exported: the one uses the key, the other carries the messages.
pub use {subrosa_threshold_decryption, subrosa_transport};

/// Re-exported: they are in signatures.
#[doc(no_inline)]
pub use {num_bigint, rand_core};
