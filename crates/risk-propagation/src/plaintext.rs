//! The propagation in the clear: a reference that computes the very numbers that the ciphertexts hold, and a plain one in
//! floating point to check both against.
//!
//! Both need the networks of all banks at once. They are for tests, for trying out data and for `--check`.

use std::collections::{HashMap, HashSet};

use num_bigint::BigInt;
use rayon::prelude::*;

use crate::banks::BankId;
use crate::error::Error;
use crate::network::{Network, Node};
use crate::plan::{Mismatch, Plan, PlanError, Settings, Step};
use crate::steps::agreement::Agreed;
use crate::steps::agreement::periods;
use crate::steps::scores::{FixedScores, Mixing, add_product, sender_weights, to_float, to_grid};

/// The propagation on the fixed-point numbers of the encrypted protocol, a step at a time.
///
/// In a real run nobody sees a score between the first and the last step; where all banks' data are at hand, this shows how
/// risk moves.
///
/// ```
/// use subrosa_risk_propagation::{Agreed, NetworkSizes, Plan, Settings, plaintext::Reference, synthetic};
/// # use rand_chacha::rand_core::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
/// let networks = synthetic::generate(&synthetic::NetworkShape::default(), &mut rng)?.networks()?;
/// # let sizes = NetworkSizes {
/// #     key_bits: 2048, columns: 1, in_degree_bits: 8, active_periods: vec![true], noise_contributors: 2,
/// # };
/// let plan = Plan::new(&sizes, &Settings::default())?;
/// let agreed = Agreed::among(networks)?;
/// let mut reference = Reference::new(&agreed, &plan)?;
/// let mut totals = vec![reference.scores(0).iter().sum::<f64>()];
/// while reference.advance()? {
///     totals.push(reference.scores(0).iter().sum());
/// }
/// assert_eq!(totals.len(), 1 + plan.steps().len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reference<'a> {
    agreed: Vec<&'a Agreed>,
    plan: &'a Plan,
    done: usize,
    scores: Vec<FixedScores>,
}

impl<'a> Reference<'a> {
    /// The scores before the first step.
    ///
    /// # Arguments
    /// The networks of all banks after the agreement, in the order of their list of banks (see [`Agreed::among`]).
    ///
    /// # Errors
    /// As [`FixedScores::initial`].
    pub fn new(agreed: impl IntoIterator<Item = &'a Agreed>, plan: &'a Plan) -> Result<Self, Error> {
        let agreed: Vec<&Agreed> = agreed.into_iter().collect();
        let initial = |agreed: &&Agreed| FixedScores::initial(agreed.network(), plan);
        let scores = agreed.iter().map(initial).collect::<Result<_, Error>>()?;
        Ok(Self { agreed, plan, done: 0, scores })
    }

    /// Takes the next step of the plan; false if all are done.
    ///
    /// # Errors
    /// [`Error::Internal`] where the networks and the plan do not belong together.
    pub fn advance(&mut self) -> Result<bool, Error> {
        let Some(step) = self.plan.steps().get(self.done) else { return Ok(false) };
        let next = |bank| advance(&self.agreed, bank, &self.scores, *step, self.plan);
        self.scores = (0..self.agreed.len()).map(next).collect::<Result<_, Error>>()?;
        self.done += 1;
        Ok(true)
    }

    /// Steps that were taken.
    #[must_use]
    pub fn steps_done(&self) -> usize {
        self.done
    }

    /// The present scores of each bank's accounts, at the scale [`Plan::scale_after`] the steps that were taken: integer for
    /// integer what the ciphertexts hold.
    #[must_use]
    pub fn fixed(&self) -> &[FixedScores] {
        &self.scores
    }

    /// The present scores of a bank's accounts as floats, one row of risk types for each account; none for a bank that is not
    /// there.
    #[must_use]
    pub fn scores(&self, bank: usize) -> Vec<f64> {
        let Some(scores) = self.scores.get(bank) else { return Vec::new() };
        let scale = self.plan.scale_after(self.done);
        scores.all_lanes(self.plan).map(|lane| to_float(&lane, scale)).collect()
    }
}

/// Runs all steps of [`Reference`].
///
/// # Arguments
/// `agreed[b]` is the network of bank `b` after the agreement (see [`Agreed::among`]).
///
/// # Returns
/// The scores of each bank's accounts at the plan's final scale: integer for integer what the ciphertexts hold before
/// the disclosure noise.
///
/// # Errors
/// As [`Reference::new`] and [`Reference::advance`].
pub fn propagate(agreed: &[Agreed], plan: &Plan) -> Result<Vec<FixedScores>, Error> {
    let mut reference = Reference::new(agreed, plan)?;
    while reference.advance()? {}
    Ok(reference.scores)
}

fn advance(
    agreed: &[&Agreed],
    own: usize,
    scores: &[FixedScores],
    step: Step,
    plan: &Plan,
) -> Result<FixedScores, Error> {
    let (Some(here), Some(before)) = (agreed.get(own), scores.get(own)) else {
        return Err(Error::internal("a bank has no scores"));
    };
    let network = here.network();
    // Where each foreign account's score is found.
    let mut sources: Vec<Option<(usize, usize)>> = vec![None; network.foreign_count()];
    for (bank, there) in agreed.iter().enumerate() {
        let imports = here.imports(step.period, there.network().own());
        let exports = there.exports(step.period, network.own());
        if imports.len() != exports.len() {
            return Err(Error::internal("a bank awaits other scores than another sends"));
        }
        for (&foreign, &account) in imports.iter().zip(exports) {
            let source = sources.get_mut(foreign as usize);
            let source = source.ok_or(Error::Internal { place: "a foreign account is not there" })?;
            *source = Some((bank, account as usize));
        }
    }
    let row_of = |node: Node| -> Result<&[u64], Error> {
        let Some(foreign) = network.foreign_index(node) else { return before.row(node.index()) };
        let source = sources.get(foreign).copied().flatten();
        let source = source.and_then(|(bank, account)| Some((scores.get(bank)?, account)));
        let (scores, account) =
            source.ok_or(Error::Internal { place: "the score of a sender is missing" })?;
        scores.row(account)
    };
    let mut after = FixedScores::zeros(network.account_count(), plan);
    let mixing = Mixing::of(step, plan)?;
    let words = after.words();
    let rows = after.rows_mut().par_chunks_mut(words).enumerate();
    rows.try_for_each_init(Vec::new, |weights, (account, row)| {
        add_product(row, before.row(account)?, mixing.own())?;
        let senders = sender_weights(network, step.period, account, mixing, weights)?;
        for (&sender, &weight) in senders.iter().zip(weights.iter()) {
            add_product(row, row_of(sender)?, weight)?;
        }
        Ok::<(), Error>(())
    })?;
    Ok(after)
}

/// Final scores as a bank shows them, rounded to the plan's grid: one row of risk types for each account.
///
/// # Errors
/// [`Error::Internal`]: never for scores of the plan.
pub fn disclosed(scores: &FixedScores, plan: &Plan) -> Result<Vec<f64>, Error> {
    scores
        .all_lanes(plan)
        .map(|lane| to_grid(&BigInt::from(lane), plan.final_scale(), plan.decimals()))
        .collect()
}

/// The propagation in floating point, straight from the definition: no agreement, no weights in fixed point.
///
/// # Arguments
/// `networks[b]` is the view of bank `b` before any agreement. With [`Mismatch::Refuse`] the receiving bank's list
/// counts for every transfer, with [`Mismatch::LeaveOut`] a foreign sender only if its own bank lists it too.
///
/// # Returns
/// One row of risk types for each account of each bank.
///
/// # Errors
/// [`PlanError`] for a δ out of range, too many steps or more periods than agreed.
pub fn reference(networks: &[Network], settings: &Settings) -> Result<Vec<Vec<f64>>, PlanError> {
    let active = periods::counted(&periods::among(networks, settings)?);
    let mut places = HashMap::new();
    for (index, network) in networks.iter().enumerate() {
        for (account, id) in network.account_ids().enumerate() {
            places.insert((network.own(), id), (index, account));
        }
    }
    let mut scores: Vec<Vec<f64>> =
        networks.iter().map(|network| network.initial_scores().to_vec()).collect();
    for step in settings.steps(&active)? {
        let offered = match settings.mismatch {
            Mismatch::Refuse => None,
            Mismatch::LeaveOut => Some(offers(networks, step.period)),
        };
        scores = reference_step(networks, &places, offered.as_ref(), &scores, step);
    }
    Ok(scores)
}

/// Where each account is found: place of its bank, place in its network.
type Places<'a> = HashMap<(BankId, &'a str), (usize, usize)>;
/// Senders that count, with the receiving bank.
type Offered<'a> = HashSet<(BankId, &'a str, BankId)>;

/// The scores of all banks after one step from those before.
fn reference_step(
    networks: &[Network],
    places: &Places<'_>,
    offered: Option<&Offered<'_>>,
    scores: &[Vec<f64>],
    step: Step,
) -> Vec<Vec<f64>> {
    let known = |bank: BankId| networks.get(bank.index()).is_some_and(Network::hands_in_scores);
    let next = networks.iter().enumerate().map(|(index, network)| {
        let own = network.own();
        let counts = |bank: BankId, id: &str| {
            bank == own || (known(bank) && offered.is_none_or(|offered| offered.contains(&(bank, id, own))))
        };
        let columns = network.columns().len();
        let mut next = scores.get(index).cloned().unwrap_or_default();
        for (account, row) in next.chunks_mut(columns.max(1)).enumerate() {
            let edges = network.incoming(step.period, account).filter(|(bank, id, _)| counts(*bank, id));
            let place =
                |(bank, id, amount)| places.get(&(bank, id)).map(|&(bank, account)| (bank, account, amount));
            let senders: Vec<(usize, usize, u128)> = edges.filter_map(place).collect();
            let income: u128 = senders.iter().map(|(_, _, amount)| amount).sum();
            for (column, score) in row.iter_mut().enumerate() {
                let mut sum = 0.0;
                for &(bank, sender, amount) in &senders {
                    let theirs = scores.get(bank).and_then(|s| s.get(sender * columns + column));
                    sum += theirs.copied().unwrap_or(0.0) * ratio(amount, income);
                }
                *score = (1.0 - step.delta) * *score + step.delta * sum;
            }
        }
        next
    });
    next.collect()
}

#[expect(clippy::cast_precision_loss, reason = "a float is what is wanted")]
fn ratio(amount: u128, income: u128) -> f64 {
    amount as f64 / income as f64
}

/// Senders that their own banks list, with the receiving bank.
fn offers(networks: &[Network], period: usize) -> Offered<'_> {
    let mut set = HashSet::new();
    for network in networks {
        for edge in network.periods().get(period).map_or(&[][..], |period| &period.outgoing) {
            let sender = network.names.get(edge.source as usize);
            let receiver = network.foreign.get(edge.destination as usize);
            if let (Some(sender), Some(receiver)) = (sender, receiver) {
                set.insert((network.own(), &**sender, receiver.bank));
            }
        }
    }
    set
}

/// Greatest absolute difference between two sets of scores; infinite where their sizes differ.
#[must_use]
pub fn largest_difference(left: &[Vec<f64>], right: &[Vec<f64>]) -> f64 {
    if left.len() != right.len() {
        return f64::INFINITY;
    }
    let mut worst = 0.0_f64;
    for (left, right) in left.iter().zip(right) {
        if left.len() != right.len() {
            return f64::INFINITY;
        }
        for (left, right) in left.iter().zip(right) {
            worst = worst.max((left - right).abs());
        }
    }
    worst
}
