//! One party wants a modulus N* whose factors it chose beforehand. It speaks last in every step, so that its share in K2 makes
//! the opening come out as N*, and its values in K4 and K5 fit the others'. W4 ends all that it can try then.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::attack::trapdoor::Trapdoor;
use crate::steps::redeal::{self, Answers, Redeal};
use crate::steps::tools::{self, Challenges};
use crate::steps::{Attack, End, Failed, Numbers, Run, Scene, Setup};
use subrosa_arith::{jacobi::jacobi, sieve::primes_below};
use subrosa_distributed_paillier::messages::{
    FirstTest, FurtherTests, ProductShares, WinnerAnswers, WinnerProducts, WinnerShares, WinnerZeros,
};
use subrosa_transport::{Message, PartyId};

/// Makes N* come out of K2 and of the tests, and finds the true p and q.
struct Chosen<'a> {
    trapdoor: &'a Trapdoor,
    me: PartyId,
    /// p·q, as K2 would have opened it.
    product: BigUint,
    factors: Option<[BigUint; 2]>,
    /// Whether the lifts of W1 are those of p* and q*, less what the others have.
    redeal: bool,
    winner: Redeal,
}

impl<'a> Chosen<'a> {
    fn new(trapdoor: &'a Trapdoor, me: PartyId) -> Self {
        let winner = Redeal::new(me, vec![], Answers::True);
        Self { trapdoor, me, product: BigUint::zero(), factors: None, redeal: false, winner }
    }

    /// p and q from their product and the others' Σ(pᵢ + qᵢ), the logarithm of what fits in K4.
    fn find_factors(&self, scene: &Scene<'_>, fitting: &BigUint) -> Option<[BigUint; 2]> {
        let (n, setup) = (&self.trapdoor.n, scene.setup);
        let base =
            primes_below(1 << 12).into_iter().skip(1).map(BigUint::from).find(|g| jacobi(g, n) == 1)?;
        let (x, order) = self.trapdoor.logarithm(&base, fitting);
        // x = s/4 if the attacker leads, else (N + 1 − s)/4.
        let x = (x * 4u32) % &order;
        let others = if setup.leader() == self.me { x } else { (n + 1u32 + &order - x) % &order };
        let own = setup.candidate(self.me);
        let sum = others + own.p().expose() + own.q().expose();
        let discriminant = BigInt::from(&sum * &sum) - BigInt::from(&self.product * 4u32);
        let root = discriminant.to_biguint()?.sqrt();
        let mut factors = [(&sum + &root) >> 1u32, (&sum - &root) >> 1u32];
        // Which is p the attacker knows from both modulo the primes of M that it answers for.
        if factors[0] != setup.factors()[0] {
            factors.reverse();
        }
        (&factors[0] * &factors[1] == self.product).then_some(factors)
    }
}

/// What takes p and q to p* and q* if it is added to the attacker's p′ and q′.
fn shifts(trapdoor: &Trapdoor, factors: &[BigUint; 2]) -> Vec<(usize, BigInt)> {
    let by = |wanted: &BigUint, found: &BigUint| {
        let (by, rest) =
            (BigInt::from(wanted.clone()) - BigInt::from(found.clone())).div_rem(&BigInt::from(4));
        assert!(rest.is_zero());
        by
    };
    vec![(redeal::P, by(&trapdoor.p, &factors[0])), (redeal::Q, by(&trapdoor.q, &factors[1]))]
}

impl Attack for Chosen<'_> {
    fn deal(&mut self, scene: &Scene<'_>, round: &str, from: PartyId, messages: &mut [Numbers<'_>]) {
        if self.redeal && round == WinnerShares::ROUND {
            self.winner.shifts = shifts(self.trapdoor, self.factors.as_ref().unwrap());
        }
        self.winner.deal(scene, round, from, messages);
    }

    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        let setup = scene.setup;
        match round {
            ProductShares::ROUND => {
                self.product = tools::steer(&setup.p1, self.me, messages, setup.index, &self.trapdoor.n);
            }
            FirstTest::ROUND | FurtherTests::ROUND => {
                for place in 0..messages[0][0].len() {
                    tools::fit(scene.modulus.as_ref().unwrap(), setup.leader(), self.me, messages, place);
                }
                if round == FirstTest::ROUND {
                    self.factors = self.find_factors(scene, &messages[self.me.index()][0][0]);
                }
            }
            _ => self.winner.publish(scene, round, messages),
        }
    }
}

fn trapdoor(seed: u64) -> Trapdoor {
    Trapdoor::new(256, 20, &mut ChaCha20Rng::seed_from_u64(seed))
}

/// All that must be 0 after W4, as it was opened.
fn zeros(run: &Run<'_>) -> Vec<BigUint> {
    let parties = run.scene.setup.parties() as usize;
    (0..parties + 2).map(|place| run.opened(WinnerZeros::ROUND, 0, place)).collect()
}

fn assert_product_refused(failed: &Failed) {
    failed.assert(WinnerZeros::ROUND, None, "N is not the product of what was shared");
}

#[test]
fn a_modulus_made_to_fit_is_refused() {
    // The attacker leads, or not; one of five does it alone.
    for (n, t, me, leader) in [(3, 1, 2, 0), (3, 1, 1, 1), (5, 2, 3, 0), (5, 2, 4, 4)] {
        let trapdoor = trapdoor(1);
        let me = PartyId::new(me);
        let setup = Setup::find(n, t, 31, |setup| setup.leader() == PartyId::new(leader));
        let mut attack = Chosen::new(&trapdoor, me);
        let mut run = Run::new(&setup, 0, &[me], &mut attack);
        let failed = run.generate().unwrap_err();
        assert_product_refused(&failed);
        assert_eq!(run.scene.modulus.as_ref().unwrap().value(), &trapdoor.n);
        // The product alone is wrong: u and w are those of N* + 1 − p − q.
        let zeros = zeros(&run);
        let wrong: Vec<usize> = (0..zeros.len()).filter(|&place| !zeros[place].is_zero()).collect();
        assert_eq!(wrong, [n as usize]);
        // The attack is as strong as it can be.
        assert_eq!(attack.factors, Some(setup.factors()));
    }
}

/// The attacker knows the others' p and q from K4, so it deals p* and q* less those, modulo P₃; modulo P₁ stands what it
/// dealt in K1. Whoever checked N = p·q on such a new sharing would accept N*.
#[test]
fn factors_dealt_anew_are_not_those_of_the_first_step() {
    let trapdoor = trapdoor(2);
    let setup = Setup::find(3, 1, 32, |setup| setup.leader() == PartyId::new(0));
    let me = PartyId::new(2);
    let honest_range = |bits: u64| BigUint::one() << (512 + bits);
    for answers in [Answers::True, Answers::InRange, Answers::Unchanged] {
        let mut attack = Chosen::new(&trapdoor, me);
        attack.redeal = true;
        attack.winner.answers = answers;
        // φ is no small number any more: what is opened would be out of range.
        attack.winner.force = (tools::U..tools::M).map(|place| (place, honest_range(81) + place)).collect();
        let failed = Run::new(&setup, 0, &[me], &mut attack).generate().unwrap_err();
        failed.assert(WinnerZeros::ROUND, Some(me), "it dealt other values than it answered for");
        attack.winner.force.clear();
        let failed = Run::new(&setup, 0, &[me], &mut attack).generate().unwrap_err();
        failed.assert(WinnerProducts::ROUND, None, "out of range");
    }
    // The numbers are right: dealt in K1, when the attacker could not know them, they pass every check.
    let shifts = shifts(&trapdoor, &setup.factors());
    let mut attack = Redeal { from_k1: true, fit: true, ..Redeal::new(me, shifts, Answers::True) };
    let mut run = Run::new(&setup, 0, &[me], &mut attack);
    assert!(matches!(run.generate(), Ok(End::Key(_))));
    assert_eq!(run.scene.modulus.as_ref().unwrap().value(), &trapdoor.n);
}

/// Who knew the challenge x before W2 could fit an error of m to N − p·q.
struct Fitted<'a> {
    chosen: Chosen<'a>,
    early: BigInt,
    challenge: BigInt,
}

impl Attack for Fitted<'_> {
    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        let Self { chosen, early, challenge } = self;
        chosen.publish(scene, round, messages);
        match round {
            WinnerProducts::ROUND => {
                *early = Challenges::new(scene).x.into();
                let by = BigInt::from(chosen.trapdoor.n.clone()) - BigInt::from(chosen.product.clone());
                tools::shift(&scene.setup.q, chosen.me, messages, tools::M, &(by * &*early));
            }
            WinnerAnswers::ROUND => *challenge = Challenges::new(scene).x.into(),
            _ => {}
        }
    }
}

#[test]
fn an_error_fitted_to_a_challenge_of_its_own_is_noticed() {
    let (trapdoor, setup, me) = (trapdoor(3), Setup::find(3, 1, 34, |_| true), PartyId::new(2));
    let chosen = Chosen::new(&trapdoor, me);
    let mut attack = Fitted { chosen, early: BigInt::ZERO, challenge: BigInt::ZERO };
    let mut run = Run::new(&setup, 0, &[me], &mut attack);
    let failed = run.generate().unwrap_err();
    assert_product_refused(&failed);
    // Nothing but the challenge is in its way.
    let mut left = zeros(&run)[3].clone();
    let error = BigInt::from(trapdoor.n.clone()) - BigInt::from(setup.factors().iter().product::<BigUint>());
    tools::add(&mut left, &((attack.challenge - attack.early) * error), &setup.q);
    assert!(left.is_zero());
}
