//! Every way in which this crate refuses.

use crate::import::ImportError;
use crate::model::ModelError;

/// What went wrong, one variant per subject.
///
/// No message holds a feature value, a key or a plaintext.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model that is malformed or past a limit.
    #[error("model: {0}")]
    Model(#[from] ModelError),
    /// A model file that cannot be imported.
    #[error("import: {0}")]
    Import(#[from] ImportError),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
