//! One TCP connection: proving who is at its ends, then reading and writing records until it breaks.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustls::{CertificateError, ClientConnection, Connection, ServerConnection};

use super::{
    Node,
    link::{Link, Work},
    record::{GREETING_BYTES, Greeting, Record, Records, frame_head, short},
};
use crate::{Deadline, PartyId};

/// How much is encrypted, and how much read, at a time.
const PIECE: usize = 32 << 10;

/// The peer of a connection and what is wrong with it, in words.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) peer: Option<PartyId>,
    pub(super) problem: String,
}

/// Connects to `peer` over `socket`, and serves the connection until it ends.
pub(super) fn dial(node: &Arc<Node>, peer: PartyId, socket: &TcpStream) -> Result<(), Trouble> {
    let trouble = |problem| Trouble { peer: Some(peer), problem };
    let config = Arc::clone(&node.endpoints.clients[peer.index()]);
    let name = node.endpoints.names[peer.index()].clone();
    let tls = ClientConnection::new(config, name).map_err(|error| trouble(error.to_string()))?;
    let deadline = Deadline::after(node.config.limits.handshake_timeout);
    let mut tls = Connection::Client(tls);
    shake_hands(&mut tls, socket, deadline).map_err(|error| trouble(explain(&error)))?;
    serve(node, peer, tls, socket, deadline).map_err(trouble)
}

/// Finds out who is at the other end of `socket`, and serves the connection until it ends.
///
/// `proven` is called once the other end is known to be a party.
pub(super) fn accept(node: &Arc<Node>, socket: &TcpStream, proven: impl FnOnce()) -> Result<(), Trouble> {
    let stranger = |problem| Trouble { peer: None, problem };
    let tls = ServerConnection::new(Arc::clone(&node.endpoints.server));
    let mut tls = Connection::Server(tls.map_err(|error| stranger(error.to_string()))?);
    let deadline = Deadline::after(node.config.limits.handshake_timeout);
    shake_hands(&mut tls, socket, deadline).map_err(|error| stranger(explain(&error)))?;
    let certificate = tls.peer_certificates().and_then(|chain| chain.first());
    let peer = certificate.and_then(|certificate| node.config.identify(certificate));
    let Some(peer) = peer.filter(|&peer| peer > node.config.me) else {
        return Err(stranger("its certificate is not one of a party that connects here".into()));
    };
    proven();
    serve(node, peer, tls, socket, deadline).map_err(|problem| Trouble { peer: Some(peer), problem })
}

/// A socket whose every call ends by a deadline, however slowly bytes drip in.
struct Timed<'a> {
    socket: &'a TcpStream,
    deadline: Deadline,
}

impl Timed<'_> {
    fn remaining(&self) -> io::Result<std::time::Duration> {
        let remaining = self.deadline.remaining();
        if remaining.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(remaining) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.remaining()?))?;
        self.socket.read(buffer)
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

fn shake_hands(tls: &mut Connection, socket: &TcpStream, deadline: Deadline) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = Timed { socket, deadline };
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    Ok(())
}

/// Greets the peer, then carries records both ways until the connection ends.
fn serve(
    node: &Arc<Node>,
    peer: PartyId,
    mut tls: Connection,
    socket: &TcpStream,
    deadline: Deadline,
) -> Result<(), String> {
    let link = &node.links[peer.index()];
    let limits = &node.config.limits;
    let mine = link.greeting(node.process, limits.max_frame)?;
    let theirs = greet(&mut tls, socket, deadline, &mine).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "it hung up on the greeting".to_owned(),
        _ => explain(&error),
    })?;
    let theirs = Greeting::parse(&theirs)?;
    let generation = link.adopt(node.process, &theirs, limits.max_frame, socket)?;

    let served = (|| {
        // A writer that is stuck is freed when the reader finds the peer dead and closes the socket.
        socket.set_write_timeout(None)?;
        socket.set_read_timeout(Some(limits.keepalive.saturating_mul(4)))?;
        tls.set_buffer_limit(None);
        let tls = Arc::new(Mutex::new(tls));
        let writer = {
            let (node, tls, socket) = (Arc::clone(node), Arc::clone(&tls), socket.try_clone()?);
            move || {
                let link = &node.links[peer.index()];
                if let Err(error) = write_records(link, generation, &tls, &socket, &node.config.limits) {
                    link.lost(generation, explain(&error));
                }
            }
        };
        thread::Builder::new().name(format!("tls write {}", peer.index())).spawn(writer)?;
        read_records(link, generation, &tls, socket, limits)
    })();
    let reason = match served {
        Ok(()) => "it left".to_owned(),
        Err(error) => explain(&error),
    };
    link.lost(generation, reason);
    Ok(())
}

fn greet(
    tls: &mut Connection,
    socket: &TcpStream,
    deadline: Deadline,
    mine: &Greeting,
) -> io::Result<[u8; GREETING_BYTES]> {
    let mut socket = Timed { socket, deadline };
    tls.writer().write_all(&mine.encode())?;
    while tls.wants_write() {
        tls.write_tls(&mut socket)?;
    }
    let mut theirs = [0; GREETING_BYTES];
    let mut filled = 0;
    while filled < GREETING_BYTES {
        match tls.reader().read(&mut theirs[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if tls.read_tls(&mut socket)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                tls.process_new_packets().map_err(io::Error::other)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(theirs)
}

fn lock(tls: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The only one to write to the socket, so that TLS records leave in the order in which they were made.
fn write_records(
    link: &Link,
    generation: u64,
    tls: &Mutex<Connection>,
    mut socket: &TcpStream,
    limits: &super::TlsLimits,
) -> io::Result<()> {
    let mut sealed = Vec::with_capacity(PIECE + 1024);
    let mut write = |pieces: &[&[u8]]| -> io::Result<()> {
        {
            let mut tls = lock(tls);
            for piece in pieces {
                tls.writer().write_all(piece)?;
            }
            while tls.wants_write() {
                tls.write_tls(&mut sealed)?;
            }
        }
        // Without the lock: a peer that reads slowly must not keep me from reading.
        socket.write_all(&sealed)?;
        sealed.clear();
        Ok(())
    };
    loop {
        match link.next_work(generation, limits.keepalive) {
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
                link.said_goodbye(generation);
            }
            Work::Stop => return Ok(()),
        }
    }
}

/// Reads until the peer says goodbye or the connection breaks.
fn read_records(
    link: &Link,
    generation: u64,
    tls: &Mutex<Connection>,
    mut socket: &TcpStream,
    limits: &super::TlsLimits,
) -> io::Result<()> {
    let mut records = Records::new(limits.max_frame);
    let mut sealed = vec![0; PIECE];
    let mut plain = vec![0; PIECE];
    // What came right behind the greeting is decrypted already, so the first look is before the first read.
    let mut unread: &[u8] = &[];
    loop {
        loop {
            // The lock is not held while a frame is handed on, which may wait for room.
            let read = lock(tls).reader().read(&mut plain);
            let mut bytes = match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => &plain[..length],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            while let Some(record) = records.take(&mut bytes).map_err(io::Error::other)? {
                match record {
                    Record::Frame(number, frame) => link.put(generation, number, frame, limits),
                    Record::Received(next) => link.confirmed(next),
                    Record::Alive => Ok(()),
                    Record::Goodbye => {
                        link.goodbye();
                        return Ok(());
                    }
                }
                .map_err(io::Error::other)?;
            }
        }
        if unread.is_empty() {
            let length = socket.read(&mut sealed)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            unread = &sealed[..length];
        }
        let mut tls = lock(tls);
        tls.read_tls(&mut unread)?;
        tls.process_new_packets().map_err(io::Error::other)?;
    }
}

/// What went wrong, in words that say what to do about it.
fn explain(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(error)) => certificate_problem(error),
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("it refused the connection, most likely this party's certificate ({alert:?})")
        }
        Some(rustls::Error::NoCertificatesPresented) => "it presented no certificate".into(),
        Some(error) => format!("TLS failed: {error}"),
        None => match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "it gave no sign of life in time".into(),
            io::ErrorKind::UnexpectedEof => "it closed the connection".into(),
            _ => error.to_string(),
        },
    }
}

fn certificate_problem(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("its certificate has expired, or a clock is wrong ({error})")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("its certificate is not valid yet, or a clock is wrong ({error})")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate is for another name ({error})")
        }
        CertificateError::UnknownIssuer => "its certificate was not signed by the agreed authority".into(),
        CertificateError::ApplicationVerificationFailure => {
            "it presents another certificate than the one it is known by".into()
        }
        error => format!("its certificate is not acceptable ({error})"),
    }
}
