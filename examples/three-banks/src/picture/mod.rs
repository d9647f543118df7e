//! The riskiest part of the network: the paths along which risk arrived as text, and drawings.
//!
//! Only here, where all banks run in one process, can such a picture be drawn at all.

pub(crate) mod canvas;
mod network;
mod ranks;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path as FilePath;

use crate::scene::{Account, Scene, float};
use subrosa_risk_propagation::{Error, data};

/// Paths drawn.
const PATHS: usize = 6;
/// Longest path, in transfers.
const LENGTH: usize = 4;

/// Writes `network.svg` and `ranks.svg` into a folder; for a second risk type `network-2.svg` and `ranks-2.svg`, and so on.
pub(crate) fn write(directory: &FilePath, scenes: &[Scene<'_>]) -> Result<(), Error> {
    for scene in scenes {
        let suffix = if scene.column == 0 { String::new() } else { format!("-{}", scene.column + 1) };
        for (name, drawing) in [("network", network::draw(scene)), ("ranks", ranks::draw(scene))] {
            let file = directory.join(format!("{name}{suffix}.svg"));
            let drawing = drawing.map_err(|source| Error::Io { path: file.clone(), source })?;
            data::write_atomically(&file, |out| out.write_all(drawing.as_bytes()))?;
        }
    }
    Ok(())
}

/// A title with the risk type, where there are several.
fn titled(scene: &Scene<'_>, title: &str) -> String {
    match scene.risk_type() {
        Some(risk_type) => format!("{title}: {}", canvas::shorten(risk_type, 30)),
        None => title.to_owned(),
    }
}

/// `bank/account`, not too long for a label.
fn label(scene: &Scene<'_>, account: usize) -> String {
    let Some((bank, id)) = scene.identity(account) else { return String::new() };
    let bank = scene.banks.get(bank).copied().unwrap_or("");
    format!("{}/{}", canvas::shorten(bank, 12), canvas::shorten(id, 14))
}

/// Draws, for the accounts whose risk rose most, where it came from.
pub(crate) fn paths(scene: &Scene<'_>) -> String {
    let rise = |account: usize| scene.accounts.get(account).and_then(Account::rise).unwrap_or(0.0);
    let sources: Vec<Option<Source>> =
        (0..scene.accounts.len()).map(|account| source(scene, account)).collect();
    let mut risen: Vec<usize> = (0..scene.accounts.len())
        .filter(|&account| rise(account) > 0.0 && sources.get(account).is_some_and(Option::is_some))
        .collect();
    risen.sort_by(|&left, &right| rise(right).total_cmp(&rise(left)).then(left.cmp(&right)));
    let of = scene.risk_type().map_or(String::new(), |risk_type| format!(" of the type {risk_type}"));
    let mut text = format!(
        "Where risk{of} arrived from (scores before → after, transfers in the smallest unit of money):\n"
    );
    let mut seen = HashSet::new();
    let mut drawn = 0;
    for account in risen {
        if drawn == PATHS || seen.contains(&account) {
            continue;
        }
        let path = trace(scene, &sources, account);
        seen.extend(path.iter().map(|step| step.account));
        draw(scene, &path, &mut text);
        drawn += 1;
    }
    if drawn == 0 {
        text.push_str("  nowhere: no account's risk rose\n");
    }
    text
}

/// An account on a path, and what it paid to the next.
#[derive(Clone, Copy)]
struct Source {
    account: usize,
    amount: u128,
}

/// The sender whose money in one period brings most risk.
fn source(scene: &Scene<'_>, account: usize) -> Option<Source> {
    let score = |account: usize| scene.accounts.get(account).map_or(0.0, |a| a.before + a.after);
    let receiver = scene.accounts.get(account)?;
    let network = scene.outcome(receiver.bank)?.agreed.network();
    let edges = (0..network.periods().len()).flat_map(|period| network.incoming(period, receiver.place));
    let senders = edges.filter_map(|(bank, id, amount)| {
        Some(Source { account: scene.position(bank, id).filter(|sender| *sender != account)?, amount })
    });
    let brings = |source: &Source| score(source.account) * float(source.amount);
    senders.max_by(|left, right| brings(left).total_cmp(&brings(right))).filter(|s| score(s.account) > 0.0)
}

/// From an account back to where its risk came from: the nearest account that had risk from the start.
fn trace(scene: &Scene<'_>, sources: &[Option<Source>], start: usize) -> Vec<Source> {
    let mut path = vec![Source { account: start, amount: 0 }];
    let mut here = start;
    while path.len() <= LENGTH {
        let known = scene.accounts.get(here).is_none_or(|account| account.before >= 0.5);
        let Some(source) = sources.get(here).copied().flatten() else { break };
        if path.iter().any(|step| step.account == source.account) || (known && path.len() > 1) {
            break;
        }
        path.push(source);
        here = source.account;
    }
    path.reverse();
    path
}

fn draw(scene: &Scene<'_>, path: &[Source], text: &mut String) {
    for (place, Source { account, amount }) in path.iter().enumerate() {
        let (bank, id) = scene.identity(*account).unwrap_or_default();
        let bank = scene.banks.get(bank).copied().unwrap_or("");
        let (before, after) =
            scene.accounts.get(*account).map_or((0.0, String::new()), |a| (a.before, a.shown(4)));
        let indent = if place == 0 { "  " } else { "" };
        let _ = write!(text, "{indent}{bank}/{id} ({before:.2} → {after})");
        if place + 1 < path.len() {
            let _ = write!(text, " ══{amount}══▶ ");
        }
    }
    text.push('\n');
}
