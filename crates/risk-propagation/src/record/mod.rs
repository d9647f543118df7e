//! The record of a run: all frames that a bank sent and received, so that an auditor can compute the run again.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0–7 | `subrosaF` |
//! | 8–9 | version of the format: 1 |
//! | 10– | entries |
//!
//! An entry is its kind in one byte, a peer's place in the roster in two bytes, a length in four and as many bytes. Numbers are
//! little-endian. Kind 0 begins a session: its bytes are the protocol's name, its peer is 0xFFFF. Kind 1 is a frame that was
//! sent, kind 2 one that was received. A file holds one session after another, of one run or of several.
//!
//! Each entry has a hash: SHA-256 over the hash of the entry before in the same session, kind, peer and bytes. Whoever keeps the
//! hash of an entry elsewhere is sure of all entries of its session up to it.
//!
//! # Security
//! A record holds names of accounts at other banks, which were offered in R3, and ciphertexts. With the run's seed it tells the
//! bank's scores.

mod seeds;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use subrosa_encoding::Hasher;
use subrosa_transport::{DEFAULT_MAX_FRAME, Deadline, Fault, PartyId, Roster, Transport, TransportError};

pub use seeds::{SeedFileError, Seeds};

const MAGIC: &[u8; 8] = b"subrosaF";
const VERSION: u16 = 1;
/// Bytes of magic and version.
const START: usize = 10;
/// Bytes of an entry before its content.
const ENTRY: usize = 7;
/// How often, and how long apart, a lock is tried.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);
/// The peer of an entry that has none.
const NOBODY: u16 = u16::MAX;

/// Why a record cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Reading or writing failed.
    #[error("it cannot be read or written")]
    Io(#[from] std::io::Error),
    /// It does not begin as a record does.
    #[error("it is no record of frames")]
    NotARecord,
    /// It was written by another version.
    #[error("it has the format {found}, this version reads {VERSION}")]
    Version {
        /// Number of the format found.
        found: u16,
    },
    /// It ends in the middle of an entry.
    #[error("entry {entry} is cut short")]
    Truncated {
        /// The entry, from 0.
        entry: u64,
    },
    /// More entries than an index holds: move the file away between two runs.
    #[error("it has more entries than can be read")]
    TooLong,
    /// An entry that no bank writes.
    #[error("entry {entry} is damaged")]
    Damaged {
        /// The entry, from 0.
        entry: u64,
    },
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A session begins.
    Begin,
    /// A frame was sent.
    Sent,
    /// A frame was received.
    Received,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Begin => 0,
            Self::Sent => 1,
            Self::Received => 2,
        }
    }
}

/// One entry of a record.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub kind: Kind,
    /// To whom, or from whom; any value where a session begins.
    pub peer: PartyId,
    /// The frame, or the protocol's name.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Entry {
    // Redacted: frames may hold names of customers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({:?}, {}, <redacted>, {} bytes)", self.kind, self.peer, self.bytes.len())
    }
}

impl Entry {
    /// The hash of this entry behind one with the hash `before`.
    #[must_use]
    pub fn hash(&self, before: &[u8; 32]) -> [u8; 32] {
        chained(before, self.kind, self.peer, &self.bytes)
    }
}

fn chained(before: &[u8; 32], kind: Kind, peer: PartyId, bytes: &[u8]) -> [u8; 32] {
    let (before, peer) = if kind == Kind::Begin { (&[0; 32], 0) } else { (before, peer.index() as u64) };
    Hasher::new("subrosa/risk-propagation/record", VERSION.into())
        .field("before", before)
        .u64("kind", u64::from(kind.byte()))
        .u64("peer", peer)
        .field("bytes", bytes)
        .finish()
}

/// A record that is being written.
#[derive(Debug, Clone)]
pub struct Record<W> {
    out: W,
    hash: [u8; 32],
}

impl Record<File> {
    /// Goes on with the record in a file, or begins one that only its owner may read (mode 0600 on Unix). What a killed process left of
    /// its last entry is dropped.
    ///
    /// # Errors
    /// [`RecordError`]: the file is no record, or cannot be used. A record that another process writes is refused.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let mut file = private().read(true).write(true).create(true).truncate(false).open(path)?;
        lock(&file)?;
        if file.metadata()?.len() < START as u64 {
            file.set_len(0)?;
            file.rewind()?;
            return Ok(Self::new(file)?);
        }
        let mut end = START as u64;
        let mut reader = Reader::new(&mut file)?;
        loop {
            match reader.pass() {
                Ok(true) => end = reader.source.stream_position()?,
                Ok(false) => break,
                Err(RecordError::Truncated { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Self { out: file, hash: [0; 32] })
    }

    /// Brings what was written to the disk.
    ///
    /// # Errors
    /// The system's.
    pub fn sync(&mut self) -> std::io::Result<()> {
        self.out.sync_data()
    }
}

impl<W: Write> Record<W> {
    /// A new record.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> std::io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        Ok(Self { out, hash: [0; 32] })
    }

    /// Notes that a session of a protocol is about to be opened.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn begin(&mut self, protocol: &str) -> std::io::Result<()> {
        self.write(Kind::Begin, NOBODY, protocol.as_bytes())?;
        self.hash = chained(&self.hash, Kind::Begin, PartyId::new(NOBODY), protocol.as_bytes());
        Ok(())
    }

    /// Notes a frame.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn frame(&mut self, kind: Kind, peer: PartyId, frame: &[u8]) -> std::io::Result<()> {
        self.write(kind, u16::try_from(peer.index()).unwrap_or(NOBODY), frame)?;
        self.hash = chained(&self.hash, kind, peer, frame);
        Ok(())
    }

    fn write(&mut self, kind: Kind, peer: u16, bytes: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
        let mut entry = Vec::with_capacity(ENTRY + bytes.len());
        entry.push(kind.byte());
        entry.extend_from_slice(&peer.to_le_bytes());
        entry.extend_from_slice(&length.to_le_bytes());
        entry.extend_from_slice(bytes);
        self.out.write_all(&entry)
    }

    /// The hash of the last entry.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Reads a record, entry by entry.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    /// Entries read.
    entries: u64,
    /// An entry that was read too early.
    ahead: Option<Entry>,
}

impl<R: Read> Reader<R> {
    /// Begins with a record.
    ///
    /// # Errors
    /// [`RecordError`]: it is not a record, or one of another version.
    pub fn new(mut source: R) -> Result<Self, RecordError> {
        let mut start = [0; START];
        if fill(&mut source, &mut start)? < start.len() || !start.starts_with(MAGIC) {
            return Err(RecordError::NotARecord);
        }
        let found = u16::from_le_bytes([start[8], start[9]]);
        if found != VERSION {
            return Err(RecordError::Version { found });
        }
        Ok(Self { source, entries: 0, ahead: None })
    }

    /// Kind, peer and length of the next entry; `None` at the end.
    fn head(&mut self) -> Result<Option<(Kind, PartyId, usize)>, RecordError> {
        let entry = self.entries;
        let mut head = [0; ENTRY];
        match fill(&mut self.source, &mut head)? {
            0 => return Ok(None),
            ENTRY => {}
            _ => return Err(RecordError::Truncated { entry }),
        }
        let [kind, peer @ .., _, _, _, _] = head;
        let [_, _, _, length @ ..] = head;
        let kind = match kind {
            0 => Kind::Begin,
            1 => Kind::Sent,
            2 => Kind::Received,
            _ => return Err(RecordError::Damaged { entry }),
        };
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > DEFAULT_MAX_FRAME {
            return Err(RecordError::Damaged { entry });
        }
        self.entries += 1;
        Ok(Some((kind, PartyId::new(u16::from_le_bytes(peer)), length)))
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// [`RecordError`]: it is cut short or damaged.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator of results would be read on after an error"
    )]
    pub fn next(&mut self) -> Result<Option<Entry>, RecordError> {
        if let Some(entry) = self.ahead.take() {
            return Ok(Some(entry));
        }
        let Some((kind, peer, length)) = self.head()? else { return Ok(None) };
        let mut bytes = Vec::new();
        // Grows with what is there, whatever the length says.
        (&mut self.source).take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(RecordError::Truncated { entry: self.entries - 1 });
        }
        Ok(Some(Entry { kind, peer, bytes }))
    }
}

impl<R: Read> Reader<R> {
    /// The next entry of a session; `None` at its end. `begun` says that its first entry was read before.
    pub(crate) fn next_of_session(&mut self, begun: bool) -> Result<Option<Entry>, RecordError> {
        let entry = self.next()?;
        if begun && entry.as_ref().is_some_and(|entry| entry.kind == Kind::Begin) {
            self.ahead = entry;
            return Ok(None);
        }
        Ok(entry)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Passes over an entry; false at the end.
    fn pass(&mut self) -> Result<bool, RecordError> {
        let Some((_, _, length)) = self.head()? else { return Ok(false) };
        let here = self.source.stream_position()?;
        let end = self.source.seek(SeekFrom::End(0))?;
        let next = here + length as u64;
        if next > end {
            return Err(RecordError::Truncated { entry: self.entries - 1 });
        }
        self.source.seek(SeekFrom::Start(next))?;
        Ok(true)
    }

    /// Begins anew.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn rewind(&mut self) -> Result<(), RecordError> {
        self.source.seek(SeekFrom::Start(START as u64))?;
        self.entries = 0;
        self.ahead = None;
        Ok(())
    }
}

/// Reads as much as there is; how much it was.
fn fill(source: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut there = 0;
    while there < bytes.len() {
        match source.read(&mut bytes[there..]) {
            Ok(0) => break,
            Ok(more) => there += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(there)
}

/// A transport whose frames are recorded. A frame that cannot be recorded fails as if the peer could not be reached.
#[derive(Debug)]
pub struct Recording<T, W> {
    inner: T,
    record: Record<W>,
}

impl<T: Transport, W: Write> Recording<T, W> {
    /// Records what goes over `inner`. A session of `protocol` is about to be opened.
    ///
    /// # Errors
    /// Those of the record's writer.
    pub fn new(inner: T, mut record: Record<W>, protocol: &str) -> std::io::Result<Self> {
        record.begin(protocol)?;
        Ok(Self { inner, record })
    }

    /// The record.
    pub fn into_record(self) -> Record<W> {
        self.record
    }

    fn note(&mut self, kind: Kind, peer: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        let noted = self.record.frame(kind, peer, frame);
        noted.map_err(|_| {
            let fault = Fault::NotAwaited("this bank cannot record the run".to_owned());
            TransportError::new(self.inner.roster(), peer, fault)
        })
    }
}

impl<T: Transport, W: Write> Transport for Recording<T, W> {
    fn roster(&self) -> &Roster {
        self.inner.roster()
    }

    fn max_frame(&self) -> usize {
        self.inner.max_frame()
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        self.note(Kind::Sent, to, frame)?;
        self.inner.send(to, frame)
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        let frame = self.inner.receive(from, deadline)?;
        self.note(Kind::Received, from, &frame)?;
        Ok(frame)
    }
}

/// Keeps other processes from a file.
fn lock(file: &File) -> std::io::Result<()> {
    // A process that this one starts elsewhere holds a copy of an open lock until it runs its own program.
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(std::io::Error::new(std::io::ErrorKind::WouldBlock, "another process writes to it"))
}

/// Options for files that only their owner may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Where the record that belongs to another file is kept.
#[must_use]
pub fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    file.with_file_name(name)
}
