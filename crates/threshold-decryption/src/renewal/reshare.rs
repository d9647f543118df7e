use num_bigint::{BigInt, BigUint, Sign};
use num_traits::One;
use rand_core::CryptoRng;

use super::messages::{CommitmentShape, ReshareCommitments, ReshareShare, ShareRange};
use super::polynomial::{Polynomial, commitment_at, greatest_value};
use super::{RenewalError, default_share_limit};
use crate::{AccessStructure, KeyShare, Lineage, STATISTICAL_BITS, ThresholdKey, ThresholdKeyParts};
use subrosa_arith::{Residue, SecretInt};
use subrosa_shamir::{IntegerShare, IntegerSharing, integer_lagrange_at_zero};
use subrosa_transport::{Limits, PartyId, PerParty};

/// A resharing of one key by t+1 of its parties, the *dealers*, to n′ new parties of whom t′+1 will decrypt.
///
/// Dealer i deals `Δ′·μᵢ·sᵢ + Σ aₘX^m` with aₘ in `[0, 2^σ·Δ′·t′·(t+1)·max|μ|·2^s)`, where s bounds the bits of the old
/// shares; a new share is the sum of what its party is dealt. The new polynomial is κ′·d at 0 with κ′ = Δ′·Δ·κ.
///
/// # Security
/// Up to t old and t′ new parties together learn nothing, up to 2^−σ. The new parties must get the old key's public
/// part from a source that they trust, such as that of the Paillier key.
#[derive(Clone, Debug)]
#[doc(alias("proactive secret sharing", "dynamic committee"))]
pub struct Resharing {
    old: ThresholdKey,
    dealers: Vec<PartyId>,
    access: AccessStructure,
    /// μᵢ, in the order of the dealers.
    coefficients: Vec<BigInt>,
    bound: BigUint,
    /// W = v^(ΔΔ′).
    base: Residue,
    share_bits: u64,
    pub(super) limits: Limits,
}

impl Resharing {
    /// Prepares a resharing of `old` by `dealers` to the parties of `access`, with shares of up to
    /// [`default_share_limit`] bits.
    ///
    /// # Errors
    /// [`RenewalError::Dealers`] unless they are t+1 different parties of the key, [`RenewalError::Bound`] if the new
    /// shares could be longer.
    pub fn new(
        old: &ThresholdKey,
        dealers: &[PartyId],
        access: AccessStructure,
    ) -> Result<Self, RenewalError> {
        Self::with_limit(old, dealers, access, default_share_limit(old.public().bits()))
    }

    /// As [`new`](Self::new), with shares of up to `limit` bits.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_limit(
        old: &ThresholdKey,
        dealers: &[PartyId],
        access: AccessStructure,
        limit: u64,
    ) -> Result<Self, RenewalError> {
        let quorum = old.access().quorum();
        let points: Vec<u32> = dealers.iter().map(|dealer| dealer.number()).collect();
        let coefficients = integer_lagrange_at_zero(old.access().parties(), &points);
        let coefficients = coefficients.ok().filter(|mu| mu.len() == quorum).ok_or(RenewalError::Dealers)?;
        let greatest = coefficients.iter().map(BigInt::magnitude).max().ok_or(RenewalError::Dealers)?.clone();
        let (delta, new_delta) = (old.access().delta(), access.delta());
        let old_shares = BigUint::one() << old.parts().share_bits;
        let secret = &new_delta * greatest * &old_shares;
        let bound = (secret * access.threshold() * BigUint::from(quorum)) << STATISTICAL_BITS;
        let constant = &delta * &new_delta * old_shares;
        let tails = greatest_value(&bound, access.threshold(), access.parties()) * quorum;
        let share_bits = (constant + tails).bits();
        if share_bits > limit {
            return Err(RenewalError::Bound { bits: share_bits, limit });
        }
        let modulus = old.public().modulus_squared();
        Ok(Self {
            base: modulus.vartime_pow(old.base(), &(&delta * &new_delta)),
            old: old.clone(),
            dealers: dealers.to_vec(),
            access,
            coefficients,
            bound,
            share_bits,
            limits: Limits::default(),
        })
    }

    /// The key to be reshared.
    pub fn old_key(&self) -> &ThresholdKey {
        &self.old
    }

    /// The dealers, by their places among the old parties.
    pub fn dealers(&self) -> &[PartyId] {
        &self.dealers
    }

    /// n′ and t′.
    pub fn access(&self) -> AccessStructure {
        self.access
    }

    /// A bound on the bits of a new share.
    pub fn share_bits(&self) -> u64 {
        self.share_bits
    }

    /// The shape of [`ReshareCommitments`]: t′ from a dealer, none from others.
    pub fn commitment_shape(&self, deals: bool) -> CommitmentShape {
        let count = if deals { self.access.threshold() as usize } else { 0 };
        CommitmentShape { key: self.old.public().clone(), count }
    }

    /// The range of a [`ReshareShare`] of the dealer at `place` among the dealers; without any number where there is
    /// none.
    pub fn share_range(&self, place: usize) -> ShareRange {
        let tail = greatest_value(&self.bound, self.access.threshold(), self.access.parties());
        let Some(coefficient) = self.coefficients.get(place) else { return ShareRange::EMPTY };
        let constant = BigInt::from(self.access.delta() << self.old.parts().share_bits) * coefficient;
        let tail = BigInt::from(tail);
        match constant.sign() {
            Sign::Minus => ShareRange { least: constant, end: tail },
            _ => ShareRange { least: BigInt::ZERO, end: constant + tail },
        }
    }

    /// G1: a dealer's commitments, for all, and its dealt values, one for each new party.
    ///
    /// # Security
    /// Each value must reach only the party that it is for.
    ///
    /// # Errors
    /// [`RenewalError::Dealers`] if the share is not a dealer's, [`RenewalError::Roster`] if it is of another key.
    pub fn deal(
        &self,
        share: &KeyShare,
        rng: &mut impl CryptoRng,
    ) -> Result<(ReshareCommitments, PerParty<ReshareShare>), RenewalError> {
        if share.key().digest() != self.old.digest() {
            return Err(RenewalError::Roster { reason: "the share is not one of the key to be reshared" });
        }
        let place = self.dealers.iter().position(|&dealer| dealer == share.party());
        let coefficient =
            place.and_then(|place| self.coefficients.get(place)).ok_or(RenewalError::Dealers)?;
        let scaled = share.share().mul_uint(&(self.access.delta() * coefficient.magnitude()));
        let constant = BigInt::from_biguint(coefficient.sign(), scaled.expose().clone());
        let polynomial = Polynomial::random(constant, self.access.threshold(), &self.bound, rng);
        let values = polynomial.commit(self.old.public().modulus_squared(), &self.base);
        let shares = (1..=self.access.parties()).map(|j| ReshareShare { value: polynomial.evaluate(j) });
        Ok((ReshareCommitments { values }, PerParty::from_vec(shares.collect())))
    }

    /// G3: the new key, with verification keys `∏ᵢ vᵢ^(Δ′²μᵢ)·∏ₘ Bᵢₘ^(j^m)`, from the commitments in the order of the
    /// dealers.
    ///
    /// # Errors
    /// [`RenewalError::Dealers`] if there is not one message for each dealer, [`RenewalError::Key`].
    pub fn key(&self, commitments: &[ReshareCommitments]) -> Result<ThresholdKey, RenewalError> {
        if commitments.len() != self.dealers.len() {
            return Err(RenewalError::Dealers);
        }
        let modulus = self.old.public().modulus_squared();
        let mut constant = modulus.one();
        for place in 0..self.dealers.len() {
            modulus.mul_assign(&mut constant, &self.committed_constant(place)?);
        }
        let verification_key = |j: u32| {
            let mut product = constant.clone();
            for message in commitments {
                modulus.mul_assign(&mut product, &commitment_at(modulus, &message.values, j));
            }
            modulus.to_uint(&product)
        };
        let (delta, old) = (self.old.access().delta(), self.old.parts());
        let parts = ThresholdKeyParts {
            public: old.public.clone(),
            access: self.access,
            scale: self.access.delta() * &delta * &old.scale,
            theta: old.theta.clone(),
            share_bits: self.share_bits,
            verification_keys: (1..=self.access.parties()).map(verification_key).collect(),
        };
        let lineage = self.old.lineage();
        let lineage = Lineage {
            epoch: lineage.epoch.saturating_add(1),
            refreshes: 0,
            dealt_bits: self.share_bits,
            secret_bound: lineage.secret_bound.clone(),
            base_exponent: &lineage.base_exponent * delta,
        };
        Ok(ThresholdKey::with_lineage(parts, lineage)?)
    }

    /// G3 and G4: the share of new party `me`, the sum of what the dealers dealt it, in their order, checked against
    /// the new verification key.
    ///
    /// # Errors
    /// [`RenewalError::BadDealer`] naming a dealer, by its place among the old parties, whose value does not fit its
    /// commitments; [`RenewalError::Inconsistent`] if the sum is negative; [`RenewalError::Dealers`];
    /// [`RenewalError::Key`].
    pub fn receive(
        &self,
        me: PartyId,
        commitments: &[ReshareCommitments],
        shares: &[ReshareShare],
    ) -> Result<KeyShare, RenewalError> {
        let key = self.key(commitments)?;
        if shares.len() != self.dealers.len() {
            return Err(RenewalError::Dealers);
        }
        for (place, (&dealer, share)) in self.dealers.iter().zip(shares).enumerate() {
            let range = self.share_range(place);
            if share.value < range.least || share.value >= range.end {
                return Err(RenewalError::BadDealer { dealer, reason: "its value is beyond the bound" });
            }
        }
        let dealt: Vec<IntegerShare> =
            shares.iter().map(|share| IntegerShare::new(me.number(), share.value.clone())).collect();
        let blamed = |error: RenewalError| match self.blame(me, commitments, shares) {
            Ok(culprit) => culprit.unwrap_or(error),
            Err(internal) => internal,
        };
        let inconsistent = || RenewalError::Inconsistent { reason: "a new share is out of range" };
        let Ok(total) = IntegerSharing::total(&dealt) else {
            return Err(blamed(inconsistent()));
        };
        let Ok(total) = SecretInt::new(total, self.share_bits) else {
            return Err(blamed(inconsistent()));
        };
        KeyShare::new(key, me, total).map_err(|error| blamed(error.into()))
    }

    /// `W^(Δ′μᵢsᵢ) = vᵢ^(Δ′²μᵢ)`, what the dealer at `place` is committed to by its old verification key.
    fn committed_constant(&self, place: usize) -> Result<Residue, RenewalError> {
        let internal = |place| RenewalError::Internal { place };
        let coefficient =
            self.coefficients.get(place).ok_or(internal("reshare: a dealer has no coefficient"))?;
        let dealer = self.dealers.get(place).ok_or(internal("reshare: a coefficient has no dealer"))?;
        let verification_key = self
            .old
            .verification_key(*dealer)
            .ok_or(internal("reshare: a dealer has no verification key"))?;
        let modulus = self.old.public().modulus_squared();
        let exponent = self.access.delta().pow(2) * coefficient.magnitude();
        let power = modulus.vartime_pow(&modulus.residue(verification_key), &exponent);
        if coefficient.sign() != Sign::Minus {
            return Ok(power);
        }
        // Verification keys were checked to be units.
        modulus.vartime_invert(&power).ok_or(internal("reshare: a verification key is not a unit"))
    }

    fn blame(
        &self,
        me: PartyId,
        commitments: &[ReshareCommitments],
        shares: &[ReshareShare],
    ) -> Result<Option<RenewalError>, RenewalError> {
        let modulus = self.old.public().modulus_squared();
        let dealers = self.dealers.iter().zip(commitments).zip(shares);
        for (place, ((&dealer, commitments), share)) in dealers.enumerate() {
            let range = self.share_range(place);
            // Lifted to a non-negative exponent, W^(value − least)·W^least; values were checked to be in their ranges.
            let place_of_mistake = "reshare: a value that was checked is out of range";
            let value = (&share.value - &range.least).to_biguint();
            let value = value.ok_or(RenewalError::Internal { place: place_of_mistake })?;
            let value = SecretInt::new(value, (&range.end - &range.least).bits())?;
            let mut expected = self.committed_constant(place)?;
            let tail = commitment_at(modulus, &commitments.values, me.number());
            modulus.mul_assign(&mut expected, &tail);
            let lift = modulus.vartime_pow(&self.base, range.least.magnitude());
            modulus.mul_assign(&mut expected, &lift);
            if modulus.pow(&self.base, &value) != expected {
                let reason = "its value does not fit its commitments";
                return Ok(Some(RenewalError::BadDealer { dealer, reason }));
            }
        }
        Ok(None)
    }
}
