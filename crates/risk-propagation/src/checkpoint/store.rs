//! Checkpoints as files in a folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CheckpointError, CheckpointProblem, CheckpointStore, WriteBytes};
use subrosa_paillier::KeyId;

const PREFIX: &str = "position-";
const SUFFIX: &str = ".checkpoint";
const USED: &str = "used-";
/// How often, and how long apart, a lock is tried.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// A folder of checkpoints that one process at a time may use.
///
/// For each key that was used it keeps a small file that holds the run. Its name is `used-` and the key's fingerprint.
///
/// On Unix the folder is made with mode 0700 and its files with mode 0600. Elsewhere the folder's own permissions count.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    /// Locked as long as the store lives; the system unlocks it when the process dies.
    _lock: File,
}

impl FileStore {
    /// Uses `folder`, which is made if it is not there. One folder for each bank: a second one would not know which keys were
    /// used.
    ///
    /// # Errors
    /// [`CheckpointProblem::Io`]; [`CheckpointProblem::InUse`] while another process, or another store in this one, uses
    /// the folder.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, CheckpointError> {
        let folder = folder.into();
        let io = |error| failed(&folder, error);
        make_folder(&folder).map_err(io)?;
        let lock =
            private().write(true).create(true).truncate(false).open(folder.join("lock")).map_err(io)?;
        // A process that this one starts elsewhere holds a copy of an open lock until it runs its own program.
        for _ in 0..LOCK_ATTEMPTS {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { folder, _lock: lock }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(io(error)),
            }
        }
        Err(CheckpointError::new(folder.display().to_string(), CheckpointProblem::InUse))
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self, position: u32) -> PathBuf {
        self.folder.join(format!("{PREFIX}{position:05}{SUFFIX}"))
    }

    fn mark(&self, key: KeyId) -> PathBuf {
        self.folder.join(format!("{USED}{key}"))
    }

    /// Writes a file as a whole or not at all.
    fn replace(&self, path: &Path, bytes: &mut WriteBytes<'_>) -> Result<(), CheckpointError> {
        // What a killed process left of an earlier attempt is overwritten.
        let partial = path.with_extension("partial");
        let mut attempt = || {
            let file = private().write(true).create(true).truncate(true).open(&partial)?;
            let mut buffer = BufWriter::with_capacity(1 << 16, &file);
            bytes(&mut buffer)?;
            buffer.flush()?;
            drop(buffer);
            file.sync_all()?;
            std::fs::rename(&partial, path)?;
            self.sync()
        };
        attempt().map_err(|error| failed(path, error))
    }

    /// Brings the folder's list of names to the disk.
    fn sync(&self) -> std::io::Result<()> {
        // Only Unix opens a folder as a file.
        if cfg!(unix) { File::open(&self.folder)?.sync_all() } else { Ok(()) }
    }
}

impl CheckpointStore for FileStore {
    fn positions(&self) -> Result<Vec<u32>, CheckpointError> {
        let io = |error| failed(&self.folder, error);
        let mut positions = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
            positions.extend(digits.and_then(|digits| digits.parse::<u32>().ok()));
        }
        positions.sort_unstable();
        Ok(positions)
    }

    fn name(&self, position: u32) -> String {
        self.file(position).display().to_string()
    }

    fn read(&self, position: u32) -> Result<Box<dyn Read + '_>, CheckpointError> {
        let path = self.file(position);
        let file = File::open(&path).map_err(|error| failed(&path, error))?;
        Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
    }

    fn write(&mut self, position: u32, bytes: &mut WriteBytes<'_>) -> Result<(), CheckpointError> {
        self.replace(&self.file(position), bytes)
    }

    fn remove(&mut self, position: u32) -> Result<(), CheckpointError> {
        let path = self.file(position);
        match std::fs::remove_file(&path) {
            Ok(()) => self.sync().map_err(|error| failed(&path, error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(&path, error)),
        }
    }

    fn used(&self, key: KeyId) -> Result<Option<[u8; 32]>, CheckpointError> {
        let path = self.mark(key);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| failed(&path, error))?,
        };
        // A mark that cannot be read must not pass for none.
        let damaged = || CheckpointError::new(path.display().to_string(), CheckpointProblem::Corrupt);
        <[u8; 32]>::try_from(bytes).map(Some).map_err(|_| damaged())
    }

    fn mark_used(&mut self, key: KeyId, run: &[u8; 32]) -> Result<(), CheckpointError> {
        self.replace(&self.mark(key), &mut |out| out.write_all(run))
    }
}

fn failed(path: &Path, error: std::io::Error) -> CheckpointError {
    CheckpointError::new(path.display().to_string(), CheckpointProblem::Io(error))
}

/// Options for files that only their owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
