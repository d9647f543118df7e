//! LightGBM's own text, as `Booster.save_model` writes it (versions v2 to v4): `name=value` lines, a block for each tree.
//!
//! Everything is `f64`, so that nothing is rounded on the way. A split goes left where x ≤ threshold or, on a category, where x is in the
//! split's set.

use std::collections::HashMap;
use std::str::FromStr;

use super::tree::{Comparison, FileNode, FileTree};
use super::{ImportError, ImportOptions};
use crate::Result;
use crate::model::{
    Aggregate, Kind, LeafWeight, MAX_FEATURES, MAX_NODES, MAX_OUTPUTS, Model, ModelParts, PostTransform,
    Precision, Task, Tree,
};

/// Greatest size of a LightGBM text file, in bytes. A node of a tree takes about 150 of them.
pub const MAX_LIGHTGBM_BYTES: usize = 512 << 20;

const FORMAT: &str = "LightGBM text";
/// What LightGBM takes for zero: at most this far from it.
const ZERO: f64 = 1.000_000_018_002_509_5e-35;

pub(super) fn read(file: &[u8], options: &ImportOptions) -> Result<Model> {
    if file.len() > MAX_LIGHTGBM_BYTES {
        let (what, count, limit) = ("bytes of the file".into(), file.len(), MAX_LIGHTGBM_BYTES);
        return Err(ImportError::TooLarge { what, count, limit }.into());
    }
    let text = std::str::from_utf8(file).map_err(|_| malformed("it is not UTF-8"))?;
    Model::new(parts(text, options)?)
}

fn malformed(reason: &str) -> ImportError {
    ImportError::Malformed { format: FORMAT, reason: reason.into() }
}

/// The `name=value` lines up to an empty one, and what stands there without a value.
struct Block<'a> {
    /// For messages.
    name: String,
    values: HashMap<&'a str, &'a str>,
}

impl<'a> Block<'a> {
    fn read(name: String, lines: impl Iterator<Item = &'a str>) -> Result<Self, ImportError> {
        let mut values = HashMap::new();
        for line in lines {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            if values.insert(key, value).is_some() {
                return Err(malformed(&format!("{name}: {key} appears twice")));
            }
        }
        Ok(Self { name, values })
    }

    fn field(&self, key: &str) -> String {
        format!("{}: {key}", self.name)
    }

    fn text(&self, key: &str) -> Result<&'a str, ImportError> {
        self.values.get(key).copied().ok_or_else(|| ImportError::missing(self.field(key)))
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T, ImportError> {
        let wrong = || ImportError::WrongType { field: self.field(key), expected: "a number" };
        self.text(key)?.trim().parse().map_err(|_| wrong())
    }

    /// The numbers of a list of this length.
    fn list<T: FromStr>(&self, key: &str, expected: usize) -> Result<Vec<T>, ImportError> {
        let words = self.text(key)?.split_ascii_whitespace();
        let wrong = |_| ImportError::WrongType { field: self.field(key), expected: "a list of numbers" };
        let list: Vec<T> =
            words.map(|word| word.parse().map_err(|_| ())).collect::<Result<_, _>>().map_err(wrong)?;
        if list.len() == expected {
            Ok(list)
        } else {
            Err(ImportError::Length { field: self.field(key), got: list.len(), expected })
        }
    }
}

fn parts(text: &str, options: &ImportOptions) -> Result<ModelParts, ImportError> {
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some("tree") {
        return Err(malformed("the first line is not \"tree\""));
    }
    let head = Block::read("the head".into(), lines.by_ref().take_while(|line| !line.is_empty()))?;
    let features = head.number::<usize>("max_feature_idx")?.saturating_add(1);
    let outputs = head.number::<usize>("num_tree_per_iteration")?;
    for (what, count, limit) in [("features", features, MAX_FEATURES), ("outputs", outputs, MAX_OUTPUTS)] {
        if count > limit || count == 0 {
            return Err(ImportError::TooLarge { what: what.into(), count, limit });
        }
    }
    let mut nodes_left = MAX_NODES;
    let mut trees = Vec::new();
    loop {
        let Some(start) = lines.by_ref().find(|line| !line.is_empty()) else {
            return Err(malformed("the line \"end of trees\" is missing"));
        };
        if start == "end of trees" {
            break;
        }
        if start != format!("Tree={}", trees.len()) {
            let tree = trees.len();
            return Err(malformed(&format!(
                "behind {tree} trees stands neither \"Tree={tree}\" nor \"end of trees\""
            )));
        }
        let block = Block::read(start.into(), lines.by_ref().take_while(|line| !line.is_empty()))?;
        let tree = file_tree(trees.len(), &block, trees.len() % outputs)?;
        trees.push(tree.into_tree(&mut nodes_left)?);
    }
    if trees.len() % outputs != 0 {
        let expected = trees.len().next_multiple_of(outputs);
        return Err(ImportError::Length { field: "the trees".into(), got: trees.len(), expected });
    }
    assemble(&head, trees, outputs, features, options)
}

fn assemble(
    head: &Block<'_>,
    mut trees: Vec<Tree>,
    outputs: usize,
    features: usize,
    options: &ImportOptions,
) -> Result<ModelParts, ImportError> {
    let objective = Objective::read(head, outputs)?;
    let average = head.values.contains_key("average_output");
    #[allow(clippy::cast_precision_loss)] // a number of trees
    let scale = objective.sigmoid / if average { (trees.len() / outputs) as f64 } else { 1.0 };
    if scale != 1.0 {
        trees.iter_mut().for_each(|tree| *tree = tree.scaled(scale));
    }
    let names = head.text("feature_names")?.split_ascii_whitespace().map(str::to_owned).collect();
    Ok(ModelParts {
        task: match objective.classes {
            0 => Task::Regression,
            classes => Task::Classification { labels: (0..classes).map(|class| class.to_string()).collect() },
        },
        kind: if average { Kind::RandomForest } else { Kind::GradientBoosting },
        features: options.names(features, names)?,
        precision: Precision::Double,
        trees,
        aggregate: Aggregate::Sum,
        base: vec![0.0; outputs],
        post_transform: objective.transform,
        decision_threshold: 0.0,
        missing: options.missing_number(),
    })
}

struct Objective {
    /// 0 for a regression.
    classes: usize,
    transform: PostTransform,
    /// A factor of the scores before the logistic function.
    sigmoid: f64,
}

impl Objective {
    fn read(head: &Block<'_>, outputs: usize) -> Result<Self, ImportError> {
        let text = head.values.get("objective").copied().unwrap_or("");
        let mut words = text.split_ascii_whitespace();
        let name = words.next().unwrap_or("");
        let mut sigmoid = 1.0;
        for word in words {
            match word.split_once(':') {
                Some(("sigmoid", number)) => {
                    let positive =
                        number.parse().ok().filter(|number: &f64| number.is_normal() && *number > 0.0);
                    let expected = "a positive number";
                    let wrong = ImportError::WrongType { field: "objective sigmoid".into(), expected };
                    sigmoid = positive.ok_or(wrong)?;
                }
                Some(_) => {}
                None if word == "sqrt" => {
                    let why = "its predictions are squares; train on the square root and square afterwards";
                    return Err(ImportError::unsupported("objective", text, why));
                }
                None => {}
            }
        }
        let (classes, transform) = match (name, outputs) {
            ("binary", 1) => (2, PostTransform::Sigmoid),
            ("multiclass", 2..) => (outputs, PostTransform::Softmax),
            ("multiclassova", 2..) => (outputs, PostTransform::Sigmoid),
            ("cross_entropy", 1) => (0, PostTransform::Sigmoid),
            ("poisson" | "gamma" | "tweedie", 1) => (0, PostTransform::Exp),
            (
                "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" | "lambdarank"
                | "rank_xendcg",
                1,
            ) => (0, PostTransform::None),
            _ => {
                let why = "known are LightGBM's own, without cross_entropy_lambda; a custom one's is not in the file";
                return Err(ImportError::unsupported("objective", text, why));
            }
        };
        let sigmoid = if transform == PostTransform::Sigmoid { sigmoid } else { 1.0 };
        Ok(Self { classes, transform, sigmoid })
    }
}

/// The lists of one tree.
struct Lists {
    id: i64,
    features: Vec<i64>,
    thresholds: Vec<f64>,
    decisions: Vec<u8>,
    left: Vec<i64>,
    right: Vec<i64>,
    leaves: Vec<f64>,
    /// Where the words of each set of categories begin; one more at the end.
    bounds: Vec<usize>,
    words: Vec<u32>,
}

fn file_tree(index: usize, block: &Block<'_>, output: usize) -> Result<FileTree, ImportError> {
    if block.values.get("is_linear").is_some_and(|linear| *linear != "0") {
        let why = "its leaves are linear functions; train with linear_tree=false";
        return Err(ImportError::unsupported("tree", block.name.as_str(), why));
    }
    let leaves: usize = block.number("num_leaves")?;
    let splits = leaves.checked_sub(1).ok_or_else(|| ImportError::missing(block.field("a leaf")))?;
    if leaves > MAX_NODES {
        return Err(ImportError::TooLarge {
            what: block.field("num_leaves"),
            count: leaves,
            limit: MAX_NODES,
        });
    }
    let id = i64::try_from(index).unwrap_or(i64::MAX);
    let leaf_values = block.list("leaf_value", leaves)?;
    let leaf = |weight: f64| FileNode::Leaf(vec![LeafWeight { output, weight }]);
    if splits == 0 {
        let nodes = leaf_values.into_iter().map(|weight| (0, leaf(weight))).collect();
        return Ok(FileTree { id, nodes, all_reachable: true, shared: false });
    }
    let sets: usize = block.number("num_cat")?;
    let lists = Lists {
        id,
        features: block.list("split_feature", splits)?,
        thresholds: block.list("threshold", splits)?,
        decisions: block.list("decision_type", splits)?,
        left: block.list("left_child", splits)?,
        right: block.list("right_child", splits)?,
        leaves: leaf_values,
        bounds: if sets == 0 { vec![] } else { block.list("cat_boundaries", sets.saturating_add(1))? },
        words: match block.values.get("cat_threshold").filter(|_| sets > 0) {
            None => vec![],
            Some(words) => block.list("cat_threshold", words.split_ascii_whitespace().count())?,
        },
    };
    let mut nodes = Vec::with_capacity(splits + leaves);
    for index in 0..splits {
        nodes.push((i64::try_from(index).unwrap_or(i64::MAX), lists.split(index)?));
    }
    // Leaves follow the splits; the file counts them −1, −2, ….
    for (index, weight) in lists.leaves.iter().enumerate() {
        nodes.push((-1 - i64::try_from(index).unwrap_or(i64::MAX - 1), leaf(*weight)));
    }
    Ok(FileTree { id, nodes, all_reachable: true, shared: false })
}

impl Lists {
    fn fault(&self, index: usize, reason: &'static str) -> ImportError {
        ImportError::Tree { tree: self.id, node: i64::try_from(index).unwrap_or(i64::MAX), reason }
    }

    fn child(&self, index: usize, child: i64) -> Result<usize, ImportError> {
        let fault = || self.fault(index, "a child does not exist");
        match usize::try_from(child) {
            Ok(split) if split < self.thresholds.len() => Ok(split),
            Ok(_) => Err(fault()),
            Err(_) => {
                let leaf = usize::try_from(-1 - child).ok().filter(|leaf| *leaf < self.leaves.len());
                Ok(self.thresholds.len() + leaf.ok_or_else(fault)?)
            }
        }
    }

    fn split(&self, index: usize) -> Result<FileNode, ImportError> {
        let feature = usize::try_from(self.features[index]);
        let feature = feature.map_err(|_| self.fault(index, "its feature is negative"))?;
        let (yes, no) = (self.child(index, self.left[index])?, self.child(index, self.right[index])?);
        let (threshold, decision) = (self.thresholds[index], self.decisions[index]);
        if decision & 1 == 1 {
            let members = self.members(index)?;
            return Ok(FileNode::Members { feature, members, yes, no, missing: Some(false) });
        }
        let default_left = decision & 2 != 0;
        let branch = |missing| FileNode::Branch {
            comparison: Comparison::LessOrEqual,
            feature,
            threshold,
            yes,
            no,
            missing: Some(missing),
        };
        match decision >> 2 & 3 {
            // A missing value counts as zero.
            0 => Ok(branch(0.0 <= threshold)),
            1 => {
                let all = |left: bool| if left { threshold >= ZERO } else { threshold < -ZERO };
                if all(default_left) {
                    return Ok(branch(default_left));
                }
                // Zeros go another way than their neighbours.
                let end = threshold.next_up();
                let members = match default_left {
                    true if end >= -ZERO => vec![(f64::NEG_INFINITY, ZERO.next_up())],
                    true => vec![(f64::NEG_INFINITY, end), (-ZERO, ZERO.next_up())],
                    false if threshold > ZERO => {
                        vec![(f64::NEG_INFINITY, -ZERO), (ZERO.next_up(), end)]
                    }
                    false => vec![(f64::NEG_INFINITY, end.min(-ZERO))],
                };
                Ok(FileNode::Members { feature, members, yes, no, missing: Some(default_left) })
            }
            2 => Ok(branch(default_left)),
            _ => Err(self.fault(index, "its decision_type is not known")),
        }
    }

    /// A set of categories, as intervals of the values that LightGBM cuts off to them.
    fn members(&self, index: usize) -> Result<Vec<(f64, f64)>, ImportError> {
        let fault = || self.fault(index, "its set of categories does not exist");
        // A place in a list, written as a threshold.
        let set = self.thresholds[index];
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        if set.fract() != 0.0 || !(0.0..self.bounds.len() as f64).contains(&set) {
            return Err(fault());
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in the list")]
        let set = set as usize;
        let bounds = self.bounds.get(set).zip(set.checked_add(1).and_then(|next| self.bounds.get(next)));
        let words = bounds.and_then(|(start, end)| self.words.get(*start..*end)).ok_or_else(fault)?;
        let mut members: Vec<(f64, f64)> = Vec::new();
        for (place, word) in words.iter().enumerate() {
            for bit in (0..32u32).filter(|bit| word >> bit & 1 == 1) {
                let place =
                    u32::try_from(place).ok().and_then(|place| place.checked_mul(32)).ok_or_else(fault)?;
                let category = f64::from(place) + f64::from(bit);
                match members.last_mut() {
                    Some((_, end)) if *end == category => *end = category + 1.0,
                    // Everything above −1 is cut off to 0.
                    _ if category == 0.0 => members.push(((-1.0f64).next_up(), 1.0)),
                    _ => members.push((category, category + 1.0)),
                }
            }
        }
        Ok(members)
    }
}
