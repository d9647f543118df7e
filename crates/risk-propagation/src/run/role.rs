//! As whom the protocol is gone through: a bank, or an auditor who computes a bank's part again.

use std::cell::RefCell;

use rand_core::CryptoRng;

use crate::error::Error;
use crate::steps::randomness::RunSeed;
use subrosa_paillier::Ciphertext;
use subrosa_threshold_decryption::{KeyShare, ThresholdKey};
use subrosa_transport::PerParty;

pub(crate) enum Role<'a> {
    /// A bank with its share of the key.
    Bank(&'a KeyShare),
    /// An auditor, who has no share and so stops where ciphertexts are decrypted.
    Auditor(&'a Auditor<'a>),
}

/// What an auditor has in place of a share, and what it gets.
pub(crate) struct Auditor<'a> {
    pub(crate) key: &'a ThresholdKey,
    /// The seed of the run that began in a session.
    pub(crate) seed: &'a dyn Fn(&[u8; 32]) -> Option<RunSeed>,
    /// What is decrypted in R9, by owner, once it is known.
    pub(crate) noisy: RefCell<Option<PerParty<Vec<Ciphertext>>>>,
}

impl Role<'_> {
    pub(crate) fn key(&self) -> &ThresholdKey {
        match self {
            Self::Bank(share) => share.key(),
            Self::Auditor(auditor) => auditor.key,
        }
    }

    /// The seed of a run that begins in this session.
    pub(crate) fn seed(&self, session: &[u8; 32], rng: &mut impl CryptoRng) -> Result<RunSeed, Error> {
        match self {
            Self::Bank(_) => Ok(RunSeed::draw(rng)),
            Self::Auditor(auditor) => (auditor.seed)(session).ok_or(Error::NoSeed),
        }
    }
}
