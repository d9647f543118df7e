//! Scores as a bank computes with them: whole numbers at the scale of a plan, in the clear and encrypted.

mod blocks;
mod ciphertexts;
mod encrypted;
mod fixed;
mod hubs;
mod weights;

pub(crate) use blocks::{blocks, is_hub, uses, window};
pub(crate) use ciphertexts::Ciphertexts;
pub use encrypted::{Encrypted, Part, Received};
pub use fixed::FixedScores;
pub(crate) use fixed::{add_product, from_words, lanes, to_float, to_grid};
pub use weights::Mixing;
pub(crate) use weights::sender_weights;
