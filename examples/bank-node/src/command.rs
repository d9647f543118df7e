//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use clap::{Parser, Subcommand};

use bank_node::compare::compare;
use bank_node::config::{Config, PASSPHRASE_VARIABLE};
use subrosa_encoding::parse_hex;
use subrosa_node::audit::{self, Evidence, Report, TrailSecret};
use subrosa_node::certs::{self, Validity};
use subrosa_node::keys::KeyFileError;
use subrosa_node::{Node, NodeConfig, NodeError, Task};
use subrosa_risk_propagation::steps::agreement::periods;
use subrosa_risk_propagation::steps::agreement::senders;
use subrosa_risk_propagation::steps::in_degree_bits;
use subrosa_risk_propagation::subrosa_transport::with_causes;
use subrosa_risk_propagation::{Banks, NetworkSizes, Period, Plan, data};

/// One bank: generates a key with the other banks and traces risk through their common network, over TLS.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// The bank's configuration
    #[arg(long, global = true, value_name = "FILE", default_value = "bank.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make certificates, or find out what is wrong with them
    #[command(subcommand)]
    Certs(Certs),
    /// Generate a key with the other banks and keep this bank's share
    Keygen,
    /// Propagate risk with the key that is there
    Run,
    /// Go on with a run that was stopped
    Resume,
    /// Show what this bank brings and what a run will take, without meeting anybody
    Plan,
    /// Work with audit trails
    #[command(subcommand)]
    Audit(Audit),
    /// Compare the scores of two runs on the same data: two files, or two folders of files
    Compare {
        /// The accuracy of both runs; two scores may differ by as much
        #[arg(long, value_name = "NUMBER", default_value_t = 1e-6)]
        accuracy: f64,
        /// Scores of one run
        one: PathBuf,
        /// Scores of the other run
        other: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Certs {
    /// Make an authority and a certificate for each bank
    Make {
        /// Folder for the files
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Days from today for which they are valid
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
        /// Names of the banks
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Check the certificates that the configuration names
    Check,
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Check that trails are whole, and those of several banks against each other
    Verify {
        /// The last hash of a run, as the bank told it: then nothing before it can have been changed or cut off
        #[arg(long, value_name = "HASH")]
        last_hash: Option<String>,
        /// Compute the commitment to the input from the configuration's data and the trail's secret, and compare
        #[arg(long)]
        input: bool,
        /// The trails
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Compute a run again from a bank's data, seed and record, and tell what the bank did otherwise
    Recompute {
        /// Folder that holds the bank's folder of data, if it is not that of the configuration
        #[arg(long, value_name = "DIR")]
        input: Option<PathBuf>,
        /// The public part of the run's key, if it is not beside the configuration's key file
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// The bank's trail
        #[arg(long, value_name = "FILE")]
        trail: PathBuf,
        /// The record of its frames, if it is not beside the trail
        #[arg(long, value_name = "FILE")]
        frames: Option<PathBuf>,
        /// The seeds of its runs, if they are not beside the trail
        #[arg(long, value_name = "FILE")]
        seed: Option<PathBuf>,
        /// The trail's last hash, as the bank told it at the end of the run
        #[arg(long, value_name = "HASH")]
        last_hash: Option<String>,
        /// The session in which the run began; the last run by default
        #[arg(long, value_name = "SESSION")]
        run: Option<String>,
        /// Trails of other banks, which saw the same broadcasts
        #[arg(long, value_name = "TRAIL", num_args = 1..)]
        peers: Vec<PathBuf>,
    },
}

/// Exit codes: 0, 1 for a failure, 2 for wrong usage (clap's), 3 after a signal.
pub(crate) fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.command {
        Some(Command::Certs(Certs::Make { out, days, names })) => make(out, *days, names),
        Some(Command::Certs(Certs::Check)) => check(&options.config),
        Some(Command::Audit(Audit::Verify { last_hash, input, files })) => {
            let config = input.then_some(options.config.as_path());
            verify(files, last_hash.as_deref(), config)
        }
        Some(Command::Audit(Audit::Recompute { input, key, trail, frames, seed, last_hash, run, peers })) => {
            let mut evidence = Evidence::new(trail);
            evidence.input.clone_from(input);
            evidence.key.clone_from(key);
            evidence.frames.clone_from(frames);
            evidence.seeds.clone_from(seed);
            evidence.last_hash.clone_from(last_hash);
            evidence.peers.clone_from(peers);
            recompute(&options.config, evidence, run.as_deref())
        }
        Some(Command::Plan) => plan(&options.config),
        Some(Command::Compare { accuracy, one, other }) => compare_runs(one, other, *accuracy),
        Some(Command::Keygen) => return perform(&options.config, Task::Keygen),
        Some(Command::Run) => return perform(&options.config, Task::Run),
        Some(Command::Resume) => return perform(&options.config, Task::Resume),
        None => return perform(&options.config, Task::KeygenAndRun),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn perform(file: &Path, task: Task) -> ExitCode {
    let config = match Config::read(file) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {}", with_causes(&error));
            return ExitCode::FAILURE;
        }
    };
    crate::logging::start(config.log_format, config.log_level);
    let key_bits = config.node.key.key_bits();
    if config.insecure && key_bits < 2048 {
        tracing::warn!(bits = key_bits, "keys of this size can be factored; not for real data");
    }
    let stop = match stop_signal() {
        Ok(stop) => stop,
        Err(error) => {
            tracing::error!("the operating system refused: {}", with_causes(&error));
            return ExitCode::FAILURE;
        }
    };
    match Node::new(config.node).and_then(|node| node.with_stop(stop).run(task)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(NodeError::Stopped) => {
            tracing::warn!("stopped by a signal; start again to go on");
            ExitCode::from(3)
        }
        Err(NodeError::KeyFile(KeyFileError::NoPassphrase { .. })) => {
            tracing::error!(
                "no passphrase for the key file: set `passphrase_file` in {}, or the variable {PASSPHRASE_VARIABLE}",
                file.display()
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            tracing::error!("{}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// A flag that becomes true at the first signal. At the second signal the process ends at once.
fn stop_signal() -> std::io::Result<Arc<AtomicBool>> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        let armed = signal_hook::flag::register_conditional_shutdown(signal, 3, Arc::clone(&stop));
        armed.and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))?;
    }
    Ok(stop)
}

fn make(out: &Path, days: u32, names: &[String]) -> Result<bool, Failure> {
    for file in certs::make(out, names, Validity::days(days))? {
        println!("{}", file.display());
    }
    println!("Keep ca-key.pem offline: whoever has it can pass for every bank.");
    Ok(true)
}

fn compare_runs(one: &Path, other: &Path, accuracy: f64) -> Result<bool, Failure> {
    let comparisons = compare(one, other)?;
    comparisons.iter().for_each(|comparison| println!("{comparison}"));
    let largest = comparisons.iter().map(|comparison| comparison.largest).fold(0.0, f64::max);
    let good = largest <= accuracy;
    println!(
        "largest difference {largest:.1e}: {} {accuracy:e}, by which two runs may differ",
        if good { "not more than" } else { "MORE than" }
    );
    Ok(good)
}

fn check(file: &Path) -> Result<bool, Failure> {
    let config = Config::read(file)?;
    let findings = certs::check(&config.node, SystemTime::now());
    for finding in &findings {
        println!("{} {}", if finding.good { "ok " } else { "BAD" }, finding.text);
    }
    Ok(findings.iter().all(|finding| finding.good))
}

fn verify(files: &[PathBuf], last_hash: Option<&str>, config: Option<&Path>) -> Result<bool, Failure> {
    if files.len() > 1 && (last_hash.is_some() || config.is_some()) {
        return Err("--last-hash and --input are about one trail: give one file".into());
    }
    let mut reports = Vec::new();
    let mut good = true;
    for file in files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        match audit::verify(&text) {
            Ok(report) => {
                println!("{}: {}", file.display(), report.summary());
                if let Some(hash) = last_hash {
                    good &= verify_hash(&report, hash);
                }
                if let Some(config) = config {
                    good &= verify_input(&report, file, &Config::read(config)?.node)?;
                }
                reports.push(report);
            }
            Err(error) => {
                println!("{}: {error}", file.display());
                good = false;
            }
        }
    }
    let problems = audit::compare(&reports);
    problems.iter().for_each(|problem| println!("{problem}"));
    good &= problems.is_empty();
    if good && files.len() > 1 {
        println!("the trails agree with each other");
    }
    Ok(good)
}

fn verify_hash(report: &Report, hash: &str) -> bool {
    let lines = report.records.len();
    match report.line_of(hash) {
        Some(line) if line == lines => println!("the last hash is the one that was told"),
        Some(line) => println!(
            "the hash that was told is that of line {line}: up to there nothing was changed; the other {} lines came later",
            lines - line
        ),
        None => println!("no line has the hash that was told: lines were changed or cut off"),
    }
    report.line_of(hash).is_some()
}

fn verify_input(report: &Report, file: &Path, config: &NodeConfig) -> Result<bool, Failure> {
    let secret = TrailSecret::read(&audit::secret_file(file))?;
    let commitment = secret.commitment(&config.input_files()?)?;
    let held = report.commits_to(&commitment);
    println!(
        "the data in {} {} the input of the last run",
        config.data.join(&config.name).display(),
        if held { "are" } else { "are NOT" }
    );
    Ok(held)
}

fn recompute(file: &Path, mut evidence: Evidence, run: Option<&str>) -> Result<bool, Failure> {
    let config = Config::read(file)?.node;
    if let Some(digits) = run {
        evidence.run = Some(parse_hex(digits).ok_or("--run takes the 64 hexadecimal digits of a session")?);
    }
    let result = audit::recompute(&config, &evidence)?;
    for line in result.sessions.iter().chain(&result.deviations) {
        println!("{line}");
    }
    if result.lacks_peers {
        println!("not compared with what other banks saw: give their trails with --peers");
    }
    let good = result.is_clean();
    println!(
        "bank {} {}",
        config.name,
        if good { "did what its data and its seed say" } else { "did NOT do what its data and its seed say" }
    );
    Ok(good)
}

fn plan(file: &Path) -> Result<bool, Failure> {
    let config = Config::read(file)?.node;
    let banks = Banks::new(config.banks())?;
    let network = data::read_bank(&config.data, &banks, &config.name)?;
    println!("bank {}", config.name);
    println!(
        "accounts                  {}, {} of them listed",
        network.account_count(),
        network.listed_count()
    );
    let edges: usize = network.periods().iter().map(Period::edge_count).sum();
    println!("who pays own accounts     {edges} pairs of a sender and an own account");
    println!("periods                   {}", network.periods().len());
    let periods = periods::among(std::slice::from_ref(&network), &config.settings)?;
    for period in &periods {
        let (least, most) = (period.least(), period.most());
        println!(
            "period {:<19}{least} to {most} pairs of a sender and another account, told to all banks",
            period.period + 1
        );
    }
    let sizes = NetworkSizes {
        key_bits: usize::try_from(config.key.key_bits())?,
        columns: network.columns().len(),
        in_degree_bits: in_degree_bits(network.greatest_in_degree()),
        active_periods: periods::counted(&periods),
        noise_contributors: banks.len() - 1,
    };
    println!(
        "From this bank's data alone; the run takes the greatest in-degree and all periods of all banks."
    );
    let plan = Plan::new(&sizes, &config.settings)?;
    println!("{plan}");
    if plan.min_foreign_senders() > 1 {
        println!(
            "scores withheld           {}, if all senders at other banks have scores",
            senders::withheld(&network, &plan)?.len()
        );
    }
    Ok(true)
}
