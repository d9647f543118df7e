//! What the parties must agree on before a session opens, and what each may set for itself.

use std::{collections::BTreeSet, time::Duration};

use crate::{DEFAULT_MAX_FRAME, error::Misuse};

/// The name and version of a protocol; both must be equal at all parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protocol {
    /// The name, such as `"distributed-paillier"`.
    pub name: &'static str,
    /// The version of its messages.
    pub version: u16,
}

pub(crate) const MAX_PROTOCOL_NAME: usize = 64;
pub(crate) const MAX_FIELDS: usize = 64;
pub(crate) const MAX_FIELD_NAME: usize = 64;
pub(crate) const MAX_FIELD_VALUE: usize = 1024;

/// The public parameters of a run: an ordered list of named values, equal at all parties.
///
/// There are at most 64 fields. A name has at most 64 bytes and a value at most 1024. Use a hash for longer values. The
/// values are sent to all parties.
///
/// ```
/// use subrosa_transport::Parameters;
/// let parameters = Parameters::new().with("key_bits", 2048).with("threshold", 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field at the end. [`crate::Session::open`] refuses a list that is too long or names a field twice.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.0.push((name.into(), value.to_string()));
        self
    }

    /// Returns the fields in order, each with name and value.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn as_slice(&self) -> &[(String, String)] {
        &self.0
    }

    /// Returns the name of the first field that `other` has with another value, in another place, or not at all.
    pub(crate) fn first_difference(&self, other: &Self) -> Option<String> {
        let longest = self.0.len().max(other.0.len());
        let differs = |place: &usize| self.0.get(*place) != other.0.get(*place);
        let place = (0..longest).find(differs)?;
        other.0.get(place).or_else(|| self.0.get(place)).map(|(name, _)| name.clone())
    }

    pub(crate) fn validate(&self) -> Result<(), Misuse> {
        let refuse = |text: String| Err(Misuse::Parameters(text));
        if self.0.len() > MAX_FIELDS {
            return refuse(format!("{} fields, at most {MAX_FIELDS} are allowed", self.0.len()));
        }
        let mut names = BTreeSet::new();
        for (name, value) in &self.0 {
            if name.is_empty() || name.len() > MAX_FIELD_NAME || name.chars().any(char::is_control) {
                return refuse(format!("the name {name:?} is empty, too long or has control characters"));
            }
            if value.len() > MAX_FIELD_VALUE {
                return refuse(format!(
                    "the value of {name} has {} bytes, over {MAX_FIELD_VALUE}",
                    value.len()
                ));
            }
            if !names.insert(name) {
                return refuse(format!("{name} occurs twice"));
            }
        }
        Ok(())
    }
}

/// Timeouts and sizes of one party. They may differ between parties.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Timeout of a round. It includes the time in which the others compute. Default 120 s.
    pub round_timeout: Duration,
    /// Time for which [`crate::Session::open`] waits for the others. Default 120 s.
    pub open_timeout: Duration,
    /// Greatest frame that is sent or accepted, in bytes. It holds in addition to the bound of a message. Default 64
    /// MiB.
    pub max_frame: usize,
    /// Grace period of a collecting round that has enough answers. In it, more parties that answer wrongly are named.
    /// Default none.
    pub collect_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let timeout = Duration::from_secs(120);
        Self {
            round_timeout: timeout,
            open_timeout: timeout,
            max_frame: DEFAULT_MAX_FRAME,
            collect_grace: Duration::ZERO,
        }
    }
}

impl Limits {
    /// Creates limits with the default values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the timeout of a round.
    #[must_use]
    pub fn with_round_timeout(mut self, timeout: Duration) -> Self {
        self.round_timeout = timeout;
        self
    }

    /// Sets the timeout of opening a session.
    #[must_use]
    pub fn with_open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }

    /// Sets the timeouts of opening and of rounds.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        self.with_round_timeout(timeout).with_open_timeout(timeout)
    }

    /// Sets the grace period of a collecting round.
    #[must_use]
    pub fn with_collect_grace(mut self, grace: Duration) -> Self {
        self.collect_grace = grace;
        self
    }

    /// Sets the greatest frame, in bytes.
    #[must_use]
    pub fn with_max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }
}
