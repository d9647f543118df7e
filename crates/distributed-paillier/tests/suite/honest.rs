//! Everybody follows the steps, for every kind of n and t: the key is what the protocol's page promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};

use crate::steps::{Broadcast, End, Honest, Run, Setup, tools};
use subrosa_distributed_paillier::messages::{VerificationKey, WinnerProducts, WinnerZeros};
use subrosa_distributed_paillier::sharing;
use subrosa_shamir::integer_lagrange_at_zero;
use subrosa_transport::Message;

#[test]
fn honest_parties_end_with_a_key_for_every_number_of_parties() {
    for (n, t) in [(3, 1), (4, 1), (5, 2), (7, 3)] {
        let setup = Setup::good(n, t, 1);
        let [p, q] = setup.factors();
        let totient = (&p - 1u32) * (&q - 1u32);
        let mut honest = Honest;
        let mut run = Run::new(&setup, 0, &[], &mut honest);
        let End::Key(shares) = run.generate().unwrap() else { panic!("a good candidate is rejected") };
        assert_eq!((shares.len(), run.attempts), (n as usize, 1));
        let key = shares[0].key();
        assert!(shares.iter().all(|share| share.key().parts().theta == key.parts().theta));
        assert_eq!(key.public().n(), &(&p * &q));
        // Σ μⱼsⱼ = Δ²·d over any t + 1 parties.
        let quorum = &shares[n as usize - t as usize - 1..];
        let points: Vec<u32> = quorum.iter().map(|share| share.party().number()).collect();
        let coefficients = integer_lagrange_at_zero(n, &points).unwrap();
        let scaled = coefficients.iter().zip(quorum);
        let scaled: BigInt =
            scaled.map(|(mu, share)| mu * BigInt::from(share.share().expose().clone())).sum();
        let delta: BigUint = (1..=n).product();
        let (d, rest) = scaled.to_biguint().unwrap().div_rem(&(&delta * &delta));
        assert!(rest.is_zero());
        assert!((&d % &totient).is_zero() && d / &totient < key.public().n() * n);
        // u − Σ rⱼ mod N = θ, from what was published.
        let u = run.opened(WinnerProducts::ROUND, 0, tools::U);
        let residues: BigUint = run.published(VerificationKey::ROUND).iter().map(|lists| &lists[1][0]).sum();
        assert_eq!((u + key.public().n() * n - residues) % key.public().n(), key.parts().theta);
        // Nobody knows the trial's ciphertext before the last message of K9.
        let trial = |transcript: u8| sharing::try_decrypt(&shares[0], &[transcript; 32]).unwrap().values;
        assert_eq!(trial(1), trial(1));
        assert_ne!(trial(1), trial(2));
        assert!((0..n as usize + 2).all(|place| run.opened(WinnerZeros::ROUND, 0, place).is_zero()));
    }
}

/// Once in some hundred times all w leave a factor to N − 1: then, and only then, all is opened anew, with fresh numbers.
#[test]
fn another_attempt_takes_fresh_numbers() {
    let setup = Setup::good(3, 1, 2);
    let [p, q] = setup.factors();
    let rest: BigUint = p * q - 1u32;
    let odd = &rest >> rest.trailing_zeros().unwrap();
    let left = |attempt: &Broadcast| {
        let w = |place: usize| {
            let column: Vec<_> = attempt.iter().map(|lists| &lists[0][place]).collect();
            tools::interpolate(&setup.q, &column)
        };
        (tools::W..tools::M).fold(odd.clone(), |left, place| left.gcd(&w(place)))
    };
    let mut seen = 0;
    for seed in 0..20_000 {
        let mut honest = Honest;
        let mut run = Run::new(&setup, seed, &[], &mut honest);
        let found = run.untested().unwrap().expect("a good candidate is rejected");
        let attempts = run.all_published(WinnerProducts::ROUND);
        assert_eq!(left(&attempts[0]).is_one(), run.attempts == 1);
        if let [first, second] = attempts {
            assert!(left(first).gcd(&left(second)).is_one());
            for (first, second) in first.iter().zip(second) {
                assert!(first[0].iter().all(|value| !second[0].contains(value)));
            }
            run.share_key(&found).unwrap();
            seen += 1;
        }
        if seen == 3 {
            return;
        }
    }
    panic!("{seen} runs took a second attempt");
}
