//! Conversion keys: a server needs one from each client with [`ParameterSet::SmallQuery`].

use crate::crypto::{Conversion, ConversionRows, Converter, Fourier, ParameterSet, Seed, steps};
use crate::schema::SchemaId;
use crate::wire::{self, Artefact, BitReader, BitWriter, CodecError};

/// A client's public key that makes its small queries evaluable.
///
/// Only [`ParameterSet::SmallQuery`] needs it. [`crate::ClientKey::conversion_key`] makes it. It has about 1.1 MB and
/// serves all schemas.
///
/// ```
/// use subrosa_decision_tree::{ClientKey, ConversionKey, Evaluator, Feature, Model, Node, ParameterSet, QuantizedModel, Schema};
///
/// let nodes = vec![Node::split(0, 0.5, 1, 2), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
/// let model = Model::classifier(["online"], ["genuine", "fraud"], nodes)?;
/// let schema = Schema::for_model(&model, vec![Feature::binary("online")])?;
/// let evaluator = Evaluator::new(QuantizedModel::new(&model, &schema)?, ParameterSet::SmallQuery)?;
/// let mut rng = rand::rng();
/// let key = ClientKey::generate(ParameterSet::SmallQuery, &mut rng);
///
/// // Once: the client sends its conversion key, and the server prepares it.
/// let conversion = key.conversion_key(&mut rng).expect("SmallQuery has one");
/// let prepared = ConversionKey::from_bytes(&conversion.to_bytes(), ParameterSet::SmallQuery)?.prepare();
///
/// let query = key.encrypt(&schema, &[1.0], &mut rng)?;
/// let answer = evaluator.evaluate_with(&prepared, &query, &mut rng)?;
/// assert_eq!(key.decrypt(&answer)?.class(), Some(1));
/// # Ok::<(), subrosa_decision_tree::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[doc(alias("evaluation key", "bootstrapping key"))]
pub struct ConversionKey {
    pub(crate) parameters: ParameterSet,
    pub(crate) conversion: Conversion,
    pub(crate) seed: Seed,
    pub(crate) rows: ConversionRows,
}

/// A conversion key made ready for evaluation. It has about 3 MB; all evaluators and threads share it.
#[derive(Debug)]
pub struct PreparedKey {
    pub(crate) parameters: ParameterSet,
    pub(crate) converter: Converter,
}

impl ConversionKey {
    /// The parameter set of the key.
    #[must_use]
    pub fn parameters(&self) -> ParameterSet {
        self.parameters
    }

    /// Bytes of a conversion key in its wire form; 0 for the sets that need none.
    #[must_use]
    pub fn size(parameters: ParameterSet) -> usize {
        let shape = parameters.shape();
        let Some(conversion) = shape.conversion else { return 0 };
        let (switch, square) = Converter::part_lens(&shape, &conversion);
        let coefficients = steps(&shape) as usize * switch + square;
        wire::HEADER_BYTES + 32 + (coefficients * conversion.body_bits as usize).div_ceil(8)
    }

    /// Expands and transforms the key.
    #[must_use]
    pub fn prepare(&self) -> PreparedKey {
        let shape = self.parameters.shape();
        let fourier = Fourier::new(shape.dimension);
        let converter = Converter::new(&fourier, &shape, self.conversion, &self.seed, &self.rows);
        PreparedKey { parameters: self.parameters, converter }
    }

    /// The key in its wire form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // It belongs to no schema.
        let mut out = wire::header(Artefact::ConversionKey, self.parameters, &SchemaId([0; 32]));
        out.extend_from_slice(&self.seed);
        let mut writer = BitWriter::new(out);
        self.rows.parts().for_each(|rows| writer.write_tops(rows, self.conversion.body_bits));
        writer.finish()
    }

    /// Reads a key of the expected parameter set.
    ///
    /// Any bytes of the right length behind the right header are a key.
    ///
    /// # Errors
    /// [`CodecError`]: another kind of message, version, set or length. Nothing is allocated before the length has been
    /// checked.
    pub fn from_bytes(bytes: &[u8], parameters: ParameterSet) -> crate::Result<Self> {
        let rest = wire::check_header(bytes, Artefact::ConversionKey, parameters, &SchemaId([0; 32]))?;
        let shape = parameters.shape();
        let conversion = shape.conversion.ok_or(CodecError::Parameters)?;
        let expected = Self::size(parameters);
        if bytes.len() != expected {
            return Err(CodecError::Length { got: bytes.len(), expected }.into());
        }
        let (seed, packed) = rest.split_first_chunk::<32>().ok_or(CodecError::Truncated)?;
        let mut reader = BitReader::new(packed);
        let (switch, square) = Converter::part_lens(&shape, &conversion);
        let mut read = |len: usize| reader.read_tops(len, conversion.body_bits);
        let switches = (0..steps(&shape)).map(|_| read(switch)).collect::<Result<_, _>>()?;
        let rows = ConversionRows { switches, square: read(square)? };
        reader.finish()?;
        Ok(Self { parameters, conversion, seed: *seed, rows })
    }
}

impl std::fmt::Debug for ConversionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConversionKey").field("parameters", &self.parameters).finish_non_exhaustive()
    }
}
