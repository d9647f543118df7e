//! Client keys at rest: encrypted under a passphrase, in the frame of [`subrosa_sealing`].
//!
//! | bytes | field |
//! | --- | --- |
//! | 0–7 | magic `SUBROSAT` |
//! | 8–9 | version of this format, 2; all numbers are little-endian |
//! | 10 | kind: 2, under a passphrase |
//! | 11 | parameter set |
//! | 12–15 | length of what follows, without the checksum |
//! | 16– | Argon2id's memory in KiB, passes and lanes (4 bytes each), salt (16), nonce (24), then the key's bits under XChaCha20-Poly1305, with everything before as associated data |
//! | last 32 | SHA-256 of everything before |
//!
//! Version 1 had a frame of its own, which began with `SRDT` and 3.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::client::ClientKey;
use crate::crypto::ParameterSet;
use crate::wire::{BitReader, BitWriter};
use subrosa_sealing::{Format, KdfCost, SealingError};

/// Greatest size of a stored key that is read, in bytes.
pub const MAX_SEALED_BYTES: usize = 4_096;
/// Version of stored keys. It changes with any change of their bytes or their meaning.
pub const SEALED_VERSION: u16 = 2;

const FORMAT: Format<1> = Format::new(*b"SUBROSAT", SEALED_VERSION, MAX_SEALED_BYTES);
/// How keys of version 1 began.
const VERSION_1: &[u8] = b"SRDT\x03\x00\x01";

/// Why a key cannot be stored or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The bytes are not a stored key, are damaged or of another version, cost too much to open, or have another passphrase.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The bytes are intact, but name a parameter set that this library does not know.
    #[error("the stored key is of an unknown parameter set, {code}")]
    Parameters {
        /// The number that stands for it.
        code: u8,
    },
    /// The decrypted contents are not a key of the parameter set.
    #[error("the stored bits are not a key of the parameter set")]
    Contents,
}

impl ClientKey {
    /// Encrypts the key under a passphrase, for storage.
    ///
    /// ```
    /// use subrosa_decision_tree::{ClientKey, KdfCost, ParameterSet};
    ///
    /// let mut rng = rand::rng();
    /// let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
    /// let bytes = key.seal(b"correct horse battery staple", KdfCost::default(), &mut rng)?;
    /// assert_eq!(ClientKey::unseal(&bytes, b"correct horse battery staple")?.parameters(), key.parameters());
    /// assert!(ClientKey::unseal(&bytes, b"a guess").is_err());
    /// # Ok::<(), subrosa_decision_tree::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`SealingError::EmptyPassphrase`]; [`SealingError::Cost`] if the memory for the passphrase's key cannot be had.
    ///
    /// # Security
    /// The passphrase is the only protection of the bytes. Salt and nonce are drawn from `rng`. The parameter set can be
    /// read without the passphrase.
    pub fn seal(&self, passphrase: &[u8], cost: KdfCost, rng: &mut impl CryptoRng) -> crate::Result<Vec<u8>> {
        let mut writer = BitWriter::new(Vec::with_capacity(self.secret().bits().len().div_ceil(8)));
        self.secret().bits().iter().for_each(|bit| writer.write(*bit, 1));
        let contents = Zeroizing::new(writer.finish());
        let sealed = FORMAT.seal(&[self.parameters().code()], &contents, passphrase, cost, rng);
        Ok(sealed.map_err(SealError::from)?)
    }

    /// Opens what [`Self::seal`] stored.
    ///
    /// # Errors
    /// [`SealError`]: [`SealingError::WrongPassphrase`] for a wrong passphrase or changed bytes, [`SealingError::Cost`] for
    /// a cost out of range, before any of it is paid, [`SealingError::Version`] also for keys stored by a version before 2.
    pub fn unseal(bytes: &[u8], passphrase: &[u8]) -> crate::Result<Self> {
        Ok(unseal(bytes, passphrase)?)
    }
}

fn unseal(bytes: &[u8], passphrase: &[u8]) -> Result<ClientKey, SealError> {
    if bytes.starts_with(VERSION_1) {
        return Err(SealingError::Version { found: 1, known: SEALED_VERSION }.into());
    }
    let frame = FORMAT.parse(bytes)?;
    let [code] = *frame.header();
    let parameters = ParameterSet::from_code(code).ok_or(SealError::Parameters { code })?;
    from_contents(parameters, &frame.unseal(passphrase)?)
}

fn from_contents(parameters: ParameterSet, contents: &[u8]) -> Result<ClientKey, SealError> {
    let mut reader = BitReader::new(contents);
    let bits = (0..parameters.shape().key_len()).map(|_| reader.read(1)).collect::<Result<Vec<_>, _>>();
    let bits = Zeroizing::new(bits.map_err(|_| SealError::Contents)?);
    reader.finish().map_err(|_| SealError::Contents)?;
    ClientKey::from_bits(parameters, &bits).ok_or(SealError::Contents)
}
