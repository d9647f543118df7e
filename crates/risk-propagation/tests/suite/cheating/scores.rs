//! Scores that are none, in R6: they spoil what other banks show.

use num_bigint::BigInt;

use super::deviation::{Deviation, Honest, View};
use super::scene::{EAST, NORTH, WEST, run, three};
use subrosa_paillier::{Blinded, Ciphertext};
use subrosa_risk_propagation::Plan;
use subrosa_transport::PartyId;

/// Adds a number to the last score of its account 2, as north receives it.
struct Poison(fn(&Plan) -> BigInt);

impl Deviation for Poison {
    fn scores(
        &mut self,
        view: &View<'_>,
        step: usize,
        to: PartyId,
        _: &[u32],
        mut honest: Vec<Blinded<Ciphertext>>,
    ) -> Vec<Blinded<Ciphertext>> {
        if (step, to) == (2, NORTH) {
            honest[0] = view.blind(&view.key.add_plain(&honest[0], &(self.0)(view.plan())).unwrap());
        }
        honest
    }
}

#[test]
fn a_score_of_many_times_one_is_out_of_range() {
    let run = run(&three(), &mut Poison(|plan| BigInt::from(1_000) << plan.scale_after(2)), 51);
    run.assert_out_of_range(NORTH);
    run.assert_found(WEST, "R6", 3, &["2"]);
}

#[test]
fn a_score_below_zero_is_taken() {
    let run = run(&three(), &mut Poison(|plan| BigInt::from(-30) << plan.scale_after(2)), 52);
    run.assert_found(WEST, "R6", 3, &["2"]);
    let honest = super::scene::run(&three(), &mut Honest, 52);
    // North's account 1 is shown lower than it is. Account 0 pays for it: what is missing is taken from the slot above.
    assert!(honest.score(NORTH, 1) - run.score(NORTH, 1) > 0.1);
}

#[test]
fn a_long_score_spoils_the_account_in_the_next_slot() {
    // North's account 1 lies in slot 1, account 3 in slot 2: 2^slot times more falls there.
    let long = |plan: &Plan| BigInt::from(1) << (plan.slot_bits() + plan.scale_after(2) + 5);
    let run = run(&three(), &mut Poison(long), 53);
    run.assert_found(WEST, "R6", 3, &["2"]);
    let honest = super::scene::run(&three(), &mut Honest, 53);
    let moved = |account| (honest.score(NORTH, account) - run.score(NORTH, account)).abs();
    assert!(moved(3) > 0.01, "{}", moved(3));
    assert!([0, 1, 2, 4].iter().all(|account| moved(*account) < 1e-6));
}

#[test]
fn one_account_has_one_score_for_each_bank() {
    /// Account 2 has score 0 for north, and its own for everybody else.
    struct TwoFaced;
    impl Deviation for TwoFaced {
        fn scores(
            &mut self,
            view: &View<'_>,
            _: usize,
            to: PartyId,
            accounts: &[u32],
            honest: Vec<Blinded<Ciphertext>>,
        ) -> Vec<Blinded<Ciphertext>> {
            if to == NORTH { accounts.iter().map(|_| view.encrypt(0)).collect() } else { honest }
        }
    }
    // West's account 2 pays east as well, and is the only one that pays east's account 1.
    let mut raw = three();
    for bank in [EAST.index(), 2] {
        raw.rows[bank][0].push((2, 2, 1, 1, 5));
    }
    let run = run(&raw, &mut TwoFaced, 54);
    run.assert_found(WEST, "R6", 1, &["2"]);
    assert!(run.honest.iter().all(|(_, result)| result.is_ok()));
    // What the false score is worth at north is 5 % of a weight of 1 %.
    assert!(run.largest_error() > 1e-5, "{}", run.largest_error());
}
