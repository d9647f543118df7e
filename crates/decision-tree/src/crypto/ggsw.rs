//! GGSW ciphertexts in the Fourier domain and their external product.

use super::kernels::{Block, Products};
use super::{Fourier, Shape, Workspace};
use crate::{Error, Result};

/// A GGSW ciphertext, transformed and laid out for [`FourierGgsw::add_product`].
#[derive(Debug, Default)]
pub(crate) struct FourierGgsw {
    /// [block][column][row]
    matrix: Vec<Block>,
}

impl FourierGgsw {
    /// Transforms GLWE ciphertexts, each as masks and body, in the order of [`super`]; the memory is used again.
    pub(crate) fn fill<'a>(
        &mut self,
        fourier: &Fourier,
        shape: &Shape,
        rows: impl ExactSizeIterator<Item = (&'a [u64], &'a [u64])>,
        work: &mut Workspace,
    ) {
        let (count, columns) = (rows.len(), shape.rank + 1);
        let stride = count * columns;
        self.matrix.resize(fourier.blocks() * stride, Block::default());
        for (row, (masks, body)) in rows.enumerate() {
            let polynomials = masks.chunks_exact(shape.dimension).chain([body]);
            for (column, polynomial) in polynomials.enumerate() {
                let first = column * count + row;
                fourier.forward_torus(polynomial, &mut self.matrix[first..], stride, work);
            }
        }
    }

    pub(super) fn blocks(&self) -> &[Block] {
        &self.matrix
    }

    /// Whether [`Self::fill`] has been called.
    pub(crate) fn is_filled(&self) -> bool {
        !self.matrix.is_empty()
    }

    /// Decomposes and transforms left − right, for [`Self::add_product`].
    ///
    /// # Errors
    /// [`Error::Internal`] for a gadget that no parameter set has.
    pub(crate) fn load_digits(
        &self,
        fourier: &Fourier,
        shape: &Shape,
        left: &[u64],
        right: &[u64],
        work: &mut Workspace,
    ) -> Result<()> {
        let (rows, columns) = (shape.rows(), shape.rank + 1);
        let (values, stack, digits, _) = work.split();
        digits.resize(fourier.blocks() * rows, Block::default());
        let polynomials = left.chunks_exact(shape.dimension).zip(right.chunks_exact(shape.dimension));
        for (column, pair) in polynomials.enumerate() {
            for level in 0..shape.levels {
                let out = (&mut digits[level * columns + column..], rows);
                match (shape.base_log2, shape.levels, level) {
                    (23, 1, _) => fourier.forward_differences(pair, rounded::<23>, out, values, stack),
                    (13, 1, _) => fourier.forward_differences(pair, rounded::<13>, out, values, stack),
                    (16, 2, 0) => fourier.forward_differences(pair, upper::<16>, out, values, stack),
                    (16, 2, 1) => fourier.forward_differences(pair, lower::<16>, out, values, stack),
                    _ => return Err(Error::Internal { place: "digits: no parameter set has this gadget" }),
                }
            }
        }
        Ok(())
    }

    /// out += self ⊡ (left − right) for what was loaded last: an encryption of the two messages' product.
    pub(crate) fn add_product(
        &self,
        fourier: &Fourier,
        shape: &Shape,
        out: &mut [u64],
        work: &mut Workspace,
    ) {
        self.add_matrix_product(fourier, shape, shape.rows(), out, work);
    }

    /// out += Σ uₗ·rowₗ for small integer polynomials u, flat.
    pub(crate) fn add_combination<'a>(
        fourier: &Fourier,
        shape: &Shape,
        rows: impl ExactSizeIterator<Item = (&'a [u64], &'a [u64])>,
        factors: &[u64],
        out: &mut [u64],
        work: &mut Workspace,
    ) {
        let count = rows.len();
        let mut matrix = Self::default();
        matrix.fill(fourier, shape, rows, work);
        let mut digits = std::mem::take(&mut work.digits);
        digits.resize(fourier.blocks() * count, Block::default());
        for (row, factor) in factors.chunks_exact(shape.dimension).enumerate() {
            fourier.forward_words(factor, &mut digits[row..], count, work);
        }
        work.digits = digits;
        matrix.add_matrix_product(fourier, shape, count, out, work);
    }

    fn add_matrix_product(
        &self,
        fourier: &Fourier,
        shape: &Shape,
        rows: usize,
        out: &mut [u64],
        work: &mut Workspace,
    ) {
        let columns = shape.rank + 1;
        let (values, stack, digits, sums) = work.split();
        digits.truncate(fourier.blocks() * rows);
        sums.resize(fourier.blocks() * columns, Block::default());
        Products { digits, matrix: &self.matrix, sums, rows, columns }.run(fourier.arch);
        for (column, out) in out.chunks_exact_mut(shape.dimension).enumerate() {
            fourier.add_backward_torus(&sums[column..], columns, out, values, stack);
        }
    }
}

/// The KEPT leading bits, at most 32, as a signed number, rounded to the nearest.
///
/// Ties go to the even neighbour. They are not rare: sums come back from the transform with 53 bits, so that only a
/// few of the bits that are dropped here are ever set, and rounding halves up would shift all coefficients the same
/// way, product after product.
#[inline(always)]
fn rounded<const KEPT: u32>(torus: u64) -> i32 {
    let odd = torus >> (64 - KEPT) & 1;
    let rounded = torus.wrapping_add((1u64 << (63 - KEPT)) - 1).wrapping_add(odd);
    #[allow(clippy::cast_possible_truncation)] // the upper half
    let upper = (rounded >> 32) as u32;
    upper.cast_signed() >> (32 - KEPT)
}

/// The second digit of two of β = 16 bits, in [−2^(β−1), 2^(β−1)).
#[inline(always)]
fn lower<const BASE: u32>(torus: u64) -> i32 {
    (rounded::<32>(torus) << (32 - BASE)) >> (32 - BASE)
}

/// The first digit of two of β = 16 bits, in [−2^(β−1), 2^(β−1)]; both ends are the same on the torus.
#[inline(always)]
fn upper<const BASE: u32>(torus: u64) -> i32 {
    rounded::<32>(torus).wrapping_sub(lower::<BASE>(torus)) >> BASE
}
