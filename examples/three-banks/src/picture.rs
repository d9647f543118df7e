//! The riskiest part of the network: the paths along which risk arrived as text, and drawings.
//!
//! Only here, where all banks run in one process, can such a picture be drawn at all.

pub(crate) mod canvas;
mod network;
mod ranks;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path as FilePath;

use subrosa_risk_propagation::{BankId, Error, Outcome, data};

use crate::scene::Scene;

/// Paths drawn.
const PATHS: usize = 6;
/// Longest path, in transfers.
const LENGTH: usize = 4;

struct Account<'a> {
    bank: &'a str,
    id: &'a str,
    before: f64,
    after: f64,
    /// The sender whose money brings most risk: bank, account and amount.
    source: Option<((BankId, &'a str), u128)>,
}

/// Writes `network.svg` and `ranks.svg` into a folder.
pub(crate) fn write(directory: &FilePath, outcomes: &[Outcome]) -> Result<(), Error> {
    let scene = Scene::new(outcomes);
    for (name, drawing) in [("network.svg", network::draw(&scene)), ("ranks.svg", ranks::draw(&scene))] {
        let file = directory.join(name);
        let drawing = drawing.map_err(|source| Error::Io { path: file.clone(), source })?;
        data::write_atomically(&file, |out| out.write_all(drawing.as_bytes()))?;
    }
    Ok(())
}

/// `bank/account`, not too long for a label.
fn label(scene: &Scene<'_>, account: usize) -> String {
    let Some((bank, id)) = scene.identity(account) else { return String::new() };
    let bank = scene.banks.get(bank).copied().unwrap_or("");
    format!("{}/{}", canvas::shorten(bank, 12), canvas::shorten(id, 14))
}

/// Draws, for the accounts whose risk rose most, where it came from.
pub(crate) fn paths(outcomes: &[Outcome]) -> String {
    let accounts = collect(outcomes);
    let mut risen: Vec<(&(BankId, &str), &Account<'_>)> = accounts
        .iter()
        .filter(|(_, account)| account.after > account.before && account.source.is_some())
        .collect();
    risen.sort_by(|(left_key, left), (right_key, right)| {
        let rise = |account: &Account<'_>| account.after - account.before;
        rise(right).total_cmp(&rise(left)).then_with(|| left_key.cmp(right_key))
    });
    let mut seen: HashSet<(BankId, &str)> = HashSet::new();
    let mut text = String::from("Where risk arrived from (scores before → after, transfers in cents):\n");
    let mut drawn = 0;
    for (key, _) in risen {
        if drawn == PATHS || seen.contains(key) {
            continue;
        }
        let path = trace(*key, &accounts);
        seen.extend(path.iter().map(|(key, _)| *key));
        draw(&path, &accounts, &mut text);
        drawn += 1;
    }
    if drawn == 0 {
        text.push_str("  nowhere: no account's risk rose\n");
    }
    text
}

fn collect(outcomes: &[Outcome]) -> HashMap<(BankId, &str), Account<'_>> {
    let mut accounts = HashMap::new();
    for outcome in outcomes {
        let network = outcome.agreed.network();
        let columns = network.columns().len().max(1);
        let before = network.initial_scores().iter().step_by(columns);
        let after = outcome.scores.iter().step_by(columns);
        for ((id, before), after) in network.account_ids().zip(before).zip(after) {
            let account = Account { bank: network.bank(), id, before: *before, after: *after, source: None };
            accounts.insert((network.own(), id), account);
        }
    }
    let score =
        |key: &(BankId, &str)| accounts.get(key).map_or(0.0, |account| account.before + account.after);
    let mut sources = Vec::new();
    for outcome in outcomes {
        let network = outcome.agreed.network();
        for (place, id) in network.account_ids().enumerate() {
            let periods = 0..network.periods().len();
            let edges = periods.flat_map(|period| network.incoming(period, place));
            let brings = |(bank, sender, amount): &(BankId, &str, u128)| {
                score(&(*bank, *sender)) * u32::try_from(*amount).map_or(f64::from(u32::MAX), f64::from)
            };
            let best = edges
                .filter(|(bank, sender, _)| (*bank, *sender) != (network.own(), id))
                .max_by(|a, b| brings(a).total_cmp(&brings(b)));
            if let Some((bank, sender, amount)) = best
                && score(&(bank, sender)) > 0.0
            {
                sources.push(((network.own(), id), ((bank, sender), amount)));
            }
        }
    }
    for (key, source) in sources {
        if let Some(account) = accounts.get_mut(&key) {
            account.source = Some(source);
        }
    }
    accounts
}

type Path<'a> = Vec<((BankId, &'a str), u128)>;

/// From an account back to where its risk came from: the nearest account that had risk from the start.
fn trace<'a>(start: (BankId, &'a str), accounts: &HashMap<(BankId, &'a str), Account<'a>>) -> Path<'a> {
    let mut path = vec![(start, 0)];
    let mut here = start;
    while path.len() <= LENGTH {
        let Some(account) = accounts.get(&here) else { break };
        let Some((source, amount)) = account.source else { break };
        if path.iter().any(|(key, _)| *key == source) || (account.before >= 0.5 && path.len() > 1) {
            break;
        }
        path.push((source, amount));
        here = source;
    }
    path.reverse();
    path
}

fn draw(path: &Path<'_>, accounts: &HashMap<(BankId, &str), Account<'_>>, text: &mut String) {
    // In `trace` an amount stands beside the sender, which is now on the left of its transfer.
    for (place, (key, amount)) in path.iter().enumerate() {
        if let Some(account) = accounts.get(key) {
            let Account { bank, id, before, after, .. } = account;
            let _ =
                write!(text, "{}{bank}/{id} ({before:.2} → {after:.4})", if place == 0 { "  " } else { "" });
        }
        if place + 1 < path.len() {
            let _ = write!(text, " ══{amount}══▶ ");
        }
    }
    text.push('\n');
}
