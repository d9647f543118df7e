//! From a file's nodes, in whatever order and with whatever comparison, to a [`Tree`].

use super::ImportError;
use crate::model::{LeafWeight, MAX_DEPTH, MAX_NODES, Node, Rule, Tree};

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
    Branch { comparison: Comparison, feature: usize, threshold: f64, yes: usize, no: usize },
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
}

impl FileTree {
    /// The tree in this crate's form: node order by depth-first walk, every comparison as ≤ or <.
    pub(super) fn into_tree(self, nodes_left: &mut usize) -> Result<Tree, ImportError> {
        self.check_parents()?;
        let mut nodes = Vec::new();
        // (position in the file, depth, where the parent's index has to be written)
        let mut open = vec![(0usize, 0usize, None)];
        let mut reached = vec![false; self.nodes.len()];
        while let Some((position, depth, parent)) = open.pop() {
            let Some((id, file_node)) = self.nodes.get(position) else {
                return Err(self.fault(position, "the child does not exist"));
            };
            let fault = |reason| ImportError::Tree { tree: self.id, node: *id, reason };
            if depth > MAX_DEPTH {
                return Err(fault("the path from the root is too long"));
            }
            reached[position] = true;
            let index = nodes.len();
            let added = push(&mut nodes, file_node, depth, &mut open);
            *nodes_left = nodes_left.checked_sub(added).ok_or(ImportError::TooLarge {
                what: "nodes of all trees".into(),
                count: MAX_NODES + 1,
                limit: MAX_NODES,
            })?;
            if let Some((parent, side)) = parent {
                attach(&mut nodes, parent, side, index);
            }
        }
        if self.all_reachable
            && let Some(position) = reached.iter().position(|&reached| !reached)
        {
            return Err(self.fault(position, "no path from the root leads here"));
        }
        Ok(Tree::new(nodes))
    }

    /// No node has two parents and the root has none, so a walk from the root ends.
    fn check_parents(&self) -> Result<(), ImportError> {
        let mut has_parent = vec![false; self.nodes.len()];
        for (id, node) in &self.nodes {
            let FileNode::Branch { yes, no, .. } = node else { continue };
            for &child in [yes, no] {
                let reason = match has_parent.get_mut(child) {
                    None => "a child does not exist",
                    Some(_) if child == 0 => "a child is the root",
                    Some(true) => "a child has another parent as well",
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

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Left,
    Right,
}

/// What is still to be placed: position in the file, depth, and the parent's index and side.
type Open = Vec<(usize, usize, Option<(usize, Side)>)>;

/// Appends one node of the file (two splits for an equality) and leaves its children to be placed; says how many
/// nodes that made.
fn push(nodes: &mut Vec<Node>, node: &FileNode, depth: usize, open: &mut Open) -> usize {
    let index = nodes.len();
    let (comparison, feature, threshold, yes, no) = match node {
        FileNode::Leaf(weights) => {
            nodes.push(Node::Leaf { weights: weights.clone() });
            return 1;
        }
        FileNode::Branch { comparison, feature, threshold, yes, no } => {
            (*comparison, *feature, *threshold, *yes, *no)
        }
    };
    let split = |rule, right| Node::Split { feature, rule, threshold, left: 0, right };
    let (rule, left, right) = match comparison {
        Comparison::LessOrEqual => (Rule::LessOrEqual, yes, no),
        Comparison::Less => (Rule::Less, yes, no),
        Comparison::GreaterOrEqual => (Rule::Less, no, yes),
        Comparison::Greater => (Rule::LessOrEqual, no, yes),
        Comparison::Equal | Comparison::NotEqual => {
            let (equal, other) = if comparison == Comparison::Equal { (yes, no) } else { (no, yes) };
            // x ≤ t ? (x < t ? other : equal) : other, so `other` is written twice.
            nodes.push(split(Rule::LessOrEqual, 0));
            nodes.push(split(Rule::Less, 0));
            attach(nodes, index, Side::Left, index + 1);
            open.push((other, depth + 1, Some((index, Side::Right))));
            open.push((equal, depth + 2, Some((index + 1, Side::Right))));
            open.push((other, depth + 2, Some((index + 1, Side::Left))));
            return 2;
        }
    };
    nodes.push(split(rule, 0));
    open.push((right, depth + 1, Some((index, Side::Right))));
    open.push((left, depth + 1, Some((index, Side::Left))));
    1
}

fn attach(nodes: &mut [Node], parent: usize, side: Side, child: usize) {
    if let Some(Node::Split { left, right, .. }) = nodes.get_mut(parent) {
        match side {
            Side::Left => *left = child,
            Side::Right => *right = child,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(comparison: Comparison, yes: usize, no: usize) -> (i64, FileNode) {
        (0, FileNode::Branch { comparison, feature: 0, threshold: 2.0, yes, no })
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
            let tree = FileTree { id: 0, nodes, all_reachable: true }.into_tree(&mut 10).unwrap();
            for x in [-1.0, 1.0, 2.0f64.next_down(), 2.0, 2.0f64.next_up(), 3.0] {
                assert_eq!(walk(&tree, x), usize::from(meaning(x)), "{comparison:?} at {x}");
            }
        }
    }

    #[test]
    fn an_equality_copies_its_other_branch_whole() {
        let nodes =
            vec![branch(Comparison::Equal, 1, 2), leaf(7), branch(Comparison::Less, 3, 4), leaf(0), leaf(1)];
        let tree = FileTree { id: 0, nodes, all_reachable: true }.into_tree(&mut 100).unwrap();
        assert_eq!([1.0, 2.0, 3.0].map(|x| walk(&tree, x)), [0, 7, 1]);
    }

    #[test]
    fn what_is_not_a_tree_is_refused_by_node() {
        let two_parents = vec![branch(Comparison::Less, 1, 1), leaf(0)];
        let cycle = vec![branch(Comparison::Less, 1, 2), branch(Comparison::Less, 0, 3), leaf(0), leaf(0)];
        let nowhere = vec![branch(Comparison::Less, 1, 9), leaf(0)];
        let island = vec![leaf(0), branch(Comparison::Less, 2, 3), leaf(0), leaf(0)];
        for nodes in [two_parents, cycle, nowhere, island] {
            let refused = FileTree { id: 5, nodes, all_reachable: true }.into_tree(&mut 100);
            assert!(matches!(refused, Err(ImportError::Tree { tree: 5, .. })), "{refused:?}");
        }
        let empty = FileTree { id: 5, nodes: vec![], all_reachable: true }.into_tree(&mut 100);
        assert!(matches!(empty, Err(ImportError::Tree { .. })));
    }

    #[test]
    fn chains_of_equalities_stop_at_the_node_limit() {
        // Every link doubles what follows it.
        let mut nodes: Vec<_> = (0..60).map(|i| branch(Comparison::Equal, 61 + i, i + 1)).collect();
        nodes.extend((0..61).map(|_| leaf(0)));
        let refused = FileTree { id: 0, nodes, all_reachable: true }.into_tree(&mut 10_000);
        assert!(matches!(refused, Err(ImportError::TooLarge { .. })), "{refused:?}");
    }
}
