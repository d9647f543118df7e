//! Rows in a bank's own file that change what every bank gets.

use super::common::{Raw, Row};
use super::deviation::Honest;
use super::scene::{Run, WEST, run, settings, three};

/// [`three`] with a second period in which west's file has one row, and nobody else's has any.
fn with_row(row: Row) -> Raw {
    let mut raw = three();
    raw.rows[WEST.index()].push(vec![row]);
    raw
}

/// By how much all scores of a run are smaller than in another, if it is the same for all.
fn factor(run: &Run, before: &Run) -> Option<f64> {
    let scores = |run: &Run| -> Vec<f64> {
        run.honest.iter().flat_map(|(_, result)| result.as_ref().unwrap().scores.clone()).collect()
    };
    let (scores, before) = (scores(run), scores(before));
    let factor = scores[0] / before[0];
    let same = scores.iter().zip(&before).all(|(score, before)| (score - factor * before).abs() < 2e-6);
    same.then_some(factor)
}

#[test]
fn an_amount_of_nothing_from_an_account_to_itself_scales_all_scores() {
    let before = run(&three(), &mut Honest, 81);
    let run = run(&with_row((2, 0, 2, 0, 0)), &mut Honest, 81);
    run.assert_unnoticed();
    // (1 − δ)^T
    let kept = (1.0 - 0.5_f64).powi(i32::try_from(settings().iterations).unwrap());
    assert!((factor(&run, &before).unwrap() - kept).abs() < 1e-5);
}

#[test]
fn a_cent_between_two_accounts_of_one_bank_scales_all_others_scores() {
    let before = run(&three(), &mut Honest, 82);
    let run = run(&with_row((2, 0, 2, 1, 1)), &mut Honest, 82);
    run.assert_unnoticed();
    assert!((factor(&run, &before).unwrap() - 0.125).abs() < 1e-5);
    // No bank can see which one did that: the plan says how many steps there are, not why.
    let (_, north) = &run.honest[0];
    assert_eq!(north.as_ref().unwrap().plan.steps().len(), 6);
}
