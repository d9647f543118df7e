//! One party of n = 2t + 1 wants a modulus whose factors it chose beforehand. It speaks last: its share in K2 makes the
//! opening come out as N*, and its values in K4 and K5 fit the others'. The logarithm of its K4 value modulo N* is the
//! others' sum of summands, from which it has the true factors of the candidate as well.
//!
//! The honest parties run [`generate`] over sessions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

#[expect(unreachable_pub, reason = "shared by test files")]
mod attack;

use std::sync::Mutex;

use attack::{rushing::Rushing, trapdoor::Trapdoor};
use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::Zero;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use subrosa_arith::{Modulus, jacobi::jacobi, sieve::primes_below};
use subrosa_distributed_paillier::candidates::{self, Sampler};
use subrosa_distributed_paillier::decryption_key::{Attempts, Verdict};
use subrosa_distributed_paillier::messages::{FirstTest, FurtherTests, ProductShares};
use subrosa_distributed_paillier::{KeygenError, KeygenParameters, PROTOCOL, biprimality, generate, product};
use subrosa_shamir::{PrimeField, Triple};
use subrosa_transport::testing::run_parties;
use subrosa_transport::{MemoryTransport, PartyId, Session, Settings};

/// What the attacker found out on its way.
#[derive(Debug, Default)]
struct Found {
    passed_tests: bool,
    factors: Option<(BigUint, BigUint)>,
}

/// What the attacker publishes so that `v_lead` = ∏ others.
fn fit(modulus: &Modulus, lead: PartyId, me: PartyId, values: &[(PartyId, BigUint)]) -> BigUint {
    let (mut others, mut top) = (modulus.one(), modulus.one());
    for (party, value) in values.iter().filter(|(party, _)| *party != me) {
        modulus.mul_assign(if *party == lead { &mut top } else { &mut others }, &modulus.residue(value));
    }
    let fitting =
        if lead == me { others } else { modulus.mul(&top, &modulus.vartime_invert(&others).unwrap()) };
    modulus.to_uint(&fitting)
}

fn attack(
    transport: MemoryTransport,
    parameters: &KeygenParameters,
    trapdoor: &Trapdoor,
    found: &Mutex<Found>,
) -> Result<(), KeygenError> {
    let mut wire = Rushing::new(transport);
    let eye = wire.clone();
    let mut rng = ChaCha20Rng::seed_from_u64(777);
    let fields = parameters.session_parameters();
    let mut session = Session::open(&mut wire, PROTOCOL, &fields, Settings::default(), &mut rng)?;
    let me = session.me();
    let peers: Vec<PartyId> = session.roster().others().collect();
    let access = parameters.access();
    // Of candidate 0.
    let lead = PartyId::new(0);
    // K1: honest.
    let sampler = Sampler::new(parameters, me)?;
    let (secrets, messages) = candidates::deal(parameters, &sampler, me, 0, &mut rng)?;
    let shares = session.exchange_all(messages, &candidates::share_shape(parameters))?;
    // K2: candidate 0 is opened as N*.
    let mut products = candidates::multiply(parameters, me, &shares)?;
    let field = PrimeField::assume_prime(candidates::share_shape(parameters).bound);
    let prime = field.prime();
    let points: Vec<u32> = (1..=access.parties()).collect();
    let lagrange = field.lagrange(&points, 0)?;
    let mut sum = BigUint::zero();
    for &peer in &peers {
        sum += &eye.peek::<ProductShares>(peer).unwrap().values[0] * &lagrange[peer.index()];
    }
    let mine = &lagrange[me.index()];
    let honest_n = (&sum + mine * &products.values[0]) % prime;
    products.values[0] = (&trapdoor.n + prime - sum % prime) * mine.modinv(prime).unwrap() % prime;
    let products = session.broadcast(&products, &candidates::product_shape(parameters))?;
    let moduli = candidates::open(parameters, &products)?;
    assert_eq!(moduli[0], trapdoor.n);
    // K4: the value of candidate 0 is made to fit.
    let survivors = biprimality::prepare(&moduli, &candidates::sieve(parameters, &moduli))?;
    assert_eq!(survivors[0].index, 0);
    let modulus = survivors[0].modulus.clone();
    let mut test = biprimality::first_test(parameters, me, &secrets, &survivors)?;
    let seen: Vec<_> =
        peers.iter().map(|&p| (p, eye.peek::<FirstTest>(p).unwrap().values[0].clone())).collect();
    test.values[0] = fit(&modulus, lead, me, &seen);
    let base = primes_below(1 << 12).into_iter().skip(1).map(BigUint::from);
    let base = base.into_iter().find(|g| jacobi(g, &trapdoor.n) == 1).unwrap();
    let (x, order) = trapdoor.logarithm(&base, &test.values[0]);
    // x = s/4 if the attacker leads, else (N + 1 − s)/4, with s the sum of the others' summands.
    let s = if lead == me {
        (x * 4u32) % &order
    } else {
        (&trapdoor.n + 1u32 + &order * 4u32 - (x * 4u32) % &order) % &order
    };
    let own = secrets.candidate(0).unwrap();
    let total = &s + own.p().expose() + own.q().expose();
    // p + q and the true p·q give p and q.
    let discriminant = BigInt::from(&total * &total) - BigInt::from(&honest_n * 4u32);
    let root = discriminant.to_biguint().unwrap_or_default().sqrt();
    let (p, q) = ((&total + &root) >> 1u32, (&total - &root) >> 1u32);
    let tests = session.broadcast(&test, &biprimality::first_shape(parameters, survivors.len()))?;
    let passed = biprimality::passed(parameters, 0, &survivors, &tests)?[0];
    // K5: every value fits.
    let id = *session.id();
    let mut further = biprimality::further_tests(parameters, me, &id, own, &modulus)?;
    let seen: Vec<_> = peers.iter().map(|&p| (p, eye.peek::<FurtherTests>(p).unwrap().values)).collect();
    for (round, value) in further.values.iter_mut().enumerate() {
        let values: Vec<_> = seen.iter().map(|(p, v)| (*p, v[round].clone())).collect();
        *value = fit(&modulus, lead, me, &values);
    }
    let further = session.broadcast(&further, &biprimality::further_shape(parameters))?;
    *found.lock().unwrap() = Found {
        passed_tests: passed && biprimality::all_passed(parameters, 0, &modulus, &further)?,
        factors: (&p * &q == honest_n).then_some((p, q)),
    };
    // K5a: honest, for want of anything better.
    let factors = candidates::factors(parameters, me, &shares, 0)?;
    let messages = product::deal(parameters, &mut rng)?;
    let dealt = session.exchange_all(messages, &product::shape(parameters, Triple::VALUES))?;
    let (triple, m) = product::triple(parameters, me, &dealt)?;
    let products = session.broadcast(&m, &product::shape(parameters, 1))?;
    let transcript = session.transcript();
    let (check, differences) =
        product::begin(parameters, &transcript, &trapdoor.n, &factors, triple, &products)?;
    let differences = session.broadcast(&differences, &product::shape(parameters, 2))?;
    let zero = product::zero(parameters, me, &trapdoor.n, check, &differences)?;
    session.broadcast(&zero, &product::shape(parameters, 1))?;
    // K6: what is added makes Σφᵢ = φ(N*).
    let correction =
        BigInt::from(trapdoor.totient()) - (BigInt::from(&trapdoor.n + 1u32) - BigInt::from(total));
    let mut attempts = Attempts::new(parameters, me, own, &trapdoor.n)?;
    loop {
        let (dealt, mut messages) = attempts.deal(&mut rng)?;
        let prime = attempts.share_shape().bound;
        let add = correction.mod_floor(&BigInt::from(prime.clone())).into_parts().1;
        for party in session.roster().parties() {
            let value = &mut messages[party].values[0];
            *value = (&*value + &add) % &prime;
        }
        let shares = session.exchange_all(messages, &attempts.share_shape())?;
        let (openings, residue) = attempts.open(&dealt, &shares)?;
        let openings = session.broadcast(&openings, &attempts.opening_shape())?;
        let residues = session.broadcast(&residue, &attempts.residue_shape())?;
        match attempts.decide(dealt, &openings, &residues)? {
            Verdict::Again => {}
            verdict => panic!("N* came through: {verdict:?}"),
        }
    }
}

fn run(parties: u16, threshold: u32, bits: u64, attacker: PartyId, size: u32) {
    let seed = u64::from(parties) * 1000 + bits + u64::from(attacker.number());
    let trapdoor = Trapdoor::new(bits, size, &mut ChaCha20Rng::seed_from_u64(seed));
    let found = Mutex::new(Found::default());
    let results = run_parties(usize::from(parties), |me, mut transport| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed * 100 + u64::from(me.number()));
        let parameters = KeygenParameters::insecure(u32::from(parties), threshold, bits)?.with_batch(4);
        if me == attacker {
            return attack(transport, &parameters, &trapdoor, &found);
        }
        let fields = parameters.session_parameters();
        let mut session = Session::open(&mut transport, PROTOCOL, &fields, Settings::default(), &mut rng)?;
        generate(&mut session, &parameters, &mut rng, |_| ()).map(drop)
    });
    // The attack is as strong as it can be.
    let found = found.into_inner().unwrap();
    assert!(found.passed_tests && found.factors.is_some());
    for (index, result) in results.iter().enumerate().filter(|(index, _)| *index != attacker.index()) {
        let error = result.as_ref().expect_err("a chosen modulus was accepted");
        let reason = error.to_string();
        assert!(reason.contains("N is not the product of what was shared"), "party {index}: {reason}");
    }
}

#[test]
fn the_last_of_three_cannot_choose_the_modulus() {
    run(3, 1, 2048, PartyId::new(2), 24);
}

#[test]
fn the_leader_of_three_cannot_choose_the_modulus() {
    run(3, 1, 2048, PartyId::new(0), 20);
}

#[test]
fn one_of_five_cannot_choose_the_modulus() {
    run(5, 2, 512, PartyId::new(3), 20);
}
