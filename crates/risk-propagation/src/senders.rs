//! How many foreign senders determine a score, and which scores are withheld for want of them.
//!
//! A score that one foreign sender determines tells that sender's score: the bank knows all weights of the last step. The
//! agreed [`Settings::min_foreign_senders`](crate::Settings::min_foreign_senders) keeps the foreign part of such scores
//! undisclosed.

use std::collections::HashSet;

use rayon::prelude::*;

use crate::network::Network;
use crate::plan::Plan;
use crate::weights::{Mixing, sender_weights};

/// For each own account, how many different foreign accounts determine its score within the steps of a plan, counted up to
/// `most`.
///
/// A foreign account determines a score if it pays the account, or pays another own account from which its score flows on to
/// the account in later steps. What flowed to the foreign account before does not matter. Senders whose weight is rounded to 0
/// do not count.
///
/// # Arguments
/// `network` is that of the agreement, or, for an estimate before it, the bank's own: then all foreign senders count.
#[must_use]
pub fn foreign_senders(network: &Network, plan: &Plan, most: usize) -> Vec<usize> {
    let mut known: Vec<Vec<u32>> = vec![Vec::new(); network.account_count()];
    for step in plan.steps() {
        let (Some(period), Some(mixing)) =
            (network.periods().get(step.period), Mixing::new(step.delta, plan.weight_bits()))
        else {
            continue;
        };
        let next = |weights: &mut Vec<u64>, account: usize| {
            weights.clear();
            sender_weights(network, step.period, account, mixing, weights);
            let before = known.get(account).filter(|_| mixing.own() > 0);
            let mut senders: Vec<u32> = before.cloned().unwrap_or_default();
            for (&sender, &weight) in period.incoming(account).0.iter().zip(weights.iter()) {
                if weight == 0 {
                    continue;
                }
                let itself = [sender.0];
                let through = if network.is_own(sender) { known.get(sender.index()) } else { None };
                let through = through.map_or(&itself[..usize::from(!network.is_own(sender))], Vec::as_slice);
                for &foreign in through {
                    if senders.len() < most
                        && let Err(place) = senders.binary_search(&foreign)
                    {
                        senders.insert(place, foreign);
                    }
                }
            }
            senders
        };
        known = (0..known.len()).into_par_iter().map_init(Vec::new, next).collect();
    }
    known.iter().map(Vec::len).collect()
}

/// Own accounts that foreign money can reach within the steps of a plan, ascending: those whose scores have a ciphertext
/// part in the end.
fn reached(network: &Network, plan: &Plan) -> Vec<u32> {
    let mut reached = vec![false; network.account_count()];
    for step in plan.steps() {
        let Some(period) = network.periods().get(step.period) else { continue };
        let counts = |sender: usize| reached.get(sender).copied().unwrap_or(true);
        let next = reached.iter().enumerate().map(|(account, already)| {
            *already || period.incoming(account).0.iter().any(|sender| counts(sender.index()))
        });
        reached = next.collect();
    }
    (0..).zip(reached).filter(|(_, reached)| *reached).map(|(account, _)| account).collect()
}

/// Own accounts of whose scores the foreign part is withheld, ascending: those that some foreign senders determine, but fewer
/// than the plan asks for.
///
/// # Arguments
/// As for [`foreign_senders`].
#[must_use]
pub fn withheld(network: &Network, plan: &Plan) -> Vec<u32> {
    let least = plan.min_foreign_senders() as usize;
    // Whom a single sender determines is disclosed: there is nothing to count.
    if least <= 1 {
        return Vec::new();
    }
    let counts = (0..).zip(foreign_senders(network, plan, least));
    counts.filter(|(_, count)| (1..least).contains(count)).map(|(account, _)| account).collect()
}

/// Own accounts whose foreign part is disclosed, ascending and in the order in which they are packed: all that foreign money
/// can reach within the steps of a plan but those [`withheld`].
#[must_use]
pub fn disclosed(network: &Network, plan: &Plan) -> Vec<u32> {
    let withheld: HashSet<u32> = withheld(network, plan).into_iter().collect();
    reached(network, plan).into_iter().filter(|account| !withheld.contains(account)).collect()
}
