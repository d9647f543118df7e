//! Does the time of an exponentiation tell about the secret exponent? A statistical test in the manner of dudect
//! (Reparaz, Balasch, Verbauwhede, *Dude, is my code constant time?*, DATE 2017).
//!
//! Two classes of exponents with the same public bound, in random order: always the same one, or a fresh random one.
//! Welch's t compares the mean times of the classes, for all measurements and with the slowest ones cut off, since
//! interrupts only ever add time. |t| above 10 is a leak; below 4.5 none is seen. The variable-time function is measured
//! in the same way, to show that the test would see a leak.
//!
//! `--features …` are not needed; `-- N` sets the measurements of each row (default 20,000).

#![allow(clippy::unwrap_used, missing_docs, reason = "bench code")]

use std::hint::black_box;
use std::time::Instant;

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use subrosa_arith::{FixedBase, Kernel, Modulus, SecretInt, pow_moduli, sample};
use subrosa_benches::{number, odd_number, rng};

/// Numbers in a batch.
const LANES: usize = 8;

/// Fixed exponents: the extremes, whose windows are all zero or all ones.
const CLASSES: [&str; 2] = ["zero", "ones"];

fn main() {
    let count = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(20_000);
    println!(
        "Welch's t of {count} measurements a row, fixed against random exponents; of the greatest magnitude over"
    );
    println!(
        "the cuts at 50, 75, 90, 99 and 100 % of the times. |t| < 4.5: no difference seen; > 10: a leak.\n"
    );
    println!("| function | kernel | fixed exponent | t |");
    println!("| --- | --- | --- | ---: |");
    let bits = 512;
    for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
        let mut rng = rng(3);
        let modulus = Modulus::with_kernel(&odd_number(&mut rng, 1024), kernel).unwrap();
        let base = modulus.residue(&number(&mut rng, 1000));
        let other = Modulus::with_kernel(&odd_number(&mut rng, 1024), kernel).unwrap();
        let comb = FixedBase::new(&modulus, &base, bits, 1 << 16).unwrap();
        for class in CLASSES {
            let fixed = match class {
                "zero" => BigUint::ZERO,
                _ => (BigUint::from(1u8) << bits) - 1u8,
            };
            let mut row = |name: &str, job: &dyn Fn(&SecretInt)| {
                let t = measure(&mut rng, count, bits, &fixed, job);
                println!("| {name} | {kernel:?} | {class} | {t:.1} |");
            };
            row("Modulus::pow", &|secret| drop(black_box(modulus.pow(&base, secret))));
            row("Modulus::pow_small_base", &|secret| drop(black_box(modulus.pow_small_base(3, secret))));
            row("FixedBase::pow", &|secret| drop(black_box(comb.pow(secret))));
            // The other lanes' exponents are all zero.
            let bases = vec![base.clone(); LANES];
            let zeros = vec![SecretInt::new(BigUint::ZERO, bits).unwrap(); LANES - 1];
            let others: Vec<_> = zeros.iter().map(|zero| (&base, zero)).collect();
            row("Modulus::pow_batch", &|secret| drop(black_box(modulus.pow_batch(&bases, secret))));
            row("Modulus::pow_each", &|secret| {
                let terms: Vec<_> = others.iter().copied().chain([(&base, secret)]).collect();
                drop(black_box(modulus.pow_each(&terms)));
            });
            row("pow_moduli", &|secret| {
                let (a, b) = ((&modulus, &base, secret), (&other, &base, secret));
                drop(black_box(pow_moduli(&[a, b, a, b, a, b, a, b])));
            });
            row("FixedBase::pow_batch", &|secret| {
                let exponents: Vec<_> = zeros.iter().chain([secret]).collect();
                drop(black_box(comb.pow_batch(&exponents)));
            });
        }
        let t = measure(&mut rng, count.min(2000), bits, &BigUint::ZERO, &|secret| {
            drop(black_box(modulus.vartime_pow(&base, secret.expose())));
        });
        println!("| Modulus::vartime_pow (must leak) | {kernel:?} | zero | {t:.1} |");
    }
}

/// The t of the greatest magnitude over the cuts.
fn measure(rng: &mut ChaCha20Rng, count: usize, bits: u64, fixed: &BigUint, job: &dyn Fn(&SecretInt)) -> f64 {
    // All inputs are made beforehand and in the same way, so that their making is not measured.
    let inputs: Vec<(bool, SecretInt)> = (0..count)
        .map(|_| {
            let random = sample::random_bits(rng, bits);
            let is_fixed = rng.next_u32() & 1 == 1;
            let value = if is_fixed { fixed.clone() } else { random };
            (is_fixed, SecretInt::new(value, bits).unwrap())
        })
        .collect();
    let times: Vec<(bool, f64)> = inputs
        .iter()
        .map(|(is_fixed, secret)| {
            let start = Instant::now();
            job(secret);
            (*is_fixed, start.elapsed().as_secs_f64())
        })
        .collect();
    let mut sorted: Vec<f64> = times.iter().map(|&(_, time)| time).collect();
    sorted.sort_by(f64::total_cmp);
    [50, 75, 90, 99, 100]
        .into_iter()
        .map(|percent| sorted[(sorted.len() * percent / 100).saturating_sub(1)])
        .map(|cut| {
            let class = |wanted: bool| -> Vec<f64> {
                times
                    .iter()
                    .filter(|&&(is, time)| is == wanted && time <= cut)
                    .map(|&(_, time)| time)
                    .collect()
            };
            welch(&class(true), &class(false))
        })
        .max_by(|a, b| a.abs().total_cmp(&b.abs()))
        .unwrap_or(0.0)
}

/// Welch's t of two samples.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let moments = |x: &[f64]| {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, variance / n)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (moments(a), moments(b));
    (mean_a - mean_b) / (error_a + error_b).sqrt()
}
