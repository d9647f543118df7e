//! Client keys at rest: encrypted under a passphrase.
//!
//! Argon2id stretches the passphrase, ChaCha20-Poly1305 encrypts the key and authenticates it together with
//! everything before it.

use crate::client::ClientKey;
use crate::crypto::ParameterSet;
use crate::schema::SchemaId;
use crate::wire::{self, Artefact, BitReader, BitWriter, CodecError};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Greatest size of a stored key that is read, in bytes.
pub const MAX_SEALED_BYTES: usize = 4_096;
/// Greatest memory that opening a stored key may ask for, in KiB.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 64;
const TAG_BYTES: usize = 16;

/// What an attacker pays for each passphrase tried, and the owner for each opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealCost {
    /// Memory in KiB, from 8 to 1,048,576.
    pub memory_kib: u32,
    /// Passes over that memory, from 1 to 64.
    pub passes: u32,
}

impl Default for SealCost {
    /// 64 MiB and three passes: about a tenth of a second.
    fn default() -> Self {
        Self { memory_kib: 65_536, passes: 3 }
    }
}

/// Why a key cannot be stored or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The passphrase is wrong or the bytes were changed: by design these look alike.
    #[error("wrong passphrase, or the stored key was changed")]
    Passphrase,
    /// A cost outside its range.
    #[error("the passphrase cost is out of range")]
    Cost,
    /// An empty passphrase.
    #[error("an empty passphrase protects nothing")]
    Empty,
    /// The decrypted contents are not a key of the parameter set.
    #[error("the stored bits are not a key of the parameter set")]
    Contents,
}

impl ClientKey {
    /// Encrypts the key under a passphrase, for storage.
    ///
    /// ```
    /// use subrosa_decision_tree::{ClientKey, ParameterSet, SealCost};
    ///
    /// let mut rng = rand::rng();
    /// let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
    /// let bytes = key.seal(b"correct horse battery staple", SealCost::default(), &mut rng)?;
    /// assert_eq!(ClientKey::unseal(&bytes, b"correct horse battery staple")?.parameters(), key.parameters());
    /// assert!(ClientKey::unseal(&bytes, b"a guess").is_err());
    /// # Ok::<(), subrosa_decision_tree::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`SealError::Empty`], [`SealError::Cost`].
    ///
    /// # Security
    /// The passphrase is the only protection of the bytes. Salt and nonce are drawn from `rng`.
    pub fn seal(
        &self,
        passphrase: &[u8],
        cost: SealCost,
        rng: &mut impl CryptoRng,
    ) -> crate::Result<Vec<u8>> {
        let mut salt = [0u8; 16];
        rng.fill_bytes(&mut salt);
        let key = stretch(passphrase, &salt, cost)?;
        // A key belongs to no schema.
        let mut out = wire::header(Artefact::SealedKey, self.parameters(), &SchemaId([0; 32]));
        out.extend_from_slice(&cost.memory_kib.to_be_bytes());
        out.extend_from_slice(&cost.passes.to_be_bytes());
        out.extend_from_slice(&salt);
        let mut writer = BitWriter::new(Vec::with_capacity(self.secret().bits().len() / 8 + TAG_BYTES));
        self.secret().bits().iter().for_each(|bit| writer.write(*bit, 1));
        let mut contents = Zeroizing::new(writer.finish());
        // Each key is used once, so that the nonce may be constant.
        ChaCha20Poly1305::new((&*key).into())
            .encrypt_in_place(&Nonce::default(), &out, &mut *contents)
            .map_err(|_| SealError::Contents)?;
        out.extend_from_slice(&contents);
        Ok(out)
    }

    /// Opens what [`Self::seal`] stored.
    ///
    /// # Errors
    /// [`CodecError`] for bytes of another kind, version or length; [`SealError::Passphrase`] for a wrong passphrase
    /// or changed bytes; [`SealError::Cost`] for a cost out of range, before any of it is paid.
    pub fn unseal(bytes: &[u8], passphrase: &[u8]) -> crate::Result<Self> {
        if bytes.len() > MAX_SEALED_BYTES {
            return Err(CodecError::Length { got: bytes.len(), expected: MAX_SEALED_BYTES }.into());
        }
        let (parameters, _, mut rest) = wire::open_header(bytes, Artefact::SealedKey)?;
        let memory_kib = u32::from_be_bytes(wire::take(&mut rest)?);
        let passes = u32::from_be_bytes(wire::take(&mut rest)?);
        let salt: [u8; 16] = wire::take(&mut rest)?;
        let expected = bytes.len() - rest.len() + parameters.shape().key_len() / 8 + TAG_BYTES;
        if bytes.len() != expected {
            return Err(CodecError::Length { got: bytes.len(), expected }.into());
        }
        let key = stretch(passphrase, &salt, SealCost { memory_kib, passes })?;
        let mut contents = Zeroizing::new(rest.to_vec());
        ChaCha20Poly1305::new((&*key).into())
            .decrypt_in_place(&Nonce::default(), &bytes[..bytes.len() - rest.len()], &mut *contents)
            .map_err(|_| SealError::Passphrase)?;
        Ok(from_contents(parameters, &contents)?)
    }
}

fn from_contents(parameters: ParameterSet, contents: &[u8]) -> Result<ClientKey, SealError> {
    let mut reader = BitReader::new(contents);
    let bits = (0..parameters.shape().key_len()).map(|_| reader.read(1)).collect::<Result<Vec<_>, _>>();
    let bits = Zeroizing::new(bits.map_err(|_| SealError::Contents)?);
    ClientKey::from_bits(parameters, &bits).ok_or(SealError::Contents)
}

fn stretch(passphrase: &[u8], salt: &[u8; 16], cost: SealCost) -> Result<Zeroizing<[u8; 32]>, SealError> {
    if passphrase.is_empty() {
        return Err(SealError::Empty);
    }
    if cost.memory_kib > MAX_MEMORY_KIB || !(1..=MAX_PASSES).contains(&cost.passes) {
        return Err(SealError::Cost);
    }
    let params = Params::new(cost.memory_kib, cost.passes, 1, Some(32)).map_err(|_| SealError::Cost)?;
    let mut key = Zeroizing::new([0u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, &mut *key)
        .map_err(|_| SealError::Cost)?;
    Ok(key)
}
