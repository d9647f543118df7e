//! The end of key generation: a party whose trial decryption does not match its published verification key is named.
#![allow(clippy::unwrap_used, reason = "test code")]

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_arith::SecretInt;
use subrosa_distributed_paillier::messages::{TrialDecryption, TrialProof, VerificationKey};
use subrosa_distributed_paillier::{KeyShare, KeygenError, KeygenParameters, sharing};
use subrosa_paillier::{PrivateKey, PublicKey};
use subrosa_threshold_decryption::{
    AccessStructure, KeyError, ProofContext, dealer, verification_base, verification_key,
};
use subrosa_transport::{PartyId, PerParty};

const LIAR: PartyId = PartyId::new(1);

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn context() -> ProofContext {
    ProofContext::new([5; 32], ["a", "b", "c"])
}

/// What stands for the session's transcript after K9.
const TRANSCRIPT: [u8; 32] = [9; 32];
/// Everybody's rⱼ mod N, of which θ is what is missing to u.
const RESIDUES: [u32; 3] = [5, 7, 11];

/// A finished key, from a dealer: what K1 to K5, W1 to W4 and K8 lead to.
fn dealt() -> Vec<KeyShare> {
    let private = PrivateKey::generate_insecure(256, &mut rng(1)).unwrap();
    dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng(2)).unwrap()
}

/// What is published in K9 and K10.
struct Published {
    keys: Vec<BigUint>,
    residues: Vec<BigUint>,
    trial: Vec<TrialDecryption>,
    proofs: Vec<TrialProof>,
}

impl Published {
    fn of(shares: &[KeyShare]) -> Self {
        let trial: Vec<_> =
            shares.iter().map(|share| sharing::try_decrypt(share, &TRANSCRIPT).unwrap()).collect();
        let proofs = shares.iter().zip(&trial).map(|(share, trial)| {
            sharing::prove_trial(share, &context(), &TRANSCRIPT, trial, &mut rng(3)).unwrap()
        });
        Self {
            keys: shares[0].key().parts().verification_keys.clone(),
            residues: RESIDUES.map(BigUint::from).to_vec(),
            proofs: proofs.collect(),
            trial,
        }
    }

    /// K9 and K10 as party 1 sees them.
    fn finish(self, shares: &[KeyShare]) -> Result<(), KeygenError> {
        let parameters = KeygenParameters::insecure(3, 1, 256).unwrap();
        let mine = &shares[0];
        let keys = self.keys.into_iter().zip(self.residues);
        let keys = keys.map(|(key, residue)| VerificationKey { key: vec![key], residue: vec![residue] });
        let keys = PerParty::from_vec(keys.collect());
        let public = mine.key().public().clone();
        let opening = &mine.key().parts().theta + RESIDUES.iter().sum::<u32>();
        let share = sharing::finish(&parameters, mine.party(), public, &opening, mine.share().clone(), keys)?;
        let (trial, proofs) = (PerParty::from_vec(self.trial), PerParty::from_vec(self.proofs));
        sharing::check_proofs(share.key(), &context(), &TRANSCRIPT, &trial, &proofs)?;
        sharing::check_trial(share.key(), &TRANSCRIPT, trial)
    }
}

#[test]
fn honest_parties_finish() {
    let shares = dealt();
    Published::of(&shares).finish(&shares).unwrap();
}

#[test]
fn a_verification_key_of_another_share_is_named() {
    let shares = dealt();
    let mut published = Published::of(&shares);
    // v^(Δ·(s + 1)): well-formed, but not what the trial decryption was made with.
    let (key, share) = (shares[1].key(), shares[1].share());
    let other = SecretInt::new(share.expose() + 1u32, share.bits()).unwrap();
    let bits = key.parts().share_bits;
    published.keys[1] = verification_key(key.public(), key.access(), bits, &other).unwrap();
    let error = published.finish(&shares).unwrap_err();
    assert!(matches!(error, KeygenError::Invalid { .. }), "{error}");
    assert_eq!(error.culprits(), [LIAR]);
}

#[test]
fn what_is_not_a_unit_or_not_reduced_is_named() {
    let shares = dealt();
    let n = shares[0].key().public().n();
    let keys = [BigUint::ZERO, n.clone(), n * 5u32, n * n];
    let keys = keys.map(|key| {
        let mut published = Published::of(&shares);
        published.keys[1] = key;
        published
    });
    let mut not_reduced = Published::of(&shares);
    not_reduced.residues[1] += n;
    for published in keys.into_iter().chain([not_reduced]) {
        let error = published.finish(&shares).unwrap_err();
        assert!(matches!(error, KeygenError::Invalid { .. }), "{error}");
        assert_eq!(error.culprits(), [LIAR]);
    }
}

/// θ is another one at all parties alike: no unit, or none that decrypts.
#[test]
fn a_wrong_residue_gives_no_key() {
    let shares = dealt();
    let mut published = Published::of(&shares);
    published.residues[1] += 1u32;
    let error = published.finish(&shares).unwrap_err();
    assert!(error.to_string().contains("trial decryption"), "{error}");
    let mut published = Published::of(&shares);
    published.residues[1] += &shares[0].key().parts().theta;
    let error = published.finish(&shares).unwrap_err();
    assert!(matches!(error, KeygenError::Inconsistent { reason: "θ is no unit modulo N" }), "{error}");
}

#[test]
fn a_wrong_trial_decryption_or_proof_is_named() {
    let shares = dealt();
    let n = shares[0].key().public().n();
    type Lie<'a> = &'a dyn Fn(&mut Published);
    let lies: [Lie<'_>; 4] = [
        &|published| published.trial[1].values[0] += 1u32,
        &|published| published.trial[1].values[0] = &published.trial[1].values[0] * (n + 1u32) % (n * n),
        &|published| published.trial[1].values[0] = BigUint::ZERO,
        &|published| published.proofs[1] = published.proofs[0].clone(),
    ];
    for lie in lies {
        let mut published = Published::of(&shares);
        lie(&mut published);
        let error = published.finish(&shares).unwrap_err();
        assert_eq!(error.culprits(), [LIAR], "{error}");
    }
}

/// Nobody chooses the ciphertext: the transcript after K9 does.
#[test]
fn a_trial_decryption_after_other_broadcasts_is_named() {
    let shares = dealt();
    let mut published = Published::of(&shares);
    let other = [8; 32];
    published.trial[1] = sharing::try_decrypt(&shares[1], &other).unwrap();
    published.proofs[1] =
        sharing::prove_trial(&shares[1], &context(), &other, &published.trial[1], &mut rng(3)).unwrap();
    assert_eq!(published.finish(&shares).unwrap_err().culprits(), [LIAR]);
}

#[test]
fn a_share_that_nobody_dealt_contradicts_the_others_unnamed() {
    // The liar uses one wrong share throughout, as if it had been dealt it: its proof holds.
    let shares = dealt();
    let key = shares[1].key();
    let other = SecretInt::new(shares[1].share().expose() + 1u32, shares[1].share().bits()).unwrap();
    let mut keys = Published::of(&shares).keys;
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
    let error = Published { keys, ..Published::of(&liars) }.finish(&shares).unwrap_err();
    assert!(matches!(error, KeygenError::Key(KeyError::InconsistentVerificationKeys)), "{error}");
}

/// N = 257·m that fits `wanted`.
fn composite(wanted: impl Fn(&PublicKey) -> bool) -> PublicKey {
    (1u32..)
        .map(|step| ((BigUint::one() << 247u32) + 2u32 * step + 1u32) * 257u32)
        .filter_map(|n| PublicKey::insecure(n).ok())
        .find(|public| public.bits() == 256 && wanted(public))
        .unwrap()
}

/// With forged tests a composite N may come so far, and a hash may show its factor: then no honest key is a unit.
#[test]
fn a_base_that_is_no_unit_blames_nobody_for_its_key() {
    let public = composite(|public| !verification_base(public).gcd(public.n()).is_one());
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap();
    let share = SecretInt::new(BigUint::from(1000u32), 600).unwrap();
    let honest = verification_key(&public, parameters.access(), 600, &share).unwrap();
    // The liar alone publishes a unit.
    let keys = [honest.clone(), BigUint::one(), honest];
    let keys = keys.map(|key| VerificationKey { key: vec![key], residue: vec![BigUint::ZERO] });
    let keys = PerParty::from_vec(keys.to_vec());
    let opening = BigUint::one();
    let refused = sharing::finish(&parameters, PartyId::new(0), public, &opening, share, keys).unwrap_err();
    assert!(matches!(refused, KeygenError::Inconsistent { .. }), "{refused}");
}

/// By its verification key a party that speaks last can choose among trial ciphertexts.
#[test]
fn a_nonce_that_is_no_unit_is_a_failure_that_all_see() {
    let public = composite(|public| verification_base(public).gcd(public.n()).is_one());
    let parameters = KeygenParameters::insecure(3, 1, 256).unwrap();
    let share = SecretInt::zero();
    let keys = (0..3).map(|_| VerificationKey { key: vec![BigUint::one()], residue: vec![BigUint::ZERO] });
    let keys = PerParty::from_vec(keys.collect());
    let opening = BigUint::one();
    let share = sharing::finish(&parameters, PartyId::new(0), public, &opening, share, keys).unwrap();
    let results = (0..2000u16).map(|number| {
        let mut transcript = [0; 32];
        transcript[..2].copy_from_slice(&number.to_le_bytes());
        sharing::try_decrypt(&share, &transcript)
    });
    let refused: Vec<_> = results.filter_map(Result::err).collect();
    assert!(!refused.is_empty(), "one of 257 nonces is a multiple of 257");
    assert!(refused.iter().all(|error| matches!(error, KeygenError::Inconsistent { .. })), "{refused:?}");
}
