//! What the in-memory network does to frames, and the limits of what a session remembers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::time::Duration;

use crate::common::*;
use subrosa_transport::{
    Cause, Deadline, Fault, MemoryNetwork, MemoryTransport, PartyId, SessionError, Transport, Violation,
    memory::{self, Action, Fate},
};

const A: PartyId = PartyId::new(0);
const B: PartyId = PartyId::new(1);

fn pair(fate: impl Fate) -> (MemoryTransport, MemoryTransport) {
    let mut network = MemoryNetwork::builder(["a", "b"]).intercept(fate).build().unwrap();
    let b = network.pop().unwrap();
    (network.pop().unwrap(), b)
}

/// What b receives of the frames 0, 1, 2, 3 from a, and how it ends.
fn four(fate: impl Fate) -> (Vec<Vec<u8>>, Fault) {
    let (mut a, mut b) = pair(fate);
    for number in 0..4 {
        let _ = a.send(B, &[number]);
    }
    let mut frames = Vec::new();
    loop {
        match b.receive(A, Deadline::now()) {
            Ok(frame) => frames.push(frame),
            Err(error) => return (frames, error.fault().clone()),
        }
    }
}

#[test]
fn faults_do_what_they_say() {
    let alive =
        |frames: &[&[u8]]| (frames.iter().map(|frame| frame.to_vec()).collect::<Vec<_>>(), Fault::TimedOut);
    assert_eq!(four(|_, _, _, _: &mut Vec<u8>| Action::Deliver), alive(&[&[0], &[1], &[2], &[3]]));
    assert_eq!(four(memory::silence_after(A, 2)), alive(&[&[0], &[1]]));
    assert_eq!(four(memory::silence_after(B, 0)), alive(&[&[0], &[1], &[2], &[3]]));
    assert_eq!(four(memory::disconnect_after(A, 2)), (vec![vec![0], vec![1]], Fault::Disconnected));
    assert_eq!(four(memory::hold(A, B, 1)), alive(&[&[0], &[2], &[1], &[3]]));
    assert_eq!(four(memory::hold(A, B, 3)), alive(&[&[0], &[1], &[2]]));
    assert_eq!(four(memory::duplicate(A, B, 0)), alive(&[&[0], &[0], &[1], &[2], &[3]]));
    assert_eq!(four(memory::truncate(A, B, 3, 0)), alive(&[&[0], &[1], &[2], &[]]));
    assert_eq!(four(memory::flip_bit(A, B, 2, 7)), alive(&[&[0], &[1], &[0x82], &[3]]));
    assert_eq!(four(memory::flip_bit(A, B, 2, 8)), alive(&[&[0], &[1], &[2], &[3]]));
    assert_eq!(four(memory::replace(A, B, 1, vec![7, 7])), alive(&[&[0], &[7, 7], &[2], &[3]]));
    assert_eq!(four(memory::inject(A, B, 1, vec![9])), alive(&[&[0], &[9], &[1], &[2], &[3]]));
}

#[test]
fn a_cut_line_fails_at_the_sender_too() {
    let (mut a, mut b) = pair(memory::disconnect_after(A, 1));
    a.send(B, b"last").unwrap();
    assert_eq!(a.send(B, b"lost").unwrap_err().fault(), &Fault::Disconnected);
    assert_eq!(a.send(B, b"lost").unwrap_err().fault(), &Fault::Disconnected);
    // The other direction lives.
    b.send(A, b"hello").unwrap();
    assert_eq!(a.receive(B, Deadline::now()).unwrap(), b"hello");
}

#[test]
fn frames_take_their_time() {
    let builder = || MemoryNetwork::builder(["a", "b"]);
    let slow = Duration::from_secs(1);
    // 25,000 bytes at two hundred thousand bits a second take a second.
    for builder in [builder().latency(slow), builder().bandwidth(200_000)] {
        let mut network = builder.build().unwrap();
        network[0].send(B, &[1; 25_000]).unwrap();
        let early = network[1].receive(A, Deadline::after(Duration::from_millis(20)));
        assert!(early.unwrap_err().is_timeout());
        assert!(network[1].receive(A, Deadline::now()).unwrap_err().is_timeout());
        assert_eq!(network[1].receive(A, Deadline::after(Duration::from_secs(20))).unwrap().len(), 25_000);
    }
}

/// The order in which frames of b and c reach a.
fn arrivals(seed: u64) -> Vec<PartyId> {
    let builder = MemoryNetwork::builder(["a", "b", "c"]).shuffled(seed, Duration::from_millis(100));
    let mut network = builder.build().unwrap();
    for from in [1, 2] {
        network[from].send(A, b"frame").unwrap();
    }
    let mut order = Vec::new();
    while order.len() < 2 {
        for from in [B, id(2)] {
            if network[0].receive(from, Deadline::now()).is_ok() {
                order.push(from);
            }
        }
    }
    order
}

#[test]
fn shuffling_changes_the_order_across_pairs() {
    let b_first = (0..16).filter(|&seed| arrivals(seed)[0] == B).count();
    assert!((1..16).contains(&b_first), "{b_first} of 16");
}

#[test]
fn a_peer_that_owes_too_much_is_given_up() {
    let (mut a, mut b) = pair(|_, _, _, _: &mut Vec<u8>| Action::Deliver);
    let other = std::thread::spawn(move || open(&mut b).map(drop).map(|()| b));
    let mut session = open(&mut a).unwrap();
    let _b = other.join().unwrap().unwrap();
    for step in 0..1025 {
        assert!(session.failed().is_empty(), "{step}");
        session.collect(|to| Some(Note { from: A, to }), |_| true, 0, &()).unwrap();
    }
    assert_eq!(session.failed(), [B]);
    assert_eq!(session.failures()[0].cause, Cause::Violation(Violation::TooFarBehind));
}

#[test]
fn leftovers_of_an_earlier_session_are_bounded() {
    for (leftovers, fine) in [(4096, true), (4097, false)] {
        let (mut a, mut b) = pair(|_, _, _, _: &mut Vec<u8>| Action::Deliver);
        let other = std::thread::spawn(move || {
            let mut session = open(&mut b).unwrap();
            for _ in 0..leftovers {
                session.collect(|to| Some(Note { from: B, to }), |_| true, 0, &()).unwrap();
            }
            open(&mut b).map(drop)
        });
        open(&mut a).map(drop).unwrap();
        let second = open(&mut a).map(drop);
        assert_eq!(second.is_ok(), fine);
        if let Err(SessionError::Failed { failures, .. }) = second {
            assert_eq!(failures[0].cause, Cause::Violation(Violation::TooManyLeftovers));
        }
        assert_eq!(other.join().unwrap().is_ok(), fine);
    }
}
