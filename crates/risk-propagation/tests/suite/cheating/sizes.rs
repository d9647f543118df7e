//! Sizes that nobody can plan with, in R1, and numbers above the true ones, in R5.

use super::deviation::Deviation;
use super::scene::{NORTH, WEST, run, run_in, run_uncapped, settings, three, uncapped};
use subrosa_risk_propagation::steps::messages::{Declaration, Sizes};
use subrosa_risk_propagation::{Plan, Settings};
use subrosa_transport::PartyId;

/// What west says of itself.
#[derive(Default)]
struct Boast {
    periods: Option<usize>,
    in_degree_bits: Option<u32>,
    accounts: u32,
    chunks: u32,
}

impl Deviation for Boast {
    fn sizes(&mut self, honest: Sizes) -> Sizes {
        Sizes {
            activity: self.periods.map_or(honest.activity, |periods| vec![1; periods]),
            in_degree_bits: self.in_degree_bits.unwrap_or(honest.in_degree_bits),
            ..honest
        }
    }

    fn declaration(&mut self, _: &Plan, honest: Declaration) -> Declaration {
        Declaration {
            accounts: honest.accounts + self.accounts,
            score_chunks: honest.score_chunks.iter().map(|chunks| chunks + self.chunks).collect(),
            ..honest
        }
    }
}

#[test]
fn sizes_beyond_any_plan_end_the_run_and_name_whose_they_are() {
    let coarse = Settings { accuracy: 1e-9, ..settings() };
    for (boast, settings, reason) in [
        (Boast { periods: Some(10_000), ..Boast::default() }, settings(), "30000 steps are more than 10000"),
        (Boast { in_degree_bits: Some(31), ..Boast::default() }, coarse, "needs weights of 64 bits"),
        (Boast { periods: Some(30), ..Boast::default() }, settings(), "of 90 does not fit"),
    ] {
        let mut boast = boast;
        let run = run_in(&three(), &settings, vec![(WEST, &mut boast)], 71, None);
        run.assert_stopped(&[WEST]);
        assert!(run.errors().iter().any(|error| error.contains(reason)), "{:?}", run.errors());
    }
}

#[test]
fn a_bound_on_senders_that_is_no_ones_makes_all_weights_longer() {
    let honest = run_uncapped(&three(), &mut super::deviation::Honest, 72);
    // With eleven accounts in all, nobody has sixteen senders and more.
    for (bits, named) in [(4, false), (5, true), (12, true)] {
        let run = run(&three(), &mut Boast { in_degree_bits: Some(bits), ..Boast::default() }, 72);
        run.assert_found(WEST, "R1", 0, &[]);
        if named { run.assert_stopped(&[WEST]) } else { run.assert_unnoticed() }
    }
    let run = run_uncapped(&three(), &mut Boast { in_degree_bits: Some(12), ..Boast::default() }, 72);
    run.assert_unnoticed();
    run.assert_found(WEST, "R1", 0, &[]);
    let bits = |run: &super::scene::Run| run.honest[NORTH.index()].1.as_ref().unwrap().plan.slot_bits();
    assert!(bits(&run) > bits(&honest) + 25);
}

#[test]
fn declared_accounts_that_are_not_there_are_worked_on_where_no_number_was_agreed() {
    // A bank of three accounts.
    let boast = || Boast { accounts: 200, ..Boast::default() };
    let free = run_uncapped(&three(), &mut boast(), 73);
    free.assert_unnoticed();
    free.assert_found(WEST, "R5", 0, &[]);
    let plan = &free.spoils().plan;
    assert_eq!(free.spoils().plaintexts.len(), 203_usize.div_ceil(plan.accounts_per_ciphertext()));
    let agreed = run(&three(), &mut boast(), 73);
    agreed.assert_stopped(&[WEST]);
    let reason =
        "`west`: it declares 203 accounts, more than the 3 accounts that were agreed (most_accounts)";
    assert!(agreed.errors().iter().any(|error| error == reason), "{:?}", agreed.errors());
}

#[test]
fn a_single_account_above_the_agreed_number_ends_the_run() {
    run(&three(), &mut Boast { accounts: 1, ..Boast::default() }, 76).assert_stopped(&[WEST]);
}

#[test]
fn more_senders_offered_than_accounts_agreed_end_the_run() {
    /// Offers accounts that nobody asked for.
    struct Strangers;
    impl Deviation for Strangers {
        fn offer(&mut self, _: PartyId, mut honest: Vec<(u32, String)>) -> Vec<(u32, String)> {
            honest.extend((0..3).map(|number| (0, format!("~{number}"))));
            honest
        }
    }
    let run = run(&three(), &mut Strangers, 77);
    run.assert_stopped(&[WEST]);
    let reason = "`west`: it offers more than the 3 accounts that were agreed (most_accounts)";
    assert!(run.errors().iter().any(|error| error == reason), "{:?}", run.errors());
}

#[test]
fn declared_scores_that_are_not_there_are_waited_for() {
    let run = run_uncapped(&three(), &mut Boast { chunks: 20, ..Boast::default() }, 74);
    run.assert_unnoticed();
    let lengths = |run: &super::scene::Run| -> Vec<usize> {
        run.spoils().frames.iter().map(|frame| frame.bytes.len()).collect()
    };
    let waits = lengths(&run);
    let honest = lengths(&super::scene::run(&three(), &mut super::deviation::Honest, 74));
    // In each of three iterations, 20 chunks to and from two banks say nothing: a header, a key's fingerprint and no ciphertext.
    let empty = |lengths: &[usize]| lengths.iter().filter(|length| **length <= 84 + 16 + 4).count();
    assert_eq!((waits.len() - honest.len(), empty(&waits) - empty(&honest)), (240, 240));
    super::scene::run(&three(), &mut Boast { chunks: 20, ..Boast::default() }, 74).assert_stopped(&[WEST]);
}

#[test]
fn more_than_a_bank_is_ready_for_names_who_declared_it() {
    let settings = Settings { max_accounts: 100, ..uncapped() };
    let mut boast = Boast { accounts: 200, ..Boast::default() };
    run_in(&three(), &settings, vec![(WEST, &mut boast)], 75, None).assert_stopped(&[WEST]);
}
