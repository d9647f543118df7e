//! One TCP connection: the ends prove who they are, then records are read and written until it breaks.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustls::{ClientConnection, Connection, ServerConnection};

use super::{
    Node, TlsLimits, TlsProblem,
    link::{Link, Work},
    record::{GREETING_BYTES, Greeting, Record, Records, frame_head, refusal, short},
};
use crate::{Deadline, PartyId, wiped::Wiped};

/// Bytes that are encrypted or read at a time.
const PIECE: usize = 32 << 10;

/// Least number of bytes that must come if no record becomes complete, in the time after which a silent connection
/// counts as dead.
const LEAST_PACE: usize = 16 << 10;

/// Time in which the other end of a refused connection can read why.
const PARTING: Duration = Duration::from_millis(500);

/// The peer of a connection, if it is known, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) peer: Option<PartyId>,
    pub(super) problem: TlsProblem,
}

/// Connects to `peer` over `socket`, and serves the connection until it ends.
pub(super) fn dial(node: &Arc<Node>, peer: PartyId, socket: &TcpStream) -> Result<(), Trouble> {
    let trouble = |problem| Trouble { peer: Some(peer), problem };
    let config = Arc::clone(&node.endpoints.clients[peer.index()]);
    let name = node.endpoints.names[peer.index()].clone();
    let tls = ClientConnection::new(config, name).map_err(|error| trouble(error.into()))?;
    let mut opening = Opening::new(node, Connection::Client(tls), socket);
    opening.shake_hands().map_err(|error| trouble(error.into()))?;
    let generation = opening.greet_first(peer).map_err(trouble)?;
    serve(node, peer, opening.tls, socket, generation);
    Ok(())
}

/// Identifies the other end of `socket`, and serves the connection until it ends.
///
/// `taken` is called when the connection is in use. The limit on handshakes no longer counts it then.
pub(super) fn accept(node: &Arc<Node>, socket: &TcpStream, taken: impl FnOnce()) -> Result<(), Trouble> {
    let stranger = |problem| Trouble { peer: None, problem };
    let tls = ServerConnection::new(Arc::clone(&node.endpoints.server));
    let tls = Connection::Server(tls.map_err(|error| stranger(error.into()))?);
    let mut opening = Opening::new(node, tls, socket);
    if let Err(error) = opening.shake_hands() {
        // The reason is in a TLS alert, which has been written.
        part(socket);
        return Err(stranger(error.into()));
    }
    let certificate = opening.tls.peer_certificates().and_then(|chain| chain.first());
    let peer = certificate.and_then(|certificate| node.config.identify(certificate));
    let Some(peer) = peer.filter(|&peer| peer > node.config.me) else {
        let problem = TlsProblem::NotAParty;
        opening.refuse(&refusal(&problem.to_string()));
        return Err(stranger(problem));
    };
    let trouble = |problem| Trouble { peer: Some(peer), problem };
    let generation = opening.answer(peer).map_err(trouble)?;
    taken();
    serve(node, peer, opening.tls, socket, generation);
    Ok(())
}

/// A socket each of whose calls ends by a deadline, however slowly bytes arrive.
struct Timed<'a> {
    socket: &'a TcpStream,
    deadline: Deadline,
}

impl Timed<'_> {
    fn remaining(&self) -> io::Result<Duration> {
        let remaining = self.deadline.remaining();
        if remaining.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(remaining) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| {
            self.socket.set_read_timeout(Some(self.remaining()?))?;
            self.socket.read(buffer)
        })
    }
}

/// Reads again after a signal, such as the one that continues a stopped process. The system does not do so if a read
/// has a time limit.
fn uninterrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.remaining()?))?;
        self.socket.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// A connection that is not in use yet. Its whole handshake has one deadline.
struct Opening<'a> {
    node: &'a Node,
    tls: Connection,
    socket: &'a TcpStream,
    deadline: Deadline,
}

impl<'a> Opening<'a> {
    fn new(node: &'a Node, tls: Connection, socket: &'a TcpStream) -> Self {
        Self { node, tls, socket, deadline: Deadline::after(node.config.limits.handshake_timeout) }
    }

    fn timed(&self) -> Timed<'a> {
        Timed { socket: self.socket, deadline: self.deadline }
    }

    fn shake_hands(&mut self) -> io::Result<()> {
        self.socket.set_nodelay(true)?;
        let mut socket = self.timed();
        while self.tls.is_handshaking() {
            self.tls.complete_io(&mut socket)?;
        }
        Ok(())
    }

    /// Greets the peer to which this party connects. If it greets back, the connection is taken into use. Returns the
    /// generation of the connection.
    fn greet_first(&mut self, peer: PartyId) -> Result<u64, TlsProblem> {
        let link = &self.node.links[peer.index()];
        let mine = link.greeting(self.node.process, self.node.config.limits.max_frame)?;
        self.write(&mine.encode())?;
        let theirs = self.read_greeting()?;
        link.adopt(&mine, &theirs, self.socket, false)
    }

    /// Reads the greeting of a peer that connects to this party, and takes the connection into use or refuses it.
    /// Returns the generation of the connection.
    fn answer(&mut self, peer: PartyId) -> Result<u64, TlsProblem> {
        let link = &self.node.links[peer.index()];
        let limit = self.node.config.limits.max_frame;
        let theirs = self.read_greeting()?;
        let me =
            Greeting { process: self.node.process, knows: theirs.process, next: 0, max_frame: limit as u64 };
        if theirs.is_to_another(&me) {
            // This party's own greeting tells the peer most: it names the process that is here now.
            self.refuse(&me.encode());
            return Err(TlsProblem::MetAnEarlierProcess);
        }
        let adopted = link.adopt(&me, &theirs, self.socket, true);
        let adopted = adopted.and_then(|generation| Ok((generation, link.greeting(me.process, limit)?)));
        let (generation, mine) = match adopted {
            Ok(adopted) => adopted,
            Err(problem) => {
                self.refuse(&refusal(&problem.with_causes()));
                return Err(problem);
            }
        };
        if let Err(error) = self.write(&mine.encode()) {
            link.lost(generation, error.into());
        }
        Ok(generation)
    }

    /// Sends a last message to the other end.
    fn refuse(&mut self, bytes: &[u8]) {
        // Best effort: the connection is refused in any case.
        let _ = self.write(bytes);
        part(self.socket);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut socket = self.timed();
        self.tls.writer().write_all(bytes)?;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut socket)?;
        }
        Ok(())
    }

    fn read_greeting(&mut self) -> Result<Greeting, TlsProblem> {
        let mut greeting = [0; GREETING_BYTES];
        self.read(&mut greeting)?;
        Ok(Greeting::parse(&greeting)?)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut socket = self.timed();
        let mut filled = 0;
        while filled < buffer.len() {
            match self.tls.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.tls.read_tls(&mut socket)? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.tls.process_new_packets().map_err(io::Error::other)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Closes a refused connection so that the last message still arrives. Closing it with unread bytes would reset the
/// connection, and the other end would not get the reason.
fn part(mut socket: &TcpStream) {
    let _ = socket.shutdown(Shutdown::Write);
    let mut timed = Timed { socket, deadline: Deadline::after(PARTING) };
    let mut buffer = [0; 4096];
    while matches!(timed.read(&mut buffer), Ok(1..)) {}
    let _ = socket.flush();
}

/// Carries records both ways until the connection ends.
fn serve(node: &Arc<Node>, peer: PartyId, mut tls: Connection, socket: &TcpStream, generation: u64) {
    let link = &node.links[peer.index()];
    let limits = &node.config.limits;
    let served = (|| {
        // A stuck writer ends when the reader finds the peer dead and closes the socket.
        socket.set_write_timeout(None)?;
        socket.set_read_timeout(Some(limits.silence()))?;
        tls.set_buffer_limit(None);
        let tls = Arc::new(Mutex::new(tls));
        let writer = {
            let (node, tls, socket) = (Arc::clone(node), Arc::clone(&tls), socket.try_clone()?);
            move || {
                let (link, limits) = (&node.links[peer.index()], &node.config.limits);
                let line = Line { link, generation, tls: &tls, socket: &socket, limits };
                if let Err(error) = line.write_records() {
                    link.lost(generation, error.into());
                }
            }
        };
        thread::Builder::new().name(format!("tls write {}", peer.index())).spawn(writer)?;
        Line { link, generation, tls: &tls, socket, limits }.read_records()
    })();
    link.lost(generation, served.map_or_else(|problem| problem, |()| TlsProblem::Left));
}

/// A connection in use, as its writer and its reader see it.
#[derive(Clone, Copy)]
struct Line<'a> {
    link: &'a Link,
    generation: u64,
    tls: &'a Mutex<Connection>,
    socket: &'a TcpStream,
    limits: &'a TlsLimits,
}

impl<'a> Line<'a> {
    fn tls(&self) -> MutexGuard<'a, Connection> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The only place that writes to the socket, so that TLS records leave in the order in which they were made.
    fn write_records(self) -> io::Result<()> {
        let mut socket = self.socket;
        let mut sealed = Vec::with_capacity(PIECE + 1024);
        let mut write = |pieces: &[&[u8]]| -> io::Result<()> {
            {
                let mut tls = self.tls();
                for piece in pieces {
                    tls.writer().write_all(piece)?;
                }
                while tls.wants_write() {
                    tls.write_tls(&mut sealed)?;
                }
            }
            // The lock is not held, because a peer that reads slowly must not stop the reader here.
            socket.write_all(&sealed)?;
            sealed.clear();
            Ok(())
        };
        loop {
            match self.link.next_work(self.generation, self.limits.keepalive) {
                Work::Frame(number, frame) => {
                    let head = frame_head(number, frame.len()).map_err(io::Error::other)?;
                    let (first, rest) = frame.split_at(frame.len().min(PIECE));
                    write(&[&head, first])?;
                    for piece in rest.chunks(PIECE) {
                        write(&[piece])?;
                    }
                }
                Work::Received(next) => write(&[&short(&Record::Received(next))])?,
                Work::Alive => write(&[&short(&Record::Alive)])?,
                Work::Goodbye => {
                    write(&[&short(&Record::Goodbye)])?;
                    self.link.said_goodbye(self.generation);
                }
                Work::Stop => return Ok(()),
            }
        }
    }

    /// Reads until the peer sends a goodbye or the connection breaks.
    fn read_records(self) -> Result<(), TlsProblem> {
        let mut socket = self.socket;
        let mut records = Records::new(self.limits.max_frame);
        let mut sealed = vec![0; PIECE];
        let mut plain = Wiped::new(vec![0; PIECE]);
        // Records that came right after the greeting are decrypted already, so they are handled before the first read.
        let mut unread: &[u8] = &[];
        let mut pace = Pace::new(self.limits);
        loop {
            loop {
                // The lock is not held while a frame is handed on, which may wait for room.
                let read = self.tls().reader().read(&mut plain);
                let mut bytes = match read {
                    Ok(0) => return Err(TlsProblem::Closed),
                    Ok(length) => &plain[..length],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                };
                while let Some(record) = records.take(&mut bytes)? {
                    if !self.note(record)? {
                        return Ok(());
                    }
                    // The time also starts anew after a frame waited for room.
                    pace = Pace::new(self.limits);
                }
            }
            if unread.is_empty() {
                let length = uninterrupted(|| socket.read(&mut sealed))?;
                if length == 0 {
                    return Err(TlsProblem::Closed);
                }
                pace.note(length)?;
                unread = &sealed[..length];
            }
            let mut tls = self.tls();
            tls.read_tls(&mut unread)?;
            tls.process_new_packets()?;
        }
    }

    /// Handles a record. Returns false after a goodbye.
    fn note(&self, record: Record) -> Result<bool, TlsProblem> {
        let Self { link, generation, limits, .. } = *self;
        let goodbye = record == Record::Goodbye;
        match record {
            Record::Frame(number, frame) => link.put(generation, number, frame, limits),
            Record::Received(next) => link.confirmed(generation, next),
            Record::Alive => Ok(()),
            Record::Goodbye => link.goodbye(generation),
        }?;
        Ok(!goodbye)
    }
}

/// Detects a peer that sends too slowly. In the time after which a silent connection counts as dead, a record must
/// become complete, at least a keepalive, or a part of a frame of a certain size must come.
struct Pace {
    silence: Duration,
    since: Instant,
    bytes: usize,
}

impl Pace {
    fn new(limits: &TlsLimits) -> Self {
        Self { silence: limits.silence(), since: Instant::now(), bytes: 0 }
    }

    fn note(&mut self, bytes: usize) -> Result<(), TlsProblem> {
        self.bytes += bytes;
        if self.bytes >= LEAST_PACE {
            (self.since, self.bytes) = (Instant::now(), 0);
        } else if self.since.elapsed() > self.silence {
            return Err(TlsProblem::Silent);
        }
        Ok(())
    }
}
