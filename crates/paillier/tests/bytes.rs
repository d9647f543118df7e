//! Public keys as bytes and through serde: what comes back, and what is refused.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "test code")]

use num_bigint::BigUint;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use subrosa_paillier::{MAX_KEY_BITS, MAX_PUBLIC_KEY_BYTES, PaillierError, PrivateKey, PublicKey};

fn small() -> PublicKey {
    let mut rng = ChaCha20Rng::seed_from_u64(0);
    PrivateKey::generate_insecure(256, &mut rng).unwrap().public().clone()
}

/// An odd number of so many bits, which no key generation makes.
fn large(bits: u64) -> PublicKey {
    PublicKey::new((BigUint::from(1u32) << (bits - 1)) + 15u32).unwrap()
}

/// The bytes of a modulus that no key has.
fn forged(n: &[u8]) -> Vec<u8> {
    let mut bytes = [b"SUBROSAN\x01\x00", n].concat();
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

#[test]
fn keys_come_back() {
    for key in [large(2048), large(3072), large(MAX_KEY_BITS)] {
        let bytes = key.to_bytes();
        assert!(bytes.len() <= MAX_PUBLIC_KEY_BYTES);
        assert_eq!(bytes, forged(&key.n().to_bytes_le()));
        assert_eq!(PublicKey::from_bytes(&bytes).unwrap(), key);
        assert_eq!(PublicKey::from_bytes_insecure(&bytes).unwrap().id(), key.id());
        let bytes = postcard::to_stdvec(&key).unwrap();
        assert_eq!(postcard::from_bytes::<PublicKey>(&bytes).unwrap(), key);
    }
    assert_eq!(large(MAX_KEY_BITS).to_bytes().len(), MAX_PUBLIC_KEY_BYTES);
}

#[derive(Serialize, Deserialize)]
struct Small(#[serde(with = "subrosa_paillier::insecure")] PublicKey);

#[test]
fn small_keys_are_asked_for_by_name() {
    let key = small();
    let size = PaillierError::KeySize { bits: 256, least: 2048, greatest: 8192 };
    assert_eq!(PublicKey::from_bytes(&key.to_bytes()), Err(size));
    assert_eq!(PublicKey::from_bytes_insecure(&key.to_bytes()).unwrap(), key);
    let bytes = postcard::to_stdvec(&key).unwrap();
    assert!(postcard::from_bytes::<PublicKey>(&bytes).is_err());
    assert_eq!(postcard::from_bytes::<Small>(&bytes).unwrap().0, key);
    assert_eq!(postcard::to_stdvec(&Small(key)).unwrap(), bytes);
}

#[test]
fn the_public_key_of_version_1_is_read() {
    let key = PublicKey::from_bytes_insecure(include_bytes!("fixtures/v1/public.key")).unwrap();
    assert_eq!(key.bits(), 512);
    assert_eq!(key.to_bytes(), include_bytes!("fixtures/v1/public.key"));
}

#[test]
fn what_is_no_key_is_refused() {
    let read = PublicKey::from_bytes_insecure;
    let bytes = small().to_bytes();
    for length in 0..bytes.len() {
        assert!(matches!(read(&bytes[..length]), Err(PaillierError::BadEncoding { .. })), "{length}");
    }
    for bit in 0..8 * bytes.len() {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let error = read(&bad).unwrap_err();
        let version = matches!(error, PaillierError::Version { known: 1, .. });
        assert!(version == (64..80).contains(&bit), "{bit}: {error}");
        assert!(version || matches!(error, PaillierError::BadEncoding { .. }), "{bit}: {error}");
    }
    let n = small().n().to_bytes_le();
    let even: Vec<u8> = [&[n[0] & !1][..], &n[1..]].concat();
    assert!(matches!(read(&forged(&even)), Err(PaillierError::BadModulus { .. })));
    let square = BigUint::from_bytes_le(&n).pow(2).to_bytes_le();
    assert!(matches!(read(&forged(&square)), Err(PaillierError::BadModulus { .. })));
    assert!(matches!(read(&forged(&[&n[..], &[0]].concat())), Err(PaillierError::BadEncoding { .. })));
    assert!(matches!(read(&forged(&[])), Err(PaillierError::KeySize { bits: 0, .. })));
    assert!(matches!(read(&forged(&[0xff; 1025])), Err(PaillierError::BadEncoding { .. })));
    assert!(matches!(read(&[bytes, vec![0]].concat()), Err(PaillierError::BadEncoding { .. })));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(PublicKey::from_bytes(&bytes).is_err());
        // Behind a good frame: small moduli at best.
        prop_assert!(PublicKey::from_bytes(&forged(&bytes)).is_err());
        if let Ok(key) = PublicKey::from_bytes_insecure(&forged(&bytes)) {
            prop_assert_eq!(key.to_bytes(), forged(&bytes));
        }
        let _ = postcard::from_bytes::<Small>(&bytes);
    }
}
