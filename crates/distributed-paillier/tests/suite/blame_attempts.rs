//! A party that deviates after other candidates of the batch, or other attempts, were verified and rejected: their seeds
//! are opened with the others, and what follows them is still computed again as it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::sync::{Arc, Mutex};

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::attack::forge::{forges_first_test, forges_tests};
use crate::attack::script::{Dealing, Scene, Script};
use crate::attack::stage::Stage;
use subrosa_distributed_paillier::dealing::Seed;
use subrosa_distributed_paillier::messages::{
    FurtherTests, VerificationKey, WinnerAnswers, WinnerProducts, WinnerShares, WinnerZeros,
};
use subrosa_distributed_paillier::receipts::{Committed, Opening, Receipted};
use subrosa_transport::Message;

const NOT_ITS_SEED: &str = "it dealt something else than its seed gives";
const NO_SEED: &str = "it does not open the seed that it committed to";
const K4: &str = "a wrong value of the first test";
const K5: &str = "a wrong value of the further tests";
const W2: &str = "a product share of the winner that does not follow";
const W3: &str = "a wrong answer for the winner";
const W4: &str = "a wrong share in a check of the winner";
const K9: &str = "another verification key or residue than follows";

/// In this run every w of the first attempt has a factor in common with N − 1.
const SECOND_ATTEMPT: u64 = 698;
/// In this run a candidate is rejected after four attempts, and another one of the same batch found.
const REJECTED: u64 = 705;

fn stage(seed: u64) -> Stage {
    Stage { seed, batch: 64, ..Stage::of(3) }
}

fn add_one(value: &mut BigUint, scene: &Scene<'_>) {
    *value = (&*value + 1u32) % &scene.winner_moduli.as_ref().unwrap()[1];
}

fn makes_an_excuse(script: &mut Script) {
    script.sends(|_, message: &mut Receipted<VerificationKey>| *message = Receipted::OutOfRange);
}

/// Changes the second of such messages.
fn second<M: Message + 'static>(script: &mut Script, change: fn(&Scene<'_>, &mut M)) {
    let mut told = 0;
    script.sends(move |scene, message: &mut M| {
        told += 1;
        if told == 2 {
            change(scene, message);
        }
    });
}

#[test]
fn a_lie_in_a_second_attempt_is_named() {
    let stage = stage(SECOND_ATTEMPT);
    stage.convicts(W2, |script| {
        second(script, |scene, message: &mut Receipted<WinnerProducts>| {
            let Receipted::Complete(products) = message else { panic!("everything fits") };
            add_one(&mut products.values[0], scene);
        });
    });
    stage.convicts(W3, |script| {
        second(script, |scene, answers: &mut WinnerAnswers| add_one(&mut answers.differences[0], scene));
    });
    stage.convicts(W4, |script| {
        second(script, |scene, zeros: &mut Committed<WinnerZeros>| {
            add_one(&mut zeros.message.values[0], scene);
        });
    });
    stage.convicts(K9, makes_an_excuse);
    stage.convicts(NOT_ITS_SEED, |script| {
        let mut dealt = 0;
        script.deals(move |scene, dealing: &mut Dealing<WinnerShares>| {
            dealt += 1;
            if dealt == 2 {
                // r.
                scene.everybody().for_each(|party| add_one(&mut dealing.messages[party].values[1], scene));
            }
        });
    });
    // Of K1, of both attempts and of K8.
    for place in 0..4 {
        stage.convicts(NO_SEED, |script| {
            makes_an_excuse(script);
            script.sends(move |_, opening: &mut Opening| {
                assert_eq!(opening.seeds.len(), 4);
                opening.seeds[place] = Seed::random(&mut ChaCha20Rng::seed_from_u64(9));
            });
        });
    }
}

#[test]
fn a_lie_after_a_rejected_candidate_is_named() {
    let seeds = Arc::new(Mutex::new(0));
    Stage { batch: 256, ..stage(REJECTED) }.convicts(K9, |script| {
        makes_an_excuse(script);
        let seeds = Arc::clone(&seeds);
        script.sends(move |_, opening: &mut Opening| *seeds.lock().unwrap() = opening.seeds.len());
    });
    assert_eq!(*seeds.lock().unwrap(), 1 + 4 + 2);
}

/// The first survivor passes K4 by a false value and fails K5. When another one fails by another lie, that one is named;
/// when it fails by no lie of its own, it does not.
#[test]
fn a_candidate_that_failed_k5_has_no_seed_to_open() {
    for (reason, lie) in [(W3, true), (K9, false)] {
        Stage::of(3).convicts(reason, move |script| {
            forges_first_test(script);
            if lie {
                script
                    .sends(|scene, answers: &mut WinnerAnswers| add_one(&mut answers.differences[0], scene));
            } else {
                makes_an_excuse(script);
            }
        });
    }
}

/// The first survivor passes every test by false values, and its trial decryption fails: what is named is the first false
/// value.
#[test]
fn the_first_false_value_is_named() {
    Stage::of(3).convicts(K4, forges_tests);
    // Where K4 passes by itself, the value of K5 is named, if what follows fails.
    Stage::of(3).convicts(K5, |script| {
        makes_an_excuse(script);
        script.sends(|scene, mine: &mut Committed<FurtherTests>| {
            // −v passes as v does.
            let n = scene.candidate.as_ref().unwrap().1.value();
            mine.message.values[7] = n - &mine.message.values[7];
        });
    });
}
