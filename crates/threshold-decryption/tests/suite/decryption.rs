//! Any t+1 parties decrypt, fewer do not, and whoever sends nonsense is named.

use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};
use proptest::prelude::*;

use crate::common::*;
use subrosa_arith::SecretInt;
use subrosa_paillier::{Blinder, Randomness};
use subrosa_threshold_decryption::{
    AccessStructure, Challenges, Combiner, DecryptionError, KeyError, KeyShare, PartialDecryption,
    ProofContext, ThresholdKey,
    protocol::{self, Checks, Decryption, DecryptionSettings},
};
use subrosa_transport::{Parameters, PartyId, PerParty, Session, testing::run_parties};

#[test]
fn every_minimal_set_of_parties_decrypts() {
    let plaintexts = [0, 1, -1, i64::MAX, i64::MIN, 123_456_789];
    let ciphertexts = unblinded(&encrypt(&plaintexts));
    for (n, t) in [(3, 1), (4, 1), (5, 1), (5, 2), (7, 1), (7, 2), (7, 3)] {
        let shares = deal(n, t);
        let partials: Vec<_> =
            shares.iter().map(|share| share.partially_decrypt(&ciphertexts).unwrap()).collect();
        for mask in 0u32..1 << n {
            if mask.count_ones() != t + 1 {
                continue;
            }
            let some: Vec<_> =
                partials.iter().filter(|p| mask >> p.party().index() & 1 == 1).cloned().collect();
            let members: Vec<_> = some.iter().map(PartialDecryption::party).collect();
            let combined = Combiner::new(shares[0].key(), &members).unwrap().combine(&some).unwrap();
            assert_eq!(combined, signed(&plaintexts), "n {n} t {t} set {mask:b}");
        }
    }
}

#[test]
fn too_few_or_repeated_parties_are_refused() {
    let shares = deal(5, 2);
    let key = shares[0].key();
    assert!(matches!(
        Combiner::new(key, &[party(0), party(1)]),
        Err(DecryptionError::TooFew { given: 2, needed: 3 })
    ));
    assert!(Combiner::new(key, &[party(0), party(1), party(2), party(3)]).is_err());
    let bad = |parties: &[PartyId]| match Combiner::new(key, parties) {
        Err(DecryptionError::BadParty { party }) => party,
        other => panic!("{other:?}"),
    };
    assert_eq!(bad(&[party(0), party(1), party(1)]), party(1));
    assert_eq!(bad(&[party(0), party(1), party(5)]), party(5));
}

#[test]
fn wrong_values_are_noticed_and_nonsense_is_blamed() {
    let shares = deal(3, 1);
    let key = shares[0].key();
    let public = key.public();
    let ciphertexts = unblinded(&encrypt(&[5, 6, 7]));
    let honest = shares[0].partially_decrypt(&ciphertexts).unwrap();
    let other = shares[2].partially_decrypt(&ciphertexts).unwrap();
    let combiner = Combiner::new(key, &[party(0), party(2)]).unwrap();
    let with = |change: &dyn Fn(&mut Vec<BigUint>)| {
        let mut values = other.values().to_vec();
        change(&mut values);
        combiner.combine(&[honest.clone(), PartialDecryption::new(party(2), values)])
    };
    assert_eq!(with(&|_| ()).unwrap(), signed(&[5, 6, 7]));
    assert!(matches!(with(&|v| v[1] += 1u32), Err(DecryptionError::Inconsistent { index: 1 })));
    assert!(matches!(with(&|v| v.swap(0, 2)), Err(DecryptionError::Inconsistent { index: 0 })));
    for change in [
        &(|v: &mut Vec<BigUint>| v[2] = BigUint::zero()) as &dyn Fn(&mut Vec<BigUint>),
        &|v| v[0] = public.n().clone(),
        &|v| v[0] = public.n() * public.n(),
        &|v| {
            v.pop();
        },
        &|v| v.push(BigUint::one()),
    ] {
        let error = with(change).unwrap_err();
        assert!(matches!(error, DecryptionError::BadPartial { .. }), "{error}");
        // A list of another length is blamed on the party that differs from the first.
        assert_eq!(error.culprits(), [party(2)], "{error}");
    }
}

#[test]
fn shares_and_keys_that_do_not_fit_are_refused() {
    let (shares, others) = (deal(5, 2), deal(5, 1));
    let key = shares[0].key().clone();
    let moved = KeyShare::new(key.clone(), party(1), shares[0].share().clone());
    assert_eq!(moved.unwrap_err(), KeyError::ShareMismatch { party: party(1) });
    let foreign = KeyShare::new(key.clone(), party(0), others[0].share().clone());
    assert!(foreign.is_err());
    let zero = SecretInt::new(BigUint::zero(), 1).unwrap();
    assert_eq!(
        KeyShare::new(key.clone(), party(3), zero).unwrap_err(),
        KeyError::ShareMismatch { party: party(3) }
    );
    assert!(KeyShare::new(key.clone(), party(5), shares[0].share().clone()).is_err());

    let mut parts = key.parts().clone();
    parts.verification_keys.swap(0, 4);
    assert_eq!(ThresholdKey::new(parts).unwrap_err(), KeyError::InconsistentVerificationKeys);
    // Each of them counts, the last one, too.
    for party in 0..5 {
        let mut parts = key.parts().clone();
        let n = private().public().n();
        parts.verification_keys[party] = &parts.verification_keys[party] * (n + 1u32) % (n * n);
        assert_eq!(ThresholdKey::new(parts).unwrap_err(), KeyError::InconsistentVerificationKeys, "{party}");
    }
    let mut parts = key.parts().clone();
    parts.theta += private().public().n();
    assert_eq!(ThresholdKey::new(parts).unwrap_err(), KeyError::Invalid { reason: "θ is not below N" });
    for bits in [0, 8 * private().public().bits() + 1] {
        let mut parts = key.parts().clone();
        parts.share_bits = bits;
        assert!(matches!(ThresholdKey::new(parts), Err(KeyError::Invalid { .. })), "{bits}");
    }
    let mut parts = key.parts().clone();
    parts.verification_keys.pop();
    assert!(matches!(ThresholdKey::new(parts), Err(KeyError::Invalid { .. })));
    let mut parts = key.parts().clone();
    parts.theta = private().expose_primes().0.clone();
    assert!(matches!(ThresholdKey::new(parts), Err(KeyError::Invalid { .. })));
    let mut parts = key.parts().clone();
    parts.verification_keys[2] = BigUint::zero();
    assert!(ThresholdKey::new(parts).is_err());
}

#[test]
fn access_needs_an_honest_majority() {
    for (n, t) in [(0, 0), (3, 0), (2, 1), (4, 2), (101, 1), (5, u32::MAX)] {
        assert_eq!(AccessStructure::new(n, t), Err(KeyError::AccessStructure { parties: n, threshold: t }));
    }
    for (n, t) in [(3, 1), (5, 2), (100, 49)] {
        assert!(AccessStructure::new(n, t).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn decrypts_any_plaintext(bytes in proptest::collection::vec(any::<u8>(), 0..63), seed: u64) {
        let m = BigInt::from(BigUint::from_bytes_le(&bytes));
        let shares = deal(3, 1);
        let blinder = Blinder::new(private().public(), Randomness::Full, 0).unwrap();
        let c = blinder.encrypt(&m, &mut rng(seed)).unwrap().into_inner();
        let partials: Vec<_> =
            shares[1..].iter().map(|share| share.partially_decrypt(std::slice::from_ref(&c)).unwrap()).collect();
        let combiner = Combiner::new(shares[0].key(), &[party(2), party(1)]).unwrap();
        prop_assert_eq!(combiner.combine(&partials).unwrap(), [m]);
    }
}

fn both_checks() -> [DecryptionSettings; 2] {
    [DecryptionSettings::new(), DecryptionSettings::new().with_checks(Checks::Quorum)]
}

#[test]
fn each_party_reads_its_own_ciphertexts_and_no_others() {
    let shares = deal(5, 2);
    let mine: [&[i64]; 5] = [&[1, 2, 3], &[], &[-4], &[5; 7], &[6]];
    for checks in both_checks() {
        let results = run_parties(5, |me, mut transport| {
            let counts = PerParty::from_vec(mine.iter().map(|m| m.len()).collect());
            let (share, mine) = (&shares[me.index()], encrypt(mine[me.index()]));
            let mut rng = rng(me.index() as u64);
            Decryption::new(share)
                .settings(checks.clone())
                .limits(limits())
                .run(&mut transport, &mine, &counts, &mut rng)
                .unwrap()
        });
        for (result, expected) in results.iter().zip(mine) {
            assert_eq!(result.plaintexts, signed(expected), "{checks:?}");
            assert!(result.absent.is_empty(), "{checks:?}");
        }
    }
}

#[test]
fn absent_parties_are_named_and_passed_over() {
    let shares = deal(5, 2);
    for checks in both_checks() {
        let results = run_parties(5, |me, mut transport| {
            let mut session =
                Session::open(&mut transport, protocol::PROTOCOL, &Parameters::new(), limits(), &mut rng(9))
                    .unwrap();
            let counts = PerParty::from_vec(vec![2, 0, 0, 0, 1]);
            let plaintexts: &[i64] = [&[10, 20][..], &[], &[], &[], &[30]][me.index()];
            let share = &shares[me.index()];
            let batches =
                protocol::announce(&mut session, share.key().public(), &encrypt(plaintexts), &counts)
                    .unwrap();
            let mut rng = rng(me.index() as u64);
            // Parties 2 and 4 leave before they help anyone.
            (me.index() % 2 == 0).then(|| {
                protocol::decrypt_towards(&mut session, share, &batches, &checks, None, &mut rng).unwrap()
            })
        });
        for (index, expected) in [(0, &[10, 20][..]), (2, &[]), (4, &[30])] {
            let result = results[index].as_ref().unwrap();
            assert_eq!(result.plaintexts, signed(expected), "{checks:?}");
        }
        let absent: Vec<_> =
            results[0].as_ref().unwrap().absent.iter().map(|failure| failure.party).collect();
        assert!(absent.iter().all(|party| [1, 3].contains(&party.index())), "{checks:?}: {absent:?}");
    }
}

#[test]
fn too_many_absent_parties_end_in_an_error_that_names_them() {
    let shares = deal(3, 1);
    let results = run_parties(3, |me, mut transport| {
        let mut session =
            Session::open(&mut transport, protocol::PROTOCOL, &Parameters::new(), limits(), &mut rng(9))
                .unwrap();
        let counts = PerParty::from_vec(vec![1, 0, 0]);
        let plaintexts: &[i64] = if me.index() == 0 { &[1] } else { &[] };
        let share = &shares[me.index()];
        let batches =
            protocol::announce(&mut session, share.key().public(), &encrypt(plaintexts), &counts).unwrap();
        (me.index() == 0).then(|| {
            protocol::decrypt_towards(
                &mut session,
                share,
                &batches,
                &DecryptionSettings::new(),
                None,
                &mut rng(9),
            )
            .unwrap_err()
        })
    });
    let error = results[0].as_ref().unwrap();
    assert_eq!(error.culprits(), [party(1), party(2)], "{error}");
}

#[test]
fn more_ciphertexts_than_agreed_are_refused_and_blamed() {
    let shares = deal(3, 1);
    let results = run_parties(3, |me, mut transport| {
        // Party 2 believes that it may announce three.
        let allowed = if me.index() == 1 { 3 } else { 2 };
        let counts = PerParty::from_vec(vec![2, allowed, 2]);
        let ciphertexts = encrypt(if me.index() == 1 { &[1, 2, 3] } else { &[1, 2] });
        Decryption::new(&shares[me.index()])
            .limits(limits())
            .run(&mut transport, &ciphertexts, &counts, &mut rng(9))
            .unwrap_err()
    });
    for index in [0, 2] {
        assert!(results[index].culprits().contains(&party(1)), "{}", results[index]);
    }
}

/// Whether five digits of `value` in a row stand in `text`, decimal or hexadecimal.
fn shows(text: &str, value: &BigUint) -> bool {
    [value.to_string(), format!("{value:x}")]
        .iter()
        .any(|digits| digits.as_bytes().windows(5).any(|w| text.contains(&*String::from_utf8_lossy(w))))
}

#[test]
fn shares_and_partial_decryptions_do_not_print() {
    let shares = deal(3, 1);
    let text = format!("{:?}", shares[0]);
    assert!(text.contains("<redacted>") && !text.contains(&shares[0].share().expose().to_string()));

    let some = unblinded(&encrypt(&[5, 6]));
    let partial = shares[1].partially_decrypt(&some).unwrap();
    assert_eq!(format!("{partial:?}"), "PartialDecryption(party 2, <redacted>, 2 values)");
    let context = ProofContext::new([1; 32], ["a", "b", "c"]);
    let proof = shares[1].prove(&context, &some, &partial, Challenges::Wide, &mut rng(1)).unwrap();
    assert_eq!(format!("{proof:?}"), "BatchProof(<redacted>, 1 repetitions)");
}

#[test]
fn plaintexts_do_not_print() {
    let plaintexts = [987_654_321, -123_456_789];
    let shares = deal(3, 1);
    let results = run_parties(3, |me, mut transport| {
        let counts = PerParty::from_vec(vec![2, 0, 0]);
        let mine = encrypt(&plaintexts[..counts[me]]);
        Decryption::new(&shares[me.index()])
            .limits(limits())
            .run(&mut transport, &mine, &counts, &mut rng(9))
            .unwrap()
    });
    assert_eq!(results[0].plaintexts, signed(&plaintexts));
    for text in [format!("{:?}", results[0]), format!("{:#?}", results[0])] {
        assert!(text.contains("<redacted>, 2 values"), "{text}");
        assert!(!results[0].plaintexts.iter().any(|plaintext| shows(&text, plaintext.magnitude())), "{text}");
    }
    assert!(shows(&format!("{:?}", results[0].plaintexts), results[0].plaintexts[0].magnitude()));
}
