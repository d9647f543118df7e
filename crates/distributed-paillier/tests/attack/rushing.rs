//! A transport whose owner reads its peers' frames before it sends its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use subrosa_transport::{Deadline, MemoryTransport, Message, PartyId, Roster, Transport, TransportError};

/// Bytes of a frame before its payload.
const HEADER: usize = 84;

struct Line {
    transport: MemoryTransport,
    /// Frames that were looked at, by peer.
    seen: Vec<VecDeque<Vec<u8>>>,
}

/// Clones share one line: one is the session's, the other its owner's eye.
#[derive(Clone)]
pub struct Rushing {
    roster: Roster,
    line: Arc<Mutex<Line>>,
}

impl Rushing {
    pub fn new(transport: MemoryTransport) -> Self {
        let roster = transport.roster().clone();
        let seen = vec![VecDeque::new(); roster.len()];
        Self { roster, line: Arc::new(Mutex::new(Line { transport, seen })) }
    }

    /// The next message of a peer, which the session still gets. `None` if the peer sends something else.
    pub fn peek<M: Message>(&self, from: PartyId) -> Option<M> {
        let mut line = self.line.lock().unwrap();
        if line.seen[from.index()].is_empty() {
            let frame = line.transport.receive(from, Deadline::after(Duration::from_secs(60))).ok()?;
            line.seen[from.index()].push_back(frame);
        }
        postcard::from_bytes(line.seen[from.index()].front()?.get(HEADER..)?).ok()
    }
}

impl Transport for Rushing {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        self.line.lock().unwrap().transport.send(to, frame)
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        let mut line = self.line.lock().unwrap();
        match line.seen[from.index()].pop_front() {
            Some(frame) => Ok(frame),
            None => line.transport.receive(from, deadline),
        }
    }
}
