//! Runs that are stopped and go on, so that the cheater speaks twice.

use std::path::Path;

use num_bigint::BigInt;

use super::deviation::{Deviation, Hear, Progress, View};
use super::scene::{EAST, NORTH, Run, Truth, WEST, run_in, settings, slots, three, unit};
use crate::common::bank_name;
use subrosa_paillier::{Blinded, Ciphertext};
use subrosa_risk_propagation::steps::messages::Resume;
use subrosa_risk_propagation::{KeyUse, Settings};
use subrosa_transport::PartyId;

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
fn a_false_position_ends_the_run_and_names_who_claims_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut west = Leave { at: Some(2), ..Leave::default() };
    let stopped = attempt(&mut west, 91, folder.path());
    stopped.assert_stopped(&[]);
    let run = west.kept.as_ref().unwrap().run;
    west.claims = Some(Resume { run: Some(run), position: 0 });
    let again = attempt(&mut west, 92, folder.path());
    again.assert_stopped(&[WEST]);
    again.assert_found_after(&[&stopped], WEST, "R0a", 0, &[]);
    let reason = "`west`: it says that it is at state 0 of the run, and this bank is at 2";
    assert!(again.errors().iter().any(|error| error.contains(reason)), "{:?}", again.errors());
}

#[test]
fn another_run_claimed_begins_anew_and_the_outcome_says_for_whom() {
    let folder = tempfile::tempdir().unwrap();
    // What it says does not depend on what it has.
    let mut west = Leave { claims: Some(Resume { run: Some([9; 32]), position: 0 }), ..Leave::default() };
    attempt(&mut Leave { at: Some(2), ..Leave::default() }, 93, folder.path()).assert_stopped(&[]);
    // Not under this key.
    let again = attempt(&mut west, 94, folder.path());
    again.assert_stopped(&[WEST]);
    assert!(
        again.errors().iter().all(|error| error.contains("was used in another run")),
        "{:?}",
        again.errors()
    );
    // Unless the banks use it several times.
    let folder = tempfile::tempdir().unwrap();
    let shared = Settings { key_use: KeyUse::Shared, ..settings() };
    let go = |west: &mut dyn Deviation, seed| {
        run_in(&three(), &shared, vec![(WEST, west)], seed, Some(folder.path()))
    };
    go(&mut Leave { at: Some(2), ..Leave::default() }, 98).assert_stopped(&[]);
    let again = go(&mut west, 99);
    again.assert_unnoticed();
    assert!(again.honest.iter().all(|(_, result)| result.as_ref().unwrap().anew_for == [WEST]));
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

    fn shown_announcement(
        &mut self,
        _: &View<'_>,
        _: Vec<Blinded<Ciphertext>>,
        hear: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        self.heard = hear(EAST).pop();
        None
    }
}

/// Goes on where it left and commits to its own ciphertext with what it heard in one of its slots.
struct Speak<'a> {
    kept: &'a Option<Progress>,
    heard: Option<&'a Ciphertext>,
    /// Own scores times this.
    own: u8,
}

impl Deviation for Speak<'_> {
    fn remembered(&mut self) -> Option<Progress> {
        self.kept.clone()
    }

    fn announcement(
        &mut self,
        view: &View<'_>,
        honest: Vec<Blinded<Ciphertext>>,
        _: &mut Hear<'_>,
    ) -> Option<Vec<Blinded<Ciphertext>>> {
        let mut sum = view.key.vartime_mul_plain(&honest[0], &BigInt::from(self.own)).unwrap();
        if let Some(heard) = self.heard {
            sum = view.sum(&sum, &view.shifted(heard, 2 * view.plan().slot_bits()));
        }
        Some(vec![view.blind(&sum)])
    }
}

#[test]
fn what_was_heard_before_a_stop_cannot_be_announced_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = Eavesdrop::default();
    let stopped = attempt(&mut before, 95, folder.path());
    stopped.assert_stopped(&[]);
    stopped.assert_clean(WEST, &[]);
    assert!(before.heard.is_some());
    let mut west = Speak { kept: &before.kept, heard: before.heard.as_ref(), own: 0 };
    let run = attempt(&mut west, 96, folder.path());
    run.assert_stopped(&[WEST]);
    let reason = "`west`: it commits to other ciphertexts than before the run was stopped";
    assert!(run.errors().iter().any(|error| error == reason), "{:?}", run.errors());
    run.assert_found_after(&[&stopped], WEST, "R7a", 0, &[]);
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
fn noise_is_another_where_a_backup_lets_a_bank_announce_something_else() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Everybody has packed, and nobody has heard what anybody is bound to.
    let mut before = Leave { at: Some(4), ..Leave::default() };
    attempt(&mut before, 97, folder.path()).assert_stopped(&[]);
    // Twice from the same state, with the same ciphertext and with twice as much in it.
    let read = |own: u8, seed: u64| {
        copy(folder.path(), backup.path());
        let run = attempt(&mut Speak { kept: &before.kept, heard: None, own }, seed, backup.path());
        run.assert_unnoticed();
        (run.spoils().plaintexts[0].clone(), run.spoils().plan.clone())
    };
    let ((one, plan), (two, _)) = (read(1, 98), read(2, 99));
    let truth = Truth::of(&three(), &plan);
    let (one, two) = (slots(&one, &plan), slots(&two, &plan));
    for account in 0..3_u32 {
        let exact = truth.foreign_part(WEST, account);
        let difference = &two[account as usize] - &one[account as usize];
        assert_ne!(difference, exact, "the noise is the same");
        assert!((unit(&difference, plan.final_scale()) - unit(&exact, plan.final_scale())).abs() < 1e-6);
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
    again.assert_stopped(&[WEST]);
    let reason = "`west` has no checkpoint of the run in which ciphertexts may have been shown already";
    assert!(again.errors().iter().any(|error| error.contains(reason)), "{:?}", again.errors());
}
