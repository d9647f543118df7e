//! The propagation in the clear: a twin that computes the very numbers that the ciphertexts hold, and a plain one in
//! floating point to check both against.
//!
//! Both need the networks of all banks at once. They are for tests, for trying out data and for `--check`.

use std::collections::{HashMap, HashSet};

use num_bigint::BigInt;
use rayon::prelude::*;

use crate::agreement::Agreed;
use crate::banks::BankId;
use crate::fixed::{self, FixedScores, add_product};
use crate::network::{Network, Node};
use crate::plan::{Plan, PlanError};
use crate::settings::{Mismatch, Settings, Step};
use crate::weights::{Mixing, sender_weights};

/// Runs all steps on the fixed-point numbers of the encrypted protocol.
///
/// # Arguments
/// `agreed[b]` is the network of bank `b` after the agreement (see [`Agreed::among`]).
///
/// # Returns
/// The scores of each bank's accounts at the plan's final scale: integer for integer what the ciphertexts hold before
/// the disclosure noise.
#[must_use]
pub fn propagate(agreed: &[Agreed], plan: &Plan) -> Vec<FixedScores> {
    let mut scores: Vec<FixedScores> =
        agreed.iter().map(|agreed| FixedScores::initial(agreed.network(), plan)).collect();
    for step in plan.steps() {
        scores = (0..agreed.len()).map(|bank| advance(agreed, bank, &scores, *step, plan)).collect();
    }
    scores
}

fn advance(agreed: &[Agreed], own: usize, scores: &[FixedScores], step: Step, plan: &Plan) -> FixedScores {
    let (Some(here), Some(before)) = (agreed.get(own), scores.get(own)) else {
        return FixedScores::zeros(0, plan);
    };
    let network = here.network();
    // Where each foreign account's score is found.
    let mut sources: Vec<Option<(usize, usize)>> = vec![None; network.foreign_count()];
    for (bank, there) in agreed.iter().enumerate() {
        let imports = here.imports(step.period, there.network().own());
        for (&foreign, &account) in imports.iter().zip(there.exports(step.period, network.own())) {
            if let Some(source) = sources.get_mut(foreign as usize) {
                *source = Some((bank, account as usize));
            }
        }
    }
    let row_of = |node: Node| -> &[u64] {
        match network.foreign_index(node) {
            None => before.row(node.index()),
            Some(foreign) => match sources.get(foreign).copied().flatten() {
                Some((bank, account)) => scores.get(bank).map_or(&[], |scores| scores.row(account)),
                None => &[],
            },
        }
    };
    let mut after = FixedScores::zeros(network.account_count(), plan);
    let Some(mixing) = Mixing::new(step.delta, plan.weight_bits()) else { return after };
    let words = after.words();
    after.rows_mut().par_chunks_mut(words).enumerate().for_each(|(account, row)| {
        add_product(row, before.row(account), mixing.own());
        let mut weights = Vec::new();
        sender_weights(network, step.period, account, mixing, &mut weights);
        let senders = network.periods().get(step.period).map_or(&[][..], |period| period.incoming(account).0);
        for (&sender, &weight) in senders.iter().zip(&weights) {
            add_product(row, row_of(sender), weight);
        }
    });
    after
}

/// Final scores as a bank shows them, rounded to the plan's grid: one row of risk types for each account.
#[must_use]
pub fn disclosed(scores: &FixedScores, plan: &Plan) -> Vec<f64> {
    (0..scores.len())
        .flat_map(|account| scores.lanes(account, plan))
        .map(|lane| fixed::to_grid(&BigInt::from(lane), plan.final_scale(), plan.decimals()))
        .collect()
}

/// The propagation in floating point, straight from the definition: no agreement, no weights in fixed point.
///
/// # Arguments
/// `networks[b]` is the view of bank `b` before any agreement. With [`Mismatch::Refuse`] the receiving bank's list
/// counts for every transfer, with [`Mismatch::LeaveOut`] a foreign sender only if its own bank lists it too.
///
/// # Returns
/// One row of risk types for each account of each bank.
///
/// # Errors
/// [`PlanError`] for a δ out of range or too many steps.
pub fn reference(networks: &[Network], settings: &Settings) -> Result<Vec<Vec<f64>>, PlanError> {
    let periods = networks.iter().map(|network| network.periods().len()).max().unwrap_or(0);
    let active = |period: usize| {
        networks.iter().any(|network| network.periods().get(period).is_some_and(|period| period.is_active()))
    };
    let active: Vec<bool> = (0..periods).map(active).collect();
    let mut places: HashMap<(BankId, &str), (usize, usize)> = HashMap::new();
    let known = |bank: BankId| networks.get(bank.index()).is_some_and(Network::hands_in_scores);
    for (index, network) in networks.iter().enumerate() {
        for (account, id) in network.account_ids().enumerate() {
            places.insert((network.own(), id), (index, account));
        }
    }
    let mut scores: Vec<Vec<f64>> =
        networks.iter().map(|network| network.initial_scores().to_vec()).collect();
    for step in settings.steps(&active)? {
        let offered = match settings.mismatch {
            Mismatch::Refuse => None,
            Mismatch::LeaveOut => Some(offers(networks, step.period)),
        };
        let next = networks.iter().enumerate().map(|(index, network)| {
            let columns = network.columns().len();
            let mut next = scores.get(index).cloned().unwrap_or_default();
            for (account, row) in next.chunks_mut(columns.max(1)).enumerate() {
                let senders: Vec<(usize, usize, u128)> = network
                    .incoming(step.period, account)
                    .filter(|(bank, id, _)| {
                        let listed =
                            || offered.as_ref().is_none_or(|set| set.contains(&(*bank, *id, network.own())));
                        *bank == network.own() || (known(*bank) && listed())
                    })
                    .filter_map(|(bank, id, amount)| {
                        places.get(&(bank, id)).map(|&(bank, account)| (bank, account, amount))
                    })
                    .collect();
                let income: u128 = senders.iter().map(|(_, _, amount)| amount).sum();
                for (column, score) in row.iter_mut().enumerate() {
                    let mut sum = 0.0;
                    for &(bank, sender, amount) in &senders {
                        let theirs = scores.get(bank).and_then(|s| s.get(sender * columns + column));
                        sum += theirs.copied().unwrap_or(0.0) * ratio(amount, income);
                    }
                    *score = (1.0 - step.delta) * *score + step.delta * sum;
                }
            }
            next
        });
        let next: Vec<Vec<f64>> = next.collect();
        scores = next;
    }
    Ok(scores)
}

#[expect(clippy::cast_precision_loss, reason = "a float is what is wanted")]
fn ratio(amount: u128, income: u128) -> f64 {
    amount as f64 / income as f64
}

/// Senders that their own banks list, with the receiving bank.
fn offers(networks: &[Network], period: usize) -> HashSet<(BankId, &str, BankId)> {
    let mut set = HashSet::new();
    for network in networks {
        for edge in network.periods().get(period).map_or(&[][..], |period| &period.outgoing) {
            let sender = network.names.get(edge.source as usize);
            let receiver = network.foreign.get(edge.destination as usize);
            if let (Some(sender), Some(receiver)) = (sender, receiver) {
                set.insert((network.own(), &**sender, receiver.bank));
            }
        }
    }
    set
}

/// Greatest absolute difference between two sets of scores; infinite where their sizes differ.
#[must_use]
pub fn largest_difference(left: &[Vec<f64>], right: &[Vec<f64>]) -> f64 {
    if left.len() != right.len() {
        return f64::INFINITY;
    }
    let mut worst = 0.0_f64;
    for (left, right) in left.iter().zip(right) {
        if left.len() != right.len() {
            return f64::INFINITY;
        }
        for (left, right) in left.iter().zip(right) {
            worst = worst.max((left - right).abs());
        }
    }
    worst
}
