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
    error::Failure,
    frame::{Header, Kind, round_tag},
    transcript::Transcript,
    wiped::Wiped,
    with_causes,
};

pub(crate) use abort::clean;
pub use collect::Collected;
pub use stream::{BroadcastStream, DEFAULT_WINDOW, PersonalStream};

pub(crate) const CONFIRM_ROUND: &str = "session/confirm";
pub(crate) const ABORT_ROUND: &str = "session/abort";
pub(crate) const OPEN_ROUND: &str = "session/open";

/// How far a session is. Opening treats a few frames differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Round 0: greetings are exchanged, and the session id is not known.
    Hello,
    /// The session id is being confirmed.
    Echo,
    Open,
}

/// State of one peer.
#[derive(Clone, Debug, Default)]
struct Peer {
    /// The last transcript of this party that it confirmed. If it shows another one in its place, it contradicts itself.
    shown: Option<Transcript>,
    /// Whether it is left out of all later steps.
    failed: bool,
    /// Steps that went on without its frame, oldest first. The frame may still come.
    skipped: VecDeque<u32>,
    /// Number of frames of earlier sessions before its greeting.
    leftovers: usize,
    /// Its frames of later steps of a stream, oldest first.
    ahead: VecDeque<Wiped>,
}

/// A run of one protocol among the parties of a roster, with typed rounds, echo broadcasts, abort messages and
/// counters. If two parties receive different broadcasts, the session ends with an error.
///
/// A session owns its transport or borrows it. `&mut T`, `Box<T>` and `&mut dyn Transport` are transports as well.
///
/// All parties call the same operations in the same order. Each call is one *step*. Every frame carries the session id,
/// its step, the round's name and the sender's *transcript*. The transcript is a hash chain over all broadcasts so far,
/// so each round also compares the broadcasts of earlier rounds. [`Session::confirm`] compares them and sends nothing
/// else.
///
/// If an operation that needs all parties fails, the session ends. The others are told why, and every further operation
/// is refused. [`Session::collect`] goes on without parties that fail.
///
/// # Security
/// An output that depends on broadcasts, such as a key, plaintexts or scores, may be handed out only after
/// [`Session::confirm`] or a later round in which every party sent a frame. A message that depends on a broadcast is
/// sent in the same frame that compares it, before the comparison is known. If a message must not be sent after an
/// inconsistent broadcast, such as a partial decryption, call [`Session::confirm`] first. The transport supplies
/// authentic and private channels. The session does not encrypt.
pub struct Session<T: Transport> {
    transport: T,
    protocol: Protocol,
    parameters: Parameters,
    roster: Roster,
    limits: Limits,
    stage: Stage,
    /// Whether an error or an abort ended the session. All parties have been told.
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
    /// Returns this party's id.
    pub fn me(&self) -> PartyId {
        self.roster.me()
    }

    /// Returns the names and channel identities of all parties.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Returns the protocol for which the session was opened.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Checks that the session was opened for this protocol and version with these parameters. A protocol's driver
    /// calls this first, because the protocol relies on what all parties compared when they opened the session.
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

    /// Ends the session and returns the transport. Nothing is sent.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// Returns the session id, which binds protocol, version, parameters, roster and the nonces of all parties. It is
    /// public.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// Returns the hash chain over the session id and every broadcast so far. It is public.
    pub fn transcript(&self) -> [u8; 32] {
        self.transcript.value()
    }

    /// Returns the traffic so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns this party's timeouts and sizes.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sets the timeout of a round, from the next round on.
    pub fn set_round_timeout(&mut self, timeout: std::time::Duration) {
        self.limits.round_timeout = timeout;
    }

    /// Sets the grace period of collecting rounds. Returns the old value.
    pub fn set_collect_grace(&mut self, grace: std::time::Duration) -> std::time::Duration {
        std::mem::replace(&mut self.limits.collect_grace, grace)
    }

    /// Returns the parties that collecting rounds gave up, in the order in which they failed.
    pub fn failed(&self) -> &[PartyId] {
        &self.failed
    }

    /// Returns why each party of [`Session::failed`] was given up, in the same order.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Returns whether a party still takes part. It may be this party.
    pub fn is_active(&self, party: PartyId) -> bool {
        self.peers.get(party.index()).is_some_and(|peer| !peer.failed)
    }

    /// Returns all parties that still take part, this one included, in roster order.
    pub fn active(&self) -> impl Iterator<Item = PartyId> + '_ {
        self.roster.parties().filter(|&party| self.is_active(party))
    }

    /// Runs `f`. If it fails, tells all parties the error and its culprits.
    ///
    /// Nothing is sent if the session itself failed, because it has told all parties already, or if the error is a
    /// received abort.
    ///
    /// # Security
    /// What the error [reports](Culprits::reported) goes to all parties, by default its text and its causes. It must
    /// hold no secret.
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

    /// Takes the number of the next step.
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

    /// Leaves a party out of all later steps.
    fn give_up(&mut self, failure: Failure) {
        let Some(peer) = self.peers.get_mut(failure.party.index()) else { return };
        if !peer.failed {
            peer.failed = true;
            peer.skipped.clear();
            self.failed.push(failure.party);
            self.failures.push(failure);
        }
    }

    /// Ends the session with an error, and tells all parties unless they know it.
    fn fail(&mut self, error: SessionError) -> SessionError {
        match &error {
            SessionError::Aborted { .. } => self.closed = true,
            _ => self.abort(&with_causes(&error), &error.culprits()),
        }
        error
    }
}
