//! Runs that are computed again by an auditor who has no share of the key.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::common::{Raw, bank_name};
use subrosa_paillier::{KeyId, PrivateKey};
use subrosa_risk_propagation::audit::{End, Index, RecomputeError, Recomputed, Subject, recompute};
use subrosa_risk_propagation::checkpoint::{CheckpointError, WriteBytes};
use subrosa_risk_propagation::record::{Kind, Reader, Record, Recording, Seeds};
use subrosa_risk_propagation::{
    CheckpointStore, Error, FileStore, Network, Outcome, PROTOCOL, Propagation, RunSeed, Settings, parameters,
};
use subrosa_threshold_decryption::{AccessStructure, KeyShare, dealer};
use subrosa_transport::memory::disconnect_after;
use subrosa_transport::testing::run_network;
use subrosa_transport::{
    HEADER_BYTES, Limits, MemoryNetwork, MemoryTransport, PartyId, Roster, Session, Transport, round_tag,
};

static SHARES: LazyLock<Vec<KeyShare>> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let private = PrivateKey::generate_insecure(512, &mut rng).unwrap();
    dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng).unwrap()
});

fn settings() -> Settings {
    Settings { iterations: 2, ..Settings::default() }
}

/// Six accounts at each bank; everyone pays the next two of every bank. In a second period one bank pays another.
fn networks() -> Vec<Network> {
    let accounts = |bank: u8| (0..6).map(|id| (id, (id * 9 + bank * 3) % 100)).collect();
    let ids = (0..3_usize)
        .flat_map(|from| (0..3_usize).flat_map(move |to| (0..6_u8).map(move |id| (from, to, id))));
    let row = |(from, to, id): (usize, usize, u8)| {
        [1, 2].map(|step| (from, id, to, (id + step) % 6, u64::from(id) * 7 + 1 + from as u64))
    };
    let periods = vec![ids.flat_map(row).collect(), vec![(0, 0, 1, 1, 5), (0, 2, 1, 3, 6)]];
    Raw::consistent(3, (0..3).map(accounts).collect(), periods).networks()
}

fn roster(me: usize) -> Roster {
    Roster::new((0..3).map(bank_name), PartyId::new(u16::try_from(me).unwrap())).unwrap()
}

/// A folder of checkpoints whose runs' seeds are kept.
pub struct Keeping<'a> {
    pub store: FileStore,
    pub seeds: &'a mut Seeds,
}

impl CheckpointStore for Keeping<'_> {
    fn positions(&self) -> Result<Vec<u32>, CheckpointError> {
        self.store.positions()
    }
    fn name(&self, position: u32) -> String {
        self.store.name(position)
    }
    fn read(&self, position: u32) -> Result<Box<dyn std::io::Read + '_>, CheckpointError> {
        self.store.read(position)
    }
    fn write(&mut self, position: u32, bytes: &mut WriteBytes<'_>) -> Result<(), CheckpointError> {
        self.store.write(position, bytes)
    }
    fn remove(&mut self, position: u32) -> Result<(), CheckpointError> {
        self.store.remove(position)
    }
    fn keep_seed(&mut self, run: &[u8; 32], seed: &RunSeed) -> Result<(), CheckpointError> {
        self.seeds.insert(*run, seed.clone());
        Ok(())
    }
    fn used(&self, key: KeyId) -> Result<Option<[u8; 32]>, CheckpointError> {
        self.store.used(key)
    }
    fn mark_used(&mut self, key: KeyId, run: &[u8; 32]) -> Result<(), CheckpointError> {
        self.store.mark_used(key, run)
    }
}

/// What a bank keeps for an auditor.
#[derive(Clone, Default)]
struct Kept {
    frames: Vec<u8>,
    seeds: Seeds,
}

impl Kept {
    fn add(&mut self, more: Vec<u8>) {
        let start = if self.frames.is_empty() { 0 } else { 10 };
        self.frames.extend_from_slice(&more[start..]);
    }
}

/// One bank's attempt, which goes on with what it kept.
fn bank(wire: MemoryTransport, base: &Path, kept: &mut Kept, seed: u64) -> Result<Outcome, Error> {
    let me = wire.roster().me().index();
    let mut rng = ChaCha20Rng::seed_from_u64(1000 * seed + me as u64);
    let network = networks().swap_remove(me);
    let fields = parameters(SHARES[0].key(), network.columns(), &settings());
    let timeout = Limits::new().with_timeout(Duration::from_secs(30));
    let mut wire = Recording::new(wire, Record::new(Vec::new()).unwrap(), PROTOCOL.name).unwrap();
    let attempt = || {
        let mut store = Keeping { store: FileStore::open(base.join(bank_name(me)))?, seeds: &mut kept.seeds };
        let mut session = Session::open(&mut wire, PROTOCOL, &fields, timeout, &mut rng)?;
        let outcome = Propagation::new(&SHARES[me], network)
            .settings(settings())
            .checkpoints(&mut store)
            .run_in(&mut session, &mut rng)?;
        outcome.commit(&mut store)?;
        Ok(outcome)
    };
    let result = attempt();
    kept.add(wire.into_record().into_inner());
    result
}

/// An attempt of all banks over wires that may break.
fn attempt(
    wires: Vec<MemoryTransport>,
    base: &Path,
    kept: &mut [Kept],
    seed: u64,
) -> Vec<Result<Outcome, Error>> {
    let before: Vec<Kept> = kept.to_vec();
    let after = run_network(wires, |me, wire| {
        let mut kept = before[me.index()].clone();
        let result = bank(wire, base, &mut kept, seed);
        (result, kept)
    });
    let mut results = Vec::new();
    for (place, (result, new)) in after.into_iter().enumerate() {
        kept[place] = new;
        results.push(result);
    }
    results
}

fn wires() -> Vec<MemoryTransport> {
    MemoryNetwork::builder((0..3).map(bank_name)).build().unwrap()
}

fn audit_with(me: usize, kept: &Kept, network: &Network) -> Result<Recomputed, RecomputeError> {
    let (settings, roster) = (settings(), roster(me));
    let key = SHARES[0].key();
    let subject = Subject { network, settings: &settings, key, roster: &roster, seeds: &kept.seeds };
    recompute(&subject, &mut Reader::new(Cursor::new(&kept.frames))?, None)
}

fn audit(me: usize, kept: &Kept) -> Recomputed {
    audit_with(me, kept, &networks()[me]).unwrap()
}

fn told(recomputed: &Recomputed) -> Vec<String> {
    recomputed.differences.iter().map(ToString::to_string).collect()
}

/// A whole run.
fn whole() -> Vec<Kept> {
    static KEPT: LazyLock<Vec<Kept>> = LazyLock::new(|| {
        let base = tempfile::tempdir().unwrap();
        let mut kept = vec![Kept::default(); 3];
        assert!(attempt(wires(), base.path(), &mut kept, 1).iter().all(Result::is_ok));
        kept
    });
    KEPT.clone()
}

#[test]
fn an_honest_run_is_the_same_bit_for_bit() {
    for (me, kept) in whole().iter().enumerate() {
        let recomputed = audit(me, kept);
        assert_eq!(told(&recomputed), Vec::<String>::new());
        let [attempt] = &recomputed.attempts[..] else { panic!("{} attempts", recomputed.attempts.len()) };
        // With t = 1 a bank helps one other, and nobody asks for more.
        assert_eq!(attempt.end, End::Decrypted { proven: 1, unproven: 0 });
    }
}

#[test]
fn a_run_that_was_stopped_at_any_frame_and_went_on_is_the_same() {
    let frames = {
        let kept = &whole()[2];
        let mut reader = Reader::new(&kept.frames[..]).unwrap();
        let mut sent = 0;
        while let Some(entry) = reader.next().unwrap() {
            sent += u64::from(entry.kind == Kind::Sent && entry.peer == PartyId::new(0));
        }
        sent
    };
    let mut resumed = 0;
    for stop in 2..frames {
        let base = tempfile::tempdir().unwrap();
        let mut kept = vec![Kept::default(); 3];
        let broken = MemoryNetwork::builder((0..3).map(bank_name));
        let broken = broken.intercept(disconnect_after(PartyId::new(2), stop)).build().unwrap();
        attempt(broken, base.path(), &mut kept, 1);
        attempt(wires(), base.path(), &mut kept, 2);
        for (me, kept) in kept.iter().enumerate() {
            let recomputed = audit(me, kept);
            assert_eq!(told(&recomputed), Vec::<String>::new(), "bank {me}, frame {stop}");
            let ends: Vec<&End> = recomputed.attempts.iter().map(|attempt| &attempt.end).collect();
            if let [first, last] = ends[..] {
                resumed += 1;
                assert!(
                    matches!(first, End::GaveUp(_) | End::Stopped | End::Decrypted { .. } | End::Finished),
                    "{first:?}"
                );
                assert!(matches!(last, End::Decrypted { .. } | End::Finished | End::GaveUp(_)), "{last:?}");
            }
        }
    }
    assert!(resumed > 20, "{resumed}");
}

/// The place of the payload's last byte in the first frame of a kind and round.
fn place_of(frames: &[u8], wanted: Kind, round: &str) -> usize {
    let mut reader = Reader::new(frames).unwrap();
    let mut place = 10;
    while let Some(entry) = reader.next().unwrap() {
        place += 7 + entry.bytes.len();
        let tag = entry.bytes.get(76..HEADER_BYTES);
        if entry.kind == wanted && tag == Some(&round_tag(round)[..]) {
            return place - 1;
        }
    }
    panic!("no frame of {round}");
}

#[test]
fn a_changed_byte_is_named_by_its_step() {
    let kept = &whole()[0];
    for (round, words) in [
        ("propagate/sizes", "R1, to east, propagate/sizes"),
        ("propagate/digests", "R2, to east"),
        ("propagate/offer", "R3, to east"),
        ("propagate/selection", "R4, to east"),
        (
            "propagate/declaration",
            "R5, to east, propagate/declaration: the input is not the one that it announced",
        ),
        ("propagate/sent", "R6b, to east, propagate/sent: it tells other hashes"),
        ("propagate/scores", "R6, iteration 1, to east, propagate/scores, account "),
        ("propagate/commitment", "R7a, to east, propagate/commitment: its hash is not that of"),
        ("propagate/noise-commitment", "R7b, to east, propagate/noise-commitment: its hash is not that of"),
        ("decrypt/announce", "R7, to east, decrypt/announce, accounts 3, 4, 5"),
        (
            "propagate/noise",
            "R8, to east, propagate/noise: the noise for a ciphertext of west is not what its seed gives",
        ),
    ] {
        let mut changed = kept.clone();
        changed.frames[place_of(&kept.frames, Kind::Sent, round)] ^= 1;
        let recomputed = audit(0, &changed);
        let told = told(&recomputed);
        assert!(told.first().is_some_and(|line| line.starts_with(words)), "{round}: {told:?}");
    }
    // What arrived is bound as well, by what the others broadcast and by their transcripts.
    for (round, words) in [
        ("propagate/scores", "what arrived from it at `north` is not what it says that it sent"),
        ("propagate/selection", "it went on, although: "),
        ("propagate/sent", "seen other broadcasts"),
        ("propagate/noise", "its noise is not what it committed to"),
    ] {
        let mut changed = kept.clone();
        changed.frames[place_of(&kept.frames, Kind::Received, round)] ^= 1;
        let told = told(&audit(0, &changed));
        assert!(told.first().is_some_and(|line| line.contains(words)), "{round}: {told:?}");
    }
}

/// Answers of R9 are due in their step alone, and requests are requests.
#[test]
fn answers_and_requests_out_of_place_are_named() {
    let kept = &whole()[0];
    let proven = "decrypt/proven-partial";
    let frame = |round| {
        let end = place_of(&kept.frames, Kind::Sent, round) + 1;
        let mut reader = Reader::new(&kept.frames[..]).unwrap();
        let mut place = 10;
        loop {
            let entry = reader.next().unwrap().unwrap();
            place += 7 + entry.bytes.len();
            if place == end {
                break end - entry.bytes.len();
            }
        }
    };
    let told_of = |at: usize, change: fn(&mut u8)| {
        let mut changed = kept.clone();
        change(&mut changed.frames[at]);
        told(&audit(0, &changed)).concat()
    };
    // The lowest byte of the step.
    for later in [|step: &mut u8| *step += 1, |step: &mut u8| *step += 3, |step: &mut u8| *step -= 1] {
        let told = told_of(frame(proven) + 8, later);
        assert!(told.contains("partial decryptions are not due in this step"), "{told}");
        let told = told_of(frame("decrypt/request") + 8, later);
        assert!(told.contains("request for partial decryptions is none that is due"), "{told}");
    }
    let told = told_of(frame("decrypt/request") + HEADER_BYTES, |wanted| *wanted = 2);
    assert!(told.contains("request for partial decryptions is none that is due"), "{told}");
    let told = told_of(place_of(&kept.frames, Kind::Sent, proven), |byte| *byte ^= 1);
    assert!(told.contains("partial decryptions are not those of its key share"), "{told}");
}

#[test]
fn every_round_has_a_name() {
    let kept = &whole()[0];
    let mut reader = Reader::new(&kept.frames[..]).unwrap();
    let (mut place, mut seen) = (10, BTreeSet::new());
    while let Some(entry) = reader.next().unwrap() {
        place += 7 + entry.bytes.len();
        let Some(tag) = entry.bytes.get(76..HEADER_BYTES).filter(|_| entry.kind == Kind::Sent) else {
            continue;
        };
        // Confirmations and farewells have nothing but a header.
        if entry.bytes.len() > HEADER_BYTES && seen.insert(tag.to_vec()) {
            let mut changed = kept.clone();
            changed.frames[place - 1] ^= 1;
            let told = told(&audit(0, &changed)).concat();
            assert!(!told.contains("unknown step"), "{told}");
        }
    }
    assert!(seen.len() > 12);
}

#[test]
fn another_seed_or_input_is_named() {
    let kept = &whole()[1];
    let mut reader = Reader::new(Cursor::new(&kept.frames)).unwrap();
    let run = *Index::read(&mut reader, &roster(1)).unwrap().runs().last().unwrap();
    let mut other = kept.clone();
    other.seeds.insert(run, RunSeed::from_bytes([5; 32]));
    let lines = told(&audit(1, &other));
    // Its salts of R4 are others already.
    assert!(lines[0].starts_with("R4, to north"), "{lines:?}");
    other.seeds = Seeds::default();
    assert!(matches!(audit_with(1, &other, &networks()[1]), Err(RecomputeError::NoSeed(_))));
    let mut raw = networks();
    let lines = told(&audit_with(1, kept, &raw.remove(1)).unwrap());
    assert!(lines.is_empty(), "{lines:?}");
    let other = Raw::consistent(3, (0..3).map(|_| vec![(0, 1)]).collect(), vec![vec![(0, 0, 1, 0, 3)]; 2]);
    let lines = told(&audit_with(1, kept, &other.networks().remove(1)).unwrap());
    assert!(lines[0].starts_with("R1, propagate/sizes"), "{lines:?}");
}

#[test]
fn a_record_that_is_cut_short_is_refused_and_one_that_ends_is_told() {
    let kept = &whole()[0];
    let mut cut = kept.clone();
    cut.frames.truncate(kept.frames.len() / 2);
    assert!(matches!(audit_with(0, &cut, &networks()[0]), Err(RecomputeError::Record(_))));
    // Up to the end of an entry: as if the bank had been stopped.
    cut.frames.truncate(place_of(&kept.frames, Kind::Sent, "propagate/scores") + 1);
    let recomputed = audit(0, &cut);
    assert!(recomputed.differences.is_empty(), "{:?}", told(&recomputed));
    assert_eq!(recomputed.attempts[0].end, End::Stopped);
    let empty = Kept { frames: kept.frames[..10].to_vec(), ..kept.clone() };
    assert!(matches!(audit_with(0, &empty, &networks()[0]), Err(RecomputeError::Empty)));
}
