//! Banks that are stopped at any moment and go on.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::common::{Raw, bank_name};
use subrosa_paillier::PrivateKey;
use subrosa_risk_propagation::steps::in_degree_bits;
use subrosa_risk_propagation::{
    Agreed, CheckpointProblem, CheckpointStore, Error, Event, FileStore, Network, NetworkSizes, Outcome,
    PROTOCOL, Plan, Propagation, Settings, Stage, parameters, plaintext,
};
use subrosa_threshold_decryption::{AccessStructure, KeyShare, dealer, storage};
use subrosa_transport::memory::{Action, disconnect_after};
use subrosa_transport::testing::run_network;
use subrosa_transport::{
    Deadline, Fault, Limits, MemoryNetwork, MemoryTransport, PartyId, Roster, Session, Transport,
    TransportError, round_tag,
};

const WEST: PartyId = PartyId::new(2);

static SHARES: LazyLock<Vec<KeyShare>> = LazyLock::new(|| deal(3));
static OTHER_SHARES: LazyLock<Vec<KeyShare>> = LazyLock::new(|| deal(4));

fn deal(seed: u64) -> Vec<KeyShare> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let private = PrivateKey::generate_insecure(512, &mut rng).unwrap();
    dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng).unwrap()
}

fn settings() -> Settings {
    Settings { iterations: 3, ..Settings::default() }
}

/// Ten accounts at each bank; everyone pays the next two of every bank.
fn networks() -> Vec<Network> {
    let accounts = |bank: u8| (0..10).map(|id| (id, (id * 9 + bank * 3) % 100)).collect();
    let ids = (0..3_usize)
        .flat_map(|from| (0..3_usize).flat_map(move |to| (0..10_u8).map(move |id| (from, to, id))));
    let row = |(from, to, id): (usize, usize, u8)| {
        [1, 2].map(|step| (from, id, to, (id + step) % 10, u64::from(id) * 7 + 1 + from as u64))
    };
    Raw::consistent(3, (0..3).map(accounts).collect(), vec![ids.flat_map(row).collect()]).networks()
}

fn folder(base: &Path, bank: usize) -> PathBuf {
    base.join(bank_name(bank))
}

fn wires() -> Vec<MemoryTransport> {
    MemoryNetwork::builder((0..3).map(bank_name)).build().unwrap()
}

/// One bank's attempt; the iterations that it computed.
fn bank<T: Transport>(
    shares: &[KeyShare],
    wire: &mut T,
    base: &Path,
    network: Network,
    seed: u64,
) -> (Result<Outcome, Error>, Vec<usize>) {
    let me = wire.roster().me().index();
    let mut rng = ChaCha20Rng::seed_from_u64(1000 * seed + me as u64);
    let fields = parameters(shares[0].key(), network.columns(), &settings());
    let timeout = Limits::new().with_timeout(Duration::from_secs(30));
    let mut iterations = Vec::new();
    let attempt = || {
        let mut store = FileStore::open(folder(base, me))?;
        let mut session = Session::open(wire, PROTOCOL, &fields, timeout, &mut rng)?;
        let mut progress = |event: &Event<'_>| {
            if let Stage::Iterate { number, .. } = event.stage {
                iterations.push(number);
            }
        };
        let outcome = Propagation::new(&shares[me], network)
            .settings(settings())
            .checkpoints(&mut store)
            .progress(&mut progress)
            .run_in(&mut session, &mut rng)?;
        outcome.commit(&mut store)?;
        Ok(outcome)
    };
    (attempt(), iterations)
}

/// An attempt of all banks. Nobody is left waiting when one of them goes.
fn attempt(wires: Vec<MemoryTransport>, base: &Path, seed: u64) -> Vec<(Result<Outcome, Error>, Vec<usize>)> {
    attempt_with(&SHARES, wires, base, seed)
}

/// [`attempt`] under a key of the caller's.
fn attempt_with(
    shares: &[KeyShare],
    wires: Vec<MemoryTransport>,
    base: &Path,
    seed: u64,
) -> Vec<(Result<Outcome, Error>, Vec<usize>)> {
    let networks = networks();
    run_network(wires, |me, mut wire| bank(shares, &mut wire, base, networks[me.index()].clone(), seed))
}

fn stopped_after(frames: u64) -> Vec<MemoryTransport> {
    let builder = MemoryNetwork::builder((0..3).map(bank_name));
    builder.intercept(disconnect_after(WEST, frames)).build().unwrap()
}

/// Files of a bank that are checkpoints.
fn kept(base: &Path, bank: usize) -> Vec<u32> {
    FileStore::open(folder(base, bank)).unwrap().positions().unwrap()
}

/// Frames to each other bank in a whole run.
static FRAMES: LazyLock<u64> = LazyLock::new(|| {
    let sent = Mutex::new(0);
    let base = tempfile::tempdir().unwrap();
    let networks = networks();
    run_network(wires(), |me, mut wire| {
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let fields = parameters(SHARES[0].key(), networks[0].columns(), &settings());
        let mut session = Session::open(&mut wire, PROTOCOL, &fields, Limits::new(), &mut rng).unwrap();
        let mut store = FileStore::open(folder(base.path(), me.index())).unwrap();
        let network = networks[me.index()].clone();
        let (share, settings) = (&SHARES[me.index()], settings());
        Propagation::new(share, network)
            .settings(settings.clone())
            .checkpoints(&mut store)
            .run_in(&mut session, &mut rng)
            .unwrap();
        *sent.lock().unwrap() = session.counters().total().messages_sent / 2;
    });
    sent.into_inner().unwrap()
});

#[test]
fn a_finished_run_keeps_nothing() {
    let base = tempfile::tempdir().unwrap();
    let outcomes: Vec<Outcome> =
        attempt(wires(), base.path(), 1).into_iter().map(|(o, _)| o.unwrap()).collect();
    let scores: Vec<Vec<f64>> = outcomes.iter().map(|outcome| outcome.scores.clone()).collect();
    check_scores(&scores);
    assert!((0..3).all(|bank| kept(base.path(), bank).is_empty()));
}

#[test]
fn checkpoints_stay_until_the_outcome_is_stored() {
    let base = tempfile::tempdir().unwrap();
    let networks = networks();
    let scores = run_network(wires(), |me, mut wire| {
        let mut store = FileStore::open(folder(base.path(), me.index())).unwrap();
        let propagation = Propagation::new(&SHARES[me.index()], networks[me.index()].clone());
        let propagation = propagation.settings(settings()).checkpoints(&mut store);
        let outcome = propagation.run(&mut wire, &mut ChaCha20Rng::seed_from_u64(me.index() as u64)).unwrap();
        assert!(outcome.complete);
        outcome.scores
        // The process dies here: nothing was stored.
    });
    for (bank, scores) in scores.into_iter().enumerate() {
        assert!(!kept(base.path(), bank).is_empty());
        let roster = Roster::new((0..3).map(bank_name), PartyId::new(u16::try_from(bank).unwrap())).unwrap();
        let mut store = FileStore::open(folder(base.path(), bank)).unwrap();
        let propagation = Propagation::new(&SHARES[bank], networks[bank].clone()).settings(settings());
        let outcome = propagation.checkpoints(&mut store).recover(&roster).unwrap().unwrap();
        assert_eq!(outcome.scores, scores);
        // Alone it does not know whether the others need them.
        assert!(!outcome.commit(&mut store).unwrap());
        assert!(!store.positions().unwrap().is_empty());
    }
}

/// The last checkpoint of north in a run by this version, its share and its scores: later versions must read them.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoint-2").join(name)
}

#[test]
#[ignore = "writes the fixture; for a new format, into a folder of its own"]
fn write_the_fixture() {
    let base = tempfile::tempdir().unwrap();
    let networks = networks();
    run_network(wires(), |me, mut wire| {
        let mut store = FileStore::open(folder(base.path(), me.index())).unwrap();
        let propagation = Propagation::new(&SHARES[me.index()], networks[me.index()].clone());
        let propagation = propagation.settings(settings()).checkpoints(&mut store);
        let outcome = propagation.run(&mut wire, &mut ChaCha20Rng::seed_from_u64(me.index() as u64)).unwrap();
        if me.index() == 0 {
            let scores: Vec<String> = outcome.scores.iter().map(f64::to_string).collect();
            assert!(!fixture("scores.txt").exists(), "a fixture is never replaced");
            std::fs::create_dir_all(fixture("")).unwrap();
            std::fs::write(fixture("scores.txt"), scores.join("\n")).unwrap();
        }
    });
    std::fs::copy(folder(base.path(), 0).join("position-00007.checkpoint"), fixture("north.checkpoint"))
        .unwrap();
    std::fs::write(fixture("north.share"), storage::expose_unencrypted(&SHARES[0]).unwrap()).unwrap();
}

#[test]
fn checkpoints_of_this_version_are_read() {
    let base = tempfile::tempdir().unwrap();
    let share = storage::read_unencrypted(&std::fs::read(fixture("north.share")).unwrap()).unwrap();
    std::fs::copy(fixture("north.checkpoint"), base.path().join("position-00007.checkpoint")).unwrap();
    let mut store = FileStore::open(base.path()).unwrap();
    let roster = Roster::new((0..3).map(bank_name), PartyId::new(0)).unwrap();
    let propagation = Propagation::new(&share, networks().remove(0)).settings(settings());
    let outcome = propagation.checkpoints(&mut store).recover(&roster).unwrap().unwrap();
    let scores = std::fs::read_to_string(fixture("scores.txt")).unwrap();
    let scores: Vec<f64> = scores.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(outcome.scores, scores);
}

#[test]
fn stopped_at_every_frame_the_scores_are_the_same() {
    let mut resumed_in_the_middle = 0;
    for frames in 2..*FRAMES {
        let base = tempfile::tempdir().unwrap();
        let mut scores: Vec<Option<Vec<f64>>> = vec![None; 3];
        let first = attempt(stopped_after(frames), base.path(), 1);
        assert!(first.iter().any(|(outcome, _)| outcome.is_err()) || frames + 2 >= *FRAMES, "frame {frames}");
        let mut before: Vec<usize> = first.iter().map(|(_, iterations)| iterations.len()).collect();
        // Whoever has its scores and saw that all have is gone; then the others recover theirs alone.
        let gone = (0..3).any(|bank| first[bank].0.is_ok() && kept(base.path(), bank).is_empty());
        for (bank, (outcome, _)) in first.into_iter().enumerate() {
            scores[bank] = outcome.ok().map(|outcome| outcome.scores);
        }
        if gone {
            for (bank, scores) in scores.iter_mut().enumerate() {
                scores.get_or_insert_with(|| recovered(base.path(), bank));
            }
        } else {
            for (bank, (outcome, iterations)) in attempt(wires(), base.path(), 2).into_iter().enumerate() {
                let outcome = outcome.unwrap_or_else(|error| panic!("frame {frames}, bank {bank}: {error}"));
                if let Some(earlier) = &scores[bank] {
                    assert_eq!(*earlier, outcome.scores, "frame {frames}");
                }
                scores[bank] = Some(outcome.scores);
                // At most the iteration in which one of the banks was stopped is done again.
                before[bank] += iterations.len();
                assert!(before[bank] <= 3 + 2, "frame {frames}: {iterations:?}");
                resumed_in_the_middle += usize::from(iterations == [2, 3] || iterations == [3]);
            }
            assert!((0..3).all(|bank| kept(base.path(), bank).is_empty()), "frame {frames}");
        }
        check_scores(&scores.into_iter().map(Option::unwrap).collect::<Vec<_>>());
    }
    assert!(resumed_in_the_middle >= 6, "{resumed_in_the_middle}");
}

/// Copies all banks' checkpoints.
fn copy(from: &Path, to: &Path) {
    for bank in 0..3 {
        std::fs::create_dir_all(folder(to, bank)).unwrap();
        for entry in std::fs::read_dir(folder(from, bank)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder(to, bank).join(entry.file_name())).unwrap();
        }
    }
}

/// Stops a run at the first frame after which `wanted` holds of the banks' checkpoints.
fn stop_where(base: &Path, wanted: impl Fn(&[Vec<u32>]) -> bool) {
    for frames in 2..*FRAMES {
        let _ = std::fs::remove_dir_all(base);
        attempt(stopped_after(frames), base, 1);
        let all: Vec<Vec<u32>> = (0..3).map(|bank| kept(base, bank)).collect();
        if wanted(&all) {
            return;
        }
    }
    panic!("no such moment");
}

fn refusal(result: &Result<Outcome, Error>) -> &CheckpointProblem {
    match result.as_ref().unwrap_err() {
        Error::Checkpoint(error) => &error.problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn noise_is_drawn_once() {
    let base = tempfile::tempdir().unwrap();
    // 6: announcements compared, noise about to be sent.
    stop_where(base.path(), |kept| kept.iter().all(|kept| kept.last() == Some(&6)));
    let copies = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let runs = copies.each_ref().map(|to| {
        copy(base.path(), to.path());
        // Another seed for whatever randomness the second half of the run uses.
        let seed = if std::ptr::eq(to, &raw const copies[0]) { 5 } else { 6 };
        attempt(wires(), to.path(), seed).into_iter().map(|(o, _)| o.unwrap().scores).collect::<Vec<_>>()
    });
    assert_eq!(runs[0], runs[1]);
    let twin = attempt(wires(), tempfile::tempdir().unwrap().path(), 7);
    let fresh: Vec<Vec<f64>> = twin.into_iter().map(|(o, _)| o.unwrap().scores).collect();
    assert_ne!(runs[0], fresh, "noise of another run cannot be the same");
}

#[test]
fn a_run_in_which_ciphertexts_were_shown_is_not_started_over() {
    // 5: all are bound to what they will announce; 6: announcements are compared.
    for position in [5, 6] {
        let base = tempfile::tempdir().unwrap();
        stop_where(base.path(), |kept| kept.iter().all(|kept| kept.last() == Some(&position)));
        std::fs::remove_dir_all(folder(base.path(), 2)).unwrap();
        let results = attempt(wires(), base.path(), 2);
        let refused = |bank: usize| {
            matches!(&results[bank].0, Err(Error::Checkpoint(error))
            if matches!(&error.problem, CheckpointProblem::StartOver { party: WEST, bank } if bank == "west"))
        };
        assert!(refused(0) || refused(1), "{results:?}");
        for (result, _) in &results[..2] {
            assert_eq!(result.as_ref().unwrap_err().culprits(), [WEST]);
        }
        assert!(results[2].0.is_err());
        assert_eq!(kept(base.path(), 0).last(), Some(&position));
    }
}

/// The rounds of the frames that west sends north, as tags.
type Sent = Mutex<Vec<[u8; 8]>>;

#[test]
fn nothing_is_shown_before_all_are_bound_to_it_and_remember_to_what() {
    // Whenever an announcement or noise leaves a bank, that bank has saved what all banks are bound to.
    let base = tempfile::tempdir().unwrap();
    let (folders, seen) = (base.path().to_owned(), Sent::default());
    let seen = std::sync::Arc::new(seen);
    let record = std::sync::Arc::clone(&seen);
    let look = move |from: PartyId, to: PartyId, _: u64, frame: &mut Vec<u8>| {
        let tag: [u8; 8] = *frame[76..].first_chunk().unwrap();
        let latest = || {
            let names = std::fs::read_dir(folder(&folders, from.index())).unwrap();
            let names = names.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
            names.filter(|name| name.ends_with(".checkpoint")).max()
        };
        if (from, to) == (WEST, PartyId::new(0)) {
            record.lock().unwrap().push(tag);
        }
        let needed = [("decrypt/announce", 5), ("propagate/noise", 6)];
        for (_, position) in needed.into_iter().filter(|(round, _)| round_tag(round) == tag) {
            assert_eq!(latest(), Some(format!("position-{position:05}.checkpoint")));
        }
        Action::Deliver
    };
    let wires = MemoryNetwork::builder((0..3).map(bank_name)).intercept(look).build().unwrap();
    for (result, _) in attempt(wires, base.path(), 1) {
        result.unwrap();
    }
    let seen = seen.lock().unwrap();
    let place = |round| seen.iter().position(|tag| *tag == round_tag(round)).unwrap();
    let order = ["propagate/commitment", "propagate/noise-commitment", "decrypt/announce", "propagate/noise"];
    assert!(order.map(place).is_sorted());
}

#[test]
fn before_noise_a_lost_checkpoint_costs_a_new_start_with_another_key() {
    let base = tempfile::tempdir().unwrap();
    stop_where(base.path(), |kept| kept.iter().all(|kept| kept.last() == Some(&1)));
    std::fs::remove_dir_all(folder(base.path(), 0)).unwrap();
    let results = attempt(wires(), base.path(), 2);
    for (result, iterations) in &results[1..] {
        assert!(result.is_err() && iterations.is_empty());
    }
    let used = |(result, _): &(Result<Outcome, Error>, _)| matches!(result, Err(Error::KeyUsed { .. }));
    assert!(results[1..].iter().any(used), "{results:?}");
    (0..3).for_each(|bank| FileStore::open(folder(base.path(), bank)).unwrap().clear().unwrap());
    for (result, iterations) in attempt_with(&OTHER_SHARES, wires(), base.path(), 3) {
        result.unwrap();
        assert_eq!(iterations, [1, 2, 3]);
    }
}

#[test]
fn a_key_is_used_once() {
    let base = tempfile::tempdir().unwrap();
    let ends = |shares, seed| attempt_with(shares, wires(), base.path(), seed);
    ends(&SHARES, 1).into_iter().for_each(|(result, _)| drop(result.unwrap()));
    // The run is over and forgotten, and its key is not.
    assert!((0..3).all(|bank| kept(base.path(), bank).is_empty()));
    let again = ends(&SHARES, 2);
    let used = |(result, _): &(Result<Outcome, Error>, _)| matches!(result, Err(Error::KeyUsed { .. }));
    assert!(again.iter().any(used), "{again:?}");
    assert!(again.iter().all(|(result, iterations)| result.is_err() && iterations.is_empty()));
    ends(&OTHER_SHARES, 3).into_iter().for_each(|(result, _)| drop(result.unwrap()));
    assert!(ends(&OTHER_SHARES, 4).iter().any(used));
    assert!(ends(&SHARES, 5).iter().any(used));
    // A bank whose store was put back to before the run does not know; the others do.
    std::fs::remove_dir_all(folder(base.path(), 1)).unwrap();
    let again = ends(&SHARES, 6);
    assert!(again.iter().any(used) && again.iter().all(|(result, _)| result.is_err()), "{again:?}");
    // A mark that cannot be read is not taken for none.
    let mark = folder(base.path(), 0).join(format!("used-{}", SHARES[0].key().public().id()));
    assert!(mark.exists());
    std::fs::write(&mark, [0; 31]).unwrap();
    assert!(matches!(refusal(&ends(&SHARES, 7)[0].0), CheckpointProblem::Corrupt));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let base = tempfile::tempdir().unwrap();
    stop_where(base.path(), |kept| kept.iter().all(|kept| kept.last() == Some(&2)));
    let file = folder(base.path(), 0).join("position-00002.checkpoint");
    let good = std::fs::read(&file).unwrap();
    let with = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        attempt(wires(), base.path(), 2).remove(0).0
    };
    for place in (0..good.len()).step_by(good.len() / 40).filter(|place| !(8..10).contains(place)) {
        let mut bad = good.clone();
        bad[place] ^= 4;
        let result = with(&bad);
        assert!(
            matches!(refusal(&result), CheckpointProblem::Corrupt | CheckpointProblem::Truncated),
            "{place}"
        );
    }
    for length in [0, 7, 9, 100, 200, good.len() / 2, good.len() - 1] {
        assert!(matches!(refusal(&with(&good[..length])), CheckpointProblem::Truncated), "{length}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(matches!(refusal(&with(&longer)), CheckpointProblem::Corrupt));
    let mut old = good.clone();
    old[8] = 0;
    assert!(matches!(refusal(&with(&old)), CheckpointProblem::Version { found: 0, expected: 2 }));
    // Another bank's, put here.
    let others = std::fs::read(folder(base.path(), 1).join("position-00002.checkpoint")).unwrap();
    assert!(matches!(refusal(&with(&others)), CheckpointProblem::Foreign("list of banks")));
    std::fs::write(&file, &good).unwrap();
    for (result, _) in attempt(wires(), base.path(), 3) {
        result.unwrap();
    }
}

#[test]
fn other_input_settings_or_keys_are_told_apart() {
    let base = tempfile::tempdir().unwrap();
    stop_where(base.path(), |kept| kept.iter().all(|kept| kept.last() == Some(&2)));
    let roster = Roster::new((0..3).map(bank_name), PartyId::new(0)).unwrap();
    let mut store = FileStore::open(folder(base.path(), 0)).unwrap();
    let network = networks().remove(0);
    let mut found = |share: &KeyShare, network: Network, settings: &Settings| {
        Propagation::new(share, network).settings(settings.clone()).checkpoints(&mut store).recover(&roster)
    };
    // Not there yet, but no error.
    assert!(found(&SHARES[0], network.clone(), &settings()).unwrap().is_none());
    let what = |result: Result<Option<Outcome>, Error>| match result {
        Err(Error::Checkpoint(error)) => match error.problem {
            CheckpointProblem::Foreign(what) => what,
            other => panic!("{other}"),
        },
        other => panic!("{other:?}"),
    };
    let other = Settings { iterations: 2, ..settings() };
    assert_eq!(what(found(&SHARES[0], network.clone(), &other)), "choice of settings");
    assert_eq!(what(found(&OTHER_SHARES[0], network, &settings())), "key");
    let mut raw = Raw::consistent(3, vec![vec![(0, 1)], vec![], vec![]], vec![]).networks();
    assert_eq!(what(found(&SHARES[0], raw.remove(0), &settings())), "input");
}

#[test]
#[cfg(unix)]
fn nobody_else_may_read_or_use_a_store() {
    use std::os::unix::fs::PermissionsExt;
    let base = tempfile::tempdir().unwrap();
    stop_where(base.path(), |kept| kept.iter().all(|kept| kept.last() == Some(&1)));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder(base.path(), 0)), 0o700);
    assert_eq!(mode(&folder(base.path(), 0).join("position-00001.checkpoint")), 0o600);
    let _first = FileStore::open(folder(base.path(), 0)).unwrap();
    let second = FileStore::open(folder(base.path(), 0)).unwrap_err();
    assert!(matches!(second.problem, CheckpointProblem::InUse));
}

/// Frames over TCP on this machine, for banks in processes of their own: neither private nor authenticated.
struct Socket {
    roster: Roster,
    peers: Vec<Option<(TcpStream, Receiver<Vec<u8>>)>>,
}

impl Socket {
    fn new(me: u16, streams: [Option<TcpStream>; 3]) -> Self {
        let roster = Roster::new((0..3).map(bank_name), PartyId::new(me)).unwrap();
        let peer = |stream: TcpStream| {
            stream.set_nodelay(true).unwrap();
            let (mut source, (frames, inbox)) = (stream.try_clone().unwrap(), channel());
            std::thread::spawn(move || {
                let mut length = [0; 4];
                while source.read_exact(&mut length).is_ok() {
                    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
                    if source.read_exact(&mut frame).is_err() || frames.send(frame).is_err() {
                        return;
                    }
                }
            });
            (stream, inbox)
        };
        Self { roster, peers: streams.map(|stream| stream.map(peer)).into_iter().collect() }
    }

    fn fault(&self, peer: PartyId, fault: Fault) -> TransportError {
        TransportError::new(&self.roster, peer, fault)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        for (stream, _) in self.peers.iter().flatten() {
            // What was sent still arrives.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

impl Transport for Socket {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        let (stream, _) = self.peers[to.index()].as_mut().unwrap();
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        let sent = stream.write_all(&[&length[..], frame].concat());
        sent.map_err(|_| self.fault(to, Fault::Disconnected))
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        let (_, inbox) = self.peers[from.index()].as_ref().unwrap();
        inbox.recv_timeout(deadline.remaining()).map_err(|error| match error {
            RecvTimeoutError::Timeout => self.fault(from, Fault::TimedOut),
            RecvTimeoutError::Disconnected => self.fault(from, Fault::Disconnected),
        })
    }
}

/// Not a test: west in a process of its own, started by the test below.
#[test]
#[ignore = "started by another test"]
fn west_alone() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let (base, ports) = (PathBuf::from(variable("BASE")), variable("PORTS"));
    let mut streams =
        ports.split(',').map(|port| TcpStream::connect(("127.0.0.1", port.parse().unwrap())).ok());
    let streams = [streams.next().unwrap(), streams.next().unwrap(), None];
    let mut wire = Socket::new(2, streams);
    let seed = variable("SEED").parse().unwrap();
    let outcome = bank(&SHARES, &mut wire, &base, networks().remove(2), seed).0.unwrap();
    let text: Vec<String> = outcome.scores.iter().map(|score| score.to_bits().to_string()).collect();
    std::fs::write(base.join("west.scores"), text.join(",")).unwrap();
}

/// An attempt with west in a process of its own, which is killed as soon as it has saved a state, if one is given. The outcomes
/// of the two others.
fn attempt_with_a_process(base: &Path, seed: u64, kill_at: Option<u32>) -> Vec<Result<Outcome, Error>> {
    let listen = || TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let (north, east, between) = (listen(), listen(), listen());
    let mut west = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "checkpoints::west_alone", "--ignored", "--nocapture"])
        .env("BASE", base)
        .env("PORTS", format!("{},{}", port(&north), port(&east)))
        .env("SEED", seed.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let to_east = TcpStream::connect(("127.0.0.1", port(&between))).unwrap();
    let to_north = between.accept().unwrap().0;
    let from_west = [north, east].map(|listener| Some(listener.accept().unwrap().0));
    let [west_north, west_east] = from_west;
    let wires = [
        Socket::new(0, [None, Some(to_east), west_north]),
        Socket::new(1, [Some(to_north), None, west_east]),
    ];
    std::thread::scope(|scope| {
        let start =
            |(mut wire, network)| scope.spawn(move || bank(&SHARES, &mut wire, base, network, seed).0);
        let threads: Vec<_> = wires.into_iter().zip(networks()).map(start).collect();
        if let Some(position) = kill_at {
            let file = folder(base, 2).join(format!("position-{position:05}.checkpoint"));
            while !file.exists() && west.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
            // SIGKILL on Unix.
            west.kill().unwrap();
        }
        west.wait().unwrap();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_killed_process_goes_on() {
    // After the agreement, each iteration, packing, the commitments, the announcements and the plaintexts.
    for position in [0, 1, 2, 4, 5, 6, 7] {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        let mut found: Vec<Option<Outcome>> = Vec::new();
        for outcome in attempt_with_a_process(base, 1, Some(position)) {
            found.push(outcome.ok());
        }
        let gone = (0..2).any(|bank| found[bank].is_some() && kept(base, bank).is_empty());
        if !gone {
            let again = attempt_with_a_process(base, 2, None);
            for (found, again) in found.iter_mut().zip(again) {
                *found = Some(again.unwrap_or_else(|error| panic!("killed at {position}: {error}")));
            }
        }
        let mut scores = Vec::new();
        for (bank, found) in found.into_iter().enumerate() {
            scores.push(found.map_or_else(|| recovered(base, bank), |outcome| outcome.scores));
        }
        scores.push(match std::fs::read_to_string(base.join("west.scores")) {
            Ok(text) => text.split(',').map(|bits| f64::from_bits(bits.parse().unwrap())).collect(),
            Err(_) => recovered(base, 2),
        });
        check_scores(&scores);
    }
}

/// Scores of a bank that had ended when it was stopped, while the others are gone.
fn recovered(base: &Path, bank: usize) -> Vec<f64> {
    let mut store = FileStore::open(folder(base, bank)).unwrap();
    let roster = Roster::new((0..3).map(bank_name), PartyId::new(u16::try_from(bank).unwrap())).unwrap();
    let network = networks().remove(bank);
    Propagation::new(&SHARES[bank], network)
        .settings(settings())
        .checkpoints(&mut store)
        .recover(&roster)
        .unwrap()
        .unwrap()
        .scores
}

/// All banks' scores against the plaintext reference.
fn check_scores(scores: &[Vec<f64>]) {
    let agreed = Agreed::among(networks()).unwrap();
    let degree = networks().iter().map(Network::greatest_in_degree).max().unwrap();
    let sizes = NetworkSizes {
        key_bits: 512,
        columns: 1,
        in_degree_bits: in_degree_bits(degree),
        active_periods: vec![true],
        noise_contributors: 2,
    };
    let plan = Plan::new(&sizes, &settings()).unwrap();
    let twin = plaintext::propagate(&agreed, &plan).unwrap();
    let exact: Vec<Vec<f64>> = twin.iter().map(|twin| plaintext::disclosed(twin, &plan).unwrap()).collect();
    let difference = plaintext::largest_difference(scores, &exact);
    assert!(difference <= plan.noise_error() + 2.0 * plan.grid_error(), "{difference}");
}

/// West pays east, and east pays north: nobody pays west.
fn chain() -> Vec<Network> {
    let accounts = (0..3).map(|bank| (0..3).map(|id| (id, id * 9 + bank * 3)).collect()).collect();
    let rows =
        [(2, 1), (1, 0)].into_iter().flat_map(|(from, to)| (0..3).map(move |id| (from, id, to, id, 5)));
    Raw::consistent(3, accounts, vec![rows.collect()]).networks()
}

#[test]
fn banks_that_nobody_pays_do_not_run_ahead_of_what_others_can_go_back_to() {
    let networks = chain();
    let run = |wires: Vec<MemoryTransport>, base: &Path, seed: u64| {
        run_network(wires, |me, mut wire| {
            bank(&SHARES, &mut wire, base, networks[me.index()].clone(), seed).0
        })
    };
    let mut resumed = 0;
    for frames in 2.. {
        let base = tempfile::tempdir().unwrap();
        let builder = MemoryNetwork::builder((0..3).map(bank_name));
        let cut = builder.intercept(disconnect_after(PartyId::new(1), frames)).build().unwrap();
        if run(cut, base.path(), 1).iter().any(Result::is_ok) {
            break;
        }
        // States of a run of three iterations, the earliest first.
        let place = |latest: &u32| [0, 1, 2, 4, 5, 6, 7].iter().position(|state| state == latest).unwrap();
        let latest: Vec<usize> =
            (0..3).filter_map(|bank| kept(base.path(), bank).last().map(place)).collect();
        if latest.len() == 3 {
            assert!(latest.iter().max().unwrap() - latest.iter().min().unwrap() <= 1, "{latest:?}");
            resumed += 1;
        }
        for result in run(wires(), base.path(), 2) {
            result.unwrap_or_else(|error| panic!("frame {frames}, {latest:?}: {error}"));
        }
    }
    assert!(resumed >= 5, "{resumed}");
}
