//! Rows in safe Rust, for every processor.

use super::rows::Rows;

/// Rows of `u64`×`u64`→`u128`.
#[derive(Clone, Copy)]
pub(crate) struct PortableRows;

impl Rows for PortableRows {
    const STEP: usize = 1;
    const KARATSUBA: usize = 32;

    #[inline]
    fn add_row(self, row: &mut [u64], a: &[u64], b: u64) -> u64 {
        let mut carry = 0;
        for (x, &y) in row.iter_mut().zip(a) {
            (*x, carry) = y.carrying_mul_add(b, *x, carry);
        }
        carry
    }
}
