//! The files beside a trail: its secret, the record of frames, the seeds.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use rand::Rng;
use zeroize::Zeroizing;

use super::{AuditError, hex};
use subrosa_encoding::Hasher;
use subrosa_risk_propagation::record;

/// Returns the file of the frames of a trail.
#[must_use]
pub fn frames_file(trail: &Path) -> PathBuf {
    record::beside(trail, "frames")
}

/// Returns the file of the seeds of the runs of a trail.
#[must_use]
pub fn seeds_file(trail: &Path) -> PathBuf {
    record::beside(trail, "seeds")
}

/// Returns the file of the secret of a trail.
#[must_use]
pub fn secret_file(trail: &Path) -> PathBuf {
    let mut name = trail.file_name().unwrap_or_default().to_owned();
    name.push(".secret");
    trail.with_file_name(name)
}

/// The secret of a trail: the key of the hashes of private values.
///
/// # Security
/// Whoever has the secret and the trail can test guesses of the bank's input. It is wiped when dropped and is not printed.
#[derive(Clone)]
pub struct TrailSecret(Zeroizing<[u8; 32]>);

impl TrailSecret {
    /// Reads the secret from its file, see [`secret_file`].
    ///
    /// # Errors
    /// [`AuditError::Io`] if the file cannot be read; [`AuditError::Secret`] if it holds no secret.
    pub fn read(file: &Path) -> Result<Self, AuditError> {
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
        Ok(Self(secret))
    }

    /// Reads the secret, or makes one if there is no file.
    pub(super) fn read_or_create(file: &Path) -> Result<Self, AuditError> {
        if file.exists() {
            return Self::read(file);
        }
        let mut fresh = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(&mut fresh[..]);
        let digits = Zeroizing::new(hex(&fresh[..]));
        write_secret(file, &digits).map_err(|source| AuditError::Io { file: file.to_owned(), source })?;
        Ok(Self(fresh))
    }

    /// Computes the commitment to a bank's input: a keyed hash over the names and contents of its files, in hexadecimal. The
    /// files are those of [`NodeConfig::input_files`](crate::NodeConfig::input_files).
    ///
    /// # Errors
    /// [`AuditError::Io`] if a file cannot be read.
    pub fn commitment(&self, files: &[PathBuf]) -> Result<String, AuditError> {
        let mut hasher = Hasher::new("subrosa/bank-node/audit-input", 1).field("secret", self.key());
        for file in files {
            let contents =
                std::fs::read(file).map_err(|source| AuditError::Io { file: file.clone(), source })?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            hasher = hasher.field("name", name.as_bytes()).field("contents", &contents);
        }
        Ok(hex(&hasher.finish()))
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TrailSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever sees the secret can test guesses.
        f.write_str("TrailSecret(<redacted>)")
    }
}

/// Writes the secret to a partial file first, so that a process that is killed leaves no half of it. Only the owner can read it.
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
