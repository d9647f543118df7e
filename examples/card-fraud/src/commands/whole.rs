//! The whole job in one process.

use super::report;
use crate::train::{Labelled, TrainOptions, train};
use crate::{Result, generate};

/// Trains on `data`, or on `rows` made-up purchases, and judges held-out purchases.
///
/// # Errors
/// [`crate::Error::Data`] where there is too little to learn from.
pub fn run(data: Option<Labelled>, rows: usize, seed: u64, options: &TrainOptions) -> Result<()> {
    let data = data.unwrap_or_else(|| {
        let (rows, labels) = generate::purchases(rows, seed);
        Labelled { rows, labels }
    });
    let trained = train(&data, options)?;
    report(&data, &trained);
    Ok(())
}
