//! The iteration on ciphertexts, step R6 of `docs/protocols/risk-propagation.md`, without any networking.
//!
//! A score is a plaintext part plus, once foreign money has reached the account, a ciphertext part. An iteration is
//! two calls: [`Encrypted::encrypt`] makes what other banks need, [`Encrypted::advance`] takes what they sent and gives
//! the scores of the next iteration. Both are pure functions, parallel over accounts in the current rayon pool.

use std::ops::Range;

use num_bigint::BigInt;
use rand_core::CryptoRng;
use rayon::prelude::*;
use subrosa_arith::{Residue, WindowTable, vartime_multi_pow_tables};
use subrosa_paillier::{Blinded, Blinder, Ciphertext, PublicKey};

use super::ciphertexts::Ciphertexts;
use super::fixed::{FixedScores, add_product};
use super::weights::{Mixing, sender_weights};
use crate::error::Error;
use crate::network::Node;
use crate::plan::Plan;
use crate::plan::Step;
use crate::steps::agreement::Agreed;
use crate::steps::randomness::Streams;

/// Widest window of a sender's table: 2^(w−1) residues. With 4 an iteration was no faster on networks of average degree 6
/// and took a third more memory.
const MAX_WINDOW: u32 = 3;

/// Accounts whose products are computed together. The tables of a block's senders take some 3 MB at k = 2048; smaller
/// blocks share fewer tables among their accounts.
const BLOCK: usize = 256;

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
        let encrypt = |&account: &u32| -> Result<Blinded<Ciphertext>, Error> {
            let plain = key.encrypt_unblinded(&BigInt::from(self.plain.packed(account as usize)?))?;
            let whole = match self.mixed(account as usize) {
                None => plain,
                Some(mixed) => key.wrap(&modulus.mul(&mixed, &modulus.residue(plain.value()))),
            };
            Ok(blinder.blind(&whole, &mut streams.stream(u64::from(account)))?)
        };
        accounts.par_iter().map(encrypt).collect()
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
        let last_uses = last_uses(agreed, step)?;
        let mut failed = None;
        // A part at a time, so that none is held twice.
        let parts = blocks(agreed).zip(last_uses).map_while(|(block, unneeded)| {
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
        let tables = uses(agreed, step, accounts.clone(), present)?
            .into_par_iter()
            .map(|(node, uses)| {
                let (list, place) = place(node as usize);
                let residue = list.get(place);
                let residue = residue.ok_or(Error::Internal { place: "the score of a sender is missing" })?;
                let table = WindowTable::new(key.modulus_squared(), &residue, window(uses));
                Ok((node, table.map_err(|_| Error::Internal { place: "a window is out of range" })?))
            })
            .collect::<Result<Vec<(u32, WindowTable)>, Error>>()?;
        advance_range(&self.plain, &tables, agreed, plan, key, step, accounts)
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

/// The own accounts in pieces that are computed one after the other.
pub(crate) fn blocks(agreed: &Agreed) -> impl Iterator<Item = Range<usize>> + use<> {
    let count = agreed.network().account_count();
    (0..count).step_by(BLOCK).map(move |start| start..count.min(start + BLOCK))
}

/// For each block the nodes that it needs and no later one does.
fn last_uses(agreed: &Agreed, step: Step) -> Result<Vec<Vec<u32>>, Error> {
    let network = agreed.network();
    let mut later = vec![false; network.account_count() + network.foreign_count()];
    let all: Vec<Range<usize>> = blocks(agreed).collect();
    let last = all.into_iter().rev().map(|block| -> Result<Vec<u32>, Error> {
        let nodes = uses(agreed, step, block, |_| true)?.into_iter().map(|(node, _)| node);
        let first_seen =
            |node: &u32| later.get_mut(*node as usize).is_some_and(|l| !std::mem::replace(l, true));
        Ok(nodes.filter(first_seen).collect())
    });
    let mut last = last.collect::<Result<Vec<Vec<u32>>, Error>>()?;
    last.reverse();
    Ok(last)
}

/// The nodes whose ciphertexts enter products of the accounts in a range, ascending, and how many each enters.
pub(crate) fn uses(
    agreed: &Agreed,
    step: Step,
    accounts: Range<usize>,
    has_ciphertext: impl Fn(usize) -> bool,
) -> Result<Vec<(u32, u32)>, Error> {
    let mut nodes: Vec<u32> = Vec::new();
    for account in accounts {
        let (senders, _) = agreed.network().edges_of(step.period, account)?;
        // An account that is reached uses its own ciphertext once more.
        let own = node(account)?;
        let used = senders.iter().copied().chain([own]).filter(|node| has_ciphertext(node.index()));
        nodes.extend(used.map(|node| node.0));
    }
    nodes.sort_unstable();
    let runs = nodes.chunk_by(|left, right| left == right);
    // The counts only choose windows, so that a bound does for them.
    let counts = runs.filter_map(|run| Some((*run.first()?, u32::try_from(run.len()).unwrap_or(u32::MAX))));
    Ok(counts.collect())
}

fn node(account: usize) -> Result<Node, Error> {
    let number = u32::try_from(account).map_err(|_| Error::Internal { place: "more than 2^32 accounts" })?;
    Ok(Node(number))
}

/// The iteration for some accounts. `tables` holds the powers of the ciphertexts that it multiplies, ascending by node.
fn advance_range(
    before: &FixedScores,
    tables: &[(u32, WindowTable)],
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
    let products = plain
        .rows_mut()
        .par_chunks_mut(words)
        .zip(accounts)
        .map_init(Vec::new, |weights, (row, account)| {
            let senders = sender_weights(network, step.period, account, mixing, weights)?;
            add_product(row, before.row(account)?, mixing.own())?;
            let mut terms: Vec<(&WindowTable, u64)> = Vec::with_capacity(senders.len() + 1);
            let own = table_of(node(account)?);
            terms.extend(own.map(|table| (table, mixing.own())));
            for (&sender, &weight) in senders.iter().zip(weights.iter()) {
                if sender.index() < own_senders {
                    add_product(row, before.row(sender.index())?, weight)?;
                }
                terms.extend(table_of(sender).map(|table| (table, weight)));
            }
            Ok((!terms.is_empty()).then(|| vartime_multi_pow_tables(modulus, &terms)))
        })
        .collect::<Result<Vec<Option<Residue>>, Error>>()?;
    let mut mixed = Ciphertexts::default();
    products.iter().for_each(|product| mixed.push(product.as_ref()));
    Ok(Part { first, plain, mixed })
}

/// The window that costs least for exponents of about 32 bits: 2^(w−1) multiplications for the table, 32/(w+1) for
/// each use.
pub(crate) fn window(uses: u32) -> u32 {
    (1..=MAX_WINDOW).min_by_key(|w| (60 << (w - 1)) + uses.saturating_mul(60 * 32 / (w + 1))).unwrap_or(1)
}
