//! Shared helpers of the benches: repeatable numbers, and measurements side by side with a reference.

use std::time::Instant;

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use subrosa_arith::sample;

/// A generator with the same numbers in every run.
pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A number of exactly `bits` bits.
pub fn number(rng: &mut ChaCha20Rng, bits: u64) -> BigUint {
    let mut x = sample::random_bits(rng, bits);
    x.set_bit(bits - 1, true);
    x
}

/// An odd number of exactly `bits` bits.
pub fn odd_number(rng: &mut ChaCha20Rng, bits: u64) -> BigUint {
    let mut x = number(rng, bits);
    x.set_bit(0, true);
    x
}

/// A job of ours measured side by side with the reference's.
#[derive(Debug, Clone)]
pub struct Row {
    /// The job.
    pub what: String,
    /// Who does the same job for comparison.
    pub reference: String,
    /// Median of our times, in seconds.
    pub ours: f64,
    /// Median of the reference's times, in seconds.
    pub theirs: f64,
    /// Median of the ratios ours/theirs of measurements that followed each other.
    pub ratio: f64,
    /// The ratio that is to be reached, if one is.
    pub reach: Option<f64>,
}

/// Runs both jobs `rounds` times in turn, so that a busy moment of the machine meets both.
pub fn side_by_side(
    what: &str,
    reference: &str,
    reach: Option<f64>,
    rounds: usize,
    mut ours: impl FnMut(),
    mut theirs: impl FnMut(),
) -> Row {
    let (mut our_times, mut their_times, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // The first round fills caches and is not counted.
    for round in 0..=rounds {
        let ours = seconds(&mut ours);
        let theirs = seconds(&mut theirs);
        if round > 0 {
            our_times.push(ours);
            their_times.push(theirs);
            ratios.push(ours / theirs);
        }
    }
    Row {
        what: what.to_owned(),
        reference: reference.to_owned(),
        ours: median(our_times),
        theirs: median(their_times),
        ratio: median(ratios),
        reach,
    }
}

/// Wall-clock seconds of one run.
pub fn seconds(job: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    job();
    start.elapsed().as_secs_f64()
}

/// The middle one, 0 for none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Prints the rows as a Markdown table.
pub fn print_table(rows: &[Row]) {
    println!("| job | ours | reference | theirs | ratio | reach |");
    println!("| --- | ---: | --- | ---: | ---: | --- |");
    for row in rows {
        let reach = row.reach.map_or("–".to_owned(), |reach| {
            format!("≤ {} {}", factor(reach), if row.ratio <= reach { "met" } else { "MISSED" })
        });
        println!(
            "| {} | {:.3} ms | {} | {:.3} ms | {} | {reach} |",
            row.what,
            row.ours * 1e3,
            row.reference,
            row.theirs * 1e3,
            factor(row.ratio),
        );
    }
}

/// A ratio, as a quotient where it is small.
fn factor(ratio: f64) -> String {
    if ratio < 0.1 { format!("1/{:.1}", 1.0 / ratio) } else { format!("{ratio:.2}") }
}
