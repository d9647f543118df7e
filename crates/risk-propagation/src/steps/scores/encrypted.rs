//! The iteration on ciphertexts, step R6 of `docs/protocols/risk-propagation.md`, without any networking.
//!
//! A score is a plaintext part plus, once foreign money has reached the account, a ciphertext part. An iteration is
//! two calls: [`Encrypted::encrypt`] makes what other banks need, [`Encrypted::advance`] takes what they sent and gives
//! the scores of the next iteration. Both are pure functions, parallel over accounts in the current rayon pool.

use std::collections::HashMap;
use std::ops::Range;

use num_bigint::BigInt;
use rand_core::CryptoRng;
use rayon::prelude::*;

use super::blocks::{blocks, is_hub, last_uses, node, uses, window};
use super::ciphertexts::Ciphertexts;
use super::fixed::{FixedScores, add_product};
use super::hubs::{hub_product, hub_terms};
use super::weights::{Mixing, sender_weights};
use crate::error::Error;
use crate::network::Node;
use crate::plan::Plan;
use crate::plan::Step;
use crate::steps::agreement::Agreed;
use crate::steps::randomness::Streams;
use subrosa_arith::{GROUP, Residue, WindowTable, vartime_multi_pow_batch};
use subrosa_paillier::{Blinded, Blinder, Ciphertext, PublicKey, Randomiser};

/// Accounts that one thread takes at a time: their products of about the same work are computed side by side.
const TASK: usize = 64;

/// Ciphertexts that are taken in at a time.
const ARRIVALS: usize = 256;

/// Own scores between two iterations.
#[derive(Clone)]
pub struct Encrypted {
    plain: FixedScores,
    /// Ciphertext parts of the accounts that foreign money has reached.
    mixed: Ciphertexts,
}

impl std::fmt::Debug for Encrypted {
    // Redacted: the plaintext parts are the bank's secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encrypted(<redacted>, {} accounts)", self.mixed.len())
    }
}

/// Ciphertexts of foreign accounts as they arrived in one iteration, by index of the foreign account.
#[derive(Debug)]
pub struct Received {
    scores: Ciphertexts,
}

impl Received {
    /// Room for the foreign accounts of a network.
    #[must_use]
    pub fn new(agreed: &Agreed) -> Self {
        Self { scores: Ciphertexts::none(agreed.network().foreign_count()) }
    }

    /// Whether the ciphertext of a foreign account is there.
    pub(crate) fn contains(&self, place: u32) -> bool {
        self.scores.contains(place as usize)
    }

    /// Puts the ciphertexts of the foreign accounts `places` in, in the same order.
    ///
    /// # Errors
    /// [`Error::Internal`] for another number of places than of ciphertexts, or an account that is not there.
    pub fn insert(
        &mut self,
        key: &PublicKey,
        places: &[u32],
        ciphertexts: Vec<Ciphertext>,
    ) -> Result<(), Error> {
        if places.len() != ciphertexts.len() {
            return Err(Error::internal("there are more or fewer scores than accounts that they belong to"));
        }
        let modulus = key.modulus_squared();
        for (places, ciphertexts) in places.chunks(ARRIVALS).zip(ciphertexts.chunks(ARRIVALS)) {
            let residue = |ciphertext: &Ciphertext| modulus.residue(ciphertext.value());
            let residues: Vec<Residue> = ciphertexts.par_iter().map(residue).collect();
            for (&place, residue) in places.iter().zip(&residues) {
                if !self.scores.insert(place as usize, residue) {
                    return Err(Error::internal("a score arrived for a foreign account that is not there"));
                }
            }
        }
        Ok(())
    }
}

impl Encrypted {
    /// The scores before the first iteration: all of them plaintext.
    ///
    /// # Errors
    /// As [`FixedScores::initial`].
    pub fn initial(agreed: &Agreed, plan: &Plan) -> Result<Self, Error> {
        let network = agreed.network();
        let plain = FixedScores::initial(network, plan)?;
        Ok(Self { plain, mixed: Ciphertexts::none(network.account_count()) })
    }

    /// The plaintext parts.
    #[must_use]
    pub fn plain(&self) -> &FixedScores {
        &self.plain
    }

    /// An account's ciphertext part; `None` where no foreign money has reached it.
    #[must_use]
    pub fn mixed(&self, account: usize) -> Option<Residue> {
        self.mixed.get(account)
    }

    /// Encrypts the present scores of some accounts, each with fresh randomness.
    ///
    /// # Errors
    /// As [`encrypt_with`](Self::encrypt_with).
    pub fn encrypt(
        &self,
        blinder: &Blinder,
        accounts: &[u32],
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Blinded<Ciphertext>>, Error> {
        self.encrypt_with(blinder, accounts, &Streams::draw(rng))
    }

    /// Encrypts the present scores of some accounts, each with the stream of its number: it does not matter which others are
    /// encrypted in the same call.
    ///
    /// # Security
    /// Streams serve one step only: two scores under the same randomiser show their difference.
    ///
    /// # Errors
    /// [`Error::Paillier`] where a score does not fit the key, which the plan rules out; [`Error::Internal`] for an account that
    /// is not there.
    pub fn encrypt_with(
        &self,
        blinder: &Blinder,
        accounts: &[u32],
        streams: &Streams,
    ) -> Result<Vec<Blinded<Ciphertext>>, Error> {
        let key = blinder.key();
        let modulus = key.modulus_squared();
        let encrypt = |(&account, randomiser): (&u32, Randomiser)| -> Result<Blinded<Ciphertext>, Error> {
            let plain = key.encrypt_unblinded(&BigInt::from(self.plain.packed(account as usize)?))?;
            let whole = match self.mixed(account as usize) {
                None => plain,
                Some(mixed) => key.wrap(&modulus.mul(&mixed, &modulus.residue(plain.value()))),
            };
            Ok(blinder.blind_with(&whole, randomiser)?)
        };
        let group = |accounts: &[u32]| {
            let mut streams: Vec<_> =
                accounts.iter().map(|account| streams.stream(u64::from(*account))).collect();
            accounts.iter().zip(blinder.randomisers(&mut streams)).map(encrypt).collect()
        };
        let groups = accounts.par_chunks(GROUP).map(group).collect::<Result<Vec<Vec<_>>, Error>>()?;
        Ok(groups.into_iter().flatten().collect())
    }

    /// One iteration: from the scores before `step` to those after it.
    ///
    /// A block of accounts at a time, so that there are tables of powers for the senders of one block only. Ciphertexts that
    /// no later block needs make room for new ones.
    ///
    /// # Security
    /// The time taken depends on the weights, which are the bank's own and known to it; the other banks see only when
    /// its next message comes.
    ///
    /// # Errors
    /// As [`advance_part`](Self::advance_part); the scores stay those before `step`.
    pub fn advance(
        &mut self,
        agreed: &Agreed,
        plan: &Plan,
        key: &PublicKey,
        step: Step,
        mut received: Received,
    ) -> Result<(), Error> {
        let own = agreed.network().account_count();
        let blocks = blocks(agreed, step.period)?;
        let last_uses = last_uses(agreed, step, &blocks)?;
        let mut failed = None;
        // A part at a time, so that none is held twice.
        let parts = blocks.into_iter().zip(last_uses).map_while(|(block, unneeded)| {
            let part = self.advance_part(agreed, plan, key, step, &received, block);
            for node in unneeded {
                match (node as usize).checked_sub(own) {
                    None => self.mixed.remove(node as usize),
                    Some(foreign) => received.scores.remove(foreign),
                }
            }
            part.map_err(|error| failed = Some(error)).ok()
        });
        let assembled = Self::assemble(agreed, plan, parts);
        if let Some(error) = failed {
            return Err(error);
        }
        *self = assembled.ok_or(Error::Internal { place: "the blocks of a network leave accounts out" })?;
        Ok(())
    }

    /// One iteration for a part of the own accounts: a pure function of the scores before and what was received.
    ///
    /// The parts of a partition give together what [`Encrypted::advance`] gives; a distributed engine can run them on several
    /// machines and put them together with [`Encrypted::assemble`]. Only what the part's senders need is computed.
    ///
    /// # Errors
    /// [`Error::Internal`] where plan, network and scores do not belong together, or where the score of a foreign sender has not
    /// been [received](Received::insert): it would count as 0.
    pub fn advance_part(
        &self,
        agreed: &Agreed,
        plan: &Plan,
        key: &PublicKey,
        step: Step,
        received: &Received,
        accounts: Range<usize>,
    ) -> Result<Part, Error> {
        let count = agreed.network().account_count();
        if self.mixed.len() != count {
            return Err(Error::internal("scores of another number of accounts"));
        }
        // Accounts that are not there are in no part; `assemble` finds the gap.
        let first = accounts.start.min(count);
        let accounts = first..accounts.end.clamp(first, count);
        let place = |node: usize| match node.checked_sub(count) {
            None => (&self.mixed, node),
            Some(foreign) => (&received.scores, foreign),
        };
        // All foreign senders have ciphertexts; an own account has one once foreign money has reached it.
        let present = |node: usize| node >= count || self.mixed.contains(node);
        let residue = |node: u32| {
            let (list, place) = place(node as usize);
            list.get(place).ok_or(Error::Internal { place: "the score of a sender is missing" })
        };
        let network = agreed.network();
        let (hubs, others): (Vec<usize>, Vec<usize>) =
            accounts.clone().partition(|account| is_hub(network, step.period, *account));
        let tables = uses(agreed, step, others, present)?
            .into_par_iter()
            .map(|(node, uses)| {
                let residue = residue(node)?;
                let table = WindowTable::new(key.modulus_squared(), &residue, window(uses));
                Ok((node, table.map_err(|_| Error::Internal { place: "a window is out of range" })?))
            })
            .collect::<Result<Vec<(u32, WindowTable)>, Error>>()?;
        let mixing = Mixing::of(step, plan)?;
        let hubs = hubs.into_iter().map(|account| {
            let terms = hub_terms(network, step.period, account, mixing, present)?;
            Ok((account, hub_product(key, &terms, residue)?))
        });
        let hubs = hubs.collect::<Result<HashMap<usize, Option<Residue>>, Error>>()?;
        advance_range(&self.plain, &tables, &hubs, agreed, plan, key, step, accounts)
    }

    /// The scores of all accounts from those of the parts, which must be given in ascending order and leave no account out;
    /// `None` where they do not fit.
    #[must_use]
    pub fn assemble(agreed: &Agreed, plan: &Plan, parts: impl IntoIterator<Item = Part>) -> Option<Self> {
        let (mut rows, mut mixed) = (Vec::new(), Ciphertexts::default());
        for part in parts {
            if part.first != mixed.len() {
                return None;
            }
            rows.extend_from_slice(part.plain.words_of_all());
            mixed.append(part.mixed);
        }
        let accounts = agreed.network().account_count();
        let plain = FixedScores::from_words(rows, accounts, plan).filter(|_| mixed.len() == accounts)?;
        Some(Self { plain, mixed })
    }

    pub(crate) fn from_parts(plain: FixedScores, mixed: Ciphertexts) -> Self {
        Self { plain, mixed }
    }

    /// Frees the ciphertext parts, once they are packed.
    pub(crate) fn forget_mixed(&mut self) {
        self.mixed = Ciphertexts::default();
    }

    /// The ciphertext parts.
    pub(crate) fn all_mixed(&self) -> &Ciphertexts {
        &self.mixed
    }
}

/// Scores of successive accounts after an iteration.
#[derive(Clone)]
pub struct Part {
    first: usize,
    plain: FixedScores,
    mixed: Ciphertexts,
}

impl Part {
    /// Number of accounts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mixed.len()
    }

    /// Whether the part holds no account.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mixed.len() == 0
    }
}

impl std::fmt::Debug for Part {
    // Redacted: the plaintext parts are the bank's secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Part(<redacted>, {} accounts from {})", self.mixed.len(), self.first)
    }
}

/// The iteration for some accounts. `tables` holds the powers of the ciphertexts that it multiplies, ascending by node, and `hubs`
/// the products of those that have none.
#[expect(clippy::too_many_arguments, reason = "the parts of one iteration")]
fn advance_range(
    before: &FixedScores,
    tables: &[(u32, WindowTable)],
    hubs: &HashMap<usize, Option<Residue>>,
    agreed: &Agreed,
    plan: &Plan,
    key: &PublicKey,
    step: Step,
    accounts: Range<usize>,
) -> Result<Part, Error> {
    let network = agreed.network();
    let first = accounts.start;
    let mut plain = FixedScores::zeros(accounts.len(), plan);
    let mixing = Mixing::of(step, plan)?;
    let modulus = key.modulus_squared();
    let table_of = |node: Node| {
        let place = tables.binary_search_by_key(&node.0, |(node, _)| *node).ok()?;
        tables.get(place).map(|(_, table)| table)
    };
    let own_senders = network.account_count();
    let words = plain.words();
    let accounts: Vec<usize> = accounts.collect();
    let tasks = plain.rows_mut().par_chunks_mut(words * TASK).zip(accounts.par_chunks(TASK));
    let products = tasks.map_init(Vec::new, |weights, (rows, accounts)| {
        let mut lists = Vec::with_capacity(accounts.len());
        for (row, &account) in rows.chunks_mut(words).zip(accounts) {
            let senders = sender_weights(network, step.period, account, mixing, weights)?;
            add_product(row, before.row(account)?, mixing.own())?;
            let is_hub = hubs.contains_key(&account);
            let table_of = |node| if is_hub { None } else { table_of(node) };
            let mut terms: Vec<(&WindowTable, u64)> = Vec::with_capacity(senders.len() + 1);
            let own = table_of(node(account)?);
            terms.extend(own.map(|table| (table, mixing.own())));
            for (&sender, &weight) in senders.iter().zip(weights.iter()) {
                if sender.index() < own_senders {
                    add_product(row, before.row(sender.index())?, weight)?;
                }
                terms.extend(table_of(sender).map(|table| (table, weight)));
            }
            lists.push(terms);
        }
        let products = vartime_multi_pow_batch(modulus, &lists).into_iter().zip(&lists).zip(accounts);
        let of_account = |((product, terms), account): ((Residue, &Vec<_>), &usize)| match hubs.get(account) {
            Some(product) => product.clone(),
            None => (!terms.is_empty()).then_some(product),
        };
        Ok(products.map(of_account).collect())
    });
    let products = products.collect::<Result<Vec<Vec<Option<Residue>>>, Error>>()?;
    let mut mixed = Ciphertexts::default();
    products.iter().flatten().for_each(|product| mixed.push(product.as_ref()));
    Ok(Part { first, plain, mixed })
}
