//! The messages of a refresh and of a resharing.

use num_bigint::{BigInt, BigUint};
use serde::{Deserialize, Serialize};

use subrosa_arith::wipe_uint;
use subrosa_encoding::wire;
use subrosa_paillier::PublicKey;
use subrosa_transport::{Malformed, Message};

/// Number of commitments of a dealer, and their key. Parties that do not deal have none.
#[derive(Clone, Debug)]
pub struct CommitmentShape {
    pub(super) key: PublicKey,
    pub(super) count: usize,
}

/// The range of a dealt value.
#[derive(Clone, Debug)]
pub struct ShareRange {
    pub(super) least: BigInt,
    /// The first value that is too large.
    pub(super) end: BigInt,
}

impl ShareRange {
    /// The range of parties that deal nothing.
    pub(super) const EMPTY: Self = Self { least: BigInt::ZERO, end: BigInt::ZERO };
}

macro_rules! commitments {
    ($(#[$doc:meta])* $name:ident, $round:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            #[serde(with = "wire::uints")]
            pub(super) values: Vec<BigUint>,
        }

        impl Message for $name {
            const ROUND: &'static str = $round;
            type Shape = CommitmentShape;

            fn max_bytes(shape: &CommitmentShape) -> usize {
                wire::max_uints_len(shape.count, shape.key.modulus_squared().bits())
            }

            fn check(&self, shape: &CommitmentShape) -> Result<(), Malformed> {
                if self.values.len() != shape.count {
                    let text = format!("{} commitments where {} belong", self.values.len(), shape.count);
                    return Err(Malformed::new(text));
                }
                let accepted = shape.key.accept_all(self.values.clone());
                accepted.map(drop).map_err(|_| Malformed::new("a commitment is not a unit modulo N²"))
            }
        }
    };
}

macro_rules! dealt_share {
    ($(#[$doc:meta])* $name:ident, $round:literal) => {
        $(#[$doc])*
        #[derive(Clone, Serialize, Deserialize)]
        pub struct $name {
            #[serde(with = "wire::int")]
            pub(super) value: BigInt,
        }

        impl Message for $name {
            const ROUND: &'static str = $round;
            type Shape = ShareRange;

            fn max_bytes(range: &ShareRange) -> usize {
                wire::max_int_len(range.least.bits().max(range.end.bits()))
            }

            fn check(&self, range: &ShareRange) -> Result<(), Malformed> {
                if self.value < range.least || self.value >= range.end {
                    return Err(Malformed::new("a dealt value is beyond its bound"));
                }
                Ok(())
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                wipe_uint(&mut std::mem::take(&mut self.value).into_parts().1);
            }
        }

        impl std::fmt::Debug for $name {
            // Redacted, because enough dealt values give a share.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(<redacted>)"))
            }
        }
    };
}

commitments! {
    /// F1, to all: `V^aₘ` for each coefficient of the sender's polynomial, V = v^Δ.
    RefreshCommitments, "refresh/commitments"
}
commitments! {
    /// G1, to all: `W^aₘ` for each coefficient of the sender's polynomial but the constant one, W = v^(ΔΔ′).
    ReshareCommitments, "reshare/commitments"
}
dealt_share! {
    /// F2, to one party: the value of the sender's polynomial at its point.
    RefreshShare, "refresh/share"
}
dealt_share! {
    /// G2, to one new party: the value of the sender's polynomial at its point.
    ReshareShare, "reshare/share"
}
