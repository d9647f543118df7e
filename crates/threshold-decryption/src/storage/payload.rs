//! The contents of a key file: the public constants and the share.

use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::StorageError;
use super::format::FileInfo;
use crate::{AccessStructure, KeyError, KeyShare, Lineage, ThresholdKey, ThresholdKeyParts};
use subrosa_arith::{SecretInt, wipe_uint};
use subrosa_encoding::wire;
use subrosa_paillier::PublicKey;
use subrosa_transport::PartyId;

/// The public constants. [`ThresholdKey::with_lineage`] checks them.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredKey {
    #[serde(with = "wire::uint")]
    n: BigUint,
    parties: u32,
    threshold: u32,
    #[serde(with = "wire::uint")]
    scale: BigUint,
    #[serde(with = "wire::uint")]
    theta: BigUint,
    share_bits: u64,
    #[serde(with = "wire::uints")]
    verification_keys: Vec<BigUint>,
    epoch: u64,
    refreshes: u32,
    dealt_bits: u64,
    #[serde(with = "wire::uint")]
    secret_bound: BigUint,
    #[serde(with = "wire::uint")]
    base_exponent: BigUint,
}

impl StoredKey {
    pub(super) fn of(key: &ThresholdKey) -> Self {
        let (parts, lineage) = (key.parts(), key.lineage());
        Self {
            n: key.public().n().clone(),
            parties: parts.access.parties(),
            threshold: parts.access.threshold(),
            scale: parts.scale.clone(),
            theta: parts.theta.clone(),
            share_bits: parts.share_bits,
            verification_keys: parts.verification_keys.clone(),
            epoch: lineage.epoch,
            refreshes: lineage.refreshes,
            dealt_bits: lineage.dealt_bits,
            secret_bound: lineage.secret_bound.clone(),
            base_exponent: lineage.base_exponent.clone(),
        }
    }

    /// The key, checked as any other.
    pub(super) fn into_key(self) -> Result<ThresholdKey, KeyError> {
        // Whether a small key is acceptable was decided when it was made.
        let public = PublicKey::insecure(self.n)?;
        let lineage = Lineage {
            epoch: self.epoch,
            refreshes: self.refreshes,
            dealt_bits: self.dealt_bits,
            secret_bound: self.secret_bound,
            base_exponent: self.base_exponent,
        };
        let parts = ThresholdKeyParts {
            public,
            access: AccessStructure::new(self.parties, self.threshold)?,
            scale: self.scale,
            theta: self.theta,
            share_bits: self.share_bits,
            verification_keys: self.verification_keys,
        };
        ThresholdKey::with_lineage(parts, lineage)
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    key: StoredKey,
    party: u16,
    share: StoredShare,
}

#[derive(Serialize, Deserialize)]
struct StoredShare(#[serde(with = "wire::uint")] BigUint);

impl Drop for StoredShare {
    fn drop(&mut self) {
        wipe_uint(&mut self.0);
    }
}

/// Room for everything: a longer buffer would be copied while it grows, and leave the share behind.
fn capacity(share: &KeyShare) -> usize {
    let key = share.key();
    let residues = (key.access().parties() as usize + 8) * key.public().ciphertext_bytes();
    let shares = usize::try_from(key.parts().share_bits / 8).unwrap_or(0);
    let bits =
        key.parts().scale.bits() + key.lineage().base_exponent.bits() + key.lineage().secret_bound.bits();
    residues + shares + usize::try_from(bits / 8).unwrap_or(0) + 1024
}

pub(super) fn encode(share: &KeyShare) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    let malformed = |reason| StorageError::Malformed { reason };
    let stored = Stored {
        key: StoredKey::of(share.key()),
        party: u16::try_from(share.party().index())
            .map_err(|_| malformed("the party's number is too large"))?,
        share: StoredShare(share.share().expose().clone()),
    };
    let buffer = Vec::with_capacity(capacity(share));
    let bytes = postcard::to_extend(&stored, buffer).map_err(|_| malformed("it cannot be encoded"))?;
    Ok(Zeroizing::new(bytes))
}

/// The share in a payload, checked as any other.
pub(super) fn decode(payload: &[u8], info: &FileInfo) -> Result<KeyShare, StorageError> {
    let malformed = |reason| StorageError::Malformed { reason };
    let mut stored: Stored = match postcard::take_from_bytes(payload) {
        Ok((stored, [])) => stored,
        _ => return Err(malformed("it does not decode")),
    };
    let party = PartyId::new(stored.party);
    let bits = stored.key.share_bits;
    let share = SecretInt::new(std::mem::take(&mut stored.share.0), bits).map_err(KeyError::from)?;
    let key = stored.key.into_key()?;
    let share = KeyShare::new(key, party, share)?;
    if info.describes(&share) { Ok(share) } else { Err(malformed("it is not the one that its header names")) }
}
