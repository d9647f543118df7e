//! Checks whether a shared number is the product of two others, with a random triple that is used up.
//!
//! With an honest majority, a product of sharings is correct up to an additive error that the cheaters choose (Genkin
//! et al., STOC 2014). A random triple detects such errors (Chida et al., CRYPTO 2018; Lindell and Nof, CCS 2017).

use num_bigint::BigUint;
use rand_core::CryptoRng;

use crate::{RingShare, ShamirError, ShareRing};
use subrosa_arith::SecretInt;

/// One party's shares of random a, b and s, and of the same s by a polynomial of twice the degree.
///
/// # Security
/// A triple masks the openings of [`ProductCheck`]. One check uses it up.
#[derive(Debug)]
pub struct Triple {
    /// a, of degree t.
    pub a: RingShare,
    /// b, of degree t.
    pub b: RingShare,
    /// s, of degree t.
    pub s: RingShare,
    /// s, of degree 2t.
    pub s_wide: RingShare,
}

impl Triple {
    /// Number of values that a party deals to each other party for its part of a triple.
    pub const VALUES: usize = 4;

    /// Deals one party's part of a triple to all: to each party its shares of a, b and s of `degree`, and of s of twice
    /// that degree.
    ///
    /// # Errors
    /// As [`ShareRing::share`].
    pub fn deal(
        field: &ShareRing,
        degree: u32,
        parties: u32,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<[RingShare; Self::VALUES]>, ShamirError> {
        let random = |rng: &mut _| SecretInt::random_below(rng, field.modulus());
        let (a, b, s) = (random(rng), random(rng), random(rng));
        let mut columns = [
            field.share_secret(&a, degree, parties, rng)?.into_iter(),
            field.share_secret(&b, degree, parties, rng)?.into_iter(),
            field.share_secret(&s, degree, parties, rng)?.into_iter(),
            field.share_secret(&s, 2 * degree, parties, rng)?.into_iter(),
        ];
        let mut rows = Vec::new();
        while let [Some(a), Some(b), Some(s), Some(wide)] = columns.each_mut().map(Iterator::next) {
            rows.push([a, b, s, wide]);
        }
        Ok(rows)
    }

    /// Creates the triple from the dealings of all parties to this one.
    ///
    /// # Errors
    /// [`ShamirError::TooFewShares`] for none, [`ShamirError::BadPoint`] if the points differ.
    pub fn total(field: &ShareRing, dealt: &[[RingShare; Self::VALUES]]) -> Result<Self, ShamirError> {
        let sum = |place: usize| field.sum(dealt.iter().filter_map(|row| row.get(place)));
        Ok(Self { a: sum(0)?, b: sum(1)?, s: sum(2)?, s_wide: sum(3)? })
    }

    /// Computes a share of m = ab − s, of degree 2t. It is opened before [`ProductCheck::new`].
    ///
    /// # Errors
    /// [`ShamirError::BadPoint`] if the points differ.
    pub fn product(&self, field: &ShareRing) -> Result<RingShare, ShamirError> {
        field.masked_product(&self.a, &self.b, &field.negate(&self.s_wide)?)
    }
}

/// The check of x·y = z with a triple of which m = ab − s was opened.
///
/// The check accepts a false product with probability at most 1/(challenges), if the challenge is drawn after x, y, z,
/// the triple and m are fixed. The openings δ, η and the final 0 reveal nothing about x, y and z.
#[derive(Debug)]
pub struct ProductCheck {
    triple: Triple,
    m: BigUint,
    challenge: BigUint,
}

impl ProductCheck {
    /// Begins a check. `m` must be opened before `challenge` is drawn.
    pub fn new(triple: Triple, m: BigUint, challenge: BigUint) -> Self {
        Self { triple, m, challenge }
    }

    /// Computes shares of δ = challenge·x − a and η = y − b. Both are opened.
    ///
    /// # Errors
    /// [`ShamirError::BadPoint`] if the points differ.
    pub fn differences(
        &self,
        field: &ShareRing,
        x: &RingShare,
        y: &RingShare,
    ) -> Result<[RingShare; 2], ShamirError> {
        let delta = field.subtract(&field.scale(x, &self.challenge)?, &self.triple.a)?;
        Ok([delta, field.subtract(y, &self.triple.b)?])
    }

    /// Computes a share of m + s + δb + ηa + δη − challenge·z. The opening is 0 if z = x·y.
    ///
    /// # Errors
    /// [`ShamirError::BadPoint`] if the points differ.
    pub fn zero(
        self,
        field: &ShareRing,
        delta: &BigUint,
        eta: &BigUint,
        z: &RingShare,
    ) -> Result<RingShare, ShamirError> {
        let Triple { a, b, s, .. } = &self.triple;
        let linear = field.sum([s, &field.scale(b, delta)?, &field.scale(a, eta)?])?;
        let linear = field.add_public(&linear, &(self.m + delta * eta))?;
        field.subtract(&linear, &field.scale(z, &self.challenge)?)
    }
}
