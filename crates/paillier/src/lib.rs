#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod blinding;
mod ciphertext;
mod encoding;
mod error;
mod key;
mod packing;
mod private;
mod wire;

pub use blinding::{Blinded, Blinder, Randomiser, Randomness};
pub use ciphertext::Ciphertext;
pub use encoding::{Encoded, Encoding, EncryptedNumber};
pub use error::PaillierError;
pub use key::{KeyId, MAX_KEY_BITS, MIN_INSECURE_KEY_BITS, MIN_KEY_BITS, PublicKey};
pub use packing::Packing;
pub use private::PrivateKey;
/// Re-exported: keys give its moduli and residues.
pub use subrosa_arith;
pub use wire::CiphertextBatch;
