//! A modulus N* = p*·q* that its maker can do more with: logarithms modulo N* are easy, since (p*−1)/2 and (q*−1)/2 are
//! products of small primes.

use std::collections::HashMap;

use num_bigint::BigUint;
use num_traits::{One, Zero};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;

use subrosa_arith::{Modulus, Residue, prime::is_probable_prime};

pub struct Trapdoor {
    pub p: BigUint,
    pub q: BigUint,
    pub n: BigUint,
    /// The odd primes of the order, each with the factor of N* that it belongs to. All different.
    orders: Vec<(BigUint, u64)>,
}

fn random_prime(bits: u32, rng: &mut ChaCha20Rng) -> u64 {
    loop {
        let x = (rng.next_u64() >> (64 - bits)) | 1 | (1 << (bits - 1));
        if is_probable_prime(&BigUint::from(x)) {
            return x;
        }
    }
}

/// A prime of `bits` bits, the two uppermost of them 1, that is 1 + 2·(primes of about `size` bits, none of them `used`).
fn smooth_prime(bits: u64, size: u32, used: &mut Vec<u64>, rng: &mut ChaCha20Rng) -> (BigUint, Vec<u64>) {
    loop {
        let mut list: Vec<u64> = Vec::new();
        let mut product = BigUint::from(2u32);
        while product.bits() + u64::from(size) + 4 < bits {
            let prime = random_prime(size, rng);
            if !used.contains(&prime) && !list.contains(&prime) {
                product *= prime;
                list.push(prime);
            }
        }
        let rest = u32::try_from(bits - product.bits()).unwrap();
        for _ in 0..4000 {
            let last = random_prime(rest, rng);
            let p = &product * last + 1u32;
            let fits = p.bits() == bits && p.bit(bits - 2);
            if fits && !used.contains(&last) && !list.contains(&last) && is_probable_prime(&p) {
                list.push(last);
                used.extend(&list);
                return (p, list);
            }
        }
    }
}

impl Trapdoor {
    /// N* of `bits` bits whose orders have primes of about `size` bits.
    pub fn new(bits: u64, size: u32, rng: &mut ChaCha20Rng) -> Self {
        loop {
            let mut used = vec![];
            let (p, a) = smooth_prime(bits / 2, size, &mut used, rng);
            let (q, b) = smooth_prime(bits / 2, size, &mut used, rng);
            let n = &p * &q;
            if n.bits() == bits {
                let orders =
                    a.into_iter().map(|r| (p.clone(), r)).chain(b.into_iter().map(|r| (q.clone(), r)));
                return Self { orders: orders.collect(), p, q, n };
            }
        }
    }

    /// φ(N*).
    pub fn totient(&self) -> BigUint {
        (&self.p - 1u32) * (&self.q - 1u32)
    }

    /// The logarithm of `power` to `base` modulo the odd part of the order, and that part (Pohlig and Hellman).
    pub fn logarithm(&self, base: &BigUint, power: &BigUint) -> (BigUint, BigUint) {
        let (mut x, mut m) = (BigUint::zero(), BigUint::one());
        let contexts: HashMap<&BigUint, Modulus> =
            [&self.p, &self.q].into_iter().map(|p| (p, Modulus::new(p).unwrap())).collect();
        for (p, order) in &self.orders {
            let modulus = &contexts[p];
            let cofactor = (p - 1u32) / order;
            let project = |b: &BigUint| modulus.vartime_pow(&modulus.residue(b), &cofactor);
            let (base, target) = (project(base), project(power));
            if modulus.is_one(&base) {
                continue;
            }
            let digit = giant_steps(modulus, &base, &target, *order);
            let order = BigUint::from(*order);
            let step = ((&order + digit - &x % &order) * m.modinv(&order).unwrap()) % &order;
            x += &m * step;
            m *= order;
        }
        (x, m)
    }
}

/// The logarithm of `target` to `base`, whose order is `order` (Shanks).
fn giant_steps(modulus: &Modulus, base: &Residue, target: &Residue, order: u64) -> u64 {
    let steps = order.isqrt() + 2;
    let key = |r: &Residue| modulus.to_uint(r).iter_u64_digits().next().unwrap_or(0);
    let mut table = HashMap::new();
    let mut power = modulus.one();
    for i in 0..steps {
        table.entry(key(&power)).or_insert(i);
        modulus.mul_assign(&mut power, base);
    }
    let back = modulus.vartime_invert(&power).unwrap();
    let mut y = target.clone();
    for j in 0..steps {
        if let Some(i) = table.get(&key(&y)) {
            let digit = (j * steps + i) % order;
            if modulus.eq(&modulus.vartime_pow(base, &BigUint::from(digit)), target) {
                return digit;
            }
        }
        modulus.mul_assign(&mut y, &back);
    }
    panic!("the target is no power of the base")
}
