//! From records, in any order, to a [`Network`].

use std::collections::HashMap;
use std::sync::Arc;

use super::{ForeignAccount, Network, Node, Outgoing, Period, activity_of, check_name};
use crate::banks::{BankId, Banks};
use crate::error::{Problem, Rejected};
use crate::limits::{MAX_AMOUNT, MAX_STEPS};

/// One transfer, as a bank's records name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer<'a> {
    /// Account that pays.
    pub id_source: &'a str,
    /// Its bank.
    pub bank_source: &'a str,
    /// Account that is paid.
    pub id_destination: &'a str,
    /// Its bank.
    pub bank_destination: &'a str,
    /// Whole number of the smallest unit of money, at most [`MAX_AMOUNT`].
    pub amount: u64,
}

/// Marks a foreign sender in a raw edge, whose own names are not final yet.
const FOREIGN: u32 = 1 << 31;

#[derive(Debug, Clone, Copy)]
struct RawEdge {
    source: u32,
    destination: u32,
    amount: u64,
}

#[derive(Debug, Default)]
struct RawPeriod {
    incoming: Vec<RawEdge>,
    outgoing: Vec<RawEdge>,
}

/// Collects accounts and transfers of one bank.
///
/// Accounts may come before or after the transfers that name them. Only the sums of transfers between the same
/// two accounts matter, so that equal transfers add up and the order of rows does not count.
#[derive(Debug)]
#[doc(alias("graph", "transaction network"))]
pub struct NetworkBuilder {
    banks: Banks,
    own: BankId,
    columns: Vec<String>,
    own_ids: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
    /// Row of scores of a listed account.
    rows: Vec<Option<u32>>,
    scores: Vec<f64>,
    /// Whether a transfer to this own name is listed.
    paid: Vec<bool>,
    foreign_ids: Vec<HashMap<Arc<str>, u32>>,
    foreign: Vec<ForeignAccount>,
    periods: Vec<RawPeriod>,
}

impl NetworkBuilder {
    /// Starts the view of the bank `own` with one score per account for each of `columns`.
    #[must_use]
    pub fn new(banks: Banks, own: BankId, columns: Vec<String>) -> Self {
        let foreign_ids = vec![HashMap::new(); banks.len()];
        Self {
            banks,
            own,
            columns,
            own_ids: HashMap::new(),
            names: Vec::new(),
            rows: Vec::new(),
            scores: Vec::new(),
            paid: Vec::new(),
            foreign_ids,
            foreign: Vec::new(),
            periods: Vec::new(),
        }
    }

    /// Adds an own account with its scores, each from 0 to 1.
    ///
    /// # Errors
    /// An empty or repeated id, a wrong number of scores, a score that is not in [0, 1].
    pub fn account(&mut self, id: &str, scores: &[f64]) -> Result<(), Rejected> {
        check_name("id", id)?;
        if scores.len() != self.columns.len() {
            let problem = Problem::WrongScoreCount { found: scores.len(), expected: self.columns.len() };
            return Err(Rejected::new("risk_score", problem));
        }
        for (score, column) in scores.iter().zip(&self.columns) {
            if !(0.0..=1.0).contains(score) {
                return Err(Rejected::new(column, Problem::ScoreOutOfRange(score.to_string())));
            }
        }
        let index = self.intern_own(id)?;
        let row = u32::try_from(self.scores.len() / self.columns.len().max(1))
            .map_err(|_| Rejected::new("id", Problem::TooManyAccounts))?;
        match self.rows.get_mut(index as usize) {
            Some(slot @ None) => *slot = Some(row),
            _ => return Err(Rejected::new("id", Problem::RepeatedAccount(id.to_owned()))),
        }
        // `-0` is in range; stored as 0 so that it prints as such.
        self.scores.extend(scores.iter().map(|score| score + 0.0));
        Ok(())
    }

    /// Makes sure that there are at least `count` periods, but no more than [`MAX_STEPS`], as many as a run can have.
    pub fn periods(&mut self, count: usize) {
        while self.periods.len() < count.min(MAX_STEPS) {
            self.periods.push(RawPeriod::default());
        }
    }

    /// Adds a transfer to a period, counted from 0.
    ///
    /// # Errors
    /// An empty id, an unknown bank, an amount above 2^63, a transfer of which neither end is the bank's own, a period beyond
    /// [`MAX_STEPS`].
    pub fn transfer(&mut self, period: usize, transfer: &Transfer<'_>) -> Result<(), Rejected> {
        if period >= MAX_STEPS {
            return Err(Rejected::new("period", Problem::TooManyPeriods(period)));
        }
        check_name("id_source", transfer.id_source)?;
        check_name("id_destination", transfer.id_destination)?;
        let source_bank = self.bank("bank_source", transfer.bank_source)?;
        let destination_bank = self.bank("bank_destination", transfer.bank_destination)?;
        if source_bank != self.own && destination_bank != self.own {
            let problem = Problem::NotOurs(self.banks.name(self.own).to_owned());
            return Err(Rejected::new("bank_source", problem));
        }
        if transfer.amount > MAX_AMOUNT {
            return Err(Rejected::new("amount", Problem::AmountTooLarge(transfer.amount.to_string())));
        }
        self.periods(period + 1);
        let amount = transfer.amount;
        if destination_bank == self.own {
            let destination = self.intern_own(transfer.id_destination)?;
            *self.paid.get_mut(destination as usize).ok_or_else(lost)? = true;
            let source = if source_bank == self.own {
                self.intern_own(transfer.id_source)?
            } else {
                FOREIGN | self.intern_foreign(source_bank, transfer.id_source)?
            };
            let period = self.periods.get_mut(period).ok_or_else(lost)?;
            period.incoming.push(RawEdge { source, destination, amount });
        } else {
            let source = self.intern_own(transfer.id_source)?;
            let destination = self.intern_foreign(destination_bank, transfer.id_destination)?;
            let period = self.periods.get_mut(period).ok_or_else(lost)?;
            period.outgoing.push(RawEdge { source, destination, amount });
        }
        Ok(())
    }

    /// Closes the collection: creates the accounts that were paid without being listed, with scores 0, drops
    /// own senders that have no score, and adds up.
    ///
    /// # Errors
    /// Sums of more than 128 bits.
    pub fn finish(self) -> Result<Network, Rejected> {
        let columns = self.columns.len();
        // Listed accounts in their order, then created ones by name, then senders without a score.
        let mut order: Vec<u32> = (0..).take(self.names.len()).collect();
        let class = |index: &u32| {
            let index = *index as usize;
            match (self.rows.get(index).copied().flatten(), self.paid.get(index)) {
                (Some(row), _) => (0, row),
                (None, Some(true)) => (1, 0),
                _ => (2, 0),
            }
        };
        let name = |index: &u32| self.names.get(*index as usize);
        order.sort_unstable_by(|a, b| class(a).cmp(&class(b)).then_with(|| name(a).cmp(&name(b))));
        let listed = order.iter().filter(|index| class(index).0 == 0).count();
        let accounts = order.iter().filter(|index| class(index).0 <= 1).count();

        let mut place = vec![0_u32; order.len()];
        for (new, &old) in (0..).zip(&order) {
            *place.get_mut(old as usize).ok_or_else(lost)? = new;
        }
        let names: Option<Vec<Arc<str>>> = order.iter().map(|index| name(index).cloned()).collect();
        let names = names.ok_or_else(lost)?;
        let mut scores = self.scores;
        scores.resize(accounts * columns, 0.0);

        let mut periods = self
            .periods
            .into_iter()
            .map(|raw| raw.finish(accounts, &place))
            .collect::<Result<Vec<Period>, Rejected>>()?;
        for period in &mut periods {
            // Where nobody hands in scores, nothing propagates.
            if listed == 0 {
                period.activity = 0;
            }
        }
        Ok(Network {
            banks: self.banks,
            own: self.own,
            columns: self.columns,
            names,
            accounts,
            listed,
            scores,
            foreign: self.foreign,
            periods,
        })
    }

    fn bank(&self, field: &str, name: &str) -> Result<BankId, Rejected> {
        check_name(field, name)?;
        self.banks.find(name).ok_or_else(|| Rejected::new(field, Problem::UnknownBank(name.to_owned())))
    }

    fn intern_own(&mut self, id: &str) -> Result<u32, Rejected> {
        if let Some(&index) = self.own_ids.get(id) {
            return Ok(index);
        }
        let index = next_index(self.names.len())?;
        let id: Arc<str> = Arc::from(id);
        self.own_ids.insert(Arc::clone(&id), index);
        self.names.push(id);
        self.rows.push(None);
        self.paid.push(false);
        Ok(index)
    }

    fn intern_foreign(&mut self, bank: BankId, id: &str) -> Result<u32, Rejected> {
        let index = next_index(self.foreign.len())?;
        let ids = self.foreign_ids.get_mut(bank.index()).ok_or_else(lost)?;
        if let Some(&index) = ids.get(id) {
            return Ok(index);
        }
        let id: Arc<str> = Arc::from(id);
        ids.insert(Arc::clone(&id), index);
        self.foreign.push(ForeignAccount { bank, id });
        Ok(index)
    }
}

/// An account or a period that this builder numbered is not where it put it.
fn lost() -> Rejected {
    Rejected::new("id", Problem::Internal { place: "an account or a period has no place in the network" })
}

fn next_index(count: usize) -> Result<u32, Rejected> {
    // Own and foreign accounts together stay below 2^32.
    match u32::try_from(count) {
        Ok(index) if index < FOREIGN - 1 => Ok(index),
        _ => Err(Rejected::new("id", Problem::TooManyAccounts)),
    }
}

impl RawPeriod {
    /// Sorts, adds up and lays out as CSR. `place` maps a raw own name to its final index.
    fn finish(mut self, accounts: usize, place: &[u32]) -> Result<Period, Rejected> {
        let own = |raw: u32| place.get(raw as usize).copied().ok_or_else(lost);
        let first_foreign = next_index(accounts)?;
        for edge in &mut self.incoming {
            edge.destination = own(edge.destination)?;
            edge.source = if edge.source & FOREIGN != 0 {
                first_foreign + (edge.source & !FOREIGN)
            } else {
                match own(edge.source)? {
                    index if index < first_foreign => index,
                    // An own sender without a score: left out of sum and income.
                    _ => u32::MAX,
                }
            };
        }
        self.incoming.retain(|edge| edge.source != u32::MAX && edge.amount > 0);
        self.incoming.sort_unstable_by_key(|edge| (edge.destination, edge.source));
        for edge in &mut self.outgoing {
            edge.source = own(edge.source)?;
        }
        self.outgoing.sort_unstable_by_key(|edge| (edge.source, edge.destination));

        let mut period = Period::empty(accounts);
        let mut pairs = 0;
        for edge in sums(&self.incoming) {
            let edge = edge?;
            // Money that stays where it is makes no period count.
            pairs += usize::from(edge.source != edge.destination);
            period.senders.push(Node(edge.source));
            period.amounts.push(edge.amount);
            *period.offsets.get_mut(edge.destination as usize + 1).ok_or_else(lost)? += 1;
        }
        period.activity = activity_of(pairs);
        let mut total = 0;
        for offset in &mut period.offsets {
            total += *offset;
            *offset = total;
        }
        for account in 0..accounts {
            let income = period.incoming(account).1.iter().try_fold(0_u128, |sum, x| sum.checked_add(*x));
            income.ok_or_else(|| Rejected::new("amount", Problem::SumTooLarge))?;
        }
        period.outgoing = sums(&self.outgoing).collect::<Result<_, _>>()?;
        Ok(period)
    }
}

/// Adds up neighbours of a sorted list that have the same ends.
fn sums(edges: &[RawEdge]) -> impl Iterator<Item = Result<Outgoing, Rejected>> + '_ {
    edges.chunk_by(|a, b| (a.source, a.destination) == (b.source, b.destination)).filter_map(|same| {
        let first = same.first()?;
        let mut amount = 0_u128;
        for edge in same {
            match amount.checked_add(u128::from(edge.amount)) {
                Some(sum) => amount = sum,
                None => return Some(Err(Rejected::new("amount", Problem::SumTooLarge))),
            }
        }
        Some(Ok(Outgoing { source: first.source, destination: first.destination, amount }))
    })
}
