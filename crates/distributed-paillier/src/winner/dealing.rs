//! W1: what each party deals for the winner.

use num_bigint::BigUint;
use rand_core::CryptoRng;

use super::{GCD_OPENINGS, RANGE_REPETITIONS, Winner};
use crate::KeygenError;
use crate::messages::{ListBelow, WinnerShares};
use subrosa_arith::SecretInt;
use subrosa_shamir::{RingShare, Triple};
use subrosa_transport::{PartyId, PerParty};

/// β and r; β′ and ρ of each w; the masks μ and ν; two triples; and a zero of degree 2t for u and for each w.
const VALUES: usize = 2 + 2 * GCD_OPENINGS + 2 * RANGE_REPETITIONS + 2 * Triple::VALUES + 1 + GCD_OPENINGS;

/// The secret state of this party's dealing.
///
/// # Security
/// It must not be sent. Together with the openings of W2 and W3, it gives p, q and d.
#[derive(Debug)]
pub struct Dealt {
    pub(super) beta: SecretInt,
    /// r.
    pub(super) key_mask: SecretInt,
    /// β′.
    pub(super) gcd_betas: Vec<SecretInt>,
    /// ρ.
    pub(super) gcd_masks: Vec<SecretInt>,
    /// μ.
    pub(super) small_masks: Vec<SecretInt>,
    /// ν.
    pub(super) wide_masks: Vec<SecretInt>,
}

/// My shares of what one dealer dealt, modulo Q.
#[derive(Debug)]
pub(super) struct Dealing {
    /// p′ᵢ and q′ᵢ.
    pub factors: [RingShare; 2],
    pub beta: RingShare,
    pub key_mask: RingShare,
    pub gcd_betas: Vec<RingShare>,
    pub gcd_masks: Vec<RingShare>,
    pub small_masks: Vec<RingShare>,
    pub wide_masks: Vec<RingShare>,
    pub triples: [[RingShare; Triple::VALUES]; 2],
    /// Added to u and to each w.
    pub zeros: Vec<RingShare>,
}

impl Winner<'_> {
    /// The shape of [`WinnerShares`]: two values modulo P₃, then the rest modulo Q.
    pub fn share_shape(&self) -> [ListBelow; 2] {
        [
            ListBelow { count: 2, bound: self.product_ring().second().modulus().clone() },
            ListBelow { count: VALUES, bound: self.ring().modulus().clone() },
        ]
    }

    /// W1: deals p′ᵢ and q′ᵢ modulo P₃, beside the sharings modulo P₁ of K1; β, β′ ∈ [0, N), r ∈ [0, n·2^(2k+σ)) and
    /// ρ ∈ [0, n·2^(k+σ+2)); masks for the range checks; two triples, and zeros of degree 2t.
    ///
    /// # Errors
    /// [`KeygenError::Shamir`] if the ring does not fit.
    pub fn deal(&self, rng: &mut impl CryptoRng) -> Result<(Dealt, PerParty<WinnerShares>), KeygenError> {
        let (n, t, ring) = (self.parties(), self.threshold(), self.ring());
        let lift = self.product_ring().second();
        let mut messages: Vec<WinnerShares> = (0..n).map(|_| WinnerShares::default()).collect();
        for factor in &self.mine {
            for (message, share) in messages.iter_mut().zip(lift.share_secret(factor, t, n, rng)?) {
                message.lifts.push(share.value().expose().clone());
            }
        }
        let mut push = |shares: Vec<RingShare>| {
            for (message, share) in messages.iter_mut().zip(&shares) {
                message.values.push(share.value().expose().clone());
            }
        };
        let below = |bound: &BigUint, rng: &mut _| SecretInt::random_below(rng, bound);
        let several = |count: usize, bound: &BigUint, rng: &mut _| {
            (0..count).map(|_| below(bound, rng)).collect::<Vec<_>>()
        };
        let bounds = &self.bounds;
        let dealt = Dealt {
            beta: below(&bounds.beta, rng),
            key_mask: below(&bounds.key_mask, rng),
            gcd_betas: several(GCD_OPENINGS, &bounds.beta, rng),
            gcd_masks: several(GCD_OPENINGS, &bounds.gcd_mask, rng),
            small_masks: several(RANGE_REPETITIONS, &bounds.small_mask, rng),
            wide_masks: several(RANGE_REPETITIONS, &bounds.wide_mask, rng),
        };
        let Dealt { beta, key_mask, gcd_betas, gcd_masks, small_masks, wide_masks } = &dealt;
        let lists = [gcd_betas, gcd_masks, small_masks, wide_masks].into_iter().flatten();
        for secret in [beta, key_mask].into_iter().chain(lists) {
            push(ring.share_secret(secret, t, n, rng)?);
        }
        for _ in 0..2 {
            let rows = Triple::deal(ring, t, n, rng)?;
            for place in 0..Triple::VALUES {
                push(rows.iter().map(|row| row[place].clone()).collect());
            }
        }
        for _ in 0..=GCD_OPENINGS {
            push(ring.share_zero(2 * t, n, rng)?);
        }
        Ok((dealt, PerParty::from_vec(messages)))
    }

    /// Reads the dealing of `dealer` to this party, with the summands lifted from P₁ to Q. The shape of the message has
    /// been checked.
    pub(super) fn accept(&self, dealer: PartyId, message: &WinnerShares) -> Result<Dealing, KeygenError> {
        let (point, ring) = (self.me.number(), self.product_ring());
        let missing = || KeygenError::invalid(dealer, "values are missing in its message");
        let known = self.dealt.get(dealer.index()).ok_or_else(missing)?;
        let lifted = |place: usize| {
            let value = message.lifts.get(place).ok_or_else(missing)?;
            let lift = ring.second().accept(point, value.clone())?;
            Ok::<_, KeygenError>(ring.combine(&known[place], &lift)?)
        };
        let factors = [lifted(0)?, lifted(1)?];
        let mut values = message.values.iter();
        let mut take = |count: usize| {
            (0..count)
                .map(|_| Ok(ring.ring().accept(point, values.next().ok_or_else(missing)?.clone())?))
                .collect::<Result<Vec<_>, KeygenError>>()
        };
        // In the order in which the values were dealt.
        let [beta, key_mask] = exactly(take(2)?).ok_or_else(missing)?;
        let (gcd_betas, gcd_masks) = (take(GCD_OPENINGS)?, take(GCD_OPENINGS)?);
        let (small_masks, wide_masks) = (take(RANGE_REPETITIONS)?, take(RANGE_REPETITIONS)?);
        let mut triple = || exactly(take(Triple::VALUES)?).ok_or_else(missing);
        let triples = [triple()?, triple()?];
        let zeros = take(1 + GCD_OPENINGS)?;
        Ok(Dealing { factors, beta, key_mask, gcd_betas, gcd_masks, small_masks, wide_masks, triples, zeros })
    }
}

fn exactly<const COUNT: usize>(shares: Vec<RingShare>) -> Option<[RingShare; COUNT]> {
    shares.try_into().ok()
}
