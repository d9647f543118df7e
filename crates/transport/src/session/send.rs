//! Encoding and sending the frames of a step.

use std::borrow::Borrow;

use super::{Session, rounds::decode};
use crate::{
    Fault, HEADER_BYTES, Message, Misuse, PartyId, SessionError, Transport,
    frame::Kind,
    wiped::{Wiped, Writer},
};

/// A broadcast of mine.
pub(super) struct Encoded<M> {
    /// The frame, whose header is still to be written.
    pub(super) frame: Wiped,
    pub(super) own: M,
}

impl<T: Transport> Session<T> {
    /// Sends one frame to every other party. Those that could not be reached and still take part are returned.
    pub(super) fn send_to_all(
        &mut self,
        round: &'static str,
        frame: &[u8],
    ) -> Result<Vec<(PartyId, Fault)>, SessionError> {
        let mut unsent = Vec::new();
        for party in self.roster.others() {
            self.send_one(party, round, frame, &mut unsent)?;
        }
        Ok(unsent)
    }

    pub(super) fn send_personal<M: Message, S: Borrow<M::Shape>>(
        &mut self,
        step: u32,
        mut outgoing: impl FnMut(PartyId) -> Option<M>,
        shape: &impl Fn(PartyId) -> S,
    ) -> Result<Vec<(PartyId, Fault)>, SessionError> {
        let mut unsent = Vec::new();
        for party in self.roster.others() {
            let Some(message) = outgoing(party) else { continue };
            let mut frame = match self.encode(&message, shape(self.me()).borrow()) {
                Ok(frame) => frame,
                // Some of the others have their messages already, so the step cannot be taken back.
                Err(misuse) => return Err(self.fail(misuse.into())),
            };
            self.finish_frame(&mut frame, step, M::ROUND);
            self.send_one(party, M::ROUND, &frame, &mut unsent)?;
        }
        Ok(unsent)
    }

    fn send_one(
        &mut self,
        party: PartyId,
        round: &'static str,
        frame: &[u8],
        unsent: &mut Vec<(PartyId, Fault)>,
    ) -> Result<(), SessionError> {
        match self.send_frame(party, round, frame) {
            Ok(()) => Ok(()),
            Err(fault @ (Fault::TooLarge { .. } | Fault::UnknownParty | Fault::Myself)) => {
                let name = self.roster.name(party).to_owned();
                Err(self.fail(Misuse::Transport { round, name, fault }.into()))
            }
            Err(fault) => {
                if self.is_active(party) {
                    unsent.push((party, fault));
                }
                Ok(())
            }
        }
    }

    /// The frame of a broadcast, and my own message as the others will see it.
    pub(super) fn encode_broadcast<M: Message>(
        &self,
        message: &M,
        shape: &M::Shape,
    ) -> Result<Encoded<M>, Misuse> {
        let frame = self.encode(message, shape)?;
        let own = decode(&frame[HEADER_BYTES..]).map_err(|_| Misuse::Unencodable { round: M::ROUND })?;
        Ok(Encoded { frame, own })
    }

    /// A frame whose header is still to be written: it depends on the step.
    fn encode<M: Message>(&self, message: &M, shape: &M::Shape) -> Result<Wiped, Misuse> {
        let round = M::ROUND;
        let empty = Writer(vec![0; HEADER_BYTES].into());
        let Writer(frame) = postcard::to_extend(message, empty).map_err(|_| Misuse::Unencodable { round })?;
        let bytes = frame.len() - HEADER_BYTES;
        let limit = self.payload_limit(M::max_bytes(shape));
        if bytes > limit { Err(Misuse::TooLong { round, bytes, limit }) } else { Ok(frame) }
    }

    fn payload_limit(&self, max_bytes: usize) -> usize {
        max_bytes.min(self.limits.max_frame.saturating_sub(HEADER_BYTES))
    }

    pub(super) fn finish_frame(&self, frame: &mut [u8], step: u32, round: &str) {
        frame[..HEADER_BYTES].copy_from_slice(&self.header(Kind::Message, step, round).encode());
    }
}
