//! What crosses the wire in each round, and what it must look like to be accepted.

use num_bigint::{BigInt, BigUint};
use serde::{Deserialize, Serialize};
use subrosa_arith::wire;
use subrosa_threshold_decryption::{BatchProof, Challenges, ThresholdKey};
use subrosa_transport::{Malformed, Message, PerParty};

use crate::KeygenError;

/// The shape of a list of integers: how many, and the bound that each must stay below.
#[derive(Clone, Debug)]
pub struct Below {
    /// How many there are.
    pub count: usize,
    /// Each is less than this.
    pub bound: BigUint,
}

impl Below {
    fn max_bytes(&self) -> usize {
        // The width of an entry and the length of all of them are varints of at most ten bytes.
        let width = usize::try_from(self.bound.bits().div_ceil(8)).unwrap_or(usize::MAX);
        self.count.saturating_mul(width).saturating_add(20)
    }

    fn check(&self, values: &[BigUint]) -> Result<(), Malformed> {
        if values.len() != self.count {
            return Err(Malformed::new(format!("{} values where {} belong", values.len(), self.count)));
        }
        if values.iter().any(|value| *value >= self.bound) {
            return Err(Malformed::new("a value is beyond its bound"));
        }
        Ok(())
    }
}

/// Refuses messages that are not one from each of `parties`, or not of their shape.
///
/// A session has checked that already; an application that drives the steps itself may not have, and what a peer sent
/// must not become an index out of range.
pub(crate) fn conform<M: Message>(
    parties: u32,
    received: &PerParty<M>,
    shape: &M::Shape,
) -> Result<(), KeygenError> {
    if received.len() != parties as usize {
        return Err(KeygenError::Inconsistent { reason: "there is not one message from each party" });
    }
    let refused = |(party, message): (_, &M)| Some((party, message.check(shape).err()?));
    match received.iter().find_map(refused) {
        Some((party, reason)) => Err(KeygenError::Invalid { party, reason }),
        None => Ok(()),
    }
}

/// A message that is a list of integers below a bound, without `Debug`.
macro_rules! integers {
    ($(#[$attribute:meta])* $name:ident, $round:literal) => {
        $(#[$attribute])*
        #[derive(Clone, Serialize, Deserialize)]
        pub struct $name {
            /// The values, in the order that the round's step gives.
            #[serde(with = "wire::uints")]
            pub values: Vec<BigUint>,
        }

        impl Message for $name {
            const ROUND: &'static str = $round;
            type Shape = Below;

            fn max_bytes(shape: &Below) -> usize {
                shape.max_bytes()
            }

            fn check(&self, shape: &Below) -> Result<(), Malformed> {
                shape.check(&self.values)
            }
        }
    };
}

/// A list of integers that everybody may see.
macro_rules! list_message {
    ($(#[$doc:meta])* $name:ident, $round:literal) => {
        integers! {
            $(#[$doc])*
            #[derive(Debug)]
            $name, $round
        }
    };
}

/// A list of shares of secrets: it wipes itself and does not print.
macro_rules! secret_list_message {
    ($(#[$doc:meta])* $name:ident, $round:literal) => {
        integers! {
            $(#[$doc])*
            $name, $round
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.values.iter_mut().for_each(subrosa_arith::wipe_uint);
            }
        }

        impl std::fmt::Debug for $name {
            // Redacted: enough shares give the secret away.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}(<redacted>, {} values)", stringify!($name), self.values.len())
            }
        }
    };
}

secret_list_message! {
    /// K1, to one party: shares of pᵢ, of qᵢ and of zero for each candidate of a batch.
    CandidateShares, "keygen/candidate-shares"
}
list_message! {
    /// K2, to all: a share of the masked product for each candidate.
    ProductShares, "keygen/products"
}
list_message! {
    /// K4, to all: a value of the first test for each candidate that trial division left.
    FirstTest, "keygen/first-test"
}
list_message! {
    /// K5, to all: the values of the further tests of one modulus.
    FurtherTests, "keygen/further-tests"
}
secret_list_message! {
    /// K5a, to one party: shares of a random triple.
    ProductCheckTriple, "keygen/product-check-triple"
}
list_message! {
    /// K5a, to all: shares of what the product check opens.
    ProductCheckShares, "keygen/product-check"
}
secret_list_message! {
    /// K6, to one party: shares of φᵢ, β′ᵢ, ρᵢ and zero, then, where a key is still looked for, of βᵢ, rᵢ and zero.
    KeyShares, "keygen/key-shares"
}
list_message! {
    /// K7, to all: shares of the masked openings.
    KeyOpenings, "keygen/key-openings"
}
list_message! {
    /// K7, to all: the residue rᵢ mod N of the mask.
    MaskResidue, "keygen/mask-residue"
}
list_message! {
    /// K9, to all: the party's verification key.
    VerificationKey, "keygen/verification-key"
}
list_message! {
    /// K10, to all: the party's part in a trial decryption.
    TrialDecryption, "keygen/trial-decryption"
}

/// K10, to all: a proof that the trial decryption was computed with the share behind the party's verification key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialProof {
    /// The proof.
    pub proof: BatchProof,
}

impl Message for TrialProof {
    const ROUND: &'static str = "keygen/trial-proof";
    type Shape = ThresholdKey;

    fn max_bytes(key: &ThresholdKey) -> usize {
        BatchProof::max_bytes(key, Challenges::Wide)
    }
}

/// K8, to one party: the value at its point of the integer polynomial that shares dᵢ.
#[derive(Clone, Serialize, Deserialize)]
pub struct IntegerShareMessage {
    /// The value, of either sign.
    #[serde(with = "wire::int")]
    pub value: BigInt,
}

/// The greatest size of an integer share in bits.
#[derive(Clone, Copy, Debug)]
pub struct Bits(pub u64);

impl Message for IntegerShareMessage {
    const ROUND: &'static str = "keygen/integer-shares";
    type Shape = Bits;

    fn max_bytes(shape: &Bits) -> usize {
        usize::try_from(shape.0.div_ceil(8)).unwrap_or(usize::MAX).saturating_add(20)
    }

    fn check(&self, shape: &Bits) -> Result<(), Malformed> {
        if self.value.bits() > shape.0 {
            return Err(Malformed::new("a share is beyond its bound"));
        }
        Ok(())
    }
}

impl Drop for IntegerShareMessage {
    fn drop(&mut self) {
        let (_, mut magnitude) = std::mem::take(&mut self.value).into_parts();
        subrosa_arith::wipe_uint(&mut magnitude);
    }
}

impl std::fmt::Debug for IntegerShareMessage {
    // Redacted: t+1 of them give dᵢ away.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntegerShareMessage(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_many_as_they_should_be_and_below_their_bound() {
        let shape = Below { count: 2, bound: BigUint::from(256u32) };
        let check =
            |values: &[u32]| shape.check(&values.iter().map(|&v| BigUint::from(v)).collect::<Vec<_>>());
        assert!(check(&[0, 255]).is_ok());
        for refused in [&[0, 256][..], &[256, 0], &[1], &[1, 2, 3], &[]] {
            assert!(check(refused).is_err(), "{refused:?}");
        }
        let longest = FirstTest { values: vec![BigUint::from(255u32); 2] };
        assert!(postcard::to_stdvec(&longest).is_ok_and(|bytes| bytes.len() <= FirstTest::max_bytes(&shape)));
    }
}
