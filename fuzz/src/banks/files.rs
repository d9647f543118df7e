//! Ciphertexts, key files, checkpoints, lists, configurations, audit trails, and what travels inside TLS.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use sha2::{Digest, Sha256};

use super::setting::{SETTING, Setting, seeded};
use super::spoil::patched;
use subrosa_encoding::Hasher;
use subrosa_paillier::{Blinder, CiphertextBatch, KeyId, PublicKey, Randomness};
use subrosa_risk_propagation::audit::Index;
use subrosa_risk_propagation::checkpoint::{CheckpointError, CheckpointStore, WriteBytes};
use subrosa_risk_propagation::record::{Kind, Reader, Record};
use subrosa_risk_propagation::{self as propagation, Banks, data};
use subrosa_threshold_decryption::{ThresholdKey, storage};
use subrosa_transport::testing::{self, run_parties};
use subrosa_transport::{Limits, PartyId, Roster, Session};

/// A batch of ciphertexts that is accepted.
static CIPHERTEXTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key = SETTING.shares[0].key().public();
    let blinder = Blinder::new(key, Randomness::Short, 1 << 16).unwrap();
    let all: Vec<_> = (0..3).map(|m| blinder.encrypt(&m.into(), &mut seeded(7)).unwrap()).collect();
    postcard::to_stdvec(&CiphertextBatch::new(key, &all).unwrap()).unwrap()
});

/// Batches of ciphertexts: as they are, and a valid one with patches.
pub fn ciphertexts(input: &[u8]) {
    let key = SETTING.shares[0].key().public();
    let look = |bytes: &[u8]| {
        let batch = postcard::from_bytes::<CiphertextBatch>(bytes).ok()?;
        let accepted = batch.accept(key).ok()?;
        assert!(accepted.iter().all(|ciphertext| key.check(ciphertext).is_ok()));
        Some(accepted.len())
    };
    look(input);
    let accepted = look(&patched(&CIPHERTEXTS, input));
    assert!(!input.is_empty() || accepted == Some(3));
}

/// Key files and public keys: as they are, and spoiled ones whose checksum is right.
pub fn key_files(input: &[u8]) {
    let look = |bytes: &[u8]| {
        let _ = storage::inspect(bytes);
        let _ = storage::read_unencrypted(bytes);
        let _ = ThresholdKey::from_bytes(bytes);
        if let Ok(key) = PublicKey::from_bytes_insecure(bytes) {
            assert_eq!(key.to_bytes(), bytes);
        }
        // The passphrase's key takes its time by design: only what is refused before that is tried.
        if !storage::inspect(bytes).is_ok_and(|info| info.is_encrypted()) {
            let _ = storage::unseal(bytes, b"guess");
        }
    };
    look(input);
    let share = &SETTING.shares[1];
    let file = storage::expose_unencrypted(share).unwrap();
    for valid in [&file[..], &share.key().to_bytes().unwrap(), &share.key().public().to_bytes()] {
        let mut bytes = patched(&valid[..valid.len() - 32], input);
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        look(&bytes);
    }
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

    fn used(&self, _: KeyId) -> Result<Option<[u8; 32]>, CheckpointError> {
        Ok(None)
    }

    fn mark_used(&mut self, _: KeyId, _: &[u8; 32]) -> Result<(), CheckpointError> {
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
            Session::open(&mut transport, propagation::PROTOCOL, &fields, Limits::new(), &mut rng).unwrap();
        let mut quiet = |_: &propagation::Event<'_>| ();
        if me.index() == 0 {
            let mut store = Memory::default();
            propagation::Propagation::new(share, network)
                .settings(choices.clone())
                .checkpoints(&mut store)
                .progress(&mut quiet)
                .run_in(&mut session, &mut rng)
        } else {
            propagation::Propagation::new(share, network)
                .settings(choices.clone())
                .progress(&mut quiet)
                .run_in(&mut session, &mut rng)
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
        propagation::Propagation::new(&shares[0], networks[0].clone())
            .settings(choices.clone())
            .checkpoints(&mut store)
            .recover(&roster)
    };
    let _ = look(input.to_vec());
    // Files of less than a block have one checksum over all.
    let mut bytes = patched(&valid[..valid.len() - 32], input);
    let checksum = Hasher::new("subrosa/risk-propagation/checkpoint", 2).field("end", &bytes).finish();
    bytes.extend_from_slice(&checksum);
    let result = look(bytes);
    assert!(!input.is_empty() || result.is_ok(), "the unspoiled checkpoint is refused: {result:?}");
}

/// Lists of accounts and of transfers.
pub fn csv(input: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("input.csv");
    std::fs::write(&file, input).unwrap();
    let banks = Banks::new(["amber", "birch"]).unwrap();
    let own = banks.find("amber").unwrap();
    let _ = data::read_accounts(&file, banks.clone(), own).map(propagation::NetworkBuilder::finish);
    std::fs::write(folder.path().join("accounts.csv"), "id,risk_score\nA1,0.5\nA2,0\n").unwrap();
    let mut builder = data::read_accounts(&folder.path().join("accounts.csv"), banks, own).unwrap();
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
    if let Ok(report) = subrosa_node::audit::verify(text) {
        let _ = report.summary();
        let _ = subrosa_node::audit::compare(&[report.clone(), report]);
    }
}

/// Records of runs: as they are, and a short valid one with patches. Whatever is read, reading ends.
pub fn run_records(input: &[u8]) {
    let look = |bytes: &[u8]| {
        let roster = Roster::new(["north", "east", "west"], PartyId::new(0)).unwrap();
        let Ok(mut reader) = Reader::new(std::io::Cursor::new(bytes)) else { return };
        if let Ok(index) = Index::read(&mut reader, &roster) {
            let entries: usize = index.sessions().iter().map(|session| session.hashes.len()).sum();
            assert!(entries * 7 <= bytes.len());
            assert!(index.runs().iter().all(|run| !index.sessions_of(*run).is_empty()));
        }
    };
    look(input);
    let mut record = Record::new(Vec::new()).unwrap();
    record.begin("subrosa/risk-propagation").unwrap();
    for party in [1, 2].map(PartyId::new) {
        record.frame(Kind::Sent, party, &[7; 130]).unwrap();
        record.frame(Kind::Received, party, &[8; 130]).unwrap();
    }
    look(&patched(&record.into_inner(), input));
}

/// What travels inside a TLS connection, in pieces of every size: the first byte chooses it.
pub fn records(input: &[u8]) {
    const LIMIT: usize = 1000;
    let Some((piece, input)) = input.split_first() else { return };
    let read = |piece| testing::read_tls(input, LIMIT, piece);
    let frames = read(1 + usize::from(*piece));
    // How the bytes are cut does not matter.
    assert_eq!(frames, read(usize::MAX));
    let frames = frames.unwrap_or_default();
    assert!(frames.iter().all(|frame| frame.len() <= LIMIT));
    assert!(frames.iter().map(Vec::len).sum::<usize>() <= input.len());
}
