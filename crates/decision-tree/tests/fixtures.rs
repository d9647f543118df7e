//! Keys that earlier versions stored: opened, or refused with the version.
#![allow(clippy::unwrap_used, clippy::panic)] // test code

use std::error::Error as _;
use std::path::PathBuf;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use subrosa_decision_tree::{ClientKey, Error, KdfCost, ParameterSet, SealError, SealingError};

const PASSPHRASE: &[u8] = b"correct horse battery staple";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn sets() -> [(&'static str, ParameterSet); 3] {
    use ParameterSet::{LowNoise, SmallQuery, Standard};
    [
        ("v2/standard.sealed", Standard),
        ("v2/low-noise.sealed", LowNoise),
        ("v2/small-query.sealed", SmallQuery),
    ]
}

#[test]
#[ignore = "writes the files that the other tests read"]
fn write() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    for (name, parameters) in sets() {
        let key = ClientKey::generate(parameters, &mut rng);
        let bytes = key.seal(PASSPHRASE, KdfCost::insecure(32, 1, 2).unwrap(), &mut rng).unwrap();
        std::io::Write::write_all(&mut std::fs::File::create_new(path(name)).unwrap(), &bytes).unwrap();
    }
}

#[test]
fn keys_of_version_2_are_opened() {
    for (name, parameters) in sets() {
        let bytes = std::fs::read(path(name)).unwrap();
        let key = ClientKey::unseal(&bytes, PASSPHRASE).unwrap();
        assert_eq!(key.parameters(), parameters);
        assert!(ClientKey::unseal(&bytes, b"a guess").is_err());
    }
}

#[test]
fn keys_of_version_1_are_refused_with_their_version() {
    let bytes = std::fs::read(path("v1/client.sealed")).unwrap();
    for length in [bytes.len(), 50, 7] {
        let error = ClientKey::unseal(&bytes[..length], PASSPHRASE).unwrap_err();
        let Error::Seal(SealError::Sealing(cause)) = &error else { panic!("{error}") };
        assert!(matches!(cause, SealingError::Version { found: 1, known: 2 }), "{cause}");
        assert_eq!(
            error.source().unwrap().to_string(),
            "the file has version 1, this program reads version 2"
        );
    }
}
