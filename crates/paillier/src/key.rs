use std::fmt;
use std::sync::Arc;

use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::One;
use serde::{Deserialize, Serialize};

use crate::{Ciphertext, PaillierError};
use subrosa_arith::{Modulus, Residue};
use subrosa_encoding::{Hasher, Hex};

/// The least size of N, in bits, that [`PublicKey::new`] accepts.
pub const MIN_KEY_BITS: u64 = 2048;
/// The least size of N, in bits, that [`PublicKey::insecure`] accepts.
pub const MIN_INSECURE_KEY_BITS: u64 = 64;
/// The greatest size of N in bits.
pub const MAX_KEY_BITS: u64 = 8192;

/// A fingerprint of a public key: 128 bits of a hash of N.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// Returns the bytes of the fingerprint.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A Paillier public key: the modulus N with generator `g = 1 + N`, and the contexts that its users share.
///
/// Clones are cheap, because they share one context. Two keys are equal if their moduli are equal.
#[doc(alias = "PaillierPublicKey")]
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    n: BigUint,
    half: BigUint,
    modulus: Modulus,
    modulus_squared: Modulus,
    id: KeyId,
}

impl PublicKey {
    /// Creates the key with modulus `n`.
    ///
    /// Nobody can see from N alone whether it is a product of two large primes. The generator of the key must be
    /// trusted for that.
    ///
    /// # Errors
    /// [`PaillierError::KeySize`] outside [`MIN_KEY_BITS`]..=[`MAX_KEY_BITS`], [`PaillierError::BadModulus`] if N is
    /// even or a square.
    pub fn new(n: BigUint) -> Result<Self, PaillierError> {
        Self::checked(n, MIN_KEY_BITS)
    }

    /// As [`new`](Self::new), for keys from [`MIN_INSECURE_KEY_BITS`] bits, which can be factored.
    ///
    /// # Security
    /// For tests and demonstrations only.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn insecure(n: BigUint) -> Result<Self, PaillierError> {
        Self::checked(n, MIN_INSECURE_KEY_BITS)
    }

    fn checked(n: BigUint, least: u64) -> Result<Self, PaillierError> {
        let bits = n.bits();
        if bits < least || bits > MAX_KEY_BITS {
            return Err(PaillierError::KeySize { bits, least, greatest: MAX_KEY_BITS });
        }
        if n.is_even() {
            return Err(PaillierError::BadModulus { reason: "it is even" });
        }
        let root = n.sqrt();
        if &root * &root == n {
            return Err(PaillierError::BadModulus { reason: "it is a square" });
        }
        let digest = Hasher::new("subrosa/paillier/key-id", 1).uint("n", &n).finish();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Ok(Self(Arc::new(Inner {
            half: &n >> 1u32,
            modulus: Modulus::new(&n)?,
            modulus_squared: Modulus::new(&(&n * &n))?,
            n,
            id: KeyId(id),
        })))
    }

    /// Returns the modulus N.
    pub fn n(&self) -> &BigUint {
        &self.0.n
    }

    /// Size of N in bits.
    pub fn bits(&self) -> u64 {
        self.0.n.bits()
    }

    /// Returns the arithmetic context modulo N.
    pub fn modulus(&self) -> &Modulus {
        &self.0.modulus
    }

    /// Returns the arithmetic context modulo N², for ciphertexts.
    pub fn modulus_squared(&self) -> &Modulus {
        &self.0.modulus_squared
    }

    /// Returns the fingerprint that ciphertexts under this key carry.
    pub fn id(&self) -> KeyId {
        self.0.id
    }

    /// Greatest encoded length of a ciphertext in bytes.
    pub fn ciphertext_bytes(&self) -> usize {
        usize::try_from(self.0.modulus_squared.bits().div_ceil(8)).unwrap_or(usize::MAX)
    }

    /// Returns whether every integer of magnitude up to `bound` has its own plaintext, which means `bound < N/2`.
    pub fn holds(&self, bound: &BigUint) -> bool {
        *bound <= self.0.half
    }

    /// Returns the residue in `[0, N)` that represents the signed `plaintext`.
    ///
    /// # Errors
    /// [`PaillierError::PlaintextTooLarge`] if its magnitude is not below N/2.
    pub fn to_residue(&self, plaintext: &BigInt) -> Result<BigUint, PaillierError> {
        let magnitude = plaintext.magnitude();
        if !self.holds(magnitude) {
            return Err(PaillierError::PlaintextTooLarge { bits: magnitude.bits(), key_bits: self.bits() });
        }
        Ok(match plaintext.sign() {
            Sign::Minus => self.n() - magnitude,
            _ => magnitude.clone(),
        })
    }

    /// Returns the signed plaintext that a residue in `[0, N)` represents. Residues above N/2 are negative.
    pub fn from_residue(&self, residue: &BigUint) -> BigInt {
        let residue = residue % self.n();
        if residue > self.0.half {
            BigInt::from(residue) - BigInt::from(self.n().clone())
        } else {
            BigInt::from(residue)
        }
    }

    /// Computes `(1 + N)^m = 1 + mN mod N²`, a ciphertext that anyone can read until it is blinded.
    ///
    /// # Errors
    /// [`PaillierError::PlaintextTooLarge`].
    pub fn encrypt_unblinded(&self, plaintext: &BigInt) -> Result<Ciphertext, PaillierError> {
        let value = BigUint::one() + self.to_residue(plaintext)? * self.n();
        Ok(Ciphertext::new(self.id(), value))
    }

    /// Encrypts with randomness of the caller's choice: `(1 + N)^m · r^N mod N²`, as python-paillier's `raw_encrypt`.
    ///
    /// # Security
    /// For test vectors and proofs. `nonce` must be a fresh uniform unit modulo N for the result to hide anything.
    ///
    /// # Errors
    /// [`PaillierError::PlaintextTooLarge`], [`PaillierError::BadRandomness`] if `nonce` is not a unit.
    #[doc(alias = "raw_encrypt")]
    pub fn encrypt_with_nonce(
        &self,
        plaintext: &BigInt,
        nonce: &BigUint,
    ) -> Result<Ciphertext, PaillierError> {
        if !nonce.gcd(self.n()).is_one() {
            return Err(PaillierError::BadRandomness);
        }
        let modulus = self.modulus_squared();
        let power = modulus.vartime_pow(&modulus.residue(nonce), self.n());
        let message = modulus.residue(self.encrypt_unblinded(plaintext)?.value());
        Ok(self.wrap(&modulus.mul(&message, &power)))
    }

    /// Checks a value that came from outside, and returns it as a ciphertext.
    ///
    /// # Errors
    /// [`PaillierError::InvalidCiphertext`] unless it is in `(0, N²)` and coprime to N.
    #[doc(alias("deserialize", "validate"))]
    pub fn accept(&self, value: BigUint) -> Result<Ciphertext, PaillierError> {
        let mut ciphertexts = self.accept_all(vec![value])?;
        ciphertexts.pop().ok_or(PaillierError::Internal { place: "accept: one value gave no ciphertext" })
    }

    /// Checks values that came from outside, with one gcd for all, and returns them as ciphertexts.
    ///
    /// # Errors
    /// [`PaillierError::InvalidCiphertext`] that names the first entry which is not in `(0, N²)` or not coprime to N.
    pub fn accept_all(&self, values: Vec<BigUint>) -> Result<Vec<Ciphertext>, PaillierError> {
        let n_squared = self.modulus_squared().value();
        let invalid = |index, reason| Err(PaillierError::InvalidCiphertext { index, reason });
        if let Some(index) = values.iter().position(|value| value >= n_squared) {
            return invalid(index, "it is not below N²");
        }
        let modulus = self.modulus();
        let mut product = modulus.one();
        for value in &values {
            modulus.mul_assign(&mut product, &modulus.residue(value));
        }
        if !modulus.to_uint(&product).gcd(self.n()).is_one() {
            let place = "accept: a product is not coprime to N, and all its factors are";
            let index = values.iter().position(|value| !value.gcd(self.n()).is_one());
            return invalid(index.ok_or(PaillierError::Internal { place })?, "it is not coprime to N");
        }
        Ok(values.into_iter().map(|value| Ciphertext::new(self.id(), value)).collect())
    }

    /// Makes a ciphertext of a product of ciphertexts.
    ///
    /// This is for code that multiplies in [`modulus_squared`](Self::modulus_squared) itself. Nothing is checked, so
    /// the residue must come from ciphertexts under this key.
    pub fn wrap(&self, residue: &Residue) -> Ciphertext {
        Ciphertext::new(self.id(), self.modulus_squared().to_uint(residue))
    }

    /// Refuses a ciphertext under another key.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`].
    pub fn check(&self, ciphertext: &Ciphertext) -> Result<(), PaillierError> {
        if ciphertext.key_id() == self.id() {
            Ok(())
        } else {
            Err(PaillierError::OtherKey { expected: self.id(), found: ciphertext.key_id() })
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.n() == other.n()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} bits, {})", self.bits(), self.id())
    }
}
