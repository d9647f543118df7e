#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod combine;
pub mod dealer;
mod deviation;
mod error;
mod key;
mod lineage;
mod parameters;
mod partial;
mod policy;
mod products;
pub mod proof;
pub mod protocol;
pub mod renewal;
pub mod storage;

pub use combine::Combiner;
pub use deviation::Deviation;
pub use error::{DecryptionError, KeyError};
pub use key::{KeyShare, ThresholdKey, ThresholdKeyParts, verification_base, verification_key};
pub use lineage::Lineage;
pub use parameters::{AccessStructure, STATISTICAL_BITS, coefficient_bound, share_bits};
pub use partial::PartialDecryption;
pub use policy::{DecryptionPolicy, Ledger, PolicyRefusal};
pub use proof::{BatchProof, Challenges, ProofContext};
/// Re-exported: keys and ciphertexts are of the one, sessions of the other.
pub use {subrosa_paillier, subrosa_transport};

/// Re-exported: they are in signatures.
#[doc(no_inline)]
pub use {num_bigint, rand_core};
