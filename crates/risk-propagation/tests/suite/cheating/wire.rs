//! The deviating bank's transport: it looks at frames before its session gets them, and keeps a record of all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use subrosa_paillier::{Ciphertext, CiphertextBatch, PublicKey};
use subrosa_risk_propagation::steps::messages::NoiseChunk;
use subrosa_threshold_decryption::BatchProof;
use subrosa_transport::{
    Deadline, HEADER_BYTES, Malformed, MemoryTransport, Message, PartyId, Roster, Transport, TransportError,
};

/// How long to wait for a frame that is to be looked at.
const PATIENCE: Duration = Duration::from_secs(20);

/// A frame as it crossed the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub peer: PartyId,
    pub sent: bool,
    pub bytes: Vec<u8>,
}

impl Frame {
    /// Whether the frame belongs to a round of this name.
    pub fn is_of(&self, round: &str) -> bool {
        is_of(&self.bytes, round)
    }
}

/// Whether a frame belongs to a round of this name.
pub fn is_of(frame: &[u8], round: &str) -> bool {
    frame.get(76..HEADER_BYTES) == Some(&round_tag(round)[..])
}

struct Inner {
    transport: MemoryTransport,
    /// Frames that were looked at, by sender.
    waiting: Vec<VecDeque<Vec<u8>>>,
    record: Vec<Frame>,
}

impl Inner {
    /// The next frame of a peer.
    fn next(&mut self, from: PartyId) -> Option<&[u8]> {
        let waiting = &mut self.waiting[from.index()];
        if waiting.is_empty() {
            waiting.push_back(self.transport.receive(from, Deadline::after(PATIENCE)).ok()?);
        }
        waiting.front().map(Vec::as_slice)
    }
}

/// A transport that can be looked into while a session uses it.
#[derive(Clone)]
pub struct Peeking {
    roster: Roster,
    inner: Arc<Mutex<Inner>>,
}

impl Peeking {
    pub fn new(transport: MemoryTransport) -> Self {
        let roster = transport.roster().clone();
        let waiting = vec![VecDeque::new(); roster.len()];
        let inner = Inner { transport, waiting, record: Vec::new() };
        Self { roster, inner: Arc::new(Mutex::new(inner)) }
    }

    /// The payload of the next frame of a peer, which stays where it is.
    pub fn payload(&self, from: PartyId) -> Vec<u8> {
        let mut inner = self.inner.lock().unwrap();
        inner.next(from).map_or(Vec::new(), |frame| frame[HEADER_BYTES..].to_vec())
    }

    /// The ciphertexts in the next frame of a peer, which stays where it is; none if that frame is of another round.
    pub fn peek(&self, from: PartyId, round: &str, key: &PublicKey) -> Vec<Ciphertext> {
        let mut inner = self.inner.lock().unwrap();
        let Some(frame) = inner.next(from) else { return Vec::new() };
        if !is_of(frame, round) {
            return Vec::new();
        }
        let bytes = &frame[HEADER_BYTES..];
        let batch = match round {
            "propagate/noise" => postcard::from_bytes(bytes).map(|noise: NoiseChunk| noise.batch),
            _ => postcard::from_bytes::<CiphertextBatch>(bytes),
        };
        batch.map_or(Vec::new(), |batch| batch.accept(key).unwrap_or_default())
    }

    /// Every frame until now.
    pub fn record(&self) -> Vec<Frame> {
        self.inner.lock().unwrap().record.clone()
    }
}

impl Transport for Peeking {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        let mut inner = self.inner.lock().unwrap();
        inner.record.push(Frame { peer: to, sent: true, bytes: frame.to_vec() });
        inner.transport.send(to, frame)
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        let mut inner = self.inner.lock().unwrap();
        let frame = match inner.waiting[from.index()].pop_front() {
            Some(frame) => frame,
            None => inner.transport.receive(from, deadline)?,
        };
        inner.record.push(Frame { peer: from, sent: false, bytes: frame.clone() });
        Ok(frame)
    }
}

/// As `docs/protocols/session.md` has it.
fn round_tag(round: &str) -> [u8; 8] {
    let hash = Sha256::new().chain_update("subrosa round v1").chain_update(round).finalize();
    *hash.first_chunk().unwrap()
}

/// Partial decryptions as they cross the wire, with any content.
#[derive(Clone, Serialize, Deserialize)]
pub struct Partials {
    #[serde(with = "subrosa_encoding::wire::uints")]
    pub values: Vec<num_bigint::BigUint>,
}

/// [`Partials`] with a proof, which may be worth nothing.
#[derive(Clone, Serialize, Deserialize)]
pub struct Proven {
    #[serde(with = "subrosa_encoding::wire::uints")]
    pub values: Vec<num_bigint::BigUint>,
    pub proof: BatchProof,
}

impl Message for Proven {
    const ROUND: &'static str = "decrypt/proven-partial";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        1 << 20
    }

    fn check(&self, (): &()) -> Result<(), Malformed> {
        Ok(())
    }
}

/// Whether the sender wants the receiver's partial decryptions.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Asked {
    pub wanted: bool,
}

impl Message for Asked {
    const ROUND: &'static str = "decrypt/request";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        6
    }

    fn check(&self, (): &()) -> Result<(), Malformed> {
        Ok(())
    }
}

impl Message for Partials {
    const ROUND: &'static str = "decrypt/partial";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        1 << 20
    }

    fn check(&self, (): &()) -> Result<(), Malformed> {
        Ok(())
    }
}
