//! From ciphertext parts to scores on the grid: steps R7 to R9 of `docs/protocols/risk-propagation.md`, without any
//! networking.

mod ceilings;
mod commitment;
mod noise;

use num_bigint::{BigInt, BigUint, Sign};
use rand_core::CryptoRng;
use rayon::prelude::*;

use crate::error::{Error, Violation};
use crate::plan::Plan;
use crate::steps::randomness::split;
use crate::steps::scores::Encrypted;
use crate::steps::scores::{lanes, to_grid};
use subrosa_arith::GROUP;
use subrosa_paillier::{Blinded, Blinder, Ciphertext, PublicKey};

pub use ceilings::Ceilings;
pub use commitment::{Committed, commitment, noise_context};
pub use noise::{noise, room, used_bits, used_slots};

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
///
/// # Errors
/// [`Error::Internal`] for an account without a ciphertext part.
pub fn pack(
    scores: &Encrypted,
    accounts: &[u32],
    plan: &Plan,
    key: &PublicKey,
) -> Result<Vec<Ciphertext>, Error> {
    let modulus = key.modulus_squared();
    let shift = BigUint::from(1_u8) << (plan.slot_bits() * plan.columns());
    let per = plan.accounts_per_ciphertext().max(1);
    let part = |account: u32| {
        let place = "an account that foreign money reaches has no ciphertext";
        scores.mixed(account as usize).ok_or(Error::Internal { place })
    };
    // Ciphertexts side by side, one position of all after the other.
    let pack = |accounts: &[u32]| -> Result<Vec<Ciphertext>, Error> {
        let groups: Vec<&[u32]> = accounts.chunks(per).collect();
        let mut packed = vec![modulus.one(); groups.len()];
        for position in (0..per).rev() {
            // All ciphertexts but the last are full.
            let begun = groups.iter().take_while(|group| group.len() > position + 1).count();
            let shifted = modulus.vartime_pow_batch(packed.get(..begun).unwrap_or(&[]), &shift);
            packed.splice(..begun, shifted);
            for (packed, group) in packed.iter_mut().zip(&groups) {
                if let Some(&account) = group.get(position) {
                    modulus.mul_assign(packed, &part(account)?);
                }
            }
        }
        Ok(packed.iter().map(|packed| key.wrap(packed)).collect())
    };
    let packed =
        accounts.par_chunks(per * GROUP).map(pack).collect::<Result<Vec<Vec<Ciphertext>>, Error>>()?;
    Ok(packed.concat())
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
    let mut streams: Vec<_> = packed.iter().map(|_| split(rng)).collect();
    let groups = packed.par_chunks(GROUP).zip(streams.par_chunks_mut(GROUP));
    let blinded = groups.map(|(packed, streams)| {
        let pairs = packed.iter().zip(blinder.randomisers(streams));
        pairs.map(|(packed, randomiser)| Ok(blinder.blind_with(packed, randomiser)?)).collect()
    });
    Ok(blinded.collect::<Result<Vec<Vec<_>>, Error>>()?.concat())
}

/// The end of step R8: C·∏ Eᵢ for every ciphertext, in the current rayon pool. `noise[i]` is the list of noise contributor i.
///
/// # Errors
/// [`Error::Paillier`] for ciphertexts of another key, [`Error::Internal`] for a list of another length.
pub fn add_noise(
    key: &PublicKey,
    packed: &[Ciphertext],
    noise: &[&[Ciphertext]],
) -> Result<Vec<Ciphertext>, Error> {
    if noise.iter().any(|noise| noise.len() != packed.len()) {
        return Err(Error::internal("there is more or less noise than there are ciphertexts"));
    }
    let all = |(index, packed): (usize, &Ciphertext)| {
        let parts = noise.iter().filter_map(|noise| noise.get(index));
        Ok(key.sum(std::iter::once(packed).chain(parts))?)
    };
    packed.par_iter().enumerate().map(all).collect()
}

/// Step R9: the scores of all own accounts on the plan's grid, one row of risk types for each.
///
/// Every decrypted number is checked against the range that it has if all banks follow the protocol, before the mean of the
/// noise comes off and before anything is rounded.
///
/// # Arguments
/// `accounts` are the reached ones in the order in which they were packed, `plaintexts` what was decrypted.
///
/// # Security
/// Whether the check fails can depend on a score in a way that another bank chose. Let nobody see it: end the protocol as
/// always, and keep the error.
///
/// # Errors
/// [`Error::Plaintext`] for a wrong number of plaintexts, [`Error::Range`] for one that no sum of scores and noise can be,
/// [`Error::Internal`] for accounts that are not there.
pub fn disclose(
    scores: &Encrypted,
    accounts: &[u32],
    plaintexts: &[BigInt],
    ceilings: &Ceilings,
    plan: &Plan,
    key: &PublicKey,
) -> Result<Vec<f64>, Error> {
    let per = plan.accounts_per_ciphertext().max(1);
    if plaintexts.len() != accounts.len().div_ceil(per) {
        return Err(Error::Plaintext("there are more or fewer than ciphertexts were handed in"));
    }
    let width = plan.slot_bits() * plan.columns();
    let mask = (BigUint::from(1_u8) << width) - 1_u8;
    // Twice the mean of the noise in a slot: a·(2^g − 1), which is also its maximum.
    let twice_mean =
        BigUint::from(plan.noise_contributors()) * ((BigUint::from(1_u8) << plan.noise_bits()) - 1_u8);
    let mut secret = vec![None; scores.plain().len()];
    let mut violation = Violation::default();
    for (group, plaintext) in accounts.chunks(per).zip(plaintexts) {
        let whole = residue(plaintext, key);
        if !is_in_range(&whole, group.len(), plan, key) {
            violation.ciphertexts += 1;
        }
        for (position, &account) in group.iter().enumerate() {
            let found = lanes(&((&whole >> (position * width)) & &mask), plan);
            let most = ceilings.of(account as usize)? + &twice_mean;
            let beyond = found.iter().filter(|lane| **lane > most).count();
            if beyond > 0 {
                violation.scores += beyond;
                violation.accounts.push(account);
            }
            let slot = secret.get_mut(account as usize);
            *slot.ok_or(Error::Internal { place: "a decrypted account is not there" })? = Some(found);
        }
    }
    // Also where something is out of range, so that it takes no less time.
    let twice_mean = BigInt::from(twice_mean);
    let rows = secret.into_par_iter().enumerate().map(|(account, secret)| {
        let plain = scores.plain().lanes(account, plan)?;
        let grid = |(lane, plain): (usize, BigUint)| {
            let mut twice = BigInt::from(plain) * 2_u8;
            if let Some(lanes) = &secret {
                let noisy = lanes.get(lane).ok_or(Error::Internal { place: "a lane is missing" })?;
                twice += BigInt::from(noisy.clone()) * 2_u8 - &twice_mean;
            }
            to_grid(&twice, plan.final_scale() + 1, plan.decimals())
        };
        plain.into_iter().enumerate().map(grid).collect::<Result<Vec<f64>, Error>>()
    });
    let rows = rows.collect::<Result<Vec<_>, Error>>()?.concat();
    if violation.is_any() { Err(Error::Range(violation)) } else { Ok(rows) }
}

/// A plaintext modulo N.
fn residue(plaintext: &BigInt, key: &PublicKey) -> BigUint {
    let magnitude = plaintext.magnitude() % key.n();
    match plaintext.sign() {
        Sign::Minus if magnitude > BigUint::ZERO => key.n() - magnitude,
        _ => magnitude,
    }
}

/// Whether what lies above the used slots is a sum of what the noise contributors put there.
fn is_in_range(whole: &BigUint, used: usize, plan: &Plan, key: &PublicKey) -> bool {
    let room = room(used, plan, key);
    let most = if room > BigUint::ZERO { (room - 1_u8) * plan.noise_contributors() } else { room };
    whole >> used_bits(used, plan) <= most
}
