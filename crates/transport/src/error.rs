//! Errors of a session, in kinds: a peer broke the protocol, the network failed, views differ, a bug here.

use std::fmt;

use crate::{Fault, Malformed, PartyId, Protocol};

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
    /// A message that does not decode, or that leaves bytes over.
    #[error("sent a message that does not decode")]
    Undecodable,
    /// A message that its check refused.
    #[error("sent a malformed message: {0}")]
    Refused(Malformed),
    /// A transcript that contradicts the one which this peer has already confirmed to me.
    #[error("contradicts the transcript that it confirmed before")]
    ContradictsItself,
    /// A peer that owes too many steps which went on without it.
    #[error("is too many steps behind")]
    TooFarBehind,
    /// Too many frames of earlier sessions before the greeting.
    #[error("sent too many frames before its greeting")]
    TooManyLeftovers,
}

/// What befell the exchange with one peer. The text is a phrase whose subject is the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The peer broke the protocol.
    #[error(transparent)]
    Violation(Violation),
    /// The network failed, or the peer fell silent.
    #[error(transparent)]
    Network(Fault),
    /// The peer was started with something else than I was.
    #[error("has {field} = {theirs:?}, here it is {mine:?}")]
    Differs {
        /// What differs: `protocol`, `version`, `roster`, `channel identities` or `parameter …`.
        field: String,
        /// The value here.
        mine: String,
        /// The peer's value.
        theirs: String,
    },
    /// The peer saw other broadcast messages than I did. Which party caused that is unknown.
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

/// One peer and what befell the exchange with it.
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
        /// That of the session.
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
    /// My own message is longer than its round allows.
    #[error("my message of {bytes} bytes in round {round} is over the limit of {limit}")]
    TooLong {
        /// The round.
        round: &'static str,
        /// The message's length.
        bytes: usize,
        /// The round's limit, or the session's limit for frames.
        limit: usize,
    },
    /// My own message cannot be encoded.
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
    /// The transport refused my call: a frame over its limit or a party that it does not have.
    #[error("the transport refused a frame for {name} in round {round}: it {fault}")]
    Transport {
        /// The round.
        round: &'static str,
        /// The party.
        name: String,
        /// What the transport objected to.
        fault: Fault,
    },
    /// More steps than fit the counter.
    #[error("the session has too many steps")]
    TooManySteps,
}

/// Whose failure it is: of a session, and of every protocol that runs in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// At least one peer broke the protocol.
    Peer,
    /// The network failed or a peer fell silent.
    Network,
    /// Parties were started with different settings, data or versions.
    Limits,
    /// Parties saw different broadcasts; some party is to blame, but it is unknown which.
    Disagreement,
    /// A peer gave up and said why.
    Abort,
    /// The code that uses the session made a mistake.
    Misuse,
    /// This party's input, configuration, keys or files cannot be used.
    Input,
    /// A mistake of the library: what must hold does not.
    Internal,
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
    /// Two parties saw different broadcasts. One of the two lies, or the sender of a broadcast told them
    /// different things: which, cannot be seen from here.
    #[error("round {round}: {me_name} and {other_name} saw different broadcasts")]
    EchoMismatch {
        /// Me.
        me: PartyId,
        /// The party whose transcript differs from mine.
        other: PartyId,
        /// My name.
        me_name: String,
        /// The other's name.
        other_name: String,
        /// The round in which it showed.
        round: &'static str,
    },
    /// A peer gave up and told everybody.
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
    /// Whose failure it is; where several kinds met, the gravest: a breach before a fault of the network.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Failed { failures, .. } | Self::NotEnough { failures, .. } => {
                let gravest =
                    failures.iter().map(|failure| failure.cause.kind()).min_by_key(|kind| gravity(*kind));
                gravest.unwrap_or(FailureKind::Network)
            }
            Self::EchoMismatch { .. } => FailureKind::Disagreement,
            Self::Aborted { .. } => FailureKind::Abort,
            Self::Misuse(_) => FailureKind::Misuse,
        }
    }

    /// The failures of single peers that make up this error; none for the other kinds.
    pub fn failures(&self) -> &[Failure] {
        match self {
            Self::Failed { failures, .. } | Self::NotEnough { failures, .. } => failures,
            Self::EchoMismatch { .. } | Self::Aborted { .. } | Self::Misuse(_) => &[],
        }
    }

    /// The peers that broke the protocol, as seen from here. The fault is theirs or their software's.
    pub fn violators(&self) -> Vec<PartyId> {
        let broke = |failure: &&Failure| matches!(failure.cause, Cause::Violation(_));
        self.failures().iter().filter(broke).map(|failure| failure.party).collect()
    }
}

fn gravity(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Internal => 0,
        FailureKind::Misuse => 1,
        FailureKind::Input => 2,
        FailureKind::Peer => 3,
        FailureKind::Limits => 4,
        FailureKind::Disagreement => 5,
        FailureKind::Abort => 6,
        FailureKind::Network => 7,
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

/// An error with its causes in one line, from the outermost to the innermost, with a colon between them.
///
/// Errors of these crates name their cause in [`source`](std::error::Error::source) alone, and not in their text as well: whoever
/// prints one for people prints its causes too.
#[must_use]
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Errors that can say which parties they point at.
pub trait Culprits {
    /// The parties at which the error points; empty where it points at nobody or at no one party.
    fn culprits(&self) -> Vec<PartyId>;

    /// What the other parties are told of the error: its text and its causes, unless they say what the parties need not know.
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
    /// The parties at which the error points: those that broke the protocol, fell silent, cannot be reached or have
    /// other settings; after an abort, those whom the aborting party blames, which is its word only. Nobody for an
    /// echo mismatch, which never shows who caused it.
    ///
    /// For silence the line between may be at fault as well as the party; see [`SessionError::violators`] for those
    /// who certainly broke the protocol.
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
