//! An attacker that deals other numbers than the steps say, consistently to everybody.

use num_bigint::{BigInt, BigUint};

use super::tools::{self, Challenges};
use super::{Attack, Numbers, Scene};
use subrosa_distributed_paillier::messages::{
    CandidateShares, FirstTest, FurtherTests, WinnerAnswers, WinnerProducts, WinnerShares,
};
use subrosa_distributed_paillier::winner::GCD_OPENINGS;
use subrosa_transport::{Message, PartyId};

/// The numbers of a dealer that the range checks are about, in the order of their challenges.
pub const P: usize = 0;
pub const Q: usize = 1;
pub const BETA: usize = 2;
pub const GCD_BETAS: usize = 3;
pub const GCD_MASKS: usize = GCD_BETAS + GCD_OPENINGS;

/// What the attacker answers in W3.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// What fits the numbers of the steps.
    Unchanged,
    /// What fits the numbers that it dealt.
    True,
    /// The same where it is in range, and what fits the numbers of the steps elsewhere.
    InRange,
}

pub struct Redeal {
    pub me: PartyId,
    /// What is added to which number of mine; for p′ and q′ in the lifts.
    pub shifts: Vec<(usize, BigInt)>,
    /// Whether p′ and q′ are shifted in K1 as well.
    pub from_k1: bool,
    pub answers: Answers,
    /// Openings of W2 that come out as the attacker wants, n = 2t + 1.
    pub force: Vec<(usize, BigUint)>,
    /// What the forced openings would have been.
    pub seen: Vec<BigUint>,
    /// Whether the values of K4 and K5 are made to fit.
    pub fit: bool,
}

impl Redeal {
    pub fn new(me: PartyId, shifts: Vec<(usize, BigInt)>, answers: Answers) -> Self {
        Self { me, shifts, from_k1: false, answers, force: vec![], seen: vec![], fit: false }
    }

    fn answer(&self, scene: &Scene<'_>, message: &mut Numbers<'_>) {
        let challenges = Challenges::new(scene);
        for (list, bound) in scene.setup.answer_bounds.iter().enumerate() {
            for (repetition, answer) in message[list].iter_mut().enumerate() {
                let mine = |value: usize| (value < BETA) == (list == 0);
                let added = self
                    .shifts
                    .iter()
                    .filter(|(value, _)| mine(*value) && challenges.adds(repetition, *value))
                    .map(|(_, by)| by);
                let wanted = BigInt::from(answer.clone()) + added.sum::<BigInt>();
                let wanted = wanted.to_biguint().filter(|x| self.answers == Answers::True || x < bound);
                if let Some(wanted) = wanted {
                    *answer = wanted;
                }
            }
        }
    }
}

impl Attack for Redeal {
    fn deal(&mut self, scene: &Scene<'_>, round: &str, from: PartyId, messages: &mut [Numbers<'_>]) {
        let setup = scene.setup;
        if from != self.me {
            return;
        }
        for (value, by) in &self.shifts {
            for lists in messages.iter_mut() {
                match (round, *value) {
                    (CandidateShares::ROUND, P | Q) if self.from_k1 => {
                        tools::add(&mut lists[0][3 * setup.index + value], &(by * 4), &setup.p1);
                    }
                    (WinnerShares::ROUND, P | Q) => tools::add(&mut lists[0][*value], by, &setup.p3),
                    (WinnerShares::ROUND, BETA) => {
                        tools::add(&mut lists[1][tools::BETA], by, &setup.q);
                    }
                    // β′ and ρ follow each other in both orders.
                    (WinnerShares::ROUND, _) => {
                        tools::add(&mut lists[1][tools::GCD_BETAS + value - GCD_BETAS], by, &setup.q);
                    }
                    _ => {}
                }
            }
        }
    }

    fn publish(&mut self, scene: &Scene<'_>, round: &str, messages: &mut [Numbers<'_>]) {
        match round {
            FirstTest::ROUND | FurtherTests::ROUND if self.fit => {
                let modulus = scene.modulus.as_ref().unwrap();
                for place in 0..messages[0][0].len() {
                    tools::fit(modulus, scene.setup.leader(), self.me, messages, place);
                }
            }
            WinnerProducts::ROUND => {
                let opened = self
                    .force
                    .iter()
                    .map(|(place, target)| tools::steer(&scene.setup.q, self.me, messages, *place, target));
                self.seen = opened.collect();
            }
            WinnerAnswers::ROUND if self.answers != Answers::Unchanged => {
                self.answer(scene, &mut messages[self.me.index()]);
            }
            _ => {}
        }
    }
}
