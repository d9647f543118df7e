//! Connections to the page: their number is bounded, and idle ones are closed.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// A listener whose connections end when nothing was written to them for a while: a request that comes in bit by bit, a
/// reply that nobody reads, and silence all come to that. Further connections wait until there is room.
#[derive(Debug)]
pub struct Bounded {
    inner: TcpListener,
    places: Arc<Semaphore>,
    longest: Duration,
}

impl Bounded {
    /// At most `connections` at a time. `longest` is what a request and its reply may take together.
    pub fn new(inner: TcpListener, connections: usize, longest: Duration) -> Self {
        Self { inner, places: Arc::new(Semaphore::new(connections)), longest }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Nobody closes the semaphore, so this cannot fail.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.inner).await;
        let (longest, end) = (self.longest, Box::pin(sleep(self.longest)));
        (Connection { stream, longest, end, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that gives its place back when it ends.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    longest: Duration,
    end: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// What the stream says, or that the time is over.
    fn in_time<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_pending() {
            ready!(self.end.as_mut().poll(context));
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        polled
    }

    fn written(&mut self) {
        let end = Instant::now() + self.longest;
        self.end.as_mut().reset(end);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, into);
        self.in_time(polled, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(polled, Poll::Ready(Ok(_))) {
            self.written();
        }
        self.in_time(polled, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream as Client;
    use std::thread;

    use axum::{Router, routing::get};

    use super::*;

    const LONGEST: Duration = Duration::from_millis(400);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";

    /// A server that says hello to so many clients at a time.
    fn serve(connections: usize) -> SocketAddr {
        let (sender, receiver) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let router = Router::new().route("/", get(async || "hello"));
                axum::serve(Bounded::new(listener, connections, LONGEST), router).await.unwrap();
            });
        });
        receiver.recv().unwrap()
    }

    fn connect(server: SocketAddr) -> Client {
        let client = Client::connect(server).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        client
    }

    fn ask(mut client: &Client) -> String {
        client.write_all(REQUEST).unwrap();
        let mut reply = vec![0; 1_000];
        let length = client.read(&mut reply).unwrap();
        String::from_utf8(reply[..length].to_vec()).unwrap()
    }

    /// Reads what is left until the server closes.
    fn is_closed(mut client: &Client) -> bool {
        !matches!(client.read_to_end(&mut Vec::new()), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    #[test]
    fn requests_are_answered_one_after_the_other_as_long_as_they_come() {
        let client = connect(serve(1));
        for _ in 0..6 {
            assert!(ask(&client).ends_with("hello"));
            thread::sleep(LONGEST / 3);
        }
        assert!(is_closed(&client));
    }

    #[test]
    fn silent_and_trickling_clients_lose_their_place() {
        let server = serve(2);
        let (silent, mut trickling) = (connect(server), connect(server));
        let third = connect(server);
        // Bytes that come in do not earn more time.
        let start = std::time::Instant::now();
        let mut dots = std::iter::once(&b"GET / HTTP/1.1\r\nX: "[..]).chain(std::iter::repeat(&b"."[..]));
        while start.elapsed() < LONGEST * 10 && trickling.write_all(dots.next().unwrap()).is_ok() {
            thread::sleep(LONGEST / 10);
        }
        assert!(start.elapsed() < LONGEST * 10);
        assert!(is_closed(&silent));
        assert!(ask(&third).ends_with("hello"));
    }
}
