//! What pictures and pages show: accounts with their scores, and who pays whom.
//!
//! A scene is made from the outcomes of some banks. With those of all banks it holds every account; with that of one bank
//! it holds this bank's accounts, and of the others only who pays them: names without scores, which that bank has not.

use std::collections::HashMap;

use subrosa_risk_propagation::{BankId, Network, Outcome};

pub(crate) mod layers;
pub(crate) mod ranks;

/// An account whose scores the scene's banks know.
pub(crate) struct Account<'a> {
    /// Place of its bank in [`Scene::banks`].
    pub(crate) bank: usize,
    pub(crate) id: &'a str,
    pub(crate) before: f64,
    /// The score; of a withheld account a lower bound.
    pub(crate) after: f64,
    /// Whether the account is withheld: see `Outcome::withheld`.
    pub(crate) withheld: bool,
    /// Place in its own bank's network.
    pub(crate) place: usize,
}

impl Account<'_> {
    /// How much its score rose; `None` where the score is withheld.
    pub(crate) fn rise(&self) -> Option<f64> {
        (!self.withheld).then_some(self.after - self.before)
    }

    /// Its score after the run with some decimals, marked where it is a lower bound.
    pub(crate) fn shown(&self, decimals: usize) -> String {
        format!("{}{:.decimals$}", if self.withheld { "≥ " } else { "" }, self.after)
    }
}

/// An account of a bank that is not among the scene's.
pub(crate) struct Foreign<'a> {
    /// Place of its bank in [`Scene::banks`].
    pub(crate) bank: usize,
    pub(crate) id: &'a str,
}

/// A sender of an account, over all periods.
pub(crate) struct Sender {
    /// Index of the account in the scene.
    pub(crate) account: usize,
    /// Its share in what the account received, from 0 to 1.
    pub(crate) share: f64,
}

/// Accounts with their scores of one risk type. Indices count [`Scene::accounts`] first, then [`Scene::foreign`].
pub(crate) struct Scene<'a> {
    /// Place of the risk type among the columns.
    pub(crate) column: usize,
    /// All risk types.
    pub(crate) types: &'a [String],
    /// All banks of the run.
    pub(crate) banks: Vec<&'a str>,
    pub(crate) accounts: Vec<Account<'a>>,
    pub(crate) foreign: Vec<Foreign<'a>>,
    outcomes: &'a [Outcome],
    places: HashMap<(BankId, &'a str), usize>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(outcomes: &'a [Outcome], column: usize) -> Self {
        let mut accounts = Vec::new();
        let mut places = HashMap::new();
        for outcome in outcomes {
            let network = outcome.agreed.network();
            let columns = network.columns().len().max(1);
            let before = network.initial_scores().iter().skip(column).step_by(columns);
            let after = outcome.scores.iter().skip(column).step_by(columns);
            for (place, ((id, before), after)) in network.account_ids().zip(before).zip(after).enumerate() {
                places.insert((network.own(), id), accounts.len());
                let bank = network.own().index();
                let withheld = outcome.is_withheld(place);
                accounts.push(Account { bank, id, before: *before, after: *after, withheld, place });
            }
        }
        let first = outcomes.first().map(|outcome| outcome.agreed.network());
        let names = first.map(Network::banks);
        let banks = names.into_iter().flat_map(|banks| banks.iter().map(|bank| banks.name(bank))).collect();
        let types = first.map_or(&[][..], Network::columns);
        let mut scene = Self { column, types, banks, accounts, foreign: Vec::new(), outcomes, places };
        scene.find_foreign();
        scene
    }

    /// One for each risk type.
    pub(crate) fn all(outcomes: &'a [Outcome]) -> Vec<Self> {
        let columns = outcomes.first().map_or(0, |outcome| outcome.agreed.network().columns().len());
        (0..columns).map(|column| Self::new(outcomes, column)).collect()
    }

    /// Name of the risk type, where there are several.
    pub(crate) fn risk_type(&self) -> Option<&'a str> {
        self.types.get(self.column).filter(|_| self.types.len() > 1).map(String::as_str)
    }

    fn find_foreign(&mut self) {
        for outcome in self.outcomes {
            let network = outcome.agreed.network();
            let edges = (0..network.periods().len()).flat_map(|period| {
                (0..network.account_count()).flat_map(move |place| network.incoming(period, place))
            });
            for (bank, id, _) in edges {
                if self.outcome(bank.index()).is_none() && !self.places.contains_key(&(bank, id)) {
                    self.places.insert((bank, id), self.accounts.len() + self.foreign.len());
                    self.foreign.push(Foreign { bank: bank.index(), id });
                }
            }
        }
    }

    /// The outcome of a bank, if it is among the scene's.
    pub(crate) fn outcome(&self, bank: usize) -> Option<&'a Outcome> {
        self.outcomes.iter().find(|outcome| outcome.agreed.network().own().index() == bank)
    }

    /// Bank and name of an account.
    pub(crate) fn identity(&self, index: usize) -> Option<(usize, &'a str)> {
        let foreign = || self.foreign.get(index.checked_sub(self.accounts.len())?);
        let known = self.accounts.get(index).map(|account| (account.bank, account.id));
        known.or_else(|| foreign().map(|account| (account.bank, account.id)))
    }

    /// Index of an account.
    pub(crate) fn position(&self, bank: BankId, id: &str) -> Option<usize> {
        self.places.get(&(bank, id)).copied()
    }

    /// Who pays an account, itself left out. Nobody for an account of a bank that is not among the scene's.
    pub(crate) fn senders(&self, account: usize) -> Vec<Sender> {
        let Some(receiver) = self.accounts.get(account) else { return Vec::new() };
        let Some(outcome) = self.outcome(receiver.bank) else { return Vec::new() };
        let network = outcome.agreed.network();
        let mut sums: HashMap<usize, f64> = HashMap::new();
        let mut income = 0.0;
        for period in 0..network.periods().len() {
            for (bank, id, amount) in network.incoming(period, receiver.place) {
                let amount = float(amount);
                income += amount;
                if let Some(sender) = self.position(bank, id)
                    && sender != account
                {
                    *sums.entry(sender).or_default() += amount;
                }
            }
        }
        let mut senders: Vec<Sender> =
            sums.into_iter().map(|(account, sum)| Sender { account, share: sum / income }).collect();
        senders.sort_by_key(|sender| sender.account);
        senders
    }
}

#[expect(clippy::cast_precision_loss, reason = "only drawn")]
pub(crate) fn float(amount: u128) -> f64 {
    amount as f64
}
