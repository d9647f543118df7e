//! Noise that is none, in R8.

use num_bigint::BigInt;

use super::deviation::{Deviation, Hear, Honest, View};
use super::scene::{
    EAST, NORTH, Run, SOUTH, Truth, WEST, five, run, run_in, run_uncapped, settings, shares, three, unit,
};
use subrosa_paillier::{Blinded, Ciphertext};
use subrosa_risk_propagation::Plan;
use subrosa_transport::PartyId;

/// Adds a number to the noise of north's first ciphertext.
struct Shift(fn(&Plan) -> BigInt);

impl Deviation for Shift {
    fn noise(
        &mut self,
        view: &View<'_>,
        mut honest: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Vec<Blinded<Ciphertext>> {
        let place = &mut honest[view.start(view.me, NORTH)];
        *place = view.blind(&view.key.add_plain(place, &(self.0)(view.plan())).unwrap());
        honest
    }
}

/// So many tenths of a score.
fn tenths(plan: &Plan, count: i64) -> BigInt {
    (BigInt::from(count) << plan.final_scale()) / 10
}

#[test]
fn scores_of_another_bank_are_moved_by_any_amount() {
    // North's accounts 0 and 3 are in slots 0 and 2.
    let shift = |plan: &Plan| tenths(plan, 3) - (tenths(plan, 1) << (2 * plan.slot_bits()));
    let honest = run(&three(), &mut Honest, 41);
    let run = run(&three(), &mut Shift(shift), 41);
    run.assert_found(WEST, "R7b", 0, &[]);
    let moved = |account| run.score(NORTH, account) - honest.score(NORTH, account);
    for (account, expected) in [(0, 0.3), (1, 0.0), (2, 0.0), (3, -0.1), (4, 0.0)] {
        assert!((moved(account) - expected).abs() < 1e-6, "{account}: {}", moved(account));
    }
}

#[test]
fn an_impossible_score_is_out_of_range() {
    for shift in
        [|plan: &Plan| tenths(plan, 20), |plan: &Plan| tenths(plan, 9), |plan: &Plan| -tenths(plan, 9)]
    {
        let run = run(&three(), &mut Shift(shift), 43);
        run.assert_found(WEST, "R7b", 0, &[]);
        run.assert_out_of_range(NORTH);
    }
}

#[test]
fn noise_in_a_slot_that_no_account_uses_does_no_harm() {
    // Four accounts of north are reached.
    let run = run(&three(), &mut Shift(|plan| BigInt::from(7) << (5 * plan.slot_bits() + 90)), 44);
    run.assert_unnoticed();
    run.assert_found(WEST, "R7b", 0, &[]);
}

#[test]
fn a_bank_that_adds_no_noise_is_not_noticed() {
    struct Quiet;
    impl Deviation for Quiet {
        fn noise(
            &mut self,
            view: &View<'_>,
            honest: Vec<Blinded<Ciphertext>>,
            _: &mut Hear<'_>,
        ) -> Vec<Blinded<Ciphertext>> {
            honest.iter().map(|_| view.encrypt(0)).collect()
        }
    }
    let run = run(&three(), &mut Quiet, 45);
    run.assert_found(WEST, "R7b", 0, &[]);
    // At the edge of what noise may do, since the mean that is taken off was never put on.
    assert!(run.largest_error() <= 2.0 * settings().accuracy);
}

/// Adds so much to north's last slot that it overflows if what is in it reaches this many hundredths.
struct Threshold(u32);

impl Deviation for Threshold {
    fn noise(
        &mut self,
        view: &View<'_>,
        mut honest: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Vec<Blinded<Ciphertext>> {
        let plan = view.plan();
        let below = (BigInt::from(self.0) << plan.final_scale()) / 100;
        let add = (BigInt::from(1) << plan.slot_bits()) - below;
        let last = (plan.accounts_per_ciphertext() - 1) * plan.slot_bits();
        let place = &mut honest[view.start(view.me, NORTH)];
        *place = view.blind(&view.key.add_plain(place, &(add << last)).unwrap());
        honest
    }
}

#[test]
fn nothing_on_the_wire_tells_whether_a_score_is_above_a_threshold() {
    // East pays three more accounts of north, so that all slots of north's ciphertext are used.
    let mut raw = three();
    raw.accounts[NORTH.index()].extend([(5, 0), (6, 0)]);
    for bank in [NORTH, EAST] {
        raw.rows[bank.index()][0].extend([
            (1, 0, 0, 2, 8),
            (1, 2, 0, 5, 9),
            (1, 0, 0, 6, 7),
            (1, 1, 0, 6, 5),
        ]);
    }
    let honest = run_uncapped(&raw, &mut Honest, 47);
    let plan = &honest.spoils().plan;
    let truth = Truth::of(&raw, plan);
    assert_eq!(truth.reached(NORTH).len(), plan.accounts_per_ciphertext());
    let secret = unit(&truth.foreign_part(NORTH, 6), plan.final_scale());
    assert!(secret > 0.05 && secret < 0.6, "{secret}");
    // West has nothing to do with the account.
    let seen = |run: &Run| -> Vec<(PartyId, bool, usize)> {
        // Of partial decryptions it looks at the first that comes.
        let frames = run.spoils().frames.iter();
        let frames = frames.filter(|frame| !frame.sent && !frame.is_of("decrypt/proven-partial"));
        let mut seen: Vec<_> =
            frames.map(|frame| (frame.peer, frame.is_of("propagate/finished"), frame.bytes.len())).collect();
        seen.sort_unstable();
        seen
    };
    let mut refused = Vec::new();
    for threshold in [5, 10, 15, 20, 25, 30, 40, 60] {
        let run = run_uncapped(&raw, &mut Threshold(threshold), 48);
        run.assert_found(WEST, "R7b", 0, &[]);
        // North finds out, or not; west sees the same frames, north's farewell among them.
        refused.push(run.honest[NORTH.index()].1.is_err());
        if refused.last() == Some(&true) {
            run.assert_out_of_range(NORTH);
        }
        assert_eq!(seen(&run), seen(&honest));
        assert!(seen(&run).iter().any(|(party, farewell, _)| *party == NORTH && *farewell));
    }
    assert!(refused.contains(&true) && refused.contains(&false), "{refused:?}");
}

/// Hears the others' noise for west's ciphertexts and takes it off.
struct Friend;

impl Deviation for Friend {
    fn noise(
        &mut self,
        _: &View<'_>,
        honest: Vec<Blinded<Ciphertext>>,
        hear: &mut Hear<'_>,
    ) -> Vec<Blinded<Ciphertext>> {
        // There is nothing to be heard yet.
        assert_eq!(hear(NORTH), []);
        honest
    }

    fn shown_noise(
        &mut self,
        view: &View<'_>,
        mut honest: Vec<Blinded<Ciphertext>>,
        hear: &mut Hear<'_>,
    ) -> Vec<Blinded<Ciphertext>> {
        let heard: Vec<(PartyId, Vec<Ciphertext>)> = (0..5)
            .map(PartyId::new)
            .filter(|party| ![WEST, SOUTH].contains(party))
            .map(|p| (p, hear(p)))
            .collect();
        let start = view.start(SOUTH, WEST);
        for index in 0..view.progress.counts[WEST.index()] {
            let theirs = heard.iter().filter_map(|(adder, list)| list.get(view.start(*adder, WEST) + index));
            let sum = view.key.sum(theirs).unwrap();
            honest[start + index] = view.blind(&view.key.negate(&sum).unwrap());
        }
        honest
    }
}

/// Hands in a score that it received.
#[derive(Default)]
struct Swap(Option<Ciphertext>);

impl Deviation for Swap {
    fn received(&mut self, step: usize, from: PartyId, ciphertexts: &[Ciphertext]) {
        if (step, from) == (0, NORTH) {
            self.0 = ciphertexts.first().cloned();
        }
    }

    fn announcement(
        &mut self,
        view: &View<'_>,
        _: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        Some(vec![view.blind(self.0.as_ref()?)])
    }
}

#[test]
fn noise_that_takes_off_what_was_heard_ends_the_run() {
    let raw = five();
    let run = run_in(&raw, &settings(), vec![(WEST, &mut Swap::default()), (SOUTH, &mut Friend)], 46, None);
    run.assert_stopped(&[SOUTH]);
    let reason = "`south`: its noise is not what it committed to";
    assert!(run.errors().iter().any(|error| error == reason), "{:?}", run.errors());
    run.assert_found(WEST, "R7a", 0, &["0", "1", "2"]);
    run.assert_found(SOUTH, "R8", 0, &[]);
    assert_eq!(shares(5)[0].key().access().threshold(), 2);
}
