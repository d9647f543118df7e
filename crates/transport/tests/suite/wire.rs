//! The exact bytes of frames. They are part of the interface: a change needs a new version of the format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use crate::common::*;
use subrosa_transport::{
    FRAME_VERSION, HEADER_BYTES, MemoryNetwork, Parameters, PartyId, Session, memory::Action, testing,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// What bert sends to anna: greeting, confirmation of the session id, a broadcast, a note, an echo, an abort.
fn frames() -> Vec<Vec<u8>> {
    let frames = Arc::new(Mutex::new(Vec::new()));
    let store = Arc::clone(&frames);
    let network = MemoryNetwork::builder(["anna", "bert"])
        .intercept(move |from, _, _, frame: &mut Vec<u8>| {
            if from == PartyId::new(1) {
                store.lock().unwrap().push(frame.clone());
            }
            Action::Deliver
        })
        .build()
        .unwrap();
    testing::run_network(network, |me, mut transport| {
        // Nonces of 32 equal bytes.
        let mut rng = Constant(u8::try_from(me.number()).unwrap());
        let parameters = Parameters::new().with("key_bits", 2048);
        let mut session =
            Session::open(&mut transport, PROTOCOL, &parameters, settings(20_000), &mut rng).unwrap();
        session.broadcast(&Numbers(vec![300, me.index() as u64]), &BOUNDS).unwrap();
        session.exchange(|to| Some(Note { from: me, to }), |_| true, &()).unwrap();
        session.confirm().unwrap();
        if me == PartyId::new(1) {
            session.abort("that's all", &[PartyId::new(0)]);
        }
    });
    Arc::into_inner(frames).unwrap().into_inner().unwrap()
}

struct Constant(u8);

impl rand_core::TryRng for Constant {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_le_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_le_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(self.0);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Constant {}

#[test]
fn frames_have_these_bytes() {
    let frames = frames();
    assert_eq!((frames.len(), FRAME_VERSION, HEADER_BYTES), (6, 1, 84));
    // Computed by tests/suite/wire.py, which is written from docs/protocols/session.md alone.
    let expected: Vec<&str> = include_str!("wire.hex").lines().collect();
    let frames: Vec<String> = frames.iter().map(|frame| hex(frame)).collect();
    assert_eq!(frames, expected);
}
