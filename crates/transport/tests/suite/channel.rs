//! The transport whose frames the application carries: the laws with threads and with tasks, and how peers end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

// Its `carry` is checked by the suite.
#[path = "../../examples/tokio.rs"]
mod example;

use std::{
    future::Future,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{self, Handle},
    task::JoinHandle,
};

use subrosa_transport::{
    ChannelTransport, Deadline, Fault, PartyId, Roster, Transport,
    channel::{ChannelLimits, Frame, Incoming, NoFrame, Outgoing, Peer, PushRefusal},
    conformance,
};

const A: PartyId = PartyId::new(0);
const B: PartyId = PartyId::new(1);
const LIMIT: usize = 1 << 16;

fn limits() -> ChannelLimits {
    ChannelLimits::default().with_max_frame(LIMIT)
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// All transports of a network, and the handles of each pair: those at the first and those at the second.
fn unconnected(names: &[&str]) -> (Vec<ChannelTransport>, Vec<(Peer, Peer)>) {
    let roster = Roster::new(names.iter().copied(), A).unwrap();
    let (transports, mut peers): (Vec<_>, Vec<Vec<Peer>>) =
        roster.parties().map(|me| ChannelTransport::new(roster.seen_by(me).unwrap(), limits())).unzip();
    let mut pairs = Vec::new();
    for first in 0..names.len() {
        for second in first + 1..names.len() {
            // Those before `second` are gone already.
            let (at_first, at_second) = (peers[first].remove(0), peers[second].remove(0));
            assert_eq!((at_first.party.index(), at_second.party.index()), (second, first));
            pairs.push((at_first, at_second));
        }
    }
    (transports, pairs)
}

fn forward(mut from: Outgoing, to: Incoming) {
    thread::spawn(move || {
        while let Ok(frame) = from.blocking_next(Deadline::after(Duration::from_secs(3600))) {
            if to.blocking_push(frame.into_vec(), Deadline::after(Duration::from_secs(3600))).is_err() {
                return;
            }
        }
    });
}

fn by_threads(names: &[&str]) -> Vec<ChannelTransport> {
    let (transports, pairs) = unconnected(names);
    for (a, b) in pairs {
        forward(a.outgoing, b.incoming);
        forward(b.outgoing, a.incoming);
    }
    transports
}

/// A runtime on a thread of its own.
fn tasks() -> &'static Handle {
    static TASKS: OnceLock<Handle> = OnceLock::new();
    TASKS.get_or_init(|| {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        handle
    })
}

fn by_tasks(names: &[&str]) -> Vec<ChannelTransport> {
    let (transports, pairs) = unconnected(names);
    for (a, b) in pairs {
        // Smaller than a frame, so that reader and writer wait for each other.
        let (at_a, at_b) = tokio::io::duplex(1000);
        tasks().spawn(example::carry(at_a, a));
        tasks().spawn(example::carry(at_b, b));
    }
    transports
}

#[test]
fn it_conforms_with_threads() {
    conformance::check_all(by_threads).unwrap();
}

#[test]
fn it_conforms_with_tasks() {
    conformance::check_all(by_tasks).unwrap();
}

#[test]
fn the_example_runs() {
    example::main().unwrap();
}

/// anna's transport and her handles for bert.
fn anna(limits: ChannelLimits) -> (ChannelTransport, Peer) {
    let (transport, mut peers) = ChannelTransport::new(Roster::new(["anna", "bert"], A).unwrap(), limits);
    assert_eq!(peers.len(), 1);
    let peer = peers.remove(0);
    assert_eq!((peer.party, peer.name.as_str()), (B, "bert"));
    (transport, peer)
}

/// Calls `end` while a thread waits to receive; what it receives, and that it did not wait for its deadline.
fn while_receiving(mut transport: ChannelTransport, end: impl FnOnce()) -> (ChannelTransport, Fault) {
    let begin = Instant::now();
    let waiting = thread::spawn(move || {
        let fault = transport.receive(B, soon()).unwrap_err().fault().clone();
        (transport, fault)
    });
    thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished());
    end();
    let ended = waiting.join().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(10));
    ended
}

/// The result of a task or thread that waits until `cause` happens.
fn wait_for<R>(waiting: JoinHandle<R>, cause: impl FnOnce()) -> R {
    thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished());
    cause();
    let begin = Instant::now();
    while !waiting.is_finished() {
        assert!(begin.elapsed() < Duration::from_secs(10), "it still waits");
        thread::sleep(Duration::from_millis(1));
    }
    await_ready(waiting).unwrap()
}

/// The result of a future that does not wait.
fn await_ready<F: Future>(future: F) -> F::Output {
    runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn frames_wait_for_a_peer_that_comes_late() {
    let (mut transport, Peer { incoming, mut outgoing, .. }) = anna(limits());
    transport.send(B, b"one").unwrap();
    transport.send(B, b"").unwrap();
    assert!(transport.receive(B, Deadline::now()).unwrap_err().is_timeout());
    // Now bert is connected.
    assert_eq!(*outgoing.try_next().unwrap(), *b"one");
    assert_eq!(outgoing.blocking_next(soon()).unwrap().into_vec(), b"");
    assert_eq!(outgoing.try_next(), Err(NoFrame::Yet));
    let begin = Instant::now();
    let wait = Duration::from_millis(50);
    assert_eq!(outgoing.blocking_next(Deadline::after(wait)), Err(NoFrame::Yet));
    assert!(begin.elapsed() >= wait);
    incoming.try_push(b"two".to_vec()).unwrap();
    assert_eq!(transport.receive(B, Deadline::now()).unwrap(), b"two");
    let waiting = tasks().spawn(async move { outgoing.next().await });
    let frame = wait_for(waiting, || transport.send(B, b"three").unwrap());
    assert_eq!(*frame.unwrap(), *b"three");
}

#[test]
fn a_disconnection_ends_waiting_and_keeps_what_came_before() {
    let (mut transport, Peer { incoming, mut outgoing, .. }) = anna(limits());
    transport.send(B, b"to bert").unwrap();
    let (mut transport, fault) = while_receiving(transport, || incoming.disconnect());
    assert_eq!(fault, Fault::Disconnected);
    assert_eq!(transport.send(B, b"x").unwrap_err().fault(), &Fault::Disconnected);
    // The first reason stays.
    incoming.fail("reset");
    assert_eq!(transport.receive(B, soon()).unwrap_err().fault(), &Fault::Disconnected);
    assert_eq!(incoming.try_push(b"late".to_vec()).unwrap_err().reason(), PushRefusal::Closed);
    assert_eq!(*outgoing.try_next().unwrap(), *b"to bert");
    assert_eq!(outgoing.try_next(), Err(NoFrame::Ended));

    let (mut transport, Peer { incoming, .. }) = anna(limits());
    incoming.try_push(b"last words".to_vec()).unwrap();
    incoming.fail("reset by bert");
    assert_eq!(transport.receive(B, soon()).unwrap(), b"last words");
    let error = transport.receive(B, soon()).unwrap_err();
    assert_eq!(error.to_string(), "bert cannot be reached: reset by bert");
    assert_eq!(transport.send(B, b"x").unwrap_err(), error);
}

#[test]
fn dropping_the_last_handle_for_frames_from_a_peer_ends_waiting() {
    let (transport, Peer { incoming, mut outgoing, .. }) = anna(limits());
    let clone = incoming.clone();
    drop(incoming);
    assert_eq!(outgoing.try_next(), Err(NoFrame::Yet));
    let (_, fault) = while_receiving(transport, || drop(clone));
    assert_eq!(fault, Fault::Disconnected);
    assert_eq!(outgoing.try_next(), Err(NoFrame::Ended));

    // A task and a thread that wait for frames to bert see that bert has ended.
    for blocking in [true, false] {
        let (_transport, Peer { incoming, mut outgoing, .. }) = anna(limits());
        let waiting = if blocking {
            tasks().spawn_blocking(move || outgoing.blocking_next(soon()).ok())
        } else {
            tasks().spawn(async move { outgoing.next().await })
        };
        assert_eq!(wait_for(waiting, || drop(incoming)), None);
    }
}

#[test]
fn dropping_the_handle_for_frames_to_a_peer_stops_sending_only() {
    let (mut transport, Peer { incoming, outgoing, .. }) = anna(limits());
    transport.send(B, b"never taken").unwrap();
    drop(outgoing);
    assert_eq!(transport.send(B, b"x").unwrap_err().fault(), &Fault::Disconnected);
    // What the peer had written before its connection broke still counts.
    incoming.try_push(b"last words".to_vec()).unwrap();
    assert_eq!(transport.receive(B, soon()).unwrap(), b"last words");
    assert!(transport.receive(B, Deadline::now()).unwrap_err().is_timeout());
}

#[test]
fn dropping_the_transport_ends_every_wait() {
    let small = limits().with_max_frame(100).with_max_unread(0);
    for blocking in [true, false] {
        let (transport, Peer { incoming, mut outgoing, .. }) = anna(small.clone());
        incoming.try_push(vec![0; 100]).unwrap();
        let waiting = if blocking {
            tasks().spawn_blocking(move || incoming.blocking_push(vec![1], soon()))
        } else {
            tasks().spawn(async move { incoming.push(vec![1]).await })
        };
        let refused = wait_for(waiting, || drop(transport)).unwrap_err();
        assert_eq!((refused.reason(), refused.into_frame()), (PushRefusal::Closed, vec![1]));
        assert_eq!(outgoing.try_next(), Err(NoFrame::Ended));
    }
    // What was sent before is still yielded.
    let (mut transport, Peer { incoming: _incoming, mut outgoing, .. }) = anna(limits());
    transport.send(B, b"goodbye").unwrap();
    drop(transport);
    assert_eq!(*outgoing.blocking_next(soon()).unwrap(), *b"goodbye");
    assert_eq!(await_ready(outgoing.next()), None);
}

#[test]
fn a_peer_that_sends_too_much_is_held_up_and_nothing_is_lost() {
    // Room for two frames of a hundred bytes.
    let (mut transport, Peer { incoming, .. }) =
        anna(limits().with_max_frame(100).with_max_unread(2 * (100 + 64)));
    incoming.try_push(vec![1; 100]).unwrap();
    incoming.try_push(vec![2; 100]).unwrap();
    let refused = incoming.try_push(vec![3; 100]).unwrap_err();
    assert_eq!(refused.reason(), PushRefusal::Full { waiting: 328, limit: 328 });
    assert_eq!(refused.to_string(), "328 bytes wait for the protocol, of 328 allowed");
    assert_eq!((incoming.refused(), transport.refused(B)), (1, 1));
    // The frame comes back, and passes once there is room.
    let frame = refused.into_frame();
    let pushing = incoming.clone();
    let mut received = Vec::new();
    let waiting = tasks().spawn(async move { pushing.push(frame).await });
    wait_for(waiting, || received.push(transport.receive(B, Deadline::now()).unwrap())).unwrap();
    let pushing = incoming.clone();
    let waiting = tasks().spawn_blocking(move || pushing.blocking_push(vec![4; 100], soon()));
    wait_for(waiting, || received.push(transport.receive(B, Deadline::now()).unwrap())).unwrap();
    let wait = Duration::from_millis(50);
    let refused = incoming.blocking_push(vec![5; 100], Deadline::after(wait)).unwrap_err();
    assert!(matches!(refused.reason(), PushRefusal::Full { .. }));
    received.extend((0..2).map(|_| transport.receive(B, Deadline::now()).unwrap()));
    assert_eq!(received, [[1; 100], [2; 100], [3; 100], [4; 100]]);
    assert!(transport.receive(B, Deadline::now()).unwrap_err().is_timeout());
    assert_eq!(transport.refused(B), 2);
    // Empty frames take room as well.
    let mut empty = 0;
    while incoming.try_push(Vec::new()).is_ok() {
        empty += 1;
    }
    assert_eq!(empty, 328 / 64);
    assert_eq!((transport.refused(A), transport.refused(PartyId::new(9))), (0, 0));
}

#[test]
fn a_frame_over_the_limit_ends_its_peer() {
    let (mut transport, Peer { incoming, .. }) = anna(limits());
    incoming.try_push(vec![0; LIMIT]).unwrap();
    assert_eq!(incoming.max_frame(), LIMIT);
    let refused = await_ready(incoming.push(vec![0; LIMIT + 1])).unwrap_err();
    assert_eq!(refused.reason(), PushRefusal::TooLarge { bytes: LIMIT + 1, limit: LIMIT });
    assert_eq!(transport.receive(B, soon()).unwrap().len(), LIMIT);
    let error = transport.receive(B, soon()).unwrap_err();
    assert!(matches!(error.fault(), Fault::Broken(_)), "{error}");
    assert_eq!(incoming.try_push(Vec::new()).unwrap_err().reason(), PushRefusal::Closed);
    assert_eq!(transport.refused(B), 2);
}

#[test]
fn a_queue_that_nobody_empties_has_an_end() {
    let (mut transport, Peer { incoming, mut outgoing, .. }) =
        anna(limits().with_max_frame(100).with_max_unsent(200));
    incoming.try_push(b"came before".to_vec()).unwrap();
    transport.send(B, &[0; 100]).unwrap();
    let error = transport.send(B, &[0; 100]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bert cannot be reached: 164 bytes of frames wait for it, no more are kept"
    );
    assert_eq!(outgoing.try_next(), Err(NoFrame::Ended));
    assert_eq!(transport.receive(B, soon()).unwrap(), b"came before");
    assert_eq!(transport.receive(B, soon()).unwrap_err(), error);
}

#[test]
fn a_push_that_was_given_up_leaves_no_frame() {
    let (mut transport, Peer { incoming, .. }) = anna(limits().with_max_frame(100).with_max_unread(0));
    incoming.try_push(vec![1; 100]).unwrap();
    let pushing = incoming.clone();
    let waiting = tasks().spawn(async move { pushing.push(vec![2; 100]).await });
    thread::sleep(Duration::from_millis(50));
    waiting.abort();
    thread::sleep(Duration::from_millis(50));
    assert_eq!(transport.receive(B, soon()).unwrap(), [1; 100]);
    assert!(transport.receive(B, Deadline::after(Duration::from_millis(50))).unwrap_err().is_timeout());
    incoming.try_push(vec![3; 100]).unwrap();
    assert_eq!(transport.receive(B, soon()).unwrap(), [3; 100]);
}

#[test]
fn handles_go_anywhere_and_tell_nothing() {
    fn anywhere<T: Send + Sync + 'static>() {}
    anywhere::<ChannelTransport>();
    anywhere::<Incoming>();
    anywhere::<Outgoing>();
    anywhere::<Frame>();
    let (mut transport, mut peer) = anna(limits().with_max_frame(100).with_max_unread(0));
    let secret = vec![173; 100];
    transport.send(B, &secret).unwrap();
    let frame = peer.outgoing.try_next().unwrap();
    peer.incoming.try_push(secret.clone()).unwrap();
    let refused = peer.incoming.try_push(secret).unwrap_err();
    for shown in [
        format!("{transport:?}"),
        format!("{peer:?}"),
        format!("{frame:?}"),
        format!("{refused:?}"),
        refused.to_string(),
    ] {
        assert!(!shown.contains("173"), "{shown}");
    }
}
