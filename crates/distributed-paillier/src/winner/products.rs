//! W2: the products that are opened.

use num_bigint::BigUint;

use super::dealing::{Dealing, Dealt};
use super::{GCD_OPENINGS, Winner, column};
use crate::KeygenError;
use crate::messages::{ListBelow, WinnerProducts, WinnerShares, conform};
use subrosa_shamir::{RingShare, ShamirError, Triple};
use subrosa_transport::PerParty;

/// My shares of the sums of what all dealt.
#[derive(Debug)]
pub(super) struct Sums {
    pub p: RingShare,
    pub q: RingShare,
    /// φ = N + 1 − p − q.
    pub totient: RingShare,
    pub beta: RingShare,
    pub key_mask: RingShare,
    pub gcd_betas: Vec<RingShare>,
    pub gcd_masks: Vec<RingShare>,
}

/// State after W2: this party's dealing, all dealings to it, and their sums.
///
/// # Security
/// It must not be sent.
#[derive(Debug)]
pub struct Multiplied {
    pub(super) dealt: Dealt,
    pub(super) dealings: Vec<Dealing>,
    pub(super) sums: Sums,
    pub(super) triples: [Triple; 2],
}

/// What W2 opened.
#[derive(Debug)]
pub(super) struct Openings {
    pub u: BigUint,
    pub w: Vec<BigUint>,
    /// m and m′ of the triples.
    pub triples: [BigUint; 2],
}

impl Winner<'_> {
    /// The shape of [`WinnerProducts`].
    pub fn product_shape(&self) -> ListBelow {
        ListBelow { count: 1 + GCD_OPENINGS + 2, bound: self.ring().modulus().clone() }
    }

    /// W2: computes this party's shares of u = φβ + r, of every w = φβ′ + (N−1)ρ, and of m = ab − s for both triples. A
    /// zero sharing of degree 2t makes each polynomial random.
    ///
    /// # Errors
    /// [`KeygenError::Invalid`] naming a party whose message does not have the shape of
    /// [`share_shape`](Self::share_shape).
    pub fn multiply(
        &self,
        dealt: Dealt,
        received: &PerParty<WinnerShares>,
    ) -> Result<(Multiplied, WinnerProducts), KeygenError> {
        conform(self.parties(), received, &self.share_shape())?;
        let dealings = received.iter().map(|(dealer, message)| self.accept(dealer, message));
        let dealings = dealings.collect::<Result<Vec<_>, _>>()?;
        let sums = self.sums(&dealings)?;
        let ring = self.ring();
        let zero = |place: usize| ring.sum(dealings.iter().map(|dealing| &dealing.zeros[place]));
        let mask = ring.sum([&sums.key_mask, &zero(0)?])?;
        let mut products = vec![ring.masked_product(&sums.totient, &sums.beta, &mask)?];
        for (place, (beta, mask)) in sums.gcd_betas.iter().zip(&sums.gcd_masks).enumerate() {
            let mask = ring.sum([&ring.scale(mask, &(self.n() - 1u32))?, &zero(1 + place)?])?;
            products.push(ring.masked_product(&sums.totient, beta, &mask)?);
        }
        let triple = |place: usize| {
            let rows: Vec<_> = dealings.iter().map(|dealing| dealing.triples[place].clone()).collect();
            Triple::total(ring, &rows)
        };
        let triples = [triple(0)?, triple(1)?];
        products.extend([triples[0].product(ring)?, triples[1].product(ring)?]);
        let values = products.iter().map(|share| share.value().expose().clone()).collect();
        Ok((Multiplied { dealt, dealings, sums, triples }, WinnerProducts { values }))
    }

    fn sums(&self, dealings: &[Dealing]) -> Result<Sums, ShamirError> {
        let (ring, point) = (self.ring(), self.me.number());
        let sum = |of: fn(&Dealing) -> &RingShare| ring.sum(dealings.iter().map(of));
        let each = |of: fn(&Dealing) -> &Vec<RingShare>| {
            (0..GCD_OPENINGS)
                .map(|place| ring.sum(dealings.iter().map(|dealing| &of(dealing)[place])))
                .collect::<Result<Vec<_>, _>>()
        };
        let factor = |share: RingShare| {
            ring.add_public(&ring.scale(&share, &BigUint::from(4u32))?, &BigUint::from(3u32))
        };
        let p = factor(sum(|dealing| &dealing.factors[0])?)?;
        let q = factor(sum(|dealing| &dealing.factors[1])?)?;
        let totient = ring.subtract(&ring.constant(point, &(self.n() + 1u32))?, &ring.sum([&p, &q])?)?;
        Ok(Sums {
            p,
            q,
            totient,
            beta: sum(|dealing| &dealing.beta)?,
            key_mask: sum(|dealing| &dealing.key_mask)?,
            gcd_betas: each(|dealing| &dealing.gcd_betas)?,
            gcd_masks: each(|dealing| &dealing.gcd_masks)?,
        })
    }

    /// Opens u, every w, m and m′. The values of honest parties keep u and w below their bounds.
    pub(super) fn open_products(&self, received: &PerParty<WinnerProducts>) -> Result<Openings, KeygenError> {
        conform(self.parties(), received, &self.product_shape())?;
        let opener = self.opener(2 * self.threshold())?;
        let open = |place: usize| {
            let opened = opener.open(&column(received, 0, place));
            opened.map_err(|error| KeygenError::unopened(error, "the products of the winner"))
        };
        let u = open(0)?;
        let w = (1..=GCD_OPENINGS).map(open).collect::<Result<Vec<_>, _>>()?;
        if u >= self.bounds.key_opening || w.iter().any(|w| *w >= self.bounds.gcd_opening) {
            return Err(KeygenError::Inconsistent { reason: "an opening of the winner is out of range" });
        }
        Ok(Openings { u, w, triples: [open(1 + GCD_OPENINGS)?, open(2 + GCD_OPENINGS)?] })
    }
}
