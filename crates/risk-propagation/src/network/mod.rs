//! One bank's view of the network: its own accounts, who pays them, and whom they pay at other banks.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use crate::banks::{BankId, Banks};
use crate::error::{Error, Problem, Rejected};

mod builder;
mod input;

pub use builder::{NetworkBuilder, Transfer};
pub(crate) use input::{Digest, input};

/// An account as this bank numbers it: own accounts first, then the foreign ones it has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub(crate) u32);

impl Node {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// An account of another bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignAccount {
    /// Its bank.
    pub bank: BankId,
    /// Its name there.
    pub id: Arc<str>,
}

/// A sum of transfers from an own account to a foreign one, in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Index into the own names (accounts, then senders without a score).
    pub(crate) source: u32,
    /// Index into the foreign accounts.
    pub(crate) destination: u32,
    /// Sum, in the smallest unit of money; may be 0.
    pub(crate) amount: u128,
}

/// The transfers of one period as one bank sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// See [`Period::activity`].
    pub(crate) activity: u8,
    /// `offsets[v]..offsets[v + 1]` are the incoming edges of own account `v`.
    pub(crate) offsets: Vec<usize>,
    /// Sender of each edge; ascending within one account.
    pub(crate) senders: Vec<Node>,
    /// Amount of each edge, above 0.
    pub(crate) amounts: Vec<u128>,
    /// Sums from own accounts to foreign ones, ascending by (source, destination).
    pub(crate) outgoing: Vec<Outgoing>,
}

impl Period {
    /// Edges that end at the own account `account`, as a range into `senders` and `amounts`.
    pub(crate) fn edges(&self, account: usize) -> Range<usize> {
        match (self.offsets.get(account), self.offsets.get(account + 1)) {
            (Some(&start), Some(&end)) => start..end,
            // A period that other banks added has no offsets.
            _ => 0..0,
        }
    }

    /// Senders and amounts of the edges that end at `account`.
    pub(crate) fn incoming(&self, account: usize) -> (&[Node], &[u128]) {
        let range = self.edges(account);
        (self.senders.get(range.clone()).unwrap_or(&[]), self.amounts.get(range).unwrap_or(&[]))
    }

    /// Number of different (sender, receiver) pairs whose receiver is an own account.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.senders.len()
    }

    /// What this bank tells the others of the period: the bit length of the number of pairs of a sender and an own receiver
    /// that is another account, with an amount above 0. Own senders without a score are left out.
    ///
    /// 0 for a period in which nothing of the kind is listed, such as one of zero amounts and transfers from accounts to
    /// themselves, and for a bank that [hands in no scores](Network::hands_in_scores).
    #[must_use]
    pub fn activity(&self) -> u8 {
        self.activity
    }

    /// Whether the period has any [`Period::activity`] at this bank.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.activity > 0
    }

    /// Greatest number of senders that one own account has.
    #[must_use]
    pub fn greatest_in_degree(&self) -> usize {
        self.offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    }

    fn empty(accounts: usize) -> Self {
        Self {
            activity: 0,
            offsets: vec![0; accounts + 1],
            senders: Vec::new(),
            amounts: Vec::new(),
            outgoing: Vec::new(),
        }
    }
}

/// What a bank tells of a period: the bit length of the number of pairs of a sender and another, own, account.
pub(crate) fn activity_of(pairs: usize) -> u8 {
    u8::try_from(usize::BITS - pairs.leading_zeros()).unwrap_or(u8::MAX)
}

/// One bank's accounts and transfers, ready for the propagation.
///
/// The network holds what the bank knows anyway. It is not shown to other banks; what they learn is in
/// `docs/protocols/risk-propagation.md`.
#[derive(Clone, PartialEq)]
pub struct Network {
    pub(crate) banks: Banks,
    pub(crate) own: BankId,
    pub(crate) columns: Vec<String>,
    /// Names of own accounts, then of own senders that have no score.
    pub(crate) names: Vec<Arc<str>>,
    /// Own accounts: the first this many names.
    pub(crate) accounts: usize,
    /// Accounts that the bank listed; the others were created by a transfer to them.
    pub(crate) listed: usize,
    /// Scores, `columns` per own account.
    pub(crate) scores: Vec<f64>,
    pub(crate) foreign: Vec<ForeignAccount>,
    pub(crate) periods: Vec<Period>,
}

/// Leaves the accounts and their scores out: they are the bank's secret.
impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("bank", &self.bank())
            .field("accounts", &self.accounts)
            .field("periods", &self.periods.len())
            .finish_non_exhaustive()
    }
}

impl Network {
    /// The list of banks.
    #[must_use]
    pub fn banks(&self) -> &Banks {
        &self.banks
    }

    /// The bank whose view this is.
    #[must_use]
    pub fn own(&self) -> BankId {
        self.own
    }

    /// Name of the bank whose view this is.
    #[must_use]
    pub fn bank(&self) -> &str {
        self.banks.name(self.own)
    }

    /// Names of the risk types, in the order of the scores.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Number of own accounts, created ones included.
    #[must_use]
    pub fn account_count(&self) -> usize {
        self.accounts
    }

    /// Number of own accounts that were listed; they come first.
    #[must_use]
    pub fn listed_count(&self) -> usize {
        self.listed
    }

    /// Whether the bank hands in scores at all, that is, lists an account.
    ///
    /// The accounts of a bank that does not are created by transfers to them, all with score 0; other banks do not count
    /// them as senders, since these zeros would say nothing and only thin out the scores of those whom they pay.
    #[must_use]
    pub fn hands_in_scores(&self) -> bool {
        self.listed > 0
    }

    /// Names of the own accounts, in the order of the scores.
    pub fn account_ids(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.names.iter().take(self.accounts).map(|name| &**name)
    }

    /// Position of an own account.
    #[must_use]
    pub fn position(&self, id: &str) -> Option<usize> {
        self.account_ids().position(|other| other == id)
    }

    /// The scores before the propagation: one row of [`Network::columns`] values for each account.
    #[must_use]
    pub fn initial_scores(&self) -> &[f64] {
        &self.scores
    }

    /// The periods, in order.
    #[must_use]
    pub fn periods(&self) -> &[Period] {
        &self.periods
    }

    /// [`Period::activity`] of each period: what all banks are told of them in R1.
    #[must_use]
    pub fn activity(&self) -> Vec<u8> {
        self.periods.iter().map(Period::activity).collect()
    }

    /// Foreign accounts that pay own ones or are paid by them.
    #[must_use]
    pub fn foreign_count(&self) -> usize {
        self.foreign.len()
    }

    /// Greatest number of senders that one account has in any period.
    #[must_use]
    pub fn greatest_in_degree(&self) -> usize {
        self.periods.iter().map(Period::greatest_in_degree).max().unwrap_or(0)
    }

    /// The incoming edges of an own account in a period: bank and name of each sender, and the amount.
    pub fn incoming(&self, period: usize, account: usize) -> impl Iterator<Item = (BankId, &str, u128)> + '_ {
        let (senders, amounts) = match self.periods.get(period) {
            Some(period) => period.incoming(account),
            None => (&[][..], &[][..]),
        };
        senders.iter().zip(amounts).map(|(&sender, &amount)| {
            let (bank, id) = self.identity(sender);
            (bank, id, amount)
        })
    }

    /// Senders and amounts of the edges that end at an own account in a period.
    pub(crate) fn edges_of(&self, period: usize, account: usize) -> Result<(&[Node], &[u128]), Error> {
        let place = "the network has fewer periods or accounts than the plan";
        let period = self.periods.get(period).filter(|_| account < self.accounts);
        let period = period.ok_or(Error::Internal { place })?;
        let range = period.edges(account);
        match (period.senders.get(range.clone()), period.amounts.get(range)) {
            (Some(senders), Some(amounts)) => Ok((senders, amounts)),
            _ => Err(Error::internal("the offsets of a period do not fit its edges")),
        }
    }

    /// Name of the sender and the receiver of a sum of transfers to another bank.
    pub(crate) fn ends(&self, edge: &Outgoing) -> Result<(&str, &ForeignAccount), Error> {
        let ends = (self.names.get(edge.source as usize), self.foreign.get(edge.destination as usize));
        match ends {
            (Some(sender), Some(receiver)) => Ok((sender, receiver)),
            _ => Err(Error::internal("a transfer names an account that is not there")),
        }
    }

    /// Adds empty periods until there are `count`.
    ///
    /// Banks whose files hold fewer periods than those of others take part in the further ones with no
    /// transfers.
    pub(crate) fn extend_periods(&mut self, count: usize) {
        while self.periods.len() < count {
            // Without offsets: another bank decides how many there are, and they take no memory by account.
            self.periods.push(Period { offsets: Vec::new(), ..Period::empty(0) });
        }
    }

    /// Whether this node is one of the own accounts.
    pub(crate) fn is_own(&self, node: Node) -> bool {
        node.index() < self.accounts
    }

    /// Index into the foreign accounts of a node that is not own.
    pub(crate) fn foreign_index(&self, node: Node) -> Option<usize> {
        node.index().checked_sub(self.accounts)
    }

    /// Bank and name of a node.
    pub(crate) fn identity(&self, node: Node) -> (BankId, &str) {
        if self.is_own(node) {
            return (self.own, self.names.get(node.index()).map_or("", |name| name));
        }
        match self.foreign_index(node).and_then(|index| self.foreign.get(index)) {
            Some(account) => (account.bank, &account.id),
            None => (self.own, ""),
        }
    }

    /// The order by which ties are broken: names of the banks, then of the accounts, byte by byte.
    ///
    /// It depends neither on the order of rows nor on that of the roster.
    pub(crate) fn compare(&self, left: Node, right: Node) -> Ordering {
        let (left_bank, left_id) = self.identity(left);
        let (right_bank, right_id) = self.identity(right);
        let banks = || self.banks.name(left_bank).cmp(self.banks.name(right_bank));
        if left_bank == right_bank { left_id.cmp(right_id) } else { banks().then(left_id.cmp(right_id)) }
    }

    /// Keeps only the edges that `keep` accepts.
    pub(crate) fn retain_edges(&mut self, keep: impl Fn(usize, Node) -> bool) {
        for (index, period) in self.periods.iter_mut().enumerate().filter(|(_, p)| !p.senders.is_empty()) {
            let mut senders = Vec::with_capacity(period.senders.len());
            let mut amounts = Vec::with_capacity(period.amounts.len());
            let mut offsets = Vec::with_capacity(period.offsets.len());
            offsets.push(0);
            for account in 0..self.accounts {
                let (all_senders, all_amounts) = period.incoming(account);
                for (&sender, &amount) in all_senders.iter().zip(all_amounts) {
                    if keep(index, sender) {
                        senders.push(sender);
                        amounts.push(amount);
                    }
                }
                offsets.push(senders.len());
            }
            period.senders = senders;
            period.amounts = amounts;
            period.offsets = offsets;
        }
    }
}

/// Refuses a name that is empty, too long or would not print as what it is.
fn check_name(field: &str, name: &str) -> Result<(), Rejected> {
    if name.trim().is_empty() {
        return Err(Rejected::new(field, Problem::Empty));
    }
    if name.len() > crate::limits::NAME_LIMIT {
        let problem = Problem::TooLong { bytes: name.len(), limit: crate::limits::NAME_LIMIT };
        return Err(Rejected::new(field, problem));
    }
    if name.chars().any(char::is_control) {
        return Err(Rejected::new(field, Problem::ControlCharacter));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_that_no_run_reaches_is_refused() {
        let banks = Banks::new(["north", "east"]).unwrap();
        let own = banks.get(0).unwrap();
        let mut builder = NetworkBuilder::new(banks, own, vec!["risk_score".to_owned()]);
        let (id_source, id_destination, amount) = ("1", "2", 3);
        let transfer =
            Transfer { id_source, bank_source: "north", id_destination, bank_destination: "east", amount };
        for period in [10_000, usize::MAX] {
            let refused = builder.transfer(period, &transfer).unwrap_err();
            assert_eq!(refused.problem, Problem::TooManyPeriods(period));
        }
        builder.periods(usize::MAX);
        builder.transfer(9_999, &transfer).unwrap();
        assert_eq!(builder.finish().unwrap().periods().len(), 10_000);
    }

    #[test]
    fn offsets_that_do_not_fit_the_edges_are_noticed() {
        let banks = Banks::new(["north", "east"]).unwrap();
        let own = banks.get(0).unwrap();
        let mut builder = NetworkBuilder::new(banks, own, vec!["risk_score".to_owned()]);
        let (id_source, id_destination, amount) = ("1", "2", 3);
        let transfer =
            Transfer { id_source, bank_source: "east", id_destination, bank_destination: "north", amount };
        builder.transfer(0, &transfer).unwrap();
        let transfer = Transfer { bank_source: "north", bank_destination: "east", ..transfer };
        builder.transfer(0, &transfer).unwrap();
        let network = builder.finish().unwrap();
        let sizes = crate::plan::NetworkSizes {
            key_bits: 2048,
            columns: 1,
            in_degree_bits: 2,
            active_periods: vec![true],
            noise_contributors: 1,
        };
        let plan = crate::plan::Plan::new(&sizes, &crate::plan::Settings::default()).unwrap();
        assert_eq!(network.edges_of(0, 0).unwrap().1, [3]);
        assert!(network.edges_of(0, 1).is_err() && network.edges_of(1, 0).is_err());

        let mut damaged = network.clone();
        damaged.periods[0].offsets[1] = 2;
        assert!(matches!(damaged.edges_of(0, 0), Err(Error::Internal { .. })));
        // Not: no foreign sender determines the score.
        assert!(matches!(
            crate::steps::agreement::senders::foreign_senders(&damaged, &plan, 2),
            Err(Error::Internal { .. })
        ));
        let mut damaged = network;
        damaged.foreign.clear();
        let east = damaged.banks.get(1).unwrap();
        assert!(matches!(crate::steps::agreement::offer(&damaged, east), Err(Error::Internal { .. })));
        assert!(matches!(
            crate::steps::agreement::digests(&damaged, own, east, &[]),
            Err(Error::Internal { .. })
        ));
    }

    #[test]
    fn periods_of_others_take_no_memory_by_account() {
        let banks = Banks::new(["north", "east"]).unwrap();
        let own = banks.get(0).unwrap();
        let mut builder = NetworkBuilder::new(banks, own, vec!["risk_score".to_owned()]);
        for account in 0..100 {
            builder.account(&account.to_string(), &[0.5]).unwrap();
        }
        let mut network = builder.finish().unwrap();
        network.extend_periods(10_000);
        network.retain_edges(|_, _| true);
        assert_eq!(network.periods().len(), 10_000);
        assert!(network.periods().iter().all(|period| period.offsets.capacity() == 0));
        assert_eq!((network.greatest_in_degree(), network.incoming(7, 3).count()), (0, 0));
    }
}
