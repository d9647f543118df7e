//! Steps K1 to K5 by themselves: what is drawn and dealt has the form that the protocol's page gives.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;

use num_bigint::BigUint;
use num_traits::{One, ToPrimitive, Zero};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_arith::Modulus;
use subrosa_distributed_paillier::candidates::{self, Candidate, Sampler};
use subrosa_distributed_paillier::messages::{CandidateShares, FurtherTests, ProductShares};
use subrosa_distributed_paillier::{KeygenError, KeygenParameters, biprimality};
use subrosa_shamir::{ShamirError, ShareRing};
use subrosa_transport::{FailureKind, PartyId, PerParty};

fn parties(n: u16) -> impl Iterator<Item = PartyId> {
    (0..n).map(PartyId::new)
}

/// What each party draws and deals for one batch.
fn dealt(parameters: &KeygenParameters) -> Vec<(candidates::BatchSecrets, PerParty<CandidateShares>)> {
    let n = u16::try_from(parameters.access().parties()).unwrap();
    let deal = |me: PartyId| {
        let sampler = Sampler::new(parameters, me).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(me.index() as u64);
        candidates::deal(parameters, &sampler, me, 0, &mut rng).unwrap()
    };
    parties(n).map(deal).collect()
}

#[test]
fn factors_have_the_promised_form_and_all_its_values() {
    const BATCH: usize = 600;
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(BATCH);
    let secrets: Vec<_> = dealt(&parameters).into_iter().map(|(secrets, _)| secrets).collect();
    let sum = |index: usize, of: fn(&Candidate) -> &BigUint| -> BigUint {
        secrets.iter().map(|secrets| of(secrets.candidate(index).unwrap())).sum()
    };
    let factors: Vec<BigUint> = (0..BATCH)
        .flat_map(|index| [sum(index, |c| c.p().expose()), sum(index, |c| c.q().expose())])
        .collect();
    let power = BigUint::one() << 126u32;
    // The sum of three uniform numbers comes near both ends, but rarely.
    assert!(
        factors.iter().all(|p| (&power * 3u32..&power * 4u32).contains(p) && p % 4u32 == BigUint::from(3u32))
    );
    assert!(factors.iter().min().unwrap() * 16u32 < &power * 53u32);
    assert!(factors.iter().max().unwrap() * 16u32 > &power * 59u32);
    // M = 3·5·7·11·13 is the longest product with at most 16 bits.
    for prime in [3u32, 5, 7, 11, 13] {
        let residues: BTreeSet<u32> = factors.iter().map(|p| (p % prime).to_u32().unwrap()).collect();
        assert_eq!(residues, (2..prime).collect(), "modulo {prime}");
    }
}

#[test]
fn summands_are_shared_with_degree_t_and_zeros_with_twice_as_much() {
    for (n, t) in [(3, 1), (5, 2), (7, 3), (7, 1)] {
        let parameters = KeygenParameters::insecure(n, t, 256).unwrap().with_batch(2);
        let field = ShareRing::prime(candidates::share_shape(&parameters).bound).unwrap();
        for (secrets, messages) in dealt(&parameters) {
            for (place, degree) in [t, t, 2 * t].into_iter().cycle().take(6).enumerate() {
                let shares: Vec<(u32, &BigUint)> = messages
                    .iter()
                    .map(|(party, message)| (party.number(), &message.values[place]))
                    .collect();
                let candidate = secrets.candidate(place / 3).unwrap();
                let zero = BigUint::zero();
                let secret = [candidate.p().expose(), candidate.q().expose(), &zero][place % 3];
                // With as many shares as the degree asks for there is nothing to compare.
                assert_eq!(&field.reconstruct(&shares, degree).unwrap(), secret, "n {n}, t {t}");
                let lower = field.reconstruct(&shares, degree - 1);
                assert_eq!(lower, Err(ShamirError::Inconsistent { degree: degree - 1 }), "n {n}, t {t}");
            }
        }
    }
}

#[test]
fn moduli_of_another_size_or_residue_are_refused() {
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(1);
    // Equal values lie on a polynomial of any degree.
    let open = |n: BigUint| {
        let message = ProductShares { values: vec![n] };
        candidates::open(&parameters, &PerParty::from_vec(vec![message; 3]))
    };
    let top = BigUint::one() << 255u32;
    assert_eq!(open(&top + 1u32).unwrap(), [&top + 1u32]);
    for n in [
        BigUint::from(5u32),
        (&top >> 1u32) + 1u32,
        (&top << 1u32) + 1u32,
        &top + 3u32,
        top.clone(),
        &top + 2u32,
    ] {
        let refused = open(n.clone());
        assert!(matches!(refused, Err(KeygenError::Inconsistent { .. })), "{n:x}");
    }
}

/// A caller that asks a step for a candidate outside the batch made the mistake, and no party did.
#[test]
fn what_cannot_happen_in_a_run_blames_no_party() {
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(2);
    let me = PartyId::new(0);
    let (secrets, messages) = dealt(&parameters).swap_remove(0);
    let beyond = candidates::factors(&parameters, me, &messages, 2).unwrap_err();
    assert!(matches!(beyond, KeygenError::Internal { .. }), "{beyond}");

    let moduli = vec![(BigUint::one() << 255u32) + 1u32; 3];
    let survivors = biprimality::prepare(&moduli, &[2]).unwrap();
    let untested = biprimality::first_test(&parameters, me, &secrets, &survivors).unwrap_err();
    assert!(matches!(untested, KeygenError::Internal { .. }), "{untested}");

    for error in [beyond, untested] {
        assert_eq!((error.kind(), error.culprits()), (FailureKind::Internal, vec![]), "{error}");
    }
}

#[test]
fn a_message_too_few_is_not_taken_for_cheating() {
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(1);
    let message = ProductShares { values: vec![BigUint::one()] };
    let error = candidates::open(&parameters, &PerParty::from_vec(vec![message; 2])).unwrap_err();
    assert!(matches!(error, KeygenError::Roster { expected: 3, found: 2 }), "{error}");
    assert_eq!(error.kind(), FailureKind::Input);
}

#[test]
fn trial_division_leaves_what_has_no_small_factor() {
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap().with_sieve_bound(1_000);
    let big = (BigUint::one() << 127u32) - 1u32; // a prime
    let moduli = [&big * 3u32, &big * &big, &big * 997u32, &big * 1_009u32, &big * 2u32 + 1u32];
    let last = (3u32..1_000).step_by(2).any(|d| (&moduli[4] % d).is_zero());
    let expected: &[usize] = if last { &[1, 3] } else { &[1, 3, 4] };
    assert_eq!(candidates::sieve(&parameters, &moduli), expected);
}

/// A modulus passes if it passes all rounds, the last one as the first.
#[test]
fn every_further_test_counts() {
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap();
    let n = (BigUint::one() << 255u32) + 1u32;
    let modulus = Modulus::new(&n).unwrap();
    let passes = |leader: &BigUint, round: Option<usize>| {
        let mut messages = vec![FurtherTests { values: vec![BigUint::one(); parameters.rounds()] }; 3];
        messages[0].values.fill(leader.clone());
        if let Some(round) = round {
            messages[1].values[round] = BigUint::from(2u32);
        }
        biprimality::all_passed(&parameters, 0, &modulus, &PerParty::from_vec(messages)).unwrap()
    };
    // Either sign will do.
    assert!(passes(&BigUint::one(), None) && passes(&(&n - 1u32), None));
    assert!((0..parameters.rounds()).all(|round| !passes(&BigUint::one(), Some(round))));
}
