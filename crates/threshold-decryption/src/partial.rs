use num_bigint::BigUint;
use rayon::prelude::*;

use crate::{DecryptionError, KeyShare};
use subrosa_arith::{GROUP, Residue};
use subrosa_paillier::Ciphertext;
use subrosa_transport::PartyId;

/// One party's part in decrypting a batch: `cⱼ = c^(2Δ·sⱼ) mod N²` for each ciphertext c.
///
/// # Security
/// t+1 of them give the plaintexts. Send them only to parties that may read these. The values print as `<redacted>`.
#[derive(Clone, PartialEq, Eq)]
#[doc(alias = "decryption share")]
pub struct PartialDecryption {
    party: PartyId,
    values: Vec<BigUint>,
}

impl PartialDecryption {
    /// Creates a part from the values that `party` sent, in the order of the ciphertexts. They are checked when they
    /// are combined.
    pub fn new(party: PartyId, values: Vec<BigUint>) -> Self {
        Self { party, values }
    }

    /// Returns the party that computed this part.
    pub fn party(&self) -> PartyId {
        self.party
    }

    /// The values, in the order of the ciphertexts.
    pub fn values(&self) -> &[BigUint] {
        &self.values
    }

    /// The values, in the order of the ciphertexts, without a copy.
    pub fn into_values(self) -> Vec<BigUint> {
        self.values
    }
}

impl std::fmt::Debug for PartialDecryption {
    // Redacted, because t+1 of them give the plaintexts.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartialDecryption({}, <redacted>, {} values)", self.party, self.values.len())
    }
}

impl KeyShare {
    /// Computes this party's part in decrypting `ciphertexts`, in the current rayon pool. The time does not depend on
    /// the share.
    ///
    /// # Security
    /// A request for a partial decryption is a request for the plaintext. The caller decides which ciphertexts it
    /// decrypts.
    ///
    /// # Errors
    /// [`DecryptionError::Ciphertext`] if one is under another key.
    #[doc(alias("partial decryption", "decryption share"))]
    pub fn partially_decrypt(
        &self,
        ciphertexts: &[Ciphertext],
    ) -> Result<PartialDecryption, DecryptionError> {
        let public = self.key().public();
        let modulus = public.modulus_squared();
        ciphertexts
            .iter()
            .try_for_each(|ciphertext| public.check(ciphertext))
            .map_err(DecryptionError::Ciphertext)?;
        let values = ciphertexts.par_chunks(GROUP).flat_map_iter(|group| {
            let bases: Vec<Residue> =
                group.iter().map(|ciphertext| modulus.residue(ciphertext.value())).collect();
            modulus.pow_batch(&bases, self.exponent()).into_iter().map(|power| modulus.to_uint(&power))
        });
        Ok(PartialDecryption { party: self.party(), values: values.collect() })
    }
}
