//! What the answers of W3 tell about the numbers behind them: nothing that can be measured. Two samples of answers for
//! different numbers are compared bucket by bucket, with fixed seeds; the same comparison finds masks that are too short.
#![allow(clippy::unwrap_used, clippy::needless_range_loop, reason = "test code")]

use num_bigint::BigUint;
use num_traits::{One, ToPrimitive};

use crate::steps::tools::{BETA, Challenges, GCD_BETAS, SMALL_MASKS, TRIPLES, WIDE_MASKS};
use crate::steps::{Attack, Numbers, Run, Scene, Setup, parties};
use subrosa_distributed_paillier::messages::{WinnerAnswers, WinnerShares};
use subrosa_distributed_paillier::winner::{GCD_OPENINGS, RANGE_REPETITIONS};
use subrosa_shamir::{Opener, ShareRing};
use subrosa_transport::{Message, PartyId};

const BUCKETS: usize = 16;
/// Of the statistic of two equal distributions: its mean is 15 and its variance 30, so that 60 is passed about once in
/// two million times. The seeds here give values from 3 to 12, and masks that are too short from 370 on.
const GENEROUS: f64 = 60.0;
/// The party that is looked at.
const ME: usize = 0;

/// One answer: the mask, what the challenge added to it, and the sum that was sent.
struct Answer {
    mask: BigUint,
    added: BigUint,
    sent: BigUint,
}

/// Reads the masks out of what a party dealt and the sums out of its answers.
struct Read {
    opener: Opener,
    dealt: Vec<BigUint>,
    small: Vec<Answer>,
    wide: Vec<Answer>,
}

impl Attack for Read {
    fn deal(&mut self, _scene: &Scene<'_>, round: &str, from: PartyId, messages: &mut [Numbers<'_>]) {
        if round == WinnerShares::ROUND && from.index() == ME {
            let secret = |place: usize| {
                let column: Vec<_> = messages.iter().map(|lists| &lists[1][place]).collect();
                self.opener.open(&column).unwrap()
            };
            self.dealt = (0..TRIPLES).map(secret).collect();
        }
    }

    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        if round != WinnerAnswers::ROUND {
            return;
        }
        let (challenges, own) = (Challenges::new(scene), scene.setup.candidate(PartyId::new(0)));
        let factors = [own.p(), own.q()].map(|factor| factor.expose() >> 2u32);
        let wide: Vec<&BigUint> =
            self.dealt[BETA..=BETA].iter().chain(&self.dealt[GCD_BETAS..SMALL_MASKS]).collect();
        assert_eq!(wide.len(), 1 + 2 * GCD_OPENINGS);
        for repetition in 0..RANGE_REPETITIONS {
            let added = |values: &[&BigUint], first: usize| -> BigUint {
                let chosen = values.iter().enumerate();
                let chosen = chosen.filter(|(place, _)| challenges.adds(repetition, first + place));
                chosen.map(|(_, value)| *value).sum()
            };
            let answer = |list: usize, masks: usize, added: BigUint| Answer {
                mask: self.dealt[masks + repetition].clone(),
                added,
                sent: messages[ME][list][repetition].clone(),
            };
            self.small.push(answer(0, SMALL_MASKS, added(&factors.each_ref(), 0)));
            self.wide.push(answer(1, WIDE_MASKS, added(&wide, 2)));
        }
    }
}

/// The answers of a candidate's many runs. In those of candidate 0 party 1 leads and has a p′ of full length, in those of
/// candidate 1 it follows and its p′ is less than a ninth of that.
fn answers(index: usize, runs: u64) -> Read {
    let mut setup = Setup::draw((3, 1, 256), 20, 0);
    setup.index = index;
    let opener = ShareRing::assume_prime(setup.q.clone()).opener(&[1, 2, 3], 1).unwrap();
    let mut read = Read { opener, dealt: vec![], small: vec![], wide: vec![] };
    let all: Vec<_> = parties(3).collect();
    for seed in 0..runs {
        Run::new(&setup, (index as u64) * 1000 + seed, &all, &mut read).untested().unwrap();
    }
    read
}

/// Σ (a − b)²/(a + b) of two samples, scaled to their sizes, in buckets of equal width below `range`. About 15 for
/// equal distributions.
fn statistic(a: &[BigUint], b: &[BigUint], range: &BigUint) -> f64 {
    let histogram = |sample: &[BigUint]| {
        let mut counts = [0.0; BUCKETS];
        for value in sample {
            let bucket = (value * BUCKETS / range).to_usize().unwrap();
            counts[bucket.min(BUCKETS - 1)] += 1.0;
        }
        counts
    };
    let size = |sample: &[BigUint]| sample.len().to_f64().unwrap();
    let ratio = (size(b) / size(a)).sqrt();
    let distance =
        |(a, b): (f64, f64)| if a + b > 0.0 { (a * ratio - b / ratio).powi(2) / (a + b) } else { 0.0 };
    histogram(a).into_iter().zip(histogram(b)).map(distance).sum()
}

/// A sample that is spread evenly over `[0, range)`.
fn even(size: usize, range: &BigUint) -> Vec<BigUint> {
    (0..size).map(|place| range * place / size).collect()
}

fn sent(answers: &[&Answer]) -> Vec<BigUint> {
    answers.iter().map(|answer| answer.sent.clone()).collect()
}

/// What would have been sent with masks below `range`.
fn shortened(answers: &[&Answer], range: &BigUint) -> Vec<BigUint> {
    answers.iter().map(|answer| &answer.mask % range + &answer.added).collect()
}

/// X₁ and X₂ of the protocol's page for k = 256 and n = 3; the masks are below 2X₁·2^98 and X₂·2^98.
fn hidden() -> [BigUint; 2] {
    let one = BigUint::one();
    [&one << 126u32, (&one << 256u32) * 7u32 + ((&one << 338u32) * 18u32)]
}

fn mask_ranges() -> [BigUint; 2] {
    let [x1, x2] = hidden();
    [x1 << 99u32, x2 << 98u32]
}

#[test]
fn answers_are_masks_and_what_the_challenges_pick_and_never_out_of_range() {
    let read = answers(0, 12);
    let bounds = Setup::draw((3, 1, 256), 20, 0).answer_bounds;
    for ((answers, bound), range) in [&read.small, &read.wide].into_iter().zip(&bounds).zip(mask_ranges()) {
        for Answer { mask, added, sent } in answers {
            assert_eq!(mask + added, *sent);
            assert!(*mask < range && sent < bound);
        }
    }
    let mut sums: Vec<_> = read.small.iter().map(|answer| &answer.added).collect();
    sums.sort();
    sums.dedup();
    assert_eq!(sums.len(), 4, "0, p′, q′ and p′ + q′");
}

#[test]
fn answers_for_large_and_small_factors_cannot_be_told_apart() {
    let ([leader, follower], [range, _]) = ([answers(0, 240), answers(1, 240)], mask_ranges());
    // Where both p′ and q′ are added the difference is greatest.
    let greatest = |read: &Read| read.small.iter().map(|answer| answer.added.clone()).max().unwrap();
    let tops = [greatest(&leader), greatest(&follower)];
    assert!(tops[0] > &tops[1] * 4u32);
    let both = |read: &'_ Read, top: &BigUint| -> Vec<usize> {
        (0..read.small.len()).filter(|&i| read.small[i].added == *top).collect()
    };
    let [a, b]: [Vec<&Answer>; 2] = [(&leader, &tops[0]), (&follower, &tops[1])]
        .map(|(read, top)| both(read, top).into_iter().map(|i| &read.small[i]).collect());
    assert!(a.len() > 8000 && b.len() > 8000);
    assert!(statistic(&sent(&a), &sent(&b), &range) < GENEROUS);
    for sample in [&a, &b] {
        assert!(statistic(&sent(sample), &even(sample.len(), &range), &range) < GENEROUS);
        let (low, sixteen) = (BigUint::from(1u32 << 16), sample.len());
        let remainders: Vec<_> = sent(sample).iter().map(|value| value % &low).collect();
        assert!(statistic(&remainders, &even(sixteen, &low), &low) < GENEROUS);
    }
    // The comparison is good enough: it finds a mask that is sixteen times as wide as what it hides, and any mask that does
    // not fill its range.
    let [x1, _] = hidden();
    let narrow = x1 << 5u32;
    assert!(statistic(&shortened(&a, &narrow), &shortened(&b, &narrow), &narrow) > 2.0 * GENEROUS);
    let half = &range >> 1u32;
    assert!(statistic(&shortened(&a, &half), &even(a.len(), &range), &range) > 2.0 * GENEROUS);
    let nothing = [&a, &b].map(|sample| sample.iter().map(|answer| answer.added.clone()).collect::<Vec<_>>());
    assert!(statistic(&nothing[0], &nothing[1], &tops[0]) > 2.0 * GENEROUS);
}

#[test]
fn answers_for_large_and_small_masks_of_openings_cannot_be_told_apart() {
    let (read, [_, range]) = (answers(1, 60), mask_ranges());
    let mut answers: Vec<&Answer> = read.wide.iter().collect();
    answers.sort_by(|a, b| a.added.cmp(&b.added));
    let (low, high) = answers.split_at(answers.len() / 2);
    assert!(statistic(&sent(low), &sent(high), &range) < GENEROUS);
    assert!(statistic(&sent(&answers), &even(answers.len(), &range), &range) < GENEROUS);
    let [_, x2] = hidden();
    assert!(statistic(&shortened(low, &x2), &shortened(high, &x2), &x2) > 2.0 * GENEROUS);
    let half = &range >> 1u32;
    assert!(statistic(&shortened(&answers, &half), &even(answers.len(), &range), &range) > 2.0 * GENEROUS);
}
