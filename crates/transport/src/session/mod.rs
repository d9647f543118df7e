//! Sessions: typed rounds over a [`Transport`].
//!
//! The steps S1, S2, … that comments cite are those of `docs/protocols/session.md`.

mod abort;
mod collect;
mod gather;
mod open;
mod rounds;
mod send;
mod stream;

use std::collections::VecDeque;

use crate::{
    Cause, Counters, Culprits, Fault, Limits, Misuse, Parameters, PartyId, Protocol, Roster, SessionError,
    Transport,
    error::{Failure, with_causes},
    frame::{Header, Kind, round_tag},
    transcript::Transcript,
    wiped::Wiped,
};

pub(crate) use abort::clean;
pub use collect::Collected;
pub use stream::{BroadcastStream, DEFAULT_WINDOW, PersonalStream};

pub(crate) const CONFIRM_ROUND: &str = "session/confirm";
pub(crate) const ABORT_ROUND: &str = "session/abort";
pub(crate) const OPEN_ROUND: &str = "session/open";

/// Where a session is in its life; opening treats a few frames differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Round 0: greetings go round, the session id is not known.
    Hello,
    /// The session id is being confirmed.
    Echo,
    Open,
}

/// What I remember of one peer.
#[derive(Clone, Debug, Default)]
struct Peer {
    /// The last transcript of mine that it has shown me, so another one in its place is its own contradiction.
    shown: Option<Transcript>,
    /// It is left out of everything that follows.
    failed: bool,
    /// Steps whose frame it owed me when the step went on without it, oldest first. The frame may still come.
    skipped: VecDeque<u32>,
    /// Frames of earlier sessions that came before its greeting.
    leftovers: usize,
    /// Its frames of later steps of a stream, oldest first.
    ahead: VecDeque<Wiped>,
}

/// A run of one protocol among the parties of a roster: typed rounds, broadcasts that all parties see alike or else
/// abort, abort messages, and counters.
///
/// A session owns its transport or borrows it: `&mut T` is a transport as well, and so are `Box<T>` and
/// `&mut dyn Transport`.
///
/// All parties call the same operations in the same order; each call is one *step*. Every frame carries the session
/// id, its step, the round's name and the sender's *transcript*, a hash chain over all broadcasts so far, so each
/// round also compares what the parties saw in the rounds before. [`Session::confirm`] compares without sending
/// anything else.
///
/// An operation that needs everybody and fails ends the session: the others are told why, and every further
/// operation is refused. [`Session::collect`] passes over parties that fail.
///
/// # Security
/// An output of a protocol that depends on broadcasts, such as a key, plaintexts or scores, may be handed out only
/// after [`Session::confirm`] or a later round in which everybody sent a frame. Messages of the protocol that depend
/// on a broadcast are sent before that, in the frames that compare it; one that must not rest on a broadcast that
/// others saw otherwise, such as a partial decryption, needs [`Session::confirm`] before it. The transport supplies
/// authentic and private channels; the session does not encrypt.
pub struct Session<T: Transport> {
    transport: T,
    protocol: Protocol,
    parameters: Parameters,
    roster: Roster,
    limits: Limits,
    stage: Stage,
    /// Ended by an error or an abort; everybody has been told.
    closed: bool,
    id: [u8; 32],
    transcript: Transcript,
    /// The next step.
    step: u32,
    peers: Vec<Peer>,
    failed: Vec<PartyId>,
    failures: Vec<Failure>,
    /// How many steps of a stream are under way at a time.
    window: usize,
    counters: Counters,
}

impl<T: Transport> std::fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("me", &self.roster.me())
            .field("stage", &self.stage)
            .field("closed", &self.closed)
            .field("step", &self.step)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl<T: Transport> Session<T> {
    /// Which party I am.
    pub fn me(&self) -> PartyId {
        self.roster.me()
    }

    /// Every party's name and channel identity.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The protocol for which the session was opened.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Refuses a session that was opened for another protocol, another version or with other parameters. A protocol's driver calls
    /// this first: what all parties compared when they opened the session is what the protocol rests on.
    ///
    /// # Errors
    /// [`Misuse::OtherProtocol`], [`Misuse::OtherParameters`]. The session goes on.
    pub fn expect(&self, protocol: Protocol, parameters: &Parameters) -> Result<(), SessionError> {
        if self.protocol != protocol {
            return Err(Misuse::OtherProtocol { expected: protocol, found: self.protocol }.into());
        }
        match self.parameters.first_difference(parameters) {
            Some(field) => Err(Misuse::OtherParameters { protocol, field }.into()),
            None => Ok(()),
        }
    }

    /// Ends the session and gives the transport back. Nothing is sent.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// The session id, which binds protocol, version, parameters, roster and everybody's nonce. Public.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// The hash chain over the session id and every broadcast so far. Public.
    pub fn transcript(&self) -> [u8; 32] {
        self.transcript.value()
    }

    /// What was sent and received so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How long this party waits, and for what sizes.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes how long a round waits, from the next round on.
    pub fn set_round_timeout(&mut self, timeout: std::time::Duration) {
        self.limits.round_timeout = timeout;
    }

    /// Changes how long a collecting round waits for more than the answers that it needs; returns the old value.
    pub fn set_collect_grace(&mut self, grace: std::time::Duration) -> std::time::Duration {
        std::mem::replace(&mut self.limits.collect_grace, grace)
    }

    /// The parties that collecting rounds have given up, in the order in which they failed.
    pub fn failed(&self) -> &[PartyId] {
        &self.failed
    }

    /// Why each of [`Session::failed`] was given up, in the same order.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Whether a party, me included, still takes part.
    pub fn is_active(&self, party: PartyId) -> bool {
        self.peers.get(party.index()).is_some_and(|peer| !peer.failed)
    }

    /// All parties that still take part, me included, in roster order.
    pub fn active(&self) -> impl Iterator<Item = PartyId> + '_ {
        self.roster.parties().filter(|&party| self.is_active(party))
    }

    /// Runs `f`; if it fails, tells everybody why, with what the error says and its culprits.
    ///
    /// Nothing is sent where the session itself failed, since it has told everybody already, nor where the error was
    /// a received abort.
    ///
    /// # Security
    /// What the error [reports](Culprits::reported) goes to all parties: by default its text and its causes. They must hold no
    /// secret.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn guard<R, E>(&mut self, f: impl FnOnce(&mut Self) -> Result<R, E>) -> Result<R, E>
    where
        E: std::error::Error + Culprits + 'static,
    {
        let result = f(self);
        if let Err(error) = &result {
            self.abort(&error.reported(), &error.culprits());
        }
        result
    }

    /// The next step's number, which is used up.
    fn next_step(&mut self) -> Result<u32, Misuse> {
        if self.closed {
            return Err(Misuse::Closed);
        }
        let step = self.step;
        self.step = step.checked_add(1).ok_or(Misuse::TooManySteps)?;
        self.counters.count_step();
        Ok(step)
    }

    fn header(&self, kind: Kind, step: u32, round: &str) -> Header {
        Header {
            kind,
            sender: self.roster.me(),
            step,
            session: self.id,
            transcript: self.transcript.value(),
            tag: round_tag(round),
        }
    }

    /// Hands a frame to the transport and counts it.
    fn send_frame(&mut self, to: PartyId, round: &'static str, frame: &[u8]) -> Result<(), Fault> {
        self.transport.send(to, frame).map_err(crate::TransportError::into_fault)?;
        self.counters.count_sent(to, round, frame.len());
        Ok(())
    }

    fn failure(&self, party: PartyId, round: &'static str, cause: Cause) -> Failure {
        Failure { party, name: self.roster.name(party).to_owned(), round, cause }
    }

    /// Leaves a party out of everything that follows.
    fn give_up(&mut self, failure: Failure) {
        let Some(peer) = self.peers.get_mut(failure.party.index()) else { return };
        if !peer.failed {
            peer.failed = true;
            peer.skipped.clear();
            self.failed.push(failure.party);
            self.failures.push(failure);
        }
    }

    /// Ends the session with an error and tells everybody, unless they know.
    fn fail(&mut self, error: SessionError) -> SessionError {
        match &error {
            SessionError::Aborted { .. } => self.closed = true,
            _ => self.abort(&with_causes(&error), &error.culprits()),
        }
        error
    }
}
