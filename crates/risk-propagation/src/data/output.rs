//! Scores as CSV.

use std::path::Path;

use super::files::write_atomically;
use super::values::{BEFORE, before};
use crate::error::Error;
use crate::network::Network;
use crate::run::Outcome;

/// Writes `id,risk_score,before` for the own accounts; a further risk type `x` adds `x` and `x_before`.
///
/// # Arguments
/// `scores` holds one row of [`Network::columns`] values for each account, as the propagation returns them.
/// `decimals` is the number of digits after the point of a score; `before` is written in full.
///
/// # Errors
/// [`Error::Io`]; a number of scores that does not fit the network. An existing file is replaced only when the
/// new one is complete on disk.
pub fn write_scores(file: &Path, network: &Network, scores: &[f64], decimals: usize) -> Result<(), Error> {
    write_rows(file, network, scores, decimals, |_| false)
}

/// [`write_scores`] for the outcome of a run. The scores of withheld accounts are empty fields: a lower bound that looks like a
/// score would be taken for one.
///
/// # Errors
/// As [`write_scores`].
pub fn write_outcome(file: &Path, outcome: &Outcome) -> Result<(), Error> {
    let decimals = outcome.plan.decimals() as usize;
    let withheld = |account| outcome.is_withheld(account);
    write_rows(file, outcome.agreed.network(), &outcome.scores, decimals, withheld)
}

fn write_rows(
    file: &Path,
    network: &Network,
    scores: &[f64],
    decimals: usize,
    withheld: impl Fn(usize) -> bool,
) -> Result<(), Error> {
    let columns = network.columns().len();
    if scores.len() != network.account_count() * columns {
        return Err(Error::directory(file, format!("{} scores do not fit the network", scores.len())));
    }
    write_atomically(file, |out| {
        let mut writer = csv::Writer::from_writer(out);
        let mut header = vec!["id".to_owned()];
        for (index, column) in network.columns().iter().enumerate() {
            header.push(column.clone());
            header.push(if index == 0 { BEFORE.to_owned() } else { before(column) });
        }
        writer.write_record(&header)?;
        let width = columns.max(1);
        let rows = scores.chunks(width).zip(network.initial_scores().chunks(width));
        let mut record = csv::StringRecord::new();
        for (account, (id, (after, before))) in network.account_ids().zip(rows).enumerate() {
            record.clear();
            record.push_field(id);
            for (after, before) in after.iter().zip(before) {
                let score = if withheld(account) { String::new() } else { format!("{after:.decimals$}") };
                record.push_field(&score);
                record.push_field(&before.to_string());
            }
            writer.write_record(&record)?;
        }
        writer.flush()
    })
}
