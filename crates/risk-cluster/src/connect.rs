//! Connects all workers with each other.
//!
//! Each pair of workers has two connections, one for each direction. The worker that comes later in the list opens both.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, ServerConnection, StreamOwned};

use crate::error::{ClusterError, Common, ConnectProblem, Missing};
use crate::greeting::{Direction, Greeting};
use crate::link::{Link, Outward, Secured};
use crate::post::Post;
use crate::trust::Endpoints;
use crate::worker::Worker;

/// Connections that may be in their handshake at once, beside two for each worker.
const STRANGERS: usize = 32;

/// How often a listening socket, and whether others have failed, is looked at.
const PAUSE: Duration = Duration::from_millis(5);

const FIRST_RETRY: Duration = Duration::from_millis(20);
const LONGEST_RETRY: Duration = Duration::from_millis(500);

/// What is needed to connect.
pub(crate) struct Meeting<'a> {
    pub(crate) post: &'a Arc<Post>,
    pub(crate) workers: &'a [Worker],
    pub(crate) endpoints: &'a Endpoints,
    /// For any direction.
    pub(crate) greeting: Greeting,
    pub(crate) deadline: Instant,
    /// How long a connection may take to prove who it is.
    pub(crate) handshake: Duration,
}

enum Event {
    Up(usize, Direction, Secured),
    /// By the worker, if it is known.
    Refused(Option<usize>, ConnectProblem),
    Fatal(ClusterError),
}

impl From<(Option<usize>, ConnectProblem)> for Event {
    fn from((worker, problem): (Option<usize>, ConnectProblem)) -> Self {
        Self::Refused(worker, problem)
    }
}

impl Meeting<'_> {
    /// A link with each other worker.
    pub(crate) fn connect(&self, listener: &TcpListener) -> Result<Vec<Option<Link>>, ClusterError> {
        listener.set_nonblocking(true)?;
        let stop = AtomicBool::new(false);
        let strangers = Strangers::default();
        thread::scope(|scope| {
            let (sender, events) = mpsc::channel();
            let (stop, strangers) = (&stop, &strangers);
            let accepting = sender.clone();
            scope.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Acquire) {
                    // Nobody there, or an attempt that failed already: in both cases look again soon.
                    let Ok((socket, _)) = listener.accept() else {
                        thread::sleep(PAUSE);
                        continue;
                    };
                    number += 1;
                    if strangers.admit(number, &socket, STRANGERS + 2 * self.workers.len()) {
                        let accepting = accepting.clone();
                        scope.spawn(move || {
                            let event = self.accept(socket).unwrap_or_else(|event| event);
                            // From here on it is nobody's to disconnect.
                            strangers.forget(number);
                            // Nobody listens once everything is connected.
                            let _ = accepting.send(event);
                        });
                    }
                }
            });
            for peer in 0..self.post.me {
                for direction in Direction::BOTH {
                    let sender = sender.clone();
                    scope.spawn(move || self.keep_dialling(peer, direction, stop, &sender));
                }
            }
            drop(sender);
            let outcome = self.collect(&events);
            stop.store(true, Ordering::Release);
            strangers.disconnect();
            outcome
        })
    }

    /// Waits for two connections with each other worker.
    fn collect(&self, events: &mpsc::Receiver<Event>) -> Result<Vec<Option<Link>>, ClusterError> {
        let others = || (0..self.workers.len()).filter(|&worker| worker != self.post.me);
        let mut outward: BTreeMap<usize, Outward> = BTreeMap::new();
        let mut inward: BTreeMap<usize, Secured> = BTreeMap::new();
        let mut problems: BTreeMap<usize, ConnectProblem> = BTreeMap::new();
        let mut refused = None;
        while outward.len().min(inward.len()) < self.workers.len() - 1 {
            if let Some(lost) = self.post.failure() {
                return Err(ClusterError::Lost(lost));
            }
            let remaining = self.deadline.saturating_duration_since(Instant::now());
            match events.recv_timeout(remaining.min(Duration::from_millis(50))) {
                Ok(Event::Fatal(error)) => return Err(error),
                Ok(Event::Refused(Some(worker), problem)) => {
                    problems.insert(worker, problem);
                }
                Ok(Event::Refused(None, problem)) => refused = Some(problem),
                Ok(Event::Up(peer, direction, stream)) => {
                    // The one that connects is the later one, and writes forth.
                    let mine = (peer < self.post.me) == (direction == Direction::Forth);
                    // A second connection in the same direction is another process with the same certificate: it is closed.
                    if mine && !outward.contains_key(&peer) {
                        outward.insert(peer, Outward::start(self.post, peer, stream)?);
                    } else if !mine {
                        inward.entry(peer).or_insert(stream);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(ClusterError::Internal { place: "nobody connects any more" });
                }
                Err(RecvTimeoutError::Timeout) if remaining.is_zero() => {
                    let missing = others()
                        .filter(|worker| !outward.contains_key(worker) || !inward.contains_key(worker));
                    let missing = missing.map(|worker| {
                        let stranger = || refused.clone().filter(|_| worker > self.post.me);
                        let unknown = || match stranger() {
                            Some(refusal) => ConnectProblem::SomebodyRefused(Arc::new(refusal)),
                            None => ConnectProblem::NotCome,
                        };
                        let problem = problems.get(&worker).cloned().unwrap_or_else(unknown);
                        Missing { worker, name: self.workers[worker].name.clone(), problem }
                    });
                    return Err(ClusterError::NotConnected(missing.collect()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let mut links: Vec<Option<Link>> = self.workers.iter().map(|_| None).collect();
        for ((worker, outward), inward) in outward.into_iter().zip(inward.into_values()) {
            links[worker] = Some(Link::new(outward, inward)?);
        }
        Ok(links)
    }

    fn keep_dialling(
        &self,
        peer: usize,
        direction: Direction,
        stop: &AtomicBool,
        events: &mpsc::Sender<Event>,
    ) {
        let mut pause = FIRST_RETRY;
        while !stop.load(Ordering::Acquire) {
            let event = self.dial(peer, direction).unwrap_or_else(|event| event);
            let again = matches!(event, Event::Refused(..));
            if events.send(event).is_err() || !again {
                return;
            }
            let until = Instant::now() + pause;
            while !stop.load(Ordering::Acquire) && Instant::now() < until {
                thread::sleep(PAUSE);
            }
            pause = (pause * 2).min(LONGEST_RETRY);
        }
    }

    fn dial(&self, peer: usize, direction: Direction) -> Result<Event, Event> {
        let worker = Some(peer);
        let address = &self.workers[peer].address;
        let unreachable = |source| {
            let problem = ConnectProblem::Unreachable { address: address.clone(), source: Arc::new(source) };
            Event::from((worker, problem))
        };
        let mut reached = Err(io::ErrorKind::AddrNotAvailable.into());
        let longest = self.deadline.saturating_duration_since(Instant::now()).min(self.handshake);
        for resolved in address.to_socket_addrs().map_err(unreachable)? {
            reached = TcpStream::connect_timeout(&resolved, longest.max(PAUSE));
            if reached.is_ok() {
                break;
            }
        }
        let mut socket = reached.map_err(unreachable)?;
        let refused = |problem| Event::from((worker, problem));
        self.prepare(&socket).map_err(|error| refused(tls_problem(error)))?;
        let config = Arc::clone(&self.endpoints.clients[peer]);
        let mut connection = ClientConnection::new(config, self.endpoints.name.clone())
            .map_err(|error| refused(tls_problem(io::Error::other(error))))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|error| refused(tls_problem(error)))?;
        }
        let mut stream = StreamOwned::new(connection, socket);
        self.greet(&mut stream, peer, direction)?;
        self.settle(&stream.sock).map_err(|error| refused(greeting_problem(error)))?;
        Ok(Event::Up(peer, direction, Secured::Client(Box::new(stream))))
    }

    fn accept(&self, mut socket: TcpStream) -> Result<Event, Event> {
        let stranger = |problem| Event::from((None, problem));
        let prepared = socket.set_nonblocking(false).and_then(|()| self.prepare(&socket));
        prepared.map_err(|error| stranger(tls_problem(error)))?;
        let mut connection = ServerConnection::new(Arc::clone(&self.endpoints.server))
            .map_err(|error| stranger(tls_problem(io::Error::other(error))))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|error| stranger(tls_problem(error)))?;
        }
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        let peer = certificate.and_then(|certificate| self.holder(certificate));
        let Some(peer) = peer.filter(|&peer| peer > self.post.me) else {
            return Err(stranger(ConnectProblem::NotAGreeting));
        };
        let mut stream = StreamOwned::new(connection, socket);
        let direction = self.answer(&mut stream, peer)?;
        self.settle(&stream.sock).map_err(|error| Event::from((Some(peer), greeting_problem(error))))?;
        Ok(Event::Up(peer, direction, Secured::Server(Box::new(stream))))
    }

    fn holder(&self, certificate: &CertificateDer<'_>) -> Option<usize> {
        self.workers.iter().position(|worker| worker.certificate == *certificate)
    }

    fn prepare(&self, socket: &TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(self.handshake))?;
        socket.set_write_timeout(Some(self.handshake))
    }

    /// Lifts the time limits of the handshake.
    fn settle(&self, socket: &TcpStream) -> io::Result<()> {
        socket.set_read_timeout(None)?;
        socket.set_write_timeout(None)
    }

    /// The side that connects speaks first.
    fn greet(
        &self,
        stream: &mut (impl Read + Write),
        peer: usize,
        direction: Direction,
    ) -> Result<(), Event> {
        let failed = |error| Event::from((Some(peer), greeting_problem(error)));
        let mine = Greeting { direction, ..self.greeting.clone() };
        mine.write(stream).map_err(failed)?;
        let theirs = Greeting::read(stream).map_err(failed)?;
        self.check(theirs.as_ref(), peer)?;
        if theirs.is_some_and(|theirs| theirs.direction == direction) {
            Ok(())
        } else {
            Err((Some(peer), ConnectProblem::NotAGreeting).into())
        }
    }

    /// Answers before anything is checked, so that both sides know what differs.
    fn answer(&self, stream: &mut (impl Read + Write), peer: usize) -> Result<Direction, Event> {
        let failed = |error| Event::from((Some(peer), greeting_problem(error)));
        let theirs = Greeting::read(stream).map_err(failed)?;
        let direction = theirs.as_ref().map_or(Direction::Forth, |theirs| theirs.direction);
        Greeting { direction, ..self.greeting.clone() }.write(stream).map_err(failed)?;
        self.check(theirs.as_ref(), peer)?;
        Ok(direction)
    }

    fn check(&self, theirs: Option<&Greeting>, peer: usize) -> Result<(), Event> {
        let mine = &self.greeting;
        let Some(theirs) = theirs else {
            return Err((Some(peer), ConnectProblem::NotAGreeting).into());
        };
        let name = || self.workers[peer].name.clone();
        let differs =
            |differs| Err(Event::Fatal(ClusterError::Differs { worker: peer, name: name(), differs }));
        if theirs.version != mine.version {
            return differs(Common::Version);
        }
        if theirs.generation != mine.generation {
            let (theirs, mine) = (theirs.generation, mine.generation);
            return Err(if theirs > mine {
                Event::Fatal(ClusterError::LaterGeneration { worker: peer, name: name(), theirs, mine })
            } else {
                (Some(peer), ConnectProblem::EarlierGeneration { theirs, mine }).into()
            });
        }
        if theirs.workers != mine.workers {
            return differs(Common::Workers);
        }
        if theirs.certificates != mine.certificates {
            return differs(Common::Certificates);
        }
        if theirs.shards != mine.shards {
            return differs(Common::Shards);
        }
        if usize::from(theirs.worker) != peer {
            return Err((Some(peer), ConnectProblem::NotAGreeting).into());
        }
        Ok(())
    }
}

fn tls_problem(error: io::Error) -> ConnectProblem {
    ConnectProblem::Tls(Arc::new(error))
}

/// A certificate is refused after the handshake is over at the other end.
fn greeting_problem(error: io::Error) -> ConnectProblem {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        tls_problem(error)
    } else {
        ConnectProblem::NoGreeting(Arc::new(error))
    }
}

/// Connections in their handshake.
#[derive(Default)]
struct Strangers(Mutex<BTreeMap<u64, TcpStream>>);

impl Strangers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connection may go on. Where there are too many, the oldest gives way.
    fn admit(&self, number: u64, socket: &TcpStream, most: usize) -> bool {
        let Ok(handle) = socket.try_clone() else { return false };
        let mut strangers = self.lock();
        if strangers.len() >= most
            && let Some((_, oldest)) = strangers.pop_first()
        {
            // It may be closed already.
            let _ = oldest.shutdown(Shutdown::Both);
        }
        strangers.insert(number, handle);
        true
    }

    fn forget(&self, number: u64) {
        self.lock().remove(&number);
    }

    fn disconnect(&self) {
        for socket in std::mem::take(&mut *self.lock()).into_values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
