//! The frame and its contents.

use chacha20poly1305::aead::{Aead, Payload};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{KdfCost, SealingError};

const MAGIC_BYTES: usize = 8;
const VERSION_BYTES: usize = 2;
const KIND_BYTES: usize = 1;
const LENGTH_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 32;

const COST_BYTES: usize = 12;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// Bytes before encrypted contents.
const HEAD_BYTES: usize = COST_BYTES + SALT_BYTES + NONCE_BYTES;

/// Kind of the contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain = 1,
    Sealed = 2,
}

/// One kind of file: its magic, its version, the length `H` of its header, and its greatest length. The header can be
/// read without a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias("envelope", "keystore"))]
pub struct Format<const H: usize> {
    magic: [u8; MAGIC_BYTES],
    version: u16,
    max_bytes: usize,
}

impl<const H: usize> Format<H> {
    /// Bytes before the contents.
    const PREFIX_BYTES: usize = MAGIC_BYTES + VERSION_BYTES + KIND_BYTES + H + LENGTH_BYTES;
    /// Length of a file without contents, in bytes.
    const LEAST_BYTES: usize = Self::PREFIX_BYTES + CHECKSUM_BYTES;

    /// Describes files that begin with `magic`, have `version`, and are at most `max_bytes` long.
    #[must_use]
    pub const fn new(magic: [u8; MAGIC_BYTES], version: u16, max_bytes: usize) -> Self {
        Self { magic, version, max_bytes }
    }

    /// Returns the greatest length of a file in bytes, which is the limit for [`file::read`](crate::file::read).
    pub const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Encrypts `contents` under a passphrase. The header is authenticated but not encrypted.
    ///
    /// # Security
    /// `rng` draws salt and nonce. The length of the contents remains visible.
    ///
    /// # Errors
    /// [`SealingError::EmptyPassphrase`], [`SealingError::TooLong`]; [`SealingError::Cost`] if the memory for the
    /// passphrase's key cannot be had.
    #[doc(alias = "encrypt")]
    pub fn seal(
        &self,
        header: &[u8; H],
        contents: &[u8],
        passphrase: &[u8],
        cost: KdfCost,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealingError> {
        if passphrase.is_empty() {
            return Err(SealingError::EmptyPassphrase);
        }
        let length = contents.len().saturating_add(HEAD_BYTES + TAG_BYTES);
        let mut out = self.prefix(Kind::Sealed, header, length)?;
        let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_BYTES]);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut nonce);
        for number in [cost.memory_kib(), cost.passes(), cost.lanes()] {
            out.extend(number.to_le_bytes());
        }
        out.extend(salt);
        out.extend(nonce);
        let cipher = cost.cipher(passphrase, &salt)?;
        let sealed = cipher.encrypt(&nonce.into(), Payload { msg: contents, aad: &out });
        out.extend(sealed.map_err(|_| SealingError::TooLong { limit: self.max_bytes })?);
        Ok(finish(out))
    }

    /// Frames `contents` **unencrypted**.
    ///
    /// # Security
    /// For stores that encrypt themselves, such as a key management service.
    ///
    /// # Errors
    /// [`SealingError::TooLong`].
    pub fn expose_unencrypted(
        &self,
        header: &[u8; H],
        contents: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        let mut out = Zeroizing::new(self.prefix(Kind::Plain, header, contents.len())?);
        out.extend_from_slice(contents);
        let checksum = Sha256::digest(&*out);
        out.extend_from_slice(&checksum);
        Ok(out)
    }

    /// Parses a file, and verifies everything that needs no passphrase.
    ///
    /// # Errors
    /// [`SealingError::TooLong`], [`SealingError::OtherFormat`], [`SealingError::Version`], [`SealingError::Truncated`],
    /// [`SealingError::Checksum`], [`SealingError::Kind`], in this order.
    pub fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Frame<'a, H>, SealingError> {
        let found = bytes.len();
        if found > self.max_bytes {
            return Err(SealingError::TooLong { limit: self.max_bytes });
        }
        let mut rest = Rest { bytes, found, expected: Self::LEAST_BYTES };
        if rest.take()? != self.magic {
            return Err(SealingError::OtherFormat);
        }
        let version = u16::from_le_bytes(rest.take()?);
        if version != self.version {
            return Err(SealingError::Version { found: version, known: self.version });
        }
        let [kind] = rest.take()?;
        let header = rest.take()?;
        let length = usize::try_from(u32::from_le_bytes(rest.take()?)).unwrap_or(usize::MAX);
        let expected = length.saturating_add(Self::LEAST_BYTES);
        let truncated = SealingError::Truncated { found, expected };
        if found < expected {
            return Err(truncated);
        }
        let (checked, checksum) = bytes.split_at_checked(expected - CHECKSUM_BYTES).ok_or(truncated)?;
        // Surplus bytes make the checksum too long.
        if Sha256::digest(checked).as_slice() != checksum {
            return Err(SealingError::Checksum);
        }
        let body = checked.get(Self::PREFIX_BYTES..).unwrap_or(&[]);
        let kind = match kind {
            1 => Kind::Plain,
            2 => Kind::Sealed,
            found => return Err(SealingError::Kind { found }),
        };
        Ok(Frame { kind, header, checked, body })
    }

    /// The bytes before a body of `length` bytes, with room for it and the checksum.
    fn prefix(&self, kind: Kind, header: &[u8; H], length: usize) -> Result<Vec<u8>, SealingError> {
        let too_long = || SealingError::TooLong { limit: self.max_bytes };
        let total = length.checked_add(Self::LEAST_BYTES).filter(|&total| total <= self.max_bytes);
        let total = total.ok_or_else(too_long)?;
        let length = u32::try_from(length).map_err(|_| too_long())?;
        // A buffer that grows would leave copies behind.
        let mut out = Vec::with_capacity(total);
        out.extend(self.magic);
        out.extend(self.version.to_le_bytes());
        out.push(kind as u8);
        out.extend(header);
        out.extend(length.to_le_bytes());
        Ok(out)
    }
}

/// Adds the checksum.
fn finish(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// A parsed file. Everything that needs no passphrase was verified.
///
/// # Security
/// The header is not authentic before [`unseal`](Self::unseal), because an attacker can make the checksum fit.
#[derive(Clone, Copy)]
pub struct Frame<'a, const H: usize> {
    kind: Kind,
    header: [u8; H],
    /// All but the checksum.
    checked: &'a [u8],
    body: &'a [u8],
}

impl<'a, const H: usize> Frame<'a, H> {
    /// Returns the caller's header.
    pub fn header(&self) -> &[u8; H] {
        &self.header
    }

    /// Returns whether the contents are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.kind == Kind::Sealed
    }

    /// Decrypts the contents that [`Format::seal`] encrypted. They wipe themselves.
    ///
    /// # Errors
    /// [`SealingError::NotEncrypted`]; [`SealingError::Cost`] for a file that asks for too much memory or time, before
    /// anything is computed; [`SealingError::WrongPassphrase`] if the passphrase is another one, or somebody changed
    /// the file and its checksum.
    #[doc(alias = "decrypt")]
    pub fn unseal(&self, passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        if self.kind != Kind::Sealed {
            return Err(SealingError::NotEncrypted);
        }
        let (found, expected) = (self.body.len(), HEAD_BYTES + TAG_BYTES);
        let mut rest = Rest { bytes: self.body, found, expected };
        let mut number = || rest.take().map(u32::from_le_bytes);
        let cost = KdfCost::insecure(number()?, number()?, number()?)?;
        let salt: [u8; SALT_BYTES] = rest.take()?;
        let nonce: [u8; NONCE_BYTES] = rest.take()?;
        let sealed = rest.bytes;
        let truncated = SealingError::Truncated { found, expected };
        let head = self.checked.len().checked_sub(sealed.len()).and_then(|length| self.checked.get(..length));
        let head = head.ok_or(truncated)?;
        let cipher = cost.cipher(passphrase, &salt)?;
        let opened = cipher.decrypt(&nonce.into(), Payload { msg: sealed, aad: head });
        opened.map(Zeroizing::new).map_err(|_| SealingError::WrongPassphrase)
    }

    /// Returns the contents that [`Format::expose_unencrypted`] framed.
    ///
    /// # Errors
    /// [`SealingError::Encrypted`].
    pub fn unencrypted(&self) -> Result<&'a [u8], SealingError> {
        if self.kind == Kind::Plain { Ok(self.body) } else { Err(SealingError::Encrypted) }
    }
}

impl<const H: usize> std::fmt::Debug for Frame<'_, H> {
    // Redacted, because unencrypted contents are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("kind", &self.kind)
            .field("header", &self.header)
            .field("contents", &format_args!("<redacted>, {} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

/// What is left of some bytes.
struct Rest<'a> {
    bytes: &'a [u8],
    /// How many there were.
    found: usize,
    /// How many there should have been, as far as known.
    expected: usize,
}

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], SealingError> {
        let cut_off = SealingError::Truncated { found: self.found, expected: self.expected };
        let (first, others) = self.bytes.split_first_chunk::<N>().ok_or(cut_off)?;
        self.bytes = others;
        Ok(*first)
    }
}
