//! One party lies in one round, consistently towards everybody: the honest ones end with a typed error that names it
//! wherever that can be told, or go on where the lie only wastes a candidate.
#![allow(clippy::unwrap_used, clippy::panic, clippy::ptr_arg, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::common::{LIAR, Lie, Outcome, generate};
use subrosa_arith::Modulus;
use subrosa_distributed_paillier::candidates::{self, Sampler};
use subrosa_distributed_paillier::messages::{
    CandidateShares, FirstTest, FurtherTests, IntegerShareMessage, ProductShares, TrialDecryption,
    VerificationKey, WinnerAnswers, WinnerProducts, WinnerShares, WinnerZeros,
};
use subrosa_distributed_paillier::winner::Winner;
use subrosa_distributed_paillier::{KeygenError, KeygenParameters, biprimality};
use subrosa_threshold_decryption::KeyError;
use subrosa_transport::{Message, PartyId, PerParty};

/// Every list of numbers of every round: the round, the place of the list in what the tests' driver changes, and the
/// least value that is refused.
fn lists() -> Vec<(&'static str, usize, BigUint)> {
    let parameters = parameters();
    let prime = candidates::share_shape(&parameters).bound;
    // The bounds of the winner's messages follow from the number of bits alone.
    let me = PartyId::new(0);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let sampler = Sampler::new(&parameters, me).unwrap();
    let (secrets, messages) = candidates::deal(&parameters, &sampler, me, 0, &mut rng).unwrap();
    let factors = candidates::factors(&parameters, me, &messages, 0).unwrap();
    let modulus = Modulus::new(&((BigUint::one() << 255u32) + 1u32)).unwrap();
    let winner = Winner::new(&parameters, me, secrets.candidate(0).unwrap(), &modulus, &factors).unwrap();
    let [lifts, shares] = winner.share_shape().map(|shape| shape.bound);
    let [small, wide, differences] = winner.answer_shape().map(|shape| shape.bound);
    // The modulus of the run without a lie.
    let n = run("no such round", 0, |_| ()).unwrap()[0].key().public().n().clone();
    vec![
        (CandidateShares::ROUND, 0, prime.clone()),
        (ProductShares::ROUND, 0, prime),
        (FirstTest::ROUND, 0, BigUint::one() << 256u32),
        (FurtherTests::ROUND, 0, n.clone()),
        (WinnerShares::ROUND, 0, shares),
        (WinnerShares::ROUND, 1, lifts),
        (WinnerProducts::ROUND, 0, winner.product_shape().bound),
        (WinnerAnswers::ROUND, 0, small),
        (WinnerAnswers::ROUND, 1, wide),
        (WinnerAnswers::ROUND, 2, differences),
        (WinnerZeros::ROUND, 0, winner.zero_shape().bound),
        (VerificationKey::ROUND, 0, &n * &n),
        (VerificationKey::ROUND, 1, n.clone()),
        (TrialDecryption::ROUND, 0, &n * &n),
    ]
}

fn parameters() -> KeygenParameters {
    KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(64)
}

/// A run in which the liar changes a list in each of its messages of a round.
fn run(round: &'static str, list: usize, mut change: impl FnMut(&mut Vec<BigInt>)) -> Outcome {
    generate(&parameters(), 3, &mut Lie { round, list, change: &mut change })
}

fn errors(outcome: Outcome) -> Vec<KeygenError> {
    let errors: Vec<_> = outcome.unwrap_err().into_iter().map(|(_, error)| error).collect();
    for error in &errors {
        // No honest party is ever blamed.
        assert!(error.culprits().is_empty() || error.culprits() == [LIAR], "{error}");
    }
    errors
}

fn add_one(numbers: &mut Vec<BigInt>) {
    numbers.iter_mut().for_each(|number| *number += 1);
}

fn make_zero(numbers: &mut Vec<BigInt>) {
    numbers.iter_mut().for_each(|number| *number = BigInt::zero());
}

fn assert_named(round: &str, what: &str, outcome: Outcome) {
    for error in errors(outcome) {
        assert!(matches!(error, KeygenError::Invalid { .. }), "{round}, {what}: {error}");
        assert_eq!(error.culprits(), [LIAR], "{round}, {what}: {error}");
    }
}

fn assert_inconsistent(outcome: Outcome) {
    for error in errors(outcome) {
        assert!(matches!(error, KeygenError::Inconsistent { .. }), "{error}");
    }
}

#[test]
fn without_a_lie_the_steps_give_a_key() {
    let shares = run("no such round", 0, |_| ()).unwrap();
    assert_eq!(shares.len(), 3);
    assert_eq!(shares[0].key().public().bits(), 256);
}

#[test]
fn too_few_too_many_or_too_large_values_name_their_sender_in_every_list() {
    for (round, list, bound) in lists() {
        let name = format!("{round}, list {list}");
        let fewer = run(round, list, |numbers| {
            numbers.pop();
        });
        assert_named(&name, "fewer", fewer);
        assert_named(&name, "none", run(round, list, Vec::clear));
        assert_named(&name, "more", run(round, list, |numbers| numbers.push(BigInt::one())));
        let bound = BigInt::from(bound);
        for large in [BigInt::one() << 20_000u32, bound.clone()] {
            let first = run(round, list, |numbers| numbers[0] = large.clone());
            assert_named(&name, "the first too large", first);
            let last = run(round, list, |numbers| *numbers.last_mut().unwrap() = large.clone());
            assert_named(&name, "the last too large", last);
        }
        // The same residue, not reduced: what is a power or a share is the same number for whoever reduces it.
        let again = run(round, list, |numbers| numbers[0] += &bound);
        assert_named(&name, "not reduced", again);
    }
    for value in [BigInt::one() << 2000u32, -(BigInt::one() << 2000u32)] {
        let large = run(IntegerShareMessage::ROUND, 0, |numbers| numbers[0] = value.clone());
        assert_named("integer shares", "large", large);
    }
}

#[test]
fn wrong_shares_of_candidates_give_moduli_of_the_wrong_form() {
    assert_inconsistent(run(CandidateShares::ROUND, 0, add_one));
    assert_inconsistent(run(CandidateShares::ROUND, 0, make_zero));
    assert_inconsistent(run(ProductShares::ROUND, 0, add_one));
    assert_inconsistent(run(ProductShares::ROUND, 0, make_zero));
}

#[test]
fn opened_shares_of_an_earlier_batch_are_noticed() {
    let mut earlier: Option<Vec<BigInt>> = None;
    let replayed = run(ProductShares::ROUND, 0, |numbers| match &earlier {
        None => earlier = Some(numbers.clone()),
        Some(values) => numbers.clone_from(values),
    });
    assert_inconsistent(replayed);
}

#[test]
fn a_zero_in_a_biprimality_test_names_its_sender() {
    // With a second liar, zeros would agree with each other whatever the modulus.
    assert_named("first test", "zero", run(FirstTest::ROUND, 0, make_zero));
    assert_named("further tests", "zero", run(FurtherTests::ROUND, 0, make_zero));
    // Below 2^k, but beyond a modulus of k bits.
    let beyond: BigInt = (BigInt::one() << 256u32) - 1;
    assert_named("first test", "beyond N", run(FirstTest::ROUND, 0, |numbers| numbers[0] = beyond.clone()));
    let beyond = run(FurtherTests::ROUND, 0, |numbers| numbers[79] = beyond.clone());
    assert_named("further tests", "beyond N", beyond);
}

#[test]
fn a_wrong_value_in_a_biprimality_test_costs_candidates_and_at_last_the_run() {
    let two = |numbers: &mut Vec<BigInt>| numbers.iter_mut().for_each(|number| *number = BigInt::from(2));
    let honest = run("no such round", 0, |_| ()).unwrap();
    // Told about the one good modulus, the lie rejects it; the next one is found all the same.
    let mut told = false;
    let shares = run(FurtherTests::ROUND, 0, |numbers| {
        if !std::mem::replace(&mut told, true) {
            two(numbers);
        }
    });
    assert_ne!(shares.unwrap()[0].key().public(), honest[0].key().public());
    // Told in every batch, no key comes, and the run ends.
    let never = run(FirstTest::ROUND, 0, two);
    for error in errors(never) {
        assert!(matches!(error, KeygenError::Exhausted { .. }), "{error}");
    }
}

#[test]
fn a_wrong_residue_of_a_mask_fails_the_trial_decryption() {
    for change in [add_one, make_zero] {
        for error in errors(run(VerificationKey::ROUND, 1, change)) {
            assert!(error.to_string().contains("trial decryption"), "{error}");
        }
    }
}

#[test]
fn a_wrong_integer_share_contradicts_the_verification_keys() {
    for change in [add_one, make_zero] {
        for error in errors(run(IntegerShareMessage::ROUND, 0, change)) {
            let expected = matches!(error, KeygenError::Key(KeyError::InconsistentVerificationKeys));
            // Zero instead of a negative share can take the sum of another dealer's below zero or not.
            assert!(expected || matches!(error, KeygenError::Inconsistent { .. }), "{error}");
        }
    }
    // As negative as the shape allows: the honest party's sum is negative.
    let bits = subrosa_threshold_decryption::share_bits(parameters().access(), 256);
    let negative = run(IntegerShareMessage::ROUND, 0, |numbers| numbers[0] = -(BigInt::one() << bits));
    assert_inconsistent(negative);
}

#[test]
fn a_wrong_verification_key_is_named() {
    assert_named("verification key", "plus one", run(VerificationKey::ROUND, 0, add_one));
    assert_named("verification key", "zero", run(VerificationKey::ROUND, 0, make_zero));
}

#[test]
fn a_wrong_trial_decryption_is_named() {
    assert_named("trial decryption", "plus one", run(TrialDecryption::ROUND, 0, add_one));
    assert_named("trial decryption", "zero", run(TrialDecryption::ROUND, 0, make_zero));
}

/// An application that drives the steps itself may hand over too few messages.
#[test]
fn a_missing_message_is_a_typed_error() {
    let parameters = parameters();
    let none = || PerParty::from_vec(vec![]);
    let me = PartyId::new(0);
    assert!(candidates::multiply(&parameters, me, &none()).is_err());
    assert!(candidates::open(&parameters, &PerParty::from_vec(vec![])).is_err());
    assert!(biprimality::passed(&parameters, 0, &[], &PerParty::from_vec(vec![])).is_err());
    let modulus = Modulus::new(&BigUint::from(15u32)).unwrap();
    assert!(biprimality::all_passed(&parameters, 0, &modulus, &PerParty::from_vec(vec![])).is_err());
}
