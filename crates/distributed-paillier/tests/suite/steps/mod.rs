//! Key generation with one candidate by the pure steps, K1 to K5, W1 to W4 and K8 to K10, among any number of parties.
//! Corrupted parties see what the others broadcast in a step before they send their own.

pub mod redeal;
mod setup;
pub mod tools;

use std::collections::HashMap;

use num_bigint::BigUint;
use num_traits::One;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use subrosa_arith::Modulus;
use subrosa_distributed_paillier::candidates::{self, BatchSecrets};
use subrosa_distributed_paillier::messages::{self, CandidateShares, IntegerShareMessage, TrialProof};
use subrosa_distributed_paillier::winner::{Decision, KeyFound, Winner};
use subrosa_distributed_paillier::{KeyShare, KeygenError, biprimality, sharing};
use subrosa_encoding::Hasher;
use subrosa_paillier::PublicKey;
use subrosa_threshold_decryption::ProofContext;
use subrosa_transport::{Message, PartyId, PerParty};

pub use setup::{BATCH, Setup};

pub fn parties(n: u32) -> impl Iterator<Item = PartyId> {
    (0..u16::try_from(n).unwrap()).map(PartyId::new)
}

/// The lists of numbers of a message, to be changed.
pub trait Lists: Message + Serialize {
    fn lists(&mut self) -> Vec<&mut Vec<BigUint>>;
}

macro_rules! lists {
    ($($name:ident: $($field:ident)+,)+) => {$(
        impl Lists for messages::$name {
            fn lists(&mut self) -> Vec<&mut Vec<BigUint>> {
                vec![$(&mut self.$field,)+]
            }
        }
    )+};
}
lists!(
    CandidateShares: values,
    ProductShares: values,
    FirstTest: values,
    FurtherTests: values,
    WinnerShares: lifts values,
    WinnerProducts: values,
    WinnerAnswers: small wide differences,
    WinnerZeros: values,
    VerificationKey: key residue,
    TrialDecryption: values,
);

/// One message, as its lists.
pub type Numbers<'a> = Vec<&'a mut Vec<BigUint>>;

/// What the corrupted parties do other than the steps say.
pub trait Attack {
    /// Changes what a corrupted party deals, to each party in turn and to itself.
    fn deal(&mut self, _scene: &Scene<'_>, _round: &str, _from: PartyId, _messages: &mut [Numbers<'_>]) {}

    /// Changes the corrupted parties' broadcasts among those of all.
    fn publish(&mut self, _scene: &Scene<'_>, _round: &str, _messages: &mut [Numbers<'_>]) {}

    /// Changes what a corrupted party deals in K8. `found` is what all parties hold after W4.
    fn deal_key(
        &mut self,
        _scene: &Scene<'_>,
        _from: PartyId,
        _found: &[KeyFound],
        _messages: &mut [IntegerShareMessage],
    ) {
    }
}

/// Nobody lies.
pub struct Honest;

impl Attack for Honest {}

/// Where the run stands when an attack acts.
pub struct Scene<'a> {
    pub setup: &'a Setup,
    /// A hash of all broadcasts so far.
    pub transcript: [u8; 32],
    /// N, after K2.
    pub modulus: Option<Modulus>,
}

/// How a run without an error ends.
#[derive(Debug)]
pub enum End {
    Key(Vec<KeyShare>),
    /// The candidate is not used, because of what was sent in a round.
    Rejected(&'static str),
}

/// A run that ended with errors of honest parties, after the messages of a round.
#[derive(Debug)]
pub struct Failed {
    pub round: &'static str,
    pub errors: Vec<(PartyId, KeygenError)>,
    honest: usize,
}

impl Failed {
    /// All honest parties failed in this round for this reason, and name `culprit` or nobody.
    #[track_caller]
    pub fn assert(&self, round: &str, culprit: Option<PartyId>, reason: &str) {
        assert_eq!(self.round, round, "{self:?}");
        assert_eq!(self.errors.len(), self.honest, "not all noticed: {self:?}");
        for (_, error) in &self.errors {
            assert_eq!(error.culprits(), Vec::from_iter(culprit), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}

/// The lists of each party's message of a round.
pub type Broadcast = Vec<Vec<Vec<BigUint>>>;

pub struct Run<'a> {
    pub scene: Scene<'a>,
    /// How often W1 to W4 were run.
    pub attempts: usize,
    corrupted: Vec<PartyId>,
    attack: &'a mut dyn Attack,
    rngs: Vec<ChaCha20Rng>,
    published: HashMap<&'static str, Vec<Broadcast>>,
}

impl<'a> Run<'a> {
    /// `seed` is that of everything after K1.
    pub fn new(setup: &'a Setup, seed: u64, corrupted: &[PartyId], attack: &'a mut dyn Attack) -> Self {
        let seed = |party: PartyId| (setup.seed << 40) + (1 << 32) + (seed << 8) + party.index() as u64;
        Self {
            scene: Scene { setup, transcript: [7; 32], modulus: None },
            attempts: 0,
            corrupted: corrupted.to_vec(),
            attack,
            rngs: parties(setup.parties()).map(|party| ChaCha20Rng::seed_from_u64(seed(party))).collect(),
            published: HashMap::new(),
        }
    }

    /// All broadcasts of a round so far, one for each attempt.
    pub fn all_published(&self, round: &str) -> &[Broadcast] {
        &self.published[round]
    }

    /// The last broadcast of a round.
    pub fn published(&self, round: &str) -> &Broadcast {
        self.published[round].last().unwrap()
    }

    /// What the last broadcasts of a round open at a place of a list.
    pub fn opened(&self, round: &str, list: usize, place: usize) -> BigUint {
        let column: Vec<_> = self.published(round).iter().map(|lists| &lists[list][place]).collect();
        tools::interpolate(&self.scene.setup.q, &column)
    }

    /// K1 to K5, W1 to W4, K8 to K10.
    pub fn generate(&mut self) -> Result<End, Failed> {
        let received = self.open()?;
        if let Some(round) = self.test()? {
            return Ok(End::Rejected(round));
        }
        let Some(found) = self.verify(&received)? else {
            return Ok(End::Rejected(messages::WinnerZeros::ROUND));
        };
        self.share_key(&found).map(End::Key)
    }

    /// K1 to K2, and W1 to W4 without the tests between them.
    pub fn untested(&mut self) -> Result<Option<Vec<KeyFound>>, Failed> {
        let received = self.open()?;
        self.verify(&received)
    }

    fn n(&self) -> u32 {
        self.scene.setup.parties()
    }

    /// What each party computes from its state.
    fn each<S, T>(
        &mut self,
        round: &'static str,
        states: Vec<S>,
        mut step: impl FnMut(PartyId, S, &mut ChaCha20Rng) -> Result<T, KeygenError>,
    ) -> Result<Vec<T>, Failed> {
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for (party, state) in parties(self.n()).zip(states) {
            match step(party, state, &mut self.rngs[party.index()]) {
                Ok(value) => values.push(value),
                Err(error) => errors.push((party, error)),
            }
        }
        // The attacker's own errors are its own affair. Where all parties act together, to look at the whole, they count.
        let honest = self.n() as usize - self.corrupted.len();
        let (own, errors): (Vec<_>, Vec<_>) =
            errors.into_iter().partition(|(party, _)| honest > 0 && self.corrupted.contains(party));
        if errors.is_empty() {
            assert!(own.is_empty(), "the attack stops the attacker itself: {own:?}");
            return Ok(values);
        }
        Err(Failed { round, errors, honest })
    }

    /// What all compute from the same broadcasts.
    fn alike<T>(
        &mut self,
        round: &'static str,
        mut step: impl FnMut() -> Result<T, KeygenError>,
    ) -> Result<T, Failed> {
        let mut values = self.each(round, vec![(); self.n() as usize], |_, (), _| step())?;
        Ok(values.remove(0))
    }

    /// What each party gets of what all dealt.
    fn exchange<M: Lists + Clone>(&mut self, sent: Vec<PerParty<M>>) -> Vec<PerParty<M>> {
        let mut sent: Vec<Vec<M>> = sent.into_iter().map(PerParty::into_vec).collect();
        for &party in &self.corrupted {
            let mut numbers: Vec<_> = sent[party.index()].iter_mut().map(Lists::lists).collect();
            self.attack.deal(&self.scene, M::ROUND, party, &mut numbers);
        }
        let to = |to: PartyId| PerParty::from_vec(sent.iter().map(|m| m[to.index()].clone()).collect());
        parties(self.n()).map(to).collect()
    }

    /// Everybody's broadcast, as everybody sees it.
    fn publish<M: Lists + Clone>(&mut self, mut sent: Vec<M>) -> PerParty<M> {
        let bytes = |message: &M| postcard::to_stdvec(message).unwrap();
        let before: Vec<_> = sent.iter().map(bytes).collect();
        let mut numbers: Vec<_> = sent.iter_mut().map(Lists::lists).collect();
        self.attack.publish(&self.scene, M::ROUND, &mut numbers);
        let lists = numbers.iter().map(|lists| lists.iter().map(|list| (**list).clone()).collect()).collect();
        self.published.entry(M::ROUND).or_default().push(lists);
        let mut hasher = Hasher::new("test/transcript", 1).field("before", &self.scene.transcript);
        for (party, (message, before)) in parties(self.n()).zip(sent.iter().zip(before)) {
            let bytes = bytes(message);
            assert!(bytes == before || self.corrupted.contains(&party), "{party} is honest");
            hasher = hasher.field("message", &bytes);
        }
        self.scene.transcript = hasher.finish();
        PerParty::from_vec(sent)
    }

    /// K1 and K2.
    fn open(&mut self) -> Result<Vec<PerParty<CandidateShares>>, Failed> {
        let setup = self.scene.setup;
        let received = self.exchange(setup.sent.clone());
        let products = self.each(CandidateShares::ROUND, received.iter().collect(), |me, received, _| {
            candidates::multiply(&setup.parameters, me, received)
        })?;
        let products = self.publish(products);
        let moduli =
            self.alike(messages::ProductShares::ROUND, || candidates::open(&setup.parameters, &products))?;
        self.scene.modulus = Some(Modulus::new(&moduli[setup.index]).unwrap());
        Ok(received)
    }

    /// K3 to K5 for the one candidate: the step that rejects it.
    fn test(&mut self) -> Result<Option<&'static str>, Failed> {
        let setup = self.scene.setup;
        let modulus = self.scene.modulus.clone().unwrap();
        let mut moduli = vec![BigUint::one(); BATCH];
        moduli[setup.index] = modulus.value().clone();
        if !candidates::sieve(&setup.parameters, &moduli).contains(&setup.index) {
            return Ok(Some("sieve"));
        }
        let all: Vec<&BatchSecrets> = setup.secrets.iter().collect();
        let survivors = biprimality::prepare(&moduli, &[setup.index]).unwrap();
        let round = messages::FirstTest::ROUND;
        let tests = self.each(round, all, |me, secrets, _| {
            biprimality::first_test(&setup.parameters, me, secrets, &survivors)
        })?;
        let tests = self.publish(tests);
        let passed =
            self.alike(round, || biprimality::passed(&setup.parameters, setup.first, &survivors, &tests))?;
        if !passed[0] {
            return Ok(Some(round));
        }
        let round = messages::FurtherTests::ROUND;
        let tests = self.each(round, vec![(); self.n() as usize], |me, (), _| {
            biprimality::further_tests(&setup.parameters, me, &[7; 32], setup.candidate(me), &modulus)
        })?;
        let tests = self.publish(tests);
        let passed = self
            .alike(round, || biprimality::all_passed(&setup.parameters, setup.number(), &modulus, &tests))?;
        Ok((!passed).then_some(round))
    }

    /// W1 to W4, as often as it takes.
    fn verify(&mut self, received: &[PerParty<CandidateShares>]) -> Result<Option<Vec<KeyFound>>, Failed> {
        let setup = self.scene.setup;
        let modulus = self.scene.modulus.clone().unwrap();
        let mut winners = self.each(CandidateShares::ROUND, received.iter().collect(), |me, shares, _| {
            let factors = candidates::factors(&setup.parameters, me, shares, setup.index)?;
            Winner::new(&setup.parameters, me, setup.candidate(me), &modulus, &factors)
        })?;
        loop {
            self.attempts += 1;
            let round = messages::WinnerShares::ROUND;
            let dealt = self.each(round, winners.iter().collect(), |_, winner, rng| winner.deal(rng))?;
            let (dealt, sent): (Vec<_>, Vec<_>) = dealt.into_iter().unzip();
            let received = self.exchange(sent);
            let states = winners.iter().zip(dealt.into_iter().zip(&received)).collect();
            let multiplied = self
                .each(round, states, |_, (winner, (dealt, received)), _| winner.multiply(dealt, received))?;
            let (multiplied, products): (Vec<_>, Vec<_>) = multiplied.into_iter().unzip();
            let (products, transcript) = (self.publish(products), self.scene.transcript);
            let states = winners.iter().zip(multiplied).collect();
            let answered = self.each(messages::WinnerProducts::ROUND, states, |_, (winner, state), _| {
                winner.answer(state, &transcript, &products)
            })?;
            let (answered, answers): (Vec<_>, Vec<_>) = answered.into_iter().unzip();
            let (answers, transcript) = (self.publish(answers), self.scene.transcript);
            let states = winners.iter().zip(answered).collect();
            let checked = self.each(messages::WinnerAnswers::ROUND, states, |_, (winner, state), _| {
                winner.zeros(state, &transcript, &answers)
            })?;
            let (checked, zeros): (Vec<_>, Vec<_>) = checked.into_iter().unzip();
            let zeros = self.publish(zeros);
            let states = winners.iter_mut().zip(checked).collect();
            let verdicts = self.each(messages::WinnerZeros::ROUND, states, |_, (winner, state), _| {
                winner.decide(state, &zeros)
            })?;
            let kind = std::mem::discriminant(&verdicts[0]);
            assert!(
                verdicts.iter().all(|verdict| std::mem::discriminant(verdict) == kind),
                "not decided alike"
            );
            match verdicts[0] {
                Decision::Again => continue,
                Decision::Rejected => return Ok(None),
                Decision::Accepted(_) => {}
            }
            let found = verdicts.into_iter().filter_map(|verdict| match verdict {
                Decision::Accepted(found) => Some(found),
                Decision::Again | Decision::Rejected => None,
            });
            return Ok(Some(found.collect()));
        }
    }

    /// K8 to K10.
    pub fn share_key(&mut self, found: &[KeyFound]) -> Result<Vec<KeyShare>, Failed> {
        let parameters = &self.scene.setup.parameters;
        let public = PublicKey::insecure(self.scene.modulus.as_ref().unwrap().value().clone()).unwrap();
        let round = IntegerShareMessage::ROUND;
        let sent = self.each(round, found.iter().collect(), |_, found, rng| {
            sharing::deal(parameters, &found.summand, rng)
        })?;
        let mut sent: Vec<_> = sent.into_iter().map(PerParty::into_vec).collect();
        for &party in &self.corrupted {
            self.attack.deal_key(&self.scene, party, found, &mut sent[party.index()]);
        }
        let totals = self.each(round, found.iter().collect(), |me, found, _| {
            let received = PerParty::from_vec(sent.iter().map(|m| m[me.index()].clone()).collect());
            sharing::total(parameters, me, &public, &received, &found.residue)
        })?;
        let (shares, keys): (Vec<_>, Vec<_>) = totals.into_iter().unzip();
        let (round, meant) = (messages::VerificationKey::ROUND, keys.clone());
        let keys = self.publish(keys);
        // A corrupted party goes on with what it should have published.
        let mut own = keys.clone();
        for &party in &self.corrupted {
            own[party] = meant[party.index()].clone();
        }
        let corrupted = self.corrupted.clone();
        let states = shares.into_iter().zip(found).collect();
        let shares = self.each(round, states, |me, (share, found), _| {
            let keys = if corrupted.contains(&me) { &own } else { &keys };
            sharing::finish(parameters, me, public.clone(), &found.opening, share, keys.clone())
        })?;
        let (round, transcript) = (messages::TrialDecryption::ROUND, self.scene.transcript);
        let trial = self
            .each(round, shares.iter().collect(), |_, share, _| sharing::try_decrypt(share, &transcript))?;
        let names: Vec<String> = parties(self.n()).map(|party| party.to_string()).collect();
        let context = ProofContext::new([7; 32], names.iter().map(String::as_str));
        let states = shares.iter().zip(&trial).collect();
        let proofs = self.each(round, states, |_, (share, trial), rng| {
            sharing::prove_trial(share, &context, &transcript, trial, rng)
        })?;
        let (trial, proofs) = (self.publish(trial), PerParty::from_vec(proofs));
        let honest =
            parties(self.n()).find(|party| !self.corrupted.contains(party)).unwrap_or(PartyId::new(0));
        let key = shares[honest.index()].key();
        self.alike(TrialProof::ROUND, || {
            sharing::check_proofs(key, &context, &transcript, &trial, &proofs)?;
            sharing::check_trial(key, &transcript, trial.clone())
        })?;
        Ok(shares)
    }
}
