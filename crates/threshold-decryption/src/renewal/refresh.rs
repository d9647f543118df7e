use num_bigint::{BigInt, BigUint};
use num_traits::Zero;
use rand_core::CryptoRng;

use super::messages::{CommitmentShape, RefreshCommitments, RefreshShare, ShareRange};
use super::polynomial::{Polynomial, commitment_at, greatest_value};
use super::{RenewalError, default_share_limit};
use crate::{KeyShare, Lineage, ThresholdKey, ThresholdKeyParts};
use subrosa_arith::{Residue, SecretInt};
use subrosa_transport::{Limits, PartyId, PerParty};

/// A refresh of the shares of one key: every party deals a polynomial with value 0 at 0 and coefficients in `[0, 2A)`,
/// and adds up what it is dealt.
///
/// # Security
/// Consider the shares that t parties held before and t others hold after. For any other key that fits the old shares,
/// some dealing of the one honest party fits the new ones. The two dealings are equally likely up to 2^−σ, because 2A
/// is 2^σ times the difference of the coefficients of two such polynomials.
#[derive(Clone, Debug)]
#[doc(alias = "proactive secret sharing")]
pub struct Refresh {
    key: ThresholdKey,
    /// 2A.
    bound: BigUint,
    /// V = v^Δ.
    base: Residue,
    lineage: Lineage,
    share_bits: u64,
    pub(super) limits: Limits,
}

impl Refresh {
    /// Prepares a refresh of `key`, with shares of up to [`default_share_limit`] bits.
    ///
    /// # Errors
    /// [`RenewalError::Bound`] if the new shares could be longer.
    pub fn new(key: &ThresholdKey) -> Result<Self, RenewalError> {
        Self::with_limit(key, default_share_limit(key.public().bits()))
    }

    /// As [`new`](Self::new), with shares of up to `limit` bits.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_limit(key: &ThresholdKey, limit: u64) -> Result<Self, RenewalError> {
        let (access, scale) = (key.access(), &key.parts().scale);
        let mut lineage = key.lineage().clone();
        let too_often = RenewalError::Bound { bits: u64::MAX, limit };
        lineage.refreshes = lineage.refreshes.checked_add(1).ok_or(too_often)?;
        lineage.epoch = lineage.epoch.saturating_add(1);
        let share_bits = lineage.refreshed_bits(access, scale, lineage.refreshes);
        if share_bits > limit {
            return Err(RenewalError::Bound { bits: share_bits, limit });
        }
        let modulus = key.public().modulus_squared();
        Ok(Self {
            key: key.clone(),
            bound: lineage.refresh_bound(access, scale),
            base: modulus.vartime_pow(key.base(), &access.delta()),
            lineage,
            share_bits,
            limits: Limits::default(),
        })
    }

    /// The key whose shares are refreshed.
    pub fn old_key(&self) -> &ThresholdKey {
        &self.key
    }

    /// A bound on the bits of a share after the refresh.
    pub fn share_bits(&self) -> u64 {
        self.share_bits
    }

    /// The shape of everybody's [`RefreshCommitments`].
    pub fn commitment_shape(&self) -> CommitmentShape {
        CommitmentShape { key: self.key.public().clone(), count: self.key.access().threshold() as usize }
    }

    /// The range of every [`RefreshShare`].
    pub fn share_range(&self) -> ShareRange {
        let access = self.key.access();
        let greatest = greatest_value(&self.bound, access.threshold(), access.parties());
        ShareRange { least: BigInt::zero(), end: greatest.into() }
    }

    /// F1: makes this party's commitments, for all, and its dealt values, one for each party including itself.
    ///
    /// # Security
    /// Each value must reach only the party that it is for.
    pub fn deal(&self, rng: &mut impl CryptoRng) -> (RefreshCommitments, PerParty<RefreshShare>) {
        let access = self.key.access();
        let polynomial = Polynomial::random(BigInt::zero(), access.threshold(), &self.bound, rng);
        let values = polynomial.commit(self.key.public().modulus_squared(), &self.base);
        let shares = (1..=access.parties()).map(|j| RefreshShare { value: polynomial.evaluate(j) });
        (RefreshCommitments { values }, PerParty::from_vec(shares.collect()))
    }

    /// F3: the key with its new verification keys, `vⱼ·∏ᵢ∏ₘ Bᵢₘ^(j^m)`, from everybody's commitments in roster order.
    ///
    /// # Errors
    /// [`RenewalError::Roster`] if there is not one message for each party, [`RenewalError::Key`].
    pub fn key(&self, commitments: &PerParty<RefreshCommitments>) -> Result<ThresholdKey, RenewalError> {
        let access = self.key.access();
        if commitments.len() != access.parties() as usize {
            return Err(RenewalError::Roster { reason: "there is not one message for each party" });
        }
        let modulus = self.key.public().modulus_squared();
        let mut products = vec![modulus.one(); access.threshold() as usize];
        for message in commitments.values() {
            for (product, value) in products.iter_mut().zip(&message.values) {
                modulus.mul_assign(product, &modulus.residue(value));
            }
        }
        let products: Vec<BigUint> = products.iter().map(|product| modulus.to_uint(product)).collect();
        let old = self.key.parts();
        let new = (1..).zip(&old.verification_keys).map(|(j, verification_key)| {
            let added = commitment_at(modulus, &products, j);
            modulus.to_uint(&modulus.mul(&modulus.residue(verification_key), &added))
        });
        let parts = ThresholdKeyParts {
            share_bits: self.share_bits,
            verification_keys: new.collect(),
            ..old.clone()
        };
        Ok(ThresholdKey::with_lineage(parts, self.lineage.clone())?)
    }

    /// F3 and F4: computes this party's new share, which is the old share plus all values dealt to it. The share is
    /// checked against the new verification key.
    ///
    /// # Errors
    /// [`RenewalError::BadDealer`] naming a party whose value does not fit its commitments, [`RenewalError::Roster`],
    /// [`RenewalError::Key`].
    pub fn finish(
        &self,
        old: &KeyShare,
        commitments: &PerParty<RefreshCommitments>,
        shares: &PerParty<RefreshShare>,
    ) -> Result<KeyShare, RenewalError> {
        let key = self.key(commitments)?;
        if old.key().digest() != self.key.digest() || shares.len() != commitments.len() {
            return Err(RenewalError::Roster { reason: "the share is not one of the key to be refreshed" });
        }
        let me = old.party();
        let mut total = old.share().clone();
        for (dealer, message) in shares.iter() {
            let value = self.accept(dealer, message)?;
            total = total.add(&value);
        }
        let total = total.with_bits(self.share_bits)?;
        match KeyShare::new(key, me, total) {
            Ok(share) => Ok(share),
            // A dealer's value does not fit. Find the dealer.
            Err(error) => Err(self.blame(me, commitments, shares).unwrap_or(error.into())),
        }
    }

    fn accept(&self, dealer: PartyId, message: &RefreshShare) -> Result<SecretInt, RenewalError> {
        let range = self.share_range();
        let reason = "its value is beyond the bound";
        let out_of_range = || RenewalError::BadDealer { dealer, reason };
        let value = message.value.to_biguint().filter(|_| message.value < range.end);
        Ok(SecretInt::new(value.ok_or_else(out_of_range)?, range.end.bits())?)
    }

    fn blame(
        &self,
        me: PartyId,
        commitments: &PerParty<RefreshCommitments>,
        shares: &PerParty<RefreshShare>,
    ) -> Option<RenewalError> {
        let modulus = self.key.public().modulus_squared();
        let reason = "its value does not fit its commitments";
        let fits = |dealer: PartyId| {
            let value = self.accept(dealer, shares.get(dealer)?).ok()?;
            let expected = commitment_at(modulus, &commitments.get(dealer)?.values, me.number());
            Some(modulus.pow(&self.base, &value) == expected)
        };
        let dealer = shares.iter().map(|(dealer, _)| dealer).find(|&dealer| fits(dealer) != Some(true))?;
        Some(RenewalError::BadDealer { dealer, reason })
    }
}
