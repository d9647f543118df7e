//! One party of n = 2t + 1 wants a modulus whose factors it chose beforehand. It speaks last: its share in K2 makes the
//! opening come out as N*, and its values in K4 and K5 fit the others'. The logarithm of its K4 value modulo N* is the
//! others' sum of summands, from which it has the true factors of the candidate as well.
//!
//! No honest party accepts N*, and all name the attacker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::sync::{Arc, Mutex};

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::Zero;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::attack::forge::{chooses, forges_tests, steer};
use crate::attack::script::{Dealing, Scene, Script};
use crate::attack::{stage::Stage, trapdoor::Trapdoor};
use subrosa_arith::{jacobi::jacobi, sieve::primes_below};
use subrosa_distributed_paillier::messages::{
    FirstTest, WinnerAnswers, WinnerProducts, WinnerShares, WinnerZeros,
};
use subrosa_distributed_paillier::receipts::{Committed, Receipted};
use subrosa_distributed_paillier::winner::GCD_OPENINGS;
use subrosa_shamir::ShareRing;
use subrosa_transport::PartyId;

const WRONG_PRODUCT: &str = "a product share that does not follow from what it was dealt";
const OTHER_VALUES: &str = "it dealt other values than it answered for";

/// What the attacker does besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Besides {
    Nothing,
    /// Modulo P₃ it deals what is missing to the factors of N*, and keeps u and every w in their ranges.
    OtherLifts,
    /// Its share of m in W2 bets on a challenge.
    Bet,
    /// Its share in W4 makes the sum of all come out as 0.
    Zero,
    /// Everything.
    All,
}

/// What the attacker found out on its way.
#[derive(Debug, Default)]
struct Found {
    /// pq, which K2 would have opened.
    product: BigUint,
    /// p and q.
    factors: Option<(BigUint, BigUint)>,
    /// It came to W3, so that N* passed every test.
    answered: bool,
}

/// K4 of the attacker: what it publishes tells it the others' summands.
fn find_factors(
    scene: &Scene<'_>,
    trapdoor: &Trapdoor,
    value: &BigUint,
    product: &BigUint,
) -> Option<(BigUint, BigUint)> {
    let base = primes_below(1 << 12).into_iter().skip(1).map(BigUint::from);
    let base = base.into_iter().find(|g| jacobi(g, &trapdoor.n) == 1).unwrap();
    let (x, order) = trapdoor.logarithm(&base, value);
    // x = s/4 if the attacker leads, else (N + 1 − s)/4, with s the sum of the others' summands.
    let s = if scene.leader(0) == scene.me {
        (x * 4u32) % &order
    } else {
        (&trapdoor.n + 1u32 + &order * 4u32 - (x * 4u32) % &order) % &order
    };
    let own = scene.secrets.as_ref().unwrap().candidate(0).unwrap();
    let total = s + own.p().expose() + own.q().expose();
    // p + q and the true p·q give p and q.
    let discriminant = BigInt::from(&total * &total) - BigInt::from(product * 4u32);
    let root = discriminant.to_biguint().unwrap_or_default().sqrt();
    let (p, q) = ((&total + &root) >> 1u32, (&total - &root) >> 1u32);
    (&p * &q == *product).then_some((p, q))
}

fn attack(script: &mut Script, trapdoor: &Arc<Trapdoor>, besides: Besides, found: &Arc<Mutex<Found>>) {
    let (opened, n) = (Arc::clone(found), trapdoor.n.clone());
    chooses(script, 0, n, move |product| opened.lock().unwrap().product = product);
    forges_tests(script);
    let (trap, seen) = (Arc::clone(trapdoor), Arc::clone(found));
    script.also(move |scene, mine: &mut Committed<FirstTest>| {
        assert_eq!(scene.survivors[0].modulus.value(), &trap.n);
        let mut found = seen.lock().unwrap();
        found.factors = find_factors(scene, &trap, &mine.message.values[0], &found.product);
    });
    if matches!(besides, Besides::OtherLifts | Besides::All) {
        let (trap, seen) = (Arc::clone(trapdoor), Arc::clone(found));
        script.deals(move |scene, dealing: &mut Dealing<WinnerShares>| {
            let prime = &scene.winner_moduli.as_ref().unwrap()[0];
            let (p, q) = seen.lock().unwrap().factors.clone().unwrap();
            let quarter = BigUint::from(4u32).modinv(prime).unwrap();
            for (place, (wanted, is)) in [(&trap.p, p), (&trap.q, q)].into_iter().enumerate() {
                let add = (prime + wanted - is) * &quarter;
                for party in scene.everybody() {
                    let lift = &mut dealing.messages[party].lifts[place];
                    *lift = (&*lift + &add) % prime;
                }
            }
        });
    }
    if matches!(besides, Besides::OtherLifts | Besides::All) {
        script.sends(move |scene, message: &mut Receipted<WinnerProducts>| {
            let Receipted::Complete(mine) = message else { return };
            let (_, modulus) = scene.candidate.as_ref().unwrap();
            let ring = &scene.winner_moduli.as_ref().unwrap()[1];
            let others = scene.peek::<Receipted<WinnerProducts>>();
            for (place, own) in mine.values.iter_mut().enumerate().take(1 + GCD_OPENINGS) {
                let value = |(peer, theirs): &(PartyId, Receipted<WinnerProducts>)| match theirs {
                    Receipted::Complete(theirs) => (*peer, theirs.values[place].clone()),
                    Receipted::Disputed(_) | Receipted::OutOfRange => panic!("an honest party complains"),
                };
                let others: Vec<_> = others.iter().map(value).collect();
                let target = modulus.value() * modulus.value();
                *own = steer(ring, scene.parties(), scene.me, &others, own, &target).0;
            }
        });
    }
    if matches!(besides, Besides::Bet | Besides::All) {
        let (trap, seen) = (Arc::clone(trapdoor), Arc::clone(found));
        script.also(move |scene, message: &mut Receipted<WinnerProducts>| {
            let Receipted::Complete(mine) = message else { return };
            // V is 0 if the challenge is this number.
            let guess = BigInt::from(BigUint::from(2u32).pow(255));
            let ring = &scene.winner_moduli.as_ref().unwrap()[1];
            let missing = BigInt::from(trap.n.clone()) - BigInt::from(seen.lock().unwrap().product.clone());
            let add = (guess * missing).mod_floor(&BigInt::from(ring.clone())).into_parts().1;
            let points: Vec<u32> = (1..=scene.parties()).collect();
            let lagrange = ShareRing::assume_prime(ring.clone()).lagrange(&points, 0).unwrap();
            let add = add * lagrange[scene.me.index()].modinv(ring).unwrap();
            let m = &mut mine.values[1 + GCD_OPENINGS];
            *m = (&*m + add) % ring;
        });
    }
    if matches!(besides, Besides::Zero | Besides::All) {
        script.sends(move |scene, mine: &mut Committed<WinnerZeros>| {
            let (ring, place) = (&scene.winner_moduli.as_ref().unwrap()[1], scene.parties() as usize);
            let others = scene.peek::<Committed<WinnerZeros>>().into_iter();
            let others: Vec<_> =
                others.map(|(peer, theirs)| (peer, theirs.message.values[place].clone())).collect();
            let own = &mut mine.message.values[place];
            *own = steer(ring, scene.parties(), scene.me, &others, own, &BigUint::zero()).0;
        });
    }
    let found = Arc::clone(found);
    script.sends(move |_, _: &mut WinnerAnswers| found.lock().unwrap().answered = true);
}

fn run(stage: &Stage, trapdoor: &Arc<Trapdoor>, besides: Besides) {
    let found: Arc<Mutex<Found>> = Arc::default();
    let reasons: &[&str] = if matches!(besides, Besides::Zero | Besides::Nothing | Besides::Bet) {
        &[WRONG_PRODUCT]
    } else {
        &[WRONG_PRODUCT, OTHER_VALUES]
    };
    stage.names(reasons, |script| attack(script, trapdoor, besides, &found));
    // The attack is as strong as it can be.
    let found = found.lock().unwrap();
    assert!(found.answered && found.factors.is_some(), "{besides:?}");
}

fn stage(parties: u16, bits: u64, attacker: u16) -> Stage {
    Stage { bits, batch: 4, liars: vec![PartyId::new(attacker)], ..Stage::of(parties) }
}

fn trapdoor(bits: u64, size: u32) -> Arc<Trapdoor> {
    Arc::new(Trapdoor::new(bits, size, &mut ChaCha20Rng::seed_from_u64(bits)))
}

#[test]
fn neither_the_last_nor_the_leader_of_three_chooses_the_modulus() {
    let trapdoor = trapdoor(2048, 20);
    run(&stage(3, 2048, 2), &trapdoor, Besides::Nothing);
    run(&stage(3, 2048, 0), &trapdoor, Besides::All);
}

#[test]
fn neither_a_follower_nor_the_leader_of_five_chooses_the_modulus() {
    let trapdoor = trapdoor(512, 20);
    for besides in [Besides::Nothing, Besides::OtherLifts, Besides::Bet, Besides::Zero] {
        run(&stage(5, 512, 3), &trapdoor, besides);
        // As the leader of the candidate.
        run(&stage(5, 512, 0), &trapdoor, besides);
    }
}

/// 0 keys of 200 runs.
#[test]
fn nobody_chooses_the_modulus_whatever_it_does_besides() {
    for (bits, seeds) in [(256, 0..20), (512, 20..40)] {
        let trapdoor = trapdoor(bits, 18);
        for besides in [Besides::Nothing, Besides::OtherLifts, Besides::Bet, Besides::Zero, Besides::All] {
            for seed in seeds.clone() {
                let attacker = u16::try_from(seed % 3).unwrap();
                run(&Stage { seed, ..stage(3, bits, attacker) }, &trapdoor, besides);
            }
        }
    }
}
