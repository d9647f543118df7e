//! Scores that too few foreign senders determine are withheld, and no others.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use common::{Raw, Row, bank_name, consistent};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use subrosa_paillier::PrivateKey;
use subrosa_risk_propagation::{
    Agreed, Banks, CheckpointStore, Delta, Error, FileStore, Forecast, Network, NetworkBuilder, NetworkSizes,
    Outcome, PROTOCOL, Plan, Settings, Stage, Transfer, data, disclosure, parameters, periods, plaintext,
    plan::in_degree_bits, propagate_with, recover, senders,
};
use subrosa_threshold_decryption::{Access, KeyShare, dealer};
use subrosa_transport::memory::disconnect_after;
use subrosa_transport::testing::run_network;
use subrosa_transport::{
    MemoryNetwork, MemoryTransport, PartyId, Session, Settings as SessionSettings, Transport,
};

static SHARES: LazyLock<Vec<KeyShare>> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let private = PrivateKey::generate_insecure(512, &mut rng).unwrap();
    dealer::deal(&private, Access::new(3, 1).unwrap(), &mut rng).unwrap()
});

fn plan(networks: &[Network], settings: &Settings) -> Plan {
    let degree = networks.iter().map(Network::greatest_in_degree).max().unwrap();
    let sizes = NetworkSizes {
        key_bits: 512,
        columns: networks[0].columns().len(),
        in_degree_bits: in_degree_bits(degree),
        active_periods: periods::counted(&periods::among(networks, settings).unwrap()),
        adders: 2,
    };
    Plan::new(&sizes, settings).unwrap()
}

type Account = (usize, u8);

/// How many foreign accounts determine each account's score: each foreign account is followed forwards through the accounts of
/// one bank, over the rows themselves. For δ between 0 and 1.
fn counts(raw: &Raw, steps: &[usize]) -> BTreeMap<Account, usize> {
    let listed = |bank: usize| raw.accounts[bank].iter().map(move |(id, _)| (bank, *id));
    let rows: Vec<(usize, Row)> = (raw.rows.iter().enumerate())
        .flat_map(|(bank, files)| {
            let files = files.iter().enumerate();
            files
                .flat_map(move |(period, rows)| rows.iter().map(move |row| (period, *row)))
                .filter(move |(_, row)| row.2 == bank)
        })
        .collect();
    let mut accounts: BTreeSet<Account> = (0..raw.banks).flat_map(listed).collect();
    accounts.extend(rows.iter().map(|(_, row)| (row.2, row.3)));
    let mut counts: BTreeMap<Account, usize> = accounts.iter().map(|account| (*account, 0)).collect();
    for &sender in &accounts {
        // A bank that lists no account hands in no scores.
        if raw.accounts[sender.0].is_empty() {
            continue;
        }
        for bank in (0..raw.banks).filter(|bank| *bank != sender.0) {
            let mut determined: BTreeSet<Account> = BTreeSet::new();
            for &step in steps {
                let paid = rows.iter().filter(|(period, row)| *period == step && row.2 == bank && row.4 > 0);
                let by = |row: &Row| (row.0, row.1) == sender || determined.contains(&(row.0, row.1));
                let more: Vec<Account> =
                    paid.filter(|(_, row)| by(row)).map(|(_, row)| (row.2, row.3)).collect();
                determined.extend(more);
            }
            determined.iter().for_each(|account| *counts.get_mut(account).unwrap() += 1);
        }
    }
    counts
}

/// Amounts of which no weight is rounded to 0.
fn tame(mut raw: Raw) -> Raw {
    raw.rows.iter_mut().flatten().flatten().for_each(|row| row.4 %= 1000);
    raw
}

proptest! {
    #[test]
    fn withheld_are_exactly_those_below_the_bound(raw in consistent(), iterations in 1..4_u32, least in 0..5_u32) {
        let raw = tame(raw);
        let networks = raw.networks();
        let settings = Settings { iterations, min_foreign_senders: least, accuracy: 1e-4, ..Settings::default() };
        let plan = plan(&networks, &settings);
        let steps: Vec<usize> = plan.steps().iter().map(|step| step.period).collect();
        let expected = counts(&raw, &steps);
        for (bank, agreed) in Agreed::among(networks).unwrap().iter().enumerate() {
            let network = agreed.network();
            let all = senders::foreign_senders(network, &plan, usize::MAX);
            let capped = senders::foreign_senders(network, &plan, 2);
            let (withheld, disclosed) = (senders::withheld(network, &plan), senders::disclosed(network, &plan));
            for (account, id) in network.account_ids().enumerate() {
                let count = expected[&(bank, id.parse().unwrap())];
                prop_assert_eq!(all[account], count);
                prop_assert_eq!(capped[account], count.min(2));
                let place = u32::try_from(account).unwrap();
                prop_assert_eq!(withheld.contains(&place), count > 0 && count < least as usize);
                prop_assert_eq!(disclosed.contains(&place), count > 0 && count >= least as usize);
            }
        }
    }
}

#[test]
fn weights_of_nothing_do_not_count() {
    let raw = |amount| {
        let rows = vec![(1, 0, 0, 0, amount), (2, 0, 0, 0, 1 << 60), (0, 0, 0, 1, 5)];
        let accounts = vec![vec![(0, 10), (1, 20)], vec![(0, 50)], vec![(0, 60)]];
        Raw::consistent(3, accounts, vec![rows.clone(), vec![(1, 0, 0, 0, 3)]])
    };
    let count = |raw: &Raw, settings: &Settings| {
        let networks = raw.networks();
        let plan = plan(&networks, settings);
        senders::foreign_senders(Agreed::among(networks).unwrap()[0].network(), &plan, 9)
    };
    let settings = Settings { iterations: 1, accuracy: 1e-4, periods: Some(2), ..Settings::default() };
    assert_eq!(count(&raw(1 << 59), &settings), [2, 0]);
    // One part in 2^60 has no weight, in the first period; in the second it is all.
    assert_eq!(count(&raw(1), &settings), [2, 0]);
    let twice = Settings { iterations: 2, ..settings.clone() };
    assert_eq!(count(&raw(1), &twice), [2, 1]);
    // With δ = 1 nothing is left of the first period where there is income in the second, and of account 1's score nothing
    // at all.
    let all = Settings { delta: Delta::fixed(1.0), ..twice.clone() };
    assert_eq!(count(&raw(1 << 59), &all), [1, 0]);
    let none = Settings { delta: Delta::fixed(0.0), ..twice };
    assert_eq!(count(&raw(1 << 59), &none), [0, 0]);
}

/// Twelve accounts at each bank with two risk types. Some accounts have no foreign sender, some one, some several.
fn networks(raw: &Raw) -> Vec<Network> {
    let banks = Banks::new((0..raw.banks).map(bank_name)).unwrap();
    let view = |bank: usize| {
        let columns = vec!["risk_score".to_owned(), "sanctions".to_owned()];
        let mut builder = NetworkBuilder::new(banks.clone(), banks.get(bank).unwrap(), columns);
        for (id, score) in &raw.accounts[bank] {
            let score = f64::from(*score) / 100.0;
            builder.account(&id.to_string(), &[score, (1.0 - score) / 2.0]).unwrap();
        }
        for (period, rows) in raw.rows[bank].iter().enumerate() {
            for (from, source, to, destination, amount) in rows {
                let transfer = Transfer {
                    id_source: &source.to_string(),
                    bank_source: &bank_name(*from),
                    id_destination: &destination.to_string(),
                    bank_destination: &bank_name(*to),
                    amount: *amount,
                };
                builder.transfer(period, &transfer).unwrap();
            }
        }
        builder.finish().unwrap()
    };
    (0..raw.banks).map(view).collect()
}

fn sparse(seed: u64) -> Raw {
    let mut state = seed;
    let mut draw = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let byte = |value: usize| u8::try_from(value).unwrap();
    let accounts = (0..3).map(|_| (0..12).map(|id| (id, byte(draw(101)))).collect()).collect();
    let mut row = |_| (draw(3), byte(draw(12)), draw(3), byte(draw(13)), 1 + draw(1000) as u64);
    let periods = (0..2).map(|_| (0..17).map(&mut row).collect()).collect();
    Raw::consistent(3, accounts, periods)
}

fn settings(least: u32) -> Settings {
    Settings { iterations: 2, accuracy: 1e-4, min_foreign_senders: least, ..Settings::default() }
}

fn wires() -> Vec<MemoryTransport> {
    MemoryNetwork::builder((0..3).map(bank_name)).build().unwrap()
}

/// An attempt of all banks, with checkpoints in folders of `base`; how many scores each was told will be withheld.
fn attempt(
    wires: Vec<MemoryTransport>,
    base: &Path,
    networks: &[Network],
    settings: &Settings,
    seed: u64,
) -> Vec<(Result<Outcome, Error>, Option<usize>)> {
    run_network(wires, |me, mut wire| {
        let mut rng = ChaCha20Rng::seed_from_u64(10 * seed + me.index() as u64);
        let network = networks[me.index()].clone();
        let fields = parameters(SHARES[0].key(), network.columns(), settings);
        let timeout = SessionSettings::new().with_timeout(Duration::from_secs(30));
        let mut told = None;
        let run = || {
            let mut store = FileStore::open(base.join(bank_name(me.index())))?;
            let mut session = Session::open(&mut wire, PROTOCOL, &fields, timeout, &mut rng)?;
            let mut progress = |event: &subrosa_risk_propagation::Event<'_>| {
                if let Stage::Encrypt { withheld, .. } = event.stage {
                    told = Some(withheld);
                }
            };
            let share = &SHARES[me.index()];
            propagate_with(&mut session, share, network, settings, &mut store, &mut rng, &mut progress)
        };
        (run(), told)
    })
}

/// What a bank's own accounts alone contribute to its scores.
fn own_part(outcome: &Outcome) -> Vec<f64> {
    let network = outcome.agreed.network();
    let width = network.columns().len();
    let mut scores = network.initial_scores().to_vec();
    for step in outcome.plan.steps() {
        let mut next = Vec::new();
        for account in 0..network.account_count() {
            let senders: Vec<_> = network.incoming(step.period, account).collect();
            let income: f64 = senders.iter().map(|(_, _, amount)| *amount as f64).sum();
            for column in 0..width {
                let of = |id: &str| scores[network.position(id).unwrap() * width + column];
                let own = senders.iter().filter(|(bank, ..)| *bank == network.own());
                let sum: f64 = own.map(|(_, id, amount)| *amount as f64 * of(id)).sum();
                let brought = if income > 0.0 { step.delta * sum / income } else { 0.0 };
                next.push((1.0 - step.delta) * scores[account * width + column] + brought);
            }
        }
        scores = next;
    }
    scores
}

/// Whether the outcomes are those of the plain computation, but for the accounts that few foreign senders determine; how many
/// these are.
fn check(raw: &Raw, outcomes: &[Outcome], settings: &Settings) -> usize {
    let networks = networks(raw);
    let reference = plaintext::reference(&networks, settings).unwrap();
    let steps: Vec<usize> = outcomes[0].plan.steps().iter().map(|step| step.period).collect();
    let counts = counts(raw, &steps);
    let least = settings.min_foreign_senders as usize;
    let mut all = 0;
    for (bank, outcome) in outcomes.iter().enumerate() {
        let ids = || outcome.agreed.network().account_ids();
        let count = |id: &str| counts[&(bank, id.parse().unwrap())];
        let expected: Vec<u32> =
            (0..).zip(ids()).filter(|(_, id)| (1..least).contains(&count(id))).map(|(v, _)| v).collect();
        assert_eq!(outcome.withheld, expected);
        assert_eq!(outcome.decrypted_accounts, ids().filter(|id| count(id) >= least.max(1)).count());
        let own = own_part(outcome);
        for (account, score) in outcome.scores.chunks(2).enumerate() {
            let exact = if outcome.is_withheld(account) { &own } else { &reference[bank] };
            for (column, score) in score.iter().enumerate() {
                assert!((score - exact[2 * account + column]).abs() <= settings.accuracy);
                assert!(
                    !outcome.is_withheld(account)
                        || *score <= reference[bank][2 * account + column] + settings.accuracy
                );
            }
        }
        let (shown, withheld): (Vec<_>, Vec<_>) =
            (outcome.by_account().collect(), outcome.withheld_accounts().collect());
        assert_eq!((shown.len() + withheld.len(), withheld.len()), (ids().len(), expected.len()));
        assert!(withheld.iter().all(|(id, scores)| (1..least).contains(&count(id)) && scores.len() == 2));
        assert_eq!(outcome.at_least(0.0).count(), ids().len());
        all += expected.len();
    }
    all
}

#[test]
fn a_run_withholds_them_and_discloses_all_others() {
    let mut withheld = Vec::new();
    for (least, seed) in [(1, 1), (2, 1), (3, 1), (2, 2), (100, 3)] {
        let (raw, settings, base) = (sparse(seed), settings(least), tempfile::tempdir().unwrap());
        let networks = networks(&raw);
        let results = attempt(wires(), base.path(), &networks, &settings, seed);
        let told: Vec<usize> = results.iter().map(|(_, told)| told.unwrap()).collect();
        let outcomes: Vec<Outcome> = results.into_iter().map(|(outcome, _)| outcome.unwrap()).collect();
        withheld.push(check(&raw, &outcomes, &settings));
        let decrypted: usize = outcomes.iter().map(|outcome| outcome.ciphertexts).sum();
        assert_eq!(decrypted == 0, least == 100);
        // A forecast counts as the run does.
        let plan = plan(&networks, &settings);
        let agreed = Agreed::among(networks).unwrap();
        let ciphertexts = |agreed: &Agreed| {
            disclosure::ciphertexts(senders::disclosed(agreed.network(), &plan).len(), &plan)
        };
        let total: usize = agreed.iter().map(ciphertexts).sum();
        for ((outcome, agreed), told) in outcomes.iter().zip(&agreed).zip(told) {
            let forecast = Forecast::new(agreed, &plan, total - ciphertexts(agreed));
            assert_eq!((forecast.withheld, told), (outcome.withheld.len(), outcome.withheld.len()));
            assert_eq!(forecast.ciphertexts, outcome.ciphertexts);
            assert_eq!(forecast.to_string().contains("scores withheld"), forecast.withheld > 0);
        }
    }
    assert!(withheld[0] == 0 && withheld[1] > 5 && withheld[2] > withheld[1], "{withheld:?}");
}

#[test]
fn files_hold_no_number_for_a_withheld_score() {
    let (raw, settings, base) = (sparse(1), settings(2), tempfile::tempdir().unwrap());
    let networks = networks(&raw);
    for (outcome, _) in attempt(wires(), base.path(), &networks, &settings, 1) {
        let outcome = outcome.unwrap();
        let file = base.path().join("scores.csv");
        data::write_outcome(&file, &outcome).unwrap();
        let written = std::fs::read_to_string(&file).unwrap();
        let ids = outcome.agreed.network().account_ids();
        for (account, (line, id)) in written.lines().skip(1).zip(ids).enumerate() {
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!((fields.len(), fields[0]), (5, id));
            let empty = outcome.is_withheld(account);
            assert_eq!((fields[1].is_empty(), fields[3].is_empty()), (empty, empty));
            assert!(!fields[2].is_empty() && !fields[4].is_empty());
        }
        assert_eq!(written.lines().count(), 1 + outcome.agreed.network().account_count());
        #[cfg(feature = "arrow")]
        {
            use arrow_array::Array;
            let batch = data::arrow::outcome(&outcome).unwrap();
            let nulls = |column: usize| -> Vec<u32> {
                (0..)
                    .zip(0..batch.num_rows())
                    .filter(|(_, row)| batch.column(column).is_null(*row))
                    .map(|(n, _)| n)
                    .collect()
            };
            assert_eq!((nulls(1), nulls(3)), (outcome.withheld.clone(), outcome.withheld.clone()));
            assert!(nulls(0).is_empty() && nulls(2).is_empty() && nulls(4).is_empty());
            data::write_outcome_parquet(&base.path().join("scores.parquet"), &outcome).unwrap();
        }
    }
}

#[test]
fn a_stopped_run_goes_on_and_a_finished_one_is_recovered() {
    let (raw, settings) = (sparse(1), settings(2));
    let networks = networks(&raw);
    let (mut resumed, mut recovered) = (0, 0);
    for frames in 2.. {
        let base = tempfile::tempdir().unwrap();
        let stopped = MemoryNetwork::builder((0..3).map(bank_name))
            .intercept(disconnect_after(PartyId::new(2), frames))
            .build()
            .unwrap();
        let first = attempt(stopped, base.path(), &networks, &settings, 1);
        let mut gone = 0;
        for wire in wires() {
            let me = wire.roster().me().index();
            let mut store = FileStore::open(base.path().join(bank_name(me))).unwrap();
            gone += usize::from(store.positions().unwrap().is_empty());
            let network = networks[me].clone();
            if let Some(outcome) =
                recover(wire.roster(), &SHARES[me], network, &settings, &mut store).unwrap()
            {
                let withheld = senders::withheld(outcome.agreed.network(), &outcome.plan);
                assert!(outcome.withheld == withheld && !withheld.is_empty());
                recovered += 1;
            }
        }
        if first.iter().all(|(outcome, _)| outcome.is_ok()) && gone == 3 {
            break;
        }
        // Whoever has its scores and saw that all have them is gone; the others have recovered theirs.
        if first.iter().any(|(outcome, _)| outcome.is_ok()) {
            continue;
        }
        let second = attempt(wires(), base.path(), &networks, &settings, 2);
        assert!(second.iter().all(|(_, told)| told.is_some_and(|told| told > 0)));
        let outcomes: Vec<Outcome> = second.into_iter().map(|(outcome, _)| outcome.unwrap()).collect();
        assert!(check(&raw, &outcomes, &settings) > 5);
        resumed += 1;
    }
    assert!(resumed > 10 && recovered > 0, "{resumed} {recovered}");
}

#[test]
fn a_bound_that_differs_names_the_setting_and_the_bank() {
    let raw = sparse(1);
    let networks = networks(&raw);
    let results = run_network(wires(), |me, mut wire| {
        let settings = settings(1 + u32::from(me.index() == 2));
        let fields = parameters(SHARES[0].key(), networks[0].columns(), &settings);
        let mut rng = ChaCha20Rng::seed_from_u64(me.index() as u64);
        Session::open(&mut wire, PROTOCOL, &fields, SessionSettings::new(), &mut rng).map(|_| ())
    });
    let said: Vec<String> = results.into_iter().map(|result| result.unwrap_err().to_string()).collect();
    assert!(said.iter().all(|said| said.contains("min_foreign_senders")), "{said:?}");
    assert!(said.iter().any(|said| said.contains("west")), "{said:?}");
}
