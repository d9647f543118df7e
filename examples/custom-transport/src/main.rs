//! Three banks in one asynchronous application, each behind a web server of its own. See `README.md` beside this file.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use axum::{Router, routing::get};
use clap::Parser;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use custom_transport::{bank, site};
use subrosa_risk_propagation::synthetic;
use subrosa_risk_propagation::{Settings, plaintext};
use subrosa_transport::{DEFAULT_MAX_FRAME, Transport, with_causes};

/// Three banks generate a small key and propagate risk over generated data, each behind an HTTPS server of its own.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Bits of the key's modulus: small, since this shows networking
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(256..=4096))]
    key_bits: u64,
    /// Accounts of all banks together
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(30..=100_000))]
    accounts: u32,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {}", with_causes(&error));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", with_causes(failure.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Failure> {
    let accounts = options.accounts as usize;
    let shape = synthetic::NetworkShape {
        accounts,
        transfers: 4 * accounts,
        chains: 3,
        ..synthetic::NetworkShape::default()
    };
    let networks = synthetic::generate(&shape, &mut ChaCha20Rng::seed_from_u64(7))?.networks()?;
    let names: Vec<&str> = shape.banks.iter().map(String::as_str).collect();
    let settings = Settings { iterations: 2, ..Settings::default() };
    let reference = plaintext::reference(&networks, &settings)?;

    // The application's own pages are served beside the transport's routes. This one shows how far the run is.
    let progress = Arc::new(Mutex::new(String::from("starting")));
    let shown = Arc::clone(&progress);
    let page = move || async move { shown.lock().map(|text| text.clone()).unwrap_or_default() };
    let application = Router::new().route("/progress", get(page));

    let (transports, servers) = site::connect(&names, DEFAULT_MAX_FRAME, &application)?;
    let (key_bits, total) = (options.key_bits, names.len());
    let mut banks = Vec::new();
    for (mut transport, network) in transports.into_iter().zip(networks) {
        let (settings, progress) = (settings.clone(), Arc::clone(&progress));
        let first = transport.roster().me().index() == 0;
        let tell = move |text: String| {
            if first {
                println!("{text}");
                if let Ok(mut progress) = progress.lock() {
                    *progress = text;
                }
            }
        };
        // The protocol computes and blocks, so it runs on a thread of its own. The thread returns the transport with
        // the result.
        banks.push(tokio::task::spawn_blocking(move || {
            let result = bank::run(&mut transport, network, key_bits, &settings, tell);
            (transport, result)
        }));
    }
    let mut outcomes = Vec::with_capacity(total);
    let mut farewells = Vec::new();
    for (name, bank) in names.iter().zip(banks) {
        let (transport, result) = bank.await?;
        // This is done in the background, because the others may still have to answer.
        farewells.push(tokio::spawn(transport.close()));
        let (outcome, traffic) = result.map_err(|error| format!("{name}: {}", with_causes(&error)))?;
        println!(
            "{name}: {} scores, {} messages and {} bytes sent",
            outcome.scores.len(),
            traffic.messages_sent,
            traffic.bytes_sent
        );
        outcomes.push(outcome.scores);
    }
    for farewell in farewells {
        farewell.await?;
    }
    servers.shutdown();

    let difference = plaintext::largest_difference(&outcomes, &reference);
    println!("largest difference from the plain computation: {difference:.1e}");
    if difference > settings.accuracy {
        return Err(format!("more than the accuracy of {:e}", settings.accuracy).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;

    #[test]
    fn the_protocols_run_over_https() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(run(&Options { key_bits: 256, accounts: 30 })).unwrap();
    }
}
