//! The noise planner (E23 of docs/protocols/decision-tree.md): before anything is evaluated it bounds the probability
//! that an answer is wrong.
//!
//! Variances are those of the same page, step by step, in units of the torus ℝ/ℤ. Noise is a sum
//! of independent bounded uniform terms and therefore sub-Gaussian with its own variance; digits of ciphertexts and
//! rounding errors count as independent and uniform, as usual. Equal subtrees carry equal noise, so that their
//! contributions are added as amplitudes and not as variances.

use std::collections::HashMap;

use crate::answer::Coding;
use crate::crypto::{ParameterSet, Shape, TWO_64};
use crate::layout::Layout;
use crate::quantized::{QuantizedModel, QuantizedNode, QuantizedTree};
use crate::query::Query;
use crate::{Error, Result};

/// An answer may be wrong with at most this probability, as a power of two.
pub const FAILURE_LOG2: f64 = -128.0;

/// What an evaluator will do, how large its messages are, and how likely it fails.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[doc(alias("p_error", "noise budget"))]
pub struct EvaluationPlan {
    /// The parameter set.
    pub parameters: ParameterSet,
    /// Splits that are evaluated by external products.
    pub product_splits: usize,
    /// Splits with two clear leaves that are evaluated linearly, without a product.
    pub linear_splits: usize,
    /// External products of one evaluation.
    pub external_products: usize,
    /// Ring coefficients that carry the verdict.
    pub payload_coefficients: usize,
    /// Bits of one such coefficient.
    pub payload_bits: u32,
    /// The largest span of a schema (see [`crate::Schema::with_span`]) under which this model's bottom splits
    /// would be linear.
    pub largest_linear_span: usize,
    /// Standard deviation of the trees' noise, as the logarithm of a fraction of the torus. The measured one stays
    /// below.
    pub noise_log2: f64,
    /// Standard deviation of the whole answer's noise without the flooding: the trees', the re-randomisation's and
    /// the modulus switch's.
    pub answer_noise_log2: f64,
    /// Flooding is uniform between minus and plus this fraction of the torus.
    pub flooding_log2: f64,
    /// Bits to which the answer's coefficients are switched.
    pub modulus_bits: u32,
    /// Bound on the probability that an answer is wrong; at most [`FAILURE_LOG2`].
    pub failure_log2: f64,
    /// Bytes of a query.
    pub query_bytes: usize,
    /// Bytes of an answer.
    pub answer_bytes: usize,
    pub(crate) coding: Coding,
    pub(crate) spacing: usize,
    pub(crate) linear: bool,
    /// Greatest absolute flooding, on 2⁶⁴.
    pub(crate) flooding: u64,
}

/// Why a model cannot be evaluated under a parameter set.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationPlanError {
    /// However the payload is cut into digits, an answer would be wrong too often.
    #[error("the noise of this model is 2^{noise_log2:.1} of the torus: an answer would be wrong too often")]
    TooNoisy {
        /// Standard deviation of the noise with the smallest digits.
        noise_log2: f64,
    },
    /// More verdict coefficients than the ring has.
    #[error("a verdict needs at least {needed} coefficients, the ring has {available}")]
    TooWide {
        /// Channels of the model.
        needed: usize,
        /// The ring dimension.
        available: usize,
    },
}

impl EvaluationPlan {
    /// Chooses the payload's digits (as few as the noise allows), the modulus and the flooding.
    pub(super) fn new(model: &QuantizedModel, layout: &Layout, parameters: ParameterSet) -> Result<Self> {
        let shape = &layout.shape;
        let channels = model.reading().channels();
        let greatest = leaf_values(model).max();
        let place = "plan: the model has no leaf values";
        let leaf_bits = bits_of(greatest.ok_or(Error::Internal { place })?);
        let mut refusal = EvaluationPlanError::TooWide { needed: channels, available: shape.dimension };
        for digits in 1..=leaf_bits {
            let digit_bits = leaf_bits.div_ceil(digits);
            let slots = channels * digits as usize;
            if slots > shape.dimension {
                break;
            }
            let draft = Draft::new(model, layout, digits as usize, digit_bits)?;
            match draft.finish(model, layout, parameters) {
                Some(plan) => return Ok(plan),
                None => refusal = EvaluationPlanError::TooNoisy { noise_log2: draft.variance.log2() / 2.0 },
            }
        }
        Err(refusal.into())
    }
}

impl std::fmt::Display for EvaluationPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{:?}: {} splits by {} external products, {} splits linear",
            self.parameters, self.product_splits, self.external_products, self.linear_splits
        )?;
        writeln!(f, "verdict: {} coefficients of {} bits", self.payload_coefficients, self.payload_bits)?;
        writeln!(
            f,
            "noise 2^{:.1}, with modulus switch to {} bits 2^{:.1}, flooding ±2^{:.1}, wrong with at most 2^{:.0}",
            self.noise_log2, self.modulus_bits, self.answer_noise_log2, self.flooding_log2, self.failure_log2
        )?;
        write!(f, "query {} bytes, answer {} bytes", self.query_bytes, self.answer_bytes)
    }
}

/// One way to cut leaf values into digits, with its noise.
struct Draft {
    coding: Coding,
    slots: usize,
    spacing: usize,
    linear: bool,
    product_splits: usize,
    linear_splits: usize,
    external_products: usize,
    /// Of the trees' sum, in torus².
    variance: f64,
}

impl Draft {
    fn new(model: &QuantizedModel, layout: &Layout, digits: usize, digit_bits: u32) -> Result<Self> {
        let shape = &layout.shape;
        let slots = model.reading().channels() * digits;
        let spacing = shape.dimension / slots.next_power_of_two();
        let payload_bits = bits_of_u64(greatest_sum(model, digits, digit_bits));
        let linear = layout.span > 0 && layout.span <= spacing && payload_bits <= 64 - shape.monomial_log2;
        let coding = Coding { payload_bits, digits, digit_bits, modulus_bits: 64 };
        let mut draft = Self {
            coding,
            slots,
            spacing,
            linear,
            product_splits: 0,
            linear_splits: 0,
            external_products: 0,
            variance: 0.0,
        };
        draft.add_trees(model, layout)?;
        Ok(draft)
    }

    fn add_trees(&mut self, model: &QuantizedModel, layout: &Layout) -> Result<()> {
        let shape = &layout.shape;
        let mut structures = Structures::default();
        let labels: Vec<Vec<usize>> = model.trees().iter().map(|tree| structures.label(tree)).collect();
        let product = shape.product_variance();
        // All linear splits see the same few ciphertexts' noise: amplitudes add up.
        let mut linear_amplitude = 0.0;
        for (tree, labels) in model.trees().iter().zip(&labels) {
            let mut variances = vec![0.0f64; tree.nodes.len()];
            let mut amplitudes = vec![0.0f64; tree.nodes.len()];
            for (index, node) in tree.nodes.iter().enumerate().rev() {
                let QuantizedNode::Split { feature, threshold, left, right } = node else { continue };
                if self.linear && tree.is_bottom(index) {
                    self.linear_splits += 1;
                    amplitudes[index] = self.linear_deviation(layout, *feature, tree, *left, *right)?;
                } else {
                    let products = match shape.conversion {
                        None => {
                            let products = layout.bits(*feature)?.checked_sub(threshold.trailing_ones());
                            let place = "plan: a split has no threshold below its last cell";
                            products.ok_or(Error::Internal { place })?
                        }
                        Some(_) => 1,
                    };
                    self.product_splits += 1;
                    self.external_products += products as usize;
                    #[allow(clippy::cast_precision_loss)] // a count of nodes
                    let copies = structures.count(labels[index])? as f64;
                    variances[index] =
                        variances[*left].max(variances[*right]) + f64::from(products) * product * copies;
                    amplitudes[index] = amplitudes[*left].max(amplitudes[*right]);
                }
            }
            let root = variances.first().zip(amplitudes.first());
            let (variance, amplitude) = root.ok_or(Error::Internal { place: "plan: a tree has no nodes" })?;
            self.variance += variance;
            linear_amplitude += amplitude;
        }
        self.variance += linear_amplitude * linear_amplitude;
        Ok(())
    }

    /// Standard deviation of a linear split: a window of the monomial ciphertexts' noise times the difference of
    /// the leaves.
    fn linear_deviation(
        &self,
        layout: &Layout,
        feature: usize,
        tree: &QuantizedTree,
        left: usize,
        right: usize,
    ) -> Result<f64> {
        let digits = |index: usize| {
            let values = tree.nodes[index].values();
            let place = "plan: a linear split is above another split";
            values.map(|values| self.coding.digits_of(values)).ok_or(Error::Internal { place })
        };
        let pairs = digits(left)?.zip(digits(right)?);
        let squares: f64 = pairs.map(|(left, right)| (exact(left) - exact(right)).powi(2)).sum();
        let window = f64::from(1u32 << layout.bits(feature)?);
        let factor = (-f64::from(layout.shape.monomial_log2 + self.coding.payload_bits)).exp2() * TWO_64;
        Ok((squares * window * layout.shape.fresh_variance(layout.shape.glwe_body_bits)).sqrt() * factor)
    }

    /// The smallest modulus and then the widest flooding within the failure probability; `None` if there is none.
    fn finish(
        &self,
        model: &QuantizedModel,
        layout: &Layout,
        parameters: ParameterSet,
    ) -> Option<EvaluationPlan> {
        let shape = &layout.shape;
        let margin = (-f64::from(self.coding.payload_bits) - 1.0).exp2();
        let base = self.variance + rerandomisation_variance(shape);
        let deviations = deviations_for(FAILURE_LOG2 - 0.01, self.slots);
        let room = margin - deviations * base.sqrt();
        let switch =
            |bits: u32| (-2.0 * f64::from(bits)).exp2() * (1.0 + exact_usize(shape.greatest_weight())) / 12.0;
        // A third of the room for the switch, the rest for flooding.
        let fits = |bits: &u32| deviations * switch(*bits).sqrt() <= room / 3.0;
        let modulus_bits = (self.coding.payload_bits + 1..=60).find(fits)?;
        let deviation = (base + switch(modulus_bits)).sqrt();
        let flooding = margin - deviations * deviation;
        if flooding <= 0.0 {
            return None;
        }
        let failure_log2 = failure_log2((margin - flooding) / deviation, self.slots);
        let coding = Coding { modulus_bits, ..self.coding };
        // Below 2⁶² because the margin is at most a quarter.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let flooding_words = (flooding * TWO_64) as u64;
        Some(EvaluationPlan {
            parameters,
            product_splits: self.product_splits,
            linear_splits: self.linear_splits,
            external_products: self.external_products,
            payload_coefficients: self.slots,
            payload_bits: coding.payload_bits,
            largest_linear_span: self.spacing,
            noise_log2: self.variance.sqrt().log2(),
            answer_noise_log2: deviation.log2(),
            flooding_log2: flooding.log2(),
            modulus_bits,
            failure_log2,
            query_bytes: Query::size(model.schema(), parameters),
            answer_bytes: crate::Answer::size(parameters, &coding, model.reading()),
            coding,
            spacing: self.spacing,
            linear: self.linear,
            flooding: flooding_words,
        })
    }
}

/// Variance of Σ uₗ·pkₗ and of fresh noise on all masks and bodies, u binary.
pub(super) fn rerandomisation_variance(shape: &Shape) -> f64 {
    let key = 1.0 + exact_usize(shape.greatest_weight());
    let zeros = exact_usize(shape.key_len()) / 2.0 * shape.fresh_variance(shape.glwe_body_bits);
    let transform = exact_usize(shape.key_len()) * (-102.0f64).exp2() * key;
    zeros + shape.fresh_variance(64) * key + transform
}

/// log₂ of the probability that any of `slots` coefficients is off by more than `deviations` standard deviations.
fn failure_log2(deviations: f64, slots: usize) -> f64 {
    (2.0 * exact_usize(slots)).log2() - deviations * deviations / 2.0 * std::f64::consts::LOG2_E
}

/// The standard deviations that keep the failure probability below 2^`log2`.
fn deviations_for(log2: f64, slots: usize) -> f64 {
    (2.0 * ((2.0 * exact_usize(slots)).log2() - log2) / std::f64::consts::LOG2_E).sqrt()
}

fn leaf_values(model: &QuantizedModel) -> impl Iterator<Item = u32> + '_ {
    model.trees().iter().flat_map(|tree| &tree.nodes).filter_map(QuantizedNode::values).flatten().copied()
}

/// The greatest sum that any payload coefficient can reach.
fn greatest_sum(model: &QuantizedModel, digits: usize, digit_bits: u32) -> u64 {
    let coding = Coding { payload_bits: 0, digits, digit_bits, modulus_bits: 0 };
    let mut sums = vec![0u64; model.reading().channels() * digits];
    for tree in model.trees() {
        let mut greatest = vec![0u64; sums.len()];
        for values in tree.nodes.iter().filter_map(QuantizedNode::values) {
            for (greatest, digit) in greatest.iter_mut().zip(coding.digits_of(values)) {
                *greatest = digit.max(*greatest);
            }
        }
        sums.iter_mut().zip(greatest).for_each(|(sum, greatest)| *sum += greatest);
    }
    sums.into_iter().max().unwrap_or(0)
}

/// Bits that a number needs, at least one.
fn bits_of(value: u32) -> u32 {
    (32 - value.leading_zeros()).max(1)
}

fn bits_of_u64(value: u64) -> u32 {
    (64 - value.leading_zeros()).max(1)
}

#[allow(clippy::cast_precision_loss)] // sums of leaf values, far below 2^53
fn exact(value: u64) -> f64 {
    value as f64
}

#[allow(clippy::cast_precision_loss)] // dimensions and counts, far below 2^53
fn exact_usize(value: usize) -> f64 {
    value as f64
}

/// Names for subtrees by their splits alone, leaves aside, and how often each occurs in the ensemble.
#[derive(Default)]
struct Structures {
    names: HashMap<(usize, u32, usize, usize), usize>,
    counts: Vec<usize>,
}

impl Structures {
    /// The name of every node's subtree; all leaves share one.
    fn label(&mut self, tree: &QuantizedTree) -> Vec<usize> {
        if self.counts.is_empty() {
            self.counts.push(0);
        }
        let mut labels = vec![0; tree.nodes.len()];
        for (index, node) in tree.nodes.iter().enumerate().rev() {
            if let QuantizedNode::Split { feature, threshold, left, right } = node {
                let next = self.counts.len();
                let key = (*feature, *threshold, labels[*left], labels[*right]);
                let label = *self.names.entry(key).or_insert(next);
                if label == next {
                    self.counts.push(0);
                }
                self.counts[label] += 1;
                labels[index] = label;
            }
        }
        labels
    }

    fn count(&self, label: usize) -> Result<usize> {
        let place = "plan: a subtree was not counted";
        self.counts.get(label).copied().filter(|count| *count > 0).ok_or(Error::Internal { place })
    }
}
