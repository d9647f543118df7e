//! The wire form: a common header and bit-packed coefficients.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0–3 | magic `SRDT` |
//! | 4 | kind: 1 query, 2 answer, 4 conversion key |
//! | 5–6 | [`WIRE_VERSION`] |
//! | 7 | parameter set |
//! | 8–39 | schema id; zeros in a conversion key |
//!
//! All numbers are little-endian. Version 1 was big-endian.

use crate::crypto::ParameterSet;
use crate::schema::SchemaId;

/// Version of queries, answers and conversion keys. It changes with any change of their bytes or their meaning.
pub const WIRE_VERSION: u16 = 2;

const MAGIC: [u8; 4] = *b"SRDT";
/// How version 1 stood in a header: big-endian.
const VERSION_1: [u8; 2] = [0, 1];
/// Magic, kind, version, parameter set, schema id.
pub(crate) const HEADER_BYTES: usize = 4 + 1 + 2 + 1 + 32;

/// Kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Artefact {
    Query = 1,
    Answer = 2,
    // 3 was a stored key.
    ConversionKey = 4,
}

/// Why a message cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Fewer bytes than the header announces.
    #[error("the bytes end too early")]
    Truncated,
    /// Not a message of this crate, or another kind of message.
    #[error("it is not the kind of message that was expected")]
    Kind,
    /// A version that this crate does not know.
    #[error("the message has version {found}, this crate reads {WIRE_VERSION}")]
    Version {
        /// The message's version.
        found: u16,
    },
    /// Another parameter set than expected.
    #[error("it belongs to another parameter set")]
    Parameters,
    /// Another schema than expected.
    #[error("it belongs to another schema")]
    Schema,
    /// A length that does not fit.
    #[error("{got} bytes where {expected} were expected")]
    Length {
        /// Bytes given.
        got: usize,
        /// Bytes expected, or allowed at most.
        expected: usize,
    },
    /// A field with a value that it cannot have.
    #[error("{what} is out of range")]
    Value {
        /// The field.
        what: &'static str,
    },
}

pub(crate) fn header(kind: Artefact, parameters: ParameterSet, schema: &SchemaId) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(&MAGIC);
    out.push(kind as u8);
    out.extend_from_slice(&WIRE_VERSION.to_le_bytes());
    out.push(parameters.code());
    out.extend_from_slice(schema.as_bytes());
    out
}

/// A version of messages or of frames.
pub(crate) fn read_version(bytes: [u8; 2]) -> u16 {
    if bytes == VERSION_1 { 1 } else { u16::from_le_bytes(bytes) }
}

/// Checks kind and version and gives parameter set, schema and the rest.
pub(crate) fn open_header(
    bytes: &[u8],
    kind: Artefact,
) -> Result<(ParameterSet, SchemaId, &[u8]), CodecError> {
    let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(CodecError::Truncated)?;
    let (&found_kind, rest) = rest.split_first().ok_or(CodecError::Truncated)?;
    if *magic != MAGIC || found_kind != kind as u8 {
        return Err(CodecError::Kind);
    }
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(CodecError::Truncated)?;
    let found = read_version(*version);
    if found != WIRE_VERSION {
        return Err(CodecError::Version { found });
    }
    let (&code, rest) = rest.split_first().ok_or(CodecError::Truncated)?;
    let parameters = ParameterSet::from_code(code).ok_or(CodecError::Parameters)?;
    let (schema, rest) = rest.split_first_chunk::<32>().ok_or(CodecError::Truncated)?;
    Ok((parameters, SchemaId(*schema), rest))
}

/// Checks the whole header and gives the rest.
pub(crate) fn check_header<'a>(
    bytes: &'a [u8],
    kind: Artefact,
    parameters: ParameterSet,
    schema: &SchemaId,
) -> Result<&'a [u8], CodecError> {
    let (found_parameters, found_schema, rest) = open_header(bytes, kind)?;
    if found_parameters != parameters {
        return Err(CodecError::Parameters);
    }
    if found_schema != *schema {
        return Err(CodecError::Schema);
    }
    Ok(rest)
}

/// Takes the next M bytes.
pub(crate) fn take<const M: usize>(rest: &mut &[u8]) -> Result<[u8; M], CodecError> {
    let (taken, after) = rest.split_first_chunk::<M>().ok_or(CodecError::Truncated)?;
    *rest = after;
    Ok(*taken)
}

/// Takes a finite number.
pub(crate) fn take_number(rest: &mut &[u8]) -> Result<f64, CodecError> {
    let number = f64::from_le_bytes(take(rest)?);
    if number.is_finite() { Ok(number) } else { Err(CodecError::Value { what: "a number" }) }
}

/// Packs values of a few bits each, the least significant bit first.
pub(crate) struct BitWriter {
    out: Vec<u8>,
    pending: u128,
    count: u32,
}

impl BitWriter {
    pub(crate) fn new(out: Vec<u8>) -> Self {
        Self { out, pending: 0, count: 0 }
    }

    /// Writes the low `bits` (at most 64) of a value.
    pub(crate) fn write(&mut self, value: u64, bits: u32) {
        let value = u128::from(value) & ((1 << bits) - 1);
        self.pending |= value << self.count;
        self.count += bits;
        if self.count >= 64 {
            #[allow(clippy::cast_possible_truncation)] // the low word
            self.out.extend_from_slice(&(self.pending as u64).to_le_bytes());
            self.pending >>= 64;
            self.count -= 64;
        }
    }

    /// Writes the leading `bits` of each coefficient.
    pub(crate) fn write_tops(&mut self, coefficients: &[u64], bits: u32) {
        self.out.reserve(coefficients.len() * bits as usize / 8);
        coefficients.iter().for_each(|value| self.write(value >> (64 - bits), bits));
    }

    /// The bytes, the last one padded with zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let used = self.count.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.pending.to_le_bytes()[..used]);
        self.out
    }
}

/// Reads what [`BitWriter`] wrote.
pub(crate) struct BitReader<'a> {
    rest: &'a [u8],
    pending: u128,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, pending: 0, count: 0 }
    }

    /// Reads a value of `bits` (at most 64).
    pub(crate) fn read(&mut self, bits: u32) -> Result<u64, CodecError> {
        if self.count < bits {
            self.refill();
        }
        if self.count < bits {
            return Err(CodecError::Truncated);
        }
        #[allow(clippy::cast_possible_truncation)] // masked to at most 64 bits
        let value = (self.pending & ((1 << bits) - 1)) as u64;
        self.pending >>= bits;
        self.count -= bits;
        Ok(value)
    }

    fn refill(&mut self) {
        if let Some((word, rest)) = self.rest.split_first_chunk::<8>() {
            self.pending |= u128::from(u64::from_le_bytes(*word)) << self.count;
            self.count += 64;
            self.rest = rest;
        } else {
            for byte in std::mem::take(&mut self.rest) {
                self.pending |= u128::from(*byte) << self.count;
                self.count += 8;
            }
        }
    }

    /// Reads `len` values of `bits` each as the leading bits of coefficients.
    pub(crate) fn read_tops(&mut self, len: usize, bits: u32) -> Result<Vec<u64>, CodecError> {
        (0..len).map(|_| Ok(self.read(bits)? << (64 - bits))).collect()
    }

    /// Nothing may be left but less than a byte of zeros.
    pub(crate) fn finish(self) -> Result<(), CodecError> {
        if self.count >= 8 || !self.rest.is_empty() || self.pending != 0 {
            return Err(CodecError::Value { what: "the padding" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_has_its_bytes() {
        let id = SchemaId(std::array::from_fn(|index| u8::try_from(index).unwrap()));
        for (kind, parameters, bytes) in [
            (Artefact::Query, ParameterSet::Standard, b"SRDT\x01\x02\x00\x01"),
            (Artefact::Answer, ParameterSet::LowNoise, b"SRDT\x02\x02\x00\x02"),
            (Artefact::ConversionKey, ParameterSet::SmallQuery, b"SRDT\x04\x02\x00\x03"),
        ] {
            let header = header(kind, parameters, &id);
            assert_eq!(header, [&bytes[..], id.as_bytes()].concat());
            assert_eq!(open_header(&header, kind), Ok((parameters, id, &[][..])));
        }
    }

    #[test]
    fn messages_of_version_1_are_refused_with_their_version() {
        let old = [b"SRDT\x01\x00\x01\x01", &[0; 32][..]].concat();
        assert_eq!(open_header(&old, Artefact::Query), Err(CodecError::Version { found: 1 }));
    }

    #[test]
    fn bits_are_packed_from_the_lowest() {
        let mut writer = BitWriter::new(vec![]);
        for (value, bits) in [(0b101, 3), (0x1234, 16), (1, 1)] {
            writer.write(value, bits);
        }
        assert_eq!(writer.finish(), [0xa5, 0x91, 0x08]);
    }

    proptest! {
        #[test]
        fn packing_is_undone(values in proptest::collection::vec((any::<u64>(), 1u32..=64), 0..60)) {
            let mut writer = BitWriter::new(vec![]);
            let mut total = 0;
            for (value, bits) in &values {
                writer.write(*value, *bits);
                total += *bits as usize;
            }
            let bytes = writer.finish();
            prop_assert_eq!(bytes.len(), total.div_ceil(8));
            let mut reader = BitReader::new(&bytes);
            for (value, bits) in &values {
                prop_assert_eq!(reader.read(*bits).unwrap(), value & (u64::MAX >> (64 - bits)));
            }
            prop_assert!(reader.finish().is_ok());
        }
    }
}
