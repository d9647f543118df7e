//! Errors of a session: a peer broke the protocol, the network failed, parties saw different things, or this program
//! has a bug.

use std::fmt;

use crate::{Fault, Malformed, PartyId, Protocol};
use subrosa_failure::{FailureKind, with_causes};

/// How a peer broke the protocol. The text is a phrase whose subject is the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A frame shorter than its header.
    #[error("sent a frame of {bytes} bytes, too short for a header")]
    TooShort {
        /// The frame's length.
        bytes: usize,
    },
    /// A frame that does not begin as frames of a session do.
    #[error("sent something that is not a frame of a session")]
    BadMagic,
    /// A version of the frame format that this library does not know.
    #[error("speaks version {version} of the frame format, which is unknown here")]
    UnknownVersion {
        /// The version in the frame.
        version: u8,
    },
    /// A kind of frame that does not exist.
    #[error("sent a frame of unknown kind {kind}")]
    UnknownKind {
        /// The kind in the frame.
        kind: u8,
    },
    /// A frame of a kind that does not belong in this step.
    #[error("sent a frame of a kind that does not belong here")]
    WrongKind,
    /// A frame of another session.
    #[error("sent a frame of another session")]
    WrongSession,
    /// A frame that names another sender than the channel does.
    #[error("sent a frame in the name of {claimed}")]
    WrongSender {
        /// The sender that the frame names.
        claimed: PartyId,
    },
    /// A frame of a step that is over: a duplicate, a replay, or one that was not owed.
    #[error("sent a frame of step {step} again or late, at step {expected}")]
    Repeated {
        /// The step in the frame.
        step: u32,
        /// The step that is going on here.
        expected: u32,
    },
    /// A frame of a later step, while this step's is missing.
    #[error("sent a frame of step {step} too early, at step {expected}")]
    Early {
        /// The step in the frame.
        step: u32,
        /// The step that is going on here.
        expected: u32,
    },
    /// A frame of a stream that its sender may send only after a frame of mine which I have not sent yet.
    #[error("sent a frame of step {step}, more than a window ahead of step {expected}")]
    TooFarAhead {
        /// The step in the frame.
        step: u32,
        /// The next step for which I send.
        expected: u32,
    },
    /// A frame of this step, but of another round.
    #[error("sent a frame of another round")]
    WrongRound,
    /// A message longer than its round allows.
    #[error("sent a message of {bytes} bytes where at most {limit} are allowed")]
    Oversized {
        /// The message's length.
        bytes: usize,
        /// The round's limit.
        limit: usize,
    },
    /// A message that does not decode, or that is followed by more bytes.
    #[error("sent a message that does not decode")]
    Undecodable,
    /// A message that its check refused.
    #[error("sent a malformed message: {0}")]
    Refused(Malformed),
    /// A transcript that contradicts the one that this peer confirmed before.
    #[error("contradicts the transcript that it confirmed before")]
    ContradictsItself,
    /// A peer that owes frames of too many steps that went on without it.
    #[error("is too many steps behind")]
    TooFarBehind,
    /// Too many frames of earlier sessions before the greeting.
    #[error("sent too many frames before its greeting")]
    TooManyLeftovers,
}

/// What went wrong with one peer. The text is a phrase whose subject is the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The peer broke the protocol.
    #[error(transparent)]
    Violation(Violation),
    /// The network failed, or the peer fell silent.
    #[error(transparent)]
    Network(Fault),
    /// The peer was started with other settings than this party.
    #[error("has {field} = {theirs:?}, here it is {mine:?}")]
    Differs {
        /// Field that differs: `protocol`, `version`, `roster`, `channel identities` or `parameter …`.
        field: String,
        /// The value here.
        mine: String,
        /// The peer's value.
        theirs: String,
    },
    /// The peer received other broadcasts than this party. It is unknown which party caused that.
    #[error("saw other broadcasts")]
    EchoMismatch,
    /// The peer gave up.
    #[error("aborted: {reason}")]
    Aborted {
        /// Its reason, cut and cleaned of control characters.
        reason: String,
        /// Whom it blames. This is its word, not a finding.
        culprits: Vec<PartyId>,
    },
}

/// One peer and what went wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {cause}")]
#[non_exhaustive]
pub struct Failure {
    /// The peer.
    pub party: PartyId,
    /// Its name.
    pub name: String,
    /// The name of the round.
    pub round: &'static str,
    /// What happened.
    pub cause: Cause,
}

/// A mistake of the code that uses a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The session ended with an error or an abort before.
    #[error("the session has ended")]
    Closed,
    /// The session was opened for another protocol.
    #[error(
        "the session was opened for {} version {}, and {} version {} was to run in it",
        found.name, found.version, expected.name, expected.version
    )]
    OtherProtocol {
        /// The protocol that was to run.
        expected: Protocol,
        /// The protocol of the session.
        found: Protocol,
    },
    /// The session was opened with other parameters.
    #[error("the session for {} was opened with another value of `{field}`, or without it", protocol.name)]
    OtherParameters {
        /// The protocol.
        protocol: Protocol,
        /// The first parameter that differs.
        field: String,
    },
    /// This party's own message is longer than its round allows.
    #[error("my message of {bytes} bytes in round {round} is over the limit of {limit}")]
    TooLong {
        /// The round.
        round: &'static str,
        /// The message's length.
        bytes: usize,
        /// The round's limit, or the session's limit for frames.
        limit: usize,
    },
    /// This party's own message cannot be encoded.
    #[error("my message in round {round} cannot be encoded")]
    Unencodable {
        /// The round.
        round: &'static str,
    },
    /// The sender of a one-to-all broadcast gave no message, or another party gave one.
    #[error("in round {round} exactly the sender gives a message")]
    WrongSender {
        /// The round.
        round: &'static str,
    },
    /// The roster has no such party.
    #[error("{party} is not in the roster")]
    UnknownParty {
        /// The party.
        party: PartyId,
    },
    /// A collecting round needs a transcript that every remaining party has confirmed.
    #[error(
        "round {round} collects answers, so `confirm` comes first: {name} has not confirmed the broadcasts"
    )]
    Unconfirmed {
        /// The round.
        round: &'static str,
        /// A party whose confirmation is missing.
        name: String,
    },
    /// The parameters are too many, too long, or two have one name.
    #[error("bad session parameters: {0}")]
    Parameters(String),
    /// The transport refused a call: a frame over its limit or a party that it does not have.
    #[error("the transport refused a frame for {name} in round {round}: it {fault}")]
    Transport {
        /// The round.
        round: &'static str,
        /// The party.
        name: String,
        /// What the transport objected to.
        fault: Fault,
    },
    /// The session has more steps than the counter holds.
    #[error("the session has too many steps")]
    TooManySteps,
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// One or more peers failed in a round that needs all of them.
    #[error("round {round}: {}", List(failures))]
    Failed {
        /// The round.
        round: &'static str,
        /// Every failure of the round, in roster order.
        failures: Vec<Failure>,
    },
    /// Too few answers were left in a collecting round.
    #[error("round {round}: {answered} of the {enough} answers needed; {}", List(failures))]
    NotEnough {
        /// The round.
        round: &'static str,
        /// How many answers of others were needed.
        enough: usize,
        /// How many came.
        answered: usize,
        /// Every party that failed in this round or before, in roster order.
        failures: Vec<Failure>,
    },
    /// Two parties received different broadcasts. One of the two lies, or the sender sent them different messages. This
    /// party cannot tell which.
    #[error("round {round}: {me_name} and {other_name} saw different broadcasts")]
    EchoMismatch {
        /// This party.
        me: PartyId,
        /// The party whose transcript differs.
        other: PartyId,
        /// Name of this party.
        me_name: String,
        /// Name of the other party.
        other_name: String,
        /// The round in which the difference was found.
        round: &'static str,
    },
    /// A peer gave up and told all parties.
    #[error("{name} aborted: {reason}")]
    Aborted {
        /// The peer that gave up.
        by: PartyId,
        /// Its name.
        name: String,
        /// Its reason, cut and cleaned of control characters.
        reason: String,
        /// Whom it blames. This is its word, not a finding.
        culprits: Vec<PartyId>,
    },
    /// A mistake of the code that uses the session.
    #[error("misuse of a session")]
    Misuse(#[from] Misuse),
}

struct List<'a>(&'a [Failure]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, failure) in self.0.iter().enumerate() {
            write!(f, "{}{failure}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl SessionError {
    /// Returns whose failure it is. Of several kinds it returns the [gravest](FailureKind::gravest).
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Failed { failures, .. } | Self::NotEnough { failures, .. } => {
                let kinds = failures.iter().map(|failure| failure.cause.kind());
                FailureKind::gravest(kinds).unwrap_or(FailureKind::Network)
            }
            Self::EchoMismatch { .. } => FailureKind::Disagreement,
            Self::Aborted { .. } => FailureKind::Abort,
            Self::Misuse(_) => FailureKind::Misuse,
        }
    }

    /// Returns the failures of single peers that make up this error, if it is one of those.
    pub fn failures(&self) -> &[Failure] {
        match self {
            Self::Failed { failures, .. } | Self::NotEnough { failures, .. } => failures,
            Self::EchoMismatch { .. } | Self::Aborted { .. } | Self::Misuse(_) => &[],
        }
    }

    /// Returns the peers that broke the protocol, as this party saw it. The fault is theirs or that of their software.
    pub fn violators(&self) -> Vec<PartyId> {
        let broke = |failure: &&Failure| matches!(failure.cause, Cause::Violation(_));
        self.failures().iter().filter(broke).map(|failure| failure.party).collect()
    }
}

impl Cause {
    /// Whose failure it is.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Violation(_) => FailureKind::Peer,
            Self::Network(_) => FailureKind::Network,
            Self::Differs { .. } => FailureKind::Limits,
            Self::EchoMismatch => FailureKind::Disagreement,
            Self::Aborted { .. } => FailureKind::Abort,
        }
    }
}

/// Errors that can name the parties to blame.
pub trait Culprits {
    /// Returns the parties to blame. Empty if no party can be named.
    fn culprits(&self) -> Vec<PartyId>;

    /// Returns what the other parties are told of the error: its text and its causes. A type overrides this if those
    /// contain what the others need not know.
    fn reported(&self) -> String
    where
        Self: std::error::Error + Sized + 'static,
    {
        with_causes(self)
    }
}

impl Culprits for Failure {
    fn culprits(&self) -> Vec<PartyId> {
        match &self.cause {
            Cause::Violation(_) | Cause::Network(_) | Cause::Differs { .. } => vec![self.party],
            Cause::EchoMismatch => Vec::new(),
            Cause::Aborted { culprits, .. } => culprits.clone(),
        }
    }
}

impl Culprits for SessionError {
    fn culprits(&self) -> Vec<PartyId> {
        SessionError::culprits(self)
    }
}

impl SessionError {
    /// Returns the parties to blame: those that broke the protocol, fell silent, cannot be reached or have other
    /// settings. After an abort these are the parties that the aborting party blames, and only its word supports that.
    /// An echo mismatch names nobody, because it never shows who caused it.
    ///
    /// If a party is silent, the network may be at fault as well as the party. [`SessionError::violators`] gives only
    /// the parties that certainly broke the protocol.
    pub fn culprits(&self) -> Vec<PartyId> {
        let mut culprits = match self {
            Self::Failed { failures, .. } | Self::NotEnough { failures, .. } => {
                failures.iter().flat_map(Culprits::culprits).collect()
            }
            Self::Aborted { culprits, .. } => culprits.clone(),
            Self::EchoMismatch { .. } | Self::Misuse(_) => Vec::new(),
        };
        culprits.sort_unstable();
        culprits.dedup();
        culprits
    }
}
