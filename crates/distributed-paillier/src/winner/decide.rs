//! The end of W4: whether N is accepted.

use num_integer::Integer;
use num_traits::{One, Zero};

use super::{ATTEMPTS, Checked, KeyFound, Winner, column};
use crate::KeygenError;
use crate::messages::{WinnerZeros, conform};
use subrosa_transport::PerParty;

/// Decision on a modulus after an attempt.
#[derive(Debug)]
pub enum Decision {
    /// N is a product of two primes of the required form. This is the party's part of the decryption key.
    Accepted(KeyFound),
    /// β′ and N − 1 have a common factor, or (p−1)/2 and (q−1)/2: begin again with [`Winner::deal`].
    Again,
    /// (p−1)/2 and (q−1)/2 have a common factor: go on with other candidates.
    Rejected,
}

impl Winner<'_> {
    /// W4, continued: checks that all values that must be 0 are 0, and that the gcd of N−1 and all w has no odd factor.
    /// The latter shows that gcd((p−1)/2, (q−1)/2) = 1, because an odd prime ℓ divides both p−1 and q−1 exactly if it
    /// divides N−1 and φ.
    ///
    /// # Errors
    /// [`KeygenError::Invalid`] naming a party whose message does not have the shape of
    /// [`zero_shape`](Self::zero_shape), or which answered in W3 for other values than it dealt;
    /// [`KeygenError::Inconsistent`] if the openings contradict each other, N is not p·q, or u or a w is not what it
    /// should be, alike at all parties.
    pub fn decide(
        &mut self,
        checked: Checked,
        zeros: &PerParty<WinnerZeros>,
    ) -> Result<Decision, KeygenError> {
        conform(self.parties(), zeros, &self.zero_shape())?;
        let opener = self.opener(self.threshold())?;
        let open = |place: usize| {
            let opened = opener.open(&column(zeros, 0, place));
            opened.map_err(|error| KeygenError::unopened(error, "the checks of the winner"))
        };
        for (place, (dealer, _)) in zeros.iter().enumerate() {
            if !open(place)?.is_zero() {
                return Err(KeygenError::invalid(dealer, "it dealt other values than it answered for"));
            }
        }
        let parties = self.parties() as usize;
        if !open(parties)?.is_zero() {
            return Err(KeygenError::Inconsistent { reason: "N is not the product of what was shared" });
        }
        if !open(parties + 1)?.is_zero() {
            return Err(KeygenError::Inconsistent { reason: "u or w is not the product that it should be" });
        }
        let Checked { summand, residue, u, w } = checked;
        self.done += 1;
        self.common = w.iter().fold(self.common.clone(), |common, w| w.gcd(&common));
        if self.common.is_one() {
            return Ok(Decision::Accepted(KeyFound { summand, opening: u, residue }));
        }
        Ok(if self.done >= ATTEMPTS { Decision::Rejected } else { Decision::Again })
    }
}
