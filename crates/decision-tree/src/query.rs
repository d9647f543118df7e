//! Queries: an encrypted row.

use crate::crypto::{ParameterSet, Seed};
use crate::layout::Layout;
use crate::schema::{Schema, SchemaId};
use crate::wire::{self, Artefact, BitReader, BitWriter, CodecError};

/// An encrypted row, as [`crate::ClientKey::encrypt`] makes it.
///
/// It holds everything that a server needs; there is no evaluation key and no state between queries.
#[derive(Clone, PartialEq, Eq)]
#[doc(alias = "ciphertext")]
pub struct Query {
    pub(crate) schema: SchemaId,
    pub(crate) parameters: ParameterSet,
    pub(crate) seed: Seed,
    /// The bodies of one GGSW ciphertext per bit.
    pub(crate) bits: Vec<Vec<u64>>,
    /// The bodies of the monomial ciphertexts.
    pub(crate) monomials: Vec<Vec<u64>>,
    /// The bodies of the encryptions of zero.
    pub(crate) zeros: Vec<Vec<u64>>,
}

impl Query {
    /// The id of the schema that the row was quantised under.
    #[must_use]
    pub fn schema(&self) -> SchemaId {
        self.schema
    }

    /// The parameter set of the key.
    #[must_use]
    pub fn parameters(&self) -> ParameterSet {
        self.parameters
    }

    /// Bytes of a query under a schema and parameter set; all such queries have the same size.
    #[must_use]
    pub fn size(schema: &Schema, parameters: ParameterSet) -> usize {
        wire::HEADER_BYTES + 32 + Layout::new(schema, parameters).body_bits().div_ceil(8)
    }

    /// The query in its wire form: header, seed, then each body's leading bits.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let shape = self.parameters.shape();
        let mut out = wire::header(Artefact::Query, self.parameters, &self.schema);
        out.extend_from_slice(&self.seed);
        let mut writer = BitWriter::new(out);
        self.bits.iter().for_each(|body| writer.write_tops(body, shape.ggsw_body_bits));
        let glwes = self.monomials.iter().chain(&self.zeros);
        glwes.for_each(|body| writer.write_tops(body, shape.glwe_body_bits));
        writer.finish()
    }

    /// Reads a query under the schema and parameter set that the reader expects.
    ///
    /// Any bytes of the right length behind the right header are a query.
    ///
    /// # Errors
    /// [`CodecError`]: another kind of message, version, schema, parameter set or length, or padding that is not
    /// zero. Nothing is allocated before the length has been checked.
    pub fn from_bytes(bytes: &[u8], schema: &Schema, parameters: ParameterSet) -> crate::Result<Self> {
        let rest = wire::check_header(bytes, Artefact::Query, parameters, &schema.id())?;
        let layout = Layout::new(schema, parameters);
        let expected = Self::size(schema, parameters);
        if bytes.len() != expected {
            return Err(CodecError::Length { got: bytes.len(), expected }.into());
        }
        let (seed, packed) = rest.split_first_chunk::<32>().ok_or(CodecError::Truncated)?;
        let mut reader = BitReader::new(packed);
        let (ggsw, glwe) = (layout.shape.ggsw_body_bits, layout.shape.glwe_body_bits);
        let mut read = |count: usize, len: usize, bits: u32| {
            (0..count).map(|_| reader.read_tops(len, bits)).collect::<Result<Vec<_>, _>>()
        };
        let bits = read(layout.bit_count(), layout.ggsw_len(), ggsw)?;
        let monomials = read(layout.monomials(), layout.shape.dimension, glwe)?;
        let zeros = read(layout.zeros(), layout.shape.dimension, glwe)?;
        reader.finish()?;
        Ok(Self { schema: schema.id(), parameters, seed: *seed, bits, monomials, zeros })
    }
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query")
            .field("schema", &self.schema)
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}
