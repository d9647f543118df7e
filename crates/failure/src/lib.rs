#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod causes;
mod kind;

pub use causes::with_causes;
pub use kind::FailureKind;
