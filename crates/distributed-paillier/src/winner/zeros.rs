//! W4: the values that must be 0.

use num_bigint::{BigInt, BigUint};
use num_traits::Zero;

use super::answers::{Answered, CHALLENGE_BYTES, WinnerChallenges};
use super::dealing::Dealing;
use super::{KeySummand, RANGE_REPETITIONS, Winner, column};
use crate::KeygenError;
use crate::messages::{ListBelow, WinnerAnswers, WinnerZeros, conform};
use subrosa_arith::{SecretInt, wipe_uint};
use subrosa_encoding::Hasher;
use subrosa_shamir::RingShare;
use subrosa_transport::{PartyId, PerParty};

/// State after W4, until its openings arrive.
///
/// # Security
/// It must not be sent.
#[derive(Debug)]
pub struct Checked {
    pub(super) summand: KeySummand,
    pub(super) residue: SecretInt,
    pub(super) u: BigUint,
    pub(super) w: Vec<BigUint>,
}

impl Checked {
    /// My summand of d, which K8 deals if N is accepted.
    pub fn summand(&self) -> &KeySummand {
        &self.summand
    }
}

impl Winner<'_> {
    /// The shape of [`WinnerZeros`].
    pub fn zero_shape(&self) -> ListBelow {
        ListBelow { count: self.parties() as usize + 2, bound: self.ring().modulus().clone() }
    }

    /// W4: computes this party's shares of the values that must be 0. For each dealer this is the weighted sum of the
    /// differences between the correct answers of W3 and its answers. Then come the two product checks.
    ///
    /// `transcript` is that of the session after W3, so that the weights are hashed when all answers are known.
    ///
    /// # Errors
    /// [`KeygenError::Invalid`] naming a party whose message does not have the shape of
    /// [`answer_shape`](Self::answer_shape); [`KeygenError::Inconsistent`] if the openings
    /// contradict each other, alike at all parties.
    pub fn zeros(
        &self,
        answered: Answered,
        transcript: &[u8; 32],
        answers: &PerParty<WinnerAnswers>,
    ) -> Result<(Checked, WinnerZeros), KeygenError> {
        conform(self.parties(), answers, &self.answer_shape())?;
        let opener = self.opener(self.threshold())?;
        let open = |place: usize| {
            let opened = opener.open(&column(answers, 2, place));
            opened.map_err(|error| KeygenError::unopened(error, "the differences of a product check"))
        };
        let [delta, eta, delta_opening, eta_opening] = [open(0)?, open(1)?, open(2)?, open(3)?];
        let ring = self.ring();
        let mut zeros = Vec::with_capacity(self.parties() as usize + 2);
        for (dealing, (dealer, message)) in answered.dealings.iter().zip(answers.iter()) {
            let weights = Weights::new(transcript, self.number, dealer);
            zeros.push(self.dealing_zero(dealing, message, &answered.challenges, &weights)?);
        }
        let [product, opening] = answered.checks;
        let n = ring.constant(self.me.number(), self.n())?;
        zeros.push(product.zero(ring, &delta, &eta, &n)?);
        zeros.push(opening.zero(ring, &delta_opening, &eta_opening, &answered.claimed)?);
        let values = zeros.iter().map(|share| share.value().expose().clone()).collect();
        let message = WinnerZeros { values };
        let checked = Checked {
            summand: self.summand(&answered.u, &answered.key_mask),
            residue: answered.key_mask.rem(self.n())?,
            u: answered.u,
            w: answered.w,
        };
        Ok((checked, message))
    }

    /// My share of Σ γₛ(μₛ + e₁p′ᵢ + e₂q′ᵢ − zₛ) + γ′ₛ(νₛ + e₃βᵢ + Σ (eβ′ᵢ + eρᵢ) − z′ₛ).
    fn dealing_zero(
        &self,
        dealing: &Dealing,
        answers: &WinnerAnswers,
        challenges: &WinnerChallenges,
        weights: &Weights,
    ) -> Result<RingShare, KeygenError> {
        let ring = self.ring();
        let Weights { small, wide } = weights;
        let sum = |weights: &[BigUint], value: usize| {
            let added = (0..RANGE_REPETITIONS).filter(|&s| challenges.adds(s, value));
            added.filter_map(|s| weights.get(s)).sum::<BigUint>()
        };
        let [p, q] = &dealing.factors;
        let wide_values = std::iter::once(&dealing.beta).chain(&dealing.gcd_betas).chain(&dealing.gcd_masks);
        let single = [p, q].into_iter().enumerate().map(|(value, share)| (share, sum(small, value)));
        let single = single.chain(wide_values.zip(2..).map(|(share, value)| (share, sum(wide, value))));
        let masks = dealing.small_masks.iter().zip(small).chain(dealing.wide_masks.iter().zip(wide));
        // One reduction: the sum is only some 270 bits longer than an element.
        let mut total = BigUint::ZERO;
        for (share, weight) in masks {
            total += share.value().expose() * weight;
        }
        for (share, weight) in single {
            total += share.value().expose() * &weight;
        }
        let answered = answers.small.iter().zip(small).chain(answers.wide.iter().zip(wide));
        let answered: BigUint = answered.map(|(answer, weight)| answer * weight).sum();
        let m = ring.modulus();
        let mut reduced = (&total + m - answered % m) % m;
        let share = ring.accept(self.me.number(), std::mem::take(&mut reduced))?;
        wipe_uint(&mut total);
        Ok(share)
    }

    /// dᵢ: u − rᵢ for the leader, −rᵢ for the others.
    fn summand(&self, opened: &BigUint, mask: &SecretInt) -> KeySummand {
        let whole = if self.me == self.leader { opened.clone() } else { BigUint::zero() };
        let mask = BigInt::from(mask.expose().clone());
        let summand = KeySummand(BigInt::from(whole) - &mask);
        wipe_uint(&mut mask.into_parts().1);
        summand
    }
}

/// γ and γ′ for one dealer.
struct Weights {
    small: Vec<BigUint>,
    wide: Vec<BigUint>,
}

impl Weights {
    fn new(transcript: &[u8; 32], number: u64, dealer: PartyId) -> Self {
        let bytes = Hasher::new("subrosa/distributed-paillier/winner-weights", 1)
            .field("transcript", transcript)
            .u64("candidate", number)
            .u64("dealer", dealer.index() as u64)
            .expand(CHALLENGE_BYTES * 2 * RANGE_REPETITIONS);
        let mut weights = bytes.chunks_exact(CHALLENGE_BYTES).map(BigUint::from_bytes_le);
        let mut take = || weights.by_ref().take(RANGE_REPETITIONS).collect::<Vec<_>>();
        Self { small: take(), wide: take() }
    }
}
