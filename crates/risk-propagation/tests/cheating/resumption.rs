//! Runs that are stopped and go on, so that the cheater speaks twice.

use std::path::Path;

use num_bigint::BigInt;
use subrosa_paillier::{Blinded, Ciphertext};
use subrosa_risk_propagation::messages::Resume;
use subrosa_transport::PartyId;

use super::common::bank_name;
use super::deviation::{Deviation, Hear, Progress, View};
use super::scene::{EAST, NORTH, Run, Truth, WEST, run_in, settings, slots, three, unit, without_noise};

/// One attempt of a run with checkpoints.
fn attempt(west: &mut dyn Deviation, seed: u64, folder: &Path) -> Run {
    run_in(&three(), &settings(), vec![(WEST, west)], seed, Some(folder))
}

/// Leaves when it has a state, or goes on from the last one that it kept, and says what it likes of it.
#[derive(Default)]
struct Leave {
    at: Option<u32>,
    kept: Option<Progress>,
    claims: Option<Resume>,
}

impl Deviation for Leave {
    fn remembered(&mut self) -> Option<Progress> {
        self.claims.as_ref().and(self.kept.clone())
    }

    fn resume(&mut self, honest: Resume) -> Resume {
        self.claims.clone().unwrap_or(honest)
    }

    fn reached(&mut self, progress: &Progress) -> bool {
        self.kept = Some(progress.clone());
        self.at != Some(progress.position)
    }
}

#[test]
fn a_false_position_ends_the_run_and_names_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut west = Leave { at: Some(2), ..Leave::default() };
    let stopped = attempt(&mut west, 91, folder.path());
    stopped.assert_stopped(&[]);
    let run = west.kept.as_ref().unwrap().run;
    west.claims = Some(Resume { run: Some(run), position: 0 });
    let again = attempt(&mut west, 92, folder.path());
    again.assert_stopped(&[]);
    again.assert_found_after(&[&stopped], WEST, "R0a", 0, &[]);
    assert!(again.errors().iter().any(|error| error.contains("no longer there")), "{:?}", again.errors());
}

#[test]
fn another_run_claimed_begins_anew_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    attempt(&mut Leave { at: Some(2), ..Leave::default() }, 93, folder.path()).assert_stopped(&[]);
    // What it says does not depend on what it has.
    let mut west = Leave { claims: Some(Resume { run: Some([9; 32]), position: 0 }), ..Leave::default() };
    let again = attempt(&mut west, 94, folder.path());
    again.assert_unnoticed();
    again.assert_found(WEST, "R0a", 0, &[]);
}

/// Leaves in R7, having heard what the others announce.
#[derive(Default)]
pub struct Eavesdrop {
    kept: Option<Progress>,
    pub heard: Option<Ciphertext>,
}

impl Deviation for Eavesdrop {
    fn reached(&mut self, progress: &Progress) -> bool {
        self.kept = Some(progress.clone());
        true
    }

    fn announcement(
        &mut self,
        _: &View<'_>,
        _: Vec<Blinded<Ciphertext>>,
        hear: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        self.heard = hear(EAST).pop();
        None
    }
}

/// Goes on where an [`Eavesdrop`] left and announces its own ciphertext with another's in one of its slots, without looking at
/// anybody.
struct Speak<'a> {
    before: &'a Eavesdrop,
    /// Own scores times this.
    own: u8,
    /// Slot of what was heard.
    slot: usize,
}

impl Deviation for Speak<'_> {
    fn remembered(&mut self) -> Option<Progress> {
        self.before.kept.clone()
    }

    fn announcement(
        &mut self,
        view: &View<'_>,
        honest: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        let own = view.key.vartime_mul_plain(&honest[0], &BigInt::from(self.own)).unwrap();
        let stolen = view.shifted(self.before.heard.as_ref()?, self.slot * view.plan().slot_bits());
        Some(vec![view.blind(&view.sum(&own, &stolen))])
    }
}

#[test]
fn what_was_heard_before_a_stop_is_announced_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = Eavesdrop::default();
    let stopped = attempt(&mut before, 95, folder.path());
    stopped.assert_stopped(&[]);
    stopped.assert_clean(WEST, &[]);
    let run = attempt(&mut Speak { before: &before, own: 0, slot: 2 }, 96, folder.path());
    run.assert_unnoticed();
    run.assert_found_after(&[&stopped], WEST, "R7", 0, &["0", "1", "2"]);
    let plan = &run.spoils().plan;
    // East's only reached account, with which west has nothing to do.
    let read = without_noise(&slots(&run.spoils().plaintexts[0], plan)[2], plan);
    let expected = unit(&Truth::of(&three(), plan).foreign_part(EAST, 2), plan.final_scale());
    assert!((read - expected).abs() < 1e-6, "{read} {expected}");
}

/// Copies the honest banks' checkpoints.
fn copy(from: &Path, to: &Path) {
    for bank in [NORTH, EAST].map(PartyId::index).map(bank_name) {
        let (from, to) = (from.join(&bank), to.join(&bank));
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn backups_put_the_same_noise_on_other_ciphertexts() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut before = Eavesdrop::default();
    attempt(&mut before, 97, folder.path()).assert_stopped(&[]);
    copy(folder.path(), backup.path());
    // Twice from the same state, with the same ciphertext but for what is in the first slots.
    let read = |own: u8, seed: u64| {
        let run = attempt(&mut Speak { before: &before, own, slot: 4 }, seed, backup.path());
        run.assert_unnoticed();
        copy(folder.path(), backup.path());
        (run.spoils().plaintexts[0].clone(), run.spoils().plan.clone())
    };
    let ((one, plan), (two, _)) = (read(1, 98), read(2, 99));
    let truth = Truth::of(&three(), &plan);
    let difference = slots(&(two - one), &plan);
    for account in 0..3_u32 {
        assert_eq!(difference[account as usize], truth.foreign_part(WEST, account), "to the last bit");
    }
}

#[test]
fn a_run_denied_after_its_noise_was_sent_keeps_all_from_starting_over() {
    /// Has its scores, and does not say so.
    struct Silent;
    impl Deviation for Silent {
        fn says_that_it_is_done(&self) -> bool {
            false
        }
    }
    let folder = tempfile::tempdir().unwrap();
    attempt(&mut Silent, 101, folder.path()).assert_unnoticed();
    let mut west = Leave { claims: Some(Resume { run: None, position: 0 }), ..Leave::default() };
    let again = attempt(&mut west, 102, folder.path());
    again.assert_stopped(&[]);
    assert!(again.errors().iter().any(|error| error.contains("in which noise was sent already")));
}
