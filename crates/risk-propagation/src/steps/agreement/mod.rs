//! Both ends of a transfer agree on it before the first iteration.
//!
//! For each pair of banks, in the steps of `docs/protocols/risk-propagation.md`:
//!
//! - **R2** both compare hashes of the transfers between them, one for each period and direction (only with
//!   [`Mismatch::Refuse`](crate::Mismatch::Refuse));
//! - **R3** each *offers* the other its own senders: accounts that have a score and, by its own list, pay that bank
//!   in that period;
//! - **R4** the other *selects* those that pay one of its accounts by its own list.
//!
//! A sender counts if it was offered and selected. What is left fixes, for the whole run, which scores one bank sends
//! the other and in which order.

pub mod periods;
pub mod senders;

use std::collections::HashMap;
use std::sync::Arc;

use crate::banks::BankId;
use crate::error::{Disagreement, Error};
use crate::network::{Network, Period};
use subrosa_encoding::Hasher;

/// Lists of accounts by period and bank.
pub(crate) type Lists = Vec<Vec<Vec<u32>>>;

/// A hash over the transfers from one bank to another in one period.
pub type TransferDigest = [u8; 32];

/// The senders that one bank offers another: for each period, their names in ascending order.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// Names of the senders, by period.
    pub periods: Vec<Vec<String>>,
}

/// Which senders of an [`Offer`] are wanted, in its order.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// One bit for each offered sender, by period.
    pub periods: Vec<Vec<bool>>,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Offer(<redacted>, {} periods)", self.periods.len())
    }
}

impl std::fmt::Debug for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Selection(<redacted>, {} periods)", self.periods.len())
    }
}

/// Step R2: the hashes over the transfers from `from` to `to`, one for each period, as `network`'s bank lists them.
///
/// Exactly one of the two must be the network's own bank. `salt` binds the hash to a session.
///
/// # Security
/// Equal hashes tell nothing. Where they differ, a bank can try out guesses of a few transfers against the other's
/// hash.
///
/// # Errors
/// [`Error::Internal`] for a network that contradicts itself.
pub fn digests(
    network: &Network,
    from: BankId,
    to: BankId,
    salt: &[u8],
) -> Result<Vec<TransferDigest>, Error> {
    let one = |(index, period)| digest(network, index, period, from, to, salt);
    network.periods().iter().enumerate().map(one).collect()
}

fn digest(
    network: &Network,
    index: usize,
    period: &Period,
    from: BankId,
    to: BankId,
    salt: &[u8],
) -> Result<TransferDigest, Error> {
    let mut rows: Vec<(&str, &str, u128)> = Vec::new();
    if to == network.own() {
        // Another bank decides how many periods there are: empty ones are not walked.
        let accounts = if period.senders.is_empty() { 0 } else { network.account_count() };
        for (account, receiver) in network.account_ids().enumerate().take(accounts) {
            for (bank, sender, amount) in network.incoming(index, account) {
                if bank == from {
                    rows.push((sender, receiver, amount));
                }
            }
        }
    } else {
        for edge in &period.outgoing {
            let (sender, receiver) = network.ends(edge)?;
            if receiver.bank == to && edge.amount > 0 {
                rows.push((sender, &receiver.id, edge.amount));
            }
        }
    }
    rows.sort_unstable();
    let mut hash = Hasher::new("subrosa/risk-propagation/transfers", 1)
        .field("salt", salt)
        .field("from", network.banks().name(from).as_bytes())
        .field("to", network.banks().name(to).as_bytes())
        .u64("period", index as u64);
    for (sender, receiver, amount) in rows {
        hash = hash
            .field("sender", sender.as_bytes())
            .field("receiver", receiver.as_bytes())
            .field("amount", &amount.to_le_bytes());
    }
    Ok(hash.finish())
}

/// Step R3: what `network`'s bank offers to another: nothing if it [hands in no scores](Network::hands_in_scores).
///
/// # Errors
/// [`Error::Internal`] for a network that contradicts itself.
pub fn offer(network: &Network, to: BankId) -> Result<Offer, Error> {
    let periods = network.periods().iter().map(|period| {
        let mut names: Vec<String> = Vec::new();
        for edge in &period.outgoing {
            let (sender, receiver) = network.ends(edge)?;
            let has_score = network.hands_in_scores() && (edge.source as usize) < network.account_count();
            if has_score && receiver.bank == to {
                names.push(sender.to_owned());
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    });
    Ok(Offer { periods: periods.collect::<Result<_, Error>>()? })
}

const NO_SENDER: Error = Error::Internal { place: "a foreign sender is not among the foreign accounts" };
const NO_BANK: Error = Error::Internal { place: "a bank or period is beyond those of the network" };

/// A bank's network after step R3, waiting for what the others select.
#[derive(Debug)]
pub struct Selected {
    network: Network,
    imports: Vec<Vec<Vec<u32>>>,
}

/// Step R4: selects among the offers of all banks and drops every other foreign sender.
///
/// # Arguments
/// `offers[b]` is the offer of bank `b`; the own entry is passed over.
///
/// # Errors
/// [`Error::Disagreement`] names the bank whose offer has another number of periods or names that are not in strictly
/// ascending order.
pub fn select(network: Network, offers: &[Offer]) -> Result<(Selected, Vec<Selection>), Error> {
    if offers.len() != network.banks().len() {
        return Err(Error::internal("there are offers of another number of banks"));
    }
    let count = network.periods().len();
    let banks: Vec<BankId> = network.banks().iter().collect();
    let mut selections = vec![Selection { periods: vec![Vec::new(); count] }; banks.len()];
    let mut imports = vec![vec![Vec::new(); banks.len()]; count];
    let mut kept = room(&network);
    for (&bank, offer) in banks.iter().zip(offers).filter(|(bank, _)| **bank != network.own()) {
        check_offer(bank, offer, count)?;
        for (index, names) in offer.periods.iter().enumerate() {
            let present = senders_of(&network, index, bank)?;
            let mut wanted = Vec::with_capacity(names.len());
            let mut import = Vec::new();
            for name in names {
                let found = present.get(name.as_str()).copied();
                wanted.push(found.is_some());
                if let Some(foreign) = found {
                    import.push(foreign);
                    let kept = kept.get_mut(index).and_then(|kept| kept.get_mut(foreign as usize));
                    *kept.ok_or(NO_SENDER)? = true;
                }
            }
            let slot = imports.get_mut(index).and_then(|period| period.get_mut(bank.index()));
            *slot.ok_or(NO_BANK)? = import;
            let slot = selections.get_mut(bank.index()).and_then(|s| s.periods.get_mut(index));
            *slot.ok_or(NO_BANK)? = wanted;
        }
    }
    let mut network = network;
    let accounts = network.account_count();
    retain(&mut network, accounts, &kept);
    Ok((Selected { network, imports }, selections))
}

/// For each period, which foreign accounts are kept as senders: none so far. Room only where this bank lists transfers, as
/// another one decides how many periods there are.
fn room(network: &Network) -> Vec<Vec<bool>> {
    let count = |period: &Period| if period.senders.is_empty() { 0 } else { network.foreign_count() };
    network.periods().iter().map(|period| vec![false; count(period)]).collect()
}

/// Drops every foreign sender that is not kept in its period, and the list of payments to others, which nothing needs once
/// the banks have agreed.
fn retain(network: &mut Network, accounts: usize, kept: &[Vec<bool>]) {
    for period in &mut network.periods {
        period.outgoing = Vec::new();
    }
    network.retain_edges(|period, node| {
        node.index() < accounts
            || kept
                .get(period)
                .is_some_and(|kept| kept.get(node.index() - accounts).copied().unwrap_or(false))
    });
}

fn check_offer(bank: BankId, offer: &Offer, periods: usize) -> Result<(), Error> {
    if offer.periods.len() != periods {
        return Err(Disagreement { bank, reason: "it offers senders for another number of periods" }.into());
    }
    let ordered = |names: &Vec<String>| names.windows(2).all(|pair| pair[0] < pair[1]);
    if !offer.periods.iter().all(ordered) {
        return Err(Disagreement { bank, reason: "its offered senders are not in ascending order" }.into());
    }
    Ok(())
}

/// Foreign accounts of one bank that pay an own account in a period.
fn senders_of(network: &Network, period: usize, bank: BankId) -> Result<HashMap<&str, u32>, Error> {
    let mut present = HashMap::new();
    let period = network.periods().get(period).ok_or(NO_BANK)?;
    for &sender in &period.senders {
        let Some(index) = network.foreign_index(sender) else { continue };
        let account = network.foreign.get(index).ok_or(NO_SENDER)?;
        if account.bank == bank {
            present.insert(&*account.id, u32::try_from(index).map_err(|_| NO_SENDER)?);
        }
    }
    Ok(present)
}

impl Selected {
    /// Ends the agreement with what the others selected from one's own offers.
    ///
    /// # Arguments
    /// `offers[b]` is what was offered to bank `b`, `selections[b]` what it answered.
    ///
    /// # Errors
    /// [`Error::Disagreement`] names the bank whose answer has another length than what it was offered.
    pub fn finish(self, offers: &[Offer], selections: &[Selection]) -> Result<Agreed, Error> {
        let Self { network, imports } = self;
        let count = network.periods().len();
        let mut exports = vec![vec![Vec::new(); network.banks().len()]; count];
        let positions: HashMap<Arc<str>, u32> =
            network.names.iter().take(network.accounts).cloned().zip(0..).collect();
        let banks: Vec<BankId> = network.banks().iter().collect();
        if offers.len() != banks.len() || selections.len() != banks.len() {
            return Err(Error::internal("there are offers or selections of another number of banks"));
        }
        let pairs = banks.iter().zip(offers.iter().zip(selections));
        for (&bank, (offer, selection)) in pairs.filter(|(bank, _)| **bank != network.own()) {
            let offered = offer.periods.iter().map(Vec::len);
            if !offered.eq(selection.periods.iter().map(Vec::len)) {
                let reason = "it selects among senders that were not offered";
                return Err(Disagreement { bank, reason }.into());
            }
            for (index, (names, wanted)) in offer.periods.iter().zip(&selection.periods).enumerate() {
                let chosen = names.iter().zip(wanted).filter(|(_, wanted)| **wanted);
                let place = "an account was offered that is not there";
                let position = |(name, _): (&String, _)| {
                    positions.get(name.as_str()).copied().ok_or(Error::Internal { place })
                };
                let export = chosen.map(position).collect::<Result<_, Error>>()?;
                let slot = exports.get_mut(index).and_then(|period| period.get_mut(bank.index()));
                *slot.ok_or(NO_BANK)? = export;
            }
        }
        Ok(Agreed { network, exports, imports })
    }
}

/// A bank's network of which both ends of every cross-bank transfer agree, and who sends which scores to whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreed {
    network: Network,
    /// By period and bank: own accounts whose scores go there, in the order of the wire.
    exports: Lists,
    /// By period and bank: foreign accounts whose scores come from there, in the order of the wire.
    imports: Lists,
}

impl Agreed {
    /// The network without the senders that were not agreed on.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Own accounts whose scores go to `bank` in each iteration of a period, in the order of the wire.
    #[must_use]
    pub fn exports(&self, period: usize, bank: BankId) -> &[u32] {
        self.exports.get(period).and_then(|period| period.get(bank.index())).map_or(&[], Vec::as_slice)
    }

    /// Foreign accounts whose scores come from `bank` in each iteration of a period, in the order of the wire.
    #[must_use]
    pub fn imports(&self, period: usize, bank: BankId) -> &[u32] {
        self.imports.get(period).and_then(|period| period.get(bank.index())).map_or(&[], Vec::as_slice)
    }

    /// Own accounts whose scores go to any other bank in a period, ascending.
    #[must_use]
    pub fn exported(&self, period: usize) -> Vec<u32> {
        let mut all: Vec<u32> = self.exports.get(period).map_or(Vec::new(), |banks| banks.concat());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What this bank sends and receives, for a checkpoint.
    pub(crate) fn lists(&self) -> (&Lists, &Lists) {
        (&self.exports, &self.imports)
    }

    /// The outcome of an earlier agreement on the same network.
    pub(crate) fn restore(mut network: Network, exports: Lists, imports: Lists) -> Result<Self, Error> {
        network.extend_periods(imports.len());
        let accounts = network.account_count();
        let mut kept = room(&network);
        for (kept, banks) in kept.iter_mut().zip(&imports) {
            for &foreign in banks.iter().flatten() {
                *kept.get_mut(foreign as usize).ok_or(NO_SENDER)? = true;
            }
        }
        retain(&mut network, accounts, &kept);
        Ok(Self { network, exports, imports })
    }

    /// Runs the agreement among networks that are all at hand, without messages.
    ///
    /// # Arguments
    /// `networks[b]` is the view of bank `b`; periods are filled up to the same number.
    ///
    /// # Errors
    /// Networks in another order than their list of banks.
    pub fn among(mut networks: Vec<Network>) -> Result<Vec<Self>, Error> {
        let periods = networks.iter().map(|network| network.periods().len()).max().unwrap_or(0);
        for (index, network) in networks.iter_mut().enumerate() {
            if network.own().index() != index || network.banks().len() <= index {
                let reason = "its network is in another place";
                return Err(Disagreement { bank: network.own(), reason }.into());
            }
            network.extend_periods(periods);
        }
        let banks: Vec<BankId> = networks.iter().map(Network::own).collect();
        let offers_of = |network: &Network| banks.iter().map(|&bank| offer(network, bank)).collect();
        let offers = networks.iter().map(offers_of).collect::<Result<Vec<Vec<Offer>>, Error>>()?;
        let mut selected = Vec::new();
        let mut selections = Vec::new();
        for (index, network) in networks.into_iter().enumerate() {
            let offered: Vec<Offer> =
                offers.iter().map(|offers| offers.get(index).cloned().unwrap_or_default()).collect();
            let (network, selection) = select(network, &offered)?;
            selected.push(network);
            selections.push(selection);
        }
        let finish = |(index, (selected, offers)): (usize, (Selected, Vec<Offer>))| {
            let answers: Vec<Selection> =
                selections.iter().map(|s| s.get(index).cloned().unwrap_or_default()).collect();
            selected.finish(&offers, &answers)
        };
        selected.into_iter().zip(offers).enumerate().map(finish).collect()
    }
}
