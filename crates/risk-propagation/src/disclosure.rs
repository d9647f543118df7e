//! From ciphertext parts to scores on the grid: steps R7 to R9 of `docs/protocols/risk-propagation.md`, without any
//! networking.

use num_bigint::{BigInt, BigUint};
use rand_core::CryptoRng;
use rayon::prelude::*;
use subrosa_arith::sample;
use subrosa_paillier::{Blinded, Blinder, Ciphertext, PublicKey};

use crate::encrypted::Encrypted;
use crate::error::Error;
use crate::fixed::{lanes, to_grid};
use crate::plan::Plan;
use crate::randomness::split;

/// Ciphertexts that a number of reached accounts take.
#[must_use]
pub fn ciphertexts(reached: usize, plan: &Plan) -> usize {
    reached.div_ceil(plan.accounts_per_ciphertext().max(1))
}

/// Step R7: packs the ciphertext parts of `accounts` into as few ciphertexts as possible.
///
/// By Horner's rule: the slots of one account cost as many squarings as they have bits.
///
/// # Security
/// The products tell how they were made. [`blind`] them before anybody sees them.
#[must_use]
pub fn pack(scores: &Encrypted, accounts: &[u32], plan: &Plan, key: &PublicKey) -> Vec<Ciphertext> {
    let modulus = key.modulus_squared();
    let width = plan.slot_bits() * plan.columns();
    let pack = |accounts: &[u32]| {
        let mut packed = modulus.one();
        for (position, &account) in accounts.iter().rev().enumerate() {
            if position > 0 {
                (0..width).for_each(|_| modulus.square_assign(&mut packed));
            }
            if let Some(part) = scores.mixed(account as usize) {
                modulus.mul_assign(&mut packed, &part);
            }
        }
        key.wrap(&packed)
    };
    accounts.par_chunks(plan.accounts_per_ciphertext().max(1)).map(pack).collect()
}

/// The end of step R7: blinds packed ciphertexts. The same generator gives the same ciphertexts again.
///
/// # Errors
/// [`Error::Paillier`] for a blinder of another key.
pub fn blind(
    packed: &[Ciphertext],
    blinder: &Blinder,
    rng: &mut impl CryptoRng,
) -> Result<Vec<Blinded<Ciphertext>>, Error> {
    let streams: Vec<_> = packed.iter().map(|_| split(rng)).collect();
    let pairs = packed.par_iter().zip(streams);
    pairs.map(|(packed, mut rng)| Ok(blinder.blind(packed, &mut rng)?)).collect()
}

/// Step R8: noise for a number of ciphertexts of other banks, fresh and independent in every slot.
///
/// # Security
/// Draw it once for each run and ciphertext: two draws for the same scores narrow what the noise hides.
///
/// # Errors
/// [`Error::Paillier`] where the noise does not fit the key, which the plan rules out.
pub fn noise(
    count: usize,
    plan: &Plan,
    blinder: &Blinder,
    rng: &mut impl CryptoRng,
) -> Result<Vec<Blinded<Ciphertext>>, Error> {
    let slots = plan.accounts_per_ciphertext() * plan.columns();
    let streams: Vec<_> = (0..count).map(|_| split(rng)).collect();
    streams
        .into_par_iter()
        .map(|mut rng| {
            let mut sum = BigUint::ZERO;
            for _ in 0..slots {
                sum <<= plan.slot_bits();
                sum += sample::random_bits(&mut rng, u64::from(plan.noise_bits()));
            }
            Ok(blinder.encrypt(&BigInt::from(sum), &mut rng)?)
        })
        .collect()
}

/// The end of step R8: C·∏ Eᵢ for every ciphertext. `noise[i]` is the list of adder i.
///
/// # Errors
/// [`Error::Paillier`] for ciphertexts of another key.
pub fn add_noise(
    key: &PublicKey,
    packed: &[Ciphertext],
    noise: &[&[Ciphertext]],
) -> Result<Vec<Ciphertext>, Error> {
    let all = |(index, packed): (usize, &Ciphertext)| {
        let parts = noise.iter().filter_map(|noise| noise.get(index));
        Ok(key.sum(std::iter::once(packed).chain(parts))?)
    };
    packed.iter().enumerate().map(all).collect()
}

/// Step R9: the scores of all own accounts on the plan's grid, one row of risk types for each.
///
/// # Arguments
/// `accounts` are the reached ones in the order in which they were packed, `plaintexts` what was decrypted.
///
/// # Errors
/// [`Error::Plaintext`] for a wrong number of plaintexts or one that no sum of scores and noise can be.
pub fn disclose(
    scores: &Encrypted,
    accounts: &[u32],
    plaintexts: &[BigInt],
    plan: &Plan,
) -> Result<Vec<f64>, Error> {
    let per = plan.accounts_per_ciphertext().max(1);
    if plaintexts.len() != accounts.len().div_ceil(per) {
        return Err(Error::Plaintext("there are more or fewer than ciphertexts were handed in"));
    }
    let width = plan.slot_bits() * plan.columns();
    let mask = (BigUint::from(1_u8) << width) - 1_u8;
    // Twice the mean of the noise in a slot: a·(2^g − 1).
    let twice_mean = BigInt::from(plan.adders()) * ((BigInt::from(1_u8) << plan.noise_bits()) - 1_u8);
    let mut secret = vec![None; scores.plain().len()];
    for (group, plaintext) in accounts.chunks(per).zip(plaintexts) {
        let whole = plaintext.to_biguint().ok_or(Error::Plaintext("one is negative"))?;
        if whole.bits() > (width * per) as u64 {
            return Err(Error::Plaintext("one is longer than its slots"));
        }
        for (position, &account) in group.iter().enumerate() {
            if let Some(slot) = secret.get_mut(account as usize) {
                *slot = Some(lanes(&((&whole >> (position * width)) & &mask), plan));
            }
        }
    }
    let rows = secret.into_par_iter().enumerate().map(|(account, secret)| {
        let plain = scores.plain().lanes(account, plan);
        let grid = |(lane, plain): (usize, BigUint)| {
            let mut twice = BigInt::from(plain) * 2_u8;
            if let Some(noisy) = secret.as_ref().and_then(|lanes| lanes.get(lane)) {
                twice += BigInt::from(noisy.clone()) * 2_u8 - &twice_mean;
            }
            to_grid(&twice, plan.final_scale() + 1, plan.decimals())
        };
        plain.into_iter().enumerate().map(grid).collect::<Vec<f64>>()
    });
    Ok(rows.collect::<Vec<_>>().concat())
}
