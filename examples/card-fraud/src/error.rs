//! The program's error type.

use std::path::Path;

use subrosa_transport::with_causes;

/// Why this program stopped. Messages name the file, line and column, or the peer; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that cannot be read or written.
    #[error("{file}")]
    File {
        /// The file's path.
        file: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A malformed line of a table.
    #[error("{file}, line {line}: {reason}")]
    Line {
        /// The file's path.
        file: String,
        /// The line, the header being line 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A value that cannot be used.
    #[error("{file}, line {line}, column {column}: {value:?} {reason}")]
    Value {
        /// The file's path.
        file: String,
        /// The line, the header being line 1.
        line: u64,
        /// The column's name.
        column: &'static str,
        /// What stands there, cut to 40 characters.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An invalid model file.
    #[error("{file}: {reason}")]
    ModelFile {
        /// The file's path.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Data on which nothing can be learned or compared.
    #[error("{0}")]
    Data(String),
    /// A purchase whose answer names neither class.
    #[error("purchase {purchase} has no verdict; genuine or fraud was expected")]
    NoVerdict {
        /// The purchase's number in its table, from 1.
        purchase: usize,
    },
    /// A failed connection, or an invalid message from the peer.
    #[error("{peer}: {reason}")]
    Network {
        /// The other side's address.
        peer: String,
        /// What went wrong.
        reason: String,
    },
    /// Standard output cannot be written. The program does not fail when its reader has left (`BrokenPipe`).
    #[error("standard output")]
    Output(#[source] std::io::Error),
    /// The learner failed.
    #[error("training failed")]
    Training(#[from] linfa::Error),
    /// An error of the library.
    #[error(transparent)]
    Tree(#[from] subrosa_decision_tree::Error),
}

impl Error {
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { file: path.display().to_string(), source }
    }

    /// A failed exchange with a peer, with all its causes.
    pub(crate) fn exchange(peer: &str, error: &subrosa_decision_tree::Error) -> Self {
        Self::network(peer, &with_causes(error))
    }

    pub(crate) fn network(peer: &str, reason: &dyn std::fmt::Display) -> Self {
        Self::Network { peer: peer.to_owned(), reason: reason.to_string() }
    }
}

/// `Result` with this program's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
