use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::Zero;
use rayon::prelude::*;

use crate::proof::all_units;
use crate::{DecryptionError, PartialDecryption, ThresholdKey};
use subrosa_arith::{Modulus, Residue};
use subrosa_shamir::integer_lagrange_at_zero;
use subrosa_transport::PartyId;

/// Combines the partial decryptions of t+1 parties into plaintexts.
///
/// It holds the Lagrange coefficients of one set of parties, and can combine many batches.
#[derive(Clone, Debug)]
#[doc(alias("share combining", "reconstruct"))]
pub struct Combiner {
    pub(crate) key: ThresholdKey,
    pub(crate) parties: Vec<PartyId>,
    /// `2μⱼ` as magnitude and sign, in the order of `parties`.
    exponents: Vec<(BigUint, Sign)>,
}

impl Combiner {
    /// Creates a combiner for exactly these `t + 1` parties.
    ///
    /// # Errors
    /// [`DecryptionError::TooFew`] if they are not t+1; [`DecryptionError::BadParty`] if a party is repeated or is not
    /// a party of this key.
    pub fn new(key: &ThresholdKey, parties: &[PartyId]) -> Result<Self, DecryptionError> {
        let needed = key.access().quorum();
        if parties.len() != needed {
            return Err(DecryptionError::TooFew { given: parties.len(), needed });
        }
        let mut seen = std::collections::BTreeSet::new();
        let known = key.access().parties() as usize;
        if let Some(&party) = parties.iter().find(|party| party.index() >= known || !seen.insert(**party)) {
            return Err(DecryptionError::BadParty { party });
        }
        let points: Vec<u32> = parties.iter().map(|party| party.number()).collect();
        // The points were checked above.
        let internal = |_| DecryptionError::Internal { place: "combine: no coefficients for these parties" };
        let coefficients = integer_lagrange_at_zero(key.access().parties(), &points).map_err(internal)?;
        let exponents = coefficients.into_iter().map(|mu| into_parts(mu * 2)).collect();
        Ok(Self { key: key.clone(), parties: parties.to_vec(), exponents })
    }

    /// Computes the signed plaintexts of the batch of `partials`, in the order of the batch.
    ///
    /// `c′ = ∏ cⱼ^(2μⱼ)` must be ≡ 1 modulo N. The plaintext is `((c′ − 1)/N)·(4Δ²κθ)^−1 mod N`. To save an inversion
    /// modulo N² for each ciphertext, c′ is kept as a fraction. The check is numerator ≡ denominator (mod N), and one
    /// inversion modulo N is enough for the whole batch.
    ///
    /// # Security
    /// A combination that fails the check is refused. A party that multiplies its part by a power of 1+N passes the
    /// check and shifts the plaintext. Against such a party, verify proofs before
    /// ([`proof::verify`](crate::proof::verify)), or compare with other parties afterwards
    /// ([`deviations`](Self::deviations)).
    ///
    /// # Errors
    /// [`DecryptionError::TooFew`] or [`DecryptionError::BadParty`] if `partials` are not those of the combiner's
    /// parties, [`DecryptionError::BadPartial`] naming a party whose values are too few, too many or not units,
    /// [`DecryptionError::Inconsistent`] naming the ciphertext.
    pub fn combine(&self, partials: &[PartialDecryption]) -> Result<Vec<BigInt>, DecryptionError> {
        let ordered = self.ordered(partials)?;
        let count = ordered[0].values().len();
        for partial in &ordered {
            self.check(partial, count)?;
        }
        let fractions: Vec<Fraction> =
            (0..count).into_par_iter().map(|i| self.fraction(&ordered, i)).collect::<Result<_, _>>()?;
        let public = self.key.public();
        let denominators: Vec<&BigUint> = fractions.iter().map(|fraction| &fraction.denominator).collect();
        let inverses = invert_all(public.modulus(), &denominators)?;
        let modulus = public.modulus();
        let correction = modulus.residue(self.key.correction());
        let plaintext = |(fraction, inverse): (&Fraction, &Residue)| {
            let scaled = modulus.mul(&modulus.residue(&fraction.excess), inverse);
            public.from_residue(&modulus.to_uint(&modulus.mul(&scaled, &correction)))
        };
        Ok(fractions.iter().zip(&inverses).map(plaintext).collect())
    }

    /// The partial decryptions in the order of the combiner's parties.
    pub(crate) fn ordered<'a>(
        &self,
        partials: &'a [PartialDecryption],
    ) -> Result<Vec<&'a PartialDecryption>, DecryptionError> {
        if partials.len() != self.parties.len() {
            return Err(DecryptionError::TooFew { given: partials.len(), needed: self.parties.len() });
        }
        self.parties
            .iter()
            .map(|&party| {
                let partial = partials.iter().find(|partial| partial.party() == party);
                partial.ok_or(DecryptionError::BadParty { party })
            })
            .collect()
    }

    pub(crate) fn check(&self, partial: &PartialDecryption, count: usize) -> Result<(), DecryptionError> {
        let bad = |reason| Err(DecryptionError::BadPartial { party: partial.party(), reason });
        if partial.values().len() != count {
            return bad("their number differs from the others'");
        }
        let public = self.key.public();
        if partial.values().iter().any(|value| value >= public.modulus_squared().value()) {
            return bad("one is not below N²");
        }
        if all_units(&self.key, partial.values().iter()) { Ok(()) } else { bad("one is not coprime to N") }
    }

    /// `∏ cⱼ^(2μⱼ)` for ciphertext `index`, as a fraction.
    fn fraction(&self, partials: &[&PartialDecryption], index: usize) -> Result<Fraction, DecryptionError> {
        let public = self.key.public();
        let modulus = public.modulus_squared();
        let side = |sign: Sign| {
            let (bases, exponents): (Vec<Residue>, Vec<BigUint>) = partials
                .iter()
                .zip(&self.exponents)
                .filter(|(_, exponent)| exponent.1 == sign)
                .map(|(partial, exponent)| (modulus.residue(&partial.values()[index]), exponent.0.clone()))
                .unzip();
            modulus.to_uint(&modulus.vartime_multi_pow(&bases, &exponents))
        };
        let (numerator, denominator) = (side(Sign::Plus), side(Sign::Minus));
        let n_squared = modulus.value();
        let (excess, remainder) = ((&numerator + n_squared - &denominator) % n_squared).div_rem(public.n());
        if !remainder.is_zero() {
            return Err(DecryptionError::Inconsistent { index });
        }
        Ok(Fraction { excess, denominator: denominator % public.n() })
    }
}

/// c′ = numerator/denominator, kept as (numerator − denominator)/N and the denominator modulo N.
struct Fraction {
    excess: BigUint,
    denominator: BigUint,
}

pub(crate) fn into_parts(value: BigInt) -> (BigUint, Sign) {
    let (sign, magnitude) = value.into_parts();
    (magnitude, sign)
}

/// The inverses of units, by one inversion and three multiplications each (Montgomery's trick).
///
/// # Errors
/// [`DecryptionError::Internal`] if a value is not a unit.
fn invert_all(modulus: &Modulus, values: &[&BigUint]) -> Result<Vec<Residue>, DecryptionError> {
    let residues: Vec<Residue> = values.iter().map(|value| modulus.residue(value)).collect();
    let mut prefixes = Vec::with_capacity(residues.len());
    let mut product = modulus.one();
    for residue in &residues {
        prefixes.push(product.clone());
        modulus.mul_assign(&mut product, residue);
    }
    // The partial decryptions were checked to be units, so their products are.
    let place = "combine: a product of units has no inverse modulo N";
    let mut inverse = modulus.vartime_invert(&product).ok_or(DecryptionError::Internal { place })?;
    let mut inverses = Vec::with_capacity(residues.len());
    for (prefix, residue) in prefixes.iter().zip(&residues).rev() {
        inverses.push(modulus.mul(&inverse, prefix));
        modulus.mul_assign(&mut inverse, residue);
    }
    inverses.reverse();
    Ok(inverses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverses_are_inverses_or_an_error_and_never_0() {
        let modulus = Modulus::new(&BigUint::from(35u32)).unwrap();
        let values: Vec<BigUint> = [1u32, 2, 8, 34].map(BigUint::from).into();
        let inverses = invert_all(&modulus, &values.iter().collect::<Vec<_>>()).unwrap();
        for (value, inverse) in values.iter().zip(&inverses) {
            assert_eq!(modulus.mul(&modulus.residue(value), inverse), modulus.one());
        }
        assert!(invert_all(&modulus, &[]).unwrap().is_empty());
        for bad in [0u32, 5, 14] {
            let error = invert_all(&modulus, &[&values[1], &BigUint::from(bad)]).unwrap_err();
            assert!(matches!(error, DecryptionError::Internal { .. }), "{error}");
            assert!(error.culprits().is_empty());
        }
    }
}
