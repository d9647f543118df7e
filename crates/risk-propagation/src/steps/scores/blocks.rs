//! In which pieces an iteration is computed, and what each of them needs.

use std::ops::Range;

use crate::error::Error;
use crate::network::{Network, Node};
use crate::plan::Step;
use crate::steps::agreement::Agreed;

/// Widest window of a sender's table: 2^(w−1) residues. With 4 an iteration was no faster on networks of average degree 6
/// and took a third more memory.
const MAX_WINDOW: u32 = 3;

/// Accounts whose products are computed together. The tables of a block's senders take some 3 MB at k = 2048; smaller
/// blocks share fewer tables among their accounts.
const BLOCK: usize = 256;

/// Most senders of a block's accounts, hubs apart, so that no block takes more than some 11 MB of tables at k = 2048.
const BLOCK_SENDERS: usize = 4096;

/// An account with more senders than this is a hub. Its product is computed in pieces, without tables: they would serve it
/// alone, and with this number of bases buckets take fewer multiplications.
const HUB: usize = 512;

/// The own accounts in pieces that are computed one after the other.
pub(crate) fn blocks(agreed: &Agreed, period: usize) -> Result<Vec<Range<usize>>, Error> {
    let network = agreed.network();
    let mut blocks = Vec::new();
    let (mut start, mut senders) = (0, 0);
    for account in 0..network.account_count() {
        let own = match network.edges_of(period, account)?.0.len() {
            hub if hub > HUB => 0,
            senders => senders,
        };
        if account - start == BLOCK || (account > start && senders + own > BLOCK_SENDERS) {
            blocks.push(start..account);
            (start, senders) = (account, 0);
        }
        senders += own;
    }
    if start < network.account_count() {
        blocks.push(start..network.account_count());
    }
    Ok(blocks)
}

/// Whether an account has so many senders that its product is computed in pieces.
pub(crate) fn is_hub(network: &Network, period: usize, account: usize) -> bool {
    network.edges_of(period, account).is_ok_and(|(senders, _)| senders.len() > HUB)
}

/// For each block the nodes that it needs and no later one does.
pub(super) fn last_uses(
    agreed: &Agreed,
    step: Step,
    blocks: &[Range<usize>],
) -> Result<Vec<Vec<u32>>, Error> {
    let network = agreed.network();
    let mut later = vec![false; network.account_count() + network.foreign_count()];
    let last = blocks.iter().rev().map(|block| -> Result<Vec<u32>, Error> {
        let nodes = uses(agreed, step, block.clone(), |_| true)?.into_iter().map(|(node, _)| node);
        let first_seen =
            |node: &u32| later.get_mut(*node as usize).is_some_and(|l| !std::mem::replace(l, true));
        Ok(nodes.filter(first_seen).collect())
    });
    let mut last = last.collect::<Result<Vec<Vec<u32>>, Error>>()?;
    last.reverse();
    Ok(last)
}

/// The nodes whose ciphertexts enter products of some accounts, ascending, and how many each enters.
pub(crate) fn uses(
    agreed: &Agreed,
    step: Step,
    accounts: impl IntoIterator<Item = usize>,
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

pub(super) fn node(account: usize) -> Result<Node, Error> {
    let number = u32::try_from(account).map_err(|_| Error::Internal { place: "more than 2^32 accounts" })?;
    Ok(Node(number))
}

/// The window that costs least for exponents of about 32 bits: 2^(w−1) multiplications for the table, 32/(w+1) for
/// each use.
pub(crate) fn window(uses: u32) -> u32 {
    (1..=MAX_WINDOW).min_by_key(|w| (60 << (w - 1)) + uses.saturating_mul(60 * 32 / (w + 1))).unwrap_or(1)
}
