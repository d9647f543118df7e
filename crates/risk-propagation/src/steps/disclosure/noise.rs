//! Step R8: noise that hides what is decrypted, and covers the room that no account uses.
//!
//! A ciphertext of `used` accounts has room above them: slots, bits above the last slot, and the rest up to N. A bank that
//! hands in ciphertexts of others could read them there, so each noise contributor fills the room with a number that is
//! uniform in [0, R), R = ⌊N/(a·2^(used·L))⌋ for a contributors and L bits to an account. The sum of all stays below N and so
//! leaves the used slots alone. It is not quite uniform: what somebody puts there is hidden but for less than ½·log₂(a) bits of each
//! ciphertext.

use num_bigint::{BigInt, BigUint};
use rand_chacha::ChaCha20Rng;
use rand_core::CryptoRng;
use rayon::prelude::*;

use crate::error::Error;
use crate::plan::Plan;
use crate::steps::randomness::split;
use subrosa_arith::{GROUP, sample};
use subrosa_paillier::{Blinded, Blinder, Ciphertext, PublicKey};

/// The number of accounts in each ciphertext of a bank that declared `accounts`. All ciphertexts but the last are full.
pub fn used_slots(accounts: usize, plan: &Plan) -> impl Iterator<Item = usize> + Clone + use<> {
    let per = plan.accounts_per_ciphertext().max(1);
    (0..accounts.div_ceil(per)).map(move |index| per.min(accounts - index * per))
}

/// Step R8: noise for ciphertexts of other banks, fresh and independent in every slot. `used` is how many accounts each of them
/// holds; the room above them is filled as well.
///
/// # Security
/// Draw it once for each run and ciphertext: two draws for the same scores narrow what the noise hides.
///
/// # Errors
/// [`Error::Paillier`] where the noise does not fit the key, which the plan rules out.
pub fn noise(
    used: &[usize],
    plan: &Plan,
    blinder: &Blinder,
    rng: &mut impl CryptoRng,
) -> Result<Vec<Blinded<Ciphertext>>, Error> {
    let slots = plan.accounts_per_ciphertext() * plan.columns();
    let mut streams: Vec<_> = used.iter().map(|_| split(rng)).collect();
    let one = |used: usize, rng: &mut ChaCha20Rng| -> Result<Ciphertext, Error> {
        let mut sum = BigUint::ZERO;
        for _ in 0..slots {
            sum <<= plan.slot_bits();
            sum += sample::random_bits(rng, u64::from(plan.noise_bits()));
        }
        let low = used_bits(used, plan);
        sum &= (BigUint::from(1_u8) << low) - 1_u8;
        sum += sample::random_below(rng, &room(used, plan, blinder.key())) << low;
        Ok(blinder.key().encrypt_unblinded(&signed(sum, blinder.key()))?)
    };
    let groups = used.par_chunks(GROUP).zip(streams.par_chunks_mut(GROUP));
    let noise = groups.map(|(used, streams)| {
        let plain = used.iter().zip(streams.iter_mut()).map(|(used, rng)| one(*used, rng));
        let plain = plain.collect::<Result<Vec<_>, Error>>()?;
        let pairs = plain.iter().zip(blinder.randomisers(streams));
        pairs.map(|(plain, randomiser)| Ok(blinder.blind_with(plain, randomiser)?)).collect()
    });
    Ok(noise.collect::<Result<Vec<Vec<_>>, Error>>()?.concat())
}

/// Bits of the used slots of a ciphertext, which come first.
#[must_use]
pub fn used_bits(used: usize, plan: &Plan) -> usize {
    used.min(plan.accounts_per_ciphertext()) * plan.slot_bits() * plan.columns()
}

/// R: what each noise contributor adds above the used slots, at 2^[`used_bits`], is below this.
#[must_use]
pub fn room(used: usize, plan: &Plan, key: &PublicKey) -> BigUint {
    key.n() / (BigUint::from(plan.noise_contributors().max(1)) << used_bits(used, plan))
}

/// A residue modulo N as the number next to 0.
fn signed(residue: BigUint, key: &PublicKey) -> BigInt {
    if &residue << 1_u8 < *key.n() {
        return BigInt::from(residue);
    }
    BigInt::from(residue) - BigInt::from(key.n().clone())
}
