//! Properties of both kinds of sharing, and what the openings notice.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_arith::SecretInt;
use subrosa_shamir::{
    FailureKind, IntegerShare, IntegerSharing, ProductCheck, ProductRing, RingShare, ShamirError, ShareRing,
    Triple, factorial,
};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Every choice of `size` places out of `of`.
fn subsets(of: usize, size: usize) -> Vec<Vec<usize>> {
    (0u32..1 << of)
        .filter(|mask| mask.count_ones() as usize == size)
        .map(|mask| (0..of).filter(|i| mask >> i & 1 == 1).collect())
        .collect()
}

fn pairs<'a>(shares: &'a [RingShare], which: &[usize]) -> Vec<(u32, &'a BigUint)> {
    which.iter().map(|&i| (shares[i].point(), shares[i].value().expose())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sufficient_subset_opens_a_field_sharing(secret in any::<i128>(), n in 1u32..7, degree in 0u32..7, seed: u64) {
        prop_assume!(degree < n);
        let field = ShareRing::above(&(BigUint::one() << 130u32));
        let shares = field.share(&BigInt::from(secret), degree, n, &mut rng(seed)).unwrap();
        let expected = if secret < 0 { field.modulus() - BigUint::from(secret.unsigned_abs()) } else { BigUint::from(secret.unsigned_abs()) };
        for size in degree as usize + 1..=n as usize {
            for which in subsets(n as usize, size) {
                prop_assert_eq!(&field.reconstruct(&pairs(&shares, &which), degree).unwrap(), &expected);
            }
        }
    }

    #[test]
    fn sums_and_masked_products_share_sums_and_products(a: u64, b: u64, t in 1u32..4, seed: u64) {
        let n = 2 * t + 1;
        let field = ShareRing::above(&(BigUint::one() << 129u32));
        let mut rng = rng(seed);
        let x = field.share(&BigInt::from(a), t, n, &mut rng).unwrap();
        let y = field.share(&BigInt::from(b), t, n, &mut rng).unwrap();
        let zero = field.share_zero(2 * t, n, &mut rng).unwrap();
        let all: Vec<usize> = (0..n as usize).collect();
        let sums: Vec<_> = all.iter().map(|&j| field.sum([&x[j], &y[j]]).unwrap()).collect();
        prop_assert_eq!(field.reconstruct(&pairs(&sums, &all), t).unwrap(), BigUint::from(a) + b);
        let scaled: Vec<_> = x.iter().map(|share| field.scale(share, &BigUint::from(b)).unwrap()).collect();
        prop_assert_eq!(field.reconstruct(&pairs(&scaled, &all), t).unwrap(), BigUint::from(a) * b);
        let products: Vec<_> = all.iter().map(|&j| field.masked_product(&x[j], &y[j], &zero[j]).unwrap()).collect();
        prop_assert_eq!(field.reconstruct(&pairs(&products, &all), 2 * t).unwrap(), BigUint::from(a) * b);
    }

    #[test]
    fn any_sufficient_subset_opens_an_integer_sharing(secret in any::<i64>(), n in 2u32..7, degree in 1u32..6, seed: u64) {
        prop_assume!(degree < n);
        let bound = IntegerSharing::hiding_bound(n, degree, &BigUint::from(u64::MAX), 80);
        let sharing = IntegerSharing::new(n, degree, bound).unwrap();
        let shares = sharing.share(&BigInt::from(secret), &mut rng(seed));
        for which in subsets(n as usize, degree as usize + 1) {
            let some: Vec<_> = which.iter().map(|&i| shares[i].clone()).collect();
            prop_assert_eq!(sharing.reconstruct(&some).unwrap(), BigInt::from(secret));
        }
    }
}

#[test]
fn a_self_wiping_secret_is_dealt_as_any_other() {
    let field = ShareRing::above(&BigUint::from(1_000_003u32));
    // Longer than the field's prime: it is reduced.
    let secret = SecretInt::new(BigUint::from(5_000_000u32), 64).unwrap();
    let shares = field.share_secret(&secret, 1, 3, &mut rng(8)).unwrap();
    let plain = field.share(&BigInt::from(5_000_000), 1, 3, &mut rng(8)).unwrap();
    for (share, other) in shares.iter().zip(&plain) {
        assert_eq!((share.point(), share.value().expose()), (other.point(), other.value().expose()));
    }
    assert_eq!(
        field.reconstruct(&pairs(&shares, &[0, 2]), 1).unwrap(),
        BigUint::from(5_000_000u32) % field.modulus()
    );
    let refused = field.share_secret(&secret, 3, 3, &mut rng(8)).unwrap_err();
    assert_eq!(refused, ShamirError::DegreeTooHigh { degree: 3, parties: 3 });
}

#[test]
fn a_changed_share_is_noticed_where_there_are_spare_ones() {
    let field = ShareRing::above(&BigUint::from(1_000_003u32));
    let shares = field.share(&BigInt::from(5), 1, 4, &mut rng(1)).unwrap();
    let wrong = (shares[3].value().expose() + 1u32) % field.modulus();
    let mut given = pairs(&shares, &[0, 1, 2]);
    given.push((4, &wrong));
    assert_eq!(field.reconstruct(&given, 1), Err(ShamirError::Inconsistent { degree: 1 }));
}

#[test]
fn too_few_shares_bad_points_and_bad_values_are_typed_errors() {
    let field = ShareRing::above(&BigUint::from(100u32));
    let (one, big) = (BigUint::one(), BigUint::from(101u32));
    assert_eq!(field.modulus(), &big);
    assert_eq!(field.reconstruct(&[(1, &one)], 1), Err(ShamirError::TooFewShares { given: 1, degree: 1 }));
    assert_eq!(field.reconstruct(&[(1, &one), (1, &one)], 1), Err(ShamirError::BadPoint { point: 1 }));
    assert_eq!(field.reconstruct(&[(1, &one), (0, &one)], 1), Err(ShamirError::BadPoint { point: 0 }));
    assert_eq!(field.reconstruct(&[(1, &one), (101, &one)], 1), Err(ShamirError::BadPoint { point: 101 }));
    let out = ShamirError::OutOfRange { what: "a share in [0, m)" };
    assert_eq!(field.reconstruct(&[(1, &one), (2, &big)], 1), Err(out.clone()));
    assert_eq!(field.accept(1, big).unwrap_err(), out);
    let mut rng = rng(2);
    assert_eq!(
        field.share(&BigInt::one(), 3, 3, &mut rng).unwrap_err(),
        ShamirError::DegreeTooHigh { degree: 3, parties: 3 }
    );
    assert_eq!(
        field.share(&BigInt::one(), 3, 200, &mut rng).unwrap_err(),
        ShamirError::FieldTooSmall { parties: 200 }
    );
    assert_eq!(ShareRing::prime(BigUint::from(1_000_001u32)).unwrap_err(), ShamirError::NotPrime);
}

/// With the same secret, one share alone takes every value of the field about equally often.
#[test]
fn one_share_of_degree_one_is_uniform() {
    let field = ShareRing::prime(BigUint::from(11u32)).unwrap();
    let mut rng = rng(3);
    let mut counts = [0u32; 11];
    for _ in 0..11_000 {
        let share = field.share(&BigInt::from(7), 1, 3, &mut rng).unwrap()[0].value().expose().clone();
        counts[share.iter_u64_digits().next().unwrap_or(0) as usize] += 1;
    }
    // χ² with 10 degrees of freedom: above 40 has probability 2·10⁻⁵, and the seed is fixed.
    let chi: f64 = counts.iter().map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0).sum();
    assert!(chi < 40.0, "χ² = {chi}, counts {counts:?}");
}

#[test]
fn integer_coefficients_stay_below_their_bound_and_vary() {
    let bound = BigUint::from(1000u32);
    let sharing = IntegerSharing::new(3, 1, bound.clone()).unwrap();
    let mut rng = rng(4);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..500 {
        let shares = sharing.share(&BigInt::from(-3), &mut rng);
        let slope = shares[1].expose() - shares[0].expose();
        assert!(slope >= BigInt::zero() && slope < BigInt::from(bound.clone()));
        assert_eq!(shares[0].expose() - &slope, BigInt::from(-3) * BigInt::from(factorial(3)));
        seen.insert(slope);
    }
    assert!(seen.len() > 300, "only {} different slopes", seen.len());
    assert!(seen.first() < Some(&BigInt::from(50)) && seen.last() > Some(&BigInt::from(950)));
}

/// A mask of a lower degree would leave the upper coefficients of a product as they are.
#[test]
fn zero_sharings_have_their_whole_degree() {
    let field = ShareRing::above(&(BigUint::one() << 64u32));
    for (degree, n) in [(1, 3), (2, 3), (2, 5), (4, 5), (6, 7)] {
        let zero = field.share_zero(degree, n, &mut rng(u64::from(degree))).unwrap();
        let all = pairs(&zero, &(0..n as usize).collect::<Vec<_>>());
        assert!(field.reconstruct(&all, degree).unwrap().is_zero());
        let lower = ShamirError::Inconsistent { degree: degree - 1 };
        assert_eq!(field.reconstruct(&all, degree - 1), Err(lower), "degree {degree}, {n} parties");
    }
}

#[test]
fn the_mask_of_a_product_is_added_to_it() {
    let field = ShareRing::above(&BigUint::from(1_000_003u32));
    let deal = |secret, degree, seed| field.share(&BigInt::from(secret), degree, 3, &mut rng(seed)).unwrap();
    let (x, y, mask) = (deal(6, 1, 1), deal(7, 1, 2), deal(100, 2, 3));
    let products: Vec<_> = (0..3).map(|j| field.masked_product(&x[j], &y[j], &mask[j]).unwrap()).collect();
    assert_eq!(field.reconstruct(&pairs(&products, &[0, 1, 2]), 2).unwrap(), BigUint::from(142u32));
}

#[test]
fn shares_at_different_points_are_not_mixed() {
    let field = ShareRing::above(&BigUint::from(1_000_003u32));
    let shares = field.share(&BigInt::from(6), 1, 3, &mut rng(1)).unwrap();
    let [one, two] = [&shares[0], &shares[1]];
    let bad = ShamirError::BadPoint { point: 2 };
    assert_eq!(field.sum([one, two]).unwrap_err(), bad);
    assert_eq!(field.masked_product(one, two, one).unwrap_err(), bad);
    assert_eq!(field.masked_product(one, one, two).unwrap_err(), bad);
    assert_eq!(field.sum([]).unwrap_err(), ShamirError::TooFewShares { given: 0, degree: 0 });
    let integers = [IntegerShare::new(1, 5.into()), IntegerShare::new(2, 5.into())];
    assert_eq!(IntegerSharing::total(&integers), Err(bad));
}

/// With as many parties as elements, one of them would get the secret itself.
#[test]
fn fields_are_larger_than_the_number_of_parties() {
    let field = ShareRing::prime(BigUint::from(3u32)).unwrap();
    let deal = |parties| field.share(&BigInt::one(), 1, parties, &mut rng(1));
    assert!(deal(2).is_ok());
    assert_eq!(deal(3).unwrap_err(), ShamirError::FieldTooSmall { parties: 3 });
}

#[test]
fn integer_sharings_that_cannot_be_are_refused() {
    let bound = BigUint::from(1000u32);
    let refused =
        |parties, degree, bound: &BigUint| IntegerSharing::new(parties, degree, bound.clone()).unwrap_err();
    assert_eq!(refused(3, 3, &bound), ShamirError::DegreeTooHigh { degree: 3, parties: 3 });
    let zero = BigUint::zero();
    assert_eq!(refused(3, 1, &zero), ShamirError::OutOfRange { what: "a coefficient bound of at least 1" });
    let sharing = IntegerSharing::new(4, 2, bound).unwrap();
    let shares = sharing.share(&BigInt::from(-17), &mut rng(9));
    assert_eq!(sharing.reconstruct(&shares[2..]), Err(ShamirError::TooFewShares { given: 2, degree: 2 }));
    let mut wrong = shares[..3].to_vec();
    wrong[1] = IntegerShare::new(2, wrong[1].expose() + 1);
    assert_eq!(sharing.reconstruct(&wrong), Err(ShamirError::Inconsistent { degree: 2 }));
}

/// A = t·Δ·B·2^σ, as the bound on what t parties see asks for.
#[test]
fn the_hiding_bound_is_the_formula() {
    let bound = |n, t, b: u32, sigma| IntegerSharing::hiding_bound(n, t, &BigUint::from(b), sigma);
    assert_eq!(bound(4, 2, 5, 10), BigUint::from(2u32 * 24 * 5 * 1024));
    assert_eq!(bound(3, 1, 7, 0), BigUint::from(6u32 * 7));
    // Without a polynomial there is nothing to hide; the bound stays usable.
    assert_eq!(bound(3, 0, 7, 1), BigUint::from(6u32 * 7 * 2));
}

#[test]
fn totals_add_up_and_are_not_negative() {
    let total =
        |values: [i32; 3]| IntegerSharing::total(&values.map(|value| IntegerShare::new(4, value.into())));
    assert_eq!(total([-5, 3, 2]), Ok(BigUint::zero()));
    assert_eq!(total([-5, 30, 2]), Ok(BigUint::from(27u32)));
    assert_eq!(total([-5, 3, 1]), Err(ShamirError::OutOfRange { what: "a share of at least 0" }));
    assert_eq!(IntegerSharing::total(&[]), Err(ShamirError::TooFewShares { given: 0, degree: 0 }));
}

#[test]
fn shares_do_not_print_their_value() {
    let field = ShareRing::above(&BigUint::from(1_000_000u32));
    let share = &field.share(&BigInt::from(123_456), 0, 1, &mut rng(5)).unwrap()[0];
    assert!(!format!("{share:?}").contains("123456"));
    let sharing = IntegerSharing::new(3, 1, BigUint::one()).unwrap();
    let share = &sharing.deal(BigInt::from(123_456), &mut rng(6))[0];
    assert!(!format!("{share:?}").contains("123456"));
}

/// Opens x·y = z by a product check among all parties, where `spoil` changes the opened m.
fn product_check(t: u32, x: u64, y: u64, z: u64, spoil: u64, challenge: u64) -> BigUint {
    let n = 2 * t + 1;
    let field = ShareRing::above(&(BigUint::one() << 130u32));
    let mut rng = rng(9);
    let all = || (0..n as usize).collect::<Vec<_>>();
    let open = |shares: &[RingShare], degree| field.reconstruct(&pairs(shares, &all()), degree).unwrap();
    let mut share = |value: u64| field.share(&BigInt::from(value), t, n, &mut rng).unwrap();
    let (x, y, z) = (share(x), share(y), share(z));
    let dealt: Vec<_> = (0..n).map(|_| Triple::deal(&field, t, n, &mut rng).unwrap()).collect();
    let triples: Vec<_> = all()
        .iter()
        .map(|&j| {
            Triple::total(&field, &dealt.iter().map(|rows| rows[j].clone()).collect::<Vec<_>>()).unwrap()
        })
        .collect();
    let products: Vec<_> = triples.iter().map(|triple| triple.product(&field).unwrap()).collect();
    let m = (open(&products, 2 * t) + spoil) % field.modulus();
    let checks: Vec<_> = triples
        .into_iter()
        .map(|triple| ProductCheck::new(triple, m.clone(), BigUint::from(challenge)))
        .collect();
    let (deltas, etas): (Vec<_>, Vec<_>) = all()
        .iter()
        .map(|&j| checks[j].differences(&field, &x[j], &y[j]).unwrap())
        .map(|[delta, eta]| (delta, eta))
        .unzip();
    let (delta, eta) = (open(&deltas, t), open(&etas, t));
    let zeros: Vec<_> =
        checks.into_iter().zip(&z).map(|(check, z)| check.zero(&field, &delta, &eta, z).unwrap()).collect();
    open(&zeros, t)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_product_passes_its_check_and_nothing_else_does(x: u32, y: u32, off in 1u64..1000, t in 1u32..4, challenge in 2u64..) {
        let z = u64::from(x) * u64::from(y);
        let (x, y) = (u64::from(x), u64::from(y));
        prop_assert!(product_check(t, x, y, z, 0, challenge).is_zero());
        prop_assert!(!product_check(t, x, y, z + off, 0, challenge).is_zero());
        prop_assert!(!product_check(t, x, y, z, off, challenge).is_zero());
        // An error of z that an error of m cancels for one challenge, as a cheater could who knew it beforehand.
        prop_assert!(product_check(t, x, y, z + 1, challenge, challenge).is_zero());
        prop_assert!(!product_check(t, x, y, z + 1, challenge, challenge ^ 1).is_zero());
    }
}

#[test]
fn shares_in_two_fields_are_shares_in_their_product() {
    let (p, q) = (BigUint::from(1_000_003u32), BigUint::from(1_000_033u32));
    let field = |prime: &BigUint| ShareRing::prime(prime.clone()).unwrap();
    let ring = ProductRing::new(field(&p), field(&q)).unwrap();
    assert_eq!(ring.ring().modulus(), &(&p * &q));
    let mut rng = rng(5);
    for secret in [-7i64, 0, 3, 999_999, 123_456_789_012] {
        let secret = BigInt::from(secret);
        let first = ring.first().share(&secret, 2, 5, &mut rng).unwrap();
        let second = ring.second().share(&secret, 2, 5, &mut rng).unwrap();
        let both: Vec<_> = first.iter().zip(&second).map(|(a, b)| ring.combine(a, b).unwrap()).collect();
        let modulus = BigInt::from(&p * &q);
        let expected = ((&secret % &modulus) + &modulus) % &modulus;
        // All five lie on one polynomial of degree 2 in the ring.
        let opened = ring.ring().reconstruct(&pairs(&both, &[0, 1, 2, 3, 4]), 2).unwrap();
        assert_eq!(BigInt::from(opened), expected);
        for (share, (a, b)) in both.iter().zip(first.iter().zip(&second)) {
            assert_eq!(&(share.value().expose() % &p), a.value().expose());
            assert_eq!(&(share.value().expose() % &q), b.value().expose());
        }
        assert!(matches!(ring.combine(&first[0], &second[1]), Err(ShamirError::BadPoint { .. })));
    }
    assert_eq!(ProductRing::new(field(&p), field(&p)).unwrap_err(), ShamirError::NotCoprime);
    // Five parties, and a factor that is no larger.
    let small = ProductRing::new(field(&BigUint::from(5u32)), field(&q)).unwrap();
    let refused = small.ring().share(&BigInt::from(1), 1, 5, &mut rng).unwrap_err();
    assert_eq!(refused, ShamirError::FieldTooSmall { parties: 5 });
    assert!(small.ring().opener(&[1, 5], 1).is_err());
}

#[test]
fn a_mistake_of_the_library_is_told_from_bad_shares() {
    let field = ShareRing::above(&BigUint::from(1_000u32));
    let none = field.share(&BigInt::one(), 3, 3, &mut rng(9)).unwrap_err();
    assert_eq!(
        (none.kind(), none),
        (FailureKind::Input, ShamirError::DegreeTooHigh { degree: 3, parties: 3 })
    );
    assert_eq!(ShamirError::Inconsistent { degree: 1 }.kind(), FailureKind::Input);
    assert_eq!(ShamirError::Internal { place: "here" }.kind(), FailureKind::Internal);
}
