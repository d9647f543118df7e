//! Proofs that partial decryptions were computed with the share behind a verification key.
//!
//! Party j proves for a whole batch that one x = Δ·sⱼ satisfies `vⱼ = v^x` and `cⱼ² = (c⁴)^x` for each ciphertext c and
//! partial decryption cⱼ. Steps P1 to P5 are in `docs/protocols/threshold-decryption.md`, with what the proofs rest on.
//!
//! After Shoup, *Practical Threshold Signatures* (EUROCRYPT 2000), with the batching of Aditya, Peng, Boyd, Dawson and
//! Viswanathan (ACNS 2004); Friedman et al., *Tiresias* (ePrint 2023/998), show that both are sound without safe
//! primes, by a reduction to factoring.

use num_bigint::BigUint;
use num_traits::Zero;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::key::{is_unit, scaled};
use crate::products::weighted;
use crate::{DecryptionError, KeyShare, PartialDecryption, STATISTICAL_BITS, ThresholdKey};
use subrosa_arith::{Modulus, SecretInt};
use subrosa_encoding::{Hasher, wire};
use subrosa_paillier::Ciphertext;
use subrosa_transport::{Session, Transport};

/// Version of the proofs. It is part of every hash in them.
const VERSION: u32 = 1;
/// Bits of soundness of one attempt.
const SOUNDNESS_BITS: u64 = 128;
/// With one-bit weights a false batch stays false in a repetition with probability ½, and then passes its one-bit
/// challenge with probability ½. Weights and challenges come from two hashes, which a liar can try one after the other.
/// Of 576 repetitions, fewer than 128 are false with probability below 2^−128, and 128 correct guesses have probability
/// 2^−128.
const ONE_BIT_REPETITIONS: usize = 576;

/// The size of the challenges, which decides what the soundness of a proof rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Challenges {
    /// One challenge of 128 bits. A false proof that passes with a probability above 2^−127 per attempt leads to a
    /// non-trivial square of known order below 2^256 modulo N², and from there to the factors of N where p ≡ q ≡ 3 (mod
    /// 4) and gcd((p−1)/2, (q−1)/2) = 1. Key generation checks these conditions, also against parties that cheat. For
    /// other keys it is an assumption of its own, the low-order assumption, that nobody can find such a square.
    #[default]
    Wide,
    /// 576 challenges of one bit. Elements of low order do not help a liar, for any key. This takes hundreds of times
    /// as much work, and is for keys of unknown origin.
    OneBit,
}

impl Challenges {
    fn repetitions(self) -> usize {
        match self {
            Self::Wide => 1,
            Self::OneBit => ONE_BIT_REPETITIONS,
        }
    }

    /// Bits of a challenge and of a weight.
    fn bits(self) -> u64 {
        match self {
            Self::Wide => SOUNDNESS_BITS,
            Self::OneBit => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::OneBit => "one bit",
        }
    }
}

/// Context of a proof: a run and its parties. A proof is bound to it and to the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofContext {
    session: [u8; 32],
    roster: [u8; 32],
}

impl ProofContext {
    /// Creates the context of the run `session`, which never repeats, among parties with these names in this order.
    pub fn new<'a>(session: [u8; 32], names: impl IntoIterator<Item = &'a str>) -> Self {
        let start = (Hasher::new("subrosa/threshold-decryption/roster", VERSION), 0);
        let (hasher, count) =
            names.into_iter().fold(start, |(hasher, n), name| (hasher.field("name", name.as_bytes()), n + 1));
        Self { session, roster: hasher.u64("names", count).finish() }
    }

    /// Creates the context of an open session.
    pub fn of<T: Transport>(session: &Session<T>) -> Self {
        let roster = session.roster();
        Self::new(*session.id(), roster.parties().map(|party| roster.name(party)))
    }
}

/// A proof for a batch of partial decryptions.
///
/// It reveals nothing about the share. It can be simulated up to a statistical distance of 2^−80 per repetition.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[doc(alias("Chaum-Pedersen", "DLEQ", "zero-knowledge", "Fiat-Shamir"))]
pub struct BatchProof {
    /// a = v^ρ, one per repetition.
    #[serde(with = "wire::uints")]
    base_commitments: Vec<BigUint>,
    /// b = (C⁴)^ρ.
    #[serde(with = "wire::uints")]
    batch_commitments: Vec<BigUint>,
    /// z = ρ + e·x.
    #[serde(with = "wire::uints")]
    responses: Vec<BigUint>,
}

impl BatchProof {
    /// Greatest encoded length, in bytes, of a proof under `key`.
    pub fn max_bytes(key: &ThresholdKey, challenges: Challenges) -> usize {
        let count = challenges.repetitions();
        let residues = wire::max_uints_len(count, key.public().modulus_squared().bits());
        let responses = wire::max_uints_len(count, response_bits(key, challenges));
        residues.saturating_mul(2).saturating_add(responses)
    }
}

impl std::fmt::Debug for BatchProof {
    // Redacted, because with it and t shares one can check a guess of the plaintexts.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BatchProof(<redacted>, {} repetitions)", self.responses.len())
    }
}

/// X, a public bound on the bits of x = Δ·sⱼ.
fn witness_bits(key: &ThresholdKey) -> u64 {
    key.parts().share_bits + key.access().delta().bits()
}

/// Bits of ρ: X, those of a challenge, and σ.
fn mask_bits(key: &ThresholdKey, challenges: Challenges) -> u64 {
    witness_bits(key) + challenges.bits() + u64::from(STATISTICAL_BITS)
}

/// Bound on the bits of z = ρ + e·x.
fn response_bits(key: &ThresholdKey, challenges: Challenges) -> u64 {
    mask_bits(key, challenges) + 1
}

impl KeyShare {
    /// Proves that `partial` holds this party's partial decryptions of `ciphertexts`. The time does not depend on the
    /// share.
    ///
    /// # Errors
    /// [`DecryptionError::BadPartial`] if `partial` is another party's or has another length,
    /// [`DecryptionError::Ciphertext`] if a ciphertext is under another key, [`DecryptionError::Key`] if the share
    /// is beyond its bound.
    pub fn prove(
        &self,
        context: &ProofContext,
        ciphertexts: &[Ciphertext],
        partial: &PartialDecryption,
        challenges: Challenges,
        rng: &mut impl CryptoRng,
    ) -> Result<BatchProof, DecryptionError> {
        let key = self.key();
        let bad = |reason| Err(DecryptionError::BadPartial { party: partial.party(), reason });
        if partial.party() != self.party() {
            return bad("they are not of the party that proves them");
        }
        let statement = Statement::new(context, key, ciphertexts, partial, challenges)?;
        let x = scaled(self.share(), &key.access().delta(), key.parts().share_bits)?;
        Ok(prove_with(&x, key, &statement, ciphertexts, rng))
    }
}

/// P2 to P4 for the witness x = Δ·s.
fn prove_with(
    x: &SecretInt,
    key: &ThresholdKey,
    statement: &Statement,
    ciphertexts: &[Ciphertext],
    rng: &mut impl CryptoRng,
) -> BatchProof {
    let modulus = key.public().modulus_squared();
    let mut masks = Vec::new();
    let mut proof = BatchProof { base_commitments: vec![], batch_commitments: vec![], responses: vec![] };
    for repetition in 0..statement.challenges.repetitions() {
        // P2: ρ, a = v^ρ and b = (C⁴)^ρ.
        let weights = statement.weights(repetition, ciphertexts.len());
        let batch = statement.batched_ciphertexts(modulus, ciphertexts, &weights);
        let mask = SecretInt::random_bits(rng, mask_bits(key, statement.challenges));
        proof.base_commitments.push(modulus.to_uint(&modulus.pow(key.base(), &mask)));
        proof.batch_commitments.push(modulus.to_uint(&modulus.pow(&batch, &mask)));
        masks.push(mask);
    }
    // P3 and P4: z = ρ + e·x over the integers.
    let drawn = statement.challenges(&proof);
    let response = |(mask, e): (&SecretInt, &BigUint)| mask.add(&x.mul_uint(e)).expose().clone();
    proof.responses = masks.iter().zip(&drawn).map(response).collect();
    proof
}

/// Checks a proof (P5).
///
/// # Errors
/// [`DecryptionError::BadPartial`] naming the party if a value is not a unit modulo N², their number is not that of
/// the ciphertexts, or the proof does not hold; [`DecryptionError::BadParty`] if the key has no such party;
/// [`DecryptionError::Ciphertext`].
pub fn verify(
    context: &ProofContext,
    key: &ThresholdKey,
    ciphertexts: &[Ciphertext],
    partial: &PartialDecryption,
    proof: &BatchProof,
    challenges: Challenges,
) -> Result<(), DecryptionError> {
    let party = partial.party();
    let bad = |reason| Err(DecryptionError::BadPartial { party, reason });
    let verification_key = key.verification_key(party).ok_or(DecryptionError::BadParty { party })?;
    let public = key.public();
    let modulus = public.modulus_squared();
    let count = challenges.repetitions();
    let lengths = [&proof.base_commitments, &proof.batch_commitments, &proof.responses];
    if lengths.iter().any(|list| list.len() != count) {
        return bad("their proof has a wrong shape");
    }
    let commitments = || proof.base_commitments.iter().chain(&proof.batch_commitments);
    if commitments().chain(partial.values()).any(|value| value.is_zero() || value >= modulus.value()) {
        return bad("a value is not in (0, N²)");
    }
    if proof.responses.iter().any(|z| z.bits() > response_bits(key, challenges)) {
        return bad("a response of their proof is beyond its bound");
    }
    if !all_units(key, commitments().chain(partial.values())) {
        return bad("a value is not coprime to N");
    }
    let statement = Statement::new(context, key, ciphertexts, partial, challenges)?;
    let drawn = statement.challenges(proof);
    let verification_key = modulus.residue(verification_key);
    for (repetition, e) in drawn.iter().enumerate() {
        let weights = statement.weights(repetition, ciphertexts.len());
        let z = &proof.responses[repetition];
        // v^z = a·vⱼ^e
        let left = modulus.vartime_pow(key.base(), z);
        let mut right = modulus.vartime_pow(&verification_key, e);
        modulus.mul_assign(&mut right, &modulus.residue(&proof.base_commitments[repetition]));
        if left != right {
            return bad("their proof does not hold");
        }
        // (C⁴)^z = b·(Cⱼ²)^e
        let batch = statement.batched_ciphertexts(modulus, ciphertexts, &weights);
        let left = modulus.vartime_pow(&batch, z);
        let parts = modulus.square(&weighted(modulus, partial.values(), &weights));
        let mut right = modulus.vartime_pow(&parts, e);
        modulus.mul_assign(&mut right, &modulus.residue(&proof.batch_commitments[repetition]));
        if left != right {
            return bad("their proof does not hold");
        }
    }
    Ok(())
}

/// Whether all values are units, by one gcd.
pub(crate) fn all_units<'a>(key: &ThresholdKey, values: impl Iterator<Item = &'a BigUint>) -> bool {
    let modulus = key.public().modulus();
    let mut product = modulus.one();
    for value in values {
        modulus.mul_assign(&mut product, &modulus.residue(value));
    }
    is_unit(key.public(), &modulus.to_uint(&product))
}

/// P1: the hash of everything that is proved.
struct Statement {
    digest: [u8; 32],
    challenges: Challenges,
}

impl Statement {
    fn new(
        context: &ProofContext,
        key: &ThresholdKey,
        ciphertexts: &[Ciphertext],
        partial: &PartialDecryption,
        challenges: Challenges,
    ) -> Result<Self, DecryptionError> {
        let party = partial.party();
        if partial.values().len() != ciphertexts.len() {
            return Err(DecryptionError::BadPartial {
                party,
                reason: "their number differs from the ciphertexts'",
            });
        }
        for ciphertext in ciphertexts {
            key.public().check(ciphertext).map_err(DecryptionError::Ciphertext)?;
        }
        let verification_key = key.verification_key(party).ok_or(DecryptionError::BadParty { party })?;
        let (public, access) = (key.public(), key.access());
        let digest = Hasher::new("subrosa/threshold-decryption/proof/statement", VERSION)
            .field("challenges", challenges.name().as_bytes())
            .field("session", &context.session)
            .field("roster", &context.roster)
            .u64("party", party.index() as u64)
            .u64("parties", u64::from(access.parties()))
            .u64("threshold", u64::from(access.threshold()))
            .u64("epoch", key.lineage().epoch())
            .uint("n", public.n())
            .uint("base", &public.modulus_squared().to_uint(key.base()))
            .uint("verification key", verification_key)
            .uints("ciphertexts", ciphertexts.iter().map(Ciphertext::value))
            .uints("partial decryptions", partial.values())
            .finish();
        Ok(Self { digest, challenges })
    }

    /// P1, continued: the weights τ of one repetition.
    fn weights(&self, repetition: usize, count: usize) -> Vec<BigUint> {
        let hasher = Hasher::new("subrosa/threshold-decryption/proof/weights", VERSION)
            .field("statement", &self.digest)
            .u64("repetition", repetition as u64);
        draw(&hasher, self.challenges.bits(), count)
    }

    /// P3: the challenges e.
    fn challenges(&self, proof: &BatchProof) -> Vec<BigUint> {
        let hasher = Hasher::new("subrosa/threshold-decryption/proof/challenge", VERSION)
            .field("statement", &self.digest)
            .uints("base commitments", &proof.base_commitments)
            .uints("batch commitments", &proof.batch_commitments);
        draw(&hasher, self.challenges.bits(), self.challenges.repetitions())
    }

    /// C⁴ = (∏ cᵢ^τᵢ)⁴.
    fn batched_ciphertexts(
        &self,
        modulus: &Modulus,
        ciphertexts: &[Ciphertext],
        weights: &[BigUint],
    ) -> subrosa_arith::Residue {
        let values: Vec<BigUint> = ciphertexts.iter().map(|ciphertext| ciphertext.value().clone()).collect();
        modulus.square(&modulus.square(&weighted(modulus, &values, weights)))
    }
}

/// `count` numbers of `bits` bits, 1 or a multiple of 8, from one hash.
fn draw(hasher: &Hasher, bits: u64, count: usize) -> Vec<BigUint> {
    if bits == 1 {
        let bytes = hasher.expand(count.div_ceil(8)).into_iter();
        let bits = bytes.flat_map(|byte| (0..8).map(move |i| BigUint::from(byte >> i & 1)));
        return bits.take(count).collect();
    }
    let width = usize::try_from(bits / 8).unwrap_or(usize::MAX);
    hasher.expand(width.saturating_mul(count)).chunks_exact(width).map(BigUint::from_bytes_le).collect()
}

#[cfg(test)]
mod tests {
    use num_traits::One;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::{AccessStructure, dealer};
    use subrosa_paillier::PrivateKey;

    #[test]
    fn one_bit_challenges_are_enough() {
        // Sum of the binomials of 576 over 0 to 127, against 2^(576 − 128).
        let mut term = BigUint::one();
        let mut tail = BigUint::one();
        for i in 1..SOUNDNESS_BITS {
            term = term * (ONE_BIT_REPETITIONS as u64 - i + 1) / i;
            tail += &term;
        }
        assert!(tail.bits() <= ONE_BIT_REPETITIONS as u64 - SOUNDNESS_BITS, "{}", tail.bits());
    }

    #[test]
    fn drawn_numbers_use_their_whole_range() {
        let hasher = Hasher::new("test", 1);
        let wide = draw(&hasher, 128, 200);
        assert_eq!(wide.len(), 200);
        assert!(wide.iter().all(|w| w.bits() <= 128) && wide.iter().any(|w| w.bits() == 128));
        let narrow = draw(&hasher, 1, ONE_BIT_REPETITIONS);
        let ones = narrow.iter().filter(|bit| bit.is_one()).count();
        assert!(narrow.len() == 576 && (200..376).contains(&ones), "{ones}");
        // Bit after bit of the same bytes.
        let bytes = narrow
            .chunks(8)
            .map(|bits| bits.iter().rev().fold(0u8, |byte, bit| byte << 1 | u8::from(bit.is_one())));
        assert_eq!(bytes.collect::<Vec<_>>(), hasher.expand(72));
    }

    /// Partial decryptions by another share than the committed one, with the best possible proof. The equation of the
    /// ciphertexts holds, and that of the verification key does not.
    #[test]
    fn another_share_than_the_committed_one_is_refused() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let private = PrivateKey::generate_insecure(512, &mut rng).unwrap();
        let shares = dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng).unwrap();
        let (key, context) = (shares[0].key(), ProofContext::new([0; 32], ["a", "b", "c"]));
        let ciphertexts = [key.public().encrypt_with_nonce(&7.into(), &BigUint::from(3u32)).unwrap()];
        for (used, accepted) in [(0, true), (1, false)] {
            let values = shares[used].partially_decrypt(&ciphertexts).unwrap().into_values();
            let partial = PartialDecryption::new(shares[0].party(), values);
            let statement = Statement::new(&context, key, &ciphertexts, &partial, Challenges::Wide).unwrap();
            let x = scaled(shares[used].share(), &key.access().delta(), key.parts().share_bits).unwrap();
            let proof = prove_with(&x, key, &statement, &ciphertexts, &mut rng);
            let verified = verify(&context, key, &ciphertexts, &partial, &proof, Challenges::Wide);
            assert_eq!(verified.is_ok(), accepted, "{verified:?}");
        }
    }

    #[test]
    fn rosters_are_told_apart() {
        let contexts = [
            ProofContext::new([0; 32], ["a", "b"]),
            ProofContext::new([1; 32], ["a", "b"]),
            ProofContext::new([0; 32], ["b", "a"]),
            ProofContext::new([0; 32], ["ab"]),
            ProofContext::new([0; 32], ["a", "b", ""]),
        ];
        for (i, a) in contexts.iter().enumerate() {
            assert!(contexts[i + 1..].iter().all(|b| a != b));
        }
    }
}
