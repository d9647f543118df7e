//! The client: keys, queries, and reading answers.

use rand_core::CryptoRng;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::answer::Answer;
use crate::conversion::ConversionKey;
use crate::crypto::{Fourier, NoiseSource, ParameterSet, SecretKey, Seed};
use crate::layout::Layout;
use crate::quantized::Verdict;
use crate::query::Query;
use crate::schema::{QuantizedRow, Schema};

/// A client's secret key: encrypts rows and decrypts verdicts.
///
/// One key serves any number of queries under any schema. [`ClientKey::seal`] stores it under a passphrase.
///
/// ```
/// use subrosa_decision_tree::model::Precision;
/// use subrosa_decision_tree::{ClientKey, Feature, ParameterSet, Query, Schema};
///
/// let classes = vec!["genuine".into(), "fraud".into()];
/// let schema = Schema::new(vec![Feature::binary("online")], classes, Precision::Double)?;
/// let mut rng = rand::rng();
/// let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
/// let bytes = key.encrypt(&schema, &[1.0], &mut rng)?.to_bytes();
///
/// // The server reads the bytes, and `Evaluator::evaluate` makes the answer.
/// assert_eq!(bytes.len(), Query::size(&schema, key.parameters()));
/// let query = Query::from_bytes(&bytes, &schema, key.parameters())?;
/// assert_eq!(query.schema(), schema.id());
/// # Ok::<(), subrosa_decision_tree::Error>(())
/// ```
///
/// # Security
/// Whoever holds the key can read every query and every answer made with it. The key is wiped when dropped and prints as
/// `<redacted>`.
#[doc(alias = "secret key")]
pub struct ClientKey {
    parameters: ParameterSet,
    fourier: Fourier,
    secret: SecretKey,
}

impl ClientKey {
    /// Draws a key. It takes less than a millisecond.
    ///
    /// # Security
    /// `rng` must be a cryptographic generator with an unpredictable seed. The secrecy of every query depends on it.
    #[must_use]
    pub fn generate(parameters: ParameterSet, rng: &mut impl CryptoRng) -> Self {
        let shape = parameters.shape();
        let fourier = Fourier::new(shape.dimension);
        let secret = SecretKey::generate(shape, &fourier, &mut NoiseSource::new(rng));
        Self { parameters, fourier, secret }
    }

    pub(crate) fn from_bits(parameters: ParameterSet, bits: &[u64]) -> Option<Self> {
        let fourier = Fourier::new(parameters.shape().dimension);
        let secret = SecretKey::from_bits(parameters.shape(), &fourier, bits)?;
        Some(Self { parameters, fourier, secret })
    }

    pub(crate) fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// The parameter set that the key belongs to.
    #[must_use]
    pub fn parameters(&self) -> ParameterSet {
        self.parameters
    }

    /// The conversion key, which a server needs once before it can answer this key's queries; `None` for the parameter sets
    /// without one.
    ///
    /// # Security
    /// The conversion key is public. It encrypts functions of the secret key under the secret key itself.
    #[doc(alias = "evaluation key")]
    #[must_use]
    pub fn conversion_key(&self, rng: &mut impl CryptoRng) -> Option<ConversionKey> {
        let conversion = self.parameters.shape().conversion?;
        let (seed, mut noise) = fresh(rng);
        let rows = self.secret.encrypt_conversion(&self.fourier, &conversion, &seed, &mut noise);
        Some(ConversionKey { parameters: self.parameters, conversion, seed, rows })
    }

    /// Encrypts a row: one value per feature of the schema, in its order.
    ///
    /// # Errors
    /// [`crate::schema::SchemaError`] for a row of another length or with NaN.
    ///
    /// # Security
    /// The query has a seed and noise of its own, drawn from `rng`; encrypting the same row twice gives unrelated
    /// queries.
    pub fn encrypt(&self, schema: &Schema, row: &[f64], rng: &mut impl CryptoRng) -> crate::Result<Query> {
        self.encrypt_quantized(schema, &schema.quantize(row)?, rng)
    }

    /// Encrypts a row that is on the schema's grid already.
    ///
    /// # Errors
    /// [`crate::schema::SchemaError`] for a row of another length, or with a cell that the grid does not have.
    pub fn encrypt_quantized(
        &self,
        schema: &Schema,
        row: &QuantizedRow,
        rng: &mut impl CryptoRng,
    ) -> crate::Result<Query> {
        schema.check_row(row)?;
        let (seed, mut noise) = fresh(rng);
        self.encrypt_with(schema, &Layout::new(schema, self.parameters), row, seed, &mut noise)
    }

    /// Encrypts many rows, on all threads of the current rayon pool.
    ///
    /// # Errors
    /// As [`Self::encrypt`], for the first row that does not fit; then nothing is encrypted.
    pub fn encrypt_batch<R: AsRef<[f64]>>(
        &self,
        schema: &Schema,
        rows: &[R],
        rng: &mut impl CryptoRng,
    ) -> crate::Result<Vec<Query>> {
        let layout = Layout::new(schema, self.parameters);
        let mut prepared = Vec::with_capacity(rows.len());
        for row in rows {
            prepared.push((schema.quantize(row.as_ref())?, fresh(rng)));
        }
        let encrypt = |(row, (seed, mut noise)): (QuantizedRow, _)| {
            self.encrypt_with(schema, &layout, &row, seed, &mut noise)
        };
        prepared.into_par_iter().map(encrypt).collect()
    }

    fn encrypt_with(
        &self,
        schema: &Schema,
        layout: &Layout,
        row: &QuantizedRow,
        seed: Seed,
        noise: &mut NoiseSource,
    ) -> crate::Result<Query> {
        let (fourier, secret) = (&self.fourier, &self.secret);
        let mut work = fourier.workspace();
        let mut bits = Vec::with_capacity(layout.bit_count());
        for (feature, cell) in row.cells().iter().enumerate() {
            if layout.bit_count() == 0 {
                break;
            }
            for bit in 0..layout.bits(feature)? {
                let stream = bits.len() as u64;
                let value = u64::from(cell >> bit & 1);
                bits.push(secret.encrypt_bit(fourier, value, &seed, stream, noise, &mut work));
            }
        }
        let monomials = monomials(layout, row)?
            .chunks_exact(layout.shape.dimension)
            .enumerate()
            .map(|(index, message)| {
                let stream = layout.monomial_stream(index);
                secret.encrypt_polynomial(fourier, message, &seed, stream, noise, &mut work)
            })
            .collect();
        let zeros = (0..layout.zeros())
            .map(|index| {
                let stream = layout.zero_stream(index);
                secret.encrypt_polynomial(fourier, &[], &seed, stream, noise, &mut work)
            })
            .collect();
        // It has held products with the key.
        work.wipe();
        Ok(Query { schema: schema.id(), parameters: self.parameters, seed, bits, monomials, zeros })
    }

    /// Reads an answer (E22 of docs/protocols/decision-tree.md).
    ///
    /// # Errors
    /// [`crate::AnswerError`] for an answer of another parameter set. An answer to another client's query gives a random
    /// verdict and no error.
    ///
    /// # Security
    /// Never tell the server whether a verdict looked right. With such replies a server can test guesses about the key.
    pub fn decrypt(&self, answer: &Answer) -> crate::Result<Verdict> {
        if answer.parameters != self.parameters {
            return Err(crate::AnswerError::Parameters.into());
        }
        let phases = answer.bodies.iter().enumerate().map(|(slot, body)| {
            body.wrapping_sub(self.secret.inner_coefficient(&answer.masks, slot * answer.spacing))
        });
        answer.read(phases)
    }
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientKey")
            .field("parameters", &self.parameters)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}

/// A query's public seed and its secret generator, drawn independently.
fn fresh(rng: &mut impl CryptoRng) -> (Seed, NoiseSource) {
    let mut seed = [0u8; 32];
    rng.fill_bytes(&mut seed);
    (seed, NoiseSource::new(rng))
}

/// E6: the messages of all monomial ciphertexts: for every feature a power of two at its cell's place, in the block that has it.
fn monomials(layout: &Layout, row: &QuantizedRow) -> crate::Result<Zeroizing<Vec<u64>>> {
    let dimension = layout.shape.dimension;
    let mut messages = Zeroizing::new(vec![0u64; layout.monomials() * dimension]);
    for (feature, cell) in row.cells().iter().enumerate() {
        for block in layout.blocks(feature)? {
            let first = block.ciphertext * dimension + block.offset;
            // Every place is written, so that the memory access does not tell the cell.
            for (index, message) in messages.iter_mut().skip(first).take(block.len).enumerate() {
                let here = u64::from((block.start + index) as u64 == u64::from(*cell));
                *message = here << layout.shape.monomial_log2;
            }
        }
    }
    Ok(messages)
}
