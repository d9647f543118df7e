//! One function for each kind of bytes from outside: whatever the bytes, it returns. A panic, a hang or memory without
//! bound is a finding.
//!
//! The fuzz targets call these, and so does a test of `bank-node` with arbitrary bytes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subrosa_arith::hash::Hasher;
use subrosa_distributed_paillier::{self as keygen, KeygenParameters};
use subrosa_paillier::{Blinder, CiphertextBatch, PrivateKey, Randomness};
use subrosa_risk_propagation::checkpoint::{CheckpointError, CheckpointStore, WriteBytes};
use subrosa_risk_propagation::generate::{Shape, generate};
use subrosa_risk_propagation::{self as propagation, Banks, Network, Settings as Choices, data};
use subrosa_threshold_decryption::{Access, KeyShare, dealer, storage};
use subrosa_transport::{
    Deadline, Fault, Malformed, Message, Parameters, PartyId, Protocol, Roster, Session, Settings, Transport,
    TransportError, testing::run_parties,
};

/// How the bytes of an input spoil one frame.
#[derive(Debug)]
struct Spoiled {
    /// Which frame, of all that are received.
    nth: u16,
    /// Where in the frame.
    at: u16,
    bytes: Vec<u8>,
    /// 0: overwrite; 1: cut there; 2: insert there; 3: the frame is these bytes; 4: send it twice.
    how: u8,
}

/// Splits an input into spoiled frames: number, place, manner, length and bytes of each.
fn spoiled(mut input: &[u8]) -> Vec<Spoiled> {
    let mut all = Vec::new();
    while let [nth, high, low, how, length, rest @ ..] = input {
        let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        let (nth, at) = (u16::from(*nth), u16::from_be_bytes([*high, *low]));
        all.push(Spoiled { nth, at, bytes: bytes.to_vec(), how: how % 5 });
        input = rest;
    }
    all
}

/// A network on which every peer answers with what I sent it, under its own name: the shortest way to well-formed
/// frames in any round. Some of them are spoiled.
struct Mirror {
    roster: Roster,
    waiting: BTreeMap<PartyId, VecDeque<Vec<u8>>>,
    spoiled: Vec<Spoiled>,
    count: u16,
}

impl Mirror {
    fn new(names: &[&str], input: &[u8]) -> Self {
        let roster = Roster::new(names.iter().copied(), PartyId::new(0)).unwrap();
        Self { roster, waiting: BTreeMap::new(), spoiled: spoiled(input), count: 0 }
    }
}

impl Transport for Mirror {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        let mut frame = frame.to_vec();
        if let Some(sender) = frame.get_mut(6..8) {
            sender.copy_from_slice(&u16::try_from(to.index()).unwrap().to_le_bytes());
        }
        let (number, queue) = (self.count, self.waiting.entry(to).or_default());
        self.count = self.count.saturating_add(1);
        for Spoiled { at, bytes, how, .. } in self.spoiled.iter().filter(|spoiled| spoiled.nth == number) {
            let at = usize::from(*at).min(frame.len());
            match how {
                0 => frame[at..].iter_mut().zip(bytes).for_each(|(byte, new)| *byte = *new),
                1 => frame.truncate(at),
                2 => drop(frame.splice(at..at, bytes.iter().copied())),
                3 => frame = bytes.clone(),
                _ => queue.push_back(frame.clone()),
            }
        }
        queue.push_back(frame);
        Ok(())
    }

    fn receive(&mut self, from: PartyId, _: Deadline) -> Result<Vec<u8>, TransportError> {
        let next = self.waiting.get_mut(&from).and_then(VecDeque::pop_front);
        next.ok_or_else(|| TransportError::new(&self.roster, from, Fault::Disconnected))
    }
}

fn patience() -> Settings {
    Settings::new().with_timeout(Duration::from_millis(200)).with_max_frame(1 << 20)
}

fn seeded(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

#[derive(Debug, Serialize, Deserialize)]
struct Words(Vec<String>);

impl Message for Words {
    const ROUND: &'static str = "fuzz/words";
    type Shape = usize;

    fn max_bytes(count: &usize) -> usize {
        10 + 40 * count
    }

    fn check(&self, count: &usize) -> Result<(), Malformed> {
        if self.0.len() == *count { Ok(()) } else { Err(Malformed::new("another number of words")) }
    }
}

/// Frames of a session: header, greeting, messages, echoes, aborts.
pub fn frames(input: &[u8]) {
    let mut network = Mirror::new(&["anna", "bert", "carla"], input);
    let words = Words(vec!["one".to_owned(), "two".to_owned()]);
    let protocol = Protocol { name: "fuzz", version: 1 };
    let parameters = Parameters::new().with("bits", 5);
    let Ok(mut session) = Session::open(&mut network, protocol, &parameters, patience(), &mut seeded(1))
    else {
        return;
    };
    let _ = session.broadcast(&words, &2).and_then(|_| session.confirm());
    let _ = session.exchange(|_| Some(Words(vec!["three".to_owned()])), |_| true, &1);
    let _ = session.collect(|_| Some(Words(Vec::new())), |_| true, 1, &0);
}

/// Every message of key generation, as far as mirrored messages lead.
pub fn keygen_rounds(input: &[u8]) {
    let mut network = Mirror::new(&["anna", "bert", "carla"], input);
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap();
    let mut rng = seeded(2);
    let fields = parameters.session_parameters();
    let session = Session::open(&mut network, keygen::PROTOCOL, &fields, patience(), &mut rng);
    // A few batches: mirrored shares lead to no key.
    let mut batches = 0;
    let Ok(mut session) = session else { return };
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        keygen::generate(&mut session, &parameters, &mut rng, |_| {
            batches += 1;
            if batches > 3 {
                std::panic::resume_unwind(Box::new(Enough));
            }
        })
        .map(drop)
    }))
    .map_err(|panic| {
        if !panic.is::<Enough>() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Ends a run that would go on for long.
struct Enough;

/// Small banks with a dealt key.
struct Setting {
    shares: Vec<KeyShare>,
    networks: Vec<Network>,
    choices: Choices,
}

static SETTING: LazyLock<Setting> = LazyLock::new(|| {
    let private = PrivateKey::generate_insecure(512, &mut seeded(3)).unwrap();
    let shares = dealer::deal(&private, Access::new(3, 1).unwrap(), &mut seeded(4)).unwrap();
    let shape = Shape { accounts: 12, transfers: 40, chains: 1, chain_length: 3, ..Shape::default() };
    let shape = Shape { banks: (1..=3).map(|n| format!("party-{n}")).collect(), ..shape };
    let networks = generate(&shape, &mut seeded(5)).unwrap().networks().unwrap();
    Setting { shares, networks, choices: Choices { iterations: 2, accuracy: 1e-3, ..Choices::default() } }
});

/// Every message of the propagation, as far as mirrored messages lead.
pub fn propagation_rounds(input: &[u8]) {
    let Setting { shares, networks, choices } = &*SETTING;
    let mut network = Mirror::new(&["party-1", "party-2", "party-3"], input);
    let mut rng = seeded(6);
    let fields = propagation::parameters(shares[0].key(), networks[0].columns(), choices);
    let session = Session::open(&mut network, propagation::PROTOCOL, &fields, patience(), &mut rng);
    let Ok(mut session) = session else { return };
    let own = networks[0].clone();
    // A mirror of one's own transfers is no bank's view of them, so hashes are not compared.
    let choices = Choices { mismatch: propagation::Mismatch::LeaveOut, ..choices.clone() };
    let _ = propagation::propagate(&mut session, &shares[0], own, &choices, &mut rng, &mut |_| ());
}

/// Batches of ciphertexts.
pub fn ciphertexts(input: &[u8]) {
    let key = SETTING.shares[0].key().public();
    let Ok(batch) = postcard::from_bytes::<CiphertextBatch>(input) else { return };
    if let Ok(accepted) = batch.accept(key) {
        assert!(accepted.iter().all(|ciphertext| key.check(ciphertext).is_ok()));
    }
}

/// A batch that is accepted, for the corpus.
pub fn valid_ciphertexts() -> Vec<u8> {
    let key = SETTING.shares[0].key().public();
    let blinder = Blinder::new(key, Randomness::Short, 1 << 16).unwrap();
    let all: Vec<_> = (0..3).map(|m| blinder.encrypt(&m.into(), &mut seeded(7)).unwrap()).collect();
    postcard::to_stdvec(&CiphertextBatch::new(key, &all).unwrap()).unwrap()
}

/// Overwrites places of a valid file: place, length and bytes of each patch.
fn patched(valid: &[u8], mut input: &[u8]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    while let [high, low, length, rest @ ..] = input {
        let (patch, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        let at = usize::from(u16::from_be_bytes([*high, *low])) % (bytes.len() + 1);
        if patch.is_empty() {
            bytes.truncate(at);
        }
        bytes[at..].iter_mut().zip(patch).for_each(|(byte, new)| *byte = *new);
        input = rest;
    }
    bytes
}

/// Key files: as they are, and spoiled ones whose checksum is right.
pub fn key_files(input: &[u8]) {
    let look = |bytes: &[u8]| {
        let _ = storage::inspect(bytes);
        let _ = storage::read_unencrypted(bytes);
        // The passphrase's key takes its time by design: only what is refused before that is tried.
        if !storage::inspect(bytes).is_ok_and(|info| info.is_encrypted()) {
            let _ = storage::unseal(bytes, b"guess");
        }
    };
    look(input);
    let valid = storage::expose_unencrypted(&SETTING.shares[1]).unwrap();
    let mut bytes = patched(&valid[..valid.len() - 32], input);
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    look(&bytes);
}

/// Checkpoints in memory.
#[derive(Clone, Default)]
struct Memory(BTreeMap<u32, Vec<u8>>);

impl CheckpointStore for Memory {
    fn positions(&self) -> Result<Vec<u32>, CheckpointError> {
        Ok(self.0.keys().copied().collect())
    }

    fn name(&self, position: u32) -> String {
        position.to_string()
    }

    fn read(&self, position: u32) -> Result<Box<dyn Read + '_>, CheckpointError> {
        Ok(Box::new(self.0.get(&position).map_or(&[][..], Vec::as_slice)))
    }

    fn write(&mut self, position: u32, bytes: &mut WriteBytes<'_>) -> Result<(), CheckpointError> {
        let mut written = Vec::new();
        bytes(&mut written).unwrap();
        self.0.insert(position, written);
        ALL_CHECKPOINTS.lock().unwrap().insert(position, self.0[&position].clone());
        Ok(())
    }

    fn remove(&mut self, position: u32) -> Result<(), CheckpointError> {
        self.0.remove(&position);
        Ok(())
    }
}

/// Every checkpoint that the first bank wrote in a whole run.
static ALL_CHECKPOINTS: Mutex<BTreeMap<u32, Vec<u8>>> = Mutex::new(BTreeMap::new());

static CHECKPOINTS: LazyLock<Vec<(u32, Vec<u8>)>> = LazyLock::new(|| {
    let Setting { shares, networks, choices } = &*SETTING;
    run_parties(3, |me, mut transport| {
        let (share, network) = (&shares[me.index()], networks[me.index()].clone());
        let mut rng = seeded(8 + me.index() as u64);
        let fields = propagation::parameters(share.key(), network.columns(), choices);
        let mut session =
            Session::open(&mut transport, propagation::PROTOCOL, &fields, Settings::new(), &mut rng).unwrap();
        let mut quiet = |_: &propagation::Event<'_>| ();
        if me.index() == 0 {
            let mut store = Memory::default();
            propagation::propagate_with(
                &mut session,
                share,
                network,
                choices,
                &mut store,
                &mut rng,
                &mut quiet,
            )
        } else {
            propagation::propagate(&mut session, share, network, choices, &mut rng, &mut quiet)
        }
        .unwrap();
    });
    ALL_CHECKPOINTS.lock().unwrap().clone().into_iter().collect()
});

/// Checkpoints: as they are, and spoiled ones whose checksum is right.
pub fn checkpoints(input: &[u8]) {
    let Setting { shares, networks, choices } = &*SETTING;
    let Some((which, input)) = input.split_first() else { return };
    let (position, valid) = &CHECKPOINTS[usize::from(*which) % CHECKPOINTS.len()];
    let roster = Roster::new(["party-1", "party-2", "party-3"], PartyId::new(0)).unwrap();
    let look = |bytes: Vec<u8>| {
        let mut store = Memory([(*position, bytes)].into());
        propagation::recover(&roster, &shares[0], networks[0].clone(), choices, &mut store)
    };
    let _ = look(input.to_vec());
    // Files of less than a block have one checksum over all.
    let mut bytes = patched(&valid[..valid.len() - 32], input);
    let checksum = Hasher::new("subrosa/risk-propagation/checkpoint", 1).field("end", &bytes).finish();
    bytes.extend_from_slice(&checksum);
    let result = look(bytes);
    assert!(!input.is_empty() || result.is_ok(), "the unspoiled checkpoint is refused: {result:?}");
}

/// Lists of accounts and of transfers.
pub fn csv(input: &[u8]) {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let file = FOLDER.path().join("input.csv");
    std::fs::write(&file, input).unwrap();
    let banks = Banks::new(["amber", "birch"]).unwrap();
    let own = banks.find("amber").unwrap();
    let _ = data::read_accounts(&file, banks.clone(), own).map(propagation::NetworkBuilder::finish);
    std::fs::write(FOLDER.path().join("accounts.csv"), "id,risk_score\nA1,0.5\nA2,0\n").unwrap();
    let mut builder = data::read_accounts(&FOLDER.path().join("accounts.csv"), banks, own).unwrap();
    let _ = data::read_transfers(&file, 0, &mut builder);
    let _ = builder.finish();
}

/// Configuration files of `bank-node`.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = bank_node::config::Config::parse(Path::new("bank.toml"), text);
}

/// Audit trails of `bank-node`.
pub fn audit(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(report) = bank_node::audit::verify(text) {
        let _ = report.summary();
        let _ = bank_node::audit::compare(&[report.clone(), report]);
    }
}
