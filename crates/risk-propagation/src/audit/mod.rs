//! A run computed again: whether a bank followed the protocol, from its input, its seed and the record of its frames.
//!
//! [`recompute`] runs the protocol of this crate over a transport that gives it the recorded frames of the other banks, and
//! compares what it would send with what the bank sent, bit by bit. It needs no share of the key: it stops where ciphertexts are
//! decrypted, and verifies the proofs of the bank's partial decryptions instead.
//!
//! That the recorded frames are true follows from the broadcasts: the other banks hold their transcripts, and R6b binds each bank
//! to what it sent to this one. So compare the transcripts with those in the trails of other banks.
//!
//! # Security
//! An auditor sees the bank's books, its seed, and with them the scores that the bank sent and the noise that it added. It sees
//! the names of accounts at other banks that were offered in R3. It sees no score of another bank, unless it audits all of those
//! that add noise to it and its owner.

mod describe;
mod index;
mod replay;
mod store;

use std::cell::{Cell, RefCell};
use std::io::{Read, Seek};
use std::time::Duration;

use subrosa_encoding::Hex;
use subrosa_threshold_decryption::ThresholdKey;
use subrosa_transport::{Limits, Roster, Session, with_causes};

pub use describe::Difference;
pub use index::{Index, Recorded};

use crate::network::Network;
use crate::plan::Settings;
use crate::record::{Reader, RecordError, Seeds};
use crate::run::{Auditor, PROTOCOL, Role, parameters, run};
use crate::{Event, Stage};
use describe::Scene;
use replay::{Ending, Nonce, Replay, is_abort};
use store::Memory;

/// No step of a recomputation waits for anybody.
const TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// What a bank says of itself, and what all banks know.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The bank's input.
    pub network: &'a Network,
    /// The agreed settings.
    pub settings: &'a Settings,
    /// The key, without a share.
    pub key: &'a ThresholdKey,
    /// All banks and their channel identities, seen by the one that is audited.
    pub roster: &'a Roster,
    /// Seeds of the bank's runs.
    pub seeds: &'a Seeds,
}

/// How far the record of a session goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// All of R0 to R8 was computed again; this many messages of R9 had proofs, which hold unless a difference says otherwise.
    Decrypted {
        /// Messages of R9 with proofs.
        proven: usize,
        /// Messages of R9 without proofs: what is in them cannot be checked.
        unproven: usize,
    },
    /// The bank had its scores already, and waited for the others.
    Finished,
    /// The bank gave up, with what it told the others.
    GaveUp(String),
    /// The record ends: the bank was stopped.
    Stopped,
    /// A difference, after which nothing can be compared.
    Parted,
}

/// A session that was computed again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// The session's id.
    pub session: [u8; 32],
    /// How far it went.
    pub end: End,
}

/// What came out.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Recomputed {
    /// The sessions of the run, and of one that was given up for it, in their order.
    pub attempts: Vec<Attempt>,
    /// What the bank did otherwise. Empty for a bank that followed the protocol.
    pub differences: Vec<Difference>,
}

/// Why a run cannot be computed again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecomputeError {
    /// The record cannot be read.
    #[error("the record cannot be used")]
    Record(#[from] RecordError),
    /// The record has no such run.
    #[error("the record has no run that began in session {}", Hex(.0))]
    NoSuchRun([u8; 32]),
    /// The record has no run at all.
    #[error("the record holds no run")]
    Empty,
    /// The seed is missing.
    #[error("the seed of the run that began in session {} is missing", Hex(.0))]
    NoSeed([u8; 32]),
    /// The key cannot be used.
    #[error(transparent)]
    Run(#[from] crate::Error),
}

/// Computes a run of a bank again, from the first session to the last, and compares.
///
/// # Arguments
/// `run` is the session in which it began; without it, the last run of the record.
///
/// # Errors
/// [`RecomputeError`], where nothing can be said. That the bank did something else is no error, but a [`Difference`].
pub fn recompute<R: Read + Seek>(
    subject: &Subject<'_>,
    frames: &mut Reader<R>,
    run: Option<[u8; 32]>,
) -> Result<Recomputed, RecomputeError> {
    let index = Index::read(frames, subject.roster)?;
    let run = run.or(index.runs().pop()).ok_or(RecomputeError::Empty)?;
    let sessions = index.sessions_of(run);
    if sessions.is_empty() {
        return Err(RecomputeError::NoSuchRun(run));
    }
    let mut outcome = Recomputed::default();
    let mut store = Memory::default();
    frames.rewind()?;
    let mut place = 0;
    for session in sessions {
        while place < session.first_entry {
            frames.next()?;
            place += 1;
        }
        let end =
            recompute_session(subject, frames, session, &mut store, &mut outcome.differences, &mut place)?;
        let parted = end == End::Parted;
        outcome.attempts.push(Attempt { session: session.id, end });
        if parted {
            break;
        }
    }
    Ok(outcome)
}

fn recompute_session<R: Read>(
    subject: &Subject<'_>,
    frames: &mut Reader<R>,
    session: &Recorded,
    store: &mut Memory,
    differences: &mut Vec<Difference>,
    place: &mut u64,
) -> Result<End, RecomputeError> {
    let &Subject { network, settings, key, roster, seeds } = subject;
    let scene = Scene { subject, session: session.id };
    if let Some(difference) = scene.check_position(session.claimed, store) {
        differences.push(difference);
        return Ok(End::Parted);
    }
    let seed = |run: &[u8; 32]| seeds.get(run).cloned();
    let auditor = Auditor { key, seed: &seed, noisy: RefCell::new(None) };
    let role = Role::Auditor(&auditor);
    let iteration = Cell::new(0);
    let mut replay = Replay::new(roster.clone(), frames, &iteration, place);
    let mut nonce = Nonce::new(replay.nonce()?);
    let fields = parameters(key, network.columns(), settings);
    let timeout = Limits::new().with_timeout(TIMEOUT);
    let mut progress = |event: &Event<'_>| match event.stage {
        Stage::Iterate { number, .. } => iteration.set(number),
        Stage::Decrypt { .. } => iteration.set(0),
        _ => {}
    };
    let mut steps = 0;
    let result = match Session::open(&mut replay, PROTOCOL, &fields, timeout, &mut nonce) {
        Ok(mut session) => session.guard(|session| {
            let result =
                run(session, &role, network.clone(), settings, Some(store), &mut nonce, &mut progress);
            steps = session.counters().steps();
            result
        }),
        Err(error) => Err(error.into()),
    };
    let noisy = auditor.noisy.take();
    let read = result.is_ok().then_some(noisy.as_ref());
    let Ending { found, leftover, gave_up, over, parted, failed } = replay.end()?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    differences.extend(scene.describe(found, &leftover, store));
    if parted {
        return Ok(End::Parted);
    }
    match (result, read) {
        (Ok(_), Some(Some(noisy))) => {
            let (end, more) = scene.check_partials(noisy, steps, &leftover);
            differences.extend(more);
            Ok(end)
        }
        (Ok(_), _) => {
            differences.extend(scene.unexpected(&leftover, "the protocol has ended"));
            Ok(End::Finished)
        }
        (Err(error), _) => {
            if let Some(reason) = gave_up {
                return Ok(End::GaveUp(reason));
            }
            let more = leftover.iter().any(|(_, frame)| !is_abort(frame));
            if more && matches!(error, crate::Error::NoSeed) {
                return Err(RecomputeError::NoSeed(session.id));
            }
            if let Some(difference) = scene.unexpected(&leftover, &with_causes(&error)) {
                differences.push(difference);
                return Ok(End::Parted);
            }
            Ok(if over { End::Stopped } else { End::GaveUp(with_causes(&error)) })
        }
    }
}
