//! What `--explain` prints: through which of its own bank's transfers an account's score came.

use crate::Failure;
use crate::tables::{align, table};
use subrosa_risk_propagation::explain::explain;
use subrosa_risk_propagation::{Network, Outcome};

/// An account that exists.
pub(crate) struct Wanted {
    /// Place of its bank.
    bank: usize,
    id: String,
}

/// Finds an account by `BANK/ACCOUNT`, or by its name alone where only one bank has it.
pub(crate) fn find(networks: &[Network], account: &str) -> Result<Wanted, Failure> {
    let has = |network: &Network, id: &str| network.position(id).is_some();
    if let Some((bank, id)) = account.split_once('/')
        && let Some(network) = networks.iter().find(|network| network.bank() == bank && has(network, id))
    {
        return Ok(Wanted { bank: network.own().index(), id: id.to_owned() });
    }
    let having: Vec<&Network> = networks.iter().filter(|network| has(network, account)).collect();
    match having[..] {
        [] => Err(Failure::UnknownAccount { account: account.to_owned() }),
        [network] => Ok(Wanted { bank: network.own().index(), id: account.to_owned() }),
        [..] => Err(Failure::ManyAccounts {
            account: account.to_owned(),
            banks: having.iter().map(|network| network.bank()).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// The table for the account's own bank, made from what that bank holds.
pub(crate) fn show(outcomes: &[Outcome], wanted: &Wanted) -> String {
    let of_bank = |outcome: &&Outcome| outcome.agreed.network().own().index() == wanted.bank;
    let Some(outcome) = outcomes.iter().find(of_bank) else { return String::new() };
    let network = outcome.agreed.network();
    let Some(explanation) = explain(&outcome.agreed, outcome.plan.steps(), &wanted.id) else {
        return String::new();
    };
    let account = network.position(&wanted.id).unwrap_or(0);
    let place = account.saturating_mul(network.columns().len());
    let scores = network.columns().iter().enumerate().map(|(column, name)| {
        let of = |scores: &[f64]| scores.get(place + column).copied().unwrap_or(0.0);
        let name = if network.columns().len() > 1 { name } else { "score" };
        let least = if outcome.is_withheld(account) { "at least " } else { "" };
        format!("{name} {:.4} before, {least}{:.6} after", of(network.initial_scores()), of(&outcome.scores))
    });
    let mut text = format!(
        "What reached {}/{}, as {} can tell ({}):\n",
        network.bank(),
        wanted.id,
        network.bank(),
        scores.collect::<Vec<_>>().join("; ")
    );
    if outcome.is_withheld(account) {
        let least = outcome.plan.min_foreign_senders();
        text.push_str(&format!(
            "  withheld: fewer than {least} accounts of other banks determine its score\n"
        ));
    }
    if explanation.contributions.is_empty() {
        text.push_str("  nothing: nobody paid it\n");
        return text;
    }
    let mut rows = table(&["period", "from", "amount", "weight", "another bank's risk"]);
    for contribution in &explanation.contributions {
        let weight = contribution.weights.first().copied().unwrap_or(0.0);
        rows.add_row([
            (contribution.period + 1).to_string(),
            format!("{}/{}", network.banks().name(contribution.bank), contribution.sender),
            contribution.amount.to_string(),
            format!("{weight:.6}"),
            contribution
                .foreign_from
                .map_or("none".to_owned(), |step| format!("from iteration {}", step + 1)),
        ]);
    }
    align(&mut rows, 2);
    let (all, carriers) = (explanation.contributions.len(), explanation.carriers().count());
    text.push_str(&format!(
        "{rows}\n{carriers} of {all} carried scores that depend on other banks; how high those were, {} does not know.\n",
        network.bank()
    ));
    text
}
