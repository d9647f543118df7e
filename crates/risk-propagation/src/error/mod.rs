//! What can go wrong, and who is to blame.

use std::path::PathBuf;

use subrosa_encoding::Hex;
use subrosa_paillier::{KeyId, PaillierError};
use subrosa_threshold_decryption::DecryptionError;
use subrosa_transport::{Culprits, FailureKind, PartyId, Roster, SessionError, with_causes};

mod checkpoint;
mod problem;
mod violation;

use crate::banks::{BankId, BanksError};
use crate::plan::PlanError;

pub use checkpoint::{CheckpointError, CheckpointProblem};
pub use problem::{Problem, Rejected};
pub use violation::Violation;

/// A message that does not fit what it answers to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Disagreement {
    /// The bank whose message it is.
    pub bank: BankId,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file holds something that cannot be used.
    #[error("{}: line {line}, column `{}`: {}", file.display(), rejected.field, rejected.problem)]
    Data {
        /// The file.
        file: PathBuf,
        /// Line in the file, counted from 1.
        line: u64,
        /// Column and what is wrong there.
        rejected: Rejected,
    },
    /// A file that is not CSV at all.
    #[error("{}: line {line}: {reason}", file.display())]
    Csv {
        /// The file.
        file: PathBuf,
        /// Line in the file, counted from 1.
        line: u64,
        /// What the reader met.
        reason: String,
    },
    /// Columnar data (Parquet, Arrow) hold something that cannot be used.
    #[error("{origin}: row {row}, column `{}`: {}", rejected.field, rejected.problem)]
    Row {
        /// The file, or that it was a record batch.
        origin: String,
        /// Row, counted from 1 over all batches.
        row: u64,
        /// Column and what is wrong there.
        rejected: Rejected,
    },
    /// Columnar data lack a column or hold one of another type.
    #[error("{origin}: column `{}`: {}", rejected.field, rejected.problem)]
    Schema {
        /// The file, or that it was a record batch.
        origin: String,
        /// Column and what is wrong with it.
        rejected: Rejected,
    },
    /// Columnar data that cannot be read or written at all.
    #[error("{origin}: {reason}")]
    Columnar {
        /// The file, or that it was a record batch.
        origin: String,
        /// What the reader or writer met.
        reason: String,
    },
    /// A record handed in by the application cannot be used.
    #[error("the record is refused")]
    Record(#[from] Rejected),
    /// A data folder that does not look as it should.
    #[error("{}: {reason}", path.display())]
    Directory {
        /// The folder or file.
        path: PathBuf,
        /// What is missing or too much.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{}: it cannot be read or written", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A list of banks that cannot take part together.
    #[error("the list of banks cannot be used")]
    Banks(#[from] BanksError),
    /// Settings that make no sense or that do not fit the key.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Sizes of other banks of which no plan can be made, where there would be one without those of a single bank.
    #[error("no plan fits the sizes of all banks, and there would be one without those of {}", listed(banks))]
    Unplannable {
        /// Why there is no plan.
        source: PlanError,
        /// Names of the banks without any one of which there would be a plan.
        banks: Vec<String>,
        /// These banks.
        culprits: Vec<PartyId>,
    },
    /// A message of the agreement does not fit what it answers to. In a run, its sender is blamed: see [`Error::Peer`].
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
    /// Two banks disagree about the transfers between them.
    #[error(
        "`{ours}` and `{theirs}` hold different transfers from `{from}` to `{to}` in period {period}; \
         compare the two banks' transaction files, or have all banks run with mismatch = leave-out, \
         which counts a sender only where its own bank lists it"
    )]
    Mismatch {
        /// The bank that reports.
        ours: String,
        /// The other one.
        theirs: String,
        /// Bank of the senders.
        from: String,
        /// Bank of the receivers.
        to: String,
        /// Period, counted from 0.
        period: usize,
    },
    /// This bank has more accounts than the banks agreed on.
    #[error("this bank has {accounts} accounts, and {most} were agreed for it (most_accounts)")]
    TooManyAccounts {
        /// Its accounts, those without a score from the start included.
        accounts: usize,
        /// What was agreed.
        most: u32,
    },
    /// The roster, the key and the network do not belong together.
    #[error("{0}")]
    Roster(String),
    /// Another bank sent what it should not.
    #[error("`{bank}`: {reason}")]
    Peer {
        /// The bank to blame.
        party: PartyId,
        /// Its name.
        bank: String,
        /// What is wrong with its message.
        reason: String,
    },
    /// The key was used in another run, and [`KeyUse::Once`](crate::KeyUse::Once) is agreed.
    #[error(
        "the key {key} was used in another run ({}…): a bank that kept ciphertexts of that one could have them decrypted in this one. \
         Generate a key for this run, or have all banks agree on key_use = shared{}",
        Hex(&run[..4]),
        elsewhere(banks)
    )]
    KeyUsed {
        /// The key.
        key: KeyId,
        /// The session in which the other run began.
        run: [u8; 32],
        /// Names of the banks that are not at that run, where this one could go on with it.
        banks: Vec<String>,
        /// These banks.
        culprits: Vec<PartyId>,
    },
    /// The seed of the run is not there, so that it cannot be computed again.
    #[error("the seed of this run is missing")]
    NoSeed,
    /// A checkpoint cannot be used or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Two banks derive different plans from the same sizes: they run different versions, or one miscalculates.
    #[error("`{bank}` plans {field} = {theirs} where this bank plans {ours}")]
    PlanDiffers {
        /// The other bank.
        bank: String,
        /// What differs.
        field: String,
        /// This bank's value.
        ours: u64,
        /// The other bank's.
        theirs: u64,
    },
    /// The decrypted numbers are no scores.
    #[error("the decrypted numbers cannot be scores: {0}")]
    Plaintext(&'static str),
    /// Decrypted numbers are outside the range that they have if all banks follow the protocol. The run ended on the wire as
    /// always: no other bank can tell. Its checkpoints stay until the store is [cleared](crate::CheckpointStore::clear).
    ///
    /// # Security
    /// Settle the matter outside the protocol before the run is done again: a bank that cheats can make it depend on a score
    /// whether a run ends so, and each repetition tells it more.
    #[error(
        "the decrypted numbers cannot be scores: {0}. A bank did not follow the protocol: any other can have added what is no \
         noise, and those that pay these accounts can have sent what is no score. Settle this before the run is done again, and \
         tell nobody which accounts they are"
    )]
    Range(Violation),
    /// A ciphertext or plaintext does not fit the key.
    #[error(transparent)]
    Paillier(#[from] PaillierError),
    /// The decryption failed.
    #[error(transparent)]
    Decryption(#[from] DecryptionError),
    /// A bank failed, or the network did.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// What must hold does not: a mistake in this library or in the code that calls its steps, and no other bank's fault.
    #[error("internal error: {place}")]
    Internal {
        /// What does not hold, and where.
        place: &'static str,
    },
}

fn elsewhere(banks: &[String]) -> String {
    let names: Vec<String> = banks.iter().map(|bank| format!("`{bank}`")).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(". This bank could go on with that run, but not {}", names.join(", "))
    }
}

fn listed(banks: &[String]) -> String {
    banks.iter().map(|bank| format!("`{bank}`")).collect::<Vec<_>>().join(", or without those of ")
}

impl Culprits for Error {
    fn culprits(&self) -> Vec<PartyId> {
        Self::culprits(self)
    }

    /// What concerns all banks is told; files, folders and data are this bank's own affair.
    fn reported(&self) -> String {
        match self {
            Self::Plan(_)
            | Self::Unplannable { .. }
            | Self::PlanDiffers { .. }
            | Self::Mismatch { .. }
            | Self::Roster(_)
            | Self::KeyUsed { .. }
            | Self::Peer { .. }
            | Self::Session(_)
            | Self::Decryption(_)
            | Self::Paillier(_) => with_causes(self),
            Self::Checkpoint(error) if !error.culprits().is_empty() => with_causes(&error.problem),
            Self::Checkpoint(_) => "it cannot use or write its checkpoint".to_owned(),
            Self::Internal { .. } => "it failed with an internal error".to_owned(),
            _ => "it cannot use its own data".to_owned(),
        }
    }
}

impl Error {
    /// Whose failure it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Peer { .. } | Self::Disagreement(_) | Self::Range(_) => FailureKind::Peer,
            // Lists, sizes and checkpoints that differ, and nobody can say whose are wrong.
            Self::Mismatch { .. } | Self::PlanDiffers { .. } | Self::Unplannable { .. } => {
                FailureKind::Limits
            }
            Self::Checkpoint(error) if !error.culprits().is_empty() => FailureKind::Limits,
            Self::Session(error) => error.kind(),
            Self::Decryption(error) => error.kind(),
            Self::Data { rejected, .. } | Self::Row { rejected, .. } | Self::Schema { rejected, .. } => {
                rejected.kind()
            }
            Self::Record(rejected) => rejected.kind(),
            Self::Csv { .. }
            | Self::Columnar { .. }
            | Self::Directory { .. }
            | Self::Io { .. }
            | Self::Banks(_)
            | Self::Plan(_)
            | Self::TooManyAccounts { .. }
            | Self::Roster(_)
            | Self::KeyUsed { .. }
            | Self::NoSeed
            | Self::Checkpoint(_) => FailureKind::Input,
            // The plan makes all numbers fit the key, and R9 gives a plaintext for each ciphertext.
            Self::Paillier(_) | Self::Plaintext(_) | Self::Internal { .. } => FailureKind::Internal,
        }
    }

    /// The parties to blame, as far as they can be told. Of two banks that disagree either may be wrong.
    #[must_use]
    pub fn culprits(&self) -> Vec<PartyId> {
        match self {
            Self::Peer { party, .. } => vec![*party],
            Self::Unplannable { culprits, .. } | Self::KeyUsed { culprits, .. } => culprits.clone(),
            Self::Checkpoint(error) => error.culprits(),
            Self::Session(error) => error.culprits(),
            Self::Decryption(error) => error.culprits(),
            Self::Data { .. }
            | Self::Csv { .. }
            | Self::Row { .. }
            | Self::Schema { .. }
            | Self::Columnar { .. }
            | Self::Record(_)
            | Self::Directory { .. }
            | Self::Io { .. }
            | Self::Banks(_)
            | Self::Plan(_)
            | Self::Mismatch { .. }
            | Self::Disagreement(_)
            | Self::PlanDiffers { .. }
            | Self::NoSeed
            | Self::TooManyAccounts { .. }
            | Self::Roster(_)
            | Self::Plaintext(_)
            | Self::Range(_)
            | Self::Internal { .. }
            | Self::Paillier(_) => Vec::new(),
        }
    }

    pub(crate) fn internal(place: &'static str) -> Self {
        Self::Internal { place }
    }

    /// What another bank is blamed for.
    pub(crate) fn peer(roster: &Roster, party: PartyId, reason: impl Into<String>) -> Self {
        Self::Peer { party, bank: roster.name(party).to_owned(), reason: reason.into() }
    }

    #[cfg(any(feature = "arrow", feature = "csv"))]
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    #[cfg(any(feature = "arrow", feature = "csv"))]
    pub(crate) fn directory(path: &std::path::Path, reason: impl Into<String>) -> Self {
        Self::Directory { path: path.to_owned(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_told_nothing_of_files() {
        let error = Error::io(std::path::Path::new("/home/alice/data"), std::io::Error::other("full"));
        assert!(error.to_string().contains("alice"));
        assert!(!error.reported().contains("alice"));
        let peer =
            Error::Peer { party: PartyId::new(2), bank: "coral".to_owned(), reason: "late".to_owned() };
        assert_eq!(peer.reported(), peer.to_string());
    }

    #[test]
    fn an_internal_error_blames_nobody_and_tells_nothing() {
        let error = Error::internal("a row is missing");
        assert_eq!(error.to_string(), "internal error: a row is missing");
        assert!(error.culprits().is_empty());
        assert!(!error.reported().contains("row"));
        assert_eq!(error.kind(), FailureKind::Internal);
        let lost = Problem::Internal { place: "an index" };
        assert_eq!(Error::from(Rejected::new("id", lost)).kind(), FailureKind::Internal);
        assert_eq!(Error::from(Rejected::new("id", Problem::Empty)).kind(), FailureKind::Input);
        let misuse = SessionError::Misuse(subrosa_transport::Misuse::Closed);
        assert_eq!(Error::from(DecryptionError::from(misuse)).kind(), FailureKind::Misuse);
    }
}
