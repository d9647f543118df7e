//! The deviating party: it follows the steps K1 to K5, W1 to W4 and K8 to K10 but for what its script says.

use std::borrow::Borrow;

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;

use super::rushing::Rushing;
use super::script::{Audited, Dealing, Ending, Scene, Script};
use subrosa_arith::{Modulus, SecretInt};
use subrosa_distributed_paillier::candidates::{self, BatchSecrets, Sampler};
use subrosa_distributed_paillier::dealing::{Commitment, DealingId, DealtMessage, Seed, disputed};
use subrosa_distributed_paillier::messages::{CandidateShares, IntegerShareMessage, WinnerShares};
use subrosa_distributed_paillier::receipts::{
    Committed, Late, Nothing, Opening, Published, PublishedShape, Receipted, Riding,
};
use subrosa_distributed_paillier::winner::{self, Decision, KeyFound, Winner};
use subrosa_distributed_paillier::{KeyShare, KeygenError, KeygenParameters, PROTOCOL, biprimality, sharing};
use subrosa_paillier::PublicKey;
use subrosa_threshold_decryption::{ProofContext, verification_key};
use subrosa_transport::{Limits, Message, PartyId, PerParty, Session};

/// A dealing to which the party has committed.
struct Prepared<M, K> {
    id: DealingId,
    seed: Seed,
    messages: PerParty<M>,
    kept: K,
    commitments: Option<PerParty<Commitment>>,
}

type CandidateDealing = Prepared<CandidateShares, BatchSecrets>;
type WinnerDealing = Prepared<WinnerShares, winner::Dealt>;
type SharingDealing = Prepared<IntegerShareMessage, ()>;

/// Runs as a party that deviates; what comes of it is its own affair.
pub fn run(
    mut wire: Rushing,
    parameters: &KeygenParameters,
    honest: Vec<PartyId>,
    settings: Limits,
    rng: ChaCha20Rng,
    script: Script,
) -> Result<KeyShare, KeygenError> {
    let (eye, mut rng) = (wire.clone(), rng);
    let fields = parameters.session_parameters();
    let session = Session::open(&mut wire, PROTOCOL, &fields, settings, &mut rng)?;
    let scene = Scene {
        parameters,
        me: session.me(),
        honest,
        id: *session.id(),
        transcript: session.transcript(),
        wire: eye,
        first: 0,
        secrets: None,
        dealt: None,
        survivors: Vec::new(),
        candidate: None,
        winner_moduli: None,
        opening: BigUint::ZERO,
    };
    let sampler = Sampler::new(parameters, scene.me)?;
    let mut party = Deviant {
        session,
        scene,
        sampler,
        rng,
        script,
        tried: 0,
        audited: 0,
        failed_further: 0,
        rejected: vec![],
        seeds: vec![],
    };
    let found = party.find();
    party.finish(found)
}

struct Deviant<'s, 'p> {
    session: Session<&'s mut Rushing>,
    scene: Scene<'p>,
    sampler: Sampler,
    rng: ChaCha20Rng,
    script: Script,
    tried: u64,
    audited: u64,
    failed_further: u64,
    /// Seeds of rejected batches since the last audit.
    rejected: Vec<Seed>,
    /// Seeds of the batch at hand.
    seeds: Vec<Seed>,
}

impl<'p> Deviant<'_, 'p> {
    fn find(&mut self) -> Result<KeyShare, KeygenError> {
        let prepared = self.deal_candidates()?;
        let mut dealing = self.say_committed(Nothing, (), prepared)?.1;
        loop {
            let (winners, next) = self.batch(dealing)?;
            for (index, modulus) in winners {
                if let Some(share) = self.candidate(index, &modulus)? {
                    return Ok(share);
                }
            }
            self.rejected.append(&mut self.seeds);
            let after = self.scene.parameters.audit_after();
            if self.tried - self.audited >= after || self.failed_further >= 16 {
                self.audit()?;
                let mut audited = Audited::GoesOn;
                self.script.change(&self.scene, &mut audited);
                if audited == Audited::Ends {
                    self.end()?;
                    return Err(KeygenError::Exhausted { candidates: self.tried });
                }
            }
            if self.tried >= self.scene.parameters.greatest_candidates() {
                self.audit()?;
                return Err(KeygenError::Exhausted { candidates: self.tried });
            }
            dealing = next;
        }
    }

    /// The confirmation, or the opening of seeds where all had an inconsistency.
    fn finish(&mut self, found: Result<KeyShare, KeygenError>) -> Result<KeyShare, KeygenError> {
        let unnamed = |error: &KeygenError| match error {
            KeygenError::Inconsistent { .. } | KeygenError::Key(_) => true,
            KeygenError::Decryption(error) => error.culprits().is_empty(),
            _ => false,
        };
        match found {
            Err(error) if unnamed(&error) => {
                let seeds = std::mem::take(&mut self.seeds);
                self.open(seeds, 1)?;
                self.end()?;
                Err(error)
            }
            Ok(share) => self.end().map(|()| share),
            Err(error) => Err(error),
        }
    }

    fn end(&mut self) -> Result<(), KeygenError> {
        let mut ending = Ending::Confirm;
        self.script.change(&self.scene, &mut ending);
        match ending {
            Ending::Confirm => self.session.confirm()?,
            Ending::Open => {
                let seeds = std::mem::take(&mut self.seeds);
                self.open(seeds, 1)?;
            }
            Ending::Abort(party) => self.session.abort("a lie", &[party]),
            Ending::Leave => {}
        }
        Ok(())
    }

    fn audit(&mut self) -> Result<(), KeygenError> {
        let batches = (self.tried - self.audited) / self.scene.parameters.batch() as u64;
        (self.audited, self.failed_further) = (self.tried, 0);
        let seeds = std::mem::take(&mut self.rejected);
        self.open(seeds, batches)
    }

    /// Opens the seeds of so many batches, and waits for the others after each.
    fn open(&mut self, seeds: Vec<Seed>, batches: u64) -> Result<(), KeygenError> {
        let count = seeds.len();
        self.say(Opening { seeds }, |_| count)?;
        for _ in 0..batches {
            self.session.confirm()?;
        }
        Ok(())
    }

    /// A broadcast.
    fn say<M: Message + Clone + 'static, S: Borrow<M::Shape>>(
        &mut self,
        mut message: M,
        shape: impl Fn(PartyId) -> S,
    ) -> Result<PerParty<M>, KeygenError> {
        self.scene.transcript = self.session.transcript();
        self.script.change(&self.scene, &mut message);
        self.script.tell(&self.scene, &message);
        let mut received = self.session.broadcast_shaped(&message, shape)?;
        self.script.change(&self.scene, &mut received);
        Ok(received)
    }

    fn prepare<M: DealtMessage + 'static, K>(
        &mut self,
        id: DealingId,
        deal: impl FnOnce(&Self, &Seed) -> Result<(K, PerParty<M>), KeygenError>,
    ) -> Result<Prepared<M, K>, KeygenError> {
        let seed = Seed::random(&mut self.rng);
        let (kept, messages) = deal(self, &seed)?;
        let mut dealing = Dealing { seed, messages };
        self.script.change(&self.scene, &mut dealing);
        let Dealing { seed, messages } = dealing;
        Ok(Prepared { id, seed, messages, kept, commitments: None })
    }

    fn say_committed<B: Message<Shape: Sized> + Clone + 'static, M: DealtMessage, K>(
        &mut self,
        message: B,
        inner: B::Shape,
        mut prepared: Prepared<M, K>,
    ) -> Result<(PerParty<B>, Prepared<M, K>), KeygenError> {
        let (id, me) = (prepared.id, self.scene.me);
        let commitment = Commitment::new(&self.scene.id, id, me, &prepared.seed, &prepared.messages);
        let shape = Riding { inner, parties: self.scene.parameters.access().parties() };
        let received = self.say(Committed { message, commitment }, |_| &shape)?;
        let received = received.into_iter().map(|(_, said)| (said.message, said.commitment));
        let (messages, commitments) = received.unzip::<_, _, Vec<_>, Vec<_>>();
        prepared.commitments = Some(PerParty::from_vec(commitments));
        Ok((PerParty::from_vec(messages), prepared))
    }

    /// Hands a dealing over, and broadcasts what follows from what it was dealt or a complaint.
    fn hand_over<M, B, K>(
        &mut self,
        prepared: Prepared<M, K>,
        shape: &M::Shape,
        inner: B::Shape,
        follow: impl FnOnce(&mut Self, K, &PerParty<M>) -> Result<B, KeygenError>,
    ) -> Result<(PerParty<Option<B>>, PerParty<M>), KeygenError>
    where
        M: DealtMessage<Shape: Sized + Clone> + 'static,
        B: Message<Shape: Sized + Clone> + Clone + 'static,
    {
        let (me, id) = (self.scene.me, prepared.id);
        let riding = Riding { inner, parties: self.scene.parameters.access().parties() };
        let (committed_to, commitments) = (prepared.messages, prepared.commitments.unwrap());
        self.seeds.push(prepared.seed);
        let mut messages = committed_to.clone();
        self.script.change(&self.scene, &mut messages);
        let mut dealt = self.session.exchange_all(messages, shape)?;
        let mine = disputed(&self.scene.id, id, me, &commitments, &dealt);
        // What it would send, whatever it complains about.
        let computed = match follow(self, prepared.kept, &dealt) {
            Ok(message) => Receipted::Complete(message),
            Err(KeygenError::Inconsistent { .. }) => Receipted::OutOfRange,
            Err(error) => return Err(error),
        };
        let places = mine.iter().map(|party| u16::try_from(party.index()).unwrap());
        let first = if mine.is_empty() { computed.clone() } else { Receipted::Disputed(places.collect()) };
        let mut received = self.say(first, |_| &riding)?;
        let complaints: Vec<(PartyId, Vec<u16>)> = received
            .iter()
            .filter(|(_, message)| !message.complaints().is_empty())
            .map(|(party, message)| (party, message.complaints().to_vec()))
            .collect();
        if !complaints.is_empty() {
            let about = |dealer: PartyId| {
                let concerned = complaints.iter().filter(move |(_, dealers)| {
                    dealers.iter().any(|&place| usize::from(place) == dealer.index())
                });
                concerned.map(|(receiver, _)| *receiver)
            };
            let mine = about(me).map(|receiver| committed_to[receiver].clone()).collect();
            let shapes = |dealer| PublishedShape { inner: shape.clone(), count: about(dealer).count() };
            let published = self.say(Published { messages: mine }, shapes)?;
            let mut lied = None;
            for (dealer, Published { messages }) in published {
                for (receiver, message) in about(dealer).zip(messages) {
                    if !commitments[dealer].fits(&self.scene.id, id, dealer, receiver, &message) {
                        lied = Some(dealer);
                    }
                    if receiver == me {
                        dealt[dealer] = message;
                    }
                }
            }
            if let Some(party) = lied {
                // As the honest parties do before they name it.
                self.end()?;
                return Err(KeygenError::Deviated { party, reason: "it published another message" });
            }
            let complains = |party| complaints.iter().any(|(receiver, _)| *receiver == party);
            let shapes = |party| complains(party).then(|| riding.clone());
            let late = self.say(Late(complains(me).then_some(computed)), shapes)?;
            for (party, Late(message)) in late {
                received[party] = message.unwrap_or_else(|| received[party].clone());
            }
        }
        let content = |receipted| match receipted {
            Receipted::Complete(message) => Some(message),
            Receipted::Disputed(_) | Receipted::OutOfRange => None,
        };
        Ok((received.map(content), dealt))
    }

    fn deal_candidates(&mut self) -> Result<CandidateDealing, KeygenError> {
        let first = self.tried;
        self.prepare(DealingId::Candidates { first }, |party, seed| {
            let (parameters, me) = (party.scene.parameters, party.scene.me);
            candidates::deal(parameters, &party.sampler, me, first, &mut seed.generator())
        })
    }

    /// K1 to K4.
    fn batch(
        &mut self,
        dealing: CandidateDealing,
    ) -> Result<(Vec<(usize, Modulus)>, CandidateDealing), KeygenError> {
        let (parameters, me) = (self.scene.parameters, self.scene.me);
        self.scene.first = self.tried;
        let shape = candidates::share_shape(parameters);
        let (products, dealt) =
            self.hand_over(dealing, &shape, candidates::product_shape(parameters), |party, kept, dealt| {
                party.scene.secrets = Some(kept);
                candidates::multiply(parameters, me, dealt)
            })?;
        self.scene.dealt = Some(dealt);
        let moduli = candidates::open(parameters, &all(products))?;
        let survivors = biprimality::prepare(&moduli, &candidates::sieve(parameters, &moduli))?;
        let test = biprimality::first_test(parameters, me, self.scene.secrets.as_ref().unwrap(), &survivors)?;
        self.scene.survivors.clone_from(&survivors);
        self.tried += parameters.batch() as u64;
        let next = self.deal_candidates()?;
        let shape = biprimality::first_shape(parameters, survivors.len());
        let (tests, next) = self.say_committed(test, shape, next)?;
        let passed = biprimality::passed(parameters, self.scene.first, &survivors, &tests)?;
        let winners = survivors.into_iter().zip(passed).filter(|(_, passed)| *passed);
        Ok((winners.map(|(sieved, _)| (sieved.index, sieved.modulus)).collect(), next))
    }

    /// K5, W1 to W4 and K8 to K10.
    fn candidate(&mut self, index: usize, modulus: &Modulus) -> Result<Option<KeyShare>, KeygenError> {
        let (parameters, me) = (self.scene.parameters, self.scene.me);
        self.scene.candidate = Some((index, modulus.clone()));
        let candidate = self.scene.secrets.as_ref().unwrap().candidate(index).unwrap().clone();
        let factors = candidates::factors(parameters, me, self.scene.dealt.as_ref().unwrap(), index)?;
        let mut winner = Winner::new(parameters, me, &candidate, modulus, &factors)?;
        self.scene.winner_moduli = Some(winner.share_shape().map(|shape| shape.bound));
        let tests = biprimality::further_tests(parameters, me, &self.scene.id, &candidate, modulus)?;
        let prepared = self.deal_winner(&winner, 0)?;
        let (tests, mut dealing) =
            self.say_committed(tests, biprimality::further_shape(parameters), prepared)?;
        if !biprimality::all_passed(parameters, candidate.number(), modulus, &tests)? {
            self.failed_further += 1;
            return Ok(None);
        }
        for attempt in 0.. {
            let (verdict, sharing) = self.verify(&mut winner, attempt, dealing)?;
            match verdict {
                Decision::Accepted(found) => return self.share(modulus.value(), found, sharing).map(Some),
                Decision::Rejected => break,
                Decision::Again => {
                    let prepared = self.deal_winner(&winner, attempt + 1)?;
                    dealing = self.say_committed(Nothing, (), prepared)?.1;
                }
            }
        }
        Ok(None)
    }

    fn deal_winner(&mut self, winner: &Winner<'_>, attempt: u64) -> Result<WinnerDealing, KeygenError> {
        let id = DealingId::Winner { candidate: winner.number(), attempt };
        self.prepare(id, |_, seed| winner.deal(&mut seed.generator()))
    }

    /// W1 to W4.
    fn verify(
        &mut self,
        winner: &mut Winner<'p>,
        attempt: u64,
        dealing: WinnerDealing,
    ) -> Result<(Decision, SharingDealing), KeygenError> {
        let mut multiplied = None;
        let (products, _) =
            self.hand_over(dealing, &winner.share_shape(), winner.product_shape(), |_, kept, dealt| {
                let (state, products) = winner.multiply(kept, dealt)?;
                multiplied = Some(state);
                Ok(products)
            })?;
        let transcript = self.session.transcript();
        let (answered, answers) = winner.answer(multiplied.unwrap(), &transcript, &all(products))?;
        let shape = winner.answer_shape();
        let answers = self.say(answers, |_| &shape)?;
        let (checked, zeros) = winner.zeros(answered, &self.session.transcript(), &answers)?;
        let id = DealingId::Sharing { candidate: winner.number(), attempt };
        let prepared = self.prepare(id, |party, seed| {
            Ok(((), sharing::deal(party.scene.parameters, checked.summand(), &mut seed.generator())?))
        })?;
        let (zeros, sharing) = self.say_committed(zeros, winner.zero_shape(), prepared)?;
        Ok((winner.decide(checked, &zeros)?, sharing))
    }

    /// K8 to K10.
    fn share(
        &mut self,
        n: &BigUint,
        found: KeyFound,
        dealing: SharingDealing,
    ) -> Result<KeyShare, KeygenError> {
        let (parameters, me) = (self.scene.parameters, self.scene.me);
        let public = PublicKey::insecure(n.clone())?;
        let shape = sharing::share_shape(parameters);
        self.scene.opening.clone_from(&found.opening);
        let mut own = None;
        let (keys, _) =
            self.hand_over(dealing, &shape, sharing::verification_shape(&public), |party, (), dealt| {
                let (mut share, mut key) = sharing::total(parameters, me, &public, dealt, &found.residue)?;
                // A script may put another share in its place, whose key then fits.
                party.script.change::<SecretInt>(&party.scene, &mut share);
                key.key = vec![verification_key(&public, parameters.access(), share.bits(), &share)?];
                own = Some((share, key.key.clone()));
                Ok(key)
            })?;
        let transcript = self.session.transcript();
        let missing = KeygenError::Inconsistent { reason: "a share is out of range" };
        if keys.values().any(Option::is_none) {
            return Err(missing);
        }
        let mut keys = all(keys);
        let (share, key) = own.ok_or(missing)?;
        // Its own share fits the key that it would have published.
        keys[me].key = key;
        let share = sharing::finish(parameters, me, public, &found.opening, share, keys)?;
        let trial = sharing::try_decrypt(&share, &transcript)?;
        let context = ProofContext::of(&self.session);
        let proof = sharing::prove_trial(&share, &context, &transcript, &trial, &mut self.rng)?;
        let shape = sharing::trial_shape(share.key().public());
        let trial = self.say(trial, |_| &shape)?;
        let proofs = self.say(proof, |_| share.key())?;
        sharing::check_proofs(share.key(), &context, &transcript, &trial, &proofs)?;
        sharing::check_trial(share.key(), &transcript, trial)?;
        Ok(share)
    }
}

/// Everybody's message; the deviating party takes nothing for a missing one.
fn all<B>(received: PerParty<Option<B>>) -> PerParty<B> {
    PerParty::from_vec(received.into_vec().into_iter().flatten().collect())
}
