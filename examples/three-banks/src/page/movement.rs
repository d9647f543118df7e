//! How risk moved by iteration, computed in the clear from all banks' data: in a real run nobody sees a score between
//! the first and the last.

use subrosa_risk_propagation::Step;

use super::model::Movement;
use crate::scene::{Scene, float};

/// The scores of all accounts of a scene before the run and after each step.
pub(super) struct Trace {
    pub(super) scores: Vec<Vec<f64>>,
}

/// Follows the definition, in floating point, over the transfers that the banks agreed on.
pub(super) fn trace(scene: &Scene<'_>, steps: &[Step]) -> Trace {
    let mut scores: Vec<Vec<f64>> = vec![scene.accounts.iter().map(|account| account.before).collect()];
    for step in steps {
        let Some(before) = scores.last() else { break };
        let score = |account: usize| before.get(account).copied().unwrap_or(0.0);
        let after = scene.accounts.iter().enumerate().map(|(index, account)| {
            let Some(outcome) = scene.outcome(account.bank) else { return account.before };
            let mut income = 0.0;
            let mut brought = 0.0;
            for (bank, id, amount) in outcome.agreed.network().incoming(step.period, account.place) {
                income += float(amount);
                brought += float(amount) * scene.position(bank, id).map_or(0.0, score);
            }
            let arrived = if income > 0.0 { brought / income } else { 0.0 };
            (1.0 - step.delta) * score(index) + step.delta * arrived
        });
        let after = after.collect();
        scores.push(after);
    }
    Trace { scores }
}

impl Trace {
    /// The course of one account.
    pub(super) fn of(&self, account: usize) -> Vec<f64> {
        self.scores.iter().map(|scores| scores.get(account).copied().unwrap_or(0.0)).collect()
    }

    /// What is told of it, the courses of single accounts apart.
    pub(super) fn summary(&self, scene: &Scene<'_>) -> Movement {
        let of_bank = |bank: usize, scores: &[f64]| -> Vec<f64> {
            let accounts = scene.accounts.iter().zip(scores);
            accounts.filter(|(account, _)| account.bank == bank).map(|(_, score)| *score).collect()
        };
        let each = |bank| self.scores.iter().map(move |scores| of_bank(bank, scores));
        let banks = 0..scene.banks.len();
        let last = self.scores.last().map_or(&[][..], Vec::as_slice);
        let differences =
            scene.accounts.iter().zip(last).map(|(account, score)| (account.after - score).abs());
        Movement {
            totals: banks
                .clone()
                .map(|bank| each(bank).map(|scores| scores.iter().sum()).collect())
                .collect(),
            reached: banks
                .map(|bank| each(bank).map(|s| s.iter().filter(|score| **score > 0.0).count()).collect())
                .collect(),
            scores: Vec::new(),
            difference: differences.fold(0.0, f64::max),
        }
    }
}
