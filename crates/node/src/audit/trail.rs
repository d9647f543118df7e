//! Writing a trail.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::line::{Line, chained};
use super::{AuditError, Event, Record, TrailSecret, frames_file, hex, secret_file, verify};
use subrosa_risk_propagation::record::{Kind, Record as Frames};
use subrosa_transport::PartyId;

/// A trail that is open for writing. Its file is locked until the value is dropped.
#[derive(Debug)]
pub struct Trail {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    next: u64,
    hash: [u8; 32],
    secret: TrailSecret,
    frames: Option<Frames<File>>,
}

impl Trail {
    /// Continues a trail, or begins one if there is no file. The secret of the trail is in [`secret_file`]. A last line that
    /// was cut short, as by a crash, is dropped.
    ///
    /// # Errors
    /// [`AuditError`] if a file cannot be used, if the trail does not verify, or if another process writes to it.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let io = |source| AuditError::Io { file: path.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        lock(&file, path)?;
        let secret = TrailSecret::read_or_create(&secret_file(path))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let torn = (text.len() - whole) as u64;
        let lines = std::str::from_utf8(&text[..whole]).map_err(|_| AuditError::NotText(path.to_owned()))?;
        let report = verify(lines).map_err(|source| AuditError::Broken { file: path.to_owned(), source })?;
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

    /// Appends a line and writes it to the disk.
    ///
    /// # Errors
    /// [`AuditError::Io`]. The lines before stay whole.
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

    /// Continues the record of frames beside the trail ([`frames_file`]), or begins one.
    ///
    /// # Errors
    /// [`AuditError::Record`] if the file cannot be used.
    pub fn with_record(mut self) -> Result<Self, AuditError> {
        let file = frames_file(&self.path);
        self.frames = Some(Frames::open(&file).map_err(|source| AuditError::Record { file, source })?);
        Ok(self)
    }

    /// Begins to record the frames of a session, which is opened next.
    pub(crate) fn begin_record(&mut self, protocol: &str) -> Result<(), AuditError> {
        self.recorded(|record| record.begin(protocol))
    }

    /// Records a frame.
    pub(crate) fn record(&mut self, kind: Kind, peer: PartyId, frame: &[u8]) -> Result<(), AuditError> {
        self.recorded(|record| record.frame(kind, peer, frame))
    }

    /// Writes the record to the disk. Returns its hash over the present session, or `None` if nothing is recorded.
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

    /// Returns the hash of the last line, in hexadecimal.
    pub fn hash(&self) -> String {
        hex(&self.hash)
    }

    /// The key of the hashes of private values.
    pub(crate) fn secret(&self) -> &TrailSecret {
        &self.secret
    }
}

/// Locks a file against other processes.
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

/// Shortens a file, and continues to write at its end.
fn cut(file: &mut File, length: u64) -> std::io::Result<()> {
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length)).map(drop)
}
