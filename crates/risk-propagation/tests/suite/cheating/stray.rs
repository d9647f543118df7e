//! Rows in a bank's own file, and numbers that it tells of it, that would change what every bank gets.

use std::iter::repeat_n;

use super::deviation::{Deviation, Honest};
use super::scene::{NORTH, Run, WEST, run, run_in, settings, three};
use crate::common::{Raw, Row};
use subrosa_risk_propagation::Settings;
use subrosa_risk_propagation::steps::messages::Sizes;

/// [`three`] with a second period in which west's file has these rows, and nobody else's has any.
fn with_rows(rows: Vec<Row>) -> Raw {
    let mut raw = three();
    raw.rows[WEST.index()].push(rows);
    raw
}

/// The scores of all honest banks.
fn scores(run: &Run) -> Vec<f64> {
    run.honest.iter().flat_map(|(_, result)| result.as_ref().unwrap().scores.clone()).collect()
}

/// By how much all scores of a run are smaller than in another, if it is the same for all.
fn factor(run: &Run, before: &Run) -> Option<f64> {
    let (scores, before) = (scores(run), scores(before));
    let factor = scores[0] / before[0];
    let same = scores.iter().zip(&before).all(|(score, before)| (score - factor * before).abs() < 2e-6);
    same.then_some(factor)
}

/// What the honest banks are told of a run's periods: activity by bank, and whether it counts.
fn periods(run: &Run) -> Vec<(Vec<u8>, bool)> {
    let lists = run.honest.iter().map(|(_, result)| {
        let periods = &result.as_ref().unwrap().periods;
        periods.iter().map(|period| (period.by_bank.clone(), period.counted)).collect::<Vec<_>>()
    });
    let lists: Vec<_> = lists.collect();
    assert!(lists.windows(2).all(|pair| pair[0] == pair[1]), "{lists:?}");
    lists[0].clone()
}

/// (1 − δ)^T, by which a period without any income scales all scores.
fn kept() -> f64 {
    (1.0 - 0.5_f64).powi(i32::try_from(settings().iterations).unwrap())
}

#[test]
fn an_amount_of_nothing_or_from_an_account_to_itself_scales_nobodys_scores() {
    let before = run(&three(), &mut Honest, 81);
    for rows in [
        vec![(2, 0, 2, 0, 0)],
        vec![(2, 0, 2, 0, 1_000_000)],
        vec![(2, 0, 2, 1, 0), (2, 1, 2, 1, 77), (0, 0, 2, 0, 0)],
        // West lists no account 9: nothing can come from it.
        vec![(2, 9, 2, 0, 55)],
    ] {
        let run = run(&with_rows(rows), &mut Honest, 81);
        run.assert_unnoticed();
        assert!((factor(&run, &before).unwrap() - 1.0).abs() < 2e-6);
        assert_eq!(periods(&run)[1], (vec![0, 0, 0], false));
        assert_eq!(run.honest[0].1.as_ref().unwrap().plan.steps().len(), 3);
    }
}

#[test]
fn a_cent_between_two_accounts_of_one_bank_is_told_to_all_others() {
    let before = run(&three(), &mut Honest, 82);
    let run = run(&with_rows(vec![(2, 0, 2, 1, 1)]), &mut Honest, 82);
    run.assert_unnoticed();
    assert!((factor(&run, &before).unwrap() - kept()).abs() < 1e-5);
    let north = run.honest[NORTH.index()].1.as_ref().unwrap();
    let stray = &north.periods[1];
    assert_eq!((stray.period, &stray.by_bank[..], stray.counted), (1, &[0, 0, 1][..], true));
    assert_eq!((stray.least(), stray.most()), (1, 1));
    // North's accounts are paid by six others, east's by one, west's by six.
    assert_eq!(periods(&run)[0], (vec![3, 1, 3], true));
}

#[test]
fn where_more_than_a_row_was_agreed_it_scales_nobodys_scores() {
    let settings = Settings { least_activity: 2, ..settings() };
    let go = |raw: &Raw| run_in(raw, &settings, vec![(WEST, &mut Honest)], 83, None);
    let before = go(&three());
    let run = go(&with_rows(vec![(2, 0, 2, 1, 1)]));
    run.assert_unnoticed();
    assert!((factor(&run, &before).unwrap() - 1.0).abs() < 2e-6);
    assert_eq!(periods(&run)[1], (vec![0, 0, 1], false));
    // Two pairs: it counts.
    let run = go(&with_rows(vec![(2, 0, 2, 1, 1), (2, 1, 2, 0, 1)]));
    run.assert_unnoticed();
    assert!((factor(&run, &before).unwrap() - kept()).abs() < 1e-5);
    assert_eq!(periods(&run)[1], (vec![0, 0, 2], true));
}

/// Tells of periods that its file does not have.
struct Invents {
    periods: usize,
    bits: u8,
}

impl Deviation for Invents {
    fn sizes(&mut self, honest: Sizes) -> Sizes {
        let invented = repeat_n(self.bits, self.periods - honest.activity.len());
        Sizes { activity: honest.activity.into_iter().chain(invented).collect(), ..honest }
    }
}

#[test]
fn a_period_beyond_those_agreed_names_who_has_it() {
    let agreed = Settings { periods: Some(1), ..settings() };
    let go = |west: &mut Invents| run_in(&three(), &agreed, vec![(WEST, west)], 84, None);
    let run = go(&mut Invents { periods: 2, bits: 1 });
    run.assert_stopped(&[WEST]);
    let said = run.errors();
    assert!(said.iter().any(|error| error.contains("2 periods where the settings say 1")), "{said:?}");
    // Also if nothing is in it.
    go(&mut Invents { periods: 2, bits: 0 }).assert_stopped(&[WEST]);
    // A bank whose own file has more than it agreed to does not begin.
    let run = run_in(&with_rows(vec![(2, 0, 2, 1, 1)]), &agreed, vec![], 84, None);
    assert!(run.errors().iter().any(|error| error.contains("there are 2 periods where the settings say 1")));
}

#[test]
fn more_pairs_than_accounts_can_make_name_who_tells_of_them() {
    for bits in [64, u8::MAX] {
        run(&three(), &mut Invents { periods: 2, bits }, 85).assert_stopped(&[WEST]);
    }
}
