//! Three banks (or more) in one process: they generate a key together, trace risk through their common network and show
//! what each of them learns. See `README.md` beside this file.

#![forbid(unsafe_code)]

mod bank;
mod explain;
mod forecast;
mod options;
mod page;
mod phases;
mod picture;
mod progress;
mod report;
mod scene;
mod tables;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use time::OffsetDateTime;

use crate::bank::{Finished, Setup};
use crate::options::Options;
use crate::page::Run;
use crate::phases::Phase;
use crate::report::Report;
use crate::scene::Scene;
use subrosa_distributed_paillier::{KeygenParameters, SecurityLevel};
use subrosa_risk_propagation::steps::agreement::periods;
use subrosa_risk_propagation::steps::in_degree_bits;
use subrosa_risk_propagation::{Banks, Error, Network, NetworkSizes, Outcome, Plan, data, plaintext};
use subrosa_transport::{MemoryNetwork, with_causes};

/// Why the example ends without a result.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{directory}: {found} banks; at least three are needed for a key that no single one can use")]
    TooFewBanks { directory: String, found: usize },
    #[error("bank `{bank}` failed")]
    Bank { bank: String, source: Box<bank::BankError> },
    #[error("bank `{bank}` stopped unexpectedly")]
    Panicked { bank: String },
    #[error("the banks' risk types differ: {0}")]
    Columns(String),
    #[error("the largest difference from the plain computation is {difference:e}, more than {accuracy:e}")]
    Check { difference: f64, accuracy: f64 },
    #[error("no bank has an account `{account}`; an account is named as BANK/ACCOUNT")]
    UnknownAccount { account: String },
    #[error("`{account}` is an account of several banks ({banks}); say which as BANK/{account}")]
    ManyAccounts { account: String, banks: String },
    #[error(transparent)]
    Data(#[from] Error),
    #[error(transparent)]
    Keygen(#[from] subrosa_distributed_paillier::KeygenError),
    #[error("the network among the banks cannot be made")]
    Roster(#[from] subrosa_transport::RosterError),
    #[error("standard output cannot be written")]
    Output(#[from] std::io::Error),
    #[error("{path} cannot be written")]
    File { path: String, source: std::io::Error },
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options, &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has seen enough.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "error: {}", with_causes(&failure));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    options.prepare_outputs()?;
    let networks = read(options)?;
    let told = writeln!(out, "{}", tables::networks(&networks)).and_then(|()| out.flush());
    // Who asks for files gets them, even if nobody reads on here.
    if !options.writes_files() {
        told?;
    }
    if options.plan {
        let plan = plan_of(&networks, options)?;
        let periods = periods::among(&networks, &options.settings()).map_err(Error::from)?;
        writeln!(out, "{}", tables::periods(&networks, &periods))?;
        return forecast::print(out, &networks, &plan, &options.settings());
    }
    let wanted: Vec<explain::Wanted> =
        options.explain.iter().map(|account| explain::find(&networks, account)).collect::<Result<_, _>>()?;
    let setup = setup(&networks, options)?;
    options.warn();

    let began = OffsetDateTime::now_utc();
    let started = Instant::now();
    let finished = run_banks(&setup, networks.clone())?;
    let wall = started.elapsed();
    let (outcomes, phases): (Vec<Outcome>, Vec<Vec<Phase>>) =
        finished.into_iter().map(|finished| (finished.outcome, finished.phases)).unzip();

    // Files first: what is printed may find nobody to read it.
    let scenes = Scene::all(&outcomes);
    let difference = if options.check { Some(difference(options, &networks, &outcomes)?) } else { None };
    write_scores(options, &outcomes, &scenes)?;
    write_reports(options, &Run::new(&setup, began), &outcomes, &phases, difference)?;
    let periods = outcomes.first().map_or(&[][..], |outcome| &outcome.periods);
    let printed = writeln!(out, "{}", tables::periods(&networks, periods))
        .and_then(|()| print(out, &outcomes, &scenes, &wanted))
        .and_then(|()| writeln!(out, "{}", tables::phases(&phases, wall)))
        .and_then(|()| end(out, options, difference));
    match difference {
        Some(difference) if difference > options.accuracy => {
            Err(Failure::Check { difference, accuracy: options.accuracy })
        }
        _ => Ok(printed?),
    }
}

/// What was found.
fn print(
    out: &mut impl Write,
    outcomes: &[Outcome],
    scenes: &[Scene<'_>],
    wanted: &[explain::Wanted],
) -> std::io::Result<()> {
    for scene in scenes {
        writeln!(out, "{}", tables::riskiest(outcomes, scene.column, scene.risk_type()))?;
        writeln!(out, "{}", picture::paths(scene))?;
    }
    wanted.iter().try_for_each(|wanted| writeln!(out, "{}", explain::show(outcomes, wanted)))
}

/// How good it is, and where the files are.
fn end(out: &mut impl Write, options: &Options, difference: Option<f64>) -> std::io::Result<()> {
    if let Some(difference) = difference {
        let allowed = options.accuracy;
        writeln!(
            out,
            "largest difference from the plain computation: {difference:.3e} (allowed: {allowed:e})"
        )?;
    }
    let files = [
        ("scores and pictures", &options.output),
        ("measurements", &options.json),
        ("report of all banks' data", &options.report),
        ("report for each bank", &options.bank_reports),
    ];
    for (what, path) in files {
        if let Some(path) = path {
            writeln!(out, "{what} written to {}", path.display())?;
        }
    }
    out.flush()
}

/// What all banks are started with; refuses here once, before any key is made, what every bank would refuse.
fn setup(networks: &[Network], options: &Options) -> Result<Setup, Failure> {
    let parties = u32::try_from(networks.len()).unwrap_or(u32::MAX);
    let level = if options.key_bits < 2048 { SecurityLevel::Insecure } else { SecurityLevel::Secure };
    let threshold = (parties - 1) / 2;
    KeygenParameters::with_level(parties, threshold, options.key_bits, level)?;
    plan_of(networks, options)?;
    Ok(Setup {
        settings: options.settings(),
        parties,
        threshold,
        key_bits: options.key_bits,
        level,
        seed: options.seed_insecure,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    })
}

/// Reads every bank's folder.
fn read(options: &Options) -> Result<Vec<Network>, Failure> {
    let directory = options.data();
    let banks = data::banks_in(&directory)?;
    if banks.len() < 3 {
        return Err(Failure::TooFewBanks { directory: directory.display().to_string(), found: banks.len() });
    }
    let read = |bank| data::read_bank(&directory, &banks, banks.name(bank));
    let networks: Vec<Network> = banks.iter().map(read).collect::<Result<_, Error>>()?;
    if let Some(first) = networks.first()
        && let Some(other) = networks.iter().find(|other| other.columns() != first.columns())
    {
        let (left, right) = (first.columns().join(", "), other.columns().join(", "));
        return Err(Failure::Columns(format!("{left} at {}, {right} at {}", first.bank(), other.bank())));
    }
    Ok(networks)
}

/// The plan that the banks will agree on, from all networks at once.
fn plan_of(networks: &[Network], options: &Options) -> Result<Plan, Failure> {
    let periods = periods::among(networks, &options.settings()).map_err(Error::from)?;
    let degree = networks.iter().map(Network::greatest_in_degree).max().unwrap_or(0);
    let sizes = NetworkSizes {
        key_bits: usize::try_from(options.key_bits).unwrap_or(usize::MAX),
        columns: networks.first().map_or(0, |network| network.columns().len()),
        in_degree_bits: in_degree_bits(degree),
        active_periods: periods::counted(&periods),
        noise_contributors: networks.len().saturating_sub(1),
    };
    Ok(Plan::new(&sizes, &options.settings()).map_err(Error::from)?)
}

/// Runs every bank on a thread of its own.
fn run_banks(setup: &Setup, networks: Vec<Network>) -> Result<Vec<Finished>, Failure> {
    let banks: Option<Banks> = networks.first().map(|network| network.banks().clone());
    let names: Vec<String> =
        banks.iter().flat_map(|banks| banks.iter().map(|bank| banks.name(bank).to_owned())).collect();
    let wires = MemoryNetwork::builder(names.iter().cloned()).build()?;
    let bars = progress::Bars::new(setup);
    let results: Vec<Option<Result<Finished, bank::BankError>>> = std::thread::scope(|scope| {
        let start = |(wire, network)| {
            let bars = &bars;
            scope.spawn(move || bank::run(setup, wire, network, bars))
        };
        let threads: Vec<_> = wires.into_iter().zip(networks).map(start).collect();
        threads.into_iter().map(|thread| thread.join().ok()).collect()
    });
    bars.finish();
    // A bank that was told of a failure by another knows less about it than the one that met it.
    let rank = |result: &Option<Result<Finished, bank::BankError>>| match result {
        None => 0,
        Some(Err(error)) if !error.is_told() => 1,
        Some(Err(_)) => 2,
        Some(Ok(_)) => 3,
    };
    let worst = results.iter().zip(&names).min_by_key(|(result, _)| rank(result));
    if let Some((None, bank)) = worst {
        return Err(Failure::Panicked { bank: bank.clone() });
    }
    let first =
        results.iter().map(rank).enumerate().min_by_key(|(_, rank)| *rank).map_or(0, |(index, _)| index);
    let mut finished = Vec::new();
    let mut failure = None;
    for (index, (result, bank)) in results.into_iter().zip(names).enumerate() {
        match result {
            Some(Ok(done)) => finished.push(done),
            Some(Err(error)) if index == first => {
                failure = Some(Failure::Bank { bank, source: Box::new(error) });
            }
            _ => {}
        }
    }
    failure.map_or(Ok(finished), Err)
}

fn write_scores(options: &Options, outcomes: &[Outcome], scenes: &[Scene<'_>]) -> Result<(), Failure> {
    let Some(directory) = &options.output else { return Ok(()) };
    for outcome in outcomes {
        let file = directory.join(format!("{}.csv", outcome.agreed.network().bank()));
        data::write_outcome(&file, outcome)?;
    }
    Ok(picture::write(directory, scenes)?)
}

/// Writes the JSON and the web pages.
fn write_reports(
    options: &Options,
    run: &Run<'_>,
    outcomes: &[Outcome],
    phases: &[Vec<Phase>],
    difference: Option<f64>,
) -> Result<(), Failure> {
    let report = Report::new(phases.iter().map(Vec::as_slice), outcomes, difference);
    if let Some(file) = &options.json {
        report.write(file)?;
    }
    if let Some(file) = &options.report {
        page::write_joint(file, run, outcomes, report)?;
    }
    if let Some(directory) = &options.bank_reports {
        for (outcome, phases) in outcomes.iter().zip(phases) {
            page::write_own(directory, run, outcome, phases)?;
        }
    }
    Ok(())
}

/// The banks' scores against a computation in floating point that sees everything. Withheld accounts have none.
fn difference(options: &Options, networks: &[Network], outcomes: &[Outcome]) -> Result<f64, Failure> {
    let reference = plaintext::reference(networks, &options.settings()).map_err(Error::from)?;
    let mut largest = 0.0_f64;
    for (outcome, reference) in outcomes.iter().zip(reference) {
        let width = outcome.plan.columns().max(1);
        let rows = outcome.scores.chunks(width).zip(reference.chunks(width)).enumerate();
        let shown = rows.filter(|(account, _)| !outcome.is_withheld(*account));
        let (scores, reference): (Vec<&[f64]>, Vec<&[f64]>) = shown.map(|(_, rows)| rows).unzip();
        largest = largest.max(plaintext::largest_difference(&[scores.concat()], &[reference.concat()]));
    }
    Ok(largest)
}
