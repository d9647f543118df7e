//! Ciphertexts of other banks, handed in for decryption as one's own.

use num_bigint::{BigInt, BigUint};

use super::deviation::{Deviation, Hear, Honest, Payload, View, more};
use super::scene::{EAST, NORTH, Truth, WEST, run, run_uncapped, slots, three, unit, without_noise};
use subrosa_paillier::{Blinded, Ciphertext};
use subrosa_risk_propagation::Plan;
use subrosa_risk_propagation::steps::messages::Declaration;
use subrosa_transport::PartyId;

#[test]
fn a_bank_that_deviates_in_nothing_is_a_bank() {
    let run = run(&three(), &mut Honest, 1);
    run.assert_unnoticed();
    run.assert_clean(WEST, &[]);
    run.assert_west_has_its_own();
    let frames = &run.spoils().frames;
    for (round, sent) in
        [("propagate/scores", true), ("propagate/noise", true), ("decrypt/proven-partial", false)]
    {
        assert!(frames.iter().any(|frame| frame.sent == sent && frame.is_of(round)), "{round}");
    }
}

/// West declares more ciphertexts than it has, and hands in what it received in R6.
#[derive(Default)]
struct Thief {
    /// Step, sender, place in its message.
    seen: Vec<(usize, PartyId, usize, Ciphertext)>,
}

impl Deviation for Thief {
    fn declaration(&mut self, plan: &Plan, honest: Declaration) -> Declaration {
        more(plan, honest, 40)
    }

    fn received(&mut self, step: usize, from: PartyId, ciphertexts: &[Ciphertext]) {
        let all = ciphertexts.iter().enumerate();
        self.seen.extend(all.map(|(place, ciphertext)| (step, from, place, ciphertext.clone())));
    }

    fn announcement(
        &mut self,
        view: &View<'_>,
        mut all: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        for (step, _, _, ciphertext) in &self.seen {
            // As high as it goes in the first slot.
            let shift = top(view.plan(), *step);
            all.push(view.blind(&view.shifted(ciphertext, shift)));
        }
        Some(all)
    }
}

/// How far a score after so many steps can be shifted in its slot.
fn top(plan: &Plan, steps: usize) -> usize {
    plan.slot_bits() - (plan.scale_after(steps) + 1)
}

#[test]
fn received_scores_handed_in_are_read_where_no_number_of_accounts_was_agreed() {
    let raw = three();
    // Where it was agreed how many accounts it has, it gets no further than R5.
    run(&raw, &mut Thief::default(), 3).assert_stopped(&[WEST]);
    let mut west = Thief::default();
    let run = run_uncapped(&raw, &mut west, 3);
    run.assert_unnoticed();
    run.assert_found(WEST, "R5", 0, &[]);
    run.assert_west_has_its_own();
    let spoils = run.spoils();
    let truth = Truth::of(&raw, &spoils.plan);
    let plan = &spoils.plan;
    let mut exact = 0;
    for ((step, from, place, _), plaintext) in west.seen.iter().zip(&spoils.plaintexts[1..]) {
        let bits = plan.scale_after(*step) + 1;
        let shift = top(plan, *step);
        let read = &slots(plaintext, plan)[0] >> shift;
        let expected = truth.score(*from, truth.sent(*from, WEST)[*place], *step);
        // What noise covers, counted from below.
        let covered = (plan.noise_bits() as usize + 1).saturating_sub(shift);
        // The noise may carry.
        let above = (&read >> covered) - (&expected >> covered);
        assert!(above <= 1_u8.into() && (covered > 0 || read == expected), "step {step}: {above}");
        assert!(bits - covered >= plan.score_bits() as usize - 1, "{bits} {covered}");
        exact += usize::from(covered == 0);
    }
    // All first scores that it received, to the last bit.
    assert!(exact >= 5, "{exact}");
}

/// Waits for north to speak in each round of R7, and says the same.
#[derive(Default)]
struct Echo {
    /// Whether it repeats north's hash and salt as well.
    hash: bool,
    heard: usize,
}

impl Deviation for Echo {
    fn announcement(
        &mut self,
        _: &View<'_>,
        honest: Vec<Blinded<Ciphertext>>,
        hear: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        // There is nothing to be heard yet.
        assert_eq!(hear(NORTH), []);
        Some(honest)
    }

    fn commitment(&mut self, honest: [u8; 32], heard: &mut Payload<'_>) -> [u8; 32] {
        if self.hash { *heard(NORTH).first_chunk().unwrap() } else { honest }
    }

    fn salt(&mut self, honest: [u8; 32], heard: &mut Payload<'_>) -> [u8; 32] {
        if self.hash { *heard(NORTH)[32..].first_chunk().unwrap() } else { honest }
    }

    fn shown_announcement(
        &mut self,
        view: &View<'_>,
        committed: Vec<Blinded<Ciphertext>>,
        hear: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        let heard = hear(NORTH);
        self.heard = heard.len();
        Some(heard.iter().map(|copied| view.blind(copied)).take(committed.len()).collect())
    }
}

#[test]
fn an_announcement_copied_in_the_same_round_ends_the_run() {
    for hash in [false, true] {
        let mut west = Echo { hash, heard: 0 };
        let run = run(&three(), &mut west, 4);
        run.assert_stopped(&[WEST]);
        assert_eq!(west.heard, 1);
        let reason = "`west`: its announcement is not what it committed to";
        assert!(run.errors().iter().any(|error| error == reason), "{:?}", run.errors());
    }
}

#[test]
fn a_received_score_in_place_of_an_own_one_is_read() {
    /// Declares what it has; its first account's slot holds the score of one of east's.
    struct Swap(Option<Ciphertext>);
    impl Deviation for Swap {
        fn received(&mut self, step: usize, from: PartyId, ciphertexts: &[Ciphertext]) {
            if (step, from) == (0, EAST) {
                self.0 = ciphertexts.first().cloned();
            }
        }
        fn announcement(
            &mut self,
            view: &View<'_>,
            _: Vec<Blinded<Ciphertext>>,
            _: &mut Hear<'_>,
        ) -> Option<Vec<Blinded<Ciphertext>>> {
            let bits = view.plan().final_scale() - view.plan().score_bits() as usize;
            let stolen = view.shifted(self.0.as_ref().unwrap(), bits);
            // Shifted by a number and blinded, it looks like nothing that anybody saw before.
            let other = view.key.add_plain(&stolen, &(BigInt::from(1) << (bits - 3))).unwrap();
            Some(vec![view.blind(&other)])
        }
    }
    let raw = three();
    let run = run(&raw, &mut Swap(None), 5);
    run.assert_unnoticed();
    run.assert_found(WEST, "R7a", 0, &["0", "1", "2"]);
    let plan = &run.spoils().plan;
    let truth = Truth::of(&raw, plan);
    let read = without_noise(&slots(&run.spoils().plaintexts[0], plan)[0], plan);
    let expected = unit(&truth.score(EAST, truth.sent(EAST, WEST)[0], 0), plan.score_bits() as usize);
    assert!((read - expected).abs() < 1e-6, "{read} {expected}");
}

#[test]
fn weights_of_ones_own_choice_tell_a_senders_score() {
    /// Its products are right but for one account, to which a single sender seems to pay everything.
    #[derive(Default)]
    struct Weights {
        last: Option<Ciphertext>,
    }
    impl Deviation for Weights {
        fn received(&mut self, step: usize, from: PartyId, ciphertexts: &[Ciphertext]) {
            if (step, from) == (2, NORTH) {
                self.last = ciphertexts.first().cloned();
            }
        }
        fn announcement(
            &mut self,
            view: &View<'_>,
            _: Vec<Blinded<Ciphertext>>,
            _: &mut Hear<'_>,
        ) -> Option<Vec<Blinded<Ciphertext>>> {
            // In range, and a sum of weights that an honest account could have.
            let weight = view.plan().weight_bits() as usize - 1;
            Some(vec![view.blind(&view.shifted(self.last.as_ref().unwrap(), weight))])
        }
    }
    let raw = three();
    let run = run(&raw, &mut Weights::default(), 6);
    run.assert_unnoticed();
    run.assert_found(WEST, "R7a", 0, &["0", "1", "2"]);
    let plan = &run.spoils().plan;
    let truth = Truth::of(&raw, plan);
    let read = 2.0 * without_noise(&slots(&run.spoils().plaintexts[0], plan)[0], plan);
    let expected: BigUint = truth.score(NORTH, truth.sent(NORTH, WEST)[0], 2);
    assert!((read - unit(&expected, plan.scale_after(2))).abs() < 2e-6, "{read}");
}
