//! Steps K8 to K10: the decryption key is shared over ℤ, so that any t+1 parties decrypt, and tried.

use num_bigint::{BigInt, BigUint};
use num_traits::One;
use rand_core::CryptoRng;
use subrosa_arith::{SecretInt, hash::Hasher};
use subrosa_paillier::{Ciphertext, PublicKey};
use subrosa_shamir::{IntegerShare, IntegerSharing};
use subrosa_threshold_decryption::{
    Access, Combiner, KeyShare, PartialDecryption, ThresholdKey, ThresholdKeyParts, coefficient_bound,
    share_bits, verification_key,
};
use subrosa_transport::{PartyId, PerParty};

use crate::decryption_key::KeySummand;
use crate::messages::{Below, Bits, IntegerShareMessage, TrialDecryption, VerificationKey};
use crate::{KeygenError, KeygenParameters};

/// Above this many minimal subsets of parties only the consecutive ones try to decrypt.
const MAX_SUBSETS: usize = 200;

/// The shape of [`IntegerShareMessage`]: a single value is no longer than a bound on the sum of all, and a bit for
/// its sign's sake.
pub fn share_shape(parameters: &KeygenParameters) -> Bits {
    Bits(share_bits(parameters.access(), parameters.key_bits()) + 1)
}

/// The shape of [`VerificationKey`].
pub fn verification_shape(public: &PublicKey) -> Below {
    Below { count: 1, bound: public.modulus_squared().value().clone() }
}

/// K8: deals my summand of d by `Fᵢ(X) = Δ·dᵢ + Σ aₘX^m` with aₘ ∈ [0, Δ·t·n·2^(2k+σ)). The message to oneself is
/// among them.
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

/// K9: my share of d, the sum of what all parties dealt me, and its verification key.
///
/// # Errors
/// [`KeygenError::Inconsistent`] if the sum is negative or beyond its bound: some party dealt a wrong share.
pub fn total(
    parameters: &KeygenParameters,
    me: PartyId,
    public: &PublicKey,
    received: PerParty<IntegerShareMessage>,
) -> Result<(SecretInt, VerificationKey), KeygenError> {
    let shares: Vec<IntegerShare> =
        received.values().map(|message| IntegerShare::new(me.number(), message.value.clone())).collect();
    let inconsistent =
        |_| KeygenError::Inconsistent { reason: "my share of the decryption key is out of range" };
    let total = IntegerSharing::total(&shares).map_err(inconsistent)?;
    let bits = share_bits(parameters.access(), parameters.key_bits());
    let share = SecretInt::new(total, bits).map_err(|_| KeygenError::Inconsistent {
        reason: "my share of the decryption key is out of range",
    })?;
    let value = verification_key(public, parameters.access(), bits, &share)?;
    Ok((share, VerificationKey { values: vec![value] }))
}

/// K9, continued: the key share, if all verification keys lie on one polynomial of degree t in the exponent.
///
/// # Errors
/// [`KeygenError::Key`].
pub fn finish(
    parameters: &KeygenParameters,
    me: PartyId,
    public: PublicKey,
    theta: BigUint,
    share: SecretInt,
    received: PerParty<VerificationKey>,
) -> Result<KeyShare, KeygenError> {
    let access = parameters.access();
    let verification_keys = received.into_iter().filter_map(|(_, message)| message.values.into_iter().next());
    let key = ThresholdKey::new(ThresholdKeyParts {
        access,
        scale: access.delta(),
        theta,
        share_bits: share_bits(access, parameters.key_bits()),
        verification_keys: verification_keys.collect(),
        public,
    })?;
    Ok(KeyShare::new(key, me, share)?)
}

/// K10: my part in decrypting a ciphertext whose plaintext everyone knows.
///
/// # Errors
/// [`KeygenError::Decryption`] if the key is not usable.
pub fn try_decrypt(share: &KeyShare) -> Result<TrialDecryption, KeygenError> {
    let (_, ciphertext) = known_plaintext(share.key().public())?;
    Ok(TrialDecryption { values: share.partially_decrypt(&[ciphertext])?.into_values() })
}

/// K10, continued: every minimal set of parties must decrypt it correctly; where there are very many, the sets of
/// consecutive parties, among which every party is found.
///
/// # Errors
/// [`KeygenError::Inconsistent`] if one does not.
pub fn check_trial(key: &ThresholdKey, received: PerParty<TrialDecryption>) -> Result<(), KeygenError> {
    let (expected, _) = known_plaintext(key.public())?;
    let partials: Vec<PartialDecryption> =
        received.into_iter().map(|(party, message)| PartialDecryption::new(party, message.values)).collect();
    for subset in quorums(key.access()) {
        let some: Vec<PartialDecryption> =
            subset.iter().map(|party| partials[party.index()].clone()).collect();
        let plaintexts = Combiner::new(key, &subset)?.combine(&some)?;
        if plaintexts != [expected.clone()] {
            return Err(KeygenError::Inconsistent { reason: "a trial decryption gave a wrong plaintext" });
        }
    }
    Ok(())
}

/// Sets of t+1 parties: all of them where there are at most [`MAX_SUBSETS`], else the consecutive ones.
fn quorums(access: Access) -> Vec<Vec<PartyId>> {
    let (n, size) = (access.parties() as usize, access.quorum());
    let party = |index: usize| PartyId::new(u16::try_from(index).unwrap_or(u16::MAX));
    let mut all: Vec<Vec<PartyId>> = vec![vec![]];
    for index in 0..n {
        let extended: Vec<_> = all
            .iter()
            .filter(|set| set.len() < size)
            .map(|set| set.iter().copied().chain([party(index)]).collect())
            .collect();
        all.extend(extended);
        // A set that can no longer be filled is dropped, so that the list stays short.
        all.retain(|set| set.len() + n - index > size);
        if all.len() > 16 * MAX_SUBSETS {
            break;
        }
    }
    all.retain(|set| set.len() == size);
    if all.is_empty() || all.len() > MAX_SUBSETS {
        return (0..=n - size).map(|first| (first..first + size).map(party).collect()).collect();
    }
    all
}

/// A plaintext of k − 2 bits and an encryption of it, both from a hash of the key.
fn known_plaintext(public: &PublicKey) -> Result<(BigInt, Ciphertext), KeygenError> {
    let hasher = || Hasher::new("subrosa/distributed-paillier/trial-decryption", 1).uint("n", public.n());
    let half = (public.n() - BigUint::one()) >> 1u32;
    let plaintext = BigInt::from(hasher().field("part", b"plaintext").below(&half));
    let nonce = hasher().field("part", b"nonce").below(public.n());
    let ciphertext = public.encrypt_with_nonce(&plaintext, &nonce)?;
    Ok((plaintext, ciphertext))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quorum_is_tried_once() {
        for (n, t, count) in [(3, 1, 3), (5, 2, 10), (7, 3, 35), (7, 1, 21)] {
            let sets = quorums(Access::new(n, t).unwrap());
            assert_eq!(sets.len(), count, "n {n} t {t}");
            let distinct: std::collections::BTreeSet<_> = sets.iter().collect();
            assert_eq!(distinct.len(), count);
            assert!(sets.iter().all(|set| set.len() == t as usize + 1));
        }
        let many = quorums(Access::new(50, 24).unwrap());
        assert_eq!(many.len(), 26);
        assert_eq!(many[25].last().map(|party| party.index()), Some(49));
    }
}
