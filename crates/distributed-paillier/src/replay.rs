//! Finds the party that made a run fail. With all seeds open, every message of every party can be computed again.
//!
//! The culprit is the first party that does not open its seed, whose dealing does not follow from its seed, or whose
//! broadcast does not follow from the dealings to it. An honest party's messages follow from these. If all messages
//! did, the checks would have passed.

use num_bigint::BigUint;
use rayon::prelude::*;

use crate::candidates::{self, BatchSecrets, Sampler};
use crate::dealing::{DealtMessage, Seed};
use crate::messages::CandidateShares;
use crate::receipts::Opening;
use crate::records::{AttemptRecord, BatchRecord, CandidateRecord, DealingRecord, SharingRecord};
use crate::winner::{Decision, KeyFound, Winner};
use crate::{KeygenError, KeygenParameters, biprimality, sharing};
use subrosa_arith::Modulus;
use subrosa_paillier::PublicKey;
use subrosa_transport::{PartyId, PerParty};

/// A party that did not follow the protocol, and how it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The party.
    pub party: PartyId,
    /// How it deviated.
    pub reason: &'static str,
}

/// Which candidates of a batch are computed again from K4 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Candidates that reached W1, if a check failed.
    Verified,
    /// Also candidates that reached K5, and products of two primes, in an audit of rejected candidates.
    Audit,
}

/// Computes a batch again from the opened seeds. Returns the first deviation, if there is one.
///
/// # Errors
/// [`KeygenError`] if a step cannot be computed although nobody deviated before it.
pub fn find_deviation(
    parameters: &KeygenParameters,
    session: &[u8; 32],
    batch: &BatchRecord,
    openings: &PerParty<Opening>,
    scope: Scope,
) -> Result<Option<Deviation>, KeygenError> {
    let replay = Replay { parameters, session, parties: parameters.parties() };
    match replay.batch(batch, openings, scope) {
        Ok(()) => Ok(None),
        Err(Stop::Deviation(deviation)) => Ok(Some(deviation)),
        Err(Stop::Error(error)) => Err(*error),
    }
}

/// Why a replay ends.
enum Stop {
    Deviation(Deviation),
    Error(Box<KeygenError>),
}

impl<E: Into<KeygenError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(Box::new(error.into()))
    }
}

fn deviation(party: PartyId, reason: &'static str) -> Stop {
    Stop::Deviation(Deviation { party, reason })
}

/// Names the first party whose message is not the one computed again.
fn compare<M: PartialEq>(computed: &[M], sent: &PerParty<M>, reason: &'static str) -> Result<(), Stop> {
    match sent.iter().zip(computed).find(|((_, sent), computed)| sent != computed) {
        Some(((party, _), _)) => Err(deviation(party, reason)),
        None => Ok(()),
    }
}

/// The seeds of the next dealing.
fn next<'s>(seeds: &mut impl Iterator<Item = &'s Vec<&'s Seed>>) -> Result<&'s [&'s Seed], KeygenError> {
    let seeds = seeds.next().ok_or(KeygenError::Internal { place: "a dealing has no seeds" })?;
    Ok(seeds)
}

struct Replay<'a> {
    parameters: &'a KeygenParameters,
    session: &'a [u8; 32],
    parties: Vec<PartyId>,
}

/// K1 computed again.
struct Candidates {
    /// By dealer.
    secrets: Vec<BatchSecrets>,
    /// By receiver.
    received: Vec<PerParty<CandidateShares>>,
}

impl Replay<'_> {
    fn batch(&self, batch: &BatchRecord, openings: &PerParty<Opening>, scope: Scope) -> Result<(), Stop> {
        let seeds = self.seeds(batch, openings)?;
        let mut seeds = seeds.iter();
        let dealt = self.candidates(&batch.dealing, next(&mut seeds)?)?;
        let Some(products) = &batch.products else { return Ok(()) };
        let multiply = |&me: &PartyId| candidates::multiply(self.parameters, me, &dealt.received[me.index()]);
        let computed = self.parties.iter().map(multiply).collect::<Result<Vec<_>, _>>()?;
        compare(&computed, products, "a product share that does not follow from what it was dealt")?;
        let Some(first_tests) = &batch.first_tests else { return Ok(()) };
        let moduli = candidates::open(self.parameters, products)?;
        let survivors = biprimality::prepare(&moduli, &candidates::sieve(self.parameters, &moduli))?;
        let recorded = |index: usize| {
            let candidate = batch.candidates.iter().find(|candidate| candidate.index == index);
            candidate.is_some_and(|candidate| scope == Scope::Audit || !candidate.attempts.is_empty())
        };
        let wanted = |index: usize| recorded(index) || (scope == Scope::Audit && dealt.is_prime(index));
        let wanted: Vec<bool> = survivors.par_iter().map(|sieved| wanted(sieved.index)).collect();
        for (place, (sieved, _)) in
            survivors.iter().zip(&wanted).enumerate().filter(|(_, (_, wanted))| **wanted)
        {
            let single = std::slice::from_ref(sieved);
            for (&me, secrets) in self.parties.iter().zip(&dealt.secrets) {
                let computed = biprimality::first_test(self.parameters, me, secrets, single)?;
                if computed.values.first() != first_tests.get(me).and_then(|sent| sent.values.get(place)) {
                    return Err(deviation(me, "a wrong value of the first test"));
                }
            }
        }
        for candidate in &batch.candidates {
            let place = survivors.iter().position(|sieved| sieved.index == candidate.index);
            if let Some(place) = place.filter(|&place| wanted[place]) {
                self.candidate(&dealt, candidate, &survivors[place].modulus, &mut seeds)?;
            } else {
                // Its seeds are passed over.
                for _ in candidate.dealings() {
                    next(&mut seeds)?;
                }
            }
        }
        Ok(())
    }

    /// Checks the seeds of all parties against their commitments. Returns them by dealing.
    fn seeds<'o>(
        &self,
        batch: &BatchRecord,
        openings: &'o PerParty<Opening>,
    ) -> Result<Vec<Vec<&'o Seed>>, Stop> {
        let of_dealing = |(place, dealing): (usize, &DealingRecord)| {
            let of_party = |&party: &PartyId| {
                let seed = openings.get(party).and_then(|opening| opening.seeds.get(place));
                let opened = seed.filter(|seed| {
                    dealing
                        .commitments
                        .get(party)
                        .is_some_and(|commitment| commitment.opens_to(self.session, dealing.id, party, seed))
                });
                opened.ok_or_else(|| deviation(party, "it does not open the seed that it committed to"))
            };
            self.parties.iter().map(of_party).collect()
        };
        batch.dealings().enumerate().map(of_dealing).collect()
    }

    /// Checks the messages against their commitments. Returns them by receiver.
    fn committed<M: DealtMessage>(
        &self,
        dealing: &DealingRecord,
        sent: Vec<PerParty<M>>,
    ) -> Result<Vec<PerParty<M>>, Stop> {
        for (&dealer, messages) in self.parties.iter().zip(&sent) {
            let commitment = &dealing.commitments[dealer];
            let fits =
                |(receiver, message)| commitment.fits(self.session, dealing.id, dealer, receiver, message);
            if !messages.iter().all(fits) {
                return Err(deviation(dealer, "it dealt something else than its seed gives"));
            }
        }
        let mut dealers: Vec<_> = sent.into_iter().map(IntoIterator::into_iter).collect();
        let received = |_: &PartyId| {
            let messages =
                dealers.iter_mut().filter_map(|messages| messages.next().map(|(_, message)| message));
            PerParty::from_vec(messages.collect())
        };
        Ok(self.parties.iter().map(received).collect())
    }

    /// K1.
    fn candidates(&self, dealing: &DealingRecord, seeds: &[&Seed]) -> Result<Candidates, Stop> {
        let crate::dealing::DealingId::Candidates { first } = dealing.id else {
            return Err(KeygenError::Internal { place: "the first record of a batch is not of K1" }.into());
        };
        let (mut secrets, mut sent) = (Vec::new(), Vec::new());
        for (&me, seed) in self.parties.iter().zip(seeds) {
            let sampler = Sampler::new(self.parameters, me)?;
            let (secret, messages) =
                candidates::deal(self.parameters, &sampler, me, first, &mut seed.generator())?;
            secrets.push(secret);
            sent.push(messages);
        }
        Ok(Candidates { secrets, received: self.committed(dealing, sent)? })
    }

    /// K5 and W1 to K10.
    fn candidate<'s>(
        &self,
        dealt: &Candidates,
        record: &CandidateRecord,
        modulus: &Modulus,
        seeds: &mut impl Iterator<Item = &'s Vec<&'s Seed>>,
    ) -> Result<(), Stop> {
        let secret =
            |me: PartyId| dealt.secrets[me.index()].candidate(record.index).ok_or(candidates::NO_SUCH_PLACE);
        let further = |&me: &PartyId| {
            biprimality::further_tests(self.parameters, me, self.session, secret(me)?, modulus)
        };
        let computed = self.parties.iter().map(further).collect::<Result<Vec<_>, _>>()?;
        compare(&computed, &record.further_tests, "a wrong value of the further tests")?;
        let winner = |&me: &PartyId| {
            let received = &dealt.received[me.index()];
            let factors = candidates::factors(self.parameters, me, received, record.index)?;
            Winner::new(self.parameters, me, secret(me)?, modulus, &factors)
        };
        let mut winners = self.parties.iter().map(winner).collect::<Result<Vec<_>, _>>()?;
        let mut found = Vec::new();
        for attempt in &record.attempts {
            found = self.attempt(&mut winners, attempt, next(seeds)?)?;
        }
        match &record.sharing {
            Some(_) if found.len() != self.parties.len() => {
                Err(KeygenError::Internal { place: "a key was shared before W4 was passed" }.into())
            }
            Some(sharing) => self.sharing(modulus.value(), &found, sharing, next(seeds)?),
            None => Ok(()),
        }
    }

    /// W1 to W4: computes the decision again, if the attempt came that far.
    fn attempt(
        &self,
        winners: &mut [Winner<'_>],
        record: &AttemptRecord,
        seeds: &[&Seed],
    ) -> Result<Vec<KeyFound>, Stop> {
        let dealt = winners.iter().zip(seeds);
        let dealt = dealt.map(|(winner, seed)| winner.deal(&mut seed.generator()));
        let dealt = dealt.collect::<Result<Vec<_>, _>>()?;
        let (dealt, sent): (Vec<_>, Vec<_>) = dealt.into_iter().unzip();
        let received = self.committed(&record.dealing, sent)?;
        let Some(products) = &record.products else { return Ok(Vec::new()) };
        let steps = winners.iter().zip(dealt).zip(&received);
        let steps = steps.map(|((winner, dealt), received)| winner.multiply(dealt, received));
        let (states, computed): (Vec<_>, Vec<_>) = steps.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        compare(&computed, &products.messages, "a product share of the winner that does not follow")?;
        let Some(answers) = &record.answers else { return Ok(Vec::new()) };
        let steps = winners.iter().zip(states);
        let steps =
            steps.map(|(winner, state)| winner.answer(state, &products.transcript, &products.messages));
        let (states, computed): (Vec<_>, Vec<_>) = steps.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        compare(&computed, &answers.messages, "a wrong answer for the winner")?;
        let Some(zeros) = &record.zeros else { return Ok(Vec::new()) };
        let steps = winners.iter().zip(states);
        let steps = steps.map(|(winner, state)| winner.zeros(state, &answers.transcript, &answers.messages));
        let (states, computed): (Vec<_>, Vec<_>) = steps.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        compare(&computed, zeros, "a wrong share in a check of the winner")?;
        let mut found = Vec::new();
        for (winner, state) in winners.iter_mut().zip(states) {
            if let Decision::Accepted(key) = winner.decide(state, zeros)? {
                found.push(key);
            }
        }
        Ok(found)
    }

    /// K8 to K10.
    fn sharing(
        &self,
        n: &BigUint,
        found: &[KeyFound],
        record: &SharingRecord,
        seeds: &[&Seed],
    ) -> Result<(), Stop> {
        let sent = found.iter().zip(seeds);
        let sent =
            sent.map(|(found, seed)| sharing::deal(self.parameters, &found.summand, &mut seed.generator()));
        let received = self.committed(&record.dealing, sent.collect::<Result<Vec<_>, _>>()?)?;
        let Some(keys) = &record.keys else { return Ok(()) };
        let public = PublicKey::insecure(n.clone())?;
        let totals = self.parties.iter().zip(&received).zip(found);
        let totals = totals.map(|((&me, received), found)| {
            sharing::total(self.parameters, me, &public, received, &found.residue)
        });
        let (shares, computed): (Vec<_>, Vec<_>) = totals.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let sent: Vec<_> = keys.messages.values().cloned().collect();
        let computed: Vec<_> = computed.into_iter().map(Some).collect();
        compare(&computed, &keys.messages, "another verification key or residue than follows")?;
        let (Some(trial), Some(found)) = (&record.trial, found.first()) else { return Ok(()) };
        let published = PerParty::from_vec(sent.into_iter().flatten().collect());
        let trials = self.parties.iter().zip(shares).map(|(&me, share)| {
            let (public, published) = (public.clone(), published.clone());
            let share = sharing::finish(self.parameters, me, public, &found.opening, share, published)?;
            sharing::try_decrypt(&share, &keys.transcript)
        });
        compare(&trials.collect::<Result<Vec<_>, _>>()?, trial, "a wrong trial decryption")
    }
}

impl Candidates {
    /// Whether both factors of a candidate pass a Fermat test to base 2.
    fn is_prime(&self, index: usize) -> bool {
        let sum = |of: fn(&candidates::Candidate) -> &BigUint| {
            self.secrets.iter().filter_map(|secrets| secrets.candidate(index)).map(of).sum::<BigUint>()
        };
        let passes = |p: BigUint| {
            let Ok(modulus) = Modulus::new(&p) else { return false };
            modulus.is_one(&modulus.vartime_pow(&modulus.residue_u64(2), &(p - 1u32)))
        };
        passes(sum(|candidate| candidate.p().expose())) && passes(sum(|candidate| candidate.q().expose()))
    }
}
