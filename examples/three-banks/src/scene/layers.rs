//! The riskiest part of the network, chosen and put in layers: money flows from left to right.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use super::{Account, Scene, Sender};

/// Accounts whose rise is shown.
const RISEN: usize = 9;
/// Accounts in the whole picture.
const ACCOUNTS: usize = 30;
/// Senders followed from each account, at most.
const SENDERS: usize = 2;
/// Transfers back from an account that rose, at most.
const DEPTH: usize = 4;
/// A sender is followed if it brings at least this part of what its receiver gets.
const NOTABLE: f64 = 0.15;
/// What a sender of unknown score counts, where the sum of both scores of a known one lies between 0 and 2.
const UNKNOWN: f64 = 1.0;
/// From this score on, an account explains itself.
const KNOWN: f64 = 0.5;

/// An account in its place.
pub(crate) struct Placed {
    /// Index into the scene.
    pub(crate) account: usize,
    /// Layer from the left.
    pub(crate) layer: usize,
    /// Place in its layer, from the top.
    pub(crate) row: usize,
    /// Whether it is one of those that rose most.
    pub(crate) risen: bool,
}

/// A transfer between two accounts shown.
pub(crate) struct Edge {
    /// Indices into [`Layers::placed`].
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Its share in the receiver's income.
    pub(crate) share: f64,
}

pub(crate) struct Layers {
    pub(crate) placed: Vec<Placed>,
    pub(crate) edges: Vec<Edge>,
}

impl Layers {
    /// Number of layers.
    pub(crate) fn count(&self) -> usize {
        self.placed.iter().map(|placed| placed.layer + 1).max().unwrap_or(0)
    }

    /// Accounts in a layer.
    pub(crate) fn rows(&self, layer: usize) -> usize {
        self.placed.iter().filter(|placed| placed.layer == layer).count()
    }
}

/// Chooses the accounts that rose most and where their risk came from.
pub(crate) fn arrange(scene: &Scene<'_>) -> Layers {
    let (mut placed, mut edges) = choose(scene);
    set_layers(&mut placed, &mut edges);
    set_rows(&mut placed, &edges);
    Layers { placed, edges }
}

fn choose(scene: &Scene<'_>) -> (Vec<Placed>, Vec<Edge>) {
    let rise = |account: usize| scene.accounts.get(account).and_then(Account::rise).unwrap_or(0.0);
    let mut order: Vec<usize> = (0..scene.accounts.len()).filter(|&account| rise(account) > 0.0).collect();
    order.sort_by(|&left, &right| rise(right).total_cmp(&rise(left)).then(left.cmp(&right)));
    order.truncate(RISEN);

    let mut placed: Vec<Placed> = Vec::new();
    let mut index: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::new();
    for account in order {
        index.insert(account, placed.len());
        queue.push_back((account, 0));
        placed.push(Placed { account, layer: 0, row: 0, risen: true });
    }
    let mut edges = Vec::new();
    while let Some((account, depth)) = queue.pop_front() {
        let brought = |sender: &Sender| {
            sender.share * scene.accounts.get(sender.account).map_or(UNKNOWN, |a| a.before + a.after)
        };
        let mut senders = scene.senders(account);
        let total: f64 = senders.iter().map(brought).sum();
        senders.retain(|sender| total > 0.0 && brought(sender) >= NOTABLE * total);
        senders.sort_by(|left, right| brought(right).total_cmp(&brought(left)));
        for sender in senders.iter().take(if depth < 2 { SENDERS } else { 1 }) {
            if let Entry::Vacant(vacant) = index.entry(sender.account) {
                if placed.len() >= ACCOUNTS {
                    continue;
                }
                vacant.insert(placed.len());
                placed.push(Placed { account: sender.account, layer: 0, row: 0, risen: false });
                let known = scene.accounts.get(sender.account).is_some_and(|a| a.before >= KNOWN);
                if !known && depth + 1 < DEPTH {
                    queue.push_back((sender.account, depth + 1));
                }
            }
            if let (Some(&from), Some(&to)) = (index.get(&sender.account), index.get(&account)) {
                edges.push(Edge { from, to, share: sender.share });
            }
        }
    }
    (placed, edges)
}

/// Every account right of all its senders. Transfers that would close a circle are left out.
fn set_layers(placed: &mut [Placed], edges: &mut Vec<Edge>) {
    let mut kept: Vec<Edge> = Vec::new();
    for edge in edges.drain(..) {
        if !reaches(&kept, edge.to, edge.from, placed.len()) {
            kept.push(edge);
        }
    }
    *edges = kept;
    for _ in 0..placed.len() {
        for edge in edges.iter() {
            let least = placed.get(edge.from).map_or(0, |from| from.layer + 1);
            if let Some(to) = placed.get_mut(edge.to) {
                to.layer = to.layer.max(least);
            }
        }
    }
    // A sender without senders stands beside its receivers and not at the far left.
    for node in 0..placed.len() {
        if edges.iter().any(|edge| edge.to == node) {
            continue;
        }
        let receivers = edges.iter().filter(|edge| edge.from == node);
        let nearest = receivers.filter_map(|edge| placed.get(edge.to).map(|to| to.layer)).min();
        if let (Some(nearest), Some(here)) = (nearest, placed.get_mut(node)) {
            here.layer = nearest.saturating_sub(1);
        }
    }
}

fn reaches(edges: &[Edge], from: usize, to: usize, nodes: usize) -> bool {
    let mut seen = vec![false; nodes];
    let mut stack = vec![from];
    while let Some(node) = stack.pop() {
        if node == to {
            return true;
        }
        if let Some(seen) = seen.get_mut(node)
            && !std::mem::replace(seen, true)
        {
            stack.extend(edges.iter().filter(|edge| edge.from == node).map(|edge| edge.to));
        }
    }
    false
}

/// Accounts near those that they pay and are paid by: each layer is sorted by the mean height of its neighbours, in
/// turn from both sides (the barycentre method of Sugiyama, Tagawa and Toda, 1981).
fn set_rows(placed: &mut [Placed], edges: &[Edge]) {
    let layers = placed.iter().map(|placed| placed.layer + 1).max().unwrap_or(0);
    let mut heights: Vec<f64> = vec![0.5; placed.len()];
    let order = |placed: &mut [Placed], heights: &mut [f64], layer: usize| {
        let mut members: Vec<usize> =
            (0..placed.len()).filter(|&node| placed.get(node).is_some_and(|p| p.layer == layer)).collect();
        let mean = |node: usize| {
            let near = edges.iter().filter_map(|edge| match edge {
                Edge { from, to, .. } if *from == node => heights.get(*to),
                Edge { from, to, .. } if *to == node => heights.get(*from),
                _ => None,
            });
            let (sum, count) = near.fold((0.0, 0.0), |(sum, count), height| (sum + height, count + 1.0));
            if count > 0.0 { sum / count } else { 0.5 }
        };
        let means: HashMap<usize, f64> = members.iter().map(|&node| (node, mean(node))).collect();
        let key = |node: &usize| means.get(node).copied().unwrap_or(0.5);
        members.sort_by(|left, right| key(left).total_cmp(&key(right)).then(left.cmp(right)));
        let step = 1.0 / f64::from(u32::try_from(members.len()).unwrap_or(1).max(1));
        let mut height = step / 2.0;
        for (row, node) in members.into_iter().enumerate() {
            if let (Some(here), Some(stored)) = (placed.get_mut(node), heights.get_mut(node)) {
                here.row = row;
                *stored = height;
            }
            height += step;
        }
    };
    // The first order is that of the rise.
    for layer in (0..layers).rev() {
        order(placed, &mut heights, layer);
    }
    for _ in 0..8 {
        for layer in 0..layers {
            order(placed, &mut heights, layer);
        }
        for layer in (0..layers).rev() {
            order(placed, &mut heights, layer);
        }
    }
}
