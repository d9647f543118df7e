//! Answers: an encrypted verdict.

use crate::crypto::ParameterSet;
use crate::quantized::{Reading, Verdict};
use crate::schema::{Schema, SchemaId};
use crate::wire::{self, Artefact, BitReader, BitWriter, CodecError};

/// An encrypted verdict, as [`crate::Evaluator::evaluate`] makes it.
///
/// It holds the masks of one GLWE ciphertext and only those body coefficients that carry the verdict, modulo a small
/// power of two.
#[derive(Clone, PartialEq)]
pub struct Answer {
    pub(crate) schema: SchemaId,
    pub(crate) parameters: ParameterSet,
    pub(crate) coding: Coding,
    pub(crate) reading: Reading,
    /// Payload coefficient m belongs to ring coefficient m · spacing.
    pub(crate) spacing: usize,
    /// k·N mask coefficients, in the leading bits.
    pub(crate) masks: Vec<u64>,
    /// One body coefficient per payload coefficient, in the leading bits.
    pub(crate) bodies: Vec<u64>,
}

/// How sums are written into payload coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coding {
    /// Bits of a coefficient that hold a sum: it stands in the leading bits of the torus element.
    pub(crate) payload_bits: u32,
    /// Coefficients per channel: the leaf values' digits, the lowest first.
    pub(crate) digits: usize,
    /// Bits of one digit of a leaf value.
    pub(crate) digit_bits: u32,
    /// Bits to which masks and bodies are switched.
    pub(crate) modulus_bits: u32,
}

/// Why an answer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The key belongs to another parameter set.
    #[error("the key belongs to another parameter set")]
    Parameters,
}

/// Greatest size of an answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 1 << 20;

impl Answer {
    /// The answer in its wire form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = wire::header(Artefact::Answer, self.parameters, &self.schema);
        self.coding.write(self.spacing, &mut out);
        self.reading.write(&mut out);
        let mut writer = BitWriter::new(out);
        writer.write_tops(&self.masks, self.coding.modulus_bits);
        writer.write_tops(&self.bodies, self.coding.modulus_bits);
        writer.finish()
    }

    /// Reads an answer under the schema and parameter set of the query that it answers.
    ///
    /// # Errors
    /// [`CodecError`]: another kind of message, version, schema or parameter set, more than [`MAX_ANSWER_BYTES`], or
    /// fields that contradict each other or the schema. Nothing is allocated before the length has been checked.
    pub fn from_bytes(bytes: &[u8], schema: &Schema, parameters: ParameterSet) -> crate::Result<Self> {
        if bytes.len() > MAX_ANSWER_BYTES {
            return Err(CodecError::Length { got: bytes.len(), expected: MAX_ANSWER_BYTES }.into());
        }
        let mut rest = wire::check_header(bytes, Artefact::Answer, parameters, &schema.id())?;
        let (coding, spacing) = Coding::read(&mut rest)?;
        let reading = Reading::read(&mut rest, schema)?;
        let slots = reading.channels().saturating_mul(coding.digits);
        let shape = parameters.shape();
        if slots == 0
            || slots > shape.dimension
            || slots.saturating_sub(1).saturating_mul(spacing) >= shape.dimension
        {
            return Err(CodecError::Value { what: "the number of payload coefficients" }.into());
        }
        let packed = ((shape.key_len() + slots) * coding.modulus_bits as usize).div_ceil(8);
        if rest.len() != packed {
            return Err(CodecError::Length { got: rest.len(), expected: packed }.into());
        }
        let mut reader = BitReader::new(rest);
        let masks = reader.read_tops(shape.key_len(), coding.modulus_bits)?;
        let bodies = reader.read_tops(slots, coding.modulus_bits)?;
        reader.finish()?;
        Ok(Self { schema: schema.id(), parameters, coding, reading, spacing, masks, bodies })
    }

    /// The id of the schema that the answer belongs to.
    #[must_use]
    pub fn schema(&self) -> SchemaId {
        self.schema
    }

    /// The parameter set of the key.
    #[must_use]
    pub fn parameters(&self) -> ParameterSet {
        self.parameters
    }

    /// Bytes of an answer in its wire form.
    pub(crate) fn size(parameters: ParameterSet, coding: &Coding, reading: &Reading) -> usize {
        let coefficients = parameters.shape().key_len() + reading.channels() * coding.digits;
        let packed = (coefficients * coding.modulus_bits as usize).div_ceil(8);
        wire::HEADER_BYTES + CODING_BYTES + reading.size() + packed
    }

    /// E15 and E22: rounds phases to payloads and puts the digits together.
    pub(crate) fn read(&self, phases: impl Iterator<Item = u64>) -> crate::Result<Verdict> {
        let Coding { payload_bits, digits, digit_bits, .. } = self.coding;
        let half = 1u64 << (63 - payload_bits);
        let values: Vec<u64> = phases.map(|phase| phase.wrapping_add(half) >> (64 - payload_bits)).collect();
        let sum = |digits: &[u64]| {
            digits.iter().rev().fold(0u64, |sum, digit| sum.wrapping_shl(digit_bits).wrapping_add(*digit))
        };
        self.reading.verdict(values.chunks(digits).map(sum).collect())
    }
}

/// Payload bits, digits, bits of a digit, modulus bits, spacing.
const CODING_BYTES: usize = 6;

impl Coding {
    /// E15: a leaf's values cut into digits. These are the payload coefficients before scaling.
    pub(crate) fn digits_of(self, values: &[u32]) -> impl Iterator<Item = u64> + '_ {
        let mask = (1u64 << self.digit_bits) - 1;
        values.iter().flat_map(move |value| {
            let shifts = (0u32..).step_by(self.digit_bits as usize).take(self.digits);
            shifts.map(move |shift| u64::from(*value) >> shift & mask)
        })
    }

    fn write(&self, spacing: usize, out: &mut Vec<u8>) {
        // All below 256 but the spacing, which is at most the ring dimension. Readers refuse the greatest values.
        let small = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
        out.push(small(self.payload_bits as usize));
        out.push(small(self.digits));
        out.push(small(self.digit_bits as usize));
        out.push(small(self.modulus_bits as usize));
        out.extend_from_slice(&u16::try_from(spacing).unwrap_or(u16::MAX).to_le_bytes());
    }

    fn read(rest: &mut &[u8]) -> Result<(Self, usize), CodecError> {
        let [payload_bits, digits, digit_bits, modulus_bits, low, high] = wire::take(rest)?;
        let spacing = usize::from(u16::from_le_bytes([low, high]));
        let coding = Self {
            payload_bits: payload_bits.into(),
            digits: digits.into(),
            digit_bits: digit_bits.into(),
            modulus_bits: modulus_bits.into(),
        };
        let proper = (1..=60).contains(&coding.payload_bits)
            && (1..=32).contains(&coding.digits)
            && (1..=32).contains(&coding.digit_bits)
            && (coding.payload_bits..=64).contains(&coding.modulus_bits)
            && spacing > 0;
        if proper { Ok((coding, spacing)) } else { Err(CodecError::Value { what: "the payload's coding" }) }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("schema", &self.schema)
            .field("parameters", &self.parameters)
            .field("coding", &self.coding)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_and_a_reading_have_their_bytes() {
        let coding = Coding { payload_bits: 13, digits: 2, digit_bits: 6, modulus_bits: 21 };
        let mut bytes = vec![];
        coding.write(256, &mut bytes);
        assert_eq!(bytes, [13, 2, 6, 21, 0, 1]);
        assert_eq!(Coding::read(&mut &bytes[..]), Ok((coding, 256)));

        let mut bytes = vec![];
        Reading::class_index(3).write(&mut bytes);
        // One channel; step 1, decision threshold 0, offset 0.
        let numbers = [1.0f64, 0.0, 0.0].map(f64::to_le_bytes).concat();
        assert_eq!(bytes, [&[1, 0, 1, 0][..], &numbers].concat());
        assert_eq!(numbers[..8], [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    }
}
