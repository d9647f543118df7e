//! Step R6 on the wire: the scores that one bank needs of another.

use rayon::prelude::*;

use super::arrivals::accept;
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
use subrosa_transport::{PartyId, PerParty, PersonalStream, Roster, Session, Transport};

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
        let mut places = self.places(chunk)?;
        places.retain(|&place| self.ciphertexts.get(place).is_some_and(Option::is_none));
        self.encrypt(&places, scores, blinder)
    }

    /// Places of the accounts that are in messages of a chunk, ascending.
    fn places(&self, chunk: usize) -> Result<Vec<usize>, Error> {
        let banks = self.agreed.network().banks().iter();
        let needed = banks.flat_map(|bank| piece(self.agreed.exports(self.step.period, bank), chunk));
        let place = |account: &u32| self.accounts.binary_search(account).map_err(|_| NOT_EXPORTED);
        let mut places = needed.map(place).collect::<Result<Vec<usize>, Error>>()?;
        places.sort_unstable();
        places.dedup();
        Ok(places)
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

    /// The message to a bank, which is empty where nothing is left.
    fn message(&self, key: &PublicKey, bank: BankId, chunk: usize) -> Result<ScoreChunk, Error> {
        let accounts = piece(self.agreed.exports(self.step.period, bank), chunk);
        let ciphertext = |account: &u32| {
            let place = self.accounts.binary_search(account).ok()?;
            self.ciphertexts.get(place)?.as_ref()
        };
        let ciphertexts = accounts.iter().map(ciphertext).collect::<Option<Vec<_>>>().ok_or(NOT_EXPORTED)?;
        Ok(ScoreChunk { batch: CiphertextBatch::new(key, ciphertexts)? })
    }

    /// Drops what is in messages of a chunk and in none of a later one.
    fn forget(&mut self, chunk: usize) -> Result<(), Error> {
        for place in self.places(chunk)? {
            if self.last.get(place) == Some(&chunk) {
                *self.ciphertexts.get_mut(place).ok_or(NOT_EXPORTED)? = None;
            }
        }
        Ok(())
    }
}

/// An account whose score another bank needs is not among those that are encrypted.
const NOT_EXPORTED: Error = Error::Internal { place: "a score that another bank needs is not encrypted" };

/// R6: sends the scores that other banks need and takes theirs.
pub(super) fn exchange_scores<T: Transport>(
    session: &mut Session<T>,
    links: &mut Links,
    outgoing: Outgoing<'_>,
    scores: &Encrypted,
    blinder: &Blinder,
    run: &Run,
) -> Result<Received, Error> {
    let (agreed, step) = (outgoing.agreed, outgoing.step);
    let roster = session.roster().clone();
    let chunks = run.chunks.get(step.period).and_then(|chunks| usize::try_from(*chunks).ok());
    let chunks = chunks.ok_or(Error::Internal { place: "a period was not declared" })?;
    let mut stream = Scores {
        banks: agreed.network().banks().iter().collect(),
        received: Received::new(agreed),
        messages: PerParty::from_vec(Vec::new()),
        made: None,
        roster: roster.clone(),
        links,
        outgoing,
        scores,
        blinder,
    };
    session.exchange_stream(chunks, &mut stream)?;
    let received = stream.received;
    complete(agreed, step, &received, &roster)?;
    Ok(received)
}

/// The chunks of R6 in one iteration.
struct Scores<'a> {
    banks: Vec<BankId>,
    roster: Roster,
    links: &'a mut Links,
    outgoing: Outgoing<'a>,
    scores: &'a Encrypted,
    blinder: &'a Blinder,
    /// My messages of the chunk that is being sent.
    messages: PerParty<Option<ScoreChunk>>,
    /// Which chunk that is.
    made: Option<usize>,
    received: Received,
}

impl<'a> Scores<'a> {
    fn make(&mut self, chunk: usize) -> Result<(), Error> {
        let Self { outgoing, banks, blinder, .. } = self;
        outgoing.encrypt_chunk(chunk, self.scores, blinder)?;
        let own = outgoing.agreed.network().own();
        let message = |&bank: &BankId| match bank == own {
            true => Ok(None),
            false => outgoing.message(blinder.key(), bank, chunk).map(Some),
        };
        self.messages = PerParty::from_vec(banks.par_iter().map(message).collect::<Result<_, Error>>()?);
        self.outgoing.forget(chunk)?;
        self.links.sent_all(&self.messages);
        self.made = Some(chunk);
        Ok(())
    }

    /// The foreign accounts whose scores a bank sends in a chunk.
    fn expected(&self, chunk: usize, from: PartyId) -> &'a [u32] {
        let Outgoing { agreed, step, .. } = self.outgoing;
        self.banks.get(from.index()).map_or(&[][..], |&bank| piece(agreed.imports(step.period, bank), chunk))
    }
}

impl PersonalStream for Scores<'_> {
    type Message = ScoreChunk;
    type Error = Error;

    fn outgoing(&mut self, chunk: usize, to: PartyId) -> Result<ScoreChunk, Error> {
        if self.made != Some(chunk) {
            self.make(chunk)?;
        }
        let message = self.messages.get_mut(to).and_then(Option::take);
        message.ok_or(Error::Internal { place: "a bank has no chunk of scores" })
    }

    fn shape(&self, chunk: usize, from: PartyId) -> BatchShape {
        let count = if from == self.roster.me() { CHUNK } else { self.expected(chunk, from).len() };
        BatchShape { key: self.blinder.key().clone(), count }
    }

    fn take(&mut self, chunk: usize, messages: PerParty<Option<ScoreChunk>>) -> Result<(), Error> {
        self.links.received_all(&messages);
        let batches = messages.into_iter().filter_map(|(party, message)| Some((party, message?.batch)));
        let key = self.blinder.key();
        for (party, ciphertexts) in accept(key, &self.roster, batches.collect())? {
            self.received.insert(key, self.expected(chunk, party), ciphertexts)?;
        }
        Ok(())
    }
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
    use subrosa_transport::{MemoryNetwork, Parameters, with_causes};

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
