//! One tree on the grid (E2 of docs/protocols/decision-tree.md).

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::{QuantizeError, QuantizedNode};
use crate::model::{LeafWeight, MAX_NODES, Model, Node, Rule, Tree};
use crate::schema::{MissingCell, Samples, Schema, at_most};
use crate::{Error, Result};

/// Cells up to and including the number go to this node of the source, in increasing order to the last cell.
type Segments = Vec<(i32, usize)>;

/// Copies a tree, without splits that the cells above them decide. Equal subtrees become one.
pub(super) struct Grower<'a, L> {
    schema: &'a Schema,
    model: &'a Model,
    samples: Option<&'a [Samples]>,
    source: &'a Tree,
    leaf: L,
    /// The last cell of each feature.
    last: Vec<i32>,
    /// The cells of each feature that can still occur here.
    intervals: Vec<(i32, i32)>,
    nodes: Vec<QuantizedNode>,
    unique: HashMap<QuantizedNode, usize>,
    /// Nodes of the source that are reached in several ways.
    shared: Vec<bool>,
    /// What such a node became, by the cells that could occur of the features below it.
    known: HashMap<(usize, Vec<(i32, i32)>), usize>,
    features_below: HashMap<usize, Rc<[usize]>>,
    steps_left: usize,
}

impl<'a, L: Fn(&[LeafWeight]) -> Result<Vec<u32>>> Grower<'a, L> {
    pub(super) fn new(
        model: &'a Model,
        schema: &'a Schema,
        samples: Option<&'a [Samples]>,
        source: &'a Tree,
        leaf: L,
    ) -> Result<Self> {
        let place = "quantise: a grid has more than 2^31 cells";
        let cell = |cell| i32::try_from(cell).map_err(|_| Error::Internal { place });
        let last: Vec<i32> = schema.last_cells().map(cell).collect::<Result<_>>()?;
        let mut parents = vec![0usize; source.nodes().len()];
        for node in source.nodes() {
            if let Node::Split { left, right, .. } = node {
                [left, right].into_iter().for_each(|child| parents[*child] += 1);
            }
        }
        Ok(Self {
            schema,
            model,
            samples,
            source,
            leaf,
            intervals: last.iter().map(|last| (0, *last)).collect(),
            last,
            nodes: vec![],
            unique: HashMap::new(),
            shared: parents.into_iter().map(|parents| parents > 1).collect(),
            known: HashMap::new(),
            features_below: HashMap::new(),
            steps_left: MAX_NODES,
        })
    }

    /// The whole tree: the root first, children behind their parents.
    pub(super) fn run(mut self) -> Result<Vec<QuantizedNode>> {
        let root = self.grow(0)?;
        Ok(in_order(&self.nodes, root))
    }

    /// Copies the subtree at `source` and returns its index among `nodes`. The depth is at most [`crate::model::MAX_DEPTH`].
    fn grow(&mut self, source: usize) -> Result<usize> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or(QuantizeError::TooLarge)?;
        let key = self.shared[source].then(|| {
            let features = self.features_below(source);
            (source, features.iter().map(|feature| self.intervals[*feature]).collect())
        });
        if let Some(&known) = key.as_ref().and_then(|key| self.known.get(key)) {
            return Ok(known);
        }
        let tree = self.source;
        let grown = match &tree.nodes()[source] {
            Node::Leaf { weights } => {
                let values = (self.leaf)(weights)?;
                self.push(QuantizedNode::Leaf { values })
            }
            Node::Split { feature, rule, threshold, left, right } => {
                let segments = self.segments(*feature, *rule, *threshold, (*left, *right))?;
                if segments.len() > 2 {
                    [*left, *right].into_iter().for_each(|child| self.shared[child] = true);
                }
                self.grow_segments(*feature, &segments)?
            }
        };
        if let Some(key) = key {
            self.known.insert(key, grown);
        }
        Ok(grown)
    }

    fn grow_segments(&mut self, feature: usize, segments: &[(i32, usize)]) -> Result<usize> {
        let place = "quantise: a cell is behind the last one";
        let (&(last, child), rest) = segments.split_first().ok_or(Error::Internal { place })?;
        let (low, high) = self.intervals[feature];
        if last < low {
            return self.grow_segments(feature, rest);
        }
        if last >= high {
            return self.grow(child);
        }
        self.intervals[feature] = (low, last);
        let left = self.grow(child)?;
        self.intervals[feature] = (last + 1, high);
        let right = self.grow_segments(feature, rest)?;
        self.intervals[feature] = (low, high);
        if left == right {
            return Ok(left);
        }
        let place = "quantise: a threshold is below the grid's first cell";
        let threshold = u32::try_from(last).map_err(|_| Error::Internal { place })?;
        Ok(self.push(QuantizedNode::Split { feature, threshold, left, right }))
    }

    /// Where the cells of a split's feature go.
    fn segments(
        &self,
        feature: usize,
        rule: Rule,
        threshold: f64,
        (left, right): (usize, usize),
    ) -> Result<Segments> {
        let (last, cell) = (self.last[feature], self.schema.missing_cell(feature));
        let missing = match (cell, rule.missing_goes_left()) {
            (MissingCell::Refused, _) => None,
            (_, Some(left_side)) => Some(if left_side { left } else { right }),
            (_, None) => return Err(QuantizeError::MissingRefused { feature }.into()),
        };
        let first = i32::from(cell == MissingCell::First);
        let last_value = last - i32::from(cell == MissingCell::Last);
        // The last cell of those that go left.
        let split = if rule == Rule::Missing { -1 } else { self.place(feature, rule, threshold)? } + first;
        let mut segments = vec![];
        let mut add = |last: i32, child: usize| match segments.last_mut() {
            Some((before, same)) if *same == child => *before = last,
            _ => segments.push((last, child)),
        };
        if let (MissingCell::First, Some(child)) = (cell, missing) {
            add(0, child);
        }
        if split >= first {
            add(split.min(last_value), left);
        }
        if split < last_value {
            add(last_value, right);
        }
        if let (MissingCell::Last, Some(child)) = (cell, missing) {
            add(last, child);
        }
        Ok(segments)
    }

    /// The last cell that goes left, counted without the missing cell; −1 where none does.
    fn place(&self, feature: usize, rule: Rule, threshold: f64) -> Result<i32> {
        let threshold = at_most(rule, threshold, self.model.parts().precision);
        match self.samples.and_then(|samples| samples.get(feature)) {
            Some(samples) => self.schema.place(feature, threshold, samples),
            None => self.schema.snap(feature, threshold),
        }
    }

    fn push(&mut self, node: QuantizedNode) -> usize {
        *self.unique.entry(node).or_insert_with_key(|node| {
            self.nodes.push(node.clone());
            self.nodes.len() - 1
        })
    }

    /// The features of all splits from a node of the source on.
    fn features_below(&mut self, source: usize) -> Rc<[usize]> {
        if let Some(features) = self.features_below.get(&source) {
            return Rc::clone(features);
        }
        let mut seen = HashSet::from([source]);
        let mut features = std::collections::BTreeSet::new();
        let mut open = vec![source];
        while let Some(index) = open.pop() {
            if let Node::Split { feature, left, right, .. } = &self.source.nodes()[index] {
                features.insert(*feature);
                open.extend([*left, *right].into_iter().filter(|child| seen.insert(*child)));
            }
        }
        let features: Rc<[usize]> = features.into_iter().collect();
        self.features_below.insert(source, Rc::clone(&features));
        features
    }
}

/// Keeps what `root` reaches, the root first and children behind their parents.
fn in_order(nodes: &[QuantizedNode], root: usize) -> Vec<QuantizedNode> {
    // The order in which a walk leaves nodes for good, reversed.
    let mut order = vec![];
    let mut entered = vec![false; nodes.len()];
    let mut open = vec![(root, false)];
    while let Some((index, left_for_good)) = open.pop() {
        if left_for_good {
            order.push(index);
        } else if !std::mem::replace(&mut entered[index], true) {
            open.push((index, true));
            if let QuantizedNode::Split { left, right, .. } = &nodes[index] {
                open.extend([(*right, false), (*left, false)]);
            }
        }
    }
    order.reverse();
    let mut places = vec![0; nodes.len()];
    order.iter().enumerate().for_each(|(place, index)| places[*index] = place);
    let moved = |index: &usize| {
        let mut node = nodes[*index].clone();
        if let QuantizedNode::Split { left, right, .. } = &mut node {
            (*left, *right) = (places[*left], places[*right]);
        }
        node
    };
    order.iter().map(moved).collect()
}
