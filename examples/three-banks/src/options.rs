//! The command line.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use crate::Failure;
use subrosa_risk_propagation::{Delta, Mismatch, Settings};

/// Banks generate a Paillier key together and trace risk through their common network; each learns only the scores of its
/// own accounts.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Folder that holds one folder per bank [default: the data in this package]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Bits of the key's modulus; under 2048 only to try things out
    #[arg(long, value_name = "BITS", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(256..=8192))]
    pub(crate) key_bits: u64,
    /// Iterations in each period
    #[arg(long, value_name = "N", default_value_t = 3)]
    iterations: u32,
    /// Share of a new score that comes from the account's senders, from 0 to 1
    #[arg(long, default_value_t = 0.5, value_parser = delta)]
    delta: f64,
    /// Greatest absolute error of a score
    #[arg(long, default_value_t = 1e-6, value_parser = accuracy)]
    pub(crate) accuracy: f64,
    /// What to do when two banks list different transfers between them
    #[arg(long, value_enum, default_value_t = OnMismatch::Refuse)]
    mismatch: OnMismatch,
    /// Number of periods; a bank with more of them is refused [default: as many as any bank has]
    #[arg(long, value_name = "N")]
    periods: Option<u32>,
    /// Fewest pairs of a sender and another account, over all banks, from which on a period counts
    #[arg(long, value_name = "N", default_value_t = 1)]
    least_activity: u32,
    /// Fewest foreign senders that must determine a score for its foreign part to be disclosed; with 1 all are
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_foreign_senders: u32,
    /// Take all randomness from this number: repeatable, and not secret at all
    #[arg(long, value_name = "N")]
    pub(crate) seed_insecure: Option<u64>,
    /// Compare the result with a plain computation over all banks' data
    #[arg(long, conflicts_with = "plan")]
    pub(crate) check: bool,
    /// Write times, traffic and sizes to this file
    #[arg(long, value_name = "FILE", conflicts_with = "plan")]
    pub(crate) json: Option<PathBuf>,
    /// Write the scores of each bank to a CSV file in this folder, and pictures of where risk arrived and how ranks moved
    #[arg(long, value_name = "DIR", conflicts_with = "plan")]
    pub(crate) output: Option<PathBuf>,
    /// Write a web page of the whole run to this file: all banks' data, as only a demonstration can have them
    #[arg(long, value_name = "FILE", conflicts_with = "plan")]
    pub(crate) report: Option<PathBuf>,
    /// Write a web page for each bank to this folder, with what that bank knows and nothing else
    #[arg(long, value_name = "DIR", conflicts_with = "plan")]
    pub(crate) bank_reports: Option<PathBuf>,
    /// Show through which transfers an account's score came: BANK/ACCOUNT, or ACCOUNT where only one bank has it; may be
    /// given several times
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "plan")]
    pub(crate) explain: Vec<String>,
    /// Print the plan of the run and stop
    #[arg(long)]
    pub(crate) plan: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnMismatch {
    /// End with an error that names both banks
    Refuse,
    /// Leave out foreign senders that their own bank does not list
    LeaveOut,
}

fn delta(text: &str) -> Result<f64, String> {
    number(text).and_then(|value| {
        if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("it must be between 0 and 1".to_owned()) }
    })
}

fn accuracy(text: &str) -> Result<f64, String> {
    number(text).and_then(|value| {
        let range = 1e-15..=0.1;
        if range.contains(&value) { Ok(value) } else { Err("it must be between 1e-15 and 0.1".to_owned()) }
    })
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "it is not a number".to_owned())
}

impl Options {
    /// The folder of all banks.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("data"))
    }

    /// The settings on which all banks agree.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            iterations: self.iterations,
            delta: Delta::fixed(self.delta),
            accuracy: self.accuracy,
            mismatch: match self.mismatch {
                OnMismatch::Refuse => Mismatch::Refuse,
                OnMismatch::LeaveOut => Mismatch::LeaveOut,
            },
            periods: self.periods,
            least_activity: self.least_activity,
            min_foreign_senders: self.min_foreign_senders,
            ..Settings::default()
        }
    }

    /// Makes sure that the results can be written before hours are spent on them.
    pub(crate) fn prepare_outputs(&self) -> Result<(), Failure> {
        let failed = |path: &Path, source| Failure::File { path: path.display().to_string(), source };
        for directory in [&self.output, &self.bank_reports].into_iter().flatten() {
            std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
        }
        for file in [&self.json, &self.report].into_iter().flatten() {
            probe(file).map_err(|error| failed(file, error))?;
        }
        Ok(())
    }

    /// Whether anything is to be written but what is printed.
    pub(crate) fn writes_files(&self) -> bool {
        [&self.json, &self.output, &self.report, &self.bank_reports].iter().any(|path| path.is_some())
    }

    /// Says aloud what makes a run insecure.
    pub(crate) fn warn(&self) {
        let mut said = Vec::new();
        if self.key_bits < 2048 {
            said.push(format!(
                "a key of {} bits can be factored; use 2048 bits or more for real data",
                self.key_bits
            ));
        }
        if self.seed_insecure.is_some() {
            said.push("--seed-insecure makes every secret of this run predictable".to_owned());
        }
        for warning in said {
            // Nobody to tell is no reason to stop.
            let _ = writeln!(std::io::stderr(), "warning: {warning}");
        }
    }
}

/// Whether a file can be put at a place. Leaves nothing there: a run that is stopped must not leave an empty result.
fn probe(file: &Path) -> std::io::Result<()> {
    if file.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.probe", std::process::id()));
    let beside = file.with_file_name(name);
    std::fs::File::create_new(&beside)?;
    std::fs::remove_file(&beside)
}
