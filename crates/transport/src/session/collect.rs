//! Personal messages in rounds that go on without parties that do not answer.

use std::{
    borrow::Borrow,
    time::{Duration, Instant},
};

use super::{Session, gather::Want, rounds::accept};
use crate::{
    Deadline, Fault, Message, Misuse, PartyId, PerParty, SessionError, Transport,
    error::{Cause, Failure},
};

/// What a collecting round brought.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected<M> {
    /// The answers that came in time, by party; none for me.
    pub messages: PerParty<Option<M>>,
    /// The parties that were given up in this round, with the reasons.
    pub failures: Vec<Failure>,
}

impl<M> Collected<M> {
    /// The parties that answered, each with its message, in roster order.
    pub fn answers(&self) -> impl Iterator<Item = (PartyId, &M)> {
        self.messages.present()
    }
}

impl<T: Transport> Session<T> {
    /// Personal messages in threshold form: as [`Session::exchange`], but the step is over as soon as `enough` of the
    /// others have answered.
    ///
    /// A party that is silent until the deadline, disconnects, aborts or sends something wrong is given up: it is
    /// named in [`Collected::failures`] and [`Session::failed`], and no later collecting round waits for it. A party
    /// that is merely slower than the first `enough` is not: its answer is dropped when it comes, unless it comes
    /// within [`Limits::collect_grace`](crate::Limits::collect_grace).
    ///
    /// # Errors
    /// [`SessionError::NotEnough`] when fewer than `enough` are left, which ends the session. [`Misuse::Unconfirmed`]
    /// where a remaining party has not confirmed the broadcasts so far: a step that goes on without some parties
    /// cannot notice that one of them saw other broadcasts, so [`Session::confirm`] comes first.
    pub fn collect<M: Message>(
        &mut self,
        outgoing: impl FnMut(PartyId) -> Option<M>,
        expected: impl Fn(PartyId) -> bool,
        enough: usize,
        shape: &M::Shape,
    ) -> Result<Collected<M>, SessionError> {
        self.collect_shaped(outgoing, expected, enough, |_| shape)
    }

    /// [`Session::collect`] where the shape depends on the sender. My own messages are held to the length of
    /// `shape(me)`.
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
        // Whoever cannot be reached may have gone with all it needs, and its answer may be here already.
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

    /// Personal messages from whoever answers in time: sends what `outgoing` gives for each other party, and waits for
    /// each party for which `wait` gives a time.
    ///
    /// The step is over when each of them has answered, has failed, or is late. One whose time is zero is late at once. A
    /// late party is not given up: its answer is dropped when it comes. A party that disconnects, aborts or sends something
    /// wrong is.
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
        // Whoever cannot be reached may have answered before it went.
        let _ = self.send_personal(step, outgoing, &shape)?;

        let mut messages = self.nothing::<M>();
        let limit = |party| M::max_bytes(shape(party).borrow());
        let begin = Instant::now();
        let mut pending = self.active_others(|party| wait(party).is_some());
        let mut accept = accept::<M, S>(&shape, |from, message, _| messages[from] = Some(message));
        let (mut failures, mut behind) = (Vec::new(), Vec::new());
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
