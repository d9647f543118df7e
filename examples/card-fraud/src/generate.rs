//! Purchases made up by a documented rule, so that the example runs without anybody's data.
//!
//! Features are drawn independently:
//!
//! | feature | distribution |
//! | --- | --- |
//! | `distance_from_home` | log-normal, median 12 km, σ = 1.4 |
//! | `distance_from_last_transaction` | log-normal, median 1.2 km, σ = 1.8 |
//! | `ratio_to_median_purchase_price` | log-normal, median 1.1, σ = 0.9 |
//! | `repeat_retailer` | 1 with probability 0.85 |
//! | `used_chip` | 1 with probability 0.35 |
//! | `used_pin_number` | 1 with probability 0.1 |
//! | `online_order` | 1 with probability 0.6 |
//!
//! A purchase is fraudulent if no PIN was used and one of these holds:
//!
//! 1. it is an online order of more than 4 times the median price;
//! 2. it is an online order from more than 120 km away from home, at a new retailer or without the chip;
//! 3. it is more than 60 km away from the last purchase, without the chip.
//!
//! One label in a thousand is then turned over, so that no model is right on every row.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::table::Purchase;

/// The share of labels that are turned over.
pub const NOISE: f64 = 0.001;

/// `count` purchases and their labels; the same seed gives the same rows.
pub fn purchases(count: usize, seed: u64) -> (Vec<Purchase>, Vec<bool>) {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let mut rows = Vec::with_capacity(count);
    let mut labels = Vec::with_capacity(count);
    for _ in 0..count {
        let row = purchase(&mut rng);
        labels.push(is_fraudulent(&row) ^ rng.random_bool(NOISE));
        rows.push(row);
    }
    (rows, labels)
}

/// The rule, without the noise.
pub fn is_fraudulent(row: &Purchase) -> bool {
    let [from_home, from_last, ratio, repeat, chip, pin, online] = *row;
    let (repeat, chip, pin, online) = (repeat == 1.0, chip == 1.0, pin == 1.0, online == 1.0);
    let dear = online && ratio > 4.0;
    let distant = online && from_home > 120.0 && !(repeat && chip);
    let jumped = from_last > 60.0 && !chip;
    !pin && (dear || distant || jumped)
}

fn purchase(rng: &mut ChaCha12Rng) -> Purchase {
    let mut log_normal = |median: f64, sigma: f64| median * (sigma * normal(rng)).exp();
    let amounts = [log_normal(12.0, 1.4), log_normal(1.2, 1.8), log_normal(1.1, 0.9)];
    let mut switch = |probability| f64::from(u8::from(rng.random_bool(probability)));
    let switches = [switch(0.85), switch(0.35), switch(0.1), switch(0.6)];
    let [a, b, c] = amounts;
    let [d, e, f, g] = switches;
    [a, b, c, d, e, f, g]
}

/// A standard normal variate (Box and Muller 1958).
fn normal(rng: &mut ChaCha12Rng) -> f64 {
    // From (0, 1], so that the logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_rows() {
        assert_eq!(purchases(50, 7), purchases(50, 7));
        assert_ne!(purchases(50, 7).0, purchases(50, 8).0);
        // A longer table begins with the shorter one.
        assert_eq!(purchases(50, 7).0, purchases(80, 7).0[..50]);
    }

    #[test]
    fn the_rows_have_the_documented_distributions() {
        let (rows, labels) = purchases(20_000, 1);
        let share = |column: usize| rows.iter().filter(|row| row[column] == 1.0).count() as f64 / 20_000.0;
        for (column, probability) in [(3, 0.85), (4, 0.35), (5, 0.1), (6, 0.6)] {
            assert!((share(column) - probability).abs() < 0.015, "column {column}");
        }
        for (column, median) in [(0, 12.0), (1, 1.2), (2, 1.1)] {
            let below = rows.iter().filter(|row| row[column] < median).count() as f64 / 20_000.0;
            assert!((below - 0.5).abs() < 0.015, "column {column}");
        }
        let turned = rows.iter().zip(&labels).filter(|(row, label)| is_fraudulent(row) != **label).count();
        assert!((5..=45).contains(&turned), "{turned}");
        let fraud = labels.iter().filter(|label| **label).count();
        assert!((800..=2_400).contains(&fraud), "{fraud}");
    }

    #[test]
    fn the_rule_is_the_documented_one() {
        assert!(is_fraudulent(&[1.0, 1.0, 4.1, 1.0, 1.0, 0.0, 1.0]));
        assert!(!is_fraudulent(&[1.0, 1.0, 4.0, 1.0, 1.0, 0.0, 1.0]));
        assert!(!is_fraudulent(&[1.0, 1.0, 4.1, 1.0, 1.0, 1.0, 1.0]));
        assert!(is_fraudulent(&[121.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0]));
        assert!(!is_fraudulent(&[121.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0]));
        assert!(is_fraudulent(&[1.0, 61.0, 1.0, 1.0, 0.0, 0.0, 0.0]));
        assert!(!is_fraudulent(&[1.0, 61.0, 1.0, 1.0, 1.0, 0.0, 0.0]));
    }
}
