//! The kinds of rounds.

use std::fmt;

/// What the shards of a bank do together in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// [`Exchange::gather`](super::Exchange::gather).
    Gather,
    /// [`Exchange::shuffle`](super::Exchange::shuffle).
    Shuffle,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gather => "gather",
            Self::Shuffle => "shuffle",
        })
    }
}
