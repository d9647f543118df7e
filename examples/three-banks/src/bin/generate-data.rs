//! Makes the data of this package, or a network of any size and shape:
//! `cargo run --release -p three-banks --bin generate-data -- DIR [--accounts N …]`.

#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use subrosa_risk_propagation::Error;
use subrosa_risk_propagation::synthetic::{NetworkShape, generate};
use subrosa_transport::with_causes;

/// Writes one folder per bank with accounts and transfers, made from a seed.
#[derive(Debug, Parser)]
struct Options {
    /// Where to write
    directory: PathBuf,
    /// Names of the banks
    #[arg(long, value_delimiter = ',', default_values_t = NetworkShape::default().banks)]
    banks: Vec<String>,
    /// Accounts of all banks together
    #[arg(long, default_value_t = NetworkShape::default().accounts)]
    accounts: usize,
    /// Ordinary transfers in each period
    #[arg(long, default_value_t = NetworkShape::default().transfers)]
    transfers: usize,
    /// Periods
    #[arg(long, default_value_t = NetworkShape::default().periods)]
    periods: usize,
    /// Laundering chains in each period
    #[arg(long, default_value_t = NetworkShape::default().chains)]
    chains: usize,
    /// Accounts in a chain
    #[arg(long, default_value_t = NetworkShape::default().chain_length)]
    chain_length: usize,
    /// The same seed gives the same data
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Error> {
    let shape = NetworkShape {
        banks: options.banks,
        accounts: options.accounts,
        transfers: options.transfers,
        periods: options.periods,
        chains: options.chains,
        chain_length: options.chain_length,
    };
    let network = generate(&shape, &mut ChaCha20Rng::seed_from_u64(options.seed))?;
    network.write(&options.directory)?;
    // The files are what counts, whether or not anybody reads on.
    let _ = writeln!(
        std::io::stdout(),
        "{} accounts, {} transfers, {} hidden members of chains in {}",
        network.accounts().len(),
        network.transfers().len(),
        network.hidden().len(),
        options.directory.display()
    );
    Ok(())
}
