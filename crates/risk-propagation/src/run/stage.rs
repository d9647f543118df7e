//! What is reported of a run while it goes on.

use crate::plan::Plan;
use crate::steps::agreement::periods::PeriodActivity;

/// What a run is about to do.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Stage<'a> {
    /// R1 to R5: sizes, hashes, offers, selections, declarations.
    Agree,
    /// The plan is made; the first scores are encrypted.
    #[non_exhaustive]
    Encrypt {
        /// The plan of the run.
        plan: &'a Plan,
        /// Its periods, and which bank made each of them count.
        periods: &'a [PeriodActivity],
        /// Own accounts whose scores will be withheld: see [`Outcome::withheld`](crate::Outcome::withheld).
        withheld: usize,
    },
    /// R6: an iteration, the encryption of its scores included except for the first.
    Iterate {
        /// Which, from 1.
        number: usize,
        /// Out of how many.
        of: usize,
    },
    /// R7 to R9.
    Decrypt {
        /// Own ciphertexts to be decrypted.
        ciphertexts: usize,
    },
    /// All is done.
    Done,
}

/// Reported whenever a stage begins.
pub type Event<'a> = subrosa_transport::Event<Stage<'a>>;
