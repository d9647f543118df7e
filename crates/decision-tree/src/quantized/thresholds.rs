//! Thresholds that end in ones are cheaper: a split costs its bits less the trailing ones of its threshold.

use super::{QuantizedNode, QuantizedTree};
use crate::schema::QuantizedRow;

/// The cells that the rows reaching a split leave free around its threshold.
#[derive(Clone, Copy)]
struct Gap {
    greatest_left: Option<u32>,
    least_right: Option<u32>,
}

impl QuantizedTree {
    /// E4: moves each threshold to the cheapest place in the gap that `rows` leave.
    pub(super) fn relax(&mut self, rows: &[QuantizedRow]) {
        let mut gaps = vec![Gap { greatest_left: None, least_right: None }; self.nodes.len()];
        for row in rows {
            self.mark(row.cells(), &mut gaps);
        }
        for (node, gap) in self.nodes.iter_mut().zip(gaps) {
            if let (QuantizedNode::Split { threshold, .. }, Some(low), Some(high)) =
                (node, gap.greatest_left, gap.least_right)
            {
                *threshold = cheapest(low, high - 1, *threshold);
            }
        }
    }

    fn mark(&self, cells: &[u32], gaps: &mut [Gap]) {
        let mut index = 0;
        while let QuantizedNode::Split { feature, threshold, left, right } = &self.nodes[index] {
            let (cell, gap) = (cells[*feature], &mut gaps[index]);
            if cell <= *threshold {
                gap.greatest_left = gap.greatest_left.max(Some(cell));
                index = *left;
            } else {
                gap.least_right = Some(gap.least_right.map_or(cell, |least| least.min(cell)));
                index = *right;
            }
        }
    }
}

/// The number in `low..=high` with the most trailing ones, the nearest to `wanted` among equals.
fn cheapest(low: u32, high: u32, wanted: u32) -> u32 {
    let rank = |candidate: u32| (candidate.trailing_ones(), std::cmp::Reverse(candidate.abs_diff(wanted)));
    (low..=high).max_by_key(|&candidate| rank(candidate)).unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::cheapest;

    #[test]
    fn the_cheapest_threshold_of_a_gap() {
        assert_eq!(cheapest(4, 4, 4), 4);
        assert_eq!(cheapest(4, 10, 5), 7);
        assert_eq!(cheapest(60, 200, 61), 127);
        assert_eq!(cheapest(0, 3, 2), 3);
        assert_eq!(cheapest(8, 14, 13), 11);
    }
}
