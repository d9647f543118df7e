//! Propagation among three banks in one process, over networks of growing size: CPU time and memory per account.
//!
//! `cargo bench -p subrosa-benches --bench propagation` measures 20,000, 100,000 and 500,000 accounts with a key of 1,024 bits;
//! `… -- --key-bits 2048 20000 50000` measures what it is given. The key comes from a dealer, which takes no part in the
//! times. Three iterations, six transfers to an account, like IBM AMLSim's sample.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use subrosa_benches::{peak_memory, reset_peak_memory};
use subrosa_paillier::PrivateKey;
use subrosa_risk_propagation::generate::{Shape, generate};
use subrosa_risk_propagation::{Network, Outcome, PROTOCOL, Settings, parameters, propagate};
use subrosa_threshold_decryption::{Access, KeyShare, dealer};
use subrosa_transport::testing::run_network;
use subrosa_transport::{MemoryNetwork, Session, Settings as SessionSettings};

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
fn run(shares: &[KeyShare], accounts: usize) -> Run {
    reset_peak_memory();
    let shape = Shape { accounts, transfers: accounts * 6, chains: accounts / 100, ..Shape::default() };
    let generated = generate(&shape, &mut subrosa_benches::rng(accounts as u64)).unwrap();
    let networks: Vec<Mutex<Option<Network>>> =
        generated.networks().unwrap().into_iter().map(|network| Mutex::new(Some(network))).collect();
    drop(generated);
    reset_peak_memory();
    let wires = MemoryNetwork::builder(shape.banks.iter().cloned()).build().unwrap();
    let settings = Settings::default();
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    let outcomes = run_network(wires, |me, mut wire| {
        let share = &shares[me.index()];
        let network = networks[me.index()].lock().unwrap().take().unwrap();
        let mut rng = subrosa_benches::rng(me.index() as u64);
        let fields = parameters(share.key(), network.columns(), &settings);
        // All work is done in this process, so waiting is computing.
        let patience = SessionSettings::new().with_timeout(Duration::from_secs(24 * 3600));
        let mut session = Session::open(&mut wire, PROTOCOL, &fields, patience, &mut rng).unwrap();
        let outcome = propagate(&mut session, share, network, &settings, &mut rng, &mut |_| ()).unwrap();
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

fn main() {
    let (mut key_bits, mut sizes) = (1024, Vec::new());
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        if argument == "--key-bits" {
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
    let shares = dealer::deal(&private, Access::new(3, 1).unwrap(), &mut rng).unwrap();
    println!("\n## Propagation, k = {key_bits}, three banks together\n");
    println!(
        "| accounts | wall | CPU | CPU per account | to the first | reach | memory | per account | decryptions per account \
         | sent |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |");
    let mut first = None;
    for accounts in sizes {
        let run = run(&shares, accounts);
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
