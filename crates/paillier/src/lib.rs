#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
// Marks what needs a feature, on docs.rs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod blinding;
mod bytes;
mod ciphertext;
mod encoding;
mod error;
mod key;
mod packing;
mod private;
#[cfg(feature = "storage")]
pub mod storage;
mod wire;

pub use blinding::{Blinded, Blinder, DEFAULT_TABLE_BYTES, Randomiser, Randomness};
pub use bytes::{MAX_PUBLIC_KEY_BYTES, insecure};
pub use ciphertext::Ciphertext;
pub use encoding::{Encoded, Encoding, EncryptedNumber};
pub use error::PaillierError;
pub use key::{KeyId, MAX_KEY_BITS, MIN_INSECURE_KEY_BITS, MIN_KEY_BITS, PublicKey};
pub use packing::Packing;
pub use private::PrivateKey;
/// Re-exported: keys give its moduli and residues.
pub use subrosa_arith;
/// Re-exported: errors give a kind.
pub use subrosa_failure::FailureKind;
pub use wire::CiphertextBatch;

/// Re-exported: they are in signatures.
#[doc(no_inline)]
pub use {num_bigint, rand_core};
