//! Sizes that nobody can plan with, in R1, and numbers above the true ones, in R5.

use subrosa_risk_propagation::Settings;
use subrosa_risk_propagation::messages::{Declaration, Sizes};

use super::deviation::Deviation;
use super::scene::{NORTH, WEST, run, run_in, settings, three};

/// What west says of itself.
#[derive(Default)]
struct Boast {
    periods: Option<usize>,
    in_degree_bits: Option<u32>,
    ciphertexts: u32,
    chunks: u32,
}

impl Deviation for Boast {
    fn sizes(&mut self, honest: Sizes) -> Sizes {
        Sizes {
            active: self.periods.map_or(honest.active, |periods| vec![true; periods]),
            in_degree_bits: self.in_degree_bits.unwrap_or(honest.in_degree_bits),
            ..honest
        }
    }

    fn declaration(&mut self, honest: Declaration) -> Declaration {
        Declaration {
            ciphertexts: honest.ciphertexts + self.ciphertexts,
            score_chunks: honest.score_chunks.iter().map(|chunks| chunks + self.chunks).collect(),
            ..honest
        }
    }
}

#[test]
fn sizes_beyond_any_plan_end_the_run_and_name_nobody() {
    let coarse = Settings { accuracy: 1e-9, ..settings() };
    for (boast, settings, reason) in [
        (Boast { periods: Some(10_000), ..Boast::default() }, settings(), "30000 steps are more than 10000"),
        (Boast { in_degree_bits: Some(31), ..Boast::default() }, coarse, "needs weights of 64 bits"),
        (Boast { periods: Some(30), ..Boast::default() }, settings(), "of 90 does not fit"),
    ] {
        let mut boast = boast;
        let run = run_in(&three(), &settings, vec![(WEST, &mut boast)], 71, None);
        run.assert_stopped(&[]);
        assert!(run.errors().iter().any(|error| error.contains(reason)), "{:?}", run.errors());
        // Nobody can tell from the error whose sizes they were.
        assert!(run.errors().iter().any(|error| !error.contains("west")), "{:?}", run.errors());
    }
}

#[test]
fn a_bound_on_senders_that_is_no_ones_makes_all_weights_longer() {
    let honest = run(&three(), &mut super::deviation::Honest, 72);
    let run = run(&three(), &mut Boast { in_degree_bits: Some(12), ..Boast::default() }, 72);
    run.assert_unnoticed();
    let bits = |run: &super::scene::Run| run.honest[NORTH.index()].1.as_ref().unwrap().plan.slot_bits();
    assert!(bits(&run) > bits(&honest) + 25);
}

#[test]
fn declared_ciphertexts_that_are_not_there_are_worked_on() {
    // A bank of three accounts.
    let run = run(&three(), &mut Boast { ciphertexts: 200, ..Boast::default() }, 73);
    run.assert_unnoticed();
    assert_eq!(run.spoils().plaintexts.len(), 201);
}

#[test]
fn declared_scores_that_are_not_there_are_waited_for() {
    let run = run(&three(), &mut Boast { chunks: 20, ..Boast::default() }, 74);
    run.assert_unnoticed();
    let waits = run.spoils().frames.len();
    let honest = super::scene::run(&three(), &mut super::deviation::Honest, 74).spoils().frames.len();
    // Rounds in which nobody has anything to say cost no frame, but a look at everybody.
    assert_eq!(waits, honest);
}

#[test]
fn more_than_a_bank_is_ready_for_names_who_declared_it() {
    let settings = Settings { max_accounts: 100, ..settings() };
    let mut boast = Boast { ciphertexts: 200, ..Boast::default() };
    run_in(&three(), &settings, vec![(WEST, &mut boast)], 75, None).assert_stopped(&[WEST]);
}
