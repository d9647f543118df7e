//! Connections as the engine sees them: they never fail.
//!
//! The engine would panic. Instead a loss is noted where the shards find it, what is written goes nowhere, and whoever reads waits until
//! the process ends.
//!
//! Bytes travel in frames, so that signs of life and the last words of a worker can pass between those of the engine.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustls::{ClientConnection, ServerConnection, StreamOwned};
use timely::communication::allocator::zero_copy::stream::Stream;

use crate::error::{ClusterError, LossReason};
use crate::post::Post;

/// Most bytes of the engine in a frame.
const LONGEST: usize = 64 << 10;

const HEADER: usize = 5;

/// Bytes of the engine.
const DATA: u8 = 0;
/// A sign of life.
const ALIVE: u8 = 1;
/// The engine ends and has nothing more to say.
const CLOSED: u8 = 2;
/// The run has failed; two bytes say by which worker's loss.
const FAILED: u8 = 3;

/// A TLS connection of either role.
pub(crate) enum Secured {
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Secured {
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Client(stream) => &stream.sock,
            Self::Server(stream) => &stream.sock,
        }
    }

    fn close(&mut self) {
        match self {
            Self::Client(stream) => stream.conn.send_close_notify(),
            Self::Server(stream) => stream.conn.send_close_notify(),
        }
    }
}

impl Read for Secured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Client(stream) => stream.read(buffer),
            Self::Server(stream) => stream.read(buffer),
        }
    }
}

impl Write for Secured {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Client(stream) => stream.write(buffer),
            Self::Server(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Client(stream) => stream.flush(),
            Self::Server(stream) => stream.flush(),
        }
    }
}

/// Writes frames.
struct Writer {
    stream: Secured,
    closed: bool,
}

impl Writer {
    fn frame(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        // Frames are at most `LONGEST` long.
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut frame = Vec::with_capacity(HEADER + bytes.len());
        frame.push(kind);
        frame.extend(length.to_le_bytes());
        frame.extend_from_slice(bytes);
        self.stream.write_all(&frame)
    }

    fn say(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        self.frame(kind, bytes)?;
        self.stream.flush()
    }
}

/// Reads frames.
struct Reader {
    stream: Secured,
    /// Bytes of the engine that are left in the present frame.
    left: usize,
    closed: bool,
}

enum Heard {
    Data(usize),
    Alive,
    Closed,
    Failed(usize),
    Malformed(&'static str),
}

impl Reader {
    fn hear(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        if self.closed {
            return Ok(Heard::Closed);
        }
        if self.left == 0 {
            let mut header = [0; HEADER];
            self.stream.read_exact(&mut header)?;
            let [kind, length @ ..] = header;
            let length = u32::from_le_bytes(length) as usize;
            match (kind, length) {
                (DATA, 1..=LONGEST) => self.left = length,
                (ALIVE, 0) => return Ok(Heard::Alive),
                (CLOSED, 0) => {
                    self.closed = true;
                    return Ok(Heard::Closed);
                }
                (FAILED, 2) => {
                    let mut worker = [0; 2];
                    self.stream.read_exact(&mut worker)?;
                    return Ok(Heard::Failed(usize::from(u16::from_le_bytes(worker))));
                }
                _ => return Ok(Heard::Malformed("a frame of an unknown kind or length")),
            }
        }
        let most = buffer.len().min(self.left);
        let count = self.stream.read(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= count;
        Ok(Heard::Data(count))
    }
}

/// The half of a link that writes, with a thread that gives signs of life from the beginning.
#[derive(Clone)]
pub(crate) struct Outward {
    peer: usize,
    post: Arc<Post>,
    writer: Arc<Mutex<Writer>>,
}

impl Outward {
    /// Takes a connection over for writing, and begins to give signs of life.
    pub(crate) fn start(post: &Arc<Post>, peer: usize, stream: Secured) -> Result<Self, ClusterError> {
        let writer = Arc::new(Mutex::new(Writer { stream, closed: false }));
        let outward = Self { peer, post: Arc::clone(post), writer };
        let messenger = outward.clone();
        post.add_messenger();
        let started = thread::Builder::new().name(format!("cluster alive {peer}")).spawn(move || {
            messenger.live();
            messenger.post.messenger_ends();
        });
        if started.is_err() {
            post.messenger_ends();
        }
        started?;
        Ok(outward)
    }

    /// Gives signs of life, and last words if the run fails.
    fn live(&self) {
        loop {
            let failure = self.post.wait_for_failure(self.post.silence / 4);
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            if writer.closed {
                return;
            }
            if let Some(lost) = failure {
                let worker = u16::try_from(lost.worker).unwrap_or(u16::MAX);
                // Whoever cannot be told finds out otherwise.
                let _ = writer.say(FAILED, &worker.to_le_bytes());
                return;
            }
            if let Err(error) = writer.say(ALIVE, &[]) {
                drop(writer);
                return self.post.lose(self.peer, reason(error, &self.post));
            }
        }
    }

    fn write(&self, act: impl FnOnce(&mut Writer) -> io::Result<()>) {
        if self.post.failure().is_some() {
            return;
        }
        let outcome = act(&mut self.writer.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = outcome {
            self.post.lose(self.peer, reason(error, &self.post));
        }
    }
}

/// What the engine gets: two connections with one worker.
pub(crate) struct Link {
    outward: Outward,
    reader: Arc<Mutex<Reader>>,
}

impl Link {
    /// A link that writes to one connection and reads from the other.
    pub(crate) fn new(outward: Outward, inward: Secured) -> io::Result<Self> {
        inward.socket().set_read_timeout(Some(outward.post.silence))?;
        let reader = Reader { stream: inward, left: 0, closed: false };
        Ok(Self { outward, reader: Arc::new(Mutex::new(reader)) })
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (post, peer) = (&self.outward.post, self.outward.peer);
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match reader.hear(buffer) {
                Ok(Heard::Data(count)) => return Ok(count),
                Ok(Heard::Alive) => {}
                Ok(Heard::Closed) => return Ok(0),
                Ok(Heard::Failed(worker))
                    if worker < post.workers() && worker != post.me && worker != peer =>
                {
                    post.lose(worker, LossReason::Reported { by: peer });
                }
                Ok(Heard::Failed(_)) => post.lose(peer, LossReason::GaveUp),
                Ok(Heard::Malformed(what)) => post.lose(peer, LossReason::Malformed(what)),
                Err(error) => post.lose(peer, reason(error, post)),
            }
            if post.failure().is_some() {
                // Whatever is returned would make the engine panic.
                loop {
                    thread::park();
                }
            }
        }
    }
}

impl Write for Link {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let part = &buffer[..buffer.len().min(LONGEST)];
        if !part.is_empty() {
            self.outward.write(|writer| writer.frame(DATA, part));
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.outward.write(|writer| writer.stream.flush());
        Ok(())
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { outward: self.outward.clone(), reader: Arc::clone(&self.reader) })
    }

    fn set_nonblocking(&self, _nonblocking: bool) -> io::Result<()> {
        // The engine asks for blocking connections, which these are.
        Ok(())
    }

    fn shutdown(&self, _how: Shutdown) -> io::Result<()> {
        self.outward.write(|writer| {
            writer.closed = true;
            writer.say(CLOSED, &[])?;
            writer.stream.close();
            writer.stream.flush()
        });
        Ok(())
    }
}

fn reason(error: io::Error, post: &Post) -> LossReason {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => LossReason::Silent { limit: post.silence },
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe => LossReason::Closed,
        _ => LossReason::Io(Arc::new(error)),
    }
}
