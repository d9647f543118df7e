//! The loops that evaluation spends its time in, compiled for the vector units that the processor has.
//!
//! Fourier coefficients are kept as eight real and then eight imaginary parts ([`Lanes`]), so that complex products
//! need no shuffles, and in the order in which the inner loop reads them.

use pulp::{Arch, Simd, WithSimd};

/// Values per [`Lanes`]: the widest vector unit's.
pub(crate) const LANES: usize = 8;

/// Eight values, aligned to a cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f64; LANES]);

/// One complex block: eight real parts, eight imaginary parts.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Block {
    pub(crate) re: Lanes,
    pub(crate) im: Lanes,
}

/// `sums[v][c]` = Σ `digits[v][r]` · `matrix[v][c][r]` over r for each block v of `blocks` Fourier coefficients: the pointwise
/// part of an external product, `rows` by `columns`.
pub(crate) struct Products<'a> {
    pub(crate) digits: &'a [Block],
    pub(crate) matrix: &'a [Block],
    pub(crate) sums: &'a mut [Block],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Products<'_> {
    pub(crate) fn run(self, arch: Arch) {
        match self.rows {
            // The usual shapes get loops of constant length.
            1 => arch.dispatch(Fixed::<1>(self)),
            2 => arch.dispatch(Fixed::<2>(self)),
            4 => arch.dispatch(Fixed::<4>(self)),
            5 => arch.dispatch(Fixed::<5>(self)),
            7 => arch.dispatch(Fixed::<7>(self)),
            8 => arch.dispatch(Fixed::<8>(self)),
            10 => arch.dispatch(Fixed::<10>(self)),
            _ => arch.dispatch(Fixed::<0>(self)),
        }
    }
}

/// A product whose number of rows is R, or unknown where R is 0.
struct Fixed<'a, const R: usize>(Products<'a>);

impl<const R: usize> WithSimd for Fixed<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Products { digits, matrix, sums, rows, columns } = self.0;
        let rows = if R == 0 { rows } else { R };
        let blocks = digits.chunks_exact(rows).zip(matrix.chunks_exact(rows * columns));
        for ((digits, matrix), sums) in blocks.zip(sums.chunks_exact_mut(columns)) {
            for (column, sum) in matrix.chunks_exact(rows).zip(sums) {
                multiply_add::<S>(simd, digits, column, sum);
            }
        }
    }
}

/// sum = Σ digits · column, all of one block.
#[inline(always)]
fn multiply_add<S: Simd>(simd: S, digits: &[Block], column: &[Block], sum: &mut Block) {
    let (sum_re, _) = S::as_mut_simd_f64s(&mut sum.re.0);
    let (sum_im, _) = S::as_mut_simd_f64s(&mut sum.im.0);
    for (lane, (sum_re, sum_im)) in sum_re.iter_mut().zip(sum_im).enumerate() {
        let (mut re, mut im) = (simd.splat_f64s(0.0), simd.splat_f64s(0.0));
        let (mut re_minus, mut im_other) = (re, im);
        for (digit, entry) in digits.iter().zip(column) {
            let (digit_re, _) = S::as_simd_f64s(&digit.re.0);
            let (digit_im, _) = S::as_simd_f64s(&digit.im.0);
            let (entry_re, _) = S::as_simd_f64s(&entry.re.0);
            let (entry_im, _) = S::as_simd_f64s(&entry.im.0);
            let (a, b, c, d) = (digit_re[lane], digit_im[lane], entry_re[lane], entry_im[lane]);
            re = simd.mul_add_e_f64s(a, c, re);
            re_minus = simd.mul_add_e_f64s(b, d, re_minus);
            im = simd.mul_add_e_f64s(a, d, im);
            im_other = simd.mul_add_e_f64s(b, c, im_other);
        }
        *sum_re = simd.sub_f64s(re, re_minus);
        *sum_im = simd.add_f64s(im, im_other);
    }
}
