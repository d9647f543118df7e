//! K1 to K4 for one batch.

use rand_core::CryptoRng;

use super::Run;
use super::dealings::{Announced, Pending, complete};
use crate::candidates::{self, BatchSecrets};
use crate::dealing::DealingId;
use crate::messages::CandidateShares;
use crate::records::BatchRecord;
use crate::{KeygenError, KeygenStage, biprimality};
use subrosa_arith::Modulus;
use subrosa_transport::{PerParty, Transport};

/// A batch after K4.
pub(super) struct Batch {
    /// My summands.
    pub secrets: BatchSecrets,
    /// The dealings to this party in K1.
    pub shares: PerParty<CandidateShares>,
    /// Places and moduli of those that passed the first test.
    pub winners: Vec<(usize, Modulus)>,
}

/// A dealing of candidates to which all have committed.
pub(super) type CandidateDealing = Announced<CandidateShares, BatchSecrets>;

impl<T: Transport> Run<'_, T> {
    /// Deals the candidates of the batch that begins after those tried so far.
    pub(super) fn deal_candidates(
        &self,
        rng: &mut impl CryptoRng,
    ) -> Result<Pending<CandidateShares, BatchSecrets>, KeygenError> {
        let first = self.tried;
        self.prepare(DealingId::Candidates { first }, rng, |seed| {
            candidates::deal(self.parameters, &self.sampler, self.me(), first, &mut seed.generator())
        })
    }

    /// K1 to K4. The message of K4 carries the commitments to the next batch.
    pub(super) fn batch(
        &mut self,
        dealing: CandidateDealing,
        rng: &mut impl CryptoRng,
    ) -> Result<(Batch, CandidateDealing), KeygenError> {
        let (parameters, me, first) = (self.parameters, self.me(), self.tried);
        let Announced { record, messages, kept: secrets } = dealing;
        let (id, commitments, seed) = (record.id, record.commitments.clone(), record.seed.clone());
        self.records.push(BatchRecord::new(record));
        let shape = candidates::share_shape(parameters);
        let dealt = self.session.exchange_all(messages, &shape)?;
        let sampler = self.sampler.clone();
        let (products, shares) = self.broadcast_receipted(
            (id, &commitments),
            (dealt, &shape),
            candidates::product_shape(parameters),
            || Ok(candidates::deal(parameters, &sampler, me, first, &mut seed.generator())?.1),
            |dealt| candidates::multiply(parameters, me, dealt),
        )?;
        let products = complete(products)?;
        let opened = candidates::open(parameters, &products);
        self.batch_record()?.products = Some(products);
        let moduli = opened?;
        let survivors = biprimality::prepare(&moduli, &candidates::sieve(parameters, &moduli))?;
        let test = biprimality::first_test(parameters, me, &secrets, &survivors)?;
        self.tried += parameters.batch() as u64;
        self.sieved += survivors.len() as u64;
        let next = self.deal_candidates(rng)?;
        let shape = biprimality::first_shape(parameters, survivors.len());
        let (tests, next) = self.broadcast_committed(test, shape, next)?;
        let passed = biprimality::passed(parameters, first, &survivors, &tests)?;
        self.batch_record()?.first_tests = Some(tests);
        self.tell(KeygenStage::Candidates {
            tried: self.tried,
            expected: parameters.expected_candidates(),
            sieved: self.sieved,
            elapsed: self.started.elapsed(),
        });
        let winners = survivors.into_iter().zip(passed).filter(|(_, passed)| *passed);
        let winners = winners.map(|(sieved, _)| (sieved.index, sieved.modulus)).collect();
        Ok((Batch { secrets, shares, winners }, next))
    }
}
