//! Writing a file's comparisons as splits of ≤ and <, also with infinite thresholds, missing values and sets of categories.

use super::ImportError;
use super::tree::Comparison;
use crate::model::{MAX_NODES, Node, Rule};

/// The nodes so far, children before their parents.
pub(super) struct Emitter<'a> {
    pub(super) nodes: Vec<Node>,
    nodes_left: &'a mut usize,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(nodes_left: &'a mut usize) -> Self {
        Self { nodes: Vec::new(), nodes_left }
    }

    pub(super) fn push(&mut self, node: Node) -> Result<usize, ImportError> {
        *self.nodes_left = self.nodes_left.checked_sub(1).ok_or(ImportError::TooLarge {
            what: "nodes of all trees".into(),
            count: MAX_NODES + 1,
            limit: MAX_NODES,
        })?;
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    pub(super) fn branch(
        &mut self,
        comparison: Comparison,
        feature: usize,
        threshold: f64,
        (yes, no): (usize, usize),
        missing: Option<bool>,
    ) -> Result<usize, ImportError> {
        let swapped = missing.map(|to_yes| !to_yes);
        match comparison {
            Comparison::LessOrEqual => self.split(feature, false, threshold, (yes, no), missing),
            Comparison::Less => self.split(feature, true, threshold, (yes, no), missing),
            Comparison::GreaterOrEqual => self.split(feature, true, threshold, (no, yes), swapped),
            Comparison::Greater => self.split(feature, false, threshold, (no, yes), swapped),
            Comparison::Equal | Comparison::NotEqual => {
                let equal = comparison == Comparison::Equal;
                let (equal, other, to_equal) = if equal { (yes, no, missing) } else { (no, yes, swapped) };
                // x ≤ t ? (x < t ? other : equal) : other.
                let to_other = to_equal.map(|to_equal| !to_equal);
                let below = self.split(feature, true, threshold, (other, equal), to_other)?;
                self.split(feature, false, threshold, (below, other), to_equal)
            }
        }
    }

    /// Adds x < t ? left : right if `strict`, else x ≤ t ? left : right, also for infinite t.
    fn split(
        &mut self,
        feature: usize,
        strict: bool,
        threshold: f64,
        (left, right): (usize, usize),
        missing: Option<bool>,
    ) -> Result<usize, ImportError> {
        let rule = |strict| Rule::new(strict, missing);
        let (rule, threshold) = match (strict, threshold) {
            (true, f64::INFINITY) => (rule(false), f64::MAX),
            (false, f64::NEG_INFINITY) => (rule(true), f64::MIN),
            (false, f64::INFINITY) => return self.only(feature, (left, right), missing),
            (true, f64::NEG_INFINITY) => {
                return self.only(feature, (right, left), missing.map(|left| !left));
            }
            _ => (rule(strict), threshold),
        };
        self.push(Node::Split { feature, rule, threshold, left, right })
    }

    /// Every value goes to `target`; only a missing one may go to `other`.
    fn only(
        &mut self,
        feature: usize,
        (target, other): (usize, usize),
        missing: Option<bool>,
    ) -> Result<usize, ImportError> {
        if missing == Some(false) {
            let (rule, threshold) = (Rule::Missing, 0.0);
            return self.push(Node::Split { feature, rule, threshold, left: other, right: target });
        }
        Ok(target)
    }

    /// Adds a search for the interval that a value falls into.
    pub(super) fn members(
        &mut self,
        feature: usize,
        members: &[(f64, f64)],
        (yes, no): (usize, usize),
        missing: Option<bool>,
    ) -> Result<usize, ImportError> {
        // Values less than the number go to the node; the last node takes the rest.
        let mut pieces: Vec<(f64, usize)> = Vec::with_capacity(2 * members.len() + 1);
        for (first, end) in members {
            pieces.extend([(*first, no), (*end, yes)]);
        }
        pieces.push((f64::INFINITY, no));
        let target = missing.map(|to_yes| if to_yes { yes } else { no });
        match pieces[..] {
            [(_, only)] => self.only(feature, (only, yes), missing.map(|to_yes| !to_yes)),
            _ => self.search(feature, &pieces, target),
        }
    }

    fn search(
        &mut self,
        feature: usize,
        pieces: &[(f64, usize)],
        missing: Option<usize>,
    ) -> Result<usize, ImportError> {
        let (low, high) = pieces.split_at(pieces.len() / 2);
        let Some((threshold, _)) = low.last() else {
            return high.first().map(|(_, child)| *child).ok_or_else(|| ImportError::missing("categories"));
        };
        let left = self.search(feature, low, missing)?;
        let right = self.search(feature, high, missing)?;
        let missing = missing.map(|target| low.iter().any(|(_, child)| *child == target));
        self.split(feature, true, *threshold, (left, right), missing)
    }
}

/// The nodes that `root` reaches, the root first.
pub(super) fn in_order(nodes: Vec<Node>, root: usize) -> Vec<Node> {
    let mut reached = vec![false; nodes.len()];
    reached[root] = true;
    let mut places = vec![0; nodes.len()];
    let mut ordered = Vec::with_capacity(nodes.len());
    // Parents come after their children.
    for index in (0..=root).rev().filter(|index| *index < nodes.len()) {
        if !reached[index] {
            continue;
        }
        places[index] = ordered.len();
        ordered.push(nodes[index].clone());
        if let Node::Split { left, right, .. } = &nodes[index] {
            (reached[*left], reached[*right]) = (true, true);
        }
    }
    for node in &mut ordered {
        if let Node::Split { left, right, .. } = node {
            (*left, *right) = (places[*left], places[*right]);
        }
    }
    ordered
}
