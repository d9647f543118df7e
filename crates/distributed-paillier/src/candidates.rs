//! Steps K1 to K3: candidates for N, drawn, multiplied and sieved in batches.
//!
//! After Boneh and Franklin, *Efficient Generation of Shared RSA Keys*, J. ACM 48(4), 2001, sections 2 and 3, with an
//! honest majority. Candidates that fail are dropped. Neither of their factors is used again.

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::{One, Zero};
use rand_core::CryptoRng;
use rayon::prelude::*;

use crate::messages::{CandidateShares, ListBelow, ProductShares, conform};
use crate::{KeygenError, KeygenParameters};
use subrosa_arith::{SecretInt, sample, wipe_uint};
use subrosa_shamir::RingShare;
use subrosa_transport::{PartyId, PerParty};

/// A candidate was asked for that is not in its batch.
pub(crate) const NO_SUCH_PLACE: KeygenError =
    KeygenError::Internal { place: "a candidate is not in its batch" };

/// One party's summands pᵢ and qᵢ of a candidate's factors.
///
/// # Security
/// They must not be sent. The summands of all parties together give the factors of N.
#[derive(Clone, Debug)]
pub struct Candidate {
    number: u64,
    p: SecretInt,
    q: SecretInt,
}

impl Candidate {
    /// The candidate's place in the run, from 0; it decides who is its leader.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// pᵢ.
    pub fn p(&self) -> &SecretInt {
        &self.p
    }

    /// qᵢ.
    pub fn q(&self) -> &SecretInt {
        &self.q
    }
}

/// Draws summands so that p = Σ pᵢ lies in [¾, 1)·2^(k/2), p ≡ 3 (mod 4), and no prime of M divides p or p − 1.
///
/// Built once for a party; holds the Chinese-remainder coefficients of its own primes.
#[derive(Clone, Debug)]
pub struct Sampler {
    /// The CRT coefficient of each of my primes ℓ: ≡ 1 mod ℓ, ≡ 0 mod 4 and mod every other prime of M.
    mine: Vec<(u32, BigUint)>,
    /// The same for 4.
    four: BigUint,
    /// m = 4M.
    modulus: BigUint,
    /// 3·2^(k/2−2).
    base: BigUint,
    /// ⌊R/m⌋ with R = ⌊2^(k/2−2)/n⌋.
    steps: BigUint,
    /// A public bound on the bits of pᵢ.
    lead_bits: u64,
    follower_bits: u64,
}

impl Sampler {
    /// The sampler of `party`.
    ///
    /// # Errors
    /// [`KeygenError::Internal`] if the parameters leave no room for candidates, or M is even or has a square.
    pub fn new(parameters: &KeygenParameters, party: PartyId) -> Result<Self, KeygenError> {
        let primes = parameters.small_primes();
        let product: BigUint = primes.iter().map(|&(prime, _)| BigUint::from(prime)).product();
        let modulus = &product << 2u32;
        let coefficient = |prime: u32| {
            let prime = BigUint::from(prime);
            let rest = &modulus / &prime;
            let inverse = (&rest % &prime).modinv(&prime);
            inverse
                .map(|inverse| rest * inverse)
                .ok_or(KeygenError::Internal { place: "M is even or has a square" })
        };
        let mine = primes.iter().filter(|(_, owner)| *owner == party);
        let mine =
            mine.map(|&(prime, _)| Ok((prime, coefficient(prime)?))).collect::<Result<_, KeygenError>>()?;
        let quarter = BigUint::one() << (parameters.key_bits() / 2 - 2);
        let range = &quarter / parameters.access().parties();
        let steps = &range / &modulus;
        if steps.is_zero() {
            return Err(KeygenError::Internal { place: "the key is too small for so many parties" });
        }
        let four_inverse = (&product % 4u32)
            .modinv(&BigUint::from(4u32))
            .ok_or(KeygenError::Internal { place: "M is even" })?;
        Ok(Self {
            mine,
            four: product * four_inverse,
            base: &quarter * 3u32,
            steps,
            lead_bits: parameters.key_bits() / 2,
            follower_bits: range.bits(),
            modulus,
        })
    }

    /// Draws pᵢ as `base + ((a − base) mod m) + m·z`, where a has the residues that this party chooses.
    fn draw(&self, is_leader: bool, rng: &mut impl CryptoRng) -> Result<SecretInt, KeygenError> {
        let mut residue = if is_leader { &self.four * 3u32 } else { BigUint::zero() };
        for (prime, coefficient) in &self.mine {
            // Uniform in {2, …, ℓ−1}: neither p nor p − 1 is divisible by ℓ.
            let mut digit = sample::random_below(rng, &BigUint::from(prime - 2)) + 2u32;
            residue += coefficient * &digit;
            wipe_uint(&mut digit);
        }
        let base = if is_leader { self.base.clone() } else { BigUint::zero() };
        residue += &self.modulus - &base % &self.modulus;
        let mut offset = &residue % &self.modulus;
        let mut steps = sample::random_below(rng, &self.steps);
        let value = base + &offset + &self.modulus * &steps;
        [&mut residue, &mut offset, &mut steps].into_iter().for_each(wipe_uint);
        Ok(SecretInt::new(value, if is_leader { self.lead_bits } else { self.follower_bits })?)
    }
}

/// My summands of a batch's candidates, after K1.
///
/// # Security
/// It must not be sent.
#[derive(Debug)]
pub struct BatchSecrets {
    candidates: Vec<Candidate>,
}

impl BatchSecrets {
    /// The candidate at a place in the batch.
    pub fn candidate(&self, index: usize) -> Option<&Candidate> {
        self.candidates.get(index)
    }
}

/// The shape of [`CandidateShares`]: three values for each candidate.
pub fn share_shape(parameters: &KeygenParameters) -> ListBelow {
    ListBelow { count: 3 * parameters.batch(), bound: parameters.candidate_field().modulus().clone() }
}

/// The shape of [`ProductShares`].
pub fn product_shape(parameters: &KeygenParameters) -> ListBelow {
    ListBelow { count: parameters.batch(), bound: parameters.candidate_field().modulus().clone() }
}

/// K1: draws the summands of a batch whose first candidate has the number `first`. Deals each summand with degree t,
/// and a zero with degree 2t. The messages include the one to this party itself.
///
/// # Errors
/// [`KeygenError::Shamir`] if the field is too small.
pub fn deal(
    parameters: &KeygenParameters,
    sampler: &Sampler,
    me: PartyId,
    first: u64,
    rng: &mut impl CryptoRng,
) -> Result<(BatchSecrets, PerParty<CandidateShares>), KeygenError> {
    let (field, access) = (parameters.candidate_field(), parameters.access());
    let (n, t) = (access.parties(), access.threshold());
    let mut candidates = Vec::with_capacity(parameters.batch());
    let empty = |_| CandidateShares { values: Vec::with_capacity(3 * parameters.batch()) };
    let mut messages: Vec<CandidateShares> = (0..n).map(empty).collect();
    for number in (first..).take(parameters.batch()) {
        let is_leader = parameters.leader(number) == me;
        let candidate =
            Candidate { number, p: sampler.draw(is_leader, rng)?, q: sampler.draw(is_leader, rng)? };
        for shares in [
            field.share_secret(&candidate.p, t, n, rng)?,
            field.share_secret(&candidate.q, t, n, rng)?,
            field.share_zero(2 * t, n, rng)?,
        ] {
            for (message, share) in messages.iter_mut().zip(&shares) {
                message.values.push(share.value().expose().clone());
            }
        }
        candidates.push(candidate);
    }
    Ok((BatchSecrets { candidates }, PerParty::from_vec(messages)))
}

/// K2: computes a share of each candidate's N = p·q, masked by the sum of all parties' zero sharings.
///
/// # Security
/// Without the mask, the polynomial of the opened shares would be the product of the polynomials of p and q. Every
/// party could factor it and read p and q.
///
/// # Errors
/// [`KeygenError::Invalid`] naming a party whose message does not have the shape of [`share_shape`].
pub fn multiply(
    parameters: &KeygenParameters,
    me: PartyId,
    received: &PerParty<CandidateShares>,
) -> Result<ProductShares, KeygenError> {
    let field = parameters.candidate_field();
    conform(parameters.access().parties(), received, &share_shape(parameters))?;
    let values = (0..parameters.batch())
        .into_par_iter()
        .map(|candidate| {
            let sum = |kind: usize| {
                let shares = received
                    .values()
                    .map(|message| field.accept(me.number(), message.values[3 * candidate + kind].clone()))
                    .collect::<Result<Vec<_>, _>>()?;
                field.sum(&shares)
            };
            let product = field.masked_product(&sum(0)?, &sum(1)?, &sum(2)?)?;
            Ok(product.value().expose().clone())
        })
        .collect::<Result<_, KeygenError>>()?;
    Ok(ProductShares { values })
}

/// This party's shares of one dealer's summands, from K1, for one candidate.
#[derive(Clone, Debug)]
pub struct Factors {
    /// The share of pᵢ.
    pub p: RingShare,
    /// The share of qᵢ.
    pub q: RingShare,
}

/// Returns this party's shares of every dealer's summands, from K1, for the candidate at a place in the batch.
///
/// # Errors
/// [`KeygenError::Invalid`] naming a party whose message does not have the shape of [`share_shape`];
/// [`KeygenError::Internal`] if there is no such place.
pub fn factors(
    parameters: &KeygenParameters,
    me: PartyId,
    received: &PerParty<CandidateShares>,
    index: usize,
) -> Result<PerParty<Factors>, KeygenError> {
    conform(parameters.access().parties(), received, &share_shape(parameters))?;
    if index >= parameters.batch() {
        return Err(NO_SUCH_PLACE);
    }
    let field = parameters.candidate_field();
    let share = |message: &CandidateShares, kind: usize| {
        field.accept(me.number(), message.values[3 * index + kind].clone())
    };
    let of = |message| Ok::<_, KeygenError>(Factors { p: share(message, 0)?, q: share(message, 1)? });
    Ok(PerParty::from_vec(received.values().map(of).collect::<Result<_, _>>()?))
}

/// K2, continued: opens N of each candidate from the shares of all parties.
///
/// # Errors
/// [`KeygenError::Invalid`] naming a party whose message does not have the shape of [`product_shape`];
/// [`KeygenError::Inconsistent`] if the shares of a candidate do not lie on one polynomial of degree 2t, or N does not
/// have exactly k bits or is not ≡ 1 (mod 4): some party did not follow the protocol.
pub fn open(
    parameters: &KeygenParameters,
    received: &PerParty<ProductShares>,
) -> Result<Vec<BigUint>, KeygenError> {
    conform(parameters.access().parties(), received, &product_shape(parameters))?;
    let points: Vec<u32> = received.iter().map(|(party, _)| party.number()).collect();
    let opener = parameters.candidate_field().opener(&points, 2 * parameters.access().threshold())?;
    (0..parameters.batch())
        .into_par_iter()
        .map(|candidate| {
            let shares: Vec<&BigUint> = received.values().map(|message| &message.values[candidate]).collect();
            let inconsistent = |reason| KeygenError::Inconsistent { reason };
            let n = opener
                .open(&shares)
                .map_err(|error| KeygenError::unopened(error, "shares of a candidate"))?;
            if n.bits() != parameters.key_bits() || n.mod_floor(&BigUint::from(4u32)) != BigUint::one() {
                return Err(inconsistent("a candidate's size or residue"));
            }
            Ok(n)
        })
        .collect()
}

/// K3: returns the places of the candidates without a prime factor below the sieve bound.
pub fn sieve(parameters: &KeygenParameters, moduli: &[BigUint]) -> Vec<usize> {
    moduli
        .par_iter()
        .enumerate()
        .filter(|(_, n)| parameters.sieve().has_small_factor(n).is_none())
        .map(|(index, _)| index)
        .collect()
}
