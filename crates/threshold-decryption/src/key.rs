use std::sync::Arc;

use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::{One, Zero};

use crate::{AccessStructure, KeyError, Lineage};
use subrosa_arith::{Residue, SecretInt};
use subrosa_encoding::Hasher;
use subrosa_paillier::PublicKey;
use subrosa_shamir::integer_lagrange_at_zero;
use subrosa_transport::PartyId;

/// The public constants of a threshold key, as key generation makes them. They are not yet checked.
#[derive(Clone, Debug)]
pub struct ThresholdKeyParts {
    /// The Paillier key.
    pub public: PublicKey,
    /// n and t.
    pub access: AccessStructure,
    /// κ: the shares' polynomial has the value κ·d at 0. For a fresh key κ = Δ.
    pub scale: BigUint,
    /// θ = d mod N.
    pub theta: BigUint,
    /// Public bound on the bits of every share.
    pub share_bits: u64,
    /// `vⱼ = v^(Δ·sⱼ) mod N²` in roster order, with v from [`verification_base`].
    pub verification_keys: Vec<BigUint>,
}

/// The public part of a key whose decryption key is shared. All parties may know it.
///
/// Cheap to clone. It travels as bytes, to auditors and to parties that are to receive a share:
///
/// ```
/// use subrosa_threshold_decryption::subrosa_paillier::PrivateKey;
/// use subrosa_threshold_decryption::{AccessStructure, ThresholdKey, dealer};
///
/// // A dealer knows the whole key: for tests. Parties generate one with `subrosa-distributed-paillier`.
/// let mut rng = rand::rng();
/// let private = PrivateKey::generate_insecure(256, &mut rng)?;
/// let shares = dealer::deal(&private, AccessStructure::new(3, 1)?, &mut rng)?;
/// let key = shares[0].key();
/// let theirs = ThresholdKey::from_bytes(&key.to_bytes()?)?;
/// assert_eq!(theirs.digest(), key.digest());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ThresholdKey(Arc<Inner>);

struct Inner {
    parts: ThresholdKeyParts,
    lineage: Lineage,
    /// v, the base of the verification keys.
    base: Residue,
    /// `(4Δ²κθ)^−1 mod N`
    correction: BigUint,
}

impl ThresholdKey {
    /// Checks the constants of a fresh key, and prepares the values for combining.
    ///
    /// The verification keys are compared with each other. Every t+1 consecutive keys must interpolate to the same
    /// value at 0. This shows that all lie on one polynomial of degree t in the exponent, up to their signs. The
    /// coefficients of consecutive parties are even, so that a key and its negative are the same here. With a wrong
    /// sign, the proofs of the key's owner fail.
    ///
    /// # Errors
    /// [`KeyError::Invalid`], [`KeyError::InconsistentVerificationKeys`].
    pub fn new(parts: ThresholdKeyParts) -> Result<Self, KeyError> {
        let lineage = Lineage::fresh(&parts);
        Self::with_lineage(parts, lineage)
    }

    /// Creates a key as [`new`](Self::new), but does not compare the verification keys. This is for the end of key
    /// generation, where each party first proves that it knows the share behind its own key.
    ///
    /// # Security
    /// Call [`check_consistency`](Self::check_consistency) before the key is used.
    ///
    /// # Errors
    /// [`KeyError::Invalid`].
    pub fn provisional(parts: ThresholdKeyParts) -> Result<Self, KeyError> {
        let lineage = Lineage::fresh(&parts);
        Self::build(parts, lineage)
    }

    /// Creates a key as [`new`](Self::new), for shares that may have been renewed.
    pub(crate) fn with_lineage(parts: ThresholdKeyParts, lineage: Lineage) -> Result<Self, KeyError> {
        let key = Self::build(parts, lineage)?;
        key.check_consistency()?;
        Ok(key)
    }

    fn build(parts: ThresholdKeyParts, lineage: Lineage) -> Result<Self, KeyError> {
        let invalid = |reason| Err(KeyError::Invalid { reason });
        let n = parts.public.n();
        if parts.verification_keys.len() != parts.access.parties() as usize {
            return invalid("there is not one verification key for each party");
        }
        let longest = 8 * parts.public.bits();
        let out_of_range = parts.share_bits == 0 || parts.share_bits > longest;
        if parts.scale.is_zero() || parts.scale.bits() > longest || out_of_range {
            return invalid("the scale or the bound on shares is out of range");
        }
        if parts.theta >= *n {
            return invalid("θ is not below N");
        }
        parts.public.accept_all(parts.verification_keys.clone())?;
        let delta = parts.access.delta();
        let constant = ((&delta * &delta * &parts.scale * &parts.theta) << 2u32) % n;
        let Some(correction) = constant.modinv(n) else {
            return invalid("θ is not a unit modulo N");
        };
        lineage.check(&parts)?;
        let modulus = parts.public.modulus_squared();
        let base = modulus.residue(&verification_base(&parts.public));
        let base = modulus.vartime_pow(&base, lineage.base_exponent());
        Ok(Self(Arc::new(Inner { parts, lineage, base, correction })))
    }

    /// Returns the Paillier key, to encrypt under.
    pub fn public(&self) -> &PublicKey {
        &self.0.parts.public
    }

    /// n and t.
    pub fn access(&self) -> AccessStructure {
        self.0.parts.access
    }

    /// Returns the constants of this key.
    pub fn parts(&self) -> &ThresholdKeyParts {
        &self.0.parts
    }

    /// Returns how often the shares were renewed, and the bounds that follow.
    pub fn lineage(&self) -> &Lineage {
        &self.0.lineage
    }

    /// Computes a hash of all public constants. It is equal at all parties that hold shares of one key in one epoch. It
    /// is public.
    pub fn digest(&self) -> [u8; 32] {
        let parts = self.parts();
        self.0
            .lineage
            .add_to(Hasher::new("subrosa/threshold-decryption/key", 1))
            .uint("n", parts.public.n())
            .u64("parties", u64::from(parts.access.parties()))
            .u64("threshold", u64::from(parts.access.threshold()))
            .uint("scale", &parts.scale)
            .uint("theta", &parts.theta)
            .u64("share bits", parts.share_bits)
            .uints("verification keys", &parts.verification_keys)
            .finish()
    }

    /// Returns v, the base of this key's verification keys. It is [`verification_base`] for a fresh key, and a power of
    /// that after resharing.
    pub(crate) fn base(&self) -> &Residue {
        &self.0.base
    }

    /// `base^(Δ·share)` in constant time.
    pub(crate) fn verify_power(&self, share: &SecretInt) -> Result<BigUint, KeyError> {
        let modulus = self.public().modulus_squared();
        let exponent = scaled(share, &self.access().delta(), self.parts().share_bits)?;
        Ok(modulus.to_uint(&modulus.pow(self.base(), &exponent)))
    }

    /// Returns the verification key of a party.
    pub fn verification_key(&self, party: PartyId) -> Option<&BigUint> {
        self.0.parts.verification_keys.get(party.index())
    }

    pub(crate) fn correction(&self) -> &BigUint {
        &self.0.correction
    }

    /// Compares the verification keys with each other, as [`new`](Self::new) does.
    ///
    /// # Errors
    /// [`KeyError::InconsistentVerificationKeys`].
    pub fn check_consistency(&self) -> Result<(), KeyError> {
        let (parties, quorum) = (self.access().parties(), self.access().threshold() + 1);
        let mut common: Option<BigUint> = None;
        for first in 1..=parties - quorum + 1 {
            let points: Vec<u32> = (first..first + quorum).collect();
            let coefficients = integer_lagrange_at_zero(parties, &points)?;
            let value = self.product_of_powers(&points, &coefficients)?;
            if common.get_or_insert_with(|| value.clone()) != &value {
                return Err(KeyError::InconsistentVerificationKeys);
            }
        }
        Ok(())
    }

    /// `∏ vⱼ^μⱼ mod N²` over the points of some parties.
    fn product_of_powers(&self, points: &[u32], exponents: &[BigInt]) -> Result<BigUint, KeyError> {
        let modulus = self.public().modulus_squared();
        let mut product = modulus.one();
        for (&point, exponent) in points.iter().zip(exponents) {
            let base = modulus.residue(&self.0.parts.verification_keys[point as usize - 1]);
            let mut power: Residue = modulus.vartime_pow(&base, exponent.magnitude());
            if exponent.sign() == Sign::Minus {
                let reason = "a verification key is not a unit";
                power = modulus.vartime_invert(&power).ok_or(KeyError::Invalid { reason })?;
            }
            modulus.mul_assign(&mut product, &power);
        }
        Ok(modulus.to_uint(&product))
    }
}

impl std::fmt::Debug for ThresholdKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ThresholdKey({:?}, {:?})", self.public(), self.access())
    }
}

/// Computes `v = y² mod N²` with y from a hash of N, the base of the verification keys. It is public, and nobody knows
/// its logarithms.
pub fn verification_base(public: &PublicKey) -> BigUint {
    let modulus = public.modulus_squared();
    let y = Hasher::new("subrosa/threshold-decryption/verification-base", 1)
        .uint("n", public.n())
        .below(modulus.value());
    modulus.to_uint(&modulus.square(&modulus.residue(&y)))
}

/// One party's share of a decryption key, with the public part of the key.
///
/// # Security
/// Any t+1 shares decrypt all ciphertexts under the key. A share wipes itself and prints as `<redacted>`.
#[derive(Clone)]
#[doc(alias("share", "secret key"))]
pub struct KeyShare {
    key: ThresholdKey,
    party: PartyId,
    share: SecretInt,
    /// 2Δ·s, the exponent of partial decryptions.
    exponent: SecretInt,
}

impl KeyShare {
    /// Creates the share of `party`, checked against the party's verification key.
    ///
    /// # Errors
    /// [`KeyError::ShareMismatch`] if `v^(Δ·share)` is not the party's verification key, [`KeyError::Invalid`] if the
    /// key has no such party or the share is beyond its bound.
    pub fn new(key: ThresholdKey, party: PartyId, share: SecretInt) -> Result<Self, KeyError> {
        let Some(expected) = key.verification_key(party) else {
            return Err(KeyError::Invalid { reason: "the share's party is not one of the key's" });
        };
        if share.expose().bits() > key.parts().share_bits {
            return Err(KeyError::Invalid { reason: "the share is beyond its bound" });
        }
        if key.verify_power(&share)? != *expected {
            return Err(KeyError::ShareMismatch { party });
        }
        let exponent = scaled(&share, &(key.access().delta() << 1u32), key.parts().share_bits)?;
        Ok(Self { key, party, share, exponent })
    }

    /// Returns the public part.
    pub fn key(&self) -> &ThresholdKey {
        &self.key
    }

    /// Returns the party that owns this share.
    pub fn party(&self) -> PartyId {
        self.party
    }

    /// Returns the secret share.
    ///
    /// # Security
    /// Never send it to any party.
    pub fn share(&self) -> &SecretInt {
        &self.share
    }

    /// `2Δ·s`, with a public bound on its bits.
    pub(crate) fn exponent(&self) -> &SecretInt {
        &self.exponent
    }
}

impl std::fmt::Debug for KeyShare {
    // Redacted: t+1 shares are the decryption key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyShare {{ key: {:?}, party: {}, share: <redacted> }}", self.key, self.party)
    }
}

/// `v^(Δ·share) mod N²`, in constant time: the verification key of a share of at most `share_bits` bits.
///
/// # Errors
/// [`KeyError::Arith`] if the share is longer.
pub fn verification_key(
    public: &PublicKey,
    access: AccessStructure,
    share_bits: u64,
    share: &SecretInt,
) -> Result<BigUint, KeyError> {
    let modulus = public.modulus_squared();
    let exponent = scaled(share, &access.delta(), share_bits)?;
    Ok(modulus.to_uint(&modulus.pow(&modulus.residue(&verification_base(public)), &exponent)))
}

/// `share·factor`, bounded by what a share of `share_bits` bits gives.
pub(crate) fn scaled(share: &SecretInt, factor: &BigUint, share_bits: u64) -> Result<SecretInt, KeyError> {
    Ok(SecretInt::new(share.expose() * factor, share_bits + factor.bits())?)
}

/// Whether `value` is a unit modulo N.
pub(crate) fn is_unit(public: &PublicKey, value: &BigUint) -> bool {
    value.gcd(public.n()).is_one()
}
