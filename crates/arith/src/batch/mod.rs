//! Batches: the same operation on many residues, eight at a time where the processor can.
//!
//! With the kernel [`Kernel::Ifma`] a group of eight numbers is computed side by side, one in each lane of the vector
//! unit. That takes as long for one number as for eight, so that a small rest is computed one after the other. With
//! [`Kernel::Mulx`] powers are computed by fours where the processor has AVX2. Everything else is computed one after
//! the other. The results are the same.

#[cfg(target_arch = "x86_64")]
mod eight;
#[cfg(not(target_arch = "x86_64"))]
#[path = "none.rs"]
mod eight;
mod products;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;

use num_bigint::BigUint;

pub use self::products::vartime_multi_pow_batch;
use crate::context::Context;
use crate::pow::Digits;
use crate::wiped::Wiped;
use crate::{FixedBase, Kernel, Modulus, Residue, SecretInt};

/// Numbers that the functions for batches compute side by side. Whoever splits a list for threads splits it into multiples of this.
pub const GROUP: usize = 8;

/// What is done to the numbers of a batch.
#[derive(Clone, Copy)]
enum Work {
    Power,
    /// Powers through tables, which keep the words of the kernel for one number.
    Table,
    Square,
    Multiply,
}

impl Work {
    /// Fewest numbers for which a group pays, for a modulus of so many bits: eight times the ratio of the times for one
    /// number (`cargo bench -p subrosa-benches --bench arith`), rounded up. Bringing numbers into the lanes counts for
    /// more where little is done to them.
    fn least(self, kernel: Kernel, bits: u64) -> usize {
        match kernel {
            Kernel::Ifma => {}
            Kernel::Mulx if matches!(self, Work::Power) => return 3,
            Kernel::Mulx | Kernel::Portable => return usize::MAX,
        }
        match (self, bits) {
            (Work::Power, ..1536) => 2,
            (Work::Power, ..2560) => 3,
            (Work::Power, ..3584) | (Work::Table, ..2560) => 4,
            (Work::Power, _) | (Work::Table, ..7168) | (Work::Square, ..2560) => 5,
            (Work::Table | Work::Square, _) => 6,
            (Work::Multiply, _) => 7,
        }
    }
}

impl Modulus {
    /// `base^exponent` for each base, in their order.
    ///
    /// # Security
    /// As [`Modulus::pow`]: constant time in bases and exponent. The number of bases is public.
    ///
    /// ```
    /// use subrosa_arith::{Modulus, SecretInt};
    ///
    /// let modulus = Modulus::new(&1_000_003_u32.into())?;
    /// let exponent = SecretInt::new(3_u8.into(), 16)?;
    /// let bases = [2, 5].map(|base| modulus.residue_u64(base));
    /// assert_eq!(modulus.pow_batch(&bases, &exponent), [8, 125].map(|power| modulus.residue_u64(power)));
    /// # Ok::<(), subrosa_arith::ArithError>(())
    /// ```
    #[doc(alias("powm_sec", "modular exponentiation", "multi-buffer"))]
    pub fn pow_batch(&self, bases: &[Residue], exponent: &SecretInt) -> Vec<Residue> {
        let terms: Vec<_> = bases.iter().map(|base| (base, exponent)).collect();
        self.pow_each(&terms)
    }

    /// `base^exponent` for each pair, in their order.
    ///
    /// # Security
    /// As [`Modulus::pow`]. The time depends on the number of pairs, and on the greatest of the exponents' public bounds
    /// in each group of eight pairs that follow each other.
    pub fn pow_each(&self, terms: &[(&Residue, &SecretInt)]) -> Vec<Residue> {
        in_groups(
            self,
            Work::Power,
            terms,
            |group| {
                let bases: Vec<_> = group.iter().map(|(base, _)| self.own(base)).collect();
                let bases: Vec<&[u64]> = bases.iter().map(|base| &**base).collect();
                let exponents: Vec<_> = group.iter().map(|&(_, exponent)| exponent).collect();
                eight::pow(&[&*self.context], &bases, &exponents)
            },
            |(base, exponent)| self.pow(base, exponent),
        )
    }

    /// `base^exponent` for each base, in their order.
    ///
    /// # Security
    /// The time taken depends on the exponent: for public exponents only. The bases may be secret.
    pub fn vartime_pow_batch(&self, bases: &[Residue], exponent: &BigUint) -> Vec<Residue> {
        in_groups(
            self,
            Work::Power,
            bases,
            |group| {
                let bases: Vec<_> = group.iter().map(|base| self.own(base)).collect();
                let bases: Vec<&[u64]> = bases.iter().map(|base| &**base).collect();
                eight::vartime_pow(&self.context, &bases, exponent)
            },
            |base| self.vartime_pow(base, exponent),
        )
    }

    /// The product of each pair, in their order.
    pub fn mul_batch(&self, pairs: &[(&Residue, &Residue)]) -> Vec<Residue> {
        in_groups(
            self,
            Work::Multiply,
            pairs,
            |group| {
                let a: Vec<_> = group.iter().map(|(a, _)| self.own(a)).collect();
                let b: Vec<_> = group.iter().map(|(_, b)| self.own(b)).collect();
                let a: Vec<&[u64]> = a.iter().map(|a| &**a).collect();
                let b: Vec<&[u64]> = b.iter().map(|b| &**b).collect();
                eight::mul(&self.context, &a, &b)
            },
            |(a, b)| self.mul(a, b),
        )
    }

    /// The square of each value, in their order.
    pub fn square_batch(&self, values: &[Residue]) -> Vec<Residue> {
        in_groups(
            self,
            Work::Square,
            values,
            |group| {
                let values: Vec<_> = group.iter().map(|value| self.own(value)).collect();
                let values: Vec<&[u64]> = values.iter().map(|value| &**value).collect();
                eight::square(&self.context, &values)
            },
            |value| self.square(value),
        )
    }
}

/// `base^exponent` for each modulus, base and exponent, in their order. Moduli of about the same number of bits are
/// computed side by side.
///
/// ```
/// use subrosa_arith::{Modulus, SecretInt, pow_moduli};
///
/// let exponent = SecretInt::new(10_u8.into(), 16)?;
/// let [seven, eleven] = [7_u8, 11].map(|m| Modulus::new(&m.into()));
/// let (seven, eleven) = (seven?, eleven?);
/// let (two, three) = (seven.residue_u64(2), eleven.residue_u64(3));
/// let powers = pow_moduli(&[(&seven, &two, &exponent), (&eleven, &three, &exponent)]);
/// assert_eq!(powers, [seven.residue_u64(1024), eleven.residue_u64(59_049)]);
/// # Ok::<(), subrosa_arith::ArithError>(())
/// ```
///
/// # Security
/// As [`Modulus::pow`] for each. The time depends on the sizes of the moduli, and on the exponents' public bounds as in
/// [`Modulus::pow_each`].
pub fn pow_moduli(terms: &[(&Modulus, &Residue, &SecretInt)]) -> Vec<Residue> {
    by_size(
        terms,
        |(modulus, _, exponent)| (modulus, exponent.bits()),
        |group| {
            let contexts: Vec<&Context> = group.iter().map(|(modulus, ..)| &*modulus.context).collect();
            let bases: Vec<_> = group.iter().map(|(modulus, base, _)| modulus.own(base)).collect();
            let bases: Vec<&[u64]> = bases.iter().map(|base| &**base).collect();
            let exponents: Vec<_> = group.iter().map(|(.., exponent)| *exponent).collect();
            eight::pow(&contexts, &bases, &exponents)
        },
        |(modulus, base, exponent)| modulus.pow(base, exponent),
    )
}

/// As [`pow_moduli`], for small public bases: each window costs little more than its squarings.
///
/// # Security
/// As [`pow_moduli`]; the bases are public.
pub fn pow_moduli_small_base(terms: &[(&Modulus, u64, &SecretInt)]) -> Vec<Residue> {
    by_size(
        terms,
        |(modulus, _, exponent)| (modulus, exponent.bits()),
        |group| {
            let contexts: Vec<&Context> = group.iter().map(|(modulus, ..)| &*modulus.context).collect();
            let bases: Vec<u64> = group.iter().map(|(_, base, _)| *base).collect();
            let exponents: Vec<_> = group.iter().map(|(.., exponent)| *exponent).collect();
            eight::pow_small(&contexts, &bases, &exponents).or_else(|| {
                let bases: Vec<_> =
                    group.iter().map(|(modulus, base, _)| modulus.residue_u64(*base)).collect();
                let bases: Vec<&[u64]> = bases.iter().map(|base| &*base.words).collect();
                eight::pow(&contexts, &bases, &exponents)
            })
        },
        |(modulus, base, exponent)| modulus.pow_small_base(*base, exponent),
    )
}

/// [`in_groups`] for moduli of their own, in the order of `terms`. `parts` gives a term's modulus and the bits of its exponent.
fn by_size<T: Copy>(
    terms: &[T],
    parts: impl Fn(&T) -> (&Modulus, u64),
    together: impl Fn(&[T]) -> Option<Vec<Wiped>>,
    alone: impl Fn(&T) -> Residue,
) -> Vec<Residue> {
    let size = |index: &usize| {
        let (modulus, _) = parts(&terms[*index]);
        (eight::size(&modulus.context), modulus.context.words())
    };
    // Those of one size follow each other, so that they fall into the same groups.
    let mut order: Vec<usize> = (0..terms.len()).collect();
    order.sort_by_key(|index| (size(index), parts(&terms[*index]).1));
    let mut powers: Vec<(usize, Residue)> = Vec::with_capacity(terms.len());
    for same in order.chunk_by(|a, b| size(a) == size(b)) {
        let (first, _) = parts(&terms[same[0]]);
        let found = in_groups(
            first,
            Work::Power,
            same,
            |group| together(&group.iter().map(|&index| terms[index]).collect::<Vec<_>>()),
            |&index| alone(&terms[index]),
        );
        // A group's words belong to the modulus of each of its terms.
        powers.extend(
            same.iter().zip(found).map(|(&index, power)| (index, parts(&terms[index]).0.wrap(power.words))),
        );
    }
    powers.sort_by_key(|&(index, _)| index);
    powers.into_iter().map(|(_, power)| power).collect()
}

impl FixedBase {
    /// `base^exponent` for each exponent, in their order.
    ///
    /// # Security
    /// As [`FixedBase::pow`]: for each exponent and each column, every entry of the table is read.
    pub fn pow_batch(&self, exponents: &[impl Borrow<SecretInt>]) -> Vec<Residue> {
        let modulus = self.modulus();
        in_groups(
            &modulus,
            Work::Table,
            exponents,
            |group| {
                if group.iter().any(|exponent| exponent.borrow().bits() > self.exponent_bits()) {
                    return None;
                }
                let digits: Vec<_> = group
                    .iter()
                    .map(|exponent| Digits::with_bits(exponent.borrow().expose(), self.exponent_bits()))
                    .collect();
                eight::comb(&modulus.context, self, &digits)
            },
            |exponent| self.pow(exponent.borrow()),
        )
    }
}

/// Gives groups of up to eight items to `together`, which returns reduced words for each of them, and a small rest, or
/// all where that cannot be, one by one to `alone`.
fn in_groups<T>(
    modulus: &Modulus,
    work: Work,
    items: &[T],
    mut together: impl FnMut(&[T]) -> Option<Vec<Wiped>>,
    mut alone: impl FnMut(&T) -> Residue,
) -> Vec<Residue> {
    let mut results = Vec::with_capacity(items.len());
    let mut rest = items;
    while !rest.is_empty() {
        // The kernel for four numbers runs once or twice; the second time for three numbers or more.
        let size = if modulus.kernel() == Kernel::Mulx && rest.len() < 7 { GROUP / 2 } else { GROUP };
        let (group, others) = rest.split_at(size.min(rest.len()));
        rest = others;
        let pays = group.len() >= work.least(modulus.kernel(), modulus.bits());
        let words = if pays { together(group) } else { None };
        match words {
            Some(words) => results.extend(words.into_iter().map(|words| modulus.wrap(words))),
            None => results.extend(group.iter().map(&mut alone)),
        }
    }
    results
}
