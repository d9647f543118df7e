//! Steps K6 and K7: additive shares over ℤ of a decryption key d = φ(N)·β, and the two gcd conditions.
//!
//! After Veugen, Attema and Spini, *An Implementation of the Paillier Crypto System with Threshold Decryption without
//! a Trusted Dealer*, ePrint 2019/1136, with every product masked by a zero sharing before it is opened.

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};
use rand_core::CryptoRng;
use subrosa_arith::{SecretInt, wipe_uint};
use subrosa_shamir::{FieldShare, PrimeField};
use subrosa_threshold_decryption::STATISTICAL_BITS;
use subrosa_transport::{PartyId, PerParty};

use crate::candidates::Candidate;
use crate::messages::{Below, KeyOpenings, KeyShares, MaskResidue, conform};
use crate::{KeygenError, KeygenParameters};

/// How often a modulus is opened anew before it is rejected.
pub const ATTEMPTS: usize = 4;

/// My summand of d, an integer of either sign.
///
/// # Security
/// It must not be sent; all summands together decrypt.
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
    // Redacted: all summands together decrypt.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeySummand(<redacted>)")
    }
}

/// What K6 and K7 established: my summand of d, and θ = d mod N.
#[derive(Debug)]
pub struct KeyFound {
    /// My summand.
    pub summand: KeySummand,
    /// θ.
    pub theta: BigUint,
}

/// What becomes of a modulus after an opening.
#[derive(Debug)]
pub enum Verdict {
    /// Both gcd conditions hold.
    Accepted(KeyFound),
    /// The second is still open: deal again with [`Attempts::deal`].
    Again,
    /// N is not a product of two primes, or (p−1)/2 and (q−1)/2 share a factor: go on with other candidates.
    Rejected,
}

/// The openings of one modulus.
///
/// # Security
/// It holds my summand of φ(N) and must not be sent.
#[derive(Debug)]
pub struct Attempts<'a> {
    parameters: &'a KeygenParameters,
    me: PartyId,
    lead: PartyId,
    n: BigUint,
    /// My summand of φ(N): N+1−pᵢ−qᵢ for the lead, −pᵢ−qᵢ modulo P₂ for the others.
    totient: SecretInt,
    done: usize,
    /// gcd of N−1 and what was opened, without 2 and the primes of M.
    common: BigUint,
    found: Option<KeyFound>,
}

/// What I keep of a dealing until it is opened.
///
/// # Security
/// It must not be sent, but for the residue in [`MaskResidue`].
#[derive(Debug)]
pub struct Dealt {
    mask: Option<SecretInt>,
}

impl<'a> Attempts<'a> {
    /// Begins with the modulus of `candidate`.
    ///
    /// # Errors
    /// [`KeygenError::Inconsistent`] if `n` does not have k bits, [`KeygenError::Arith`] if a summand is out of range.
    pub fn new(
        parameters: &'a KeygenParameters,
        me: PartyId,
        candidate: &Candidate,
        n: &BigUint,
    ) -> Result<Self, KeygenError> {
        if n.bits() != parameters.key_bits() {
            return Err(KeygenError::Inconsistent { reason: "a modulus of another size" });
        }
        let lead = parameters.lead(candidate.number());
        let prime = parameters.key_field().prime();
        let sum = candidate.p().add(candidate.q());
        let whole = if me == lead { n + 1u32 } else { prime.clone() };
        let bits = whole.bits();
        let totient = SecretInt::new(whole, bits)?.checked_sub(&sum)?;
        let mut common = n - 1u32;
        remove_factors(&mut common, &BigUint::from(2u32));
        for &(prime, _) in parameters.small_primes() {
            remove_factors(&mut common, &BigUint::from(prime));
        }
        Ok(Self { parameters, me, lead, n: n.clone(), totient, done: 0, common, found: None })
    }

    /// Whether the next dealing looks for a key as well: four more values in its messages.
    pub fn with_key(&self) -> bool {
        self.found.is_none()
    }

    /// The shape of [`KeyShares`] in the next dealing.
    pub fn share_shape(&self) -> Below {
        Below { count: if self.with_key() { 7 } else { 4 }, bound: self.field().prime().clone() }
    }

    /// The shape of [`KeyOpenings`] in the next opening.
    pub fn opening_shape(&self) -> Below {
        Below { count: if self.with_key() { 2 } else { 1 }, bound: self.field().prime().clone() }
    }

    /// The shape of [`MaskResidue`].
    pub fn residue_shape(&self) -> Below {
        Below { count: usize::from(self.with_key()), bound: self.n.clone() }
    }

    /// K6: deals φᵢ, β′ᵢ, ρᵢ and, with degree 2t, a zero; while a key is looked for also βᵢ, rᵢ and another zero.
    /// β, β′ ∈ [0, N), ρ ∈ [0, n·2^(k+σ+2)), r ∈ [0, n·2^(2k+σ)).
    ///
    /// # Errors
    /// [`KeygenError::Shamir`] if the field is too small.
    pub fn deal(&self, rng: &mut impl CryptoRng) -> Result<(Dealt, PerParty<KeyShares>), KeygenError> {
        let access = self.parameters.access();
        let (n, t) = (access.parties(), access.threshold());
        let field = self.field();
        let mut messages: Vec<KeyShares> = (0..n).map(|_| KeyShares { values: Vec::new() }).collect();
        let mut push = |shares: Vec<FieldShare>| {
            for (message, share) in messages.iter_mut().zip(&shares) {
                message.values.push(share.value().expose().clone());
            }
        };
        let below = |bound: &BigUint, rng: &mut _| SecretInt::random_below(rng, bound);
        let deal = |secret: &SecretInt, rng: &mut _| field.share_secret(secret, t, n, rng);
        push(deal(&self.totient, rng)?);
        push(deal(&below(&self.n, rng), rng)?);
        push(deal(&below(&self.multiple_bound(), rng), rng)?);
        push(field.share_zero(2 * t, n, rng)?);
        let mut mask = None;
        if self.with_key() {
            let r = below(&self.mask_bound(), rng);
            push(deal(&below(&self.n, rng), rng)?);
            push(deal(&r, rng)?);
            push(field.share_zero(2 * t, n, rng)?);
            mask = Some(r);
        }
        Ok((Dealt { mask }, PerParty::from_vec(messages)))
    }

    /// K7: shares of w = φβ′ + (N−1)·Σρᵢ and, while a key is looked for, of u = φβ + Σrᵢ, each with its zero sharing;
    /// and rᵢ mod N.
    ///
    /// # Errors
    /// [`KeygenError::Invalid`] naming a party whose message does not have the shape of
    /// [`share_shape`](Self::share_shape); [`KeygenError::Inconsistent`] if `dealt` is of another attempt.
    pub fn open(
        &self,
        dealt: &Dealt,
        received: &PerParty<KeyShares>,
    ) -> Result<(KeyOpenings, MaskResidue), KeygenError> {
        self.belongs(dealt)?;
        conform(self.parameters.access().parties(), received, &self.share_shape())?;
        let field = self.field();
        let sum = |place: usize| {
            let shares = received
                .values()
                .map(|message| field.accept(self.me.number(), message.values[place].clone()))
                .collect::<Result<Vec<_>, _>>()?;
            Ok::<_, KeygenError>(field.sum(&shares)?)
        };
        let totient = sum(0)?;
        let mask = field.sum([&field.scale(&sum(2)?, &(&self.n - 1u32))?, &sum(3)?])?;
        let mut values = vec![field.masked_product(&totient, &sum(1)?, &mask)?];
        let mut residues = Vec::new();
        if let Some(r) = &dealt.mask {
            let mask = field.sum([&sum(5)?, &sum(6)?])?;
            values.push(field.masked_product(&totient, &sum(4)?, &mask)?);
            residues.push(r.expose() % &self.n);
        }
        let values = values.iter().map(|share| share.value().expose().clone()).collect();
        Ok((KeyOpenings { values }, MaskResidue { values: residues }))
    }

    /// K7, continued: θ must be a unit modulo N, which is the second half of the biprimality test, since
    /// φ ≡ −(p+q−1) modulo N; and gcd(w, N−1) must have no factor left, which shows that gcd((p−1)/2, (q−1)/2) = 1,
    /// since an odd ℓ divides both p−1 and q−1 exactly when it divides N−1 and φ.
    ///
    /// N is rejected at the first θ that is no unit: for two primes that happens only if β is a multiple of one of
    /// them, and then everybody sees that prime.
    ///
    /// # Errors
    /// [`KeygenError::Invalid`] naming a party whose message does not have its shape; [`KeygenError::Inconsistent`] if
    /// the openings contradict each other, or are larger than those of parties that follow the protocol.
    pub fn decide(
        &mut self,
        dealt: Dealt,
        openings: &PerParty<KeyOpenings>,
        residues: &PerParty<MaskResidue>,
    ) -> Result<Verdict, KeygenError> {
        self.belongs(&dealt)?;
        let parties = self.parameters.access().parties();
        conform(parties, openings, &self.opening_shape())?;
        conform(parties, residues, &self.residue_shape())?;
        let points: Vec<u32> = openings.iter().map(|(party, _)| party.number()).collect();
        let opener = self.field().opener(&points, 2 * self.parameters.access().threshold())?;
        // β, β′ < n·N and φ < N; n masks.
        let greatest = |mask: BigUint| (&self.n * &self.n + mask) * parties;
        let open = |place: usize, bound: BigUint| {
            let shares: Vec<&BigUint> = openings.values().map(|message| &message.values[place]).collect();
            let value = opener.open(&shares).ok().filter(|value| *value < bound);
            value.ok_or(KeygenError::Inconsistent { reason: "shares of the decryption key" })
        };
        let w = open(0, greatest(&self.n * self.multiple_bound()))?;
        self.common = w.gcd(&self.common);
        if let Some(r) = dealt.mask {
            let u = open(1, greatest(self.mask_bound()))?;
            let masks: BigUint = residues.values().map(|message| &message.values[0]).sum();
            let theta = (&u + &self.n * residues.len() - masks) % &self.n;
            if theta.gcd(&self.n).is_one() {
                self.found = Some(KeyFound { summand: self.summand(u, &r), theta });
            }
        }
        self.done += 1;
        if self.common.is_one()
            && let Some(found) = self.found.take()
        {
            return Ok(Verdict::Accepted(found));
        }
        let hopeless = self.done >= ATTEMPTS || self.found.is_none();
        Ok(if hopeless { Verdict::Rejected } else { Verdict::Again })
    }

    /// dᵢ: u − rᵢ for the lead, −rᵢ for the others.
    fn summand(&self, opened: BigUint, mask: &SecretInt) -> KeySummand {
        let whole = if self.me == self.lead { opened } else { BigUint::zero() };
        let mask = BigInt::from(mask.expose().clone());
        let summand = KeySummand(BigInt::from(whole) - &mask);
        wipe_uint(&mut mask.into_parts().1);
        summand
    }

    /// Of each rᵢ: n·2^(2k+σ).
    fn mask_bound(&self) -> BigUint {
        BigUint::from(self.parameters.access().parties())
            << (2 * self.parameters.key_bits() + u64::from(STATISTICAL_BITS))
    }

    /// Of each ρᵢ: n·2^(k+σ+2).
    fn multiple_bound(&self) -> BigUint {
        BigUint::from(self.parameters.access().parties())
            << (self.parameters.key_bits() + u64::from(STATISTICAL_BITS) + 2)
    }

    /// A dealing is opened in the attempt that it was made for.
    fn belongs(&self, dealt: &Dealt) -> Result<(), KeygenError> {
        if dealt.mask.is_some() == self.with_key() {
            return Ok(());
        }
        Err(KeygenError::Inconsistent { reason: "a dealing of another attempt" })
    }

    fn field(&self) -> &PrimeField {
        self.parameters.key_field()
    }
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
    use super::*;
    use crate::{candidates, sharing};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn factors_are_removed_completely() {
        let mut value = BigUint::from(2u32 * 2 * 2 * 3 * 3 * 5);
        remove_factors(&mut value, &BigUint::from(2u32));
        remove_factors(&mut value, &BigUint::from(3u32));
        assert_eq!(value, BigUint::from(5u32));
        remove_factors(&mut BigUint::zero(), &BigUint::from(3u32));
    }

    /// K8: the masks of the decryption key are as long as hiding it takes.
    #[test]
    fn the_coefficients_of_the_integer_sharing_fill_their_range() {
        let parameters = KeygenParameters::insecure(3, 1, 256).unwrap();
        let (summand, mut rng) = (KeySummand(BigInt::from(-5)), ChaCha20Rng::seed_from_u64(1));
        // Δ·t·n·2^(2k+σ)
        let bound = BigInt::from(6 * 3) << (512 + 80);
        let slopes: Vec<BigInt> = (0..80)
            .map(|_| {
                let dealt = sharing::deal(&parameters, &summand, &mut rng).unwrap();
                let value = |index| &dealt[PartyId::new(index)].value;
                assert_eq!(value(0) * 2 - value(1), BigInt::from(6 * -5));
                value(1) - value(0)
            })
            .collect();
        let (least, greatest) = (slopes.iter().min().unwrap(), slopes.iter().max().unwrap());
        assert!(*least >= BigInt::ZERO && least * 8 < bound && *greatest < bound && greatest * 8 > bound * 7);
    }

    #[test]
    fn a_dealing_of_another_attempt_is_refused() {
        let parameters = KeygenParameters::insecure(3, 1, 256).unwrap().with_batch(1);
        let (me, mut rng) = (PartyId::new(1), ChaCha20Rng::seed_from_u64(1));
        let sampler = candidates::Sampler::new(&parameters, me).unwrap();
        let (secrets, _) = candidates::deal(&parameters, &sampler, me, 0, &mut rng).unwrap();
        let n = (BigUint::one() << 255u32) + 1u32;
        let mut attempts = Attempts::new(&parameters, me, secrets.candidate(0).unwrap(), &n).unwrap();
        let (dealt, messages) = attempts.deal(&mut rng).unwrap();
        let (openings, residue) = attempts.open(&dealt, &messages).unwrap();
        // As if a key had been found before it was dealt.
        let other = || Dealt { mask: None };
        let reason = "a dealing of another attempt";
        let opened = attempts.open(&other(), &messages).unwrap_err();
        let (openings, residues) =
            (PerParty::from_vec(vec![openings; 3]), PerParty::from_vec(vec![residue; 3]));
        let decided = attempts.decide(other(), &openings, &residues).unwrap_err();
        for error in [opened, decided] {
            assert!(
                matches!(error, KeygenError::Inconsistent { reason: found } if found == reason),
                "{error}"
            );
        }
    }
}
