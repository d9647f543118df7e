//! Key generation among three parties by the pure steps alone, without a session, where one party lies.

use num_bigint::{BigInt, BigUint};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_arith::Modulus;
use subrosa_distributed_paillier::candidates::{self, Sampler};
use subrosa_distributed_paillier::messages::IntegerShareMessage;
use subrosa_distributed_paillier::winner::{Decision, KeyFound, Winner};
use subrosa_distributed_paillier::{KeyShare, KeygenError, KeygenParameters, biprimality, messages, sharing};
use subrosa_paillier::PublicKey;
use subrosa_threshold_decryption::ProofContext;
use subrosa_transport::{Message, PartyId, PerParty};

pub const PARTIES: u16 = 3;
/// The party that lies.
pub const LIAR: PartyId = PartyId::new(1);

/// What the honest parties end with: each its share, or the errors of those that noticed something.
pub type Outcome = Result<Vec<KeyShare>, Vec<(PartyId, KeygenError)>>;

/// A lie of [`LIAR`] in the messages of one round.
pub struct Lie<'a> {
    /// The round's name.
    pub round: &'static str,
    /// Which of the message's lists is changed.
    pub list: usize,
    /// Changes the values of that list in each message of that round.
    pub change: &'a mut dyn FnMut(&mut Vec<BigInt>),
}

/// The lists of numbers of a message, to be changed.
pub trait Numbers: Message {
    fn numbers(&self) -> Vec<Vec<BigInt>>;
    fn set(&mut self, numbers: Vec<Vec<BigInt>>);
}

macro_rules! numbers {
    ($($name:ident: $($field:ident)+,)+) => {$(
        impl Numbers for messages::$name {
            fn numbers(&self) -> Vec<Vec<BigInt>> {
                vec![$(self.$field.iter().cloned().map(BigInt::from).collect(),)+]
            }
            fn set(&mut self, numbers: Vec<Vec<BigInt>>) {
                let mut lists = numbers.into_iter();
                $(self.$field = lists.next().unwrap().iter().map(|x| x.magnitude().clone()).collect();)+
            }
        }
    )+};
}
numbers!(
    CandidateShares: values,
    ProductShares: values,
    FirstTest: values,
    FurtherTests: values,
    WinnerShares: values lifts,
    WinnerProducts: values,
    WinnerAnswers: small wide differences,
    WinnerZeros: values,
    VerificationKey: key residue,
    TrialDecryption: values,
);

impl Numbers for IntegerShareMessage {
    fn numbers(&self) -> Vec<Vec<BigInt>> {
        vec![vec![self.value.clone()]]
    }
    fn set(&mut self, numbers: Vec<Vec<BigInt>>) {
        self.value = numbers.into_iter().flatten().next().unwrap_or_default();
    }
}

impl Lie<'_> {
    fn tell<M: Numbers>(&mut self, message: &mut M) {
        if M::ROUND == self.round {
            let mut numbers = message.numbers();
            (self.change)(&mut numbers[self.list]);
            message.set(numbers);
        }
    }

    /// Everybody's broadcast, as everybody sees it.
    fn broadcast<M: Numbers>(&mut self, mut sent: Vec<M>) -> PerParty<M> {
        self.tell(&mut sent[LIAR.index()]);
        PerParty::from_vec(sent)
    }

    /// What each party receives of personal messages.
    fn exchange<M: Numbers + Clone>(&mut self, sent: Vec<PerParty<M>>) -> Vec<PerParty<M>> {
        let received = |to: PartyId| {
            let mut messages: Vec<M> = sent.iter().map(|messages| messages[to].clone()).collect();
            if to != LIAR {
                self.tell(&mut messages[LIAR.index()]);
            }
            PerParty::from_vec(messages)
        };
        parties().map(received).collect()
    }
}

pub fn parties() -> impl Iterator<Item = PartyId> {
    (0..PARTIES).map(PartyId::new)
}

/// What all parties compute alike, or the error that all honest ones have.
fn alike<T>(result: Result<T, KeygenError>) -> Result<T, Vec<(PartyId, KeygenError)>> {
    result.map_err(|error| vec![(PartyId::new(0), error)])
}

/// What each party computes by itself; the liar's own errors are its own affair.
fn each<T>(
    mut step: impl FnMut(PartyId) -> Result<T, KeygenError>,
) -> Result<Vec<T>, Vec<(PartyId, KeygenError)>> {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for party in parties() {
        match step(party) {
            Ok(value) => values.push(value),
            Err(error) => errors.push((party, error)),
        }
    }
    errors.retain(|(party, _)| *party != LIAR);
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

/// K1 to K5, W1 to W4 and K8 to K10 with a lie.
pub fn generate(parameters: &KeygenParameters, seed: u64, lie: &mut Lie<'_>) -> Outcome {
    let mut rngs: Vec<_> =
        (0..u64::from(PARTIES)).map(|party| ChaCha20Rng::seed_from_u64(seed * 100 + party)).collect();
    let samplers: Vec<_> = parties().map(|party| Sampler::new(parameters, party).unwrap()).collect();
    let mut first = 0;
    loop {
        if first > parameters.greatest_candidates() {
            return Err(vec![(PartyId::new(0), KeygenError::Exhausted { candidates: first })]);
        }
        let dealt =
            each(|me| candidates::deal(parameters, &samplers[me.index()], me, first, &mut rngs[me.index()]))?;
        let (secrets, sent): (Vec<_>, Vec<_>) = dealt.into_iter().unzip();
        let received = lie.exchange(sent);
        let products = each(|me| candidates::multiply(parameters, me, &received[me.index()]))?;
        let moduli = alike(candidates::open(parameters, &lie.broadcast(products)))?;
        let survivors = alike(biprimality::prepare(&moduli, &candidates::sieve(parameters, &moduli)))?;
        let tests = each(|me| biprimality::first_test(parameters, me, &secrets[me.index()], &survivors))?;
        let passed = alike(biprimality::passed(parameters, first, &survivors, &lie.broadcast(tests)))?;
        for (sieved, _) in survivors.iter().zip(&passed).filter(|(_, passed)| **passed) {
            let candidate = |me: PartyId| secrets[me.index()].candidate(sieved.index).unwrap();
            let modulus: &Modulus = &sieved.modulus;
            let tests =
                each(|me| biprimality::further_tests(parameters, me, &[7; 32], candidate(me), modulus))?;
            let number = candidate(LIAR).number();
            if !alike(biprimality::all_passed(parameters, number, modulus, &lie.broadcast(tests)))? {
                continue;
            }
            let winners = each(|me| {
                let factors = candidates::factors(parameters, me, &received[me.index()], sieved.index)?;
                Winner::new(parameters, me, candidate(me), modulus, &factors)
            })?;
            if let Some(found) = verify(winners, &mut rngs, lie)? {
                return share_key(parameters, modulus.value(), found, &mut rngs, lie);
            }
        }
        first += parameters.batch() as u64;
    }
}

/// What stands for the session's transcript.
pub fn transcript(after: u8) -> [u8; 32] {
    [after; 32]
}

/// W1 to W4.
fn verify(
    mut winners: Vec<Winner<'_>>,
    rngs: &mut [ChaCha20Rng],
    lie: &mut Lie<'_>,
) -> Result<Option<Vec<KeyFound>>, Vec<(PartyId, KeygenError)>> {
    loop {
        let dealt = each(|me| winners[me.index()].deal(&mut rngs[me.index()]))?;
        let (mut dealt, sent): (Vec<_>, Vec<_>) = dealt.into_iter().unzip();
        let received = lie.exchange(sent);
        // The states in the order of the parties, each taken once.
        let multiplied = each(|me| winners[me.index()].multiply(dealt.remove(0), &received[me.index()]))?;
        let (mut multiplied, products): (Vec<_>, Vec<_>) = multiplied.into_iter().unzip();
        let products = lie.broadcast(products);
        let answered =
            each(|me| winners[me.index()].answer(multiplied.remove(0), &transcript(2), &products))?;
        let (mut answered, answers): (Vec<_>, Vec<_>) = answered.into_iter().unzip();
        let answers = lie.broadcast(answers);
        let checked = each(|me| winners[me.index()].zeros(answered.remove(0), &transcript(3), &answers))?;
        let (mut checked, zeros): (Vec<_>, Vec<_>) = checked.into_iter().unzip();
        let zeros = lie.broadcast(zeros);
        let verdicts = each(|me| winners[me.index()].decide(checked.remove(0), &zeros))?;
        let mut found = Vec::new();
        for verdict in verdicts {
            match verdict {
                Decision::Accepted(key) => found.push(key),
                Decision::Rejected => return Ok(None),
                Decision::Again => {}
            }
        }
        if !found.is_empty() {
            return Ok(Some(found));
        }
    }
}

/// K8 to K10.
fn share_key(
    parameters: &KeygenParameters,
    n: &BigUint,
    found: Vec<KeyFound>,
    rngs: &mut [ChaCha20Rng],
    lie: &mut Lie<'_>,
) -> Outcome {
    let public = PublicKey::insecure(n.clone()).unwrap();
    let sent = each(|me| sharing::deal(parameters, &found[me.index()].summand, &mut rngs[me.index()]))?;
    let received = lie.exchange(sent);
    let totals = each(|me| {
        sharing::total(parameters, me, &public, &received[me.index()], &found[me.index()].residue)
    })?;
    let (mut shares, keys): (Vec<_>, Vec<_>) = totals.into_iter().unzip();
    let (meant, keys) = (PerParty::from_vec(keys.clone()), lie.broadcast(keys));
    let shares = each(|me| {
        let opening = &found[me.index()].opening;
        // The liar itself holds on to what it would have published.
        let keys = if me == LIAR { &meant } else { &keys };
        sharing::finish(parameters, me, public.clone(), opening, shares.remove(0), keys.clone())
    })?;
    let trial = each(|me| sharing::try_decrypt(&shares[me.index()], &transcript(9)))?;
    let context = ProofContext::new([7; 32], ["a", "b", "c"]);
    let proofs = each(|me| {
        let (share, trial) = (&shares[me.index()], &trial[me.index()]);
        sharing::prove_trial(share, &context, &transcript(9), trial, &mut rngs[me.index()])
    })?;
    let trial = lie.broadcast(trial);
    let (key, proofs) = (shares[0].key(), PerParty::from_vec(proofs));
    alike(sharing::check_proofs(key, &context, &transcript(9), &trial, &proofs))?;
    alike(sharing::check_trial(key, &transcript(9), trial))?;
    Ok(shares)
}
