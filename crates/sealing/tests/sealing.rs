//! What was sealed comes back, everything else is told apart.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "test code")]

use std::sync::OnceLock;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

use subrosa_sealing::{FailureKind, Format, KdfCost, SealingError, file};

const FORMAT: Format<3> = Format::new(*b"TESTFILE", 5, 1000);
const HEADER: [u8; 3] = [1, 2, 3];
const SECRET: &[u8] = b"the contents of a file";
const PASSPHRASE: &[u8] = b"correct horse battery staple";
const KIND: usize = 10;
const LENGTH: usize = 14;
const BODY: usize = 18;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn cheap() -> KdfCost {
    KdfCost::insecure(32, 1, 2).unwrap()
}

fn sealed() -> &'static [u8] {
    static SEALED: OnceLock<Vec<u8>> = OnceLock::new();
    SEALED.get_or_init(|| FORMAT.seal(&HEADER, SECRET, PASSPHRASE, cheap(), &mut rng(1)).unwrap())
}

fn unseal(bytes: &[u8], passphrase: &[u8]) -> Result<Vec<u8>, SealingError> {
    FORMAT.parse(bytes)?.unseal(passphrase).map(|contents| contents.to_vec())
}

/// A file whose checksum was made to fit again after a change.
fn changed(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len() - 32].to_vec();
    change(&mut bytes);
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}
#[test]
fn contents_come_back() {
    assert_eq!(unseal(sealed(), PASSPHRASE).unwrap(), SECRET);
    let frame = FORMAT.parse(sealed()).unwrap();
    assert_eq!((frame.header(), frame.is_encrypted()), (&HEADER, true));
    assert!(matches!(frame.unencrypted(), Err(SealingError::Encrypted)));
    let plain = FORMAT.expose_unencrypted(&HEADER, SECRET).unwrap();
    let frame = FORMAT.parse(&plain).unwrap();
    assert_eq!((frame.header(), frame.is_encrypted()), (&HEADER, false));
    assert_eq!(frame.unencrypted().unwrap(), SECRET);
    assert!(matches!(frame.unseal(PASSPHRASE), Err(SealingError::NotEncrypted)));
    assert_eq!(
        format!("{frame:?}"),
        "Frame { kind: Plain, header: [1, 2, 3], contents: <redacted>, 22 bytes, .. }"
    );
    // Nothing to hide, and no header.
    let none: Format<0> = Format::new(*b"TESTFILE", 1, 200);
    let bytes = none.seal(&[], b"", PASSPHRASE, cheap(), &mut rng(1)).unwrap();
    assert!(none.parse(&bytes).unwrap().unseal(PASSPHRASE).unwrap().is_empty());
}

/// From the table in the README, and from other implementations: `vectors/make.py`.
#[test]
fn bytes_are_pinned() {
    let plain = FORMAT.expose_unencrypted(&HEADER, SECRET).unwrap();
    let mut expected = b"TESTFILE\x05\x00\x01\x01\x02\x03\x16\x00\x00\x00the contents of a file".to_vec();
    expected.extend_from_slice(&Sha256::digest(&expected));
    assert_eq!(plain[..], expected[..]);
    assert_eq!(sealed()[..BODY], *b"TESTFILE\x05\x00\x02\x01\x02\x03\x5a\x00\x00\x00");
    assert_eq!(sealed()[BODY..BODY + 12], [32, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!(sealed().len(), BODY + 12 + 16 + 24 + SECRET.len() + 16 + 32);
    let pinned: Vec<u8> = include_str!("vectors/sealed.hex")
        .trim()
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    assert_eq!(unseal(&pinned, PASSPHRASE).unwrap(), SECRET);
}

#[test]
fn passphrases_are_told_apart() {
    for wrong in [&b""[..], b"correct horse battery stapl", b"Correct horse battery staple"] {
        assert!(matches!(unseal(sealed(), wrong), Err(SealingError::WrongPassphrase)));
    }
    let empty = FORMAT.seal(&HEADER, SECRET, b"", cheap(), &mut rng(1));
    assert!(matches!(empty, Err(SealingError::EmptyPassphrase)));
    let again = FORMAT.seal(&HEADER, SECRET, PASSPHRASE, cheap(), &mut rng(2)).unwrap();
    assert_ne!(again[BODY + 12..], sealed()[BODY + 12..]);
}

#[test]
fn cuts_and_other_formats_are_named() {
    for length in 0..sealed().len() {
        let error = unseal(&sealed()[..length], PASSPHRASE).unwrap_err();
        assert!(
            matches!(error, SealingError::Truncated { found, .. } if found == length),
            "{length}: {error}"
        );
    }
    assert!(matches!(unseal(&[sealed(), &[0]].concat(), PASSPHRASE), Err(SealingError::Checksum)));
    let other: Format<3> = Format::new(*b"TESTFILE", 6, 1000);
    assert!(matches!(other.parse(sealed()), Err(SealingError::Version { found: 5, known: 6 })));
    let other: Format<3> = Format::new(*b"TESTFILF", 5, 1000);
    assert!(matches!(other.parse(sealed()), Err(SealingError::OtherFormat)));
    assert!(matches!(unseal(&[0; 1001], PASSPHRASE), Err(SealingError::TooLong { limit: 1000 })));
    let unknown = changed(sealed(), |bytes| bytes[KIND] = 3);
    assert!(matches!(unseal(&unknown, PASSPHRASE), Err(SealingError::Kind { found: 3 })));
    // A body that is too short to be a sealed one.
    for length in 0..68 {
        let short = changed(sealed(), |bytes| {
            bytes.truncate(BODY + length);
            bytes[LENGTH..BODY].copy_from_slice(&u32::to_le_bytes(length as u32));
        });
        let error = unseal(&short, PASSPHRASE).unwrap_err();
        let expected = if length < 52 {
            matches!(error, SealingError::Truncated { .. })
        } else {
            matches!(error, SealingError::WrongPassphrase)
        };
        assert!(expected, "{length}: {error}");
    }
}

#[test]
fn lengths_have_a_limit() {
    let longest = vec![0; 1000 - BODY - 32];
    assert_eq!(FORMAT.expose_unencrypted(&HEADER, &longest).unwrap().len(), FORMAT.max_bytes());
    let longer = vec![0; longest.len() + 1];
    let limit = 1000;
    assert!(
        matches!(FORMAT.expose_unencrypted(&HEADER, &longer), Err(SealingError::TooLong { limit: l }) if l == limit)
    );
    assert!(matches!(
        FORMAT.seal(&HEADER, &longest, PASSPHRASE, cheap(), &mut rng(1)),
        Err(SealingError::TooLong { .. })
    ));
}

#[test]
fn costs_are_limited_before_they_are_paid() {
    for (place, value) in [(0, u32::MAX), (0, 1 << 19), (4, 17), (4, 0), (8, 17), (8, 0), (0, 15)] {
        let greedy = changed(sealed(), |bytes| {
            bytes[BODY + place..BODY + place + 4].copy_from_slice(&u32::to_le_bytes(value));
        });
        let error = unseal(&greedy, PASSPHRASE).unwrap_err();
        assert!(matches!(error, SealingError::Cost { .. }), "{place} {value}: {error}");
    }
    for (memory, passes, lanes) in [(1 << 10, 3, 1), (64 << 10, 1, 1), (64 << 10, 3, 0), (1 << 20, 3, 1)] {
        assert!(matches!(KdfCost::new(memory, passes, lanes), Err(SealingError::Cost { .. })));
    }
    let cost = KdfCost::new(19 << 10, 2, 1).unwrap();
    assert_eq!((cost.memory_kib(), cost.passes(), cost.lanes()), (19 << 10, 2, 1));
    assert_eq!(KdfCost::default(), KdfCost::new(64 << 10, 3, 4).unwrap());
}

#[test]
fn what_is_bound_cannot_be_changed() {
    // Header, salt, nonce, sealed bytes, tag.
    for place in [11, 13, BODY + 12, BODY + 28, BODY + 60, sealed().len() - 33] {
        let forged = changed(sealed(), |bytes| bytes[place] ^= 1);
        let error = unseal(&forged, PASSPHRASE).unwrap_err();
        assert!(matches!(error, SealingError::WrongPassphrase), "{place}: {error}");
    }
}

#[test]
fn files_are_private_and_replaced_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    assert!(matches!(file::read(&path, 10), Err(SealingError::Io(_))));
    assert!(file::read_if_there(&path, 10).unwrap().is_none());
    file::write_atomically(&path, b"first", &mut rng(1)).unwrap();
    file::write_atomically(&path, b"second", &mut rng(1)).unwrap();
    assert_eq!(*file::read(&path, 6).unwrap(), b"second");
    assert_eq!(*file::read_if_there(&path, 7).unwrap().unwrap(), b"second");
    assert!(matches!(file::read(&path, 5), Err(SealingError::TooLong { limit: 5 })));
    assert!(matches!(file::read_if_there(&path, 5), Err(SealingError::TooLong { limit: 5 })));
    // Where the file cannot take its place, nothing is left of it.
    let occupied = folder.path().join("folder");
    std::fs::create_dir(&occupied).unwrap();
    std::fs::write(occupied.join("file"), "").unwrap();
    assert!(matches!(file::write_atomically(&occupied, b"x", &mut rng(2)), Err(SealingError::Io(_))));
    assert!(file::write_atomically(folder.path().join("missing/secret"), b"x", &mut rng(3)).is_err());
    assert!(file::write_atomically("/", b"x", &mut rng(3)).is_err());
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["folder", "secret"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_bit_flip_is_noticed(bit in 0usize..1 << 20) {
        let mut bytes = sealed().to_vec();
        let bit = bit % (8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = FORMAT.parse(&bytes).unwrap_err();
        let expected = match bit / 8 {
            0..8 => matches!(error, SealingError::OtherFormat),
            8..10 => matches!(error, SealingError::Version { .. }),
            LENGTH..BODY => matches!(error, SealingError::Checksum | SealingError::Truncated { .. }),
            _ => matches!(error, SealingError::Checksum),
        };
        prop_assert!(expected, "{}: {}", bit, error);
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), keep in 0usize..BODY) {
        prop_assert!(FORMAT.parse(&bytes).is_err());
        let behind = [&sealed()[..keep], &bytes].concat();
        prop_assert!(FORMAT.parse(&behind).is_err());
    }

    #[test]
    fn any_contents_come_back(contents in prop::collection::vec(any::<u8>(), 0..300), seed: u64) {
        let sealed = FORMAT.seal(&HEADER, &contents, PASSPHRASE, cheap(), &mut rng(seed)).unwrap();
        prop_assert_eq!(unseal(&sealed, PASSPHRASE).unwrap(), contents);
    }
}

#[test]
fn a_file_and_a_passphrase_are_input() {
    assert_eq!(unseal(sealed(), b"a guess").unwrap_err().kind(), FailureKind::Input);
    assert_eq!(unseal(b"", PASSPHRASE).unwrap_err().kind(), FailureKind::Input);
}
