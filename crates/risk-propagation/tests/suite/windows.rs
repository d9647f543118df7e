//! Chunks under way at a time: what a run computes and saves does not depend on how many there are.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::audit::Keeping;
use subrosa_paillier::PrivateKey;
use subrosa_risk_propagation::audit::{End, Subject, recompute};
use subrosa_risk_propagation::record::{Reader, Record, Recording, Seeds};
use subrosa_risk_propagation::steps::messages::{CHUNK, NoiseChunk, OfferChunk, ScoreChunk};
use subrosa_risk_propagation::synthetic::{NetworkShape, generate};
use subrosa_risk_propagation::{
    Error, FileStore, Network, Outcome, PROTOCOL, Propagation, Settings, parameters,
};
use subrosa_threshold_decryption::{AccessStructure, KeyShare, dealer};
use subrosa_transport::memory::{Action, Fate};
use subrosa_transport::testing::run_network;
use subrosa_transport::{
    Cause, Limits, MemoryNetwork, Message, PartyId, Roster, Session, SessionError, round_tag,
};

const CORAL: PartyId = PartyId::new(2);

static SHARES: LazyLock<Vec<KeyShare>> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let private = PrivateKey::generate_insecure(256, &mut rng).unwrap();
    dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng).unwrap()
});

/// Three banks each of which sends each other at least four chunks of names and of scores.
static NETWORKS: LazyLock<Vec<Network>> = LazyLock::new(|| {
    let shape = NetworkShape { accounts: 12_000, transfers: 60_000, chains: 0, ..NetworkShape::default() };
    generate(&shape, &mut ChaCha20Rng::seed_from_u64(8)).unwrap().networks().unwrap()
});

fn settings() -> Settings {
    Settings { iterations: 2, accuracy: 1e-6, ..Settings::default() }
}

/// What a bank ends with: its outcome, the transcript, and everything that it saved.
struct Ended {
    outcome: Outcome,
    transcript: [u8; 32],
    saved: BTreeMap<String, Vec<u8>>,
}

/// What an auditor gets.
struct Kept {
    frames: Vec<u8>,
    seeds: Seeds,
}

/// One attempt of all banks whose sessions draw from `seed`.
fn attempt(base: &Path, seed: u64, window: usize, fate: impl Fate) -> Vec<Result<Ended, Error>> {
    attempt_recorded(base, seed, window, fate).into_iter().map(|(result, _)| result).collect()
}

fn attempt_recorded(
    base: &Path,
    seed: u64,
    window: usize,
    fate: impl Fate,
) -> Vec<(Result<Ended, Error>, Kept)> {
    let names = NETWORKS[0].banks().iter().map(|bank| NETWORKS[0].banks().name(bank).to_owned());
    let network = MemoryNetwork::builder(names).shuffled(seed, Duration::from_millis(2));
    run_network(network.intercept(fate).build().unwrap(), |me, wire| {
        let me = me.index();
        let mut rng = ChaCha20Rng::seed_from_u64(1000 * seed + me as u64);
        let fields = parameters(SHARES[me].key(), NETWORKS[me].columns(), &settings());
        let limits = Limits::new().with_timeout(Duration::from_secs(10));
        let folder = base.join(me.to_string());
        let mut seeds = Seeds::default();
        let mut wire = Recording::new(wire, Record::new(Vec::new()).unwrap(), PROTOCOL.name).unwrap();
        let attempt = || {
            let mut session = Session::open(&mut wire, PROTOCOL, &fields, limits, &mut rng)?;
            session.set_window(window);
            let mut store = Keeping { store: FileStore::open(&folder)?, seeds: &mut seeds };
            let outcome = Propagation::new(&SHARES[me], NETWORKS[me].clone())
                .settings(settings())
                .checkpoints(&mut store)
                .run_in(&mut session, &mut rng)?;
            let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
            let read = |entry: std::fs::DirEntry| {
                (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap_or_default())
            };
            Ok(Ended { outcome, transcript: session.transcript(), saved: files.map(read).collect() })
        };
        let result = attempt();
        (result, Kept { frames: wire.into_record().into_inner(), seeds })
    })
}

/// What an auditor finds in a bank's record, and how its attempt ended.
fn audit(me: usize, kept: &Kept) -> (Vec<String>, End) {
    let settings = settings();
    let names = NETWORKS[0].banks().iter().map(|bank| NETWORKS[0].banks().name(bank).to_owned());
    let roster = Roster::new(names, PartyId::new(u16::try_from(me).unwrap())).unwrap();
    let (network, key) = (&NETWORKS[me], SHARES[0].key());
    let subject = Subject { network, settings: &settings, key, roster: &roster, seeds: &kept.seeds };
    let mut recomputed =
        recompute(&subject, &mut Reader::new(Cursor::new(&kept.frames)).unwrap(), None).unwrap();
    assert_eq!(recomputed.attempts.len(), 1);
    let found = recomputed.differences.iter().map(ToString::to_string).collect();
    (found, recomputed.attempts.remove(0).end)
}

/// Whether a frame is a message of this round.
fn is_of(frame: &[u8], round: &str) -> bool {
    frame.get(76..84) == Some(&round_tag(round)[..])
}

fn nothing_happens(_: PartyId, _: PartyId, _: u64, _: &mut Vec<u8>) -> Action {
    Action::Deliver
}

/// Counts the frames of a round from coral to another bank, and does something to one of them.
fn to_one(
    round: &'static str,
    nth: usize,
    change: impl Fn(&mut Vec<u8>) -> Action + Send + Sync + 'static,
) -> impl Fate {
    let counts: Arc<Mutex<BTreeMap<PartyId, usize>>> = Arc::default();
    move |from, to, _, frame: &mut Vec<u8>| {
        if from != CORAL || !is_of(frame, round) {
            return Action::Deliver;
        }
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(to).or_default();
        *count += 1;
        if *count == nth + 1 { change(frame) } else { Action::Deliver }
    }
}

#[test]
fn scores_states_and_transcripts_do_not_depend_on_the_window() {
    let of_window = |window| {
        let base = tempfile::tempdir().unwrap();
        let frames = Arc::new(Mutex::new(BTreeMap::<&str, u64>::new()));
        let seen = frames.clone();
        let count = move |from: PartyId, to: PartyId, _: u64, frame: &mut Vec<u8>| {
            for round in [OfferChunk::ROUND, ScoreChunk::ROUND, NoiseChunk::ROUND] {
                if (from, to) == (CORAL, PartyId::new(0)) && is_of(frame, round) {
                    *seen.lock().unwrap().entry(round).or_default() += 1;
                }
            }
            Action::Deliver
        };
        let ended = attempt(base.path(), 1, window, count);
        let frames = frames.lock().unwrap().clone();
        (ended.into_iter().map(Result::unwrap).collect::<Vec<_>>(), frames)
    };
    let (single, frames) = of_window(1);
    assert!(frames.len() == 3 && frames.values().all(|frames| *frames >= 3), "{frames:?}");
    for window in [2, 8] {
        let (windowed, other_frames) = of_window(window);
        assert_eq!(frames, other_frames);
        for (one, other) in single.iter().zip(&windowed) {
            assert_eq!(one.transcript, other.transcript);
            assert!(!one.saved.is_empty() && one.saved == other.saved);
            assert_eq!(one.outcome.scores, other.outcome.scores);
        }
    }
}

#[test]
fn a_bank_that_stops_in_the_midst_of_a_window_is_named_and_the_run_goes_on() {
    // In the second chunk of names nothing is saved yet. The fifth chunk of scores is the second of the second iteration.
    let places = [
        (OfferChunk::ROUND, 1, false),
        (ScoreChunk::ROUND, 1, true),
        (ScoreChunk::ROUND, 4, true),
        (NoiseChunk::ROUND, 1, true),
    ];
    for (round, nth, saved) in places {
        let of_window = |window| {
            let base = tempfile::tempdir().unwrap();
            let stopped = attempt(base.path(), 1, window, to_one(round, nth, |_| Action::Disconnect));
            for outcome in &stopped[..2] {
                let Err(error) = outcome else { panic!("{round} did not stop") };
                assert!(error.culprits().contains(&CORAL), "{round}: {error}");
            }
            if !saved {
                return Vec::new();
            }
            let again = attempt(base.path(), 2, window, nothing_happens);
            again
                .into_iter()
                .map(Result::unwrap)
                .map(|ended| (ended.transcript, ended.outcome.scores))
                .collect()
        };
        assert!(of_window(1) == of_window(8), "{round}");
    }
}

#[test]
fn a_silent_bank_is_named_and_has_been_sent_no_more_than_a_window() {
    let base = tempfile::tempdir().unwrap();
    let sent = Arc::new(Mutex::new(0));
    let seen = sent.clone();
    let outcomes = attempt(base.path(), 1, 2, move |from, to, _, frame: &mut Vec<u8>| {
        if !is_of(frame, ScoreChunk::ROUND) {
            return Action::Deliver;
        }
        if (from, to) == (PartyId::new(0), CORAL) {
            *seen.lock().unwrap() += 1;
        }
        if from == CORAL { Action::Drop } else { Action::Deliver }
    });
    for outcome in &outcomes[..2] {
        let Err(Error::Session(SessionError::Failed { failures, .. })) = outcome else {
            panic!("{:?}", outcome.as_ref().err())
        };
        assert!(
            matches!(failures[..], [ref one] if one.party == CORAL && matches!(one.cause, Cause::Network(_)))
        );
    }
    assert_eq!(*sent.lock().unwrap(), 2);
}

#[test]
fn what_arrives_otherwise_in_a_later_chunk_is_noticed() {
    for round in [ScoreChunk::ROUND, NoiseChunk::ROUND] {
        let base = tempfile::tempdir().unwrap();
        let counts = Arc::new(Mutex::new(0_usize));
        let outcomes = attempt(base.path(), 1, 8, move |from, to, _, frame: &mut Vec<u8>| {
            if (from, to) != (CORAL, PartyId::new(0)) || !is_of(frame, round) {
                return Action::Deliver;
            }
            let mut count = counts.lock().unwrap();
            *count += 1;
            if *count == 2 {
                // Within the last ciphertext: another number, and still a ciphertext.
                let place = frame.len() - 20;
                frame[place] ^= 1;
            }
            Action::Deliver
        });
        assert!(outcomes.iter().all(Result::is_err), "{round}");
        if round == ScoreChunk::ROUND {
            let Err(error) = &outcomes[0] else { panic!("{round}") };
            assert!(matches!(error, Error::Peer { party: CORAL, .. }), "{error}");
        }
    }
}

#[test]
fn chunks_are_those_of_the_document() {
    assert_eq!((CHUNK, subrosa_transport::DEFAULT_WINDOW), (1024, 8));
}

#[test]
fn a_run_in_windows_is_recomputed_bit_for_bit() {
    let base = tempfile::tempdir().unwrap();
    for (me, (result, kept)) in attempt_recorded(base.path(), 1, 8, nothing_happens).into_iter().enumerate() {
        assert!(result.is_ok());
        let (found, end) = audit(me, &kept);
        assert_eq!(found, Vec::<String>::new());
        assert!(matches!(end, End::Decrypted { unproven: 0, .. }), "{end:?}");
    }
    for round in [OfferChunk::ROUND, ScoreChunk::ROUND, NoiseChunk::ROUND] {
        let base = tempfile::tempdir().unwrap();
        let stopped = attempt_recorded(base.path(), 1, 8, to_one(round, 1, |_| Action::Disconnect));
        for (me, (result, kept)) in stopped.into_iter().enumerate() {
            let (found, end) = audit(me, &kept);
            assert!(result.is_err() && found.is_empty(), "{round}: {found:?}");
            assert!(matches!(end, End::GaveUp(_) | End::Stopped), "{round}: {end:?}");
        }
    }
}
