//! A stored share comes back as it was, and nothing else comes back.

use std::sync::OnceLock;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::common::*;
use subrosa_threshold_decryption::{
    Combiner, KeyShare, ThresholdKey,
    renewal::Refresh,
    storage::{self, KdfCost, MAX_FILE_BYTES, SealingError, StorageError},
};
use subrosa_transport::PerParty;

const PASSPHRASE: &[u8] = b"correct horse battery staple";
const KIND: usize = 10;
const EPOCH: usize = 27;
const PARTY: usize = 35;
const LENGTH: usize = 37;
const BODY: usize = 41;

fn cheap() -> KdfCost {
    KdfCost::insecure(32, 1, 2).unwrap()
}

fn share() -> &'static KeyShare {
    static SHARE: OnceLock<KeyShare> = OnceLock::new();
    SHARE.get_or_init(|| deal(3, 1).swap_remove(1))
}

fn sealed() -> &'static [u8] {
    static SEALED: OnceLock<Vec<u8>> = OnceLock::new();
    SEALED.get_or_init(|| storage::seal(share(), PASSPHRASE, cheap(), &mut rng(1)).unwrap())
}

/// The next epoch's share of the same party.
fn refreshed() -> KeyShare {
    let shares = deal(3, 1);
    let refresh = Refresh::new(shares[0].key()).unwrap();
    let mut rng = rng(2);
    let (commitments, dealt): (Vec<_>, Vec<_>) = (0..3).map(|_| refresh.deal(&mut rng)).unzip();
    let mine = PerParty::from_vec(dealt.iter().map(|values| values[party(1)].clone()).collect());
    refresh.finish(&shares[1], &PerParty::from_vec(commitments), &mine).unwrap()
}

/// A file whose checksum was made to fit again after a change.
fn changed(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len() - 32].to_vec();
    change(&mut bytes);
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

fn same(a: &KeyShare, b: &KeyShare) {
    assert_eq!(a.key().digest(), b.key().digest());
    assert_eq!((a.party(), a.share().expose()), (b.party(), b.share().expose()));
    assert_eq!(a.share().bits(), b.share().bits());
}

#[test]
fn shares_come_back_and_decrypt() {
    let back = storage::unseal(sealed(), PASSPHRASE).unwrap();
    same(&back, share());
    let some = ciphertexts(2);
    let parts = [back.partially_decrypt(&some).unwrap(), deal(3, 1)[0].partially_decrypt(&some).unwrap()];
    let combiner = Combiner::new(share().key(), &[party(1), party(0)]).unwrap();
    assert_eq!(combiner.combine(&parts).unwrap(), signed(&[0, 1]));
    // Renewed shares keep their history.
    let renewed = refreshed();
    let bytes = storage::seal(&renewed, PASSPHRASE, cheap(), &mut rng(3)).unwrap();
    same(&storage::unseal(&bytes, PASSPHRASE).unwrap(), &renewed);
    let info = storage::inspect(&bytes).unwrap();
    assert_eq!((info.epoch(), info.party(), info.is_encrypted()), (1, 1, true));
    assert_eq!(info.key(), *public().id().as_bytes());
}

#[test]
fn the_unencrypted_form_comes_back_and_is_told_apart() {
    let plain = storage::expose_unencrypted(share()).unwrap();
    same(&storage::read_unencrypted(&plain).unwrap(), share());
    assert!(!storage::inspect(&plain).unwrap().is_encrypted());
    assert!(matches!(
        storage::unseal(&plain, PASSPHRASE),
        Err(StorageError::Sealing(SealingError::NotEncrypted))
    ));
    assert!(matches!(
        storage::read_unencrypted(sealed()),
        Err(StorageError::Sealing(SealingError::Encrypted))
    ));
    // The sealed form does not hold the share's bytes; the plain one does.
    let secret = share().share().expose().to_bytes_le();
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    assert!(holds(&plain) && !holds(sealed()));
}

#[test]
fn another_passphrase_is_refused() {
    for wrong in [&b""[..], b"correct horse battery stapl", b"Correct horse battery staple"] {
        assert!(matches!(
            storage::unseal(sealed(), wrong),
            Err(StorageError::Sealing(SealingError::WrongPassphrase))
        ));
    }
    // Two files of one share under one passphrase have nothing in common.
    let again = storage::seal(share(), PASSPHRASE, cheap(), &mut rng(9)).unwrap();
    assert_ne!(again[BODY + 12..], sealed()[BODY + 12..]);
}

#[test]
fn every_truncation_is_noticed() {
    for length in 0..sealed().len() {
        let error = storage::unseal(&sealed()[..length], PASSPHRASE).unwrap_err();
        assert!(
            matches!(error, StorageError::Sealing(SealingError::Truncated { found, .. }) if found == length),
            "{length}: {error}"
        );
    }
    let mut longer = sealed().to_vec();
    longer.push(0);
    assert!(matches!(
        storage::unseal(&longer, PASSPHRASE),
        Err(StorageError::Sealing(SealingError::Checksum))
    ));
}

#[test]
fn other_formats_and_versions_are_named() {
    let error = |bytes: &[u8]| storage::unseal(bytes, PASSPHRASE).unwrap_err();
    let mut other = sealed().to_vec();
    other[8] = 2;
    assert!(matches!(error(&other), StorageError::Sealing(SealingError::Version { found: 2, known: 1 })));
    other[0] ^= 1;
    assert!(matches!(error(&other), StorageError::Sealing(SealingError::OtherFormat)));
    assert!(matches!(
        error(&vec![b'S'; MAX_FILE_BYTES + 1]),
        StorageError::Sealing(SealingError::TooLong { .. })
    ));
    let unknown = changed(sealed(), |bytes| bytes[KIND] = 3);
    assert!(matches!(error(&unknown), StorageError::Sealing(SealingError::Kind { found: 3 })));
    let huge = changed(sealed(), |bytes| bytes[LENGTH..BODY].fill(0xff));
    assert!(matches!(error(&huge), StorageError::Sealing(SealingError::Truncated { .. })));
}

#[test]
fn a_file_cannot_ask_for_much_memory_or_time() {
    for (place, value) in [(0, u32::MAX), (0, 1 << 19), (4, 17), (4, 0), (8, 17), (8, 0), (0, 15)] {
        let greedy = changed(sealed(), |bytes| {
            bytes[BODY + place..BODY + place + 4].copy_from_slice(&u32::to_le_bytes(value));
        });
        let error = storage::unseal(&greedy, PASSPHRASE).unwrap_err();
        assert!(
            matches!(error, StorageError::Sealing(SealingError::Cost { .. })),
            "{place} {value}: {error}"
        );
    }
    assert!(KdfCost::new(19 << 10, 2, 1).is_ok());
    for (memory, passes, lanes) in [(1 << 10, 3, 1), (64 << 10, 1, 1), (64 << 10, 3, 0), (1 << 20, 3, 1)] {
        assert!(matches!(KdfCost::new(memory, passes, lanes), Err(SealingError::Cost { .. })));
    }
    assert_eq!(KdfCost::default(), KdfCost::new(64 << 10, 3, 4).unwrap());
}

#[test]
fn a_changed_header_is_refused_although_the_checksum_fits() {
    // Key, epoch, party, salt, nonce, sealed bytes and tag are all bound by the encryption.
    for place in [11, EPOCH, PARTY, BODY + 12, BODY + 28, BODY + 60, sealed().len() - 33] {
        let forged = changed(sealed(), |bytes| bytes[place] ^= 1);
        let error = storage::unseal(&forged, PASSPHRASE).unwrap_err();
        assert!(matches!(error, StorageError::Sealing(SealingError::WrongPassphrase)), "{place}: {error}");
    }
    // In the unencrypted form, the header and the share must agree.
    let plain = storage::expose_unencrypted(share()).unwrap();
    for place in [11, EPOCH, PARTY] {
        let forged = changed(&plain, |bytes| bytes[place] ^= 1);
        let error = storage::read_unencrypted(&forged).unwrap_err();
        assert!(matches!(error, StorageError::Malformed { .. }), "{place}: {error}");
    }
}

#[test]
fn files_are_replaced_as_a_whole_and_by_later_shares_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.key");
    assert!(matches!(storage::load(&path, PASSPHRASE), Err(StorageError::Sealing(SealingError::Io(_)))));
    storage::save(&path, share(), PASSPHRASE, cheap(), &mut rng(1)).unwrap();
    same(&storage::load(&path, PASSPHRASE).unwrap(), share());
    let renewed = refreshed();
    storage::save(&path, &renewed, PASSPHRASE, cheap(), &mut rng(2)).unwrap();
    same(&storage::load(&path, PASSPHRASE).unwrap(), &renewed);

    let older = storage::save(&path, share(), PASSPHRASE, cheap(), &mut rng(3)).unwrap_err();
    assert!(matches!(older, StorageError::LaterEpoch { there: 1, new: 0 }), "{older}");
    let other = storage::save(&path, &deal(3, 1)[0], PASSPHRASE, cheap(), &mut rng(3)).unwrap_err();
    assert!(matches!(other, StorageError::OtherShare), "{other}");
    same(&storage::load(&path, PASSPHRASE).unwrap(), &renewed);

    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "not a key").unwrap();
    assert!(storage::save(&notes, share(), PASSPHRASE, cheap(), &mut rng(4)).is_err());
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "not a key");
    let nowhere = folder.path().join("missing").join("bank.key");
    assert!(matches!(
        storage::save(&nowhere, share(), PASSPHRASE, cheap(), &mut rng(5)),
        Err(StorageError::Sealing(SealingError::Io(_)))
    ));
    // No temporary file is left.
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["bank.key", "notes.txt"]);
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
        let error = storage::unseal(&bytes, PASSPHRASE).unwrap_err();
        let expected = match bit / 8 {
            0..8 => matches!(error, StorageError::Sealing(SealingError::OtherFormat)),
            8..10 => matches!(error, StorageError::Sealing(SealingError::Version { .. })),
            LENGTH..BODY => matches!(error, StorageError::Sealing(SealingError::Checksum) | StorageError::Sealing(SealingError::Truncated { .. })),
            _ => matches!(error, StorageError::Sealing(SealingError::Checksum)),
        };
        prop_assert!(expected, "{}: {}", bit, error);
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        prop_assert!(storage::unseal(&bytes, PASSPHRASE).is_err());
        prop_assert!(storage::read_unencrypted(&bytes).is_err());
    }

    /// Any body behind a good frame: what an attacker who knows the passphrase, or none, can write.
    #[test]
    fn arbitrary_payloads_are_refused(body in prop::collection::vec(any::<u8>(), 0..400), kind in 1u8..3) {
        let forged = changed(sealed(), |bytes| {
            bytes[KIND] = kind;
            bytes.truncate(BODY);
            bytes[LENGTH..BODY].copy_from_slice(&u32::to_le_bytes(body.len() as u32));
            // Keep the cost of the passphrase small, so that the test is quick.
            bytes.extend(if kind == 2 { &sealed()[BODY..BODY + 12] } else { &[] });
            bytes.extend(&body);
            let length = bytes.len() - BODY;
            bytes[LENGTH..BODY].copy_from_slice(&u32::to_le_bytes(length as u32));
        });
        prop_assert!(storage::unseal(&forged, PASSPHRASE).is_err());
        prop_assert!(storage::read_unencrypted(&forged).is_err());
    }

    /// A payload of the right form with a byte changed: caught by the checks of key and share.
    #[test]
    fn changed_payloads_are_refused(place in 0usize..1 << 20, flip in 1u8..) {
        let plain = storage::expose_unencrypted(share()).unwrap();
        let place = BODY + place % (plain.len() - BODY - 32);
        let forged = changed(&plain, |bytes| bytes[place] ^= flip);
        match storage::read_unencrypted(&forged) {
            Err(_) => {}
            // A bound may have grown: then the share is the same, with a larger public bound.
            Ok(read) => prop_assert_eq!(read.share().expose(), share().share().expose()),
        }
    }
}

#[test]
fn the_public_part_travels_as_bytes() {
    for share in [share().clone(), refreshed()] {
        let bytes = share.key().to_bytes().unwrap();
        let key = ThresholdKey::from_bytes(&bytes).unwrap();
        assert_eq!(key.digest(), share.key().digest());
        assert_eq!(key.lineage(), share.key().lineage());
        // It is the key that the share belongs to, proofs and all.
        KeyShare::new(key, share.party(), share.share().clone()).unwrap();
        for length in 0..bytes.len() {
            assert!(ThresholdKey::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        for place in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[place] ^= 1;
            assert!(ThresholdKey::from_bytes(&bad).is_err(), "{place}");
            // With the right checksum it is another key, if it is one.
            if place < bytes.len() - 32 {
                bad.truncate(bytes.len() - 32);
                bad.extend_from_slice(&Sha256::digest(&bad));
                let found = ThresholdKey::from_bytes(&bad);
                assert!(found.is_err() || found.unwrap().digest() != share.key().digest(), "{place}");
            }
        }
    }
}
