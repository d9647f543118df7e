#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod combine;
pub mod dealer;
mod error;
mod key;
mod parameters;
mod partial;
pub mod protocol;

pub use combine::Combiner;
pub use error::{DecryptionError, KeyError};
pub use key::{KeyShare, ThresholdKey, ThresholdKeyParts, verification_base, verification_key};
pub use parameters::{Access, STATISTICAL_BITS, coefficient_bound, share_bits};
pub use partial::PartialDecryption;
