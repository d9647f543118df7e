//! Compares partial decryptions with those of a quorum.

use num_bigint::{BigUint, Sign};
use rayon::prelude::*;

use crate::combine::into_parts;
use crate::products::weighted;
use crate::{Combiner, DecryptionError, PartialDecryption};
use subrosa_arith::Residue;
use subrosa_encoding::Hasher;
use subrosa_shamir::{ShamirError, integer_lagrange};
use subrosa_transport::PartyId;

/// A party whose partial decryptions do not fit those of a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias("identifiable abort", "cheater"))]
pub struct Deviation {
    /// The party.
    pub party: PartyId,
    /// The ciphertexts in question, by their places in the batch, from 0.
    pub ciphertexts: Vec<usize>,
}

/// Bits of the weights with which a batch is compared at once.
const WEIGHT_BYTES: usize = 16;

impl Combiner {
    /// Compares the partial decryptions of further parties with those of the quorum. For party e and the coefficients
    /// `Δ·f(e) = Σ λᵢ·f(i)`, `cₑ^(2Δ)` must be `∏ cᵢ^(2λᵢ)`. Returns the parties that differ, each with its ciphertexts
    /// that differ.
    ///
    /// A batch is compared at once, with weights from a hash of all values. If it differs, its ciphertexts are compared
    /// one by one. If the quorum's partial decryptions were proved, the parties that differ are wrong. Otherwise some
    /// party among all is wrong. With s further parties, up to s liars are noticed.
    ///
    /// # Errors
    /// As [`combine`](Self::combine), also for `others`.
    pub fn deviations(
        &self,
        quorum: &[PartialDecryption],
        others: &[PartialDecryption],
    ) -> Result<Vec<Deviation>, DecryptionError> {
        let quorum = self.ordered(quorum)?;
        let count = quorum[0].values().len();
        for partial in quorum.iter().copied().chain(others) {
            self.check(partial, count)?;
        }
        if count == 0 || others.is_empty() {
            return Ok(vec![]);
        }
        let modulus = self.key.public().modulus_squared();
        let weights = weights(&quorum, others, count);
        let batched = |partial: &PartialDecryption| weighted(modulus, partial.values(), &weights);
        let of_quorum: Vec<Residue> = quorum.iter().map(|partial| batched(partial)).collect();
        let mut deviations = Vec::new();
        for other in others {
            let relation = self.relation(other.party())?;
            if self.holds(&relation, &of_quorum, &batched(other)) {
                continue;
            }
            let residue = |partial: &PartialDecryption, i: usize| modulus.residue(&partial.values()[i]);
            let differs = |&i: &usize| {
                let of_quorum: Vec<Residue> = quorum.iter().map(|partial| residue(partial, i)).collect();
                !self.holds(&relation, &of_quorum, &residue(other, i))
            };
            let ciphertexts = (0..count).into_par_iter().filter(differs).collect();
            deviations.push(Deviation { party: other.party(), ciphertexts });
        }
        Ok(deviations)
    }

    /// `2λᵢ` for the members of the quorum.
    fn relation(&self, other: PartyId) -> Result<Vec<(BigUint, Sign)>, DecryptionError> {
        let bad = |error| match error {
            ShamirError::BadPoint { .. } => DecryptionError::BadParty { party: other },
            _ => DecryptionError::Internal { place: "deviations: no coefficients for these parties" },
        };
        let parties = self.key.access().parties();
        let points: Vec<u32> = self.parties.iter().map(|party| party.number()).collect();
        let coefficients = integer_lagrange(parties, &points, other.number()).map_err(bad)?;
        if self.parties.contains(&other) {
            return Err(DecryptionError::BadParty { party: other });
        }
        Ok(coefficients.into_iter().map(|lambda| into_parts(lambda * 2)).collect())
    }

    /// Whether `other^(2Δ)·∏_{λ<0} cᵢ^(−2λᵢ) = ∏_{λ>0} cᵢ^(2λᵢ)`.
    fn holds(&self, relation: &[(BigUint, Sign)], quorum: &[Residue], other: &Residue) -> bool {
        let modulus = self.key.public().modulus_squared();
        let side = |sign: Sign, extra: Option<(&Residue, BigUint)>| {
            let terms = quorum.iter().zip(relation).filter(|(_, (_, s))| *s == sign);
            let terms = terms.map(|(base, (exponent, _))| (base, exponent.clone()));
            let (bases, exponents): (Vec<Residue>, Vec<BigUint>) =
                terms.chain(extra).map(|(base, exponent)| (base.clone(), exponent)).unzip();
            modulus.vartime_multi_pow(&bases, &exponents)
        };
        let twice_delta = self.key.access().delta() << 1u32;
        side(Sign::Minus, Some((other, twice_delta))) == side(Sign::Plus, None)
    }
}

fn weights(quorum: &[&PartialDecryption], others: &[PartialDecryption], count: usize) -> Vec<BigUint> {
    let mut hasher = Hasher::new("subrosa/threshold-decryption/deviation", 1);
    for partial in quorum.iter().copied().chain(others) {
        hasher = hasher.u64("party", partial.party().index() as u64).uints("values", partial.values());
    }
    hasher.expand(WEIGHT_BYTES * count).chunks_exact(WEIGHT_BYTES).map(BigUint::from_bytes_le).collect()
}
