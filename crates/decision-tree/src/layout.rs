//! Which ciphertexts a query consists of: public, and the same for client and server.

use crate::crypto::{ParameterSet, Shape};
use crate::schema::Schema;
use crate::{Error, Result};

const NO_FEATURE: Error = Error::Internal { place: "layout: the schema does not have this feature" };

/// The ciphertexts of a query, in the order of their streams: one GGSW per bit of every feature, the monomial
/// ciphertexts, the encryptions of zero.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) shape: Shape,
    /// Bits of each feature.
    bits: Vec<u32>,
    /// Index of each feature's lowest bit.
    first_bit: Vec<usize>,
    bit_count: usize,
    /// Where each feature's blocks lie among the monomial ciphertexts.
    blocks: Vec<Vec<MonomialBlock>>,
    monomials: usize,
    /// Coefficients of a monomial ciphertext that are used; 0 where there are none.
    pub(crate) span: usize,
}

/// Cells `start..start + len` of a feature stand at coefficients `offset..offset + len` of a monomial ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MonomialBlock {
    pub(crate) ciphertext: usize,
    pub(crate) offset: usize,
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl Layout {
    pub(crate) fn new(schema: &Schema, parameters: ParameterSet) -> Self {
        let shape = parameters.shape();
        let bits: Vec<u32> = schema.bits().collect();
        let mut first_bit = Vec::with_capacity(bits.len());
        let mut bit_count = 0;
        // Selectors are made from monomials where there is a conversion key.
        if shape.conversion.is_none() {
            for &bits in &bits {
                first_bit.push(bit_count);
                bit_count += bits as usize;
            }
        }
        let span = match shape.conversion {
            None => (schema.span() as usize).min(shape.dimension),
            Some(_) => shape.dimension,
        };
        let (blocks, monomials) = place_blocks(&bits, span);
        Self { shape, bits, first_bit, bit_count, blocks, monomials, span }
    }

    /// Bits of a feature's cell.
    pub(crate) fn bits(&self, feature: usize) -> Result<u32> {
        self.bits.get(feature).copied().ok_or(NO_FEATURE)
    }

    /// How many GGSW ciphertexts there are; their streams come first.
    pub(crate) fn bit_count(&self) -> usize {
        self.bit_count
    }

    /// The index of bit `bit` of `feature`.
    pub(crate) fn bit_index(&self, feature: usize, bit: u32) -> Result<usize> {
        self.first_bit.get(feature).map(|first| first + bit as usize).ok_or(NO_FEATURE)
    }

    /// How many monomial ciphertexts there are.
    pub(crate) fn monomials(&self) -> usize {
        self.monomials
    }

    pub(crate) fn monomial_stream(&self, index: usize) -> u64 {
        (self.bit_count + index) as u64
    }

    /// How many encryptions of zero there are.
    pub(crate) fn zeros(&self) -> usize {
        self.shape.rank
    }

    pub(crate) fn zero_stream(&self, index: usize) -> u64 {
        (self.bit_count + self.monomials + index) as u64
    }

    /// The blocks of a feature; none where the span is 0.
    pub(crate) fn blocks(&self, feature: usize) -> Result<&[MonomialBlock]> {
        self.blocks.get(feature).map(Vec::as_slice).ok_or(NO_FEATURE)
    }

    /// Body coefficients of one GGSW ciphertext.
    pub(crate) fn ggsw_len(&self) -> usize {
        self.shape.rows() * self.shape.dimension
    }

    /// Bits of all bodies of a query.
    pub(crate) fn body_bits(&self) -> usize {
        self.bit_count * self.ggsw_len() * self.shape.ggsw_body_bits as usize
            + (self.monomials + self.zeros()) * self.shape.dimension * self.shape.glwe_body_bits as usize
    }
}

/// E6: cuts every feature's 2^bits cells into blocks of at most `span` and lays blocks into ciphertexts, the largest
/// first, each ciphertext using `span` coefficients. Lengths are powers of two, so that nothing is wasted but at
/// the end.
fn place_blocks(bits: &[u32], span: usize) -> (Vec<Vec<MonomialBlock>>, usize) {
    let mut blocks = vec![vec![]; bits.len()];
    if span == 0 {
        return (blocks, 0);
    }
    // A feature without bits is not sent.
    let mut order: Vec<usize> = (0..bits.len()).filter(|&feature| bits[feature] > 0).collect();
    if order.is_empty() {
        return (blocks, 0);
    }
    order.sort_by_key(|&feature| std::cmp::Reverse(bits[feature]));
    let (mut ciphertext, mut offset) = (0, 0);
    for feature in order {
        let cells = 1usize << bits[feature];
        let len = cells.min(span);
        for start in (0..cells).step_by(len) {
            if offset + len > span {
                (ciphertext, offset) = (ciphertext + 1, 0);
            }
            blocks[feature].push(MonomialBlock { ciphertext, offset, start, len });
            offset += len;
        }
    }
    (blocks, ciphertext + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_fill_ciphertexts_without_overlap() {
        let bits = [10, 1, 10, 8, 8, 1, 4];
        for span in [16usize, 64, 512] {
            let (blocks, count) = place_blocks(&bits, span);
            let mut used = vec![vec![false; span]; count];
            for (feature, blocks) in blocks.iter().enumerate() {
                assert_eq!(blocks.iter().map(|block| block.len).sum::<usize>(), 1 << bits[feature]);
                for block in blocks {
                    for cell in &mut used[block.ciphertext][block.offset..block.offset + block.len] {
                        assert!(!std::mem::replace(cell, true));
                    }
                }
            }
            let cells: usize = bits.iter().map(|bits| 1 << bits).sum();
            assert_eq!(count, cells.div_ceil(span));
        }
        assert_eq!(place_blocks(&bits, 0).1, 0);
    }
}
