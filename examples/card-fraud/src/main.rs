//! The command line: see the README.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use card_fraud::commands::predict::PredictOptions;
use card_fraud::commands::serve::{ServeOptions, Source};
use card_fraud::commands::web::WebOptions;
use card_fraud::train::{Labelled, TrainOptions};
use card_fraud::web::bank;
use card_fraud::{Error, commands, table::Table};
use subrosa_decision_tree::ParameterSet;
use subrosa_transport::with_causes;

/// A bank judges card purchases that it cannot read.
///
/// Without a subcommand: train, encrypt, evaluate and decrypt in one process, with agreement, times and sizes.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    whole: Whole,
}

#[derive(Subcommand)]
enum Part {
    /// Makes up labelled purchases by the documented rule.
    Generate(Generate),
    /// Learns a tree from labelled purchases and writes the bank's model file.
    Train(Train),
    /// The bank: answers encrypted queries until it is told to stop.
    Serve(Serve),
    /// A card holder: asks a bank about purchases that it does not show.
    Predict(Predict),
    /// A card holder with a page in the browser: one purchase, step by step.
    Web(Web),
}

/// Options of the whole job in one process.
#[derive(Args)]
struct Whole {
    /// Labelled purchases; without it they are made up.
    #[arg(long, value_name = "FILE.csv")]
    data: Option<PathBuf>,
    #[command(flatten)]
    made: Made,
    #[command(flatten)]
    learning: Learning,
    /// How many of the held-out purchases are judged under encryption.
    #[arg(long, default_value_t = 500)]
    queries: usize,
    /// Cryptographic parameters.
    #[arg(long, value_enum, default_value_t = Parameters::Standard)]
    parameters: Parameters,
}

/// The parameter sets by their names here.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Parameters {
    /// For trees and forests.
    Standard,
    /// Less noise: for large ensembles.
    LowNoise,
}

impl From<Parameters> for ParameterSet {
    fn from(parameters: Parameters) -> Self {
        match parameters {
            Parameters::Standard => Self::Standard,
            Parameters::LowNoise => Self::LowNoise,
        }
    }
}

#[derive(Args)]
struct Made {
    /// How many purchases are made up.
    #[arg(long, default_value_t = 20_000)]
    rows: usize,
    /// Seed of what is made up, and of the split into training and held-out rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct Learning {
    /// Greatest number of splits on a path of the tree.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..=16))]
    max_depth: u8,
    /// Share of the rows that is held out.
    #[arg(long, default_value_t = 0.2, value_parser = share)]
    hold_out: f64,
}

#[derive(Args)]
struct Generate {
    /// The file to write.
    #[arg(long, value_name = "FILE.csv")]
    output: PathBuf,
    #[command(flatten)]
    made: Made,
}

#[derive(Args)]
struct Train {
    /// Labelled purchases.
    #[arg(long, value_name = "FILE.csv")]
    data: PathBuf,
    /// The model file to write.
    #[arg(long, value_name = "MODEL.json")]
    model: PathBuf,
    /// Seed of the split into training and held-out rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    learning: Learning,
}

#[derive(Args)]
struct Serve {
    /// The bank's model file.
    #[arg(long, value_name = "MODEL.json", required_unless_present = "made_up")]
    model: Option<PathBuf>,
    /// Without a model file: train on made-up purchases first.
    #[arg(long, conflicts_with = "model")]
    made_up: bool,
    #[command(flatten)]
    made: Made,
    /// Where to listen, such as 127.0.0.1:7700; port 0 takes any that is free.
    #[arg(long, value_name = "ADDR")]
    listen: String,
    /// Queries per minute and address; what is over waits. 0: no limit.
    #[arg(long, default_value_t = 12_000)]
    rate: u32,
    /// Queries that an address may ask at once before the rate applies.
    #[arg(long, default_value_t = 2_000)]
    burst: u32,
    /// Queries in memory at a time; the others wait in order of arrival.
    #[arg(long, default_value_t = 8)]
    places: usize,
    /// Connections at a time; further ones are closed.
    #[arg(long, default_value_t = 4_000)]
    connections: usize,
    /// Cryptographic parameters.
    #[arg(long, value_enum, default_value_t = Parameters::Standard)]
    parameters: Parameters,
    /// Print a line for each query: all that the bank saw of it.
    #[arg(long)]
    journal: bool,
    /// Stop when standard input ends, as it does with the process that holds its other end.
    #[arg(long)]
    attached: bool,
}

#[derive(Args)]
struct Web {
    /// The bank's address; without it, a bank that makes up its data is started as a process of its own.
    #[arg(long, value_name = "ADDR")]
    server: Option<String>,
    /// Where the page is served; port 0 takes any that is free.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    #[command(flatten)]
    made: Made,
    /// Grace period of the bank for a reply, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    grace: u64,
    /// After how long without use the key is wiped.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..))]
    idle: u64,
}

#[derive(Args)]
struct Predict {
    /// The bank's address.
    #[arg(long, value_name = "ADDR")]
    server: String,
    /// The purchases; a column `fraud` is compared with the verdicts and not sent.
    #[arg(long, value_name = "ROWS.csv")]
    input: PathBuf,
    /// The file to write: the purchases with their verdicts.
    #[arg(long, value_name = "FILE.csv")]
    output: PathBuf,
    /// Connections that ask at the same time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    connections: u8,
    /// Grace period of the bank for an answer, in seconds; its queue and rate limit are included.
    #[arg(long, default_value_t = 120)]
    grace: u64,
}

impl Learning {
    fn options(&self, seed: u64) -> TrainOptions {
        TrainOptions { max_depth: self.max_depth.into(), hold_out: self.hold_out, seed }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("a share is above 0 and below 1".to_owned()),
    }
}

fn labelled(path: &Path) -> card_fraud::Result<Labelled> {
    let (rows, labels) = Table::read_labelled(path)?;
    Ok(Labelled { rows, labels })
}

fn run(command: Command) -> card_fraud::Result<()> {
    // Not locked: servers print from other threads.
    let out = &mut std::io::stdout();
    match command.part {
        None => {
            let Whole { data, made, learning, queries, parameters } = command.whole;
            let data = data.as_deref().map(labelled).transpose()?;
            let options = learning.options(made.seed);
            commands::whole::run(out, data, (made.rows, made.seed), &options, (queries, parameters.into()))
        }
        Some(Part::Generate(Generate { output, made })) => {
            commands::generate(out, &output, made.rows, made.seed)
        }
        Some(Part::Train(Train { data, model, seed, learning })) => {
            commands::train(out, &labelled(&data)?, &model, &learning.options(seed))
        }
        Some(Part::Serve(serve)) => {
            let Made { rows, seed } = serve.made;
            let source = serve.model.map_or(Source::MadeUp { rows, seed }, Source::File);
            let options = ServeOptions {
                per_minute: serve.rate,
                burst: serve.burst,
                places: serve.places,
                connections: serve.connections,
                parameters: serve.parameters.into(),
                journal: serve.journal,
                attached: serve.attached,
            };
            commands::serve::run(&source, &serve.listen, &options)
        }
        Some(Part::Predict(Predict { server, input, output, connections, grace })) => {
            let grace = Duration::from_secs(grace);
            let options = PredictOptions { connections: connections.into(), grace };
            commands::predict::run(out, &server, &input, &output, &options)
        }
        Some(Part::Web(Web { server, listen, made, grace, idle })) => {
            let (grace, idle) = (Duration::from_secs(grace), Duration::from_secs(idle));
            let made = bank::Made { rows: made.rows, seed: made.seed };
            commands::web::run(&listen, WebOptions { server, made, grace, idle })
        }
    }
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads our output has seen enough, as `head` does.
        Err(Error::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "card-fraud: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}
