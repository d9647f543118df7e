//! Public keys as bytes.

use num_bigint::BigUint;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::{MAX_KEY_BITS, PaillierError, PublicKey};
use subrosa_encoding::wire;

const MAGIC: [u8; 8] = *b"SUBROSAN";
const VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 32;

/// Greatest length of [`PublicKey::to_bytes`].
#[allow(clippy::cast_possible_truncation, reason = "8,192")]
pub const MAX_PUBLIC_KEY_BYTES: usize =
    MAGIC.len() + 2 + (MAX_KEY_BITS as usize).div_ceil(8) + CHECKSUM_BYTES;

impl PublicKey {
    /// Encodes the key as bytes: magic `SUBROSAN`, the version 1 in two bytes, N in its shortest form (both
    /// little-endian), SHA-256 of everything before.
    #[must_use]
    #[doc(alias("serialize", "export"))]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.n().to_bytes_le());
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Decodes the key in bytes that [`to_bytes`](Self::to_bytes) made, and checks it as [`new`](Self::new) does.
    ///
    /// # Security
    /// The checksum detects damage. It does not show whose key it is, or that N is a product of two large primes.
    /// Compare [`id`](Self::id) with that of the key's owner.
    ///
    /// # Errors
    /// [`PaillierError::BadEncoding`], [`PaillierError::Version`]; [`PaillierError::KeySize`] and
    /// [`PaillierError::BadModulus`] as [`new`](Self::new).
    #[doc(alias("deserialize", "import"))]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PaillierError> {
        Self::new(modulus(bytes)?)
    }

    /// As [`from_bytes`](Self::from_bytes), for small keys.
    ///
    /// # Security
    /// For tests and demonstrations only.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), with the limits of [`insecure`](Self::insecure).
    pub fn from_bytes_insecure(bytes: &[u8]) -> Result<Self, PaillierError> {
        Self::insecure(modulus(bytes)?)
    }
}

/// The modulus in a key's bytes, not yet checked.
fn modulus(bytes: &[u8]) -> Result<BigUint, PaillierError> {
    let bad = |reason| PaillierError::BadEncoding { reason };
    if bytes.len() > MAX_PUBLIC_KEY_BYTES {
        return Err(bad("they are too many"));
    }
    let (magic, rest) = bytes.split_first_chunk().ok_or(bad("they end too early"))?;
    if *magic != MAGIC {
        return Err(bad("they begin in another way"));
    }
    let (version, rest) = rest.split_first_chunk().ok_or(bad("they end too early"))?;
    let found = u16::from_le_bytes(*version);
    if found != VERSION {
        return Err(PaillierError::Version { found, known: VERSION });
    }
    let (n, checksum) = rest.split_last_chunk::<CHECKSUM_BYTES>().ok_or(bad("they end too early"))?;
    let hash = Sha256::new().chain_update(magic).chain_update(version).chain_update(n).finalize();
    if hash.as_slice() != checksum {
        return Err(bad("their checksum does not match"));
    }
    if n.last() == Some(&0) {
        return Err(bad("the modulus has a superfluous zero byte"));
    }
    Ok(BigUint::from_bytes_le(n))
}

/// Writes N, as [`subrosa_encoding::wire::uint`] does.
impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::uint::serialize(self.n(), serializer)
    }
}

/// Reads N and checks it as [`PublicKey::new`] does. For small keys there is [`insecure`].
impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(wire::uint::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Public keys of any size, for `#[serde(with = "subrosa_paillier::insecure")]`: the same bytes, checked as
/// [`PublicKey::insecure`] does.
///
/// # Security
/// For tests and demonstrations, and where somebody else decides which sizes are acceptable.
pub mod insecure {
    use super::{BigUint, Deserializer, PublicKey, Serialize, Serializer, de, wire};

    /// Writes the key.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(key: &PublicKey, serializer: S) -> Result<S::Ok, S::Error> {
        key.serialize(serializer)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// Those of the deserialiser, of the encoding, and of [`PublicKey::insecure`].
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
        let n: BigUint = wire::uint::deserialize(deserializer)?;
        PublicKey::insecure(n).map_err(de::Error::custom)
    }
}
