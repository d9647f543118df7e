//! Explanations against known networks and against what really moves a score.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use subrosa_risk_propagation::explain::explain;
use subrosa_risk_propagation::synthetic::{Generated, NetworkShape, generate};
use subrosa_risk_propagation::{
    Agreed, Banks, Delta, Mismatch, Network, NetworkBuilder, Settings, Transfer, plaintext,
};

fn settings(delta: f64, iterations: u32) -> Settings {
    Settings {
        iterations,
        delta: Delta::fixed(delta),
        accuracy: 1e-6,
        mismatch: Mismatch::Refuse,
        ..Settings::default()
    }
}

/// Bank `a` has x, y and z; b/q pays x, x pays y, y pays z, and z pays itself nothing.
fn chain() -> Vec<Network> {
    let banks = Banks::new(["a", "b"]).unwrap();
    let view = |own: &str, accounts: &[&str]| {
        let mut builder =
            NetworkBuilder::new(banks.clone(), banks.find(own).unwrap(), vec!["risk_score".into()]);
        for account in accounts {
            builder.account(account, &[0.0]).unwrap();
        }
        for (id_source, bank_source, id_destination, amount) in
            [("q", "b", "x", 30), ("z", "a", "x", 10), ("x", "a", "y", 5), ("y", "a", "z", 7)]
        {
            if own == "a" || bank_source == own {
                let transfer =
                    Transfer { id_source, bank_source, id_destination, bank_destination: "a", amount };
                builder.transfer(0, &transfer).unwrap();
            }
        }
        builder.finish().unwrap()
    };
    vec![view("a", &["x", "y", "z"]), view("b", &["q"])]
}

#[test]
fn foreign_risk_travels_one_transfer_in_each_iteration() {
    let agreed = Agreed::among(chain()).unwrap();
    let steps = settings(0.5, 3).steps(&[true]).unwrap();
    let of = |id: &str| explain(&agreed[0], &steps, id).unwrap();
    let x = of("x");
    let shown: Vec<_> = x
        .contributions
        .iter()
        .map(|c| (c.sender.as_str(), c.bank.index(), c.foreign, c.amount, c.weights[0], c.foreign_from))
        .collect();
    // z is reached in the third iteration, too late to pay it on.
    assert_eq!(shown, [("q", 1, true, 30, 0.375, Some(0)), ("z", 0, false, 10, 0.125, None)]);
    assert!(x.contributions.iter().all(|c| c.weights.len() == 3 && c.period == 0));
    assert_eq!(x.carriers().map(|c| c.sender.as_str()).collect::<Vec<_>>(), ["q"]);
    assert_eq!(of("y").contributions[0].foreign_from, Some(1));
    assert_eq!(of("z").contributions[0].foreign_from, Some(2));
    assert_eq!(explain(&agreed[0], &steps, "q"), None);
    assert!(explain(&agreed[1], &steps, "q").unwrap().contributions.is_empty());
}

#[test]
fn without_mixing_nothing_is_carried() {
    let agreed = Agreed::among(chain()).unwrap();
    let steps = settings(0.0, 3).steps(&[true]).unwrap();
    let x = explain(&agreed[0], &steps, "x").unwrap();
    assert!(x.carriers().next().is_none() && x.contributions.iter().all(|c| c.weights == [0.0; 3]));
}

/// All banks' networks, with every score of the banks other than `own` set to `foreign` and the own ones to 0.
fn with_scores(generated: &Generated, own: usize, foreign: f64) -> Vec<Network> {
    let banks = Banks::new(generated.banks()).unwrap();
    let view = |bank: usize| {
        let id = banks.iter().nth(bank).unwrap();
        let mut builder = NetworkBuilder::new(banks.clone(), id, vec!["risk_score".into()]);
        for account in generated.accounts().iter().filter(|account| account.bank == bank) {
            builder.account(&account.id, &[if bank == own { 0.0 } else { foreign }]).unwrap();
        }
        for (transfer, row) in generated.rows_of(bank) {
            builder.transfer(transfer.period, &row).unwrap();
        }
        builder.finish().unwrap()
    };
    (0..banks.len()).map(view).collect()
}

#[test]
fn an_account_has_carriers_if_foreign_scores_move_its_own() {
    let mut both = [0, 0];
    for (seed, delta) in [(1, 0.5), (2, 0.25), (3, 1.0)] {
        let shape =
            NetworkShape { accounts: 60, transfers: 45, chains: 2, periods: 2, ..NetworkShape::default() };
        let generated = generate(&shape, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
        let settings = settings(delta, 2);
        let networks = with_scores(&generated, 0, 1.0);
        let moved = plaintext::reference(&networks, &settings).unwrap();
        let steps = settings.steps(&[true, true]).unwrap();
        let agreed = Agreed::among(networks.clone()).unwrap();
        for (account, id) in networks[0].account_ids().enumerate() {
            let explanation = explain(&agreed[0], &steps, id).unwrap();
            let carried = explanation.carriers().next().is_some();
            // With δ = 1 a later period can wash away what was carried.
            if moved[0][account] > 0.0 || delta < 1.0 {
                assert_eq!(carried, moved[0][account] > 0.0, "seed {seed}: {id}");
            }
            both[usize::from(carried)] += 1;
        }
    }
    assert!(both[0] > 5 && both[1] > 5, "{both:?}");
}
