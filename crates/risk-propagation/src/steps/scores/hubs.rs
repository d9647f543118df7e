//! The iteration for accounts of very many senders.

use num_bigint::BigUint;
use rayon::prelude::*;

use super::blocks::node;
use super::weights::{Mixing, sender_weights};
use crate::error::Error;
use crate::network::Network;
use subrosa_arith::Residue;
use subrosa_paillier::PublicKey;

/// Senders of a hub that are multiplied together: 2 MB of ciphertexts in each thread at k = 2048.
const PIECE: usize = 2048;

/// The senders of a hub that have ciphertexts, itself included, with their weights.
pub(super) fn hub_terms(
    network: &Network,
    period: usize,
    account: usize,
    mixing: Mixing,
    has_ciphertext: impl Fn(usize) -> bool,
) -> Result<Vec<(u32, u64)>, Error> {
    let mut weights = Vec::new();
    let senders = sender_weights(network, period, account, mixing, &mut weights)?;
    let own = node(account)?;
    let all = senders.iter().zip(weights).map(|(sender, weight)| (*sender, weight));
    let all = all.chain([(own, mixing.own())]).filter(|(node, _)| has_ciphertext(node.index()));
    Ok(all.map(|(node, weight)| (node.0, weight)).collect())
}

/// ∏ cᵤ^wᵤ over the senders of a hub, a piece at a time; `None` where no sender has a ciphertext.
pub(super) fn hub_product(
    key: &PublicKey,
    terms: &[(u32, u64)],
    residue: impl Fn(u32) -> Result<Residue, Error> + Sync,
) -> Result<Option<Residue>, Error> {
    let modulus = key.modulus_squared();
    let piece = |terms: &[(u32, u64)]| -> Result<Residue, Error> {
        let bases = terms.iter().map(|(node, _)| residue(*node)).collect::<Result<Vec<_>, Error>>()?;
        let weights: Vec<BigUint> = terms.iter().map(|(_, weight)| BigUint::from(*weight)).collect();
        Ok(modulus.vartime_multi_pow(&bases, &weights))
    };
    terms.par_chunks(PIECE).map(|terms| piece(terms).map(Some)).try_reduce(
        || None,
        |left, right| {
            Ok(match (left, right) {
                (Some(left), Some(right)) => Some(modulus.mul(&left, &right)),
                (one, None) | (None, one) => one,
            })
        },
    )
}
