use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Challenges;

/// How a decryption checks the messages of the others. Equal at all parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Checks {
    /// t+1 partial decryptions must fit each other. This is for parties that follow the protocol. A party that
    /// multiplies its part by a power of 1+N shifts a plaintext unnoticed.
    Quorum,
    /// t+1 partial decryptions and this number of spares must fit each other. Up to this number of liars are noticed,
    /// but not named, and the decryption ends with an error. Against t liars it needs t spares, so 2t+1 parties must
    /// answer.
    Spares(u32),
    /// Every partial decryption comes with a proof. Up to t liars are named, and the others finish. The default, with
    /// [`Challenges::Wide`].
    Proofs(Challenges),
}

impl Default for Checks {
    fn default() -> Self {
        Self::Proofs(Challenges::Wide)
    }
}

impl Checks {
    pub(super) fn spares(self) -> usize {
        match self {
            Self::Spares(spares) => spares as usize,
            Self::Quorum | Self::Proofs(_) => 0,
        }
    }
}

impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quorum => f.write_str("quorum"),
            Self::Spares(spares) => write!(f, "{spares} spares"),
            Self::Proofs(Challenges::Wide) => f.write_str("proofs"),
            Self::Proofs(Challenges::OneBit) => f.write_str("proofs with one-bit challenges"),
        }
    }
}

/// Settings of a decryption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecryptionSettings {
    /// How the others' work is checked. Default: proofs with 128-bit challenges.
    pub checks: Checks,
    /// Grace period for further answers when there are enough, so that more liars are named. Default none: the answer
    /// of a liar that is slower than the first t others is not checked.
    pub grace: Duration,
}

impl DecryptionSettings {
    /// Creates settings with proofs with 128-bit challenges and no grace period.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the checks.
    #[must_use]
    pub fn with_checks(mut self, checks: Checks) -> Self {
        self.checks = checks;
        self
    }

    /// Sets the grace period for further answers.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}
