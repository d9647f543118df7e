//! What a party was dealt and does not fit its commitment is published: the run goes on with it, or names the dealer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::sync::{Arc, Mutex};

use num_bigint::BigUint;

use crate::attack::script::{Dealing, Script};
use crate::attack::stage::Stage;
use subrosa_distributed_paillier::dealing::DealtMessage;
use subrosa_distributed_paillier::messages::{
    CandidateShares, IntegerShareMessage, ProductShares, VerificationKey, WinnerProducts, WinnerShares,
};
use subrosa_distributed_paillier::receipts::{Late, Published, Receipted};
use subrosa_transport::{Message, PartyId, PerParty};

const HONEST: PartyId = PartyId::new(0);
const OTHER_MESSAGE: &str = "it published another message than it committed to";

/// A message of a dealing, changed so that it is still well-formed.
trait Wrong: DealtMessage<Shape: Sized + Clone> + 'static {
    /// The broadcast after it.
    type Next: Message<Shape: Sized + Clone> + Clone + 'static;

    fn wrong(&mut self);
}

fn wrong(values: &mut [BigUint]) {
    values[0] ^= BigUint::from(1u32);
}

impl Wrong for CandidateShares {
    type Next = ProductShares;

    fn wrong(&mut self) {
        wrong(&mut self.values);
    }
}

impl Wrong for WinnerShares {
    type Next = WinnerProducts;

    fn wrong(&mut self) {
        wrong(&mut self.lifts);
    }
}

impl Wrong for IntegerShareMessage {
    type Next = VerificationKey;

    fn wrong(&mut self) {
        self.value += 1;
    }
}

/// The script's party hands the first honest one something else than it committed to.
fn hands_over_wrong<M: Wrong>(script: &mut Script) {
    script.hands_over(|_, messages: &mut PerParty<M>| messages[HONEST].wrong());
}

/// The script's party complains about these.
fn complains<M: Wrong>(script: &mut Script, about: &'static [u16]) {
    script.sends(|_, receipt: &mut Receipted<M::Next>| *receipt = Receipted::Disputed(about.to_vec()));
}

/// Runs a test for K1, W1 and K8, among three and among five parties.
macro_rules! for_every_dealing {
    ($test:ident) => {
        for parties in [3, 5] {
            let stage = Stage::of(parties);
            $test::<CandidateShares>(&stage);
            $test::<WinnerShares>(&stage);
            $test::<IntegerShareMessage>(&stage);
        }
    };
}

#[test]
fn a_false_message_that_is_published_truly_does_not_end_the_run() {
    fn test<M: Wrong>(stage: &Stage) {
        stage.goes_on(hands_over_wrong::<M>);
    }
    for_every_dealing!(test);
}

#[test]
fn who_publishes_nothing_or_too_much_is_named() {
    fn test<M: Wrong>(stage: &Stage) {
        stage.names(&["does not answer every complaint"], |script| {
            hands_over_wrong::<M>(script);
            script.sends(|_, answer: &mut Published<M>| answer.messages.clear());
        });
        stage.names(&["does not answer every complaint", "bytes where at most"], |script| {
            hands_over_wrong::<M>(script);
            script.tells(|_, _, answer: &mut Published<M>| answer.messages.push(answer.messages[0].clone()));
        });
    }
    for_every_dealing!(test);
}

#[test]
fn who_publishes_another_message_is_named() {
    fn test<M: Wrong>(stage: &Stage) {
        stage.convicts(OTHER_MESSAGE, |script| {
            hands_over_wrong::<M>(script);
            script.sends(|_, answer: &mut Published<M>| answer.messages[0].wrong());
        });
    }
    for_every_dealing!(test);
}

#[test]
fn a_false_complaint_does_not_end_the_run() {
    fn test<M: Wrong>(stage: &Stage) {
        stage.goes_on(|script| complains::<M>(script, &[0]));
        // About everybody, itself among them.
        let all: &[u16] = if stage.parties == 3 { &[0, 1, 2] } else { &[0, 1, 2, 3, 4] };
        stage.goes_on(|script| complains::<M>(script, all));
    }
    for_every_dealing!(test);
}

/// Complaints in all three rounds, each with a false message of its own besides.
#[test]
fn a_run_outlives_complaints_in_every_round() {
    for parties in [3, 5] {
        Stage::of(parties).goes_on(|script| {
            hands_over_wrong::<CandidateShares>(script);
            hands_over_wrong::<WinnerShares>(script);
            hands_over_wrong::<IntegerShareMessage>(script);
            complains::<CandidateShares>(script, &[0]);
            complains::<WinnerShares>(script, &[0]);
            complains::<IntegerShareMessage>(script, &[0]);
        });
    }
}

#[test]
fn a_malformed_complaint_is_named() {
    fn test<M: Wrong>(stage: &Stage) {
        let malformed: [&'static [u16]; 5] = [&[], &[7], &[0, 0], &[1, 0], &[0, 1, 2, 3, 4, 5]];
        for about in malformed {
            stage.names(&["complaint about no party", "bytes where at most"], |script| {
                complains::<M>(script, about);
            });
        }
    }
    for_every_dealing!(test);
}

#[test]
fn who_complains_twice_or_says_nothing_after_its_complaint_is_named() {
    fn test<M: Wrong>(stage: &Stage) {
        for late in [None, Some(vec![0]), Some(vec![])] {
            stage.names(&["second complaint, or a message", "complaint about no party"], |script| {
                complains::<M>(script, &[0]);
                let late = late.clone();
                script.sends(move |_, said: &mut Late<M::Next>| {
                    said.0 = late.clone().map(Receipted::Disputed);
                });
            });
        }
    }
    for_every_dealing!(test);
}

/// Somebody else complained, so that there are answers; nobody complained about it, and it did not complain.
#[test]
fn who_answers_without_a_complaint_is_named() {
    fn test<M: Wrong>(stage: &Stage) {
        // An answer that nobody asked for.
        stage.names(&["bytes where at most", "does not answer every complaint"], |script| {
            complains::<M>(script, &[0]);
            let mine: Arc<Mutex<Option<M>>> = Arc::default();
            let kept = Arc::clone(&mine);
            script.deals(move |_, dealing: &mut Dealing<M>| {
                *kept.lock().unwrap() = Some(dealing.messages[HONEST].clone());
            });
            script.tells(move |_, _, answer: &mut Published<M>| {
                answer.messages.extend(mine.lock().unwrap().clone());
            });
        });
        // A message that is not owed, since it has complained about nobody.
        stage.names(&["bytes where at most", "was not owed"], |script| {
            hands_over_wrong::<M>(script);
            script.tells(|_, _, late: &mut Late<M::Next>| late.0 = Some(Receipted::OutOfRange));
        });
    }
    for_every_dealing!(test);
}

/// What is said late is held to what follows as what is said in time.
#[test]
fn a_wrong_late_message_is_named() {
    let late = |change: fn(&mut Receipted<ProductShares>)| {
        move |script: &mut Script| {
            complains::<CandidateShares>(script, &[0]);
            script.sends(move |_, late: &mut Late<ProductShares>| change(late.0.as_mut().unwrap()));
        }
    };
    for parties in [3, 5] {
        let stage = Stage::of(parties);
        let wrong_share = late(|message| {
            let Receipted::Complete(products) = message else { panic!("it has computed its products") };
            wrong(&mut products.values);
        });
        stage.convicts("a product share that does not follow from what it was dealt", wrong_share);
        stage.names(&["out of range which cannot be"], late(|message| *message = Receipted::OutOfRange));
        // In K9 a sum can be out of range, and all open their seeds.
        stage.convicts("another verification key or residue than follows", |script| {
            complains::<IntegerShareMessage>(script, &[0]);
            script.sends(|_, late: &mut Late<VerificationKey>| late.0 = Some(Receipted::OutOfRange));
        });
    }
}
