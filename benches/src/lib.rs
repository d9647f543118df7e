//! Shared helpers of the benches: repeatable numbers, and measurements side by side with a reference.

use cpu_time::ThreadTime;
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

/// CPU time for which a job is repeated in one measurement, in seconds.
const MEASUREMENT: f64 = 0.02;

/// Measures both jobs `rounds` times in turn, so that a busy moment of the machine meets both.
///
/// Times are CPU times of the calling thread: what other processes take away does not count, and neither would threads
/// that a job starts.
pub fn side_by_side(
    what: &str,
    reference: &str,
    reach: Option<f64>,
    rounds: usize,
    mut ours: impl FnMut(),
    mut theirs: impl FnMut(),
) -> Row {
    let (mut our_times, mut their_times, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (our_count, their_count) = (repetitions(&mut ours), repetitions(&mut theirs));
    for _ in 0..rounds {
        let ours = seconds(our_count, &mut ours);
        let theirs = seconds(their_count, &mut theirs);
        our_times.push(ours);
        their_times.push(theirs);
        ratios.push(ours / theirs);
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

/// Runs that fill one measurement, found by two runs of which the first fills the caches.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at least 1, and small enough after `min`"
)]
fn repetitions(job: &mut impl FnMut()) -> u32 {
    let _ = seconds(1, job);
    (MEASUREMENT / seconds(1, job)).ceil().clamp(1.0, 1e6) as u32
}

/// Seconds of this thread's CPU time for one of `count` runs.
fn seconds(count: u32, job: &mut impl FnMut()) -> f64 {
    let start = ThreadTime::now();
    for _ in 0..count {
        job();
    }
    start.elapsed().as_secs_f64() / f64::from(count)
}

/// The middle one, 0 for none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Prints the rows as a Markdown table.
pub fn print_table(rows: &[Row]) {
    println!("| job | ours | reference | theirs | ratio | target |");
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

/// Greatest resident memory of this process since [`reset_peak_memory`], in bytes; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    memory("VmHWM:")
}

/// Resident memory of this process, in bytes; 0 where the system does not tell.
pub fn resident_memory() -> u64 {
    memory("VmRSS:")
}

fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0) * 1024
}

/// Starts the measurement of [`peak_memory`] anew, where the system can.
pub fn reset_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
