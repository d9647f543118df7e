//! In which order a bank takes the steps of a run, which states it saves, and where banks go on that were stopped at different
//! moments. Section "Checkpoints" of `docs/protocols/risk-propagation.md` has the rules.
//!
//! Nothing here sends or stores anything: [`Propagation`](crate::Propagation) follows it, and so can an application with an event
//! loop of its own.

use crate::plan::{Plan, Step};
use crate::steps::messages::Resume;
use subrosa_transport::{PartyId, PerParty};

/// What a bank does next.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Phase {
    /// R6 and R6b: the banks exchange scores, and each computes its next ones.
    Iterate {
        /// The iteration, from 1.
        number: usize,
        /// Its step.
        step: Step,
    },
    /// R7, first part: packs the ciphertext parts of the final scores.
    Pack,
    /// R7a: all banks commit to what they will announce.
    Commit,
    /// R7b and R7: all banks commit to their noise and announce.
    Announce,
    /// R8 and R9: noise and decryption.
    Decrypt,
    /// In place of R7a to R9, where nothing is to be decrypted or this bank has its plaintexts: confirms the rounds before.
    Confirm,
    /// R10: all banks say that they have their plaintexts.
    Finish,
}

/// A phase, and the state that is saved when it has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Next {
    /// What to do.
    pub phase: Phase,
    /// Position at which the state is saved afterwards. `None` where nothing is saved, or that state was saved before.
    pub saved_at: Option<u32>,
}

/// The order of the phases of one run.
///
/// Positions number the states that a bank saves: 0 after the agreement, j after iteration j but the last, then
/// [`packed`](Self::packed), [`committed`](Self::committed), [`announced`](Self::announced) and [`disclosed`](Self::disclosed).
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    steps: Vec<Step>,
    count: u32,
    ciphertexts: bool,
}

impl Sequence {
    /// The order of the phases for a plan. `ciphertexts` says whether any bank declared accounts in R5, so that anything is
    /// decrypted.
    #[must_use]
    pub fn new(plan: &Plan, ciphertexts: bool) -> Self {
        // A plan has at most `MAX_STEPS` of them.
        let count = u32::try_from(plan.steps().len()).unwrap_or(u32::MAX - 4);
        Self { steps: plan.steps().to_vec(), count, ciphertexts }
    }

    /// Position when all iterations are done and the ciphertexts are packed.
    #[must_use]
    pub fn packed(&self) -> u32 {
        self.count + 1
    }

    /// Position when all banks are committed to what they will announce. From here on it may have been shown.
    #[must_use]
    pub fn committed(&self) -> u32 {
        self.count + 2
    }

    /// Position when announcements are compared and all banks are committed to their noise. From here on it may have been sent.
    #[must_use]
    pub fn announced(&self) -> u32 {
        self.count + 3
    }

    /// Position when the bank has its plaintexts.
    #[must_use]
    pub fn disclosed(&self) -> u32 {
        self.count + 4
    }

    /// All positions, ascending.
    #[must_use]
    pub fn positions(&self) -> Vec<u32> {
        let iterations = (0..self.count.max(1)).chain([self.packed()]);
        let shown = [self.committed(), self.announced()].into_iter().filter(|_| self.ciphertexts);
        iterations.chain(shown).chain([self.disclosed()]).collect()
    }

    /// What is left to do for a bank at a position.
    ///
    /// R7a to R9 are gone through again in every session until the bank has its plaintexts.
    #[must_use]
    pub fn phases_from(&self, position: u32) -> Vec<Next> {
        let mut phases = Vec::new();
        let mut add = |phase, state: Option<u32>| {
            phases.push(Next { phase, saved_at: state.filter(|state| *state > position) });
        };
        for (number, &step) in (1..).zip(&self.steps).skip(position as usize) {
            let state = u32::try_from(number).ok().filter(|number| *number < self.count);
            add(Phase::Iterate { number, step }, state);
        }
        if position < self.packed() {
            add(Phase::Pack, Some(self.packed()));
        }
        if position < self.disclosed() && self.ciphertexts {
            add(Phase::Commit, Some(self.committed()));
            add(Phase::Announce, Some(self.announced()));
            add(Phase::Decrypt, Some(self.disclosed()));
        } else {
            add(Phase::Confirm, Some(self.disclosed()));
        }
        add(Phase::Finish, None);
        phases
    }

    /// Where other banks can be while this one is at `position`: there, one state before or one after. Empty for a position that
    /// is not one of this run.
    ///
    /// A bank ends a phase only with a message from each other bank, which that bank sends after it has saved the state before.
    #[must_use]
    pub fn near(&self, position: u32) -> Vec<u32> {
        let states = self.positions();
        let Some(place) = states.iter().position(|state| *state == position) else { return Vec::new() };
        states.into_iter().skip(place.saturating_sub(1)).take(if place == 0 { 2 } else { 3 }).collect()
    }

    /// How the banks go on from what all of them said in R0. `mine` is what this one said; it has a state of a run.
    ///
    /// # Errors
    /// [`CannotResume`]: the run can neither go on nor start over.
    pub fn resume(&self, mine: &Resume, all: &PerParty<Resume>) -> Result<Resumption, CannotResume> {
        let elsewhere = all.iter().filter(|(_, theirs)| theirs.run != mine.run);
        let elsewhere: Vec<PartyId> = elsewhere.map(|(party, _)| party).collect();
        if let Some(&party) = elsewhere.first() {
            if mine.position >= self.committed() {
                return Err(CannotResume::StartOver { party });
            }
            return Ok(Resumption::Anew { asked_by: elsewhere });
        }
        let near = self.near(mine.position);
        // Otherwise another bank would be blamed for what is wrong here.
        if !near.contains(&mine.position) {
            return Err(CannotResume::NoState);
        }
        if let Some((party, theirs)) = all.iter().find(|(_, theirs)| !near.contains(&theirs.position)) {
            return Err(CannotResume::Apart { party, theirs: theirs.position });
        }
        let earliest = all.values().map(|theirs| theirs.position).min().unwrap_or(mine.position);
        Ok(Resumption::GoOn { position: earliest.min(mine.position) })
    }
}

/// How a session goes on from R0.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resumption {
    /// From the latest state that all banks have.
    #[non_exhaustive]
    GoOn {
        /// Its position.
        position: u32,
    },
    /// With a new run.
    #[non_exhaustive]
    Anew {
        /// The banks that are not at the run of which this bank has a state.
        asked_by: Vec<PartyId>,
    },
}

/// Why a run that was stopped can neither go on nor start over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotResume {
    /// Ciphertexts may have been shown, and a bank is not at this run.
    #[error("{party} has no state of the run, in which ciphertexts may have been shown")]
    StartOver {
        /// The bank that is elsewhere.
        party: PartyId,
    },
    /// A bank says that it is where it cannot be.
    #[error("{party} says that it is at state {theirs} of the run, which it cannot be")]
    Apart {
        /// That bank.
        party: PartyId,
        /// Position that it claims.
        theirs: u32,
    },
    /// The position of this bank is not one of the run.
    #[error("this bank is at a state that the run does not have")]
    NoState,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{NetworkSizes, Settings};

    fn sequence(iterations: u32, ciphertexts: bool) -> Sequence {
        let sizes = NetworkSizes {
            key_bits: 2048,
            columns: 1,
            in_degree_bits: 4,
            active_periods: vec![true],
            noise_contributors: 2,
        };
        let plan = Plan::new(&sizes, &Settings { iterations, ..Settings::default() }).unwrap();
        Sequence::new(&plan, ciphertexts)
    }

    #[test]
    fn banks_differ_by_one_state_at_most() {
        let near = |steps, position, ciphertexts| sequence(steps, ciphertexts).near(position);
        // 0 1 2 | 4 5 6 7
        assert_eq!(near(3, 0, true), [0, 1]);
        assert_eq!(near(3, 2, true), [1, 2, 4]);
        assert_eq!(near(3, 4, true), [2, 4, 5]);
        assert_eq!(near(3, 6, true), [5, 6, 7]);
        assert_eq!(near(3, 7, true), [6, 7]);
        // Nothing is announced where nothing is decrypted.
        assert_eq!(near(3, 4, false), [2, 4, 7]);
        assert_eq!(near(0, 1, false), [0, 1, 4]);
        assert_eq!(near(1, 0, true), [0, 2]);
        assert!(near(3, 3, true).is_empty());
    }

    #[test]
    fn every_state_is_saved_once_and_in_order() {
        for (iterations, ciphertexts) in [(3, true), (3, false), (1, true), (0, false)] {
            let sequence = sequence(iterations, ciphertexts);
            let positions = sequence.positions();
            for (place, &position) in positions.iter().enumerate() {
                let saved: Vec<u32> =
                    sequence.phases_from(position).iter().filter_map(|next| next.saved_at).collect();
                assert_eq!(saved, positions[place + 1..], "{iterations} {ciphertexts} {position}");
            }
        }
    }

    #[test]
    fn a_run_that_goes_on_repeats_what_others_need() {
        let sequence = sequence(2, true);
        let phases = |position| -> Vec<Phase> {
            sequence.phases_from(position).into_iter().map(|next| next.phase).collect()
        };
        assert!(matches!(phases(1)[0], Phase::Iterate { number: 2, .. }));
        let end = [Phase::Commit, Phase::Announce, Phase::Decrypt, Phase::Finish];
        assert_eq!(phases(sequence.packed()), end);
        assert_eq!(phases(sequence.announced()), end);
        assert_eq!(phases(sequence.disclosed()), [Phase::Confirm, Phase::Finish]);
    }

    #[test]
    fn banks_go_on_at_the_latest_state_that_all_have() {
        let sequence = sequence(3, true);
        let at = |run: u8, position| Resume { run: Some([run; 32]), position };
        let resume = |mine: Resume, others: [Resume; 2]| {
            let all = PerParty::from_vec(vec![mine.clone(), others[0].clone(), others[1].clone()]);
            sequence.resume(&mine, &all)
        };
        let go_on = |position| Ok(Resumption::GoOn { position });
        assert_eq!(resume(at(1, 2), [at(1, 2), at(1, 2)]), go_on(2));
        assert_eq!(resume(at(1, 2), [at(1, 1), at(1, 4)]), go_on(1));
        assert_eq!(resume(at(1, 6), [at(1, 7), at(1, 6)]), go_on(6));
        let third = PartyId::new(2);
        assert_eq!(
            resume(at(1, 2), [at(1, 2), at(1, 5)]),
            Err(CannotResume::Apart { party: third, theirs: 5 })
        );
        assert_eq!(resume(at(1, 3), [at(1, 4), at(1, 4)]), Err(CannotResume::NoState));
        let none = Resume { run: None, position: 0 };
        assert_eq!(
            resume(at(1, 2), [at(1, 2), none.clone()]),
            Ok(Resumption::Anew { asked_by: vec![third] })
        );
        assert_eq!(resume(at(1, 5), [at(1, 5), at(2, 5)]), Err(CannotResume::StartOver { party: third }));
        assert_eq!(resume(at(1, 5), [at(1, 5), none]), Err(CannotResume::StartOver { party: third }));
    }
}
