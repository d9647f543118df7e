#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod field;
mod integer;
mod lagrange;
mod product_check;
mod share;

pub use error::ShamirError;
pub use field::{Opener, PrimeField};
pub use integer::IntegerSharing;
pub use lagrange::{factorial, integer_lagrange, integer_lagrange_at_zero};
pub use product_check::{ProductCheck, Triple};
pub use share::{FieldShare, IntegerShare};
/// Re-exported: shares hold its secret integers.
pub use subrosa_arith;
