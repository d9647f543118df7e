//! False partial decryptions, in R9.

use std::time::Duration;

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;

use super::deviation::{Deviation, Honest, View};
use super::scene::{EAST, NORTH, Run, WEST, run_in, run_over, settings, three};
use super::wire::is_of;
use crate::common::bank_name;
use subrosa_risk_propagation::Settings;
use subrosa_threshold_decryption::protocol::Checks;
use subrosa_transport::memory::Action;
use subrosa_transport::{MemoryNetwork, PartyId};

/// Multiplies its part of north's ciphertexts by a power of 1 + N, so that 0.3 more is read in north's first slot.
struct Liar;

impl Deviation for Liar {
    fn partials(&mut self, view: &View<'_>, owner: PartyId, mut honest: Vec<BigUint>) -> Vec<BigUint> {
        if owner == NORTH {
            let (key, n) = (view.share.key(), BigInt::from(view.key.n().clone()));
            // Parts enter with exponents 2μ, and what comes out is (1+N)^(4Δ²κθ·m). For parties 1 and 2, μ of the latter is
            // Δ·1/(1 − 2).
            let delta = BigInt::from(key.access().delta());
            let scale: BigInt = BigInt::from(4) * &delta * &delta * BigInt::from(key.parts().scale.clone());
            let wanted: BigInt = (BigInt::from(3) << view.plan().final_scale()) / 10;
            let inverse: BigInt = (BigInt::from(-2) * &delta).mod_floor(&n).modinv(&n).unwrap();
            let power = (wanted * scale * BigInt::from(key.parts().theta.clone()) * inverse).mod_floor(&n);
            let factor = BigUint::from(1_u8) + view.key.n() * power.to_biguint().unwrap();
            honest[0] = &honest[0] * factor % view.key.modulus_squared().value();
        }
        honest
    }
}

/// A run in which east lies, and west's true answer is on its way when north has all that it waits for.
fn hurried(settings: &Settings) -> Run {
    let slow = |from: PartyId, to: PartyId, _: u64, frame: &mut Vec<u8>| {
        let answer = is_of(frame, "decrypt/partial") || is_of(frame, "decrypt/proven-partial");
        if (from, to) == (WEST, NORTH) && answer {
            std::thread::sleep(Duration::from_millis(800));
        }
        Action::Deliver
    };
    let wires = MemoryNetwork::builder((0..3).map(bank_name)).intercept(slow).build().unwrap();
    run_over(wires, &three(), settings, vec![(EAST, &mut Liar)], 61, None)
}

#[test]
fn a_false_part_is_refused_and_named_and_the_true_one_waited_for() {
    let run = hurried(&settings());
    run.assert_unnoticed();
    run.assert_found(EAST, "R9", 0, &[]);
    for (party, result) in &run.honest {
        let outcome = result.as_ref().unwrap();
        let absent: Vec<PartyId> = outcome.absent.iter().map(|failure| failure.party).collect();
        let deviations: Vec<_> =
            outcome.deviations.iter().map(|d| (d.party, d.ciphertexts.clone())).collect();
        if *party == NORTH {
            assert_eq!(absent, [EAST]);
            // The first ciphertext is wrong.
            assert_eq!(deviations, [(EAST, vec![0])]);
        } else {
            assert!(absent.is_empty() && deviations.is_empty());
        }
    }
}

#[test]
fn without_proofs_a_false_part_that_comes_first_moves_a_score() {
    let quorum = Settings { checks: Checks::Quorum, ..settings() };
    let honest = run_in(&three(), &quorum, vec![(EAST, &mut Honest)], 61, None);
    let run = hurried(&quorum);
    assert!((run.score(NORTH, 0) - honest.score(NORTH, 0) - 0.3).abs() < 1e-6);
    for account in 1..5 {
        assert!((run.score(NORTH, account) - honest.score(NORTH, account)).abs() < 1e-6);
    }
    // The outcome says nothing of it.
    assert!(run.honest.iter().all(|(_, result)| result.as_ref().unwrap().absent.is_empty()));
}
