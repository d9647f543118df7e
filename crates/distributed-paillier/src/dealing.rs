//! Dealings from committed seeds. All that a party deals in K1, W1 and K8 follows from a seed. Before it deals, it
//! commits to the seed and to every message. A receiver can therefore prove what it got, and a dealer can show that it
//! dealt honestly.
//!
//! A commitment is a hash without salt. Seeds have 256 bits. Every message holds shares, and even t other shares leave
//! at least k bits of it random.

use chacha20::ChaCha20Rng;
use num_bigint::BigUint;
use rand_core::{CryptoRng, SeedableRng};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::messages::{CandidateShares, IntegerShareMessage, WinnerShares};
use subrosa_encoding::Hasher;
use subrosa_transport::{Malformed, Message, PartyId, PerParty};

/// The seed of a dealing.
///
/// # Security
/// It determines everything that was dealt. It is opened only if a run failed or for rejected candidates, and never
/// after the party's last confirmation.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// A fresh seed.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Self(Zeroizing::new([0; 32]));
        rng.fill_bytes(&mut *seed.0);
        seed
    }

    /// The generator that the dealing draws from: `ChaCha20` under this key.
    pub fn generator(&self) -> impl CryptoRng + use<> {
        ChaCha20Rng::from_seed(*self.0)
    }
}

impl std::fmt::Debug for Seed {
    // Redacted, because the seed determines the dealing.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(<redacted>)")
    }
}

/// Which dealing of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DealingId {
    /// K1 of the batch that begins with this candidate.
    Candidates {
        /// The number of the first candidate.
        first: u64,
    },
    /// W1 of a candidate.
    Winner {
        /// The candidate's number.
        candidate: u64,
        /// The attempt, from 0.
        attempt: u64,
    },
    /// K8 of a candidate.
    Sharing {
        /// The candidate's number.
        candidate: u64,
        /// The attempt that it follows.
        attempt: u64,
    },
}

impl DealingId {
    fn hasher(self, session: &[u8; 32], purpose: &str, dealer: PartyId) -> Hasher {
        let (name, number, attempt) = match self {
            Self::Candidates { first } => ("candidates", first, 0),
            Self::Winner { candidate, attempt } => ("winner", candidate, attempt),
            Self::Sharing { candidate, attempt } => ("sharing", candidate, attempt),
        };
        Hasher::new("subrosa/distributed-paillier/dealing", 1)
            .field("session", session)
            .field("purpose", purpose.as_bytes())
            .field("dealing", name.as_bytes())
            .u64("number", number)
            .u64("attempt", attempt)
            .u64("dealer", dealer.index() as u64)
    }
}

/// A message of a dealing, to which the dealer commits.
pub trait DealtMessage: Message + Clone {
    /// Adds the whole message to a hash.
    fn absorb(&self, hasher: Hasher) -> Hasher;
}

impl DealtMessage for CandidateShares {
    fn absorb(&self, hasher: Hasher) -> Hasher {
        hasher.uints("values", &self.values)
    }
}

impl DealtMessage for WinnerShares {
    fn absorb(&self, hasher: Hasher) -> Hasher {
        hasher.uints("lifts", &self.lifts).uints("values", &self.values)
    }
}

impl DealtMessage for IntegerShareMessage {
    fn absorb(&self, hasher: Hasher) -> Hasher {
        let magnitude: &BigUint = self.value.magnitude();
        hasher
            .u64("negative", u64::from(self.value.sign() == num_bigint::Sign::Minus))
            .uint("magnitude", magnitude)
    }
}

/// What a party commits to before it deals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    seed: [u8; 32],
    /// One for each receiver, in roster order.
    messages: Vec<[u8; 32]>,
}

impl Commitment {
    /// The commitment of `dealer` to a seed and to the messages that it gives.
    pub fn new<M: DealtMessage>(
        session: &[u8; 32],
        id: DealingId,
        dealer: PartyId,
        seed: &Seed,
        messages: &PerParty<M>,
    ) -> Self {
        let digest = |(receiver, message)| message_digest(session, id, dealer, receiver, message);
        Self { seed: seed_digest(session, id, dealer, seed), messages: messages.iter().map(digest).collect() }
    }

    /// Whether this is the seed.
    pub fn opens_to(&self, session: &[u8; 32], id: DealingId, dealer: PartyId, seed: &Seed) -> bool {
        self.seed == seed_digest(session, id, dealer, seed)
    }

    /// Whether this is the message for `receiver`.
    pub fn fits<M: DealtMessage>(
        &self,
        session: &[u8; 32],
        id: DealingId,
        dealer: PartyId,
        receiver: PartyId,
        message: &M,
    ) -> bool {
        let digest = message_digest(session, id, dealer, receiver, message);
        self.messages.get(receiver.index()) == Some(&digest)
    }

    /// Greatest length of an encoded commitment.
    pub(crate) fn max_bytes(parties: u32) -> usize {
        32 * (parties as usize + 1) + 10
    }

    pub(crate) fn check(&self, parties: u32) -> Result<(), Malformed> {
        if self.messages.len() == parties as usize {
            return Ok(());
        }
        Err(Malformed::new(format!(
            "a commitment to {} messages where {parties} belong",
            self.messages.len()
        )))
    }
}

fn seed_digest(session: &[u8; 32], id: DealingId, dealer: PartyId, seed: &Seed) -> [u8; 32] {
    id.hasher(session, "seed", dealer).field("seed", &*seed.0).finish()
}

fn message_digest<M: DealtMessage>(
    session: &[u8; 32],
    id: DealingId,
    dealer: PartyId,
    receiver: PartyId,
    message: &M,
) -> [u8; 32] {
    let hasher = id.hasher(session, "message", dealer).u64("receiver", receiver.index() as u64);
    message.absorb(hasher).finish()
}

/// The dealers whose messages for `me` do not fit their commitments.
pub fn disputed<M: DealtMessage>(
    session: &[u8; 32],
    id: DealingId,
    me: PartyId,
    commitments: &PerParty<Commitment>,
    received: &PerParty<M>,
) -> Vec<PartyId> {
    let fits = |dealer: PartyId, message: &M| {
        commitments.get(dealer).is_some_and(|commitment| commitment.fits(session, id, dealer, me, message))
    };
    received.iter().filter(|(dealer, message)| !fits(*dealer, message)).map(|(dealer, _)| dealer).collect()
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use rand_chacha::rand_core::Rng;

    use super::*;

    fn messages(values: [i64; 3]) -> PerParty<IntegerShareMessage> {
        PerParty::from_vec(
            values.into_iter().map(|value| IntegerShareMessage { value: BigInt::from(value) }).collect(),
        )
    }

    #[test]
    fn a_commitment_fits_one_dealing_of_one_dealer_in_one_session() {
        let (seed, other) = (Seed(Zeroizing::new([1; 32])), Seed(Zeroizing::new([2; 32])));
        let id = DealingId::Sharing { candidate: 5, attempt: 0 };
        let [a, b] = [0, 1].map(PartyId::new);
        let sent = messages([-7, 7, 0]);
        let commitment = Commitment::new(&[3; 32], id, a, &seed, &sent);
        assert!(commitment.opens_to(&[3; 32], id, a, &seed));
        assert!(!commitment.opens_to(&[3; 32], id, a, &other));
        assert!(!commitment.opens_to(&[4; 32], id, a, &seed));
        assert!(!commitment.opens_to(&[3; 32], id, b, &seed));
        let others = [
            DealingId::Sharing { candidate: 5, attempt: 1 },
            DealingId::Sharing { candidate: 6, attempt: 0 },
            DealingId::Winner { candidate: 5, attempt: 0 },
            DealingId::Candidates { first: 5 },
        ];
        for other in others {
            assert!(!commitment.opens_to(&[3; 32], other, a, &seed), "{other:?}");
            assert!(!commitment.fits(&[3; 32], other, a, a, &sent[a]), "{other:?}");
        }
        assert!(commitment.fits(&[3; 32], id, a, a, &sent[a]));
        // The same magnitude with another sign, and another receiver's message.
        assert!(!commitment.fits(&[3; 32], id, a, a, &sent[b]));
        assert!(!commitment.fits(&[3; 32], id, a, b, &sent[a]));
        assert!(!commitment.fits(&[3; 32], id, a, PartyId::new(3), &sent[a]));
    }

    #[test]
    fn a_seed_gives_the_stream_of_chacha20_and_does_not_print() {
        // RFC 8439, appendix A.1, test vector 1.
        let seed = Seed(Zeroizing::new([0; 32]));
        let mut bytes = [0; 8];
        seed.generator().fill_bytes(&mut bytes);
        assert_eq!(bytes, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
        assert_eq!(format!("{seed:?}"), "Seed(<redacted>)");
    }
}
