//! Input of the steps that contradicts itself ends in an error, and never in numbers that could be scores.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use num_bigint::BigInt;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use subrosa_paillier::{Blinder, Ciphertext, PrivateKey, Randomness};
use subrosa_risk_propagation::steps::agreement;
use subrosa_risk_propagation::steps::agreement::senders;
use subrosa_risk_propagation::steps::disclosure::{self, Ceilings};
use subrosa_risk_propagation::steps::scores::{Encrypted, Received};
use subrosa_risk_propagation::synthetic::{NetworkShape, generate};
use subrosa_risk_propagation::{Agreed, Error, NetworkSizes, Plan, Settings, plaintext};

fn agreed() -> Vec<Agreed> {
    let shape = NetworkShape { accounts: 60, transfers: 300, chains: 2, ..NetworkShape::default() };
    let generated = generate(&shape, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    Agreed::among(generated.networks().unwrap()).unwrap()
}

fn plan(columns: usize, periods: usize) -> Plan {
    let sizes = NetworkSizes {
        key_bits: 256,
        columns,
        in_degree_bits: 6,
        active_periods: vec![true; periods],
        noise_contributors: 2,
    };
    let settings = Settings { accuracy: 1e-2, iterations: 1, min_foreign_senders: 2, ..Settings::default() };
    Plan::new(&sizes, &settings).unwrap()
}

fn private_key() -> PrivateKey {
    PrivateKey::generate_insecure(256, &mut ChaCha20Rng::seed_from_u64(2)).unwrap()
}

#[track_caller]
fn is_internal<T>(result: Result<T, Error>) {
    match result {
        Err(error @ Error::Internal { .. }) => assert!(error.culprits().is_empty()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the contradiction was not noticed"),
    }
}

#[test]
fn scores_that_have_not_arrived_do_not_count_as_zero() {
    let (agreed, plan, private) = (&agreed()[0], plan(1, 1), private_key());
    let (key, step) = (private.public(), plan.steps()[0]);
    let mut scores = Encrypted::initial(agreed, &plan).unwrap();
    let before = scores.plain().clone();
    is_internal(scores.advance(agreed, &plan, key, step, Received::new(agreed)));
    assert!(*scores.plain() == before);

    let five: Ciphertext = key.encrypt_unblinded(&BigInt::from(5)).unwrap();
    let mut received = Received::new(agreed);
    let count = u32::try_from(agreed.network().foreign_count()).unwrap();
    is_internal(received.insert(key, &[0, 1], vec![five.clone()]));
    is_internal(received.insert(key, &[count], vec![five.clone()]));
    let all: Vec<u32> = (0..count).collect();
    received.insert(key, &all, vec![five; all.len()]).unwrap();
    scores.advance(agreed, &plan, key, step, received).unwrap();
}

#[test]
fn accounts_that_are_not_there_have_no_scores() {
    let (agreed, plan, private) = (&agreed()[0], plan(1, 1), private_key());
    let blinder = Blinder::new(private.public(), Randomness::Short, 1 << 16).unwrap();
    let scores = Encrypted::initial(agreed, &plan).unwrap();
    let count = agreed.network().account_count();
    is_internal(scores.plain().row(count));
    is_internal(scores.plain().packed(count));
    is_internal(scores.plain().lanes(count, &plan));
    is_internal(Ceilings::new(agreed, &plan).unwrap().of(count));
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    is_internal(scores.encrypt(&blinder, &[0, u32::try_from(count).unwrap()], &mut rng));
    // Before the first iteration nothing has a ciphertext.
    is_internal(disclosure::pack(&scores, &[0], &plan, private.public()));
}

#[test]
fn noise_that_does_not_cover_all_ciphertexts_is_refused() {
    let private = private_key();
    let key = private.public();
    let one = |value: i64| key.encrypt_unblinded(&BigInt::from(value)).unwrap();
    let (packed, noise) = ([one(1), one(2)], [one(3), one(4)]);
    assert_eq!(disclosure::add_noise(key, &packed, &[&noise, &noise]).unwrap().len(), 2);
    is_internal(disclosure::add_noise(key, &packed, &[&noise, &noise[..1]]));
}

#[test]
fn a_plan_for_another_network_is_noticed() {
    let agreed = agreed();
    // Two periods where the networks have one; two risk types where they have one.
    let longer = plan(1, 2);
    is_internal(plaintext::propagate(&agreed, &longer));
    is_internal(Ceilings::new(&agreed[0], &longer));
    let wider = plan(2, 1);
    is_internal(plaintext::propagate(&agreed, &wider));
    is_internal(Encrypted::initial(&agreed[0], &wider));
    // Before the agreement a network can have fewer periods than the plan.
    senders::withheld(agreed[0].network(), &longer).unwrap();
}

#[test]
fn an_agreement_among_another_number_of_banks_is_noticed() {
    let network = agreed().remove(0).network().clone();
    let offers = vec![agreement::Offer { periods: vec![Vec::new()] }; network.banks().len()];
    is_internal(agreement::select(network.clone(), &offers[1..]));
    let (selected, selections) = agreement::select(network, &offers).unwrap();
    is_internal(selected.finish(&offers, &selections[1..]));
}
