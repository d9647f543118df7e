//! Encryption under a passphrase: Argon2id (RFC 9106), then XChaCha20-Poly1305.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::StorageError;
use super::format::{Parsed, take};

const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const COST_BYTES: usize = 12;
const HEAD_BYTES: usize = COST_BYTES + SALT_BYTES + NONCE_BYTES;

/// What a passphrase's key may cost when a file is read: a file from elsewhere must not take all memory or forever.
const GREATEST: (u32, u32, u32) = (1 << 18, 16, 16);
/// Less is of little use against guessing.
const LEAST_MEMORY_KIB: u32 = 19 << 10;
const LEAST_PASSES: u32 = 2;

/// What it costs to turn a passphrase into a key, with Argon2id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Default for KdfCost {
    /// 64 MiB, 3 passes, 4 lanes: the second recommendation of RFC 9106.
    fn default() -> Self {
        Self { memory_kib: 64 << 10, passes: 3, lanes: 4 }
    }
}

impl KdfCost {
    /// `memory_kib` from 19,456 to 262,144 KiB, `passes` from 2 to 16, `lanes` from 1 to 16.
    ///
    /// # Errors
    /// [`StorageError::Cost`] outside these ranges.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, StorageError> {
        let cost = Self::insecure(memory_kib, passes, lanes)?;
        if memory_kib < LEAST_MEMORY_KIB || passes < LEAST_PASSES { Err(cost.refused()) } else { Ok(cost) }
    }

    /// As [`new`](Self::new), down to 8 KiB for each lane and 1 pass.
    ///
    /// # Security
    /// For tests: passphrases can be guessed quickly.
    ///
    /// # Errors
    /// [`StorageError::Cost`].
    pub fn insecure(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, StorageError> {
        let cost = Self { memory_kib, passes, lanes };
        let small = passes == 0 || lanes == 0 || u64::from(memory_kib) < 8 * u64::from(lanes);
        if small || memory_kib > GREATEST.0 || passes > GREATEST.1 || lanes > GREATEST.2 {
            return Err(cost.refused());
        }
        Ok(cost)
    }

    fn refused(self) -> StorageError {
        let Self { memory_kib, passes, lanes } = self;
        StorageError::Cost { memory_kib, passes, lanes }
    }

    fn cipher(self, passphrase: &[u8], salt: &[u8]) -> Result<XChaCha20Poly1305, StorageError> {
        let mut key = Zeroizing::new([0u8; 32]);
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(key.len()));
        let params = params.map_err(|_| self.refused())?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(passphrase, salt, &mut *key).map_err(|_| self.refused())?;
        XChaCha20Poly1305::new_from_slice(&*key).map_err(|_| self.refused())
    }
}

/// The length of the body with a payload of `length` bytes.
pub(super) fn sealed_length(length: usize) -> usize {
    length.saturating_add(HEAD_BYTES + TAG_BYTES)
}

/// Appends the sealed payload to the prefix.
pub(super) fn seal(
    mut out: Vec<u8>,
    payload: &[u8],
    passphrase: &[u8],
    cost: KdfCost,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, StorageError> {
    let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_BYTES]);
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut nonce);
    for number in [cost.memory_kib, cost.passes, cost.lanes] {
        out.extend(number.to_le_bytes());
    }
    out.extend(salt);
    out.extend(nonce);
    let cipher = cost.cipher(passphrase, &salt)?;
    let sealed = cipher.encrypt(&nonce.into(), Payload { msg: payload, aad: &out });
    out.extend(sealed.map_err(|_| StorageError::Malformed { reason: "it is too long to be encrypted" })?);
    Ok(out)
}

/// Opens the body of a file.
pub(super) fn open(file: &Parsed<'_>, passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    let mut rest = file.body;
    let found = file.body.len();
    let mut number = || take(&mut rest, found).map(u32::from_le_bytes);
    let cost = KdfCost::insecure(number()?, number()?, number()?)?;
    let salt: [u8; SALT_BYTES] = take(&mut rest, found)?;
    let nonce: [u8; NONCE_BYTES] = take(&mut rest, found)?;
    let mut head = file.prefix.to_vec();
    head.extend_from_slice(&file.body[..found - rest.len()]);
    let cipher = cost.cipher(passphrase, &salt)?;
    let opened = cipher.decrypt(&nonce.into(), Payload { msg: rest, aad: &head });
    opened.map(Zeroizing::new).map_err(|_| StorageError::WrongPassphrase)
}
