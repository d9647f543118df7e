//! From a file's nodes, in whatever order and with whatever comparison, to a [`Tree`].

use super::ImportError;
use super::emit::{Emitter, in_order};
use crate::model::{LeafWeight, Node, Tree};

/// A comparison as files name it. The left branch is the one taken where it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
}

/// A node as it stands in a file, its children given by position among the tree's nodes.
#[derive(Clone, Debug)]
pub(super) enum FileNode {
    Leaf(Vec<LeafWeight>),
    Branch {
        comparison: Comparison,
        feature: usize,
        threshold: f64,
        yes: usize,
        no: usize,
        /// Whether a missing value goes to `yes`; `None` where it is refused.
        missing: Option<bool>,
    },
    /// A set of categories.
    Members {
        feature: usize,
        /// The numbers from the first on and less than the second; in increasing order and apart from each other.
        members: Vec<(f64, f64)>,
        yes: usize,
        no: usize,
        missing: Option<bool>,
    },
}

/// A tree as it stands in a file; the root is the node at position 0.
#[derive(Debug)]
pub(super) struct FileTree {
    /// The tree's id in the file, for messages.
    pub(super) id: i64,
    /// Each node with its id in the file, for messages.
    pub(super) nodes: Vec<(i64, FileNode)>,
    /// Whether nodes that nothing points to are an error (`false`: they were deleted by pruning).
    pub(super) all_reachable: bool,
    /// Whether a node may have several parents.
    pub(super) shared: bool,
}

impl FileTree {
    /// The tree in this crate's form: every comparison as ≤ or <, the root first.
    pub(super) fn into_tree(self, nodes_left: &mut usize) -> Result<Tree, ImportError> {
        self.check_parents()?;
        let mut emitter = Emitter::new(nodes_left);
        let mut places = vec![Place::New; self.nodes.len()];
        let mut open = vec![0usize];
        while let Some(&position) = open.last() {
            let Some((_, node)) = self.nodes.get(position) else {
                return Err(self.fault(position, "it does not exist"));
            };
            let children = node.children();
            match places[position] {
                Place::New => {
                    places[position] = Place::Open;
                    for child in children {
                        match places.get(child) {
                            Some(Place::New) => open.push(child),
                            Some(Place::Done(_)) => {}
                            _ => return Err(self.fault(position, "a child is above it")),
                        }
                    }
                }
                // Its children are done.
                Place::Open => {
                    let place = |child: usize| match places.get(child) {
                        Some(Place::Done(index)) => Ok(*index),
                        _ => Err(self.fault(position, "a child is above it")),
                    };
                    let index = match node {
                        FileNode::Leaf(weights) => emitter.push(Node::Leaf { weights: weights.clone() })?,
                        FileNode::Branch { threshold, .. } if threshold.is_nan() => {
                            return Err(self.fault(position, "its threshold is not a number"));
                        }
                        FileNode::Branch { comparison, feature, threshold, yes, no, missing } => emitter
                            .branch(
                                *comparison,
                                *feature,
                                *threshold,
                                (place(*yes)?, place(*no)?),
                                *missing,
                            )?,
                        FileNode::Members { feature, members, yes, no, missing } => {
                            emitter.members(*feature, members, (place(*yes)?, place(*no)?), *missing)?
                        }
                    };
                    places[position] = Place::Done(index);
                    open.pop();
                }
                Place::Done(_) => {
                    open.pop();
                }
            }
        }
        if self.all_reachable
            && let Some(position) = places.iter().position(|place| matches!(place, Place::New))
        {
            return Err(self.fault(position, "no path from the root leads here"));
        }
        let root = match places.first() {
            Some(Place::Done(index)) => *index,
            _ => return Err(self.fault(0, "it has no root")),
        };
        Ok(Tree::new(in_order(emitter.nodes, root)))
    }

    /// Children exist, the root is none, and no node has two parents unless it may.
    fn check_parents(&self) -> Result<(), ImportError> {
        let mut has_parent = vec![false; self.nodes.len()];
        for (id, node) in &self.nodes {
            for child in node.children() {
                let reason = match has_parent.get_mut(child) {
                    None => "a child does not exist",
                    Some(_) if child == 0 => "a child is the root",
                    Some(true) if !self.shared => "a child has another parent as well",
                    Some(first) => {
                        *first = true;
                        continue;
                    }
                };
                return Err(ImportError::Tree { tree: self.id, node: *id, reason });
            }
        }
        Ok(())
    }

    fn fault(&self, position: usize, reason: &'static str) -> ImportError {
        let node = self.nodes.get(position).map_or(-1, |(id, _)| *id);
        ImportError::Tree { tree: self.id, node, reason }
    }
}

impl FileNode {
    fn children(&self) -> impl Iterator<Item = usize> + use<> {
        let children = match self {
            Self::Leaf(_) => None,
            Self::Branch { yes, no, .. } | Self::Members { yes, no, .. } => Some([*yes, *no]),
        };
        children.into_iter().flatten()
    }
}

/// How far a node of the file has been copied.
#[derive(Clone, Copy)]
enum Place {
    New,
    Open,
    /// To this index.
    Done(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(comparison: Comparison, yes: usize, no: usize) -> (i64, FileNode) {
        (0, FileNode::Branch { comparison, feature: 0, threshold: 2.0, yes, no, missing: None })
    }

    fn leaf(output: usize) -> (i64, FileNode) {
        (0, FileNode::Leaf(vec![LeafWeight { output, weight: 1.0 }]))
    }

    fn walk(tree: &Tree, x: f64) -> usize {
        let mut index = 0;
        loop {
            match &tree.nodes()[index] {
                Node::Leaf { weights } => return weights[0].output,
                Node::Split { rule, threshold, left, right, .. } => {
                    index = if rule.holds(x, *threshold) { *left } else { *right };
                }
            }
        }
    }

    #[test]
    fn every_comparison_keeps_its_meaning() {
        type Meaning = fn(f64) -> bool;
        let cases: [(Comparison, Meaning); 6] = [
            (Comparison::LessOrEqual, |x| x <= 2.0),
            (Comparison::Less, |x| x < 2.0),
            (Comparison::GreaterOrEqual, |x| x >= 2.0),
            (Comparison::Greater, |x| x > 2.0),
            (Comparison::Equal, |x| x == 2.0),
            (Comparison::NotEqual, |x| x != 2.0),
        ];
        for (comparison, meaning) in cases {
            let nodes = vec![branch(comparison, 2, 1), leaf(0), leaf(1)];
            let tree =
                FileTree { id: 0, nodes, all_reachable: true, shared: false }.into_tree(&mut 10).unwrap();
            for x in [-1.0, 1.0, 2.0f64.next_down(), 2.0, 2.0f64.next_up(), 3.0] {
                assert_eq!(walk(&tree, x), usize::from(meaning(x)), "{comparison:?} at {x}");
            }
        }
    }

    #[test]
    fn an_equality_copies_its_other_branch_whole() {
        let nodes =
            vec![branch(Comparison::Equal, 1, 2), leaf(7), branch(Comparison::Less, 3, 4), leaf(0), leaf(1)];
        let tree = FileTree { id: 0, nodes, all_reachable: true, shared: false }.into_tree(&mut 100).unwrap();
        assert_eq!([1.0, 2.0, 3.0].map(|x| walk(&tree, x)), [0, 7, 1]);
    }

    #[test]
    fn what_is_not_a_tree_is_refused_by_node() {
        let two_parents = vec![branch(Comparison::Less, 1, 1), leaf(0)];
        let cycle = vec![branch(Comparison::Less, 1, 2), branch(Comparison::Less, 0, 3), leaf(0), leaf(0)];
        let nowhere = vec![branch(Comparison::Less, 1, 9), leaf(0)];
        let island = vec![leaf(0), branch(Comparison::Less, 2, 3), leaf(0), leaf(0)];
        for nodes in [two_parents, cycle, nowhere, island] {
            let refused = FileTree { id: 5, nodes, all_reachable: true, shared: false }.into_tree(&mut 100);
            assert!(matches!(refused, Err(ImportError::Tree { tree: 5, .. })), "{refused:?}");
        }
        let empty = FileTree { id: 5, nodes: vec![], all_reachable: true, shared: false }.into_tree(&mut 100);
        assert!(matches!(empty, Err(ImportError::Tree { .. })));
    }

    #[test]
    fn a_node_with_several_parents_stands_below_each() {
        let nodes = vec![branch(Comparison::Equal, 1, 2), leaf(7), branch(Comparison::Less, 1, 3), leaf(0)];
        let tree = FileTree { id: 0, nodes, all_reachable: true, shared: true }.into_tree(&mut 100).unwrap();
        assert_eq!([1.0, 2.0, 3.0].map(|x| walk(&tree, x)), [7, 7, 0]);
        let cycle = vec![
            branch(Comparison::Less, 1, 2),
            branch(Comparison::Less, 3, 2),
            leaf(0),
            branch(Comparison::Less, 1, 2),
        ];
        let refused = FileTree { id: 5, nodes: cycle, all_reachable: true, shared: true }.into_tree(&mut 100);
        assert!(matches!(refused, Err(ImportError::Tree { tree: 5, .. })), "{refused:?}");
    }

    /// Chains of equalities, as exporters write sets of categories, share their branches.
    #[test]
    fn chains_of_equalities_take_two_nodes_each() {
        let mut nodes: Vec<_> = (0..60).map(|i| branch(Comparison::Equal, 61 + i, i + 1)).collect();
        nodes.extend((0..61).map(|_| leaf(0)));
        let mut left = 60 * 2 + 61;
        let tree = FileTree { id: 0, nodes, all_reachable: true, shared: false };
        assert_eq!((tree.into_tree(&mut left).unwrap().nodes().len(), left), (60 * 2 + 61, 0));
        let nodes = vec![branch(Comparison::Less, 1, 2), leaf(0), leaf(1)];
        let refused = FileTree { id: 0, nodes, all_reachable: true, shared: false }.into_tree(&mut 2);
        assert!(matches!(refused, Err(ImportError::TooLarge { .. })), "{refused:?}");
    }

    /// Infinite thresholds and missing values, for every comparison.
    #[test]
    fn every_value_takes_its_branch_at_infinite_thresholds_and_where_it_is_missing() {
        type Meaning = fn(f64, f64) -> bool;
        let cases: [(Comparison, Meaning); 6] = [
            (Comparison::LessOrEqual, |x, t| x <= t),
            (Comparison::Less, |x, t| x < t),
            (Comparison::GreaterOrEqual, |x, t| x >= t),
            (Comparison::Greater, |x, t| x > t),
            (Comparison::Equal, |x, t| x == t),
            (Comparison::NotEqual, |x, t| x != t),
        ];
        for (comparison, meaning) in cases {
            for threshold in [f64::NEG_INFINITY, -1.0, 0.0, 2.0, f64::INFINITY] {
                for missing in [false, true] {
                    let node = FileNode::Branch {
                        comparison,
                        feature: 0,
                        threshold,
                        yes: 2,
                        no: 1,
                        missing: Some(missing),
                    };
                    let nodes = vec![(0, node), leaf(0), leaf(1)];
                    let tree = FileTree { id: 0, nodes, all_reachable: true, shared: false };
                    let tree = tree.into_tree(&mut 10).unwrap();
                    for x in [f64::NEG_INFINITY, f64::MIN, -1.0, 0.0, 2.0, 3.0, f64::MAX, f64::INFINITY] {
                        let expected = usize::from(meaning(x, threshold));
                        assert_eq!(walk(&tree, x), expected, "{comparison:?} {threshold} at {x}");
                    }
                    assert_eq!(walk(&tree, f64::NAN), usize::from(missing), "{comparison:?} {threshold}");
                }
            }
        }
        let nan = vec![
            (
                0,
                FileNode::Branch {
                    comparison: Comparison::Less,
                    feature: 0,
                    threshold: f64::NAN,
                    yes: 1,
                    no: 2,
                    missing: None,
                },
            ),
            leaf(0),
            leaf(1),
        ];
        let refused = FileTree { id: 0, nodes: nan, all_reachable: true, shared: false }.into_tree(&mut 10);
        assert!(matches!(refused, Err(ImportError::Tree { .. })), "{refused:?}");
    }

    #[test]
    fn members_are_told_from_the_rest() {
        for missing in [false, true] {
            for members in [vec![], vec![(0.0, 1.0)], vec![(-1.0, 2.0), (3.0, 4.0), (7.0, 9.0)]] {
                let node = FileNode::Members {
                    feature: 0,
                    members: members.clone(),
                    yes: 2,
                    no: 1,
                    missing: Some(missing),
                };
                let nodes = vec![(0, node), leaf(0), leaf(1)];
                let tree = FileTree { id: 0, nodes, all_reachable: true, shared: false };
                let tree = tree.into_tree(&mut 20).unwrap();
                for x in (-8..40).map(|x| f64::from(x) / 4.0) {
                    let expected = members.iter().any(|(first, end)| *first <= x && x < *end);
                    assert_eq!(walk(&tree, x), usize::from(expected), "{members:?} at {x}");
                }
                assert_eq!(walk(&tree, f64::NAN), usize::from(missing), "{members:?}");
            }
        }
    }
}
