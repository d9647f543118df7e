#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;

mod integer;
mod lagrange;
mod product_check;
mod ring;
mod share;

pub use error::ShamirError;
pub use integer::IntegerSharing;
pub use lagrange::{factorial, integer_lagrange, integer_lagrange_at_zero};
pub use product_check::{ProductCheck, Triple};
pub use ring::{Opener, ProductRing, ShareRing};
pub use share::{IntegerShare, RingShare};
/// Re-exported: shares hold its secret integers.
pub use subrosa_arith;
/// Re-exported: errors give a kind.
pub use subrosa_failure::FailureKind;

/// Re-exported: they are in signatures.
#[doc(no_inline)]
pub use {num_bigint, rand_core};
