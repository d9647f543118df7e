//! Evaluating the trees: from a query to one GLWE ciphertext that holds the sum of the payloads (E9 to E17 of
//! docs/protocols/decision-tree.md).

use std::sync::Mutex;

use rayon::prelude::*;

use super::Evaluator;
use super::program::{Group, Job, LinearSplit, Operand};
use crate::conversion::PreparedKey;
use crate::crypto::{FourierGgsw, PrefixSums, Workspace, expand};
use crate::query::Query;
use crate::{Error, Result};

/// The memory of one evaluation, kept for the next: allocating it anew costs as much as using it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By bit index; empty where the model does not look.
    ggsw: Vec<FourierGgsw>,
    /// By monomial ciphertext and polynomial.
    prefix: Vec<Vec<PrefixSums>>,
    /// By buffer number: jobs' results.
    buffers: Vec<Vec<u64>>,
    /// One per thread that has been at work.
    workers: Mutex<Vec<Worker>>,
    /// The sum of all trees.
    pub(super) sum: Vec<u64>,
}

/// One thread's scratch.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) work: Workspace,
    /// Operands that are computed on the spot.
    operands: Vec<Vec<u64>>,
}

impl Evaluator {
    /// E17: evaluates all trees and leaves their sum in `state.sum`.
    pub(super) fn run(&self, query: &Query, key: Option<&PreparedKey>, state: &mut State) -> Result<()> {
        self.load(query, state)?;
        if let Some(key) = key {
            self.convert(key, state)?;
        }
        state.buffers.resize_with(self.program.buffers, Vec::new);
        for groups in &self.program.levels {
            self.run_level(groups, state)?;
        }
        let mut sum = std::mem::take(&mut state.sum);
        sum.clear();
        sum.resize(self.layout.shape.glwe_len(), 0);
        for root in &self.program.roots {
            match *root {
                Operand::Leaf(index) => self.add_payload(index, &mut sum),
                Operand::Linear(index) => self.add_linear(&self.program.linear[index], state, &mut sum)?,
                Operand::Buffer(index) => {
                    let values =
                        sum.iter_mut().zip(full(&state.buffers[index], self.layout.shape.glwe_len())?);
                    values.for_each(|(sum, value)| *sum = sum.wrapping_add(*value));
                }
            }
        }
        state.sum = sum;
        Ok(())
    }

    /// E9: expands and transforms the ciphertexts that the model looks at.
    fn load(&self, query: &Query, state: &mut State) -> Result<()> {
        let State { ggsw, prefix, workers, .. } = state;
        ggsw.resize_with(self.layout.bit_count(), FourierGgsw::default);
        prefix.resize_with(self.layout.monomials(), Vec::new);
        let workers = &*workers;
        let mut wanted: Vec<(usize, &mut FourierGgsw)> = select(ggsw, &self.program.used_bits);
        wanted.par_iter_mut().try_for_each(|(index, ggsw)| {
            self.with_worker(workers, |worker| self.load_bit(query, *index, ggsw, &mut worker.work))
        })?;
        let mut wanted: Vec<(usize, &mut Vec<PrefixSums>)> = select(prefix, &self.program.used_monomials);
        wanted.par_iter_mut().try_for_each(|(index, prefix)| {
            self.with_worker(workers, |worker| self.load_monomial(query, *index, prefix, &mut worker.work))
        })
    }

    /// E10 to E12: makes the selectors from the monomials.
    fn convert(&self, key: &PreparedKey, state: &mut State) -> Result<()> {
        let State { ggsw, prefix, workers, .. } = state;
        ggsw.resize_with(self.program.selectors.len(), FourierGgsw::default);
        let (prefix, workers) = (&*prefix, &*workers);
        let shape = &self.layout.shape;
        self.program.selectors.par_iter().zip(ggsw).try_for_each(|((feature, threshold), selector)| {
            self.with_worker(workers, |worker| {
                let mut glwe = vec![0u64; shape.glwe_len()];
                self.add_comparison(prefix, *feature, *threshold as usize, (0, 1), &mut glwe)?;
                key.converter.convert(&self.fourier, shape, &mut glwe, selector, &mut worker.work);
                Ok(())
            })
        })
    }

    fn load_bit(
        &self,
        query: &Query,
        index: usize,
        ggsw: &mut FourierGgsw,
        work: &mut Workspace,
    ) -> Result<()> {
        let place = "load: the query lacks a bit";
        let bodies = query.bits.get(index).ok_or(Error::Internal { place })?;
        let shape = &self.layout.shape;
        let mut masks = std::mem::take(&mut work.coefficients);
        let mut bytes = std::mem::take(&mut work.bytes);
        masks.resize(shape.rows() * shape.key_len(), 0);
        expand(&query.seed, index as u64, &mut masks, &mut bytes);
        let rows = masks.chunks_exact(shape.key_len()).zip(bodies.chunks_exact(shape.dimension));
        ggsw.fill(&self.fourier, shape, rows, work);
        (work.coefficients, work.bytes) = (masks, bytes);
        Ok(())
    }

    fn load_monomial(
        &self,
        query: &Query,
        index: usize,
        prefix: &mut Vec<PrefixSums>,
        work: &mut Workspace,
    ) -> Result<()> {
        let place = "load: the query lacks a monomial ciphertext";
        let body = query.monomials.get(index).ok_or(Error::Internal { place })?;
        let shape = &self.layout.shape;
        let mut masks = std::mem::take(&mut work.coefficients);
        masks.resize(shape.key_len(), 0);
        expand(&query.seed, self.layout.monomial_stream(index), &mut masks, &mut work.bytes);
        prefix.resize_with(shape.rank + 1, PrefixSums::default);
        let polynomials = masks.chunks_exact(shape.dimension).chain([body.as_slice()]);
        prefix.iter_mut().zip(polynomials).for_each(|(sums, polynomial)| sums.fill(polynomial));
        work.coefficients = masks;
        Ok(())
    }

    /// E16: runs the groups of a level on all threads; a level's results go to buffers that nobody reads in it.
    fn run_level(&self, groups: &[Group], state: &mut State) -> Result<()> {
        let take = |job: &Job, buffers: &mut [Vec<u64>]| std::mem::take(&mut buffers[job.output]);
        let mut results: Vec<Vec<Vec<u64>>> = groups
            .iter()
            .map(|group| group.jobs.iter().map(|job| take(job, &mut state.buffers)).collect())
            .collect();
        let shared = &*state;
        groups.par_iter().zip(results.par_iter_mut()).with_max_len(1).try_for_each(|(group, results)| {
            self.with_worker(&shared.workers, |worker| self.run_group(group, shared, results, worker))
        })?;
        for (group, results) in groups.iter().zip(results) {
            for (job, result) in group.jobs.iter().zip(results) {
                state.buffers[job.output] = result;
            }
        }
        Ok(())
    }

    /// E13: evaluates splits of one feature in step, bit by bit from the lowest: where the threshold's bit is 1, the
    /// result becomes x ? result : left, where it is 0, x ? right : result; it starts as left.
    fn run_group(
        &self,
        group: &Group,
        state: &State,
        results: &mut [Vec<u64>],
        worker: &mut Worker,
    ) -> Result<()> {
        worker.operands.resize_with(2 * group.jobs.len(), Vec::new);
        for (job, pair) in group.jobs.iter().zip(worker.operands.chunks_exact_mut(2)) {
            for (operand, scratch) in [job.left, job.right].into_iter().zip(pair) {
                self.materialise(operand, state, scratch)?;
            }
        }
        if let Some(selector) = group.selector {
            return self.run_converted(group, state.selector(selector)?, state, results, worker);
        }
        let Worker { work, operands } = worker;
        let lowest = group.jobs.iter().map(|job| job.threshold.trailing_ones()).min();
        let lowest = lowest.ok_or(Error::Internal { place: "run: a group has no splits" })?;
        for bit in lowest..self.layout.bits(group.feature)? {
            let selector = state.selector(self.layout.bit_index(group.feature, bit)?)?;
            for ((job, pair), result) in group.jobs.iter().zip(operands.chunks_exact(2)).zip(&mut *results) {
                let trailing = job.threshold.trailing_ones();
                if bit < trailing {
                    continue;
                }
                let left = self.resolve(job.left, state, &pair[0])?;
                let right = self.resolve(job.right, state, &pair[1])?;
                if bit == trailing {
                    result.clear();
                    result.extend_from_slice(left);
                }
                let shape = &self.layout.shape;
                if job.threshold >> bit & 1 == 1 {
                    selector.load_digits(&self.fourier, shape, result, left, work)?;
                    result.copy_from_slice(left);
                } else {
                    selector.load_digits(&self.fourier, shape, right, result, work)?;
                }
                selector.add_product(&self.fourier, shape, result, work);
            }
        }
        Ok(())
    }

    /// Evaluates splits of one comparison, each by a single product: right + [x ≤ t]·(left − right).
    fn run_converted(
        &self,
        group: &Group,
        selector: &FourierGgsw,
        state: &State,
        results: &mut [Vec<u64>],
        worker: &mut Worker,
    ) -> Result<()> {
        let (shape, Worker { work, operands }) = (&self.layout.shape, worker);
        for ((job, pair), result) in group.jobs.iter().zip(operands.chunks_exact(2)).zip(results) {
            let left = self.resolve(job.left, state, &pair[0])?;
            let right = self.resolve(job.right, state, &pair[1])?;
            result.clear();
            result.extend_from_slice(right);
            selector.load_digits(&self.fourier, shape, left, right, work)?;
            selector.add_product(&self.fourier, shape, result, work);
        }
        Ok(())
    }

    /// Writes an operand that no buffer holds into `scratch`.
    fn materialise(&self, operand: Operand, state: &State, scratch: &mut Vec<u64>) -> Result<()> {
        scratch.clear();
        match operand {
            Operand::Buffer(_) => return Ok(()),
            Operand::Leaf(_) | Operand::Linear(_) => scratch.resize(self.layout.shape.glwe_len(), 0),
        }
        match operand {
            Operand::Buffer(_) => {}
            Operand::Leaf(index) => self.add_payload(index, scratch),
            Operand::Linear(index) => self.add_linear(&self.program.linear[index], state, scratch)?,
        }
        Ok(())
    }

    /// An operand's ciphertext: its buffer's or the scratch that it was written to.
    fn resolve<'a>(&self, operand: Operand, state: &'a State, scratch: &'a [u64]) -> Result<&'a [u64]> {
        let ciphertext = match operand {
            Operand::Buffer(index) => &state.buffers[index],
            Operand::Leaf(_) | Operand::Linear(_) => scratch,
        };
        full(ciphertext, self.layout.shape.glwe_len())
    }

    /// Adds a clear payload: to the body alone.
    fn add_payload(&self, index: usize, out: &mut [u64]) {
        let body = &mut out[self.layout.shape.key_len()..];
        for (slot, value) in self.program.payloads[index].iter().enumerate() {
            let place = &mut body[slot * self.plan.spacing];
            *place = place.wrapping_add(*value);
        }
    }

    /// E14: adds right + [x ≤ t]·(left − right) for clear payloads: the bit is coefficient 0 of
    /// X^x · Σ_{i ≤ t} X^−i, and the payload coefficients are so far apart that the product's other coefficients
    /// do not reach them.
    fn add_linear(&self, split: &LinearSplit, state: &State, out: &mut [u64]) -> Result<()> {
        self.add_payload(split.right, out);
        let (left, right) = (&self.program.payloads[split.left], &self.program.payloads[split.right]);
        for (slot, (left, right)) in left.iter().zip(right).enumerate() {
            let factor =
                (left.wrapping_sub(*right).cast_signed() >> self.layout.shape.monomial_log2).cast_unsigned();
            if factor == 0 {
                continue;
            }
            let place = (slot * self.plan.spacing, factor);
            self.add_comparison(&state.prefix, split.feature, split.threshold, place, out)?;
        }
        Ok(())
    }

    /// Adds factor · X^shift · (a ciphertext whose coefficient 0 is [x ≤ threshold]).
    fn add_comparison(
        &self,
        prefix: &[Vec<PrefixSums>],
        feature: usize,
        threshold: usize,
        (shift, factor): (usize, u64),
        out: &mut [u64],
    ) -> Result<()> {
        let blocks = self.layout.blocks(feature)?;
        if blocks.is_empty() {
            return Err(Error::Internal { place: "run: a comparison on a feature without monomials" });
        }
        for block in blocks {
            let len = (threshold + 1).saturating_sub(block.start).min(block.len);
            if len == 0 {
                break;
            }
            let (low, high) = (block.offset, block.offset + len);
            let polynomials = out.chunks_exact_mut(self.layout.shape.dimension);
            let sums = &prefix[block.ciphertext];
            if sums.len() != polynomials.len() {
                return Err(Error::Internal { place: "run: a monomial ciphertext is not loaded" });
            }
            for (sums, out) in sums.iter().zip(polynomials) {
                sums.add_window(low, high, shift, factor, out)?;
            }
        }
        Ok(())
    }

    /// Lends one of the evaluation's workers to a task.
    pub(super) fn with_worker<R>(
        &self,
        workers: &Mutex<Vec<Worker>>,
        task: impl FnOnce(&mut Worker) -> R,
    ) -> R {
        let lock = || workers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let idle = lock().pop();
        let mut worker = idle.unwrap_or_else(|| Worker { work: self.fourier.workspace(), operands: vec![] });
        let result = task(&mut worker);
        lock().push(worker);
        result
    }
}

impl State {
    /// A selector that has been loaded or converted.
    fn selector(&self, index: usize) -> Result<&FourierGgsw> {
        let selector = self.ggsw.get(index).filter(|selector| selector.is_filled());
        selector.ok_or(Error::Internal { place: "run: a selector is not loaded" })
    }

    pub(super) fn workers(&self) -> &Mutex<Vec<Worker>> {
        &self.workers
    }
}

/// The entries at increasing `indices`.
fn select<'a, T>(items: &'a mut [T], indices: &[usize]) -> Vec<(usize, &'a mut T)> {
    let mut wanted = indices.iter().peekable();
    items.iter_mut().enumerate().filter(|(index, _)| wanted.next_if_eq(&index).is_some()).collect()
}

/// A ciphertext of `len` coefficients, which a buffer that nobody has written is not.
fn full(ciphertext: &[u64], len: usize) -> Result<&[u64]> {
    if ciphertext.len() == len {
        Ok(ciphertext)
    } else {
        Err(Error::Internal { place: "run: an operand is not a whole ciphertext" })
    }
}
