//! Step R7a: each bank binds itself to what it will announce in R7 and add in R8 before it sees anything of the others'.
//!
//! A bank that speaks last in a round could otherwise hand in, or take off, what it just heard. The hash is bound to the run, to
//! the bank and to what it is for, so that nobody can repeat another's; a salt from the bank's seed hides what it stands for.

use subrosa_encoding::Hasher;
use subrosa_paillier::Ciphertext;
use subrosa_transport::PartyId;

/// What a bank binds itself to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The ciphertexts that it announces in R7.
    Announcement,
    /// The noise that it sends in R8.
    Noise,
}

impl Committed {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Announcement => "announcement",
            Self::Noise => "noise",
        }
    }
}

/// The hash by which `party` binds itself in a run.
///
/// # Arguments
/// `run` is the session in which the run began, `salt` 32 bytes that nobody can guess before they are sent.
pub fn commitment<'a>(
    run: &[u8; 32],
    party: PartyId,
    what: Committed,
    salt: &[u8; 32],
    ciphertexts: impl IntoIterator<Item = &'a Ciphertext>,
) -> [u8; 32] {
    Hasher::new("subrosa/risk-propagation/commitment", 1)
        .field("run", run)
        .u64("party", party.index() as u64)
        .field("what", what.label().as_bytes())
        .field("salt", salt)
        .uints("ciphertexts", ciphertexts.into_iter().map(Ciphertext::value))
        .finish()
}

/// What the noise of a run depends on: the hashes of everybody's announcement, in the order of the roster.
///
/// Noise that is drawn in this context meets these ciphertexts and no others, whatever backup a bank goes back to.
#[must_use]
pub fn noise_context(run: &[u8; 32], announcements: &[[u8; 32]]) -> [u8; 32] {
    let hash = Hasher::new("subrosa/risk-propagation/noise-context", 1).field("run", run);
    announcements.iter().fold(hash, |hash, digest| hash.field("announcement", digest)).finish()
}
