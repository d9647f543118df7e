//! The bytes inside a TLS connection: a greeting each way, then records.
//!
//! Greeting, 128 bytes: `SBTL`, version 1, the sender's process (16), the receiver's process if the sender knows it
//! (16, otherwise zeros), the number of the next frame that the sender awaits (8), its frame limit (8), zeros. Numbers
//! are little-endian. The party that connects greets first. The other one answers with its greeting, or with a refusal
//! of the same length: `SBTN`, version 1, the reason in UTF-8, zeros.
//!
//! Record: its kind (1), a number (8), and for a frame its length (4) and bytes.

use std::num::TryFromIntError;

use super::TlsRecordError;
use crate::{
    session::clean,
    wiped::{Wiped, reserve},
};

pub(super) const GREETING_BYTES: usize = 128;
const MAGIC: [u8; 4] = *b"SBTL";
const REFUSAL: [u8; 4] = *b"SBTN";
const REASON_AT: usize = 5;
const VERSION: u8 = 1;

/// Random bytes that identify a process, or a transport in it, among others with the same name.
pub(super) type Process = [u8; 16];

/// Greeting of a process at the beginning of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) process: Process,
    /// Zeros for a peer that the sender has not met.
    pub(super) knows: Process,
    pub(super) next: u64,
    pub(super) max_frame: u64,
}

impl Greeting {
    /// Whether its sender expects another process here.
    pub(super) fn is_to_another(&self, me: &Self) -> bool {
        self.knows != Process::default() && self.knows != me.process
    }

    pub(super) fn encode(&self) -> [u8; GREETING_BYTES] {
        let mut bytes = [0; GREETING_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[5..21].copy_from_slice(&self.process);
        bytes[21..37].copy_from_slice(&self.knows);
        bytes[37..45].copy_from_slice(&self.next.to_le_bytes());
        bytes[45..53].copy_from_slice(&self.max_frame.to_le_bytes());
        bytes
    }

    /// A greeting, or the reason for a refusal.
    pub(super) fn parse(bytes: &[u8; GREETING_BYTES]) -> Result<Self, TlsRecordError> {
        if bytes[..4] == REFUSAL {
            let reason = String::from_utf8_lossy(&bytes[REASON_AT..]);
            return Err(TlsRecordError::Refused { reason: clean(reason.trim_end_matches('\0')) });
        }
        if bytes[..4] != MAGIC {
            return Err(TlsRecordError::NotAGreeting);
        }
        if bytes[4] != VERSION {
            return Err(TlsRecordError::Version { theirs: bytes[4], mine: VERSION });
        }
        let mut process = [0; 16];
        process.copy_from_slice(&bytes[5..21]);
        let mut knows = [0; 16];
        knows.copy_from_slice(&bytes[21..37]);
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        Ok(Self { process, knows, next: number(37), max_frame: number(45) })
    }
}

/// The answer to a greeting that is not accepted.
pub(super) fn refusal(reason: &str) -> [u8; GREETING_BYTES] {
    let mut bytes = [0; GREETING_BYTES];
    bytes[..4].copy_from_slice(&REFUSAL);
    bytes[4] = VERSION;
    let length = reason.len().min(GREETING_BYTES - REASON_AT);
    // The cut may fall within a character. The reader accepts that.
    bytes[REASON_AT..REASON_AT + length].copy_from_slice(&reason.as_bytes()[..length]);
    bytes
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A frame with its number.
    Frame(u64, Wiped),
    /// All frames below this number have arrived.
    Received(u64),
    /// A keepalive.
    Alive,
    /// A goodbye: the sender has sent everything and leaves.
    Goodbye,
}

const FRAME: u8 = 1;
const RECEIVED: u8 = 2;
const ALIVE: u8 = 3;
const GOODBYE: u8 = 4;

/// The bytes before a frame's own. Limits keep frames below 4 GiB.
pub(super) fn frame_head(number: u64, length: usize) -> Result<[u8; 13], TryFromIntError> {
    let length = u32::try_from(length)?;
    let mut head = [0; 13];
    head[0] = FRAME;
    head[1..9].copy_from_slice(&number.to_le_bytes());
    head[9..13].copy_from_slice(&length.to_le_bytes());
    Ok(head)
}

/// A record that is not a frame.
pub(super) fn short(record: &Record) -> [u8; 9] {
    let (kind, number) = match record {
        Record::Received(next) => (RECEIVED, *next),
        Record::Goodbye => (GOODBYE, 0),
        Record::Alive | Record::Frame(..) => (ALIVE, 0),
    };
    let mut bytes = [0; 9];
    bytes[0] = kind;
    bytes[1..9].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Puts records together from bytes as they come.
#[derive(Debug)]
pub(super) struct Records {
    max_frame: usize,
    head: Vec<u8>,
    frame: Option<(u64, usize, Wiped)>,
}

/// Size of the first piece of memory for a frame. Beyond it, memory grows with what has arrived.
const FIRST_PIECE: usize = 64 << 10;

impl Records {
    pub(super) fn new(max_frame: usize) -> Self {
        Self { max_frame, head: Vec::with_capacity(13), frame: None }
    }

    /// Takes some of `bytes`, and shortens it. Returns a record as soon as one is complete.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<Record>, TlsRecordError> {
        loop {
            if let Some((number, length, frame)) = &mut self.frame {
                let (piece, rest) = bytes.split_at(bytes.len().min(*length - frame.len()));
                // Memory is doubled, but not beyond the announced length, so that a complete frame has no spare memory.
                let doubled = frame.capacity().saturating_mul(2).min(*length);
                reserve(frame, piece.len(), doubled);
                frame.extend_from_slice(piece);
                *bytes = rest;
                if frame.len() < *length {
                    return Ok(None);
                }
                let record = Record::Frame(*number, std::mem::take(frame));
                self.frame = None;
                return Ok(Some(record));
            }
            let wanted = if self.head.first() == Some(&FRAME) { 13 } else { 9 };
            if self.head.len() < wanted {
                let Some((&byte, rest)) = bytes.split_first() else { return Ok(None) };
                self.head.push(byte);
                *bytes = rest;
                continue;
            }
            let mut number = [0; 8];
            number.copy_from_slice(&self.head[1..9]);
            let number = u64::from_le_bytes(number);
            let record = match self.head[0] {
                FRAME => {
                    let mut length = [0; 4];
                    length.copy_from_slice(&self.head[9..13]);
                    let length = u32::from_le_bytes(length) as usize;
                    // This check comes before memory is allocated.
                    if length > self.max_frame {
                        return Err(TlsRecordError::FrameTooLarge { bytes: length, limit: self.max_frame });
                    }
                    let frame = Wiped::new(Vec::with_capacity(length.min(FIRST_PIECE)));
                    self.frame = Some((number, length, frame));
                    self.head.clear();
                    continue;
                }
                RECEIVED => Record::Received(number),
                ALIVE => Record::Alive,
                GOODBYE => Record::Goodbye,
                kind => return Err(TlsRecordError::UnknownKind { kind }),
            };
            self.head.clear();
            return Ok(Some(record));
        }
    }
}

/// Decodes what one side of a connection sends, greeting and records, `piece` bytes at a time. Returns the frames.
pub(crate) fn read_all(bytes: &[u8], max_frame: usize, piece: usize) -> Result<Vec<Vec<u8>>, TlsRecordError> {
    let (greeting, rest) = bytes.split_first_chunk().ok_or(TlsRecordError::NoGreeting)?;
    Greeting::parse(greeting)?;
    let mut records = Records::new(max_frame);
    let mut frames = Vec::new();
    for mut chunk in rest.chunks(piece.max(1)) {
        while let Some(record) = records.take(&mut chunk)? {
            match record {
                Record::Frame(_, frame) => frames.push(frame.to_vec()),
                Record::Received(_) | Record::Alive => {}
                Record::Goodbye => return Ok(frames),
            }
        }
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_any_cutting() {
        let mut bytes = Vec::new();
        bytes.extend(frame_head(7, 5).unwrap());
        bytes.extend(b"hello");
        bytes.extend(short(&Record::Received(9)));
        bytes.extend(frame_head(8, 0).unwrap());
        bytes.extend(short(&Record::Alive));
        bytes.extend(short(&Record::Goodbye));
        for piece in 1..bytes.len() {
            let mut records = Records::new(5);
            let mut found = Vec::new();
            for mut chunk in bytes.chunks(piece) {
                while let Some(record) = records.take(&mut chunk).unwrap() {
                    found.push(record);
                }
            }
            let frame = |number, bytes: &[u8]| Record::Frame(number, bytes.to_vec().into());
            let expected =
                [frame(7, b"hello"), Record::Received(9), frame(8, b""), Record::Alive, Record::Goodbye];
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn four_gibibytes_are_refused_before_they_are_allocated() {
        let mut records = Records::new(1 << 20);
        let mut head = frame_head(0, 0).unwrap();
        head[9..].copy_from_slice(&[0xff; 4]);
        assert!(records.take(&mut &head[..]).is_err());
        assert!(records.frame.is_none());
        assert!(Records::new(5).take(&mut &[9; 9][..]).is_err());
    }

    #[test]
    fn a_frame_takes_no_more_memory_than_has_come_or_it_needs() {
        let length = 3 * FIRST_PIECE + 1;
        let mut records = Records::new(length);
        records.take(&mut &frame_head(0, length).unwrap()[..]).unwrap();
        for _ in 0..3 {
            let piece = vec![7; FIRST_PIECE];
            assert_eq!(records.take(&mut &piece[..]), Ok(None));
            let (_, _, frame) = records.frame.as_ref().unwrap();
            assert!(frame.capacity() <= 2 * frame.len().max(FIRST_PIECE));
        }
        let Some(Record::Frame(0, frame)) = records.take(&mut &[7][..]).unwrap() else { panic!() };
        assert_eq!((frame.len(), frame.capacity()), (length, length));
    }

    #[test]
    fn greetings_are_checked() {
        let greeting = Greeting { process: [1; 16], knows: [2; 16], next: 3, max_frame: 4 };
        let bytes = greeting.encode();
        assert_eq!(Greeting::parse(&bytes), Ok(greeting));
        for at in 0..5 {
            let mut bytes = bytes;
            bytes[at] ^= 1;
            assert!(Greeting::parse(&bytes).is_err());
        }
        let refused = |reason: &str| Greeting::parse(&refusal(reason)).unwrap_err().to_string();
        assert_eq!(refused("no\nroom"), "it refused: no?room");
        assert_eq!(refused(&"x".repeat(500)), format!("it refused: {}", "x".repeat(123)));
    }
}
