//! How much of an account's score can come from other banks at the most: what decrypted numbers are checked against.
//!
//! The foreign part c(v) of a score is linear in the scores that arrive. With every foreign sender's score at its maximum and
//! all own scores 0, the same steps give its ceiling:
//!
//! u₀(v) = 0;  uⱼ₊₁(v) = W₀·uⱼ(v) + Σ Wᵤ·uⱼ(u) over own senders + Σ Wᵤ·2^(f₀+jf) over foreign ones.

use num_bigint::BigUint;
use rayon::prelude::*;

use crate::error::Error;
use crate::plan::Plan;
use crate::plan::Step;
use crate::steps::agreement::Agreed;
use crate::steps::scores::{Mixing, sender_weights};
use crate::steps::scores::{add_product, from_words};

/// The greatest foreign part of each own account's final score, at the final scale. It is the same for all risk types.
///
/// It follows from the bank's own list of transfers, so that it is as secret as that list.
#[derive(Clone, PartialEq, Eq)]
pub struct Ceilings {
    words: usize,
    rows: Vec<u64>,
}

impl std::fmt::Debug for Ceilings {
    // Redacted: ceilings tell what the accounts receive.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ceilings(<redacted>, {} accounts)", self.rows.len() / self.words)
    }
}

impl Ceilings {
    /// Computes the ceilings of all own accounts, in parallel in the current rayon pool.
    ///
    /// # Errors
    /// [`Error::Internal`] where plan and network do not belong together.
    pub fn new(agreed: &Agreed, plan: &Plan) -> Result<Self, Error> {
        let words = plan.slot_bits().div_ceil(64).max(1);
        let mut rows = vec![0; agreed.network().account_count() * words];
        for (done, &step) in plan.steps().iter().enumerate() {
            rows = advance(&rows, words, agreed, plan, step, plan.scale_after(done))?;
        }
        Ok(Self { words, rows })
    }

    /// An account's ceiling.
    ///
    /// # Errors
    /// [`Error::Internal`] for an account that is not there.
    pub fn of(&self, account: usize) -> Result<BigUint, Error> {
        Ok(from_words(row(&self.rows, self.words, account)?))
    }
}

/// The ceilings after a step from those before it. 2^`scale` is the greatest score of a foreign sender.
fn advance(
    before: &[u64],
    words: usize,
    agreed: &Agreed,
    plan: &Plan,
    step: Step,
    scale: usize,
) -> Result<Vec<u64>, Error> {
    let network = agreed.network();
    let mut after = vec![0; before.len()];
    let mixing = Mixing::of(step, plan)?;
    let mut most = vec![0; words];
    let word = most.get_mut(scale / 64);
    *word.ok_or(Error::Internal { place: "the scale of a step does not fit a slot" })? = 1 << (scale % 64);
    let own = network.account_count();
    let rows = after.par_chunks_mut(words).enumerate();
    rows.try_for_each_init(Vec::new, |weights, (account, sum)| {
        let senders = sender_weights(network, step.period, account, mixing, weights)?;
        add_product(sum, row(before, words, account)?, mixing.own())?;
        for (sender, &weight) in senders.iter().zip(weights.iter()) {
            let value = if sender.index() < own { row(before, words, sender.index())? } else { &most };
            add_product(sum, value, weight)?;
        }
        Ok::<(), Error>(())
    })?;
    Ok(after)
}

fn row(rows: &[u64], words: usize, account: usize) -> Result<&[u64], Error> {
    let row = rows.get(account * words..(account + 1) * words);
    row.ok_or(Error::Internal { place: "an account has no ceiling" })
}
