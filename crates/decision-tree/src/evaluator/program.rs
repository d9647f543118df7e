//! A model as a sequence of work: which splits need products, in which order, on which buffers.

use super::plan::EvaluationPlan;
use crate::layout::Layout;
use crate::quantized::{QuantizedModel, QuantizedNode, QuantizedTree};
use crate::{Error, Result};

/// Splits of one feature that one thread evaluates together, so that each GGSW is read once for all of them.
const GROUP: usize = 8;

/// Where the value of a subtree comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    /// A clear leaf: index into [`Program::payloads`].
    Leaf(usize),
    /// A split with two clear leaves, evaluated without products: index into [`Program::linear`].
    Linear(usize),
    /// The result of a job, in this buffer.
    Buffer(usize),
}

/// [x ≤ t] ? left : right over two clear payloads.
#[derive(Debug)]
pub(super) struct LinearSplit {
    pub(super) feature: usize,
    pub(super) threshold: usize,
    pub(super) left: usize,
    pub(super) right: usize,
}

/// [x ≤ t] ? left : right by external products.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) threshold: u32,
    pub(super) left: Operand,
    pub(super) right: Operand,
    /// The buffer of the result.
    pub(super) output: usize,
}

/// Jobs of one feature whose operands are ready; of one selector where selectors are converted.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) feature: usize,
    /// Index into [`Program::selectors`], where selectors are converted.
    pub(super) selector: Option<usize>,
    pub(super) jobs: Vec<Job>,
}

/// Everything that does not depend on the query.
#[derive(Debug)]
pub(super) struct Program {
    /// Payloads as torus elements, one per payload coefficient.
    pub(super) payloads: Vec<Vec<u64>>,
    pub(super) linear: Vec<LinearSplit>,
    /// Groups that can run at the same time, level by level from the bottom.
    pub(super) levels: Vec<Vec<Group>>,
    pub(super) roots: Vec<Operand>,
    /// Buffers needed at once.
    pub(super) buffers: usize,
    /// The GGSW ciphertexts of a query that are used.
    pub(super) used_bits: Vec<usize>,
    /// The GGSW ciphertexts that are made from monomials: of [feature's cell ≤ threshold].
    pub(super) selectors: Vec<(usize, u32)>,
    /// The monomial ciphertexts that are used.
    pub(super) used_monomials: Vec<usize>,
}

/// A job before buffers are handed out.
struct Draft {
    feature: usize,
    threshold: u32,
    left: DraftOperand,
    right: DraftOperand,
    level: usize,
}

#[derive(Clone, Copy)]
enum DraftOperand {
    Leaf(usize),
    Linear(usize),
    Job(usize),
}

impl Program {
    pub(super) fn new(model: &QuantizedModel, layout: &Layout, plan: &EvaluationPlan) -> Result<Self> {
        let mut builder = Builder { plan, payloads: vec![], linear: vec![], jobs: vec![] };
        let roots: Vec<DraftOperand> =
            model.trees().iter().map(|tree| builder.add(tree)).collect::<Result<_>>()?;
        let Builder { payloads, linear, jobs, .. } = builder;

        let converts = layout.shape.conversion.is_some();
        let selectors = if converts { selectors(&jobs) } else { vec![] };
        let mut used_bits = vec![false; layout.bit_count()];
        for job in &jobs {
            let (first, bits) = (job.threshold.trailing_ones(), layout.bits(job.feature)?);
            if job.threshold >> bits != 0 || first >= bits {
                return Err(Error::Internal {
                    place: "program: a split has no threshold below its last cell",
                });
            }
            for bit in (first..bits).filter(|_| !converts) {
                used_bits[layout.bit_index(job.feature, bit)?] = true;
            }
        }
        let mut used_monomials = vec![false; layout.monomials()];
        let linear_splits = linear.iter().map(|split| (split.feature, split.threshold));
        let converted = selectors.iter().map(|(feature, threshold)| (*feature, *threshold as usize));
        for (feature, threshold) in linear_splits.chain(converted) {
            for block in layout.blocks(feature)?.iter().filter(|block| block.start <= threshold) {
                used_monomials[block.ciphertext] = true;
            }
        }
        let (levels, outputs, buffers) = schedule(&jobs, converts.then_some(selectors.as_slice()))?;
        let roots = roots.into_iter().map(|root| root.operand(&outputs)).collect();
        let indices = |used: Vec<bool>| (0..used.len()).filter(|index| used[*index]).collect();
        let (used_bits, used_monomials) = (indices(used_bits), indices(used_monomials));
        Ok(Self { payloads, linear, levels, roots, buffers, used_bits, selectors, used_monomials })
    }
}

struct Builder<'a> {
    plan: &'a EvaluationPlan,
    payloads: Vec<Vec<u64>>,
    linear: Vec<LinearSplit>,
    jobs: Vec<Draft>,
}

impl Builder<'_> {
    /// Adds a tree's leaves, linear splits and jobs and gives its root.
    fn add(&mut self, tree: &QuantizedTree) -> Result<DraftOperand> {
        let mut operands: Vec<Option<DraftOperand>> = vec![None; tree.nodes.len()];
        let ready = |operands: &[Option<DraftOperand>], node: usize| {
            let place = "program: a child is not behind its parent";
            operands.get(node).copied().flatten().ok_or(Error::Internal { place })
        };
        for (index, node) in tree.nodes.iter().enumerate().rev() {
            operands[index] = Some(match node {
                QuantizedNode::Leaf { values } => {
                    let coding = &self.plan.coding;
                    let scale = 64 - coding.payload_bits;
                    self.payloads.push(coding.digits_of(values).map(|digit| digit << scale).collect());
                    DraftOperand::Leaf(self.payloads.len() - 1)
                }
                QuantizedNode::Split { feature, threshold, left, right } => {
                    match (ready(&operands, *left)?, ready(&operands, *right)?) {
                        (DraftOperand::Leaf(left), DraftOperand::Leaf(right)) if self.plan.linear => {
                            let threshold = *threshold as usize;
                            self.linear.push(LinearSplit { feature: *feature, threshold, left, right });
                            DraftOperand::Linear(self.linear.len() - 1)
                        }
                        (left, right) => {
                            let level = self.level(left).max(self.level(right));
                            let (feature, threshold) = (*feature, *threshold);
                            self.jobs.push(Draft { feature, threshold, left, right, level });
                            DraftOperand::Job(self.jobs.len() - 1)
                        }
                    }
                }
            });
        }
        ready(&operands, 0)
    }

    /// The first level at which an operand is ready.
    fn level(&self, operand: DraftOperand) -> usize {
        match operand {
            DraftOperand::Job(job) => self.jobs[job].level + 1,
            DraftOperand::Leaf(_) | DraftOperand::Linear(_) => 0,
        }
    }
}

impl DraftOperand {
    fn operand(self, outputs: &[usize]) -> Operand {
        match self {
            Self::Leaf(index) => Operand::Leaf(index),
            Self::Linear(index) => Operand::Linear(index),
            Self::Job(job) => Operand::Buffer(outputs[job]),
        }
    }
}

/// The distinct comparisons.
fn selectors(jobs: &[Draft]) -> Vec<(usize, u32)> {
    let distinct: std::collections::BTreeSet<_> =
        jobs.iter().map(|job| (job.feature, job.threshold)).collect();
    distinct.into_iter().collect()
}

/// Sorts jobs by level and by feature or selector and gives each a buffer, reusing those whose readers are done. Also
/// returns each job's buffer and the number of buffers. `selectors` is `None` where selectors are not converted.
fn schedule(
    jobs: &[Draft],
    selectors: Option<&[(usize, u32)]>,
) -> Result<(Vec<Vec<Group>>, Vec<usize>, usize)> {
    let depth = jobs.iter().map(|job| job.level + 1).max().unwrap_or(0);
    let mut outputs = vec![0; jobs.len()];
    let mut levels = Vec::with_capacity(depth);
    let (mut free, mut buffers) = (vec![], 0);
    // A subtree that stands below several splits is evaluated once: its buffer is free after its last reader.
    let mut last_level = vec![None; jobs.len()];
    for job in jobs {
        for operand in [job.left, job.right] {
            if let DraftOperand::Job(operand) = operand {
                last_level[operand] = last_level[operand].max(Some(job.level));
            }
        }
    }
    let mut done = vec![vec![]; depth];
    for (index, level) in last_level.into_iter().enumerate() {
        if let Some(level) = level {
            done[level].push(index);
        }
    }
    let selector = |job: &Draft| {
        let search = |selectors: &[_]| selectors.binary_search(&(job.feature, job.threshold));
        let place = "program: a comparison has no selector";
        selectors.map(search).transpose().map_err(|_| Error::Internal { place })
    };
    for (level, done) in done.iter().enumerate() {
        let mut together: std::collections::BTreeMap<_, Vec<usize>> = std::collections::BTreeMap::new();
        for (index, job) in jobs.iter().enumerate().filter(|(_, job)| job.level == level) {
            together.entry((job.feature, selector(job)?)).or_default().push(index);
        }
        let mut groups = vec![];
        for ((feature, selector), indices) in together {
            for chunk in indices.chunks(GROUP) {
                let mut group = Group { feature, selector, jobs: Vec::with_capacity(chunk.len()) };
                for &index in chunk {
                    let job = &jobs[index];
                    outputs[index] = free.pop().unwrap_or_else(|| {
                        buffers += 1;
                        buffers - 1
                    });
                    let [left, right] = [job.left, job.right].map(|operand| operand.operand(&outputs));
                    group.jobs.push(Job { threshold: job.threshold, left, right, output: outputs[index] });
                }
                groups.push(group);
            }
        }
        // Only after the level: its jobs run at the same time.
        free.extend(done.iter().map(|job| outputs[*job]));
        levels.push(groups);
    }
    Ok((levels, outputs, buffers))
}
