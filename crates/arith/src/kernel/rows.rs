//! Schoolbook multiplication, squaring and Montgomery reduction on 64-bit words, made of rows; Karatsuba above a size.
//!
//! What a row is done with is the type parameter.
//! No branch, index or address depends on a word's value.

use crate::ct;

/// One step of schoolbook multiplication.
pub(crate) trait Rows: Copy {
    /// The number of words of a row is a positive multiple of this.
    const STEP: usize;

    /// From this number of words on, Karatsuba's formula is faster than rows.
    const KARATSUBA: usize;

    /// `row += a·b`; returns the word that is carried out. `row` and `a` have the same length.
    fn add_row(self, row: &mut [u64], a: &[u64], b: u64) -> u64;
}

/// Words of scratch space for products and squares of `n` words.
pub(crate) const fn scratch_words(n: usize) -> usize {
    // At each level 3h + 1 for h = n/2; in all below 3n + log n.
    3 * n + 64
}

/// Whether operands of `n` words are to be halved.
fn splits<R: Rows>(n: usize) -> bool {
    n >= R::KARATSUBA && n.is_multiple_of(2 * R::STEP)
}

/// `product = a·b`; `product` has twice the words of `a` and of `b`.
pub(crate) fn multiply<R: Rows>(rows: R, product: &mut [u64], a: &[u64], b: &[u64], scratch: &mut [u64]) {
    let n = a.len();
    if !splits::<R>(n) {
        product.fill(0);
        for (i, &word) in b.iter().enumerate() {
            product[i + n] = rows.add_row(&mut product[i..i + n], a, word);
        }
        return;
    }
    let h = n / 2;
    let ((a0, a1), (b0, b1)) = (a.split_at(h), b.split_at(h));
    // a0·b1 + a1·b0 = a0·b0 + a1·b1 − (a0 − a1)·(b0 − b1). The two differences lie where the product will be.
    let (middle, rest) = scratch.split_at_mut(2 * h + 1);
    let (difference_a, difference_b) = product[..n].split_at_mut(h);
    let negative = distance(difference_a, a0, a1) ^ distance(difference_b, b0, b1);
    multiply(rows, &mut middle[..2 * h], difference_a, difference_b, rest);
    let (low, high) = product.split_at_mut(n);
    multiply(rows, low, a0, b0, rest);
    multiply(rows, high, a1, b1, rest);
    add_middle(product, middle, rest, !negative);
}

/// `product = a²`.
pub(crate) fn square<R: Rows>(rows: R, product: &mut [u64], a: &[u64], scratch: &mut [u64]) {
    let n = a.len();
    if !splits::<R>(n) {
        square_by_rows(rows, product, a);
        return;
    }
    let h = n / 2;
    let (a0, a1) = a.split_at(h);
    let (middle, rest) = scratch.split_at_mut(2 * h + 1);
    let _ = distance(&mut product[..h], a0, a1);
    square(rows, &mut middle[..2 * h], &product[..h], rest);
    let (low, high) = product.split_at_mut(n);
    square(rows, low, a0, rest);
    square(rows, high, a1, rest);
    add_middle(product, middle, rest, u64::MAX);
}

/// Montgomery reduction: leaves `product`/2^(64n) mod m in the upper half of `product`, up to one subtraction of m
/// where the returned carry is 1 or the half is not below m. `negated_inverse` is −m⁻¹ mod 2^64.
pub(crate) fn reduce<R: Rows>(rows: R, product: &mut [u64], m: &[u64], negated_inverse: u64) -> u64 {
    let n = m.len();
    let mut carry = false;
    for i in 0..n {
        let q = product[i].wrapping_mul(negated_inverse);
        let row_carry = rows.add_row(&mut product[i..i + n], m, q);
        (product[i + n], carry) = product[i + n].carrying_add(row_carry, carry);
    }
    u64::from(carry)
}

/// The products of words of different blocks by rows, doubled; then the squares of the blocks.
fn square_by_rows<R: Rows>(rows: R, product: &mut [u64], a: &[u64]) {
    let n = a.len();
    product.fill(0);
    for (i, &word) in a.iter().enumerate() {
        let next_block = (i / R::STEP + 1) * R::STEP;
        if next_block < n {
            product[i + n] = rows.add_row(&mut product[i + next_block..i + n], &a[next_block..], word);
        }
    }
    let (mut shifted_out, mut carry) = (0, false);
    for (columns, block) in product.chunks_exact_mut(2 * R::STEP).zip(a.chunks_exact(R::STEP)) {
        let mut squared = [0u64; 8];
        square_block(&mut squared[..2 * R::STEP], block);
        for (column, &word) in columns.iter_mut().zip(&squared) {
            let doubled = (*column << 1) | shifted_out;
            shifted_out = *column >> 63;
            (*column, carry) = doubled.carrying_add(word, carry);
        }
    }
}

/// The square of at most four words.
#[inline(always)]
fn square_block(squared: &mut [u64], block: &[u64]) {
    let n = block.len();
    for i in 0..n {
        let mut carry = 0;
        for j in 0..n {
            (squared[i + j], carry) = block[j].carrying_mul_add(block[i], squared[i + j], carry);
        }
        squared[i + n] = carry;
    }
}

/// `out = |a − b|`; returns all ones where a < b, else 0.
fn distance(out: &mut [u64], a: &[u64], b: &[u64]) -> u64 {
    let mut borrow = false;
    for ((out, &x), &y) in out.iter_mut().zip(a).zip(b) {
        (*out, borrow) = x.borrowing_sub(y, borrow);
    }
    let negative = ct::mask(u64::from(borrow));
    let mut carry = borrow;
    for out in out {
        (*out, carry) = (*out ^ negative).carrying_add(0, carry);
    }
    negative
}

/// `product += (low + high ± middle)·2^(64h)` for the two halves of `product`: minus where `subtract` is all ones, plus
/// where it is 0. `middle` has a word more than the halves' sum needs.
fn add_middle(product: &mut [u64], middle: &mut [u64], scratch: &mut [u64], subtract: u64) {
    let n = product.len() / 2;
    // low + high first, into the scratch space, since the additions below change both.
    let sum = &mut scratch[..n + 1];
    let mut carry = false;
    for ((out, &x), &y) in sum.iter_mut().zip(&product[..n]).zip(&product[n..]) {
        (*out, carry) = x.carrying_add(y, carry);
    }
    sum[n] = u64::from(carry);
    middle[n] = 0;
    let mut carry = subtract & 1 == 1;
    for (out, &x) in sum.iter_mut().zip(&*middle) {
        (*out, carry) = out.carrying_add(x ^ subtract, carry);
    }
    let mut carry = false;
    let (inner, top) = product[n / 2..].split_at_mut(n + 1);
    for (out, &x) in inner.iter_mut().zip(&*sum) {
        (*out, carry) = out.carrying_add(x, carry);
    }
    for out in top {
        (*out, carry) = out.carrying_add(0, carry);
    }
}
