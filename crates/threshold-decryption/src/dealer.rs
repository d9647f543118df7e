//! A trusted dealer, for tests and for settings in which all parties trust one.
//!
//! The dealer knows the decryption key. If no party may know it, generate the key with `subrosa-distributed-paillier`.

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::One;
use rand_core::CryptoRng;

use crate::key::verification_key;
use crate::{
    AccessStructure, KeyError, KeyShare, ThresholdKey, ThresholdKeyParts, coefficient_bound, share_bits,
};
use subrosa_arith::{SecretInt, sample, wipe_uint};
use subrosa_paillier::PrivateKey;
use subrosa_shamir::IntegerSharing;
use subrosa_transport::PartyId;

/// Deals the decryption key of `private` to the parties of `access`, in roster order.
///
/// # Errors
/// [`KeyError::Arith`] and [`KeyError::Shamir`] if the key is too small for this number of parties.
#[doc(alias = "trusted dealer")]
pub fn deal(
    private: &PrivateKey,
    access: AccessStructure,
    rng: &mut impl CryptoRng,
) -> Result<Vec<KeyShare>, KeyError> {
    let public = private.public();
    let (decryption_key, theta) = decryption_key(private, rng);
    let decryption_key = BigInt::from(decryption_key);
    let bound = coefficient_bound(access, public.bits());
    let sharing = IntegerSharing::new(access.parties(), access.threshold(), bound)?;
    let bits = share_bits(access, public.bits());
    let shares = sharing
        .share(&decryption_key, rng)
        .into_iter()
        .map(|share| Ok(SecretInt::new(IntegerSharing::total(&[share])?, bits)?))
        .collect::<Result<Vec<_>, KeyError>>()?;
    wipe_uint(&mut decryption_key.into_parts().1);
    let verification_keys =
        shares.iter().map(|share| verification_key(public, access, bits, share)).collect::<Result<_, _>>()?;
    let key = ThresholdKey::new(ThresholdKeyParts {
        public: public.clone(),
        access,
        scale: access.delta(),
        theta,
        share_bits: bits,
        verification_keys,
    })?;
    let share = |(party, share)| KeyShare::new(key.clone(), PartyId::new(party), share);
    (0..).zip(shares).map(share).collect()
}

/// `d = φ(N)·β` and `θ = d mod N`, with β uniform such that θ is a unit.
fn decryption_key(private: &PrivateKey, rng: &mut impl CryptoRng) -> (BigUint, BigUint) {
    let (p, q) = private.expose_primes();
    let n = private.public().n();
    let mut totient = (p - 1u32) * (q - 1u32);
    loop {
        let mut beta = sample::random_below(rng, n);
        let key = &totient * &beta;
        wipe_uint(&mut beta);
        let theta = &key % n;
        if theta.gcd(n).is_one() {
            wipe_uint(&mut totient);
            return (key, theta);
        }
    }
}
