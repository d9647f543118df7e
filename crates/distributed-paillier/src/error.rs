use subrosa_arith::ArithError;
use subrosa_paillier::PaillierError;
use subrosa_shamir::ShamirError;
use subrosa_threshold_decryption::{DecryptionError, KeyError};
use subrosa_transport::{Culprits, FailureKind, Malformed, PartyId, SessionError};

/// Why no key came about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeygenError {
    /// A key of this size is refused before the first message.
    #[error("a key of {bits} bits: the size must be even, from {least} to {greatest}")]
    KeySize {
        /// What was asked for.
        bits: u64,
        /// The least size.
        least: u64,
        /// The greatest size.
        greatest: u64,
    },
    /// The session's roster is not that of the parameters, or a step was given another number of messages than there are
    /// parties.
    #[error("the parameters say {expected} parties, there are {found}")]
    Roster {
        /// Parties in the parameters.
        expected: u32,
        /// Parties in the roster, or messages.
        found: usize,
    },
    /// The messages of a batch of this size would not fit a frame.
    #[error("a batch of {candidates} candidates takes frames of {bytes} bytes, the session allows {limit}")]
    Batch {
        /// Candidates in a batch.
        candidates: usize,
        /// Length of the longest message, in bytes.
        bytes: usize,
        /// The session's limit, in bytes.
        limit: usize,
    },
    /// A party sent a message that no honest party sends.
    #[error("{party} sent an invalid message: {reason}")]
    Invalid {
        /// The party to blame.
        party: PartyId,
        /// What is wrong.
        reason: Malformed,
    },
    /// A party deviated: the run computed again from opened seeds shows it, or the party contradicts its own
    /// commitment.
    #[error("{party} did not follow the protocol: {reason}")]
    Deviated {
        /// The party to blame.
        party: PartyId,
        /// How it deviated.
        reason: &'static str,
    },
    /// The openings contradict each other, or give a modulus of the wrong form. It is unknown who lied.
    #[error("the openings are inconsistent: {reason}")]
    Inconsistent {
        /// What is wrong.
        reason: &'static str,
    },
    /// No modulus was found among more candidates than an honest run ever needs.
    #[error("no key among {candidates} candidates: some party does not follow the protocol")]
    Exhausted {
        /// How many were tried.
        candidates: u64,
    },
    /// The key or its shares are not valid.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The trial decryption went wrong.
    #[error("the trial decryption failed")]
    Decryption(#[from] DecryptionError),
    /// A party failed, or the network did.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The modulus is not acceptable.
    #[error(transparent)]
    Paillier(#[from] PaillierError),
    /// A sharing went wrong.
    #[error(transparent)]
    Shamir(#[from] ShamirError),
    /// A number did not fit.
    #[error(transparent)]
    Arith(#[from] ArithError),
    /// An invariant does not hold. This is a mistake in this library, and no party's fault.
    #[error("internal error: {place}")]
    Internal {
        /// The invariant, and its place.
        place: &'static str,
    },
}

impl KeygenError {
    pub(crate) fn invalid(party: PartyId, reason: &str) -> Self {
        Self::Invalid { party, reason: Malformed::new(reason) }
    }

    /// Converts the error of shares that do not open. Other errors of a sharing stay as they are.
    pub(crate) fn unopened(error: ShamirError, reason: &'static str) -> Self {
        match error {
            ShamirError::Inconsistent { .. } => Self::Inconsistent { reason },
            error => Self::Shamir(error),
        }
    }

    /// Whether a check failed at all parties without naming a culprit. Errors of the cryptosystem, a sharing or a range
    /// also follow from broadcasts alone, and not from private values of a party.
    pub(crate) fn is_unexplained(&self) -> bool {
        // A mistake of this library need not occur at the others.
        if self.kind() == FailureKind::Internal {
            return false;
        }
        match self {
            Self::Inconsistent { .. }
            | Self::Key(_)
            | Self::Paillier(_)
            | Self::Shamir(_)
            | Self::Arith(_) => true,
            Self::Decryption(error) => error.culprits().is_empty(),
            Self::KeySize { .. }
            | Self::Roster { .. }
            | Self::Batch { .. }
            | Self::Invalid { .. }
            | Self::Deviated { .. }
            | Self::Exhausted { .. }
            | Self::Internal { .. }
            | Self::Session(_) => false,
        }
    }

    /// Returns whose failure it is. If a check fails at all parties, some party does not follow the protocol, even if
    /// it is unknown which.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::KeySize { .. } | Self::Roster { .. } | Self::Batch { .. } => FailureKind::Input,
            Self::Internal { .. } => FailureKind::Internal,
            Self::Key(error) if error.kind() == FailureKind::Internal => FailureKind::Internal,
            Self::Paillier(error) if error.kind() == FailureKind::Internal => FailureKind::Internal,
            Self::Shamir(error) if error.kind() == FailureKind::Internal => FailureKind::Internal,
            Self::Invalid { .. }
            | Self::Deviated { .. }
            | Self::Inconsistent { .. }
            | Self::Exhausted { .. }
            | Self::Key(_)
            | Self::Paillier(_)
            | Self::Shamir(_)
            | Self::Arith(_) => FailureKind::Peer,
            Self::Decryption(error) => error.kind(),
            Self::Session(error) => error.kind(),
        }
    }

    /// Returns the parties to blame, as far as they are known. If a party ended the run, those that it blames are its
    /// word only.
    pub fn culprits(&self) -> Vec<PartyId> {
        match self {
            Self::Invalid { party, .. } | Self::Deviated { party, .. } => vec![*party],
            Self::Session(error) => error.culprits(),
            Self::Decryption(error) => error.culprits(),
            Self::KeySize { .. }
            | Self::Roster { .. }
            | Self::Batch { .. }
            | Self::Inconsistent { .. }
            | Self::Exhausted { .. }
            | Self::Key(_)
            | Self::Paillier(_)
            | Self::Shamir(_)
            | Self::Arith(_)
            | Self::Internal { .. } => vec![],
        }
    }
}

impl Culprits for KeygenError {
    fn culprits(&self) -> Vec<PartyId> {
        Self::culprits(self)
    }
}
