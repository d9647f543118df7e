//! Receiving one frame from each of several peers (S4, S6).

use std::time::Duration;

use super::{Peer, Session, Stage};
use crate::{
    Deadline, Fault, PartyId, SessionError, Transport, TransportError,
    error::{Cause, Failure, Violation},
    frame::{HEADER_BYTES, Header, Kind, NO_SESSION, RoundTag},
    transcript::Transcript,
    wiped::Wiped,
    with_causes,
};

/// Greatest number of frames that a peer may owe from steps that went on without it. A peer that owes more is given up.
pub(super) const MAX_SKIPPED: usize = 1024;

/// Greatest number of frames of earlier sessions that are skipped before a peer's greeting.
const MAX_LEFTOVERS: usize = 4096;

/// Time for which one of several peers is waited for before the others are looked at. It grows from the first to the
/// longest.
const FIRST_SLICE: Duration = Duration::from_millis(1);
const LONGEST_SLICE: Duration = Duration::from_millis(8);

/// Time at the end of a round in which only aborts count, see [`Session::gather_all`].
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
    /// A peer aborted, which ends the wait for the rest.
    aborted: bool,
}

impl<T: Transport> Session<T> {
    /// Receives one frame from every peer of `pending`, or gives an error that names all that failed (S6).
    ///
    /// When the time is over, this party names the silent peers to all parties at once. Then it waits a short time for
    /// aborts. A peer may be silent only because it waits for a third one. Its abort, sent by the same rule, names that
    /// one, and the blame is correct.
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

    /// Looks for the abort of a peer that answered this step and then could not be reached. The abort follows frames of
    /// steps that this party has not taken.
    fn last_words(&mut self, peer: PartyId, round: &'static str, longest: Duration) -> Option<Cause> {
        let deadline = Deadline::after(longest);
        // The deadline also ends a peer that never stops sending.
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

    /// Makes one error of several failures of one round.
    ///
    /// A violation that this party saw comes first. Then comes an echo mismatch, then a peer's abort, which explains
    /// why others left. The network comes last.
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
            // Read before the peers are looked at, so that the last look comes after the deadline.
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
            // Waiting for one peer delays the others by at most one slice, and only if not all are needed.
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

    /// Receives the peer's frame of this step by the deadline. Frames that may be dropped are skipped.
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

    /// S4: checks a frame's header against this step. `None` means that the frame is dropped.
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

    /// Whether the frame belongs to an earlier session over the same transport. The peer's greeting follows it.
    ///
    /// In round 0 `open` reports a different roster as such, and not as a wrong sender.
    fn is_left_over(&mut self, from: PartyId, header: &Header) -> Result<bool, Cause> {
        if header.session == NO_SESSION {
            return Ok(false);
        }
        let peer = self.peer(from)?;
        peer.leftovers += 1;
        if peer.leftovers > MAX_LEFTOVERS { Err(Violation::TooManyLeftovers.into()) } else { Ok(true) }
    }

    /// Handles a frame with another session id while the id is being confirmed. The peer may have another id, or none
    /// yet.
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
            // A third party sent the two different nonces, or one of the two lies.
            _ if header.session != self.id => Err(Cause::EchoMismatch),
            _ => Ok(()),
        }
    }

    /// Whether the step went on without the peer. Frames come in order, so frames that it owed before will not come.
    fn was_skipped(&mut self, from: PartyId, step: u32) -> bool {
        let Some(peer) = self.peers.get_mut(from.index()) else { return false };
        let skipped = peer.skipped.contains(&step);
        while peer.skipped.front().is_some_and(|&owed| owed <= step) {
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
        // This check comes before all that depend on the contents of broadcasts. An honest party that saw other
        // broadcasts may be in another round, or send more or less.
        if header.transcript != want.transcript.value() {
            // A peer that confirmed this transcript before contradicts itself. Otherwise it is unknown who lies.
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

    /// Remembers that the step went on without the peer. Its frame may still come.
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
