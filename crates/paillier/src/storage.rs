//! Private keys in files: versioned, checksummed, encrypted under a passphrase.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0–7 | magic `SUBROSAD` |
//! | 8–9 | version of this format, 1; all numbers are little-endian |
//! | 10 | kind: 2, under a passphrase |
//! | 11–26 | fingerprint of the public key |
//! | 27–30 | length of what follows, without the checksum |
//! | 31– | Argon2id's memory in KiB, passes and lanes (4 bytes each), salt (16), nonce (24), then N, p and q under XChaCha20-Poly1305, with everything before as associated data |
//! | last 32 | SHA-256 of everything before |
//!
//! N, p and q are written as their length in 2 bytes and their shortest form. Frame, encryption and files are those of
//! [`subrosa_sealing`].
//!
//! A key that was read is checked: p and q are primes, p·q = N, the fingerprint is that of N, and N is as long as
//! [`PrivateKey::from_primes`] requires.
//!
//! ```
//! use subrosa_paillier::PrivateKey;
//! use subrosa_paillier::storage::{self, KdfCost};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rng = rand::rng();
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("paillier.key");
//! // A small key, so that the example is quick. Real keys: `PrivateKey::generate(2048, &mut rng)`, and `storage::load`.
//! let key = PrivateKey::generate_insecure(512, &mut rng)?;
//! storage::save(&path, &key, b"correct horse battery staple", KdfCost::default(), &mut rng)?;
//! let back = storage::load_insecure(&path, b"correct horse battery staple")?;
//! assert_eq!(back.public(), key.public());
//! # Ok(())
//! # }
//! ```
//!
//! # Security
//! The fingerprint can be read without the passphrase. A file that was replaced or deleted may survive on the disk.

use std::path::Path;

use num_bigint::BigUint;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{MAX_KEY_BITS, PaillierError, PrivateKey};
use subrosa_arith::wipe_uint;
use subrosa_failure::FailureKind;
use subrosa_sealing::{Format, Frame, file};

pub use subrosa_sealing::{KdfCost, SealingError};

/// Version of the format.
pub const FORMAT_VERSION: u16 = 1;
/// No key file is longer: the longest key takes a third of it.
pub const MAX_FILE_BYTES: usize = 1 << 13;

const ID_BYTES: usize = 16;
const FORMAT: Format<ID_BYTES> = Format::new(*b"SUBROSAD", FORMAT_VERSION, MAX_FILE_BYTES);

/// Why a private key was not stored or not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The file could not be read or written, is not a key file, is damaged, or has another passphrase.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The file is intact, but what it holds is not a key, or not the one that it names.
    #[error("the key file holds no valid key: {reason}")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
    /// The numbers in the file are not a valid key, or not an acceptable one.
    #[error("the key file holds no valid key")]
    Key(#[from] PaillierError),
    /// The file that is there is another key's.
    #[error("the file that would be replaced holds another key")]
    OtherKey,
}

impl StorageError {
    /// Whose failure it is: what a file holds is this party's input.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Sealing(error) => error.kind(),
            Self::Key(error) => error.kind(),
            Self::Malformed { .. } | Self::OtherKey => FailureKind::Input,
        }
    }
}

/// Encodes a private key as the bytes of a file, encrypted under a passphrase.
///
/// # Errors
/// [`SealingError::EmptyPassphrase`]; [`SealingError::Cost`] if the memory for the passphrase's key cannot be had.
pub fn seal(
    key: &PrivateKey,
    passphrase: &[u8],
    cost: KdfCost,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, StorageError> {
    let contents = encode(key)?;
    Ok(FORMAT.seal(key.public().id().as_bytes(), &contents, passphrase, cost, rng)?)
}

/// Decodes the private key in bytes that [`seal`] made.
///
/// # Errors
/// [`SealingError::WrongPassphrase`] if the passphrase is another one, or somebody changed the file and its checksum;
/// [`SealingError::Checksum`], [`SealingError::Truncated`] and others for a file that is damaged or not one of these;
/// [`SealingError::Cost`] for one that asks for too much memory or time; [`StorageError::Malformed`] and
/// [`StorageError::Key`] for a file whose numbers are not a key, or one that is too small.
pub fn unseal(bytes: &[u8], passphrase: &[u8]) -> Result<PrivateKey, StorageError> {
    open(bytes, passphrase, PrivateKey::from_primes)
}

/// As [`unseal`], for small keys.
///
/// # Security
/// For tests and demonstrations only.
///
/// # Errors
/// As [`unseal`], with the limits of [`PrivateKey::from_primes_insecure`].
pub fn unseal_insecure(bytes: &[u8], passphrase: &[u8]) -> Result<PrivateKey, StorageError> {
    open(bytes, passphrase, PrivateKey::from_primes_insecure)
}

/// Writes a private key to a file under a passphrase. A file that is there is replaced as a whole or not at all, and only if
/// it names the same key.
///
/// # Errors
/// [`StorageError::OtherKey`], a file there that is not one of these, [`SealingError::Io`]; otherwise as [`seal`].
#[doc(alias("keystore", "persist"))]
pub fn save(
    path: impl AsRef<Path>,
    key: &PrivateKey,
    passphrase: &[u8],
    cost: KdfCost,
    rng: &mut impl CryptoRng,
) -> Result<(), StorageError> {
    let path = path.as_ref();
    if let Some(there) = file::read_if_there(path, MAX_FILE_BYTES)?
        && FORMAT.parse(&there)?.header() != key.public().id().as_bytes()
    {
        return Err(StorageError::OtherKey);
    }
    let bytes = seal(key, passphrase, cost, rng)?;
    Ok(file::write_atomically(path, &bytes, rng)?)
}

/// Reads a private key from a file that [`save`] wrote.
///
/// # Errors
/// [`SealingError::Io`]; otherwise as [`unseal`].
pub fn load(path: impl AsRef<Path>, passphrase: &[u8]) -> Result<PrivateKey, StorageError> {
    unseal(&file::read(path, MAX_FILE_BYTES)?, passphrase)
}

/// As [`load`], for small keys.
///
/// # Security
/// For tests and demonstrations only.
///
/// # Errors
/// As [`load`], with the limits of [`PrivateKey::from_primes_insecure`].
pub fn load_insecure(path: impl AsRef<Path>, passphrase: &[u8]) -> Result<PrivateKey, StorageError> {
    unseal_insecure(&file::read(path, MAX_FILE_BYTES)?, passphrase)
}

fn open(
    bytes: &[u8],
    passphrase: &[u8],
    assemble: impl FnOnce(BigUint, BigUint) -> Result<PrivateKey, PaillierError>,
) -> Result<PrivateKey, StorageError> {
    let frame: Frame<'_, ID_BYTES> = FORMAT.parse(bytes)?;
    let contents = frame.unseal(passphrase)?;
    let malformed = |reason| StorageError::Malformed { reason };
    let mut rest = &contents[..];
    let n = take(&mut rest).ok_or(malformed("it does not decode"))?;
    let (mut primes, p, q) = (Primes::default(), take(&mut rest), take(&mut rest));
    let complete = p.is_some() && q.is_some() && rest.is_empty();
    (primes.p, primes.q) = (p.unwrap_or_default(), q.unwrap_or_default());
    if !complete {
        return Err(malformed("it does not decode"));
    }
    // Before anything that takes time.
    if n.bits() > MAX_KEY_BITS || &primes.p * &primes.q != n {
        return Err(malformed("its primes are not those of its modulus"));
    }
    let key = assemble(std::mem::take(&mut primes.p), std::mem::take(&mut primes.q))?;
    if key.public().n() != &n || key.public().id().as_bytes() != frame.header() {
        return Err(malformed("it is not the one that its header names"));
    }
    Ok(key)
}

/// Primes on their way, which wipe themselves.
#[derive(Default)]
struct Primes {
    p: BigUint,
    q: BigUint,
}

impl Drop for Primes {
    fn drop(&mut self) {
        wipe_uint(&mut self.p);
        wipe_uint(&mut self.q);
    }
}

/// N, p and q.
fn encode(key: &PrivateKey) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    let (p, q) = key.expose_primes();
    let numbers = [key.public().n(), p, q];
    let lengths = numbers.map(|number| number.bits().div_ceil(8));
    let room = lengths.iter().sum::<u64>() + 2 * 3;
    // A buffer that grows would leave copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or(MAX_FILE_BYTES)));
    for (number, length) in numbers.iter().zip(lengths) {
        let too_long = |_| StorageError::Malformed { reason: "a number is too long" };
        out.extend_from_slice(&u16::try_from(length).map_err(too_long)?.to_le_bytes());
        out.extend_from_slice(&Zeroizing::new(number.to_bytes_le()));
    }
    Ok(out)
}

/// The next number, unless it is 0 or longer than its shortest form.
fn take(rest: &mut &[u8]) -> Option<BigUint> {
    let (length, others) = rest.split_first_chunk()?;
    let (number, others) = others.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    *rest = others;
    if number.last().is_none_or(|&top| top == 0) { None } else { Some(BigUint::from_bytes_le(number)) }
}
