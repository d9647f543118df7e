//! The end of key generation: a party whose trial decryption does not match its published verification key is named.
#![allow(clippy::unwrap_used, reason = "test code")]

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use subrosa_arith::SecretInt;
use subrosa_distributed_paillier::messages::{TrialDecryption, TrialProof, VerificationKey};
use subrosa_distributed_paillier::{KeyShare, KeygenError, KeygenParameters, sharing};
use subrosa_paillier::PrivateKey;
use subrosa_threshold_decryption::{Access, KeyError, ProofContext, dealer, verification_key};
use subrosa_transport::{PartyId, PerParty};

const LIAR: PartyId = PartyId::new(1);

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn context() -> ProofContext {
    ProofContext::new([5; 32], ["a", "b", "c"])
}

/// A finished key, from a dealer: what K1 to K8 lead to.
fn dealt() -> Vec<KeyShare> {
    let private = PrivateKey::generate_insecure(256, &mut rng(1)).unwrap();
    dealer::deal(&private, Access::new(3, 1).unwrap(), &mut rng(2)).unwrap()
}

/// K9 and K10 as party 1 sees them, with the verification keys, trial decryptions and proofs that were published.
fn finish(
    shares: &[KeyShare],
    keys: Vec<BigUint>,
    trial: Vec<TrialDecryption>,
    proofs: Vec<TrialProof>,
) -> Result<(), KeygenError> {
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap();
    let mine = &shares[0];
    let keys = keys.into_iter().map(|key| VerificationKey { values: vec![key] }).collect();
    let (public, theta) = (mine.key().public().clone(), mine.key().parts().theta.clone());
    let keys = PerParty::from_vec(keys);
    let share = sharing::finish(&parameters, mine.party(), public, theta, mine.share().clone(), keys)?;
    let trial = PerParty::from_vec(trial);
    sharing::check_proofs(share.key(), &context(), &trial, &PerParty::from_vec(proofs))?;
    sharing::check_trial(share.key(), trial)
}

fn published(shares: &[KeyShare]) -> (Vec<BigUint>, Vec<TrialDecryption>, Vec<TrialProof>) {
    let trial: Vec<_> = shares.iter().map(|share| sharing::try_decrypt(share).unwrap()).collect();
    let proofs = shares
        .iter()
        .zip(&trial)
        .map(|(share, trial)| sharing::prove_trial(share, &context(), trial, &mut rng(3)).unwrap());
    (shares[0].key().parts().verification_keys.clone(), trial.clone(), proofs.collect())
}

#[test]
fn honest_parties_finish() {
    let shares = dealt();
    let (keys, trial, proofs) = published(&shares);
    finish(&shares, keys, trial, proofs).unwrap();
}

#[test]
fn a_verification_key_of_another_share_is_named() {
    let shares = dealt();
    let (mut keys, trial, proofs) = published(&shares);
    // v^(Δ·(s + 1)): well-formed, but not what the trial decryption was made with.
    let (key, share) = (shares[1].key(), shares[1].share());
    let other = SecretInt::new(share.expose() + 1u32, share.bits()).unwrap();
    let bits = key.parts().share_bits;
    keys[1] = verification_key(key.public(), key.access(), bits, &other).unwrap();
    let error = finish(&shares, keys, trial, proofs).unwrap_err();
    assert!(matches!(error, KeygenError::Invalid { .. }), "{error}");
    assert_eq!(error.culprits(), [LIAR]);
}

#[test]
fn a_wrong_trial_decryption_or_proof_is_named() {
    let shares = dealt();
    let n = shares[0].key().public().n();
    type Lie<'a> = &'a dyn Fn(&mut Vec<TrialDecryption>, &mut Vec<TrialProof>);
    let lies: [Lie<'_>; 4] = [
        &|trial, _| trial[1].values[0] += 1u32,
        &|trial, _| trial[1].values[0] = &trial[1].values[0] * (n + 1u32) % (n * n),
        &|trial, _| trial[1].values[0] = BigUint::ZERO,
        &|_, proofs| proofs[1] = proofs[0].clone(),
    ];
    for lie in lies {
        let (keys, mut trial, mut proofs) = published(&shares);
        lie(&mut trial, &mut proofs);
        let error = finish(&shares, keys, trial, proofs).unwrap_err();
        assert_eq!(error.culprits(), [LIAR], "{error}");
    }
}

#[test]
fn a_share_that_nobody_dealt_contradicts_the_others_unnamed() {
    // The liar uses one wrong share throughout, as if it had been dealt it: its proof holds.
    let shares = dealt();
    let key = shares[1].key();
    let other = SecretInt::new(shares[1].share().expose() + 1u32, shares[1].share().bits()).unwrap();
    let (mut keys, _, _) = published(&shares);
    keys[1] = verification_key(key.public(), key.access(), key.parts().share_bits, &other).unwrap();
    let parts = subrosa_threshold_decryption::ThresholdKeyParts {
        verification_keys: keys.clone(),
        ..key.parts().clone()
    };
    let provisional = subrosa_threshold_decryption::ThresholdKey::provisional(parts).unwrap();
    let own = |share: &KeyShare, secret: &SecretInt| {
        KeyShare::new(provisional.clone(), share.party(), secret.clone()).unwrap()
    };
    let liars =
        [own(&shares[0], shares[0].share()), own(&shares[1], &other), own(&shares[2], shares[2].share())];
    let (_, trial, proofs) = published(&liars);
    let error = finish(&shares, keys, trial, proofs).unwrap_err();
    assert!(matches!(error, KeygenError::Key(KeyError::InconsistentVerificationKeys)), "{error}");
}
