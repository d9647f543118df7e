//! Products of powers: ∏ bᵢ^eᵢ with the squarings shared by all bases. For public exponents only.

use std::fmt;
use std::sync::Arc;

use num_bigint::BigUint;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::pow::{Digits, index, odd_powers, sliding_window};
use crate::{ArithError, Modulus, Residue};

/// Widest window of a [`WindowTable`], in bits.
const WINDOW_LIMIT: u32 = 12;

/// The odd powers b, b³, …, b^(2^window − 1) of one base, made once and used by many products of powers.
///
/// A table of window w takes 2^(w−1) multiplications to make and 2^(w−1) residues of memory; an exponent of e bits
/// then takes about e/(w+1) multiplications, and the e squarings are shared by all bases of a product.
#[derive(Clone)]
pub struct WindowTable {
    context: Arc<Context>,
    window: u32,
    powers: Zeroizing<Vec<u64>>,
}

impl fmt::Debug for WindowTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowTable").field("window", &self.window).finish_non_exhaustive()
    }
}

impl WindowTable {
    /// The table of `base` with a window of 1 to 12 bits.
    ///
    /// # Errors
    /// [`ArithError::WindowOutOfRange`].
    pub fn new(modulus: &Modulus, base: &Residue, window: u32) -> Result<Self, ArithError> {
        if !(1..=WINDOW_LIMIT).contains(&window) {
            return Err(ArithError::WindowOutOfRange { given: window, limit: WINDOW_LIMIT });
        }
        let powers = odd_powers(&modulus.context, &modulus.own(base), window, &mut modulus.scratch());
        Ok(Self { context: Arc::clone(&modulus.context), window, powers })
    }

    /// The window's width in bits.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// Bytes of memory that the powers take.
    pub fn table_bytes(&self) -> usize {
        self.powers.len() * 8
    }

    /// base^(2·entry + 1).
    fn power(&self, entry: usize) -> &[u64] {
        let n = self.context.words();
        &self.powers[entry * n..(entry + 1) * n]
    }

    /// The base itself.
    fn base(&self) -> Residue {
        Residue { context: Arc::clone(&self.context), words: self.power(0).to_vec() }
    }
}

/// ∏ baseᵢ^eᵢ mod m with tables of the bases and exponents of at most 64 bits.
///
/// # Security
/// The time taken depends on the exponents: for public ones, or ones whose holder computes alone and unobserved.
pub fn vartime_multi_pow_tables(modulus: &Modulus, terms: &[(&WindowTable, u64)]) -> Residue {
    let wide: Vec<_> = terms.iter().map(|&(table, exponent)| (table, u128::from(exponent))).collect();
    vartime_multi_pow_tables_wide(modulus, &wide)
}

/// As [`vartime_multi_pow_tables`] with exponents of at most 128 bits.
pub fn vartime_multi_pow_tables_wide(modulus: &Modulus, terms: &[(&WindowTable, u128)]) -> Residue {
    if terms.iter().any(|(table, _)| !modulus.context.same_form(&table.context)) {
        let (bases, exponents): (Vec<_>, Vec<_>) =
            terms.iter().map(|(table, exponent)| (table.base(), BigUint::from(*exponent))).unzip();
        return modulus.vartime_multi_pow(&bases, &exponents);
    }
    let mut steps = Steps::default();
    for (term, (table, exponent)) in terms.iter().enumerate() {
        let digits = Digits::new(&BigUint::from(*exponent));
        steps.add(term, &digits, 128 - u64::from(exponent.leading_zeros()), table.window);
    }
    steps.run(modulus, |term, entry| terms[term].0.power(entry))
}

impl Modulus {
    /// ∏ basesᵢ^exponentsᵢ, the squarings shared by all; terms without a partner in the other slice are left out.
    ///
    /// # Security
    /// The time taken depends on the exponents: for public exponents only.
    pub fn vartime_multi_pow(&self, bases: &[Residue], exponents: &[BigUint]) -> Residue {
        let mut scratch = self.scratch();
        let mut steps = Steps::default();
        let mut tables = Vec::new();
        for (base, exponent) in bases.iter().zip(exponents) {
            let window = sliding_window(exponent.bits());
            steps.add(tables.len(), &Digits::new(exponent), exponent.bits(), window);
            tables.push(odd_powers(&self.context, &self.own(base), window, &mut scratch));
        }
        let n = self.context.words();
        steps.run(self, |term, entry| &tables[term][entry * n..(entry + 1) * n])
    }
}

/// For each bit position, the table entries to multiply by there.
#[derive(Default)]
struct Steps(Vec<(u64, usize, usize)>);

impl Steps {
    /// Cuts an exponent into windows that end with a one.
    fn add(&mut self, term: usize, digits: &Digits, bits: u64, window: u32) {
        let mut low = 0;
        while low < bits {
            if !digits.bit(low) {
                low += 1;
                continue;
            }
            let width = u64::from(window).min(bits - low);
            self.0.push((low, term, index(digits.range(low, width)) >> 1));
            low += width;
        }
    }

    /// Squares from the highest position down and multiplies the entries in.
    fn run<'a>(mut self, modulus: &Modulus, power: impl Fn(usize, usize) -> &'a [u64]) -> Residue {
        self.0.sort_unstable_by_key(|step| std::cmp::Reverse(step.0));
        let context = &*modulus.context;
        let Some(&(highest, term, entry)) = self.0.first() else {
            return modulus.one();
        };
        let mut scratch = modulus.scratch();
        let mut acc = Zeroizing::new(power(term, entry).to_vec());
        let mut position = highest;
        for &(at, term, entry) in &self.0[1..] {
            while position > at {
                context.square_assign(&mut acc, &mut scratch);
                position -= 1;
            }
            context.mul_assign(&mut acc, power(term, entry), &mut scratch);
        }
        for _ in 0..position {
            context.square_assign(&mut acc, &mut scratch);
        }
        modulus.wrap_loose(acc.to_vec())
    }
}
