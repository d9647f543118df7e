//! The rounds of an open session: broadcasts, personal messages, confirmation.

use std::{borrow::Borrow, time::Duration};

use super::{CONFIRM_ROUND, Session, gather::Want, send::Encoded};
use crate::{
    Fault, Message, Misuse, PartyId, PerParty, SessionError, Transport,
    error::{Cause, Violation},
    frame::{HEADER_BYTES, Kind, round_tag},
    transcript::{Transcript, digest},
};

impl<T: Transport> Session<T> {
    /// Broadcasts `message` and receives the broadcasts of all others. Returns the messages of all parties, this one
    /// included, in roster order.
    ///
    /// The messages enter the transcript. The next frame of each party shows whether all parties received the same.
    ///
    /// # Errors
    /// Names every party whose message is missing or wrong, or that a collecting round gave up before.
    /// [`Session::broadcast_remaining`] goes on without the latter. Ends the session.
    pub fn broadcast<M: Message>(
        &mut self,
        message: &M,
        shape: &M::Shape,
    ) -> Result<PerParty<M>, SessionError> {
        self.broadcast_shaped(message, |_| shape)
    }

    /// Broadcasts as [`Session::broadcast`], with a shape for each sender, such as if parties send different numbers of
    /// values.
    ///
    /// # Errors
    /// As [`Session::broadcast`].
    pub fn broadcast_shaped<M: Message, S: Borrow<M::Shape>>(
        &mut self,
        message: &M,
        shape: impl Fn(PartyId) -> S,
    ) -> Result<PerParty<M>, SessionError> {
        self.require_all(M::ROUND)?;
        let messages = self.broadcast_remaining(message, shape)?;
        // Nobody is left out, so every place is filled.
        Ok(PerParty::from_vec(messages.into_vec().into_iter().flatten().collect()))
    }

    /// Broadcasts as [`Session::broadcast_shaped`], among the parties that have not been given up. The others have
    /// `None`.
    ///
    /// The transcript includes who is left out. If parties leave out different ones, the session ends with
    /// [`SessionError::EchoMismatch`].
    ///
    /// # Errors
    /// Names every remaining party whose message is missing or wrong. Ends the session.
    pub fn broadcast_remaining<M: Message, S: Borrow<M::Shape>>(
        &mut self,
        message: &M,
        shape: impl Fn(PartyId) -> S,
    ) -> Result<PerParty<Option<M>>, SessionError> {
        let me = self.me();
        let Encoded { mut frame, own } = self.encode_broadcast(message, shape(me).borrow())?;
        let step = self.next_step()?;
        self.finish_frame(&mut frame, step, M::ROUND);
        let unsent = self.send_to_all(M::ROUND, &frame)?;

        let mut messages = self.nothing::<M>();
        let mut digests = vec![None; self.roster.len()];
        messages[me] = Some(own);
        digests[me.index()] = Some(digest(&frame[HEADER_BYTES..]));
        drop(frame);
        let peers = self.active_others(|_| true);
        self.gather_messages(step, self.transcript, &shape, peers, unsent, &mut |from, message, payload| {
            messages[from] = Some(message);
            digests[from.index()] = Some(digest(payload));
        })?;
        self.transcript.absorb(step, M::ROUND, digests.into_iter());
        Ok(messages)
    }

    /// Broadcasts from one party to all. `sender` alone gives a message, and all parties receive it, the sender
    /// included.
    ///
    /// # Errors
    /// [`Misuse::WrongSender`] if the sender gives no message or another party gives one. If the sender's message is
    /// missing or wrong, or the sender was given up before, the session ends.
    pub fn broadcast_from<M: Message>(
        &mut self,
        sender: PartyId,
        message: Option<&M>,
        shape: &M::Shape,
    ) -> Result<M, SessionError> {
        if !self.roster.contains(sender) {
            return Err(Misuse::UnknownParty { party: sender }.into());
        }
        let mut digests = vec![None; self.roster.len()];
        let (received, step) = match (sender == self.me(), message) {
            (true, Some(message)) => {
                let Encoded { mut frame, own } = self.encode_broadcast(message, shape)?;
                let step = self.next_step()?;
                self.finish_frame(&mut frame, step, M::ROUND);
                let unsent = self.send_to_all(M::ROUND, &frame)?;
                digests[sender.index()] = Some(digest(&frame[HEADER_BYTES..]));
                self.gather_messages::<M, _>(
                    step,
                    self.transcript,
                    &|_| shape,
                    Vec::new(),
                    unsent,
                    &mut |_, _, _| {},
                )?;
                (Some(own), step)
            }
            (false, None) => {
                self.require(sender, M::ROUND)?;
                let step = self.next_step()?;
                let mut received = None;
                self.gather_messages(
                    step,
                    self.transcript,
                    &|_| shape,
                    vec![sender],
                    Vec::new(),
                    &mut |_, message, payload| {
                        received = Some(message);
                        digests[sender.index()] = Some(digest(payload));
                    },
                )?;
                (received, step)
            }
            _ => return Err(Misuse::WrongSender { round: M::ROUND }.into()),
        };
        self.transcript.absorb(step, M::ROUND, digests.into_iter());
        received.ok_or_else(|| Misuse::WrongSender { round: M::ROUND }.into())
    }

    /// Exchanges personal messages. Sends what `outgoing` gives for each other party, and receives one message from
    /// each party for which `expected` holds.
    ///
    /// `outgoing` is called for every other party, also for one that was given up before. A message to such a party is
    /// sent if it can be reached.
    ///
    /// # Errors
    /// Names every expected party whose message is missing or wrong, or that was given up before. Ends the session.
    pub fn exchange<M: Message>(
        &mut self,
        outgoing: impl FnMut(PartyId) -> Option<M>,
        expected: impl Fn(PartyId) -> bool,
        shape: &M::Shape,
    ) -> Result<PerParty<Option<M>>, SessionError> {
        self.exchange_shaped(outgoing, expected, |_| shape)
    }

    /// Exchanges as [`Session::exchange`], with a shape for each sender. This party's own messages may have the length
    /// that `shape(me)` allows.
    ///
    /// # Errors
    /// As [`Session::exchange`].
    pub fn exchange_shaped<M: Message, S: Borrow<M::Shape>>(
        &mut self,
        outgoing: impl FnMut(PartyId) -> Option<M>,
        expected: impl Fn(PartyId) -> bool,
        shape: impl Fn(PartyId) -> S,
    ) -> Result<PerParty<Option<M>>, SessionError> {
        let others = self.roster.others();
        for party in others.filter(|&party| expected(party)) {
            self.require(party, M::ROUND)?;
        }
        let step = self.next_step()?;
        let unsent = self.send_personal(step, outgoing, &shape)?;
        let mut messages = self.nothing::<M>();
        let peers = self.active_others(&expected);
        self.gather_messages(step, self.transcript, &shape, peers, unsent, &mut |from, message, _| {
            messages[from] = Some(message);
        })?;
        Ok(messages)
    }

    /// Exchanges personal messages between all pairs. Sends each other party its entry of `messages`, keeps this
    /// party's own, and returns what all parties sent to this one, in roster order.
    ///
    /// # Errors
    /// [`Misuse::UnknownParty`] unless there is one message for each party; otherwise as [`Session::exchange`].
    pub fn exchange_all<M: Message>(
        &mut self,
        messages: PerParty<M>,
        shape: &M::Shape,
    ) -> Result<PerParty<M>, SessionError> {
        let parties = self.roster.len();
        let mut messages: Vec<Option<M>> = messages.into_vec().into_iter().map(Some).collect();
        if messages.len() != parties {
            let party = PartyId::from_index(messages.len().min(parties));
            return Err(Misuse::UnknownParty { party }.into());
        }
        let me = self.me();
        let mine = messages[me.index()].take();
        let outgoing = |party: PartyId| messages.get_mut(party.index()).and_then(Option::take);
        let mut received = self.exchange(outgoing, |_| true, shape)?;
        received[me] = mine;
        // `exchange` fails where one is missing, so every place is filled.
        Ok(PerParty::from_vec(received.into_vec().into_iter().flatten().collect()))
    }

    /// Compares transcripts with every remaining party, by a frame without a message (S7).
    ///
    /// After it, every remaining honest party has the same broadcasts as this one, or ends with an error. Call it after
    /// the last broadcast, before an output of the protocol is handed out, and before every message that must not be
    /// sent after an inconsistent broadcast.
    ///
    /// # Errors
    /// [`SessionError::EchoMismatch`], which names the pair; a party that is silent or breaks the protocol. Ends the
    /// session.
    pub fn confirm(&mut self) -> Result<(), SessionError> {
        self.echo(CONFIRM_ROUND, self.limits.round_timeout)
    }

    pub(super) fn echo(&mut self, round: &'static str, timeout: Duration) -> Result<(), SessionError> {
        let step = self.next_step()?;
        let frame = self.header(Kind::Echo, step, round).encode();
        let unsent = self.send_to_all(round, &frame)?;
        let want = Want {
            round,
            tag: round_tag(round),
            kind: Kind::Echo,
            step,
            transcript: self.transcript,
            timeout,
            max_payload: &|_| 0,
        };
        let peers = self.active_others(|_| true);
        self.gather_all(&want, peers, unsent, &mut |_, _, _| Ok(()))
    }

    pub(super) fn want<'a, M: Message>(
        &self,
        step: u32,
        max_payload: &'a dyn Fn(PartyId) -> usize,
    ) -> Want<'a> {
        Want {
            round: M::ROUND,
            tag: round_tag(M::ROUND),
            kind: Kind::Message,
            step,
            transcript: self.transcript,
            timeout: self.limits.round_timeout,
            max_payload,
        }
    }

    /// One message of a step from each of `peers`; its frames carry `transcript`.
    pub(super) fn gather_messages<M: Message, S: Borrow<M::Shape>>(
        &mut self,
        step: u32,
        transcript: Transcript,
        shape: &impl Fn(PartyId) -> S,
        peers: Vec<PartyId>,
        unsent: Vec<(PartyId, Fault)>,
        take: &mut dyn FnMut(PartyId, M, &[u8]),
    ) -> Result<(), SessionError> {
        let limit = |party| M::max_bytes(shape(party).borrow());
        let want = Want { transcript, ..self.want::<M>(step, &limit) };
        self.gather_all(&want, peers, unsent, &mut accept::<M, S>(shape, take))
    }

    pub(super) fn active_others(&self, expected: impl Fn(PartyId) -> bool) -> Vec<PartyId> {
        self.roster.others().filter(|&party| self.is_active(party) && expected(party)).collect()
    }

    pub(super) fn nothing<M>(&self) -> PerParty<Option<M>> {
        PerParty::from_vec(self.roster.parties().map(|_| None).collect())
    }

    /// Nobody may have been given up before.
    pub(super) fn require_all(&mut self, round: &'static str) -> Result<(), SessionError> {
        if self.failures.is_empty() {
            return Ok(());
        }
        let mut failures = self.failures.clone();
        failures.sort_by_key(|failure| failure.party);
        Err(self.fail(SessionError::Failed { round, failures }))
    }

    /// This party may not have been given up before.
    fn require(&mut self, party: PartyId, round: &'static str) -> Result<(), SessionError> {
        match self.failures.iter().find(|failure| failure.party == party) {
            None => Ok(()),
            Some(failure) => {
                let failures = vec![failure.clone()];
                Err(self.fail(SessionError::Failed { round, failures }))
            }
        }
    }
}

pub(super) fn decode<M: Message>(payload: &[u8]) -> Result<M, Violation> {
    match postcard::take_from_bytes(payload) {
        Ok((message, [])) => Ok(message),
        _ => Err(Violation::Undecodable),
    }
}

/// Decodes and checks a payload, then hands it on.
pub(super) fn accept<M: Message, S: Borrow<M::Shape>>(
    shape: &impl Fn(PartyId) -> S,
    mut take: impl FnMut(PartyId, M, &[u8]),
) -> impl FnMut(PartyId, &crate::frame::Header, &[u8]) -> Result<(), Cause> {
    move |from, _, payload| {
        let message: M = decode(payload)?;
        message.check(shape(from).borrow()).map_err(Violation::Refused)?;
        take(from, message, payload);
        Ok(())
    }
}
