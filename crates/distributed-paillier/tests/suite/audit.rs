//! A party that rejects good candidates wastes work and chooses among moduli: an audit of what was rejected names it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::attack::forge::{adds_to_summands, fit, steer, tests_of_other_summands};
use crate::attack::script::{Audited, Script};
use crate::attack::stage::Stage;
use subrosa_distributed_paillier::dealing::{Commitment, DealingId, Seed};
use subrosa_distributed_paillier::messages::{FirstTest, FurtherTests, ProductShares, WinnerZeros};
use subrosa_distributed_paillier::receipts::{Committed, Nothing, Opening, Receipted};
use subrosa_transport::{PartyId, PerParty};

const NOT_ITS_SEED: &str = "it dealt something else than its seed gives";
const NO_SEED: &str = "it does not open the seed that it committed to";
const K2: &str = "a product share that does not follow from what it was dealt";
const K4: &str = "a wrong value of the first test";
const K5: &str = "a wrong value of the further tests";

/// A run whose first audit comes after so many candidates that some of them are good.
fn audited(parties: u16) -> Stage {
    Stage { batch: 256, audit_after: Some(1024), ..Stage::of(parties) }
}

/// The party lets itself be named, as a party that goes on would be for that.
fn ends(script: &mut Script) {
    script.on(|_, audited: &mut Audited| *audited = Audited::Ends);
}

fn double(values: &mut [BigUint], modulus: impl Fn(usize) -> BigUint) {
    for (place, value) in values.iter_mut().enumerate() {
        *value = &*value * 2u32 % modulus(place);
    }
}

fn rejects_in_k4(script: &mut Script) {
    ends(script);
    script.sends(|scene, mine: &mut Committed<FirstTest>| {
        double(&mut mine.message.values, |place| scene.survivors[place].modulus.value().clone());
    });
}

fn rejects_in_k5(script: &mut Script) {
    ends(script);
    script.sends(|scene, mine: &mut Committed<FurtherTests>| {
        let (_, modulus) = scene.candidate.as_ref().unwrap();
        double(&mut mine.message.values[79..], |_| modulus.value().clone());
    });
}

#[test]
fn false_tests_are_named() {
    for parties in [3, 5] {
        audited(parties).convicts(K4, rejects_in_k4);
        audited(parties).convicts(K5, rejects_in_k5);
    }
}

/// Composite numbers that pass the first test cost a dealing each: sixteen of them are enough for an audit.
#[test]
fn false_passes_of_the_first_test_are_named_before_the_audit_is_due() {
    let stage = Stage { audit_after: Some(u64::MAX), ..audited(3) };
    stage.convicts(K4, |script| {
        // So that no good candidate ends the run before.
        rejects_in_k5(script);
        script.sends(|scene, mine: &mut Committed<FirstTest>| {
            let others = scene.peek::<Committed<FirstTest>>();
            for (place, sieved) in scene.survivors.iter().enumerate() {
                let of_peer = |(peer, theirs): &(PartyId, Committed<FirstTest>)| {
                    (*peer, theirs.message.values[place].clone())
                };
                let others: Vec<_> = others.iter().map(of_peer).collect();
                mine.message.values[place] =
                    fit(&sieved.modulus, scene.leader(sieved.index), scene.me, &others);
            }
        });
    });
}

/// Every N opens as a multiple of 3.
#[test]
fn products_with_a_small_factor_are_named() {
    audited(3).convicts(K2, |script| {
        ends(script);
        script.sends(|scene, message: &mut Receipted<ProductShares>| {
            let Receipted::Complete(mine) = message else { panic!("everything fits") };
            let values = |(peer, theirs)| match theirs {
                Receipted::<ProductShares>::Complete(theirs) => (peer, theirs.values),
                Receipted::Disputed(_) | Receipted::OutOfRange => panic!("an honest party complains"),
            };
            let others: Vec<_> = scene.peek().into_iter().map(values).collect();
            let numbers = (0u32..).map(|step| (BigUint::from(1u32) << 255u32) + 4 * step + 1u32);
            let target = numbers.into_iter().find(|n| n % 3u32 == BigUint::ZERO).unwrap();
            for (place, own) in mine.values.iter_mut().enumerate() {
                let others: Vec<_> =
                    others.iter().map(|(peer, values)| (*peer, values[place].clone())).collect();
                let prime = scene.candidate_modulus();
                *own = steer(&prime, scene.parties(), scene.me, &others, own, &target).0;
            }
        });
    });
}

/// p and q ≡ 0 modulo 3, for which the first party answers, so that no candidate passes trial division.
#[test]
fn residues_of_zero_are_named() {
    for liar in [0, 1] {
        // ≡ 1 modulo 3, and ≡ 0 modulo the other primes of M.
        let add = BigUint::from(4u32 * 5 * 7 * 11 * 13);
        assert_eq!(&add % 3u32, BigUint::from(1u32));
        let stage = Stage { liars: vec![PartyId::new(liar)], ..audited(3) };
        stage.convicts(NOT_ITS_SEED, |script| {
            ends(script);
            adds_to_summands(script, [add.clone(), add.clone()]);
            script.hears(|scene, _: &PerParty<Committed<FirstTest>>| assert!(scene.survivors.is_empty()));
        });
    }
}

/// p and q ≡ 1 modulo 3, so that every good candidate is rejected after W4, for a common factor of p−1 and q−1, and by no
/// false value.
#[test]
fn a_common_factor_that_a_party_sees_to_is_named() {
    let add = BigUint::from(2u32 * 4 * 5 * 7 * 11 * 13);
    assert_eq!(&add % 3u32, BigUint::from(2u32));
    let verified = Arc::new(Mutex::new(0));
    let stage = Stage { liars: vec![PartyId::new(0)], ..audited(3) };
    stage.convicts(NOT_ITS_SEED, |script| {
        ends(script);
        adds_to_summands(script, [add.clone(), add.clone()]);
        tests_of_other_summands(script, &(&add * 2u32));
        let verified = Arc::clone(&verified);
        script.sends(move |_, _: &mut Committed<WinnerZeros>| *verified.lock().unwrap() += 1);
    });
    // Four attempts for each.
    let verified = *verified.lock().unwrap();
    assert!(verified >= 4 && verified % 4 == 0, "{verified}");
}

#[test]
fn who_does_not_open_its_seeds_is_named() {
    let stage = Stage { batch: 8, audit_after: Some(8), timeout: Duration::from_secs(3), ..Stage::of(3) };
    stage.convicts(NO_SEED, |script| {
        ends(script);
        script.sends(|_, opening: &mut Opening| {
            opening.seeds[0] = Seed::random(&mut ChaCha20Rng::seed_from_u64(9));
        });
    });
    stage.names(&["another number of seeds"], |script| {
        script.sends(|_, opening: &mut Opening| opening.seeds.clear());
    });
    let honest = stage.honest();
    stage.names(&["keygen/opening"], |script| script.mutes::<Opening>(&honest));
    // One sees a seed that does not open; the other goes on.
    stage.frames_nobody(|script| {
        script.tells(|scene, peer, opening: &mut Opening| {
            scene.wire.mirror();
            if peer == PartyId::new(0) {
                opening.seeds[0] = Seed::random(&mut ChaCha20Rng::seed_from_u64(9));
            }
        });
    });
}

#[test]
fn an_honest_run_goes_on_after_its_audits() {
    for (parties, seeds) in [(3, 1..4), (5, 6..8)] {
        for seed in seeds {
            let stage = Stage { seed, batch: 4, audit_after: Some(8), ..Stage::of(parties) };
            let played = stage.goes_on(|_| ());
            assert!(played.audits > 0, "seed {seed}");
        }
    }
}

/// What everybody committed to in K1, by batch, and how many seeds of it were opened.
type Batches = Arc<Mutex<Vec<(u64, PerParty<Commitment>, usize)>>>;

/// An audit opens the seeds of all rejected batches, once, and none of the batch that is committed to and not yet dealt; of
/// the batch that holds the key nothing is ever opened.
#[test]
fn an_audit_opens_what_was_rejected_and_nothing_else() {
    let batches: Batches = Arc::default();
    Stage { batch: 4, audit_after: Some(8), seed: 2, ..Stage::of(3) }.goes_on(|script| {
        let (first, next, opened) = (Arc::clone(&batches), Arc::clone(&batches), Arc::clone(&batches));
        script.hears(move |_, said: &PerParty<Committed<Nothing>>| {
            let commitments = said.values().map(|said| said.commitment.clone()).collect();
            let mut batches = first.lock().unwrap();
            if batches.is_empty() {
                batches.push((0, PerParty::from_vec(commitments), 0));
            }
        });
        script.hears(move |scene, said: &PerParty<Committed<FirstTest>>| {
            let commitments = said.values().map(|said| said.commitment.clone()).collect();
            next.lock().unwrap().push((scene.first + 4, PerParty::from_vec(commitments), 0));
        });
        script.hears(move |scene, openings: &PerParty<Opening>| {
            let mut batches = opened.lock().unwrap();
            for (party, Opening { seeds }) in openings.iter() {
                for (first, commitments, count) in batches.iter_mut() {
                    let id = DealingId::Candidates { first: *first };
                    let opens = |seed: &&Seed| commitments[party].opens_to(&scene.id, id, party, seed);
                    *count += seeds.iter().filter(opens).count();
                }
            }
        });
    });
    let counts: Vec<usize> = batches.lock().unwrap().iter().map(|(.., count)| *count).collect();
    // Those of all three parties; the batch with the key, and at most one before it since the last audit, stay closed, as
    // does the one that nobody dealt.
    let audited = counts.iter().take_while(|count| **count == 3).count();
    assert!(audited >= 2, "{counts:?}");
    assert!(counts[audited..].iter().all(|count| *count == 0), "{counts:?}");
    assert!((2..=3).contains(&(counts.len() - audited)), "{counts:?}");
}
