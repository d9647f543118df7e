//! What distance costs: key generation and propagation among three banks over a simulated network with latency and
//! limited bandwidth, beside the same over a network without.
//!
//! ```sh
//! cargo run --release -p bank-node --example latency -- --data DIR
//! ```
//!
//! All banks share this machine's processors, so the processor time is that of all of them together, and the part of the
//! wall time that is waiting is what the delayed run takes longer than the undelayed one.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use cpu_time::ProcessTime;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use subrosa_distributed_paillier::{self as keygen, KeyShare, KeygenParameters, SecurityLevel};
use subrosa_risk_propagation::{self as propagation, Network, Settings, data};
use subrosa_transport::{
    Counters, MemoryNetwork, MemoryTransport, Session, Settings as Patience, testing::run_network,
};

/// Measures key generation and propagation over a network with latency.
#[derive(Debug, Parser)]
struct Options {
    /// Folder that holds one folder per bank; without one, only key generation is measured
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[arg(long, default_value_t = 2048)]
    key_bits: u64,
    /// One way, in milliseconds
    #[arg(long, default_value_t = 50)]
    latency: u64,
    /// Of each link in each direction, in millions of bits per second
    #[arg(long, default_value_t = 100)]
    bandwidth: u64,
    #[arg(long, default_value_t = 3)]
    iterations: u32,
    /// Candidates in a batch of key generation, instead of the library's choice; may be repeated
    #[arg(long)]
    batch: Vec<usize>,
    /// Key generations for each network and batch: the number of candidates is random, so one says little
    #[arg(long, default_value_t = 3)]
    keys: u64,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What one run took.
struct Row {
    what: String,
    rounds: u64,
    /// Of all banks together.
    bytes: u64,
    wall: Duration,
    /// Of all banks together.
    cpu: Duration,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    println!("| what | rounds | sent by all | wall | processor |");
    println!("| --- | --- | --- | --- | --- |");
    let far = Duration::from_millis(options.latency);
    let near = Duration::ZERO;
    let batches: Vec<Option<usize>> =
        if options.batch.is_empty() { vec![None] } else { options.batch.iter().copied().map(Some).collect() };
    let mut shares = Vec::new();
    for batch in batches {
        for seed in 0..options.keys {
            for latency in [near, far] {
                let (row, made) = generate(&options, latency, batch, seed)?;
                print(&row);
                shares = made;
            }
        }
    }
    if let Some(folder) = &options.data {
        let banks = data::banks_in(folder)?;
        let networks = banks
            .iter()
            .map(|bank| data::read_bank(folder, &banks, banks.name(bank)))
            .collect::<Result<Vec<_>, _>>()?;
        for latency in [near, far] {
            print(&propagate(&options, latency, &networks, &shares)?);
        }
    }
    Ok(())
}

fn print(row: &Row) {
    println!(
        "| {} | {} | {:.1} MB | {:.1} s | {:.1} s |",
        row.what,
        row.rounds,
        row.bytes as f64 / 1e6,
        row.wall.as_secs_f64(),
        row.cpu.as_secs_f64()
    );
}

fn wires(options: &Options, latency: Duration, names: &[&str]) -> Result<Vec<MemoryTransport>, Failure> {
    let builder = MemoryNetwork::builder(names.iter().copied());
    let bandwidth = if latency.is_zero() { 0 } else { options.bandwidth * 1_000_000 };
    Ok(builder.latency(latency).bandwidth(bandwidth).build()?)
}

fn label(what: &str, latency: Duration) -> String {
    if latency.is_zero() { what.to_owned() } else { format!("{what}, {} ms", latency.as_millis()) }
}

/// Runs all banks, each in a pool of threads of its own, and adds up.
fn measure<R: Send>(
    what: String,
    wires: Vec<MemoryTransport>,
    bank: impl Fn(usize, &mut MemoryTransport) -> Result<(R, Counters), Failure> + Sync,
) -> Result<(Row, Vec<R>), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (wall, cpu) = (Instant::now(), ProcessTime::now());
    let results = run_network(wires, |me, mut wire| -> Result<(R, Counters), Failure> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| bank(me.index(), &mut wire))
    });
    let (wall, cpu) = (wall.elapsed(), cpu.elapsed());
    let results = results.into_iter().collect::<Result<Vec<_>, _>>()?;
    let bytes = results.iter().map(|(_, counters)| counters.total().bytes_sent).sum();
    let rounds = results.first().map_or(0, |(_, counters)| counters.steps());
    Ok((Row { what, rounds, bytes, wall, cpu }, results.into_iter().map(|(result, _)| result).collect()))
}

fn generate(
    options: &Options,
    latency: Duration,
    batch: Option<usize>,
    seed: u64,
) -> Result<(Row, Vec<KeyShare>), Failure> {
    let bits = options.key_bits;
    let level = if bits < 2048 { SecurityLevel::Insecure } else { SecurityLevel::Secure };
    let mut what = format!("key generation, {bits} bits");
    if let Some(batch) = batch {
        what += &format!(", batches of {batch}");
    }
    let wires = wires(options, latency, &["one", "two", "three"])?;
    measure(label(&what, latency), wires, |me, wire| {
        let mut parameters = KeygenParameters::with_level(3, 1, bits, level)?;
        if let Some(batch) = batch {
            parameters = parameters.with_batch(batch);
        }
        // The same candidates with and without latency.
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(me as u64);
        let fields = parameters.session_parameters();
        let patience = Patience::new().with_timeout(Duration::from_secs(3600));
        let mut session = Session::open(wire, keygen::PROTOCOL, &fields, patience, &mut rng)?;
        let share = keygen::generate(&mut session, &parameters, &mut rng, |_| ())?;
        Ok((share, session.counters().clone()))
    })
}

fn propagate(
    options: &Options,
    latency: Duration,
    networks: &[Network],
    shares: &[KeyShare],
) -> Result<Row, Failure> {
    let names: Vec<&str> = networks
        .iter()
        .flat_map(|network| network.banks().iter().map(|bank| network.banks().name(bank)))
        .collect();
    let names = &names[..networks.len()];
    let settings = Settings { iterations: options.iterations, ..Settings::default() };
    let what = format!("propagation, {} iterations", options.iterations);
    let (row, _) = measure(label(&what, latency), wires(options, latency, names)?, |me, wire| {
        let (share, network) = (&shares[me], networks[me].clone());
        let mut rng = rand::rng();
        let fields = propagation::parameters(share.key(), network.columns(), &settings);
        let patience = Patience::new().with_timeout(Duration::from_secs(3600));
        let mut session = Session::open(wire, propagation::PROTOCOL, &fields, patience, &mut rng)?;
        propagation::propagate(&mut session, share, network, &settings, &mut rng, &mut |_| ())?;
        Ok(((), session.counters().clone()))
    })?;
    Ok(row)
}
