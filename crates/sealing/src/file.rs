//! Private files: read with a limit, written as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::SealingError;

/// Reads a file of at most `limit` bytes. The bytes wipe themselves.
///
/// # Errors
/// [`SealingError::Io`], [`SealingError::TooLong`].
pub fn read(path: impl AsRef<Path>, limit: usize) -> Result<Zeroizing<Vec<u8>>, SealingError> {
    let file = File::open(path)?;
    // The buffer has room for the whole file. A buffer that grows leaves copies behind.
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(limit);
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.saturating_add(1)));
    // One byte more than allowed shows that the file is too long.
    file.take((limit as u64).saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit { Err(SealingError::TooLong { limit }) } else { Ok(bytes) }
}

/// Reads a file as [`read`]. Returns `None` if there is no such file.
///
/// # Errors
/// As [`read`].
pub fn read_if_there(
    path: impl AsRef<Path>,
    limit: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, SealingError> {
    match read(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(SealingError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the file `path` as a whole. A new file is written next to it, readable only by its owner (on Unix), and
/// renamed to `path` when it is on the disk. A reader of `path` finds either the old bytes or the new ones, also after
/// a power cut. `rng` draws the temporary name of the new file.
///
/// # Errors
/// [`SealingError::Io`]. Then `path` is unchanged.
#[doc(alias("persist", "rename", "fsync"))]
pub fn write_atomically(
    path: impl AsRef<Path>,
    bytes: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<(), SealingError> {
    let path = path.as_ref();
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{:016x}", rng.next_u64()));
    let temporary = folder.join(temporary);
    let file = create_private(&temporary)?;
    if let Err(error) = fill(file, bytes).and_then(|()| fs::rename(&temporary, path)) {
        // An error here is ignored, because the first error is the cause.
        let _ = fs::remove_file(&temporary);
        return Err(error.into());
    }
    sync_folder(folder)?;
    Ok(())
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

/// With this the new name survives a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
