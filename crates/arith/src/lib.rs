#![doc = include_str!("../README.md")]

mod batch;
mod context;
mod ct;
mod error;
mod fixed_base;
pub mod jacobi;
mod kernel;
mod modulus;
mod multi_pow;
mod pow;
pub mod prime;
mod residue;
mod residue_vec;
pub mod sample;
mod secret;
pub mod sieve;
mod wiped;
mod words;

pub use batch::{GROUP, pow_moduli, pow_moduli_small_base, vartime_multi_pow_batch};
pub use error::ArithError;
pub use fixed_base::FixedBase;
pub use kernel::Kernel;
pub use modulus::Modulus;
pub use multi_pow::{WindowTable, vartime_multi_pow_tables, vartime_multi_pow_tables_wide};
pub use residue::Residue;
pub use residue_vec::ResidueVec;
pub use secret::{SecretInt, wipe_uint};
/// Re-exported: errors give a kind.
pub use subrosa_failure::FailureKind;

/// Re-exported: they are in signatures.
#[doc(no_inline)]
pub use {num_bigint, rand_core};
