use crate::KeyError;
use subrosa_arith::ArithError;
use subrosa_transport::{Culprits, FailureKind, PartyId, SessionError};

/// Why shares were not renewed. The old ones stay valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewalError {
    /// New shares could be longer than allowed. Nothing was sent.
    #[error("new shares could have {bits} bits, more than the limit of {limit}")]
    Bound {
        /// Bound on the bits of a new share.
        bits: u64,
        /// The limit.
        limit: u64,
    },
    /// Session, key and seats do not belong together.
    #[error("the session does not fit the key: {reason}")]
    Roster {
        /// What does not fit.
        reason: &'static str,
    },
    /// The dealers of a resharing are not t+1 different parties of the key.
    #[error("the dealers are not t + 1 different parties of the key")]
    Dealers,
    /// A party's share or commitments do not fit each other.
    #[error("{dealer} dealt wrongly: {reason}")]
    BadDealer {
        /// The party to blame.
        dealer: PartyId,
        /// What is wrong.
        reason: &'static str,
    },
    /// The sum of the shares is a value that no honest dealing gives. It is unknown whose fault it is.
    #[error("the dealt shares are inconsistent: {reason}")]
    Inconsistent {
        /// What is wrong.
        reason: &'static str,
    },
    /// The new key or share is not valid.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A number did not fit.
    #[error(transparent)]
    Arith(#[from] ArithError),
    /// A party failed, or the network did.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// An invariant does not hold. This is a mistake in this library, and no party's fault.
    #[error("internal error: {place}")]
    Internal {
        /// The invariant, and its place.
        place: &'static str,
    },
}

impl RenewalError {
    /// Whose failure it is.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::BadDealer { .. } | Self::Inconsistent { .. } => FailureKind::Peer,
            Self::Session(error) => error.kind(),
            Self::Key(error) => error.kind(),
            Self::Bound { .. } | Self::Roster { .. } | Self::Dealers => FailureKind::Input,
            // The dealt values have been checked before.
            Self::Arith(_) | Self::Internal { .. } => FailureKind::Internal,
        }
    }

    /// The parties to blame, as far as they can be told.
    pub fn culprits(&self) -> Vec<PartyId> {
        match self {
            Self::BadDealer { dealer, .. } => vec![*dealer],
            Self::Session(error) => error.culprits(),
            Self::Key(error) => error.culprits(),
            Self::Bound { .. }
            | Self::Roster { .. }
            | Self::Dealers
            | Self::Inconsistent { .. }
            | Self::Arith(_)
            | Self::Internal { .. } => vec![],
        }
    }
}

impl Culprits for RenewalError {
    fn culprits(&self) -> Vec<PartyId> {
        Self::culprits(self)
    }
}
