//! What a deviating party does otherwise than the protocol says: functions that change what it deals and sends.

use std::any::{Any, TypeId};
use std::collections::HashMap;

use num_bigint::BigUint;

use super::rushing::Rushing;
use subrosa_arith::Modulus;
use subrosa_distributed_paillier::KeygenParameters;
use subrosa_distributed_paillier::biprimality::Sieved;
use subrosa_distributed_paillier::candidates::{self, BatchSecrets};
use subrosa_distributed_paillier::dealing::Seed;
use subrosa_distributed_paillier::messages::CandidateShares;
use subrosa_transport::{Message, PartyId, PerParty};

/// A dealing before it is committed to.
pub struct Dealing<M> {
    pub seed: Seed,
    pub messages: PerParty<M>,
}

/// How the deviating party ends a run: with the confirmation, or with something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Confirm,
    /// It opens seeds, as if a check had failed.
    Open,
    /// It aborts and blames a party.
    Abort(PartyId),
    /// It goes away.
    Leave,
}

/// What the deviating party does after an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audited {
    /// It deals the next batch, as whoever has not been found out.
    GoesOn,
    /// It lets the others name it.
    Ends,
}

/// What the deviating party knows when it speaks.
pub struct Scene<'p> {
    pub parameters: &'p KeygenParameters,
    pub me: PartyId,
    /// The peers that are honest.
    pub honest: Vec<PartyId>,
    /// The session's id.
    pub id: [u8; 32],
    /// The session's transcript before this message.
    pub transcript: [u8; 32],
    pub wire: Rushing,
    /// The number of the batch's first candidate.
    pub first: u64,
    /// Its own summands, after K1.
    pub secrets: Option<BatchSecrets>,
    /// What all dealt to it in K1.
    pub dealt: Option<PerParty<CandidateShares>>,
    /// What trial division left of the batch.
    pub survivors: Vec<Sieved>,
    /// The place and the modulus of the candidate after K4.
    pub candidate: Option<(usize, Modulus)>,
    /// P₃ and Q, once there is a candidate.
    pub winner_moduli: Option<[BigUint; 2]>,
    /// u, once the candidate is accepted.
    pub opening: BigUint,
}

impl Scene<'_> {
    /// The message of each honest party in this round, which the deviating one has not answered yet.
    pub fn peek<M: Message>(&self) -> Vec<(PartyId, M)> {
        self.honest.iter().filter_map(|&peer| Some((peer, self.wire.peek(peer)?))).collect()
    }

    /// The party that leads a candidate of this batch.
    pub fn leader(&self, index: usize) -> PartyId {
        let number = (self.first + index as u64) % u64::from(self.parameters.access().parties());
        PartyId::new(u16::try_from(number).unwrap())
    }

    /// P₁.
    pub fn candidate_modulus(&self) -> BigUint {
        candidates::share_shape(self.parameters).bound
    }

    pub fn everybody(&self) -> impl Iterator<Item = PartyId> + use<> {
        (0..self.parties()).filter_map(|index| u16::try_from(index).ok()).map(PartyId::new)
    }

    /// How many parties there are.
    pub fn parties(&self) -> u32 {
        self.parameters.access().parties()
    }
}

type Change = Box<dyn FnMut(&Scene<'_>, &mut dyn Any)>;
type Tale = Box<dyn FnMut(&Scene<'_>, PartyId, &mut dyn Any)>;

/// All deviations of a party. What is not in it is done as the protocol says.
#[derive(Default)]
pub struct Script {
    changes: HashMap<TypeId, Change>,
    tales: HashMap<TypeId, Tale>,
    muted: HashMap<TypeId, Vec<PartyId>>,
}

impl Script {
    /// Changes a dealing before it is committed to.
    pub fn deals<M: Message + 'static>(
        &mut self,
        mut change: impl FnMut(&Scene<'_>, &mut Dealing<M>) + 'static,
    ) {
        self.on(move |scene, dealing: &mut Dealing<M>| change(scene, dealing));
    }

    /// Changes what it hands over of a dealing to which it has committed.
    pub fn hands_over<M: Message + 'static>(
        &mut self,
        mut change: impl FnMut(&Scene<'_>, &mut PerParty<M>) + 'static,
    ) {
        self.on(move |scene, messages: &mut PerParty<M>| change(scene, messages));
    }

    /// Changes a message before it is sent.
    pub fn sends<M: Message + 'static>(&mut self, change: impl FnMut(&Scene<'_>, &mut M) + 'static) {
        self.on(change);
    }

    /// Changes what one peer after the other gets of a broadcast.
    pub fn tells<M: Message + 'static>(
        &mut self,
        mut tale: impl FnMut(&Scene<'_>, PartyId, &mut M) + 'static,
    ) {
        let tale: Tale = Box::new(move |scene, peer, message| {
            tale(scene, peer, message.downcast_mut().unwrap());
        });
        self.tales.insert(TypeId::of::<M>(), tale);
    }

    /// Looks at everybody's messages of a broadcast.
    pub fn hears<M: Message + 'static>(&mut self, mut look: impl FnMut(&Scene<'_>, &PerParty<M>) + 'static) {
        self.on(move |scene, messages: &mut PerParty<M>| look(scene, messages));
    }

    /// Falls silent towards some peers from the first message of a kind on.
    pub fn mutes<M: 'static>(&mut self, peers: &[PartyId]) {
        self.muted.insert(TypeId::of::<M>(), peers.to_vec());
    }

    /// Changes anything that the deviating party asks its script about.
    pub fn on<M: 'static>(&mut self, mut change: impl FnMut(&Scene<'_>, &mut M) + 'static) {
        let change: Change = Box::new(move |scene, message| change(scene, message.downcast_mut().unwrap()));
        self.changes.insert(TypeId::of::<M>(), change);
    }

    /// After what is registered for this message already.
    pub fn also<M: 'static>(&mut self, mut change: impl FnMut(&Scene<'_>, &mut M) + 'static) {
        let mut before = self.changes.remove(&TypeId::of::<M>());
        self.on(move |scene, message: &mut M| {
            if let Some(before) = &mut before {
                before(scene, message);
            }
            change(scene, message);
        });
    }

    pub fn change<M: 'static>(&mut self, scene: &Scene<'_>, message: &mut M) {
        if let Some(peers) = self.muted.get(&TypeId::of::<M>()) {
            scene.wire.mute(peers);
        }
        if let Some(change) = self.changes.get_mut(&TypeId::of::<M>()) {
            change(scene, message);
        }
    }

    /// Gives the wire what each peer gets of a broadcast.
    pub fn tell<M: Message + Clone + 'static>(&mut self, scene: &Scene<'_>, message: &M) {
        if let Some(tale) = self.tales.get_mut(&TypeId::of::<M>()) {
            for &peer in &scene.honest {
                let mut told = message.clone();
                tale(scene, peer, &mut told);
                scene.wire.tell(peer, &told);
            }
        }
    }
}
