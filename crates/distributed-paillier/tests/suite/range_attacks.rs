//! Numbers that are not as small as they should be. They read bits of φ from what W2 opens, or shift an opening although
//! its product check holds. The answers of W3 end both.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, ToPrimitive, Zero};

use crate::steps::redeal::{self, Answers, Redeal};
use crate::steps::tools::{self, Challenges};
use crate::steps::{Attack, End, Failed, Numbers, Run, Scene, Setup};
use subrosa_arith::prime::is_probable_prime;
use subrosa_distributed_paillier::messages::{WinnerAnswers, WinnerProducts, WinnerShares, WinnerZeros};
use subrosa_distributed_paillier::winner::RANGE_REPETITIONS;
use subrosa_transport::{Message, PartyId};

const ME: PartyId = PartyId::new(1);
/// As many bits of φ are read.
const BITS: u32 = 13;

fn assert_named(failed: &Failed) {
    failed.assert(WinnerZeros::ROUND, Some(ME), "it dealt other values than it answered for");
}

/// Everything that must be 0, but for the dealings of the attacker, which may not.
fn assert_only_the_dealing_is_wrong(run: &Run<'_>) {
    for place in 0..run.scene.setup.parties() as usize + 2 {
        let zero = run.opened(WinnerZeros::ROUND, 0, place).is_zero();
        assert_eq!(zero, place != ME.index(), "place {place}");
    }
}

/// ρ + (N−1)⁻¹ mod Q: w is greater by 1, and the product check holds.
fn shift_w(setup: &Setup) -> Vec<(usize, BigInt)> {
    let n: BigUint = setup.factors().iter().product();
    vec![(redeal::GCD_MASKS, (n - 1u32).modinv(&setup.q).unwrap().into())]
}

/// The common factor that all w leave to N − 1, 2 apart.
fn left(run: &Run<'_>) -> BigUint {
    let rest = run.scene.modulus.as_ref().unwrap().value() - 1u32;
    let odd = &rest >> rest.trailing_zeros().unwrap();
    (tools::W..tools::M).fold(odd, |left, place| left.gcd(&run.opened(WinnerProducts::ROUND, 0, place)))
}

#[test]
fn a_mask_that_is_no_small_integer_does_not_hide_a_common_factor() {
    let setup = Setup::with_common_factor();
    for answers in [Answers::Unchanged, Answers::InRange] {
        let mut attack = Redeal::new(ME, shift_w(&setup), answers);
        let mut run = Run::new(&setup, 0, &[ME], &mut attack);
        assert_named(&run.generate().unwrap_err());
        // But for this check N would have passed.
        assert_only_the_dealing_is_wrong(&run);
        assert!(left(&run).is_one());
    }
    let mut attack = Redeal::new(ME, shift_w(&setup), Answers::True);
    let failed = Run::new(&setup, 0, &[ME], &mut attack).generate().unwrap_err();
    failed.assert(WinnerAnswers::ROUND, Some(ME), "a value is beyond its bound");
}

/// As [`Redeal`], with masks that are wrong by the same number wherever the attacker expects that the challenge picks it:
/// then what it answers is in range and fits.
struct Expect<'a> {
    redeal: Redeal,
    expected: &'a [bool],
    /// What the challenges picked.
    picked: Vec<bool>,
}

impl Attack for Expect<'_> {
    fn deal(&mut self, scene: &Scene<'_>, round: &str, from: PartyId, messages: &mut [Numbers<'_>]) {
        self.redeal.deal(scene, round, from, messages);
        let (value, by) = &self.redeal.shifts[0];
        assert!(*value >= redeal::BETA);
        if round == WinnerShares::ROUND {
            for lists in messages.iter_mut() {
                for (mask, expected) in lists[1][tools::WIDE_MASKS..].iter_mut().zip(self.expected) {
                    if *expected {
                        tools::add(mask, &-by, &scene.setup.q);
                    }
                }
            }
        }
    }

    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        self.redeal.publish(scene, round, messages);
        if round == WinnerAnswers::ROUND {
            let (challenges, value) = (Challenges::new(scene), self.redeal.shifts[0].0);
            self.picked = (0..RANGE_REPETITIONS).map(|s| challenges.adds(s, value)).collect();
        }
    }
}

/// Who knew the challenges of one bit when it deals would pass: nothing but chance, 2^−144, is in its way.
#[test]
fn masks_that_fit_guessed_challenges_are_noticed_unless_every_guess_is_right() {
    let setup = Setup::with_common_factor();
    let run = |expected: &[bool]| {
        let redeal = Redeal::new(ME, shift_w(&setup), Answers::Unchanged);
        let mut attack = Expect { redeal, expected, picked: vec![] };
        let end = Run::new(&setup, 0, &[ME], &mut attack).generate();
        (end, attack.picked)
    };
    // The masks are in no message before the challenges, so that a run can be repeated with others.
    let (end, mut picked) = run(&[false; RANGE_REPETITIONS]);
    assert_named(&end.unwrap_err());
    assert!((40..=104).contains(&picked.iter().filter(|bit| **bit).count()));
    let (end, again) = run(&picked);
    assert!(matches!(end, Ok(End::Key(_))), "{end:?}");
    assert_eq!(again, picked);
    for wrong in [0, 77, RANGE_REPETITIONS - 1] {
        picked[wrong] = !picked[wrong];
        assert_named(&run(&picked).0.unwrap_err());
        picked[wrong] = !picked[wrong];
    }
}

/// β + ⌊Q/2^13⌋ or β′ + ⌊Q/2^13⌋: the upper bits of what is opened are the lowest 13 bits of φ. The attacker reads them
/// before the others and publishes what makes the opening one in range.
#[test]
fn reading_bits_of_the_totient_costs_the_run() {
    let setup = Setup::good(3, 1, 41);
    let step = &setup.q >> BITS;
    let [p, q] = setup.factors();
    let totient = (p - 1u32) * (q - 1u32);
    let in_range = BigUint::one() << (2 * 256 + 87);
    for (value, place) in
        [(redeal::BETA, tools::U), (redeal::GCD_BETAS, tools::W), (redeal::GCD_BETAS + 5, tools::W + 5)]
    {
        let run = |answers: Answers, hide: bool| {
            let mut attack = Redeal::new(ME, vec![(value, step.clone().into())], answers);
            if hide {
                attack.force = vec![(place, (BigUint::one() << 593u32) + 1u32)];
            }
            let failed = Run::new(&setup, 0, &[ME], &mut attack).generate().unwrap_err();
            (failed, attack.seen)
        };
        for answers in [Answers::Unchanged, Answers::InRange, Answers::True] {
            let (failed, _) = run(answers, false);
            failed.assert(WinnerProducts::ROUND, None, "an opening of the winner is out of range");
            let (failed, seen) = run(answers, true);
            if answers == Answers::True {
                failed.assert(WinnerAnswers::ROUND, Some(ME), "a value is beyond its bound");
            } else {
                assert_named(&failed);
            }
            // The attack works as far as it goes.
            let rest = |bits: &u32| (&seen[0] + &setup.q - &step * bits) % &setup.q < in_range;
            let read: Vec<u32> = (0..1 << BITS).filter(rest).collect();
            assert_eq!(read, [(&totient % (1u32 << BITS)).to_u32().unwrap()]);
        }
    }
}

/// A half is no integer, but twice it is: challenges of many bits would let it pass whenever they are even.
#[test]
fn fractions_are_no_small_integers() {
    let setup = Setup::good(3, 1, 42);
    let half: BigInt = ((&setup.q + 1u32) >> 1u32).into();
    for value in 0..redeal::GCD_MASKS + 6 {
        for answers in [Answers::Unchanged, Answers::InRange, Answers::True] {
            let shifts = vec![(value, half.clone())];
            let forced = |place: usize| (place, (BigUint::one() << 593u32) + place);
            let mut attack = Redeal::new(ME, shifts, answers);
            attack.force = (tools::U..tools::M).map(forced).collect();
            let failed = Run::new(&setup, 0, &[ME], &mut attack).generate().unwrap_err();
            if answers == Answers::True {
                failed.assert(WinnerAnswers::ROUND, Some(ME), "a value is beyond its bound");
            } else {
                assert_named(&failed);
            }
        }
    }
}

/// Halves from K1 on: p and q come out ≡ 1 (mod 4), N ≡ 1 as it should be, φ is the integer that it should be, and every
/// opening is in range.
#[test]
fn factors_of_another_residue_modulo_4_are_noticed() {
    let moved = |setup: &Setup| setup.factors().map(|factor| factor + 6u32);
    let setup = Setup::find(3, 1, 44, |setup| {
        let [p, q] = moved(setup);
        let common = (&p - 1u32).gcd(&(&q - 1u32));
        (&common >> common.trailing_zeros().unwrap()).is_one() && [p, q].iter().all(is_probable_prime)
    });
    // 6/4, modulo P₁ and modulo P₃.
    let by: BigInt = (BigUint::from(3u32) * BigUint::from(2u32).modinv(&setup.q).unwrap() % &setup.q).into();
    let shifts = vec![(redeal::P, by.clone()), (redeal::Q, by)];
    for answers in [Answers::Unchanged, Answers::InRange, Answers::True] {
        let redeal = Redeal::new(ME, shifts.clone(), answers);
        let mut attack = Redeal { from_k1: true, fit: true, ..redeal };
        let mut run = Run::new(&setup, 0, &[ME], &mut attack);
        let failed = run.generate().unwrap_err();
        assert_eq!(run.scene.modulus.as_ref().unwrap().value(), &moved(&setup).iter().product());
        if answers == Answers::True {
            failed.assert(WinnerAnswers::ROUND, Some(ME), "a value is beyond its bound");
        } else {
            assert_named(&failed);
            assert_only_the_dealing_is_wrong(&run);
            assert!(left(&run).is_one());
        }
    }
}

/// What stays within the slack of the range checks is not noticed, and harmless: the openings are the same integers.
#[test]
fn somewhat_larger_numbers_are_as_good() {
    let setup = Setup::good(3, 1, 43);
    let wide: BigInt = BigInt::one() << 300u32;
    for (value, by) in [
        (redeal::BETA, wide.clone()),
        (redeal::BETA, -wide.clone()),
        (redeal::GCD_BETAS, wide.clone()),
        (redeal::GCD_MASKS, wide),
    ] {
        let mut attack = Redeal::new(ME, vec![(value, by)], Answers::True);
        let end = Run::new(&setup, 0, &[ME], &mut attack).generate();
        assert!(matches!(end, Ok(End::Key(_))), "{end:?}");
    }
}
