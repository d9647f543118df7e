//! The audit trail: a log of the run in JSON lines, each bound to all lines before it by a hash.
//!
//! A line is `{"hash":"<hex>","record":{…}}`. The hash is SHA-256 over a domain, the hash of the line before (zeros for the
//! first) and the bytes of the record as they stand in the line. Whoever knows the last hash can be sure of every line
//! before it; so hand the last hash, which the run prints, to those who are to trust the trail.
//!
//! **No private value.** The trail holds names, parameters, sizes, public hashes and reasons that were sent to all banks
//! anyway. Hashes of what is private (the input, the messages) are keyed with a secret that lies in a file of its own
//! beside the trail: without it nobody can try out guesses; with it the bank can prove what it put in.

mod recompute;
mod verify;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use subrosa_encoding::{Hasher, Hex};
use subrosa_risk_propagation::record::{self, Kind, Record as Frames, RecordError};
use subrosa_transport::PartyId;
use zeroize::Zeroizing;

pub use recompute::{Evidence, recompute};
pub use verify::{Report, Untrue, compare, verify};

/// Why the trail cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file cannot be read or written.
    #[error("audit trail {}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file that is to be continued is not a whole trail.
    #[error("audit trail {}: {problem}; move it away, or set another file", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another process goes on with this trail.
    #[error("audit trail {}: another process writes to it; does this bank run already?", .0.display())]
    InUse(PathBuf),
    /// The record of frames cannot be read or written.
    #[error("record of frames {}: {source}", file.display())]
    Record {
        /// The file.
        file: PathBuf,
        /// Why.
        source: RecordError,
    },
    /// The file of the secret does not hold one.
    #[error("{}: this should hold the 64 hexadecimal digits of the audit secret", file.display())]
    Secret {
        /// The file.
        file: PathBuf,
    },
}

/// Frames between this bank and another in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Number of frames.
    pub frames: u64,
    /// Their bytes, the session's header included.
    pub bytes: u64,
    /// Keyed hash over all of them.
    pub keyed_hash: String,
}

/// A bank of the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What the network knows it by, in hexadecimal.
    pub identity: String,
}

/// What is worth a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The process began.
    Started {
        /// Version of this program.
        version: String,
        /// This bank.
        bank: String,
        /// What it was asked to do.
        command: String,
        /// All banks in their order.
        roster: Vec<Member>,
    },
    /// The last line was torn, as by a crash in the middle of writing, and has been dropped.
    Repaired {
        /// Its length.
        dropped_bytes: u64,
    },
    /// The input of the computation.
    Input {
        /// Keyed hash of all files, see [`commitment`].
        commitment: String,
    },
    /// A session has an id; its rounds follow, and show whether all banks have the same one.
    Session {
        /// Name of the protocol.
        protocol: String,
        /// The session's id, which binds protocol, parameters, roster and everybody's nonce.
        session: String,
        /// The parameters on which all agreed.
        parameters: BTreeMap<String, String>,
    },
    /// A round is over.
    Round {
        /// The session's id; zeros while it is being opened.
        session: String,
        /// The round's number in the session.
        step: u32,
        /// These are not the round's messages, but reasons for giving up in it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        abort: bool,
        /// The tag of the round's name, as every frame carries it.
        tag: String,
        /// The hash of all broadcasts before this round.
        transcript: String,
        /// By bank.
        sent: BTreeMap<String, Flow>,
        /// By bank.
        received: BTreeMap<String, Flow>,
        /// The hash of the record of frames after this round; empty where none is kept.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        frames: String,
    },
    /// A part of the run has succeeded.
    Done {
        /// `keygen`, `propagation`.
        phase: String,
        /// Public facts, such as the key's fingerprint.
        facts: BTreeMap<String, String>,
    },
    /// A part of the run has failed.
    Failed {
        /// `keygen`, `propagation`, …
        phase: String,
        /// The reason, as the other banks were told it.
        reason: String,
    },
    /// The process ends.
    Ended {
        /// `success`, `failure` or `stopped`.
        outcome: String,
    },
}

/// A record: an event with its number and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counted from 0.
    pub number: u64,
    /// In UTC, by this bank's clock.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    hash: String,
    record: Box<RawValue>,
}

/// The hash of a line, given the hash of the one before and the record's bytes.
fn chained(before: &[u8; 32], record: &str) -> [u8; 32] {
    Hasher::new("subrosa/bank-node/audit", 1)
        .field("before", before)
        .field("record", record.as_bytes())
        .finish()
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

/// A trail that is being written. The file is locked as long as it lives.
#[derive(Debug)]
pub struct Trail {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    next: u64,
    hash: [u8; 32],
    secret: Zeroizing<[u8; 32]>,
    frames: Option<Frames<File>>,
}

impl Trail {
    /// Goes on with a trail, or begins one; its secret is in a file of the same name with `.secret` at the end.
    ///
    /// # Errors
    /// [`AuditError`]; a trail that does not verify is not continued, nor one that another process writes.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let io = |source| AuditError::Io { file: path.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        lock(&file, path)?;
        let secret = secret(&secret_file(path))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let torn = (text.len() - whole) as u64;
        let broken = |problem: String| AuditError::Broken { file: path.to_owned(), problem };
        let lines = std::str::from_utf8(&text[..whole]).map_err(|_| broken("it is not UTF-8".to_owned()))?;
        let report = verify(lines).map_err(|untrue| broken(untrue.to_string()))?;
        cut(&mut file, whole as u64).map_err(io)?;
        let next = report.records.len() as u64;
        let length = whole as u64;
        let hash = report.hash;
        let mut trail = Self { path: path.to_owned(), file, length, next, hash, secret, frames: None };
        if torn > 0 {
            trail.write(Event::Repaired { dropped_bytes: torn })?;
        }
        Ok(trail)
    }

    /// Adds a line and brings it to the disk.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn write(&mut self, event: Event) -> Result<(), AuditError> {
        let io = |source| AuditError::Io { file: self.path.clone(), source };
        let record = Record { number: self.next, time: crate::clock::now(), event };
        let record = serde_json::value::to_raw_value(&record).map_err(|error| io(error.into()))?;
        let hash = chained(&self.hash, record.get());
        let line = Line { hash: hex(&hash), record };
        let mut text = serde_json::to_string(&line).map_err(|error| io(error.into()))?;
        text.push('\n');
        if let Err(error) = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()) {
            // On a full disk a part of the line may be there, and the next one must not come behind it. If not even this
            // works, the torn line is dropped when the trail is opened again.
            let _ = cut(&mut self.file, self.length);
            return Err(io(error));
        }
        self.length += text.len() as u64;
        self.next += 1;
        self.hash = hash;
        Ok(())
    }

    /// Goes on with the record of frames beside the trail, or begins one.
    ///
    /// # Errors
    /// [`AuditError::Record`].
    pub fn with_record(mut self) -> Result<Self, AuditError> {
        let file = frames_file(&self.path);
        self.frames = Some(Frames::open(&file).map_err(|source| AuditError::Record { file, source })?);
        Ok(self)
    }

    /// A session of a protocol whose frames are to be recorded is about to be opened.
    pub(crate) fn begin_record(&mut self, protocol: &str) -> Result<(), AuditError> {
        self.recorded(|record| record.begin(protocol))
    }

    /// Records a frame.
    pub(crate) fn record(&mut self, kind: Kind, peer: PartyId, frame: &[u8]) -> Result<(), AuditError> {
        self.recorded(|record| record.frame(kind, peer, frame))
    }

    /// The hash of what was recorded of the present session, which is on the disk; `None` where nothing is recorded.
    pub(crate) fn record_hash(&mut self) -> Result<Option<String>, AuditError> {
        self.recorded(Frames::sync)?;
        Ok(self.frames.as_ref().map(|record| hex(&record.hash())))
    }

    fn recorded(
        &mut self,
        write: impl FnOnce(&mut Frames<File>) -> std::io::Result<()>,
    ) -> Result<(), AuditError> {
        let Some(record) = &mut self.frames else { return Ok(()) };
        let file = || frames_file(&self.path);
        write(record).map_err(|error| AuditError::Record { file: file(), source: error.into() })
    }

    /// The hash of the last line.
    pub fn hash(&self) -> String {
        hex(&self.hash)
    }

    /// The key of the hashes of private things.
    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

/// Keeps other processes from a file.
fn lock(file: &File, path: &Path) -> Result<(), AuditError> {
    // A process that this one starts elsewhere holds a copy of an open lock until it runs its own program.
    for _ in 0..20 {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(25)),
            Err(TryLockError::Error(source)) => return Err(AuditError::Io { file: path.to_owned(), source }),
        }
    }
    Err(AuditError::InUse(path.to_owned()))
}

/// Shortens a file; what is written next comes at its end.
fn cut(file: &mut File, length: u64) -> std::io::Result<()> {
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length)).map(drop)
}

/// Where the record of the frames of a trail is.
pub fn frames_file(trail: &Path) -> PathBuf {
    record::beside(trail, "frames")
}

/// Where the seeds of the runs of a trail are.
pub fn seeds_file(trail: &Path) -> PathBuf {
    record::beside(trail, "seeds")
}

/// Where the secret of a trail is.
pub fn secret_file(trail: &Path) -> PathBuf {
    let mut name = trail.file_name().unwrap_or_default().to_owned();
    name.push(".secret");
    trail.with_file_name(name)
}

/// Reads the secret, or makes one.
fn secret(file: &Path) -> Result<Zeroizing<[u8; 32]>, AuditError> {
    if !file.exists() {
        let mut fresh = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(&mut fresh[..]);
        let digits = Zeroizing::new(hex(&fresh[..]));
        write_secret(file, &digits).map_err(|source| AuditError::Io { file: file.to_owned(), source })?;
        return Ok(fresh);
    }
    read_secret(file)
}

/// Writes a file beside its place first: a process that is killed leaves no half of a secret. Only the owner may read it.
fn write_secret(file: &Path, digits: &str) -> std::io::Result<()> {
    let partial = file.with_extension("secret.partial");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut handle = options.open(&partial)?;
    handle.write_all(digits.as_bytes())?;
    handle.sync_all()?;
    std::fs::rename(&partial, file)
}

/// Reads the secret of a trail.
///
/// # Errors
/// [`AuditError`].
pub fn read_secret(file: &Path) -> Result<Zeroizing<[u8; 32]>, AuditError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| AuditError::Io { file: file.to_owned(), source })
        .map(Zeroizing::new)?;
    let wrong = || AuditError::Secret { file: file.to_owned() };
    let digits = text.trim();
    let mut secret = Zeroizing::new([0; 32]);
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(wrong());
    }
    for (at, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(secret)
}

/// What a bank commits to as its input: a keyed hash over the names and contents of its files.
///
/// # Errors
/// [`AuditError::Io`].
pub fn commitment(secret: &[u8; 32], files: &[PathBuf]) -> Result<String, AuditError> {
    let mut hasher = Hasher::new("subrosa/bank-node/audit-input", 1).field("secret", secret);
    for file in files {
        let contents = std::fs::read(file).map_err(|source| AuditError::Io { file: file.clone(), source })?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        hasher = hasher.field("name", name.as_bytes()).field("contents", &contents);
    }
    Ok(hex(&hasher.finish()))
}
