//! The data of a page, as its script reads them.

use std::collections::BTreeMap;

use plotters::style::RGBColor;
use serde::Serialize;

use crate::picture::canvas;
use crate::report::Report;

#[derive(Serialize)]
pub(super) struct Page<'a> {
    /// The bank whose page this is; absent from the joint page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bank: Option<&'a str>,
    pub(super) began: String,
    pub(super) version: &'static str,
    pub(super) banks: Vec<Bank<'a>>,
    pub(super) parameters: Parameters<'a>,
    /// What `--json` writes; on a bank's page, that bank's part of it.
    pub(super) measured: Report<'a>,
    /// Accounts of the page's banks whose scores are withheld.
    pub(super) withheld: usize,
    /// One for each risk type.
    pub(super) views: Vec<View<'a>>,
}

/// What the page shows of one risk type.
#[derive(Serialize)]
pub(super) struct View<'a> {
    pub(super) risk_type: &'a str,
    #[serde(flatten)]
    pub(super) shown: Shown<'a>,
    /// Only on the joint page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) movement: Option<Movement>,
}

#[derive(Serialize)]
pub(super) struct Bank<'a> {
    name: &'a str,
    colour: String,
}

impl<'a> Bank<'a> {
    pub(super) fn new(place: usize, name: &'a str) -> Self {
        let RGBColor(red, green, blue) = canvas::colour(place);
        Self { name, colour: format!("#{red:02x}{green:02x}{blue:02x}") }
    }
}

/// What the banks agreed on; none of it is a secret.
#[derive(Serialize)]
pub(super) struct Parameters<'a> {
    pub(super) key_bits: u64,
    pub(super) banks: u32,
    pub(super) threshold: u32,
    pub(super) iterations: u32,
    pub(super) periods: usize,
    pub(super) delta: String,
    pub(super) accuracy: f64,
    pub(super) mismatch: String,
    pub(super) min_foreign_senders: u32,
    pub(super) insecure_seed: bool,
    pub(super) plan: BTreeMap<&'a str, u64>,
    pub(super) fixed_point_error: f64,
    pub(super) noise_error: f64,
    pub(super) grid_error: f64,
    pub(super) error_bound: f64,
}

/// The accounts that the page shows and where.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    pub(super) accounts: Vec<Account<'a>>,
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
    /// Indices into `accounts`, by rank after the run.
    pub(super) ranks: Vec<usize>,
    /// How many of these are the first ranks; the others climbed most.
    pub(super) first: usize,
}

#[derive(Serialize)]
pub(super) struct Account<'a> {
    /// Index into the page's banks.
    pub(super) bank: usize,
    pub(super) id: &'a str,
    /// Absent where the page's bank does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<Score>,
    /// Its largest senders, over all periods.
    pub(super) senders: Vec<Sender>,
    /// Number of all of them.
    pub(super) sender_count: usize,
}

/// Scores from 0 to 1, and ranks among all accounts that the page's banks have.
#[derive(Serialize)]
pub(super) struct Score {
    pub(super) before: f64,
    pub(super) after: f64,
    pub(super) rank_before: usize,
    /// Absent where the score is withheld; then `after` is a lower bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rank_after: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Sender {
    pub(super) bank: usize,
    pub(super) id: String,
    /// Money may be more than a script counts exactly.
    pub(super) amount: String,
    /// Share in what the receiver got.
    pub(super) share: f64,
    /// The first step, from 1, in which it carried a score that depends on another bank's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) foreign_from: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Node {
    /// Index into `accounts`.
    pub(super) account: usize,
    pub(super) layer: usize,
    pub(super) row: usize,
    pub(super) risen: bool,
}

#[derive(Serialize)]
pub(super) struct Edge {
    /// Indices into `nodes`.
    pub(super) from: usize,
    pub(super) to: usize,
    /// Share in what the receiver got.
    pub(super) share: f64,
}

/// How scores moved, from a plain computation over the data of all banks.
#[derive(Serialize)]
pub(super) struct Movement {
    /// Sum of the scores of each bank, before the run and after each step.
    pub(super) totals: Vec<Vec<f64>>,
    /// Accounts of each bank with a score above 0.
    pub(super) reached: Vec<Vec<usize>>,
    /// Scores of the accounts that rose most.
    pub(super) scores: Vec<Course>,
    /// Greatest difference of its last step from the scores that the run disclosed.
    pub(super) difference: f64,
}

#[derive(Serialize)]
pub(super) struct Course {
    /// Index into `accounts`.
    pub(super) account: usize,
    pub(super) scores: Vec<f64>,
}
