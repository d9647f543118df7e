use crate::PolicyRefusal;
use subrosa_arith::ArithError;
use subrosa_paillier::PaillierError;
use subrosa_shamir::ShamirError;
use subrosa_transport::{Culprits, FailureKind, PartyId, SessionError};

/// What can be wrong with a threshold key or a share of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The numbers of parties do not make an honest majority.
    #[error(
        "{parties} parties with threshold {threshold} cannot share a key: 1 ≤ t and 2t + 1 ≤ n ≤ 100 must hold"
    )]
    AccessStructure {
        /// n.
        parties: u32,
        /// t.
        threshold: u32,
    },
    /// A public constant is outside its range.
    #[error("the threshold key is not valid: {reason}")]
    Invalid {
        /// Which constant, and why.
        reason: &'static str,
    },
    /// The verification keys do not belong to one decryption key.
    #[error("the verification keys do not belong to shares of one decryption key")]
    InconsistentVerificationKeys,
    /// A share that does not belong to its verification key.
    #[error("the share of {party} does not match its verification key")]
    ShareMismatch {
        /// The party whose share it is.
        party: PartyId,
    },
    /// The Paillier key is not acceptable.
    #[error(transparent)]
    Paillier(#[from] PaillierError),
    /// A number did not fit.
    #[error(transparent)]
    Arith(#[from] ArithError),
    /// A sharing went wrong.
    #[error(transparent)]
    Shamir(#[from] ShamirError),
}

impl KeyError {
    /// Returns whose failure it is. An invalid key counts as input. A caller that got it from a peer knows better.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::ShareMismatch { .. } => FailureKind::Peer,
            Self::Paillier(error) => error.kind(),
            Self::Arith(error) => error.kind(),
            Self::Shamir(error) => error.kind(),
            Self::AccessStructure { .. } | Self::Invalid { .. } | Self::InconsistentVerificationKeys => {
                FailureKind::Input
            }
        }
    }

    /// The parties to blame, as far as they can be told.
    pub fn culprits(&self) -> Vec<PartyId> {
        match self {
            Self::ShareMismatch { party } => vec![*party],
            Self::AccessStructure { .. }
            | Self::Invalid { .. }
            | Self::InconsistentVerificationKeys
            | Self::Paillier(_)
            | Self::Arith(_)
            | Self::Shamir(_) => vec![],
        }
    }
}

/// Why a decryption did not come about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptionError {
    /// A ciphertext is not valid or is under another key.
    #[error("a ciphertext cannot be decrypted")]
    Ciphertext(#[source] PaillierError),
    /// Fewer partial decryptions than t + 1.
    #[error("{given} partial decryptions are too few, {needed} are needed")]
    TooFew {
        /// How many there were.
        given: usize,
        /// t + 1.
        needed: usize,
    },
    /// There are two partial decryptions of one party, or one of an unknown party.
    #[error("the partial decryptions name {party} twice, or it is not a party of this key")]
    BadParty {
        /// The party.
        party: PartyId,
    },
    /// A party's partial decryptions do not fit the ciphertexts.
    #[error("the partial decryptions of {party} are not valid: {reason}")]
    BadPartial {
        /// The party to blame.
        party: PartyId,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The partial decryptions do not come from shares of one key.
    #[error("the partial decryptions of ciphertext {index} contradict each other")]
    Inconsistent {
        /// Place of the ciphertext in the batch, from 0.
        index: usize,
    },
    /// The session is not one of the parties of the key.
    #[error("the session's roster has {found} parties, the key {expected}")]
    Roster {
        /// Parties of the key.
        expected: u32,
        /// Parties of the session.
        found: usize,
    },
    /// A party asks for more than this party's policy allows. Nothing was computed.
    #[error("{asker} may not have this decrypted: {refusal}")]
    Refused {
        /// The party that asks.
        asker: PartyId,
        /// What stands in its way.
        refusal: PolicyRefusal,
    },
    /// The checks need more answers than there are parties.
    #[error("t + 1 answers and {spares} spare ones are more than {parties} parties can give")]
    TooManySpares {
        /// Answers beyond t + 1.
        spares: usize,
        /// Parties of the key.
        parties: u32,
    },
    /// The key or a share of it is not usable.
    #[error(transparent)]
    Key(#[from] KeyError),
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

impl DecryptionError {
    /// Returns whose failure it is.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::BadParty { .. }
            | Self::BadPartial { .. }
            | Self::Inconsistent { .. }
            | Self::Refused { .. } => FailureKind::Peer,
            Self::Session(error) => error.kind(),
            Self::Key(error) => error.kind(),
            Self::Ciphertext(error) => error.kind(),
            Self::Internal { .. } => FailureKind::Internal,
            Self::TooFew { .. } | Self::TooManySpares { .. } | Self::Roster { .. } => FailureKind::Input,
        }
    }

    /// The parties to blame, as far as they can be told.
    pub fn culprits(&self) -> Vec<PartyId> {
        match self {
            Self::BadParty { party } | Self::BadPartial { party, .. } => vec![*party],
            Self::Session(error) => error.culprits(),
            Self::Refused { asker, .. } => vec![*asker],
            Self::Key(error) => error.culprits(),
            Self::Ciphertext(_)
            | Self::TooFew { .. }
            | Self::Inconsistent { .. }
            | Self::TooManySpares { .. }
            | Self::Roster { .. }
            | Self::Internal { .. } => vec![],
        }
    }
}

impl Culprits for DecryptionError {
    fn culprits(&self) -> Vec<PartyId> {
        Self::culprits(self)
    }
}
