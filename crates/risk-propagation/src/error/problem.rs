//! Values and records that are refused.

use crate::limits::MAX_STEPS;
use subrosa_transport::FailureKind;

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
    #[error("period {0} is beyond the {MAX_STEPS} that a run can have")]
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

    pub(super) fn kind(&self) -> FailureKind {
        match self.problem {
            Problem::Internal { .. } => FailureKind::Internal,
            _ => FailureKind::Input,
        }
    }
}
