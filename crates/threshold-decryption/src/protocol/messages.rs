//! The messages, and the checks that they must pass.

use std::sync::{Arc, Mutex, PoisonError};

use num_bigint::BigUint;
use serde::{Deserialize, Serialize};

use crate::{BatchProof, Challenges, PartialDecryption, ProofContext, ThresholdKey, proof};
use subrosa_encoding::wire;
use subrosa_paillier::{Ciphertext, CiphertextBatch, PublicKey};
use subrosa_transport::{Malformed, Message, PartyId, with_causes};

/// D1, to all: the ciphertexts that the sender wants to read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Announcement {
    pub(super) batch: CiphertextBatch,
}

/// How many ciphertexts an [`Announcement`] holds, and under which key.
#[derive(Clone, Debug)]
pub struct AnnouncementShape {
    pub(super) key: PublicKey,
    pub(super) count: usize,
}

impl Message for Announcement {
    const ROUND: &'static str = "decrypt/announce";
    type Shape = AnnouncementShape;

    fn max_bytes(shape: &AnnouncementShape) -> usize {
        CiphertextBatch::max_bytes(&shape.key, shape.count)
    }

    fn check(&self, shape: &AnnouncementShape) -> Result<(), Malformed> {
        if self.batch.len() == shape.count {
            return Ok(());
        }
        Err(Malformed::new(format!("{} ciphertexts where {} were agreed", self.batch.len(), shape.count)))
    }
}

/// D2, to the reader alone: the sender's partial decryptions.
#[derive(Clone, Serialize, Deserialize)]
pub struct PartialMessage {
    #[serde(with = "wire::uints")]
    pub(super) values: Vec<BigUint>,
}

/// How many partial decryptions a [`PartialMessage`] holds, and under which key.
#[derive(Clone, Debug)]
pub struct PartialShape {
    pub(super) key: PublicKey,
    pub(super) count: usize,
}

impl Message for PartialMessage {
    const ROUND: &'static str = "decrypt/partial";
    type Shape = PartialShape;

    fn max_bytes(shape: &PartialShape) -> usize {
        wire::max_uints_len(shape.count, shape.key.modulus_squared().bits())
    }

    fn check(&self, shape: &PartialShape) -> Result<(), Malformed> {
        check_values(&self.values, shape.count, &shape.key)
    }
}

impl std::fmt::Debug for PartialMessage {
    // Redacted: t+1 of them give the plaintexts away.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartialMessage(<redacted>, {} values)", self.values.len())
    }
}

/// D2 with proofs, to the reader alone: the sender's partial decryptions and a proof for all of them.
#[derive(Clone, Serialize, Deserialize)]
pub struct ProvenMessage {
    #[serde(with = "wire::uints")]
    pub(super) values: Vec<BigUint>,
    pub(super) proof: BatchProof,
}

/// The state against which a [`ProvenMessage`] is verified when it arrives.
///
/// A message whose proof does not hold is refused as it arrives, so that the round goes on to collect from others.
#[derive(Clone, Debug)]
pub struct ProvenShape(pub(super) Arc<Claim>);

/// The claim of one party's message.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) key: ThresholdKey,
    pub(super) context: ProofContext,
    pub(super) challenges: Challenges,
    pub(super) sender: PartyId,
    pub(super) ciphertexts: Arc<[Ciphertext]>,
    /// Greatest number of values. It is the number of `ciphertexts`, except for this party's own messages.
    pub(super) longest: usize,
    /// Values that were refused, kept to find which of them are wrong.
    pub(super) refused: Arc<Mutex<Vec<PartialDecryption>>>,
}

impl Message for ProvenMessage {
    const ROUND: &'static str = "decrypt/proven-partial";
    type Shape = ProvenShape;

    fn max_bytes(ProvenShape(claim): &ProvenShape) -> usize {
        let values = wire::max_uints_len(claim.longest, claim.key.public().modulus_squared().bits());
        values.saturating_add(BatchProof::max_bytes(&claim.key, claim.challenges))
    }

    fn check(&self, ProvenShape(claim): &ProvenShape) -> Result<(), Malformed> {
        check_values(&self.values, claim.ciphertexts.len(), claim.key.public())?;
        let partial = PartialDecryption::new(claim.sender, self.values.clone());
        let Claim { context, key, ciphertexts, challenges, .. } = &**claim;
        proof::verify(context, key, ciphertexts, &partial, &self.proof, *challenges).map_err(|error| {
            claim.refused.lock().unwrap_or_else(PoisonError::into_inner).push(partial);
            Malformed::new(with_causes(&error))
        })
    }
}

impl std::fmt::Debug for ProvenMessage {
    // Redacted: t+1 of them give the plaintexts away.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProvenMessage(<redacted>, {} values)", self.values.len())
    }
}

/// D2b, to each of the others: whether I want the receiver's partial decryptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub(super) wanted: bool,
}

impl Message for Request {
    const ROUND: &'static str = "decrypt/request";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        1
    }

    fn check(&self, (): &()) -> Result<(), Malformed> {
        Ok(())
    }
}

fn check_values(values: &[BigUint], count: usize, key: &PublicKey) -> Result<(), Malformed> {
    if values.len() != count {
        return Err(Malformed::new(format!("{} partial decryptions of {count} ciphertexts", values.len())));
    }
    if values.iter().any(|value| value >= key.modulus_squared().value()) {
        return Err(Malformed::new("a partial decryption is not below N²"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::{AccessStructure, dealer};
    use subrosa_paillier::PrivateKey;

    /// Whether eight digits of `value` in a row stand in `text`, decimal or hexadecimal.
    fn shows(text: &str, value: &BigUint) -> bool {
        [value.to_string(), format!("{value:x}")]
            .iter()
            .any(|digits| digits.as_bytes().windows(8).any(|w| text.contains(&*String::from_utf8_lossy(w))))
    }

    #[test]
    fn partial_decryptions_on_the_wire_do_not_print() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let private = PrivateKey::generate_insecure(512, &mut rng).unwrap();
        let shares = dealer::deal(&private, AccessStructure::new(3, 1).unwrap(), &mut rng).unwrap();
        let (key, context) = (shares[0].key().clone(), ProofContext::new([0; 32], ["a", "b", "c"]));
        let ciphertexts = [key.public().encrypt_with_nonce(&7.into(), &BigUint::from(3u32)).unwrap()];
        let partial = shares[0].partially_decrypt(&ciphertexts).unwrap();
        let proof = shares[0].prove(&context, &ciphertexts, &partial, Challenges::Wide, &mut rng).unwrap();
        let values = partial.values().to_vec();
        assert!(shows(&format!("{values:?}"), &values[0]));
        let claim = Claim {
            key,
            context,
            challenges: Challenges::Wide,
            sender: shares[0].party(),
            ciphertexts: ciphertexts.into(),
            longest: 1,
            refused: Arc::new(Mutex::new(vec![partial])),
        };
        let texts = [
            format!("{:?}", PartialMessage { values: values.clone() }),
            format!("{:?}", ProvenMessage { values: values.clone(), proof }),
            format!("{:?}", ProvenShape(Arc::new(claim))),
        ];
        for text in texts {
            assert!(text.contains("<redacted>") && !shows(&text, &values[0]), "{text}");
        }
    }
}
