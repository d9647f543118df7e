//! The masks of W1 fill the ranges that hide what is opened, and the ring holds whatever is opened.
#![allow(clippy::unwrap_used, reason = "test code")]

use num_bigint::BigUint;
use num_traits::{One, Zero};

use crate::steps::tools::{BETA, GCD_BETAS, GCD_MASKS, KEY_MASK, SMALL_MASKS, TRIPLES, WIDE_MASKS, ZEROS};
use crate::steps::{Attack, Numbers, Run, Scene, Setup, parties};
use subrosa_distributed_paillier::messages::WinnerShares;
use subrosa_distributed_paillier::winner::{GCD_OPENINGS, RANGE_REPETITIONS};
use subrosa_shamir::ShareRing;
use subrosa_transport::{Message, PartyId};

/// What each party dealt modulo Q, by receiver.
#[derive(Default)]
struct Dealt(Vec<Vec<Vec<BigUint>>>);

impl Attack for Dealt {
    fn deal(&mut self, _scene: &Scene<'_>, round: &str, _from: PartyId, messages: &mut [Numbers<'_>]) {
        if round == WinnerShares::ROUND {
            self.0.push(messages.iter().map(|lists| lists[1].clone()).collect());
        }
    }
}

/// The masks are drawn from the whole of the ranges that hide what is opened, and all that has degree 2t has it.
#[test]
fn masks_fill_the_ranges_that_hide_what_is_opened() {
    let (k, three) = (256u64, BigUint::from(3u32));
    let setup = Setup::good(3, 1, 5);
    let n: BigUint = setup.factors().iter().product();
    let power = |bits: u64| BigUint::one() << bits;
    let openings = GCD_OPENINGS as u64;
    let wide = power(k) * (openings + 1) + ((&three * openings) << (k + 82));
    let ring = ShareRing::assume_prime(setup.q.clone());
    let (line, square) = (ring.opener(&[1, 2, 3], 1).unwrap(), ring.opener(&[1, 2, 3], 2).unwrap());
    let bound = |place: usize| match place {
        BETA | GCD_BETAS..GCD_MASKS => n.clone(),
        KEY_MASK => &three << (2 * k + 80),
        GCD_MASKS..SMALL_MASKS => &three << (k + 82),
        SMALL_MASKS..WIDE_MASKS => power(k / 2 - 2) << 99u32,
        WIDE_MASKS..TRIPLES => &wide << 98u32,
        TRIPLES..ZEROS => setup.q.clone(),
        _ => BigUint::one(),
    };
    let mut widest = vec![BigUint::zero(); ZEROS + 1 + GCD_OPENINGS];
    for seed in 0..15 {
        let mut dealt = Dealt::default();
        let all: Vec<_> = parties(3).collect();
        Run::new(&setup, seed, &all, &mut dealt).untested().unwrap();
        for messages in &dealt.0 {
            let column = |place: usize| -> Vec<&BigUint> { messages.iter().map(|m| &m[place]).collect() };
            for (place, widest) in widest.iter_mut().enumerate() {
                let values = column(place);
                let doubled = place >= ZEROS || [TRIPLES + 3, TRIPLES + 7].contains(&place);
                assert_eq!(line.open(&values).is_err(), doubled, "place {place}");
                let secret = square.open(&values).unwrap();
                *widest = secret.max(widest.clone());
            }
            for first in [TRIPLES, TRIPLES + 4] {
                let [s, s_wide] = [first + 2, first + 3].map(|place| square.open(&column(place)).unwrap());
                assert_eq!(s, s_wide);
            }
        }
    }
    // Of 45 uniform draws the greatest is above half the range but for one time in 2^45.
    for (place, widest) in widest.iter().enumerate() {
        assert!(*widest < bound(place), "place {place}");
        assert!(place >= ZEROS || widest * 2u32 > bound(place), "place {place}");
    }
    assert_eq!(widest.len(), WIDE_MASKS + RANGE_REPETITIONS + 8 + 1 + GCD_OPENINGS);
}

/// An opening that wrapped around would be another number over the integers. The bounds are computed anew, from the page.
#[test]
fn the_ring_holds_every_opening_without_wrapping_around() {
    for (n, t, k) in [(3u32, 1, 256u64), (7, 3, 256), (5, 2, 2048), (20, 9, 512)] {
        let setup = Setup::draw((n, t, k), 1, 0);
        let power = |bits: u64| BigUint::one() << bits;
        // u < n·2^k·2^k + n·(n·2^(2k+σ)), w < n·2^k·2^k + n·2^k·(n·2^(k+σ+2)), σ = 80; and p·q < 2^k.
        let (u, w) =
            (power(2 * k) * n + power(2 * k + 80) * n * n, power(2 * k) * n + power(2 * k + 82) * n * n);
        assert!(u < setup.q && w < setup.q && power(k) < setup.p1, "n {n} k {k}");
        assert_eq!(&setup.p1 * &setup.p3, setup.q);
        // Of the answers that pass W3: 2X₁·(2^98 + 1) and X₂·(2^98 + 1).
        let openings = BigUint::from(GCD_OPENINGS);
        let wide = ((&openings + 1u32) << k) + ((openings * n) << (k + 82));
        let answers = [power(k / 2 - 1), wide].map(|hidden| (&hidden << 98u32) + hidden);
        assert_eq!(setup.answer_bounds, answers, "n {n} k {k}");
        let [small, wide] = answers;
        // Numbers that pass are less than that: p and q below 4n·small + 3, β, β′ and ρ below n·wide.
        let factor = small * 4u32 * n + 3u32;
        assert!(&factor * &factor + power(k) < &setup.q >> 1u32, "p·q, n {n} k {k}");
        assert!((factor * 2u32 + power(k + 2)) * wide * n + u + w < &setup.q >> 1u32, "u or w, n {n} k {k}");
    }
}
