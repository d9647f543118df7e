//! What the tests share.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "test code, and no test uses all of it"
)]

#[cfg(feature = "tls")]
pub mod tls;

use std::time::Duration;

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};

use subrosa_transport::{
    Limits, Malformed, MemoryTransport, Message, Parameters, PartyId, Protocol, Session, SessionError,
    Transport,
};

pub const PROTOCOL: Protocol = Protocol { name: "test", version: 7 };

/// A list of numbers of a length and bound that everybody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers(pub Vec<u64>);

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub count: usize,
    pub below: u64,
}

pub const BOUNDS: Bounds = Bounds { count: 2, below: 1000 };

impl Message for Numbers {
    const ROUND: &'static str = "test/numbers";
    type Shape = Bounds;

    fn max_bytes(shape: &Bounds) -> usize {
        3 + 10 * shape.count
    }

    fn check(&self, shape: &Bounds) -> Result<(), Malformed> {
        if self.0.len() != shape.count {
            return Err(Malformed::new("wrong count"));
        }
        if self.0.iter().any(|&number| number >= shape.below) {
            return Err(Malformed::new("number out of range"));
        }
        Ok(())
    }
}

/// A personal message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub from: PartyId,
    pub to: PartyId,
}

impl Message for Note {
    const ROUND: &'static str = "test/note";
    type Shape = ();

    fn max_bytes(_: &()) -> usize {
        2 // places below 128
    }
}

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub fn id(index: u16) -> PartyId {
    PartyId::new(index)
}

pub fn settings(millis: u64) -> Limits {
    Limits::default().with_timeout(Duration::from_millis(millis))
}

/// Opens a session with a deadline that no test reaches unless it means to.
pub fn open(transport: &mut MemoryTransport) -> Result<Session<&mut MemoryTransport>, SessionError> {
    open_within(transport, 20_000)
}

pub fn open_within<T: Transport>(transport: &mut T, millis: u64) -> Result<Session<&mut T>, SessionError> {
    let seed = transport.roster().me().index() as u64;
    Session::open(transport, PROTOCOL, &Parameters::new(), settings(millis), &mut rng(seed))
}
