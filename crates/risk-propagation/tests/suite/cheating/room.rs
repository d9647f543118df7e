//! Room in one's own ciphertexts: slots beyond the last account, and bits above the last slot.
//!
//! The cheater declares what it has and gets the scores of all its accounts. What it puts beside them is covered by noise.

use num_bigint::BigUint;

use super::deviation::{Deviation, Hear, View};
use super::scene::{NORTH, Truth, WEST, clear, run, slots, three, unit, without_noise};
use subrosa_paillier::{Blinded, Ciphertext};
use subrosa_risk_propagation::Plan;
use subrosa_transport::PartyId;

/// Puts initial scores of north's accounts into places of its own ciphertext, each so many bits from below.
struct Fill {
    stolen: Vec<Ciphertext>,
    places: fn(&Plan) -> Vec<usize>,
}

impl Fill {
    fn new(places: fn(&Plan) -> Vec<usize>) -> Self {
        Self { stolen: Vec::new(), places }
    }
}

impl Deviation for Fill {
    fn received(&mut self, step: usize, from: PartyId, ciphertexts: &[Ciphertext]) {
        if (step, from) == (0, NORTH) {
            self.stolen = ciphertexts.to_vec();
        }
    }

    fn announcement(
        &mut self,
        view: &View<'_>,
        mut honest: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        let mut sum = honest.pop()?.into_inner();
        for (stolen, place) in self.stolen.iter().zip((self.places)(view.plan())) {
            sum = view.sum(&sum, &view.shifted(stolen, place));
        }
        honest.push(view.blind(&sum));
        Some(honest)
    }
}

/// West has three accounts.
const USED: usize = 3;

#[test]
fn unused_slots_hold_noise_where_scores_of_others_were_put() {
    let (raw, places) = (three(), |plan: &Plan| {
        (USED..plan.accounts_per_ciphertext()).map(|slot| slot * plan.slot_bits() + clear(plan)).collect()
    });
    let run = run(&raw, &mut Fill::new(places), 11);
    run.assert_unnoticed();
    run.assert_found(WEST, "R7a", 0, &["0", "1", "2"]);
    run.assert_west_has_its_own();
    let plan = &run.spoils().plan;
    let truth = Truth::of(&raw, plan);
    let found = slots(&run.spoils().plaintexts[0], plan);
    let unused = plan.accounts_per_ciphertext() - USED;
    let senders = &truth.sent(NORTH, WEST)[..unused.min(3)];
    assert_eq!(senders.len(), 3);
    for (slot, account) in found[USED..].iter().zip(senders) {
        assert_ne!(slot >> clear(plan), truth.score(NORTH, *account, 0));
    }
}

/// Right above the last slot.
fn above(plan: &Plan) -> usize {
    plan.accounts_per_ciphertext() * plan.slot_bits()
}

#[test]
fn bits_above_the_last_slot_hold_noise_where_a_score_of_others_was_put() {
    let raw = three();
    let run = run(&raw, &mut Fill::new(|plan| vec![above(plan)]), 12);
    run.assert_unnoticed();
    run.assert_found(WEST, "R7a", 0, &["0", "1", "2"]);
    let plan = &run.spoils().plan;
    let truth = Truth::of(&raw, plan);
    assert!(plan.plaintext_bits() - above(plan) > plan.score_bits() as usize + 1);
    let whole = run.spoils().plaintexts[0].to_biguint().unwrap();
    let account = truth.sent(NORTH, WEST)[0];
    assert_ne!(&whole >> above(plan), truth.score(NORTH, account, 0));
    // Its own scores are below, whole.
    for account in 0..3_u32 {
        let read = without_noise(&slots(&run.spoils().plaintexts[0], plan)[account as usize], plan);
        let expected = unit(&truth.foreign_part(WEST, account), plan.final_scale());
        assert!((read - expected).abs() < 1e-6, "{read} {expected}");
    }
}

#[test]
fn one_account_in_every_slot_of_its_own_narrows_what_the_noise_hides() {
    /// Its first account in all slots that it has.
    struct Repeat;
    impl Deviation for Repeat {
        fn announcement(
            &mut self,
            view: &View<'_>,
            honest: Vec<Blinded<Ciphertext>>,
            _: &mut Hear<'_>,
        ) -> Option<Vec<Blinded<Ciphertext>>> {
            // What is in the first slot alone: the account's product, before it is packed.
            let plan = view.plan();
            let one = view.progress.first_product(view.key)?;
            let mut sum = view.key.encrypt_unblinded(&0.into()).unwrap();
            for slot in 0..USED {
                sum = view.sum(&sum, &view.shifted(&one, slot * plan.slot_bits()));
            }
            assert_eq!(honest.len(), 1);
            Some(vec![view.blind(&sum)])
        }
    }
    let raw = three();
    let run = run(&raw, &mut Repeat, 13);
    run.assert_unnoticed();
    run.assert_found(WEST, "R7a", 0, &["0", "1", "2"]);
    let plan = &run.spoils().plan;
    let exact = Truth::of(&raw, plan).foreign_part(WEST, 0);
    let found = &slots(&run.spoils().plaintexts[0], plan)[..USED];
    // Each draw says that the score lies in an interval as wide as the noise of all.
    let width = (BigUint::from(plan.noise_contributors()) << plan.noise_bits()) - plan.noise_contributors();
    let highest = found.iter().min().unwrap().clone();
    let lowest = found.iter().max().unwrap() - &width;
    assert!(lowest <= exact && exact <= highest);
    assert!((highest - lowest) * 20_u8 < width * 19_u8, "{} draws", found.len());
}
