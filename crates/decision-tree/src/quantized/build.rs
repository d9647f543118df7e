//! From a model in the clear to one on the grid (E2 and E3 of docs/protocols/decision-tree.md).

use super::reading::ReadingKind;
use super::{QuantizedModel, QuantizedNode, QuantizedTree, Reading};
use crate::model::{Aggregate, LeafWeight, Model, Node, PostTransform, Task, Tree, class_of, vote};
use crate::schema::{Samples, Schema, at_most};
use crate::{Error, Result};

/// Why a model does not fit a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// Other features, or the same in another order.
    #[error("the model's features are not the schema's, from feature {index} on")]
    Features {
        /// The first difference.
        index: usize,
    },
    /// Other classes, or the same in another order.
    #[error("the model's classes are not the schema's")]
    Classes,
    /// One reads features as `f32`, the other as `f64`.
    #[error("model and schema read features at different precision")]
    Precision,
    /// A resolution of leaf values outside 1 to 24 bits.
    #[error("leaf values of {bits} bits; possible are 1 to 24")]
    LeafBits {
        /// The bits asked for.
        bits: u32,
    },
    /// Leaf values, base values or sums of them that no finite step and offset can stand for.
    #[error("the leaf values are too large or too close together to be put on integers")]
    LeafRange,
    /// Another number of labels than of rows.
    #[error("{got} labels for {expected} rows")]
    LabelCount {
        /// Number of labels.
        got: usize,
        /// Number of rows.
        expected: usize,
    },
    /// A label that is no class of the model.
    #[error("the label of row {row} is not below the number of classes, {classes}")]
    NoSuchLabel {
        /// Index of the row.
        row: usize,
        /// Number of classes of the model.
        classes: usize,
    },
}

/// `samples` place the thresholds, one entry for each feature; without them thresholds move to the nearest edge.
pub(super) fn build(
    model: &Model,
    schema: &Schema,
    leaf_bits: u32,
    samples: Option<&[Samples]>,
) -> Result<QuantizedModel> {
    check_fit(model, schema)?;
    if !(1..=24).contains(&leaf_bits) {
        return Err(QuantizeError::LeafBits { bits: leaf_bits }.into());
    }
    let (reading, scale) = plan_leaves(model, leaf_bits)?;
    let trees = model
        .trees()
        .iter()
        .enumerate()
        .map(|(index, tree)| {
            let intervals = schema.bits().map(|bits| (0, (1 << bits) - 1)).collect();
            let scale = &scale;
            let mut grown =
                Grown { schema, model, samples, scale, source: tree, index, intervals, nodes: vec![] };
            let root = grown.grow(0)?;
            Ok(QuantizedTree { nodes: in_order(&grown.nodes, root) })
        })
        .collect::<Result<_>>()?;
    Ok(QuantizedModel { schema: schema.clone(), trees, reading })
}

fn check_fit(model: &Model, schema: &Schema) -> Result<(), QuantizeError> {
    let names = |index: usize| {
        (model.features().get(index), schema.features().get(index).map(|feature| &feature.name))
    };
    let longest = model.features().len().max(schema.features().len());
    if let Some(index) = (0..longest).find(|&index| names(index).0 != names(index).1) {
        return Err(QuantizeError::Features { index });
    }
    if model.labels() != schema.classes() {
        return Err(QuantizeError::Classes);
    }
    if model.parts().precision != schema.precision() {
        return Err(QuantizeError::Precision);
    }
    Ok(())
}

/// E3: how leaves become integers: value = round((w − least of this tree and channel) / step).
enum Scale {
    ClassIndex,
    Steps { step: f64, levels: f64, least: Vec<Vec<f64>> },
}

/// Chooses channels, step and offsets from all leaves.
fn plan_leaves(model: &Model, leaf_bits: u32) -> Result<(Reading, Scale), QuantizeError> {
    let parts = model.parts();
    if let (Task::Classification { labels }, [_]) = (&parts.task, model.trees()) {
        return Ok((Reading::class_index(labels.len()), Scale::ClassIndex));
    }
    let channels = channel_count(model);
    let mut least = Vec::with_capacity(model.trees().len());
    let mut range: f64 = 0.0;
    let mut two_valued = true;
    for tree in model.trees() {
        let leaves: Vec<Vec<f64>> =
            tree.nodes().iter().filter_map(Node::weights).map(|leaf| channel_weights(model, leaf)).collect();
        let (mut low, mut high) = (vec![f64::INFINITY; channels], vec![f64::NEG_INFINITY; channels]);
        for leaf in &leaves {
            for (channel, weight) in leaf.iter().enumerate() {
                low[channel] = low[channel].min(*weight);
                high[channel] = high[channel].max(*weight);
            }
        }
        for channel in 0..channels {
            let width = high[channel] - low[channel];
            // Exact with a step of the whole range, as votes are.
            two_valued &=
                leaves.iter().all(|leaf| leaf[channel] == low[channel] || leaf[channel] == high[channel])
                    && (width == 0.0 || range == 0.0 || width == range);
            range = range.max(width);
        }
        least.push(low);
    }
    let levels = if two_valued { 1.0 } else { f64::from((1u32 << leaf_bits) - 1) };
    let step = if range > 0.0 { range / levels } else { 1.0 };
    if !step.is_normal() {
        return Err(QuantizeError::LeafRange);
    }
    #[allow(clippy::cast_precision_loss)] // at most MAX_TREES
    let divisor = if parts.aggregate == Aggregate::Average { model.trees().len() as f64 } else { 1.0 };
    let base = channel_base(model);
    let offsets: Vec<f64> = (0..channels)
        .map(|channel| base[channel] + least.iter().map(|low| low[channel]).sum::<f64>() / divisor)
        .collect();
    if offsets.iter().any(|offset| !offset.is_finite()) {
        return Err(QuantizeError::LeafRange);
    }
    let margin = is_margin(model);
    let reading = Reading {
        kind: match &parts.task {
            Task::Regression => ReadingKind::Values,
            Task::Classification { labels } => ReadingKind::Scores { classes: labels.len() },
        },
        offsets,
        step: step / divisor,
        decision_threshold: if margin { 0.0 } else { parts.decision_threshold },
        post_transform: match parts.post_transform {
            // Softmax of two scores is the logistic function of their difference; the logistic function of each
            // score has no meaning for a difference.
            PostTransform::Softmax if margin => PostTransform::Sigmoid,
            _ if margin => PostTransform::None,
            other => other,
        },
    };
    Ok((reading, Scale::Steps { step, levels, least }))
}

/// Two classes with a score each: only the difference is disclosed.
fn is_margin(model: &Model) -> bool {
    model.labels().len() == 2 && model.outputs() == 2
}

fn channel_count(model: &Model) -> usize {
    if is_margin(model) { 1 } else { model.outputs() }
}

fn channel_base(model: &Model) -> Vec<f64> {
    let base = &model.parts().base;
    if is_margin(model) { vec![base[1] - base[0]] } else { base.clone() }
}

/// A leaf's weights by channel.
fn channel_weights(model: &Model, weights: &[LeafWeight]) -> Vec<f64> {
    let mut dense = vec![0.0; model.outputs()];
    if model.parts().aggregate == Aggregate::Votes {
        dense[vote(weights, model.outputs())] = 1.0;
    } else {
        weights.iter().for_each(|LeafWeight { output, weight }| dense[*output] = *weight);
    }
    if is_margin(model) { vec![dense[1] - dense[0]] } else { dense }
}

struct Grown<'a> {
    schema: &'a Schema,
    model: &'a Model,
    samples: Option<&'a [Samples]>,
    scale: &'a Scale,
    source: &'a Tree,
    index: usize,
    /// The cells of each feature that can still occur here.
    intervals: Vec<(i32, i32)>,
    nodes: Vec<QuantizedNode>,
}

impl Grown<'_> {
    /// E2: copies the subtree at `source` and returns its index among `nodes`. The depth is at most
    /// [`crate::model::MAX_DEPTH`].
    fn grow(&mut self, source: usize) -> Result<usize> {
        let tree = self.source;
        match &tree.nodes()[source] {
            Node::Leaf { weights } => {
                let values = self.leaf_values(weights)?;
                Ok(self.push(QuantizedNode::Leaf { values }))
            }
            Node::Split { feature, rule, threshold, left, right } => {
                let threshold = at_most(*rule, *threshold, self.model.parts().precision);
                let cell = match self.samples.and_then(|samples| samples.get(*feature)) {
                    Some(samples) => self.schema.place(*feature, threshold, samples)?,
                    None => self.schema.snap(*feature, threshold)?,
                };
                let (low, high) = self.intervals[*feature];
                if cell < low {
                    return self.grow(*right);
                }
                if cell >= high {
                    return self.grow(*left);
                }
                self.intervals[*feature] = (low, cell);
                let left = self.grow(*left)?;
                self.intervals[*feature] = (cell + 1, high);
                let right = self.grow(*right)?;
                self.intervals[*feature] = (low, high);
                let same = matches!(&self.nodes[left], QuantizedNode::Leaf { .. })
                    && self.nodes[left] == self.nodes[right];
                if same {
                    return Ok(left);
                }
                let place = "quantise: a threshold is below the grid's first cell";
                let threshold = u32::try_from(cell).map_err(|_| Error::Internal { place })?;
                Ok(self.push(QuantizedNode::Split { feature: *feature, threshold, left, right }))
            }
        }
    }

    fn push(&mut self, node: QuantizedNode) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn leaf_values(&self, weights: &[LeafWeight]) -> Result<Vec<u32>> {
        match self.scale {
            Scale::ClassIndex => {
                let parts = self.model.parts();
                let class = if parts.aggregate == Aggregate::Votes {
                    let mut scores = parts.base.clone();
                    scores[vote(weights, parts.base.len())] += 1.0;
                    class_of(&scores, parts.decision_threshold)
                } else {
                    let mut scores = vec![0.0; parts.base.len()];
                    weights.iter().for_each(|leaf| scores[leaf.output] += leaf.weight);
                    scores.iter_mut().zip(&parts.base).for_each(|(score, base)| *score += base);
                    class_of(&scores, parts.decision_threshold)
                };
                let place = "quantise: a class index is above 32 bits";
                Ok(vec![u32::try_from(class).map_err(|_| Error::Internal { place })?])
            }
            Scale::Steps { step, levels, least } => {
                let weights = channel_weights(self.model, weights);
                let pairs = weights.iter().zip(&least[self.index]);
                pairs
                    .map(|(weight, least)| {
                        let value = ((weight - least) / step).round();
                        if !(0.0..=*levels).contains(&value) {
                            let place = "quantise: a leaf value is outside the range of all leaves";
                            return Err(Error::Internal { place });
                        }
                        // At most 2^leaf_bits − 1.
                        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                        Ok(value as u32)
                    })
                    .collect()
            }
        }
    }
}

/// Keeps what `root` reaches, the root first and children behind their parents.
fn in_order(nodes: &[QuantizedNode], root: usize) -> Vec<QuantizedNode> {
    let mut ordered: Vec<QuantizedNode> = Vec::new();
    let mut open = std::collections::VecDeque::from([root]);
    let mut next = 1;
    while let Some(index) = open.pop_front() {
        let mut node = nodes[index].clone();
        if let QuantizedNode::Split { left, right, .. } = &mut node {
            open.extend([*left, *right]);
            (*left, *right) = (next, next + 1);
            next += 2;
        }
        ordered.push(node);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, ModelParts, Precision};
    use crate::schema::Feature;

    fn regression(leaves: [f64; 2]) -> Result<QuantizedModel> {
        let nodes = vec![Node::split(0, 0.5, 1, 2), Node::leaf(0, leaves[0]), Node::leaf(0, leaves[1])];
        let middle = Tree::new(vec![Node::leaf(0, 0.5 * leaves[0] + 0.5 * leaves[1])]);
        let model = Model::new(ModelParts {
            task: Task::Regression,
            kind: Kind::GradientBoosting,
            features: vec!["x".into()],
            precision: Precision::Double,
            trees: vec![Tree::new(nodes), middle],
            aggregate: Aggregate::Sum,
            base: vec![0.0],
            post_transform: PostTransform::None,
            decision_threshold: 0.0,
        })?;
        build(&model, &Schema::for_model(&model, vec![Feature::binary("x")])?, 12, None)
    }

    #[test]
    fn leaves_that_no_step_stands_for_are_refused() {
        assert!(regression([-1.0, 1.0]).is_ok());
        for leaves in [[-1e308, 1e308], [1.7e308, 1.7e308], [0.0, 1e-310]] {
            let refused = regression(leaves);
            assert!(matches!(refused, Err(Error::Quantize(QuantizeError::LeafRange))), "{leaves:?}");
        }
    }

    #[test]
    fn a_model_that_does_not_belong_to_its_schema_is_an_error_and_no_verdict() {
        let mut model = regression([-1.0, 1.0]).unwrap();
        let row = model.schema.quantize(&[1.0]).unwrap();
        model.trees[0].nodes[0] = QuantizedNode::Split { feature: 1, threshold: 0, left: 1, right: 2 };
        assert!(matches!(model.predict_quantized(&row), Err(Error::Internal { .. })));
        assert!(matches!(
            crate::Evaluator::new(model.clone(), Default::default()),
            Err(Error::Internal { .. })
        ));
        model.trees[0].nodes[0] = QuantizedNode::Split { feature: 0, threshold: 0, left: 1, right: 3 };
        assert!(matches!(model.predict_quantized(&row), Err(Error::Internal { .. })));
        assert!(matches!(model.schema.snap(1, 0.5), Err(Error::Internal { .. })));
    }
}
