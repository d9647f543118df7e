use std::borrow::Borrow;

use num_bigint::{BigInt, BigUint, Sign};

use crate::{KeyId, PaillierError, PublicKey};

/// A ciphertext that has not been blinded since it was computed. It may reveal how it was computed.
///
/// It cannot be serialised. Blind it first: see [`Blinder::blind`](crate::Blinder::blind).
#[derive(Clone, PartialEq, Eq)]
pub struct Ciphertext {
    key: KeyId,
    value: BigUint,
}

impl Ciphertext {
    pub(crate) fn new(key: KeyId, value: BigUint) -> Self {
        Self { key, value }
    }

    /// Fingerprint of the key.
    pub fn key_id(&self) -> KeyId {
        self.key
    }

    /// The value in `(0, N²)`.
    pub fn value(&self) -> &BigUint {
        &self.value
    }

    /// The value in `(0, N²)`, without a copy.
    pub fn into_value(self) -> BigUint {
        self.value
    }
}

impl std::fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ciphertext({} bits under {})", self.value.bits(), self.key)
    }
}

/// Arithmetic on plaintexts through their ciphertexts. Results are not blinded.
impl PublicKey {
    /// The sum of two plaintexts: the product of the ciphertexts.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`].
    #[doc(alias = "homomorphic addition")]
    pub fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, PaillierError> {
        self.sum([a, b])
    }

    /// The sum of any number of plaintexts; of none, the trivial encryption of 0.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`].
    #[doc(alias = "homomorphic addition")]
    pub fn sum<C: Borrow<Ciphertext>>(
        &self,
        ciphertexts: impl IntoIterator<Item = C>,
    ) -> Result<Ciphertext, PaillierError> {
        let modulus = self.modulus_squared();
        let mut product = modulus.one();
        for ciphertext in ciphertexts {
            self.check(ciphertext.borrow())?;
            modulus.mul_assign(&mut product, &modulus.residue(ciphertext.borrow().value()));
        }
        Ok(self.wrap(&product))
    }

    /// Adds a plaintext.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`], [`PaillierError::PlaintextTooLarge`].
    #[doc(alias = "homomorphic addition")]
    pub fn add_plain(&self, a: &Ciphertext, plaintext: &BigInt) -> Result<Ciphertext, PaillierError> {
        self.add(a, &self.encrypt_unblinded(plaintext)?)
    }

    /// The plaintext with its sign changed.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`], [`PaillierError::InvalidCiphertext`] if it has no inverse.
    #[doc(alias = "homomorphic subtraction")]
    pub fn negate(&self, a: &Ciphertext) -> Result<Ciphertext, PaillierError> {
        self.check(a)?;
        let modulus = self.modulus_squared();
        let inverse = modulus.vartime_invert(&modulus.residue(a.value()));
        let inverse =
            inverse.ok_or(PaillierError::InvalidCiphertext { index: 0, reason: "it is not a unit" })?;
        Ok(self.wrap(&inverse))
    }

    /// Multiplies the plaintext by a public factor of either sign. The time depends on the factor.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`], [`PaillierError::PlaintextTooLarge`] if the factor's magnitude is not below N/2.
    #[doc(alias("homomorphic multiplication", "scalar multiplication"))]
    pub fn vartime_mul_plain(&self, a: &Ciphertext, factor: &BigInt) -> Result<Ciphertext, PaillierError> {
        self.check(a)?;
        let magnitude = factor.magnitude();
        if !self.holds(magnitude) {
            return Err(PaillierError::PlaintextTooLarge { bits: magnitude.bits(), key_bits: self.bits() });
        }
        let modulus = self.modulus_squared();
        let base = if factor.sign() == Sign::Minus { self.negate(a)? } else { a.clone() };
        Ok(self.wrap(&modulus.vartime_pow(&modulus.residue(base.value()), magnitude)))
    }
}
