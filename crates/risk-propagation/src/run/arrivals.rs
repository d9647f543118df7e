//! Checks of ciphertexts that arrive, in the rayon pool.

use rayon::prelude::*;

use crate::error::Error;
use subrosa_paillier::{Ciphertext, CiphertextBatch, PaillierError, PublicKey};
use subrosa_transport::{PartyId, Roster, with_causes};

/// Ciphertexts that are checked together. There is one gcd for each piece, which costs as much as some 30 of its products.
const PIECE: usize = 256;

/// What the banks sent, each list checked, in the order of the roster.
///
/// # Errors
/// Names the first bank of which something is not valid, and its first ciphertext that is not.
pub(super) fn accept(
    key: &PublicKey,
    roster: &Roster,
    batches: Vec<(PartyId, CiphertextBatch)>,
) -> Result<Vec<(PartyId, Vec<Ciphertext>)>, Error> {
    let checked = batches.into_par_iter().map(|(party, batch)| (party, checked(key, batch)));
    let checked: Vec<(PartyId, Result<Vec<Ciphertext>, PaillierError>)> = checked.collect();
    // In order and after all are checked: the first bank is named, and not the one whose check fails first.
    let named = |(party, checked): (PartyId, Result<_, PaillierError>)| match checked {
        Ok(ciphertexts) => Ok((party, ciphertexts)),
        Err(error) => Err(Error::peer(roster, party, with_causes(&error))),
    };
    checked.into_iter().map(named).collect()
}

fn checked(key: &PublicKey, batch: CiphertextBatch) -> Result<Vec<Ciphertext>, PaillierError> {
    if batch.len() <= PIECE {
        // Also an empty batch must be of the right key.
        return batch.accept(key);
    }
    let pieces = batch.split(PIECE).into_par_iter().map(|piece| piece.accept(key));
    let pieces: Vec<Result<Vec<Ciphertext>, PaillierError>> = pieces.collect();
    let mut all = Vec::with_capacity(pieces.len() * PIECE);
    for piece in pieces {
        all.extend(piece.map_err(|error| match error {
            PaillierError::InvalidCiphertext { index, reason } => {
                PaillierError::InvalidCiphertext { index: all.len() + index, reason }
            }
            other => other,
        })?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use subrosa_paillier::{Blinder, PrivateKey, Randomness};

    /// Sets ciphertexts of a batch to 0, which is no ciphertext.
    fn spoil(batch: &CiphertextBatch, key: &PublicKey, places: &[usize]) -> CiphertextBatch {
        let mut bytes = postcard::to_stdvec(batch).unwrap();
        let width = key.ciphertext_bytes();
        let start = bytes.len() - batch.len() * width;
        for place in places {
            bytes[start + place * width..start + (place + 1) * width].fill(0);
        }
        postcard::from_bytes(&bytes).unwrap()
    }

    #[test]
    fn the_first_bank_and_its_first_ciphertext_are_named() {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let private = PrivateKey::generate_insecure(256, &mut rng).unwrap();
        let key = private.public();
        let blinder = Blinder::new(key, Randomness::Short, 1 << 16).unwrap();
        let ciphertexts: Vec<_> =
            (0..700_i32).map(|value| blinder.encrypt(&BigInt::from(value), &mut rng).unwrap()).collect();
        let good = CiphertextBatch::new(key, &ciphertexts).unwrap();
        let roster = Roster::new(["north", "east", "west"], PartyId::new(0)).unwrap();
        let of = |party, batch: &CiphertextBatch| (PartyId::new(party), batch.clone());

        let all = accept(key, &roster, vec![of(1, &good), of(2, &good.clone().split(10)[3])]).unwrap();
        let whole = good.clone().accept(key).unwrap();
        assert_eq!(all, [(PartyId::new(1), whole.clone()), (PartyId::new(2), whole[30..40].to_vec())]);

        let bad = |party, places: &[usize]| of(party, &spoil(&good, key, places));
        let refused = |batches| {
            let error = accept(key, &roster, batches).unwrap_err();
            (error.culprits(), error.to_string())
        };
        for (batches, party, place) in [
            (vec![of(1, &good), bad(2, &[699, 600])], 2, 600),
            (vec![bad(1, &[511, 512]), bad(2, &[0])], 1, 511),
            (vec![of(1, &good), bad(2, &[256, 300])], 2, 256),
        ] {
            let (culprits, text) = refused(batches);
            assert_eq!(culprits, [PartyId::new(party)], "{text}");
            assert!(text.contains(&format!("entry {place} ")), "{place}: {text}");
        }
    }
}
