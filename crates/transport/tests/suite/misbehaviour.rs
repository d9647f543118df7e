//! Parties that break the protocol: what each honest party reports, and whom it names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use crate::common::*;
use subrosa_transport::{
    Cause, Culprits, Deadline, FailureKind, Fault, HEADER_BYTES, Malformed, MemoryNetwork, MemoryTransport,
    PartyId, Roster, SessionError, Transport, TransportError, Violation,
    memory::{self, Action, Fate},
    testing,
};

const A: PartyId = PartyId::new(0);
const B: PartyId = PartyId::new(1);
const C: PartyId = PartyId::new(2);

/// Numbers of the frames on each pair in [`run`].
const HELLO: u64 = 0;
const ECHO: u64 = 1;
const FIRST: u64 = 2;
const SECOND: u64 = 3;
const CONFIRM: u64 = 4;

/// Opens, broadcasts twice and confirms, among a, b and c; the outcome of each.
fn run(fate: impl Fate) -> Vec<Result<u64, SessionError>> {
    run_within(20_000, fate)
}

fn run_within(millis: u64, fate: impl Fate) -> Vec<Result<u64, SessionError>> {
    let network = MemoryNetwork::builder(["a", "b", "c"]).intercept(fate).build().unwrap();
    testing::run_network(network, |me, mut transport| {
        let mut session = open_within(&mut transport, millis)?;
        let mut sum = 0;
        for round in 0..2 {
            let all = session.broadcast(&Numbers(vec![me.index() as u64, round]), &BOUNDS)?;
            sum += all.values().map(|numbers| numbers.0[0]).sum::<u64>();
        }
        session.confirm()?;
        Ok(sum)
    })
}

/// Changes the `nth` frame from c to a.
fn change(nth: u64, change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> impl Fate {
    move |from, to, number, frame: &mut Vec<u8>| {
        if (from, to, number) == (C, A, nth) {
            change(frame);
        }
        Action::Deliver
    }
}

/// a blames c for this, and b hears of it.
fn assert_violation(outcomes: &[Result<u64, SessionError>], violation: &Violation) {
    let error = outcomes[0].as_ref().unwrap_err();
    let [failure] = error.failures() else { panic!("{violation}: {error}") };
    assert_eq!((failure.party, failure.name.as_str()), (C, "c"));
    assert_eq!(&failure.cause, &Cause::Violation(violation.clone()));
    assert_eq!(error.kind(), FailureKind::Peer);
    assert_eq!((error.culprits(), error.violators()), (vec![C], vec![C]));
    assert!(error.to_string().contains(failure.round) && error.to_string().contains("c "), "{error}");
    for outcome in &outcomes[1..] {
        assert_told_by_a(outcome);
    }
}

fn assert_told_by_a(outcome: &Result<u64, SessionError>) {
    match outcome.as_ref().unwrap_err() {
        SessionError::Aborted { by, name, culprits, reason } => {
            assert_eq!((*by, name.as_str(), culprits.as_slice()), (A, "a", &[C][..]));
            assert!(reason.contains("c "), "{reason}");
        }
        error => panic!("expected a's abort: {error}"),
    }
}

#[test]
fn nobody_misbehaves() {
    for outcome in run(|_, _, _, _: &mut Vec<u8>| Action::Deliver) {
        assert_eq!(outcome, Ok(6));
    }
}

#[test]
fn every_field_of_the_header_is_checked() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(Change, Violation); 15] = [
        (|frame| frame.clear(), Violation::TooShort { bytes: 0 }),
        (|frame| frame.truncate(HEADER_BYTES - 1), Violation::TooShort { bytes: HEADER_BYTES - 1 }),
        (|frame| frame[0] ^= 1, Violation::BadMagic),
        (|frame| frame[3] ^= 0x80, Violation::BadMagic),
        (|frame| frame[4] = 2, Violation::UnknownVersion { version: 2 }),
        (|frame| frame[5] = 4, Violation::UnknownKind { kind: 4 }),
        (|frame| frame[5] = 2, Violation::WrongKind),
        (|frame| frame[6] = 1, Violation::WrongSender { claimed: B }),
        (|frame| frame[7] = 0xff, Violation::WrongSender { claimed: PartyId::new(0xff02) }),
        (|frame| frame[8] = 1, Violation::Repeated { step: 1, expected: 2 }),
        (|frame| frame[8] = 3, Violation::Early { step: 3, expected: 2 }),
        (|frame| frame[11] = 0xff, Violation::Early { step: 0xff00_0002, expected: 2 }),
        (|frame| frame[43] ^= 1, Violation::WrongSession),
        (|frame| frame[76] ^= 1, Violation::WrongRound),
        // c has confirmed this transcript when the session opened.
        (|frame| frame[44] ^= 1, Violation::ContradictsItself),
    ];
    for (falsify, violation) in cases {
        assert_violation(&run(change(FIRST, falsify)), &violation);
    }
}

#[test]
fn every_message_is_checked() {
    let payload = |bytes: &'static [u8]| {
        move |frame: &mut Vec<u8>| {
            frame.truncate(HEADER_BYTES);
            frame.extend_from_slice(bytes);
        }
    };
    let limit = 23;
    let cases: [(&'static [u8], Violation); 8] = [
        (&[], Violation::Undecodable),
        (&[2, 1], Violation::Undecodable),
        (&[2, 1, 1, 0], Violation::Undecodable), // a byte too many
        (&[0xff; 23], Violation::Undecodable),
        // A list that claims 2^32 - 1 entries allocates nothing and ends with the frame.
        (&[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1], Violation::Undecodable),
        (&[1; 24], Violation::Oversized { bytes: 24, limit }),
        (&[1, 5], Violation::Refused(Malformed::new("wrong count"))),
        (&[2, 1, 0xe8, 0x07], Violation::Refused(Malformed::new("number out of range"))),
    ];
    for (bytes, violation) in cases {
        assert_violation(&run(change(FIRST, payload(bytes))), &violation);
    }
}

#[test]
fn a_confirmation_carries_nothing() {
    let error = run(change(CONFIRM, |frame| frame.push(0)))[0].clone().unwrap_err();
    assert_eq!(error.failures()[0].cause, Cause::Violation(Violation::Oversized { bytes: 1, limit: 0 }));
}

#[test]
fn a_duplicate_is_noticed() {
    let outcomes = run(memory::duplicate(C, A, FIRST));
    assert_violation(&outcomes, &Violation::Repeated { step: 2, expected: 3 });
}

#[test]
fn a_replay_is_noticed() {
    let store = std::sync::Mutex::new(Vec::new());
    let outcomes = run(move |from, to, number, frame: &mut Vec<u8>| {
        match (from, to, number) {
            (C, A, FIRST) => *store.lock().unwrap() = frame.clone(),
            (C, A, SECOND) => frame.clone_from(&store.lock().unwrap()),
            _ => {}
        }
        Action::Deliver
    });
    assert_violation(&outcomes, &Violation::Repeated { step: 2, expected: 3 });
}

#[test]
fn a_greeting_sent_again_is_noticed() {
    let outcomes = run(memory::duplicate(C, A, HELLO));
    let error = outcomes[0].as_ref().unwrap_err();
    assert_eq!(error.failures()[0].cause, Cause::Violation(Violation::Repeated { step: 0, expected: 1 }));
    assert_eq!(error.culprits(), [C]);
}

#[test]
fn frames_in_the_wrong_order_are_noticed() {
    // The second broadcast comes first.
    let outcomes = run(memory::hold(C, A, FIRST));
    assert_violation(&outcomes, &Violation::Early { step: 3, expected: 2 });
}

#[test]
fn a_silent_party_is_named_within_the_deadline_in_every_round() {
    let silent_after = |frames| {
        let start = Instant::now();
        let outcomes = run_within(2_000, memory::silence_after(C, frames));
        for outcome in &outcomes[..2] {
            let error = outcome.as_ref().unwrap_err();
            assert_eq!(error.culprits(), [C], "{error}");
            assert!(error.to_string().contains("c "), "{error}");
        }
        // Generous for a busy machine; what matters is that the rounds of opening do not add up to minutes.
        assert!(start.elapsed() < Duration::from_secs(40));
    };
    std::thread::scope(|scope| {
        for frames in [HELLO, ECHO, FIRST, SECOND, CONFIRM] {
            scope.spawn(move || silent_after(frames));
        }
    });
}

#[test]
fn a_party_that_is_cut_off_is_named() {
    for frames in [HELLO, ECHO, FIRST, SECOND, CONFIRM] {
        let outcomes = run(memory::disconnect_after(C, frames));
        for outcome in &outcomes[..2] {
            let error = outcome.as_ref().unwrap_err();
            assert_eq!(error.culprits(), [C], "{error}");
        }
    }
}

/// d is silent towards a alone. b and c then wait for a, which waits for d; they must not blame a.
#[test]
fn silence_is_blamed_on_its_cause() {
    let d = PartyId::new(3);
    let network = MemoryNetwork::builder(["a", "b", "c", "d"])
        .intercept(
            move |from, to, number, _: &mut Vec<u8>| {
                if (from, to) == (d, A) && number >= FIRST { Action::Drop } else { Action::Deliver }
            },
        )
        .build()
        .unwrap();
    let outcomes = testing::run_network(network, |me, mut transport| {
        let mut session = open_within(&mut transport, 2_000)?;
        for round in 0..3 {
            session.broadcast(&Numbers(vec![me.index() as u64, round]), &BOUNDS)?;
        }
        // Stay reachable until the others have heard.
        session.confirm()
    });
    let error = outcomes[0].as_ref().unwrap_err();
    assert_eq!(error.failures()[0].cause, Cause::Network(Fault::TimedOut));
    assert_eq!((error.kind(), error.culprits()), (FailureKind::Network, vec![d]));
    assert!(error.violators().is_empty());
    for outcome in &outcomes[1..] {
        let error = outcome.as_ref().unwrap_err();
        assert!(matches!(error, SessionError::Aborted { by: A, .. }), "{error}");
        assert_eq!(error.culprits(), [d], "{error}");
    }
}

#[test]
fn every_culprit_of_a_round_is_gathered() {
    let outcomes = run(|from, to, number, frame: &mut Vec<u8>| {
        match (from, to, number) {
            (B, A, FIRST) => frame.push(0),
            (C, A, FIRST) => frame[4] = 9,
            _ => {}
        }
        Action::Deliver
    });
    let error = outcomes[0].as_ref().unwrap_err();
    assert_eq!(error.culprits(), [B, C]);
    let causes: Vec<&Cause> = error.failures().iter().map(|failure| &failure.cause).collect();
    assert_eq!(
        causes,
        [
            &Cause::Violation(Violation::Undecodable),
            &Cause::Violation(Violation::UnknownVersion { version: 9 })
        ]
    );
}

/// c shows a another broadcast than b: both notice, name the pair and blame nobody.
#[test]
fn two_faces_in_a_broadcast_are_noticed_before_any_result() {
    for nth in [FIRST, SECOND] {
        let outcomes = run(change(nth, |frame| *frame.last_mut().unwrap() ^= 2));
        assert!(outcomes.iter().all(Result::is_err), "{nth}: nobody has a result");
        let mut pairs = 0;
        for (me, outcome) in [A, B, C].into_iter().zip(&outcomes) {
            match outcome.as_ref().unwrap_err() {
                error @ SessionError::EchoMismatch { me: named, other, round, .. } => {
                    assert_eq!(*named, me);
                    assert!(me == A || *other == A, "a's view is the odd one: {error}");
                    assert_eq!(*round, if nth == FIRST { "test/numbers" } else { "session/confirm" });
                    assert!(error.culprits().is_empty() && error.violators().is_empty());
                    assert_eq!(error.kind(), FailureKind::Disagreement);
                    assert!(
                        error.to_string().contains("a and ") || error.to_string().contains(" and a "),
                        "{error}"
                    );
                    pairs += 1;
                }
                SessionError::Aborted { reason, culprits, .. } => {
                    assert!(reason.contains("saw different broadcasts") && culprits.is_empty(), "{reason}");
                }
                error => panic!("{error}"),
            }
        }
        assert!(pairs > 0);
    }
}

#[test]
fn two_faces_in_the_greeting_are_noticed() {
    // The nonce is the last field of the greeting.
    let outcomes = run(change(HELLO, |frame| *frame.last_mut().unwrap() ^= 1));
    assert!(outcomes.iter().all(Result::is_err));
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(SessionError::EchoMismatch { .. }))));
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert!(matches!(error, SessionError::EchoMismatch { .. } | SessionError::Aborted { .. }), "{error}");
        assert!(error.culprits().is_empty());
    }
}

#[test]
fn a_false_echo_alone_is_noticed() {
    // The broadcasts were the same, but c shows a another transcript: a cannot know who lies.
    let outcomes = run(change(SECOND, |frame| frame[50] ^= 1));
    let error = outcomes[0].as_ref().unwrap_err();
    assert!(matches!(error, SessionError::EchoMismatch { me: A, other: C, .. }), "{error}");
}

#[test]
fn an_abort_reaches_everybody_with_its_reason() {
    let outcomes = testing::run_parties(3, |me, mut transport| {
        let mut session = open(&mut transport)?;
        if me == B {
            let start = Instant::now();
            session.abort("the safe is\n\u{1b}[31mempty\u{202e}", &[C, PartyId::new(77), C]);
            assert!(start.elapsed() < Duration::from_secs(5));
            let error = session.confirm().unwrap_err();
            assert_eq!(error.kind(), FailureKind::Misuse);
            return Err(error);
        }
        session.broadcast(&Numbers(vec![1, 2]), &BOUNDS).map(drop)
    });
    for outcome in [&outcomes[0], &outcomes[2]] {
        let error = outcome.as_ref().unwrap_err();
        let SessionError::Aborted { by: B, reason, culprits, .. } = error else { panic!("{error}") };
        assert_eq!(reason, "the safe is??[31mempty?");
        assert_eq!(culprits, &[C]);
        assert_eq!(error.kind(), FailureKind::Abort);
    }
}

#[test]
fn an_abort_is_heard_while_another_party_is_silent() {
    let start = Instant::now();
    let outcomes = testing::run_parties(3, |me, mut transport| {
        let mut session = open_within(&mut transport, 60_000)?;
        if me == C {
            session.abort("enough", &[]);
        }
        if me != A {
            // Connected, but silent, until a has ended.
            let _ = transport.receive(A, subrosa_transport::Deadline::after(Duration::from_secs(30)));
            return Ok(());
        }
        session.broadcast(&Numbers(vec![1, 2]), &BOUNDS).map(drop)
    });
    assert!(matches!(&outcomes[0], Err(SessionError::Aborted { by: C, .. })));
    assert!(start.elapsed() < Duration::from_secs(25), "a waited for b's silence");
}

#[test]
fn long_reasons_are_cut_and_false_aborts_refused() {
    let reasons = [("ä".repeat(2000), "ä".repeat(256)), (String::new(), String::new())];
    for (reason, expected) in reasons {
        let outcomes = testing::run_parties(2, |me, mut transport| {
            let mut session = open(&mut transport)?;
            if me == B {
                session.abort(&reason, &[]);
                return Ok(());
            }
            session.confirm()
        });
        let Err(SessionError::Aborted { reason, .. }) = &outcomes[0] else { panic!() };
        assert_eq!(reason, &expected);
    }
    type Change = fn(&mut Vec<u8>);
    let cases: [(Change, Violation); 3] = [
        (|frame| frame.push(0), Violation::Undecodable),
        (|frame| frame.truncate(HEADER_BYTES), Violation::Undecodable),
        (|frame| frame.resize(HEADER_BYTES + 8193, 1), Violation::Oversized { bytes: 8193, limit: 8192 }),
    ];
    for (falsify, violation) in cases {
        let outcomes = run(change(FIRST, move |frame| {
            frame[5] = 3;
            // An empty reason and no culprits.
            frame.truncate(HEADER_BYTES);
            frame.extend_from_slice(&[0, 0]);
            falsify(frame);
        }));
        assert_eq!(outcomes[0].as_ref().unwrap_err().failures()[0].cause, Cause::Violation(violation));
    }
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("the ledger of {0} does not add up")]
    Ledger(PartyId),
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Culprits for AppError {
    fn culprits(&self) -> Vec<PartyId> {
        match self {
            Self::Ledger(party) => vec![*party],
            Self::Session(error) => error.culprits(),
        }
    }
}

#[test]
fn guard_tells_the_others_and_does_not_repeat_their_aborts() {
    let results = testing::run_parties(3, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        let error = session
            .guard(|session| {
                if me == B {
                    return Err(AppError::Ledger(C));
                }
                session.broadcast(&Numbers(vec![1, 2]), &BOUNDS)?;
                Ok(())
            })
            .unwrap_err();
        let aborts = session.counters().round("session/abort").messages_sent;
        (error, aborts)
    });
    assert!(matches!(results[1], (AppError::Ledger(C), 2)));
    for (error, aborts) in [&results[0], &results[2]] {
        let AppError::Session(SessionError::Aborted { by: B, reason, culprits, .. }) = error else {
            panic!("{error}")
        };
        assert_eq!(
            (reason.as_str(), culprits.as_slice()),
            ("the ledger of party 3 does not add up", &[C][..])
        );
        assert_eq!(*aborts, 0);
    }
}

#[test]
fn guard_sends_one_abort_when_the_session_fails() {
    let barrier = std::sync::Barrier::new(3);
    let results = testing::run_parties(3, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        let wrong = Bounds { count: 1, ..BOUNDS };
        // Everybody sends two numbers to parties that expect one.
        let shape = |party| if party == me { BOUNDS } else { wrong };
        let error =
            session.guard(|session| session.broadcast_shaped(&Numbers(vec![1, 2]), shape)).unwrap_err();
        barrier.wait();
        (error, session.counters().round("session/abort").messages_sent)
    });
    assert!(results.iter().any(|(error, _)| error.kind() == FailureKind::Peer));
    for (error, aborts) in results {
        let expected = if error.kind() == FailureKind::Abort { 0 } else { 2 };
        assert_eq!(aborts, expected, "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Arbitrary bytes in the place of any frame: a typed error, no panic, no hang.
    #[test]
    fn arbitrary_frames_are_refused(nth in HELLO..=CONFIRM, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let outcomes = run(change(nth, move |frame| frame.clone_from(&bytes)));
        let error = outcomes[0].as_ref().unwrap_err();
        prop_assert_eq!(error.culprits(), [C]);
    }

    /// Bytes changed here and there behind an intact magic and session id.
    #[test]
    fn falsified_frames_are_refused_or_noticed(
        nth in FIRST..=CONFIRM,
        changes in prop::collection::vec((prop_oneof![4_usize..12, 44_usize..120], any::<u8>()), 1..4),
        length in 0_usize..150,
    ) {
        let outcomes = run(change(nth, move |frame| {
            frame.resize(frame.len().max(length), 7);
            for &(at, byte) in &changes {
                if let Some(place) = frame.get_mut(at) {
                    *place = byte;
                }
            }
        }));
        // A change that changes nothing is possible; any other is seen by a, now or in the echo.
        if let Err(error) = &outcomes[0] {
            prop_assert!(error.kind() != FailureKind::Misuse, "{}", error);
            prop_assert!(error.kind() != FailureKind::Network, "{}", error);
            // b and c have a's confirmation by then; only a is left without a result.
            prop_assert!(nth == CONFIRM || outcomes[1..].iter().all(Result::is_err));
        } else {
            prop_assert!(outcomes.iter().all(|outcome| *outcome == Ok(6)));
        }
    }
}

#[test]
fn every_bit_of_a_frame_counts() {
    let length = HEADER_BYTES + 3;
    for bit in 0..8 * length {
        let outcomes = run(memory::flip_bit(C, A, FIRST, bit));
        assert!(outcomes.iter().all(Result::is_err), "bit {bit}: {outcomes:?}");
        assert_ne!(outcomes[0].as_ref().unwrap_err().kind(), FailureKind::Network, "bit {bit}");
    }
}

#[test]
fn an_abort_counts_though_its_sender_has_gone() {
    let network = MemoryNetwork::builder(["a", "b"]).build().unwrap();
    let (gone, is_gone) = std::sync::mpsc::channel::<()>();
    let gone = Mutex::new(Some(gone));
    let is_gone = Mutex::new(is_gone);
    let outcomes = testing::run_network(network, |me, mut transport| {
        let mut session = open(&mut transport).unwrap();
        let mine = Numbers(vec![0; BOUNDS.count]);
        if me == A {
            // Says its part, gives up, and leaves.
            session.set_round_timeout(Duration::ZERO);
            let error = session.broadcast(&mine, &BOUNDS).unwrap_err();
            drop(session);
            drop(transport);
            gone.lock().unwrap().take();
            return error;
        }
        let _ = is_gone.lock().unwrap().recv();
        session.broadcast(&mine, &BOUNDS).unwrap_err()
    });
    let SessionError::Aborted { by: A, culprits, .. } = &outcomes[1] else { panic!("{}", outcomes[1]) };
    assert_eq!(culprits.as_slice(), [id(1)]);
}

/// To a, c looks like this: its frames come until that of the second broadcast, and that one again and again; from then
/// on nothing can be sent to it.
struct Torrent {
    inner: MemoryTransport,
    sent: u64,
    received: u64,
    last: Vec<u8>,
}

impl Transport for Torrent {
    fn roster(&self) -> &Roster {
        self.inner.roster()
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        self.sent += u64::from(to == C);
        if to == C && self.sent > SECOND {
            return Err(TransportError::new(self.roster(), to, Fault::Disconnected));
        }
        self.inner.send(to, frame)
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        if from == C && self.received > SECOND {
            return Ok(self.last.clone());
        }
        let frame = self.inner.receive(from, deadline)?;
        if from == C {
            (self.received, self.last) = (self.received + 1, frame.clone());
        }
        Ok(frame)
    }
}

#[test]
fn whoever_cannot_be_reached_and_sends_without_end_holds_nobody_up() {
    let (done, outcome) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let network = MemoryNetwork::builder(["a", "b", "c"]).build().unwrap();
        let outcomes = testing::run_network(network, |me, transport| {
            let mut transport: Box<dyn Transport> = match me {
                A => Box::new(Torrent { inner: transport, sent: 0, received: 0, last: Vec::new() }),
                _ => Box::new(transport),
            };
            let mut session = open_within(&mut transport, 500)?;
            for round in 0..2 {
                session.broadcast(&Numbers(vec![me.index() as u64, round]), &BOUNDS)?;
            }
            session.confirm()
        });
        let _ = done.send(outcomes);
    });
    let outcomes = outcome.recv_timeout(Duration::from_secs(60)).expect("it has no end");
    let failures = outcomes[0].as_ref().unwrap_err().failures().to_vec();
    assert_eq!((failures[0].party, &failures[0].cause), (C, &Cause::Network(Fault::Disconnected)));
}
