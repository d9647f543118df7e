//! A party that deviates for the modulus that passed every test, from W1 to K10, is named: at once where its message
//! contradicts itself, else by computing the run again from opened seeds. No honest party ever is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use num_bigint::BigUint;

use crate::attack::script::{Dealing, Script};
use crate::attack::stage::Stage;
use subrosa_arith::SecretInt;
use subrosa_distributed_paillier::messages::{
    IntegerShareMessage, ProductShares, TrialDecryption, TrialProof, VerificationKey, WinnerAnswers,
    WinnerProducts, WinnerShares, WinnerZeros,
};
use subrosa_distributed_paillier::receipts::{Committed, Receipted};
use subrosa_distributed_paillier::winner::{GCD_OPENINGS, RANGE_REPETITIONS};
use subrosa_shamir::Triple;
use subrosa_transport::PartyId;

const HONEST: PartyId = PartyId::new(0);

const NOT_ITS_SEED: &str = "it dealt something else than its seed gives";
const W2: &str = "a product share of the winner that does not follow";
const W3: &str = "a wrong answer for the winner";
const W4: &str = "a wrong share in a check of the winner";
const K9: &str = "another verification key or residue than follows";
const OTHER_VALUES: &str = "it dealt other values than it answered for";

fn add_one(value: &mut BigUint, modulus: &BigUint) {
    *value = (&*value + 1u32) % modulus;
}

/// Values of W1 in the order in which they are dealt: one of each kind.
fn kinds_of_winner_shares() -> Vec<usize> {
    let rho = 2 + GCD_OPENINGS;
    let masks = rho + GCD_OPENINGS;
    let triples = masks + 2 * RANGE_REPETITIONS;
    let zeros = triples + 2 * Triple::VALUES;
    let mut kinds = vec![0, 1, 2, rho - 1, rho, masks - 1, masks, masks + RANGE_REPETITIONS, triples - 1];
    // s, by degree t and by 2t, of both triples; of a and b everything is good.
    kinds.extend([2, 3, Triple::VALUES + 2, Triple::VALUES + 3].map(|place| triples + place));
    kinds.extend([zeros, zeros + GCD_OPENINGS]);
    kinds
}

/// One receiver's share is wrong: it does not lie on a polynomial with the others, or the secret is another one.
#[test]
fn a_wrong_share_of_w1_is_named() {
    for place in kinds_of_winner_shares() {
        Stage::of(3).names(&[NOT_ITS_SEED, OTHER_VALUES], move |script| {
            script.deals(move |scene, dealing: &mut Dealing<WinnerShares>| {
                let ring = &scene.winner_moduli.as_ref().unwrap()[1];
                add_one(&mut dealing.messages[HONEST].values[place], ring);
            });
        });
    }
}

/// Everybody's share is 1 more, so that another secret is shared than its dealer keeps.
#[test]
fn another_secret_of_w1_is_named() {
    for (parties, kinds) in [(3, kinds_of_winner_shares()), (5, vec![1, 2 + 2 * GCD_OPENINGS])] {
        for place in kinds {
            Stage::of(parties).names(&[NOT_ITS_SEED, OTHER_VALUES], move |script| {
                script.deals(move |scene, dealing: &mut Dealing<WinnerShares>| {
                    let ring = &scene.winner_moduli.as_ref().unwrap()[1];
                    for party in scene.everybody() {
                        add_one(&mut dealing.messages[party].values[place], ring);
                    }
                });
            });
        }
        for place in [0, 1] {
            Stage::of(parties).names(&[NOT_ITS_SEED, OTHER_VALUES], move |script| {
                script.deals(move |scene, dealing: &mut Dealing<WinnerShares>| {
                    let prime = &scene.winner_moduli.as_ref().unwrap()[0];
                    for party in scene.everybody() {
                        add_one(&mut dealing.messages[party].lifts[place], prime);
                    }
                });
            });
        }
    }
}

#[test]
fn a_wrong_share_of_w2_is_named() {
    for parties in [3, 4, 5] {
        let places = if parties == 3 { 0..GCD_OPENINGS + 3 } else { GCD_OPENINGS + 1..GCD_OPENINGS + 2 };
        for place in places {
            Stage::of(parties).convicts(W2, move |script| {
                script.sends(move |scene, message: &mut Receipted<WinnerProducts>| {
                    let Receipted::Complete(products) = message else { panic!("everything fits") };
                    add_one(&mut products.values[place], &scene.winner_moduli.as_ref().unwrap()[1]);
                });
            });
        }
    }
}

#[test]
fn a_wrong_answer_of_w3_is_named() {
    for parties in [3, 5] {
        for place in 0..4 {
            Stage::of(parties).convicts(W3, move |script| {
                script.sends(move |scene, answers: &mut WinnerAnswers| {
                    let ring = &scene.winner_moduli.as_ref().unwrap()[1];
                    add_one(&mut answers.differences[place], ring);
                });
            });
        }
        // An answer over ℤ shows at once whose it is.
        for place in [0, RANGE_REPETITIONS - 1] {
            Stage::of(parties).names(&[OTHER_VALUES], move |script| {
                script.sends(move |_, answers: &mut WinnerAnswers| answers.small[place] += 1u32);
            });
            Stage::of(parties).names(&[OTHER_VALUES], move |script| {
                script.sends(move |_, answers: &mut WinnerAnswers| answers.wide[place] += 1u32);
            });
        }
    }
}

#[test]
fn a_wrong_share_of_w4_is_named() {
    for parties in [3, 4, 5] {
        for place in (0..usize::from(parties) + 2).skip(if parties == 3 { 0 } else { usize::from(parties) }) {
            Stage::of(parties).convicts(W4, move |script| {
                script.sends(move |scene, zeros: &mut Committed<WinnerZeros>| {
                    let ring = &scene.winner_moduli.as_ref().unwrap()[1];
                    add_one(&mut zeros.message.values[place], ring);
                });
            });
        }
    }
}

/// The receiver's share of d is another one than its keys can agree with; below 0 it says so.
#[test]
fn a_wrong_share_of_k8_is_named() {
    let changes: [fn(&mut IntegerShareMessage); 4] = [
        |message| message.value += 1,
        |message| message.value = 0.into(),
        |message| message.value = -(num_bigint::BigInt::from(1) << message.value.bits()),
        |message| message.value <<= 1,
    ];
    for parties in [3, 5] {
        for change in changes {
            Stage::of(parties).convicts(NOT_ITS_SEED, move |script| {
                script.deals(move |_, dealing: &mut Dealing<IntegerShareMessage>| {
                    change(&mut dealing.messages[HONEST]);
                });
            });
        }
        // Another summand of d, shared as it should be.
        Stage::of(parties).convicts(NOT_ITS_SEED, |script| {
            script.deals(|scene, dealing: &mut Dealing<IntegerShareMessage>| {
                for party in scene.everybody() {
                    dealing.messages[party].value += 1;
                }
            });
        });
    }
}

#[test]
fn a_wrong_residue_or_key_of_k9_is_named() {
    for parties in [3, 5] {
        let stage = Stage::of(parties);
        let sends = |change: fn(&mut VerificationKey, &BigUint)| {
            move |script: &mut Script| {
                script.sends(move |scene, message: &mut Receipted<VerificationKey>| {
                    let Receipted::Complete(key) = message else { panic!("everything fits") };
                    change(key, scene.candidate.as_ref().unwrap().1.value());
                });
            }
        };
        stage.convicts(K9, sends(|key, n| add_one(&mut key.residue[0], n)));
        stage.convicts(K9, sends(|key, _| key.residue[0] = BigUint::ZERO));
        stage.names(&["does not match its verification key"], sends(|key, n| add_one(&mut key.key[0], n)));
        stage.names(&["is not a unit modulo N"], sends(|key, n| key.key[0].clone_from(n)));
        // With another share throughout, its proof holds.
        stage.convicts(K9, |script| {
            script.on(|_, share: &mut SecretInt| {
                *share = SecretInt::new(share.expose() + 1u32, share.bits()).unwrap();
            });
        });
    }
}

/// It speaks last, and makes θ a multiple of N.
#[test]
fn who_takes_the_unit_away_is_named() {
    Stage::of(3).convicts(K9, |script| {
        script.sends(|scene, message: &mut Receipted<VerificationKey>| {
            let Receipted::Complete(key) = message else { panic!("everything fits") };
            let n = scene.candidate.as_ref().unwrap().1.value();
            let others = scene.peek::<Receipted<VerificationKey>>().into_iter().map(|(_, theirs)| {
                let Receipted::Complete(theirs) = theirs else { panic!("an honest party complains") };
                theirs.residue[0].clone()
            });
            let others: BigUint = others.sum();
            key.residue[0] = (&scene.opening + n * scene.parties() - others) % n;
        });
    });
}

#[test]
fn an_excuse_is_named() {
    for parties in [3, 5] {
        let stage = Stage::of(parties);
        // Honest sums are in their range unless somebody dealt what its seed does not give.
        stage.convicts(K9, |script| {
            script.sends(|_, message: &mut Receipted<VerificationKey>| *message = Receipted::OutOfRange);
        });
        // Nothing can be out of range in K2 and W2.
        stage.names(&["out of range which cannot be"], |script| {
            script.sends(|_, message: &mut Receipted<ProductShares>| *message = Receipted::OutOfRange);
        });
        stage.names(&["out of range which cannot be"], |script| {
            script.sends(|_, message: &mut Receipted<WinnerProducts>| *message = Receipted::OutOfRange);
        });
    }
}

#[test]
fn a_wrong_trial_decryption_or_proof_is_named() {
    for parties in [3, 5] {
        let stage = Stage::of(parties);
        let reason = "does not match its verification key";
        stage.names(&[reason], |script| {
            script.sends(|_, trial: &mut TrialDecryption| trial.values[0] += 1u32);
        });
        // The proof of another party.
        stage.names(&[reason], |script| {
            script.sends(|scene, proof: &mut TrialProof| *proof = scene.peek::<TrialProof>().remove(0).1);
        });
    }
}
