//! If a check fails and names no culprit, all parties open the seeds of the batch and compute it again.
//!
//! Audits do the same for batches that were rejected as a whole.

use std::time::Instant;

use super::Run;
use crate::receipts::Opening;
use crate::records::{AttemptRecord, BatchRecord, CandidateRecord, SharingRecord};
use crate::replay::{Deviation, Scope, find_deviation};
use crate::{KeygenError, KeygenStage};
use subrosa_transport::{PartyId, PerParty, Transport};

/// Factor by which another party may be slower than this one in computing opened batches again.
const PATIENCE: u32 = 20;

/// Number of candidates that pass the first test and fail a further one, after which there is an audit. Honest runs
/// have far fewer: such a candidate is a composite that passes by chance.
const MOST_FAILED: u64 = 16;

const NO_RECORD: KeygenError = KeygenError::Internal { place: "a step has no record of the step before it" };

impl<T: Transport> Run<'_, T> {
    /// The batch at hand.
    pub(super) fn batch_record(&mut self) -> Result<&mut BatchRecord, KeygenError> {
        self.records.last_mut().ok_or(NO_RECORD)
    }

    /// The candidate at hand.
    pub(super) fn candidate_record(&mut self) -> Result<&mut CandidateRecord, KeygenError> {
        self.batch_record()?.candidates.last_mut().ok_or(NO_RECORD)
    }

    /// The attempt at hand.
    pub(super) fn attempt_record(&mut self) -> Result<&mut AttemptRecord, KeygenError> {
        self.candidate_record()?.attempts.last_mut().ok_or(NO_RECORD)
    }

    /// The sharing at hand.
    pub(super) fn sharing_record(&mut self) -> Result<&mut SharingRecord, KeygenError> {
        self.candidate_record()?.sharing.as_mut().ok_or(NO_RECORD)
    }

    /// Opens the batch in which a check failed. Returns the failure with its culprit, if one is found.
    ///
    /// All honest parties come here, because the failure follows from broadcasts. The run is over, and nothing that is
    /// opened is used again.
    pub(super) fn explain(&mut self, failure: KeygenError) -> KeygenError {
        let Some(batch) = self.records.pop() else { return failure };
        match self.open(&[batch], Scope::Verified) {
            Ok(()) => failure,
            Err(error) => error,
        }
    }

    /// Opens all batches since the last audit, if there were more candidates without success than 98 of 100 honest runs
    /// take, or more that passed only the first test than any honest run has. None of these candidates is used any
    /// more.
    pub(super) fn audit(&mut self) -> Result<(), KeygenError> {
        if self.tried - self.audited < self.parameters.audit_after() && self.failed_further < MOST_FAILED {
            return Ok(());
        }
        self.audit_now()
    }

    /// Opens all batches since the last audit.
    pub(super) fn audit_now(&mut self) -> Result<(), KeygenError> {
        self.tell(KeygenStage::Audit { tried: self.tried });
        self.audited = self.tried;
        self.failed_further = 0;
        let batches = std::mem::take(&mut self.records);
        self.open(&batches, Scope::Audit)
    }

    /// Opens the seeds of batches and computes these again.
    fn open(&mut self, batches: &[BatchRecord], scope: Scope) -> Result<(), KeygenError> {
        let seeds = batches.iter().flat_map(BatchRecord::dealings).map(|dealing| dealing.seed.clone());
        let mine = Opening { seeds: seeds.collect() };
        let count = mine.seeds.len();
        let openings = self.session.broadcast(&mine, &count)?;
        let mut openings = openings.map(|opening| opening.seeds.into_iter()).into_vec();
        for batch in batches {
            let started = Instant::now();
            let count = batch.dealings().count();
            let of_batch =
                |seeds: &mut std::vec::IntoIter<_>| Opening { seeds: seeds.by_ref().take(count).collect() };
            let of_batch = PerParty::from_vec(openings.iter_mut().map(of_batch).collect());
            match find_deviation(self.parameters, &self.id, batch, &of_batch, scope)? {
                Some(Deviation { party, reason }) => return Err(self.convict(party, reason)),
                None => self.wait_for_slower(started)?,
            }
        }
        Ok(())
    }

    /// Waits until all parties have computed a batch again, so that a slow party does not count as silent.
    fn wait_for_slower(&mut self, started: Instant) -> Result<(), KeygenError> {
        let timeout = self.session.limits().round_timeout;
        self.session.set_round_timeout(timeout + started.elapsed() * PATIENCE);
        let confirmed = self.session.confirm();
        self.session.set_round_timeout(timeout);
        Ok(confirmed?)
    }

    /// The verdict on a party. It follows from the party's messages and from broadcasts that all parties compared
    /// before. The confirmation only lets the others reach their verdicts. The party cannot avoid the blame by
    /// disturbing it.
    pub(super) fn convict(&mut self, party: PartyId, reason: &'static str) -> KeygenError {
        let _ = self.session.confirm();
        KeygenError::Deviated { party, reason }
    }
}
