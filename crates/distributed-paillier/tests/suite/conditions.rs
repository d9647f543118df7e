//! The two gcd conditions on a modulus, against the same conditions computed from its factors.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};

use crate::steps::redeal::{self, Answers, Redeal};
use crate::steps::{BATCH, End, Honest, Run, Setup, parties, tools};
use subrosa_arith::prime::is_probable_prime;
use subrosa_arith::sieve::TrialDivision;
use subrosa_distributed_paillier::messages::{
    FurtherTests, TrialProof, VerificationKey, WinnerProducts, WinnerZeros,
};
use subrosa_distributed_paillier::winner::ATTEMPTS;
use subrosa_transport::{Message, PartyId};

/// Not primes as a rule, which W1 to W4 do not ask for. That θ is a unit is seen in K9, and that d is a multiple of the
/// group's order in K10.
#[test]
fn a_modulus_is_accepted_exactly_if_both_conditions_hold() {
    let sieve = TrialDivision::new(1 << 13);
    let [mut accepted, mut no_unit, mut common, mut composite, mut prime] = [0; 5];
    for (batch, index) in (0..12).flat_map(|batch| (0..BATCH).map(move |index| (batch, index))) {
        let mut setup = Setup::draw((3, 1, 256), 9, batch * BATCH as u64);
        setup.index = index;
        let [p, q] = setup.factors();
        let (n, totient) = (&p * &q, (&p - 1u32) * (&q - 1u32));
        let unit = totient.gcd(&n).is_one();
        let mut honest = Honest;
        let mut run = Run::new(&setup, 0, &[], &mut honest);
        let Some(found) = run.untested().unwrap() else {
            assert!(!setup.common_factor().is_one(), "candidate {index} of batch {batch}");
            assert_eq!(run.attempts, ATTEMPTS);
            common += 1;
            continue;
        };
        assert!(setup.common_factor().is_one(), "candidate {index} of batch {batch}");
        accepted += 1;
        // A random β is a multiple of a small factor of N too often; primes are what the condition is for.
        if unit && sieve.has_small_factor(&n).is_some() {
            continue;
        }
        match run.share_key(&found) {
            Ok(_) => {
                assert!(unit && is_probable_prime(&p) && is_probable_prime(&q));
                prime += 1;
            }
            Err(failed) if unit => {
                assert!(!is_probable_prime(&p) || !is_probable_prime(&q));
                failed.assert(TrialProof::ROUND, None, "");
                composite += 1;
            }
            Err(failed) => {
                failed.assert(VerificationKey::ROUND, None, "θ is no unit modulo N");
                no_unit += 1;
            }
        }
    }
    // Each case occurs, so that each is tested.
    let cases = [accepted, no_unit, common, composite, prime];
    let least = [200, 3, 3, 10, 1];
    assert!(cases.iter().zip(least).all(|(&count, least)| count >= least), "{cases:?}");
}

/// Primes p and q that pass every test of K4 and K5.
#[test]
fn primes_with_a_common_factor_are_rejected_after_all_attempts() {
    let setup = Setup::with_common_factor();
    let mut honest = Honest;
    let mut run = Run::new(&setup, 0, &[], &mut honest);
    assert!(matches!(run.generate(), Ok(End::Rejected(WinnerZeros::ROUND))));
    assert_eq!(run.attempts, ATTEMPTS);
}

/// The party that answers for a prime of M: the others' summands are multiples of it.
fn owner(setup: &Setup, prime: u32) -> PartyId {
    let mine = |party: &PartyId| !(setup.candidate(*party).p().expose() % prime).is_zero();
    parties(setup.parties()).find(mine).unwrap()
}

/// What to add to p, so that it is ≡ `residue` modulo one prime of M and as it was modulo 4 and the others.
fn shift(factor: &BigUint, prime: u32, residue: u32) -> BigUint {
    let rest = BigUint::from(4u32 * 3 * 5 * 7 * 11 * 13 / prime);
    let steps = (prime + residue - factor % prime) * (&rest % prime).modinv(&prime.into()).unwrap() % prime;
    rest * steps
}

/// Who answers for a prime ℓ of M keeps its summands from 1 modulo ℓ. One that does not brings ℓ into p − 1 and q − 1, and
/// fits its values in K4 and K5 to the others'.
#[test]
fn a_dealer_that_brings_a_prime_of_m_into_both_factors_gains_nothing() {
    for prime in [3u32, 5, 7, 11, 13] {
        // With another residue the same shift is no lie at all: what ends the run is ℓ.
        for residue in [1, 2] {
            let shifts = |setup: &Setup| setup.factors().map(|factor| shift(&factor, prime, residue));
            let suits = |setup: &Setup| {
                let [p, q] = setup.factors();
                let [by_p, by_q] = shifts(setup);
                let (p, q) = (p + by_p, q + by_q);
                let common = (&p >> 1u32).gcd(&(&q >> 1u32));
                let expected = if residue == 1 { prime } else { 1 };
                common == BigUint::from(expected) && is_probable_prime(&p) && is_probable_prime(&q)
            };
            let setup = Setup::find(3, 1, 8, suits);
            let me = owner(&setup, prime);
            let [by_p, by_q] = shifts(&setup).map(|by| BigInt::from(by >> 2u32));
            let shifts = vec![(redeal::P, by_p), (redeal::Q, by_q)];
            let mut attack = Redeal { from_k1: true, fit: true, ..Redeal::new(me, shifts, Answers::True) };
            let mut run = Run::new(&setup, 0, &[me], &mut attack);
            let end = run.generate().unwrap();
            if residue == 2 {
                assert!(matches!(end, End::Key(_)), "{end:?}");
                continue;
            }
            assert!(matches!(end, End::Rejected(WinnerZeros::ROUND)), "{end:?}");
            assert_eq!((run.attempts, run.all_published(FurtherTests::ROUND).len()), (ATTEMPTS, 1));
            for place in tools::W..tools::M {
                assert!((run.opened(WinnerProducts::ROUND, 0, place) % prime).is_zero(), "{prime}");
            }
        }
    }
}
