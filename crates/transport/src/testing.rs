//! Runs all parties of a protocol in one process, each on a thread of its own.

use std::{panic::resume_unwind, thread};

use crate::{MemoryNetwork, MemoryTransport, PartyId, Roster, Transport};

/// Runs `party` for each of `n` parties over a fresh in-memory network. Returns the results in roster order.
///
/// A party that returns drops its transport. The others see a disconnection.
///
/// # Panics
/// If `n` is not from 2 to 1024, or if a party panics.
///
/// ```
/// use std::time::Duration;
/// use subrosa_transport::{Deadline, PartyId, Transport, testing::run_parties};
///
/// let received = run_parties(2, |me, mut transport| {
///     let other = PartyId::new(if me.index() == 0 { 1 } else { 0 });
///     transport.send(other, &[me.number() as u8]).unwrap();
///     transport.receive(other, Deadline::after(Duration::from_secs(5))).unwrap()
/// });
/// assert_eq!(received, [[2], [1]]);
/// ```
pub fn run_parties<R: Send>(n: usize, party: impl Fn(PartyId, MemoryTransport) -> R + Sync) -> Vec<R> {
    match MemoryNetwork::of(n) {
        Ok(network) => run_network(network, party),
        // A test's own mistake.
        Err(error) => resume_unwind(Box::new(crate::with_causes(&error))),
    }
}

/// Runs `party` for each transport of a network. Returns the results in the same order.
///
/// # Panics
/// If a party panics.
pub fn run_network<T, R>(network: Vec<T>, party: impl Fn(PartyId, T) -> R + Sync) -> Vec<R>
where
    T: Transport + Send,
    R: Send,
{
    let party = &party;
    thread::scope(|scope| {
        let run = |transport: T| {
            let me = transport.roster().me();
            scope.spawn(move || party(me, transport))
        };
        let threads: Vec<_> = network.into_iter().map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// Creates the roster that [`run_parties`] gives to party `me` of `n`.
///
/// # Errors
/// As [`Roster::new`].
pub fn roster(n: usize, me: PartyId) -> Result<Roster, crate::RosterError> {
    Roster::new((1..=n).map(|number| format!("party-{number}")), me)
}

/// Decodes `bytes` as what one side of a TLS connection sends inside it (greeting, then records), `piece` bytes at a
/// time. Returns the frames. For fuzzing the decoder.
///
/// # Errors
/// Bytes that are no greeting, an unknown kind of record, or a frame of more than `max_frame` bytes.
#[cfg(feature = "tls")]
pub fn read_tls(
    bytes: &[u8],
    max_frame: usize,
    piece: usize,
) -> Result<Vec<Vec<u8>>, crate::tls::TlsRecordError> {
    crate::tls::read_all(bytes, max_frame, piece)
}
