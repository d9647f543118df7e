//! Products of powers: ∏ bᵢ^eᵢ with the squarings shared by all bases. For public exponents only.

use std::fmt;
use std::sync::Arc;

use num_bigint::BigUint;

use crate::context::Context;
use crate::pow::{Digits, odd_powers, sliding_window};
use crate::wiped::Wiped;
use crate::words;
use crate::{ArithError, Modulus, Residue};

/// Widest window of a [`WindowTable`], in bits.
const WINDOW_LIMIT: u32 = 12;

/// The odd powers b, b³, …, b^(2^window − 1) of one base, made once and used by many products of powers.
///
/// A table of window w takes 2^(w−1) multiplications to make and 2^(w−1) residues of memory; an exponent of e bits
/// then takes about e/(w+1) multiplications, and the e squarings are shared by all bases of a product.
#[derive(Clone)]
#[doc(alias("sliding window", "precomputation"))]
pub struct WindowTable {
    context: Arc<Context>,
    window: u32,
    powers: Wiped,
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
    pub(crate) fn power(&self, entry: usize) -> &[u64] {
        let n = self.context.words();
        &self.powers[entry * n..(entry + 1) * n]
    }

    /// The base itself.
    fn base(&self) -> Residue {
        Residue { context: Arc::clone(&self.context), words: Wiped::from(self.power(0)) }
    }
}

/// ∏ baseᵢ^eᵢ mod m with tables of the bases and exponents of at most 64 bits.
///
/// ```
/// use subrosa_arith::{Modulus, WindowTable, vartime_multi_pow_tables};
///
/// // Two weighted products of the same bases share the tables.
/// let modulus = Modulus::new(&1_000_003_u32.into())?;
/// let tables = [2, 3].map(|base| WindowTable::new(&modulus, &modulus.residue_u64(base), 4));
/// let [two, three] = tables;
/// let (two, three) = (two?, three?);
/// let product = |a, b| modulus.to_uint(&vartime_multi_pow_tables(&modulus, &[(&two, a), (&three, b)]));
/// assert_eq!(product(3, 2), 72_u32.into());
/// assert_eq!(product(1, 5), 486_u32.into());
/// # Ok::<(), subrosa_arith::ArithError>(())
/// ```
///
/// # Security
/// The time taken depends on the exponents: for public ones, or ones whose holder computes alone and unobserved.
#[doc(alias = "multi-exponentiation")]
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
    let bits = terms.iter().map(|&(_, exponent)| bits_of(exponent)).max().unwrap_or(0);
    let buckets = Buckets::best(terms.len(), bits);
    if buckets.multiplications < by_windows(terms.iter().map(|(table, _)| *table), bits) {
        let digit = |term: usize, at, count| {
            // Buckets have far fewer than 64 bits.
            words::low(terms[term].1 >> at) & words::low_mask(count)
        };
        return buckets.run(modulus, terms.len(), bits, |term| terms[term].0.power(0), digit);
    }
    let mut steps = Steps::default();
    for (term, (table, exponent)) in terms.iter().enumerate() {
        let digits = Digits::new(&BigUint::from(*exponent));
        steps.add(term, &digits, bits_of(*exponent), table.window);
    }
    steps.run(modulus, |term, entry| terms[term].0.power(entry))
}

/// Bits of an exponent.
fn bits_of(exponent: u128) -> u64 {
    128 - u64::from(exponent.leading_zeros())
}

/// Multiplications of a product by windows, squarings left out.
fn by_windows<'a>(tables: impl Iterator<Item = &'a WindowTable>, bits: u64) -> u64 {
    tables.map(|table| bits / (u64::from(table.window) + 1)).sum()
}

impl Modulus {
    /// ∏ basesᵢ^exponentsᵢ, the squarings shared by all; terms without a partner in the other slice are left out.
    ///
    /// # Security
    /// The time taken depends on the exponents: for public exponents only.
    #[doc(alias("multi-exponentiation", "multiexp", "Straus", "Pippenger"))]
    pub fn vartime_multi_pow(&self, bases: &[Residue], exponents: &[BigUint]) -> Residue {
        let count = bases.len().min(exponents.len());
        let bits = exponents[..count].iter().map(BigUint::bits).max().unwrap_or(0);
        let buckets = Buckets::best(count, bits);
        let window = u64::from(sliding_window(bits));
        let by_windows = ((1 << (window - 1)) + bits / (window + 1)).saturating_mul(count as u64);
        if buckets.multiplications < by_windows {
            let digits: Vec<_> = exponents[..count].iter().map(Digits::new).collect();
            let owned: Vec<_> = bases[..count].iter().map(|base| self.own(base)).collect();
            let digit = |term: usize, at, count| digits[term].range(at, u64::from(count));
            return buckets.run(self, count, bits, |term| &owned[term], digit);
        }
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

/// Pippenger's way for many bases: in each window of the exponents, the bases with the same digit are multiplied into one
/// bucket, and ∏ (bucket of d)^d is formed by multiplying running products.
struct Buckets {
    window: u32,
    multiplications: u64,
}

impl Buckets {
    /// The window that costs the fewest multiplications, squarings left out.
    fn best(terms: usize, bits: u64) -> Self {
        let cost =
            |window: u32| bits.div_ceil(u64::from(window)).saturating_mul(terms as u64 + (2 << window));
        let (multiplications, window) =
            (1..=16).map(|window| (cost(window), window)).min().unwrap_or((u64::MAX, 1));
        Self { window, multiplications }
    }

    /// `base(i)` gives the words of the i-th base, `digit(i, at, count)` the `count` bits of its exponent from `at` on.
    fn run<'a>(
        &self,
        modulus: &Modulus,
        terms: usize,
        bits: u64,
        base: impl Fn(usize) -> &'a [u64],
        digit: impl Fn(usize, u64, u32) -> u64,
    ) -> Residue {
        let context = &*modulus.context;
        let n = context.words();
        let mut scratch = modulus.scratch();
        let mut acc = Wiped::from(context.one());
        let mut buckets = Wiped::zeros(n << self.window);
        let mut used = vec![false; 1 << self.window];
        for at in (0..bits.div_ceil(u64::from(self.window))).rev().map(|i| i * u64::from(self.window)) {
            for _ in 0..self.window {
                context.square_assign(&mut acc, &mut scratch);
            }
            used.fill(false);
            for term in 0..terms {
                let d = words::index(digit(term, at, self.window));
                if d == 0 {
                    continue;
                }
                let bucket = &mut buckets[d * n..(d + 1) * n];
                if used[d] {
                    context.mul_assign(bucket, base(term), &mut scratch);
                } else {
                    bucket.copy_from_slice(base(term));
                    used[d] = true;
                }
            }
            // running = ∏ of the buckets from the highest to d; its product over all d is ∏ (bucket of d)^d.
            let mut running: Option<Wiped> = None;
            for d in (1..used.len()).rev() {
                let bucket = &buckets[d * n..(d + 1) * n];
                match &mut running {
                    Some(running) if used[d] => context.mul_assign(running, bucket, &mut scratch),
                    None if used[d] => running = Some(Wiped::from(bucket)),
                    _ => {}
                }
                if let Some(running) = &running {
                    context.mul_assign(&mut acc, running, &mut scratch);
                }
            }
        }
        modulus.wrap_loose(acc)
    }
}

/// One multiplication by an entry of a term's table, at a bit position.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) position: usize,
    pub(crate) term: usize,
    pub(crate) entry: usize,
}

/// For each bit position, the table entries to multiply by there.
#[derive(Default)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    /// The steps of a product by windows; `None` where buckets are cheaper, or a table is of another modulus.
    pub(crate) fn of_tables(modulus: &Modulus, terms: &[(&WindowTable, u64)]) -> Option<Self> {
        if terms.iter().any(|(table, _)| !modulus.context.same_form(&table.context)) {
            return None;
        }
        let bits = terms.iter().map(|&(_, exponent)| bits_of(exponent.into())).max().unwrap_or(0);
        if Buckets::best(terms.len(), bits).multiplications
            < by_windows(terms.iter().map(|(table, _)| *table), bits)
        {
            return None;
        }
        let mut steps = Steps::default();
        for (term, &(table, exponent)) in terms.iter().enumerate() {
            steps.add(term, &Digits::new(&exponent.into()), bits_of(exponent.into()), table.window);
        }
        Some(steps)
    }

    /// The steps by descending positions.
    pub(crate) fn sorted(mut self) -> Vec<Step> {
        self.0.sort_unstable_by_key(|step| std::cmp::Reverse(step.position));
        self.0
    }

    /// Cuts an exponent into windows that end with a one.
    fn add(&mut self, term: usize, digits: &Digits, bits: u64, window: u32) {
        let mut low = 0;
        while low < bits {
            if !digits.bit(low) {
                low += 1;
                continue;
            }
            let width = u64::from(window).min(bits - low);
            let entry = words::index(digits.range(low, width)) >> 1;
            self.0.push(Step { position: words::index(low), term, entry });
            low += width;
        }
    }

    /// Squares from the highest position down and multiplies the entries in.
    fn run<'a>(self, modulus: &Modulus, power: impl Fn(usize, usize) -> &'a [u64]) -> Residue {
        let steps = self.sorted();
        let context = &*modulus.context;
        let Some((first, others)) = steps.split_first() else {
            return modulus.one();
        };
        let mut scratch = modulus.scratch();
        let mut acc = Wiped::from(power(first.term, first.entry));
        let mut position = first.position;
        for step in others {
            while position > step.position {
                context.square_assign(&mut acc, &mut scratch);
                position -= 1;
            }
            context.mul_assign(&mut acc, power(step.term, step.entry), &mut scratch);
        }
        for _ in 0..position {
            context.square_assign(&mut acc, &mut scratch);
        }
        modulus.wrap_loose(acc)
    }
}
