//! What a bank knows of a query: when it came, from where, its size and its bytes.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};
use subrosa_transport::{Deadline, PartyId, Roster, Transport, TransportError};

/// How many of a query's first bytes are shown.
pub const SHOWN_BYTES: usize = 128;

/// What stands before an entry where a server prints it.
const MARK: &str = "saw ";

/// A query as the bank saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sight {
    /// The client's address.
    pub address: String,
    /// When the query had arrived, in milliseconds since 1970 (UTC).
    pub unix_milliseconds: u64,
    /// The query's size in bytes.
    pub bytes: u64,
    /// Its first [`SHOWN_BYTES`], in hexadecimal.
    pub first: String,
    /// How long the bank took from the query's last byte to its answer.
    pub microseconds: u64,
    /// The answer's size in bytes, with what the service puts before it.
    pub answer_bytes: u64,
}

impl Sight {
    /// The line that a server prints.
    ///
    /// # Errors
    /// None that this form can cause.
    pub fn to_line(&self) -> Result<String> {
        let json = serde_json::to_string(self).map_err(|error| Error::Data(error.to_string()))?;
        Ok(format!("{MARK}{json}"))
    }

    /// Reads a line that a server printed; `None` for any other line.
    pub fn from_line(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix(MARK)?).ok()
    }
}

/// The first bytes of a query or an answer, in hexadecimal.
pub fn first_bytes(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * SHOWN_BYTES);
    for byte in bytes.iter().take(SHOWN_BYTES) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A transport that reports each query that passes through it. It does not report shorter frames, such as requests for the
/// terms.
#[derive(Debug)]
pub struct Watched<'a, T, F> {
    inner: &'a mut T,
    address: String,
    query_bytes: usize,
    tell: F,
    /// The last query, until its answer is sent.
    pending: Option<(Sight, Instant)>,
}

impl<'a, T: Transport, F: FnMut(&Sight)> Watched<'a, T, F> {
    /// Watches a client's connection. `query_bytes` is the size of every query; `tell` is called after each answer.
    pub fn new(inner: &'a mut T, address: String, query_bytes: usize, tell: F) -> Self {
        Self { inner, address, query_bytes, tell, pending: None }
    }

    fn sight(&self, frame: &[u8]) -> Option<Sight> {
        // A query stands at the end of its frame.
        let query = frame.get(frame.len().checked_sub(self.query_bytes)?..)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Some(Sight {
            address: self.address.clone(),
            unix_milliseconds: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            bytes: query.len() as u64,
            first: first_bytes(query),
            microseconds: 0,
            answer_bytes: 0,
        })
    }
}

impl<T: Transport, F: FnMut(&Sight)> Transport for Watched<'_, T, F> {
    fn roster(&self) -> &Roster {
        self.inner.roster()
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> std::result::Result<(), TransportError> {
        let done = Instant::now();
        self.inner.send(to, frame)?;
        if let Some((mut sight, arrived)) = self.pending.take() {
            sight.microseconds = u64::try_from((done - arrived).as_micros()).unwrap_or(u64::MAX);
            sight.answer_bytes = frame.len() as u64;
            (self.tell)(&sight);
        }
        Ok(())
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> std::result::Result<Vec<u8>, TransportError> {
        self.pending = None;
        let frame = self.inner.receive(from, deadline)?;
        self.pending = self.sight(&frame).map(|sight| (sight, Instant::now()));
        Ok(frame)
    }

    fn max_frame(&self) -> usize {
        self.inner.max_frame()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::tcp::{BANK, CLIENT, TcpTransport, roster};

    #[test]
    fn queries_are_told_with_their_answers_and_nothing_else_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let bank = listener.accept().unwrap().0;
        let mut client = TcpTransport::new(client, roster(CLIENT).unwrap(), 10_000).unwrap();
        let mut bank = TcpTransport::new(bank, roster(BANK).unwrap(), 10_000).unwrap();
        let mut told = Vec::new();
        let mut watched =
            Watched::new(&mut bank, "10.0.0.9".to_owned(), 300, |sight: &Sight| told.push(sight.clone()));
        let deadline = || Deadline::after(Duration::from_secs(5));
        let query: Vec<u8> = (0..300u32).map(|i| i.to_le_bytes()[0]).collect();
        for frame in [b"terms?".to_vec(), [b"kind".to_vec(), query.clone()].concat()] {
            client.send(BANK, &frame).unwrap();
            assert_eq!(watched.receive(CLIENT, deadline()).unwrap(), frame);
            watched.send(CLIENT, b"an answer").unwrap();
            assert_eq!(client.receive(BANK, deadline()).unwrap(), b"an answer");
        }
        let [sight] = &told[..] else { panic!("{told:?}") };
        assert_eq!((sight.bytes, sight.answer_bytes, &*sight.address), (300, 9, "10.0.0.9"));
        assert_eq!(sight.first, first_bytes(&query));
        assert!(sight.first.starts_with("000102030405060708090a0b") && sight.first.len() == 2 * SHOWN_BYTES);
        assert_eq!(Sight::from_line(&sight.to_line().unwrap()).as_ref(), Some(sight));
        assert_eq!(Sight::from_line("listening on 127.0.0.1:1"), None);
    }
}
