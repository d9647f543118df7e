//! Checks that a [`Transport`] keeps its laws, for the tests of any implementation.
//!
//! [`check_all`] runs every check, each over a fresh network from a function that you supply. Each `check_*` function
//! runs one check. Run [`check_deadline`] and [`check_send_does_not_wait`] first: the other checks hang if the
//! transport hangs. Checks return what is wrong. They panic only if the transport panics.
//!
//! Two properties cannot be checked from outside: that frames are encrypted and authenticated on their way, and that an
//! announced length over the limit is refused before memory is allocated. Test these where you implement them.
//!
//! ```
//! use subrosa_transport::{MemoryNetwork, conformance};
//!
//! let make = |names: &[&str]| MemoryNetwork::builder(names.iter().copied()).max_frame(1 << 16).build().unwrap();
//! conformance::check_all(make).unwrap();
//! ```

mod blocking;
mod delivery;

use std::{fmt, thread, time::Duration};

pub use blocking::{
    check_deadline, check_errors_stay, check_send_does_not_wait, check_threads, check_timeout_is_not_final,
};
pub use delivery::{
    check_identity, check_limit, check_no_order_across_pairs, check_order, check_pairs_are_private,
    check_roster, check_sizes, check_wrong_party,
};

use crate::{Deadline, PartyId, Transport, TransportError};

/// The laws of [`Transport`], by their numbers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Law {
    /// One transport for each name, in order, each knowing who it is.
    Roster,
    /// T1: the sender is known from the channel.
    Identity,
    /// T2: a pair's frames are seen by nobody else.
    Privacy,
    /// T3: whole, in order, exactly once; no order across pairs.
    Order,
    /// T4: frames up to the limit pass, longer ones are refused.
    Limit,
    /// T5: `send` does not wait for `receive`.
    NoWaiting,
    /// T6: `receive` returns by its deadline.
    Deadline,
    /// T7: errors name the peer and stay; a time-out is not final.
    Errors,
}

/// A law that a transport broke, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{law:?}: {detail}")]
#[non_exhaustive]
pub struct Broken {
    /// The law.
    pub law: Law,
    /// What was seen.
    pub detail: String,
    /// Whether a call did not return although it should have.
    pub hangs: bool,
}

/// Every law that a transport broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotConforming(pub Vec<Broken>);

impl fmt::Display for NotConforming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the transport breaks its laws")?;
        self.0.iter().try_for_each(|broken| write!(f, "\n- {broken}"))
    }
}

impl std::error::Error for NotConforming {}

/// The time and size limits of the checks.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Time after which an operation counts as hanging. Default 20 s.
    pub timeout: Duration,
    /// Time without a frame that counts as silence. It must be longer than the network's latency. Default 50 ms.
    pub silence: Duration,
    /// Greatest frame that is tried, in bytes, for transports with a very large limit. Default 64 MiB.
    pub largest: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(20),
            silence: Duration::from_millis(50),
            largest: crate::DEFAULT_MAX_FRAME,
        }
    }
}

impl Options {
    /// Sets the time after which an operation counts as hanging.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the time without a frame that counts as silence.
    #[must_use]
    pub fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Sets the greatest frame that is tried, in bytes.
    #[must_use]
    pub fn with_largest(mut self, bytes: usize) -> Self {
        self.largest = bytes;
        self
    }
}

/// Runs every check with the default options.
///
/// `make` builds a connected network among parties of the given names and returns their transports in that order.
///
/// # Errors
/// Every law that was broken.
pub fn check_all<T: Transport + Send>(make: impl FnMut(&[&str]) -> Vec<T>) -> Result<(), NotConforming> {
    check_all_with(&Options::default(), make)
}

/// Runs every check with these options. If a transport hangs in the first two checks, the others are not run.
///
/// # Errors
/// Every law that was broken.
pub fn check_all_with<T: Transport + Send>(
    options: &Options,
    mut make: impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), NotConforming> {
    let make = &mut make;
    // The other checks would hang as well.
    let broken: Vec<Broken> = [check_deadline(options, make), check_send_does_not_wait(options, make)]
        .into_iter()
        .filter_map(Result::err)
        .collect();
    if broken.iter().any(|broken| broken.hangs) {
        return Err(NotConforming(broken));
    }
    let results = [
        check_roster(options, make),
        check_wrong_party(options, make),
        check_order(options, make),
        check_identity(options, make),
        check_pairs_are_private(options, make),
        check_sizes(options, make),
        check_limit(options, make),
        check_no_order_across_pairs(options, make),
        check_timeout_is_not_final(options, make),
        check_errors_stay(options, make),
        check_threads(options, make),
    ];
    let broken: Vec<Broken> = broken.into_iter().chain(results.into_iter().filter_map(Result::err)).collect();
    if broken.is_empty() { Ok(()) } else { Err(NotConforming(broken)) }
}

fn broken<R>(law: Law, detail: impl Into<String>) -> Result<R, Broken> {
    Err(Broken { law, detail: detail.into(), hangs: false })
}

/// A fresh network of exactly `N` parties.
fn network<T: Transport, const N: usize>(make: &mut impl FnMut(&[&str]) -> Vec<T>) -> Result<[T; N], Broken> {
    const NAMES: [&str; 5] = ["anna", "bert", "carla", "dora", "emil"];
    let transports = make(&NAMES[..N]);
    let made = transports.len();
    transports.try_into().or_else(|_| broken(Law::Roster, format!("{made} transports for {N} names")))
}

const A: PartyId = PartyId::new(0);
const B: PartyId = PartyId::new(1);
const C: PartyId = PartyId::new(2);

fn send(transport: &mut impl Transport, to: PartyId, frame: &[u8], law: Law) -> Result<(), Broken> {
    transport
        .send(to, frame)
        .or_else(|error| broken(law, format!("sending {} bytes to {to} failed: {error}", frame.len())))
}

/// The next frame must be this one.
fn expect(
    options: &Options,
    transport: &mut impl Transport,
    from: PartyId,
    expected: &[u8],
    law: Law,
) -> Result<(), Broken> {
    match transport.receive(from, Deadline::after(options.timeout)) {
        Ok(frame) if frame == expected => Ok(()),
        Ok(frame) => {
            broken(law, format!("expected {} from {from}, received {}", describe(expected), describe(&frame)))
        }
        Err(error) => broken(law, format!("expected {} from {from}: {error}", describe(expected))),
    }
}

/// Nothing may arrive.
fn expect_silence(
    options: &Options,
    transport: &mut impl Transport,
    from: PartyId,
    law: Law,
) -> Result<(), Broken> {
    match transport.receive(from, Deadline::after(options.silence)) {
        Err(error) if error.is_timeout() => names(&error, from),
        Err(error) => broken(law, format!("expected a time-out for {from}, got: {error}")),
        Ok(frame) => broken(law, format!("received {} from {from}, which did not send it", describe(&frame))),
    }
}

fn names(error: &TransportError, peer: PartyId) -> Result<(), Broken> {
    if error.peer() == peer {
        Ok(())
    } else {
        broken(Law::Errors, format!("an error about {peer} names {}: {error}", error.peer()))
    }
}

fn describe(frame: &[u8]) -> String {
    let shown = frame.len().min(12);
    format!("{} bytes {:02x?}{}", frame.len(), &frame[..shown], if frame.len() > shown { "…" } else { "" })
}

/// A frame that differs in every place and for every `seed`, `length` bytes long.
fn pattern(seed: usize, length: usize) -> Vec<u8> {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut frame = Vec::with_capacity(length + 8);
    while frame.len() < length {
        // xorshift64, Marsaglia 2003.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        frame.extend_from_slice(&state.to_le_bytes());
    }
    frame.truncate(length);
    frame
}

/// Joins a scoped thread, and resumes a panic of the transport.
fn join<R>(thread: thread::ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
