//! What one version stored and proved, a later one reads and verifies: the bytes, and what is hashed, are part of the
//! interface. Made once, with randomness that nobody has kept.

use num_bigint::BigUint;

use subrosa_threshold_decryption::{BatchProof, Challenges, ProofContext, proof, storage};

/// The share of the first of three parties, reshared and then refreshed, of a key of 512 bits.
const SHARE: &str = include_str!("../vectors/share.hex");
/// Its proof for an encryption of 5.
const PROOF: &str = include_str!("../vectors/proof.hex");
const DIGEST: &str = "48974f089553d936cd10ef448f987e98db69dfcb744765eea70807d9169f6a98";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

#[test]
fn what_was_stored_and_proved_once_still_holds() {
    let file = bytes(SHARE);
    let share = storage::read_unencrypted(&file).unwrap();
    assert_eq!(storage::expose_unencrypted(&share).unwrap()[..], file[..]);
    let lineage = share.key().lineage();
    assert_eq!((lineage.epoch(), lineage.refreshes(), lineage.base_exponent()), (2, 1, &BigUint::from(6u32)));
    assert_eq!(share.key().digest()[..], bytes(DIGEST)[..]);

    let some = [share.key().public().encrypt_with_nonce(&5.into(), &BigUint::from(3u32)).unwrap()];
    let partial = share.partially_decrypt(&some).unwrap();
    let proof: BatchProof = postcard::from_bytes(&bytes(PROOF)).unwrap();
    let context = ProofContext::new([7; 32], ["anna", "bert", "carla"]);
    proof::verify(&context, share.key(), &some, &partial, &proof, Challenges::Wide).unwrap();
}
