//! What an attacker needs that no honest party does: it looks before it speaks, and knows a modulus by its factors.

pub mod rushing;
pub mod trapdoor;
