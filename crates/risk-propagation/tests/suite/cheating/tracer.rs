//! Scores that are no scores, made to come back with what another bank multiplied them by.

use num_bigint::{BigInt, BigUint};
use num_traits::ToPrimitive;

use super::deviation::{Deviation, Hear, View, more};
use super::scene::{NORTH, Truth, WEST, run_uncapped, slots, three};
use subrosa_paillier::{Blinded, Ciphertext};
use subrosa_risk_propagation::Plan;
use subrosa_risk_propagation::steps::messages::Declaration;
use subrosa_transport::PartyId;

/// Adds 2^`bit` to the score of its account 2, which pays north's account 1 a sum of 1,000, and reads with which weight it
/// comes back.
struct Tracer {
    bit: usize,
    place: usize,
    back: Option<Ciphertext>,
}

/// How far the answer is shifted, given that a weight has at most 19 bits.
fn shift(plan: &Plan, bit: usize) -> usize {
    plan.accounts_per_ciphertext() * plan.slot_bits() - 1 - 19 - bit
}

impl Deviation for Tracer {
    fn scores(
        &mut self,
        view: &View<'_>,
        step: usize,
        to: PartyId,
        accounts: &[u32],
        mut honest: Vec<Blinded<Ciphertext>>,
    ) -> Vec<Blinded<Ciphertext>> {
        if (step, to) == (0, NORTH) {
            assert_eq!(accounts, [2]);
            let traced = view.key.add_plain(&honest[0], &(BigInt::from(1) << self.bit)).unwrap();
            honest[0] = view.blind(&traced);
        }
        honest
    }

    fn received(&mut self, step: usize, from: PartyId, ciphertexts: &[Ciphertext]) {
        if (step, from) == (1, NORTH) {
            self.back = Some(ciphertexts[self.place].clone());
        }
    }

    fn declaration(&mut self, plan: &Plan, honest: Declaration) -> Declaration {
        more(plan, honest, 1)
    }

    fn announcement(
        &mut self,
        view: &View<'_>,
        mut honest: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        honest.push(view.blind(&view.shifted(self.back.as_ref()?, shift(view.plan(), self.bit))));
        Some(honest)
    }
}

#[test]
fn the_income_of_another_banks_account_is_read() {
    let raw = three();
    for (bit, visible) in [(520, false), (420, false), (60, true)] {
        let plan = run_uncapped(&raw, &mut super::deviation::Honest, 31).spoils().plan.clone();
        let truth = Truth::of(&raw, &plan);
        let place = truth.sent(NORTH, WEST).iter().position(|account| *account == 1).unwrap();
        let run = run_uncapped(&raw, &mut Tracer { bit, place, back: None }, 32);
        run.assert_found(WEST, "R5", 0, &[]);
        let last = slots(&run.spoils().plaintexts[1], &plan).pop().unwrap();
        let weight: BigUint = last >> (plan.slot_bits() - 20);
        // W/D = 1,000/income: 98,765 of it came from east.
        let income = 1_000.0 * f64::exp2(f64::from(plan.weight_bits()) - 1.0) / weight.to_f64().unwrap();
        assert!((income - 99_765.0).abs() < 1.0, "{income}");
        // What is added so high that it falls where nobody looks leaves no trace; what is not, is no score.
        if visible {
            run.assert_out_of_range(NORTH);
        } else {
            run.assert_unnoticed();
        }
    }
}
