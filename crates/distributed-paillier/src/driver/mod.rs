//! The steps in their order, over a session.

mod batch;
mod blame;
mod candidate;
mod dealings;

use std::time::Instant;

use rand_core::CryptoRng;
use subrosa_threshold_decryption::KeyShare;
use subrosa_transport::{Message, PartyId, Protocol, Session, Transport};

use crate::candidates::{self, Sampler};
use crate::messages::CandidateShares;
use crate::receipts::{Published, PublishedShape};
use crate::records::BatchRecord;
use crate::{KeygenError, KeygenParameters, Progress};

/// Name and version of the protocol, for [`Session::open`].
pub const PROTOCOL: Protocol = Protocol { name: "subrosa/distributed-paillier", version: 2 };

/// Generates a key among the parties of `session` and returns this party's share of it.
///
/// The session must have been opened with [`PROTOCOL`] and
/// [`session_parameters`](KeygenParameters::session_parameters). When an error ends the protocol here, the others are
/// told why. `progress` is called after each batch and at the end of each part.
///
/// Steps K1 to K5, W1 to W4 and K8 to K10 are in `docs/protocols/key-generation.md`.
///
/// # Errors
/// [`KeygenError`]; its [`culprits`](KeygenError::culprits) names who is to blame, as far as that can be told.
#[doc(alias("DKG", "distributed key generation", "keygen"))]
pub fn generate<T: Transport>(
    session: &mut Session<T>,
    parameters: &KeygenParameters,
    rng: &mut impl CryptoRng,
    mut progress: impl FnMut(Progress),
) -> Result<KeyShare, KeygenError> {
    session.guard(|session| {
        let expected = parameters.access().parties();
        let found = session.roster().len();
        if found != expected as usize {
            return Err(KeygenError::Roster { expected, found });
        }
        // An honest dealer may have to publish its messages for t others, who complain falsely, in one frame.
        let bytes = Published::<CandidateShares>::max_bytes(&PublishedShape {
            inner: candidates::share_shape(parameters),
            count: parameters.access().threshold() as usize,
        });
        let limit = session.limits().max_frame;
        if bytes > limit {
            return Err(KeygenError::Batch { candidates: parameters.batch(), bytes, limit });
        }
        let mut run = Run {
            id: *session.id(),
            sampler: Sampler::new(parameters, session.me())?,
            session,
            parameters,
            progress: &mut progress,
            started: Instant::now(),
            tried: 0,
            sieved: 0,
            audited: 0,
            failed_further: 0,
            records: Vec::new(),
        };
        let share = match run.find_share(rng) {
            Err(failure) if failure.is_unexplained() => Err(run.explain(failure)),
            found => found,
        }?;
        // Whoever gets this party's confirmation may keep the key: from here on nothing is opened.
        run.records.clear();
        // Nobody keeps a key before everyone saw the same broadcasts.
        run.session.confirm()?;
        (run.progress)(Progress::Shared);
        Ok(share)
    })
}

struct Run<'r, T: Transport> {
    session: &'r mut Session<T>,
    id: [u8; 32],
    parameters: &'r KeygenParameters,
    sampler: Sampler,
    progress: &'r mut dyn FnMut(Progress),
    started: Instant,
    tried: u64,
    sieved: u64,
    /// How many had been tried at the last audit.
    audited: u64,
    /// How many passed the first test since then and failed a further one.
    failed_further: u64,
    /// The batches since then.
    records: Vec<BatchRecord>,
}

impl<T: Transport> Run<'_, T> {
    fn me(&self) -> PartyId {
        self.session.me()
    }

    /// Everything up to the last broadcast: batch after batch until a modulus is accepted and its key shared.
    fn find_share(&mut self, rng: &mut impl CryptoRng) -> Result<KeyShare, KeygenError> {
        let pending = self.deal_candidates(rng)?;
        let mut dealing = self.commit(pending)?;
        while self.tried < self.parameters.greatest_candidates() {
            let (batch, next) = self.batch(dealing, rng)?;
            for (index, modulus) in &batch.winners {
                if let Some(share) = self.candidate(&batch, *index, modulus, rng)? {
                    return Ok(share);
                }
            }
            drop(batch);
            self.audit()?;
            dealing = next;
        }
        self.audit_now()?;
        Err(KeygenError::Exhausted { candidates: self.tried })
    }
}
