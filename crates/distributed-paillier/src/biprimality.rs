//! Steps K4 and K5: is N a product of two primes?
//!
//! The test of Boneh and Franklin (J. ACM 2001, section 4): let p ≡ q ≡ 3 (mod 4), and let g have Jacobi symbol 1. If p
//! and q are primes, `g^(φ(N)/4) ≡ ±1 (mod N)` always holds. Otherwise it holds for at most half of all g. There is one
//! exception, an N for which θ is not a unit, and step K9 rejects it. Each party raises g to its own summand of φ(N)/4.

use num_bigint::BigUint;
use num_traits::Zero;
use rayon::prelude::*;

use crate::candidates::{BatchSecrets, Candidate, NO_SUCH_PLACE};
use crate::messages::{FirstTest, FurtherTests, ListBelow, conform};
use crate::{KeygenError, KeygenParameters};
use subrosa_arith::sieve::primes_below;
use subrosa_arith::{ArithError, GROUP, Modulus, SecretInt, jacobi, pow_moduli_small_base};
use subrosa_encoding::Hasher;
use subrosa_transport::{PartyId, PerParty};

/// A candidate that trial division left: its place in the batch, its modulus and the base of its first test.
#[derive(Clone, Debug)]
pub struct Sieved {
    /// Place in the batch.
    pub index: usize,
    /// The context modulo N.
    pub modulus: Modulus,
    /// The smallest odd prime of Jacobi symbol 1.
    base: u64,
}

/// Prepares the survivors of trial division for the first test.
///
/// # Errors
/// [`KeygenError::Arith`] if a modulus is even, which [`open`](crate::candidates::open) excludes.
pub fn prepare(moduli: &[BigUint], survivors: &[usize]) -> Result<Vec<Sieved>, KeygenError> {
    let small = primes_below(1 << 12);
    let sieved = survivors.iter().filter_map(|&index| moduli.get(index).map(|n| (index, n)));
    sieved
        .map(|(index, n)| {
            // Half of all primes have symbol 1. Among 563 there is one, unless N is a square, and then the base 1
            // exposes that.
            let symbol = |prime: u32| jacobi::jacobi(&BigUint::from(prime), n);
            let base = small.iter().skip(1).copied().find(|&prime| symbol(prime) == 1).unwrap_or(1);
            Ok(Sieved { index, modulus: Modulus::new(n)?, base: u64::from(base) })
        })
        .collect()
}

/// The shape of [`FirstTest`].
pub fn first_shape(parameters: &KeygenParameters, survivors: usize) -> ListBelow {
    ListBelow { count: survivors, bound: BigUint::from(1u32) << parameters.key_bits() }
}

/// The shape of [`FurtherTests`].
pub fn further_shape(parameters: &KeygenParameters) -> ListBelow {
    first_shape(parameters, parameters.rounds())
}

/// K4: computes this party's value of the first test for each survivor, in constant time, because any of the candidates
/// may win.
///
/// Survivors are computed side by side if the processor can do so. Otherwise the small base makes a power cost little
/// more than its squarings.
///
/// The base depends on N alone and shows one Legendre symbol of a small prime modulo p.
///
/// # Errors
/// [`KeygenError::Arith`] if a summand is out of range; [`KeygenError::Internal`] if a survivor is not of this batch.
#[doc(alias = "Boneh-Franklin")]
pub fn first_test(
    parameters: &KeygenParameters,
    me: PartyId,
    secrets: &BatchSecrets,
    survivors: &[Sieved],
) -> Result<FirstTest, KeygenError> {
    let group = |survivors: &[Sieved]| {
        let exponents = survivors.iter().map(|sieved| {
            let candidate = secrets.candidate(sieved.index).ok_or(NO_SUCH_PLACE)?;
            Ok(exponent(parameters, me, candidate, sieved.modulus.value())?)
        });
        let exponents = exponents.collect::<Result<Vec<_>, KeygenError>>()?;
        let terms = survivors.iter().zip(&exponents);
        let terms: Vec<_> =
            terms.map(|(sieved, exponent)| (&sieved.modulus, sieved.base, exponent)).collect();
        let powers = pow_moduli_small_base(&terms);
        let powers = powers.into_iter().zip(survivors);
        Ok(powers.map(|(power, sieved)| sieved.modulus.to_uint(&power)).collect())
    };
    let values =
        survivors.par_chunks(GROUP).map(group).collect::<Result<Vec<Vec<BigUint>>, KeygenError>>()?;
    Ok(FirstTest { values: values.concat() })
}

/// K4, continued: decides which survivors pass, from the values of all parties.
///
/// # Errors
/// [`KeygenError::Invalid`] naming a party whose message does not have the shape of [`first_shape`], or holds a value
/// that is no power of a unit.
pub fn passed(
    parameters: &KeygenParameters,
    first: u64,
    survivors: &[Sieved],
    received: &PerParty<FirstTest>,
) -> Result<Vec<bool>, KeygenError> {
    let parties = parameters.access().parties();
    conform(parties, received, &first_shape(parameters, survivors.len()))?;
    for (party, message) in received.iter() {
        check_range(party, survivors.iter().map(|sieved| &sieved.modulus).zip(&message.values))?;
    }
    let verdicts = survivors
        .iter()
        .enumerate()
        .map(|(place, sieved)| {
            let leader = parameters.leader(first + sieved.index as u64);
            holds(&sieved.modulus, leader, received.iter().map(|(party, m)| (party, &m.values[place])))
        })
        .collect();
    Ok(verdicts)
}

/// K5: computes this party's values of the further tests of one modulus. The bases are hashed from the session and N.
///
/// # Errors
/// [`KeygenError::Arith`] if a summand is out of range.
pub fn further_tests(
    parameters: &KeygenParameters,
    me: PartyId,
    session: &[u8; 32],
    candidate: &Candidate,
    modulus: &Modulus,
) -> Result<FurtherTests, KeygenError> {
    let exponent = exponent(parameters, me, candidate, modulus.value())?;
    let rounds: Vec<usize> = (0..parameters.rounds()).collect();
    let group = |rounds: &[usize]| {
        let bases =
            rounds.iter().map(|round| Ok(modulus.residue(&hashed_base(session, modulus.value(), *round)?)));
        let bases = bases.collect::<Result<Vec<_>, KeygenError>>()?;
        Ok(modulus.pow_batch(&bases, &exponent).iter().map(|power| modulus.to_uint(power)).collect())
    };
    let values = rounds.par_chunks(GROUP).map(group).collect::<Result<Vec<Vec<BigUint>>, KeygenError>>()?;
    Ok(FurtherTests { values: values.concat() })
}

/// K5, continued: decides whether the modulus of candidate `number` passes every further test.
///
/// # Errors
/// As [`passed`], with the shape of [`further_shape`].
pub fn all_passed(
    parameters: &KeygenParameters,
    number: u64,
    modulus: &Modulus,
    received: &PerParty<FurtherTests>,
) -> Result<bool, KeygenError> {
    conform(parameters.access().parties(), received, &further_shape(parameters))?;
    for (party, message) in received.iter() {
        check_range(party, std::iter::repeat(modulus).zip(&message.values))?;
    }
    let leader = parameters.leader(number);
    Ok((0..parameters.rounds()).all(|round| {
        holds(modulus, leader, received.iter().map(|(party, message)| (party, &message.values[round])))
    }))
}

/// A power of a unit is neither 0 nor beyond its modulus. Zeros from the leader and from another party would fit each
/// other for any N.
fn check_range<'a>(
    party: PartyId,
    values: impl Iterator<Item = (&'a Modulus, &'a BigUint)>,
) -> Result<(), KeygenError> {
    for (modulus, value) in values {
        if value.is_zero() || value >= modulus.value() {
            return Err(KeygenError::invalid(
                party,
                "a value of the biprimality test is not a unit modulo N",
            ));
        }
    }
    Ok(())
}

/// My summand of φ(N)/4: (N+1−pᵢ−qᵢ)/4 for the leader, (pᵢ+qᵢ)/4, with its sign left to the check, for the others.
fn exponent(
    parameters: &KeygenParameters,
    me: PartyId,
    candidate: &Candidate,
    n: &BigUint,
) -> Result<SecretInt, ArithError> {
    let sum = candidate.p().add(candidate.q());
    if parameters.leader(candidate.number()) != me {
        return Ok(sum.shr(2));
    }
    let bits = parameters.key_bits();
    Ok(SecretInt::new(n + 1u32, bits + 1)?.checked_sub(&sum)?.shr(2))
}

/// `v_lead ≡ ± ∏ v_others (mod N)`.
fn holds<'a>(
    modulus: &Modulus,
    leader: PartyId,
    values: impl Iterator<Item = (PartyId, &'a BigUint)>,
) -> bool {
    let (mut left, mut right) = (modulus.one(), modulus.one());
    for (party, value) in values {
        modulus.mul_assign(if party == leader { &mut left } else { &mut right }, &modulus.residue(value));
    }
    modulus.eq(&left, &right) || modulus.eq(&left, &modulus.neg(&right))
}

/// A base of Jacobi symbol 1 from a hash of session, N and round. The hash has 128 bits more than N, so the base is
/// within 2^−128 of uniform.
fn hashed_base(session: &[u8; 32], n: &BigUint, round: usize) -> Result<BigUint, KeygenError> {
    (0u64..)
        .map(|attempt| {
            Hasher::new("subrosa/distributed-paillier/biprimality-base", 1)
                .field("session", session)
                .uint("n", n)
                .u64("round", round as u64)
                .u64("attempt", attempt)
                .below(n)
        })
        .find(|base| jacobi::jacobi(base, n) == 1)
        .ok_or(KeygenError::Internal { place: "no hash has Jacobi symbol 1" })
}

#[cfg(test)]
mod tests {
    use num_traits::One;

    use super::*;

    /// A base of symbol −1 would reject good moduli. The protocol's page promises the smallest base of symbol 1.
    #[test]
    fn the_first_base_is_the_smallest_prime_of_symbol_one() {
        let moduli: Vec<BigUint> = (0u32..40).map(|i| (BigUint::one() << 200u32) + 4u32 * i + 1u32).collect();
        let prepared = prepare(&moduli, &[0, 3, 5, 39, 7, 8, 9, 11]).unwrap();
        assert_eq!(
            prepared.iter().map(|sieved| sieved.index).collect::<Vec<_>>(),
            [0, 3, 5, 39, 7, 8, 9, 11]
        );
        for Sieved { index, modulus, base } in &prepared {
            assert_eq!(modulus.value(), &moduli[*index]);
            let symbol = |base: u64| jacobi::jacobi(&BigUint::from(base), modulus.value());
            let smaller =
                primes_below(1 << 12).into_iter().map(u64::from).filter(|prime| (3..*base).contains(prime));
            assert!(symbol(*base) == 1 && smaller.into_iter().all(|prime| symbol(prime) != 1), "{base}");
        }
        assert!(prepared.iter().any(|sieved| sieved.base > 3));
    }

    /// No party chooses the bases. They follow from session, N and round, and differ if one of these differs.
    #[test]
    fn further_bases_are_hashed_from_session_modulus_and_round() {
        let n = (BigUint::one() << 255u32) + 95u32;
        let other = &n + 2u32;
        let bases = [
            hashed_base(&[1; 32], &n, 0).unwrap(),
            hashed_base(&[2; 32], &n, 0).unwrap(),
            hashed_base(&[1; 32], &other, 0).unwrap(),
            hashed_base(&[1; 32], &n, 1).unwrap(),
        ];
        for (i, base) in bases.iter().enumerate() {
            assert!(bases[i + 1..].iter().all(|other| other != base));
            assert_eq!(jacobi::jacobi(base, if i == 2 { &other } else { &n }), 1);
        }
        assert_eq!(hashed_base(&[1; 32], &n, 1).unwrap(), bases[3]);
    }
}
