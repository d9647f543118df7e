//! A point in time by which something has to be done.

use std::time::{Duration, Instant};

/// So far ahead that it never comes; the sum of an `Instant` and a greater duration may overflow.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The moment at which waiting ends.
///
/// A deadline that has passed asks for what is there already, without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `duration` from now; ten years from now if that is sooner.
    pub fn after(duration: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(duration.min(FAR)).unwrap_or(now))
    }

    /// The given moment.
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The present moment: do not wait at all.
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// The moment itself.
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// The time left; zero once the moment has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether the moment has passed.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of the two.
    #[must_use]
    pub fn or_sooner(self, other: Self) -> Self {
        self.min(other)
    }
}
