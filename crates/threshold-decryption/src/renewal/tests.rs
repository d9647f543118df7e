//! Ranges of what is dealt: against the formulas, and against dealers that leave them.

use num_bigint::{BigInt, BigUint};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Refresh, RenewalError, Resharing};
use crate::{AccessStructure, KeyShare, dealer, verification_base};
use subrosa_paillier::{PrivateKey, PublicKey};
use subrosa_transport::{PartyId, PerParty};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn shares() -> Vec<KeyShare> {
    let private = PrivateKey::generate_insecure(256, &mut rng(1)).unwrap();
    dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng(2)).unwrap()
}

const DEALERS: [PartyId; 2] = [PartyId::new(0), PartyId::new(2)];

fn resharing(shares: &[KeyShare]) -> Resharing {
    Resharing::new(shares[0].key(), &DEALERS, AccessStructure::new(3, 1).unwrap()).unwrap()
}

/// Whether numbers that should be uniform below a bound are below it, and some of them near it.
fn fills(bound: &BigUint, numbers: &[BigInt]) -> bool {
    let bound = BigInt::from(bound.clone());
    let (least, greatest) = (numbers.iter().min().unwrap(), numbers.iter().max().unwrap());
    // Each of these fails with probability (7/8)^80 < 2^−15 for good numbers, and the seeds are fixed.
    *least >= BigInt::ZERO && *greatest < bound && least * 8 < bound && greatest * 8 > bound * 7
}

#[test]
fn coefficients_fill_their_range() {
    let shares = shares();
    let first = PartyId::new(0);
    // t = 1: a value at 1 is the coefficient itself, and Σ n^m = 3.
    let refresh = Refresh::new(shares[0].key()).unwrap();
    let bound = refresh.share_range().end.magnitude() / 3u32;
    let dealt: Vec<BigInt> =
        (0..80).map(|seed| refresh.deal(&mut rng(seed)).1[first].value.clone()).collect();
    assert!(fills(&bound, &dealt));

    // 2^σ·Δ′·t′·(t+1)·max|μ|·2^s with μ = 6·3/2 = 9 and 6·1/−2 = −3.
    let resharing = resharing(&shares);
    let bound = (BigUint::from(6u32 * 2 * 9) << 80u32) << shares[0].key().parts().share_bits;
    let dealt: Vec<BigInt> = (0..80)
        .map(|seed| {
            let (_, dealt) = resharing.deal(&shares[2], &mut rng(seed)).unwrap();
            &dealt[PartyId::new(1)].value - &dealt[first].value
        })
        .collect();
    assert!(fills(&bound, &dealt));
    let constant = BigInt::from(BigUint::from(6u32) << shares[0].key().parts().share_bits);
    let (first, second) = (resharing.share_range(0), resharing.share_range(1));
    let tail = BigInt::from(bound * 3u32);
    assert_eq!((first.least, first.end), (BigInt::ZERO, &constant * 9 + &tail));
    assert_eq!((second.least, second.end), (constant * -3, tail));
}

/// `base^exponent` for an exponent of either sign.
fn power(public: &PublicKey, base: &BigUint, exponent: &BigInt) -> BigUint {
    let modulus = public.modulus_squared();
    let power = modulus.vartime_pow(&modulus.residue(base), exponent.magnitude());
    let negative = *exponent < BigInt::ZERO;
    modulus.to_uint(&if negative { modulus.vartime_invert(&power).unwrap() } else { power })
}

fn is_beyond_the_bound(error: &RenewalError, expected: PartyId) -> bool {
    matches!(error, RenewalError::BadDealer { dealer, reason } if *dealer == expected && reason.contains("beyond"))
}

/// Values that fit their commitments, but come from coefficients that are too large.
#[test]
fn dealers_that_leave_the_range_and_stay_consistent_are_named() {
    let shares = shares();
    let (public, delta) = (shares[0].key().public(), BigInt::from(6));
    let v = verification_base(public);
    let n_squared = public.modulus_squared().value();

    let refresh = Refresh::new(shares[0].key()).unwrap();
    let (mut commitments, mut dealt): (Vec<_>, Vec<_>) =
        (0..3).map(|seed| refresh.deal(&mut rng(seed))).unzip();
    let extra = refresh.share_range().end;
    commitments[1].values[0] = &commitments[1].values[0] * power(public, &v, &(&delta * &extra)) % n_squared;
    let mine = dealt.iter_mut().enumerate().map(|(dealer, values)| {
        let mut mine = values[PartyId::new(0)].clone();
        mine.value += if dealer == 1 { extra.clone() } else { BigInt::ZERO };
        mine
    });
    let mine = PerParty::from_vec(mine.collect());
    let error = refresh.finish(&shares[0], &PerParty::from_vec(commitments), &mine).unwrap_err();
    assert!(is_beyond_the_bound(&error, PartyId::new(1)), "{error}");

    let resharing = resharing(&shares);
    for place in 0..2 {
        let range = resharing.share_range(place);
        for extra in [range.end.clone(), &range.least - &range.end] {
            let (mut commitments, dealt): (Vec<_>, Vec<_>) = DEALERS
                .iter()
                .map(|dealer| resharing.deal(&shares[dealer.index()], &mut rng(3)).unwrap())
                .unzip();
            let factor = power(public, &v, &(&delta * &delta * &extra));
            commitments[place].values[0] = &commitments[place].values[0] * factor % n_squared;
            let mut mine: Vec<_> = dealt.iter().map(|values| values[PartyId::new(0)].clone()).collect();
            mine[place].value += &extra;
            let error = resharing.receive(PartyId::new(0), &commitments, &mine).unwrap_err();
            assert!(is_beyond_the_bound(&error, DEALERS[place]), "{error}");
        }
    }
}

#[test]
fn shares_of_another_key_are_not_refreshed() {
    let shares = shares();
    let refresh = Refresh::new(shares[0].key()).unwrap();
    let (commitments, dealt): (Vec<_>, Vec<_>) = (0..3).map(|seed| refresh.deal(&mut rng(seed))).unzip();
    let mine = PerParty::from_vec(dealt.iter().map(|values| values[PartyId::new(0)].clone()).collect());
    let commitments = PerParty::from_vec(commitments);
    assert!(refresh.finish(&shares[0], &commitments, &mine).is_ok());
    let private = PrivateKey::generate_insecure(256, &mut rng(7)).unwrap();
    let others = dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng(8)).unwrap();
    let error = refresh.finish(&others[0], &commitments, &mine).unwrap_err();
    assert!(matches!(error, RenewalError::Roster { .. }), "{error}");
}
