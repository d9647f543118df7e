//! A party tells its peers different things, and shows each of them the transcript that it has itself: no honest party
//! accepts a key, and none is found guilty. After its last confirmation an honest party opens nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::time::Duration;

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::attack::script::{Ending, Scene, Script};
use crate::attack::stage::{Frame, Played, Stage};
use subrosa_distributed_paillier::KeygenError;
use subrosa_distributed_paillier::dealing::{Commitment, DealingId, DealtMessage, Seed};
use subrosa_distributed_paillier::messages::{
    CandidateShares, FirstTest, FurtherTests, IntegerShareMessage, ProductShares, TrialDecryption,
    TrialProof, VerificationKey, WinnerAnswers, WinnerProducts, WinnerShares, WinnerZeros,
};
use subrosa_distributed_paillier::receipts::{Committed, Late, Nothing, Opening, Published, Receipted};
use subrosa_transport::{Message, PartyId, PerParty, SessionError};

/// Who is told something else than the others.
const DECEIVED: PartyId = PartyId::new(0);

/// The kinds of frames that carry messages and confirmations.
const MESSAGE: u8 = 1;
const CONFIRMATION: u8 = 2;

fn flip(values: &mut [BigUint]) {
    values.iter_mut().for_each(|value| *value ^= BigUint::from(1u32));
}

/// Tells one peer something else, with the transcript that the peer expects.
fn deceives<M: Message + 'static>(script: &mut Script, mut change: impl FnMut(&Scene<'_>, &mut M) + 'static) {
    script.tells(move |scene, peer, message: &mut M| {
        scene.wire.mirror();
        if peer == DECEIVED {
            change(scene, message);
        }
    });
}

fn complete<M: Message<Shape: Sized> + 'static>(script: &mut Script, change: fn(&mut M)) {
    deceives(script, move |_, message: &mut Receipted<M>| {
        if let Receipted::Complete(message) = message {
            change(message);
        }
    });
}

fn on_several(play: impl Fn(&Stage)) {
    for parties in [3, 5] {
        play(&Stage::of(parties));
    }
}

#[test]
fn values_that_differ_between_receivers_find_nobody_honest_guilty() {
    let scripts: [fn(&mut Script); 12] = [
        |script| complete(script, |message: &mut ProductShares| flip(&mut message.values)),
        |script| deceives(script, |_, test: &mut Committed<FirstTest>| flip(&mut test.message.values)),
        |script| deceives(script, |_, test: &mut Committed<FurtherTests>| flip(&mut test.message.values)),
        |script| complete(script, |message: &mut WinnerProducts| flip(&mut message.values)),
        |script| deceives(script, |_, answers: &mut WinnerAnswers| flip(&mut answers.small)),
        |script| deceives(script, |_, answers: &mut WinnerAnswers| flip(&mut answers.differences)),
        |script| deceives(script, |_, zeros: &mut Committed<WinnerZeros>| flip(&mut zeros.message.values)),
        |script| complete(script, |message: &mut VerificationKey| flip(&mut message.residue)),
        |script| complete(script, |message: &mut VerificationKey| flip(&mut message.key)),
        |script| {
            deceives(script, |_, receipt: &mut Receipted<VerificationKey>| *receipt = Receipted::OutOfRange);
        },
        |script| deceives(script, |_, trial: &mut TrialDecryption| flip(&mut trial.values)),
        |script| {
            deceives(script, |scene, proof: &mut TrialProof| *proof = scene.peek::<TrialProof>().remove(0).1);
        },
    ];
    on_several(|stage| {
        for script in scripts {
            stage.frames_nobody(script);
        }
    });
}

/// A commitment to another dealing.
fn other<M: DealtMessage>(scene: &Scene<'_>, id: DealingId, messages: &PerParty<M>) -> Commitment {
    let seed = Seed::random(&mut ChaCha20Rng::seed_from_u64(5));
    Commitment::new(&scene.id, id, scene.me, &seed, messages)
}

#[test]
fn commitments_that_differ_between_receivers_find_nobody_honest_guilty() {
    fn some(scene: &Scene<'_>, id: DealingId) -> Commitment {
        let value = IntegerShareMessage { value: 7.into() };
        other(scene, id, &PerParty::from_vec(vec![value; scene.parties() as usize]))
    }
    let scripts: [fn(&mut Script); 4] = [
        |script| {
            deceives(script, |scene, said: &mut Committed<Nothing>| {
                said.commitment = some(scene, DealingId::Candidates { first: 0 });
            });
        },
        |script| {
            deceives(script, |scene, said: &mut Committed<FirstTest>| {
                said.commitment = some(scene, DealingId::Candidates { first: 256 });
            });
        },
        |script| {
            deceives(script, |scene, said: &mut Committed<FurtherTests>| {
                said.commitment = some(scene, DealingId::Winner { candidate: 0, attempt: 0 });
            });
        },
        |script| {
            deceives(script, |scene, said: &mut Committed<WinnerZeros>| {
                said.commitment = some(scene, DealingId::Sharing { candidate: 0, attempt: 0 });
            });
        },
    ];
    on_several(|stage| {
        for script in scripts {
            stage.frames_nobody(script);
        }
    });
}

#[test]
fn complaints_that_differ_between_receivers_find_nobody_honest_guilty() {
    fn complains<M: Message<Shape: Sized> + 'static>(script: &mut Script, about: u16) {
        deceives(script, move |_, receipt: &mut Receipted<M>| *receipt = Receipted::Disputed(vec![about]));
    }
    on_several(|stage| {
        for about in [0, stage.parties - 1] {
            stage.frames_nobody(|script| complains::<ProductShares>(script, about));
            stage.frames_nobody(|script| complains::<WinnerProducts>(script, about));
            stage.frames_nobody(|script| complains::<VerificationKey>(script, about));
            // Everybody hears a complaint, but not the same one.
            stage.frames_nobody(|script| {
                script.sends(|_, receipt: &mut Receipted<ProductShares>| {
                    *receipt = Receipted::Disputed(vec![1]);
                });
                complains::<ProductShares>(script, about);
            });
        }
    });
}

/// To one it publishes what it committed to, to others something else; or its late message differs.
#[test]
fn answers_that_differ_between_receivers_find_nobody_honest_guilty() {
    fn hands_over_wrong(script: &mut Script) {
        script.hands_over(|_, messages: &mut PerParty<CandidateShares>| flip(&mut messages[DECEIVED].values));
    }
    on_several(|stage| {
        stage.frames_nobody(|script| {
            hands_over_wrong(script);
            deceives(script, |_, said: &mut Published<CandidateShares>| flip(&mut said.messages[0].values));
        });
        stage.frames_nobody(|script| {
            script.hands_over(|_, messages: &mut PerParty<WinnerShares>| flip(&mut messages[DECEIVED].lifts));
            deceives(script, |_, said: &mut Published<WinnerShares>| flip(&mut said.messages[0].lifts));
        });
        stage.frames_nobody(|script| {
            script.sends(|_, receipt: &mut Receipted<ProductShares>| *receipt = Receipted::Disputed(vec![0]));
            deceives(script, |_, late: &mut Late<ProductShares>| {
                if let Some(Receipted::Complete(late)) = &mut late.0 {
                    flip(&mut late.values);
                }
            });
        });
    });
}

/// One party sees a seed that does not open, the others see the true one and find the wrong product: all name the liar, each
/// by what it was told itself.
#[test]
fn openings_that_differ_between_receivers_name_the_liar_all_the_same() {
    on_several(|stage| {
        let played = stage.frames_nobody(|script| {
            script.sends(|_, message: &mut Receipted<ProductShares>| {
                if let Receipted::Complete(products) = message {
                    flip(&mut products.values);
                }
            });
            deceives(script, |_, opening: &mut Opening| {
                opening.seeds[0] = Seed::random(&mut ChaCha20Rng::seed_from_u64(9));
            });
        });
        for (party, result) in played.results {
            let error = result.unwrap_err();
            // That it is no honest party was seen above.
            assert!(matches!(error, KeygenError::Deviated { .. }), "{party}: {error}");
        }
    });
}

/// What a received abort says is its sender's word: honest parties say who said it.
#[test]
fn an_abort_that_blames_an_honest_party_is_reported_as_its_senders_word() {
    on_several(|stage| {
        let played = stage.play(|script| script.on(|_, ending| *ending = Ending::Abort(DECEIVED)));
        for (party, result) in played.results {
            let error = result.unwrap_err();
            let KeygenError::Session(SessionError::Aborted { by, .. }) = &error else {
                panic!("{party}: {error}")
            };
            assert_eq!(*by, stage.liars[0], "{party}");
        }
    });
}

/// No frame but an abort leaves an honest party after its last confirmation, and none of an opening.
fn assert_nothing_after_confirmation(stage: &Stage, frames: &[Frame]) {
    for party in stage.honest() {
        let sent = frames.iter().filter(|frame| frame.from == party).map(|frame| frame.kind);
        // The session's own confirmation comes first, then those to each peer.
        let sent: Vec<u8> = sent.skip_while(|kind| *kind != MESSAGE).collect();
        let confirmed = sent.iter().position(|kind| *kind == CONFIRMATION).unwrap();
        assert!(sent[confirmed..].iter().all(|kind| *kind != MESSAGE), "{party}");
    }
}

#[test]
fn nothing_is_opened_after_the_last_confirmation() {
    for parties in [3, 5] {
        let stage = Stage { timeout: Duration::from_secs(3), ..Stage::of(parties) };
        for ending in [Ending::Open, Ending::Abort(DECEIVED), Ending::Leave] {
            let Played { results, frames, .. } =
                stage.play(|script| script.on(move |_, said| *said = ending));
            assert_nothing_after_confirmation(&stage, &frames);
            assert!(results.iter().all(|(_, result)| result.is_err()), "{ending:?}");
        }
        // It keeps its confirmation from all, or from one: the others may keep the key.
        for peers in [stage.honest(), vec![DECEIVED]] {
            let Played { results, frames, .. } = stage.play(|script| script.mutes::<Ending>(&peers));
            assert_nothing_after_confirmation(&stage, &frames);
            for (party, result) in results {
                match result {
                    Ok(_) => assert!(!peers.contains(&party), "{party} accepted a key"),
                    Err(error) => assert_eq!(error.culprits(), stage.liars, "{party}: {error}"),
                }
            }
        }
    }
}

/// A party that sees the last broadcast of a winner otherwise opens its seeds while others go on to share the key; nobody
/// accepts it.
#[test]
fn nobody_keeps_a_key_whose_seeds_an_honest_party_opened() {
    on_several(|stage| {
        let Played { frames, .. } = stage.frames_nobody(|script| {
            deceives(script, |_, zeros: &mut Committed<WinnerZeros>| flip(&mut zeros.message.values[..1]));
        });
        let opened = |party: PartyId| frames.iter().any(|frame| frame.from == party && frame.opens);
        for party in stage.honest() {
            assert_eq!(opened(party), party == DECEIVED, "{party}");
        }
    });
}
