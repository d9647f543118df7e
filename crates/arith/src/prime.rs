//! Probable primes, for public numbers: field moduli, parameters, tests.

use num_bigint::BigUint;
use num_traits::One;
use rand_core::CryptoRng;

use crate::jacobi::{jacobi, jacobi_u64};
use crate::{Modulus, Residue, sample};

/// Primes that are tried as divisors first.
const SMALL_PRIMES: [u32; 54] = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193, 197, 199, 211, 223,
    227, 229, 233, 239, 241, 251,
];

/// Whether `n` passes the Baillie–PSW test: no small divisor, a strong probable prime to base 2, and a strong Lucas
/// probable prime (Baillie and Wagstaff 1980, Selfridge's parameters).
///
/// No composite is known that passes, and none exists below 2^64. Numbers that an adversary may have chosen want
/// [`is_probable_prime_with_rounds`]. Above 16,384 bits, where [`Modulus`] ends, it is Miller–Rabin to the prime bases up
/// to 251. Variable time.
#[doc(alias("Miller-Rabin", "Baillie-PSW", "primality"))]
pub fn is_probable_prime(n: &BigUint) -> bool {
    match small_divisor(n) {
        Some(verdict) => verdict,
        None => match Modulus::new(n) {
            Ok(modulus) => {
                strong_probable_prime(&modulus, &modulus.residue_u64(2))
                    && strong_lucas_probable_prime(&modulus)
            }
            Err(_) => SMALL_PRIMES.iter().all(|&base| strong_probable_prime_beyond(n, &BigUint::from(base))),
        },
    }
}

/// [`is_probable_prime`] and `rounds` Miller–Rabin rounds with random bases: whatever `n` is, a composite passes with a
/// probability of at most 4^(−rounds).
pub fn is_probable_prime_with_rounds(n: &BigUint, rounds: u32, rng: &mut impl CryptoRng) -> bool {
    if !is_probable_prime(n) {
        return false;
    }
    if n == &BigUint::from(2u8) {
        return true;
    }
    let modulus = Modulus::new(n).ok();
    (0..rounds).all(|_| {
        let base = loop {
            let base = sample::random_below(rng, n);
            if base > BigUint::one() {
                break base;
            }
        };
        match &modulus {
            Some(modulus) => strong_probable_prime(modulus, &modulus.residue(&base)),
            None => strong_probable_prime_beyond(n, &base),
        }
    })
}

/// The least probable prime above `n`.
///
/// ```
/// use num_bigint::BigUint;
/// use subrosa_arith::prime::{is_probable_prime, next_prime};
///
/// let prime = next_prime(&(BigUint::from(1_u8) << 127_u32));
/// assert!(is_probable_prime(&prime));
/// assert_eq!(prime - (BigUint::from(1_u8) << 127_u32), BigUint::from(29_u8));
/// ```
pub fn next_prime(n: &BigUint) -> BigUint {
    if n < &BigUint::from(2u8) {
        return BigUint::from(2u8);
    }
    let mut candidate = n + 1u8;
    candidate.set_bit(0, true);
    while !is_probable_prime(&candidate) {
        candidate += 2u8;
    }
    candidate
}

/// The verdict where trial division gives one.
fn small_divisor(n: &BigUint) -> Option<bool> {
    if let Ok(small) = u32::try_from(n) {
        if small < 2 {
            return Some(false);
        }
        if SMALL_PRIMES.contains(&small) {
            return Some(true);
        }
    }
    let divides = |&p: &u32| (n % p) == BigUint::ZERO;
    if SMALL_PRIMES.iter().any(divides) {
        return Some(false);
    }
    // Nothing below 257 divides it.
    if n.bits() <= 16 { Some(true) } else { None }
}

/// n − 1 = d·2^s: base^d = 1 or base^(d·2^r) = −1 for an r < s.
fn strong_probable_prime(modulus: &Modulus, base: &Residue) -> bool {
    let minus_one = modulus.neg(&modulus.one());
    let even = modulus.value() - 1u8;
    let twos = even.trailing_zeros().unwrap_or(0);
    let mut power = modulus.vartime_pow(base, &(&even >> twos));
    if modulus.is_one(&power) {
        return true;
    }
    for _ in 0..twos {
        if modulus.eq(&power, &minus_one) {
            return true;
        }
        modulus.square_assign(&mut power);
    }
    false
}

/// The same for numbers that are too long for a [`Modulus`].
fn strong_probable_prime_beyond(n: &BigUint, base: &BigUint) -> bool {
    let minus_one = n - 1u8;
    let twos = minus_one.trailing_zeros().unwrap_or(0);
    let mut power = base.modpow(&(&minus_one >> twos), n);
    if power.is_one() {
        return true;
    }
    for _ in 0..twos {
        if power == minus_one {
            return true;
        }
        power = &power * &power % n;
    }
    false
}

/// The strong Lucas test with Selfridge's parameters: D the first of 5, −7, 9, −11, … with (D/n) = −1, P = 1,
/// Q = (1 − D)/4; n + 1 = d·2^s; U(d) = 0 or V(d·2^r) = 0 for an r < s.
fn strong_lucas_probable_prime(modulus: &Modulus) -> bool {
    let n = modulus.value();
    let Some((magnitude, negative)) = selfridge_discriminant(n) else {
        return false;
    };
    let signed = |x: u64, minus: bool| {
        let x = modulus.residue_u64(x);
        if minus { modulus.neg(&x) } else { x }
    };
    let discriminant = signed(magnitude, negative);
    // (1 − D)/4: D = −7, −11, … gives (1 + |D|)/4, D = 5, 9, … gives −(|D| − 1)/4.
    let q = if negative { signed((1 + magnitude) / 4, false) } else { signed((magnitude - 1) / 4, true) };
    let half = modulus.residue(&((n + 1u8) >> 1));
    let order = n + 1u8;
    let twos = order.trailing_zeros().unwrap_or(0);
    let odd = &order >> twos;
    // U(1) = V(1) = P = 1; from the second highest bit down: double, then add one where the bit is set.
    let (mut u, mut v, mut q_power) = (modulus.one(), modulus.one(), q.clone());
    for bit in (0..odd.bits() - 1).rev() {
        u = modulus.mul(&u, &v);
        v = double_v(modulus, &v, &q_power);
        modulus.square_assign(&mut q_power);
        if odd.bit(bit) {
            let next_u = modulus.mul(&modulus.add(&u, &v), &half);
            v = modulus.mul(&modulus.add(&modulus.mul(&discriminant, &u), &v), &half);
            u = next_u;
            modulus.mul_assign(&mut q_power, &q);
        }
    }
    if modulus.is_zero(&u) {
        return true;
    }
    for _ in 0..twos {
        if modulus.is_zero(&v) {
            return true;
        }
        v = double_v(modulus, &v, &q_power);
        modulus.square_assign(&mut q_power);
    }
    false
}

/// V(2k) = V(k)² − 2·Q^k.
fn double_v(modulus: &Modulus, v: &Residue, q_power: &Residue) -> Residue {
    let squared = modulus.square(v);
    modulus.sub(&modulus.sub(&squared, q_power), q_power)
}

/// |D| and whether D is negative; `None` where the search shows that n is composite (a square has no such D).
fn selfridge_discriminant(n: &BigUint) -> Option<(u64, bool)> {
    let mut magnitude = 5u64;
    let mut negative = false;
    loop {
        // (−1/n) = −1 exactly for n ≡ 3 mod 4.
        let minus = if negative && n % 4u8 == BigUint::from(3u8) { -1 } else { 1 };
        match jacobi(&BigUint::from(magnitude), n) * minus {
            -1 => return Some((magnitude, negative)),
            // A common divisor; n has more than 16 bits, and no |D| comes near to it.
            0 => return None,
            _ => {}
        }
        if magnitude == 41 && is_square(n) {
            return None;
        }
        magnitude += 2;
        negative = !negative;
    }
}

fn is_square(n: &BigUint) -> bool {
    // A non-residue modulo a small prime answers for most numbers.
    let filters = [3u64, 5, 7, 11, 13, 17, 19, 23];
    let fails = |&p: &u64| u64::try_from(n % p).is_ok_and(|r| jacobi_u64(r, p) == -1);
    if filters.iter().any(fails) {
        return false;
    }
    let root = n.sqrt();
    &root * &root == *n
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two forms of the test agree, since numbers beyond the limit take minutes.
    #[test]
    fn both_forms_agree() {
        for n in (257u32..3000).step_by(2).map(BigUint::from) {
            let modulus = Modulus::new(&n).unwrap();
            for base in [2u64, 3, 10, 257] {
                let verdict = strong_probable_prime(&modulus, &modulus.residue_u64(base));
                assert_eq!(strong_probable_prime_beyond(&n, &(base % &n)), verdict, "{n} to base {base}");
            }
        }
    }

    #[test]
    fn beyond_the_limit_composites_are_found() {
        // Both factors are prime and far above the small ones.
        let n = ((BigUint::from(1u8) << 4423u32) - 1u8) * ((BigUint::from(1u8) << 11_213u32) - 1u8);
        let n = n * ((BigUint::from(1u8) << 1279u32) - 1u8);
        assert!(n.bits() > 16_384);
        assert!(!is_probable_prime(&n));
    }
}
