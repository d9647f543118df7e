//! A [`Transport`] over HTTPS. This is all that the application must write to use its own networking.
//!
//! Every frame is one `POST /frames/<number>`. Server certificates are pinned, and a bearer token of the pair
//! identifies the sender (T1, T2). Frames are numbered. Each is posted until it is answered, before the next one. A
//! repeated frame is detected by its number and is not delivered twice (T3). A task per peer posts, and the server's
//! handlers fill a queue per peer. The protocol's thread may block, and uses only these queues.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use axum::{Router, routing};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, mpsc};
use tokio::{task::JoinHandle, time::Instant};

use subrosa_transport::{Deadline, Fault, PartyId, Roster, Transport, TransportError};

/// Greatest number of frames of a peer that wait here for the protocol. The next one waits at the peer.
const WAITING: usize = 16;
/// Time after which an unreachable peer counts as gone.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// How to reach another party, and how the two authenticate each other.
pub struct Peer {
    /// Base address, such as `https://amber.example:8443`.
    pub url: String,
    /// Client that trusts only this peer's certificate.
    pub client: reqwest::Client,
    /// Token that this party sends to the peer. Secret.
    pub token: String,
    /// Token that the peer sends to this party. Secret.
    pub their_token: String,
}

/// This party's end of the network. Calls block, so use it on a thread that is not a worker of the runtime.
pub struct HttpTransport {
    roster: Roster,
    max_frame: usize,
    runtime: tokio::runtime::Handle,
    /// By party; `None` for me.
    links: Vec<Option<Link>>,
}

struct Link {
    outbox: mpsc::UnboundedSender<Bytes>,
    inbox: mpsc::Receiver<Vec<u8>>,
    /// The peer is gone for good.
    gone: bool,
    courier: JoinHandle<()>,
}

/// The inbox of a peer: the number of the next frame, and the queue until the peer leaves.
type Door = Mutex<(u64, Option<mpsc::Sender<Vec<u8>>>)>;

struct Doors {
    max_frame: usize,
    /// By hash of the token, so that the time of a lookup does not depend on the token.
    by_token: HashMap<[u8; 32], Door>,
}

impl HttpTransport {
    /// Creates a transport among the roster's parties, and the routes that the application's server must offer for it.
    ///
    /// `peers` has an entry for every party in roster order. The entry of this party is ignored. Call it inside a tokio
    /// runtime.
    pub fn new(roster: Roster, peers: Vec<Option<Peer>>, max_frame: usize) -> (Self, Router) {
        let mut by_token = HashMap::new();
        let mut links = Vec::new();
        for (party, peer) in roster.parties().zip(peers) {
            links.push(peer.filter(|_| party != roster.me()).map(|peer| {
                let (arrived, inbox) = mpsc::channel(WAITING);
                let (outbox, queued) = mpsc::unbounded_channel();
                by_token.insert(hash(&peer.their_token), Mutex::new((0, Some(arrived))));
                let courier = tokio::spawn(deliver(peer, queued));
                Link { outbox, inbox, gone: false, courier }
            }));
        }
        let routes = Router::new()
            .route("/frames/{number}", routing::post(arrive))
            .route("/frames", routing::delete(leave))
            .with_state(Arc::new(Doors { max_frame, by_token }));
        (Self { roster, max_frame, runtime: tokio::runtime::Handle::current(), links }, routes)
    }

    /// Waits until the peers have every frame that was sent, or are out of reach.
    pub async fn close(self) {
        for Link { outbox, courier, .. } in self.links.into_iter().flatten() {
            drop(outbox);
            let _ = courier.await; // fails only if the runtime is shutting down
        }
    }

    fn error<R>(&self, party: PartyId, fault: Fault) -> Result<R, TransportError> {
        let fault = if party == self.roster.me() { Fault::Myself } else { fault };
        Err(TransportError::new(&self.roster, party, fault))
    }
}

impl Transport for HttpTransport {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn max_frame(&self) -> usize {
        self.max_frame
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        let (bytes, limit) = (frame.len() as u64, self.max_frame as u64);
        let link = self.links.get_mut(to.index()).and_then(Option::as_mut);
        let Some(link) = link else { return self.error(to, Fault::UnknownParty) };
        if bytes > limit {
            return self.error(to, Fault::TooLarge { bytes, limit });
        }
        link.gone |= link.inbox.is_closed() || link.outbox.send(Bytes::copy_from_slice(frame)).is_err();
        if link.gone { self.error(to, Fault::Disconnected) } else { Ok(()) }
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        let link = self.links.get_mut(from.index()).and_then(Option::as_mut);
        let Some(link) = link else { return self.error(from, Fault::UnknownParty) };
        // A frame that is there comes first even if the deadline has passed: `timeout_at` polls the queue first.
        let until = Instant::from_std(if link.gone { Deadline::now() } else { deadline }.instant());
        match self.runtime.block_on(async { tokio::time::timeout_at(until, link.inbox.recv()).await }) {
            Ok(Some(frame)) => return Ok(frame),
            Ok(None) => link.gone = true,
            Err(_) => {}
        }
        let fault = if link.gone { Fault::Disconnected } else { Fault::TimedOut };
        self.error(from, fault)
    }
}

/// Posts the frames of one pair, one after another, and announces the end.
async fn deliver(peer: Peer, mut queued: mpsc::UnboundedReceiver<Bytes>) {
    let mut number = 0_u64;
    while let Some(frame) = queued.recv().await {
        let url = format!("{}/frames/{number}", peer.url);
        if !insist(|| peer.client.post(&url).bearer_auth(&peer.token).body(frame.clone())).await {
            return; // `queued` goes with this task, so the next `send` fails
        }
        number += 1;
    }
    let url = format!("{}/frames", peer.url);
    insist(|| peer.client.delete(&url).bearer_auth(&peer.token)).await;
}

/// Repeats a request until the peer takes it (true), refuses it, or has been out of reach for too long.
async fn insist(request: impl Fn() -> reqwest::RequestBuilder) -> bool {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match request().send().await {
            Ok(answer) if answer.status().is_success() => return true,
            Ok(answer) if answer.status().is_client_error() => return false,
            _ if Instant::now() > give_up => return false,
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A peer posts a frame. It is answered once the frame is in the queue, so a slow reader slows the peer down.
async fn arrive(State(doors): State<Arc<Doors>>, Path(number): Path<u64>, request: Request) -> StatusCode {
    let Some(door) = doors.of(request.headers()) else { return StatusCode::UNAUTHORIZED };
    let Ok(frame) = axum::body::to_bytes(request.into_body(), doors.max_frame).await else {
        return StatusCode::PAYLOAD_TOO_LARGE;
    };
    let (next, inbox) = &mut *door.lock().await;
    if number < *next {
        return StatusCode::OK; // delivered before; the answer was lost
    }
    let (true, Some(queue)) = (number == *next, inbox) else { return StatusCode::CONFLICT };
    // If the peer hangs up here, the frame is not in the queue and its number is still free.
    if queue.send(frame.into()).await.is_err() {
        return StatusCode::GONE;
    }
    *next += 1;
    StatusCode::OK
}

/// A peer has nothing more to send.
async fn leave(State(doors): State<Arc<Doors>>, headers: HeaderMap) -> StatusCode {
    let Some(door) = doors.of(&headers) else { return StatusCode::UNAUTHORIZED };
    door.lock().await.1 = None;
    StatusCode::OK
}

impl Doors {
    /// Finds the inbox of the peer to whom the request's token belongs.
    fn of(&self, headers: &HeaderMap) -> Option<&Door> {
        let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        self.by_token.get(&hash(token))
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
