use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Challenges;

/// How a decryption checks what the others send. Equal at all parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Checks {
    /// t+1 partial decryptions must fit each other. For parties that follow the protocol: one that multiplies its
    /// part by a power of 1+N is not noticed and shifts a plaintext.
    Quorum,
    /// t+1 partial decryptions and this number of spares must fit each other. Up to this number of liars are noticed, but not named,
    /// and the decryption ends with an error; against t liars it takes t spares, so 2t+1 parties must answer.
    Spares(u32),
    /// Every partial decryption comes with a proof. Up to t liars are named and passed over. The default, with
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

/// How a decryption goes about its work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecryptionSettings {
    /// How the others' work is checked. Default: proofs with 128-bit challenges.
    pub checks: Checks,
    /// How long to wait for further answers when there are enough, so that every liar is named. Default none: a
    /// liar that is slower than the first t others is not looked at.
    pub grace: Duration,
}

impl DecryptionSettings {
    /// Proofs with 128-bit challenges, no grace.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the checks.
    #[must_use]
    pub fn with_checks(mut self, checks: Checks) -> Self {
        self.checks = checks;
        self
    }

    /// Sets how long to wait for further answers.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}
