//! How risk moved by iteration, computed in the clear from all banks' data: in a real run nobody sees a score between
//! the first and the last.

use super::model::Movement;
use crate::scene::Scene;
use subrosa_risk_propagation::plaintext::Reference;
use subrosa_risk_propagation::{Error, Outcome, Plan};

/// The scores of all accounts of all banks, one row of risk types for each, before the run and after each step: those that
/// the ciphertexts held.
pub(super) fn follow(outcomes: &[Outcome], plan: &Plan) -> Result<Vec<Vec<f64>>, Error> {
    let mut twin = Reference::new(outcomes.iter().map(|outcome| &outcome.agreed), plan)?;
    let present = |twin: &Reference<'_>| (0..outcomes.len()).flat_map(|bank| twin.scores(bank)).collect();
    let mut course = vec![present(&twin)];
    while twin.advance()? {
        course.push(present(&twin));
    }
    Ok(course)
}

/// The scores of all accounts of a scene before the run and after each step.
pub(super) struct Trace {
    scores: Vec<Vec<f64>>,
}

impl Trace {
    /// What `course` holds of the scene's risk type.
    pub(super) fn new(course: &[Vec<f64>], scene: &Scene<'_>) -> Self {
        let of_type = |scores: &Vec<f64>| {
            scores.iter().skip(scene.column).step_by(scene.types.len().max(1)).copied().collect()
        };
        Self { scores: course.iter().map(of_type).collect() }
    }

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
        let shown = scene.accounts.iter().zip(last).filter(|(account, _)| !account.withheld);
        let differences = shown.map(|(account, score)| (account.after - score).abs());
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
