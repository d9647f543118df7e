//! A party's record of a run: all broadcasts, and the seeds of its own dealings.

use crate::dealing::{Commitment, DealingId, Seed};
use crate::messages::{
    FirstTest, FurtherTests, ProductShares, TrialDecryption, VerificationKey, WinnerAnswers, WinnerProducts,
    WinnerZeros,
};
use subrosa_transport::PerParty;

/// A dealing: the commitments of all parties, and this party's own seed.
#[derive(Debug)]
pub struct DealingRecord {
    /// Which one.
    pub id: DealingId,
    /// Everybody's commitments.
    pub commitments: PerParty<Commitment>,
    /// My seed.
    pub seed: Seed,
}

/// A broadcast, and the session's transcript after it.
#[derive(Debug)]
pub struct Recorded<M> {
    /// Everybody's message.
    pub messages: PerParty<M>,
    /// The transcript.
    pub transcript: [u8; 32],
}

/// A batch of candidates, as far as the run has come with it.
#[derive(Debug)]
pub struct BatchRecord {
    /// K1.
    pub dealing: DealingRecord,
    /// K2.
    pub products: Option<PerParty<ProductShares>>,
    /// K4.
    pub first_tests: Option<PerParty<FirstTest>>,
    /// Those that passed the first test and were looked at.
    pub candidates: Vec<CandidateRecord>,
}

/// A candidate that passed the first test.
#[derive(Debug)]
pub struct CandidateRecord {
    /// Its place in the batch.
    pub index: usize,
    /// K5.
    pub further_tests: PerParty<FurtherTests>,
    /// W1 to W4, if it passed K5.
    pub attempts: Vec<AttemptRecord>,
    /// K8 to K10.
    pub sharing: Option<SharingRecord>,
}

/// One attempt of W1 to W4.
#[derive(Debug)]
pub struct AttemptRecord {
    /// W1.
    pub dealing: DealingRecord,
    /// W2.
    pub products: Option<Recorded<WinnerProducts>>,
    /// W3.
    pub answers: Option<Recorded<WinnerAnswers>>,
    /// W4.
    pub zeros: Option<PerParty<WinnerZeros>>,
}

/// K8 to K10.
#[derive(Debug)]
pub struct SharingRecord {
    /// K8.
    pub dealing: DealingRecord,
    /// K9; none from a party whose share is out of range.
    pub keys: Option<Recorded<Option<VerificationKey>>>,
    /// K10.
    pub trial: Option<PerParty<TrialDecryption>>,
}

impl BatchRecord {
    /// A batch after the commitments to K1.
    pub fn new(dealing: DealingRecord) -> Self {
        Self { dealing, products: None, first_tests: None, candidates: Vec::new() }
    }

    /// All dealings of the batch, in the order in which their seeds are opened.
    pub fn dealings(&self) -> impl Iterator<Item = &DealingRecord> {
        std::iter::once(&self.dealing).chain(self.candidates.iter().flat_map(CandidateRecord::dealings))
    }
}

impl CandidateRecord {
    /// W1 of every attempt, then K8.
    pub fn dealings(&self) -> impl Iterator<Item = &DealingRecord> {
        let attempts = self.attempts.iter().map(|attempt| &attempt.dealing);
        attempts.chain(self.sharing.iter().map(|sharing| &sharing.dealing))
    }
}
