//! Writing the scores.

use super::NodeError;
use crate::NodeConfig;
use subrosa_risk_propagation::{self as propagation, Outcome, data};
use subrosa_transport::with_causes;

/// Holds back an error that the other banks must not learn of. This bank then acts as if it had its scores, and ends with the
/// error. Other errors end the attempt.
pub(super) fn hold_back(error: propagation::Error) -> Result<propagation::Error, propagation::Error> {
    if !matches!(error, propagation::Error::Range(_)) {
        return Err(error);
    }
    tracing::error!("{}", with_causes(&error));
    Ok(error)
}

/// Writes the scores to the output file.
pub(super) fn write_scores(config: &NodeConfig, outcome: &Outcome) -> Result<(), NodeError> {
    data::write_outcome(&config.output, outcome)?;
    if !outcome.withheld.is_empty() {
        tracing::warn!(
            accounts = outcome.withheld.len(),
            min_foreign_senders = outcome.plan.min_foreign_senders(),
            "scores withheld: too few accounts of other banks determine them; their fields are empty"
        );
    }
    for failure in &outcome.absent {
        tracing::warn!(bank = failure.name, "took no part in the decryption: {failure}");
    }
    tracing::info!(file = %config.output.display(), "scores written");
    Ok(())
}
