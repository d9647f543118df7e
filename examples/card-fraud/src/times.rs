//! Times of a repeated step, and the format of times and sizes.

use std::fmt;
use std::time::{Duration, Instant};

/// Times of a step.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Runs the step once and records its time.
    pub fn time<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = step();
        self.0.push(start.elapsed());
        result
    }

    /// Adds the times of another step.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Returns the number of times.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the median and the 95th percentile. They are zero if there are no times.
    pub fn median_and_p95(&self) -> (Duration, Duration) {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        (at(sorted.len() / 2), at(sorted.len().saturating_mul(95) / 100))
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, p95) = self.median_and_p95();
        write!(f, "{:>9.3} ms   95 %: {:>9.3} ms", milliseconds(median), milliseconds(p95))
    }
}

/// A duration in milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// A number of bytes, in thousands from ten thousand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 10_000 {
            write!(f, "{} bytes", self.0)
        } else {
            write!(f, "{}.{} kB", self.0 / 1_000, self.0 % 1_000 / 100)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_sizes() {
        let times = Times((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(times.median_and_p95(), (Duration::from_millis(51), Duration::from_millis(96)));
        assert_eq!(Times::default().median_and_p95(), (Duration::ZERO, Duration::ZERO));
        assert_eq!(Bytes(9_999).to_string(), "9999 bytes");
        assert_eq!(Bytes(567_890).to_string(), "567.8 kB");
    }
}
