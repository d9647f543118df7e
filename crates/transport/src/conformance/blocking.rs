//! Checks of when calls return.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::{
    A, B, Broken, Law, Options, broken, expect, expect_silence, join, names, network, pattern, send,
};
use crate::{Deadline, Transport};

/// Runs `call` on a thread and waits for it. If it hangs, `rescue` makes it end.
fn unless_it_hangs<R: Send>(
    options: &Options,
    law: Law,
    what: &str,
    call: impl FnOnce() -> R + Send,
    rescue: impl FnOnce(),
) -> Result<R, Broken> {
    thread::scope(|scope| {
        let (done, wait) = mpsc::channel();
        let thread = scope.spawn(move || {
            let result = call();
            // Nobody listens any more after a rescue.
            let _ = done.send(());
            result
        });
        match wait.recv_timeout(options.timeout) {
            Err(mpsc::RecvTimeoutError::Timeout) => {
                rescue();
                join(thread);
                Err(Broken { law, detail: format!("{what} does not return"), hangs: true })
            }
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => Ok(join(thread)),
        }
    })
}

/// T5: a hundred frames, tens of megabytes in both directions, are sent before anybody receives.
///
/// # Errors
/// [`Law::NoWaiting`]; [`Law::Order`] where a frame is lost or changed.
pub fn check_send_does_not_wait<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    const FRAMES: usize = 128;
    const LENGTH: usize = 256 << 10;
    let [mut a, mut b] = network(make)?;
    let length = a.max_frame().min(options.largest).min(LENGTH);
    let frame = |number| pattern(number, length);
    let drain = |transport: &mut T, from| {
        while transport.receive(from, Deadline::after(options.silence)).is_ok() {}
    };
    let queue = |sender: &mut T, receiver: &mut T, to, from| {
        let all = || (0..FRAMES).try_for_each(|number| send(sender, to, &frame(number), Law::Order));
        unless_it_hangs(options, Law::NoWaiting, "sending", all, || drain(receiver, from))?
    };
    queue(&mut a, &mut b, B, A)?;
    queue(&mut b, &mut a, A, B)?;
    for number in 0..FRAMES {
        expect(options, &mut b, A, &frame(number), Law::Order)?;
        expect(options, &mut a, B, &frame(number), Law::Order)?;
    }
    Ok(())
}

/// T6: `receive` waits until its deadline and no longer. With a deadline that has passed it returns what is there.
///
/// # Errors
/// [`Law::Deadline`]; [`Law::Errors`] where an error names another party, [`Law::Order`] where a frame is lost.
pub fn check_deadline<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    let [mut a, mut b] = network(make)?;
    for wait in [Duration::ZERO, options.silence] {
        let timed = || {
            let start = Instant::now();
            (a.receive(B, Deadline::after(wait)), start.elapsed())
        };
        let rescue = || drop(b.send(A, b"wake up"));
        let (result, took) =
            unless_it_hangs(options, Law::Deadline, "receiving from a silent party", timed, rescue)?;
        match result {
            Err(error) if error.is_timeout() => names(&error, B)?,
            Err(error) => return broken(Law::Deadline, format!("silence is not a time-out: {error}")),
            Ok(_) => return broken(Law::Deadline, "a frame came that nobody sent"),
        }
        // Clocks and deadlines are rounded to the millisecond here and there.
        if took + Duration::from_millis(2) < wait {
            return broken(Law::Deadline, format!("gave up after {took:?} of {wait:?}"));
        }
    }
    let both = || {
        send(&mut b, A, b"first", Law::Order)?;
        send(&mut b, A, b"second", Law::Order)
    };
    let rescue = || while a.receive(B, Deadline::after(options.silence)).is_ok() {};
    unless_it_hangs(options, Law::NoWaiting, "sending", both, rescue)??;
    expect(options, &mut a, B, b"first", Law::Order)?;
    // The second frame follows closely. A call that does not wait must not lose it.
    let start = Instant::now();
    loop {
        match a.receive(B, Deadline::now()) {
            Ok(frame) if frame == b"second" => return Ok(()),
            Ok(_) => return broken(Law::Order, "another frame came than the one that was sent"),
            Err(error) if error.is_timeout() && start.elapsed() < options.timeout => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => {
                return broken(
                    Law::Deadline,
                    format!("a passed deadline does not give what is there: {error}"),
                );
            }
        }
    }
}

/// T7: after a time-out the frame may still come, and is received.
///
/// # Errors
/// [`Law::Errors`].
pub fn check_timeout_is_not_final<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    let [mut a, mut b] = network(make)?;
    expect_silence(options, &mut a, B, Law::Errors)?;
    expect_silence(options, &mut a, B, Law::Errors)?;
    send(&mut b, A, b"late", Law::Errors)?;
    expect(options, &mut a, B, b"late", Law::Errors)?;
    send(&mut a, B, b"answer", Law::Errors)?;
    expect(options, &mut b, A, b"answer", Law::Errors)
}

/// T7: when a party has left, the frames that it sent before still come, then an error that names it, and then always
/// an error. Other pairs are not affected.
///
/// A transport that cannot distinguish a party that left from a silent one may time out instead.
///
/// # Errors
/// [`Law::Errors`].
pub fn check_errors_stay<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    let [mut a, mut b, mut c] = network(make)?;
    send(&mut b, A, b"last words", Law::Errors)?;
    send(&mut b, A, b"", Law::Errors)?;
    drop(b);
    expect(options, &mut a, B, b"last words", Law::Errors)?;
    expect(options, &mut a, B, b"", Law::Errors)?;
    let mut gone = false;
    for _ in 0..3 {
        match a.receive(B, Deadline::after(options.silence)) {
            Ok(_) => return broken(Law::Errors, "a frame came from a party that has gone"),
            Err(error) => {
                names(&error, B)?;
                if gone && error.is_timeout() {
                    return broken(Law::Errors, format!("the error did not stay: {error}"));
                }
                gone = !error.is_timeout();
            }
        }
    }
    if gone {
        match a.send(B, b"are you there?") {
            Err(error) => names(&error, B)?,
            Ok(()) => return broken(Law::Errors, "sending to a party that is known to have gone works"),
        }
    }
    send(&mut a, super::C, b"bert has gone", Law::Errors)?;
    expect(options, &mut c, A, b"bert has gone", Law::Errors)
}

/// All laws at once: five parties on threads of their own, each sending to and receiving from all others.
///
/// # Errors
/// [`Law::Order`].
pub fn check_threads<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    const ROUNDS: usize = 50;
    let parties: [T; 5] = network(make)?;
    let limit = parties[0].max_frame().min(options.largest);
    let frame = |from: crate::PartyId, to: crate::PartyId, round: usize| {
        let seed = (round * 5 + from.index()) * 5 + to.index();
        pattern(seed, (seed * 37) % 5_000.min(limit + 1))
    };
    let run = |mut transport: T| -> Result<(), Broken> {
        let me = transport.roster().me();
        let others: Vec<_> = transport.roster().others().collect();
        for round in 0..ROUNDS {
            for &to in &others {
                send(&mut transport, to, &frame(me, to, round), Law::Order)?;
            }
            // Each party reads the others in another order in each round.
            for step in 0..others.len() {
                let from = others[(step * 3 + round + me.index()) % others.len()];
                expect(options, &mut transport, from, &frame(from, me, round), Law::Order)?;
            }
        }
        // No party leaves before all have received everything.
        others.iter().try_for_each(|&to| send(&mut transport, to, b"done", Law::Order))?;
        others.iter().try_for_each(|&from| expect(options, &mut transport, from, b"done", Law::Order))
    };
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> =
            parties.into_iter().map(|transport| scope.spawn(move || run(transport))).collect();
        // All threads are joined before the first failure is returned.
        let results: Vec<_> = threads.into_iter().map(join).collect();
        results.into_iter().collect()
    })
}
