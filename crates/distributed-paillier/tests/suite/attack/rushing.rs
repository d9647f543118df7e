//! A transport whose owner reads its peers' frames before it sends its own, and may tell them different things.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use subrosa_transport::{
    Deadline, HEADER_BYTES, MemoryTransport, Message, PartyId, Roster, Transport, TransportError,
};

/// Where in a frame its kind is; confirmations are of kind 2.
pub const KIND: usize = 5;
/// Where in a frame its sender's transcript is.
const TRANSCRIPT: std::ops::Range<usize> = 44..76;
/// The kind of an abort.
const ABORT: u8 = 3;

struct Line {
    transport: MemoryTransport,
    /// Frames that were looked at, by peer.
    seen: Vec<VecDeque<Vec<u8>>>,
    /// What some peers get instead of the payload of the next frame.
    instead: HashMap<PartyId, Vec<u8>>,
    /// Who gets nothing any more.
    mute: Vec<PartyId>,
    /// Shows every peer the transcript that the peer has itself.
    mirror: bool,
    /// My transcript in the last frame.
    mine: Vec<u8>,
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
        let line = Line {
            transport,
            seen,
            instead: HashMap::new(),
            mute: Vec::new(),
            mirror: false,
            mine: Vec::new(),
        };
        Self { roster, line: Arc::new(Mutex::new(line)) }
    }

    /// The next message of a peer, which the session still gets. `None` if the peer sends something else.
    pub fn peek<M: Message>(&self, from: PartyId) -> Option<M> {
        self.line.lock().unwrap().peek(from, |frame| postcard::from_bytes(frame.get(HEADER_BYTES..)?).ok())
    }

    /// The next frame of a peer.
    pub fn peek_frame(&self, from: PartyId) -> Option<Vec<u8>> {
        self.line.lock().unwrap().peek(from, |frame| Some(frame.to_vec()))
    }

    /// Sends one peer another message than the next one.
    pub fn tell<M: Message>(&self, to: PartyId, message: &M) {
        let payload = postcard::to_stdvec(message).unwrap();
        self.line.lock().unwrap().instead.insert(to, payload);
    }

    /// From now on these peers get nothing.
    pub fn mute(&self, peers: &[PartyId]) {
        self.line.lock().unwrap().mute.extend(peers);
    }

    /// From now on every peer sees its own transcript in my frames, so that it cannot tell that I saw something else.
    pub fn mirror(&self) {
        self.line.lock().unwrap().mirror = true;
    }
}

impl Line {
    fn peek<R>(&mut self, from: PartyId, look: impl FnOnce(&[u8]) -> Option<R>) -> Option<R> {
        let seen = &mut self.seen[from.index()];
        if seen.is_empty() {
            seen.push_back(self.transport.receive(from, Deadline::after(Duration::from_secs(20))).ok()?);
        }
        look(seen.front()?)
    }
}

impl Transport for Rushing {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        let mut line = self.line.lock().unwrap();
        let mut frame = frame.to_vec();
        line.mine = frame[TRANSCRIPT].to_vec();
        // Who deceives its peers does not tell them that it noticed.
        if line.mute.contains(&to) || (line.mirror && frame[KIND] == ABORT) {
            return Ok(());
        }
        if let Some(payload) = line.instead.remove(&to) {
            frame.truncate(HEADER_BYTES);
            frame.extend(payload);
        }
        if line.mirror {
            let theirs = line.peek(to, |frame| Some(frame[TRANSCRIPT].to_vec()));
            frame[TRANSCRIPT].copy_from_slice(&theirs.unwrap_or_else(|| line.mine.clone()));
        }
        line.transport.send(to, &frame)
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        let mut line = self.line.lock().unwrap();
        let mut frame = match line.seen[from.index()].pop_front() {
            Some(frame) => frame,
            None => line.transport.receive(from, deadline)?,
        };
        if line.mirror && frame[KIND] != ABORT {
            let mine = line.mine.clone();
            frame[TRANSCRIPT].copy_from_slice(&mine);
        }
        Ok(frame)
    }
}
