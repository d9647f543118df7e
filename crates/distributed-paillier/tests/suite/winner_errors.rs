//! Errors in what is opened in W2 and W4: forced openings, triples and zeros that are none, lies of several for each other.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};

use crate::steps::redeal::{self, Answers, Redeal};
use crate::steps::{Attack, End, Numbers, Run, Scene, Setup, tools};
use subrosa_distributed_paillier::messages::{WinnerAnswers, WinnerProducts, WinnerShares, WinnerZeros};
use subrosa_distributed_paillier::winner::RANGE_REPETITIONS;
use subrosa_encoding::Hasher;
use subrosa_transport::{Message, PartyId};

#[test]
fn a_forced_opening_is_not_the_product_that_it_should_be() {
    let (setup, me) = (Setup::with_common_factor(), PartyId::new(1));
    let u = (BigUint::one() << 593u32) + 1u32;
    for force in [vec![(tools::W, BigUint::one())], vec![(tools::W + 5, BigUint::one())], vec![(tools::U, u)]]
    {
        let mut attack = Redeal { force, ..Redeal::new(me, vec![], Answers::Unchanged) };
        let failed = Run::new(&setup, 0, &[me], &mut attack).generate().unwrap_err();
        failed.assert(WinnerZeros::ROUND, None, "u or w is not the product that it should be");
    }
}

/// Adds to what the attacker deals to everybody in W1, and to what W2 opens.
struct Off {
    dealt: Vec<(usize, i32)>,
    opened: Vec<(usize, i32)>,
}

impl Attack for Off {
    fn deal(&mut self, scene: &Scene<'_>, round: &str, _from: PartyId, messages: &mut [Numbers<'_>]) {
        if round == WinnerShares::ROUND {
            for lists in messages.iter_mut() {
                for (place, by) in &self.dealt {
                    tools::add(&mut lists[1][*place], &BigInt::from(*by), &scene.setup.q);
                }
            }
        }
    }

    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        if round == WinnerProducts::ROUND {
            for (place, by) in &self.opened {
                tools::shift(&scene.setup.q, PartyId::new(1), messages, *place, &BigInt::from(*by));
            }
        }
    }
}

#[test]
fn an_error_in_a_triple_or_a_zero_is_noticed() {
    let (setup, me) = (Setup::good(3, 1, 33), PartyId::new(1));
    let (product, opening) = ("N is not the product", "u or w is not the product");
    let mut attacks = vec![];
    for (m, first, reason) in
        [(tools::M, tools::TRIPLES, product), (tools::M + 1, tools::TRIPLES + 4, opening)]
    {
        attacks.push((vec![], vec![(m, 5)], reason));
        // s and the s of degree 2t are not the same.
        attacks.extend([first + 2, first + 3].map(|place| (vec![(place, 5)], vec![], reason)));
    }
    attacks.extend((tools::ZEROS..tools::ZEROS + tools::M).map(|zero| (vec![(zero, 1)], vec![], opening)));
    // Errors of two openings that would cancel each other if they were not weighed by challenges.
    for pair in [(tools::U, tools::W), (tools::W, tools::W + 1), (tools::W, tools::W + 5)] {
        attacks.push((vec![], vec![(pair.0, 3), (pair.1, -3)], opening));
    }
    for (dealt, opened, reason) in attacks {
        let failed = Run::new(&setup, 0, &[me], &mut Off { dealt, opened }).generate().unwrap_err();
        failed.assert(WinnerZeros::ROUND, None, reason);
    }
    // a, b and s are random, one more is as good; and errors that cancel each other are none.
    for (dealt, opened) in [
        (vec![(tools::TRIPLES, 1), (tools::TRIPLES + 5, 1)], vec![]),
        (vec![(tools::TRIPLES + 2, 1), (tools::TRIPLES + 3, 1)], vec![]),
        (vec![(tools::ZEROS, 5)], vec![(tools::U, -5)]),
        (vec![(tools::TRIPLES + 3, 5)], vec![(tools::M, 5)]),
    ] {
        let end = Run::new(&setup, 0, &[me], &mut Off { dealt, opened }).generate();
        assert!(matches!(end, Ok(End::Key(_))), "{end:?}");
    }
}

/// Answers that are off by what would cancel out if the weights of W4 were hashed before the answers.
#[derive(Default)]
struct Weighed {
    early: Vec<BigInt>,
    late: Vec<BigInt>,
}

/// A dealer's weights of the first two wide answers, hashed as the parties do.
fn weights(scene: &Scene<'_>, dealer: PartyId) -> Vec<BigInt> {
    let bytes = Hasher::new("subrosa/distributed-paillier/winner-weights", 1)
        .field("transcript", &scene.transcript)
        .u64("candidate", scene.setup.number())
        .u64("dealer", dealer.index() as u64)
        .expand(32 * (RANGE_REPETITIONS + 2));
    bytes.chunks(32).skip(RANGE_REPETITIONS).map(|bytes| BigUint::from_bytes_le(bytes).into()).collect()
}

impl Attack for Weighed {
    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        let me = PartyId::new(1);
        if round == WinnerAnswers::ROUND {
            self.early = weights(scene, me);
            let (answers, bound) = (&mut messages[me.index()][1], &scene.setup.answer_bounds[1]);
            tools::add(&mut answers[0], &self.early[1], bound);
            tools::add(&mut answers[1], &-&self.early[0], bound);
        }
        if round == WinnerZeros::ROUND {
            self.late = weights(scene, me);
        }
    }
}

#[test]
fn answers_fitted_to_weights_of_an_earlier_transcript_are_noticed() {
    let (setup, me) = (Setup::good(3, 1, 36), PartyId::new(1));
    let mut attack = Weighed::default();
    let mut run = Run::new(&setup, 0, &[me], &mut attack);
    let failed = run.generate().unwrap_err();
    failed.assert(WinnerZeros::ROUND, Some(me), "it dealt other values than it answered for");
    // Nothing but the weights is in its way.
    let mut left = run.opened(WinnerZeros::ROUND, 0, me.index());
    let Weighed { early, late } = attack;
    tools::add(&mut left, &(&late[0] * &early[1] - &late[1] * &early[0]), &setup.q);
    assert!(left.is_zero());
}

/// Publishes in W4 what makes every opening 0, if only the attackers' values counted.
struct Hide<'a> {
    attack: &'a mut dyn Attack,
    corrupted: Vec<PartyId>,
}

impl Attack for Hide<'_> {
    fn deal(&mut self, scene: &Scene<'_>, round: &str, from: PartyId, messages: &mut [Numbers<'_>]) {
        self.attack.deal(scene, round, from, messages);
    }

    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        self.attack.publish(scene, round, messages);
        if round == WinnerZeros::ROUND {
            for place in 0..messages[0][0].len() {
                for &me in &self.corrupted {
                    tools::steer(&scene.setup.q, me, messages, place, &BigUint::zero());
                }
            }
        }
    }
}

/// A dealer's lie and the lies of those that publish for it: the honest parties' shares alone determine what is opened.
#[test]
fn liars_that_publish_for_each_other_contradict_the_honest_parties() {
    for (n, t, corrupted) in [(3, 1, vec![1]), (5, 2, vec![1, 3])] {
        let corrupted: Vec<PartyId> = corrupted.into_iter().map(PartyId::new).collect();
        let (setup, me) = (Setup::good(n, t, 35), corrupted[0]);
        for value in [redeal::BETA, redeal::GCD_BETAS, redeal::GCD_MASKS] {
            let mut redeal = Redeal::new(me, vec![(value, BigInt::one())], Answers::Unchanged);
            let failed = Run::new(&setup, 0, &corrupted, &mut redeal).generate().unwrap_err();
            failed.assert(WinnerZeros::ROUND, Some(me), "it dealt other values than it answered for");
            let mut attack = Hide { attack: &mut redeal, corrupted: corrupted.clone() };
            let failed = Run::new(&setup, 0, &corrupted, &mut attack).generate().unwrap_err();
            failed.assert(WinnerZeros::ROUND, None, "the checks of the winner");
        }
        // What no check of a dealer sees, a check of a product does.
        let mut off = Off { dealt: vec![(tools::ZEROS, 1)], opened: vec![] };
        let mut attack = Hide { attack: &mut off, corrupted: corrupted.clone() };
        let failed = Run::new(&setup, 0, &corrupted, &mut attack).generate().unwrap_err();
        failed.assert(WinnerZeros::ROUND, None, "the checks of the winner");
    }
}

/// Deals 8 more to party 1 alone. The sharings of all others, as points of a polynomial of degree 2 that is 0 at the other
/// honest parties' points 3 and 5, are those of a number that is greater by 15.
struct Bent {
    dealer: PartyId,
    /// The attackers whose shares are changed to fit.
    fitting: Vec<PartyId>,
}

impl Attack for Bent {
    fn deal(&mut self, scene: &Scene<'_>, round: &str, from: PartyId, messages: &mut [Numbers<'_>]) {
        if round == WinnerShares::ROUND && from == self.dealer {
            for (point, lists) in (1i32..).zip(messages.iter_mut()) {
                let party = PartyId::new(u16::try_from(point - 1).unwrap());
                if party == PartyId::new(0) || self.fitting.contains(&party) {
                    let by = BigInt::from((point - 3) * (point - 5));
                    tools::add(&mut lists[1][tools::BETA], &by, &scene.setup.q);
                }
            }
        }
    }
}

#[test]
fn a_dealer_and_others_that_take_the_same_wrong_shares_are_noticed() {
    let corrupted = [PartyId::new(1), PartyId::new(3)];
    let setup = Setup::good(5, 2, 37);
    let fit = |fitting: &[PartyId]| {
        let mut attack = Bent { dealer: corrupted[0], fitting: fitting.to_vec() };
        Run::new(&setup, 0, &corrupted, &mut attack).generate().unwrap_err()
    };
    let failed = fit(&corrupted);
    failed.assert(WinnerZeros::ROUND, Some(corrupted[0]), "it dealt other values than it answered for");
    for fitting in [&corrupted[..1], &corrupted[1..], &[]] {
        fit(fitting).assert(WinnerProducts::ROUND, None, "an opening of the winner is out of range");
    }
}
