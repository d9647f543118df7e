#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cost;
mod error;
pub mod file;
mod format;

pub use cost::KdfCost;
pub use error::SealingError;
pub use format::{Format, Frame};
/// Re-exported: errors give a kind.
pub use subrosa_failure::FailureKind;

/// Re-exported: it is in signatures.
#[doc(no_inline)]
pub use rand_core;
