//! Each field of each message of W1 to W4 and of K9, changed by its sender: all honest parties end with an error, which
//! names the sender or nobody.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::collections::HashMap;

use num_bigint::BigUint;
use num_traits::One;

use crate::steps::tools::{BETA, GCD_BETAS, GCD_MASKS, KEY_MASK, SMALL_MASKS, TRIPLES, WIDE_MASKS, ZEROS};
use crate::steps::{Attack, End, Failed, Numbers, Run, Scene, Setup};
use subrosa_distributed_paillier::messages::{
    TrialProof, VerificationKey, WinnerAnswers, WinnerProducts, WinnerShares, WinnerZeros,
};
use subrosa_transport::{Message, PartyId};

const ME: PartyId = PartyId::new(1);
/// Every list of numbers in the new messages.
const LISTS: [(&str, usize); 9] = [
    (WinnerShares::ROUND, 0),
    (WinnerShares::ROUND, 1),
    (WinnerProducts::ROUND, 0),
    (WinnerAnswers::ROUND, 0),
    (WinnerAnswers::ROUND, 1),
    (WinnerAnswers::ROUND, 2),
    (WinnerZeros::ROUND, 0),
    (VerificationKey::ROUND, 0),
    (VerificationKey::ROUND, 1),
];

/// Who gets the changed message, where each gets its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    First,
    Others,
    /// The sender itself reckons with the change as well.
    All,
}

/// Changes one list of the messages of one round.
struct Change<'a> {
    round: &'a str,
    list: usize,
    to: To,
    change: &'a dyn Fn(&Scene<'_>, usize, &mut Vec<BigUint>),
}

impl Attack for Change<'_> {
    fn deal(&mut self, scene: &Scene<'_>, round: &str, from: PartyId, messages: &mut [Numbers<'_>]) {
        if round == self.round {
            for (index, lists) in messages.iter_mut().enumerate() {
                let meant = match self.to {
                    To::First => index == 0,
                    To::Others => index != from.index(),
                    To::All => true,
                };
                if meant {
                    (self.change)(scene, index, lists[self.list]);
                }
            }
        }
    }

    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        if round == self.round {
            (self.change)(scene, ME.index(), messages[ME.index()][self.list]);
        }
    }
}

fn run(
    setup: &Setup,
    (round, list): (&str, usize),
    to: To,
    change: impl Fn(&Scene<'_>, usize, &mut Vec<BigUint>),
) -> Result<End, Failed> {
    let mut attack = Change { round, list, to, change: &change };
    let end = Run::new(setup, 0, &[ME], &mut attack).generate();
    if let Err(failed) = &end {
        // No honest party is ever named.
        let harmless = |culprits: Vec<PartyId>| culprits.is_empty() || culprits == [ME];
        assert!(failed.errors.iter().all(|(_, error)| harmless(error.culprits())), "{failed:?}");
    }
    end
}

/// The bound that a list of a round is held to.
fn bound(scene: &Scene<'_>, (round, list): (&str, usize)) -> BigUint {
    let (setup, n) = (scene.setup, scene.modulus.as_ref().unwrap().value());
    match (round, list) {
        (WinnerShares::ROUND, 0) => setup.p3.clone(),
        (WinnerAnswers::ROUND, 0 | 1) => setup.answer_bounds[list].clone(),
        (VerificationKey::ROUND, 0) => n * n,
        (VerificationKey::ROUND, 1) => n.clone(),
        _ => setup.q.clone(),
    }
}

#[test]
fn too_few_too_many_or_not_reduced_values_name_their_sender() {
    let setup = Setup::good(3, 1, 71);
    for at in LISTS {
        let named = |to: To, reason: &str, change: &dyn Fn(&Scene<'_>, &mut Vec<BigUint>)| {
            let failed = run(&setup, at, to, |scene, _, values| change(scene, values)).unwrap_err();
            if to == To::Others {
                failed.assert(at.0, Some(ME), reason);
            } else {
                // Of the others' messages nobody knows.
                let [(party, error)] = &failed.errors[..] else { panic!("{failed:?}") };
                assert_eq!((*party, error.culprits()), (PartyId::new(0), vec![ME]), "{error}");
            }
        };
        let personal = at.0 == WinnerShares::ROUND;
        for to in [To::Others, To::First].into_iter().filter(|to| *to == To::Others || personal) {
            named(to, "values where", &|_, values| drop(values.pop()));
            named(to, "values where", &|_, values| values.clear());
            named(to, "values where", &|_, values| values.push(BigUint::one()));
            named(to, "beyond its bound", &|scene, values| values[0] += bound(scene, at));
            named(to, "beyond its bound", &|scene, values| *values.last_mut().unwrap() += bound(scene, at));
            named(to, "beyond its bound", &|scene, values| values[0] = bound(scene, at));
            named(to, "beyond its bound", &|_, values| values[0] = BigUint::one() << 2000u32);
        }
    }
}

/// How a run ends: the round, whether the sender is named, and why.
type Expected = Option<(&'static str, bool, &'static str)>;

const OUT_OF_RANGE: Expected =
    Some((WinnerProducts::ROUND, false, "an opening of the winner is out of range"));
const DIFFERENCES: Expected = Some((WinnerAnswers::ROUND, false, "the differences of a product check"));
const CHECKS: Expected = Some((WinnerZeros::ROUND, false, "the checks of the winner"));
const DEALT: Expected = Some((WinnerZeros::ROUND, true, "it dealt other values than it answered for"));
const PRODUCT: Expected = Some((WinnerZeros::ROUND, false, "N is not the product of what was shared"));
const OPENING: Expected = Some((WinnerZeros::ROUND, false, "u or w is not the product that it should be"));
const TRIAL: Expected = Some((TrialProof::ROUND, false, ""));

fn assert_ends(what: &str, end: Result<End, Failed>, expected: Expected) {
    match (end, expected) {
        (Ok(End::Key(_)), None) => {}
        (Err(failed), Some((round, named, reason))) => {
            failed.assert(round, named.then_some(ME), reason);
        }
        (end, _) => panic!("{what}: {end:?}"),
    }
}

fn one_more(place: usize) -> impl Fn(&Scene<'_>, usize, &mut Vec<BigUint>) {
    move |_, _, values| values[place] += 1u32
}

/// List and place in [`WinnerShares`], and the end if one gets another share, if all others do and the dealer goes on with
/// what it drew, and if the dealer deals a number that is greater by 1 and else says what it drew.
fn shares() -> Vec<(usize, usize, [Expected; 3])> {
    let mut rows = vec![(0, 0, [OUT_OF_RANGE; 3]), (0, 1, [OUT_OF_RANGE; 3])];
    let mut row = |place: usize, ends: [Expected; 3]| rows.push((1, place, ends));
    row(BETA, [OUT_OF_RANGE, OUT_OF_RANGE, DEALT]);
    row(KEY_MASK, [CHECKS, CHECKS, TRIAL]);
    for last in [0, 5] {
        row(GCD_BETAS + last, [OUT_OF_RANGE, OUT_OF_RANGE, DEALT]);
        row(GCD_MASKS + last, [CHECKS, CHECKS, DEALT]);
    }
    for last in [0, 143] {
        row(SMALL_MASKS + last, [CHECKS, CHECKS, DEALT]);
        row(WIDE_MASKS + last, [CHECKS, CHECKS, DEALT]);
    }
    for (first, off) in [(TRIPLES, PRODUCT), (TRIPLES + 4, OPENING)] {
        // a and b are random: 1 more is as good.
        row(first, [DIFFERENCES, DIFFERENCES, None]);
        row(first + 1, [DIFFERENCES, DIFFERENCES, None]);
        row(first + 2, [CHECKS, CHECKS, off]);
        row(first + 3, [off, off, off]);
    }
    for zero in [0, 1, 6] {
        row(ZEROS + zero, [OPENING; 3]);
    }
    rows
}

#[test]
fn every_kind_of_share_that_is_off_by_one_is_noticed() {
    let setup = Setup::good(3, 1, 72);
    for (list, place, ends) in shares() {
        for (to, expected) in [To::First, To::Others, To::All].into_iter().zip(ends) {
            let end = run(&setup, (WinnerShares::ROUND, list), to, one_more(place));
            assert_ends(&format!("list {list}, place {place}, {to:?}"), end, expected);
        }
    }
}

/// With more parties the honest ones' shares alone contradict each other where one of them is wrong; what is wrong alike
/// for all ends as with three parties.
#[test]
fn every_kind_of_share_that_is_off_by_one_is_noticed_by_more_parties() {
    for (n, t) in [(4, 1), (5, 2)] {
        let setup = Setup::good(n, t, 73);
        for (list, place, [_, _, dealt]) in shares() {
            let at = (WinnerShares::ROUND, list);
            let failed = run(&setup, at, To::First, one_more(place)).unwrap_err();
            assert_eq!(failed.errors.len(), n as usize - 1, "place {place}");
            let end = run(&setup, at, To::All, one_more(place));
            assert_ends(&format!("n {n}, list {list}, place {place}"), end, dealt);
        }
    }
}

#[test]
fn every_broadcast_value_that_is_off_by_one_is_noticed() {
    let setup = Setup::good(3, 1, 74);
    let mut rows = vec![];
    let mut row = |round, list, place: usize, expected| rows.push(((round, list), place, expected));
    (0..7).for_each(|place| row(WinnerProducts::ROUND, 0, place, OPENING));
    row(WinnerProducts::ROUND, 0, 7, PRODUCT);
    row(WinnerProducts::ROUND, 0, 8, OPENING);
    for place in [0, 1, 77, 143] {
        row(WinnerAnswers::ROUND, 0, place, DEALT);
        row(WinnerAnswers::ROUND, 1, place, DEALT);
    }
    (0..4).for_each(|place| row(WinnerAnswers::ROUND, 2, place, DIFFERENCES));
    (0..5).for_each(|place| row(WinnerZeros::ROUND, 0, place, CHECKS));
    row(VerificationKey::ROUND, 0, 0, Some((TrialProof::ROUND, true, "does not match its verification key")));
    row(VerificationKey::ROUND, 1, 0, TRIAL);
    for (at, place, expected) in rows {
        let end = run(&setup, at, To::Others, one_more(place));
        assert_ends(&format!("{at:?}, place {place}"), end, expected);
    }
}

/// With spare shares a wrong value in W2 is no other opening but a contradiction.
#[test]
fn every_broadcast_value_that_is_off_by_one_is_noticed_by_more_parties() {
    let setup = Setup::good(4, 1, 75);
    for (at, place) in LISTS.into_iter().skip(2).flat_map(|at| [(at, 0), (at, usize::MAX)]) {
        let change = |_: &Scene<'_>, _: usize, values: &mut Vec<BigUint>| {
            let place = place.min(values.len() - 1);
            values[place] += 1u32;
        };
        let failed = run(&setup, at, To::Others, change).unwrap_err();
        let expected = match at {
            (WinnerProducts::ROUND, _) => Some((WinnerProducts::ROUND, false, "the products of the winner")),
            (WinnerAnswers::ROUND, 0 | 1) => DEALT,
            (WinnerAnswers::ROUND, _) => DIFFERENCES,
            (WinnerZeros::ROUND, _) => CHECKS,
            (_, 0) => Some((TrialProof::ROUND, true, "does not match its verification key")),
            _ => TRIAL,
        };
        assert_ends(&format!("{at:?}"), Err(failed), expected);
    }
}

/// What the sender sent in each round: to each party, or the same to all.
#[derive(Default)]
struct Record(HashMap<String, Vec<Vec<Vec<BigUint>>>>);

impl Attack for Record {
    fn deal(&mut self, _scene: &Scene<'_>, round: &str, _from: PartyId, messages: &mut [Numbers<'_>]) {
        let lists = |lists: &Numbers<'_>| lists.iter().map(|list| (**list).clone()).collect();
        self.0.insert(round.into(), messages.iter().map(lists).collect());
    }

    fn publish(&mut self, _scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        let mine = messages[ME.index()].iter().map(|list| (**list).clone()).collect();
        self.0.insert(round.into(), vec![mine; messages.len()]);
    }
}

#[test]
fn values_of_another_candidate_or_another_run_are_noticed() {
    let setup = Setup::good(3, 1, 76);
    let other = Setup::find(3, 1, 77, |setup| setup.is_good() && setup.leader() == ME);
    for (elsewhere, seed) in [(&setup, 1), (&other, 0)] {
        let mut record = Record::default();
        assert!(matches!(Run::new(elsewhere, seed, &[ME], &mut record).generate(), Ok(End::Key(_))));
        for at in LISTS {
            let known = &record.0[at.0];
            for to in [To::First, To::Others, To::All] {
                let change = |_: &Scene<'_>, receiver: usize, values: &mut Vec<BigUint>| {
                    values.clone_from(&known[receiver][at.1]);
                };
                let end = run(&setup, at, to, change);
                // Lifts of the same candidate are as good as new, where all get them.
                if (at, seed, to) == (LISTS[0], 1, To::All) {
                    assert!(matches!(end, Ok(End::Key(_))), "{end:?}");
                    continue;
                }
                let failed = end.unwrap_err();
                assert_eq!(failed.errors.len(), 2, "{at:?}, {to:?}: {failed:?}");
                let expected = match (at, to) {
                    ((WinnerShares::ROUND, 1), To::All) => DEALT,
                    ((WinnerShares::ROUND, _), _) => continue,
                    ((WinnerProducts::ROUND, _), _) => OUT_OF_RANGE,
                    ((WinnerAnswers::ROUND, 0 | 1), _) => DEALT,
                    ((WinnerAnswers::ROUND, _), _) => DIFFERENCES,
                    ((WinnerZeros::ROUND, _), _) => CHECKS,
                    _ => continue,
                };
                assert_ends(&format!("{at:?}, {to:?}"), Err(failed), expected);
            }
        }
    }
}
