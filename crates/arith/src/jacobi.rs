//! The Jacobi symbol, in variable time: for public numbers.

use num_bigint::BigUint;
use num_traits::Zero;

/// Computes the Jacobi symbol (a/n): 1, −1, or 0 if a and n have a common divisor. Returns 0 also for an even n, for
/// which it is not defined.
///
/// Euclid's algorithm with the law of reciprocity (Cohen, *A Course in Computational Algebraic Number Theory*,
/// algorithm 1.4.10), on words as soon as the numbers fit.
///
/// ```
/// use subrosa_arith::jacobi::jacobi;
///
/// // 2 = 3² mod 7 is a square, 3 is not, 14 has a common divisor with 7.
/// assert_eq!([2_u8, 3, 14].map(|a| jacobi(&a.into(), &7_u8.into())), [1, -1, 0]);
/// ```
#[doc(alias("Legendre symbol", "quadratic residue"))]
pub fn jacobi(a: &BigUint, n: &BigUint) -> i8 {
    if !n.bit(0) {
        return 0;
    }
    let mut n = n.clone();
    let mut a = a % &n;
    let mut negative = false;
    loop {
        if let (Some(small_a), Some(small_n)) = (word(&a), word(&n)) {
            return signed(jacobi_u64(small_a, small_n), negative);
        }
        let Some(twos) = a.trailing_zeros() else {
            // n has more than 64 bits here, so that the common divisor is not 1.
            return 0;
        };
        let n_low = low_word(&n);
        if twos % 2 == 1 && matches!(n_low % 8, 3 | 5) {
            negative = !negative;
        }
        a >>= twos;
        if low_word(&a) % 4 == 3 && n_low % 4 == 3 {
            negative = !negative;
        }
        n %= &a;
        std::mem::swap(&mut a, &mut n);
    }
}

/// As [`jacobi`] for words.
pub fn jacobi_u64(a: u64, n: u64) -> i8 {
    if n.is_multiple_of(2) {
        return 0;
    }
    let (mut a, mut n) = (a % n, n);
    let mut negative = false;
    while a != 0 {
        let twos = a.trailing_zeros();
        a >>= twos;
        if twos % 2 == 1 && matches!(n % 8, 3 | 5) {
            negative = !negative;
        }
        if a % 4 == 3 && n % 4 == 3 {
            negative = !negative;
        }
        (a, n) = (n % a, a);
    }
    if n == 1 { signed(1, negative) } else { 0 }
}

fn signed(symbol: i8, negative: bool) -> i8 {
    if negative { -symbol } else { symbol }
}

fn low_word(x: &BigUint) -> u64 {
    x.iter_u64_digits().next().unwrap_or(0)
}

fn word(x: &BigUint) -> Option<u64> {
    if x.is_zero() { Some(0) } else { u64::try_from(x).ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Legendre symbols by counting squares, multiplied over the factors: the definition.
    fn by_definition(a: u64, n: u64) -> i8 {
        let (mut symbol, mut rest, mut p) = (1, n, 3);
        while rest > 1 {
            while rest % p == 0 {
                rest /= p;
                symbol *= if a.is_multiple_of(p) {
                    0
                } else if (1..p).any(|x| x * x % p == a % p) {
                    1
                } else {
                    -1
                };
            }
            p += 2;
        }
        symbol
    }

    #[test]
    fn small_symbols_follow_the_definition() {
        for n in (1..200).step_by(2) {
            for a in 0..n + 5 {
                assert_eq!(jacobi_u64(a, n), by_definition(a, n), "({a}/{n})");
                assert_eq!(jacobi(&a.into(), &n.into()), by_definition(a, n), "({a}/{n})");
            }
        }
        assert_eq!(jacobi(&3u8.into(), &8u8.into()), 0);
        assert_eq!(jacobi_u64(3, 8), 0);
    }

    proptest! {
        #[test]
        fn symbols_multiply_and_squares_have_one(
            a in prop::collection::vec(any::<u32>(), 1..40),
            b in prop::collection::vec(any::<u32>(), 1..40),
            n in prop::collection::vec(any::<u32>(), 1..40),
        ) {
            let (a, b) = (BigUint::new(a), BigUint::new(b));
            let mut n = BigUint::new(n);
            n.set_bit(0, true);
            prop_assert_eq!(jacobi(&a, &n) * jacobi(&b, &n), jacobi(&(&a * &b), &n));
            prop_assert_eq!(jacobi(&(&a * &a), &n), jacobi(&a, &n).abs());
            // (a/n) for a prime that is small: Euler's criterion, through reciprocity, is independent of the size.
            let q = 1_000_003u64;
            let mod_q = u64::try_from(&n % q).unwrap();
            let flip = q % 4 == 3 && (&n % 4u8) == 3u8.into();
            prop_assert_eq!(jacobi(&q.into(), &n), if flip { -jacobi_u64(mod_q, q) } else { jacobi_u64(mod_q, q) });
        }
    }
}
