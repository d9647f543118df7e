//! Tables for people.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use crate::phases::Phase;
use subrosa_risk_propagation::{Network, Outcome, PeriodActivity};

/// Accounts shown for each bank.
const SHOWN: usize = 5;

/// What each bank brings.
pub(crate) fn networks(networks: &[Network]) -> String {
    let mut table = table(&[
        "bank",
        "accounts",
        "unlisted",
        "risky at the start",
        "edges in",
        "from other banks",
        "periods",
    ]);
    for network in networks {
        let rows = network.initial_scores().chunks(network.columns().len().max(1));
        let risky = rows.filter(|row| row.iter().any(|score| *score > 0.0)).count();
        let edges: usize = network.periods().iter().map(|period| period.edge_count()).sum();
        let foreign: usize = (0..network.periods().len())
            .map(|period| {
                let senders =
                    (0..network.account_count()).flat_map(|account| network.incoming(period, account));
                senders.filter(|(bank, ..)| *bank != network.own()).count()
            })
            .sum();
        table.add_row([
            network.bank().to_owned(),
            network.account_count().to_string(),
            (network.account_count() - network.listed_count()).to_string(),
            risky.to_string(),
            edges.to_string(),
            foreign.to_string(),
            network.periods().len().to_string(),
        ]);
    }
    align(&mut table, 1);
    table.to_string()
}

/// Which bank made each period count, as all of them tell one another before the run.
pub(crate) fn periods(networks: &[Network], periods: &[PeriodActivity]) -> String {
    let mut header = vec!["period", "counted"];
    header.extend(networks.iter().map(Network::bank));
    let mut table = table(&header);
    for period in periods {
        let told = period.ranges().map(|(least, most)| match most {
            0 => "none".to_owned(),
            1 => "1".to_owned(),
            _ => format!("{least} to {most}"),
        });
        let counted = if period.counted { "yes" } else { "no" };
        table.add_row([(period.period + 1).to_string(), counted.to_owned()].into_iter().chain(told));
    }
    align(&mut table, 2);
    format!("Pairs of a sender and another account that it pays, as each bank tells all others:\n{table}")
}

/// Each bank's riskiest accounts after the run by one risk type, with what they had before.
pub(crate) fn riskiest(outcomes: &[Outcome], column: usize, risk_type: Option<&str>) -> String {
    let mut table = table(&["bank", "account", "before", "after", "rank before", "rank after"]);
    for outcome in outcomes {
        let network = outcome.agreed.network();
        let columns = network.columns().len().max(1);
        let ids: Vec<&str> = network.account_ids().collect();
        let before: Vec<f64> =
            network.initial_scores().iter().skip(column).step_by(columns).copied().collect();
        let after: Vec<f64> = outcome.scores.iter().skip(column).step_by(columns).copied().collect();
        let rank = |scores: &[f64], score: f64| 1 + scores.iter().filter(|other| **other > score).count();
        let shown = |account: &usize| !outcome.is_withheld(*account);
        let known: Vec<f64> =
            after.iter().enumerate().filter(|(account, _)| shown(account)).map(|(_, score)| *score).collect();
        let mut order: Vec<usize> = (0..ids.len()).filter(shown).collect();
        let score = |scores: &[f64], account: usize| scores.get(account).copied().unwrap_or(0.0);
        order.sort_by(|&a, &b| {
            score(&after, b).total_cmp(&score(&after, a)).then_with(|| ids.get(a).cmp(&ids.get(b)))
        });
        for (place, &account) in order.iter().take(SHOWN).enumerate() {
            let (old, new) = (score(&before, account), score(&after, account));
            table.add_row([
                if place == 0 { network.bank().to_owned() } else { String::new() },
                ids.get(account).map_or(String::new(), |id| (*id).to_owned()),
                format!("{old:.4}"),
                format!("{new:.6}"),
                rank(&before, old).to_string(),
                rank(&known, new).to_string(),
            ]);
        }
    }
    align(&mut table, 2);
    let of = risk_type.map_or(String::new(), |risk_type| format!(" by {risk_type}"));
    let mut text = format!("Riskiest accounts of each bank{of}, known to that bank alone:\n{table}");
    let withheld = outcomes.iter().filter(|outcome| !outcome.withheld.is_empty());
    let withheld: Vec<String> = withheld
        .map(|outcome| format!("{} of {}", outcome.withheld.len(), outcome.agreed.network().bank()))
        .collect();
    if let Some(first) = outcomes.first().filter(|_| !withheld.is_empty()) {
        let least = first.plan.min_foreign_senders();
        text.push_str(&format!(
            "\nWithheld, as fewer than {least} accounts of other banks determine their scores: {}",
            withheld.join(", ")
        ));
    }
    text
}

/// Time and traffic by phase: wall time of the slowest bank, processor time and bytes of each.
pub(crate) fn phases(phases: &[Vec<Phase>], wall: Duration) -> String {
    let banks: Vec<&str> =
        phases.iter().filter_map(|phases| phases.first()).map(|p| p.party.as_str()).collect();
    let mut header = vec!["phase".to_owned(), "wall s".to_owned()];
    header.extend(banks.iter().map(|bank| format!("{bank}: cpu s / kB sent / messages")));
    let mut table = table(&header.iter().map(String::as_str).collect::<Vec<_>>());
    let names: Vec<&str> =
        phases.first().map_or(Vec::new(), |first| first.iter().map(|p| p.name.as_str()).collect());
    for name in names {
        let of_banks: Vec<&Phase> =
            phases.iter().filter_map(|all| all.iter().find(|p| p.name == name)).collect();
        let slowest = of_banks.iter().map(|phase| phase.wall_s).fold(0.0, f64::max);
        let mut row = vec![name.to_owned(), format!("{slowest:.2}")];
        let cell = |phase: &&Phase| {
            format!("{:.2} / {} / {}", phase.cpu_s, phase.bytes_sent.div_ceil(1000), phase.messages)
        };
        row.extend(of_banks.iter().map(cell));
        table.add_row(row);
    }
    align(&mut table, 1);
    let cpu: f64 = phases.iter().flatten().map(|phase| phase.cpu_s).sum();
    let bytes: u64 = phases.iter().flatten().map(|phase| phase.bytes_sent).sum();
    format!(
        "{table}\nin all {:.1} s wall, {cpu:.1} s of processor time, {:.1} MB sent",
        wall.as_secs_f64(),
        f64::from(u32::try_from(bytes.div_ceil(1000)).unwrap_or(u32::MAX)) / 1000.0
    )
}

/// A table with its header.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header.iter().map(ToString::to_string));
    table
}

/// Numbers to the right, from a column on.
pub(crate) fn align(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
