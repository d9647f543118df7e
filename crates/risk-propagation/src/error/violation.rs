//! Decrypted numbers that are out of range.

/// Decrypted numbers that cannot be what they should be.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Scores that are beyond what other banks could have led to.
    pub scores: usize,
    /// Ciphertexts that hold more than their noise above the last score.
    pub ciphertexts: usize,
    /// The accounts that these scores belong to, by their places in the network, ascending.
    pub accounts: Vec<u32>,
}

impl Violation {
    pub(crate) fn is_any(&self) -> bool {
        self.scores + self.ciphertexts > 0
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} scores of {} accounts are out of range", self.scores, self.accounts.len())?;
        if self.ciphertexts > 0 {
            write!(f, ", and so is what lies above the scores of {} ciphertexts", self.ciphertexts)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Violation {
    // Redacted: which accounts they are can tell about scores.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Violation({self}, <redacted>)")
    }
}
