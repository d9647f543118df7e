//! W3: answers to challenges that were hashed after W2.

use num_bigint::BigUint;
use num_traits::One;

use super::dealing::Dealing;
use super::products::{Multiplied, Openings, Sums};
use super::{RANGE_REPETITIONS, Winner};
use crate::KeygenError;
use crate::messages::{ListBelow, WinnerAnswers, WinnerProducts};
use subrosa_arith::SecretInt;
use subrosa_encoding::Hasher;
use subrosa_shamir::{ProductCheck, RingShare};
use subrosa_transport::PerParty;

/// Bits of the challenges of product checks and of weights: 80, and further bits against a cheater that tries many
/// hashes.
pub(super) const CHALLENGE_BYTES: usize = 32;

/// The challenges of W3, hashed from the transcript after W2. The transcript includes fresh randomness of the honest
/// parties.
#[derive(Debug)]
pub(super) struct WinnerChallenges {
    /// For each repetition two bytes, whose bits tell which values are added.
    bits: Vec<u8>,
    /// x.
    pub product: BigUint,
    /// y.
    pub opening: BigUint,
}

impl WinnerChallenges {
    fn new(transcript: &[u8; 32], number: u64) -> Self {
        let hasher = Hasher::new("subrosa/distributed-paillier/winner-challenges", 1)
            .field("transcript", transcript)
            .u64("candidate", number);
        let named = |name: &str| hasher.clone().field("challenge", name.as_bytes());
        Self {
            bits: named("ranges").expand(2 * RANGE_REPETITIONS),
            product: named("product").expand_bits(8 * CHALLENGE_BYTES as u64),
            opening: named("opening").expand_bits(8 * CHALLENGE_BYTES as u64),
        }
    }

    /// Whether a value is added in a repetition: 0 and 1 are p′ᵢ and q′ᵢ, 2 is βᵢ, then come all β′ᵢ and all ρᵢ.
    pub(super) fn adds(&self, repetition: usize, value: usize) -> bool {
        self.bits.get(2 * repetition + value / 8).is_some_and(|bits| bits >> (value % 8) & 1 == 1)
    }
}

/// After W3.
///
/// # Security
/// It must not be sent.
#[derive(Debug)]
pub struct Answered {
    pub(super) key_mask: SecretInt,
    pub(super) dealings: Vec<Dealing>,
    pub(super) checks: [ProductCheck; 2],
    /// This party's share of φ·(β + Σ yʲβ′ⱼ), as the second check expects it.
    pub(super) claimed: RingShare,
    pub(super) challenges: WinnerChallenges,
    pub(super) u: BigUint,
    pub(super) w: Vec<BigUint>,
}

impl Winner<'_> {
    /// The shape of [`WinnerAnswers`].
    pub fn answer_shape(&self) -> [ListBelow; 3] {
        let bounds = &self.bounds;
        [
            ListBelow { count: RANGE_REPETITIONS, bound: bounds.small_answer.clone() },
            ListBelow { count: RANGE_REPETITIONS, bound: bounds.wide_answer.clone() },
            ListBelow { count: 4, bound: self.ring().modulus().clone() },
        ]
    }

    /// W3: for each repetition, computes over ℤ the sum of μ and those of p′ᵢ and q′ᵢ that the challenge selects, and
    /// the sum of ν and those of βᵢ, β′ᵢ and ρᵢ that it selects. Also computes this party's shares of δ and η of the
    /// two product checks.
    ///
    /// `transcript` is the session's after W2.
    ///
    /// # Errors
    /// [`KeygenError::Invalid`] naming a party whose message does not have the shape of
    /// [`product_shape`](Self::product_shape); [`KeygenError::Inconsistent`] if the openings contradict each other or are
    /// out of range, alike at all parties.
    pub fn answer(
        &self,
        multiplied: Multiplied,
        transcript: &[u8; 32],
        products: &PerParty<WinnerProducts>,
    ) -> Result<(Answered, WinnerAnswers), KeygenError> {
        let openings = self.open_products(products)?;
        let challenges = WinnerChallenges::new(transcript, self.number);
        let Multiplied { dealt, dealings, sums, triples } = multiplied;
        let masked = |masks: &[SecretInt], values: &[&SecretInt], first: usize| {
            let answer = |(repetition, mask): (usize, &SecretInt)| {
                // The values are added to the mask, so that no sum of secrets alone stays in memory.
                let mut answer = mask.expose().clone();
                for (place, value) in values.iter().enumerate() {
                    if challenges.adds(repetition, first + place) {
                        answer += value.expose();
                    }
                }
                answer
            };
            masks.iter().enumerate().map(answer).collect::<Vec<_>>()
        };
        let [p, q] = &self.mine;
        let small = masked(&dealt.small_masks, &[p, q], 0);
        let wide: Vec<_> =
            std::iter::once(&dealt.beta).chain(&dealt.gcd_betas).chain(&dealt.gcd_masks).collect();
        let wide = masked(&dealt.wide_masks, &wide, 2);
        // p·q = N, and φ·(β + Σ yʲβ′ⱼ) = u − r + Σ yʲ(wⱼ − (N−1)ρⱼ).
        let ring = self.ring();
        let (beta, claimed) = self.combined(&sums, &challenges.opening, &openings)?;
        let [m, m_opening] = openings.triples;
        let [triple, triple_opening] = triples;
        let checks = [
            ProductCheck::new(triple, m, challenges.product.clone()),
            ProductCheck::new(triple_opening, m_opening, challenges.product.clone()),
        ];
        let [delta, eta] = checks[0].differences(ring, &sums.p, &sums.q)?;
        let [delta_opening, eta_opening] = checks[1].differences(ring, &sums.totient, &beta)?;
        let message = WinnerAnswers {
            small,
            wide,
            differences: [delta, eta, delta_opening, eta_opening]
                .iter()
                .map(|share| share.value().expose().clone())
                .collect(),
        };
        let answered = Answered {
            key_mask: dealt.key_mask,
            u: openings.u,
            w: openings.w,
            dealings,
            checks,
            claimed,
            challenges,
        };
        Ok((answered, message))
    }

    /// My shares of β + Σ yʲβ′ⱼ and of u − r + Σ yʲ(wⱼ − (N−1)ρⱼ), j = 1, 2, ….
    fn combined(
        &self,
        sums: &Sums,
        y: &BigUint,
        openings: &Openings,
    ) -> Result<(RingShare, RingShare), KeygenError> {
        let (ring, multiple) = (self.ring(), self.n() - 1u32);
        let (mut beta, mut mask) = (sums.beta.clone(), sums.key_mask.clone());
        let (mut opened, mut power) = (openings.u.clone(), BigUint::one());
        for ((gcd_beta, gcd_mask), w) in sums.gcd_betas.iter().zip(&sums.gcd_masks).zip(&openings.w) {
            power = power * y % ring.modulus();
            beta = ring.sum([&beta, &ring.scale(gcd_beta, &power)?])?;
            mask = ring.sum([&mask, &ring.scale(gcd_mask, &(&power * &multiple))?])?;
            opened += &power * w;
        }
        let claimed = ring.add_public(&ring.negate(&mask)?, &opened)?;
        Ok((beta, claimed))
    }
}
