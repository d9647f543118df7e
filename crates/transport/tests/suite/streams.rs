//! Streams: many steps of one round, of which several are under way at a time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use proptest::prelude::*;

use crate::common::*;
use subrosa_transport::{
    BroadcastStream, Cause, Culprits, Fault, HEADER_BYTES, Malformed, MemoryNetwork, Misuse, PartyId,
    PerParty, PersonalStream, Session, SessionError, Transport, Violation,
    memory::{self, Action, Fate},
    testing,
};

const A: PartyId = PartyId::new(0);
const B: PartyId = PartyId::new(1);
const C: PartyId = PartyId::new(2);

/// Frames on each pair before the first of a stream: greeting and confirmation.
const OPENING: u64 = 2;

/// What a party says in a stream, and what it has heard.
struct Talk {
    me: PartyId,
    /// The step in which I find fault with everybody.
    objects: Option<usize>,
    heard: Vec<Vec<Option<u64>>>,
}

impl Talk {
    fn new<T: Transport>(session: &Session<T>) -> Self {
        Self { me: session.me(), objects: None, heard: Vec::new() }
    }

    fn note(&mut self, step: usize, numbers: Vec<Option<u64>>) -> Result<(), Objection> {
        assert_eq!(step, self.heard.len());
        if self.objects == Some(step) {
            return Err(Objection::Mine(C));
        }
        self.heard.push(numbers);
        Ok(())
    }
}

/// An error of the protocol above.
#[derive(Debug, thiserror::Error)]
enum Objection {
    #[error("it fails")]
    Session(#[from] SessionError),
    #[error("the sum is wrong")]
    Mine(PartyId),
}

impl Culprits for Objection {
    fn culprits(&self) -> Vec<PartyId> {
        match self {
            Self::Session(error) => error.culprits(),
            Self::Mine(party) => vec![*party],
        }
    }
}

fn number(step: usize, from: PartyId, to: Option<PartyId>) -> u64 {
    (step * 100 + from.index() * 10 + to.map_or(9, PartyId::index)) as u64
}

const SHAPE: Bounds = Bounds { count: 1, below: 1 << 20 };

impl PersonalStream for Talk {
    type Message = Numbers;
    type Error = Objection;

    fn outgoing(&mut self, step: usize, to: PartyId) -> Result<Numbers, Objection> {
        Ok(Numbers(vec![number(step, self.me, Some(to))]))
    }

    fn shape(&self, _: usize, _: PartyId) -> Bounds {
        SHAPE
    }

    fn take(&mut self, step: usize, messages: PerParty<Option<Numbers>>) -> Result<(), Objection> {
        self.note(step, messages.values().map(|m| m.as_ref().map(|m| m.0[0])).collect())
    }
}

struct Loud(Talk);

impl BroadcastStream for Loud {
    type Message = Numbers;
    type Error = Objection;

    fn outgoing(&mut self, step: usize) -> Result<Numbers, Objection> {
        Ok(Numbers(vec![number(step, self.0.me, None)]))
    }

    fn shape(&self, _: usize, _: PartyId) -> Bounds {
        SHAPE
    }

    fn take(&mut self, step: usize, messages: PerParty<Option<Numbers>>) -> Result<(), Objection> {
        self.0.note(step, messages.values().map(|m| m.as_ref().map(|m| m.0[0])).collect())
    }
}

type Heard = Vec<Vec<Option<u64>>>;

/// A personal stream, a broadcast stream and a confirmation; what was heard, the transcript and the steps.
fn both<T: Transport>(
    session: &mut Session<T>,
    steps: usize,
    window: usize,
) -> Result<(Heard, Heard, [u8; 32], u64), Objection> {
    session.set_window(window);
    let mut personal = Talk::new(session);
    session.exchange_stream(steps, &mut personal)?;
    let mut loud = Loud(Talk::new(session));
    session.broadcast_stream(steps, &mut loud)?;
    session.confirm()?;
    Ok((personal.heard, loud.0.heard, session.transcript(), session.counters().steps()))
}

/// A broadcast stream of 20 steps in a window of 4 among a, b and c, then a confirmation.
fn broadcast<F: Fate>(millis: u64, fate: F) -> Vec<Result<(), Objection>> {
    let network = MemoryNetwork::builder(["a", "b", "c"]).intercept(fate).build().unwrap();
    testing::run_network(network, |_, mut transport| {
        let mut session = open_within(&mut transport, millis)?;
        session.set_window(4);
        let mut loud = Loud(Talk::new(&session));
        session.broadcast_stream(20, &mut loud)?;
        session.confirm()?;
        Ok(())
    })
}

fn exchange<F: Fate>(millis: u64, fate: F) -> Vec<Result<(), Objection>> {
    let network = MemoryNetwork::builder(["a", "b", "c"]).intercept(fate).build().unwrap();
    testing::run_network(network, |_, mut transport| {
        let mut session = open_within(&mut transport, millis)?;
        session.set_window(4);
        let mut personal = Talk::new(&session);
        session.exchange_stream(20, &mut personal)?;
        session.confirm()?;
        Ok(())
    })
}

fn session_error(result: &Result<(), Objection>) -> &SessionError {
    match result {
        Err(Objection::Session(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn change(nth: u64, change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> impl Fate {
    move |from, to, number, frame: &mut Vec<u8>| {
        if (from, to, number) == (C, A, OPENING + nth) {
            change(frame);
        }
        Action::Deliver
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_window_changes_nothing_that_is_heard(
        parties in 2..=5_usize,
        steps in 0..=30_usize,
        window in 2..=9_usize,
        seed in any::<u64>(),
    ) {
        let run = |window| {
            let names = (0..parties).map(|party| format!("party {party}"));
            let network = MemoryNetwork::builder(names).shuffled(seed, Duration::from_micros(300)).build().unwrap();
            testing::run_network(network, |_, mut transport| {
                both(&mut open(&mut transport).unwrap(), steps, window).unwrap()
            })
        };
        let single = run(1);
        prop_assert_eq!(&single, &run(window));
        for (me, (personal, loud, transcript, count)) in single.iter().enumerate() {
            prop_assert_eq!((*transcript, *count), (single[0].2, 2 + 2 * steps as u64 + 1));
            for step in 0..steps {
                for party in 0..parties {
                    let from = id(party as u16);
                    let to_me = (party != me).then(|| number(step, from, Some(id(me as u16))));
                    prop_assert_eq!(personal[step][party], to_me);
                    prop_assert_eq!(loud[step][party], Some(number(step, from, None)));
                }
            }
        }
    }
}

#[test]
fn a_window_of_one_is_a_round_at_a_time() {
    let network = || MemoryNetwork::of(3).unwrap();
    let streamed = testing::run_network(network(), |_, mut transport| {
        let mut session = open(&mut transport).unwrap();
        session.set_window(0);
        session.broadcast_stream(5, &mut Loud(Talk::new(&session))).unwrap();
        session.transcript()
    });
    let rounds = testing::run_network(network(), |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        for step in 0..5 {
            session.broadcast(&Numbers(vec![number(step, me, None)]), &SHAPE).unwrap();
        }
        session.transcript()
    });
    assert_eq!(streamed, rounds);
}

#[test]
fn latency_is_waited_for_once_in_a_window() {
    let took = |window| {
        let latency = Duration::from_millis(20);
        let network = MemoryNetwork::builder(["a", "b"]).latency(latency).build().unwrap();
        let begun = Instant::now();
        // The timeout is that of a step and not of a stream.
        for outcome in testing::run_network(network, |_, mut transport| {
            both(&mut open_within(&mut transport, 500)?, 32, window)
        }) {
            outcome.unwrap();
        }
        begun.elapsed()
    };
    let (single, window) = (took(1), took(8));
    assert!(single > Duration::from_millis(2 * 32 * 20) && window * 2 < single, "{single:?} {window:?}");
}

#[test]
fn nobody_is_sent_more_than_a_window_ahead() {
    // c is silent from its seventh step on, so that a and b hear steps 0 to 6 and send up to step 10.
    for run in [broadcast::<Box<dyn Fate>>, exchange::<Box<dyn Fate>>] {
        let sent = Arc::new(AtomicU64::new(0));
        let count = sent.clone();
        let silence = memory::silence_after(C, OPENING + 7);
        let outcomes = run(
            400,
            Box::new(move |from, to, nth, frame: &mut Vec<u8>| {
                let abort = frame.get(5) == Some(&3);
                if (from, to) == (A, B) && !abort {
                    count.fetch_max(nth + 1, Ordering::SeqCst);
                }
                silence(from, to, nth, frame)
            }) as Box<dyn Fate>,
        );
        for outcome in &outcomes[..2] {
            assert_eq!(session_error(outcome).culprits(), [C], "{outcome:?}");
        }
        assert_eq!(sent.load(Ordering::SeqCst), OPENING + 7 + 4);
    }
}

#[test]
fn a_party_that_stops_is_named() {
    for nth in [0, 3, 4, 11, 19] {
        for outcomes in [
            broadcast(400, memory::silence_after(C, OPENING + nth)),
            exchange(400, memory::silence_after(C, OPENING + nth)),
        ] {
            for outcome in &outcomes[..2] {
                assert_eq!(session_error(outcome).culprits(), [C], "{nth}: {outcome:?}");
            }
        }
        let outcomes = exchange(5_000, memory::disconnect_after(C, OPENING + nth));
        let gone = |outcome| match session_error(outcome) {
            SessionError::Failed { failures, .. } => {
                failures.iter().any(|f| f.party == C && f.cause == Cause::Network(Fault::Disconnected))
            }
            other => panic!("{other}"),
        };
        assert!(outcomes[..2].iter().all(gone), "{nth}: {outcomes:?}");
    }
}

#[test]
fn every_frame_of_a_stream_is_checked() {
    type Change = fn(&mut Vec<u8>);
    let step = 2 + 6;
    let cases: [(Change, Violation); 6] = [
        (|frame| frame[8] -= 1, Violation::Repeated { step: step - 1, expected: step }),
        (|frame| frame[8] += 1, Violation::Early { step: step + 1, expected: step }),
        (|frame| frame[5] = 2, Violation::WrongKind),
        (|frame| frame[76] ^= 1, Violation::WrongRound),
        (|frame| frame.truncate(HEADER_BYTES), Violation::Undecodable),
        (|frame| frame.push(0), Violation::Undecodable),
    ];
    for (falsify, violation) in cases {
        for outcomes in [broadcast(20_000, change(6, falsify)), exchange(20_000, change(6, falsify))] {
            let error = session_error(&outcomes[0]);
            let [failure] = error.failures() else { panic!("{violation}: {error}") };
            assert_eq!((failure.party, &failure.cause), (C, &Cause::Violation(violation.clone())));
            let SessionError::Aborted { by: A, culprits, .. } = session_error(&outcomes[1]) else {
                panic!("{:?}", outcomes[1])
            };
            assert_eq!(culprits, &[C]);
        }
    }
    let refused = |frame: &mut Vec<u8>| {
        frame.truncate(HEADER_BYTES);
        frame.extend([2, 1, 1]);
    };
    let outcomes = broadcast(20_000, change(19, refused));
    let [failure] = session_error(&outcomes[0]).failures() else { panic!("{:?}", outcomes[0]) };
    assert_eq!(failure.cause, Cause::Violation(Violation::Refused(Malformed::new("wrong count"))));
}

#[test]
fn frames_that_are_dropped_or_doubled_are_missed() {
    for fate in [Action::Drop, Action::Duplicate] {
        let outcomes = exchange(20_000, move |from, to, nth, _: &mut Vec<u8>| match (from, to, nth) {
            (C, A, n) if n == OPENING + 6 => fate.clone(),
            _ => Action::Deliver,
        });
        let [failure] = session_error(&outcomes[0]).failures() else { panic!("{:?}", outcomes[0]) };
        let order =
            matches!(failure.cause, Cause::Violation(Violation::Early { .. } | Violation::Repeated { .. }));
        assert!(failure.party == C && order, "{failure}");
    }
}

#[test]
fn a_party_that_floods_is_named() {
    // c sends a all its frames at once, each right in itself, whatever a has sent it.
    let flood = |first: u64| {
        move |from, to, nth, frame: &mut Vec<u8>| {
            if (from, to, nth) != (C, A, OPENING + first) {
                return Action::Deliver;
            }
            let of_step = |step: u64| {
                let mut frame = frame.clone();
                frame[8..12].copy_from_slice(&u32::try_from(step).unwrap().to_le_bytes());
                frame
            };
            Action::Replace((OPENING + first..OPENING + 20).map(of_step).collect())
        }
    };
    for first in [0, 5, 10] {
        let outcomes = exchange(20_000, flood(first));
        let [failure] = session_error(&outcomes[0]).failures() else { panic!("{:?}", outcomes[0]) };
        let Cause::Violation(Violation::TooFarAhead { step, expected }) = failure.cause else {
            panic!("{failure}")
        };
        // a sends step s: with a window of 4, c may be at step s + 3.
        assert_eq!((failure.party, step), (C, expected + 4));
        assert!(outcomes[1].is_err(), "{outcomes:?}");
        // In broadcasts, c cannot know the transcript that such a frame must carry either.
        assert!(broadcast(20_000, flood(first)).iter().all(Result::is_err));
    }
}

#[test]
fn frames_behind_a_stream_are_not_lost() {
    // Two streams, rounds between them, and another session over the same wires.
    testing::run_parties(3, |me, mut transport| {
        for _ in 0..3 {
            let mut session = open(&mut transport).unwrap();
            for steps in [3, 0, 17, 1] {
                both(&mut session, steps, 4).unwrap();
                session.broadcast(&Numbers(vec![me.index() as u64, 1]), &BOUNDS).unwrap();
            }
        }
    });
}

#[test]
fn other_broadcasts_are_noticed_a_window_later() {
    // a gets another message of c than b, well formed: c's own mistake is not told from a lie, so no culprit is sure.
    for nth in [0, 7, 16, 19] {
        let outcomes = broadcast(
            20_000,
            change(nth, |frame| {
                let last = frame.len() - 1;
                frame[last] ^= 1;
            }),
        );
        assert!(outcomes.iter().all(Result::is_err), "{nth}: {outcomes:?}");
        let parted = |outcome: &Result<(), Objection>| {
            matches!(session_error(outcome), SessionError::EchoMismatch { .. })
        };
        assert!(outcomes.iter().any(parted), "{nth}: {outcomes:?}");
        // At the latest four steps later, or in the confirmation.
        let noticed = |outcome: &Result<(), Objection>| match session_error(outcome) {
            SessionError::EchoMismatch { round, .. } => {
                *round == if nth + 4 < 20 { "test/numbers" } else { "session/confirm" }
            }
            SessionError::Aborted { .. } => true,
            _ => false,
        };
        assert!(outcomes.iter().all(noticed), "{nth}: {outcomes:?}");
    }
}

#[test]
fn a_false_transcript_is_a_contradiction_or_a_mismatch() {
    // The transcript of steps 0 to 3 was confirmed when the session opened; those of later steps are new.
    for nth in 0..=8 {
        let outcomes = broadcast(20_000, change(nth, |frame| frame[44] ^= 1));
        match session_error(&outcomes[0]) {
            SessionError::Failed { failures, .. } if nth < 4 => {
                assert_eq!(failures[0].cause, Cause::Violation(Violation::ContradictsItself));
                assert_eq!(failures[0].party, C);
            }
            SessionError::EchoMismatch { other: C, .. } if nth >= 4 => {}
            error => panic!("{nth}: {error}"),
        }
    }
}

#[test]
fn an_error_of_the_protocol_is_told_to_all_and_ends_the_session() {
    testing::run_parties(3, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        let mut talk = Talk::new(&session);
        talk.objects = (me == A).then_some(9);
        let result = session.exchange_stream(20, &mut talk);
        match result.unwrap_err() {
            Objection::Mine(C) if me == A => assert_eq!(talk.heard.len(), 9),
            Objection::Session(SessionError::Aborted { by: A, culprits, reason, .. }) if me != A => {
                assert_eq!((culprits, reason.as_str()), (vec![C], "the sum is wrong"));
            }
            error => panic!("{error:?}"),
        }
        let closed = |error: &SessionError| matches!(error, SessionError::Misuse(Misuse::Closed));
        assert!(closed(&session.confirm().unwrap_err()));
        for steps in [0, 3] {
            let Err(Objection::Session(error)) = session.exchange_stream(steps, &mut Talk::new(&session))
            else {
                panic!("the session goes on")
            };
            assert!(closed(&error), "{error}");
        }
    });
}

#[test]
fn a_window_that_differs_is_noticed() {
    let outcomes = testing::run_parties(2, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        session.set_window(if me == A { 3 } else { 4 });
        session.broadcast_stream(20, &mut Loud(Talk::new(&session)))
    });
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
}

#[cfg(feature = "tls")]
#[test]
fn a_window_that_is_wider_than_the_room_for_unread_frames_waits() {
    // One party is slow. Frames for it wait in the others' queues, as it has no room for 32 of them.
    let names = ["a", "b", "c"];
    let seats: Vec<tls::Seat> = names.iter().map(|name| tls::seat(name)).collect();
    let mut limits = tls::limits();
    limits.max_frame = 1 << 10;
    limits.max_unread = limits.max_frame + 64;
    let network = (0..3).map(|me| tls::pinned_with(&names, &seats, me, limits.clone())).collect();
    let outcomes = testing::run_network(network, |me, mut transport| {
        let mut session = open_within(&mut transport, 30_000).unwrap();
        if me == C {
            std::thread::sleep(Duration::from_millis(300));
        }
        both(&mut session, 150, 32).unwrap()
    });
    let memory = testing::run_parties(3, |_, mut transport| {
        let (personal, loud, ..) = both(&mut open(&mut transport).unwrap(), 150, 1).unwrap();
        (personal, loud)
    });
    for ((personal, loud, transcript, _), heard) in outcomes.iter().zip(&memory) {
        assert_eq!((personal, loud, *transcript), (&heard.0, &heard.1, outcomes[0].2));
    }
}
