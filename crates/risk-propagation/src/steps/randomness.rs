//! All randomness of a bank in a run comes from one seed, so that the run can be computed again.
//!
//! A seed gives a key of `ChaCha20` for each purpose: SHA-256 over the seed, a label and a context. What has a context of its own
//! has randomness of its own; `docs/protocols/risk-propagation.md` lists labels and contexts in section "Randomness".

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng as _, SeedableRng};
use zeroize::{Zeroize, Zeroizing};

use crate::network::{Network, input};
use subrosa_encoding::Hasher;

/// What a stream of randomness is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// Randomisers of scores in R6. Context: session, step. One stream for each account.
    Scores,
    /// Randomisers of packed ciphertexts in R7. Context: the session in which they were packed.
    Packed,
    /// Salts of the hashes in R7a. Context: what is hashed.
    Commitment,
    /// Noise in R8. Context: the hashes of what all banks announce, see [`noise_context`](crate::steps::disclosure::noise_context).
    Noise,
    /// Masks of proofs in R9. Context: session.
    Proofs,
    /// The salt of the input's hash in R5.
    Input,
    /// The salt of what is sent to one bank in R2 to R4. Context: session, the bank's place in the roster.
    Link,
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Self::Scores => "R6",
            Self::Packed => "R7",
            Self::Commitment => "R7a",
            Self::Noise => "R8",
            Self::Proofs => "R9",
            Self::Input => "input",
            Self::Link => "link",
        }
    }
}

/// The seed of all randomness of a bank in a run: 32 bytes that nobody can guess. Wiped when dropped.
///
/// # Security
/// Whoever has it can take the bank's noise off and read the scores that the bank sent. It belongs where the bank's accounts
/// are, and to an auditor.
#[derive(Clone)]
pub struct RunSeed(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for RunSeed {
    // Redacted: it is the bank's secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunSeed(<redacted>)")
    }
}

impl RunSeed {
    /// Draws a fresh seed.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self(seed)
    }

    /// A seed that was kept.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to be kept.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash that is announced in R5. It tells nothing about the seed, which cannot be guessed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Hasher::new("subrosa/risk-propagation/seed", 1).field("seed", &*self.0).finish()
    }

    /// The hash of a bank's input that is announced in R5, salted so that guesses of a small bank's books cannot be tried.
    #[must_use]
    pub fn input_hash(&self, network: &Network) -> [u8; 32] {
        let salt = self.derive(Purpose::Input, &[]).salt();
        let hash = Hasher::new("subrosa/risk-propagation/input", 1);
        hash.field("salt", &salt).field("input", &input(network)).finish()
    }

    /// The streams for one purpose in one context.
    #[must_use]
    pub fn derive(&self, purpose: Purpose, context: &[&[u8]]) -> Streams {
        let mut hash = Hasher::new("subrosa/risk-propagation/randomness", 1)
            .field("seed", &*self.0)
            .field("label", purpose.label().as_bytes());
        for part in context {
            hash = hash.field("context", part);
        }
        Streams(Zeroizing::new(hash.finish()))
    }

    /// The streams of [`Purpose::Scores`] for one step of a session.
    #[must_use]
    pub fn scores(&self, session: &[u8; 32], step: usize) -> Streams {
        self.derive(Purpose::Scores, &[session, &(step as u64).to_le_bytes()])
    }
}

/// Independent streams of randomness under one key.
#[derive(Clone)]
pub struct Streams(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Streams {
    // Redacted: as secret as the seed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streams(<redacted>)")
    }
}

impl Streams {
    /// Streams under a key that is drawn now.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        Self(key)
    }

    /// The generator of the first stream.
    #[must_use]
    pub fn first(&self) -> impl CryptoRng + use<> {
        self.stream(0)
    }

    /// The generator of a stream.
    #[must_use]
    pub fn stream(&self, number: u64) -> impl CryptoRng + use<> {
        let mut rng = ChaCha20Rng::from_seed(*self.0);
        rng.set_stream(number);
        rng
    }

    /// 32 bytes, for a salt.
    #[must_use]
    pub fn salt(&self) -> [u8; 32] {
        let mut salt = [0; 32];
        self.first().fill_bytes(&mut salt);
        salt
    }
}

/// A generator of its own for one piece of parallel work, seeded from the caller's.
pub(crate) fn split(rng: &mut impl CryptoRng) -> ChaCha20Rng {
    let mut seed = [0_u8; 32];
    rng.fill_bytes(&mut seed);
    let stream = ChaCha20Rng::from_seed(seed);
    seed.zeroize();
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_do_not_meet() {
        let (one, other) = (RunSeed::from_bytes([1; 32]), RunSeed::from_bytes([2; 32]));
        let mut first = vec![
            one.derive(Purpose::Noise, &[]).first().next_u64(),
            other.derive(Purpose::Noise, &[]).first().next_u64(),
            one.derive(Purpose::Packed, &[]).first().next_u64(),
            one.derive(Purpose::Noise, &[b"ab"]).first().next_u64(),
            one.derive(Purpose::Noise, &[b"a", b"b"]).first().next_u64(),
            one.scores(&[0; 32], 0).stream(0).next_u64(),
            one.scores(&[0; 32], 1).stream(0).next_u64(),
            one.scores(&[1; 32], 0).stream(0).next_u64(),
            one.scores(&[0; 32], 0).stream(1).next_u64(),
        ];
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 9);
        assert_eq!(
            one.scores(&[3; 32], 2).stream(5).next_u64(),
            one.scores(&[3; 32], 2).stream(5).next_u64()
        );
    }

    #[test]
    fn seeds_do_not_print() {
        let seed = RunSeed::from_bytes([0xab; 32]);
        let text = format!("{seed:?} {:?}", seed.derive(Purpose::Noise, &[]));
        assert_eq!(text, "RunSeed(<redacted>) Streams(<redacted>)");
        assert_ne!(seed.digest(), *seed.expose());
    }
}
