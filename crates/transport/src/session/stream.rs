//! Streams: many steps of one round, of which several are under way at a time (S9).

use std::collections::VecDeque;

use super::{Session, send::Encoded};
use crate::{
    Culprits, Deadline, Fault, HEADER_BYTES, Message, Misuse, PartyId, PerParty, SessionError, Transport,
    Violation,
    frame::{Header, Kind},
    transcript::{Transcript, digest},
    wiped::Wiped,
};

/// How many steps of a stream are under way at a time unless [`Session::set_window`] says otherwise.
pub const DEFAULT_WINDOW: usize = 8;

/// A stream of personal messages, as one party takes part in it: see [`Session::exchange_stream`].
///
/// Steps are counted from 0 within the stream.
pub trait PersonalStream {
    /// The messages.
    type Message: Message<Shape: Sized>;
    /// Errors of the protocol that runs in the session.
    type Error: From<SessionError> + Culprits + std::error::Error + 'static;

    /// My message to a party in a step. Called once for each step and other party, in ascending order.
    ///
    /// # Errors
    /// Those of the protocol; they end the session.
    fn outgoing(&mut self, step: usize, to: PartyId) -> Result<Self::Message, Self::Error>;

    /// What a party's message of a step is checked against. My own are held to the length of my own shape.
    fn shape(&self, step: usize, from: PartyId) -> <Self::Message as Message>::Shape;

    /// Takes the messages of a step: one of each other party, and none of me. Called once for each step, in ascending order.
    ///
    /// # Errors
    /// Those of the protocol; they end the session.
    fn take(&mut self, step: usize, messages: PerParty<Option<Self::Message>>) -> Result<(), Self::Error>;
}

/// A stream of all-to-all broadcasts, as one party takes part in it: see [`Session::broadcast_stream`].
///
/// Steps are counted from 0 within the stream.
pub trait BroadcastStream {
    /// The messages.
    type Message: Message<Shape: Sized>;
    /// Errors of the protocol that runs in the session.
    type Error: From<SessionError> + Culprits + std::error::Error + 'static;

    /// My message of a step. Called once for each step, in ascending order.
    ///
    /// # Errors
    /// Those of the protocol; they end the session.
    fn outgoing(&mut self, step: usize) -> Result<Self::Message, Self::Error>;

    /// What a party's message of a step, mine included, is checked against.
    fn shape(&self, step: usize, from: PartyId) -> <Self::Message as Message>::Shape;

    /// Takes the messages of a step, mine included; `None` for parties that were given up before. Called once for each
    /// step, in ascending order.
    ///
    /// # Errors
    /// Those of the protocol; they end the session.
    fn take(&mut self, step: usize, messages: PerParty<Option<Self::Message>>) -> Result<(), Self::Error>;
}

/// A step in which I have sent, and not yet heard, everything.
struct UnderWay<M> {
    /// Its number in the session.
    number: u32,
    /// The transcript that its frames carry.
    shown: Transcript,
    unsent: Vec<(PartyId, Fault)>,
    /// My own message of a broadcast, and its digest.
    own: Option<(M, [u8; 32])>,
}

impl<T: Transport> Session<T> {
    /// Changes how many steps of a stream are under way at a time, from the next stream on; 0 counts as 1.
    ///
    /// It must be the same at all parties, so a protocol fixes it with its version or compares it as a parameter. Memory
    /// that waits for one peer grows with it, on both sides.
    pub fn set_window(&mut self, steps: usize) {
        self.window = steps.max(1);
    }

    /// As many steps of [`Session::exchange`] as `steps` says, several of them under way at a time: I send my messages of a
    /// step when I have everybody's of the step [`window`](Session::set_window) steps before.
    ///
    /// Everybody sends everybody a message in each step, an empty one where there is nothing to say: it tells that its sender has come so
    /// far. All parties give the same number of steps, so it follows from what they agreed on. The timeout of a round holds for
    /// each step. An error of `stream` ends the session, and everybody is told what it [reports](Culprits::reported).
    ///
    /// # Security
    /// A party that waits before it sends sees the messages to it of `window` − 1 more steps than in single steps.
    ///
    /// # Errors
    /// Those of `stream`; as [`Session::exchange`], for the first step that fails. Ends the session.
    pub fn exchange_stream<P: PersonalStream>(
        &mut self,
        steps: usize,
        stream: &mut P,
    ) -> Result<(), P::Error> {
        let round = P::Message::ROUND;
        self.require_all(round)?;
        let mut under_way = VecDeque::new();
        let mut sent = 0;
        let end = self.end_of(steps)?;
        for step in 0..steps {
            while sent < steps.min(step.saturating_add(self.window)) {
                self.read_ahead(round, end)?;
                under_way.push_back(self.send_step(sent, stream)?);
                sent += 1;
            }
            let Some(UnderWay { number, unsent, .. }) = under_way.pop_front() else { break };
            let peers = self.active_others(|_| true);
            let mut messages = self.nothing();
            let shape = |party| stream.shape(step, party);
            let shown = self.transcript;
            self.gather_messages(number, shown, &shape, peers, unsent, &mut |from, message, _| {
                messages[from] = Some(message);
            })?;
            stream.take(step, messages).map_err(|error| self.tell(error))?;
        }
        Ok(())
    }

    /// As many steps of [`Session::broadcast_remaining`] as `steps` says, several of them under way at a time: I send my
    /// message of a step when I have everybody's of the step [`window`](Session::set_window) steps before.
    ///
    /// All parties give the same number of steps, so it follows from what they agreed on. The timeout of a round holds for
    /// each step. An error of `stream` ends the session, and everybody is told what it [reports](Culprits::reported).
    ///
    /// # Security
    /// A frame shows the transcript of `window` − 1 steps before, so that others' different messages of a step are noticed
    /// that much later, at the latest in the next round in which everybody sends to everybody. A party that waits before it sends
    /// sees `window` − 1 more messages of each other party than in single steps: commit to what must not depend on them.
    ///
    /// # Errors
    /// Those of `stream`; as [`Session::broadcast_remaining`], for the first step that fails. Ends the session.
    pub fn broadcast_stream<B: BroadcastStream>(
        &mut self,
        steps: usize,
        stream: &mut B,
    ) -> Result<(), B::Error> {
        let mut under_way = VecDeque::new();
        let mut sent = 0;
        let end = self.end_of(steps)?;
        for step in 0..steps {
            while sent < steps.min(step.saturating_add(self.window)) {
                self.read_ahead(B::Message::ROUND, end)?;
                under_way.push_back(self.broadcast_step(sent, stream)?);
                sent += 1;
            }
            let Some(UnderWay { number, shown, unsent, own }) = under_way.pop_front() else { break };
            let peers = self.active_others(|_| true);
            let mut messages = self.nothing();
            let mut digests = vec![None; self.roster.len()];
            if let Some((own, digest)) = own {
                messages[self.me()] = Some(own);
                digests[self.me().index()] = Some(digest);
            }
            let shape = |party| stream.shape(step, party);
            self.gather_messages(number, shown, &shape, peers, unsent, &mut |from, message, payload| {
                messages[from] = Some(message);
                digests[from.index()] = Some(digest(payload));
            })?;
            self.transcript.absorb(number, B::Message::ROUND, digests.into_iter());
            stream.take(step, messages).map_err(|error| self.tell(error))?;
        }
        Ok(())
    }

    /// The step after a stream that begins with the next one.
    fn end_of(&self, steps: usize) -> Result<u32, SessionError> {
        if self.closed {
            return Err(Misuse::Closed.into());
        }
        let end = u32::try_from(steps).ok().and_then(|steps| self.step.checked_add(steps));
        end.ok_or_else(|| Misuse::TooManySteps.into())
    }

    /// S9: reads what has arrived of a stream that ends before step `end`, and refuses frames that cannot be there yet.
    ///
    /// Called while frames of mine are unsent. So nobody has finished the stream, and frames that are read here are of this
    /// stream or the last that their sender sends.
    fn read_ahead(&mut self, round: &'static str, end: u32) -> Result<(), SessionError> {
        let next = self.step;
        let allowed = next.saturating_add(u32::try_from(self.window).unwrap_or(u32::MAX));
        // As many as a peer that keeps to the window can have sent.
        let most = self.window.saturating_mul(2);
        let mut failures = Vec::new();
        for party in self.active_others(|_| true) {
            let step_of = |frame: &Wiped| match Header::parse(frame) {
                Ok((header, _)) if header.kind == Kind::Message && header.session == self.id => {
                    Some(header.step)
                }
                _ => None,
            };
            let Some(peer) = self.peers.get_mut(party.index()) else { continue };
            let of_stream = |frame: &Wiped| step_of(frame).is_some_and(|step| step < end);
            // Behind a frame that is not of the stream comes nothing that this session takes.
            while peer.ahead.len() < most && peer.ahead.back().is_none_or(of_stream) {
                // A peer that cannot be reached fails when its frame is waited for.
                let Ok(frame) = self.transport.receive(party, Deadline::now()) else { break };
                let frame = Wiped::new(frame);
                let step = step_of(&frame);
                peer.ahead.push_back(frame);
                if let Some(step) = step.filter(|step| (allowed..end).contains(step)) {
                    failures.push((party, Violation::TooFarAhead { step, expected: next }));
                    break;
                }
            }
        }
        if failures.is_empty() {
            return Ok(());
        }
        let failure = |(party, violation): (PartyId, Violation)| self.failure(party, round, violation.into());
        let failures = failures.into_iter().map(failure).collect();
        Err(self.fail(SessionError::Failed { round, failures }))
    }

    /// Sends my personal messages of a step.
    fn send_step<P: PersonalStream>(
        &mut self,
        step: usize,
        stream: &mut P,
    ) -> Result<UnderWay<P::Message>, P::Error> {
        let others: Vec<PartyId> = self.roster.others().collect();
        let mut messages = self.nothing();
        for party in others {
            messages[party] = Some(stream.outgoing(step, party).map_err(|error| self.tell(error))?);
        }
        let number = self.next_step().map_err(SessionError::from)?;
        let shape = |party| stream.shape(step, party);
        let unsent = self.send_personal(number, |party| messages[party].take(), &shape)?;
        Ok(UnderWay { number, shown: self.transcript, unsent, own: None })
    }

    /// Sends my broadcast of a step.
    fn broadcast_step<B: BroadcastStream>(
        &mut self,
        step: usize,
        stream: &mut B,
    ) -> Result<UnderWay<B::Message>, B::Error> {
        let message = stream.outgoing(step).map_err(|error| self.tell(error))?;
        let encoded = self.encode_broadcast(&message, &stream.shape(step, self.me()));
        // Others may have my messages of earlier steps, so the stream cannot be taken back.
        let Encoded { mut frame, own } = encoded.map_err(|misuse| self.fail(misuse.into()))?;
        let number = self.next_step().map_err(SessionError::from)?;
        self.finish_frame(&mut frame, number, B::Message::ROUND);
        let unsent = self.send_to_all(B::Message::ROUND, &frame)?;
        let digest = digest(&frame[HEADER_BYTES..]);
        Ok(UnderWay { number, shown: self.transcript, unsent, own: Some((own, digest)) })
    }

    /// Tells everybody of an error in the midst of a stream, which ends the session.
    fn tell<E: Culprits + std::error::Error + 'static>(&mut self, error: E) -> E {
        self.abort(&error.reported(), &error.culprits());
        error
    }
}
