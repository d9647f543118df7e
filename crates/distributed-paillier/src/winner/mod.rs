//! Steps W1 to W4: the modulus that passed every test is verified. The same openings give additive shares over ℤ of a
//! decryption key d = φ(N)·β.
//!
//! The steps before are cheap, and a cheater can forge them. Here only the winner is checked, by information-theoretic
//! checks on sharings with an honest majority. `docs/protocols/key-generation.md` says what each message reveals, and
//! which check finds which lie.
//!
//! The decryption key is that of Veugen, Attema and Spini, ePrint 2019/1136. The plan, to verify the winner only, is that
//! of Frederiksen, Lindell, Osheter and Pinkas (CRYPTO 2018) and of Delpech de Saint Guilhem, Makri, Rotaru and Tanguy
//! (CCS 2021).

mod answers;
mod bounds;
mod dealing;
mod decide;
mod products;
mod zeros;

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::Zero;

use crate::candidates::{Candidate, Factors};
use crate::messages::Lists;
use crate::{KeygenError, KeygenParameters};
use subrosa_arith::{Modulus, SecretInt, wipe_uint};
use subrosa_shamir::{Opener, ProductRing, RingShare, ShareRing};
use subrosa_transport::{PartyId, PerParty};

pub use answers::Answered;
pub use dealing::Dealt;
pub use decide::Decision;
pub use products::Multiplied;
pub use zeros::Checked;

use bounds::Bounds;

/// How often a modulus is opened anew before it is rejected.
pub const ATTEMPTS: usize = 4;
/// Repetitions of the range check, whose challenges are single bits: 80, and 64 more against a cheater that tries many
/// hashes.
pub const RANGE_REPETITIONS: usize = 144;
/// How many w are opened in one attempt. N − 1 is always a multiple of 3, so that a single w would have a common factor
/// with it almost every second time; of six it takes a second attempt once in 700 times.
pub const GCD_OPENINGS: usize = 6;

/// My summand of d, an integer of either sign.
///
/// # Security
/// It must not be sent. All summands together decrypt.
pub struct KeySummand(BigInt);

impl KeySummand {
    pub(crate) fn expose(&self) -> &BigInt {
        &self.0
    }
}

impl Drop for KeySummand {
    fn drop(&mut self) {
        wipe_uint(&mut std::mem::take(&mut self.0).into_parts().1);
    }
}

impl std::fmt::Debug for KeySummand {
    // Redacted, because all summands together decrypt.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeySummand(<redacted>)")
    }
}

/// Result of W1 to W4: this party's summand of d, and the values from which K9 computes θ = d mod N.
#[derive(Debug)]
pub struct KeyFound {
    /// My summand.
    pub summand: KeySummand,
    /// u = d + Σ rᵢ.
    pub opening: BigUint,
    /// rᵢ mod N. It is published only when all messages of K8 have been received.
    pub residue: SecretInt,
}

/// One modulus that passed every biprimality test, on its way through W1 to W4.
///
/// # Security
/// It holds this party's summands of the factors and must not be sent.
#[derive(Debug)]
pub struct Winner<'a> {
    parameters: &'a KeygenParameters,
    me: PartyId,
    leader: PartyId,
    /// The candidate's place in the run.
    number: u64,
    n: BigUint,
    bounds: Bounds,
    /// p′ᵢ and q′ᵢ of mine: pᵢ = 3 + 4p′ᵢ for the leader, 4p′ᵢ for the others, and qᵢ likewise.
    mine: [SecretInt; 2],
    /// My shares of every dealer's p′ᵢ and q′ᵢ modulo P₁, from K1.
    dealt: Vec<[RingShare; 2]>,
    /// gcd of N−1 and what was opened, without the factor 2.
    common: BigUint,
    done: usize,
}

impl<'a> Winner<'a> {
    /// Creates the state for the modulus of `candidate`, which passed the tests.
    ///
    /// `factors` are this party's shares of each dealer's summands, from K1.
    ///
    /// # Errors
    /// [`KeygenError::Roster`] if there is not one of each party; [`KeygenError::Internal`] if `modulus` does not have k bits;
    /// [`KeygenError::Arith`] if a summand is out of range.
    pub fn new(
        parameters: &'a KeygenParameters,
        me: PartyId,
        candidate: &Candidate,
        modulus: &Modulus,
        factors: &PerParty<Factors>,
    ) -> Result<Self, KeygenError> {
        let n = modulus.value();
        let parties = parameters.access().parties() as usize;
        if factors.len() != parties {
            let expected = parameters.access().parties();
            return Err(KeygenError::Roster { expected, found: factors.len() });
        }
        if n.bits() != parameters.key_bits() {
            return Err(KeygenError::Internal {
                place: "a candidate's modulus has another size than the key",
            });
        }
        let leader = parameters.leader(candidate.number());
        let mine = [candidate.p(), candidate.q()].map(|summand| summand.shr(2));
        let field = parameters.candidate_field();
        let quarter = inverse_of_four(field);
        let dealt = factors.iter().map(|(dealer, factors)| {
            let constant =
                field.constant(me.number(), &BigUint::from(if dealer == leader { 3u32 } else { 0 }))?;
            let lower = |share| field.scale(&field.subtract(share, &constant)?, &quarter);
            Ok([lower(&factors.p)?, lower(&factors.q)?])
        });
        let dealt = dealt.collect::<Result<_, KeygenError>>()?;
        let mut common = n - 1u32;
        remove_factors(&mut common, &BigUint::from(2u32));
        Ok(Self {
            bounds: Bounds::new(parameters, n),
            number: candidate.number(),
            n: n.clone(),
            done: 0,
            parameters,
            me,
            leader,
            mine,
            dealt,
            common,
        })
    }

    /// The candidate's place in the run.
    pub fn number(&self) -> u64 {
        self.number
    }

    fn n(&self) -> &BigUint {
        &self.n
    }

    fn product_ring(&self) -> &'a ProductRing {
        self.parameters.winner_ring()
    }

    /// The integers modulo Q.
    fn ring(&self) -> &'a ShareRing {
        self.parameters.winner_ring().ring()
    }

    fn parties(&self) -> u32 {
        self.parameters.access().parties()
    }

    fn threshold(&self) -> u32 {
        self.parameters.access().threshold()
    }

    /// Opens sharings of `degree` of all parties.
    fn opener(&self, degree: u32) -> Result<Opener, KeygenError> {
        let points: Vec<u32> = (1..=self.parties()).collect();
        Ok(self.ring().opener(&points, degree)?)
    }
}

/// The value at one place of one list of everybody's message.
fn column<M: Lists>(received: &PerParty<M>, list: usize, place: usize) -> Vec<&BigUint> {
    received.values().filter_map(|message| message.list(list).get(place)).collect()
}

/// 4⁻¹ modulo an odd number m: (m + 1)/4 or (3m + 1)/4.
fn inverse_of_four(field: &ShareRing) -> BigUint {
    let m = field.modulus();
    let factor = if (m % 4u32) == BigUint::from(3u32) { 1u32 } else { 3 };
    (m * factor + 1u32) >> 2u32
}

/// Divides `value`, unless it is 0, by `factor` as often as it goes.
fn remove_factors(value: &mut BigUint, factor: &BigUint) {
    while !value.is_zero() {
        let (quotient, remainder) = value.div_rem(factor);
        if !remainder.is_zero() {
            return;
        }
        *value = quotient;
    }
}

#[cfg(test)]
mod tests {
    use num_traits::One;

    use super::*;

    #[test]
    fn factors_are_removed_completely() {
        let mut value = BigUint::from(2u32 * 2 * 2 * 3 * 3 * 5);
        remove_factors(&mut value, &BigUint::from(2u32));
        remove_factors(&mut value, &BigUint::from(3u32));
        assert_eq!(value, BigUint::from(5u32));
        remove_factors(&mut BigUint::zero(), &BigUint::from(3u32));
    }

    #[test]
    fn four_has_an_inverse_whatever_the_residue() {
        for prime in [7u32, 13, 19, 17] {
            let field = ShareRing::prime(BigUint::from(prime)).unwrap();
            assert!((inverse_of_four(&field) * 4u32 % prime).is_one(), "{prime}");
        }
    }
}
