//! Why a schema, or a row under it, is refused.

use super::{MAX_SPAN, VERSION};

/// Why a schema, or a row under it, is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// No features, or more of something than a schema may have.
    #[error("{count} {what}, allowed are 1 to {limit}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// An empty name or one that appears twice.
    #[error("the {what} name {name:?} is empty or appears twice")]
    BadName {
        /// `feature` or `class`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An invalid grid.
    #[error("grid: {reason}")]
    Grid {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A span that is not a power of two from 16 to [`MAX_SPAN`], or 0.
    #[error("the span {span} is neither 0 nor a power of two from 16 to {MAX_SPAN}")]
    Span {
        /// The span.
        span: u32,
    },
    /// A file that cannot be read.
    #[error("not a schema file: {reason}")]
    File {
        /// What the reader found.
        reason: String,
    },
    /// A file of a version that this crate does not know.
    #[error("schema version {found}, this crate reads {VERSION}")]
    Version {
        /// The file's version.
        found: u32,
    },
    /// A row with another number of values than the schema has features.
    #[error("a row has {got} values, the schema {expected} features")]
    RowLength {
        /// Values in the row.
        got: usize,
        /// Features of the schema.
        expected: usize,
    },
    /// A cell that the feature's grid does not have.
    #[error("the grid of feature {feature} has no such cell")]
    Cell {
        /// The feature's index.
        feature: usize,
    },
    /// A value between the whole numbers that the feature has.
    #[error("the value of feature {feature} is not a whole number")]
    NotWhole {
        /// The feature's index.
        feature: usize,
    },
    /// A missing value of a feature that must not be missing.
    #[error("the value of feature {feature} is missing, and the schema has no cell for a missing value")]
    NotANumber {
        /// The feature's index.
        feature: usize,
    },
}
