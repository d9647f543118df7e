//! A stored private key comes back as it was, and nothing else comes back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "test code")]

use std::path::PathBuf;
use std::sync::OnceLock;

use num_bigint::{BigInt, BigUint};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_paillier::storage::{self, KdfCost, MAX_FILE_BYTES, SealingError, StorageError};
use subrosa_paillier::{FailureKind, PaillierError, PrivateKey, PublicKey};
use subrosa_sealing::Format;

const PASSPHRASE: &[u8] = b"correct horse battery staple";

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn cheap() -> KdfCost {
    KdfCost::insecure(32, 1, 2).unwrap()
}

fn key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| PrivateKey::generate_insecure(512, &mut rng(0)).unwrap())
}

fn sealed() -> &'static [u8] {
    static SEALED: OnceLock<Vec<u8>> = OnceLock::new();
    SEALED.get_or_init(|| storage::seal(key(), PASSPHRASE, cheap(), &mut rng(1)).unwrap())
}

fn same(a: &PrivateKey, b: &PrivateKey) {
    assert_eq!(a.public(), b.public());
    assert_eq!(a.expose_primes(), b.expose_primes());
}

/// A sealed file with these contents, written by somebody who knows the passphrase.
fn forged(id: &[u8; 16], numbers: &[&BigUint], rest: &[u8]) -> Vec<u8> {
    let mut contents = Vec::new();
    for number in numbers {
        let bytes = number.to_bytes_le();
        contents.extend((bytes.len() as u16).to_le_bytes());
        contents.extend(bytes);
    }
    contents.extend(rest);
    let format: Format<16> = Format::new(*b"SUBROSAD", 1, MAX_FILE_BYTES);
    format.seal(id, &contents, PASSPHRASE, cheap(), &mut rng(7)).unwrap()
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1").join(name)
}

#[test]
#[ignore = "writes the files that the other tests read"]
fn write() {
    let write = |name: &str, bytes: &[u8]| {
        std::io::Write::write_all(&mut std::fs::File::create_new(fixture(name)).unwrap(), bytes).unwrap();
    };
    write("private.sealed", sealed());
    write("public.key", &key().public().to_bytes());
}

#[test]
fn the_key_of_version_1_is_read_and_written_alike() {
    let bytes = std::fs::read(fixture("private.sealed")).unwrap();
    let key = storage::unseal_insecure(&bytes, PASSPHRASE).unwrap();
    let public = PublicKey::from_bytes_insecure(&std::fs::read(fixture("public.key")).unwrap()).unwrap();
    assert_eq!(*key.public(), public);
    let ciphertext = public.encrypt_with_nonce(&BigInt::from(-7), &BigUint::from(3u32)).unwrap();
    assert_eq!(key.decrypt(&ciphertext).unwrap(), BigInt::from(-7));
    assert_eq!(storage::seal(&key, PASSPHRASE, cheap(), &mut rng(1)).unwrap(), bytes);
}

#[test]
fn keys_come_back_and_small_ones_are_asked_for_by_name() {
    same(&storage::unseal_insecure(sealed(), PASSPHRASE).unwrap(), key());
    let refused = storage::unseal(sealed(), PASSPHRASE).unwrap_err();
    assert!(matches!(refused, StorageError::Key(PaillierError::KeySize { bits: 512, .. })), "{refused}");
    let large = PrivateKey::generate(2048, &mut rng(3)).unwrap();
    let bytes = storage::seal(&large, PASSPHRASE, cheap(), &mut rng(1)).unwrap();
    let back = storage::unseal(&bytes, PASSPHRASE).unwrap();
    same(&back, &large);
    assert!(format!("{back:?}").contains("redacted"));
    // Neither prime is in the file.
    let (p, q) = large.expose_primes();
    for prime in [p, q] {
        let prime = prime.to_bytes_le();
        assert!(!bytes.windows(prime.len()).any(|window| window == prime));
    }
}

#[test]
fn damage_and_passphrases_are_told_apart() {
    let error = |bytes: &[u8], passphrase: &[u8]| match storage::unseal_insecure(bytes, passphrase) {
        Err(StorageError::Sealing(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(error(sealed(), b"a guess"), SealingError::WrongPassphrase));
    assert!(matches!(error(sealed(), b""), SealingError::WrongPassphrase));
    let empty = storage::seal(key(), b"", cheap(), &mut rng(1)).unwrap_err();
    assert!(matches!(empty, StorageError::Sealing(SealingError::EmptyPassphrase)));
    for length in 0..sealed().len() {
        assert!(matches!(error(&sealed()[..length], PASSPHRASE), SealingError::Truncated { .. }));
    }
    for bit in 0..8 * sealed().len() {
        let mut bytes = sealed().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(!matches!(error(&bytes, PASSPHRASE), SealingError::WrongPassphrase), "{bit}");
    }
}

#[test]
fn files_whose_numbers_are_no_key_are_refused() {
    let (p, q) = key().expose_primes();
    let (n, id) = (key().public().n(), key().public().id());
    let id = id.as_bytes();
    let read = |bytes: Vec<u8>| storage::unseal_insecure(&bytes, PASSPHRASE);
    same(&read(forged(id, &[n, p, q], &[])).unwrap(), key());
    let one = BigUint::from(1u32);
    for (numbers, rest) in [
        (&[n, p, q][..], &[0][..]),
        (&[n, p], &[]),
        (&[n, p], &[1, 0]),
        (&[n, p], &[1, 0, 0]),
        (&[], &[]),
        // Not the primes of N.
        (&[n, p, p], &[]),
        (&[n, p, &(q + 2u32)], &[]),
        (&[&(n + 2u32), p, q], &[]),
        (
            &[
                &(BigUint::from(1u32) << 9000u32),
                &(BigUint::from(1u32) << 4500u32),
                &(BigUint::from(1u32) << 4500u32),
            ],
            &[],
        ),
    ] {
        let error = read(forged(id, numbers, rest)).unwrap_err();
        assert!(matches!(error, StorageError::Malformed { .. }), "{error}");
    }
    // Another key's fingerprint.
    let error = read(forged(&[0; 16], &[n, p, q], &[])).unwrap_err();
    assert!(matches!(error, StorageError::Malformed { .. }), "{error}");
    // Products that are right, of what are not two primes.
    for (n, p, q) in [(n.clone(), &one, n), (p * p, p, p), (n * q, n, q)] {
        let error = read(forged(id, &[&n, p, q], &[])).unwrap_err();
        assert!(matches!(error, StorageError::Key(PaillierError::BadPrimes { .. })), "{error}");
    }
}

#[test]
fn files_are_replaced_by_the_same_key_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("paillier.key");
    let missing = storage::load(&path, PASSPHRASE).unwrap_err();
    assert!(matches!(missing, StorageError::Sealing(SealingError::Io(_))));
    storage::save(&path, key(), PASSPHRASE, cheap(), &mut rng(1)).unwrap();
    storage::save(&path, key(), b"a new passphrase", cheap(), &mut rng(2)).unwrap();
    same(&storage::load_insecure(&path, b"a new passphrase").unwrap(), key());
    assert!(matches!(storage::load(&path, b"a new passphrase"), Err(StorageError::Key(_))));
    let other = PrivateKey::generate_insecure(256, &mut rng(4)).unwrap();
    let refused = storage::save(&path, &other, PASSPHRASE, cheap(), &mut rng(3)).unwrap_err();
    assert!(matches!(refused, StorageError::OtherKey));
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "not a key").unwrap();
    assert!(storage::save(&notes, key(), PASSPHRASE, cheap(), &mut rng(5)).is_err());
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "not a key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// Products of primes that can be factored although they are long.
#[test]
fn primes_of_a_long_key_are_far_apart_and_of_like_length() {
    let next = |n: BigUint| subrosa_paillier::subrosa_arith::prime::next_prime(&n);
    let p = next(BigUint::from(3u32) << 1022u32);
    let near = next(&p + 1u32);
    let bad = |p: &BigUint, q: &BigUint| PrivateKey::from_primes(p.clone(), q.clone()).unwrap_err();
    assert!(matches!(bad(&p, &near), PaillierError::BadPrimes { reason } if reason.contains("near")));
    let (short, long) = (next(BigUint::from(1u32) << 500u32), next(BigUint::from(1u32) << 1600u32));
    assert!(matches!(bad(&short, &long), PaillierError::BadPrimes { reason } if reason.contains("shorter")));
    assert!(PrivateKey::from_primes_insecure(p, near).is_ok());
}

#[test]
fn what_a_file_holds_is_input() {
    let wrong = storage::unseal_insecure(sealed(), b"a guess").unwrap_err();
    assert!(matches!(wrong, StorageError::Sealing(SealingError::WrongPassphrase)), "{wrong}");
    assert_eq!(wrong.kind(), FailureKind::Input);
    assert_eq!(StorageError::OtherKey.kind(), FailureKind::Input);
    assert_eq!(StorageError::from(PaillierError::Internal { place: "here" }).kind(), FailureKind::Internal);
}
