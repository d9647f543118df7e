//! Dealings, with commitments in the broadcast before and receipts in the broadcast after.

use rand_core::CryptoRng;

use super::Run;
use crate::KeygenError;
use crate::dealing::{Commitment, DealingId, DealtMessage, Seed, disputed};
use crate::receipts::{Committed, Late, Nothing, Published, PublishedShape, Receipted, Riding, parties};
use crate::records::DealingRecord;
use subrosa_transport::{Message, PartyId, PerParty, Transport};

/// A dealing of this party that is not yet sent, with its secret state.
pub(super) struct Pending<M, K> {
    id: DealingId,
    seed: Seed,
    commitment: Commitment,
    messages: PerParty<M>,
    kept: K,
}

/// A dealing to which all parties have committed.
pub(super) struct Announced<M, K> {
    pub record: DealingRecord,
    pub messages: PerParty<M>,
    pub kept: K,
}

impl<T: Transport> Run<'_, T> {
    /// Draws a seed and deals from it.
    pub(super) fn prepare<M: DealtMessage, K, R: CryptoRng>(
        &self,
        id: DealingId,
        rng: &mut R,
        deal: impl FnOnce(&Seed) -> Result<(K, PerParty<M>), KeygenError>,
    ) -> Result<Pending<M, K>, KeygenError> {
        let seed = Seed::random(rng);
        let (kept, messages) = deal(&seed)?;
        let commitment = Commitment::new(&self.id, id, self.me(), &seed, &messages);
        Ok(Pending { id, seed, commitment, messages, kept })
    }

    /// Broadcasts a message with the commitment to a dealing.
    pub(super) fn broadcast_committed<B: Message<Shape: Sized>, M, K>(
        &mut self,
        message: B,
        shape: B::Shape,
        pending: Pending<M, K>,
    ) -> Result<(PerParty<B>, Announced<M, K>), KeygenError> {
        let Pending { id, seed, commitment, messages, kept } = pending;
        let shape = Riding { inner: shape, parties: self.parameters.access().parties() };
        let received = self.session.broadcast(&Committed { message, commitment }, &shape)?;
        let (messages_of_all, commitments) = received
            .into_iter()
            .map(|(_, Committed { message, commitment })| (message, commitment))
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let record = DealingRecord { id, commitments: PerParty::from_vec(commitments), seed };
        Ok((PerParty::from_vec(messages_of_all), Announced { record, messages, kept }))
    }

    /// The commitment in a round of its own.
    pub(super) fn commit<M, K>(&mut self, pending: Pending<M, K>) -> Result<Announced<M, K>, KeygenError> {
        Ok(self.broadcast_committed(Nothing, (), pending)?.1)
    }

    /// Broadcasts the message that follows from the dealings to this party, or complains. Complaints are answered, and
    /// the parties that complained then send their messages. `None` stands for a party whose sum is out of range. Also
    /// returns the dealings to this party, in which published messages replace the others.
    pub(super) fn broadcast_receipted<
        M: DealtMessage<Shape: Sized + Clone>,
        B: Message<Shape: Sized + Clone>,
    >(
        &mut self,
        (id, commitments): (DealingId, &PerParty<Commitment>),
        (mut dealt, dealt_shape): (PerParty<M>, &M::Shape),
        shape: B::Shape,
        redeal: impl FnOnce() -> Result<PerParty<M>, KeygenError>,
        follow: impl FnOnce(&PerParty<M>) -> Result<B, KeygenError>,
    ) -> Result<(PerParty<Option<B>>, PerParty<M>), KeygenError> {
        let me = self.me();
        let riding = Riding { inner: shape, parties: self.parameters.access().parties() };
        let mine = disputed(&self.id, id, me, commitments, &dealt);
        let mut follow = Some(follow);
        let mut receipt = |dealt: &PerParty<M>| {
            let follow =
                follow.take().ok_or(KeygenError::Internal { place: "a party answers a dealing twice" })?;
            match follow(dealt) {
                Ok(message) => Ok(Receipted::Complete(message)),
                Err(KeygenError::Inconsistent { .. }) => Ok(Receipted::OutOfRange),
                Err(error) => Err(error),
            }
        };
        let first = if mine.is_empty() {
            receipt(&dealt)?
        } else {
            Receipted::Disputed(mine.iter().filter_map(|party| u16::try_from(party.index()).ok()).collect())
        };
        let mut received = self.session.broadcast(&first, &riding)?;
        let complaints = Complaints::of(&received);
        if !complaints.is_empty() {
            self.answer_complaints(&complaints, (id, commitments), (&mut dealt, dealt_shape), redeal)?;
            let late = if complaints.has(me) { Some(receipt(&dealt)?) } else { None };
            let shapes = |party| complaints.has(party).then(|| riding.clone());
            let late = self.session.broadcast_shaped(&Late(late), shapes)?;
            for (party, Late(message)) in late {
                if let Some(message) = message {
                    received[party] = message;
                }
            }
        }
        let content = |receipted| match receipted {
            Receipted::Complete(message) => Some(message),
            Receipted::Disputed(_) | Receipted::OutOfRange => None,
        };
        Ok((received.map(content), dealt))
    }

    /// Dealers publish the messages that are complained about. A dealer whose published message does not fit its
    /// commitment is named. The published messages replace those dealt to this party.
    fn answer_complaints<M: DealtMessage<Shape: Sized + Clone>>(
        &mut self,
        complaints: &Complaints,
        (id, commitments): (DealingId, &PerParty<Commitment>),
        (dealt, dealt_shape): (&mut PerParty<M>, &M::Shape),
        redeal: impl FnOnce() -> Result<PerParty<M>, KeygenError>,
    ) -> Result<(), KeygenError> {
        let me = self.me();
        let wanted = |dealer| complaints.about(dealer);
        let mut mine = Vec::new();
        if wanted(me).next().is_some() {
            let messages = redeal()?;
            mine.extend(wanted(me).map(|receiver| messages[receiver].clone()));
        }
        let shapes = |dealer| PublishedShape { inner: dealt_shape.clone(), count: wanted(dealer).count() };
        let published = self.session.broadcast_shaped(&Published { messages: mine }, shapes)?;
        let mut liar = None;
        for (dealer, Published { messages }) in published {
            for (receiver, message) in wanted(dealer).zip(messages) {
                if !commitments[dealer].fits(&self.id, id, dealer, receiver, &message) {
                    liar = liar.or(Some(dealer));
                }
                if receiver == me {
                    dealt[dealer] = message;
                }
            }
        }
        match liar {
            Some(party) => Err(self.convict(party, "it published another message than it committed to")),
            None => Ok(()),
        }
    }
}

/// All complaints, by complaining party and dealer.
struct Complaints(Vec<(PartyId, Vec<PartyId>)>);

impl Complaints {
    fn of<B>(received: &PerParty<Receipted<B>>) -> Self {
        let of_party = |(party, message): (PartyId, &Receipted<B>)| {
            let dealers: Vec<_> = parties(message.complaints()).collect();
            (!dealers.is_empty()).then_some((party, dealers))
        };
        Self(received.iter().filter_map(of_party).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a party complains.
    fn has(&self, party: PartyId) -> bool {
        self.0.iter().any(|(receiver, _)| *receiver == party)
    }

    /// Those who complain about a dealer.
    fn about(&self, dealer: PartyId) -> impl Iterator<Item = PartyId> + '_ {
        self.0.iter().filter(move |(_, dealers)| dealers.contains(&dealer)).map(|(receiver, _)| *receiver)
    }
}

/// Returns the messages of all parties, in a step in which nothing can be out of range.
pub(super) fn complete<B>(received: PerParty<Option<B>>) -> Result<PerParty<B>, KeygenError> {
    let missing = received.iter().find(|(_, message)| message.is_none()).map(|(party, _)| party);
    if let Some(party) = missing {
        return Err(KeygenError::invalid(party, "it says that a sum is out of range which cannot be"));
    }
    Ok(PerParty::from_vec(received.into_vec().into_iter().flatten().collect()))
}
