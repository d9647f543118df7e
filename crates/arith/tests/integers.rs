//! Secret integers, sampling, sieving, primes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::{One, Zero};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use subrosa_arith::prime::{is_probable_prime, is_probable_prime_with_rounds, next_prime};
use subrosa_arith::sieve::{TrialDivision, primes_below};
use subrosa_arith::{ArithError, FailureKind, Modulus, SecretInt, sample, wipe_uint};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

#[test]
fn wiping_leaves_zero() {
    let mut x = (BigUint::one() << 1000) + 12_345u32;
    wipe_uint(&mut x);
    assert!(x.is_zero());
    wipe_uint(&mut x);
    assert!(x.is_zero());
    // Also of more words than are prepared for.
    for words in [1u32, 2, 63, 256, 257, 400] {
        let mut x = BigUint::one() << (64 * words - 1);
        wipe_uint(&mut x);
        assert!(x.is_zero());
    }
}

#[test]
fn secret_bounds_hold() {
    assert_eq!(SecretInt::new(256u32.into(), 8).unwrap_err(), ArithError::BoundExceeded { bound: 8 });
    let a = SecretInt::new(255u32.into(), 8).unwrap();
    let b = SecretInt::new(1u32.into(), 3).unwrap();
    assert_eq!((a.add(&b).expose(), a.add(&b).bits()), (&256u32.into(), 9));
    assert_eq!((a.mul(&a).expose(), a.mul(&a).bits()), (&65_025u32.into(), 16));
    assert_eq!((a.shl(10).expose(), a.shl(10).bits()), (&(255u32 << 10).into(), 18));
    assert_eq!((a.shr(3).expose(), a.shr(3).bits()), (&31u32.into(), 5));
    assert_eq!(a.checked_sub(&b).unwrap().expose(), &254u32.into());
    assert_eq!(b.checked_sub(&a).unwrap_err(), ArithError::NegativeDifference);
    assert!(a.checked_sub(&a).unwrap().expose().is_zero());
    assert_eq!((a.rem(&7u8.into()).unwrap().expose(), a.rem(&7u8.into()).unwrap().bits()), (&3u32.into(), 3));
    assert_eq!(a.rem(&BigUint::zero()).unwrap_err(), ArithError::EmptyRange);
    assert_eq!(a.with_bits(7).unwrap_err(), ArithError::BoundExceeded { bound: 7 });
    assert_eq!(a.with_bits(80).unwrap().bits(), 80);
    for op in [a.add_uint(&1000u32.into()), a.mul_uint(&1000u32.into())] {
        assert!(op.expose().bits() <= op.bits());
    }
}

#[test]
fn samples_fill_their_range_evenly() {
    let mut rng = rng(1);
    for bits in [0u64, 1, 5, 8, 13, 64, 100, 2048] {
        let draws: Vec<_> = (0..64).map(|_| sample::random_bits(&mut rng, bits)).collect();
        assert!(draws.iter().all(|x| x.bits() <= bits));
        // The highest bit is set in about half of 64 draws; fewer than 8 has a chance below 2^-30.
        assert!(bits == 0 || draws.iter().filter(|x| x.bits() == bits).count() >= 8, "{bits}");
        let secret = SecretInt::random_bits(&mut rng, bits);
        assert!(secret.bits() == bits && secret.expose().bits() <= bits);
    }
    let mut counts = [0u32; 5];
    for _ in 0..5000 {
        counts[usize::try_from(sample::random_below(&mut rng, &5u8.into())).unwrap()] += 1;
        let x = sample::random_range(&mut rng, &10u8.into(), &13u8.into()).unwrap();
        assert!(x >= 10u8.into() && x < 13u8.into());
    }
    // 1000 expected; the standard deviation is 28.
    assert!(counts.iter().all(|&c| (800..1200).contains(&c)), "{counts:?}");
    assert_eq!(sample::random_below(&mut rng, &BigUint::zero()), BigUint::zero());
    assert_eq!(sample::random_below(&mut rng, &BigUint::one()), BigUint::zero());
    assert_eq!(sample::random_range(&mut rng, &3u8.into(), &3u8.into()).unwrap_err(), ArithError::EmptyRange);
    let secret = SecretInt::random_below(&mut rng, &1000u32.into());
    assert!(secret.expose() < &1000u32.into() && secret.bits() == 10);
    let modulus = Modulus::new(&(3u32 * 5 * 7).into()).unwrap();
    for _ in 0..100 {
        assert!(sample::random_unit(&mut rng, &modulus).gcd(modulus.value()).is_one());
    }
}

#[test]
fn primes_are_sieved() {
    assert!(primes_below(0).is_empty());
    assert!(primes_below(2).is_empty());
    assert_eq!(primes_below(3), [2]);
    assert_eq!(primes_below(30), [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
    // π(2^17) and π(10^6), from tables of the prime-counting function.
    assert_eq!(primes_below(1 << 17).len(), 12_251);
    assert_eq!(primes_below(1_000_000).len(), 78_498);
}

#[test]
fn trial_division_finds_each_prime() {
    let bound = 1 << 12;
    let sieve = TrialDivision::new(bound);
    assert_eq!(sieve.bound(), bound);
    // Primes above the bound: 2^61 − 1, 2^89 − 1, 2^4423 − 1.
    for exponent in [61u32, 89, 4423] {
        let free = (BigUint::one() << exponent) - 1u8;
        assert_eq!(sieve.has_small_factor(&free), None);
        for p in primes_below(bound) {
            assert_eq!(sieve.has_small_factor(&(&free * p)), Some(p));
        }
    }
    assert_eq!(sieve.has_small_factor(&BigUint::one()), None);
    assert_eq!(sieve.has_small_factor(&BigUint::zero()), Some(2));
    assert_eq!(TrialDivision::new(0).has_small_factor(&4u8.into()), None);
    assert_eq!(TrialDivision::new(3).has_small_factor(&9u8.into()), None);
    assert_eq!(TrialDivision::new(4).has_small_factor(&9u8.into()), Some(3));
}

proptest! {
    #[test]
    fn trial_division_is_division(digits in prop::collection::vec(any::<u32>(), 0..160)) {
        let sieve = TrialDivision::new(1000);
        let n = BigUint::new(digits);
        let divisors: Vec<_> = primes_below(1000).into_iter().filter(|p| (&n % *p).is_zero()).collect();
        match sieve.has_small_factor(&n) {
            Some(p) => prop_assert!(divisors.contains(&p)),
            None => prop_assert!(divisors.is_empty()),
        }
    }
}

#[test]
fn primality_of_small_numbers() {
    let primes = primes_below(20_000);
    for n in 0..20_000u32 {
        assert_eq!(is_probable_prime(&n.into()), primes.binary_search(&n).is_ok(), "{n}");
    }
    let mut n = BigUint::zero();
    for &p in &primes {
        n = next_prime(&n);
        assert_eq!(n, p.into());
    }
}

#[test]
fn primality_of_known_numbers() {
    let mersenne = |e: u32| (BigUint::one() << e) - 1u8;
    for prime in [61u32, 89, 107, 127, 521, 607, 1279, 2203] {
        assert!(is_probable_prime(&mersenne(prime)), "2^{prime} - 1");
    }
    // Strong pseudoprimes to base 2 (OEIS A001262), strong Lucas pseudoprimes (A217255), Carmichael numbers, squares
    // of primes (1093 and 3511 are Wieferich primes), and Mersenne composites, which pass base 2.
    let composites = [
        2047u64,
        3277,
        4033,
        4681,
        8321,
        1_373_653,
        3_215_031_751,
        5459,
        5777,
        10_877,
        16_109,
        18_971,
        561,
        1729,
        825_265,
        1_194_649,
        12_327_121,
        4_295_098_369,
        3_825_123_056_546_413_051,
        // Strong Lucas pseudoprimes without a factor below 257, which trial division does not find.
        161_027,
        176_399,
        189_419,
        353_219,
        // The least composites that need a test at all, and one of 20 bits.
        257 * 257,
        257 * 263,
        1_009 * 1_013,
    ];
    for n in composites {
        assert!(!is_probable_prime(&n.into()), "{n}");
    }
    for e in [67u32, 257, 1277] {
        assert!(!is_probable_prime(&mersenne(e)), "2^{e} - 1");
    }
    let mut rng = rng(2);
    assert!(is_probable_prime_with_rounds(&mersenne(521), 20, &mut rng));
    assert!(!is_probable_prime_with_rounds(&(mersenne(521) * mersenne(607)), 20, &mut rng));
    for (n, prime) in [(0u8, false), (1, false), (2, true), (3, true), (4, false), (5, true)] {
        assert_eq!(is_probable_prime_with_rounds(&n.into(), 5, &mut rng), prime, "{n}");
    }
    // The least prime above 2^1024, known from tables as 2^1024 + 643.
    assert_eq!(next_prime(&(BigUint::one() << 1024)), (BigUint::one() << 1024) + 643u32);
}

#[test]
fn a_bad_argument_is_the_callers_failure() {
    let even = Modulus::new(&BigUint::from(10u32)).unwrap_err();
    assert_eq!((even.kind(), even), (FailureKind::Input, ArithError::EvenModulus));
}
