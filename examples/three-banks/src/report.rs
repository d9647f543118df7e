//! What was measured, as `--json` writes it.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::Failure;
use crate::phases::Phase;
use subrosa_risk_propagation::{Outcome, data};

/// Times, traffic and sizes.
#[derive(Clone, Serialize)]
pub(crate) struct Report<'a> {
    phases: Vec<&'a Phase>,
    accounts: usize,
    /// Different (sender, receiver) pairs in all periods that took part.
    edges: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    largest_difference: Option<f64>,
}

impl<'a> Report<'a> {
    /// Of some banks, with what each spent on its phases.
    pub(crate) fn new(
        phases: impl IntoIterator<Item = &'a [Phase]>,
        outcomes: &[Outcome],
        largest_difference: Option<f64>,
    ) -> Self {
        let networks = || outcomes.iter().map(|outcome| outcome.agreed.network());
        Self {
            phases: phases.into_iter().flatten().collect(),
            accounts: networks().map(|network| network.account_count()).sum(),
            edges: networks().flat_map(|network| network.periods()).map(|period| period.edge_count()).sum(),
            largest_difference,
        }
    }

    /// Writes it to a file.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Failure> {
        data::write_atomically(file, |out| {
            serde_json::to_writer_pretty(&mut *out, self)?;
            out.write_all(b"\n")
        })?;
        Ok(())
    }
}
