//! Step R6 on the wire: the scores that one bank needs of another.

use crate::banks::BankId;
use crate::checkpoint::format::Run;
use crate::error::Error;
use crate::plan::Step;
use crate::steps::agreement::Agreed;
use crate::steps::messages::links::Links;
use crate::steps::messages::{BatchShape, CHUNK, ScoreChunk};
use crate::steps::randomness::Streams;
use crate::steps::scores::{Encrypted, Received};
use subrosa_paillier::{Blinded, Blinder, Ciphertext, CiphertextBatch, PublicKey};
use subrosa_transport::{PartyId, Roster, Session, Transport, with_causes};

/// The scores that other banks need in one iteration, each encrypted once for all of them.
///
/// A ciphertext is made for the first message that it is in, unless all were made before, and dropped with the last: those of
/// other banks take its place meanwhile.
pub(super) struct Outgoing<'a> {
    agreed: &'a Agreed,
    step: Step,
    /// Randomness of this step in this session.
    streams: Streams,
    /// Own accounts that some bank needs, ascending.
    accounts: Vec<u32>,
    /// The last message that each is in.
    last: Vec<usize>,
    ciphertexts: Vec<Option<Blinded<Ciphertext>>>,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(agreed: &'a Agreed, step: Step, streams: Streams) -> Result<Self, Error> {
        let accounts = agreed.exported(step.period);
        let mut last = vec![0; accounts.len()];
        for bank in agreed.network().banks().iter() {
            for (chunk, needed) in agreed.exports(step.period, bank).chunks(CHUNK).enumerate() {
                for account in needed {
                    let last = accounts.binary_search(account).ok().and_then(|place| last.get_mut(place));
                    let last = last.ok_or(NOT_EXPORTED)?;
                    *last = chunk.max(*last);
                }
            }
        }
        let ciphertexts = vec![None; accounts.len()];
        Ok(Self { agreed, step, streams, accounts, last, ciphertexts })
    }

    /// Encrypts all of them.
    pub(super) fn encrypt_all(&mut self, scores: &Encrypted, blinder: &Blinder) -> Result<(), Error> {
        self.encrypt(&(0..self.accounts.len()).collect::<Vec<_>>(), scores, blinder)
    }

    /// Encrypts what the messages of a chunk need and what is not there yet.
    fn encrypt_chunk(&mut self, chunk: usize, scores: &Encrypted, blinder: &Blinder) -> Result<(), Error> {
        let banks = self.agreed.network().banks().iter();
        let needed = banks.flat_map(|bank| piece(self.agreed.exports(self.step.period, bank), chunk));
        let place = |account: &u32| self.accounts.binary_search(account).map_err(|_| NOT_EXPORTED);
        let mut places = needed.map(place).collect::<Result<Vec<usize>, Error>>()?;
        places.retain(|&place| self.ciphertexts.get(place).is_some_and(Option::is_none));
        places.sort_unstable();
        places.dedup();
        self.encrypt(&places, scores, blinder)
    }

    fn encrypt(&mut self, places: &[usize], scores: &Encrypted, blinder: &Blinder) -> Result<(), Error> {
        let account = |&place: &usize| self.accounts.get(place).copied().ok_or(NOT_EXPORTED);
        let accounts = places.iter().map(account).collect::<Result<Vec<u32>, Error>>()?;
        for (&place, ciphertext) in
            places.iter().zip(scores.encrypt_with(blinder, &accounts, &self.streams)?)
        {
            *self.ciphertexts.get_mut(place).ok_or(NOT_EXPORTED)? = Some(ciphertext);
        }
        Ok(())
    }

    /// The message to a bank, if there is one.
    fn message(&self, key: &PublicKey, bank: BankId, chunk: usize) -> Result<Option<ScoreChunk>, Error> {
        let accounts = piece(self.agreed.exports(self.step.period, bank), chunk);
        let ciphertext = |account: &u32| {
            let place = self.accounts.binary_search(account).ok()?;
            self.ciphertexts.get(place)?.as_ref()
        };
        let ciphertexts = accounts.iter().map(ciphertext).collect::<Option<Vec<_>>>().ok_or(NOT_EXPORTED)?;
        let batch = CiphertextBatch::new(key, ciphertexts)?;
        Ok((!batch.is_empty()).then_some(ScoreChunk { batch }))
    }

    /// Drops what no message after those of a chunk needs.
    fn forget(&mut self, chunk: usize) {
        let done = self.ciphertexts.iter_mut().zip(&self.last).filter(|(_, last)| **last <= chunk);
        done.for_each(|(ciphertext, _)| *ciphertext = None);
    }
}

/// An account whose score another bank needs is not among those that are encrypted.
const NOT_EXPORTED: Error = Error::Internal { place: "a score that another bank needs is not encrypted" };

/// R6: sends the scores that other banks need and takes theirs.
pub(super) fn exchange_scores<T: Transport>(
    session: &mut Session<T>,
    links: &mut Links,
    mut outgoing: Outgoing<'_>,
    scores: &Encrypted,
    blinder: &Blinder,
    run: &Run,
) -> Result<Received, Error> {
    let (agreed, step, key) = (outgoing.agreed, outgoing.step, blinder.key());
    let me = session.me();
    let roster = session.roster().clone();
    let banks: Vec<BankId> = agreed.network().banks().iter().collect();
    let mut received = Received::new(agreed);
    let chunks = run.chunks.get(step.period).and_then(|chunks| usize::try_from(*chunks).ok());
    for chunk in 0..chunks.ok_or(Error::Internal { place: "a period was not declared" })? {
        outgoing.encrypt_chunk(chunk, scores, blinder)?;
        let messages = banks.iter().map(|&bank| outgoing.message(key, bank, chunk));
        let mut messages: Vec<Option<ScoreChunk>> = messages.collect::<Result<_, Error>>()?;
        outgoing.forget(chunk);
        let expected = |party: PartyId| {
            banks.get(party.index()).map_or(&[][..], |&bank| piece(agreed.imports(step.period, bank), chunk))
        };
        let shape = |party: PartyId| BatchShape {
            key: key.clone(),
            count: if party == me { CHUNK } else { expected(party).len() },
        };
        let answers = session.exchange_shaped(
            |party| {
                let message = messages.get_mut(party.index()).and_then(Option::take)?;
                Some(links.sent(party, message))
            },
            |party| !expected(party).is_empty(),
            shape,
        )?;
        for (party, answer) in answers {
            // A bank that owes nothing says nothing; `complete` finds what is missing.
            let Some(answer) = answer else { continue };
            links.received(party, &answer);
            let ciphertexts =
                answer.batch.accept(key).map_err(|error| Error::peer(&roster, party, with_causes(&error)))?;
            received.insert(key, expected(party), ciphertexts)?;
        }
    }
    complete(agreed, step, &received, &roster)?;
    Ok(received)
}

/// Whether every score arrived. A missing one would count as 0 without a word.
fn complete(agreed: &Agreed, step: Step, received: &Received, roster: &Roster) -> Result<(), Error> {
    for (party, bank) in roster.parties().zip(agreed.network().banks().iter()) {
        let owed = agreed.imports(step.period, bank);
        let there = owed.iter().filter(|account| received.contains(**account)).count();
        if there < owed.len() {
            return Err(Error::peer(
                roster,
                party,
                format!("{there} of the {} scores that it owes arrived", owed.len()),
            ));
        }
    }
    Ok(())
}

/// The part of a list that belongs to one message.
pub(super) fn piece<X>(list: &[X], chunk: usize) -> &[X] {
    let start = chunk.saturating_mul(CHUNK).min(list.len());
    list.get(start..list.len().min(start + CHUNK)).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::plan::NetworkSizes;
    use crate::synthetic::{NetworkShape, generate};
    use crate::{PROTOCOL, Plan, RunSeed, Settings};
    use subrosa_paillier::{PrivateKey, Randomness};
    use subrosa_transport::testing::run_network;
    use subrosa_transport::{MemoryNetwork, Parameters};

    /// What each of three banks ends R6 with if it expects `chunks` chunks.
    fn exchange(chunks: u64) -> Vec<Result<usize, Error>> {
        let shape = NetworkShape { accounts: 60, transfers: 300, chains: 2, ..NetworkShape::default() };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let agreed = Agreed::among(generate(&shape, &mut rng).unwrap().networks().unwrap()).unwrap();
        let private = PrivateKey::generate_insecure(256, &mut rng).unwrap();
        let sizes = NetworkSizes {
            key_bits: 256,
            columns: 1,
            in_degree_bits: 6,
            active_periods: vec![true],
            noise_contributors: 2,
        };
        let plan = Plan::new(&sizes, &Settings { accuracy: 1e-3, ..Settings::default() }).unwrap();
        let step = plan.steps()[0];
        let wires = MemoryNetwork::builder(shape.banks.iter().cloned()).build().unwrap();
        run_network(wires, |me, mut wire| {
            let mut rng = ChaCha20Rng::seed_from_u64(me.index() as u64);
            let agreed = &agreed[me.index()];
            let blinder = Blinder::new(private.public(), Randomness::Short, 1 << 16).unwrap();
            let mut session =
                Session::open(&mut wire, PROTOCOL, &Parameters::new(), Default::default(), &mut rng)?;
            let (exports, imports) = agreed.lists();
            let run = Run {
                id: *session.id(),
                seed: RunSeed::from_bytes([9; 32]),
                sizes: sizes.clone(),
                activity: vec![vec![1]],
                exports: exports.clone(),
                imports: imports.clone(),
                accounts: Vec::new(),
                chunks: vec![chunks],
            };
            let scores = Encrypted::initial(agreed, &plan)?;
            let mut outgoing = Outgoing::new(agreed, step, run.seed.scores(&run.id, 0))?;
            // Ciphertexts that are there are not made again.
            if me.index() == 0 {
                outgoing.encrypt_all(&scores, &blinder)?;
            }
            let mut links = Links::new(session.id(), session.roster());
            let received = exchange_scores(&mut session, &mut links, outgoing, &scores, &blinder, &run)?;
            let owed = agreed.network().banks().iter().flat_map(|bank| agreed.imports(0, bank));
            Ok(owed.filter(|account| received.contains(**account)).count())
        })
    }

    #[test]
    fn scores_that_do_not_come_are_missed() {
        assert!(exchange(1).into_iter().all(|result| result.unwrap() > 20));
        for result in exchange(0) {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Peer { .. }) && error.culprits().len() == 1, "{error}");
            assert!(with_causes(&error).contains("`: 0 of the "), "{error}");
        }
    }
}
