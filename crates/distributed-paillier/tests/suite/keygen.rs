//! Key generation end to end, with real cryptography on small keys.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::time::Duration;

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::One;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_distributed_paillier::{KeyShare, Keygen, KeygenError, KeygenParameters, KeygenStage};
use subrosa_paillier::{Blinder, Randomness};
use subrosa_shamir::integer_lagrange_at_zero;
use subrosa_threshold_decryption::Combiner;
use subrosa_transport::{Cause, Limits, MemoryTransport, PartyId, SessionError, testing::run_parties};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn run(
    transport: &mut MemoryTransport,
    parameters: &KeygenParameters,
    seed: u64,
    mut progress: impl FnMut(KeygenStage),
) -> Result<KeyShare, KeygenError> {
    let limits = Limits::default().with_timeout(Duration::from_secs(60));
    let keygen = Keygen::new(parameters).limits(limits).progress(|event| progress(event.stage));
    keygen.run(transport, &mut rng(seed))
}

fn generate_key(n: u32, t: u32, bits: u64, seed: u64) -> Vec<KeyShare> {
    run_parties(n as usize, |me, mut transport| {
        let parameters = KeygenParameters::insecure(n, t, bits).unwrap();
        run(&mut transport, &parameters, seed * 100 + me.index() as u64, |_| ()).unwrap()
    })
}

/// d·κ from all shares: a multiple of φ(N), with which the test factors N.
fn factor(shares: &[KeyShare]) -> (BigUint, BigUint) {
    let access = shares[0].key().access();
    let points: Vec<u32> = shares.iter().map(|share| share.party().number()).collect();
    let coefficients = integer_lagrange_at_zero(access.parties(), &points).unwrap();
    let multiple: BigInt = coefficients
        .iter()
        .zip(shares)
        .map(|(mu, share)| mu * BigInt::from(share.share().expose().clone()))
        .sum();
    let n = shares[0].key().public().n();
    let mut odd = multiple.magnitude().clone();
    while odd.is_even() {
        odd >>= 1u32;
    }
    // A square root of 1 that is not ±1 splits N (Miller 1976).
    for base in 2u32.. {
        let mut x = BigUint::from(base).modpow(&odd, n);
        loop {
            let square = &x * &x % n;
            if square.is_one() {
                break;
            }
            x = square;
        }
        let p = (&x + 1u32).gcd(n);
        if !p.is_one() && p != *n {
            return (n / &p, p);
        }
    }
    unreachable!()
}

#[test]
fn the_key_has_every_promised_property() {
    for (n, t, bits) in [(3, 1, 256), (5, 2, 256), (3, 1, 512)] {
        let shares = generate_key(n, t, bits, 1);
        let public = shares[0].key().public();
        assert!(shares.iter().all(|share| share.key().public() == public));
        assert_eq!(public.bits(), bits);
        let (p, q) = factor(&shares);
        assert_eq!(&(&p * &q), public.n());
        for prime in [&p, &q] {
            assert!(subrosa_arith::prime::is_probable_prime(prime), "n {n} t {t}");
            assert_eq!(prime % 4u32, BigUint::from(3u32));
            // In [¾, 1)·2^(k/2).
            assert_eq!(prime >> (bits / 2 - 2), BigUint::from(3u32));
            assert!(!((prime - 1u32) % 3u32).eq(&BigUint::ZERO), "no prime of M divides p − 1");
        }
        assert_eq!((p - 1u32).gcd(&(q - 1u32)), BigUint::from(2u32));
    }
}

#[test]
fn any_quorum_decrypts_for_every_number_of_parties() {
    for (n, t) in [(3, 1), (4, 1), (5, 1), (5, 2), (7, 1), (7, 2), (7, 3)] {
        let shares = generate_key(n, t, 256, 2);
        let key = shares[0].key();
        let blinder = Blinder::new(key.public(), Randomness::Short, 1 << 17).unwrap();
        let m = BigInt::from(-987_654_321i64);
        let ciphertext = blinder.encrypt(&m, &mut rng(5)).unwrap().into_inner();
        // The last t+1 parties: the test decryption in key generation has tried all sets already.
        let quorum = &shares[shares.len() - t as usize - 1..];
        let parties: Vec<_> = quorum.iter().map(KeyShare::party).collect();
        let partials: Vec<_> = quorum
            .iter()
            .map(|share| share.partially_decrypt(std::slice::from_ref(&ciphertext)).unwrap())
            .collect();
        let combined = Combiner::new(key, &parties).unwrap().combine(&partials).unwrap();
        assert_eq!(combined, [m], "n {n} t {t}");
    }
}

#[test]
fn fewer_than_a_quorum_learn_no_more_than_a_wrong_plaintext() {
    // Shares of t parties, completed by a made-up one, do not give the plaintext.
    let shares = generate_key(3, 1, 256, 3);
    let key = shares[0].key();
    let blinder = Blinder::new(key.public(), Randomness::Short, 1 << 17).unwrap();
    let ciphertext = blinder.encrypt(&BigInt::from(7), &mut rng(6)).unwrap().into_inner();
    let mine = shares[0].partially_decrypt(std::slice::from_ref(&ciphertext)).unwrap();
    let made_up =
        subrosa_threshold_decryption::PartialDecryption::new(PartyId::new(1), mine.values().to_vec());
    let combiner = Combiner::new(key, &[PartyId::new(0), PartyId::new(1)]).unwrap();
    assert!(combiner.combine(&[mine, made_up]).is_err());
}

#[test]
fn progress_counts_candidates() {
    let events = run_parties(3, |me, mut transport| {
        let parameters = KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(20);
        let mut events = Vec::new();
        run(&mut transport, &parameters, 40 + me.index() as u64, |event| events.push(event)).unwrap();
        events
    });
    let mut last = 0;
    for event in &events[0] {
        if let KeygenStage::Candidates { tried, expected, sieved, .. } = *event {
            assert_eq!(tried, last + 20);
            assert!(expected > 50.0 && sieved <= tried);
            last = tried;
        }
    }
    assert!(last > 0);
    assert_eq!(events[0].last(), Some(&KeygenStage::Shared));
}

#[test]
fn parameters_that_differ_are_named() {
    let errors = run_parties(3, |me, mut transport| {
        let bits = if me.index() == 2 { 258 } else { 256 };
        let parameters = KeygenParameters::insecure(3, 1, bits).unwrap();
        run(&mut transport, &parameters, me.index() as u64, |_| ()).unwrap_err()
    });
    for error in &errors[..2] {
        assert!(error.to_string().contains("key_bits"), "{error}");
        assert!(error.culprits().contains(&PartyId::new(2)), "{error}");
    }
}

#[test]
fn a_roster_of_another_size_is_refused_before_the_first_message() {
    let errors = run_parties(4, |_, mut transport| {
        let parameters = KeygenParameters::insecure(3, 1, 256).unwrap();
        run(&mut transport, &parameters, 1, |_| ()).unwrap_err()
    });
    // Whoever notices it later may have been told before.
    assert!(errors.iter().any(|error| matches!(error, KeygenError::Roster { .. })), "{errors:?}");
    for error in errors {
        assert!(
            matches!(error, KeygenError::Roster { expected: 3, found: 4 })
                || !error.culprits().is_empty()
                || matches!(error, KeygenError::Session(_)),
            "{error}"
        );
    }
}

#[test]
fn a_party_that_leaves_is_named_by_the_others() {
    for leaves_after in [0, 1, 2] {
        let errors = run_parties(3, |me, mut transport| {
            let parameters = KeygenParameters::insecure(3, 1, 512).unwrap().with_batch(8);
            let mut batches = 0;
            if me.index() != 1 {
                return Some(run(&mut transport, &parameters, 7 + me.index() as u64, |_| ()).unwrap_err());
            }
            // Party 2 goes away in the middle of the protocol.
            let gone = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _ = run(&mut transport, &parameters, 8, |_| {
                    batches += 1;
                    if batches > leaves_after {
                        std::panic::resume_unwind(Box::new("gone"));
                    }
                });
            }));
            drop((gone, transport));
            None
        });
        for error in errors.into_iter().flatten() {
            assert_eq!(error.culprits(), [PartyId::new(1)], "{error}");
            let KeygenError::Session(SessionError::Failed { .. } | SessionError::Aborted { .. }) = error
            else {
                panic!("{error}")
            };
        }
    }
}

#[test]
fn equal_seeds_give_equal_keys_and_others_do_not() {
    // The session's nonces come from the same generators, so that a run can be repeated for a test.
    let first = generate_key(3, 1, 256, 9);
    let again = generate_key(3, 1, 256, 9);
    let other = generate_key(3, 1, 256, 10);
    assert_eq!(first[0].key().public(), again[0].key().public());
    assert_eq!(first[1].share().expose(), again[1].share().expose());
    assert_ne!(first[0].key().public(), other[0].key().public());
}

#[test]
fn a_silent_party_ends_the_round_by_its_deadline() {
    let errors = run_parties(3, |me, mut transport| {
        let parameters = KeygenParameters::insecure(3, 1, 256).unwrap();
        let mut rng = rng(me.index() as u64);
        let keygen =
            Keygen::new(&parameters).limits(Limits::default().with_timeout(Duration::from_millis(1500)));
        let mut session = keygen.open(&mut transport, &mut rng).unwrap();
        if me.index() == 2 {
            // Keeps the connection and says nothing.
            std::thread::sleep(Duration::from_millis(4000));
            return None;
        }
        Some(keygen.run_in(&mut session, &mut rng).unwrap_err())
    });
    for error in errors.into_iter().flatten() {
        assert_eq!(error.culprits(), [PartyId::new(2)], "{error}");
        if let KeygenError::Session(SessionError::Failed { failures, .. }) = &error {
            assert!(matches!(failures[0].cause, Cause::Network(_)), "{error}");
        }
    }
}
