//! Integers on the wire: `serde` modules for `#[serde(with = "subrosa_encoding::wire::uint")]`.
//!
//! There is one encoding for each value, and a decoder refuses every other. Numbers travel as bytes whose length stands
//! in front, so that a decoder of a format that borrows from its input (postcard does) never allocates more than the
//! input holds; from other formats it collects bytes as they come. How the length is written is the format's affair:
//! postcard reads it in more bytes than it takes, too. Compare what was received by its bytes, or by its values.
//!
//! A number's length shows its size. For a number that is uniform in a public range, this reveals nothing. For other
//! numbers, the protocol must say so.

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::Zero;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A `BigUint` as its shortest little-endian bytes; 0 is the empty string.
pub mod uint {
    use super::{BigUint, Bytes, Deserialize, Deserializer, Error, Serializer, minimal_le, parse_minimal};

    /// Writes `value`.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(value: &BigUint, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&minimal_le(value))
    }

    /// Reads a value.
    ///
    /// # Errors
    /// Those of the deserialiser; and an encoding that is not the shortest one.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BigUint, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?;
        parse_minimal(&bytes.0).ok_or_else(|| D::Error::custom("an integer with a superfluous zero byte"))
    }
}

/// A `BigInt` as a byte 0 or 1 for its sign and then its magnitude as in [`uint`]; 0 is a single 0 byte.
pub mod int {
    use super::{
        BigInt, Bytes, Deserialize, Deserializer, Error, Serializer, Sign, Zero, minimal_le, parse_minimal,
    };

    /// Writes `value`.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(value: &BigInt, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = vec![u8::from(value.sign() == Sign::Minus)];
        bytes.extend(minimal_le(value.magnitude()));
        serializer.serialize_bytes(&bytes)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// Those of the deserialiser; an encoding that is not the shortest one; a negative zero; another sign byte.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BigInt, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?;
        let (sign, magnitude) = match bytes.0.split_first() {
            Some((0, magnitude)) => (Sign::Plus, magnitude),
            Some((1, magnitude)) => (Sign::Minus, magnitude),
            _ => return Err(D::Error::custom("an integer without a sign byte")),
        };
        let magnitude = parse_minimal(magnitude)
            .ok_or_else(|| D::Error::custom("an integer with a superfluous zero byte"))?;
        if sign == Sign::Minus && magnitude.is_zero() {
            return Err(D::Error::custom("a negative zero"));
        }
        Ok(BigInt::from_biguint(sign, magnitude))
    }
}

/// A `Vec<BigUint>` as one string of bytes: the width w in bytes of the widest number (4 bytes, little-endian), then the
/// numbers, little-endian, w bytes each. w is at least 1; an empty list is the empty string.
pub mod uints {
    use super::{BigUint, Bytes, Deserialize, Deserializer, Error, Serializer, join_fixed, split_fixed};

    /// Writes `values`.
    ///
    /// # Errors
    /// Those of the serialiser; numbers of 4 GiB.
    pub fn serialize<S: Serializer>(values: &[BigUint], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = join_fixed(values).ok_or_else(|| serde::ser::Error::custom("an integer of 4 GiB"))?;
        serializer.serialize_bytes(&bytes)
    }

    /// Reads a list.
    ///
    /// # Errors
    /// Those of the deserialiser; a length that is no multiple of the width; a width that no number needs.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<BigUint>, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?;
        split_fixed(&bytes.0).map_err(D::Error::custom)
    }
}

/// Greatest length of a byte string with its length in front, as postcard writes it.
pub fn max_bytes_len(length: usize) -> usize {
    let bits = (usize::BITS - length.leading_zeros()).max(1) as usize;
    bits.div_ceil(7) + length
}

/// Greatest length in postcard of a [`uint`] of up to `bits` bits.
pub fn max_uint_len(bits: u64) -> usize {
    max_bytes_len(bytes_of(bits))
}

/// Greatest length in postcard of an [`int`] whose magnitude has up to `bits` bits.
pub fn max_int_len(bits: u64) -> usize {
    max_bytes_len(1 + bytes_of(bits))
}

/// Greatest length in postcard of [`uints`] of up to `count` numbers of up to `bits` bits each.
pub fn max_uints_len(count: usize, bits: u64) -> usize {
    max_bytes_len(4usize.saturating_add(count.saturating_mul(bytes_of(bits).max(1))))
}

fn bytes_of(bits: u64) -> usize {
    usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX)
}

/// The shortest little-endian bytes of a number, none for 0. Word by word, several times as fast as
/// [`BigUint::to_bytes_le`].
pub fn minimal_le(value: &BigUint) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(value.iter_u64_digits().len() * 8);
    for word in value.iter_u64_digits() {
        bytes.extend(word.to_le_bytes());
    }
    bytes.truncate(bytes_of(value.bits()));
    bytes
}

fn parse_minimal(bytes: &[u8]) -> Option<BigUint> {
    if bytes.last() == Some(&0) { None } else { Some(BigUint::from_bytes_le(bytes)) }
}

fn join_fixed(values: &[BigUint]) -> Option<Vec<u8>> {
    if values.is_empty() {
        return Some(Vec::new());
    }
    let width = values.iter().map(|value| bytes_of(value.bits())).max().unwrap_or(0).max(1);
    let mut out = Vec::with_capacity(4 + width * values.len());
    out.extend(u32::try_from(width).ok()?.to_le_bytes());
    for (value, end) in values.iter().zip((1..).map(|i| 4 + i * width)) {
        out.extend(minimal_le(value));
        out.resize(end, 0);
    }
    Some(out)
}

fn split_fixed(bytes: &[u8]) -> Result<Vec<BigUint>, &'static str> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let (width, body) = bytes.split_first_chunk::<4>().ok_or("a list of integers without a width")?;
    let width =
        usize::try_from(u32::from_le_bytes(*width)).map_err(|_| "a list of integers that is too wide")?;
    if width == 0 || body.is_empty() || body.len() % width != 0 {
        return Err("a list of integers whose length is no multiple of their width");
    }
    if width > 1 && body.chunks_exact(width).all(|chunk| chunk.last() == Some(&0)) {
        return Err("a list of integers that is wider than they are");
    }
    Ok(body.chunks_exact(width).map(BigUint::from_bytes_le).collect())
}

/// Bytes as a deserialiser gives them.
struct Bytes<'de>(std::borrow::Cow<'de, [u8]>);

impl<'de> Deserialize<'de> for Bytes<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Bytes(bytes.into()))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Bytes(bytes.to_vec().into()))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
        Ok(Bytes(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        // The size hint comes from outside, so it is not trusted.
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element::<u8>()? {
            bytes.push(byte);
        }
        Ok(Bytes(bytes.into()))
    }
}

/// A `BigUint` that serialises as in [`uint`], for tuples, maps and generic messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uint(#[serde(with = "uint")] pub BigUint);
