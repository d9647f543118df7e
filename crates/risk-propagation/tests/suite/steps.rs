//! The encrypted iteration without a network: integer for integer what the plaintext reference computes.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use num_bigint::BigInt;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::common::{Raw, consistent};
use subrosa_paillier::{Blinder, Ciphertext, PrivateKey, Randomness};
use subrosa_risk_propagation::steps::agreement::senders;
use subrosa_risk_propagation::steps::disclosure;
use subrosa_risk_propagation::steps::disclosure::Ceilings;
use subrosa_risk_propagation::steps::scores::{Encrypted, Received};
use subrosa_risk_propagation::{
    Agreed, Banks, NetworkBuilder, NetworkSizes, Plan, Settings, Transfer, plaintext,
};

fn plan(agreed: &[Agreed], key_bits: usize, columns: usize, settings: &Settings) -> Plan {
    let periods = agreed[0].network().periods().len();
    let active = |period: usize| agreed.iter().any(|a| a.network().periods()[period].is_active());
    let sizes = NetworkSizes {
        key_bits,
        columns,
        in_degree_bits: 5,
        active_periods: (0..periods).map(active).collect(),
        noise_contributors: 2,
    };
    Plan::new(&sizes, settings).unwrap()
}

/// All iterations at all banks, ciphertexts handed over in memory.
fn run(agreed: &[Agreed], plan: &Plan, blinder: &Blinder, rng: &mut ChaCha20Rng) -> Vec<Encrypted> {
    let key = blinder.key();
    let mut scores: Vec<Encrypted> =
        agreed.iter().map(|agreed| Encrypted::initial(agreed, plan).unwrap()).collect();
    for step in plan.steps() {
        let mut received: Vec<Received> = agreed.iter().map(Received::new).collect();
        for (from, sender) in agreed.iter().enumerate() {
            let exported = sender.exported(step.period);
            let blinded = scores[from].encrypt(blinder, &exported, rng).unwrap();
            for (to, receiver) in agreed.iter().enumerate().filter(|(to, _)| *to != from) {
                let pick =
                    |account: &u32| blinded[exported.binary_search(account).unwrap()].clone().into_inner();
                let sent: Vec<Ciphertext> =
                    sender.exports(step.period, receiver.network().own()).iter().map(pick).collect();
                let places = receiver.imports(step.period, sender.network().own());
                assert_eq!(places.len(), sent.len());
                received[to].insert(key, places, sent).unwrap();
            }
        }
        for ((agreed, scores), received) in agreed.iter().zip(&mut scores).zip(received) {
            scores.advance(agreed, plan, key, *step, received).unwrap();
        }
    }
    scores
}

fn private_key() -> PrivateKey {
    // The smallest key that every run below fits.
    PrivateKey::generate_insecure(384, &mut ChaCha20Rng::seed_from_u64(7)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn ciphertexts_hold_what_the_plaintext_reference_computes(raw in consistent(), iterations in 1..=3_u32, seed in any::<u64>()) {
        let private = private_key();
        let blinder = Blinder::new(private.public(), Randomness::Short, 1 << 16).unwrap();
        let settings = Settings { iterations, accuracy: 1e-4, ..Settings::default() };
        let agreed = Agreed::among(raw.networks()).unwrap();
        let plan = plan(&agreed, 384, 1, &settings);
        let twin = plaintext::propagate(&agreed, &plan).unwrap();
        let scores = run(&agreed, &plan, &blinder, &mut ChaCha20Rng::seed_from_u64(seed));
        for (bank, agreed) in agreed.iter().enumerate() {
            let reached = senders::disclosed(agreed.network(), &plan).unwrap();
            for account in 0..agreed.network().account_count() {
                let mut whole = BigInt::from(scores[bank].plain().packed(account).unwrap());
                let mixed = scores[bank].mixed(account);
                prop_assert_eq!(mixed.is_some(), reached.contains(&u32::try_from(account).unwrap()));
                if let Some(mixed) = mixed {
                    let ceiling = BigInt::from(Ceilings::new(agreed, &plan).unwrap().of(account).unwrap());
                    let foreign = private.decrypt(&private.public().wrap(&mixed)).unwrap();
                    prop_assert!(foreign <= ceiling && ceiling <= (BigInt::from(1) << plan.final_scale()) - &whole);
                    whole += private.decrypt(&private.public().wrap(&mixed)).unwrap();
                }
                prop_assert_eq!(whole, BigInt::from(twin[bank].packed(account).unwrap()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn parts_give_what_the_whole_gives(raw in consistent(), cuts in proptest::collection::vec(0..14_usize, 0..4), seed in any::<u64>()) {
        let private = private_key();
        let key = private.public();
        let blinder = Blinder::new(key, Randomness::Short, 1 << 16).unwrap();
        let settings = Settings { iterations: 3, accuracy: 1e-4, ..Settings::default() };
        let agreed = Agreed::among(raw.networks()).unwrap();
        let plan = plan(&agreed, 384, 1, &settings);
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        // Scores that have ciphertext parts, unless nothing crosses.
        let all = run(&agreed, &plan, &blinder, &mut rng);
        for (bank, scores) in agreed.iter().zip(all) {
            let Some(&step) = plan.steps().last() else { continue };
            let mut received = Received::new(bank);
            let places: Vec<u32> = (0..u32::try_from(bank.network().foreign_count()).unwrap()).collect();
            let ciphertexts: Vec<Ciphertext> =
                places.iter().map(|_| blinder.encrypt(&BigInt::from(5), &mut rng).unwrap().into_inner()).collect();
            received.insert(key, &places, ciphertexts).unwrap();
            let count = bank.network().account_count();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (count + 1)).chain([0, count]).collect();
            cuts.sort_unstable();
            let part = |ends: &[usize]| scores.advance_part(bank, &plan, key, step, &received, ends[0]..ends[1]).unwrap();
            let parts: Vec<_> = cuts.windows(2).map(part).collect();
            prop_assert!(count == 0 || Encrypted::assemble(bank, &plan, []).is_none());
            let parts = Encrypted::assemble(bank, &plan, parts).unwrap();
            let mut whole = scores.clone();
            whole.advance(bank, &plan, key, step, received).unwrap();
            prop_assert_eq!(parts.plain(), whole.plain());
            for account in 0..count {
                prop_assert_eq!(parts.mixed(account), whole.mixed(account));
            }
        }
    }
}

/// With so many accounts an iteration takes them in blocks and drops, block by block, what no later one needs.
#[test]
fn large_networks_match_the_plaintext_reference() {
    use subrosa_risk_propagation::synthetic::{NetworkShape, generate};
    let private = private_key();
    let blinder = Blinder::new(private.public(), Randomness::Short, 1 << 16).unwrap();
    let settings = Settings { iterations: 2, accuracy: 1e-4, ..Settings::default() };
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let shape = NetworkShape { accounts: 2400, transfers: 9000, chains: 20, ..NetworkShape::default() };
    let agreed = Agreed::among(generate(&shape, &mut rng).unwrap().networks().unwrap()).unwrap();
    let plan = plan(&agreed, 384, 1, &settings);
    let twin = plaintext::propagate(&agreed, &plan).unwrap();
    let all = run(&agreed, &plan, &blinder, &mut rng);
    for (scores, twin) in all.iter().zip(&twin) {
        let mut mixed = 0;
        for account in 0..twin.len() {
            let part = scores.mixed(account);
            mixed += usize::from(part.is_some());
            let secret = part.map(|part| private.decrypt(&private.public().wrap(&part)).unwrap());
            let whole = secret.unwrap_or_default() + BigInt::from(scores.plain().packed(account).unwrap());
            assert_eq!(whole, BigInt::from(twin.packed(account).unwrap()));
        }
        assert!(mixed > 500, "{mixed}");
    }
}

/// Two banks, two risk types; every account of east is reached at once.
fn two_types() -> Vec<Agreed> {
    let banks = Banks::new(["north", "east", "west"]).unwrap();
    let view = |bank: usize| {
        let columns = vec!["fraud".to_owned(), "sanctions".to_owned()];
        let mut builder = NetworkBuilder::new(banks.clone(), banks.get(bank).unwrap(), columns);
        for account in 0..7_u8 {
            let score = f64::from(account) / 10.0;
            builder.account(&account.to_string(), &[score, 1.0 - score]).unwrap();
        }
        for account in 0..7_u8 {
            let (source, destination) = (account.to_string(), ((account * 3 + 1) % 7).to_string());
            let (id_source, id_destination) = (source.as_str(), destination.as_str());
            for (bank_source, bank_destination, amount) in [("north", "east", 5), ("east", "east", 1)] {
                let own = ["north", "east", "west"][bank];
                if bank_source == own || bank_destination == own {
                    let transfer =
                        Transfer { id_source, bank_source, id_destination, bank_destination, amount };
                    builder.transfer(0, &transfer).unwrap();
                }
            }
        }
        builder.finish().unwrap()
    };
    Agreed::among((0..3).map(view).collect()).unwrap()
}

#[test]
fn several_risk_types_travel_in_one_ciphertext() {
    let private = private_key();
    let blinder = Blinder::new(private.public(), Randomness::Short, 1 << 16).unwrap();
    let settings = Settings { iterations: 2, accuracy: 1e-4, ..Settings::default() };
    let agreed = two_types();
    let plan = plan(&agreed, 384, 2, &settings);
    let twin = plaintext::propagate(&agreed, &plan).unwrap();
    let scores = run(&agreed, &plan, &blinder, &mut ChaCha20Rng::seed_from_u64(1));
    for account in 0..7 {
        let secret = private.decrypt(&private.public().wrap(&scores[1].mixed(account).unwrap())).unwrap();
        let whole = secret + BigInt::from(scores[1].plain().packed(account).unwrap());
        assert_eq!(whole, BigInt::from(twin[1].packed(account).unwrap()));
    }
    let networks: Vec<_> = agreed.iter().map(|agreed| agreed.network().clone()).collect();
    let reference = plaintext::reference(&networks, &settings).unwrap();
    for (twin, reference) in twin.iter().zip(&reference) {
        let difference = plaintext::largest_difference(
            &[plaintext::disclosed(twin, &plan).unwrap()],
            std::slice::from_ref(reference),
        );
        assert!(difference <= plan.fixed_point_error() + plan.grid_error(), "{difference}");
    }
}

/// An account of thousands of senders at both banks is computed in pieces, others that share its senders with tables.
#[test]
fn hubs_match_the_plaintext_reference() {
    let private = private_key();
    let blinder = Blinder::new(private.public(), Randomness::Short, 1 << 16).unwrap();
    let settings = Settings { iterations: 2, accuracy: 1e-4, ..Settings::default() };
    let accounts =
        (0..1500_u32).map(|account| (account, u8::try_from(account % 101).unwrap())).collect::<Vec<_>>();
    let banks = Banks::new(["amber", "birch"]).unwrap();
    let (amber, birch) = ("amber", "birch");
    let networks = [amber, birch].map(|own| {
        let bank = banks.find(own).unwrap();
        let mut builder = NetworkBuilder::new(banks.clone(), bank, vec!["risk_score".to_owned()]);
        for (account, score) in &accounts {
            builder.account(&format!("a{account}"), &[f64::from(*score) / 100.0]).unwrap();
        }
        for bank in [amber, birch] {
            for (account, score) in &accounts {
                // All of both banks pay a0 of amber; some pay a7, a few each of the next, and hub pays back.
                let sum = 1 + u64::from(*score) * 1000;
                let mut pay = |from_bank, from: u32, to_bank, to: u32, amount| {
                    let (source, destination) = (format!("a{from}"), format!("a{to}"));
                    let transfer = Transfer {
                        id_source: &source,
                        bank_source: from_bank,
                        id_destination: &destination,
                        bank_destination: to_bank,
                        amount,
                    };
                    if from_bank == own || to_bank == own {
                        builder.transfer(0, &transfer).unwrap();
                    }
                };
                pay(bank, *account, amber, 0, sum);
                if account % 2 == 0 {
                    pay(bank, *account, amber, 7, sum + 1);
                }
                pay(bank, *account, birch, (account * 7 + 3) % 1500, 5);
                pay(amber, 0, bank, *account, 9);
            }
        }
        builder.finish().unwrap()
    });
    let agreed = Agreed::among(networks.to_vec()).unwrap();
    let sizes = NetworkSizes {
        key_bits: 384,
        columns: 1,
        in_degree_bits: 12,
        active_periods: vec![true],
        noise_contributors: 1,
    };
    let plan = Plan::new(&sizes, &settings).unwrap();
    let twin = plaintext::propagate(&agreed, &plan).unwrap();
    let all = run(&agreed, &plan, &blinder, &mut ChaCha20Rng::seed_from_u64(4));
    for (scores, twin) in all.iter().zip(&twin) {
        for account in 0..twin.len() {
            let part = scores.mixed(account).unwrap();
            let whole = private.decrypt(&private.public().wrap(&part)).unwrap()
                + BigInt::from(scores.plain().packed(account).unwrap());
            assert_eq!(whole, BigInt::from(twin.packed(account).unwrap()), "{account}");
        }
    }
}

#[test]
fn noise_covers_the_low_bits_and_its_mean_comes_off() {
    let private = private_key();
    let blinder = Blinder::new(private.public(), Randomness::Short, 1 << 16).unwrap();
    let settings = Settings { iterations: 2, accuracy: 1e-4, ..Settings::default() };
    let agreed = two_types();
    let plan = plan(&agreed, 384, 2, &settings);
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let scores = run(&agreed, &plan, &blinder, &mut rng).remove(1);
    let twin = plaintext::propagate(&agreed, &plan).unwrap().remove(1);
    let expected = plaintext::disclosed(&twin, &plan).unwrap();
    let reached = senders::disclosed(agreed[1].network(), &plan).unwrap();
    assert_eq!(reached.len(), 7);
    assert!(plan.noise_bits() > 20);
    let key = private.public();
    let used: Vec<usize> = disclosure::used_slots(7, &plan).collect();
    let ceilings = Ceilings::new(&agreed[1], &plan).unwrap();
    let mut different = 0;
    // How often each of the lowest bits of a score was 1, over all scores and rounds.
    let (mut ones, mut samples) = (vec![0_u32; 16], 0_u32);
    for _ in 0..40 {
        let packed = disclosure::pack(&scores, &reached, &plan, key).unwrap();
        assert_eq!(packed.len(), disclosure::ciphertexts(7, &plan));
        let packed = disclosure::blind(&packed, &blinder, &mut rng).unwrap();
        let packed: Vec<Ciphertext> = packed.into_iter().map(|c| c.into_inner()).collect();
        let draw = |rng: &mut ChaCha20Rng| -> Vec<Ciphertext> {
            let noise = disclosure::noise(&used, &plan, &blinder, rng).unwrap();
            noise.into_iter().map(|c| c.into_inner()).collect()
        };
        let (first, second) = (draw(&mut rng), draw(&mut rng));
        let noisy = disclosure::add_noise(key, &packed, &[&first, &second]).unwrap();
        let plaintexts: Vec<BigInt> = noisy.iter().map(|c| private.decrypt(c).unwrap()).collect();
        let slots = plan.accounts_per_ciphertext() * plan.columns();
        for score in 0..reached.len() * plan.columns() {
            let lowest = score % slots * plan.slot_bits();
            samples += 1;
            for (bit, ones) in ones.iter_mut().enumerate() {
                *ones += u32::from(plaintexts[score / slots].magnitude().bit((lowest + bit) as u64));
            }
        }
        let found = disclosure::disclose(&scores, &reached, &plaintexts, &ceilings, &plan, key).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            let bound = plan.noise_error() + 2.0 * plan.grid_error();
            assert!((found - expected).abs() <= bound, "{found} {expected}");
            different += usize::from(found != expected);
        }
    }
    // The lowest bits are uniform: each is 1 in half the samples, give or take six standard deviations.
    assert_eq!(samples, 40 * 14);
    let slack = 3.0 * f64::from(samples).sqrt();
    let half = f64::from(samples) / 2.0;
    assert!(ones.iter().all(|ones| (f64::from(*ones) - half).abs() <= slack), "{ones:?}");
    assert!(different > 0, "the noise does not reach the shown digits at all");
}

#[test]
fn no_cross_bank_transfer_means_no_ciphertext() {
    let raw =
        Raw::consistent(3, vec![vec![(0, 50), (1, 0)], vec![(0, 9)], vec![]], vec![vec![(0, 0, 0, 1, 5)]]);
    let agreed = Agreed::among(raw.networks()).unwrap();
    let plan = plan(&agreed, 384, 1, &Settings { accuracy: 1e-4, ..Settings::default() });
    for agreed in &agreed {
        assert!(senders::disclosed(agreed.network(), &plan).unwrap().is_empty());
        assert!(agreed.exported(0).is_empty());
    }
}
