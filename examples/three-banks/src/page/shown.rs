//! Chooses what a page shows: the network around the accounts that rose most, the ranks, and what is told of each account.

use std::collections::HashMap;

use super::model::{Account, Course, Edge, Movement, Node, Score, Sender, Shown};
use super::movement::Trace;
use crate::scene::ranks::{self, FIRST, Row};
use crate::scene::{Scene, float, layers};
use subrosa_risk_propagation::explain::{Contribution, explain};
use subrosa_risk_propagation::{BankId, Step};

/// Senders told of each account.
const SENDERS: usize = 6;

/// The accounts shown so far, each once.
struct Chosen {
    /// Indices into the scene.
    accounts: Vec<usize>,
    places: HashMap<usize, usize>,
}

impl Chosen {
    fn place(&mut self, account: usize) -> usize {
        *self.places.entry(account).or_insert_with(|| {
            self.accounts.push(account);
            self.accounts.len() - 1
        })
    }
}

/// Everything that names an account, with the scores' courses where there is a trace of them.
pub(super) fn choose<'a>(
    scene: &Scene<'a>,
    steps: &[Step],
    trace: Option<&Trace>,
) -> (Shown<'a>, Option<Movement>) {
    let layers = layers::arrange(scene);
    let mut chosen = Chosen { accounts: Vec::new(), places: HashMap::new() };
    let node = |placed: &layers::Placed| Node {
        account: chosen.place(placed.account),
        layer: placed.layer,
        row: placed.row,
        risen: placed.risen,
    };
    let nodes: Vec<Node> = layers.placed.iter().map(node).collect();
    let edge = |edge: &layers::Edge| Edge { from: edge.from, to: edge.to, share: edge.share };
    let edges = layers.edges.iter().map(edge).collect();

    let all = ranks::all(scene);
    let mut rows = ranks::choose(&all);
    rows.sort_by_key(|row| (row.after, row.before, row.account));
    let first = rows.len().min(FIRST);
    let ranks = rows.iter().map(|row| chosen.place(row.account)).collect();

    let movement = trace.map(|trace| {
        let risen = layers.placed.iter().filter(|placed| placed.risen);
        let course = |placed: &layers::Placed| Course {
            account: chosen.place(placed.account),
            scores: trace.of(placed.account),
        };
        Movement { scores: risen.map(course).collect(), ..trace.summary(scene) }
    });
    let account = |&index: &usize| account(scene, steps, &all, index);
    let accounts = chosen.accounts.iter().map(account).collect();
    (Shown { accounts, nodes, edges, ranks, first }, movement)
}

fn account<'a>(scene: &Scene<'a>, steps: &[Step], ranks: &[Row], index: usize) -> Account<'a> {
    let (bank, id) = scene.identity(index).unwrap_or_default();
    // An account of a bank that is not among the scene's has neither score nor rank nor senders here.
    let known = scene.accounts.get(index).zip(ranks.get(index));
    let score = known.map(|(account, row)| Score {
        before: account.before,
        after: account.after,
        rank_before: row.before,
        rank_after: (!row.withheld).then_some(row.after),
    });
    let mut senders = known.map_or(Vec::new(), |_| senders(scene, steps, bank, id));
    let sender_count = senders.len();
    senders.truncate(SENDERS);
    Account { bank, id, score, senders, sender_count }
}

/// Who paid an account, the largest first, and what its bank's investigator is told of each.
fn senders(scene: &Scene<'_>, steps: &[Step], bank: usize, id: &str) -> Vec<Sender> {
    let Some(outcome) = scene.outcome(bank) else { return Vec::new() };
    let Some(explanation) = explain(&outcome.agreed, steps, id) else { return Vec::new() };
    let mut sums: HashMap<(BankId, &str), (u128, Option<usize>)> = HashMap::new();
    for Contribution { bank, sender, amount, foreign_from, .. } in &explanation.contributions {
        let sum = sums.entry((*bank, sender)).or_default();
        sum.0 = sum.0.saturating_add(*amount);
        let step = foreign_from.map(|step| step + 1);
        sum.1 = sum.1.into_iter().chain(step).min();
    }
    let income: f64 = sums.values().map(|(amount, _)| float(*amount)).sum();
    let mut order: Vec<_> = sums.into_iter().collect();
    order.sort_by(|(left, (a, _)), (right, (b, _))| b.cmp(a).then_with(|| left.cmp(right)));
    let sender = |((bank, id), (amount, foreign_from)): ((BankId, &str), (u128, Option<usize>))| Sender {
        bank: bank.index(),
        id: id.to_owned(),
        amount: amount.to_string(),
        share: float(amount) / income,
        foreign_from,
    };
    order.into_iter().map(sender).collect()
}
