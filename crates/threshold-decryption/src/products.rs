//! Products of powers with short exponents, spread over the current rayon pool.

use num_bigint::BigUint;
use rayon::prelude::*;

use subrosa_arith::{Modulus, Residue};

/// Number of bases that share their squarings in one task, so large that the squarings hardly matter.
const TASK: usize = 64;

/// `∏ valuesᵢ^weightsᵢ`, with public weights.
pub(crate) fn weighted(modulus: &Modulus, values: &[BigUint], weights: &[BigUint]) -> Residue {
    let part = |(values, weights): (&[BigUint], &[BigUint])| {
        let bases: Vec<Residue> = values.iter().map(|value| modulus.residue(value)).collect();
        modulus.vartime_multi_pow(&bases, weights)
    };
    let parts = values.par_chunks(TASK).zip(weights.par_chunks(TASK)).map(part);
    parts.reduce(|| modulus.one(), |a, b| modulus.mul(&a, &b))
}
