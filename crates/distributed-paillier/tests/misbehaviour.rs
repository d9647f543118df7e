//! One party lies in one round, consistently towards everybody: the honest ones end with a typed error that names it
//! wherever that can be told, or go on where the lie only wastes a candidate.
#![allow(clippy::unwrap_used, clippy::panic, clippy::ptr_arg, reason = "test code")]

#[expect(unreachable_pub, reason = "shared by test files")]
mod common;

use common::{LIAR, Lie, Outcome, generate};
use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};
use subrosa_distributed_paillier::messages::{
    CandidateShares, FirstTest, FurtherTests, IntegerShareMessage, KeyOpenings, KeyShares, MaskResidue,
    ProductShares, TrialDecryption, VerificationKey,
};
use subrosa_distributed_paillier::{KeygenError, KeygenParameters};
use subrosa_threshold_decryption::{DecryptionError, KeyError};
use subrosa_transport::Message;

/// Every round that carries a list of numbers.
const LISTS: [&str; 9] = [
    CandidateShares::ROUND,
    ProductShares::ROUND,
    FirstTest::ROUND,
    FurtherTests::ROUND,
    KeyShares::ROUND,
    KeyOpenings::ROUND,
    MaskResidue::ROUND,
    VerificationKey::ROUND,
    TrialDecryption::ROUND,
];

fn parameters() -> KeygenParameters {
    KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(64)
}

/// A run in which the liar changes each of its messages of a round.
fn run(round: &'static str, mut change: impl FnMut(&mut Vec<BigInt>)) -> Outcome {
    generate(&parameters(), 3, &mut Lie { round, change: &mut change })
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
    let shares = run("no such round", |_| ()).unwrap();
    assert_eq!(shares.len(), 3);
    assert_eq!(shares[0].key().public().bits(), 256);
}

#[test]
fn too_few_too_many_or_too_large_values_name_their_sender_in_every_round() {
    for round in LISTS {
        let fewer = run(round, |numbers| {
            numbers.pop();
        });
        assert_named(round, "fewer", fewer);
        assert_named(round, "none", run(round, Vec::clear));
        assert_named(round, "more", run(round, |numbers| numbers.push(BigInt::one())));
        let large = run(round, |numbers| numbers[0] = BigInt::one() << 2000u32);
        assert_named(round, "large", large);
    }
    for value in [BigInt::one() << 2000u32, -(BigInt::one() << 2000u32)] {
        let large = run(IntegerShareMessage::ROUND, |numbers| numbers[0] = value.clone());
        assert_named("integer shares", "large", large);
    }
}

#[test]
fn wrong_shares_of_candidates_give_moduli_of_the_wrong_form() {
    assert_inconsistent(run(CandidateShares::ROUND, add_one));
    assert_inconsistent(run(CandidateShares::ROUND, make_zero));
    assert_inconsistent(run(ProductShares::ROUND, add_one));
    assert_inconsistent(run(ProductShares::ROUND, make_zero));
}

#[test]
fn opened_shares_of_an_earlier_batch_are_noticed() {
    let mut earlier: Option<Vec<BigInt>> = None;
    let replayed = run(ProductShares::ROUND, |numbers| match &earlier {
        None => earlier = Some(numbers.clone()),
        Some(values) => numbers.clone_from(values),
    });
    assert_inconsistent(replayed);
}

#[test]
fn a_zero_in_a_biprimality_test_names_its_sender() {
    // With a second liar, zeros would agree with each other whatever the modulus.
    assert_named("first test", "zero", run(FirstTest::ROUND, make_zero));
    assert_named("further tests", "zero", run(FurtherTests::ROUND, make_zero));
    // Below 2^k, but beyond a modulus of k bits.
    let beyond: BigInt = (BigInt::one() << 256u32) - 1;
    assert_named("first test", "beyond N", run(FirstTest::ROUND, |numbers| numbers[0] = beyond.clone()));
    let beyond = run(FurtherTests::ROUND, |numbers| numbers[79] = beyond.clone());
    assert_named("further tests", "beyond N", beyond);
}

#[test]
fn a_wrong_value_in_a_biprimality_test_costs_candidates_and_at_last_the_run() {
    let two = |numbers: &mut Vec<BigInt>| numbers.iter_mut().for_each(|number| *number = BigInt::from(2));
    let honest = run("no such round", |_| ()).unwrap();
    // Told about the one good modulus, the lie rejects it; the next one is found all the same.
    let mut told = false;
    let shares = run(FurtherTests::ROUND, |numbers| {
        if !std::mem::replace(&mut told, true) {
            two(numbers);
        }
    });
    assert_ne!(shares.unwrap()[0].key().public(), honest[0].key().public());
    // Told in every batch, no key comes, and the run ends.
    let never = run(FirstTest::ROUND, two);
    for error in errors(never) {
        assert!(matches!(error, KeygenError::Exhausted { .. }), "{error}");
    }
}

#[test]
fn wrong_shares_of_the_decryption_key_are_noticed_when_it_is_opened() {
    for change in [add_one, make_zero] {
        assert_inconsistent(run(KeyShares::ROUND, change));
    }
    // Anything but a small shift leaves the range of what honest parties open.
    assert_inconsistent(run(KeyOpenings::ROUND, make_zero));
    // The Lagrange coefficients of three parties are 3, −3 and 1: the opening is off by 3, the key is no multiple of
    // φ(N) any more, and decryption shows it.
    for error in errors(run(KeyOpenings::ROUND, add_one)) {
        let expected = matches!(error, KeygenError::Decryption(DecryptionError::Inconsistent { .. }));
        assert!(expected, "{error}");
    }
}

#[test]
fn a_wrong_residue_of_a_mask_fails_the_trial_decryption() {
    for change in [add_one, make_zero] {
        for error in errors(run(MaskResidue::ROUND, change)) {
            assert!(error.to_string().contains("trial decryption"), "{error}");
        }
    }
}

#[test]
fn a_wrong_integer_share_contradicts_the_verification_keys() {
    for change in [add_one, make_zero] {
        for error in errors(run(IntegerShareMessage::ROUND, change)) {
            let expected = matches!(error, KeygenError::Key(KeyError::InconsistentVerificationKeys));
            // Zero instead of a negative share can take the sum of another dealer's below zero or not.
            assert!(expected || matches!(error, KeygenError::Inconsistent { .. }), "{error}");
        }
    }
    // As negative as the shape allows: the honest party's sum is negative.
    let bits = subrosa_threshold_decryption::share_bits(parameters().access(), 256);
    let negative = run(IntegerShareMessage::ROUND, |numbers| numbers[0] = -(BigInt::one() << bits));
    assert_inconsistent(negative);
}

#[test]
fn a_wrong_verification_key_is_named() {
    assert_named("verification key", "plus one", run(VerificationKey::ROUND, add_one));
    assert_named("verification key", "zero", run(VerificationKey::ROUND, make_zero));
}

#[test]
fn a_wrong_trial_decryption_is_named() {
    assert_named("trial decryption", "plus one", run(TrialDecryption::ROUND, add_one));
    assert_named("trial decryption", "zero", run(TrialDecryption::ROUND, make_zero));
}

/// An application that drives the steps itself may hand over too few messages.
#[test]
fn a_missing_message_is_a_typed_error() {
    use subrosa_distributed_paillier::{biprimality, candidates};
    use subrosa_transport::PerParty;

    let parameters = parameters();
    let none = || PerParty::from_vec(vec![]);
    let me = subrosa_transport::PartyId::new(0);
    assert!(candidates::multiply(&parameters, me, &none()).is_err());
    assert!(candidates::open(&parameters, &PerParty::from_vec(vec![])).is_err());
    assert!(biprimality::passed(&parameters, 0, &[], &PerParty::from_vec(vec![])).is_err());
    let modulus = subrosa_arith::Modulus::new(&BigUint::from(15u32)).unwrap();
    assert!(biprimality::all_passed(&parameters, 0, &modulus, &PerParty::from_vec(vec![])).is_err());
}
