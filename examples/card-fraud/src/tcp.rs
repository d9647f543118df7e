//! A connection between one client and one bank as a [`Transport`]: frames over TCP, each behind its length.
//!
//! # Security
//! TCP alone neither hides nor authenticates anything, so of the transport's laws this one breaks T1 and T2. Queries
//! and answers are ciphertexts under the client's key and stay secret. But an attacker on the network can replace answers,
//! or ask as if it were the client. In production, use a transport over TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use subrosa_transport::{Deadline, Fault, PartyId, Roster, RosterError, Transport, TransportError};

/// The bank's place in the roster.
pub const BANK: PartyId = PartyId::new(0);
/// The card holder's place in the roster.
pub const CLIENT: PartyId = PartyId::new(1);

/// How long a peer may leave what is sent to it unread before the connection counts as broken.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// A writer only copies bytes.
const WRITER_STACK: usize = 128 << 10;
/// Bytes of a frame's length.
const HEADER: usize = 4;
/// What is allocated at once for a frame, whatever its announced length; more only as bytes arrive.
const CHUNK: usize = 64 << 10;

/// One end of a connection.
#[derive(Debug)]
pub struct TcpTransport {
    /// Shared with the writer, so that a connection takes one file descriptor.
    stream: Arc<TcpStream>,
    roster: Roster,
    max_frame: usize,
    /// Started by the first frame that is sent.
    writer: Option<Writer>,
    arriving: Arriving,
    failed: Option<Fault>,
}

#[derive(Debug)]
struct Writer {
    frames: Sender<Vec<u8>>,
    thread: JoinHandle<()>,
}

/// A frame of which a part has arrived; a deadline that passes meanwhile leaves it here.
#[derive(Debug, Default)]
struct Arriving {
    header: [u8; HEADER],
    header_bytes: usize,
    body: Vec<u8>,
}

/// The roster of a connection as `me` sees it.
///
/// # Errors
/// None: the names are fixed.
pub fn roster(me: PartyId) -> Result<Roster, RosterError> {
    Roster::new(["bank", "card holder"], me)
}

impl TcpTransport {
    /// Takes over a connected stream. Frames longer than `max_frame` bytes are refused in both directions.
    ///
    /// # Errors
    /// From the operating system, when options are set.
    pub fn new(stream: TcpStream, roster: Roster, max_frame: usize) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let (stream, arriving) = (Arc::new(stream), Arriving::default());
        Ok(Self { stream, roster, max_frame, writer: None, arriving, failed: None })
    }

    /// Waits until the next frame begins to arrive, without taking anything of it.
    ///
    /// # Errors
    /// As [`Transport::receive`].
    pub fn wait(&mut self, deadline: Deadline) -> Result<(), TransportError> {
        let peer = self.peer();
        if self.arriving.header_bytes > 0 {
            return Ok(());
        }
        let waited = self.check().and_then(|()| {
            prepare(&self.stream, deadline)?;
            match self.stream.peek(&mut [0]) {
                Ok(0) => Err(Fault::Disconnected),
                Ok(_) => Ok(()),
                Err(error) => Err(fault(&error)),
            }
        });
        waited.map_err(|fault| self.note(peer, fault))
    }

    fn peer(&self) -> PartyId {
        if self.roster.me() == BANK { CLIENT } else { BANK }
    }

    fn check(&self) -> Result<(), Fault> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Remembers a fault that is not over with this call.
    fn note(&mut self, peer: PartyId, fault: Fault) -> TransportError {
        if !matches!(fault, Fault::TimedOut | Fault::Myself | Fault::UnknownParty) {
            self.failed = Some(fault.clone());
        }
        TransportError::new(&self.roster, peer, fault)
    }

    fn check_party(&self, party: PartyId) -> Result<(), TransportError> {
        let fault = match party {
            _ if !self.roster.contains(party) => Fault::UnknownParty,
            _ if party == self.roster.me() => Fault::Myself,
            _ => return Ok(()),
        };
        Err(TransportError::new(&self.roster, party, fault))
    }

    fn start_writer(&self) -> Result<Writer, Fault> {
        let failed = |error: std::io::Error| Fault::Failed(error.to_string());
        let stream = Arc::clone(&self.stream);
        let (frames, queue) = channel::<Vec<u8>>();
        let write = move || {
            for frame in queue {
                if (&*stream).write_all(&frame).is_err() {
                    // The reader notices.
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
            }
            let _ = stream.shutdown(Shutdown::Write);
        };
        let thread = std::thread::Builder::new().stack_size(WRITER_STACK).spawn(write).map_err(failed)?;
        Ok(Writer { frames, thread })
    }

    fn enqueue(&mut self, frame: &[u8]) -> Result<(), Fault> {
        self.check()?;
        let length = u32::try_from(frame.len()).map_err(|_| Fault::Failed("frame too long".into()))?;
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.start_writer()?,
        };
        let bytes = [&length.to_le_bytes(), frame].concat();
        let sent = writer.frames.send(bytes).map_err(|_| Fault::Disconnected);
        self.writer = Some(writer);
        sent
    }

    /// Reads on where the last call stopped.
    fn read_frame(&mut self, deadline: Deadline) -> Result<Vec<u8>, Fault> {
        self.check()?;
        let arriving = &mut self.arriving;
        while arriving.header_bytes < HEADER {
            let rest = arriving.header.get_mut(arriving.header_bytes..).unwrap_or_default();
            arriving.header_bytes += read_some(&self.stream, rest, deadline)?;
        }
        let length = u32::from_le_bytes(arriving.header) as usize;
        if length > self.max_frame {
            return Err(Fault::TooLarge { bytes: length as u64, limit: self.max_frame as u64 });
        }
        while arriving.body.len() < length {
            let filled = arriving.body.len();
            arriving.body.resize(length.min(filled + CHUNK), 0);
            let space = arriving.body.get_mut(filled..).unwrap_or_default();
            let read = read_some(&self.stream, space, deadline);
            arriving.body.truncate(filled + read.as_ref().copied().unwrap_or(0));
            read?;
        }
        Ok(std::mem::take(arriving).body)
    }
}

impl Transport for TcpTransport {
    fn roster(&self) -> &Roster {
        &self.roster
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        self.check_party(to)?;
        if frame.len() > self.max_frame {
            let fault = Fault::TooLarge { bytes: frame.len() as u64, limit: self.max_frame as u64 };
            return Err(TransportError::new(&self.roster, to, fault));
        }
        self.enqueue(frame).map_err(|fault| self.note(to, fault))
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        self.check_party(from)?;
        self.read_frame(deadline).map_err(|fault| self.note(from, fault))
    }

    fn max_frame(&self) -> usize {
        self.max_frame
    }
}

/// What was sent still goes out, unless the peer does not read it in time.
impl Drop for TcpTransport {
    fn drop(&mut self) {
        if let Some(Writer { frames, thread }) = self.writer.take() {
            drop(frames);
            let _ = thread.join();
        }
    }
}

fn read_some(mut stream: &TcpStream, space: &mut [u8], deadline: Deadline) -> Result<usize, Fault> {
    prepare(stream, deadline)?;
    match stream.read(space) {
        Ok(0) => Err(Fault::Disconnected),
        Ok(read) => Ok(read),
        Err(error) => Err(fault(&error)),
    }
}

/// Lets the next read end by the deadline. The shortest wait there is stands for none at all.
fn prepare(stream: &TcpStream, deadline: Deadline) -> Result<(), Fault> {
    let wait = deadline.remaining().max(Duration::from_millis(1));
    stream.set_read_timeout(Some(wait)).map_err(|error| Fault::Failed(error.to_string()))
}

fn fault(error: &std::io::Error) -> Fault {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Fault::TimedOut,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Fault::Disconnected
        }
        _ => Fault::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use subrosa_transport::conformance::{self, Options};

    const LIMIT: usize = 1 << 20;

    fn streams() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    fn pair(names: &[&str]) -> Vec<TcpTransport> {
        let (bank, client) = streams();
        let ends = [(bank, BANK), (client, CLIENT)];
        let end = |(stream, me)| {
            TcpTransport::new(stream, Roster::new(names.iter().copied(), me).unwrap(), LIMIT).unwrap()
        };
        ends.into_iter().map(end).collect()
    }

    /// The checks that need no more than two parties.
    #[test]
    fn the_laws_for_two_parties() {
        let options = Options::default();
        conformance::check_deadline(&options, &mut pair).unwrap();
        conformance::check_send_does_not_wait(&options, &mut pair).unwrap();
        conformance::check_wrong_party(&options, &mut pair).unwrap();
        conformance::check_order(&options, &mut pair).unwrap();
        conformance::check_sizes(&options, &mut pair).unwrap();
        conformance::check_limit(&options, &mut pair).unwrap();
        conformance::check_timeout_is_not_final(&options, &mut pair).unwrap();
    }

    #[test]
    fn an_announced_length_over_the_limit_is_refused_without_its_bytes() {
        let (stream, mut client) = streams();
        let mut bank = TcpTransport::new(stream, roster(BANK).unwrap(), LIMIT).unwrap();
        client.write_all(&u32::MAX.to_le_bytes()).unwrap();
        let error = bank.receive(CLIENT, Deadline::after(Duration::from_secs(5))).unwrap_err();
        assert!(matches!(error.fault(), Fault::TooLarge { bytes: 0xffff_ffff, .. }), "{error}");
        assert_eq!(bank.arriving.body.capacity(), 0);
    }

    #[test]
    fn a_frame_in_pieces_survives_deadlines_in_between() {
        let (stream, mut client) = streams();
        let mut bank = TcpTransport::new(stream, roster(BANK).unwrap(), LIMIT).unwrap();
        let frame: Vec<u8> = (0..200_000u32).map(|i| i.to_le_bytes()[0]).collect();
        let bytes = [&200_000u32.to_le_bytes()[..], &frame].concat();
        for piece in [&bytes[..3], &bytes[3..70_000]] {
            client.write_all(piece).unwrap();
            let error = bank.receive(CLIENT, Deadline::after(Duration::from_millis(50))).unwrap_err();
            assert!(error.is_timeout());
        }
        client.write_all(&bytes[70_000..]).unwrap();
        assert_eq!(bank.receive(CLIENT, Deadline::after(Duration::from_secs(5))).unwrap(), frame);
    }

    #[test]
    fn a_peer_that_left_stays_failed() {
        let (stream, client) = streams();
        let mut bank = TcpTransport::new(stream, roster(BANK).unwrap(), LIMIT).unwrap();
        drop(client);
        let soon = || Deadline::after(Duration::from_secs(5));
        assert_eq!(bank.wait(soon()).unwrap_err().fault(), &Fault::Disconnected);
        assert_eq!(bank.receive(CLIENT, soon()).unwrap_err().fault(), &Fault::Disconnected);
        assert_eq!(bank.send(CLIENT, b"late").unwrap_err().fault(), &Fault::Disconnected);
    }
}
