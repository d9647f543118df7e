//! Where the passphrase of a key file comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::KeyFileError;

/// The passphrase of a key file, or where to read it. [`Node::new`](crate::Node::new) reads it.
///
/// # Security
/// A text is wiped when dropped and is not printed. An environment variable remains readable by the process and its owner.
#[derive(Clone)]
pub struct Passphrase(Source);

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Variable(String),
    Text(Zeroizing<String>),
}

impl Passphrase {
    /// Uses the first line of a file.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self(Source::File(file.into()))
    }

    /// Uses the first line of an environment variable.
    pub fn variable(name: impl Into<String>) -> Self {
        Self(Source::Variable(name.into()))
    }

    /// Uses a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self(Source::Text(Zeroizing::new(text.into())))
    }

    /// Reads the passphrase of `key_file`.
    pub(crate) fn read(&self, key_file: &Path) -> Result<Zeroizing<String>, KeyFileError> {
        let text = match &self.0 {
            Source::File(file) => std::fs::read_to_string(file)
                .map_err(|source| KeyFileError::Passphrase { file: file.clone(), source })
                .map(Zeroizing::new)?,
            Source::Variable(name) => Zeroizing::new(std::env::var(name).unwrap_or_default()),
            Source::Text(text) if !text.is_empty() => return Ok(text.clone()),
            Source::Text(_) => Zeroizing::default(),
        };
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
            _ => Err(KeyFileError::NoPassphrase { file: key_file.to_owned() }),
        }
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::File(file) => f.debug_tuple("Passphrase::file").field(file).finish(),
            Source::Variable(name) => f.debug_tuple("Passphrase::variable").field(name).finish(),
            Source::Text(_) => f.write_str("Passphrase::text(<redacted>)"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;

    #[test]
    fn it_is_the_first_line_and_is_not_printed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, key_file) = (folder.path().join("passphrase"), Path::new("amber.key"));
        std::fs::write(&file, "first line\nsecond line\n").unwrap();
        assert_eq!(*Passphrase::file(&file).read(key_file).unwrap(), "first line");
        let text = Passphrase::text("of amber");
        assert_eq!(*text.read(key_file).unwrap(), "of amber");
        assert_eq!(format!("{text:?}"), "Passphrase::text(<redacted>)");
        std::fs::write(&file, "\n").unwrap();
        for empty in [Passphrase::file(&file), Passphrase::text(""), Passphrase::variable("NOT_SET_ANYWHERE")]
        {
            let error = empty.read(key_file).unwrap_err();
            assert!(matches!(error, KeyFileError::NoPassphrase { .. }), "{error}");
            assert!(error.to_string().contains("amber.key"), "{error}");
        }
        let error = Passphrase::file(folder.path().join("nowhere")).read(key_file).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}
