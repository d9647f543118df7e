//! Key files of earlier versions are read, and the bytes of today's are those of version 1.

use std::io::Write;
use std::path::PathBuf;

use num_bigint::BigUint;

use crate::common::*;
use subrosa_threshold_decryption::{
    AccessStructure, Combiner, KeyShare, ThresholdKey,
    renewal::{Refresh, Resharing},
    storage::{self, KdfCost},
};
use subrosa_transport::{PartyId, PerParty};

const PASSPHRASE: &[u8] = b"correct horse battery staple";
/// The parties whose shares are stored.
const STORED: [u16; 2] = [0, 2];

fn cost() -> KdfCost {
    KdfCost::insecure(32, 1, 2).unwrap()
}

/// Salt and nonce of a stored share.
fn sealed(share: &KeyShare) -> Vec<u8> {
    storage::seal(share, PASSPHRASE, cost(), &mut rng(1000 + share.party().index() as u64)).unwrap()
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1").join(name)
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

/// Reshared by parties 1 and 3 to three parties, and refreshed.
fn renewed(old: &[KeyShare]) -> Vec<KeyShare> {
    let mut rng = rng(77);
    let dealers = STORED.map(party);
    let access = AccessStructure::new(3, 1).unwrap();
    let resharing = Resharing::new(old[0].key(), &dealers, access).unwrap();
    let (commitments, dealt): (Vec<_>, Vec<_>) =
        dealers.iter().map(|dealer| resharing.deal(&old[dealer.index()], &mut rng).unwrap()).unzip();
    let receive = |me: u16| {
        let mine: Vec<_> = dealt.iter().map(|values| values[party(me)].clone()).collect();
        resharing.receive(party(me), &commitments, &mine).unwrap()
    };
    let reshared: Vec<KeyShare> = (0..3).map(receive).collect();
    let refresh = Refresh::new(reshared[0].key()).unwrap();
    let (commitments, dealt): (Vec<_>, Vec<_>) = reshared.iter().map(|_| refresh.deal(&mut rng)).unzip();
    let commitments = PerParty::from_vec(commitments);
    let finish = |share: &KeyShare| {
        let mine = dealt.iter().map(|values| values[share.party()].clone()).collect();
        refresh.finish(share, &commitments, &PerParty::from_vec(mine)).unwrap()
    };
    reshared.iter().map(finish).collect()
}

#[test]
#[ignore = "writes the files that the other tests read"]
fn write() {
    let write = |name: String, bytes: &[u8]| {
        let mut file = std::fs::File::create_new(path(&name)).unwrap();
        file.write_all(bytes).unwrap();
    };
    let fresh = deal(3, 1);
    for (name, shares) in [("renewed", renewed(&fresh)), ("fresh", fresh)] {
        for me in STORED {
            write(format!("{name}-{}.sealed", me + 1), &sealed(&shares[usize::from(me)]));
        }
        write(format!("{name}-1.plain"), &storage::expose_unencrypted(&shares[0]).unwrap());
        write(format!("{name}.public"), &shares[0].key().to_bytes().unwrap());
    }
}

#[test]
fn files_of_version_1_are_read() {
    for (name, epoch) in [("fresh", 0), ("renewed", 2)] {
        let key = ThresholdKey::from_bytes(&file(&format!("{name}.public"))).unwrap();
        assert_eq!((key.lineage().epoch(), key.public().bits()), (epoch, 512));
        let shares = STORED.map(|me| {
            let bytes = file(&format!("{name}-{}.sealed", me + 1));
            let info = storage::inspect(&bytes).unwrap();
            assert_eq!((info.party(), info.epoch(), info.is_encrypted()), (me, epoch, true));
            assert_eq!(info.key(), *key.public().id().as_bytes());
            storage::unseal(&bytes, PASSPHRASE).unwrap()
        });
        let plain = storage::read_unencrypted(&file(&format!("{name}-1.plain"))).unwrap();
        assert_eq!(plain.share().expose(), shares[0].share().expose());

        let some = [key.public().encrypt_with_nonce(&(-5).into(), &BigUint::from(3u32)).unwrap()];
        let parts = shares.each_ref().map(|share| share.partially_decrypt(&some).unwrap());
        let members: [PartyId; 2] = STORED.map(party);
        assert_eq!(Combiner::new(&key, &members).unwrap().combine(&parts).unwrap(), signed(&[-5]));
        for share in shares.iter().chain([&plain]) {
            assert_eq!(share.key().digest(), key.digest());
        }
    }
}

/// With the same randomness, the same bytes as ever.
#[test]
fn bytes_are_those_of_version_1() {
    for name in ["fresh", "renewed"] {
        let plain = file(&format!("{name}-1.plain"));
        let share = storage::read_unencrypted(&plain).unwrap();
        assert_eq!(storage::expose_unencrypted(&share).unwrap()[..], plain[..]);
        assert_eq!(share.key().to_bytes().unwrap(), file(&format!("{name}.public")));
        assert_eq!(sealed(&share), file(&format!("{name}-1.sealed")));
    }
}
