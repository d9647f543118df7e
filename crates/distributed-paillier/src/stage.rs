use std::time::Duration;

/// How far key generation has come.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum KeygenStage {
    /// A batch of candidates was multiplied, sieved and tested once. The number needed is geometric: its median is
    /// 0.69 of `expected`, and one run in a hundred needs 4.6 times as many.
    Candidates {
        /// How many were tried so far.
        tried: u64,
        /// How many are expected in all.
        expected: f64,
        /// How many passed trial division so far.
        sieved: u64,
        /// Time since the start.
        elapsed: Duration,
    },
    /// A modulus passed every biprimality test.
    Modulus {
        /// How many candidates were tried.
        tried: u64,
    },
    /// So many candidates were rejected that all of them are opened and computed again.
    Audit {
        /// How many candidates were tried.
        tried: u64,
    },
    /// The decryption key is shared and its verification keys agree.
    Shared,
}
