//! What goes over the wire: one type for each of the steps R1 to R8 of `docs/protocols/risk-propagation.md`. R7 and R9
//! are the messages of `subrosa-threshold-decryption`.

pub mod links;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_IN_DEGREE_BITS;
use crate::limits::MAX_STEPS;
use crate::limits::NAME_LIMIT;
use crate::steps::agreement::TransferDigest;
use subrosa_paillier::{CiphertextBatch, PublicKey};
use subrosa_transport::{Malformed, Message};

/// Names or ciphertexts in one message; longer lists take several.
pub const CHUNK: usize = 1024;

/// Most chunks of one list: names are counted in 31 bits.
const MAX_CHUNKS: u32 = 1 << 21;

/// Longest encoding of a length or number of up to 64 bits.
const NUMBER: usize = 10;

/// R0, to all: the run in which the sender was stopped, if it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Session in which the run began.
    pub run: Option<[u8; 32]>,
    /// The last state that the sender has of it.
    pub position: u32,
}

impl Message for Resume {
    const ROUND: &'static str = "propagate/resume";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        1 + 32 + NUMBER
    }

    fn check(&self, (): &()) -> Result<(), Malformed> {
        if self.run.is_some() || self.position == 0 {
            return Ok(());
        }
        Err(Malformed::new("a state of no run"))
    }
}

/// R1, to all: what the sender derives from everybody's sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanValues {
    /// The values of [`Plan::fields`](crate::Plan::fields), in its order.
    pub values: Vec<u64>,
}

impl Message for PlanValues {
    const ROUND: &'static str = "propagate/plan";
    /// Number of values.
    type Shape = usize;

    fn max_bytes(count: &usize) -> usize {
        NUMBER * (1 + count)
    }

    fn check(&self, count: &usize) -> Result<(), Malformed> {
        if self.values.len() == *count {
            return Ok(());
        }
        Err(Malformed::new("a plan of another number of values"))
    }
}

/// R10, to all: the sender has its scores and needs nobody any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {}

impl Message for Finished {
    const ROUND: &'static str = "propagate/finished";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        1
    }

    fn check(&self, (): &()) -> Result<(), Malformed> {
        Ok(())
    }
}

/// R1, to all: sizes from which the plan follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// For each period the sender's [`Period::activity`](crate::network::Period::activity).
    pub activity: Vec<u8>,
    /// None of the sender's accounts has more than 2^this senders.
    pub in_degree_bits: u32,
    /// Chunks of the sender's longest offer.
    pub offer_chunks: u32,
}

impl Message for Sizes {
    const ROUND: &'static str = "propagate/sizes";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        3 * NUMBER + MAX_STEPS
    }

    fn check(&self, (): &()) -> Result<(), Malformed> {
        let sane = self.in_degree_bits <= MAX_IN_DEGREE_BITS && self.offer_chunks <= MAX_CHUNKS;
        if !sane || self.activity.len() > MAX_STEPS {
            return Err(Malformed::new("sizes beyond what this version takes"));
        }
        // 2^31 accounts at most, with 2^in_degree_bits senders each.
        if self.activity.iter().any(|bits| u32::from(*bits) > MAX_IN_DEGREE_BITS + self.in_degree_bits + 1) {
            return Err(Malformed::new("more senders in a period than its accounts can have"));
        }
        Ok(())
    }
}

/// R2, to one bank: hashes of the transfers from the sender to the receiver and back, by period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// From the sender to the receiver of this message.
    pub sent: Vec<TransferDigest>,
    /// From the receiver of this message to its sender.
    pub received: Vec<TransferDigest>,
}

impl Message for Digests {
    const ROUND: &'static str = "propagate/digests";
    /// Periods.
    type Shape = usize;

    fn max_bytes(periods: &usize) -> usize {
        2 * NUMBER + 64 * periods
    }

    fn check(&self, periods: &usize) -> Result<(), Malformed> {
        if self.sent.len() == *periods && self.received.len() == *periods {
            return Ok(());
        }
        Err(Malformed::new("digests for another number of periods"))
    }
}

/// R3, to one bank: a piece of an offer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferChunk {
    /// Period and name of each sender, by period, then name.
    pub senders: Vec<(u32, String)>,
}

impl std::fmt::Debug for OfferChunk {
    // Redacted: names of customers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OfferChunk(<redacted>, {} senders)", self.senders.len())
    }
}

impl Message for OfferChunk {
    const ROUND: &'static str = "propagate/offer";
    /// Periods.
    type Shape = usize;

    fn max_bytes(_: &usize) -> usize {
        NUMBER + CHUNK * (5 + 2 + NAME_LIMIT)
    }

    fn check(&self, periods: &usize) -> Result<(), Malformed> {
        if self.senders.len() > CHUNK {
            return Err(Malformed::new("more senders than a message may hold"));
        }
        let fits = |(period, name): &(u32, String)| {
            (*period as usize) < *periods && !name.is_empty() && name.len() <= NAME_LIMIT
        };
        if self.senders.iter().all(fits) { Ok(()) } else { Err(Malformed::new("a sender that cannot be")) }
    }
}

/// R4, to one bank: for each of its offered senders one bit, lowest first, whether it is wanted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionBits {
    /// Eight senders to a byte; bits beyond the last are 0.
    pub bits: Vec<u8>,
    /// Makes the hash of what the sender sent to the receiver in R2 to R4, which all are told, useless for guessing names.
    pub salt: [u8; 32],
}

impl std::fmt::Debug for SelectionBits {
    // Redacted: says which transfers two banks have in common.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SelectionBits(<redacted>, {} bytes)", self.bits.len())
    }
}

impl Message for SelectionBits {
    const ROUND: &'static str = "propagate/selection";
    /// Senders that were offered to the bank which answers.
    type Shape = usize;

    fn max_bytes(offered: &usize) -> usize {
        NUMBER + offered.div_ceil(8) + 32
    }

    fn check(&self, offered: &usize) -> Result<(), Malformed> {
        let used = offered % 8;
        let clean = used == 0 || self.bits.last().is_none_or(|last| last >> used == 0);
        if self.bits.len() == offered.div_ceil(8) && clean {
            return Ok(());
        }
        Err(Malformed::new("a selection among another number of senders"))
    }
}

/// R5, to all: what the sender will send and hand in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// Accounts of the sender that foreign money can reach within the run: those whose scores it has decrypted.
    pub accounts: u32,
    /// For each period, chunks of the longest list of scores that it sends in an iteration.
    pub score_chunks: Vec<u32>,
    /// [`RunSeed::digest`](crate::RunSeed::digest) of the seed from which all its randomness in the run comes.
    pub seed_hash: [u8; 32],
    /// Salted hash of its input.
    pub input_hash: [u8; 32],
}

impl Message for Declaration {
    const ROUND: &'static str = "propagate/declaration";
    /// Periods.
    type Shape = usize;

    fn max_bytes(periods: &usize) -> usize {
        2 * NUMBER + 5 * periods + 64
    }

    fn check(&self, periods: &usize) -> Result<(), Malformed> {
        if self.score_chunks.len() != *periods {
            return Err(Malformed::new("a declaration for another number of periods"));
        }
        if self.score_chunks.iter().any(|chunks| *chunks > MAX_CHUNKS) {
            return Err(Malformed::new("more scores than this version takes"));
        }
        Ok(())
    }
}

/// R6b, to all: what the sender has sent to each bank alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// For each bank in roster order the hash of all messages to it in this session; zeros for the sender itself.
    pub links: Vec<[u8; 32]>,
}

impl Message for Sent {
    const ROUND: &'static str = "propagate/sent";
    /// Banks.
    type Shape = usize;

    fn max_bytes(banks: &usize) -> usize {
        NUMBER + 32 * banks
    }

    fn check(&self, banks: &usize) -> Result<(), Malformed> {
        if self.links.len() == *banks {
            Ok(())
        } else {
            Err(Malformed::new("hashes for another number of banks"))
        }
    }
}

/// How many ciphertexts a message holds, and under which key.
#[derive(Debug, Clone)]
pub struct BatchShape {
    /// The key.
    pub key: PublicKey,
    /// Ciphertexts.
    pub count: usize,
}

impl BatchShape {
    fn check(&self, batch: &CiphertextBatch) -> Result<(), Malformed> {
        if batch.len() == self.count {
            return Ok(());
        }
        Err(Malformed::new(format!("{} ciphertexts where {} were agreed", batch.len(), self.count)))
    }
}

/// R6, to one bank: encrypted scores, in the order of the agreement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScoreChunk {
    /// The ciphertexts.
    pub batch: CiphertextBatch,
}

impl Message for ScoreChunk {
    const ROUND: &'static str = "propagate/scores";
    type Shape = BatchShape;

    fn max_bytes(shape: &BatchShape) -> usize {
        CiphertextBatch::max_bytes(&shape.key, shape.count)
    }

    fn check(&self, shape: &BatchShape) -> Result<(), Malformed> {
        shape.check(&self.batch)
    }
}

/// R7a, to all: the hash of what the sender announces in R7.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// See [`commitment`](crate::steps::disclosure::commitment).
    pub announcement: [u8; 32],
}

impl Message for Commitment {
    const ROUND: &'static str = "propagate/commitment";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        32
    }

    fn check(&self, (): &()) -> Result<(), Malformed> {
        Ok(())
    }
}

/// R7b, to all: the hash of the noise that the sender adds in R8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoiseCommitment {
    /// See [`commitment`](crate::steps::disclosure::commitment).
    pub noise: [u8; 32],
    /// The salt of the hash in R7a.
    pub salt: [u8; 32],
}

impl Message for NoiseCommitment {
    const ROUND: &'static str = "propagate/noise-commitment";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        64
    }

    fn check(&self, (): &()) -> Result<(), Malformed> {
        Ok(())
    }
}

/// R8, to all: encrypted noise for the ciphertexts of all other banks, in roster order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoiseChunk {
    /// In the first message of a bank, the salt of the hash in R7b.
    pub salt: Option<[u8; 32]>,
    /// The ciphertexts.
    pub batch: CiphertextBatch,
}

/// How many ciphertexts a [`NoiseChunk`] holds, and which of its sender's messages it is.
#[derive(Debug, Clone)]
pub struct NoiseShape {
    /// The ciphertexts.
    pub batch: BatchShape,
    /// Whether it is the first.
    pub first: bool,
}

impl Message for NoiseChunk {
    const ROUND: &'static str = "propagate/noise";
    type Shape = NoiseShape;

    fn max_bytes(shape: &NoiseShape) -> usize {
        CiphertextBatch::max_bytes(&shape.batch.key, shape.batch.count).saturating_add(1 + 32)
    }

    fn check(&self, shape: &NoiseShape) -> Result<(), Malformed> {
        if self.salt.is_some() != shape.first {
            return Err(Malformed::new("a salt that is missing, or one too many"));
        }
        shape.batch.check(&self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_checked() {
        let sizes = |periods, in_degree_bits, offer_chunks| {
            Sizes { activity: vec![1; periods], in_degree_bits, offer_chunks }.check(&()).is_ok()
        };
        let told = |bits, in_degree_bits| {
            Sizes { activity: vec![0, bits], in_degree_bits, offer_chunks: 0 }.check(&()).is_ok()
        };
        assert!(told(32, 0) && !told(33, 0) && told(63, 31) && !told(64, 31) && !told(u8::MAX, 31));
        assert!(sizes(3, 31, 0));
        assert!(!sizes(3, 32, 0) && !sizes(MAX_STEPS + 1, 1, 0) && !sizes(3, 1, u32::MAX));
        let digests = Digests { sent: vec![[0; 32]; 2], received: vec![[0; 32]] };
        assert!(digests.check(&2).is_err() && digests.check(&1).is_err());
        let offer =
            |period, name: &str| OfferChunk { senders: vec![(period, name.to_owned())] }.check(&2).is_ok();
        assert!(offer(1, "x"));
        assert!(!offer(2, "x") && !offer(0, "") && !offer(0, &"x".repeat(NAME_LIMIT + 1)));
        assert!(OfferChunk { senders: vec![(0, "x".to_owned()); CHUNK + 1] }.check(&1).is_err());
        let selection = |bits: &[u8], offered: usize| {
            SelectionBits { bits: bits.to_vec(), salt: [1; 32] }.check(&offered).is_ok()
        };
        assert!(selection(&[], 0) && selection(&[255], 8) && selection(&[255, 1], 9) && selection(&[7], 3));
        assert!(
            !selection(&[8], 3) && !selection(&[255, 2], 9) && !selection(&[], 1) && !selection(&[0, 0], 8)
        );
        let declaration = |chunks: &[u32]| {
            Declaration {
                accounts: 0,
                score_chunks: chunks.to_vec(),
                seed_hash: [1; 32],
                input_hash: [2; 32],
            }
            .check(&1)
            .is_ok()
        };
        assert!(
            Sent { links: vec![[0; 32]; 3] }.check(&3).is_ok() && Sent { links: vec![] }.check(&3).is_err()
        );
        assert!(declaration(&[5]) && !declaration(&[]) && !declaration(&[1, 1]) && !declaration(&[u32::MAX]));
    }
}
