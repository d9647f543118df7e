//! The driver: all steps in order, over a session.

mod batch;
mod blame;
mod candidate;
mod dealings;

use std::time::Instant;

use rand_core::CryptoRng;

use crate::candidates::{self, Sampler};
use crate::messages::CandidateShares;
use crate::receipts::{Published, PublishedShape};
use crate::records::BatchRecord;
use crate::{KeygenError, KeygenParameters, KeygenStage};
use subrosa_threshold_decryption::KeyShare;
use subrosa_transport::{Event, Limits, Message, PartyId, Protocol, Session, SessionError, Transport};

/// Name and version of the protocol, for [`Session::open`].
pub const PROTOCOL: Protocol = Protocol { name: "subrosa/distributed-paillier", version: 2 };

type Report<'a> = Box<dyn FnMut(&Event<KeygenStage>) + 'a>;

/// Key generation among the parties of a transport's roster.
///
/// Steps K1 to K5, W1 to W4 and K8 to K10 are in `docs/protocols/key-generation.md`.
///
/// ```
/// use subrosa_distributed_paillier::{KeyShare, Keygen, KeygenError, KeygenParameters};
/// use subrosa_transport::testing::run_parties;
///
/// // 256 bits protect nothing: they keep this example short.
/// let parameters = KeygenParameters::insecure(3, 1, 256)?;
/// let shares: Vec<Result<KeyShare, KeygenError>> = run_parties(3, |_, transport| {
///     Keygen::new(&parameters).run(transport, &mut rand::rng())
/// });
/// assert_eq!(shares.len(), 3);
/// for share in shares {
///     assert_eq!(share?.key().access().threshold(), 1);
/// }
/// # Ok::<(), KeygenError>(())
/// ```
#[must_use = "nothing is generated before `run`"]
#[doc(alias("DKG", "distributed key generation"))]
pub struct Keygen<'a> {
    parameters: &'a KeygenParameters,
    limits: Limits,
    progress: Report<'a>,
}

impl<'a> Keygen<'a> {
    /// Creates a key generation with [`Limits::default`] and no reports. The parameters are equal at all parties.
    pub fn new(parameters: &'a KeygenParameters) -> Self {
        Self { parameters, limits: Limits::default(), progress: Box::new(|_| ()) }
    }

    /// Sets this party's time-outs and sizes. They do not concern a session that the caller opened.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Calls `report` after each batch of candidates and at the end of each part.
    pub fn progress(mut self, report: impl FnMut(&Event<KeygenStage>) + 'a) -> Self {
        self.progress = Box::new(report);
        self
    }

    /// Opens a session for this protocol with these parameters.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open<T: Transport>(
        &self,
        transport: T,
        rng: &mut impl CryptoRng,
    ) -> Result<Session<T>, SessionError> {
        Session::open(transport, PROTOCOL, &self.parameters.session_parameters(), self.limits.clone(), rng)
    }

    /// Opens a session, generates a key with the other parties and returns this party's share of it.
    ///
    /// # Errors
    /// [`KeygenError`]. Its [`culprits`](KeygenError::culprits) are the parties to blame, as far as they are known.
    pub fn run<T: Transport>(self, transport: T, rng: &mut impl CryptoRng) -> Result<KeyShare, KeygenError> {
        let mut session = self.open(transport, rng)?;
        self.run_in(&mut session, rng)
    }

    /// Runs as [`run`](Self::run), in a session that the caller opened. If an error ends the protocol, the others are
    /// told why.
    ///
    /// # Errors
    /// As [`run`](Self::run); a session for another protocol or with other parameters.
    pub fn run_in<T: Transport>(
        mut self,
        session: &mut Session<T>,
        rng: &mut impl CryptoRng,
    ) -> Result<KeyShare, KeygenError> {
        session.expect(PROTOCOL, &self.parameters.session_parameters())?;
        generate(session, self.parameters, rng, &mut *self.progress)
    }
}

impl std::fmt::Debug for Keygen<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keygen")
            .field("parameters", self.parameters)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn generate<T: Transport>(
    session: &mut Session<T>,
    parameters: &KeygenParameters,
    rng: &mut impl CryptoRng,
    progress: &mut dyn FnMut(&Event<KeygenStage>),
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
            progress,
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
        // A party that gets this confirmation may keep the key, so nothing is opened from here on.
        run.records.clear();
        // No party keeps a key before all have compared the broadcasts.
        run.session.confirm()?;
        run.tell(KeygenStage::Shared);
        Ok(share)
    })
}

struct Run<'r, T: Transport> {
    session: &'r mut Session<T>,
    id: [u8; 32],
    parameters: &'r KeygenParameters,
    sampler: Sampler,
    progress: &'r mut dyn FnMut(&Event<KeygenStage>),
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
    fn tell(&mut self, stage: KeygenStage) {
        let traffic = self.session.counters().total();
        (self.progress)(&Event::new(stage, traffic));
    }

    fn me(&self) -> PartyId {
        self.session.me()
    }

    /// Runs all steps up to the last broadcast: batch after batch, until a modulus is accepted and its key is shared.
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
