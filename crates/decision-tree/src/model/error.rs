//! Why a model, or a row for it, is refused.

/// Why a model, or a row for it, is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No tree at all.
    #[error("it has no trees")]
    NoTrees,
    /// A tree without nodes.
    #[error("tree {tree} has no nodes")]
    EmptyTree {
        /// The tree's index.
        tree: usize,
    },
    /// More of something than a model may have.
    #[error("{count} {what}, at most {limit} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A child, feature or output index that points nowhere.
    #[error("tree {tree}, node {node}: {what} {index} does not exist")]
    NoSuch {
        /// The tree's index.
        tree: usize,
        /// The node's index in the tree.
        node: usize,
        /// What the index should have named.
        what: &'static str,
        /// The index.
        index: usize,
    },
    /// A node below itself.
    #[error("tree {tree}: node {node} is below itself or below such a node")]
    NotATree {
        /// The tree's index.
        tree: usize,
        /// The node's index in the tree.
        node: usize,
    },
    /// A node that no path from the root reaches.
    #[error("tree {tree}: node {node} cannot be reached from the root")]
    Unreachable {
        /// The tree's index.
        tree: usize,
        /// The node's index in the tree.
        node: usize,
    },
    /// A threshold, weight or base value that is NaN, or infinite where only a finite one makes sense.
    #[error("{what} is not a finite number")]
    NotFinite {
        /// Which number.
        what: String,
    },
    /// A leaf that gives two weights to one output.
    #[error("tree {tree}, node {node}: output {output} has two weights")]
    DuplicateWeight {
        /// The tree's index.
        tree: usize,
        /// The node's index in the tree.
        node: usize,
        /// The output.
        output: usize,
    },
    /// Two features or two classes of one name, or an empty name.
    #[error("the {what} name {name:?} is empty or appears twice")]
    BadName {
        /// `feature` or `class`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Fewer than two classes.
    #[error("a classification needs at least two classes")]
    TooFewClasses,
    /// The number of outputs fits neither the classes nor the aggregate or post-transform.
    #[error("{outputs} outputs do not fit {what}")]
    OutputCount {
        /// How many base values, hence outputs.
        outputs: usize,
        /// What they should fit.
        what: &'static str,
    },
    /// A row with another number of values than the model has features.
    #[error("a row has {got} values, the model {expected} features")]
    RowLength {
        /// Values in the row.
        got: usize,
        /// Features of the model.
        expected: usize,
    },
    /// A missing value of a feature of which some split does not say where missing values go.
    #[error("the value of feature {feature} is missing, and the model does not say where missing values go")]
    NotANumber {
        /// The feature's index.
        feature: usize,
    },
    /// A model file that cannot be read.
    #[error("not a model file: {reason}")]
    File {
        /// What the reader found, without contents of the file.
        reason: String,
    },
    /// A model file of a version that this crate does not know.
    #[error("model file version {found}, this crate reads {supported}")]
    Version {
        /// The file's version.
        found: u32,
        /// The supported one.
        supported: u32,
    },
}
