//! Step R6b of `docs/protocols/risk-propagation.md`: every bank tells all others the hashes of what it sent to each of them alone.
//!
//! So a bank is bound to its personal messages, as it is to its broadcasts: who receives one compares, and an auditor who has a
//! bank's record knows that no message in it was made up by that bank.

use rayon::prelude::*;

use crate::error::Error;
use crate::steps::messages::{Digests, OfferChunk, ScoreChunk, SelectionBits, Sent};
use subrosa_encoding::Hasher;
use subrosa_transport::{PartyId, PerParty, Roster, Session, Transport};

/// A message to one bank that is bound by [`Sent`].
pub trait Personal {
    /// Adds the content of the message.
    fn add_to(&self, hash: Hasher) -> Hasher;
}

impl Personal for Digests {
    fn add_to(&self, hash: Hasher) -> Hasher {
        let hash = hash.field("message", b"digests").u64("periods", self.sent.len() as u64);
        self.sent.iter().chain(&self.received).fold(hash, |hash, digest| hash.field("digest", digest))
    }
}

impl Personal for OfferChunk {
    fn add_to(&self, hash: Hasher) -> Hasher {
        let hash = hash.field("message", b"offer").u64("senders", self.senders.len() as u64);
        let add = |hash: Hasher, (period, name): &(u32, String)| {
            hash.u64("period", u64::from(*period)).field("name", name.as_bytes())
        };
        self.senders.iter().fold(hash, add)
    }
}

impl Personal for SelectionBits {
    fn add_to(&self, hash: Hasher) -> Hasher {
        hash.field("message", b"selection").field("bits", &self.bits).field("salt", &self.salt)
    }
}

impl Personal for ScoreChunk {
    fn add_to(&self, hash: Hasher) -> Hasher {
        hash.field("message", b"scores").field("batch", &self.batch.digest())
    }
}

/// Running hashes of what was sent to every other bank, and received from it, in one session.
#[derive(Debug)]
pub struct Links {
    roster: Roster,
    sent: Vec<Hasher>,
    received: Vec<Hasher>,
}

impl Links {
    /// Nothing sent and nothing received yet in a session.
    #[must_use]
    pub fn new(session: &[u8; 32], roster: &Roster) -> Self {
        let me = roster.me();
        let link = |from: PartyId, to: PartyId| {
            Hasher::new("subrosa/risk-propagation/link", 1)
                .field("session", session)
                .u64("from", from.index() as u64)
                .u64("to", to.index() as u64)
        };
        let sent = roster.parties().map(|party| link(me, party)).collect();
        let received = roster.parties().map(|party| link(party, me)).collect();
        Self { roster: roster.clone(), sent, received }
    }

    /// Notes a message to a bank, and hands it on.
    pub fn sent<M: Personal>(&mut self, to: PartyId, message: M) -> M {
        add(&mut self.sent, to, &message);
        message
    }

    /// Notes a message of a bank.
    pub fn received<M: Personal>(&mut self, from: PartyId, message: &M) {
        add(&mut self.received, from, message);
    }

    /// Notes messages to several banks, in the rayon pool.
    pub(crate) fn sent_all<M: Personal + Sync>(&mut self, messages: &PerParty<Option<M>>) {
        add_all(&mut self.sent, messages);
    }

    /// Notes messages of several banks, in the rayon pool.
    pub(crate) fn received_all<M: Personal + Sync>(&mut self, messages: &PerParty<Option<M>>) {
        add_all(&mut self.received, messages);
    }

    /// What is told to all.
    #[must_use]
    pub fn message(&self) -> Sent {
        let me = self.roster.me();
        let link = |(party, hash): (PartyId, &Hasher)| if party == me { [0; 32] } else { hash.finish() };
        Sent { links: self.roster.parties().zip(&self.sent).map(link).collect() }
    }

    /// The first bank that says it sent this one something else than what arrived.
    #[must_use]
    pub fn contradiction(&self, told: &PerParty<Sent>) -> Option<PartyId> {
        let me = self.roster.me();
        let differs = |&(party, sent): &(PartyId, &Sent)| {
            let arrived = self.received.get(party.index()).map(Hasher::finish);
            party != me && sent.links.get(me.index()) != arrived.as_ref()
        };
        told.iter().find(differs).map(|(party, _)| party)
    }

    /// R6b: tells all banks what was sent, and compares what they tell with what arrived.
    pub(crate) fn compare<T: Transport>(&self, session: &mut Session<T>) -> Result<(), Error> {
        let told = session.broadcast(&self.message(), &self.roster.len())?;
        let Some(party) = self.contradiction(&told) else { return Ok(()) };
        let me = self.roster.name(self.roster.me());
        let reason = format!("what arrived from it at `{me}` is not what it says that it sent there");
        Err(Error::Peer { party, bank: self.roster.name(party).to_owned(), reason })
    }
}

fn add(hashes: &mut [Hasher], party: PartyId, message: &impl Personal) {
    if let Some(hash) = hashes.get_mut(party.index()) {
        *hash = message.add_to(hash.clone());
    }
}

fn add_all<M: Personal + Sync>(hashes: &mut [Hasher], messages: &PerParty<Option<M>>) {
    let messages: Vec<Option<&M>> = messages.values().map(Option::as_ref).collect();
    hashes.par_iter_mut().zip(messages).for_each(|(hash, message)| {
        if let Some(message) = message {
            *hash = message.add_to(hash.clone());
        }
    });
}
