//! Why the shards of a bank cannot go on together.

use std::error::Error as StdError;

use super::{Shard, Shards, Step};
use crate::error::Error;
use subrosa_transport::FailureKind;

/// Why an [`Exchange`](super::Exchange) failed. All these concern the shards of one bank, and no other bank.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// A record for a shard that does not exist.
    #[error("a record is addressed to {to}, and there are {shards} shards")]
    NoSuchShard {
        /// The address.
        to: Shard,
        /// How many shards there are.
        shards: Shards,
    },
    /// More bytes than can be gathered from a shard.
    #[error("{bytes} bytes to gather are over the limit of {limit} bytes")]
    TooLong {
        /// Length of the bytes.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A shard announced another number of records than arrived.
    #[error("round {round}: {shard} announced {announced} records, and {arrived} arrived")]
    Count {
        /// The sender.
        shard: Shard,
        /// The round.
        round: u32,
        /// How many it announced.
        announced: u64,
        /// How many arrived.
        arrived: u64,
    },
    /// As many records arrived as a shard announced, and they are not those that it sent.
    #[error("round {round}: the records that arrived from {shard} are not those that it sent")]
    Altered {
        /// The sender.
        shard: Shard,
        /// The round.
        round: u32,
    },
    /// Something of another round arrived.
    #[error("{shard} sent something of round {found} where round {expected} goes on")]
    OtherRound {
        /// The sender.
        shard: Shard,
        /// Its round.
        found: u32,
        /// The round here.
        expected: u32,
    },
    /// A shard takes another step in the same round.
    #[error("round {round}: {shard} takes the step {found}, and this shard takes {expected}")]
    OtherStep {
        /// The sender.
        shard: Shard,
        /// The round.
        round: u32,
        /// Its step.
        found: Step,
        /// The step here.
        expected: Step,
    },
    /// Something arrived after the end of a round.
    #[error("round {round}: {shard} sent something after it had ended the round")]
    AfterEnd {
        /// The sender.
        shard: Shard,
        /// The round.
        round: u32,
    },
    /// What arrived does not decode.
    #[error("{shard} sent bytes that do not decode: {reason}")]
    Malformed {
        /// The sender.
        shard: Shard,
        /// What is wrong.
        reason: &'static str,
    },
    /// A shard ended before the others.
    #[error("{shard} has ended, and round {round} goes on")]
    EndedEarly {
        /// The shard.
        shard: Shard,
        /// The round here.
        round: u32,
    },
    /// A shard ended with an error of its own.
    #[error("{shard} failed, and round {round} cannot be completed")]
    Failed {
        /// The shard.
        shard: Shard,
        /// The round here.
        round: u32,
    },
    /// A shard is out of reach, for a reason of the engine that connects the shards.
    #[error("{shard} is out of reach in round {round}")]
    OutOfReach {
        /// The shard.
        shard: Shard,
        /// The round here.
        round: u32,
        /// What the engine says.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// This shard refused a record of another one.
    #[error("round {round}: a record of {shard} is refused")]
    Refused {
        /// The sender.
        shard: Shard,
        /// The round.
        round: u32,
        /// Why.
        source: Box<Error>,
    },
    /// This shard could not make what it was to send.
    #[error("round {round}: this shard cannot make the records that it owes")]
    Unmade {
        /// The round.
        round: u32,
        /// Why.
        source: Box<Error>,
    },
    /// More rounds than can be numbered.
    #[error("there are too many rounds")]
    TooManyRounds,
    /// An earlier error has ended the exchange.
    #[error("an earlier error has ended the exchange")]
    Over,
}

impl ExchangeError {
    /// Whose failure it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Refused { source, .. } | Self::Unmade { source, .. } => source.kind(),
            Self::NoSuchShard { .. } | Self::TooLong { .. } | Self::TooManyRounds | Self::Over => {
                FailureKind::Misuse
            }
            Self::EndedEarly { .. } | Self::Failed { .. } | Self::OutOfReach { .. } => FailureKind::Network,
            // The shards are one bank's own: what they do wrong is a mistake in its programs.
            Self::Count { .. }
            | Self::Altered { .. }
            | Self::OtherRound { .. }
            | Self::OtherStep { .. }
            | Self::AfterEnd { .. }
            | Self::Malformed { .. } => FailureKind::Internal,
        }
    }

    /// The shard that it concerns; none where the error is this shard's own.
    #[must_use]
    pub fn shard(&self) -> Option<Shard> {
        match self {
            Self::NoSuchShard { to: shard, .. }
            | Self::Count { shard, .. }
            | Self::Altered { shard, .. }
            | Self::OtherRound { shard, .. }
            | Self::OtherStep { shard, .. }
            | Self::AfterEnd { shard, .. }
            | Self::Malformed { shard, .. }
            | Self::EndedEarly { shard, .. }
            | Self::Failed { shard, .. }
            | Self::OutOfReach { shard, .. }
            | Self::Refused { shard, .. } => Some(*shard),
            Self::TooLong { .. } | Self::Unmade { .. } | Self::TooManyRounds | Self::Over => None,
        }
    }
}
