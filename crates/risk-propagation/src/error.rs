//! What can go wrong, and who is to blame.

use std::path::PathBuf;

use subrosa_encoding::Hex;
use subrosa_paillier::{KeyId, PaillierError};
use subrosa_threshold_decryption::DecryptionError;
use subrosa_transport::{Culprits, FailureKind, PartyId, SessionError};

use crate::agreement::Disagreement;

/// What is wrong with one value that came from outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A required column is not in the header.
    #[error("the column is missing from the header")]
    MissingColumn,
    /// The header names the same column twice.
    #[error("the header names this column twice")]
    RepeatedColumn,
    /// A risk type that is called like a column of the output.
    #[error(
        "a risk type cannot be called so: the results have a column of this name with the scores before the run"
    )]
    ReservedColumn,
    /// A column holds values of a type that cannot stand for what it should.
    #[error("the column holds values of type {found}, which cannot be {expected}")]
    WrongType {
        /// The type found.
        found: String,
        /// What the column should hold.
        expected: &'static str,
    },
    /// A row has fewer or more fields than the header.
    #[error("the row has {found} fields, the header has {expected}")]
    WrongFieldCount {
        /// Fields in the row.
        found: usize,
        /// Fields in the header.
        expected: usize,
    },
    /// The bytes are not UTF-8.
    #[error("the field is not valid UTF-8")]
    InvalidUtf8,
    /// An account or bank has no name.
    #[error("the field is empty")]
    Empty,
    /// A name is longer than this crate takes.
    #[error("the field has {bytes} bytes, at most {limit} are allowed")]
    TooLong {
        /// Length found, in bytes.
        bytes: usize,
        /// Greatest length allowed, in bytes.
        limit: usize,
    },
    /// A name that would not print as what it is.
    #[error("the field holds a control character")]
    ControlCharacter,
    /// A score that is no number.
    #[error("`{0}` is not a number")]
    NotANumber(String),
    /// A score below 0 or above 1, or one that is infinite.
    #[error("the score {0} is not between 0 and 1")]
    ScoreOutOfRange(String),
    /// An amount with a minus sign.
    #[error("the amount {0} is negative")]
    NegativeAmount(String),
    /// An amount with a fraction or an exponent.
    #[error("the amount {0} is not a whole number (amounts are counted in the smallest unit of money)")]
    FractionalAmount(String),
    /// An amount of more than 2^63.
    #[error("the amount {0} is greater than 2^63")]
    AmountTooLarge(String),
    /// Something that is no amount at all.
    #[error("`{0}` is not an amount")]
    NotAnAmount(String),
    /// A bank that takes no part.
    #[error("the bank `{0}` is unknown")]
    UnknownBank(String),
    /// An account listed twice by the same bank.
    #[error("the account `{0}` is listed twice")]
    RepeatedAccount(String),
    /// A transfer of which neither end is the bank's own.
    #[error("neither end of the transfer is an account of `{0}`")]
    NotOurs(String),
    /// Transfers that add up to more than 128 bits can hold.
    #[error("the transfers add up to more than 2^128")]
    SumTooLarge,
    /// More accounts or transfers than an index of 32 bits can count.
    #[error("more than 2^31 accounts")]
    TooManyAccounts,
    /// A period that no run would reach.
    #[error("period {0} is beyond the {MAX_STEPS} that a run can have", MAX_STEPS = crate::settings::MAX_STEPS)]
    TooManyPeriods(usize),
    /// A record with another number of scores than there are columns.
    #[error("{found} scores were given for {expected} columns")]
    WrongScoreCount {
        /// Scores in the record.
        found: usize,
        /// Columns of the network.
        expected: usize,
    },
    /// What must hold does not: a mistake in this library, and not in the value.
    #[error("internal error: {place}")]
    Internal {
        /// What does not hold, and where.
        place: &'static str,
    },
}

/// A record that was refused: the field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {problem}")]
pub struct Rejected {
    /// Name of the field, as in the header of the file.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl Rejected {
    pub(crate) fn new(field: &str, problem: Problem) -> Self {
        Self { field: field.to_owned(), problem }
    }

    fn kind(&self) -> FailureKind {
        match self.problem {
            Problem::Internal { .. } => FailureKind::Internal,
            _ => FailureKind::Input,
        }
    }
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
    #[error("record refused, {0}")]
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
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A list of banks that cannot take part together.
    #[error("list of banks: {0}")]
    Banks(String),
    /// Settings that make no sense or that do not fit the key.
    #[error("{0}")]
    Plan(#[from] crate::plan::PlanError),
    /// Sizes of other banks of which no plan can be made, where there would be one without those of a single bank.
    #[error("{error}; there would be a plan without the sizes of {}", listed(banks))]
    Unplannable {
        /// Why there is none.
        error: crate::plan::PlanError,
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
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
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
    /// Decrypted numbers are none that the banks can have led to if all follow the protocol. The run ended on the wire as
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
    Range(crate::disclosure::Violation),
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
            | Self::Paillier(_) => self.to_string(),
            Self::Checkpoint(error) if !error.culprits().is_empty() => error.problem.to_string(),
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

    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

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
