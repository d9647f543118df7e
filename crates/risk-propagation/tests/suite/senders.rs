//! Scores that too few foreign senders determine are withheld, and no others.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::common::{Raw, Row, bank_name, consistent};
use subrosa_paillier::PrivateKey;
use subrosa_risk_propagation::steps::agreement::periods;
use subrosa_risk_propagation::steps::agreement::senders;
use subrosa_risk_propagation::steps::disclosure;
use subrosa_risk_propagation::steps::in_degree_bits;
use subrosa_risk_propagation::{
    Agreed, Banks, CheckpointStore, Delta, Error, FileStore, Forecast, Network, NetworkBuilder, NetworkSizes,
    Outcome, PROTOCOL, Plan, Propagation, Settings, Stage, Transfer, data, parameters, plaintext,
};
use subrosa_threshold_decryption::{AccessStructure, KeyShare, dealer};
use subrosa_transport::memory::disconnect_after;
use subrosa_transport::testing::run_network;
use subrosa_transport::{Limits, MemoryNetwork, MemoryTransport, PartyId, Session, Transport};

static SHARES: LazyLock<Vec<KeyShare>> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let private = PrivateKey::generate_insecure(512, &mut rng).unwrap();
    dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng).unwrap()
});

fn plan(networks: &[Network], settings: &Settings) -> Plan {
    let degree = networks.iter().map(Network::greatest_in_degree).max().unwrap();
    let sizes = NetworkSizes {
        key_bits: 512,
        columns: networks[0].columns().len(),
        in_degree_bits: in_degree_bits(degree),
        active_periods: periods::counted(&periods::among(networks, settings).unwrap()),
        noise_contributors: 2,
    };
    Plan::new(&sizes, settings).unwrap()
}

type Account = (usize, u8);

/// The rows of all banks as the definition reads them.
struct Books<'a> {
    raw: &'a Raw,
    /// Period of each step.
    steps: &'a [usize],
    least: usize,
}

impl Books<'_> {
    fn rows(&self, period: usize, account: Account) -> impl Iterator<Item = Account> + '_ {
        let files = &self.raw.rows[account.0];
        let rows = files.get(period).into_iter().flatten();
        let paid = rows.filter(move |row| (row.2, row.3) == account && row.4 > 0);
        paid.map(|row| (row.0, row.1)).filter(move |sender| self.has_score(*sender, account.0))
    }

    /// Whether the accounts of a bank have this one among their senders: it is listed or paid, and its bank lists any.
    fn has_score(&self, (bank, id): Account, at: usize) -> bool {
        let listed = self.raw.accounts[bank].iter().any(|(other, _)| *other == id);
        let paid = self.raw.rows[bank].iter().flatten().any(|row| (row.2, row.3) == (bank, id));
        (listed || paid) && (bank == at || !self.raw.accounts[bank].is_empty())
    }

    /// The foreign accounts that determine a score after so many steps. For δ between 0 and 1.
    fn determining(&self, account: Account, steps: usize) -> BTreeSet<Account> {
        let Some(before) = steps.checked_sub(1) else { return BTreeSet::new() };
        let senders: BTreeSet<Account> = self.rows(self.steps[before], account).collect();
        let (own, foreign): (BTreeSet<_>, BTreeSet<_>) =
            senders.into_iter().partition(|sender| sender.0 == account.0);
        if !foreign.is_empty() {
            return foreign;
        }
        let behind = own.into_iter().chain([account]).map(|own| self.determining(own, before));
        let behind: Vec<BTreeSet<Account>> = behind.filter(|set| !set.is_empty()).collect();
        let few = behind.iter().filter(|set| set.len() < self.least).flatten().copied();
        let few: BTreeSet<Account> = few.collect();
        if few.is_empty() { behind.into_iter().flatten().collect() } else { few }
    }

    fn count(&self, bank: usize, id: &str) -> usize {
        self.determining((bank, id.parse().unwrap()), self.steps.len()).len()
    }
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
        let least = least as usize;
        let books = Books { raw: &raw, steps: &steps, least };
        for (bank, agreed) in Agreed::among(networks).unwrap().iter().enumerate() {
            let network = agreed.network();
            let counts = senders::foreign_senders(network, &plan, least).unwrap();
            let (withheld, disclosed) = (senders::withheld(network, &plan).unwrap(), senders::disclosed(network, &plan).unwrap());
            for (account, id) in network.account_ids().enumerate() {
                let count = books.count(bank, id);
                prop_assert_eq!(counts[account], count.min(least));
                let place = u32::try_from(account).unwrap();
                prop_assert_eq!(withheld.contains(&place), count > 0 && count < least);
                prop_assert_eq!(disclosed.contains(&place), count > 0 && count >= least);
            }
        }
    }
}

/// North's counts for a bound, of periods of rows among four accounts of each bank.
fn counts(periods: Vec<Vec<Row>>, settings: &Settings) -> Vec<usize> {
    let accounts = vec![vec![(0, 10), (1, 20), (2, 30), (3, 40)]; 3];
    let networks = Raw::consistent(3, accounts, periods).networks();
    let plan = plan(&networks, settings);
    let agreed = Agreed::among(networks).unwrap();
    senders::foreign_senders(agreed[0].network(), &plan, settings.min_foreign_senders as usize).unwrap()
}

#[test]
fn weights_of_nothing_do_not_count() {
    let rows = |amount| vec![(1, 0, 0, 0, amount), (2, 0, 0, 0, 1 << 60), (0, 0, 0, 1, 5)];
    assert_eq!(counts(vec![rows(1 << 59)], &settings(9)), [2, 2, 0, 0]);
    // One part in 2^60 has no weight.
    assert_eq!(counts(vec![rows(1)], &settings(9)), [1, 1, 0, 0]);
    let delta = |delta| Settings { delta: Delta::fixed(delta), ..settings(9) };
    assert_eq!(counts(vec![rows(1 << 59)], &delta(0.0)), [0, 0, 0, 0]);
    // In the second period account 2, of which nobody knows anything, pays account 0.
    let later = || vec![(0, 2, 0, 0, 1)];
    assert_eq!(counts(vec![rows(1 << 59), later()], &delta(0.5)), [2, 2, 0, 0]);
    // With δ = 1 an account keeps nothing of its own score.
    assert_eq!(counts(vec![rows(1 << 59), later()], &delta(1.0)), [0, 0, 0, 0]);
}

#[test]
fn what_own_accounts_bring_counts_as_known() {
    // Account 0 has one foreign sender, account 1 three; both pay account 2, and account 1 pays account 3.
    let rows = vec![
        (1, 0, 0, 0, 1),
        (1, 1, 0, 1, 1),
        (1, 2, 0, 1, 1),
        (2, 0, 0, 1, 1),
        (0, 0, 0, 2, 1),
        (0, 1, 0, 2, 1),
        (0, 1, 0, 3, 1),
    ];
    // Nothing is withheld: four can have determined account 2's score.
    assert_eq!(counts(vec![rows.clone()], &settings(1)), [1, 1, 1, 1]);
    // Account 0 is withheld, account 1 is not: account 2's score less what account 1 brings tells that of account 0.
    assert_eq!(counts(vec![rows.clone()], &settings(2)), [1, 2, 1, 2]);
    // Neither is known: four senders determine account 2's score together.
    assert_eq!(counts(vec![rows.clone()], &settings(4)), [1, 3, 4, 3]);
    // Account 1's score pays account 0 too: of account 0's senders, the foreign one is the only one that is not known.
    let with = |row| [rows.clone(), vec![row]].concat();
    assert_eq!(counts(vec![with((0, 1, 0, 0, 1))], &settings(2)), [1, 2, 1, 2]);
    // Of two periods the last in which foreign accounts pay it counts.
    assert_eq!(counts(vec![rows.clone(), vec![(2, 3, 0, 1, 1)]], &settings(3)), [1, 1, 1, 3]);
    assert_eq!(counts(vec![rows, vec![(0, 3, 0, 1, 1)]], &settings(3)), [1, 3, 1, 3]);
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
        let timeout = Limits::new().with_timeout(Duration::from_secs(30));
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
            let outcome = Propagation::new(share, network)
                .settings(settings.clone())
                .checkpoints(&mut store)
                .progress(&mut progress)
                .run_in(&mut session, &mut rng)?;
            outcome.commit(&mut store)?;
            Ok(outcome)
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
    let least = settings.min_foreign_senders as usize;
    let books = Books { raw, steps: &steps, least };
    let mut all = 0;
    for (bank, outcome) in outcomes.iter().enumerate() {
        let ids = || outcome.agreed.network().account_ids();
        let count = |id: &str| books.count(bank, id);
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
            disclosure::ciphertexts(senders::disclosed(agreed.network(), &plan).unwrap().len(), &plan)
        };
        let total: usize = agreed.iter().map(ciphertexts).sum();
        for ((outcome, agreed), told) in outcomes.iter().zip(&agreed).zip(told) {
            let forecast = Forecast::new(agreed, &plan, total - ciphertexts(agreed)).unwrap();
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
            if let Some(outcome) = Propagation::new(&SHARES[me], network)
                .settings(settings.clone())
                .checkpoints(&mut store)
                .recover(wire.roster())
                .unwrap()
            {
                let withheld = senders::withheld(outcome.agreed.network(), &outcome.plan).unwrap();
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
        Session::open(&mut wire, PROTOCOL, &fields, Limits::new(), &mut rng).map(|_| ())
    });
    let said: Vec<String> = results.into_iter().map(|result| result.unwrap_err().to_string()).collect();
    assert!(said.iter().all(|said| said.contains("min_foreign_senders")), "{said:?}");
    assert!(said.iter().any(|said| said.contains("west")), "{said:?}");
}
