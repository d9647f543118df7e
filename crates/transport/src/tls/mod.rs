//! A network over TCP with mutual TLS 1.3 (feature `tls`).
//!
//! Each party has a certificate. The others know it by the certificate itself, or by its name in a certificate that a
//! private authority signed. Of each pair, the party that comes later in the roster connects.
//!
//! A broken connection is made again, and no frame is lost or doubled. Frames are numbered, the receiver confirms them,
//! and the sender keeps them until then. A peer that stays away for longer than [`TlsLimits::give_up`] fails. A peer
//! whose *process* was started anew has lost its frames. It fails at once, unless no frame had passed yet.
//!
//! Sending queues a frame and returns. Threads of the transport read and write. Only parties get further than the TLS
//! handshake. A handshake has a deadline. If there are too many handshakes at once, the oldest is cut off.
//!
//! TLS is by `rustls` with the `ring` provider.
//!
//! ```no_run
//! use std::{net::TcpListener, time::Duration};
//! use subrosa_transport::{
//!     Deadline,
//!     tls::{
//!         TlsConfig, TlsParty, TlsTransport,
//!         pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
//!     },
//! };
//!
//! let parties = vec![
//!     TlsParty::named("bank-a", "a.example:7000"),
//!     TlsParty::named("bank-b", "b.example:7000"),
//!     TlsParty::named("bank-c", "c.example:7000"),
//! ];
//! let authority = CertificateDer::from_pem_file("ca.pem")?;
//! let certificate = CertificateDer::from_pem_file("bank-b.pem")?;
//! let key = PrivateKeyDer::from_pem_file("bank-b.key")?;
//! let config = TlsConfig::with_authority("bank-b", parties, authority, vec![certificate], key)?;
//! let mut transport = TlsTransport::start(config, TcpListener::bind("0.0.0.0:7000")?)?;
//! // Names who is missing, and why, as far as is known.
//! transport.wait_connected(Deadline::after(Duration::from_secs(60)))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Security
//! - A pinned certificate is compared byte by byte. Its dates and names do not matter. Under an authority, chain, dates
//!   and name are checked, and whoever holds the authority's key can impersonate every party. There is no revocation.
//!   Use pinned certificates, or an authority that signs for one run, if that is a problem.
//! - Every connection proves both certificates; TLS sessions are not resumed, and there is no early data.
//! - The network sees addresses, times and amounts of traffic.

mod config;
mod connection;
mod error;
mod link;
mod record;
mod trust;

use std::{
    collections::VecDeque,
    io,
    net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

pub use config::{TlsConfig, TlsLimits, TlsParty};
pub use error::{Missing, TlsConfigError, TlsError, TlsProblem, TlsRecordError};
pub(crate) use record::read_all;
pub use rustls::pki_types;

use crate::{Deadline, Fault, PartyId, Roster, Transport, TransportError};
use config::Endpoints;
use link::Link;
use record::Process;

/// Greatest number of connections that are in their handshake at once, beside one for each party.
const MAX_STRANGERS: usize = 32;

/// Interval in which a listening socket is checked.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);

const FIRST_RETRY: Duration = Duration::from_millis(20);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// State that the threads of a transport share.
#[derive(Debug)]
struct Node {
    config: TlsConfig,
    endpoints: Endpoints,
    process: Process,
    /// By party. The entry of this party is not used.
    links: Vec<Link>,
    closed: AtomicBool,
    /// Connections that have not been taken into use, oldest first.
    strangers: Mutex<VecDeque<(u64, TcpStream)>>,
    /// Why the latest of them was refused.
    refused: Mutex<Option<TlsProblem>>,
}

impl Node {
    fn strangers(&self) -> MutexGuard<'_, VecDeque<(u64, TcpStream)>> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a connection that is in use or has ended.
    fn known(&self, number: u64) {
        self.strangers().retain(|(other, _)| *other != number);
    }
}

/// One party's end of a network over TLS. See the [module's page](self).
///
/// Dropping it waits until the peers have confirmed what was sent, at most for [`TlsLimits::linger`], and tells them
/// that this party leaves.
#[derive(Debug)]
pub struct TlsTransport {
    roster: Roster,
    node: Arc<Node>,
    listening: Option<JoinHandle<()>>,
}

impl TlsTransport {
    /// Starts to listen and to connect, and returns at once; frames can be queued before anybody is connected.
    ///
    /// # Errors
    /// The configuration is not usable, or the system gives no thread.
    pub fn start(config: TlsConfig, listener: TcpListener) -> Result<Self, TlsError> {
        config.limits.check()?;
        let roster = config.roster()?;
        let endpoints = config.build()?;
        let mut process = [0; 16];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut process).map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let node = Arc::new(Node {
            links: roster.parties().map(|_| Link::new()).collect(),
            config,
            endpoints,
            process,
            closed: AtomicBool::new(false),
            strangers: Mutex::new(VecDeque::new()),
            refused: Mutex::new(None),
        });
        listener.set_nonblocking(true)?;
        let listening = {
            let node = Arc::clone(&node);
            thread::Builder::new().name("tls listen".into()).spawn(move || listen(&node, &listener))?
        };
        // From here on dropping ends the threads that have been started.
        let transport = Self { roster, node, listening: Some(listening) };
        for peer in transport.roster.parties().filter(|&peer| peer < transport.node.config.me) {
            let node = Arc::clone(&transport.node);
            thread::Builder::new()
                .name(format!("tls dial {}", peer.index()))
                .spawn(move || keep_dialling(&node, peer))?;
        }
        Ok(transport)
    }

    /// Waits until every peer is connected.
    ///
    /// # Errors
    /// [`TlsError::NotConnected`] with the name of each missing peer and the reason, as far as it is known.
    pub fn wait_connected(&self, deadline: Deadline) -> Result<(), TlsError> {
        loop {
            let missing: Vec<PartyId> =
                self.roster.others().filter(|&peer| !self.is_connected(peer)).collect();
            if missing.is_empty() {
                return Ok(());
            }
            if deadline.has_passed() {
                let missing = missing.into_iter().map(|party| Missing {
                    party,
                    name: self.roster.name(party).to_owned(),
                    problem: self.problem(party).unwrap_or_else(|| self.not_come(party)),
                });
                return Err(TlsError::NotConnected(missing.collect()));
            }
            thread::sleep(deadline.remaining().min(Duration::from_millis(5)));
        }
    }

    /// Returns whether there is a connection to the peer at present.
    pub fn is_connected(&self, peer: PartyId) -> bool {
        self.node.links.get(peer.index()).is_some_and(Link::is_connected)
    }

    /// Returns why there is no connection to the peer, as far as it is known.
    pub fn problem(&self, peer: PartyId) -> Option<TlsProblem> {
        self.node.links.get(peer.index()).and_then(Link::problem)
    }

    /// Returns why the latest connection without a party's certificate was refused. It is unknown who made it.
    pub fn latest_refusal(&self) -> Option<TlsProblem> {
        self.node.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn not_come(&self, peer: PartyId) -> TlsProblem {
        match self.latest_refusal() {
            Some(refusal) if peer > self.roster.me() => TlsProblem::SomebodyRefused(Arc::new(refusal)),
            _ => TlsProblem::NotCome,
        }
    }

    fn link(&self, peer: PartyId) -> Result<&Link, TransportError> {
        let refuse = |fault| Err(TransportError::new(&self.roster, peer, fault));
        if peer == self.roster.me() {
            return refuse(Fault::Myself);
        }
        self.node.links.get(peer.index()).map_or_else(|| refuse(Fault::UnknownParty), Ok)
    }
}

impl Transport for TlsTransport {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        let limits = &self.node.config.limits;
        let link = self.link(to)?;
        let sent = if frame.len() > limits.max_frame {
            Err(Fault::TooLarge { bytes: frame.len() as u64, limit: limits.max_frame as u64 })
        } else {
            link.send(frame, limits)
        };
        sent.map_err(|fault| TransportError::new(&self.roster, to, fault))
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        let received = self.link(from)?.receive(deadline, &self.node.config.limits);
        received.map_err(|fault| TransportError::new(&self.roster, from, fault))
    }

    fn max_frame(&self) -> usize {
        self.node.config.limits.max_frame
    }
}

impl Drop for TlsTransport {
    fn drop(&mut self) {
        let deadline = Deadline::after(self.node.config.limits.linger);
        let links: Vec<&Link> = self.roster.others().map(|peer| &self.node.links[peer.index()]).collect();
        links.iter().for_each(|link| link.close());
        links.iter().for_each(|link| link.flush(deadline));
        self.node.closed.store(true, Ordering::Release);
        if let Some(listening) = self.listening.take() {
            // A panic of the thread has been reported already.
            let _ = listening.join();
        }
        for (_, socket) in self.node.strangers().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn listen(node: &Arc<Node>, listener: &TcpListener) {
    let mut number = 0;
    while !node.closed.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((socket, _)) => {
                number += 1;
                admit(node, number, socket);
            }
            // There is no connection, or it failed already. Look again soon.
            Err(_) => thread::sleep(ACCEPT_PAUSE),
        }
    }
}

/// Starts a thread for a new connection.
///
/// If too many connections are in their handshake, the oldest is closed. Idle connections must not keep a party out,
/// whose handshake takes only a few round trips.
fn admit(node: &Arc<Node>, number: u64, socket: TcpStream) {
    let Ok(handle) = socket.try_clone() else { return };
    {
        let mut strangers = node.strangers();
        if strangers.len() >= MAX_STRANGERS + node.links.len()
            && let Some((_, oldest)) = strangers.pop_front()
        {
            let _ = oldest.shutdown(Shutdown::Both);
        }
        strangers.push_back((number, handle));
    }
    let shared = Arc::clone(node);
    let serve = move || {
        let outcome = socket
            .set_nonblocking(false)
            .map_err(|error| connection::Trouble { peer: None, problem: error.into() })
            .and_then(|()| connection::accept(&shared, &socket, || shared.known(number)));
        shared.known(number);
        match outcome {
            Err(connection::Trouble { peer: Some(peer), problem }) => {
                shared.links[peer.index()].note_problem(problem);
            }
            Err(connection::Trouble { peer: None, problem }) => {
                *shared.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
            }
            Ok(()) => {}
        }
    };
    if thread::Builder::new().name("tls accept".into()).spawn(serve).is_err() {
        node.known(number);
    }
}

/// Connects to an earlier party of the roster, repeatedly while a connection is needed.
fn keep_dialling(node: &Arc<Node>, peer: PartyId) {
    let link = &node.links[peer.index()];
    let mut pause = FIRST_RETRY;
    while !node.closed.load(Ordering::Acquire) {
        if !link.wants_connection() {
            link.wait_for_change(Duration::from_millis(200));
            continue;
        }
        match connect(node, peer) {
            Ok(()) => pause = FIRST_RETRY,
            Err(problem) => {
                link.note_problem(problem);
                pause = (pause * 2).min(LONGEST_RETRY);
            }
        }
        // Sleeps in slices, so that this thread ends soon when the transport is dropped.
        let until = Deadline::after(pause);
        while !until.has_passed() && !node.closed.load(Ordering::Acquire) {
            thread::sleep(until.remaining().min(Duration::from_millis(20)));
        }
    }
}

fn connect(node: &Arc<Node>, peer: PartyId) -> Result<(), TlsProblem> {
    let address = &node.config.parties[peer.index()].address;
    let timeout = node.config.limits.handshake_timeout;
    let addresses = address.to_socket_addrs().map_err(|source| TlsProblem::UnknownAddress {
        address: address.clone(),
        source: Arc::new(source),
    })?;
    let mut problem = TlsProblem::NoAddress { address: address.clone() };
    for resolved in addresses {
        match TcpStream::connect_timeout(&resolved, timeout) {
            Ok(socket) => return connection::dial(node, peer, &socket).map_err(|trouble| trouble.problem),
            Err(source) => {
                problem = TlsProblem::Unreachable { address: address.clone(), source: Arc::new(source) };
            }
        }
    }
    Err(problem)
}
