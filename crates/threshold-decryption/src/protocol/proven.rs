//! D2 with proofs: t others help each party, and further ones only where it asks for them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand_core::CryptoRng;

use super::messages::Claim;
use super::{CHUNK, Chunk, Decrypted, ProvenMessage, ProvenShape, Reading, Request, RequestShape, chunks};
use crate::{Challenges, DecryptionError, KeyShare, PartialDecryption, ProofContext};
use subrosa_paillier::Ciphertext;
use subrosa_transport::{Collected, PartyId, PerParty, Roster, Session, Transport};

/// What is still to be read after the helpers had their turn.
struct Unread {
    /// Number of the chunk.
    number: usize,
    reading: Reading,
}

/// D2 to D4.
pub(super) fn decrypt<T: Transport>(
    session: &mut Session<T>,
    share: &KeyShare,
    batches: &PerParty<Vec<Ciphertext>>,
    challenges: Challenges,
    rng: &mut impl CryptoRng,
) -> Result<Decrypted, DecryptionError> {
    let (context, roster) = (ProofContext::of(session), session.roster().clone());
    let round = Round { share, context, challenges, me: session.me(), roster };
    let chunks: Vec<Chunk<'_>> = chunks(batches).collect();
    let mut decrypted = Decrypted::new(session);
    let mut plaintexts = vec![Vec::new(); chunks.len()];

    let mut unread = Vec::new();
    let mut slow = vec![false; round.roster.len()];
    for (number, chunk) in chunks.iter().enumerate() {
        let reading = round.first_answers(session, chunk, &mut slow, &mut decrypted, rng)?;
        if chunk.of(round.me).is_empty() {
            continue;
        }
        if reading.answers.len() == round.threshold() {
            (plaintexts[number], _) = reading.finish(share, chunk, false)?;
        } else {
            unread.push(Unread { number, reading });
        }
    }

    let requests = round.requests(session, &unread);
    let asked = round.ask(session, &chunks, &requests, &mut decrypted)?;

    let mut unread = unread.into_iter().peekable();
    for (number, chunk) in chunks.iter().enumerate() {
        let mut open = unread.next_if(|unread| unread.number == number);
        let reading = open.as_mut().map(|unread| &mut unread.reading);
        let turn = Turn { number, asked: &asked, requests: &requests };
        round.further_answers(session, chunk, &turn, reading, &mut decrypted, rng)?;
        if let Some(Unread { reading, .. }) = open {
            let (texts, deviations) = reading.finish(share, chunk, false)?;
            plaintexts[number] = texts;
            decrypted.deviations.extend(deviations);
        }
    }
    decrypted.plaintexts = plaintexts.into_iter().flatten().collect();
    Ok(decrypted)
}

/// What all steps of one decryption share.
struct Round<'a> {
    share: &'a KeyShare,
    context: ProofContext,
    challenges: Challenges,
    me: PartyId,
    roster: Roster,
}

/// Whose turn it is in D2c, for one chunk.
struct Turn<'a> {
    number: usize,
    /// From which chunk on each party wants my answers.
    asked: &'a PerParty<Option<usize>>,
    /// From which chunk on I want those of each party.
    requests: &'a PerParty<Option<usize>>,
}

impl Round<'_> {
    fn threshold(&self) -> usize {
        self.share.key().access().threshold() as usize
    }

    /// Whether a party helps an owner unasked: those do that follow it in the roster, the first after the last.
    fn helps(&self, helper: PartyId, owner: PartyId) -> bool {
        let distance = (helper.index() + self.roster.len() - owner.index()) % self.roster.len();
        (1..=self.threshold()).contains(&distance)
    }

    /// D2a: sends what I owe to those whom I help, and takes my helpers' answers.
    fn first_answers<T: Transport>(
        &self,
        session: &mut Session<T>,
        chunk: &Chunk<'_>,
        slow: &mut [bool],
        decrypted: &mut Decrypted,
        rng: &mut impl CryptoRng,
    ) -> Result<Reading, DecryptionError> {
        let mut messages = self.messages(chunk, |owner| self.helps(self.me, owner), rng)?;
        let outgoing = |party: PartyId| messages.get_mut(party.index()).and_then(Option::take);
        let reads = !chunk.of(self.me).is_empty();
        // Waiting for each of t helpers once, I am late by a quarter of a round.
        let longest = session.limits().round_timeout / (4 * self.share.key().access().threshold());
        let wait = |party: PartyId| {
            let wait = if slow[party.index()] { Duration::ZERO } else { longest };
            (reads && self.helps(party, self.me)).then_some(wait)
        };
        let refused = Arc::default();
        let shape = self.shape(chunk, &refused);
        let collected = session.collect_within(outgoing, wait, shape)?;
        for party in self.roster.others().filter(|&party| reads && self.helps(party, self.me)) {
            slow[party.index()] |= collected.messages[party].is_none();
        }
        let mut reading = Reading::default();
        take(&mut reading, collected, &refused, decrypted);
        Ok(reading)
    }

    /// From which chunk on I ask each party: for chunks that lack answers, and for none that it has answered.
    fn requests<T: Transport>(&self, session: &Session<T>, unread: &[Unread]) -> PerParty<Option<usize>> {
        let first = |party: PartyId| {
            let lacks =
                |unread: &&Unread| unread.reading.answers.iter().all(|answer| answer.party() != party);
            let first = unread.iter().filter(|_| session.is_active(party)).find(lacks);
            first.map(|unread| unread.number)
        };
        PerParty::from_vec(self.roster.parties().map(first).collect())
    }

    /// D2b: tells each of the others from which chunk on I want its answers, if any. What they want of me.
    fn ask<T: Transport>(
        &self,
        session: &mut Session<T>,
        chunks: &[Chunk<'_>],
        requests: &PerParty<Option<usize>>,
        decrypted: &mut Decrypted,
    ) -> Result<PerParty<Option<usize>>, DecryptionError> {
        let count = |party: PartyId| chunks.iter().filter(|chunk| !chunk.of(party).is_empty()).count();
        let outgoing = |party: PartyId| {
            let from = requests[party].and_then(|from| u32::try_from(from).ok());
            (count(self.me) > 0).then_some(Request { from })
        };
        // Whoever asks later has lost its turn, and nobody else's time.
        let longest = session.limits().round_timeout / 2;
        let wait = |party: PartyId| (count(party) > 0).then_some(longest);
        let shape = |party: PartyId| RequestShape { chunks: count(party) };
        let collected = session.collect_within(outgoing, wait, shape)?;
        decrypted.absent.extend(collected.failures);
        let from =
            |request: Option<Request>| request.and_then(|request| request.from).map(|from| from as usize);
        Ok(PerParty::from_vec(collected.messages.into_vec().into_iter().map(from).collect()))
    }

    /// D2c: answers those who asked me, and takes the answers that I asked for, until there are enough.
    fn further_answers<T: Transport>(
        &self,
        session: &mut Session<T>,
        chunk: &Chunk<'_>,
        turn: &Turn<'_>,
        reading: Option<&mut Reading>,
        decrypted: &mut Decrypted,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DecryptionError> {
        let due = |from: &Option<usize>| from.is_some_and(|from| from <= turn.number);
        let mut messages = self.messages(chunk, |owner| due(&turn.asked[owner]), rng)?;
        let outgoing = |party: PartyId| messages.get_mut(party.index()).and_then(Option::take);
        let lacking = reading.as_ref().map_or(0, |reading| self.threshold() - reading.answers.len());
        let refused = Arc::default();
        let expected = |party: PartyId| !chunk.of(self.me).is_empty() && due(&turn.requests[party]);
        let shape = self.shape(chunk, &refused);
        let collected = session.collect_shaped(outgoing, expected, lacking, shape)?;
        if let Some(reading) = reading {
            take(reading, collected, &refused, decrypted);
        }
        Ok(())
    }

    /// My partial decryptions of a chunk, with proofs, for those owners for whom `helped` holds.
    fn messages(
        &self,
        chunk: &Chunk<'_>,
        helped: impl Fn(PartyId) -> bool,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Option<ProvenMessage>>, DecryptionError> {
        let mut messages = Vec::with_capacity(self.roster.len());
        for party in self.roster.parties() {
            let ciphertexts = chunk.of(party);
            if party == self.me || ciphertexts.is_empty() || !helped(party) {
                messages.push(None);
                continue;
            }
            let partial = self.share.partially_decrypt(ciphertexts)?;
            let proof = self.share.prove(&self.context, ciphertexts, &partial, self.challenges, rng)?;
            messages.push(Some(ProvenMessage { values: partial.into_values(), proof }));
        }
        Ok(messages)
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
