//! Personal messages in rounds that go on without parties that do not answer.

use std::{
    borrow::Borrow,
    time::{Duration, Instant},
};

use super::{
    Session,
    gather::{Gathered, MAX_SKIPPED, Want},
    rounds::accept,
};
use crate::{
    Deadline, Fault, Message, Misuse, PartyId, PerParty, SessionError, Transport,
    error::{Cause, Failure},
};

/// Result of a collecting round.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected<M> {
    /// Answers that came in time, by party. This party has none.
    pub messages: PerParty<Option<M>>,
    /// Parties that were given up in this round, with the reasons.
    pub failures: Vec<Failure>,
}

impl<M> Collected<M> {
    /// Returns the parties that answered, each with its message, in roster order.
    pub fn answers(&self) -> impl Iterator<Item = (PartyId, &M)> {
        self.messages.present()
    }
}

impl<T: Transport> Session<T> {
    /// Exchanges personal messages as [`Session::exchange`], but ends the step as soon as `enough` of the others have
    /// answered.
    ///
    /// A party is given up if it is silent until the deadline, disconnects, aborts or sends an invalid message.
    /// [`Collected::failures`] and [`Session::failed`] name it, and no later collecting round waits for it. A party
    /// that is only slower than the first `enough` is not given up. Its answer counts if it comes within
    /// [`Limits::collect_grace`](crate::Limits::collect_grace), and is dropped otherwise.
    ///
    /// # Errors
    /// [`SessionError::NotEnough`] if fewer than `enough` are left, which ends the session. [`Misuse::Unconfirmed`] if
    /// a remaining party has not confirmed the broadcasts so far. A step that goes on without a party cannot notice
    /// that this party saw other broadcasts, so call [`Session::confirm`] first.
    pub fn collect<M: Message>(
        &mut self,
        outgoing: impl FnMut(PartyId) -> Option<M>,
        expected: impl Fn(PartyId) -> bool,
        enough: usize,
        shape: &M::Shape,
    ) -> Result<Collected<M>, SessionError> {
        self.collect_shaped(outgoing, expected, enough, |_| shape)
    }

    /// Collects as [`Session::collect`], with a shape for each sender. This party's own messages may have the length
    /// that `shape(me)` allows.
    ///
    /// # Errors
    /// As [`Session::collect`].
    pub fn collect_shaped<M: Message, S: Borrow<M::Shape>>(
        &mut self,
        outgoing: impl FnMut(PartyId) -> Option<M>,
        expected: impl Fn(PartyId) -> bool,
        enough: usize,
        shape: impl Fn(PartyId) -> S,
    ) -> Result<Collected<M>, SessionError> {
        self.require_confirmed(M::ROUND)?;
        let step = self.next_step()?;
        // A party that cannot be reached may have finished, and its answer may be here already.
        let _ = self.send_personal(step, outgoing, &shape)?;

        let mut messages = self.nothing::<M>();
        let limit = |party| M::max_bytes(shape(party).borrow());
        let want = self.want::<M>(step, &limit);
        let deadline = Deadline::after(want.timeout);
        let peers = self.active_others(&expected);
        let mut accept = accept::<M, S>(&shape, |from, message, _| messages[from] = Some(message));
        let gathered = self.gather(&want, peers, Some(enough), deadline, &mut accept);
        let (mut failures, mut pending) = (gathered.failures, gathered.pending);
        let short = gathered.answered < enough;
        let grace = Deadline::after(self.limits.collect_grace).or_sooner(deadline);
        // An abort ends `gather`, but not the wait for the rest.
        while !short && !pending.is_empty() && !grace.has_passed() {
            let late = self.gather(&want, pending, None, grace, &mut accept);
            failures.extend(late.failures);
            pending = late.pending;
        }
        drop(accept);

        for party in pending {
            if short && deadline.has_passed() {
                failures.push(self.failure(party, M::ROUND, Cause::Network(Fault::TimedOut)));
            } else {
                self.skip(party, M::ROUND, step);
            }
        }
        failures.sort_by_key(|failure| failure.party);
        for failure in &failures {
            self.give_up(failure.clone());
        }
        if short {
            let mut failures = self.failures.clone();
            failures.sort_by_key(|failure| failure.party);
            let answered = gathered.answered;
            return Err(self.fail(SessionError::NotEnough { round: M::ROUND, enough, answered, failures }));
        }
        Ok(Collected { messages, failures })
    }

    /// Exchanges personal messages with the parties that answer in time. Sends what `outgoing` returns for each other party, and
    /// waits for each party for which `wait` returns a time.
    ///
    /// The step is over when each of them has answered, has failed, or is late. One whose time is zero is late unless its answer
    /// is there already. A late party is not given up: its answer is dropped when it comes. A party that disconnects,
    /// aborts or sends something wrong is given up.
    ///
    /// # Errors
    /// [`Misuse::Unconfirmed`] as in [`Session::collect`]; otherwise the step never fails for want of answers.
    pub fn collect_within<M: Message, S: Borrow<M::Shape>>(
        &mut self,
        outgoing: impl FnMut(PartyId) -> Option<M>,
        wait: impl Fn(PartyId) -> Option<Duration>,
        shape: impl Fn(PartyId) -> S,
    ) -> Result<Collected<M>, SessionError> {
        self.require_confirmed(M::ROUND)?;
        let step = self.next_step()?;
        // A party that cannot be reached may have finished, and its answer may be here already.
        let _ = self.send_personal(step, outgoing, &shape)?;

        let mut messages = self.nothing::<M>();
        let limit = |party| M::max_bytes(shape(party).borrow());
        let pending = self.active_others(|party| wait(party).is_some());
        let mut accept = accept::<M, S>(&shape, |from, message, _| messages[from] = Some(message));
        let begin = Instant::now();
        let want = Want { timeout: Duration::ZERO, ..self.want::<M>(step, &limit) };
        let Gathered { mut failures, mut pending, .. } =
            self.gather(&want, pending, None, Deadline::now(), &mut accept);
        let mut behind = Vec::new();
        loop {
            let passed = begin.elapsed();
            let is_due = |&peer: &PartyId| wait(peer).unwrap_or_default() <= passed;
            let (due, waiting): (Vec<_>, Vec<_>) = pending.into_iter().partition(is_due);
            behind.extend(due);
            let Some(next) = waiting.iter().filter_map(|&peer| wait(peer)).min() else { break };
            // Until the next of the times is over. An abort ends `gather`, but not the wait for the rest.
            let rest = next.saturating_sub(passed);
            let want = Want { timeout: rest, ..self.want::<M>(step, &limit) };
            let gathered = self.gather(&want, waiting, None, Deadline::after(rest), &mut accept);
            failures.extend(gathered.failures);
            pending = gathered.pending;
        }
        drop(accept);

        for party in behind {
            self.skip(party, M::ROUND, step);
        }
        failures.sort_by_key(|failure| failure.party);
        for failure in &failures {
            self.give_up(failure.clone());
        }
        Ok(Collected { messages, failures })
    }

    /// After a collecting step: drops what a party of which nothing was expected may still send in it.
    /// Such a party owes nothing, however often this is called.
    pub fn pass_over(&mut self, party: PartyId) {
        let step = self.step.saturating_sub(1);
        let Some(peer) = self.peers.get_mut(party.index()).filter(|peer| !peer.failed) else { return };
        peer.skipped.push_back(step);
        if peer.skipped.len() > MAX_SKIPPED {
            peer.skipped.pop_front();
        }
    }

    /// A step that goes on without some parties cannot notice that one of them saw other broadcasts.
    fn require_confirmed(&self, round: &'static str) -> Result<(), Misuse> {
        let unconfirmed = self
            .active_others(|_| true)
            .into_iter()
            .find(|party| self.peers[party.index()].shown != Some(self.transcript));
        match unconfirmed {
            None => Ok(()),
            Some(party) => Err(Misuse::Unconfirmed { round, name: self.roster.name(party).to_owned() }),
        }
    }
}
