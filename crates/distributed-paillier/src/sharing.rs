//! Steps K8 to K10: the decryption key is shared over ℤ, so that any t+1 parties can decrypt, and a trial decryption
//! tests the shares.

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::One;
use rand_core::CryptoRng;

use crate::messages::{
    Bits, IntegerShareMessage, ListBelow, TrialDecryption, TrialProof, VerificationKey, conform,
};
use crate::winner::KeySummand;
use crate::{KeygenError, KeygenParameters};
use subrosa_arith::SecretInt;
use subrosa_encoding::Hasher;
use subrosa_paillier::{Ciphertext, PaillierError, PublicKey};
use subrosa_shamir::{IntegerShare, IntegerSharing, ShamirError};
use subrosa_threshold_decryption::{
    AccessStructure, Challenges, Combiner, KeyShare, PartialDecryption, ProofContext, ThresholdKey,
    ThresholdKeyParts, coefficient_bound, proof, share_bits, verification_base, verification_key,
};
use subrosa_transport::{PartyId, PerParty};

/// Greatest number of minimal sets of parties that are all tried. With more sets, only those of consecutive parties
/// are.
const MAX_SUBSETS: usize = 200;

/// The shape of [`IntegerShareMessage`]: a single value is no longer than a bound on the sum of all, and a bit for
/// its sign's sake.
pub fn share_shape(parameters: &KeygenParameters) -> Bits {
    Bits(share_bits(parameters.access(), parameters.key_bits()) + 1)
}

/// The shape of [`VerificationKey`].
pub fn verification_shape(public: &PublicKey) -> [ListBelow; 2] {
    [trial_shape(public), ListBelow { count: 1, bound: public.n().clone() }]
}

/// The shape of [`TrialDecryption`].
pub fn trial_shape(public: &PublicKey) -> ListBelow {
    ListBelow { count: 1, bound: public.modulus_squared().value().clone() }
}

/// K8: deals this party's summand of d by `Fᵢ(X) = Δ·dᵢ + Σ aₘX^m` with aₘ ∈ [0, Δ·t·n·2^(2k+σ)). The messages include
/// the one to this party itself.
///
/// # Errors
/// [`KeygenError::Shamir`] if the parameters do not fit.
pub fn deal(
    parameters: &KeygenParameters,
    summand: &KeySummand,
    rng: &mut impl CryptoRng,
) -> Result<PerParty<IntegerShareMessage>, KeygenError> {
    let access = parameters.access();
    let bound = coefficient_bound(access, parameters.key_bits());
    let sharing = IntegerSharing::new(access.parties(), access.threshold(), bound)?;
    let shares = sharing.share(summand.expose(), rng);
    Ok(PerParty::from_vec(
        shares.iter().map(|share| IntegerShareMessage { value: share.expose().clone() }).collect(),
    ))
}

/// K9: computes this party's share of d, which is the sum of all dealings to it, and its verification key. The message
/// also has this party's `residue` rⱼ mod N.
///
/// # Security
/// The residues give θ. From θ, a party that knows φ(N) gets β and the honest parties' d. The residues are therefore
/// published only when no party can change its dealing of K8 any more.
///
/// # Errors
/// [`KeygenError::Invalid`] naming a party whose share is longer than [`share_shape`] says;
/// [`KeygenError::Inconsistent`] if the sum is negative or beyond its bound: some party dealt a wrong share.
pub fn total(
    parameters: &KeygenParameters,
    me: PartyId,
    public: &PublicKey,
    received: &PerParty<IntegerShareMessage>,
    residue: &SecretInt,
) -> Result<(SecretInt, VerificationKey), KeygenError> {
    conform(parameters.access().parties(), received, &share_shape(parameters))?;
    let shares: Vec<IntegerShare> =
        received.values().map(|message| IntegerShare::new(me.number(), message.value.clone())).collect();
    let out_of_range =
        || KeygenError::Inconsistent { reason: "my share of the decryption key is out of range" };
    let total = IntegerSharing::total(&shares).map_err(|error| match error {
        ShamirError::OutOfRange { .. } => out_of_range(),
        error => error.into(),
    })?;
    let bits = share_bits(parameters.access(), parameters.key_bits());
    let share = SecretInt::new(total, bits).map_err(|_| out_of_range())?;
    let value = verification_key(public, parameters.access(), bits, &share)?;
    Ok((share, VerificationKey { key: vec![value], residue: vec![residue.expose().clone()] }))
}

/// K9, continued: computes θ = (u − Σ rⱼ) mod N with the opening u of W2, and the key share. The share is checked
/// against this party's verification key. [`check_trial`] compares the keys of the others.
///
/// θ must be a unit modulo N, which is the second half of the biprimality test, since φ ≡ −(p+q−1) modulo N. For two
/// primes it is one unless β is a multiple of one of them.
///
/// # Errors
/// [`KeygenError::Invalid`] naming a party whose verification key is no unit modulo N²; [`KeygenError::Inconsistent`] if θ
/// is no unit, alike at all parties; [`KeygenError::Key`].
pub fn finish(
    parameters: &KeygenParameters,
    me: PartyId,
    public: PublicKey,
    opening: &BigUint,
    share: SecretInt,
    received: PerParty<VerificationKey>,
) -> Result<KeyShare, KeygenError> {
    let access = parameters.access();
    conform(access.parties(), &received, &verification_shape(&public))?;
    let residues: BigUint = received.values().flat_map(|message| &message.residue).sum();
    let theta = (opening + public.n() * received.len() - residues) % public.n();
    if !theta.gcd(public.n()).is_one() {
        return Err(KeygenError::Inconsistent { reason: "θ is no unit modulo N" });
    }
    // For a bad N, the hash may share a factor with N. Then no verification key is a unit, and no party is to blame for
    // its own key.
    if !verification_base(&public).gcd(public.n()).is_one() {
        return Err(KeygenError::Inconsistent {
            reason: "the base of the verification keys is no unit modulo N",
        });
    }
    let unit = |message: &VerificationKey| message.key.iter().all(|value| value.gcd(public.n()).is_one());
    if let Some((party, _)) = received.iter().find(|(_, message)| !unit(message)) {
        return Err(KeygenError::invalid(party, "its verification key is not a unit modulo N"));
    }
    let verification_keys = received.into_iter().filter_map(|(_, message)| message.key.into_iter().next());
    let key = ThresholdKey::provisional(ThresholdKeyParts {
        access,
        scale: access.delta(),
        theta,
        share_bits: share_bits(access, parameters.key_bits()),
        verification_keys: verification_keys.collect(),
        public,
    })?;
    Ok(KeyShare::new(key, me, share)?)
}

/// K10: computes this party's partial decryption of a ciphertext whose plaintext all parties know. `transcript` is that
/// of the session after K9, so that no party knows the ciphertext while it can still change its share.
///
/// # Errors
/// [`KeygenError::Decryption`] if the key is not usable.
pub fn try_decrypt(share: &KeyShare, transcript: &[u8; 32]) -> Result<TrialDecryption, KeygenError> {
    let (_, ciphertext) = known_plaintext(share.key().public(), transcript)?;
    Ok(TrialDecryption { values: share.partially_decrypt(&[ciphertext])?.into_values() })
}

/// K10, continued: proves that `trial` was computed with the share behind this party's verification key.
///
/// # Errors
/// [`KeygenError::Decryption`] if the trial decryption is another party's.
pub fn prove_trial(
    share: &KeyShare,
    context: &ProofContext,
    transcript: &[u8; 32],
    trial: &TrialDecryption,
    rng: &mut impl CryptoRng,
) -> Result<TrialProof, KeygenError> {
    let (_, ciphertext) = known_plaintext(share.key().public(), transcript)?;
    let partial = PartialDecryption::new(share.party(), trial.values.clone());
    let proof = share.prove(context, &[ciphertext], &partial, Challenges::Wide, rng)?;
    Ok(TrialProof { proof })
}

/// K10, continued: verifies the proofs. A party whose proof holds knows the share behind its verification key, and used
/// it.
///
/// # Errors
/// [`KeygenError::Invalid`] naming a party whose trial decryption does not match its verification key;
/// [`KeygenError::Roster`] if there is not one message from each party.
pub fn check_proofs(
    key: &ThresholdKey,
    context: &ProofContext,
    transcript: &[u8; 32],
    trial: &PerParty<TrialDecryption>,
    proofs: &PerParty<TrialProof>,
) -> Result<(), KeygenError> {
    let parties = key.access().parties();
    conform(parties, trial, &trial_shape(key.public()))?;
    conform(parties, proofs, key)?;
    let (_, ciphertext) = known_plaintext(key.public(), transcript)?;
    let ciphertexts = std::slice::from_ref(&ciphertext);
    for ((party, message), (_, TrialProof { proof })) in trial.iter().zip(proofs.iter()) {
        let partial = PartialDecryption::new(party, message.values.clone());
        if proof::verify(context, key, ciphertexts, &partial, proof, Challenges::Wide).is_err() {
            let reason = "its trial decryption does not match its verification key";
            return Err(KeygenError::invalid(party, reason));
        }
    }
    Ok(())
}

/// K10, continued: checks that all verification keys lie on one polynomial of degree t in the exponent, and that every
/// minimal set of parties decrypts correctly. If there are very many sets, only those of consecutive parties are tried,
/// and these contain every party.
///
/// # Errors
/// [`KeygenError::Key`] if the verification keys contradict each other;
/// [`KeygenError::Invalid`] or [`KeygenError::Decryption`] naming a party whose value cannot be one;
/// [`KeygenError::Decryption`] or [`KeygenError::Inconsistent`] if a set does not decrypt, or not correctly.
pub fn check_trial(
    key: &ThresholdKey,
    transcript: &[u8; 32],
    received: PerParty<TrialDecryption>,
) -> Result<(), KeygenError> {
    conform(key.access().parties(), &received, &trial_shape(key.public()))?;
    key.check_consistency()?;
    let (expected, _) = known_plaintext(key.public(), transcript)?;
    let partials: Vec<PartialDecryption> =
        received.into_iter().map(|(party, message)| PartialDecryption::new(party, message.values)).collect();
    for subset in quorums(key.access()) {
        let some: Vec<PartialDecryption> =
            partials.iter().filter(|partial| subset.contains(&partial.party())).cloned().collect();
        let plaintexts = Combiner::new(key, &subset)?.combine(&some)?;
        if plaintexts != [expected.clone()] {
            return Err(KeygenError::Inconsistent { reason: "a trial decryption gave a wrong plaintext" });
        }
    }
    Ok(())
}

/// Sets of t+1 parties: all of them if there are at most [`MAX_SUBSETS`], otherwise the consecutive ones.
fn quorums(access: AccessStructure) -> Vec<Vec<PartyId>> {
    let size = access.quorum();
    let parties: Vec<PartyId> =
        (0..access.parties()).filter_map(|index| u16::try_from(index).ok()).map(PartyId::new).collect();
    // n over t+1; each quotient on the way is itself such a number.
    let count =
        (0..size).fold(1u128, |count, i| count.saturating_mul((parties.len() - i) as u128) / (i as u128 + 1));
    if count > MAX_SUBSETS as u128 {
        return parties.windows(size).map(<[PartyId]>::to_vec).collect();
    }
    let mut sets = Vec::new();
    extend(&parties, size, &mut Vec::new(), &mut sets);
    sets
}

/// Adds to `sets` all sets that consist of `begun` and `missing` of `parties`.
fn extend(parties: &[PartyId], missing: usize, begun: &mut Vec<PartyId>, sets: &mut Vec<Vec<PartyId>>) {
    if missing == 0 {
        sets.push(begun.clone());
        return;
    }
    for (index, &party) in parties.iter().enumerate().take((parties.len() + 1).saturating_sub(missing)) {
        begun.push(party);
        extend(&parties[index + 1..], missing - 1, begun, sets);
        begun.pop();
    }
}

/// A plaintext of k − 2 bits and an encryption of it, both from a hash of transcript and key.
fn known_plaintext(public: &PublicKey, transcript: &[u8; 32]) -> Result<(BigInt, Ciphertext), KeygenError> {
    let hasher = || {
        Hasher::new("subrosa/distributed-paillier/trial-decryption", 2)
            .field("transcript", transcript)
            .uint("n", public.n())
    };
    let half = (public.n() - BigUint::one()) >> 1u32;
    let plaintext = BigInt::from(hasher().field("part", b"plaintext").below(&half));
    let nonce = hasher().field("part", b"nonce").below(public.n());
    let no_unit = |error| match error {
        PaillierError::BadRandomness => {
            KeygenError::Inconsistent { reason: "the nonce of the trial is no unit modulo N" }
        }
        error => error.into(),
    };
    let ciphertext = public.encrypt_with_nonce(&plaintext, &nonce).map_err(no_unit)?;
    Ok((plaintext, ciphertext))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quorum_is_tried_once() {
        for (n, t, count) in [(3, 1, 3), (5, 2, 10), (7, 3, 35), (7, 1, 21)] {
            let sets = quorums(AccessStructure::new(n, t).unwrap());
            assert_eq!(sets.len(), count, "n {n} t {t}");
            let distinct: std::collections::BTreeSet<_> = sets.iter().collect();
            assert_eq!(distinct.len(), count);
            assert!(sets.iter().all(|set| set.len() == t as usize + 1));
        }
    }

    #[test]
    fn every_party_is_tried_however_many_sets_there_are() {
        for (n, t) in [(50, 24), (100, 1), (19, 9), (21, 10), (23, 11), (25, 12), (100, 49)] {
            let sets = quorums(AccessStructure::new(n, t).unwrap());
            assert_eq!(sets.len(), (n - t) as usize, "n {n} t {t}");
            assert!(sets.iter().all(|set| set.len() == t as usize + 1));
            let tried: std::collections::BTreeSet<_> = sets.iter().flatten().collect();
            assert_eq!(tried.len(), n as usize, "n {n} t {t}");
        }
    }
}
