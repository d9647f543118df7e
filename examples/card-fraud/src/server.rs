//! The bank's server: one thread for each connection, a bounded number of queries in memory, and an orderly shutdown.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::gate::{Place, Places, RateLimit};
use crate::tcp::{BANK, TcpTransport, roster};
use subrosa_transport::{Deadline, Fault, PartyId, Roster, Transport, TransportError};

/// Interval in which a waiting thread checks whether the server is stopping.
const TICK: Duration = Duration::from_millis(100);
/// Interval in which the listener checks for new connections when there was none.
const ACCEPT_TICK: Duration = Duration::from_millis(10);
/// Time in which a query must arrive once it has begun and has a place.
const ARRIVAL: Duration = Duration::from_secs(15);
/// Enough for an evaluation's own frames; its buffers are on the heap.
const STACK: usize = 1 << 20;

/// Limits of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Greatest number of connections at a time. Further ones are closed at once.
    pub connections: usize,
    /// Greatest number of queries in memory at a time. The others wait in order of arrival.
    pub places: usize,
    /// Queries per minute and address; 0 for no limit.
    pub per_minute: u32,
    /// Queries that an address may ask at once before the rate applies.
    pub burst: u32,
    /// Greatest frame in bytes.
    pub max_frame: usize,
}

/// Counters of a server.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections taken.
    pub connections: AtomicU64,
    /// Connections closed at once, because there were too many.
    pub turned_away: AtomicU64,
    /// Frames received.
    pub received: AtomicU64,
    /// Frames sent.
    pub sent: AtomicU64,
}

/// A server that has not started yet, or its state while it runs.
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    places: Places,
    rate: Option<RateLimit>,
    stopping: AtomicBool,
    open: AtomicUsize,
    counts: Counts,
}

impl Server {
    /// A server with these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            places: Places::new(limits.places.max(1)),
            rate: RateLimit::new(limits.per_minute, limits.burst),
            stopping: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            counts: Counts::default(),
        }
    }

    /// Ends [`Self::run`]: no connection is taken any more, queries that are being read or evaluated are answered,
    /// then connections are closed.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What has happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes connections and gives each to `serve` on a thread of its own, until [`Self::stop`]. A connection ends
    /// when `serve` returns.
    ///
    /// # Errors
    /// From the operating system, if the listener breaks.
    pub fn run(
        &self,
        listener: &TcpListener,
        serve: impl Fn(&mut Guarded<'_>) + Sync,
    ) -> std::io::Result<()> {
        listener.set_nonblocking(true)?;
        let serve = &serve;
        thread::scope(|scope| {
            while !self.is_stopping() {
                match listener.accept() {
                    Ok((stream, address)) => {
                        let Some(seat) = self.seat() else { continue };
                        let work = move || self.attend(stream, address.ip(), seat, serve);
                        // Without a thread the connection is closed; the next may find one.
                        let started = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
                        if started.is_err() {
                            self.counts.turned_away.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    Err(error) if is_passing(&error) => thread::sleep(ACCEPT_TICK),
                    Err(error) => {
                        self.stop();
                        return Err(error);
                    }
                }
            }
            Ok(())
        })
    }

    fn attend(
        &self,
        stream: TcpStream,
        address: IpAddr,
        _seat: Seat<'_>,
        serve: &(impl Fn(&mut Guarded<'_>) + Sync),
    ) {
        let inner = roster(BANK).ok().and_then(|roster| {
            stream.set_nonblocking(false).ok()?;
            TcpTransport::new(stream, roster, self.limits.max_frame).ok()
        });
        if let Some(inner) = inner {
            serve(&mut Guarded { inner, server: self, address, place: None });
        }
    }

    fn seat(&self) -> Option<Seat<'_>> {
        let seat = Seat(self);
        if self.open.fetch_add(1, Ordering::Relaxed) < self.limits.connections {
            self.counts.connections.fetch_add(1, Ordering::Relaxed);
            Some(seat)
        } else {
            self.counts.turned_away.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

/// A connection that counts until it is dropped.
struct Seat<'a>(&'a Server);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Errors of `accept` that concern one connection, or pass when others close.
fn is_passing(error: &std::io::Error) -> bool {
    const TOO_MANY_FILES: [i32; 2] = [23, 24];
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
        || error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code))
}

/// A connection that reads only when the rate allows it and a place is free, and gives the place back when the
/// answer is sent.
#[derive(Debug)]
pub struct Guarded<'a> {
    inner: TcpTransport,
    server: &'a Server,
    address: IpAddr,
    place: Option<Place<'a>>,
}

impl Guarded<'_> {
    /// The client's address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    fn error(&self, peer: PartyId, fault: Fault) -> TransportError {
        TransportError::new(self.inner.roster(), peer, fault)
    }

    /// Waits in short turns until `ready` says so, the deadline passes or the server stops.
    fn wait_until(
        &mut self,
        from: PartyId,
        deadline: Deadline,
        mut ready: impl FnMut(&mut Self, Deadline) -> Result<bool, TransportError>,
    ) -> Result<(), TransportError> {
        loop {
            if ready(self, Deadline::after(TICK).or_sooner(deadline))? {
                return Ok(());
            }
            if self.server.is_stopping() {
                return Err(self.error(from, Fault::Disconnected));
            }
            if deadline.has_passed() {
                return Err(self.error(from, Fault::TimedOut));
            }
        }
    }
}

impl Transport for Guarded<'_> {
    fn roster(&self) -> &Roster {
        self.inner.roster()
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        let sent = self.inner.send(to, frame);
        self.place = None;
        sent?;
        self.server.counts.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        self.place = None;
        // A client that never pauses must not delay a server that stops.
        if self.server.is_stopping() {
            return Err(self.error(from, Fault::Disconnected));
        }
        self.wait_until(from, deadline, |this, until| match this.inner.wait(until) {
            Ok(()) => Ok(true),
            Err(error) if error.is_timeout() => Ok(false),
            Err(error) => Err(error),
        })?;
        let server = self.server;
        if let Some(rate) = &server.rate {
            self.wait_until(from, deadline, |this, until| match rate.take(this.address, Instant::now()) {
                Ok(()) => Ok(true),
                Err(wait) => {
                    thread::sleep(wait.min(until.remaining()));
                    Ok(false)
                }
            })?;
        }
        self.place = Some(server.places.take());
        let frame = self.inner.receive(from, Deadline::after(ARRIVAL))?;
        server.counts.received.fetch_add(1, Ordering::Relaxed);
        Ok(frame)
    }

    fn max_frame(&self) -> usize {
        self.inner.max_frame()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::SocketAddr;

    use super::*;
    use crate::tcp::CLIENT;

    const LIMITS: Limits =
        Limits { connections: 4_000, places: 3, per_minute: 0, burst: 1, max_frame: 1 << 20 };

    /// Answers each frame with its length, and says whether more than the allowed places were in use.
    fn echo(transport: &mut Guarded<'_>) {
        while let Ok(frame) = transport.receive(CLIENT, Deadline::after(Duration::from_secs(30))) {
            let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
            if transport.send(CLIENT, &length).is_err() {
                return;
            }
        }
    }

    fn with_server(limits: Limits, clients: impl FnOnce(SocketAddr, &Server)) -> Server {
        let server = Server::new(limits);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::scope(|scope| {
            let running = scope.spawn(|| server.run(&listener, echo));
            // This also runs if a test fails. Otherwise the server would run for ever.
            let _stop = StopOnDrop(&server);
            clients(address, &server);
            server.stop();
            running.join().unwrap().unwrap();
        });
        server
    }

    struct StopOnDrop<'a>(&'a Server);

    impl Drop for StopOnDrop<'_> {
        fn drop(&mut self) {
            self.0.stop();
        }
    }

    fn ask(stream: &mut TcpStream, frame: &[u8]) -> std::io::Result<u32> {
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.write_all(&u32::try_from(frame.len()).unwrap().to_le_bytes())?;
        stream.write_all(frame)?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer)?;
        let [4, 0, 0, 0, rest @ ..] = answer else { panic!("{answer:?}") };
        Ok(u32::from_le_bytes(rest))
    }

    #[test]
    fn a_thousand_clients_at_once_all_get_their_answer() {
        // Both ends of every connection are in this process.
        rlimit::increase_nofile_limit(8_192).unwrap();
        let frame = vec![7; 100_000];
        let server = with_server(LIMITS, |address, _| {
            // All are connected before the first asks.
            let streams: Vec<_> = (0..1_000).map(|_| TcpStream::connect(address).unwrap()).collect();
            thread::scope(|scope| {
                for (number, mut stream) in streams.into_iter().enumerate() {
                    let frame = &frame[..frame.len() - number];
                    let work = move || assert_eq!(ask(&mut stream, frame).unwrap() as usize, frame.len());
                    thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).unwrap();
                }
            });
        });
        assert_eq!(server.counts().connections.load(Ordering::Relaxed), 1_000);
        assert_eq!(server.counts().sent.load(Ordering::Relaxed), 1_000);
    }

    #[test]
    fn a_stopping_server_answers_what_has_begun_and_closes_what_is_idle() {
        with_server(LIMITS, |address, server| {
            let mut idle = TcpStream::connect(address).unwrap();
            let mut busy = TcpStream::connect(address).unwrap();
            assert_eq!(ask(&mut idle, b"one").unwrap(), 3);
            busy.write_all(&[5, 0, 0, 0, b'h', b'a']).unwrap();
            while server.counts().connections.load(Ordering::Relaxed) < 2 {
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(3 * TICK);
            server.stop();
            assert_eq!(idle.read(&mut [0]).unwrap(), 0);
            busy.write_all(b"llo").unwrap();
            let mut answer = [0; 8];
            busy.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [4, 0, 0, 0, 5, 0, 0, 0]);
        });
    }

    #[test]
    fn a_rate_holds_queries_back_and_loses_none() {
        let limits = Limits { per_minute: 600, burst: 3, ..LIMITS };
        with_server(limits, |address, _| {
            let start = Instant::now();
            let mut stream = TcpStream::connect(address).unwrap();
            for _ in 0..8 {
                assert_eq!(ask(&mut stream, b"query").unwrap(), 5);
            }
            // Three at once, then one every tenth of a second.
            assert!(start.elapsed() >= Duration::from_millis(450));
        });
    }

    #[test]
    fn connections_over_the_limit_are_closed() {
        let server = with_server(Limits { connections: 1, ..LIMITS }, |address, _| {
            let mut first = TcpStream::connect(address).unwrap();
            assert_eq!(ask(&mut first, b"a").unwrap(), 1);
            let mut second = TcpStream::connect(address).unwrap();
            assert!(ask(&mut second, b"a").is_err());
            drop(first);
            let seated = (0..100).any(|_| {
                thread::sleep(Duration::from_millis(20));
                TcpStream::connect(address).is_ok_and(|mut third| ask(&mut third, b"abc").is_ok())
            });
            assert!(seated);
        });
        assert!(server.counts().turned_away.load(Ordering::Relaxed) >= 1);
    }
}
