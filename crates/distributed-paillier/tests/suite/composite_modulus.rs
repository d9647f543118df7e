//! N has a factor that is no prime, and the attacker found its primes. It fits its values in K4 and K5 to the others', and
//! N is the product of what was shared, so that W1 to W4 hold. What is left is K10.
#![allow(clippy::unwrap_used, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};

use crate::steps::{Attack, End, Numbers, Run, Scene, Setup, tools};
use subrosa_arith::{prime::is_probable_prime, sieve::primes_below};
use subrosa_distributed_paillier::messages::{
    FirstTest, FurtherTests, IntegerShareMessage, TrialProof, VerificationKey, WinnerShares,
};
use subrosa_distributed_paillier::winner::KeyFound;
use subrosa_transport::{Message, PartyId};

const ME: PartyId = PartyId::new(1);
/// Δ of three parties.
const DELTA: u32 = 6;

/// Knows the order of the group, and wants a d that is a multiple of it: then every trial decryption succeeds.
struct Lucky {
    /// θ if it were opened before K8.
    early: bool,
    /// The guess of ⌊β/N⌋, less the attacker's own.
    carry: u32,
    /// A multiple of the order of all units modulo N.
    order: BigUint,
    totient: BigUint,
    beta: BigUint,
    error: BigInt,
}

impl Attack for Lucky {
    fn deal(&mut self, scene: &Scene<'_>, round: &str, _from: PartyId, messages: &mut [Numbers<'_>]) {
        if round == WinnerShares::ROUND {
            let column: Vec<_> = messages.iter().map(|lists| &lists[1][tools::BETA]).collect();
            self.beta = tools::interpolate(&scene.setup.q, &column);
        }
    }

    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        let modulus = scene.modulus.as_ref();
        if round == VerificationKey::ROUND {
            tools::add(&mut messages[ME.index()][1][0], &-&self.error, modulus.unwrap().value());
        } else if [FirstTest::ROUND, FurtherTests::ROUND].contains(&round) {
            for place in 0..messages[0][0].len() {
                tools::fit(modulus.unwrap(), scene.setup.leader(), ME, messages, place);
            }
        }
    }

    fn deal_key(
        &mut self,
        scene: &Scene<'_>,
        _from: PartyId,
        found: &[KeyFound],
        messages: &mut [IntegerShareMessage],
    ) {
        let n = scene.modulus.as_ref().unwrap().value();
        // Without the residues of the others the attacker takes its own mask for all of them.
        let known: Vec<&KeyFound> =
            if self.early { found.iter().collect() } else { vec![&found[ME.index()]] };
        let residues: BigUint = known.iter().map(|found| found.residue.expose()).sum();
        let theta = (&found[ME.index()].opening + n * found.len() - residues) % n;
        let beta = theta * self.totient.modinv(n).unwrap() % n;
        let others = (beta + n - &self.beta % n) % n + n * self.carry;
        let d = &self.totient * (others + &self.beta);
        self.error = (&self.order - d % &self.order).into();
        for message in messages {
            message.value += &self.error * DELTA;
        }
    }
}

/// Primes of p, for p = p₁·p₂ beyond the bound of trial division, and a prime q.
fn primes_of(setup: &Setup) -> Option<[BigUint; 3]> {
    let [p, q] = setup.factors();
    if !setup.common_factor().is_one() || !is_probable_prime(&q) {
        return None;
    }
    let first = primes_below(1 << 15).into_iter().find(|&prime| (&p % prime).is_zero())?;
    let second = p / first;
    (first > 1 << 13 && is_probable_prime(&second)).then(|| [first.into(), second, q])
}

/// With θ opened together with W4, a party that can factor N would choose its dealing of K8 so that N passes.
#[test]
fn a_composite_that_the_attacker_factored_is_refused_since_the_residues_come_last() {
    for seed in 61..64 {
        let setup = Setup::find(3, 1, seed, |setup| primes_of(setup).is_some());
        let [p, q] = setup.factors();
        let order = primes_of(&setup).unwrap().iter().fold(BigUint::one(), |order, r| order.lcm(&(r - 1u32)));
        let totient = (p - 1u32) * (q - 1u32);
        let run = |early: bool, carry: u32| {
            let (order, totient) = (order.clone(), totient.clone());
            let (beta, error) = (BigUint::zero(), BigInt::zero());
            let mut attack = Lucky { early, carry, order, totient, beta, error };
            Run::new(&setup, 0, &[ME], &mut attack).generate()
        };
        // The sum of the two others is below 2N: one of two guesses is right.
        let early = [0, 1].map(|carry| run(true, carry));
        assert_eq!(
            early.iter().filter(|end| matches!(end, Ok(End::Key(_)))).count(),
            1,
            "the attack must work"
        );
        for failed in early.into_iter().chain([0, 1].map(|carry| run(false, carry))) {
            if let Err(failed) = failed {
                failed.assert(TrialProof::ROUND, None, "");
            }
        }
        assert!([0, 1].into_iter().all(|carry| run(false, carry).is_err()));
    }
}
