//! Powers of one base that does not change: a comb of precomputed products.

use std::fmt;
use std::sync::Arc;

use num_bigint::BigUint;

use crate::context::Context;
use crate::pow::Digits;
use crate::wiped::Wiped;
use crate::words;
use crate::{ArithError, Modulus, Residue, SecretInt};

/// A table for powers of one base with exponents up to a fixed number of bits (Lim and Lee's comb, CRYPTO '94).
///
/// The exponent's bits are written into `rows` rows of `columns` columns each. A column's bits, read upwards, are one
/// index into a table of 2^rows products; the columns are cut into `blocks` blocks with a table each, so that only
/// `columns/blocks − 1` squarings remain.
#[derive(Clone)]
#[doc(alias("comb", "precomputation", "powm"))]
pub struct FixedBase {
    context: Arc<Context>,
    base: Residue,
    exponent_bits: u64,
    shape: Shape,
    /// For each block, the 2^rows products, from index 0 (which is 1).
    table: Wiped,
}

/// Tables of up to this size are taken to stay in the second-level cache.
const NEAR_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    rows: u64,
    /// Columns of one block.
    width: u64,
    blocks: u64,
}

impl Shape {
    fn new(exponent_bits: u64, rows: u64, blocks: u64) -> Self {
        let width = exponent_bits.div_ceil(rows).max(1).div_ceil(blocks);
        Self { rows, width, blocks: exponent_bits.div_ceil(rows).max(1).div_ceil(width) }
    }

    fn entries(self) -> u64 {
        self.blocks << self.rows
    }

    /// Cost of a constant-time power in 1/128 of a multiplication: the look-up of an entry counts 1, or 2 where the table
    /// does not stay in a core's own cache.
    fn cost(self, entry_bytes: u64) -> u64 {
        let far = self.entries() * entry_bytes > NEAR_BYTES;
        let look_up = 128 + ((1 + u64::from(far)) << self.rows);
        self.width * self.blocks * look_up + 112 * (self.width - 1)
    }

    /// The cheapest shape of at most `entries` entries; among equal ones the smallest.
    fn best(exponent_bits: u64, entries: u64, entry_bytes: u64) -> Option<Self> {
        let columns = |rows: u64| exponent_bits.div_ceil(rows).max(1);
        (1..=10)
            .flat_map(|rows| (1..=columns(rows)).map(move |blocks| Self::new(exponent_bits, rows, blocks)))
            .filter(|shape| shape.entries() <= entries)
            .min_by_key(|shape| (shape.cost(entry_bytes), shape.entries()))
    }
}

impl fmt::Debug for FixedBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedBase")
            .field("exponent_bits", &self.exponent_bits)
            .field("table_bytes", &self.table_bytes())
            .finish_non_exhaustive()
    }
}

impl FixedBase {
    /// A table for exponents of up to `exponent_bits` bits in at most `table_bytes` bytes.
    ///
    /// The shape that makes constant-time powers fastest is chosen; it may be smaller than what is allowed.
    ///
    /// # Errors
    /// [`ArithError::TableTooSmall`] where not even two residues fit into `table_bytes`.
    pub fn new(
        modulus: &Modulus,
        base: &Residue,
        exponent_bits: u64,
        table_bytes: usize,
    ) -> Result<Self, ArithError> {
        let entry_bytes = modulus.residue_bytes();
        let entries = u64::try_from(table_bytes / entry_bytes).unwrap_or(u64::MAX);
        let shape = Shape::best(exponent_bits, entries, entry_bytes as u64)
            .ok_or(ArithError::TableTooSmall { needed: 2 * entry_bytes, given: table_bytes })?;
        let base = modulus.wrap(Wiped::from(&*modulus.own(base)));
        let table = fill(modulus, &base, shape);
        Ok(Self { context: Arc::clone(&modulus.context), base, exponent_bits, shape, table })
    }

    /// Bytes of memory that the table takes.
    pub fn table_bytes(&self) -> usize {
        self.table.len() * 8
    }

    /// Greatest number of bits of an exponent that the table serves.
    pub fn exponent_bits(&self) -> u64 {
        self.exponent_bits
    }

    /// `base^exponent`.
    ///
    /// # Security
    /// Constant time: every entry of a block's table is read for every column. An exponent whose public bound
    /// exceeds [`FixedBase::exponent_bits`] is served without the table, also in constant time.
    pub fn pow(&self, exponent: &SecretInt) -> Residue {
        if exponent.bits() > self.exponent_bits {
            return self.modulus().pow(&self.base, exponent);
        }
        let digits = Digits::with_bits(exponent.expose(), self.exponent_bits);
        self.run(&digits, |out, block, digit| self.context.select(out, block, digit))
    }

    /// `base^exponent`.
    ///
    /// # Security
    /// The time taken depends on the exponent: for public exponents only. Longer exponents are served without the
    /// table.
    pub fn vartime_pow(&self, exponent: &BigUint) -> Residue {
        if exponent.bits() > self.exponent_bits {
            return self.modulus().vartime_pow(&self.base, exponent);
        }
        let n = self.context.words();
        let digits = Digits::with_bits(exponent, self.exponent_bits);
        self.run(&digits, |out, block, digit| {
            out.copy_from_slice(&block[words::index(digit) * n..(words::index(digit) + 1) * n]);
        })
    }

    pub(crate) fn modulus(&self) -> Modulus {
        Modulus { context: Arc::clone(&self.context) }
    }

    /// Calls `step` for each column and block, in the order of the multiplications: whether to square before, the block's
    /// table, and the positions of the exponent's bits that make the index into it, lowest first.
    pub(crate) fn for_each_column(
        &self,
        mut step: impl FnMut(bool, &[u64], std::iter::StepBy<std::ops::Range<u64>>),
    ) {
        let Shape { rows, width, blocks } = self.shape;
        let block_words = self.context.words() << rows;
        let columns = width * blocks;
        for column in (0..width).rev() {
            for (block, table) in (0..blocks).zip(self.table.chunks_exact(block_words)) {
                let lowest = block * width + column;
                let positions = (lowest..lowest + rows * columns).step_by(words::index(columns));
                step(block == 0 && column + 1 != width, table, positions);
            }
        }
    }

    fn run(&self, digits: &Digits, look_up: impl Fn(&mut [u64], &[u64], u64)) -> Residue {
        let context = &*self.context;
        let modulus = self.modulus();
        let mut scratch = modulus.scratch();
        let mut acc = Wiped::from(context.one());
        let mut entry = Wiped::zeros(context.words());
        self.for_each_column(|square, table, positions| {
            if square {
                context.square_assign(&mut acc, &mut scratch);
            }
            look_up(&mut entry, table, digits.gather(positions));
            context.mul_assign(&mut acc, &entry, &mut scratch);
        });
        modulus.wrap_loose(acc)
    }
}

/// All products: entry `index` of block v is ∏ base^(2^(row·width·blocks + v·width)) over the set bits `row` of `index`.
fn fill(modulus: &Modulus, base: &Residue, shape: Shape) -> Wiped {
    let Shape { rows, width, .. } = shape;
    let context = &*modulus.context;
    let n = context.words();
    let mut scratch = modulus.scratch();
    let mut table = Wiped::zeros(n * words::index(shape.entries()));
    let block_words = n << rows;
    let mut power = base.words.clone();
    for row in 0..rows {
        for block in table.chunks_exact_mut(block_words) {
            if row == 0 {
                block[..n].copy_from_slice(context.one());
            }
            // The entries with this row's bit as their highest one are those without it, times the power.
            let (made, next) = block.split_at_mut(n << row);
            for (from, to) in made.chunks_exact(n).zip(next.chunks_exact_mut(n)) {
                to.copy_from_slice(from);
                context.mul_assign(to, &power, &mut scratch);
            }
            for _ in 0..width {
                context.square_assign(&mut power, &mut scratch);
            }
        }
    }
    table
}
