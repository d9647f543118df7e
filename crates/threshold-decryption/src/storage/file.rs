//! Reading with a limit, and writing as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use rand_core::CryptoRng;

use super::{MAX_FILE_BYTES, StorageError};

pub(super) fn read(path: &Path) -> Result<Vec<u8>, StorageError> {
    let mut bytes = Vec::new();
    // One byte more than is allowed tells a file that is too long.
    File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(StorageError::TooLong { limit: MAX_FILE_BYTES });
    }
    Ok(bytes)
}

pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StorageError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a new file next to `path`, readable by its owner only, and puts it in the place of `path` once it is on the
/// disk.
pub(super) fn write_atomically(
    path: &Path,
    bytes: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<(), StorageError> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{:016x}", rng.next_u64()));
    let temporary = folder.join(temporary);
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // As far as it goes: the error that matters is the first.
        let _ = fs::remove_file(&temporary);
        return Err(error.into());
    }
    sync_folder(folder)?;
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// So that the new name survives a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
