//! Checkpoints that cannot be used.

use subrosa_transport::PartyId;

/// What is wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointProblem {
    /// Reading or writing failed.
    #[error("it cannot be read or written")]
    Io(#[source] std::io::Error),
    /// Another process uses the same folder.
    #[error("another process uses it")]
    InUse,
    /// It ends too early.
    #[error("it is cut short")]
    Truncated,
    /// Its checksum is wrong, or it is no checkpoint at all.
    #[error("it is damaged or no checkpoint at all")]
    Corrupt,
    /// It was written by another version of this crate.
    #[error("it has the format {found}, this version reads {expected}")]
    Version {
        /// Number of the format found.
        found: u16,
        /// Number of the format that is read.
        expected: u16,
    },
    /// It belongs to something else.
    #[error("it is of another {0}; finish that run, or remove its checkpoints to give it up")]
    Foreign(&'static str),
    /// The others go back to a state that is no longer kept.
    #[error("the banks go back to it, but it is no longer there")]
    Missing,
    /// The run can neither go on nor start over.
    #[error(
        "`{bank}` has no checkpoint of the run in which ciphertexts may have been shown already; starting over would tell more \
         than one run. Restore that bank's checkpoints; if it has finished, recover the scores instead; or \
         remove the checkpoints here to start over with another key"
    )]
    StartOver {
        /// The bank that is at another run, by its place in the roster.
        party: PartyId,
        /// Its name.
        bank: String,
    },
}

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoint {name} cannot be used")]
pub struct CheckpointError {
    /// Where it is, as its store calls it.
    pub name: String,
    /// What is wrong.
    #[source]
    pub problem: CheckpointProblem,
}

impl CheckpointError {
    /// The parties to blame, as far as they can be told.
    #[must_use]
    pub fn culprits(&self) -> Vec<PartyId> {
        match self.problem {
            CheckpointProblem::StartOver { party, .. } => vec![party],
            _ => Vec::new(),
        }
    }

    pub(crate) fn new(name: impl Into<String>, problem: CheckpointProblem) -> Self {
        Self { name: name.into(), problem }
    }
}
