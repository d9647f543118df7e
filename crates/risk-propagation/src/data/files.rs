//! Files that are written all or nothing.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::Error;

/// Writes a file beside its final place, brings it to the disk and then renames it.
///
/// # Errors
/// [`Error::Io`]; the file that was there before is then untouched.
pub fn write_atomically(
    file: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> std::io::Result<()>,
) -> Result<(), Error> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = file.with_file_name(name);
    let attempt = || {
        let handle = File::create(&partial)?;
        let mut buffer = BufWriter::new(&handle);
        write(&mut buffer)?;
        buffer.flush()?;
        drop(buffer);
        handle.sync_all()?;
        std::fs::rename(&partial, file)?;
        // The new name itself is on disk only once the folder is; where folders cannot be opened this is
        // left to the system.
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty())
            && let Ok(folder) = File::open(folder)
        {
            let _ = folder.sync_all();
        }
        Ok(())
    };
    attempt().map_err(|source| {
        let _ = std::fs::remove_file(&partial);
        Error::io(file, source)
    })
}
