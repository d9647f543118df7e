//! What distance costs: key generation and propagation among three banks over a simulated network with latency and
//! limited bandwidth, beside the same over a network without.
//!
//! ```sh
//! cargo run --release -p bank-node --example latency -- --data DIR
//! ```
//!
//! Prints a table in Markdown. Each row is the median of runs in pairs, with the same candidates on both networks, since
//! how many candidates it takes is random. Computing is the wall time without latency: all banks share this machine's
//! processors, where in earnest each has its own, so it is an upper bound for banks with processors like these. Waiting is
//! what the same run takes longer over the slow network.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use cpu_time::ProcessTime;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_distributed_paillier::{KeyShare, Keygen, KeygenParameters, SecurityLevel};
use subrosa_risk_propagation::{self as propagation, Network, Settings, data};
use subrosa_transport::{
    Counters, DEFAULT_WINDOW, Limits, MemoryNetwork, MemoryTransport, Session, testing::run_network,
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
    /// Chunks of a propagation under way at a time
    #[arg(long, default_value_t = DEFAULT_WINDOW)]
    window: usize,
    /// Candidates in a batch of key generation; may be repeated
    #[arg(long, default_values_t = [512, 1024, 2048, 4096])]
    batch: Vec<usize>,
    /// Pairs of key generations for each batch
    #[arg(long, default_value_t = 5)]
    keys: u64,
    /// Pairs of propagations
    #[arg(long, default_value_t = 1)]
    propagations: u64,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What one run took.
struct Run {
    rounds: u64,
    /// Of all banks together.
    bytes: u64,
    wall: Duration,
    /// Of all banks together.
    cpu: Duration,
}

/// The same run without latency and with it.
struct Pair {
    near: Run,
    far: Run,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    println!(
        "Three banks, {} ms one way, {} Mbit/s for each link and direction.\n",
        options.latency, options.bandwidth
    );
    println!(
        "| what | runs | rounds | sent by all | computing | waiting | together | processor, all banks |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut shares = Vec::new();
    for &batch in &options.batch {
        let mut pairs = Vec::new();
        for seed in 0..options.keys.max(1) {
            let (near, _) = generate(&options, false, batch, seed)?;
            let (far, made) = generate(&options, true, batch, seed)?;
            pairs.push(Pair { near, far });
            shares = made;
        }
        print(&format!("key generation, {} bits, batches of {batch}", options.key_bits), &pairs);
    }
    if let Some(folder) = &options.data {
        let banks = data::banks_in(folder)?;
        let networks = banks
            .iter()
            .map(|bank| data::read_bank(folder, &banks, banks.name(bank)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut pairs = Vec::new();
        for _ in 0..options.propagations.max(1) {
            let near = propagate(&options, false, &networks, &shares)?;
            pairs.push(Pair { near, far: propagate(&options, true, &networks, &shares)? });
        }
        let accounts: usize = networks.iter().map(Network::account_count).sum();
        print(&format!("propagation, {accounts} accounts, {} iterations", options.iterations), &pairs);
    }
    Ok(())
}

/// One line of the table: medians, each of its own column.
fn print(what: &str, pairs: &[Pair]) {
    let median = |value: fn(&Pair) -> f64| {
        let mut values: Vec<f64> = pairs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() % 2 {
            0 => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        }
    };
    println!(
        "| {what} | {} | {:.0} | {:.1} MB | {:.2} s | {:.2} s | {:.2} s | {:.2} s |",
        pairs.len(),
        median(|pair| pair.far.rounds as f64),
        median(|pair| pair.far.bytes as f64 / 1e6),
        median(|pair| pair.near.wall.as_secs_f64()),
        median(|pair| pair.far.wall.as_secs_f64() - pair.near.wall.as_secs_f64()),
        median(|pair| pair.far.wall.as_secs_f64()),
        median(|pair| pair.far.cpu.as_secs_f64()),
    );
}

fn wires(options: &Options, far: bool, names: &[&str]) -> Result<Vec<MemoryTransport>, Failure> {
    let builder = MemoryNetwork::builder(names.iter().copied());
    Ok(match far {
        true => {
            let latency = Duration::from_millis(options.latency);
            builder.latency(latency).bandwidth(options.bandwidth * 1_000_000).build()?
        }
        false => builder.build()?,
    })
}

/// Runs all banks, each in a pool of threads of its own, and adds up.
fn measure<R: Send>(
    wires: Vec<MemoryTransport>,
    bank: impl Fn(usize, &mut MemoryTransport) -> Result<(R, Counters), Failure> + Sync,
) -> Result<(Run, Vec<R>), Failure> {
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
    Ok((Run { rounds, bytes, wall, cpu }, results.into_iter().map(|(result, _)| result).collect()))
}

fn generate(options: &Options, far: bool, batch: usize, seed: u64) -> Result<(Run, Vec<KeyShare>), Failure> {
    let bits = options.key_bits;
    let level = if bits < 2048 { SecurityLevel::Insecure } else { SecurityLevel::Secure };
    measure(wires(options, far, &["one", "two", "three"])?, |me, wire| {
        let parameters = KeygenParameters::with_level(3, 1, bits, level)?.with_batch(batch);
        // The same candidates with and without latency.
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(me as u64);
        let keygen = Keygen::new(&parameters).limits(Limits::new().with_timeout(Duration::from_secs(3600)));
        let mut session = keygen.open(wire, &mut rng)?;
        let share = keygen.run_in(&mut session, &mut rng)?;
        Ok((share, session.counters().clone()))
    })
}

fn propagate(
    options: &Options,
    far: bool,
    networks: &[Network],
    shares: &[KeyShare],
) -> Result<Run, Failure> {
    let Some(banks) = networks.first().map(Network::banks) else { return Err("no banks".into()) };
    let names: Vec<&str> = banks.iter().map(|bank| banks.name(bank)).collect();
    let settings = Settings { iterations: options.iterations, ..Settings::default() };
    let (run, _) = measure(wires(options, far, &names)?, |me, wire| {
        let (share, network) = (&shares[me], networks[me].clone());
        let mut rng = rand::rng();
        let fields = propagation::parameters(share.key(), network.columns(), &settings);
        let limits = Limits::new().with_timeout(Duration::from_secs(3600));
        let mut session = Session::open(wire, propagation::PROTOCOL, &fields, limits, &mut rng)?;
        session.set_window(options.window);
        propagation::Propagation::new(share, network)
            .settings(settings.clone())
            .run_in(&mut session, &mut rng)?;
        Ok(((), session.counters().clone()))
    })?;
    Ok(run)
}
