//! What must hold of the workspace as a whole, and belongs to no crate.
//!
//! The tests of this package are quick: links between documents, names in documents, contents of packages. The program runs what
//! has to compile: `cargo run -p subrosa-checks -- api` compares public interfaces with `.ci/public-api.txt`, `features` checks
//! each library with each of its features alone, and `first-hour` runs the programs of `docs/first-hour.md`.

#![forbid(unsafe_code)]

pub mod api;
pub mod features;
pub mod first_hour;
pub mod markdown;
pub mod workspace;

/// Why a check could not be made, or what it found.
pub type Failure = Box<dyn std::error::Error>;
