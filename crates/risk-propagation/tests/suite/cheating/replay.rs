//! Ciphertexts of an earlier run under the same key: worth nothing where each run has a key of its own, and read, to be found
//! by recomputation, where the banks agreed to share one.

use std::path::Path;

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::deviation::{Deviation, Hear, View, more};
use super::resumption::Eavesdrop;
use super::scene::{
    EAST, NORTH, Run, Truth, WEST, clear, run_in, run_uncapped, slots, three, uncapped, unit, without_noise,
};
use crate::common::Raw;
use subrosa_paillier::{Blinded, Ciphertext};
use subrosa_risk_propagation::steps::messages::Declaration;
use subrosa_risk_propagation::{CheckpointStore, Error, FileStore, KeyUse, Plan, Settings};
use subrosa_transport::{PartyId, PerParty};

/// Follows the protocol and keeps what it sees.
#[derive(Default)]
struct Collector {
    /// First scores of each bank's accounts.
    scores: Vec<(PartyId, Vec<Ciphertext>)>,
    announced: Vec<Vec<Ciphertext>>,
}

impl Deviation for Collector {
    fn received(&mut self, step: usize, from: PartyId, ciphertexts: &[Ciphertext]) {
        if step == 0 {
            self.scores.push((from, ciphertexts.to_vec()));
        }
    }

    fn announced(&mut self, all: &PerParty<Vec<Ciphertext>>) {
        self.announced = all.values().cloned().collect();
    }
}

impl Collector {
    fn score_of_north(&self) -> Ciphertext {
        let (_, scores) = self.scores.iter().find(|(from, _)| *from == NORTH).unwrap();
        scores[0].clone()
    }
}

/// A run of banks that remember which keys they used.
fn month(raw: &Raw, west: &mut dyn Deviation, seed: u64, key_use: KeyUse, folder: &Path) -> Run {
    run_in(raw, &Settings { key_use, ..uncapped() }, vec![(WEST, west)], seed, Some(folder))
}

/// [`month`], of banks that agreed to use their key for several runs.
fn shared(raw: &Raw, west: &mut dyn Deviation, seed: u64, folder: &Path) -> Run {
    month(raw, west, seed, KeyUse::Shared, folder)
}

/// This month's accounts: all scores are others.
fn this_month() -> Raw {
    let mut raw = three();
    for (_, score) in raw.accounts.iter_mut().flatten() {
        *score = 99 - *score;
    }
    raw
}

/// Hands in what it kept, besides what is its own.
struct Replay {
    kept: Vec<Ciphertext>,
}

impl Deviation for Replay {
    fn declaration(&mut self, plan: &Plan, honest: Declaration) -> Declaration {
        more(plan, honest, self.kept.len())
    }

    fn announcement(
        &mut self,
        view: &View<'_>,
        mut honest: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        honest.extend(self.kept.iter().map(|kept| view.blind(kept)));
        Some(honest)
    }
}

/// A later run under the key of an earlier one does not begin, whatever one bank has in mind.
fn refused(raw: &Raw, west: &mut dyn Deviation, seed: u64, folder: &Path) {
    let run = month(raw, west, seed, KeyUse::Once, folder);
    run.assert_stopped(&[]);
    let refused = |(_, result): &(PartyId, Result<_, Error>)| matches!(result, Err(Error::KeyUsed { .. }));
    assert!(run.honest.iter().any(refused), "{:?}", run.errors());
    assert!(run.errors().iter().all(|error| error.contains("was used in another run")), "{:?}", run.errors());
}

#[test]
fn a_key_for_each_run_leaves_nothing_to_replay() {
    let (raw, mut collector) = (three(), Collector::default());
    let folder = tempfile::tempdir().unwrap();
    month(&raw, &mut collector, 31, KeyUse::Once, folder.path()).assert_unnoticed();
    let announced = collector.announced[EAST.index()].clone();
    refused(&this_month(), &mut Replay { kept: announced }, 32, folder.path());
    let old = collector.score_of_north();
    refused(&this_month(), &mut Replay { kept: vec![old.clone()] }, 33, folder.path());
    refused(&this_month(), &mut Boomerang { old, back: None, place: 0 }, 34, folder.path());
}

#[test]
fn a_run_that_was_broken_off_takes_its_key_with_it() {
    let (raw, mut west) = (three(), Eavesdrop::default());
    let folder = tempfile::tempdir().unwrap();
    month(&raw, &mut west, 35, KeyUse::Once, folder.path()).assert_stopped(&[]);
    // Somebody removes the checkpoints, so that the run is started over.
    for bank in ["north", "east"] {
        FileStore::open(folder.path().join(bank)).unwrap().clear().unwrap();
    }
    refused(&raw, &mut Replay { kept: west.heard.into_iter().collect() }, 36, folder.path());
}

#[test]
fn last_months_announcements_are_read() {
    let (raw, mut collector) = (three(), Collector::default());
    let folder = tempfile::tempdir().unwrap();
    shared(&raw, &mut collector, 21, folder.path()).assert_unnoticed();
    let run = shared(
        &this_month(),
        &mut Replay { kept: collector.announced[EAST.index()].clone() },
        22,
        folder.path(),
    );
    run.assert_unnoticed();
    run.assert_found(WEST, "R5", 0, &[]);
    run.assert_west_has_its_own();
    let plan = &run.spoils().plan;
    let truth = Truth::of(&raw, plan);
    // East's account 2 has no foreign sender at west: its score is none of west's affair in any month.
    let read = slots(&run.spoils().plaintexts[1], plan);
    let reached: Vec<u32> =
        (0..3).filter(|account| truth.foreign_part(EAST, *account) > 0_u8.into()).collect();
    assert_eq!(reached, [2]);
    let expected = unit(&truth.foreign_part(EAST, 2), plan.final_scale());
    assert!((without_noise(&read[0], plan) - expected).abs() < 1e-6);
}

#[test]
fn last_months_scores_are_read_exactly() {
    let (raw, mut collector) = (three(), Collector::default());
    let folder = tempfile::tempdir().unwrap();
    let last = shared(&raw, &mut collector, 23, folder.path());
    let shift = clear(&last.spoils().plan);
    let factor = BigInt::from(1) << shift;
    let key = super::scene::shares(3)[0].key().public().clone();
    let kept = vec![key.vartime_mul_plain(&collector.score_of_north(), &factor).unwrap()];
    let run = shared(&this_month(), &mut Replay { kept }, 24, folder.path());
    run.assert_unnoticed();
    run.assert_found(WEST, "R5", 0, &[]);
    let truth = Truth::of(&raw, &run.spoils().plan);
    let read = &slots(&run.spoils().plaintexts[1], &run.spoils().plan)[0] >> shift;
    assert_eq!(read, truth.score(NORTH, truth.sent(NORTH, WEST)[0], 0));
}

#[test]
fn announcements_of_a_run_that_was_broken_off_are_read_in_the_next_one() {
    let (raw, mut west) = (three(), Eavesdrop::default());
    // Without checkpoints the banks begin anew, with the same input, and do not know that they used the key.
    run_uncapped(&raw, &mut west, 27).assert_stopped(&[]);
    let run = run_uncapped(&raw, &mut Replay { kept: west.heard.into_iter().collect() }, 28);
    run.assert_unnoticed();
    run.assert_found(WEST, "R5", 0, &[]);
    run.assert_west_has_its_own();
    let plan = &run.spoils().plan;
    let expected = unit(&Truth::of(&raw, plan).foreign_part(EAST, 2), plan.final_scale());
    assert!((without_noise(&slots(&run.spoils().plaintexts[1], plan)[0], plan) - expected).abs() < 1e-6);
}

/// What west adds to the old score, so that it reads the weight with which it comes back.
const MARK: usize = 43;
/// How far it shifts both, above whatever else is in the account that they pass through.
const LIFT: usize = 60;

/// Sends an old ciphertext as the score of its account 2, which pays north's account 1, which pays west: it comes back in
/// the next step as a ciphertext of this run.
struct Boomerang {
    old: Ciphertext,
    back: Option<Ciphertext>,
    place: usize,
}

/// Bits of the mark times a weight of at most 19 bits.
const MARKED: usize = MARK + 19;

impl Boomerang {
    /// So far that the bits below `top` of what came back are the highest of a slot.
    fn shift(plan: &Plan, slot: usize, top: usize) -> usize {
        (slot + 1) * plan.slot_bits() - LIFT - top
    }
}

impl Deviation for Boomerang {
    fn scores(
        &mut self,
        view: &View<'_>,
        step: usize,
        to: PartyId,
        accounts: &[u32],
        mut honest: Vec<Blinded<Ciphertext>>,
    ) -> Vec<Blinded<Ciphertext>> {
        if (step, to) == (0, NORTH) {
            assert_eq!(accounts, [2]);
            let marked = view.key.add_plain(&self.old, &(BigInt::from(1) << MARK)).unwrap();
            honest[0] = view.blind(&view.shifted(&marked, LIFT));
        }
        honest
    }

    fn received(&mut self, step: usize, from: PartyId, ciphertexts: &[Ciphertext]) {
        if (step, from) == (1, NORTH) {
            self.back = Some(ciphertexts[self.place].clone());
        }
    }

    fn declaration(&mut self, plan: &Plan, honest: Declaration) -> Declaration {
        more(plan, honest, 1)
    }

    fn announcement(
        &mut self,
        view: &View<'_>,
        mut honest: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        let back = self.back.as_ref()?;
        let place = |slot, top| view.shifted(back, Self::shift(view.plan(), slot, top));
        // The weight in one slot; weight times score in another, with the weight beyond it.
        honest.push(view.blind(&view.sum(&place(1, MARKED), &place(4, MARK))));
        Some(honest)
    }
}

#[test]
fn a_score_of_last_month_passes_through_an_honest_bank() {
    let (raw, mut collector) = (three(), Collector::default());
    let folder = tempfile::tempdir().unwrap();
    let last = shared(&raw, &mut collector, 25, folder.path());
    let truth = Truth::of(&raw, &last.spoils().plan);
    let senders = truth.sent(NORTH, WEST);
    let place = senders.iter().position(|account| *account == 1).unwrap();
    let mut west = Boomerang { old: collector.score_of_north(), back: None, place };
    let run = shared(&this_month(), &mut west, 26, folder.path());
    run.assert_found(WEST, "R5", 0, &[]);
    // Nothing that west hands in is foreign to this run: what it hands in is what north sent it. North finds that its
    // account 1 cannot have the score that it has.
    run.assert_out_of_range(NORTH);
    let plan = &run.spoils().plan;
    let read = slots(&run.spoils().plaintexts[1], plan);
    let bits = plan.slot_bits();
    let weight = unit(&(&read[1] >> (bits - 19)), 0);
    let product = unit(&(&read[4] >> (bits - 22)), 0) * f64::exp2((MARK - 22).to_f64().unwrap());
    let expected = unit(&truth.score(NORTH, senders[0], 0), 0);
    assert!((product / weight - expected).abs() / expected < 1e-4, "{} {expected}", product / weight);
}
