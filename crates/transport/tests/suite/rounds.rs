//! Honest parties: every kind of round, among two to seven parties.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;

use crate::common::*;
use subrosa_transport::{
    Cause, Fault, MemoryNetwork, Misuse, PartyId, SessionError, Transport, Violation, memory::Action, testing,
};

#[test]
fn every_kind_of_round_among_two_to_seven_parties() {
    for n in 2..=7 {
        let results = testing::run_parties(n, |me, mut transport| {
            let mut session = open(&mut transport).unwrap();
            let mine = Numbers(vec![me.index() as u64, 7]);
            let all = session.broadcast(&mine, &BOUNDS).unwrap();
            assert_eq!(all.len(), n);
            for (party, numbers) in all.iter() {
                assert_eq!(numbers.0, [party.index() as u64, 7]);
            }

            // Everybody writes to everybody with a greater number.
            let notes = session
                .exchange(|to| (to > me).then_some(Note { from: me, to }), |from| from < me, &())
                .unwrap();
            for (party, note) in notes.iter() {
                assert_eq!(note.as_ref(), (party < me).then_some(&Note { from: party, to: me }));
            }

            let last = id(n as u16 - 1);
            let message = (me == last).then(|| Numbers(vec![41, 42]));
            let numbers = session.broadcast_from(last, message.as_ref(), &BOUNDS).unwrap();
            assert_eq!(numbers.0, [41, 42]);
            session.confirm().unwrap();

            let collected = session.collect(|to| Some(Note { from: me, to }), |_| true, n - 1, &()).unwrap();
            assert_eq!(collected.answers().count(), n - 1);
            assert!(collected.failures.is_empty());
            for (party, note) in collected.answers() {
                assert_eq!(note, &Note { from: party, to: me });
            }
            session.confirm().unwrap();
            (*session.id(), session.transcript(), session.counters().clone())
        });
        let (session, transcript, _) = &results[0];
        assert_ne!(session, &[0; 32]);
        for (other, other_transcript, _) in &results {
            assert_eq!((other, other_transcript), (session, transcript));
        }
        // What one sent, another received.
        let sent: u64 = results.iter().map(|(_, _, counters)| counters.total().bytes_sent).sum();
        let received: u64 = results.iter().map(|(_, _, counters)| counters.total().bytes_received).sum();
        assert_eq!(sent, received);
        let counters = &results[0].2;
        assert_eq!(counters.steps(), 8);
        let others = n as u64 - 1;
        assert_eq!(counters.round("test/numbers").messages_sent, others);
        // 84 bytes of header, length, three numbers below 128.
        assert_eq!(counters.round("test/numbers").bytes_sent, others * (84 + 3));
        assert_eq!(counters.peer(id(0)), Default::default());
        let sum = |f: fn(&subrosa_transport::Traffic) -> u64| -> u64 {
            (1..n as u16).map(|party| f(&counters.peer(id(party)))).sum()
        };
        assert_eq!(sum(|traffic| traffic.bytes_sent), counters.total().bytes_sent);
        assert_eq!(sum(|traffic| traffic.messages_received), counters.total().messages_received);
        assert_eq!(
            counters.rounds().map(|(_, traffic)| traffic.bytes_sent).sum::<u64>(),
            counters.total().bytes_sent
        );
    }
}

#[test]
fn counters_subtract() {
    testing::run_parties(2, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        let before = session.counters().clone();
        assert!(session.counters().since(&before).total() == Default::default());
        session.broadcast(&Numbers(vec![1, me.index() as u64]), &BOUNDS).unwrap();
        let phase = session.counters().since(&before);
        assert_eq!(phase.steps(), 1);
        assert_eq!(phase.total().bytes_sent, 87);
        assert_eq!(phase.rounds().map(|(name, _)| name).collect::<Vec<_>>(), ["test/numbers"]);
        let mut sum = before.clone();
        sum.add(&phase);
        assert_eq!(&sum, session.counters());
    });
}

#[test]
fn shapes_may_differ_by_sender() {
    testing::run_parties(3, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        let bounds = |party: PartyId| Bounds { count: 3 * party.index(), below: 10 };
        let mine = Numbers(vec![1; bounds(me).count]);
        let all = session.broadcast_shaped(&mine, bounds).unwrap();
        for (party, numbers) in all.iter() {
            assert_eq!(numbers.0.len(), 3 * party.index());
        }
        let personal = session.exchange_shaped(|_| Some(mine.clone()), |_| true, bounds).unwrap();
        assert_eq!(personal.present().count(), 2);
        session.confirm().unwrap();
    });
}

#[test]
fn collecting_does_not_wait_for_the_slow() {
    let fast = AtomicUsize::new(0);
    testing::run_parties(4, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        let slow = me == id(3);
        for _ in 0..5 {
            if slow {
                // Until everybody else is through all five steps, which therefore cannot have waited for me.
                while fast.load(std::sync::atomic::Ordering::SeqCst) < 3 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            let collected = session.collect(|to| Some(Note { from: me, to }), |_| true, 2, &()).unwrap();
            assert_eq!(collected.answers().count(), 2);
            assert!(collected.failures.is_empty());
            if !slow {
                assert!(collected.messages[id(3)].is_none());
            }
        }
        if !slow {
            fast.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        // The slow one's five late answers are dropped, and nobody is given up.
        let all = session.broadcast(&Numbers(vec![me.index() as u64, 0]), &BOUNDS).unwrap();
        assert_eq!(all.len(), 4);
        session.confirm().unwrap();
        assert!(session.failed().is_empty());
    });
}

#[test]
fn collecting_passes_over_a_silent_party() {
    let network = MemoryNetwork::builder(["a", "b", "c", "d"])
        .intercept(subrosa_transport::memory::silence_after(id(2), 2))
        .build()
        .unwrap();
    testing::run_network(network, |me, mut transport| {
        if me == id(2) {
            // Speaks in the opening only.
            let _session = open_within(&mut transport, 1500).unwrap();
            std::thread::sleep(Duration::from_millis(800));
            return;
        }
        let mut session = open_within(&mut transport, 1500).unwrap();
        // Enough without it: it is not even noticed.
        let collected = session.collect(|to| Some(Note { from: me, to }), |_| true, 2, &()).unwrap();
        assert_eq!(collected.answers().count(), 2);
        assert!(session.failed().is_empty());
        // Its answer is needed: it is named.
        let error = session.collect(|to| Some(Note { from: me, to }), |_| true, 3, &()).unwrap_err();
        assert_eq!(error.culprits(), [id(2)]);
        assert!(matches!(error, SessionError::NotEnough { enough: 3, answered: 2, .. }), "{error}");
        assert!(error.to_string().contains("c "), "{error}");
    });
}

/// A step with a time of its own: the slow one is passed over, and is not given up.
#[test]
fn collecting_within_a_time_passes_over_the_late() {
    let through = AtomicUsize::new(0);
    testing::run_parties(4, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        let (short, long) = (Duration::from_millis(200), Duration::from_secs(20));
        let late = id(2);
        let note = |to| Some(Note { from: me, to });
        // In the first step nobody waits for it at all, in the second a little, in the third it is late at once.
        for wait in [None, Some(short), Some(Duration::ZERO)] {
            if me == late {
                while through.load(Ordering::SeqCst) < 3 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            let wait = |party| if party == late { wait } else { Some(long) };
            let collected = session.collect_within(note, wait, |_| &()).unwrap();
            assert_eq!(
                (collected.answers().count(), collected.failures.len()),
                (if me == late { 3 } else { 2 }, 0)
            );
        }
        through.fetch_add(1, Ordering::SeqCst);
        if me != late {
            assert!(session.failed().is_empty());
        }
    });
}

/// Of whom nothing is expected, nothing is owed: also not after more steps than a party may owe frames of.
#[test]
fn whoever_is_passed_over_owes_nothing() {
    testing::run_parties(3, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        for _ in 0..1_100 {
            let note = |to| (me == id(0) && to == id(1)).then_some(Note { from: me, to });
            let wait = |from| (me == id(1) && from == id(0)).then_some(Duration::from_secs(20));
            let collected = session.collect_within(note, wait, |_| &()).unwrap();
            assert_eq!(collected.answers().count(), usize::from(me == id(1)));
            session.pass_over(id(2));
        }
        assert_eq!(session.broadcast(&Numbers(vec![1, 0]), &BOUNDS).unwrap().len(), 3);
        session.confirm().unwrap();
        assert!(session.failed().is_empty());
    });
}

#[test]
fn life_goes_on_without_a_party_that_broke_the_rules() {
    // Frame 2 from a to each is its answer in the collecting round.
    let network = MemoryNetwork::builder(["a", "b", "c", "d"])
        .intercept(|from, _, number, frame: &mut Vec<u8>| {
            if from == id(0) && number == 2 {
                frame.push(0);
            }
            Action::Deliver
        })
        .build()
        .unwrap();
    let barrier = Barrier::new(4);
    testing::run_network(network, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        if me == id(0) {
            let _ = session.collect(|to| Some(Note { from: me, to }), |_| true, 0, &()).unwrap();
            barrier.wait();
            barrier.wait();
            return;
        }
        barrier.wait();
        // a's answer is there and is looked at first.
        let collected = session.collect(|to| Some(Note { from: me, to }), |_| true, 2, &()).unwrap();
        assert_eq!(collected.answers().count(), 2);
        assert_eq!(collected.failures.len(), 1);
        let failure = &collected.failures[0];
        assert_eq!((failure.party, failure.name.as_str(), failure.round), (id(0), "a", "test/note"));
        assert_eq!(failure.cause, Cause::Violation(Violation::Oversized { bytes: 3, limit: 2 }));
        assert_eq!(session.failed(), [id(0)]);
        assert!(!session.is_active(id(0)));

        // A later collecting round does not wait for it.
        let collected = session.collect(|to| Some(Note { from: me, to }), |_| true, 2, &()).unwrap();
        assert!(collected.failures.is_empty());

        let all = session.broadcast_remaining(&Numbers(vec![me.index() as u64, 0]), |_| &BOUNDS).unwrap();
        assert_eq!(all.present().map(|(party, _)| party).collect::<Vec<_>>(), [id(1), id(2), id(3)]);
        session.confirm().unwrap();

        // A round that needs everybody cannot take place.
        let error = session.broadcast(&Numbers(vec![0, 0]), &BOUNDS).unwrap_err();
        assert_eq!(error.failures(), std::slice::from_ref(failure));
        assert!(matches!(session.confirm(), Err(SessionError::Misuse(Misuse::Closed))));
        barrier.wait();
    });
}

#[test]
fn a_second_session_passes_over_what_the_first_left() {
    testing::run_parties(3, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        let first = *session.id();
        // One answer each stays unread.
        session.collect(|to| Some(Note { from: me, to }), |_| true, 1, &()).unwrap();
        let mut session = open(&mut transport).unwrap();
        assert_eq!(*session.id(), first, "the nonces of this test are the same");
        let mut session2 = session.broadcast(&Numbers(vec![1, 2]), &BOUNDS);
        assert_eq!(session2.as_mut().unwrap().len(), 3);
    });
}

#[test]
fn a_bug_here_is_told_from_a_fault_there() {
    testing::run_parties(2, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        let misuse = session.broadcast(&Numbers(vec![u64::MAX; 9]), &BOUNDS).unwrap_err();
        assert!(matches!(misuse, SessionError::Misuse(Misuse::TooLong { .. })), "{misuse}");
        let misuse = session.broadcast_from(id(0), (me == id(1)).then_some(&Numbers(vec![1, 2])), &BOUNDS);
        assert!(matches!(misuse, Err(SessionError::Misuse(Misuse::WrongSender { .. }))));
        let misuse = session.broadcast_from(id(9), None::<&Numbers>, &BOUNDS);
        assert!(matches!(misuse, Err(SessionError::Misuse(Misuse::UnknownParty { .. }))));
        session.broadcast(&Numbers(vec![1, 2]), &BOUNDS).unwrap();
        let misuse = session.collect(|to| Some(Note { from: me, to }), |_| true, 1, &());
        assert!(matches!(misuse, Err(SessionError::Misuse(Misuse::Unconfirmed { .. }))));
        // None of these counted as a step.
        session.confirm().unwrap();
        assert_eq!(session.counters().steps(), 4);
    });
}

#[test]
fn sessions_work_over_trait_objects() {
    let network = MemoryNetwork::of(2).unwrap();
    let boxed: Vec<Box<dyn Transport + Send>> = network.into_iter().map(|t| Box::new(t) as _).collect();
    let sums = testing::run_network(boxed, |me, mut transport| {
        let transport: &mut dyn Transport = &mut transport;
        let mut session = subrosa_transport::Session::open(
            transport,
            PROTOCOL,
            &subrosa_transport::Parameters::new(),
            settings(20_000),
            &mut rng(me.index() as u64),
        )
        .unwrap();
        let all = session.broadcast(&Numbers(vec![1, me.index() as u64]), &BOUNDS).unwrap();
        all.values().map(|numbers| numbers.0[1]).sum::<u64>()
    });
    assert_eq!(sums, [1, 1]);
}

#[test]
fn a_party_that_is_gone_is_named_at_once() {
    testing::run_parties(3, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        if me == id(1) {
            return; // drops its transport
        }
        let error = session.broadcast(&Numbers(vec![1, 2]), &BOUNDS).unwrap_err();
        // Either seen here, or told by the other one who saw it first.
        assert_eq!(error.culprits(), [id(1)], "{error}");
        if let SessionError::Failed { failures, .. } = &error {
            assert_eq!(failures[0].cause, Cause::Network(Fault::Disconnected));
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever order frames of different pairs arrive in, the outcome is the same.
    #[test]
    fn order_of_arrival_does_not_matter(seed: u64, n in 2_usize..6, values in prop::collection::vec(0_u64..1000, 6)) {
        let names: Vec<String> = (0..n).map(|index| format!("bank {index}")).collect();
        let network =
            MemoryNetwork::builder(names).shuffled(seed, Duration::from_millis(3)).build().unwrap();
        let outcomes = testing::run_network(network, |me, mut transport| {
            let mut session = open(&mut transport).unwrap();
            let mut sum = 0;
            for round in 0..4 {
                let all = session.broadcast(&Numbers(vec![values[me.index()], round]), &BOUNDS).unwrap();
                sum += all.values().map(|numbers| numbers.0[0]).sum::<u64>();
                let notes = session.exchange(|to| Some(Note { from: me, to }), |_| true, &()).unwrap();
                assert!(notes.present().all(|(from, note)| *note == Note { from, to: me }));
            }
            session.confirm().unwrap();
            (sum, session.transcript())
        });
        let expected: u64 = 4 * values[..n].iter().sum::<u64>();
        for (sum, transcript) in &outcomes {
            prop_assert_eq!(*sum, expected);
            prop_assert_eq!(transcript, &outcomes[0].1);
        }
    }
}

#[test]
fn grace_names_those_who_answer_wrongly_after_the_first() {
    // Party 4 answers late and out of range; party 1 has enough with one answer.
    let named = |grace: Duration| {
        let done = AtomicBool::new(false);
        let results = testing::run_parties(4, |me, mut transport| {
            let mut session = open(&mut transport).unwrap();
            session.confirm().unwrap();
            session.set_collect_grace(grace);
            // Without a grace period, so late that party 1 is done.
            while me == id(3) && grace.is_zero() && !done.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let number = if me == id(3) { BOUNDS.below } else { 0 };
            let message = |to| (to == id(0)).then(|| Numbers(vec![number; BOUNDS.count]));
            let enough = usize::from(me == id(0));
            let collected = session.collect(message, |_| me == id(0), enough, &BOUNDS).unwrap();
            done.fetch_or(me == id(0), Ordering::SeqCst);
            collected
        });
        results[0].failures.iter().map(|failure| failure.party).collect::<Vec<_>>()
    };
    assert_eq!(named(Duration::ZERO), []);
    assert_eq!(named(Duration::from_secs(10)), [id(3)]);
}
