//! Ranks before and after a run, and the accounts whose ranks are shown.

use super::{Account, Scene};

/// The first ranks after the run that are shown.
pub(crate) const FIRST: usize = 10;
/// Accounts that climbed most, beside these.
const CLIMBED: usize = 12;

/// An account's ranks.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// Index into [`Scene::accounts`].
    pub(crate) account: usize,
    pub(crate) before: usize,
    /// Among the accounts that have a score; those whose scores are withheld come behind all of them.
    pub(crate) after: usize,
    /// Whether the account's score is withheld.
    pub(crate) withheld: bool,
}

/// The ranks of all accounts of a scene, in its order.
pub(crate) fn all(scene: &Scene<'_>) -> Vec<Row> {
    let before = ranks(scene.accounts.iter().map(|account| account.before));
    let after = |account: &Account<'_>| if account.withheld { f64::NEG_INFINITY } else { account.after };
    let after = ranks(scene.accounts.iter().map(after));
    let ranks = before.into_iter().zip(after).zip(&scene.accounts).enumerate();
    let row = |(account, ((before, after), of)): (usize, ((usize, usize), &Account<'_>))| Row {
        account,
        before,
        after,
        withheld: of.withheld,
    };
    ranks.map(row).collect()
}

/// Each account's rank: one more than there are accounts with a higher score.
fn ranks(scores: impl Iterator<Item = f64>) -> Vec<usize> {
    let scores: Vec<f64> = scores.collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let score = |account: usize| scores.get(account).copied().unwrap_or(0.0);
    order.sort_by(|&left, &right| score(right).total_cmp(&score(left)));
    let mut ranks = vec![0; scores.len()];
    let mut rank = 0;
    let mut last = f64::NAN;
    for (place, account) in order.into_iter().enumerate() {
        // Zeros of either sign are equal here.
        if score(account) != last {
            rank = place + 1;
            last = score(account);
        }
        if let Some(slot) = ranks.get_mut(account) {
            *slot = rank;
        }
    }
    ranks
}

/// The rows shown, none of an account whose score is withheld, in the order of the rank before; those of one rank in the order of the rank after.
pub(crate) fn choose(all: &[Row]) -> Vec<Row> {
    let mut all: Vec<Row> = all.iter().copied().filter(|row| !row.withheld).collect();
    all.sort_by_key(|row| (row.after, row.before, row.account));
    let mut rest = all.split_off(all.len().min(FIRST));
    let climb = |row: &Row| float(row.before) / float(row.after).max(1.0);
    rest.retain(|row| row.after < row.before);
    rest.sort_by(|left, right| climb(right).total_cmp(&climb(left)).then(left.after.cmp(&right.after)));
    all.extend(rest.into_iter().take(CLIMBED));
    all.sort_by_key(|row| (row.before, row.after, row.account));
    all
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
