//! From the sum of the trees to an answer that reveals little beyond the verdict (E18 to E21 of
//! docs/protocols/decision-tree.md).

use super::Evaluator;
use super::run::State;
use crate::answer::Answer;
use crate::crypto::{FourierGgsw, NoiseSource, expand, round_to_bits};
use crate::query::Query;

impl Evaluator {
    /// Re-randomises, floods, drops all body coefficients without a payload, and switches to the small modulus.
    ///
    /// Without the first step the answer's masks would be a known linear function of the query and the tree; the
    /// other body coefficients would show the linear splits' steps, hence thresholds.
    pub(super) fn finish(&self, query: &Query, state: &mut State, noise: &mut NoiseSource) -> Answer {
        let mut sum = std::mem::take(&mut state.sum);
        self.rerandomise(query, state, noise, &mut sum);
        let key_len = self.layout.shape.key_len();
        let (masks, body) = sum.split_at(key_len);
        let mut masks = masks.to_vec();
        let mut bodies: Vec<u64> = (0..self.plan.payload_coefficients)
            .map(|slot| body[slot * self.plan.spacing].wrapping_add(noise.uniform(self.plan.flooding)))
            .collect();
        round_to_bits(&mut masks, self.plan.modulus_bits);
        round_to_bits(&mut bodies, self.plan.modulus_bits);
        state.sum = sum;
        Answer {
            schema: query.schema,
            parameters: self.parameters,
            coding: self.plan.coding,
            reading: self.model.reading().clone(),
            spacing: self.plan.spacing,
            masks,
            bodies,
        }
    }

    /// E18: sum += Σ uₗ·pkₗ + noise, with the query's encryptions of zero pkₗ and fresh binary polynomials uₗ.
    pub(super) fn rerandomise(&self, query: &Query, state: &State, noise: &mut NoiseSource, sum: &mut [u64]) {
        let shape = &self.layout.shape;
        let mut selectors = zeroize::Zeroizing::new(vec![0u64; shape.key_len()]);
        noise.bits(&mut selectors);
        self.with_worker(state.workers(), |worker| {
            let work = &mut worker.work;
            let mut masks = vec![0u64; query.zeros.len() * shape.key_len()];
            let mut bytes = std::mem::take(&mut work.bytes);
            for (index, masks) in masks.chunks_exact_mut(shape.key_len()).enumerate() {
                expand(&query.seed, self.layout.zero_stream(index), masks, &mut bytes);
            }
            work.bytes = bytes;
            let zeros = masks.chunks_exact(shape.key_len()).zip(query.zeros.iter().map(Vec::as_slice));
            FourierGgsw::add_combination(&self.fourier, shape, zeros, &selectors, sum, work);
        });
        noise.add(sum, shape.noise_log2);
    }
}
