//! Small primes and fast trial division by them.

use num_bigint::BigUint;

#[cfg(target_arch = "x86_64")]
use crate::kernel::remainders::{self, Products};

/// All primes below `bound`, by the sieve of Eratosthenes on the odd numbers.
///
/// ```
/// assert_eq!(subrosa_arith::sieve::primes_below(12), [2, 3, 5, 7, 11]);
/// ```
#[doc(alias = "Eratosthenes")]
pub fn primes_below(bound: u32) -> Vec<u32> {
    if bound <= 2 {
        return Vec::new();
    }
    // Entry i stands for 2i + 1.
    let mut composite = vec![false; (bound as usize) / 2];
    let mut primes = vec![2];
    for number in (3..bound).step_by(2) {
        let i = (number / 2) as usize;
        if composite[i] {
            continue;
        }
        primes.push(number);
        let square = u64::from(number) * u64::from(number);
        if square < u64::from(bound) {
            let first = (number as usize * number as usize) / 2;
            for entry in composite[first..].iter_mut().step_by(number as usize) {
                *entry = true;
            }
        }
    }
    primes
}

/// Words that are reduced in one go; longer numbers are folded.
const BLOCK: usize = 34;

/// Trial division by all primes below a bound.
///
/// With AVX-512 IFMA, a number is reduced modulo eight products of primes side by side. Elsewhere, odd primes are
/// gathered into products P below 2^63. A number Σ xₖ·2^(64k) is reduced modulo P as Σ xₖ·(2^(64k) mod P),
/// whose products do not wait for each other, and the sum by two Montgomery steps, which leaves a multiple of
/// N·2^(−128) mod P: enough to see whether a prime of P divides N. Each prime then costs one multiplication by its
/// inverse modulo 2^64 and a comparison.
///
/// ```
/// use subrosa_arith::sieve::TrialDivision;
///
/// let small = TrialDivision::new(1_000);
/// assert_eq!(small.has_small_factor(&(997_u32 * 1_009).into()), Some(997));
/// assert_eq!(small.has_small_factor(&(1_009_u32 * 1_013).into()), None);
/// ```
#[derive(Debug, Clone)]
#[doc(alias("small factors", "GCD"))]
pub struct TrialDivision {
    bound: u32,
    products: Reduction,
    /// In order.
    primes: Vec<PrimeTest>,
    /// For each product, the end of its primes in the list of all; they begin where those of the product before end.
    ends: Vec<usize>,
}

/// How a number is reduced modulo the products.
#[derive(Debug, Clone)]
enum Reduction {
    Words(Vec<Batch>),
    #[cfg(target_arch = "x86_64")]
    Vectors(Vec<Products>),
}

#[derive(Debug, Clone)]
struct Batch {
    product: u64,
    /// −product⁻¹ mod 2^64.
    negated_inverse: u64,
    /// 2^(64k) mod product.
    powers: [u64; BLOCK + 3],
}

#[derive(Debug, Clone, Copy)]
struct PrimeTest {
    prime: u32,
    /// prime⁻¹ mod 2^64: a number is divisible exactly when its product with this is at most `limit`.
    inverse: u64,
    limit: u64,
}

impl TrialDivision {
    /// Prepares trial division by all primes below `bound`. Takes about 100 bytes of memory for each prime.
    pub fn new(bound: u32) -> Self {
        #[cfg(target_arch = "x86_64")]
        if Products::are_available() {
            return Self::in_vectors(bound);
        }
        Self::in_words(bound)
    }

    fn in_words(bound: u32) -> Self {
        let (primes, products, ends) = gather(bound, 63);
        let products = Reduction::Words(products.into_iter().map(Batch::new).collect());
        Self { bound, products, primes, ends }
    }

    #[cfg(target_arch = "x86_64")]
    fn in_vectors(bound: u32) -> Self {
        let (primes, products, ends) = gather(bound, remainders::PRODUCT_BITS);
        let vector = |products: &[u64]| {
            // The last vector may lack some: modulo 1 there is nothing to test.
            let products = std::array::from_fn(|lane| products.get(lane).copied().unwrap_or(1));
            Products::new(products, products.map(|product| inverse(product).wrapping_neg()))
        };
        let products = Reduction::Vectors(products.chunks(remainders::LANES).map(vector).collect());
        Self { bound, products, primes, ends }
    }

    /// The bound that it was made with.
    pub fn bound(&self) -> u32 {
        self.bound
    }

    /// The smallest prime below the bound that divides `n`, if there is one. `n` itself being such a prime counts; 0 is
    /// divisible by 2.
    pub fn has_small_factor(&self, n: &BigUint) -> Option<u32> {
        if !n.bit(0) && self.bound > 2 {
            return Some(2);
        }
        let words: Vec<u64> = n.iter_u64_digits().collect();
        match &self.products {
            Reduction::Words(batches) => self.first(batches.iter().map(|batch| batch.remainder(&words))),
            #[cfg(target_arch = "x86_64")]
            Reduction::Vectors(products) => {
                let limbs = remainders::limbs(&words);
                self.first(products.iter().flat_map(|products| products.remainders(&limbs)))
            }
        }
    }

    /// The first prime that divides the remainder by its product.
    fn first(&self, remainders: impl Iterator<Item = u64>) -> Option<u32> {
        let mut start = 0;
        for (remainder, &end) in remainders.zip(&self.ends) {
            if let Some(test) = self.primes[start..end].iter().find(|test| test.divides(remainder)) {
                return Some(test.prime);
            }
            start = end;
        }
        None
    }
}

/// The odd primes below a bound, their products below 2^`bits`, and the end of each product's primes.
fn gather(bound: u32, bits: u32) -> (Vec<PrimeTest>, Vec<u64>, Vec<usize>) {
    let (mut tests, mut products, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    let mut product = 1u64;
    for prime in primes_below(bound).into_iter().skip(1) {
        match product.checked_mul(u64::from(prime)) {
            Some(next) if next >> bits == 0 => product = next,
            _ => {
                products.push(product);
                ends.push(tests.len());
                product = u64::from(prime);
            }
        }
        tests.push(PrimeTest::new(prime));
    }
    if product > 1 {
        products.push(product);
        ends.push(tests.len());
    }
    (tests, products, ends)
}

/// m⁻¹ mod 2^64 for odd m.
fn inverse(m: u64) -> u64 {
    let mut inverse = m;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(m.wrapping_mul(inverse)));
    }
    inverse
}

impl PrimeTest {
    fn new(prime: u32) -> Self {
        let p = u64::from(prime);
        Self { prime, inverse: inverse(p), limit: u64::MAX / p }
    }

    fn divides(&self, x: u64) -> bool {
        x.wrapping_mul(self.inverse) <= self.limit
    }
}

impl Batch {
    #[allow(clippy::cast_possible_truncation, reason = "a remainder by a word is a word")]
    fn new(product: u64) -> Self {
        let mut powers = [1; BLOCK + 3];
        for k in 1..powers.len() {
            powers[k] = ((u128::from(powers[k - 1]) << 64) % u128::from(product)) as u64;
        }
        Self { product, negated_inverse: inverse(product).wrapping_neg(), powers }
    }

    /// A number below 2^64 that is divisible by the same primes of this batch as `words`, and congruent to it times
    /// a power of two.
    fn remainder(&self, words: &[u64]) -> u64 {
        let mut remainder = 0;
        for block in words.rchunks(BLOCK) {
            // Blocks from the highest down. What is above has been divided by 2^128 once already.
            let (mut low, mut high) = (0u128, 0u64);
            let above = std::iter::once((&remainder, &self.powers[block.len() + 2]));
            for (&word, &power) in block.iter().zip(&self.powers).chain(above) {
                let (sum, over) = low.overflowing_add(u128::from(word) * u128::from(power));
                low = sum;
                high += u64::from(over);
            }
            remainder = self.redc_twice(low, high);
        }
        remainder
    }

    /// (high·2^128 + low)/2^128 modulo the product, below 2^64, for high < 2^6.
    #[allow(clippy::cast_possible_truncation, reason = "words of double words")]
    fn redc_twice(&self, low: u128, high: u64) -> u64 {
        let p = u128::from(self.product);
        let (w0, w1) = (low as u64, (low >> 64) as u64);
        let q = u128::from(w0.wrapping_mul(self.negated_inverse));
        let step = (u128::from(w0) + q * p) >> 64;
        let step = step + u128::from(w1) + (u128::from(high) << 64);
        let q = u128::from((step as u64).wrapping_mul(self.negated_inverse));
        let (sum, over) = step.overflowing_add(q * p);
        // `step` is below 2^71 and q·p below 2^127: no overflow, and the result is below 2^63 + 2^7.
        debug_assert!(!over);
        (sum >> 64) as u64
    }
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use num_traits::{One, Zero};
    use proptest::prelude::*;

    use super::*;

    /// Both ways of dividing, where the processor has both.
    fn both(bound: u32) -> Vec<TrialDivision> {
        let vectors = Products::are_available().then(|| TrialDivision::in_vectors(bound));
        std::iter::once(TrialDivision::in_words(bound)).chain(vectors).collect()
    }

    #[test]
    fn words_and_vectors_find_each_prime() {
        for bound in [4, 12, 300, 1 << 13, 1 << 17] {
            let divisions = both(bound);
            let some = primes_below(bound).into_iter().skip(1).step_by(if bound > 300 { 97 } else { 1 });
            for prime in some {
                // Primes above the bound, of one limb and more: 2^61 − 1 and so on.
                for exponent in [61_u32, 89, 521, 1_279, 2_203, 4_423] {
                    let n = ((BigUint::one() << exponent) - 1_u8) * prime;
                    for division in &divisions {
                        assert_eq!(division.has_small_factor(&n), Some(prime), "{bound} {exponent}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn words_and_vectors_agree(digits in prop::collection::vec(any::<u32>(), 0..140), edge in 0_usize..140) {
            let mut digits = digits;
            // Limbs with all bits set, and zeros.
            for digit in digits.iter_mut().skip(edge).take(20) {
                *digit = u32::MAX;
            }
            let n = BigUint::new(digits) | BigUint::one();
            let found: Vec<_> = both(1 << 13).iter().map(|division| division.has_small_factor(&n)).collect();
            let divides = |prime: &u32| (&n % *prime).is_zero();
            let expected = primes_below(1 << 13).into_iter().find(divides);
            for found in found {
                prop_assert_eq!(found, expected);
            }
        }
    }
}
