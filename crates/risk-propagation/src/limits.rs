//! The bounds of this crate.

/// Greatest number of steps (iterations over all periods) that can be asked for, and of periods.
pub const MAX_STEPS: usize = 10_000;

/// Widest bound on the number of senders of one account, as a power of two.
pub const MAX_IN_DEGREE_BITS: u32 = 31;

/// Longest key that a plan is made for, in bits: more than any key has.
pub const MAX_KEY_BITS: usize = 1 << 16;

/// Most bits of a weight, so that each is one word.
pub const MAX_WEIGHT_BITS: u32 = 60;

/// Greatest length of an account's or a bank's name, in bytes.
pub const NAME_LIMIT: usize = 255;

/// Greatest amount of one transfer, in the smallest unit of money.
pub const MAX_AMOUNT: u64 = 1 << 63;
