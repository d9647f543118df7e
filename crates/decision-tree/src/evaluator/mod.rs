//! The server: evaluates a quantised model on encrypted rows.

mod finish;
mod plan;
mod program;
mod run;

pub use plan::{EvaluationPlan, EvaluationPlanError, FAILURE_LOG2};

use std::sync::Mutex;

use rand_core::CryptoRng;
use rayon::prelude::*;

use crate::answer::Answer;
use crate::conversion::PreparedKey;
use crate::crypto::{Fourier, NoiseSource, ParameterSet};
use crate::layout::Layout;
use crate::quantized::QuantizedModel;
use crate::query::Query;
use program::Program;
use run::State;

/// Evaluates one model on the encrypted rows of any number of clients.
///
/// The evaluator has one parameter set and keeps nothing of a query.
///
/// ```
/// use subrosa_decision_tree::{
///     ClientKey, Error, Evaluator, FAILURE_LOG2, Feature, Model, Node, ParameterSet, QuantizedModel, QueryError, Schema,
/// };
///
/// let nodes = vec![Node::split(0, 0.5, 1, 2), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
/// let model = Model::classifier(["online"], ["genuine", "fraud"], nodes)?;
/// let schema = Schema::for_model(&model, vec![Feature::binary("online")])?;
/// let evaluator = Evaluator::new(QuantizedModel::new(&model, &schema)?, ParameterSet::Standard)?;
/// assert!(evaluator.plan().failure_log2 <= FAILURE_LOG2);
///
/// let mut rng = rand::rng();
/// let key = ClientKey::generate(evaluator.parameters(), &mut rng);
/// let queries = key.encrypt_batch(&schema, &[[0.0], [1.0]], &mut rng)?;
/// let answers = evaluator.evaluate_batch(None, &queries, &mut rng)?;
/// assert_eq!(key.decrypt(&answers[0])?.class(), Some(0));
/// assert_eq!(key.decrypt(&answers[1])?.class(), Some(1));
///
/// let other = ClientKey::generate(ParameterSet::LowNoise, &mut rng).encrypt(&schema, &[0.0], &mut rng)?;
/// let refused = evaluator.evaluate(&other, &mut rng);
/// assert!(matches!(refused, Err(Error::Query(QueryError::Parameters))));
/// # Ok::<(), subrosa_decision_tree::Error>(())
/// ```
///
/// # Memory
/// An evaluation needs about 100 KB for each bit that the model looks at, or 200 KB with [`ParameterSet::LowNoise`]. It
/// needs another 20 KB for each split of the widest two levels. The evaluator keeps this memory for the next evaluations,
/// once for each thread of the current rayon pool. A server with many clients should bound the evaluations that run at
/// the same time.
#[derive(Debug)]
#[doc(alias("FHE", "server", "inference"))]
pub struct Evaluator {
    model: QuantizedModel,
    parameters: ParameterSet,
    layout: Layout,
    plan: EvaluationPlan,
    program: Program,
    fourier: Fourier,
    states: Mutex<Vec<State>>,
}

/// Why a query cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A query under another schema.
    #[error("the query belongs to another schema")]
    Schema,
    /// A query or conversion key under another parameter set.
    #[error("the query or the conversion key belongs to another parameter set")]
    Parameters,
    /// A query of a parameter set that cannot be evaluated without the client's conversion key.
    #[error("the query cannot be evaluated without its client's conversion key")]
    KeyMissing,
}

impl Evaluator {
    /// Plans the evaluation of a model.
    ///
    /// # Errors
    /// [`EvaluationPlanError`] where an answer could be wrong with more than 2^−128, whatever is tried.
    pub fn new(model: QuantizedModel, parameters: ParameterSet) -> crate::Result<Self> {
        let layout = Layout::new(model.schema(), parameters);
        let plan = EvaluationPlan::new(&model, &layout, parameters)?;
        let program = Program::new(&model, &layout, &plan)?;
        let fourier = Fourier::new(layout.shape.dimension);
        Ok(Self { model, parameters, layout, plan, program, fourier, states: Mutex::new(vec![]) })
    }

    /// What an evaluation costs and how likely it fails.
    #[must_use]
    pub fn plan(&self) -> &EvaluationPlan {
        &self.plan
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &QuantizedModel {
        &self.model
    }

    /// The parameter set that queries must have.
    #[must_use]
    pub fn parameters(&self) -> ParameterSet {
        self.parameters
    }

    /// Evaluates the model on an encrypted row.
    ///
    /// # Errors
    /// [`QueryError`] for a query under another schema or parameter set, or one that needs a conversion key (see
    /// [`Self::evaluate_with`]). A query with any other contents, even random ones, is evaluated and gives a
    /// meaningless answer.
    ///
    /// # Security
    /// `rng` re-randomises and floods the answer: it must be a cryptographic generator of the server's own. What
    /// the answer may still tell about the model stands in docs/security-decision-tree.md.
    #[doc(alias("predict", "infer"))]
    pub fn evaluate(&self, query: &Query, rng: &mut impl CryptoRng) -> crate::Result<Answer> {
        self.check(query, None)?;
        self.answer(query, None, NoiseSource::new(rng))
    }

    /// As [`Self::evaluate`], with the client's conversion key: for [`ParameterSet::SmallQuery`].
    ///
    /// # Errors
    /// [`QueryError`] for a query or key under another schema or parameter set. The key of another client gives a
    /// meaningless answer.
    pub fn evaluate_with(
        &self,
        key: &PreparedKey,
        query: &Query,
        rng: &mut impl CryptoRng,
    ) -> crate::Result<Answer> {
        self.check(query, Some(key))?;
        self.answer(query, Some(key), NoiseSource::new(rng))
    }

    /// Evaluates the model on many encrypted rows of one client at the same time; `key` is its conversion key,
    /// `None` where the parameter set has none.
    ///
    /// # Errors
    /// As [`Self::evaluate`], for the first query that does not fit; then none is evaluated.
    pub fn evaluate_batch(
        &self,
        key: Option<&PreparedKey>,
        queries: &[Query],
        rng: &mut impl CryptoRng,
    ) -> crate::Result<Vec<Answer>> {
        queries.iter().try_for_each(|query| self.check(query, key))?;
        let mut answers = Vec::with_capacity(queries.len());
        // As many at a time as there are threads, so that the memory does not grow with the batch.
        for chunk in queries.chunks(rayon::current_num_threads()) {
            let noise: Vec<NoiseSource> = chunk.iter().map(|_| NoiseSource::new(rng)).collect();
            let evaluated = chunk.par_iter().zip(noise).map(|(query, noise)| self.answer(query, key, noise));
            answers.append(&mut evaluated.collect::<crate::Result<Vec<_>>>()?);
        }
        Ok(answers)
    }

    fn check(&self, query: &Query, key: Option<&PreparedKey>) -> crate::Result<()> {
        if query.schema != self.model.schema().id() {
            return Err(QueryError::Schema.into());
        }
        let other = key.is_some_and(|key| key.parameters != self.parameters);
        if other || query.parameters != self.parameters {
            return Err(QueryError::Parameters.into());
        }
        if key.is_none() && self.layout.shape.conversion.is_some() {
            return Err(QueryError::KeyMissing.into());
        }
        Ok(())
    }

    fn answer(
        &self,
        query: &Query,
        key: Option<&PreparedKey>,
        mut noise: NoiseSource,
    ) -> crate::Result<Answer> {
        let state = self.states.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let mut state = state.unwrap_or_default();
        self.run(query, key, &mut state)?;
        let answer = self.finish(query, &mut state, &mut noise);
        let mut states = self.states.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if states.len() < rayon::current_num_threads() {
            states.push(state);
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
