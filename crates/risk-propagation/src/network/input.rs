//! The hash of everything that a bank hands in.

use super::Network;
use subrosa_encoding::Hasher;

/// A hash of 32 bytes.
pub(crate) type Digest = [u8; 32];

/// Everything that a bank hands in.
pub(crate) fn input(network: &Network) -> Digest {
    let mut hash = Hasher::new("subrosa/risk-propagation/checkpoint/input", 1)
        .u64("accounts", network.accounts as u64)
        .u64("listed", network.listed as u64);
    for name in &network.names {
        hash = hash.field("account", name.as_bytes());
    }
    for score in &network.scores {
        hash = hash.u64("score", score.to_bits());
    }
    for account in &network.foreign {
        hash = hash.u64("bank", account.bank.index() as u64).field("foreign", account.id.as_bytes());
    }
    for period in &network.periods {
        hash = hash.u64("activity", u64::from(period.activity));
        for account in 0..network.accounts {
            let (senders, amounts) = period.incoming(account);
            hash = hash.u64("senders", senders.len() as u64);
            for (sender, amount) in senders.iter().zip(amounts) {
                hash = hash.u64("sender", u64::from(sender.0)).field("amount", &amount.to_le_bytes());
            }
        }
        hash = hash.u64("outgoing", period.outgoing.len() as u64);
        for edge in &period.outgoing {
            let (source, destination) = (u64::from(edge.source), u64::from(edge.destination));
            hash = hash.u64("source", source).u64("destination", destination);
            hash = hash.field("amount", &edge.amount.to_le_bytes());
        }
    }
    hash.finish()
}
