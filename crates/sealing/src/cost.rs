//! Argon2id (RFC 9106) and its cost.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

use crate::SealingError;

/// Greatest memory in KiB, passes and lanes. A file from elsewhere must not take all memory or unlimited time.
const GREATEST: (u32, u32, u32) = (1 << 18, 16, 16);
/// Least memory and passes. Less protects little against guessing.
const LEAST_MEMORY_KIB: u32 = 19 << 10;
const LEAST_PASSES: u32 = 2;

/// Cost of turning a passphrase into a key with Argon2id. An attacker pays it for each guess, and the owner for each
/// opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias("argon2", "work factor", "password hashing"))]
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
    /// [`SealingError::Cost`] outside these ranges.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, SealingError> {
        let cost = Self::insecure(memory_kib, passes, lanes)?;
        if memory_kib < LEAST_MEMORY_KIB || passes < LEAST_PASSES { Err(cost.refused()) } else { Ok(cost) }
    }

    /// As [`new`](Self::new), down to 8 KiB for each lane and 1 pass.
    ///
    /// # Security
    /// For tests: passphrases can be guessed quickly.
    ///
    /// # Errors
    /// [`SealingError::Cost`].
    pub fn insecure(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, SealingError> {
        let cost = Self { memory_kib, passes, lanes };
        let small = passes == 0 || lanes == 0 || u64::from(memory_kib) < 8 * u64::from(lanes);
        if small || memory_kib > GREATEST.0 || passes > GREATEST.1 || lanes > GREATEST.2 {
            return Err(cost.refused());
        }
        Ok(cost)
    }

    /// Memory in KiB.
    pub fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// Lanes, which a computer may fill at the same time.
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    fn refused(self) -> SealingError {
        let Self { memory_kib, passes, lanes } = self;
        SealingError::Cost { memory_kib, passes, lanes }
    }

    /// The cipher under the key that Argon2id makes of the passphrase.
    pub(crate) fn cipher(self, passphrase: &[u8], salt: &[u8]) -> Result<XChaCha20Poly1305, SealingError> {
        let mut key = Zeroizing::new([0u8; 32]);
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(key.len()));
        let params = params.map_err(|_| self.refused())?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        // This also fails if there is not enough memory.
        argon2.hash_password_into(passphrase, salt, &mut *key).map_err(|_| self.refused())?;
        XChaCha20Poly1305::new_from_slice(&*key).map_err(|_| self.refused())
    }
}
