//! What a bank has when a run has ended.

use crate::checkpoint::format::State;
use crate::checkpoint::{CheckpointError, CheckpointStore};
use crate::error::Error;
use crate::plan::Plan;
use crate::steps::agreement::periods::PeriodActivity;
use crate::steps::agreement::{Agreed, senders};
use crate::steps::disclosure::{self, Ceilings};
use subrosa_threshold_decryption::{Deviation, ThresholdKey};
use subrosa_transport::{Failure, PartyId};

/// What a run brought.
#[derive(Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The network of which all banks agreed.
    pub agreed: Agreed,
    /// The plan that was followed.
    pub plan: Plan,
    /// The periods, and which bank made each of them count.
    pub periods: Vec<PeriodActivity>,
    /// Final scores of the own accounts: one row of risk types for each, in the network's order. For accounts that are
    /// withheld, the part that the bank's own accounts contribute: a lower bound, and no score.
    pub scores: Vec<f64>,
    /// Accounts of which only a lower bound is known, by their place in the network, ascending: fewer foreign senders than
    /// [`Settings::min_foreign_senders`](crate::Settings::min_foreign_senders) determine their scores.
    pub withheld: Vec<u32>,
    /// Accounts whose scores were decrypted.
    pub decrypted_accounts: usize,
    /// Ciphertexts that were decrypted for them.
    pub ciphertexts: usize,
    /// Parties that did not take part in the decryption, with the reasons: they were silent, or their proof did not hold.
    pub absent: Vec<Failure>,
    /// Of the parties whose proof did not hold, which of their partial decryptions are wrong, by the own ciphertexts' places;
    /// an empty list where only the proof is.
    pub deviations: Vec<Deviation>,
    /// Banks that were at another run, or at none, so that all gave up one of which this bank had a state.
    pub anew_for: Vec<PartyId>,
    /// Whether all banks have said that they have their plaintexts (R10): no bank needs this one's checkpoints any more.
    pub complete: bool,
}

impl Outcome {
    /// Removes the run's checkpoints. Call this once the outcome is stored where it is safe.
    ///
    /// Where some bank has not said that it is done, they stay, and the result is `false`: run again if that bank comes back, and
    /// [`clear`](CheckpointStore::clear) the store if it does not.
    ///
    /// # Errors
    /// [`CheckpointError`]: they cannot be removed.
    pub fn commit(&self, checkpoints: &mut dyn CheckpointStore) -> Result<bool, CheckpointError> {
        if self.complete {
            checkpoints.clear()?;
        }
        Ok(self.complete)
    }

    /// The own accounts with scores, in the network's order: name and scores, one for each risk type. Those that are
    /// [withheld](Outcome::withheld_accounts) are left out.
    pub fn by_account(&self) -> impl Iterator<Item = (&str, &[f64])> + '_ {
        self.rows().filter(|(account, ..)| !self.is_withheld(*account)).map(|(_, id, scores)| (id, scores))
    }

    /// The own accounts without scores, in the network's order: name and lower bounds of the scores, one for each risk type.
    pub fn withheld_accounts(&self) -> impl Iterator<Item = (&str, &[f64])> + '_ {
        self.rows().filter(|(account, ..)| self.is_withheld(*account)).map(|(_, id, scores)| (id, scores))
    }

    /// Whether an account, named by its place in the network, has a lower bound in place of a score.
    #[must_use]
    pub fn is_withheld(&self, account: usize) -> bool {
        u32::try_from(account).is_ok_and(|account| self.withheld.binary_search(&account).is_ok())
    }

    fn rows(&self) -> impl Iterator<Item = (usize, &str, &[f64])> + '_ {
        let rows = self.agreed.network().account_ids().zip(self.scores.chunks(self.plan.columns().max(1)));
        rows.enumerate().map(|(account, (id, scores))| (account, id, scores))
    }

    /// The own accounts of which some score is at least `threshold`: name and scores, one for each risk type. Of a withheld
    /// account, its lower bounds count.
    ///
    /// # Security
    /// A display filter, for lists that are handed on inside the bank, and nothing more: all scores of the own accounts were
    /// disclosed to this bank, those below the threshold as well, and no other bank learns of the threshold.
    pub fn at_least(&self, threshold: f64) -> impl Iterator<Item = (&str, &[f64])> + '_ {
        let high = move |scores: &[f64]| scores.iter().any(|score| *score >= threshold);
        self.rows().filter(move |(_, _, scores)| high(scores)).map(|(_, id, scores)| (id, scores))
    }
}

impl std::fmt::Debug for Outcome {
    // Redacted: the scores are the bank's secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outcome(<redacted>, {} scores)", self.scores.len())
    }
}

/// Parties without which the decryption went on.
#[derive(Default)]
pub(super) struct PassedOver {
    pub(super) absent: Vec<Failure>,
    pub(super) deviations: Vec<Deviation>,
}

/// The end of R9: scores from plaintexts.
pub(super) fn outcome(
    agreed: Agreed,
    plan: Plan,
    periods: Vec<PeriodActivity>,
    state: &State,
    passed_over: PassedOver,
    key: &ThresholdKey,
) -> Result<Outcome, Error> {
    let disclosed = senders::disclosed(agreed.network(), &plan)?;
    let withheld = senders::withheld(agreed.network(), &plan)?;
    let ceilings = Ceilings::new(&agreed, &plan)?;
    let scores =
        disclosure::disclose(&state.scores, &disclosed, &state.plaintexts, &ceilings, &plan, key.public())?;
    let ciphertexts = state.plaintexts.len();
    let PassedOver { absent, deviations } = passed_over;
    let decrypted_accounts = disclosed.len();
    Ok(Outcome {
        agreed,
        plan,
        periods,
        scores,
        withheld,
        decrypted_accounts,
        ciphertexts,
        absent,
        deviations,
        anew_for: Vec::new(),
        complete: false,
    })
}
