//! Tree models in the clear.
//!
//! Importers and trainers make their models with [`Model::new`], which checks that a model is well-formed. A [`Model`] needs
//! no further check.

mod error;
mod evaluate;
mod file;
mod tree;

pub use error::ModelError;
pub use evaluate::{Prediction, Scores};
pub(crate) use evaluate::{class_of, vote};
pub use file::MAX_JSON_BYTES;
pub use tree::{LeafWeight, Node, Rule, Tree};

use serde::{Deserialize, Serialize};

/// Greatest number of features of a model.
pub const MAX_FEATURES: usize = 4_096;
/// Greatest number of trees of a model.
pub const MAX_TREES: usize = 16_384;
/// Greatest number of nodes (splits and leaves) of all trees together.
pub const MAX_NODES: usize = 4_000_000;
/// Greatest number of scores that a model gives for a row.
pub const MAX_OUTPUTS: usize = 1_024;
/// Greatest number of splits between a root and a leaf.
pub const MAX_DEPTH: usize = 128;

/// What a model says about a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of these classes. Scores are one per class, or, for two classes, a single score for the second.
    Classification {
        /// The classes' names in the order of their indices; at least two, no two alike.
        labels: Vec<String>,
    },
    /// One number per output.
    Regression,
}

/// Where an ensemble comes from. It changes no number; reports and file names use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// A single tree.
    DecisionTree,
    /// Trees grown independently of one another.
    RandomForest,
    /// Trees that each correct the sum of those before.
    GradientBoosting,
}

/// How the trees' leaf weights become the model's scores, before the base values are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aggregate {
    /// The sum over all trees.
    Sum,
    /// The sum divided by the number of trees.
    Average,
    /// Each tree gives 1 to the output with its greatest leaf weight (the lowest index among equals).
    Votes,
}

/// A function of the raw scores, applied in the clear by whoever holds them: after decryption, by the client.
/// All of them are monotone, so they never change the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PostTransform {
    /// Scores stay as they are.
    None,
    /// 1 / (1 + e^−s) of each score.
    Sigmoid,
    /// e^sᵢ / Σ e^sⱼ.
    Softmax,
    /// e^s of each score.
    Exp,
    /// 1 for each score above 0, else 0.
    Step,
}

/// How a feature value is read before it is compared with thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Rounded to the nearest `f32` first, as scikit-learn, XGBoost and float ONNX models do.
    Single,
    /// As it is.
    Double,
}

/// The parts of a model, not yet checked: what importers and trainers fill in for [`Model::new`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelParts {
    /// What the model says about a row.
    pub task: Task,
    /// Where it comes from.
    pub kind: Kind,
    /// The features' names in the order of a row's values; no two alike.
    pub features: Vec<String>,
    /// How feature values are read.
    pub precision: Precision,
    /// The trees, at least one.
    pub trees: Vec<Tree>,
    /// How leaf weights add up.
    pub aggregate: Aggregate,
    /// Added to the aggregated scores; its length is the number of outputs.
    pub base: Vec<f64>,
    /// Applied by the client after decryption.
    pub post_transform: PostTransform,
    /// Only for two classes with a single raw score: the second class is predicted above this raw score (before
    /// the post-transform): 0 for log-odds, 0.5 for a probability.
    #[serde(default)]
    pub decision_threshold: f64,
    /// A value that is read as missing, besides NaN; finite. XGBoost's `missing`, where it is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<f64>,
}

/// A well-formed tree model in the clear.
///
/// ```
/// use subrosa_decision_tree::model::*;
///
/// let tree = Tree::new(vec![
///     Node::Split { feature: 0, rule: Rule::LessOrEqual, threshold: 100.0, left: 1, right: 2 },
///     Node::leaf(0, 1.0),
///     Node::leaf(1, 1.0),
/// ]);
/// let model = Model::new(ModelParts {
///     task: Task::Classification { labels: vec!["genuine".into(), "fraud".into()] },
///     kind: Kind::DecisionTree,
///     features: vec!["amount".into()],
///     precision: Precision::Double,
///     trees: vec![tree],
///     aggregate: Aggregate::Sum,
///     base: vec![0.0, 0.0],
///     post_transform: PostTransform::None,
///     decision_threshold: 0.0,
///     missing: None,
/// })?;
/// assert_eq!(model.predict(&[250.0])?.label(), Some("fraud"));
/// # Ok::<(), subrosa_decision_tree::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[doc(alias("random forest", "gradient boosting", "XGBoost"))]
pub struct Model {
    parts: ModelParts,
    /// Whether each feature may be missing.
    takes_missing: Vec<bool>,
}

impl Model {
    /// Checks `parts` and makes a model of them.
    ///
    /// # Errors
    /// [`ModelError`], for anything that is not a forest of proper binary trees over named features with finite
    /// numbers within the limits of this module.
    pub fn new(parts: ModelParts) -> crate::Result<Self> {
        check_limits(&parts)?;
        check_names("feature", &parts.features)?;
        check_outputs(&parts)?;
        for (index, tree) in parts.trees.iter().enumerate() {
            tree.check(index, parts.features.len(), parts.base.len())?;
        }
        let takes_missing = takes_missing(&parts);
        Ok(Self { parts, takes_missing })
    }

    /// One classification tree over rows of `f64`, whose leaves give their class the weight 1 or any other:
    /// the class with the greatest weight is the verdict. Everything else goes through [`Self::new`].
    ///
    /// ```
    /// use subrosa_decision_tree::{Model, model::Node};
    ///
    /// let nodes = vec![Node::split(0, 100.0, 1, 2), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
    /// let model = Model::classifier(["amount"], ["genuine", "fraud"], nodes)?;
    /// assert_eq!(model.predict(&[250.0])?.label(), Some("fraud"));
    /// # Ok::<(), subrosa_decision_tree::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn classifier<F: Into<String>, L: Into<String>>(
        features: impl IntoIterator<Item = F>,
        labels: impl IntoIterator<Item = L>,
        nodes: Vec<Node>,
    ) -> crate::Result<Self> {
        let labels: Vec<String> = labels.into_iter().map(Into::into).collect();
        Self::new(ModelParts {
            base: vec![0.0; labels.len()],
            task: Task::Classification { labels },
            kind: Kind::DecisionTree,
            features: features.into_iter().map(Into::into).collect(),
            precision: Precision::Double,
            trees: vec![Tree::new(nodes)],
            aggregate: Aggregate::Sum,
            post_transform: PostTransform::None,
            decision_threshold: 0.0,
            missing: None,
        })
    }

    /// What the model says about a row.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.parts.task
    }

    /// The classes' names; empty for a regression.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        match &self.parts.task {
            Task::Classification { labels } => labels,
            Task::Regression => &[],
        }
    }

    /// Where the model comes from.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.parts.kind
    }

    /// The features' names in the order of a row's values.
    #[must_use]
    pub fn features(&self) -> &[String] {
        &self.parts.features
    }

    /// Whether a row may lack a value of this feature: every split on it says where a missing value goes. A feature that is in no
    /// split may be missing if any split of the model says so of its own.
    #[must_use]
    #[doc(alias("NaN", "missing value"))]
    pub fn takes_missing(&self, feature: usize) -> bool {
        self.takes_missing.get(feature).copied().unwrap_or(false)
    }

    /// Whether some split reads each feature.
    pub(crate) fn reads(&self) -> Vec<bool> {
        let mut read = vec![false; self.parts.features.len()];
        for node in self.parts.trees.iter().flat_map(Tree::nodes) {
            if let Node::Split { feature, .. } = node {
                read[*feature] = true;
            }
        }
        read
    }

    /// A value of a row as splits compare it: in the model's precision, NaN if it is missing.
    pub(crate) fn read(&self, value: f64) -> f64 {
        let value = self.parts.precision.read(value);
        match self.parts.missing {
            Some(missing) if value == self.parts.precision.read(missing) => f64::NAN,
            _ => value,
        }
    }

    /// The trees.
    #[must_use]
    pub fn trees(&self) -> &[Tree] {
        &self.parts.trees
    }

    /// How many scores the model gives for a row.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.parts.base.len()
    }

    /// All the parts, for reading.
    #[must_use]
    pub fn parts(&self) -> &ModelParts {
        &self.parts
    }

    /// The parts, to change them and build another model.
    #[must_use]
    pub fn into_parts(self) -> ModelParts {
        self.parts
    }

    /// How many splits all trees have together.
    #[must_use]
    pub fn splits(&self) -> usize {
        self.parts.trees.iter().map(Tree::splits).sum()
    }

    /// The greatest number of splits between a root and a leaf.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.parts.trees.iter().map(Tree::depth).max().unwrap_or(0)
    }
}

/// Whether each feature may be missing.
fn takes_missing(parts: &ModelParts) -> Vec<bool> {
    let splits = || {
        parts.trees.iter().flat_map(Tree::nodes).filter_map(|node| match node {
            Node::Split { feature, rule, .. } => Some((*feature, rule.missing_goes_left().is_some())),
            Node::Leaf { .. } => None,
        })
    };
    let mut taken = vec![splits().any(|(_, taken)| taken); parts.features.len()];
    splits().filter(|(_, taken)| !taken).for_each(|(feature, _)| taken[feature] = false);
    taken
}

fn check_limits(parts: &ModelParts) -> Result<(), ModelError> {
    if parts.trees.is_empty() {
        return Err(ModelError::NoTrees);
    }
    let nodes = parts.trees.iter().fold(0usize, |sum, tree| sum.saturating_add(tree.nodes().len()));
    let counts = [
        ("features", parts.features.len(), MAX_FEATURES),
        ("trees", parts.trees.len(), MAX_TREES),
        ("nodes", nodes, MAX_NODES),
        ("outputs", parts.base.len(), MAX_OUTPUTS),
    ];
    match counts.into_iter().find(|(_, count, limit)| count > limit) {
        Some((what, count, limit)) => Err(ModelError::TooMany { what, count, limit }),
        None => Ok(()),
    }
}

fn check_names(what: &'static str, names: &[String]) -> Result<(), ModelError> {
    let mut seen = std::collections::HashSet::new();
    match names.iter().find(|name| name.is_empty() || !seen.insert(name.as_str())) {
        Some(name) => Err(ModelError::BadName { what, name: name.clone() }),
        None => Ok(()),
    }
}

fn check_outputs(parts: &ModelParts) -> Result<(), ModelError> {
    let outputs = parts.base.len();
    if let Some(index) = parts.base.iter().position(|value| !value.is_finite()) {
        return Err(ModelError::NotFinite { what: format!("base value {index}") });
    }
    if parts.missing.is_some_and(|missing| !missing.is_finite()) {
        return Err(ModelError::NotFinite { what: "the value that stands for a missing one".into() });
    }
    if !parts.decision_threshold.is_finite() {
        return Err(ModelError::NotFinite { what: "the decision threshold".into() });
    }
    match &parts.task {
        Task::Classification { labels } => {
            if labels.len() < 2 {
                return Err(ModelError::TooFewClasses);
            }
            check_names("class", labels)?;
            let single = outputs == 1 && labels.len() == 2;
            if outputs != labels.len() && !single {
                return Err(ModelError::OutputCount { outputs, what: "the number of classes" });
            }
        }
        Task::Regression if outputs == 0 => {
            return Err(ModelError::OutputCount { outputs, what: "a regression" });
        }
        Task::Regression => {}
    }
    if parts.aggregate == Aggregate::Votes && outputs < 2 {
        return Err(ModelError::OutputCount { outputs, what: "votes" });
    }
    if parts.post_transform == PostTransform::Softmax && outputs < 2 {
        return Err(ModelError::OutputCount { outputs, what: "softmax" });
    }
    Ok(())
}
