//! The two gcd conditions on a modulus, against the same conditions computed from its factors.
#![allow(clippy::unwrap_used, reason = "test code")]

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use subrosa_arith::sieve::TrialDivision;
use subrosa_distributed_paillier::KeygenParameters;
use subrosa_distributed_paillier::candidates::{self, BatchSecrets, Sampler};
use subrosa_distributed_paillier::decryption_key::{ATTEMPTS, Attempts, Verdict};
use subrosa_transport::{PartyId, PerParty};

const BATCH: usize = 1500;

fn parties() -> impl Iterator<Item = PartyId> {
    (0..3).map(PartyId::new)
}

/// Runs K6 and K7 for a modulus: whether it was accepted, and after how many attempts.
fn decide(
    parameters: &KeygenParameters,
    secrets: &[BatchSecrets],
    index: usize,
    n: &BigUint,
    rng: &mut ChaCha20Rng,
) -> (bool, usize) {
    let mut attempts: Vec<_> = parties()
        .map(|me| Attempts::new(parameters, me, secrets[me.index()].candidate(index).unwrap(), n).unwrap())
        .collect();
    for count in 1.. {
        let (dealt, sent): (Vec<_>, Vec<_>) =
            attempts.iter().map(|attempt| attempt.deal(rng).unwrap()).unzip();
        let received = |me: PartyId| PerParty::from_vec(sent.iter().map(|m| m[me].clone()).collect());
        let opened =
            parties().map(|me| attempts[me.index()].open(&dealt[me.index()], &received(me)).unwrap());
        let (openings, residues): (Vec<_>, Vec<_>) = opened.unzip();
        let (openings, residues) = (PerParty::from_vec(openings), PerParty::from_vec(residues));
        let verdicts: Vec<Verdict> = attempts
            .iter_mut()
            .zip(dealt)
            .map(|(attempt, dealt)| attempt.decide(dealt, &openings, &residues).unwrap())
            .collect();
        // All parties decide alike.
        let same =
            |verdict: &Verdict| std::mem::discriminant(verdict) == std::mem::discriminant(&verdicts[0]);
        assert!(verdicts.iter().all(same));
        match &verdicts[0] {
            Verdict::Accepted(found) => {
                assert!(found.theta < *n && found.theta.gcd(n).is_one());
                return (true, count);
            }
            Verdict::Rejected => return (false, count),
            Verdict::Again => {}
        }
    }
    unreachable!()
}

#[test]
fn a_modulus_is_accepted_exactly_if_both_conditions_hold() {
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(BATCH);
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let secrets: Vec<BatchSecrets> = parties()
        .map(|me| {
            let sampler = Sampler::new(&parameters, me).unwrap();
            candidates::deal(&parameters, &sampler, me, 0, &mut rng).unwrap().0
        })
        .collect();
    let sieve = TrialDivision::new(256);
    let [mut no_unit, mut common, mut good, mut late] = [0; 4];
    for index in 0..BATCH {
        let sum = |of: fn(&candidates::Candidate) -> &BigUint| {
            secrets.iter().map(|s| of(s.candidate(index).unwrap())).sum::<BigUint>()
        };
        // Not primes as a rule, which the conditions do not ask for.
        let (p, q) = (sum(|c| c.p().expose()), sum(|c| c.q().expose()));
        let n = &p * &q;
        let totient = (&p - 1u32) * (&q - 1u32);
        let shared = (&p - 1u32).gcd(&(&q - 1u32));
        let unit = totient.gcd(&n).is_one();
        // A random β is a multiple of a small factor of N too often; primes are what the condition is for.
        if unit && sieve.has_small_factor(&n).is_some() {
            continue;
        }
        let (accepted, count) = decide(&parameters, &secrets, index, &n, &mut rng);
        if !unit {
            // Everybody sees a factor: there is no second attempt.
            assert_eq!((accepted, count), (false, 1));
            no_unit += 1;
        } else if shared != BigUint::from(2u32) {
            assert_eq!((accepted, count), (false, ATTEMPTS));
            common += 1;
        } else {
            // A common factor of the first β′ and N − 1 asks for another attempt, and not for a rejection.
            assert!(accepted, "candidate {index}");
            good += 1;
            late += usize::from(count > 1);
        }
    }
    // Each case occurs, so that each is tested.
    assert!(no_unit > 2 && common > 2 && late > 0 && good > 100, "{no_unit} {common} {late} {good}");
}
