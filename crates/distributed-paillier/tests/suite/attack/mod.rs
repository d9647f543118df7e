//! A party that deviates from the protocol, as strong as a party can be: it looks before it speaks, it tells its peers
//! different things, and it knows a modulus by its factors.
//!
//! The honest parties run the library's own driver over sessions.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod deviant;
pub mod factoring;
pub mod forge;
pub mod rushing;
pub mod script;
pub mod stage;
pub mod trapdoor;
