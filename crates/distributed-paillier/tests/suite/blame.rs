//! A party that deviates in K1 to K4, or when seeds are opened, is named: at once where its message contradicts itself, else by computing the run again from
//! opened seeds. No honest party ever is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::time::Duration;

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::attack::forge::{adds_to_summands, chooses, forges_tests};
use crate::attack::script::{Dealing, Script};
use crate::attack::stage::Stage;
use subrosa_distributed_paillier::KeygenError;
use subrosa_distributed_paillier::candidates;
use subrosa_distributed_paillier::dealing::Seed;
use subrosa_distributed_paillier::messages::{CandidateShares, ProductShares, VerificationKey};
use subrosa_distributed_paillier::receipts::{Opening, Published, Receipted};
use subrosa_transport::PartyId;

const HONEST: PartyId = PartyId::new(0);

const NOT_ITS_SEED: &str = "it dealt something else than its seed gives";
const NO_SEED: &str = "it does not open the seed that it committed to";
const K2: &str = "a product share that does not follow from what it was dealt";
const K4: &str = "a wrong value of the first test";
const OTHER_VALUES: &str = "it dealt other values than it answered for";

fn add_one(value: &mut BigUint, modulus: &BigUint) {
    *value = (&*value + 1u32) % modulus;
}

/// K2: every product share is wrong, so that no opening has the right form.
fn wrong_products(script: &mut Script) {
    script.sends(|scene, message: &mut Receipted<ProductShares>| {
        let Receipted::Complete(products) = message else { panic!("everything fits") };
        let prime = scene.candidate_modulus();
        products.values.iter_mut().for_each(|value| add_one(value, &prime));
    });
}

#[test]
fn without_a_deviation_there_is_a_key() {
    for parties in [3, 4, 5] {
        Stage::of(parties).goes_on(|_| ());
    }
}

#[test]
fn a_wrong_share_of_k1_is_named() {
    for parties in [3, 5] {
        Stage::of(parties).convicts(NOT_ITS_SEED, |script| {
            script.deals(|scene, dealing: &mut Dealing<CandidateShares>| {
                let prime = scene.candidate_modulus();
                dealing.messages[HONEST].values.iter_mut().for_each(|value| add_one(value, &prime));
            });
        });
    }
}

#[test]
fn a_wrong_share_of_k2_is_named() {
    for parties in [3, 5] {
        Stage::of(parties).convicts(K2, wrong_products);
    }
    // With n > 2t + 1 the share itself contradicts the others.
    for parties in [4, 5] {
        Stage { threshold: 1, ..Stage::of(parties) }.convicts(K2, wrong_products);
    }
}

/// What fails first is the products; then the seeds decide.
#[test]
fn a_seed_that_does_not_open_or_gives_another_dealing_is_named() {
    for parties in [3, 5] {
        let stage = Stage::of(parties);
        stage.convicts(NO_SEED, |script| {
            wrong_products(script);
            script.sends(|_, opening: &mut Opening| {
                opening.seeds[0] = Seed::random(&mut ChaCha20Rng::seed_from_u64(9));
            });
        });
        stage.convicts(NOT_ITS_SEED, |script| {
            wrong_products(script);
            script.deals(|_, dealing: &mut Dealing<CandidateShares>| {
                dealing.seed = Seed::random(&mut ChaCha20Rng::seed_from_u64(9));
            });
        });
        stage.names(&["another number of seeds"], |script| {
            wrong_products(script);
            script.sends(|_, opening: &mut Opening| opening.seeds.clear());
        });
        // Each of the three seeds of a winner: of K1, W1 and K8.
        for place in 0..3 {
            stage.convicts(NO_SEED, move |script| {
                script.sends(|_, message: &mut Receipted<VerificationKey>| *message = Receipted::OutOfRange);
                script.sends(move |_, opening: &mut Opening| {
                    let last = opening.seeds.len() - 1;
                    let place = [0, last - 1, last][place];
                    opening.seeds[place] = Seed::random(&mut ChaCha20Rng::seed_from_u64(9));
                });
            });
        }
    }
}

#[test]
fn who_is_silent_while_others_open_their_seeds_is_named() {
    for parties in [3, 5] {
        let mut stage = Stage::of(parties);
        stage.timeout = Duration::from_secs(3);
        let honest = stage.honest();
        stage.names(&["keygen/opening"], |script| {
            wrong_products(script);
            script.mutes::<Opening>(&honest);
        });
    }
}

/// Summands that no honest party draws, and all that follows as if they were drawn. The tests are forged, so that the checks
/// of the winner see what comes so far.
#[test]
fn summands_of_a_wrong_form_are_named() {
    // Multiples of M, so that no small prime divides more candidates than it should.
    let multiple = |factor: u32, bits: u32| BigUint::from(15_015 * factor) << bits;
    let zero = BigUint::ZERO;
    let forms: [([BigUint; 2], &str); 5] = [
        // p and q ≡ 1 (mod 4).
        ([multiple(2, 0), multiple(2, 0)], OTHER_VALUES),
        // p alone, so that N ≡ 3.
        ([multiple(2, 0), zero.clone()], NOT_ITS_SEED),
        // Too large, but not by so much that a check tells; p is composite.
        ([multiple(4, 104), multiple(4, 105)], NOT_ITS_SEED),
        // Too large for N.
        ([multiple(4, 112), multiple(4, 112)], NOT_ITS_SEED),
        // No small integer.
        ([multiple(1, 240), zero.clone()], NOT_ITS_SEED),
    ];
    for parties in [3, 5] {
        for (add, reason) in &forms {
            Stage::of(parties).names(&[reason], |script| {
                adds_to_summands(script, add.clone());
                forges_tests(script);
            });
        }
        // No small integers, and K2 opens a number that looks well.
        let parameters = Stage::of(parties).parameters();
        let well = |n: &BigUint| !candidates::sieve(&parameters, std::slice::from_ref(n)).is_empty();
        let numbers = (0u32..).map(|step| (BigUint::from(1u32) << 255u32) + 4 * step + 1u32);
        let n = numbers.into_iter().find(well).unwrap();
        for add in [[multiple(1, 240), zero.clone()], [multiple(1, 241), multiple(1, 240)]] {
            Stage { batch: 1, ..Stage::of(parties) }.names(&[NOT_ITS_SEED, OTHER_VALUES], |script| {
                adds_to_summands(script, add.clone());
                chooses(script, 0, n.clone(), |_| ());
                forges_tests(script);
            });
        }
    }
}

/// N = pq with a p or q that is no prime: what is shared is what is opened, and only the trial decryption fails.
#[test]
fn a_composite_factor_that_passed_forged_tests_is_named() {
    for parties in [3, 5] {
        Stage::of(parties).convicts(K4, forges_tests);
    }
}

/// The first in the roster is named where several deviate.
#[test]
fn of_two_who_deviate_only_they_are_named() {
    let liars = vec![PartyId::new(1), PartyId::new(4)];
    let stage = Stage { liars: liars.clone(), ..Stage::of(5) };
    let plays: [fn(&mut Script); 3] = [
        wrong_products,
        // They complain about each other and about honest parties, and publish other messages.
        |script| {
            script.sends(|_, receipt: &mut Receipted<ProductShares>| {
                *receipt = Receipted::Disputed(vec![0, 1, 2, 4]);
            });
            script.sends(|scene, answer: &mut Published<CandidateShares>| {
                answer
                    .messages
                    .iter_mut()
                    .for_each(|message| add_one(&mut message.values[0], &scene.candidate_modulus()));
            });
        },
        |script| {
            wrong_products(script);
            script.sends(|_, opening: &mut Opening| {
                opening.seeds[0] = Seed::random(&mut ChaCha20Rng::seed_from_u64(9));
            });
        },
    ];
    for script in plays {
        for (party, result) in stage.play(script).results {
            let error = result.unwrap_err();
            assert!(matches!(error, KeygenError::Deviated { .. }), "{party}: {error}");
            assert_eq!(error.culprits(), liars[..1], "{party}: {error}");
        }
    }
}
