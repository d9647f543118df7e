//! Schoolbook multiplication, squaring and Montgomery reduction on 64-bit words in safe Rust.

/// `a·b + c + carry` as (low, high); never overflows.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the two halves of a double word")]
const fn multiply_add(a: u64, b: u64, c: u64, carry: u64) -> (u64, u64) {
    let t = (a as u128) * (b as u128) + (c as u128) + (carry as u128);
    (t as u64, (t >> 64) as u64)
}

/// `row += a·b`; returns the word that is carried out. `row` and `a` have the same length.
#[inline(always)]
fn add_row(row: &mut [u64], a: &[u64], b: u64) -> u64 {
    let mut carry = 0;
    for (x, &y) in row.iter_mut().zip(a) {
        (*x, carry) = multiply_add(y, b, *x, carry);
    }
    carry
}

/// `product = a·b`; `product` has twice the words of `a` and of `b`.
pub(crate) fn multiply(product: &mut [u64], a: &[u64], b: &[u64]) {
    let n = a.len();
    product.fill(0);
    for (i, &word) in b.iter().enumerate() {
        product[i + n] = add_row(&mut product[i..i + n], a, word);
    }
}

/// `product = a²`: the products of different words once and doubled, then the squares of the words.
pub(crate) fn square(product: &mut [u64], a: &[u64]) {
    let n = a.len();
    product.fill(0);
    for (i, &word) in a.iter().enumerate() {
        product[i + n] = add_row(&mut product[2 * i + 1..i + n], &a[i + 1..], word);
    }
    let (mut shifted_out, mut carry) = (0, 0);
    for (pair, &word) in product.chunks_exact_mut(2).zip(a) {
        let (low, high) = multiply_add(word, word, carry, 0);
        let doubled_low = (pair[0] << 1) | shifted_out;
        let doubled_high = (pair[1] << 1) | (pair[0] >> 63);
        shifted_out = pair[1] >> 63;
        let (low, over) = low.overflowing_add(doubled_low);
        let (high, over_1) = high.overflowing_add(doubled_high);
        let (high, over_2) = high.overflowing_add(u64::from(over));
        (pair[0], pair[1]) = (low, high);
        carry = u64::from(over_1) + u64::from(over_2);
    }
}

/// Montgomery reduction: leaves `product`/2^(64n) mod m in the upper half of `product`, up to one subtraction of m
/// when the returned carry is 1 or the half is not below m. `negated_inverse` is −m⁻¹ mod 2^64.
pub(crate) fn reduce(product: &mut [u64], m: &[u64], negated_inverse: u64) -> u64 {
    let n = m.len();
    let mut carry = 0;
    for i in 0..n {
        let q = product[i].wrapping_mul(negated_inverse);
        let row_carry = add_row(&mut product[i..i + n], m, q);
        let (sum, over_1) = product[i + n].overflowing_add(row_carry);
        let (sum, over_2) = sum.overflowing_add(carry);
        product[i + n] = sum;
        carry = u64::from(over_1 | over_2);
    }
    carry
}
