//! Numbers as arrays of words, lowest first, each word holding `BITS` ≤ 64 bits.
//!
//! The kernels differ in the width of their words (64 bits, or 52 for the vector unit); everything that is not a
//! multiplication is written once, here, for both. The loops run over the full public length and have no branch
//! that depends on a word's value, except in the conversions, which are as variable-time as `num-bigint` is.

use num_bigint::BigUint;

use crate::ct;

/// Ones in the lowest `bits` places.
#[inline(always)]
pub(crate) const fn low_mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// Splits `x` into `count` words; what does not fit is cut off, which callers exclude by reducing first.
pub(crate) fn split(x: &BigUint, count: usize, bits: u32) -> Vec<u64> {
    let mut out = vec![0u64; count];
    if bits == 64 {
        for (word, digit) in out.iter_mut().zip(x.iter_u64_digits()) {
            *word = digit;
        }
        return out;
    }
    let mut digits = x.iter_u64_digits();
    let (mut window, mut filled) = (0u128, 0u32);
    for word in &mut out {
        if filled < bits {
            window |= u128::from(digits.next().unwrap_or(0)) << filled;
            filled += 64;
        }
        *word = low(window) & low_mask(bits);
        window >>= bits;
        filled -= bits;
    }
    out
}

/// The inverse of [`split`].
pub(crate) fn join(words: &[u64], bits: u32) -> BigUint {
    let mut digits = Vec::with_capacity(words.len() * 2);
    let (mut window, mut filled) = (0u128, 0u32);
    for &word in words {
        window |= u128::from(word) << filled;
        filled += bits;
        while filled >= 32 {
            digits.push((low(window) & 0xffff_ffff) as u32);
            window >>= 32;
            filled -= 32;
        }
    }
    digits.push((low(window) & 0xffff_ffff) as u32);
    BigUint::new(digits)
}

/// Writes a number in words of `to` bits that has words of `from` bits, without a look at their values. What does not fit is
/// cut off.
pub(crate) fn repack(out: &mut [u64], to: u32, words: &[u64], from: u32) {
    let mut words = words.iter();
    let (mut window, mut filled) = (0u128, 0u32);
    for out in out {
        while filled < to {
            window |= u128::from(words.next().copied().unwrap_or(0)) << filled;
            filled += from;
        }
        *out = low(window) & low_mask(to);
        window >>= to;
        filled -= to;
    }
}

/// The lower half of a double word.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
pub(crate) const fn low(x: u128) -> u64 {
    x as u64
}

/// `a += b`; returns the carry out.
pub(crate) fn add_assign<const BITS: u32>(a: &mut [u64], b: &[u64]) -> u64 {
    let mut carry = 0u64;
    for (x, &y) in a.iter_mut().zip(b) {
        let sum = u128::from(*x) + u128::from(y) + u128::from(carry);
        *x = low(sum) & low_mask(BITS);
        carry = low(sum >> BITS);
    }
    carry
}

/// `a -= b & keep`, `keep` being all ones or all zeros; returns the borrow out.
pub(crate) fn sub_assign_masked<const BITS: u32>(a: &mut [u64], b: &[u64], keep: u64) -> u64 {
    let mut borrow = 0u64;
    for (x, &y) in a.iter_mut().zip(b) {
        let difference = u128::from(*x).wrapping_sub(u128::from(y & keep)).wrapping_sub(u128::from(borrow));
        *x = low(difference) & low_mask(BITS);
        borrow = low(difference >> 127);
    }
    borrow
}

/// 1 if `a < b`, else 0.
pub(crate) fn less_than<const BITS: u32>(a: &[u64], b: &[u64]) -> u64 {
    let mut borrow = 0u64;
    for (&x, &y) in a.iter().zip(b) {
        let difference = u128::from(x).wrapping_sub(u128::from(y)).wrapping_sub(u128::from(borrow));
        borrow = low(difference >> 127);
    }
    borrow
}

/// Brings `carry·2^(BITS·len) + a`, which is below 2m, into [0, m).
pub(crate) fn reduce_once<const BITS: u32>(a: &mut [u64], carry: u64, m: &[u64]) {
    let at_least_m = carry | (1 ^ less_than::<BITS>(a, m));
    sub_assign_masked::<BITS>(a, m, ct::mask(at_least_m));
}

/// `a = a + b mod m` for `a`, `b` in [0, m).
pub(crate) fn add_mod<const BITS: u32>(a: &mut [u64], b: &[u64], m: &[u64]) {
    let carry = add_assign::<BITS>(a, b);
    reduce_once::<BITS>(a, carry, m);
}

/// `a = a − b mod m` for `a`, `b` in [0, m).
pub(crate) fn sub_mod<const BITS: u32>(a: &mut [u64], b: &[u64], m: &[u64]) {
    let borrow = sub_assign_masked::<BITS>(a, b, u64::MAX);
    let keep = ct::mask(borrow);
    let mut carry = 0u64;
    for (x, &y) in a.iter_mut().zip(m) {
        let sum = u128::from(*x) + u128::from(y & keep) + u128::from(carry);
        *x = low(sum) & low_mask(BITS);
        carry = low(sum >> BITS);
    }
}

/// `a = −a mod m` for `a` in [0, m).
pub(crate) fn neg_mod<const BITS: u32>(a: &mut [u64], m: &[u64]) {
    let nonzero = a.iter().fold(0u64, |acc, &x| acc | x);
    let keep = !ct::eq_mask(nonzero, 0);
    let mut borrow = 0u64;
    for (x, &y) in a.iter_mut().zip(m) {
        let difference = u128::from(y & keep).wrapping_sub(u128::from(*x)).wrapping_sub(u128::from(borrow));
        *x = low(difference) & low_mask(BITS);
        borrow = low(difference >> 127);
    }
}

/// What [`mul_small`] needs to know about the modulus; public, computed once.
#[derive(Clone)]
pub(crate) struct SmallMultiplier {
    /// ⌊2^(L+63)/m⌋ with L the bits of m; in (2^62, 2^64).
    reciprocal: u64,
    /// L + `PRODUCT_BITS` − 64: position of the 64 leading bits of a product; may be negative.
    shift: i64,
}

/// Multipliers of [`mul_small`] are below 2^`SMALL_BITS`.
pub(crate) const SMALL_BITS: u32 = 55;

/// With a multiplicand below 2m the product is below m·2^`PRODUCT_BITS`.
const PRODUCT_BITS: u32 = SMALL_BITS + 1;

impl SmallMultiplier {
    pub(crate) fn new(m: &BigUint) -> Self {
        let bits = m.bits();
        let reciprocal = (BigUint::from(1u8) << (bits + 63)) / m;
        Self {
            // m is no power of two (it is odd and at least 3), so the quotient is below 2^64.
            reciprocal: reciprocal.iter_u64_digits().next().unwrap_or(u64::MAX),
            shift: i64::try_from(bits).unwrap_or(i64::MAX) + i64::from(PRODUCT_BITS) - 64,
        }
    }
}

/// `a = a·c mod m` in [0, m) for `a` in [0, 2m) and `c` < 2^55, in a few passes over the words and without a branch on
/// the data.
///
/// The quotient q = ⌊a·c/m⌋ is estimated from the leading 64 bits of the product: with p = ⌊a·c/2^s⌋ < 2^64 for
/// s = L+56−64 and v = ⌊2^(L+63)/m⌋, q̂ = ⌊p·v/2^71⌋ satisfies a·c/m − 5/4 < q̂ ≤ a·c/m, since each of the two
/// truncations loses less than 2^(−7). So a·c − q̂·m lies in [0, 2m) and one masked subtraction ends it.
pub(crate) fn mul_small<const BITS: u32>(a: &mut [u64], c: u64, m: &[u64], small: &SmallMultiplier) {
    debug_assert!(c >> SMALL_BITS == 0);
    let mut carry = 0u64;
    for x in a.iter_mut() {
        let product = u128::from(*x) * u128::from(c) + u128::from(carry);
        *x = low(product) & low_mask(BITS);
        carry = low(product >> BITS);
    }
    let leading = leading_bits::<BITS>(a, carry, small.shift);
    let quotient = low((u128::from(leading) * u128::from(small.reciprocal)) >> (127 - PRODUCT_BITS));
    let (mut product_carry, mut borrow) = (0u64, 0u64);
    for (x, &y) in a.iter_mut().zip(m) {
        let product = u128::from(y) * u128::from(quotient) + u128::from(product_carry);
        product_carry = low(product >> BITS);
        let subtrahend = low(product) & low_mask(BITS);
        let difference = u128::from(*x).wrapping_sub(u128::from(subtrahend)).wrapping_sub(u128::from(borrow));
        *x = low(difference) & low_mask(BITS);
        borrow = low(difference >> 127);
    }
    let top = carry.wrapping_sub(product_carry).wrapping_sub(borrow);
    reduce_once::<BITS>(a, top & 1, m);
}

/// ⌊(top·2^(BITS·len) + a)/2^shift⌋, known to be below 2^64; a negative shift multiplies.
fn leading_bits<const BITS: u32>(a: &[u64], top: u64, shift: i64) -> u64 {
    let word = |i: usize| -> u64 {
        match i.cmp(&a.len()) {
            std::cmp::Ordering::Less => a[i],
            std::cmp::Ordering::Equal => top,
            std::cmp::Ordering::Greater => 0,
        }
    };
    let Ok(shift) = u64::try_from(shift) else {
        // A modulus below 2^8: the product has one or two words and fewer than 64 bits.
        return (word(0) | low(u128::from(word(1)) << BITS)) << shift.unsigned_abs();
    };
    let first = usize::try_from(shift / u64::from(BITS)).unwrap_or(usize::MAX);
    let offset = u32::try_from(shift % u64::from(BITS)).unwrap_or(0);
    let pair = u128::from(word(first)) | (u128::from(word(first + 1)) << BITS);
    let third = u128::from(word(first + 2));
    let mut value = pair >> offset;
    // Two words of 52 bits leave a gap below 64 bits once the offset passes 40.
    if 2 * BITS - offset < 64 {
        value |= third << (2 * BITS - offset);
    }
    low(value)
}

/// A window's digit as an index; digits have at most 32 bits.
pub(crate) fn index(digit: u64) -> usize {
    usize::try_from(digit).unwrap_or(usize::MAX)
}
