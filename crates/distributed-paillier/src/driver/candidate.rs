//! K5, W1 to W4 and K8 to K10 for one candidate that passed the first test.

use num_bigint::BigUint;
use rand_core::CryptoRng;

use super::Run;
use super::batch::Batch;
use super::dealings::{Announced, Pending, complete};
use crate::dealing::DealingId;
use crate::messages::{IntegerShareMessage, WinnerShares};
use crate::records::{AttemptRecord, CandidateRecord, Recorded, SharingRecord};
use crate::winner::{Dealt, Decision, KeyFound, Winner};
use crate::{KeygenError, KeygenStage, biprimality, candidates, sharing};
use subrosa_arith::Modulus;
use subrosa_paillier::PublicKey;
use subrosa_threshold_decryption::{KeyShare, ProofContext};
use subrosa_transport::{PerParty, Transport};

type WinnerDealing = Announced<WinnerShares, Dealt>;
type SharingDealing = Announced<IntegerShareMessage, ()>;

impl<T: Transport> Run<'_, T> {
    /// K5, then W1 to W4 and K8 to K10 if the candidate passes: a key share, or none if it is rejected.
    pub(super) fn candidate(
        &mut self,
        batch: &Batch,
        index: usize,
        modulus: &Modulus,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<KeyShare>, KeygenError> {
        let (parameters, me) = (self.parameters, self.me());
        let candidate = batch.secrets.candidate(index);
        let candidate = candidate.ok_or(candidates::NO_SUCH_PLACE)?;
        let factors = candidates::factors(parameters, me, &batch.shares, index)?;
        let mut winner = Winner::new(parameters, me, candidate, modulus, &factors)?;
        let tests = biprimality::further_tests(parameters, me, &self.id, candidate, modulus)?;
        let pending = self.deal_winner(&winner, 0, rng)?;
        let shape = biprimality::further_shape(parameters);
        let (tests, mut dealing) = self.broadcast_committed(tests, shape, pending)?;
        let passed = biprimality::all_passed(parameters, candidate.number(), modulus, &tests);
        self.batch_record()?.candidates.push(CandidateRecord {
            index,
            further_tests: tests,
            attempts: Vec::new(),
            sharing: None,
        });
        if !passed? {
            self.failed_further += 1;
            return Ok(None);
        }
        self.tell(KeygenStage::Modulus { tried: self.tried });
        for attempt in 0.. {
            let (verdict, sharing) = self.verify(&mut winner, attempt, dealing, rng)?;
            match verdict {
                Decision::Accepted(found) => {
                    return self.share_key(modulus.value(), found, sharing, rng).map(Some);
                }
                Decision::Rejected => return Ok(None),
                Decision::Again => {
                    let pending = self.deal_winner(&winner, attempt + 1, rng)?;
                    dealing = self.commit(pending)?;
                }
            }
        }
        Ok(None)
    }

    fn deal_winner(
        &self,
        winner: &Winner<'_>,
        attempt: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Pending<WinnerShares, Dealt>, KeygenError> {
        let id = DealingId::Winner { candidate: winner.number(), attempt };
        self.prepare(id, rng, |seed| winner.deal(&mut seed.generator()))
    }

    /// W1 to W4. The message of W4 carries the commitments to K8.
    fn verify(
        &mut self,
        winner: &mut Winner<'_>,
        attempt: u64,
        dealing: WinnerDealing,
        rng: &mut impl CryptoRng,
    ) -> Result<(Decision, SharingDealing), KeygenError> {
        let Announced { record, messages, kept } = dealing;
        let (id, commitments, seed) = (record.id, record.commitments.clone(), record.seed.clone());
        let record = AttemptRecord { dealing: record, products: None, answers: None, zeros: None };
        self.candidate_record()?.attempts.push(record);
        let shape = winner.share_shape();
        let dealt = self.session.exchange_all(messages, &shape)?;
        let mut multiplied = None;
        let (products, dealt) = self.broadcast_receipted(
            (id, &commitments),
            (dealt, &shape),
            winner.product_shape(),
            || Ok(winner.deal(&mut seed.generator())?.1),
            |dealt| {
                let (state, products) = winner.multiply(kept, dealt)?;
                multiplied = Some(state);
                Ok(products)
            },
        )?;
        drop(dealt);
        let products = Recorded { messages: complete(products)?, transcript: self.session.transcript() };
        let multiplied =
            multiplied.ok_or(KeygenError::Internal { place: "this party published no products in W2" })?;
        let answered = winner.answer(multiplied, &products.transcript, &products.messages);
        self.attempt_record()?.products = Some(products);
        let (answered, answers) = answered?;
        let answers = self.session.broadcast(&answers, &winner.answer_shape())?;
        let answers = Recorded { messages: answers, transcript: self.session.transcript() };
        let checked = winner.zeros(answered, &answers.transcript, &answers.messages);
        self.attempt_record()?.answers = Some(answers);
        let (checked, zeros) = checked?;
        let id = DealingId::Sharing { candidate: winner.number(), attempt };
        let pending = self.prepare(id, rng, |seed| {
            Ok(((), sharing::deal(self.parameters, checked.summand(), &mut seed.generator())?))
        })?;
        let (zeros, sharing) = self.broadcast_committed(zeros, winner.zero_shape(), pending)?;
        let verdict = winner.decide(checked, &zeros);
        self.attempt_record()?.zeros = Some(zeros);
        Ok((verdict?, sharing))
    }

    /// K8 to K10.
    fn share_key(
        &mut self,
        n: &BigUint,
        found: KeyFound,
        dealing: SharingDealing,
        rng: &mut impl CryptoRng,
    ) -> Result<KeyShare, KeygenError> {
        let (parameters, me) = (self.parameters, self.me());
        let Announced { record, messages, .. } = dealing;
        let (id, commitments, seed) = (record.id, record.commitments.clone(), record.seed.clone());
        self.candidate_record()?.sharing = Some(SharingRecord { dealing: record, keys: None, trial: None });
        let shape = sharing::share_shape(parameters);
        let dealt = self.session.exchange_all(messages, &shape)?;
        // The parameters already decide whether a small key is accepted.
        let public = PublicKey::insecure(n.clone())?;
        let mut total = None;
        let (keys, dealt) = self.broadcast_receipted(
            (id, &commitments),
            (dealt, &shape),
            sharing::verification_shape(&public),
            || sharing::deal(parameters, &found.summand, &mut seed.generator()),
            |dealt| {
                let (share, key) = sharing::total(parameters, me, &public, dealt, &found.residue)?;
                total = Some(share);
                Ok(key)
            },
        )?;
        drop(dealt);
        let transcript = self.session.transcript();
        let all: Vec<_> = keys.values().cloned().collect();
        self.sharing_record()?.keys = Some(Recorded { messages: keys, transcript });
        if all.iter().any(Option::is_none) {
            return Err(KeygenError::Inconsistent {
                reason: "a share of the decryption key is out of range",
            });
        }
        let total =
            total.ok_or(KeygenError::Internal { place: "this party published a key without a share" })?;
        let keys = PerParty::from_vec(all.into_iter().flatten().collect());
        let share = sharing::finish(parameters, me, public, &found.opening, total, keys)?;
        self.try_key(share, &transcript, rng)
    }

    /// K10, up to the confirmation.
    fn try_key(
        &mut self,
        share: KeyShare,
        transcript: &[u8; 32],
        rng: &mut impl CryptoRng,
    ) -> Result<KeyShare, KeygenError> {
        let trial = sharing::try_decrypt(&share, transcript)?;
        let context = ProofContext::of(self.session);
        let proof = sharing::prove_trial(&share, &context, transcript, &trial, rng)?;
        let trial = self.session.broadcast(&trial, &sharing::trial_shape(share.key().public()))?;
        self.sharing_record()?.trial = Some(trial.clone());
        let proofs = self.session.broadcast(&proof, share.key())?;
        sharing::check_proofs(share.key(), &context, transcript, &trial, &proofs)?;
        sharing::check_trial(share.key(), transcript, trial)?;
        Ok(share)
    }
}
