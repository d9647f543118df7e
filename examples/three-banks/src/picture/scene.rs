//! What the pictures show: the accounts of all banks with their scores, and who pays whom.

use std::collections::HashMap;

use subrosa_risk_propagation::{BankId, Outcome};

/// An account in a picture.
pub(super) struct Account<'a> {
    /// Place of its bank in [`Scene::banks`].
    pub(super) bank: usize,
    pub(super) id: &'a str,
    pub(super) before: f64,
    pub(super) after: f64,
    /// Place in its own bank's network.
    place: usize,
}

/// A sender of an account, over all periods.
pub(super) struct Sender {
    /// Index into [`Scene::accounts`].
    pub(super) account: usize,
    /// Its share in what the account received, from 0 to 1.
    pub(super) share: f64,
}

/// All accounts, of the first risk type.
pub(super) struct Scene<'a> {
    pub(super) banks: Vec<&'a str>,
    pub(super) accounts: Vec<Account<'a>>,
    outcomes: &'a [Outcome],
    places: HashMap<(BankId, &'a str), usize>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(outcomes: &'a [Outcome]) -> Self {
        let mut accounts = Vec::new();
        let mut places = HashMap::new();
        for (bank, outcome) in outcomes.iter().enumerate() {
            let network = outcome.agreed.network();
            let columns = network.columns().len().max(1);
            let before = network.initial_scores().iter().step_by(columns);
            let after = outcome.scores.iter().step_by(columns);
            for (place, ((id, before), after)) in network.account_ids().zip(before).zip(after).enumerate() {
                places.insert((network.own(), id), accounts.len());
                accounts.push(Account { bank, id, before: *before, after: *after, place });
            }
        }
        let banks = outcomes.iter().map(|outcome| outcome.agreed.network().bank()).collect();
        Self { banks, accounts, outcomes, places }
    }

    /// Who pays an account, itself left out.
    pub(super) fn senders(&self, account: usize) -> Vec<Sender> {
        let Some(receiver) = self.accounts.get(account) else { return Vec::new() };
        let Some(outcome) = self.outcomes.get(receiver.bank) else { return Vec::new() };
        let network = outcome.agreed.network();
        let mut sums: HashMap<usize, f64> = HashMap::new();
        let mut income = 0.0;
        for period in 0..network.periods().len() {
            for (bank, id, amount) in network.incoming(period, receiver.place) {
                let amount = float(amount);
                income += amount;
                if let Some(&sender) = self.places.get(&(bank, id))
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

    /// `bank/account`, not too long for a label.
    pub(super) fn label(&self, account: usize) -> String {
        let Some(account) = self.accounts.get(account) else { return String::new() };
        let bank = self.banks.get(account.bank).copied().unwrap_or("");
        format!("{}/{}", super::canvas::shorten(bank, 12), super::canvas::shorten(account.id, 14))
    }
}

#[expect(clippy::cast_precision_loss, reason = "only drawn")]
fn float(amount: u128) -> f64 {
    amount as f64
}
