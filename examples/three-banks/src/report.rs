//! The report in JSON.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use subrosa_risk_propagation::{Outcome, data};

use crate::Failure;
use crate::phases::Phase;

#[derive(Serialize)]
struct Report<'a> {
    phases: Vec<&'a Phase>,
    accounts: usize,
    /// Different (sender, receiver) pairs in all periods that took part.
    edges: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    largest_difference: Option<f64>,
}

/// Writes what was measured.
pub(crate) fn write(
    file: &Path,
    phases: &[Vec<Phase>],
    outcomes: &[Outcome],
    largest_difference: Option<f64>,
) -> Result<(), Failure> {
    let networks = || outcomes.iter().map(|outcome| outcome.agreed.network());
    let report = Report {
        phases: phases.iter().flatten().collect(),
        accounts: networks().map(|network| network.account_count()).sum(),
        edges: networks().flat_map(|network| network.periods()).map(|period| period.edge_count()).sum(),
        largest_difference,
    };
    data::write_atomically(file, |out| {
        serde_json::to_writer_pretty(&mut *out, &report)?;
        out.write_all(b"\n")
    })?;
    Ok(())
}
