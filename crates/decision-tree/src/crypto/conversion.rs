//! From monomials to GGSW ciphertexts, with a conversion key (E10 to E12 of docs/protocols/decision-tree.md).
//!
//! The sum of a GLWE ciphertext over the Galois group keeps its constant coefficient, times N, and nothing else; it
//! takes log₂ N automorphisms X → X^(N/2^i + 1), each with a key switch. A product with an encryption of −s makes the
//! other row of a GGSW ciphertext.

use super::kernels::{Block, Products};
use super::params::Gadget;
use super::secret::round_to_bits;
use super::{Conversion, Fourier, FourierGgsw, NoiseSource, SecretKey, Seed, Shape, Workspace, expand};

/// The bodies of a conversion key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ConversionRows {
    /// Of one key switch for each step of the trace; their streams come first.
    pub(crate) switches: Vec<Vec<u64>>,
    /// Of the encryption of −s.
    pub(crate) square: Vec<u64>,
}

impl ConversionRows {
    /// All parts in the order of their streams.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Vec<u64>> {
        self.switches.iter().chain([&self.square])
    }
}

/// A conversion key, transformed.
#[derive(Debug)]
pub(crate) struct Converter {
    conversion: Conversion,
    /// One key switch for each step of the trace.
    switches: Vec<FourierGgsw>,
    /// The encryption of −s.
    square: FourierGgsw,
}

/// Steps of the trace.
pub(crate) fn steps(shape: &Shape) -> u32 {
    shape.dimension.ilog2()
}

/// The automorphism of step `step`, from 0.
fn exponent(shape: &Shape, step: u32) -> usize {
    (shape.dimension >> step) + 1
}

/// a(X^exponent), exponent odd.
fn automorphism(polynomial: &[u64], exponent: usize, out: &mut [u64]) {
    let dimension = polynomial.len();
    for (index, value) in polynomial.iter().enumerate() {
        let position = index * exponent % (2 * dimension);
        if position < dimension {
            out[position] = *value;
        } else {
            out[position - dimension] = value.wrapping_neg();
        }
    }
}

impl SecretKey {
    /// The bodies of a conversion key: for each step the rows of a key switch from s(X^e), then the GGSW rows of −s.
    pub(crate) fn encrypt_conversion(
        &self,
        fourier: &Fourier,
        conversion: &Conversion,
        seed: &Seed,
        noise: &mut NoiseSource,
    ) -> ConversionRows {
        let shape = self.shape();
        let mut work = fourier.workspace();
        let mut message = zeroize::Zeroizing::new(vec![0u64; shape.dimension]);
        let mut switches = Vec::new();
        for step in 0..steps(shape) {
            automorphism(self.bits(), exponent(shape, step), &mut message);
            let gadget = conversion.switch;
            let mut bodies =
                self.encrypt_zeros(fourier, seed, u64::from(step), gadget.levels, noise, &mut work);
            for (level, body) in bodies.chunks_exact_mut(shape.dimension).enumerate() {
                add_scaled(body, &message, gadget_factor(gadget, level).wrapping_neg());
            }
            round_to_bits(&mut bodies, conversion.body_bits);
            switches.push(bodies);
        }
        let gadget = conversion.square;
        let stream = u64::from(steps(shape));
        let mut square = self.encrypt_zeros(fourier, seed, stream, 2 * gadget.levels, noise, &mut work);
        message.fill(0);
        self.add_key_product(fourier, self.bits(), &mut message, &mut work);
        for (row, body) in square.chunks_exact_mut(shape.dimension).enumerate() {
            let factor = gadget_factor(gadget, row / 2);
            // Phases s²·g for the mask, −s·g for the body.
            match row % 2 {
                0 => add_scaled(body, &message, factor),
                _ => add_scaled(body, self.bits(), factor.wrapping_neg()),
            }
        }
        round_to_bits(&mut square, conversion.body_bits);
        work.wipe();
        ConversionRows { switches, square }
    }
}

impl Converter {
    /// Coefficients of each switch and of the square of a conversion key.
    pub(crate) fn part_lens(shape: &Shape, conversion: &Conversion) -> (usize, usize) {
        (conversion.switch.levels * shape.dimension, 2 * conversion.square.levels * shape.dimension)
    }

    pub(crate) fn new(
        fourier: &Fourier,
        shape: &Shape,
        conversion: Conversion,
        seed: &Seed,
        rows: &ConversionRows,
    ) -> Self {
        let mut work = fourier.workspace();
        let mut load = |stream: u64, bodies: &[u64]| {
            let mut masks = vec![0u64; bodies.len()];
            expand(seed, stream, &mut masks, &mut work.bytes);
            let mut matrix = FourierGgsw::default();
            let rows = masks.chunks_exact(shape.dimension).zip(bodies.chunks_exact(shape.dimension));
            matrix.fill(fourier, shape, rows, &mut work);
            matrix
        };
        let switches = (0..).zip(&rows.switches).map(|(stream, bodies)| load(stream, bodies)).collect();
        let square = load(u64::from(steps(shape)), &rows.square);
        Self { conversion, switches, square }
    }

    /// Makes the selector whose bit is the constant coefficient of `glwe`, which is left summed up.
    pub(crate) fn convert(
        &self,
        fourier: &Fourier,
        shape: &Shape,
        glwe: &mut [u64],
        selector: &mut FourierGgsw,
        work: &mut Workspace,
    ) {
        let mut image = vec![0u64; shape.glwe_len()];
        for (step, switch) in (0..).zip(&self.switches) {
            for (from, to) in glwe.chunks_exact(shape.dimension).zip(image.chunks_exact_mut(shape.dimension))
            {
                automorphism(from, exponent(shape, step), to);
            }
            let (mask, body) = image.split_at(shape.dimension);
            let own_body = &mut glwe[shape.dimension..];
            own_body.iter_mut().zip(body).for_each(|(own, image)| *own = own.wrapping_add(*image));
            multiply(fourier, shape, self.conversion.switch, &[mask], switch, glwe, work);
        }
        let mut row = vec![0u64; shape.glwe_len()];
        let (mask, body) = glwe.split_at(shape.dimension);
        multiply(fourier, shape, self.conversion.square, &[mask, body], &self.square, &mut row, work);
        let (row_mask, row_body) = row.split_at(shape.dimension);
        selector.fill(fourier, shape, [(row_mask, row_body), (mask, body)].into_iter(), work);
    }
}

/// out += Σ digits of `polynomials` · rows of `matrix`, level by level.
fn multiply(
    fourier: &Fourier,
    shape: &Shape,
    gadget: Gadget,
    polynomials: &[&[u64]],
    matrix: &FourierGgsw,
    out: &mut [u64],
    work: &mut Workspace,
) {
    let rows = polynomials.len() * gadget.levels;
    let mut transformed = std::mem::take(&mut work.digits);
    transformed.resize(fourier.blocks() * rows, Block::default());
    let mut rest = vec![0u64; shape.dimension];
    let mut digits = vec![0u64; shape.dimension];
    for (column, polynomial) in polynomials.iter().enumerate() {
        round(polynomial, gadget, &mut rest);
        for level in (0..gadget.levels).rev() {
            next_digit(&mut rest, gadget.base_log2, &mut digits);
            let row = level * polynomials.len() + column;
            fourier.forward_words(&digits, &mut transformed[row..], rows, work);
        }
    }
    let mut sums = std::mem::take(&mut work.sums);
    let columns = shape.rank + 1;
    sums.resize(fourier.blocks() * columns, Block::default());
    let products = Products { digits: &transformed, matrix: matrix.blocks(), sums: &mut sums, rows, columns };
    products.run(fourier.arch);
    let (values, stack, _, _) = work.split();
    for (column, out) in out.chunks_exact_mut(shape.dimension).enumerate() {
        fourier.add_backward_torus(&sums[column..], columns, out, values, stack);
    }
    (work.digits, work.sums) = (transformed, sums);
}

/// The gadget's leading bits as signed numbers, ties to the even neighbour.
fn round(polynomial: &[u64], gadget: Gadget, out: &mut [u64]) {
    #[allow(clippy::cast_possible_truncation)] // a few levels
    let dropped = 64 - gadget.base_log2 * gadget.levels as u32;
    let below_half = (1u64 << (dropped - 1)) - 1;
    for (out, value) in out.iter_mut().zip(polynomial) {
        let rounded = value.wrapping_add(below_half).wrapping_add(value >> dropped & 1);
        *out = (rounded.cast_signed() >> dropped).cast_unsigned();
    }
}

/// Takes the lowest digit, in [−2^(β−1), 2^(β−1)), off each number.
fn next_digit(rest: &mut [u64], base_log2: u32, digits: &mut [u64]) {
    let unused = 64 - base_log2;
    for (digit, rest) in digits.iter_mut().zip(rest) {
        let value = (*rest << unused).cast_signed() >> unused;
        *digit = value.cast_unsigned();
        *rest = (rest.wrapping_sub(*digit).cast_signed() >> base_log2).cast_unsigned();
    }
}

/// The torus element of a level, from 0.
fn gadget_factor(gadget: Gadget, level: usize) -> u64 {
    #[allow(clippy::cast_possible_truncation)] // a few levels
    let shift = gadget.base_log2 * (level as u32 + 1);
    1 << (64 - shift)
}

fn add_scaled(out: &mut [u64], polynomial: &[u64], factor: u64) {
    for (out, value) in out.iter_mut().zip(polynomial) {
        *out = out.wrapping_add(value.wrapping_mul(factor));
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::crypto::ParameterSet;

    #[test]
    fn a_constant_coefficient_becomes_a_selector() {
        let shape = ParameterSet::SmallQuery.shape();
        let conversion = shape.conversion.unwrap();
        let fourier = Fourier::new(shape.dimension);
        let mut noise = NoiseSource::new(&mut ChaCha20Rng::seed_from_u64(1));
        let key = SecretKey::generate(shape, &fourier, &mut noise);
        let parts = key.encrypt_conversion(&fourier, &conversion, &[1; 32], &mut noise);
        let converter = Converter::new(&fourier, &shape, conversion, &[1; 32], &parts);
        let mut work = fourier.workspace();
        let (mut total, samples) = (0.0, 12);
        for sample in 0..samples {
            let bit = u64::from(sample) & 1;
            // Anything may stand beside the constant coefficient.
            let mut message: Vec<u64> = (0..2_048).map(|index| (index & 3) << shape.monomial_log2).collect();
            message[0] = bit << shape.monomial_log2;
            let seed = [sample; 32];
            let body = key.encrypt_polynomial(&fourier, &message, &seed, 0, &mut noise, &mut work);
            let mut glwe = vec![0; shape.key_len()];
            expand(&seed, 0, &mut glwe, &mut vec![]);
            glwe.extend_from_slice(&body);
            let mut selector = FourierGgsw::default();
            converter.convert(&fourier, &shape, &mut glwe, &mut selector, &mut work);

            let mut left = vec![0; shape.glwe_len()];
            expand(&seed, 9, &mut left, &mut vec![]);
            let mut product = vec![0u64; shape.glwe_len()];
            selector.load_digits(&fourier, &shape, &left, &product, &mut work).unwrap();
            selector.add_product(&fourier, &shape, &mut product, &mut work);
            for position in [0, 1, 7, 100, 1_024, 2_000, 2_047] {
                let phase = |glwe: &[u64]| {
                    let inner = key.inner_coefficient(&glwe[..shape.key_len()], position);
                    glwe[shape.key_len() + position].wrapping_sub(inner)
                };
                let error = phase(&product).wrapping_sub(phase(&left).wrapping_mul(bit)).cast_signed();
                total += (error as f64 / crate::crypto::TWO_64).powi(2) / 7.0 / f64::from(samples);
            }
        }
        let planned = shape.product_variance();
        assert!(
            total < planned * 1.3 && total > planned / 16.0,
            "2^{} of 2^{}",
            total.log2(),
            planned.log2()
        );
    }
}
