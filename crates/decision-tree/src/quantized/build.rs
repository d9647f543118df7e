//! From a model in the clear to one on the grid (E2 and E3 of docs/protocols/decision-tree.md).

use super::grow::Grower;
use super::reading::ReadingKind;
use super::{QuantizedModel, QuantizedTree, Reading};
use crate::model::{Aggregate, LeafWeight, Model, Node, PostTransform, Task, class_of, vote};
use crate::schema::{FeatureKind, Samples, Schema};
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
    /// One reads a value as missing that the other does not.
    #[error("model and schema take different values for missing ones")]
    Missing,
    /// A feature with a cell for missing values, and a split that does not say where they go.
    #[error(
        "the schema lets feature {feature} be missing, and the model does not say where missing values go"
    )]
    MissingRefused {
        /// The feature's index.
        feature: usize,
    },
    /// A feature that the schema leaves out and the model reads.
    #[error("the model reads feature {feature}, which the schema leaves unread")]
    Unread {
        /// The feature's index.
        feature: usize,
    },
    /// Category sets or missing values that make a tree too large.
    #[error("a tree has too many nodes on the grid")]
    TooLarge,
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
            let leaf = |weights: &[LeafWeight]| leaf_values(model, &scale, index, weights);
            Ok(QuantizedTree { nodes: Grower::new(model, schema, samples, tree, leaf)?.run()? })
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
    let unread = |index: usize| schema.features().get(index).is_some_and(|f| f.kind == FeatureKind::Unread);
    if let Some(feature) = model.reads().iter().enumerate().position(|(index, read)| *read && unread(index)) {
        return Err(QuantizeError::Unread { feature });
    }
    if model.parts().missing != schema.missing() {
        return Err(QuantizeError::Missing);
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

/// The integers of a leaf of tree `index`, one per channel.
fn leaf_values(model: &Model, scale: &Scale, index: usize, weights: &[LeafWeight]) -> Result<Vec<u32>> {
    match scale {
        Scale::ClassIndex => {
            let parts = model.parts();
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
            let weights = channel_weights(model, weights);
            let pairs = weights.iter().zip(&least[index]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, ModelParts, Precision, Tree};
    use crate::quantized::QuantizedNode;
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
            missing: None,
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
