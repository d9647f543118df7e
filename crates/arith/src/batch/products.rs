//! Products of powers side by side. For public exponents only.

use super::{Work, eight, in_groups};
use crate::multi_pow::{Step, Steps, WindowTable, vartime_multi_pow_tables};
use crate::{Modulus, Residue};

/// ∏ baseᵢ^eᵢ mod m for each list of tables and exponents, in their order, as [`vartime_multi_pow_tables`]. Lists of about
/// the same work are computed side by side.
///
/// # Security
/// The time taken depends on the exponents: for public ones, or ones whose holder computes alone and unobserved.
#[doc(alias = "multi-exponentiation")]
pub fn vartime_multi_pow_batch(modulus: &Modulus, products: &[Vec<(&WindowTable, u64)>]) -> Vec<Residue> {
    let mut results: Vec<(usize, Residue)> = Vec::with_capacity(products.len());
    let mut side_by_side: Vec<(usize, Vec<Step>)> = Vec::new();
    for (index, terms) in products.iter().enumerate() {
        match Steps::of_tables(modulus, terms) {
            Some(steps) => side_by_side.push((index, steps.sorted())),
            None => results.push((index, vartime_multi_pow_tables(modulus, terms))),
        }
    }
    // Each group takes as long as its longest list.
    side_by_side.sort_by_key(|(_, steps)| steps.len());
    let found = in_groups(
        modulus,
        Work::Table,
        &side_by_side,
        |group| {
            let steps: Vec<&[Step]> = group.iter().map(|(_, steps)| &**steps).collect();
            eight::product(&modulus.context, &steps, |lane, step: Step| {
                products[group[lane].0][step.term].0.power(step.entry)
            })
        },
        |&(index, _)| vartime_multi_pow_tables(modulus, &products[index]),
    );
    results.extend(side_by_side.iter().map(|&(index, _)| index).zip(found));
    results.sort_by_key(|&(index, _)| index);
    results.into_iter().map(|(_, product)| product).collect()
}
