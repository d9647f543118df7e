//! Receiving one frame from each of several peers (S4, S6).

use std::time::Duration;

use super::{Peer, Session, Stage};
use crate::{
    Deadline, Fault, PartyId, SessionError, Transport, TransportError,
    error::{Cause, Failure, Violation, with_causes},
    frame::{HEADER_BYTES, Header, Kind, NO_SESSION, RoundTag},
    transcript::Transcript,
    wiped::Wiped,
};

/// How many frames a peer may owe from steps that went on without it, before it is given up.
const MAX_SKIPPED: usize = 1024;

/// How many frames of earlier sessions are passed over before a peer's greeting.
const MAX_LEFTOVERS: usize = 4096;

/// While several peers are awaited, one of them is waited for this long, then the others are looked at.
const FIRST_SLICE: Duration = Duration::from_millis(1);
const LONGEST_SLICE: Duration = Duration::from_millis(8);

/// The end of a round's time in which only aborts count, see [`Session::gather_all`].
const LONGEST_GRACE: Duration = Duration::from_secs(1);

/// What a step expects of each peer.
pub(super) struct Want<'a> {
    pub(super) round: &'static str,
    pub(super) tag: RoundTag,
    pub(super) kind: Kind,
    pub(super) step: u32,
    /// The transcript that its frames carry.
    pub(super) transcript: Transcript,
    pub(super) timeout: Duration,
    /// The greatest payload of a peer's message, in bytes.
    pub(super) max_payload: &'a dyn Fn(PartyId) -> usize,
}

/// Takes a payload that passed every check of its header.
pub(super) type Accept<'a> = dyn FnMut(PartyId, &Header, &[u8]) -> Result<(), Cause> + 'a;

#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) failures: Vec<Failure>,
    /// Peers that have neither answered nor failed.
    pub(super) pending: Vec<PartyId>,
    pub(super) answered: usize,
    /// Somebody gave up, which ends the wait for the rest.
    aborted: bool,
}

impl<T: Transport> Session<T> {
    /// One frame from every peer of `pending`, or an error that names all that failed (S6).
    ///
    /// When the time is over and peers are silent, everybody is told at once who they are; then a short grace is left
    /// for aborts. For a peer may be silent because it waits for a third one itself: its abort, sent by the same rule,
    /// then says so, and the blame goes where it belongs.
    pub(super) fn gather_all(
        &mut self,
        want: &Want<'_>,
        pending: Vec<PartyId>,
        unsent: Vec<(PartyId, Fault)>,
        accept: &mut Accept<'_>,
    ) -> Result<(), SessionError> {
        let grace = (want.timeout / 10).min(LONGEST_GRACE);
        let end = Deadline::after(want.timeout);
        let window = Deadline::after(want.timeout.saturating_sub(grace));
        let Gathered { mut failures, pending, aborted, .. } =
            self.gather(want, pending, None, window, accept);
        for (party, fault) in unsent {
            if failures.iter().all(|failure| failure.party != party) {
                let cause = self.last_words(party, want.round, grace).unwrap_or(Cause::Network(fault));
                failures.push(self.failure(party, want.round, cause));
            }
        }
        if failures.is_empty() && pending.is_empty() {
            return Ok(());
        }
        if !aborted && !pending.is_empty() {
            let silent = |&party: &PartyId| self.failure(party, want.round, Cause::Network(Fault::TimedOut));
            failures.extend(pending.iter().map(silent));
            let preliminary = self.verdict(want.round, failures.clone());
            self.abort(&with_causes(&preliminary), &preliminary.culprits());
            let late = self.gather(want, pending, None, end, &mut |_, _, _| Ok(()));
            for explained in late.failures.into_iter().filter(|failure| is_abort(&failure.cause)) {
                failures.retain(|failure| failure.party != explained.party);
                failures.push(explained);
            }
        }
        let error = self.verdict(want.round, failures);
        Err(self.fail(error))
    }

    /// The abort of a peer that answered this step and then could not be reached: it comes behind frames of steps that
    /// I have not taken.
    fn last_words(&mut self, peer: PartyId, round: &'static str, longest: Duration) -> Option<Cause> {
        let deadline = Deadline::after(longest);
        // A peer that sends and sends ends with the time, too.
        while !deadline.has_passed() {
            let frame = self.next_frame(peer, deadline).ok()?;
            self.counters.count_received(peer, round, frame.len());
            let (header, payload) = Header::parse(&frame).ok()?;
            if header.sender != peer || header.session != self.id {
                return None;
            }
            if header.kind == Kind::Abort {
                return Some(self.read_abort(payload)).filter(is_abort);
            }
        }
        None
    }

    /// The error that several failures of one round amount to.
    ///
    /// A breach that I saw myself comes first, then an echo mismatch, then a peer's abort, which explains why others
    /// have gone, and at last the network.
    fn verdict(&self, round: &'static str, mut failures: Vec<Failure>) -> SessionError {
        failures.sort_by_key(|failure| failure.party);
        let breach = |failure: &Failure| matches!(failure.cause, Cause::Violation(_) | Cause::Differs { .. });
        if failures.iter().any(breach) {
            return SessionError::Failed { round, failures };
        }
        if let Some(failure) = failures.iter().find(|failure| failure.cause == Cause::EchoMismatch) {
            return SessionError::EchoMismatch {
                me: self.me(),
                other: failure.party,
                me_name: self.roster.name(self.me()).to_owned(),
                other_name: failure.name.clone(),
                round,
            };
        }
        for failure in &failures {
            if let Cause::Aborted { reason, culprits } = &failure.cause {
                return SessionError::Aborted {
                    by: failure.party,
                    name: failure.name.clone(),
                    reason: reason.clone(),
                    culprits: culprits.clone(),
                };
            }
        }
        SessionError::Failed { round, failures }
    }

    /// Takes one frame from each peer as they come, until all have answered or failed, `enough` have answered or no
    /// longer can, somebody aborts (where all are needed), or the deadline passes.
    pub(super) fn gather(
        &mut self,
        want: &Want<'_>,
        mut pending: Vec<PartyId>,
        enough: Option<usize>,
        deadline: Deadline,
        accept: &mut Accept<'_>,
    ) -> Gathered {
        let mut gathered = Gathered::default();
        let mut slice = FIRST_SLICE;
        let mut turn = 0_usize;
        loop {
            // Seen before the look round, so that the last look comes after the deadline.
            let last = deadline.has_passed();
            let before = pending.len();
            let mut index = 0;
            while let Some(&peer) = pending.get(index) {
                if enough.is_some_and(|enough| gathered.answered >= enough) {
                    break;
                }
                match self.poll(want, peer, Deadline::now(), accept) {
                    None => index += 1,
                    Some(outcome) => {
                        pending.remove(index);
                        self.note(&mut gathered, want, peer, outcome);
                    }
                }
            }
            let hopeless = |enough| gathered.answered >= enough || gathered.answered + pending.len() < enough;
            let done = enough.map_or(gathered.aborted, hopeless);
            if done || last || pending.is_empty() {
                break;
            }
            if pending.len() < before {
                slice = FIRST_SLICE;
                continue;
            }
            // Waiting for one delays the others by a slice at most, and only where not all are needed.
            let index = turn % pending.len();
            turn = turn.wrapping_add(1);
            let peer = pending[index];
            if let Some(outcome) = self.poll(want, peer, Deadline::after(slice).or_sooner(deadline), accept) {
                pending.remove(index);
                self.note(&mut gathered, want, peer, outcome);
                slice = FIRST_SLICE;
            } else {
                slice = (slice * 2).min(LONGEST_SLICE);
            }
        }
        gathered.pending = pending;
        gathered
    }

    fn note(&self, gathered: &mut Gathered, want: &Want<'_>, peer: PartyId, outcome: Result<(), Cause>) {
        match outcome {
            Ok(()) => gathered.answered += 1,
            Err(cause) => {
                gathered.aborted |= is_abort(&cause);
                gathered.failures.push(self.failure(peer, want.round, cause));
            }
        }
    }

    /// The peer's frame of this step if it is there by the deadline; passes over frames that may be dropped.
    fn poll(
        &mut self,
        want: &Want<'_>,
        peer: PartyId,
        deadline: Deadline,
        accept: &mut Accept<'_>,
    ) -> Option<Result<(), Cause>> {
        loop {
            let frame = match self.next_frame(peer, deadline) {
                Ok(frame) => frame,
                Err(error) if error.is_timeout() => return None,
                Err(error) => return Some(Err(Cause::Network(TransportError::into_fault(error)))),
            };
            self.counters.count_received(peer, want.round, frame.len());
            match self.inspect(want, peer, &frame) {
                Ok(None) => {}
                Ok(Some((header, payload))) => return Some(accept(peer, &header, payload)),
                Err(cause) => return Some(Err(cause)),
            }
        }
    }

    /// The peer's next frame by the deadline, those that were read ahead first.
    fn next_frame(&mut self, peer: PartyId, deadline: Deadline) -> Result<Wiped, TransportError> {
        match self.peers.get_mut(peer.index()).and_then(|peer| peer.ahead.pop_front()) {
            Some(frame) => Ok(frame),
            None => self.transport.receive(peer, deadline).map(Wiped::new),
        }
    }

    /// S4: checks a frame's header against this step; `None` for a frame that is to be dropped.
    fn inspect<'f>(
        &mut self,
        want: &Want<'_>,
        from: PartyId,
        frame: &'f [u8],
    ) -> Result<Option<(Header, &'f [u8])>, Cause> {
        let (header, payload) = Header::parse(frame)?;
        match self.stage {
            Stage::Hello => {
                if self.is_left_over(from, &header)? {
                    return Ok(None);
                }
            }
            Stage::Echo => self.check_while_confirming(want, from, &header, payload)?,
            Stage::Open => check_sender(from, &header)?,
        }
        if header.session != self.id {
            return Err(Violation::WrongSession.into());
        }
        if header.kind == Kind::Abort {
            return Err(self.read_abort(payload));
        }
        if self.was_skipped(from, header.step) {
            return Ok(None);
        }
        self.check_place(want, from, &header)?;
        let limit = (want.max_payload)(from).min(self.limits.max_frame.saturating_sub(HEADER_BYTES));
        if payload.len() > limit {
            return Err(Violation::Oversized { bytes: payload.len(), limit }.into());
        }
        self.peer(from)?.shown = Some(want.transcript);
        Ok(Some((header, payload)))
    }

    fn peer(&mut self, party: PartyId) -> Result<&mut Peer, Cause> {
        self.peers.get_mut(party.index()).ok_or(Cause::Network(Fault::UnknownParty))
    }

    /// Whether this is of an earlier session over the same transport: the peer's greeting comes behind it.
    ///
    /// In round 0 a different roster is reported as that, not as a wrong sender: `open` looks at it.
    fn is_left_over(&mut self, from: PartyId, header: &Header) -> Result<bool, Cause> {
        if header.session == NO_SESSION {
            return Ok(false);
        }
        let peer = self.peer(from)?;
        peer.leftovers += 1;
        if peer.leftovers > MAX_LEFTOVERS { Err(Violation::TooManyLeftovers.into()) } else { Ok(true) }
    }

    /// While the session id is being confirmed, a peer may have another one, or none yet.
    fn check_while_confirming(
        &self,
        want: &Want<'_>,
        from: PartyId,
        header: &Header,
        payload: &[u8],
    ) -> Result<(), Cause> {
        check_sender(from, header)?;
        match header.kind {
            // A peer may fail before it knows the session id.
            Kind::Abort => Err(self.read_abort(payload)),
            Kind::Hello => Err(Violation::Repeated { step: header.step, expected: want.step }.into()),
            // Somebody told the two of us different nonces, or one of us lies.
            _ if header.session != self.id => Err(Cause::EchoMismatch),
            _ => Ok(()),
        }
    }

    /// Whether the step went on without the peer. Frames come in order, so whatever it owed before is not coming any more.
    fn was_skipped(&mut self, from: PartyId, step: u32) -> bool {
        let Some(peer) = self.peers.get_mut(from.index()) else { return false };
        let skipped = peer.skipped.contains(&step);
        while skipped && peer.skipped.front().is_some_and(|&owed| owed <= step) {
            peer.skipped.pop_front();
        }
        skipped
    }

    /// Whether the frame belongs to this step and round, after the same broadcasts.
    fn check_place(&mut self, want: &Want<'_>, from: PartyId, header: &Header) -> Result<(), Cause> {
        if header.step < want.step {
            return Err(Violation::Repeated { step: header.step, expected: want.step }.into());
        }
        if header.step > want.step {
            return Err(Violation::Early { step: header.step, expected: want.step }.into());
        }
        // Before everything that depends on what broadcasts held: a party that was shown other ones may honestly be in
        // another round, or send more or less.
        if header.transcript != want.transcript.value() {
            // A peer that has shown me this very transcript before contradicts itself; else it is unknown who lies.
            let contradicts = self.peer(from)?.shown == Some(want.transcript);
            return Err(if contradicts { Violation::ContradictsItself.into() } else { Cause::EchoMismatch });
        }
        if header.tag != want.tag {
            return Err(Violation::WrongRound.into());
        }
        if header.kind != want.kind {
            return Err(Violation::WrongKind.into());
        }
        Ok(())
    }

    /// Remembers that the step went on without the peer, whose frame may still come.
    pub(super) fn skip(&mut self, party: PartyId, round: &'static str, step: u32) {
        let Some(peer) = self.peers.get_mut(party.index()) else { return };
        peer.skipped.push_back(step);
        if peer.skipped.len() > MAX_SKIPPED {
            let failure = self.failure(party, round, Violation::TooFarBehind.into());
            self.give_up(failure);
        }
    }
}

fn check_sender(from: PartyId, header: &Header) -> Result<(), Cause> {
    if header.sender == from { Ok(()) } else { Err(Violation::WrongSender { claimed: header.sender }.into()) }
}

fn is_abort(cause: &Cause) -> bool {
    matches!(cause, Cause::Aborted { .. })
}

impl From<Violation> for Cause {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}
