//! Propagation among three banks in one process, over networks of growing size: CPU time and memory per account.
//!
//! `cargo bench -p subrosa-benches --bench propagation` measures 20,000, 100,000 and 500,000 accounts with a key of 1,024 bits;
//! `… -- --key-bits 2048 20000 50000` measures what it is given. The key comes from a dealer, which takes no part in the
//! times. Three iterations, six transfers to an account, like IBM AMLSim's sample.
//!
//! `… -- --proofs --key-bits 2048 20000` measures what proofs of decryption cost a run.
//!
//! `… -- --hub 80000 --key-bits 2048` measures the memory that an iteration takes above what a bank holds, with an account that so
//! many accounts of another bank pay.
//!
//! `… -- --recompute --key-bits 2048 20000` records a run and computes all banks' parts again, as their auditors do.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use subrosa_benches::{peak_memory, reset_peak_memory};
use subrosa_paillier::{Blinder, KeyId, PrivateKey};
use subrosa_risk_propagation::audit::{End, Subject, recompute};
use subrosa_risk_propagation::checkpoint::{CheckpointError, WriteBytes};
use subrosa_risk_propagation::record::{Reader, Record, Recording, Seeds};
use subrosa_risk_propagation::steps::in_degree_bits;
use subrosa_risk_propagation::steps::scores::{Encrypted, Received};
use subrosa_risk_propagation::synthetic::{NetworkShape, generate};
use subrosa_risk_propagation::{
    Agreed, Banks, CheckpointStore, Network, NetworkBuilder, NetworkSizes, Outcome, PROTOCOL, Plan,
    Propagation, RunSeed, Settings, Transfer, parameters,
};
use subrosa_threshold_decryption::protocol::Checks;
use subrosa_threshold_decryption::{AccessStructure, KeyShare, dealer};
use subrosa_transport::testing::run_network;
use subrosa_transport::{Limits, MemoryNetwork, PartyId, Roster, Session};

/// Cost per account may grow by this much from the smallest network to the largest.
const REACH: f64 = 1.2;

struct Run {
    cpu: f64,
    wall: f64,
    decrypted: usize,
    ciphertexts: usize,
    megabytes: f64,
    /// Bytes at the worst moment, networks included.
    memory: u64,
}

/// From networks to disclosed scores.
fn run(shares: &[KeyShare], accounts: usize, settings: &Settings) -> Run {
    reset_peak_memory();
    let shape =
        NetworkShape { accounts, transfers: accounts * 6, chains: accounts / 100, ..NetworkShape::default() };
    let generated = generate(&shape, &mut subrosa_benches::rng(accounts as u64)).unwrap();
    let networks: Vec<Mutex<Option<Network>>> =
        generated.networks().unwrap().into_iter().map(|network| Mutex::new(Some(network))).collect();
    drop(generated);
    reset_peak_memory();
    let wires = MemoryNetwork::builder(shape.banks.iter().cloned()).build().unwrap();
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    let outcomes = run_network(wires, |me, mut wire| {
        let share = &shares[me.index()];
        let network = networks[me.index()].lock().unwrap().take().unwrap();
        let mut rng = subrosa_benches::rng(me.index() as u64);
        let fields = parameters(share.key(), network.columns(), settings);
        // All work is done in this process, so waiting is computing.
        let limits = Limits::new().with_timeout(Duration::from_secs(24 * 3600));
        let mut session = Session::open(&mut wire, PROTOCOL, &fields, limits, &mut rng).unwrap();
        let outcome = Propagation::new(share, network)
            .settings(settings.clone())
            .run_in(&mut session, &mut rng)
            .unwrap();
        (outcome, session.counters().total().bytes_sent)
    });
    let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(|(outcome, _)| of(outcome)).sum();
    Run {
        cpu: cpu.elapsed().as_secs_f64(),
        wall: wall.elapsed().as_secs_f64(),
        decrypted: sum(|outcome| outcome.decrypted_accounts),
        ciphertexts: sum(|outcome| outcome.ciphertexts),
        megabytes: outcomes.iter().map(|(_, bytes)| *bytes as f64).sum::<f64>() / 1e6,
        memory: peak_memory(),
    }
}

/// A run with proofs may take so many times the processor time of one without.
const PROOFS_REACH: f64 = 1.10;

/// Runs with and without proofs of decryption, one after the other; the median ratio counts. All other checks are in both: they
/// have no switch.
fn proofs(shares: &[KeyShare], key_bits: u64, sizes: &[usize]) {
    const PAIRS: usize = 3;
    println!("\n## Proofs of decryption, k = {key_bits}, three banks together, median of {PAIRS} pairs\n");
    println!("| accounts | CPU with a quorum alone | with proofs | ratio | target |");
    println!("| ---: | ---: | ---: | ---: | --- |");
    let quorum = Settings { checks: Checks::Quorum, ..Settings::default() };
    for &accounts in sizes {
        let pair = |_| (run(shares, accounts, &quorum).cpu, run(shares, accounts, &Settings::default()).cpu);
        let mut pairs: Vec<(f64, f64)> = (0..PAIRS).map(pair).collect();
        pairs.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
        let (without, with) = pairs[PAIRS / 2];
        let ratio = with / without;
        println!(
            "| {accounts} | {without:.1} s | {with:.1} s | {ratio:.3} | ≤ {PROOFS_REACH} {} |",
            if ratio <= PROOFS_REACH { "met" } else { "MISSED" },
        );
    }
}

/// Recomputing a bank may take so many times what the run took that bank.
const RECOMPUTE_REACH: f64 = 1.2;

/// Keeps a run's states and its seed in memory.
#[derive(Default)]
struct Store {
    states: BTreeMap<u32, Vec<u8>>,
    seeds: Seeds,
}

impl CheckpointStore for Store {
    fn positions(&self) -> Result<Vec<u32>, CheckpointError> {
        Ok(self.states.keys().copied().collect())
    }

    fn name(&self, position: u32) -> String {
        position.to_string()
    }

    fn read(&self, position: u32) -> Result<Box<dyn Read + '_>, CheckpointError> {
        Ok(Box::new(&self.states[&position][..]))
    }

    fn write(&mut self, position: u32, bytes: &mut WriteBytes<'_>) -> Result<(), CheckpointError> {
        let mut out = Vec::new();
        bytes(&mut out).unwrap();
        self.states.insert(position, out);
        Ok(())
    }

    fn remove(&mut self, position: u32) -> Result<(), CheckpointError> {
        self.states.remove(&position);
        Ok(())
    }

    fn keep_seed(&mut self, run: &[u8; 32], seed: &RunSeed) -> Result<(), CheckpointError> {
        self.seeds.insert(*run, seed.clone());
        Ok(())
    }

    fn used(&self, _: KeyId) -> Result<Option<[u8; 32]>, CheckpointError> {
        Ok(None)
    }

    fn mark_used(&mut self, _: KeyId, _: &[u8; 32]) -> Result<(), CheckpointError> {
        Ok(())
    }
}

/// CPU seconds of a recorded run of all banks, of computing each bank's part again, and the bytes of all records.
fn run_and_recompute(shares: &[KeyShare], accounts: usize) -> (f64, Vec<f64>, usize) {
    let shape =
        NetworkShape { accounts, transfers: accounts * 6, chains: accounts / 100, ..NetworkShape::default() };
    let generated = generate(&shape, &mut subrosa_benches::rng(accounts as u64)).unwrap();
    let networks = generated.networks().unwrap();
    let wires = MemoryNetwork::builder(shape.banks.iter().cloned()).build().unwrap();
    let settings = Settings::default();
    let cpu = ProcessTime::now();
    let kept = run_network(wires, |me, wire| {
        let (share, network) = (&shares[me.index()], networks[me.index()].clone());
        let mut rng = subrosa_benches::rng(me.index() as u64);
        let fields = parameters(share.key(), network.columns(), &settings);
        let limits = Limits::new().with_timeout(Duration::from_secs(24 * 3600));
        let record = Record::new(Vec::new()).unwrap();
        let mut wire = Recording::new(wire, record, PROTOCOL.name).unwrap();
        let mut store = Store::default();
        let mut session = Session::open(&mut wire, PROTOCOL, &fields, limits, &mut rng).unwrap();
        Propagation::new(share, network)
            .settings(settings.clone())
            .checkpoints(&mut store)
            .run_in(&mut session, &mut rng)
            .unwrap();
        (wire.into_record().into_inner(), store.seeds)
    });
    let run = cpu.elapsed().as_secs_f64();
    let bytes = kept.iter().map(|(frames, _)| frames.len()).sum();
    let again = kept.into_iter().enumerate().map(|(me, (frames, seeds))| {
        let me = PartyId::new(u16::try_from(me).unwrap());
        let roster = Roster::new(shape.banks.iter().cloned(), me).unwrap();
        let (network, key) = (&networks[me.index()], shares[0].key());
        let subject = Subject { network, settings: &settings, key, roster: &roster, seeds: &seeds };
        let cpu = ProcessTime::now();
        let mut frames = Reader::new(Cursor::new(frames)).unwrap();
        let recomputed = recompute(&subject, &mut frames, None).unwrap();
        assert!(recomputed.differences.is_empty(), "{:?}", recomputed.differences);
        assert!(matches!(recomputed.attempts[0].end, End::Decrypted { unproven: 0, .. }));
        cpu.elapsed().as_secs_f64()
    });
    (run, again.collect(), bytes)
}

fn recomputations(shares: &[KeyShare], key_bits: u64, sizes: &[usize]) {
    println!("\n## A run computed again, k = {key_bits}, three banks\n");
    println!(
        "| accounts | CPU of the run, by bank | of computing a bank again | to the run | target | records, by bank |"
    );
    println!("| ---: | ---: | ---: | ---: | --- | ---: |");
    for &accounts in sizes {
        let (run, again, bytes) = run_and_recompute(shares, accounts);
        let (each, most) = (run / 3.0, again.iter().copied().fold(0.0, f64::max));
        let ratio = most / each;
        println!(
            "| {accounts} | {each:.1} s | at most {most:.1} s | {ratio:.2} | ≤ {RECOMPUTE_REACH} {} | {:.0} MB |",
            if ratio <= RECOMPUTE_REACH { "met" } else { "MISSED" },
            bytes as f64 / 3e6,
        );
    }
}

/// An iteration of a bank of which one account has so many foreign senders, beside a thousand ordinary accounts.
fn hub(shares: &[KeyShare], senders: usize) {
    let names = ["amber", "birch", "coral"];
    let banks = Banks::new(names).unwrap();
    let networks = names.iter().map(|own| {
        let bank = banks.find(own).unwrap();
        let mut builder = NetworkBuilder::new(banks.clone(), bank, vec!["risk_score".to_owned()]);
        for number in 0..1000 {
            builder.account(&format!("{own}{number}"), &[0.5]).unwrap();
        }
        for number in 0..senders {
            let from = format!("s{number}");
            if *own == "birch" {
                builder.account(&from, &[0.5]).unwrap();
            }
            if *own != "coral" {
                let transfer = Transfer {
                    id_source: &from,
                    bank_source: "birch",
                    id_destination: "amber0",
                    bank_destination: "amber",
                    amount: 1000 + number as u64,
                };
                builder.transfer(0, &transfer).unwrap();
            }
        }
        builder.finish().unwrap()
    });
    let agreed = Agreed::among(networks.collect()).unwrap().swap_remove(0);
    let key = shares[0].key().public();
    let sizes = NetworkSizes {
        key_bits: usize::try_from(key.bits()).unwrap(),
        columns: 1,
        in_degree_bits: in_degree_bits(senders),
        active_periods: vec![true],
        noise_contributors: 2,
    };
    let plan = Plan::new(&sizes, &Settings::default()).unwrap();
    let blinder = Blinder::with_default_table(key).unwrap();
    let one = blinder.encrypt(&5.into(), &mut subrosa_benches::rng(5)).unwrap().into_inner();
    let mut received = Received::new(&agreed);
    let places: Vec<u32> = (0..u32::try_from(agreed.network().foreign_count()).unwrap()).collect();
    for places in places.chunks(1024) {
        received.insert(key, places, vec![one.clone(); places.len()]).unwrap();
    }
    let mut scores = Encrypted::initial(&agreed, &plan).unwrap();
    reset_peak_memory();
    let (before, cpu) = (peak_memory(), ProcessTime::now());
    scores.advance(&agreed, &plan, key, plan.steps()[0], received).unwrap();
    let (peak, seconds) = (peak_memory(), cpu.elapsed().as_secs_f64());
    println!(
        "{senders} senders of one account: {:.1} MB above the {:.0} MB that the bank holds, {seconds:.2} s of CPU time",
        (peak.saturating_sub(before)) as f64 / 1e6,
        before as f64 / 1e6
    );
}

fn main() {
    let (mut again, mut proven, mut senders) = (false, false, None);
    let (mut key_bits, mut sizes) = (1024, Vec::new());
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        if argument.strip_prefix("--") == Some("recompute") {
            again = true;
        } else if argument.strip_prefix("--") == Some("proofs") {
            proven = true;
        } else if argument.strip_prefix("--") == Some("hub") {
            senders = Some(arguments.next().unwrap().parse().unwrap());
        } else if argument == "--key-bits" {
            key_bits = arguments.next().unwrap().parse().unwrap();
        } else {
            sizes.push(argument.parse().unwrap());
        }
    }
    if sizes.is_empty() {
        sizes = vec![20_000, 100_000, 500_000];
    }
    let mut rng = subrosa_benches::rng(1);
    let private = PrivateKey::generate_insecure(key_bits, &mut rng).unwrap();
    let shares = dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng).unwrap();
    if let Some(senders) = senders {
        // What a bank of ordinary accounts takes, for comparison.
        hub(&shares, 10);
        hub(&shares, senders);
        return;
    }
    if proven {
        proofs(&shares, key_bits, &sizes);
        return;
    }
    if again {
        recomputations(&shares, key_bits, &sizes);
        return;
    }
    println!("\n## Propagation, k = {key_bits}, three banks together\n");
    println!(
        "| accounts | wall | CPU | CPU per account | to the first | target | memory | per account | decryptions per account \
         | sent |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |");
    let mut first = None;
    for accounts in sizes {
        let run = run(&shares, accounts, &Settings::default());
        let each = run.cpu / accounts as f64;
        let ratio = each / *first.get_or_insert(each);
        println!(
            "| {accounts} | {:.1} s | {:.1} s | {:.3} ms | {ratio:.2} | ≤ {REACH} {} | {:.0} MB | {:.2} KB | 1/{:.1} | {:.0} MB |",
            run.wall,
            run.cpu,
            each * 1e3,
            if ratio <= REACH { "met" } else { "MISSED" },
            run.memory as f64 / 1e6,
            run.memory as f64 / 1e3 / accounts as f64,
            accounts as f64 / run.ciphertexts.max(1) as f64,
            run.megabytes,
        );
        assert!(run.decrypted > accounts / 2, "most accounts are reached by foreign money");
    }
}
