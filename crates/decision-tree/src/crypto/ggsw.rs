//! GGSW ciphertexts in the Fourier domain and their external product.

use super::kernels::{Block, Products};
use super::{Fourier, Shape, Workspace};

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

    /// Decomposes and transforms left − right, for [`Self::add_product`].
    pub(crate) fn load_digits(
        &self,
        fourier: &Fourier,
        shape: &Shape,
        left: &[u64],
        right: &[u64],
        work: &mut Workspace,
    ) {
        let (rows, columns) = (shape.rows(), shape.rank + 1);
        let (values, stack, digits, _, difference) = work.split();
        digits.resize(fourier.blocks() * rows, Block::default());
        let polynomials = left.chunks_exact(shape.dimension).zip(right.chunks_exact(shape.dimension));
        for (column, (left, right)) in polynomials.enumerate() {
            for level in 0..shape.levels {
                decompose(fourier, shape, level, left, right, difference);
                let row = level * columns + column;
                fourier.forward_integers(difference, &mut digits[row..], rows, values, stack);
            }
        }
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
        let (values, stack, digits, sums, _) = work.split();
        digits.truncate(fourier.blocks() * rows);
        sums.resize(fourier.blocks() * columns, Block::default());
        Products { digits, matrix: &self.matrix, sums, rows, columns }.run(fourier.arch);
        for (column, out) in out.chunks_exact_mut(shape.dimension).enumerate() {
            fourier.add_backward_torus(&sums[column..], columns, out, values, stack);
        }
    }
}

/// Digit `level` (0 is the most significant) of the balanced decomposition of left − right, rounded to the gadget's
/// βℓ leading bits. With one or two levels digits lie in [−2^(β−1), 2^(β−1)].
///
/// Ties go to the even neighbour. They are not rare: sums come back from the transform with 53 bits, so that only a
/// few of the bits that are dropped here are ever set, and rounding halves up would shift all coefficients the same
/// way, product after product.
fn decompose(
    fourier: &Fourier,
    shape: &Shape,
    level: usize,
    left: &[u64],
    right: &[u64],
    digits: &mut [i32],
) {
    let base = shape.base_log2;
    #[allow(clippy::cast_possible_truncation)] // one or two levels, at most 32 bits
    let kept = base * shape.levels as u32;
    let below_half = (1u64 << (63 - kept)) - 1;
    let (two_levels, top) = (shape.levels == 2, level == 0);
    fourier.arch.dispatch(
        #[inline(always)]
        || {
            for ((digit, left), right) in digits.iter_mut().zip(left).zip(right) {
                let difference = left.wrapping_sub(*right);
                let odd = difference >> (64 - kept) & 1;
                #[allow(clippy::cast_possible_truncation)] // the upper half
                let upper = (difference.wrapping_add(below_half + odd) >> 32) as u32;
                let rounded = upper.cast_signed() >> (32 - kept);
                *digit = if two_levels {
                    let low = (rounded << (32 - base)) >> (32 - base);
                    if top { rounded.wrapping_sub(low) >> base } else { low }
                } else {
                    rounded
                };
            }
        },
    );
}
