//! What the banks agree on before they start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::PlanError;
use crate::limits::MAX_STEPS;
use subrosa_threshold_decryption::protocol::Checks;

/// δ, the share of a new score that comes from the account's senders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
#[doc(alias("damping factor"))]
pub struct Delta(DeltaForm);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DeltaForm {
    Fixed(f64),
    ByIteration(Vec<f64>),
}

impl Delta {
    /// The same δ in every iteration.
    #[must_use]
    pub fn fixed(delta: f64) -> Self {
        Self(DeltaForm::Fixed(delta))
    }

    /// δ as a function of the iteration, counted from 0 within each period.
    #[must_use]
    pub fn by_iteration(iterations: u32, delta: impl Fn(u32) -> f64) -> Self {
        Self(DeltaForm::ByIteration((0..iterations).map(delta).collect()))
    }

    /// δ in an iteration; `None` where none was given.
    #[must_use]
    pub fn at(&self, iteration: u32) -> Option<f64> {
        match &self.0 {
            DeltaForm::Fixed(delta) => Some(*delta),
            DeltaForm::ByIteration(deltas) => deltas.get(iteration as usize).copied(),
        }
    }
}

/// One number, or the list of them.
impl std::fmt::Display for Delta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            DeltaForm::Fixed(delta) => write!(f, "{delta}"),
            DeltaForm::ByIteration(deltas) => write!(f, "{deltas:?}"),
        }
    }
}

/// What happens when two banks hold different transfers between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mismatch {
    /// The run ends before the first iteration, with an error that names both banks.
    #[default]
    Refuse,
    /// A sender counts for a receiving bank in a period only if its own bank lists a transfer from it to that bank
    /// in that period; the amounts are the receiving bank's.
    LeaveOut,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Refuse => "refuse",
            Self::LeaveOut => "leave-out",
        })
    }
}

/// For how many runs a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyUse {
    /// For one: a bank that remembers another run under the key refuses to begin. What remembers is the run's
    /// [`CheckpointStore`](crate::CheckpointStore), and nothing is remembered of runs without one.
    #[default]
    Once,
    /// For as many as its holders like.
    ///
    /// # Security
    /// A bank that cheats can hand in ciphertexts that it kept of an earlier run, and read what they hold. Nobody notices before
    /// its part is [computed again](crate::audit).
    Shared,
}

impl std::fmt::Display for KeyUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Once => "once",
            Self::Shared => "shared",
        })
    }
}

/// Settings of a run. All banks must hold the same, but for `max_accounts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Iterations in each period.
    pub iterations: u32,
    /// δ, in [0, 1].
    pub delta: Delta,
    /// Greatest absolute error of a final score, in (0, 0.1].
    pub accuracy: f64,
    /// What a difference between two banks leads to.
    pub mismatch: Mismatch,
    /// Number of periods. A bank with more is refused, one with fewer takes part in the further ones without transfers. `None`
    /// for as many as any bank has: then each bank decides for all of them.
    pub periods: Option<u32>,
    /// Fewest pairs of a sender and another account that it pays, over all banks, from which on a period counts; 0 is taken as
    /// 1. Each bank tells its own number to within a factor of two: see [`PeriodActivity::least`](crate::PeriodActivity::least).
    pub least_activity: u32,
    /// Fewest foreign senders that must determine a score for its foreign part to be disclosed; 0 is taken as 1, with which
    /// all are. Accounts with fewer are listed in [`Outcome::withheld`](crate::Outcome::withheld).
    ///
    /// # Security
    /// With 1, each account that a single foreign sender pays tells its bank that sender's score. Counting is no weighing: of
    /// two senders the smaller may bring next to nothing. A bank that cheats hands in its withheld accounts all the same.
    pub min_foreign_senders: u32,
    /// What this bank is ready for: no other may offer more senders in a period, or hand in more ciphertexts than so many
    /// accounts take. Each sender takes some hundred bytes during the agreement, and a ciphertext afterwards if it is one. Default
    /// ten million; set it to the accounts of the largest other bank if that has more.
    pub max_accounts: u32,
    /// What the banks agreed on: the most accounts that each bank may have, by its name. A bank that declares more ends the
    /// run and is named. Banks that are not in the list are bounded by `max_accounts` alone. Default none.
    ///
    /// # Security
    /// A bank that cheats has one number decrypted for each account that it declares. The list keeps it from declaring
    /// accounts that it does not have.
    pub most_accounts: BTreeMap<String, u32>,
    /// How partial decryptions are checked in R9. Default proofs: a wrong answer is refused, and its bank named.
    pub checks: Checks,
    /// For how many runs the key is used. Default one.
    pub key_use: KeyUse,
}

impl Default for Settings {
    /// Three iterations, δ = 0.5, accuracy 10^-6, differences refused, all periods in which anybody is paid, all scores disclosed, ready for ten
    /// million accounts, a key for each run.
    fn default() -> Self {
        Self {
            iterations: 3,
            delta: Delta::fixed(0.5),
            accuracy: 1e-6,
            mismatch: Mismatch::Refuse,
            periods: None,
            least_activity: 1,
            min_foreign_senders: 1,
            max_accounts: 10_000_000,
            most_accounts: BTreeMap::new(),
            checks: Checks::default(),
            key_use: KeyUse::default(),
        }
    }
}

/// One step: an iteration of a period.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Period, from 0.
    pub period: usize,
    /// Iteration within the period, from 0.
    pub iteration: u32,
    /// δ of this iteration.
    pub delta: f64,
}

impl Settings {
    /// The most accounts that a bank may have, if it was agreed.
    #[must_use]
    pub fn agreed_accounts(&self, bank: &str) -> Option<u32> {
        self.most_accounts.get(bank).copied()
    }

    /// The most accounts of another bank that this one goes along with.
    pub(crate) fn accounts_of(&self, bank: &str) -> usize {
        self.agreed_accounts(bank).map_or(self.max_accounts, |most| most.min(self.max_accounts)) as usize
    }

    /// The steps of a run, in order.
    ///
    /// # Arguments
    /// `active` says of each period whether the run takes it: see [`periods`](crate::steps::agreement::periods).
    ///
    /// # Errors
    /// A δ that is missing or outside [0, 1]; more than [`MAX_STEPS`] steps.
    pub fn steps(&self, active: &[bool]) -> Result<Vec<Step>, PlanError> {
        let periods = active.iter().filter(|active| **active).count();
        let count = (self.iterations as usize).saturating_mul(periods);
        if count > MAX_STEPS || self.iterations as usize > MAX_STEPS {
            return Err(PlanError::TooManySteps { steps: count.max(self.iterations as usize) });
        }
        let deltas = (0..self.iterations)
            .map(|iteration| match self.delta.at(iteration) {
                Some(delta) if (0.0..=1.0).contains(&delta) => Ok((iteration, delta)),
                delta => Err(PlanError::Delta { iteration, delta }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let periods = active.iter().enumerate().filter(|(_, active)| **active);
        let steps = periods.flat_map(|(period, _)| {
            deltas.iter().map(move |&(iteration, delta)| Step { period, iteration, delta })
        });
        Ok(steps.collect())
    }
}
