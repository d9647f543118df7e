//! The plaintext reference against exact fractions, known answers and properties.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use proptest::prelude::*;

use crate::common::{Raw, conflicting, consistent};
use subrosa_risk_propagation::steps::agreement::periods;
use subrosa_risk_propagation::{
    Agreed, Delta, Mismatch, Network, NetworkSizes, Plan, Settings, plaintext, steps,
};

fn plan_for(networks: &[Network], settings: &Settings) -> Plan {
    let periods = periods::among(networks, settings).unwrap();
    let sizes = NetworkSizes {
        key_bits: 2048,
        columns: 1,
        in_degree_bits: steps::in_degree_bits(
            networks.iter().map(Network::greatest_in_degree).max().unwrap(),
        ),
        active_periods: periods::counted(&periods),
        noise_contributors: 2,
    };
    Plan::new(&sizes, settings).unwrap()
}

fn twin(raw: &Raw, settings: &Settings) -> (Plan, Vec<Network>, Vec<Vec<f64>>) {
    let networks = raw.networks();
    let plan = plan_for(&networks, settings);
    let agreed = Agreed::among(networks.clone()).unwrap();
    let scores = plaintext::propagate(&agreed, &plan).unwrap();
    let floats = scores.iter().map(|scores| plaintext::disclosed(scores, &plan).unwrap()).collect();
    (plan, networks, floats)
}

fn compare(raw: &Raw, settings: &Settings, delta: (u32, u32)) {
    let (plan, networks, scores) = twin(raw, settings);
    let leave_out = settings.mismatch == Mismatch::LeaveOut;
    let exact = raw.exact(settings.iterations, delta, leave_out);
    let reference = plaintext::reference(&networks, settings).unwrap();
    let mut count = 0;
    for (bank, network) in networks.iter().enumerate() {
        for (account, id) in network.account_ids().enumerate() {
            let exact = exact[&(bank, id.to_owned())].float();
            let bound = plan.fixed_point_error() + plan.grid_error() + 1e-12;
            assert!(
                (scores[bank][account] - exact).abs() <= bound,
                "{bank} {id}: {} {exact}",
                scores[bank][account]
            );
            assert!((reference[bank][account] - exact).abs() <= 1e-12);
            assert!((0.0..=1.0).contains(&scores[bank][account]));
            count += 1;
        }
    }
    assert_eq!(count, exact.len());
}

proptest! {
    #[test]
    fn each_step_agrees_with_fractions(mut raw in consistent(), steps in 1..4_u32) {
        raw.rows.iter_mut().for_each(|periods| periods.truncate(1));
        let networks = raw.networks();
        let plan = plan_for(&networks, &Settings { iterations: steps, ..Settings::default() });
        let agreed = Agreed::among(networks).unwrap();
        let mut twin = plaintext::Reference::new(&agreed, &plan).unwrap();
        loop {
            let done = twin.steps_done();
            let exact = raw.exact(u32::try_from(done).unwrap(), (1, 2), false);
            let mut count = 0;
            for (bank, agreed) in agreed.iter().enumerate() {
                let scores = twin.scores(bank);
                prop_assert_eq!(scores.len(), agreed.network().account_count());
                for (score, id) in scores.iter().zip(agreed.network().account_ids()) {
                    let exact = exact[&(bank, id.to_owned())].float();
                    prop_assert!((score - exact).abs() <= plan.fixed_point_error(), "{} {}", score, exact);
                    count += 1;
                }
            }
            prop_assert_eq!(count, exact.len());
            if !twin.advance().unwrap() {
                break;
            }
        }
        prop_assert_eq!(twin.steps_done(), plan.steps().len());
        prop_assert!(!twin.advance().unwrap() && twin.scores(raw.banks).is_empty());
        prop_assert_eq!(twin.fixed(), &plaintext::propagate(&agreed, &plan).unwrap()[..]);
    }

    #[test]
    fn agrees_with_fractions(raw in consistent(), iterations in 0..4_u32) {
        compare(&raw, &Settings { iterations, ..Settings::default() }, (1, 2));
    }

    #[test]
    fn agrees_with_fractions_where_banks_differ(raw in conflicting(), iterations in 1..3_u32) {
        let settings = Settings {
            iterations,
            delta: Delta::fixed(0.75),
            mismatch: Mismatch::LeaveOut,
            ..Settings::default()
        };
        compare(&raw, &settings, (3, 4));
    }

    #[test]
    fn order_of_rows_and_accounts_does_not_count(raw in consistent()) {
        let settings = Settings::default();
        let mut turned = raw.clone();
        turned.accounts.iter_mut().for_each(|accounts| accounts.reverse());
        turned.rows.iter_mut().flatten().for_each(|rows| rows.reverse());
        let by_id = |raw: &Raw| {
            let networks = raw.networks();
            let plan = plan_for(&networks, &settings);
            let agreed = Agreed::among(networks).unwrap();
            let scores = plaintext::propagate(&agreed, &plan).unwrap();
            let mut all = Vec::new();
            for (agreed, scores) in agreed.iter().zip(&scores) {
                for (account, id) in agreed.network().account_ids().enumerate() {
                    all.push((agreed.network().bank().to_owned(), id.to_owned(), scores.packed(account).unwrap()));
                }
            }
            all.sort();
            all
        };
        prop_assert_eq!(by_id(&raw), by_id(&turned));
    }
}

#[test]
fn known_answers() {
    // north/0 (score 1) pays east/0, which pays north/1 and, three times as much, itself by way of west/0.
    let raw = Raw::consistent(
        3,
        vec![vec![(0, 100), (1, 0)], vec![(0, 0)], vec![(0, 40)]],
        vec![vec![(0, 0, 1, 0, 30), (2, 0, 1, 0, 10), (1, 0, 0, 1, 5), (1, 0, 2, 0, 15)]],
    );
    let (_, networks, scores) = twin(&raw, &Settings { iterations: 1, ..Settings::default() });
    assert_eq!(networks[0].account_ids().collect::<Vec<_>>(), ["0", "1"]);
    // north/0 has no income: ½·1. north/1: ½·0 + ½·0. east/0: ½·(¾·1 + ¼·0.4). west/0: ½·0.4 + ½·0.
    assert_eq!(scores, [vec![0.5, 0.0], vec![0.425], vec![0.2]]);
    let (_, _, scores) = twin(&raw, &Settings { iterations: 2, ..Settings::default() });
    // north/1: ½·0 + ½·0.425; east/0: ½·0.425 + ½·(¾·0.5 + ¼·0.2); west/0: ½·0.2 + ½·0.425.
    assert_eq!(scores, [vec![0.25, 0.2125], vec![0.425], vec![0.3125]]);
}

#[test]
fn delta_by_iteration_starts_anew_in_each_period() {
    let rows = vec![(0, 0, 0, 1, 1)];
    let raw = Raw::consistent(1, vec![vec![(0, 100), (1, 0)]], vec![rows.clone(), rows]);
    let delta = Delta::by_iteration(2, |iteration| if iteration == 0 { 1.0 } else { 0.0 });
    let (plan, _, scores) = twin(&raw, &Settings { iterations: 2, delta, ..Settings::default() });
    assert_eq!(plan.steps().len(), 4);
    // First step of either period: account 1 takes over account 0's score, which falls to 0 for want of income.
    assert_eq!(scores, [vec![0.0, 0.0]]);
    let delta = Delta::by_iteration(2, |iteration| if iteration == 0 { 0.5 } else { 0.0 });
    let (_, _, scores) = twin(&raw, &Settings { iterations: 2, delta, ..Settings::default() });
    assert_eq!(scores, [vec![0.25, 0.5]]);
}

#[test]
fn accounts_that_only_pay_and_are_not_listed_do_not_count() {
    // north/7 is not listed and nobody pays it: east/0's income is 10, all of it from north/0.
    let raw = Raw::consistent(
        2,
        vec![vec![(0, 100)], vec![(0, 0)]],
        vec![vec![(0, 0, 1, 0, 10), (0, 7, 1, 0, 90)]],
    );
    let (_, _, scores) = twin(&raw, &Settings { iterations: 1, ..Settings::default() });
    assert_eq!(scores, [vec![0.5], vec![0.5]]);
    // Paid in a later period, it exists with score 0 from the start.
    let raw = Raw::consistent(
        2,
        vec![vec![(0, 100)], vec![(0, 0)]],
        vec![vec![(0, 0, 1, 0, 10), (0, 7, 1, 0, 90)], vec![(0, 0, 0, 7, 1)]],
    );
    let settings = Settings { iterations: 1, delta: Delta::fixed(1.0), ..Settings::default() };
    let (_, networks, scores) = twin(&raw, &settings);
    assert_eq!((networks[0].account_count(), networks[0].listed_count()), (2, 1));
    // Period 0: north (0, 0), east 0.1. Period 1: nobody but north/7 has income, from an account at 0.
    assert_eq!(scores, [vec![0.0, 0.0], vec![0.0]]);
}

#[test]
fn a_bank_that_lists_no_account_hands_in_no_scores() {
    // east lists none: its account, which north pays, gets a score but does not count at west.
    let rows = vec![(0, 0, 1, 0, 10), (1, 0, 2, 0, 70), (0, 0, 2, 0, 10)];
    let raw = Raw::consistent(3, vec![vec![(0, 100)], vec![], vec![(0, 0)]], vec![rows]);
    let (_, networks, scores) = twin(&raw, &Settings { iterations: 1, ..Settings::default() });
    assert!(!networks[1].hands_in_scores());
    assert_eq!(scores, [vec![0.5], vec![0.5], vec![0.5]]);
    // A period in which nobody but such a bank receives does not count.
    let raw = Raw::consistent(3, vec![vec![(0, 100)], vec![], vec![]], vec![vec![(0, 0, 1, 0, 10)]]);
    assert_eq!(twin(&raw, &Settings::default()).2, [vec![1.0], vec![0.0], vec![]]);
}

#[test]
fn small_and_empty_networks() {
    let settings = Settings::default();
    let one = Raw::consistent(1, vec![vec![(0, 70)]], vec![]);
    // No period at all, so no step.
    assert_eq!(twin(&one, &settings).2, [vec![0.7]]);
    let alone = Raw::consistent(1, vec![vec![(0, 70)]], vec![vec![(0, 0, 0, 0, 9)]]);
    // It pays itself: everything comes back.
    assert_eq!(twin(&alone, &settings).2, [vec![0.7]]);
    let empty = Raw::consistent(3, vec![vec![], vec![(1, 75)], vec![]], vec![vec![]]);
    assert_eq!(twin(&empty, &settings).2, [vec![], vec![0.75], vec![]]);
    let none = Raw::consistent(3, vec![vec![(0, 50)], vec![(0, 50)], vec![]], vec![vec![(0, 0, 1, 0, 1)]]);
    let zero = Settings { iterations: 0, ..Settings::default() };
    assert_eq!(twin(&none, &zero).2, [vec![0.5], vec![0.5], vec![]]);
}
