use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::One;
use rand_core::CryptoRng;

use crate::{Ciphertext, PaillierError, PublicKey};
use subrosa_arith::{FixedBase, Residue, SecretInt, sample};
use subrosa_encoding::Hasher;

/// A value that was blinded with fresh randomness after it was computed, and so may be shown to others.
///
/// Only [`Blinder`] makes one. It can be read like the value inside and be unwrapped. No other value can be wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blinded<T>(T);

impl<T> Blinded<T> {
    /// Returns the value inside. Values computed from it are no longer blinded.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Blinded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl std::borrow::Borrow<Ciphertext> for Blinded<Ciphertext> {
    fn borrow(&self) -> &Ciphertext {
        &self.0
    }
}

/// How randomisers, that is encryptions of 0, are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Randomness {
    /// `hₛ^α` with α of ⌈k/2⌉ bits and `hₛ = h^N mod N²`, `h = −x² mod N` for x from a hash of N
    /// (Damgård–Jurik–Nielsen, *A Generalization of Paillier's Public-Key System with Applications to Electronic
    /// Voting*, IJIS 2010, section 4.2).
    ///
    /// Needs primes p ≡ q ≡ 3 (mod 4) with gcd((p−1)/2, (q−1)/2) = 1. Rests on the decisional composite residuosity
    /// assumption plus this one: `h^α` with α of ⌈k/2⌉ bits looks like `h^α` with long α.
    #[default]
    Short,
    /// `r^N` with r uniform among the units modulo N, as in Paillier's paper: no further assumption, no condition on
    /// the primes, and many times slower.
    Full,
}

/// An encryption of 0 that blinds one ciphertext. It can be drawn ahead of time.
///
/// # Security
/// Not `Clone`: two ciphertexts blinded by one randomiser show the difference of their plaintexts.
#[derive(Debug)]
#[doc(alias("encryption of zero", "nonce"))]
pub struct Randomiser(Residue);

/// Draws randomisers for one key. It holds the table that makes short ones fast. Build it once and share it.
#[derive(Debug)]
#[doc(alias("rerandomize", "obfuscate"))]
pub struct Blinder {
    key: PublicKey,
    table: Option<FixedBase>,
    exponent_bits: u64,
}

/// Memory for the table of [`Blinder::with_default_table`], in bytes. The best table for a key of 2,048 bits takes a
/// fifth of it.
pub const DEFAULT_TABLE_BYTES: usize = 16 << 20;

impl Blinder {
    /// Creates a blinder for `key` with [`Randomness::Short`] and a table of at most 16 MiB, which suits most programs.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_default_table(key: &PublicKey) -> Result<Self, PaillierError> {
        Self::new(key, Randomness::Short, DEFAULT_TABLE_BYTES)
    }

    /// Creates a blinder for `key`. With [`Randomness::Short`], its table takes at most about `table_bytes` bytes.
    ///
    /// # Errors
    /// [`PaillierError::Table`] if the table cannot be made in so little room.
    pub fn new(key: &PublicKey, randomness: Randomness, table_bytes: usize) -> Result<Self, PaillierError> {
        let exponent_bits = key.bits().div_ceil(2);
        let table = match randomness {
            Randomness::Full => None,
            Randomness::Short => {
                let base = key.modulus_squared().residue(&short_base(key)?);
                Some(FixedBase::new(key.modulus_squared(), &base, exponent_bits, table_bytes)?)
            }
        };
        Ok(Self { key: key.clone(), table, exponent_bits })
    }

    /// Returns the key of this blinder.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Draws a fresh randomiser; with [`Randomness::Short`] in constant time.
    pub fn randomiser(&self, rng: &mut impl CryptoRng) -> Randomiser {
        Randomiser(match &self.table {
            Some(table) => table.pow(&SecretInt::random_bits(rng, self.exponent_bits)),
            None => {
                let modulus = self.key.modulus_squared();
                let unit = sample::random_unit(rng, self.key.modulus());
                modulus.vartime_pow(&modulus.residue(&unit), self.key.n())
            }
        })
    }

    /// Draws a fresh randomiser from each generator, as [`randomiser`](Self::randomiser) does. Eight are computed side
    /// by side if the machine can do so, so give a multiple of [`GROUP`](subrosa_arith::GROUP) of them.
    pub fn randomisers(&self, rngs: &mut [impl CryptoRng]) -> Vec<Randomiser> {
        match &self.table {
            Some(table) => {
                let exponents: Vec<SecretInt> =
                    rngs.iter_mut().map(|rng| SecretInt::random_bits(rng, self.exponent_bits)).collect();
                table.pow_batch(&exponents).into_iter().map(Randomiser).collect()
            }
            None => rngs.iter_mut().map(|rng| self.randomiser(rng)).collect(),
        }
    }

    /// Blinds a ciphertext. The result has the same plaintext and cannot be linked to the original.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`].
    #[doc(alias("rerandomize", "obfuscate", "randomize"))]
    pub fn blind(
        &self,
        ciphertext: &Ciphertext,
        rng: &mut impl CryptoRng,
    ) -> Result<Blinded<Ciphertext>, PaillierError> {
        self.blind_with(ciphertext, self.randomiser(rng))
    }

    /// Blinds as [`blind`](Self::blind), with a randomiser that was drawn before.
    ///
    /// # Errors
    /// [`PaillierError::OtherKey`].
    pub fn blind_with(
        &self,
        ciphertext: &Ciphertext,
        randomiser: Randomiser,
    ) -> Result<Blinded<Ciphertext>, PaillierError> {
        self.key.check(ciphertext)?;
        let modulus = self.key.modulus_squared();
        let product = modulus.mul(&modulus.residue(ciphertext.value()), &randomiser.0);
        Ok(Blinded(self.key.wrap(&product)))
    }

    /// Encrypts: `(1 + N)^m` times a fresh randomiser.
    ///
    /// # Errors
    /// [`PaillierError::PlaintextTooLarge`].
    pub fn encrypt(
        &self,
        plaintext: &BigInt,
        rng: &mut impl CryptoRng,
    ) -> Result<Blinded<Ciphertext>, PaillierError> {
        self.blind(&self.key.encrypt_unblinded(plaintext)?, rng)
    }
}

/// `hₛ = h^N mod N²` with `h = −x² mod N` and x from a hash of N.
fn short_base(key: &PublicKey) -> Result<BigUint, PaillierError> {
    let modulus = key.modulus();
    let x = Hasher::new("subrosa/paillier/randomiser-base", 1).uint("n", key.n()).below(key.n());
    if !x.gcd(key.n()).is_one() {
        return Err(PaillierError::BadModulus { reason: "it shares a factor with a hash of itself" });
    }
    let h = modulus.to_uint(&modulus.neg(&modulus.square(&modulus.residue(&x))));
    let squared = key.modulus_squared();
    Ok(squared.to_uint(&squared.vartime_pow(&squared.residue(&h), key.n())))
}
