//! Whole runs among banks over the in-memory network, with a dealt key.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::common::{Raw, bank_name};
use subrosa_paillier::PrivateKey;
use subrosa_risk_propagation::steps::messages::CHUNK;
use subrosa_risk_propagation::{
    Agreed, Banks, Calibration, Delta, Error, Event, Forecast, Mismatch, Network, NetworkBuilder, Outcome,
    PROTOCOL, Propagation, Settings, Stage, Transfer, parameters, plaintext,
};
use subrosa_threshold_decryption::{AccessStructure, KeyShare, dealer};
use subrosa_transport::memory::{MemoryNetworkBuilder, silence_after};
use subrosa_transport::testing::run_network;
use subrosa_transport::{Limits, MemoryNetwork, MemoryTransport, PartyId, Session};

const BITS: u64 = 512;

/// One dealt key for each (n, t).
fn shares(banks: usize, threshold: u32) -> Vec<KeyShare> {
    type Dealt = HashMap<(usize, u32), Vec<KeyShare>>;
    static KEYS: LazyLock<Mutex<Dealt>> = LazyLock::new(Mutex::default);
    let mut keys = KEYS.lock().unwrap();
    let deal = || {
        let mut rng = ChaCha20Rng::seed_from_u64(banks as u64);
        let private = PrivateKey::generate_insecure(BITS, &mut rng).unwrap();
        let access = AccessStructure::new(u32::try_from(banks).unwrap(), threshold).unwrap();
        dealer::deal(&private, access, &mut rng).unwrap()
    };
    keys.entry((banks, threshold)).or_insert_with(deal).clone()
}

fn wires(banks: usize) -> MemoryNetworkBuilder {
    MemoryNetwork::builder((0..banks).map(bank_name))
}

type Results = Vec<Result<Outcome, Error>>;

fn run_over(
    wires: Vec<MemoryTransport>,
    networks: &[Network],
    settings: impl Fn(PartyId) -> Settings + Sync,
    timeout: Duration,
) -> Results {
    let banks = networks.len();
    run_with(wires, networks, &shares(banks, u32::try_from((banks - 1) / 2).unwrap()), settings, timeout)
}

fn run_with(
    wires: Vec<MemoryTransport>,
    networks: &[Network],
    shares: &[KeyShare],
    settings: impl Fn(PartyId) -> Settings + Sync,
    timeout: Duration,
) -> Results {
    run_network(wires, |me, mut wire| {
        let mut rng = ChaCha20Rng::seed_from_u64(me.index() as u64);
        let network = networks[me.index()].clone();
        let settings = settings(me);
        let parameters = parameters(shares[0].key(), network.columns(), &settings);
        let session = Limits::new().with_timeout(timeout);
        let mut session = Session::open(&mut wire, PROTOCOL, &parameters, session, &mut rng)?;
        Propagation::new(&shares[me.index()], network)
            .settings(settings.clone())
            .run_in(&mut session, &mut rng)
    })
}

fn run(networks: &[Network], settings: &Settings) -> Results {
    let wires = wires(networks.len()).build().unwrap();
    run_over(wires, networks, |_| settings.clone(), Duration::from_secs(60))
}

/// Runs and compares with the reference.
fn check(networks: &[Network], settings: &Settings) -> Vec<Outcome> {
    let outcomes: Vec<Outcome> = run(networks, settings).into_iter().map(Result::unwrap).collect();
    let scores: Vec<Vec<f64>> = outcomes.iter().map(|outcome| outcome.scores.clone()).collect();
    let reference = plaintext::reference(networks, settings).unwrap();
    let difference = plaintext::largest_difference(&scores, &reference);
    assert!(difference <= settings.accuracy, "{difference}");
    let twin = plaintext::propagate(&Agreed::among(networks.to_vec()).unwrap(), &outcomes[0].plan).unwrap();
    for (outcome, twin) in outcomes.iter().zip(&twin) {
        let exact = plaintext::disclosed(twin, &outcome.plan).unwrap();
        let bound = outcome.plan.noise_error() + 2.0 * outcome.plan.grid_error();
        assert!(plaintext::largest_difference(std::slice::from_ref(&outcome.scores), &[exact]) <= bound);
    }
    outcomes
}

/// Twelve accounts at each bank in a tangle of transfers within and across banks.
fn tangle(banks: usize, periods: usize) -> Raw {
    let mut state = 1_u64;
    let mut draw = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let byte = |value: usize| u8::try_from(value).unwrap();
    let accounts = (0..banks).map(|_| (0..12).map(|id| (id, byte(draw(101)))).collect()).collect();
    // Accounts 12 and 13 are not listed.
    let mut row = |_| (draw(banks), byte(draw(13)), draw(banks), byte(draw(14)), draw(1000) as u64);
    let periods = (0..periods).map(|_| (0..25 * banks).map(&mut row).collect()).collect();
    Raw::consistent(banks, accounts, periods)
}

#[test]
fn three_banks() {
    let outcomes = check(&tangle(3, 1).networks(), &Settings { iterations: 3, ..Settings::default() });
    assert!(outcomes.iter().all(|outcome| outcome.decrypted_accounts > 5 && outcome.absent.is_empty()));
    // Several accounts share a ciphertext.
    assert!(outcomes.iter().all(|outcome| outcome.ciphertexts * 3 <= outcome.decrypted_accounts));
}

#[test]
fn more_banks_and_periods() {
    for banks in [4, 5, 7] {
        check(&tangle(banks, 1).networks(), &Settings { iterations: 2, ..Settings::default() });
    }
    let delta = Delta::by_iteration(2, |iteration| 0.8 / f64::from(iteration + 1));
    check(
        &tangle(3, 3).networks(),
        &Settings { iterations: 2, delta, accuracy: 1e-5, ..Settings::default() },
    );
}

#[test]
fn every_threshold_that_an_honest_majority_allows() {
    let settings = Settings { iterations: 1, ..Settings::default() };
    for banks in [3, 4, 5, 7] {
        let networks = tangle(banks, 1).networks();
        let reference = plaintext::reference(&networks, &settings).unwrap();
        for threshold in 1..=u32::try_from((banks - 1) / 2).unwrap() {
            let shares = shares(banks, threshold);
            assert_eq!(shares[0].key().access().quorum(), threshold as usize + 1);
            let wires = wires(banks).build().unwrap();
            let results = run_with(wires, &networks, &shares, |_| settings.clone(), Duration::from_secs(60));
            let scores: Vec<Vec<f64>> = results.into_iter().map(|outcome| outcome.unwrap().scores).collect();
            let difference = plaintext::largest_difference(&scores, &reference);
            assert!(difference <= settings.accuracy, "n = {banks}, t = {threshold}: {difference}");
        }
    }
}

#[test]
fn forecasts_count_what_a_run_takes() {
    let networks = tangle(3, 2).networks();
    let settings = Settings { iterations: 1, ..Settings::default() };
    let shares = shares(3, 1);
    let runs = run_network(wires(3).build().unwrap(), |me, mut wire| {
        let mut rng = ChaCha20Rng::seed_from_u64(me.index() as u64);
        let fields = parameters(shares[0].key(), networks[0].columns(), &settings);
        let mut session = Session::open(&mut wire, PROTOCOL, &fields, Limits::new(), &mut rng).unwrap();
        let network = networks[me.index()].clone();
        let mut agreed_bytes = 0;
        let mut progress = |event: &Event<'_>| {
            if let Stage::Encrypt { .. } = event.stage {
                agreed_bytes = event.traffic.bytes_sent;
            }
        };
        let outcome = Propagation::new(&shares[me.index()], network)
            .settings(settings.clone())
            .progress(&mut progress)
            .run_in(&mut session, &mut rng)
            .unwrap();
        (outcome, session.counters().total().bytes_sent - agreed_bytes)
    });
    let all: usize = runs.iter().map(|(outcome, _)| outcome.ciphertexts).sum();
    for (outcome, bytes) in &runs {
        let forecast = Forecast::new(&outcome.agreed, &outcome.plan, all - outcome.ciphertexts).unwrap();
        assert_eq!(forecast.ciphertexts, outcome.ciphertexts);
        // One of the two others is helped.
        let helped = (all - outcome.ciphertexts).div_ceil(2);
        assert_eq!(forecast.partial_decryptions, (outcome.ciphertexts + helped) as u64);
        // Headers, hashes and proofs come on top, which weigh more in a small run.
        let share = forecast.bytes_sent as f64 / *bytes as f64;
        assert!((0.5..1.0).contains(&share), "{} of {bytes}", forecast.bytes_sent);
        let exported: usize = (0..2).map(|period| outcome.agreed.exported(period).len()).sum();
        assert_eq!(forecast.blindings, (exported + all) as u64);
        assert!(forecast.multiplications > 30 * outcome.decrypted_accounts as u64);
    }
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let machine =
        Calibration::measure(shares[0].key().public(), Duration::from_millis(30), &mut rng).unwrap();
    assert!(machine.multiplication > 0.0 && machine.blinding > 0.0 && machine.partial_decryption > 0.0);
}

#[test]
fn banks_with_little_or_nothing() {
    let settings = Settings { iterations: 2, ..Settings::default() };
    // No accounts, no transfers, none across banks, one account in all.
    check(&Raw::consistent(3, vec![vec![], vec![(1, 50)], vec![]], vec![]).networks(), &settings);
    let two = Raw::consistent(3, vec![vec![(0, 9)], vec![(1, 50)], vec![]], vec![vec![(0, 0, 1, 1, 5)]]);
    let outcomes = check(&two.networks(), &settings);
    assert_eq!(outcomes.iter().map(|o| o.decrypted_accounts).collect::<Vec<_>>(), [0, 1, 0]);
    let apart = vec![vec![(0, 0, 0, 1, 5), (1, 1, 1, 1, 5), (2, 0, 2, 3, 1)]];
    let outcomes = check(
        &Raw::consistent(3, vec![vec![(0, 90)], vec![(1, 50)], vec![(0, 1)]], apart).networks(),
        &settings,
    );
    assert!(outcomes.iter().all(|outcome| outcome.ciphertexts == 0));
    check(&tangle(3, 1).networks(), &Settings { iterations: 0, ..Settings::default() });
    // One bank has two periods, the others none.
    let mut uneven = Raw::consistent(3, vec![vec![(0, 90), (1, 0)], vec![], vec![]], vec![]);
    uneven.rows[0] = vec![vec![(0, 0, 0, 1, 1)], vec![(0, 1, 0, 0, 1)]];
    check(&uneven.networks(), &settings);
}

#[test]
fn several_risk_types() {
    let banks = Banks::new((0..3).map(bank_name)).unwrap();
    let single = tangle(3, 1).networks();
    let mut transfers = Vec::new();
    for network in &single {
        for (account, destination) in network.account_ids().enumerate() {
            for (bank, source, amount) in network.incoming(0, account) {
                transfers.push((bank, source, network.own(), destination, u64::try_from(amount).unwrap()));
            }
        }
    }
    let with_columns = |network: &Network| {
        let columns = vec!["risk_score".to_owned(), "sanctions".to_owned()];
        let mut builder = NetworkBuilder::new(banks.clone(), network.own(), columns);
        for (id, score) in network.account_ids().zip(network.initial_scores()) {
            builder.account(id, &[*score, (1.0 - score) / 2.0]).unwrap();
        }
        for &(from, id_source, to, id_destination, amount) in &transfers {
            if from == network.own() || to == network.own() {
                let (bank_source, bank_destination) = (banks.name(from), banks.name(to));
                let transfer = Transfer { id_source, bank_source, id_destination, bank_destination, amount };
                builder.transfer(0, &transfer).unwrap();
            }
        }
        builder.finish().unwrap()
    };
    let networks: Vec<Network> = single.iter().map(with_columns).collect();
    let settings = Settings { iterations: 2, accuracy: 1e-5, ..Settings::default() };
    let outcomes = check(&networks, &settings);
    for (outcome, network) in outcomes.iter().zip(&networks) {
        assert_eq!(outcome.scores.len(), 2 * network.account_count());
        assert!(outcome.decrypted_accounts > network.account_count() / 2);
        assert_eq!(
            outcome.ciphertexts,
            outcome.decrypted_accounts.div_ceil(outcome.plan.accounts_per_ciphertext())
        );
    }
    let high: Vec<(&str, &[f64])> = outcomes[0].at_least(0.4).collect();
    let all = || networks[0].account_ids().zip(outcomes[0].scores.chunks(2));
    assert!(outcomes[0].by_account().eq(all()));
    assert!(high.len() > 1 && high.len() < networks[0].account_count());
    assert_eq!(high, all().filter(|(_, scores)| scores[0] >= 0.4 || scores[1] >= 0.4).collect::<Vec<_>>());
}

#[test]
fn lists_that_take_several_messages() {
    let banks = Banks::new((0..3).map(bank_name)).unwrap();
    for count in [CHUNK, CHUNK + 1, 2 * CHUNK + 1] {
        let view = |own: usize| {
            let mut builder =
                NetworkBuilder::new(banks.clone(), banks.get(own).unwrap(), vec!["risk_score".to_owned()]);
            let accounts = if own == 2 { 1 } else { count };
            for id in 0..accounts {
                builder
                    .account(&id.to_string(), &[if own == 0 { (id % 101) as f64 / 100.0 } else { 0.0 }])
                    .unwrap();
            }
            for id in (0..count).filter(|_| own != 2) {
                let id = id.to_string();
                let transfer = Transfer {
                    id_source: &id,
                    bank_source: "north",
                    id_destination: &id,
                    bank_destination: "east",
                    amount: 1,
                };
                builder.transfer(0, &transfer).unwrap();
            }
            builder.finish().unwrap()
        };
        let settings = Settings { iterations: 1, accuracy: 1e-2, ..Settings::default() };
        let outcomes = check(&(0..3).map(view).collect::<Vec<_>>(), &settings);
        assert_eq!(outcomes[1].decrypted_accounts, count);
    }
}

fn conflicting() -> Raw {
    let mut raw = tangle(3, 2);
    // East's books: another amount for one transfer from north, and a transfer from west that west does not list.
    let index = raw.rows[1][1].iter().position(|row| row.0 == 0 && row.2 == 1).unwrap();
    raw.rows[1][1][index].4 += 1;
    raw
}

#[test]
fn a_mismatch_is_refused_by_all_and_names_both_banks() {
    let results = run(&conflicting().networks(), &Settings::default());
    let mut named = 0;
    for result in results {
        match result.unwrap_err() {
            Error::Mismatch { ours, theirs, from, to, period } => {
                assert_eq!((from.as_str(), to.as_str(), period), ("north", "east", 1));
                assert!([("north", "east"), ("east", "north")].contains(&(&ours, &theirs)));
                named += 1;
            }
            Error::Session(error) => {
                assert!(error.to_string().contains("hold different transfers"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(named >= 1);
}

#[test]
fn leaving_out_goes_by_the_senders_bank() {
    let mut raw = conflicting();
    raw.rows[1][0].push((2, 13, 1, 3, 100_000));
    raw.rows[1][0].push((2, 4, 1, 3, 100_000));
    raw.rows[2][0].retain(|row| (row.0, row.1, row.2) != (2, 4, 1));
    let settings =
        Settings { iterations: 2, mismatch: Mismatch::LeaveOut, accuracy: 1e-5, ..Settings::default() };
    check(&raw.networks(), &settings);
}

#[test]
fn settings_that_differ_name_the_field_and_the_bank() {
    let networks = tangle(3, 1).networks();
    let settings =
        |me: PartyId| Settings { iterations: if me.index() == 2 { 4 } else { 2 }, ..Settings::default() };
    let results = run_over(wires(3).build().unwrap(), &networks, settings, Duration::from_secs(20));
    let error = results[0].as_ref().unwrap_err().to_string();
    assert!(error.contains("west") && error.contains("iterations"), "{error}");
}

#[test]
fn a_bank_with_more_accounts_than_were_agreed_does_not_begin() {
    let networks = tangle(3, 1).networks();
    let agreed = |most: u32| {
        let most_accounts = ["north", "east", "west"].map(|bank| (bank.to_owned(), most)).into();
        Settings { iterations: 1, most_accounts, ..Settings::default() }
    };
    check(&networks, &agreed(14));
    for result in run(&networks, &agreed(13)) {
        let error = result.unwrap_err();
        let own = matches!(error, Error::TooManyAccounts { accounts: 14, most: 13 });
        assert!(own || error.to_string().contains("cannot use its own data"), "{error}");
    }
    let stranger = Settings { most_accounts: [("south".to_owned(), 5)].into(), ..agreed(14) };
    let error = run(&networks, &stranger).remove(0).unwrap_err();
    assert!(error.to_string().contains("`south`, which takes no part"), "{error}");
    // The numbers are agreed on: banks that hold others do not begin either.
    let settings = |me: PartyId| agreed(14 + u32::try_from(me.index()).unwrap() / 2);
    let results = run_over(wires(3).build().unwrap(), &networks, settings, Duration::from_secs(20));
    let error = results[0].as_ref().unwrap_err().to_string();
    assert!(error.contains("west") && error.contains("most_accounts"), "{error}");
}

#[test]
fn what_does_not_fit_is_refused_by_all() {
    let results = run(&tangle(3, 1).networks(), &Settings { iterations: 40, ..Settings::default() });
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Plan(_)) || error.to_string().contains("does not fit"), "{error}");
    }
}

#[test]
fn another_roster_is_refused_before_the_first_message() {
    let mut networks = tangle(3, 1).networks();
    networks.swap(0, 1);
    let results = run(&networks, &Settings::default());
    assert!(matches!(results[0].as_ref().unwrap_err(), Error::Roster(_)));
}

#[test]
fn a_bank_that_falls_silent_is_named() {
    let networks = tangle(3, 1).networks();
    let west = PartyId::new(2);
    let settings = Settings { iterations: 1, accuracy: 1e-4, ..Settings::default() };
    // How many frames a bank sends to the others in a whole run. All three send as many, but a bank that ends late may
    // find that others have left before its farewell: the greatest number counts.
    let sent = Mutex::new(0);
    let shares = shares(3, 1);
    run_network(wires(3).build().unwrap(), |me, mut wire| {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let parameters = parameters(shares[0].key(), networks[0].columns(), &settings);
        let mut session = Session::open(&mut wire, PROTOCOL, &parameters, Limits::new(), &mut rng).unwrap();
        let mut stages = Vec::new();
        let mut progress = |event: &Event<'_>| {
            stages.push(match event.stage {
                Stage::Agree => "agree".to_owned(),
                Stage::Encrypt { .. } => "encrypt".to_owned(),
                Stage::Iterate { number, of } => format!("{number} of {of}"),
                Stage::Decrypt { .. } => "decrypt".to_owned(),
                _ => "done".to_owned(),
            });
        };
        let network = networks[me.index()].clone();
        Propagation::new(&shares[me.index()], network)
            .settings(settings.clone())
            .progress(&mut progress)
            .run_in(&mut session, &mut rng)
            .unwrap();
        assert_eq!(stages, ["agree", "encrypt", "1 of 1", "decrypt", "done"]);
        let mut sent = sent.lock().unwrap();
        *sent = session.counters().total().messages_sent.max(*sent);
    });
    // Frames to each of the two others.
    let all = sent.into_inner().unwrap() / 2;
    assert!(all > 10, "{all}");
    // The last two frames hold its partial decryptions and its farewell, which the others can miss.
    // Every moment of a run at once: the runs wait for the silent bank most of the time.
    std::thread::scope(|scope| {
        for frames in 0..=all - 3 {
            let (networks, settings) = (&networks, &settings);
            scope.spawn(move || {
                let wires = wires(3).intercept(silence_after(west, frames)).build().unwrap();
                let results = run_over(wires, networks, |_| settings.clone(), Duration::from_secs(6));
                for result in &results[..2] {
                    let error = result.as_ref().unwrap_err();
                    assert!(error.to_string().contains("west"), "after {frames} of {all}: {error}");
                }
            });
        }
    });
    let wires = wires(3).intercept(silence_after(west, all - 2)).build().unwrap();
    let results = run_over(wires, &networks, |_| settings.clone(), Duration::from_secs(12));
    assert!(results[..2].iter().all(Result::is_ok), "{results:?}");
}
