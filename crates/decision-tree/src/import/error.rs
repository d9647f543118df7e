//! Why a model file is refused.

/// What an importer refuses. Every variant names the field, operator or node at fault; [`Self::InFile`] adds the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// More of something than a file may have.
    #[error("{what}: {count}, at most {limit} are allowed")]
    TooLarge {
        /// What there is too much of.
        what: String,
        /// How much there is.
        count: usize,
        /// How much there may be.
        limit: usize,
    },
    /// Not a file of this format, or a damaged one.
    #[error("not a readable {format} file: {reason}")]
    Malformed {
        /// The format that was expected.
        format: &'static str,
        /// What the reader found.
        reason: String,
    },
    /// A field that must be there.
    #[error("{field} is missing")]
    Missing {
        /// The field's name in the file.
        field: String,
    },
    /// A field of another type than its name promises.
    #[error("{field} is not {expected}")]
    WrongType {
        /// The field's name in the file.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Two fields whose lengths must agree.
    #[error("{field} has {got} entries, {expected} are needed")]
    Length {
        /// The field's name in the file.
        field: String,
        /// Its length.
        got: usize,
        /// The length that it should have.
        expected: usize,
    },
    /// A value outside its range: a negative index, a class that does not exist.
    #[error("{field}[{index}] = {value} is out of range")]
    OutOfRange {
        /// The field's name in the file.
        field: String,
        /// The entry.
        index: usize,
        /// The value found.
        value: i64,
    },
    /// Something that other programs may understand and this one does not, by its name.
    #[error("{what} {name:?} is not supported: {why}")]
    Unsupported {
        /// What kind of thing: an operator, a post-transform, an objective.
        what: &'static str,
        /// Its name in the file.
        name: String,
        /// What would go wrong, or what to do instead.
        why: &'static str,
    },
    /// A model that has learned from missing values, without a word on what stood for them.
    #[error(
        "tree {tree} has learned where missing values go, and the file does not say which value was missing in training: \
         set ImportOptions::missing to NaN (XGBoost's default) or to the number that XGBoost was given as `missing`"
    )]
    MissingNotStated {
        /// The tree's index.
        tree: usize,
    },
    /// A tree whose nodes do not form a tree.
    #[error("tree {tree}, node {node}: {reason}")]
    Tree {
        /// The tree's id in the file.
        tree: i64,
        /// The node's id in the file.
        node: i64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file cannot be read at all.
    #[error("the file cannot be read")]
    Io(#[from] std::io::Error),
    /// Any error, with the file that caused it.
    #[error("{file}")]
    InFile {
        /// The file's path.
        file: String,
        /// What is wrong with it.
        #[source]
        error: Box<crate::Error>,
    },
}

impl ImportError {
    pub(super) fn missing(field: impl Into<String>) -> Self {
        Self::Missing { field: field.into() }
    }

    pub(super) fn unsupported(what: &'static str, name: impl Into<String>, why: &'static str) -> Self {
        Self::Unsupported { what, name: name.into(), why }
    }
}
