//! How many foreign senders determine a score, and which scores are withheld because there are too few.
//!
//! A score that one foreign sender determines tells that sender's score: the bank knows all weights of the last step, and what
//! its own accounts bring. The agreed [`Settings::min_foreign_senders`](crate::Settings::min_foreign_senders) keeps the foreign part of such scores
//! undisclosed.

use std::collections::HashSet;

use rayon::prelude::*;

use crate::error::Error;
use crate::network::{Network, Node};
use crate::plan::Plan;
use crate::steps::scores::{Mixing, sender_weights};

/// For each own account, how many different foreign accounts determine its score, counted up to `least`.
///
/// Counted are the foreign accounts that pay the account, in the last period of the plan in which any do. What its own bank's
/// accounts bring is taken as known, since the bank has their scores. If no foreign account pays it, those are counted that
/// determine the own accounts through which foreign money reaches it: of own accounts that themselves have fewer than `least`,
/// if there are any, as these are not known, and of all otherwise. Senders whose weight is rounded to 0 do not count.
///
/// # Arguments
/// `network` is that of the agreement, or, for an estimate before it, the bank's own: then all foreign senders count.
///
/// # Errors
/// [`Error::Internal`] for a network that contradicts itself.
pub fn foreign_senders(network: &Network, plan: &Plan, least: usize) -> Result<Vec<usize>, Error> {
    let mut known: Vec<Vec<u32>> = vec![Vec::new(); network.account_count()];
    for step in plan.steps() {
        // Before the agreement a network can have fewer periods than the plan.
        if step.period >= network.periods().len() {
            continue;
        }
        let mixing = Mixing::of(*step, plan)?;
        let next = |weights: &mut Vec<u64>, account: usize| -> Result<Vec<u32>, Error> {
            let senders = sender_weights(network, step.period, account, mixing, weights)?;
            let weighted = senders.iter().zip(weights.iter());
            let (own, foreign): (Vec<Node>, Vec<Node>) = weighted
                .filter(|(_, weight)| **weight > 0)
                .map(|(sender, _)| *sender)
                .partition(|n| network.is_own(*n));
            if !foreign.is_empty() {
                return Ok(foreign.iter().take(least).map(|sender| sender.0).collect());
            }
            let itself = (mixing.own() > 0).then_some(account);
            let behind = own.iter().map(|sender| sender.index()).chain(itself);
            let place = "an own sender is not among the accounts";
            let known = |own: usize| known.get(own).map(Vec::as_slice).ok_or(Error::Internal { place });
            let mut behind = behind.map(known).collect::<Result<Vec<&[u32]>, Error>>()?;
            behind.retain(|set| !set.is_empty());
            let few: Vec<&[u32]> = behind.iter().copied().filter(|set| set.len() < least).collect();
            Ok(union(if few.is_empty() { &behind } else { &few }, least))
        };
        known = (0..known.len()).into_par_iter().map_init(Vec::new, next).collect::<Result<_, Error>>()?;
    }
    Ok(known.iter().map(Vec::len).collect())
}

/// The elements of all sets, up to a number of them.
fn union(sets: &[&[u32]], most: usize) -> Vec<u32> {
    let mut all = Vec::new();
    for &element in sets.iter().copied().flatten() {
        if all.len() < most
            && let Err(place) = all.binary_search(&element)
        {
            all.insert(place, element);
        }
    }
    all
}

/// Own accounts that foreign money can reach within the steps of a plan, ascending: those whose scores have a ciphertext
/// part in the end.
fn reached(network: &Network, plan: &Plan) -> Vec<u32> {
    let mut reached = vec![false; network.account_count()];
    for step in plan.steps() {
        // As above.
        let Some(period) = network.periods().get(step.period) else { continue };
        // Beyond the own accounts are the foreign ones.
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
///
/// # Errors
/// As [`foreign_senders`].
pub fn withheld(network: &Network, plan: &Plan) -> Result<Vec<u32>, Error> {
    let least = plan.min_foreign_senders() as usize;
    // Whom a single sender determines is disclosed: there is nothing to count.
    if least <= 1 {
        return Ok(Vec::new());
    }
    let counts = (0..).zip(foreign_senders(network, plan, least)?);
    Ok(counts.filter(|(_, count)| (1..least).contains(count)).map(|(account, _)| account).collect())
}

/// Own accounts whose foreign part is disclosed, ascending and in the order in which they are packed: all that foreign money
/// can reach within the steps of a plan but those [`withheld`].
///
/// # Errors
/// As [`foreign_senders`].
pub fn disclosed(network: &Network, plan: &Plan) -> Result<Vec<u32>, Error> {
    let withheld: HashSet<u32> = withheld(network, plan)?.into_iter().collect();
    Ok(reached(network, plan).into_iter().filter(|account| !withheld.contains(account)).collect())
}
