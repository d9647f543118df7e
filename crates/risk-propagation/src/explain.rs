//! Which of its own transfers an account's score came through, for the bank's investigator.
//!
//! An explanation is made of what the bank holds anyway: its agreed network and the steps of the run. No message is sent
//! and no score is read, so that nothing about another bank's scores can come out of it. It says through which
//! transfers a foreign score *could* arrive, not whether that score was high.

use crate::banks::BankId;
use crate::network::Node;
use crate::plan::Step;
use crate::steps::agreement::Agreed;

/// Where an account's score came from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The account.
    pub account: String,
    /// Its incoming edges by period, in each the heaviest first. Senders that the banks did not agree on are left out, as
    /// in the run, and so are periods that were passed over.
    pub contributions: Vec<Contribution>,
}

/// One sender in one period.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Contribution {
    /// Period, from 0.
    pub period: usize,
    /// The sender's bank.
    pub bank: BankId,
    /// The sender.
    pub sender: String,
    /// Whether the sender is an account of another bank.
    pub foreign: bool,
    /// Sum of its transfers in the period, in the smallest unit of money.
    pub amount: u128,
    /// The sender's part in the account's new score, from 0 to 1, for each iteration of the period: δ times its share in
    /// the account's income. The run rounds it to the plan's weight bits.
    pub weights: Vec<f64>,
    /// The first step, an index into the run's steps, in which this edge carried a score that depends on another bank's:
    /// for a foreign sender its own, for an own one what had reached it before. `None` if it never did.
    pub foreign_from: Option<usize>,
}

impl Explanation {
    /// The edges that carried foreign risk.
    pub fn carriers(&self) -> impl Iterator<Item = &Contribution> + '_ {
        self.contributions.iter().filter(|contribution| contribution.foreign_from.is_some())
    }
}

/// Explains the score of one own account.
///
/// # Arguments
/// `agreed` and `steps` are those of the run: [`crate::Outcome`] holds the one and, in its plan, the other. `id` is
/// the name of an own account.
///
/// # Returns
/// `None` for an account that the bank does not have.
///
/// # Security
/// All that it returns is a function of the bank's own data and the agreed list of transfers. Who may see explanations is
/// for the bank to say: they name its customers and theirs at other banks.
#[doc(alias("explainability", "SAR"))]
#[must_use]
pub fn explain(agreed: &Agreed, steps: &[Step], id: &str) -> Option<Explanation> {
    let network = agreed.network();
    let account = network.position(id)?;
    let mut reached = vec![false; network.account_count()];
    let mut contributions: Vec<Contribution> = Vec::new();
    // Where the contributions of the present period begin.
    let mut start = 0;
    let mut period = None;
    for (number, step) in steps.iter().enumerate() {
        let Some(edges) = network.periods().get(step.period) else { continue };
        let (senders, amounts) = edges.incoming(account);
        if period != Some(step.period) {
            period = Some(step.period);
            start = contributions.len();
            contributions.extend(senders.iter().zip(amounts).map(|(&sender, &amount)| {
                let (bank, name) = network.identity(sender);
                Contribution {
                    period: step.period,
                    bank,
                    sender: name.to_owned(),
                    foreign: !network.is_own(sender),
                    amount,
                    weights: Vec::new(),
                    foreign_from: None,
                }
            }));
        }
        let carries = |sender: Node| {
            step.delta > 0.0
                && reached.get(sender.index()).copied().unwrap_or_else(|| !network.is_own(sender))
        };
        let income: f64 = amounts.iter().map(|&amount| float(amount)).sum();
        for (here, &sender) in contributions.iter_mut().skip(start).zip(senders) {
            here.weights.push(step.delta * float(here.amount) / income);
            if here.foreign_from.is_none() && carries(sender) {
                here.foreign_from = Some(number);
            }
        }
        let next = (0..reached.len()).map(|other| {
            let (senders, _) = edges.incoming(other);
            // With δ = 1 an account that has income keeps nothing of its own score.
            let kept = step.delta < 1.0 || senders.is_empty();
            (kept && reached.get(other).copied().unwrap_or(false))
                || senders.iter().any(|&sender| carries(sender))
        });
        reached = next.collect();
    }
    let first = |contribution: &Contribution| contribution.weights.first().copied().unwrap_or(0.0);
    contributions.sort_by(|left, right| {
        left.period.cmp(&right.period).then_with(|| first(right).total_cmp(&first(left)))
    });
    Some(Explanation { account: id.to_owned(), contributions })
}

#[expect(clippy::cast_precision_loss, reason = "weights are shown, not computed with")]
fn float(amount: u128) -> f64 {
    amount as f64
}
