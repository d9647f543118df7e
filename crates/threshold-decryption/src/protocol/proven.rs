//! D2 with proofs: t others help each party, and further ones only where it asks for them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand_core::CryptoRng;

use super::messages::Claim;
use super::{CHUNK, Chunk, Decrypted, ProvenMessage, ProvenShape, Reading, Request, chunks};
use crate::{AccessStructure, Challenges, DecryptionError, KeyShare, PartialDecryption, ProofContext};
use subrosa_paillier::Ciphertext;
use subrosa_transport::{Collected, PartyId, PerParty, Roster, Session, Transport};

/// D2 to D4, chunk after chunk.
pub(super) fn decrypt<T: Transport>(
    session: &mut Session<T>,
    share: &KeyShare,
    batches: &PerParty<Vec<Ciphertext>>,
    challenges: Challenges,
    rng: &mut impl CryptoRng,
) -> Result<Decrypted, DecryptionError> {
    let (context, roster) = (ProofContext::of(session), session.roster().clone());
    let timeout = session.limits().round_timeout;
    let mut round = Round { share, context, challenges, me: session.me(), roster, timeout, slow: vec![] };
    round.slow = vec![false; round.roster.len()];
    let mut decrypted = Decrypted::new(session);
    for (number, chunk) in (0..).zip(chunks(batches)) {
        let mut reading = round.first_answers(session, &chunk, &mut decrypted, rng)?;
        let asked = round.ask(session, &chunk, &reading, &mut decrypted)?;
        // Each chunk may have set the others back by two rounds, and so may have what came before.
        session.set_round_timeout(timeout.saturating_mul(2 * (number + 2)));
        let further = round.further_answers(session, &chunk, &asked, &mut reading, &mut decrypted, rng);
        session.set_round_timeout(timeout);
        further?;
        if !chunk.of(round.me).is_empty() {
            let (plaintexts, deviations) = reading.finish(share, &chunk, false)?;
            decrypted.plaintexts.extend(plaintexts);
            decrypted.deviations.extend(deviations);
        }
    }
    Ok(decrypted)
}

/// Whether a party helps an owner unasked, in D2a: the t parties do that follow it in the roster, the first after the last.
#[must_use]
pub fn helps(access: AccessStructure, helper: PartyId, owner: PartyId) -> bool {
    let parties = access.parties() as usize;
    let distance = (helper.index() + parties).saturating_sub(owner.index()) % parties.max(1);
    (1..=access.threshold() as usize).contains(&distance)
}

/// The parts of D2 with proofs, each a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// D2a: helpers answer unasked.
    Helpers,
    /// D2b: readers say whose answers they want.
    Requests,
    /// D2c: those that were asked answer.
    Asked,
}

impl Part {
    /// The chunk and the part of a step, counted from the first step of D2.
    #[must_use]
    pub fn of_step(step: usize) -> (usize, Self) {
        let part = match step % 3 {
            0 => Self::Helpers,
            1 => Self::Requests,
            _ => Self::Asked,
        };
        (step / 3, part)
    }
}

/// What all steps of one decryption share.
struct Round<'a> {
    share: &'a KeyShare,
    context: ProofContext,
    challenges: Challenges,
    me: PartyId,
    roster: Roster,
    timeout: Duration,
    /// Which of my helpers were late in the last chunk.
    slow: Vec<bool>,
}

impl Round<'_> {
    fn threshold(&self) -> usize {
        self.share.key().access().threshold() as usize
    }

    fn helps(&self, helper: PartyId, owner: PartyId) -> bool {
        helps(self.share.key().access(), helper, owner)
    }

    /// D2a: sends what I owe to those whom I help, and takes my helpers' answers.
    fn first_answers<T: Transport>(
        &mut self,
        session: &mut Session<T>,
        chunk: &Chunk<'_>,
        decrypted: &mut Decrypted,
        rng: &mut impl CryptoRng,
    ) -> Result<Reading, DecryptionError> {
        let reads = !chunk.of(self.me).is_empty();
        let longest = self.timeout / (4 * self.share.key().access().threshold());
        let wait = |party: PartyId| {
            let wait = if self.slow[party.index()] { Duration::ZERO } else { longest };
            (reads && self.helps(party, self.me)).then_some(wait)
        };
        let mut failed = None;
        let outgoing = self.answers(chunk, |owner| self.helps(self.me, owner), &mut failed, rng);
        let refused = Arc::default();
        let collected = session.collect_within(outgoing, wait, self.shape(chunk, &refused));
        failed.map_or(Ok(()), Err)?;
        let collected = collected?;
        self.slow = self.roster.parties().map(|party| collected.messages[party].is_none()).collect();
        let mut reading = Reading::default();
        take(&mut reading, collected, &refused, decrypted);
        Ok(reading)
    }

    /// D2b: tells each of the others whether I want its answer. Who wants mine: also those of whom I have not heard in time,
    /// so that nobody can lose its turn.
    fn ask<T: Transport>(
        &self,
        session: &mut Session<T>,
        chunk: &Chunk<'_>,
        reading: &Reading,
        decrypted: &mut Decrypted,
    ) -> Result<PerParty<bool>, DecryptionError> {
        let reads = |party: PartyId| !chunk.of(party).is_empty();
        let lacks = reading.answers.len() < self.threshold();
        let outgoing = |party: PartyId| {
            let wanted = lacks && reading.answers.iter().all(|answer| answer.party() != party);
            reads(self.me).then_some(Request { wanted })
        };
        let wait = |party: PartyId| reads(party).then_some(self.timeout / 2);
        let collected = session.collect_within(outgoing, wait, |_| &())?;
        decrypted.absent.extend(collected.failures);
        let wants = |party: PartyId| {
            let request = collected.messages[party].as_ref();
            session.is_active(party) && reads(party) && request.is_none_or(|request| request.wanted)
        };
        Ok(PerParty::from_vec(self.roster.parties().map(wants).collect()))
    }

    /// D2c: answers those who asked me, and takes the answers that I asked for, until there are enough.
    fn further_answers<T: Transport>(
        &self,
        session: &mut Session<T>,
        chunk: &Chunk<'_>,
        asked: &PerParty<bool>,
        reading: &mut Reading,
        decrypted: &mut Decrypted,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DecryptionError> {
        let reads = !chunk.of(self.me).is_empty();
        let lacking = if reads { self.threshold().saturating_sub(reading.answers.len()) } else { 0 };
        let known: Vec<PartyId> = reading.answers.iter().map(PartialDecryption::party).collect();
        let mut failed = None;
        let outgoing = self.answers(chunk, |owner| asked[owner], &mut failed, rng);
        let refused = Arc::default();
        let expected = |party: PartyId| lacking > 0 && !known.contains(&party);
        let collected = session.collect_shaped(outgoing, expected, lacking, self.shape(chunk, &refused));
        failed.map_or(Ok(()), Err)?;
        take(reading, collected?, &refused, decrypted);
        // Whoever has not heard that I lack nothing answers all the same.
        for party in self.roster.others().filter(|&party| reads && !expected(party)) {
            session.pass_over(party);
        }
        Ok(())
    }

    /// My partial decryptions of a chunk, with proofs, for those owners for whom `helped` holds: each is computed when it is to be
    /// sent, so that nobody waits for what others asked for. What goes wrong is put into `failed`.
    fn answers<'s>(
        &'s self,
        chunk: &'s Chunk<'_>,
        helped: impl Fn(PartyId) -> bool + 's,
        failed: &'s mut Option<DecryptionError>,
        rng: &'s mut impl CryptoRng,
    ) -> impl FnMut(PartyId) -> Option<ProvenMessage> + 's {
        move |party| {
            let ciphertexts = chunk.of(party);
            if party == self.me || ciphertexts.is_empty() || failed.is_some() || !helped(party) {
                return None;
            }
            match self.answer(ciphertexts, rng) {
                Ok(message) => Some(message),
                Err(error) => {
                    *failed = Some(error);
                    None
                }
            }
        }
    }

    fn answer(
        &self,
        ciphertexts: &[Ciphertext],
        rng: &mut impl CryptoRng,
    ) -> Result<ProvenMessage, DecryptionError> {
        let partial = self.share.partially_decrypt(ciphertexts)?;
        let proof = self.share.prove(&self.context, ciphertexts, &partial, self.challenges, rng)?;
        Ok(ProvenMessage { values: partial.into_values(), proof })
    }

    /// What an answer to me must look like. Values that are refused go to `refused`.
    fn shape<'s>(
        &'s self,
        chunk: &Chunk<'_>,
        refused: &'s Arc<Mutex<Vec<PartialDecryption>>>,
    ) -> impl Fn(PartyId) -> ProvenShape + 's {
        let ciphertexts: Arc<[Ciphertext]> = chunk.of(self.me).into();
        move |sender| {
            ProvenShape(Arc::new(Claim {
                key: self.share.key().clone(),
                context: self.context.clone(),
                challenges: self.challenges,
                sender,
                ciphertexts: Arc::clone(&ciphertexts),
                longest: if sender == self.me { CHUNK } else { ciphertexts.len() },
                refused: Arc::clone(refused),
            }))
        }
    }
}

/// Puts what a step brought into `reading` and `decrypted`.
fn take(
    reading: &mut Reading,
    collected: Collected<ProvenMessage>,
    refused: &Mutex<Vec<PartialDecryption>>,
    decrypted: &mut Decrypted,
) {
    for (party, message) in collected.messages {
        reading.answers.extend(message.map(|message| PartialDecryption::new(party, message.values)));
    }
    reading.refused.append(&mut refused.lock().unwrap_or_else(PoisonError::into_inner));
    decrypted.absent.extend(collected.failures);
}
