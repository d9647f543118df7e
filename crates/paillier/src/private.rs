use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};
use rand_core::CryptoRng;

use crate::{Ciphertext, MAX_KEY_BITS, MIN_INSECURE_KEY_BITS, MIN_KEY_BITS, PaillierError, PublicKey};
use subrosa_arith::{Modulus, SecretInt, prime, sample, wipe_uint};

/// Random primes agree in so many of their upper bits with a probability of 2^−100.
const NEAR_BITS: u64 = 100;

/// A private key held by one party: the primes of N, for decryption modulo p² and q².
///
/// # Security
/// Exponents are used in constant time and wipe themselves. Divisions by a prime are not constant time. The protocols
/// of this workspace never make such a key: see `subrosa-distributed-paillier`.
#[doc(alias = "PaillierPrivateKey")]
pub struct PrivateKey {
    public: PublicKey,
    p: Half,
    q: Half,
    /// `p^−1 mod q`
    p_inverse: SecretInt,
}

/// What decryption modulo the square of one prime needs.
struct Half {
    prime: SecretInt,
    square: Modulus,
    /// prime − 1
    exponent: SecretInt,
    /// `L((1+N)^(prime−1))^−1 mod prime`
    inverse: SecretInt,
}

impl PrivateKey {
    /// Generates a key whose modulus has exactly `bits` bits.
    ///
    /// The primes are ≡ 3 (mod 4) with gcd(p−1, q−1) = 2, as short randomisers require.
    ///
    /// # Errors
    /// [`PaillierError::KeySize`] below [`MIN_KEY_BITS`], above [`MAX_KEY_BITS`], or odd.
    #[doc(alias("keygen", "generate_paillier_keypair"))]
    pub fn generate(bits: u64, rng: &mut impl CryptoRng) -> Result<Self, PaillierError> {
        Self::generate_from(bits, MIN_KEY_BITS, rng)
    }

    /// As [`generate`](Self::generate), for keys from [`MIN_INSECURE_KEY_BITS`] bits, which can be factored.
    ///
    /// # Security
    /// For tests and demonstrations only.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn generate_insecure(bits: u64, rng: &mut impl CryptoRng) -> Result<Self, PaillierError> {
        Self::generate_from(bits, MIN_INSECURE_KEY_BITS, rng)
    }

    fn generate_from(bits: u64, least: u64, rng: &mut impl CryptoRng) -> Result<Self, PaillierError> {
        if bits < least || bits > MAX_KEY_BITS || bits.is_odd() {
            return Err(PaillierError::KeySize { bits, least, greatest: MAX_KEY_BITS });
        }
        loop {
            let (mut p, mut q) = (random_prime(bits / 2, rng), random_prime(bits / 2, rng));
            let one = BigUint::one();
            if p != q && (&p - &one).gcd(&(&q - &one)) == BigUint::from(2u32) {
                return Self::from_checked_primes(p, q, least);
            }
            wipe_uint(&mut p);
            wipe_uint(&mut q);
        }
    }

    /// Creates the key with primes `p` and `q`, such as one made by python-paillier.
    ///
    /// # Errors
    /// [`PaillierError::BadPrimes`] if they are equal, not prime, or one divides the other minus 1; or if one is so short, or
    /// they are so near to each other, that N is easily factored;
    /// [`PaillierError::KeySize`] if N is below [`MIN_KEY_BITS`].
    pub fn from_primes(p: BigUint, q: BigUint) -> Result<Self, PaillierError> {
        Self::from_checked_primes(p, q, MIN_KEY_BITS)
    }

    /// As [`from_primes`](Self::from_primes), for small keys.
    ///
    /// # Security
    /// For tests and demonstrations only.
    ///
    /// # Errors
    /// As [`from_primes`](Self::from_primes), with [`MIN_INSECURE_KEY_BITS`] and primes of any length and distance.
    pub fn from_primes_insecure(p: BigUint, q: BigUint) -> Result<Self, PaillierError> {
        Self::from_checked_primes(p, q, MIN_INSECURE_KEY_BITS)
    }

    fn from_checked_primes(mut p: BigUint, mut q: BigUint, least: u64) -> Result<Self, PaillierError> {
        let key = Self::assemble(&p, &q, least);
        wipe_uint(&mut p);
        wipe_uint(&mut q);
        key
    }

    fn assemble(p: &BigUint, q: &BigUint, least: u64) -> Result<Self, PaillierError> {
        let refuse = |reason| PaillierError::BadPrimes { reason };
        if p == q || !prime::is_probable_prime(p) || !prime::is_probable_prime(q) {
            return Err(refuse("they are equal or not prime"));
        }
        if least == MIN_KEY_BITS {
            check_distance(p, q)?;
        }
        let n = p * q;
        let mut totient = (p - 1u32) * (q - 1u32);
        let coprime = n.gcd(&totient).is_one();
        wipe_uint(&mut totient);
        if !coprime {
            return Err(refuse("one divides the other minus 1"));
        }
        let public = if least == MIN_KEY_BITS { PublicKey::new(n)? } else { PublicKey::insecure(n)? };
        let p_inverse = p.modinv(q).ok_or_else(|| refuse("they are not coprime"))?;
        Ok(Self {
            p: Half::new(p, public.n())?,
            q: Half::new(q, public.n())?,
            p_inverse: secret(p_inverse)?,
            public,
        })
    }

    /// Returns the public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the primes p and q.
    ///
    /// # Security
    /// Whoever sees them can decrypt everything.
    pub fn expose_primes(&self) -> (&BigUint, &BigUint) {
        (self.p.prime.expose(), self.q.prime.expose())
    }

    /// Decrypts a ciphertext to its signed plaintext.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`], [`PaillierError::InvalidCiphertext`] if it is not a unit modulo N.
    #[doc(alias = "raw_decrypt")]
    pub fn decrypt(&self, ciphertext: &Ciphertext) -> Result<BigInt, PaillierError> {
        self.public.check(ciphertext)?;
        let invalid = || PaillierError::InvalidCiphertext { index: 0, reason: "it is not coprime to N" };
        let at_p = self.p.decrypt(ciphertext.value()).ok_or_else(invalid)?;
        let at_q = self.q.decrypt(ciphertext.value()).ok_or_else(invalid)?;
        // Garner: m = mₚ + p·((m_q − mₚ)·p^−1 mod q).
        let (p, q) = self.expose_primes();
        let difference = (q + at_q - &at_p % q) * self.p_inverse.expose() % q;
        Ok(self.public.from_residue(&(at_p + p * difference)))
    }
}

impl std::fmt::Debug for PrivateKey {
    // Redacted, because the primes are the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey {{ public: {:?}, primes: <redacted> }}", self.public)
    }
}

impl Half {
    fn new(prime: &BigUint, n: &BigUint) -> Result<Self, PaillierError> {
        let square = Modulus::new(&(prime * prime))?;
        let exponent = secret(prime - 1u32)?;
        let generator = square.pow(&square.residue(&(n + 1u32)), &exponent);
        let quotient = quotient(&square.to_uint(&generator), prime);
        let inverse = quotient.and_then(|l| l.modinv(prime));
        let inverse =
            inverse.ok_or(PaillierError::BadPrimes { reason: "N is not invertible modulo p − 1" })?;
        Ok(Self { prime: secret(prime.clone())?, square, exponent, inverse: secret(inverse)? })
    }

    /// `L(c^(p−1) mod p²)·inverse mod p`; `None` if p divides c.
    fn decrypt(&self, value: &BigUint) -> Option<BigUint> {
        let power = self.square.pow(&self.square.residue(value), &self.exponent);
        let prime = self.prime.expose();
        Some(quotient(&self.square.to_uint(&power), prime)? * self.inverse.expose() % prime)
    }
}

/// `L(x) = (x − 1)/prime`, if it is an integer.
fn quotient(x: &BigUint, prime: &BigUint) -> Option<BigUint> {
    if x.is_zero() {
        return None;
    }
    let (quotient, remainder) = (x - 1u32).div_rem(prime);
    remainder.is_zero().then_some(quotient)
}

/// Refuses primes one of which has less than a third of the modulus' bits, which elliptic curves would find, and those that
/// agree in their upper hundred bits, which Fermat's method would (as FIPS 186-5, A.1.3).
fn check_distance(p: &BigUint, q: &BigUint) -> Result<(), PaillierError> {
    let (shorter, longer) = (p.min(q), p.max(q));
    let mut difference = longer - shorter;
    let near = difference.bits() + NEAR_BITS < longer.bits();
    wipe_uint(&mut difference);
    if near {
        return Err(PaillierError::BadPrimes { reason: "they are too near to each other" });
    }
    if 2 * shorter.bits() < longer.bits() {
        return Err(PaillierError::BadPrimes { reason: "one is much shorter than the other" });
    }
    Ok(())
}

fn secret(value: BigUint) -> Result<SecretInt, PaillierError> {
    let bits = value.bits();
    Ok(SecretInt::new(value, bits)?)
}

/// A random prime ≡ 3 (mod 4) of exactly `bits` bits whose upper two bits are set, so that a product of two has
/// exactly twice as many bits.
fn random_prime(bits: u64, rng: &mut impl CryptoRng) -> BigUint {
    loop {
        let mut candidate = sample::random_bits(rng, bits);
        for bit in [0, 1, bits - 1, bits - 2] {
            candidate.set_bit(bit, true);
        }
        if prime::is_probable_prime(&candidate) {
            return candidate;
        }
        wipe_uint(&mut candidate);
    }
}
