//! What a key file keeps: the public constants and the share.

use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use subrosa_arith::{SecretInt, wipe_uint, wire};
use subrosa_paillier::PublicKey;
use subrosa_transport::PartyId;
use zeroize::Zeroizing;

use super::StorageError;
use super::format::FileInfo;
use crate::{Access, KeyError, KeyShare, Lineage, ThresholdKey, ThresholdKeyParts};

#[derive(Serialize, Deserialize)]
struct Stored {
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
    party: u16,
    #[serde(with = "wire::uint")]
    share: BigUint,
}

impl Drop for Stored {
    fn drop(&mut self) {
        wipe_uint(&mut self.share);
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
    let (key, parts, lineage) = (share.key(), share.key().parts(), share.key().lineage());
    let stored = Stored {
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
        party: u16::try_from(share.party().index())
            .map_err(|_| malformed("the party's number is too large"))?,
        share: share.share().expose().clone(),
    };
    let buffer = Vec::with_capacity(capacity(share));
    let bytes = postcard::to_extend(&stored, buffer).map_err(|_| malformed("it cannot be encoded"))?;
    Ok(Zeroizing::new(bytes))
}

/// The share in a payload, checked as one from anywhere else.
pub(super) fn decode(payload: &[u8], info: &FileInfo) -> Result<KeyShare, StorageError> {
    let malformed = |reason| StorageError::Malformed { reason };
    let mut stored: Stored = match postcard::take_from_bytes(payload) {
        Ok((stored, [])) => stored,
        _ => return Err(malformed("it does not decode")),
    };
    // Whether a small key is acceptable was decided when it was made.
    let public = PublicKey::insecure(std::mem::take(&mut stored.n)).map_err(KeyError::from)?;
    let lineage = Lineage {
        epoch: stored.epoch,
        refreshes: stored.refreshes,
        dealt_bits: stored.dealt_bits,
        secret_bound: std::mem::take(&mut stored.secret_bound),
        base_exponent: std::mem::take(&mut stored.base_exponent),
    };
    let parts = ThresholdKeyParts {
        public,
        access: Access::new(stored.parties, stored.threshold)?,
        scale: std::mem::take(&mut stored.scale),
        theta: std::mem::take(&mut stored.theta),
        share_bits: stored.share_bits,
        verification_keys: std::mem::take(&mut stored.verification_keys),
    };
    let bits = parts.share_bits;
    let key = ThresholdKey::with_lineage(parts, lineage)?;
    let share = SecretInt::new(std::mem::take(&mut stored.share), bits).map_err(KeyError::from)?;
    let share = KeyShare::new(key, PartyId::new(stored.party), share)?;
    if info.describes(&share) { Ok(share) } else { Err(malformed("it is not the one that its header names")) }
}
