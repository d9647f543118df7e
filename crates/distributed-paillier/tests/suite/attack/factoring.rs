//! What a party that only looks does with the opening of an unmasked product.
//!
//! Without a mask the opened values of a·b lie on H(X) = A(X)·B(X) with A(0) = a and B(0) = b, both of degree t. For t = 1
//! the roots of H are those of A and of B, so that a party which knows its own share A(j) has a = A(j)/(1 − j/root).

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::{One, Zero};

/// What one attacker holds after the opening: its shares of both factors, and all opened values.
pub struct View {
    /// Its point.
    pub me: u32,
    pub a_share: BigUint,
    pub b_share: BigUint,
    pub opened: Vec<BigUint>,
}

/// Both possible values of the first factor, as the attacker computes them from its view.
pub fn attack(prime: &BigUint, view: &View) -> Vec<BigUint> {
    let [c, b, a] = interpolate(prime, &view.opened);
    // Roots of aX² + bX + c in the field.
    let four = BigUint::from(4u32);
    let discriminant = (&b * &b + prime * &four * prime - &four * &a % prime * &c) % prime;
    let Some(root) = square_root(prime, &discriminant) else { return vec![] };
    let two_a = (&a * 2u32 % prime).modinv(prime).unwrap();
    let me = BigUint::from(view.me);
    [root.clone(), prime - &root]
        .iter()
        .filter_map(|r| {
            let x = (prime - &b + r) % prime * &two_a % prime;
            let ratio = &me * x.modinv(prime)? % prime;
            Some(&view.a_share * ((prime + 1u32 - ratio) % prime).modinv(prime)? % prime)
        })
        .collect()
}

/// The coefficients of the polynomial of degree 2 with these values at 1, 2 and 3.
pub fn interpolate(prime: &BigUint, ys: &[BigUint]) -> [BigUint; 3] {
    let xs: Vec<BigUint> = (1..=3u32).map(BigUint::from).collect();
    let mut result = [BigUint::zero(), BigUint::zero(), BigUint::zero()];
    for j in 0..3 {
        let others: Vec<&BigUint> = (0..3).filter(|&i| i != j).map(|i| &xs[i]).collect();
        let mut denominator = BigUint::one();
        for other in &others {
            denominator = denominator * (prime + &xs[j] - *other) % prime;
        }
        let scale = &ys[j] * denominator.modinv(prime).unwrap() % prime;
        let terms = [others[0] * others[1], prime * 2u32 - others[0] - others[1], BigUint::one()];
        for (coefficient, term) in result.iter_mut().zip(terms) {
            *coefficient = (&*coefficient + &scale * term) % prime;
        }
    }
    result
}

/// Tonelli and Shanks.
fn square_root(prime: &BigUint, square: &BigUint) -> Option<BigUint> {
    let one = BigUint::one();
    let half = (prime - 1u32) >> 1u32;
    if square.modpow(&half, prime) != one {
        return None;
    }
    let (mut odd, mut twos) = (prime - 1u32, 0u32);
    while odd.is_even() {
        odd >>= 1u32;
        twos += 1;
    }
    let non_residue = (2u32..).map(BigUint::from).find(|x| x.modpow(&half, prime) == prime - 1u32)?;
    let mut c = non_residue.modpow(&odd, prime);
    let mut t = square.modpow(&odd, prime);
    let mut root = square.modpow(&((&odd + 1u32) >> 1u32), prime);
    while !t.is_one() {
        let mut order = 0;
        let mut power = t.clone();
        while !power.is_one() {
            power = &power * &power % prime;
            order += 1;
        }
        let b = c.modpow(&(&one << (twos - order - 1)), prime);
        root = root * &b % prime;
        c = &b * &b % prime;
        t = t * &c % prime;
        twos = order;
    }
    Some(root)
}
