//! Deadlines.

use std::time::{Duration, Instant};

/// Longest time ahead, in practice never. The sum of an `Instant` and a longer duration may overflow.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The moment at which waiting ends.
///
/// With a deadline that has passed, a call returns what is there already and does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// Creates a deadline `duration` from now, at most ten years from now.
    pub fn after(duration: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(duration.min(FAR)).unwrap_or(now))
    }

    /// Creates a deadline at the given moment.
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// Creates a deadline at the present moment, to not wait.
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// Returns the moment.
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// Returns the time left, or zero when the moment has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Returns whether the moment has passed.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// Returns the earlier of two deadlines.
    #[must_use]
    pub fn or_sooner(self, other: Self) -> Self {
        self.min(other)
    }
}
