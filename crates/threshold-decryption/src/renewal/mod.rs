//! New shares of the same key: refreshed among the same parties, or reshared to others.
//!
//! A *refresh* ([`Refresh`], steps F1 to F4) gives every party a new share, so that shares stolen before and after do
//! not combine. An attacker with t old shares and t new ones learns nothing. A *resharing* ([`Resharing`], steps G1 to
//! G4) by any t+1 holders gives shares to new parties with a new threshold. The public key, θ and all ciphertexts stay.
//! Steps are in `docs/protocols/threshold-decryption.md`; [`Refresh::run`] and [`Resharing::run`] connect them to a
//! [`Session`](subrosa_transport::Session).
//!
//! Dealers commit to their polynomials (Feldman, FOCS 1987; over the integers after Rabin, CRYPTO 1998, and
//! Damgård and Thorbek, PKC 2006), so that a wrong share names its dealer and everybody computes the new verification
//! keys.
//!
//! # Security
//! Old shares must be destroyed: t+1 of them still decrypt. Keep yours until all parties have stored their new one,
//! then drop it, which wipes it, and replace its file.

mod driver;
mod error;
mod messages;
mod polynomial;
mod refresh;
mod reshare;
#[cfg(test)]
mod tests;

pub use driver::{REFRESH_PROTOCOL, RESHARE_PROTOCOL, Seats};
pub use error::RenewalError;
pub use messages::{
    CommitmentShape, RefreshCommitments, RefreshShare, ReshareCommitments, ReshareShare, ShareRange,
};
pub use refresh::Refresh;
pub use reshare::Resharing;

/// Returns the default limit of a share after renewals, in bits: one and a half times the size of the decryption key.
/// The time of a partial decryption grows in proportion.
pub fn default_share_limit(key_bits: u64) -> u64 {
    3 * key_bits
}
