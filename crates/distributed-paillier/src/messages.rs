//! The messages of each round, and the checks that they must pass.

use num_bigint::{BigInt, BigUint};
use serde::{Deserialize, Serialize};

use crate::KeygenError;
use subrosa_encoding::wire;
use subrosa_threshold_decryption::{BatchProof, Challenges, ThresholdKey};
use subrosa_transport::{Malformed, Message, PerParty};

/// The shape of a list of integers: how many, and the bound that each must stay below.
#[derive(Clone, Debug)]
pub struct ListBelow {
    /// How many there are.
    pub count: usize,
    /// Each is less than this.
    pub bound: BigUint,
}

impl ListBelow {
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

/// Refuses messages unless there is one from each of `parties`, of the right shape.
///
/// A session has checked that already. An application that drives the steps itself may not have, and a peer's message
/// must not cause an index out of range.
pub(crate) fn conform<M: Message>(
    parties: u32,
    received: &PerParty<M>,
    shape: &M::Shape,
) -> Result<(), KeygenError> {
    if received.len() != parties as usize {
        return Err(KeygenError::Roster { expected: parties, found: received.len() });
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
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            /// The values, in the order that the round's step gives.
            #[serde(with = "wire::uints")]
            pub values: Vec<BigUint>,
        }

        impl Message for $name {
            const ROUND: &'static str = $round;
            type Shape = ListBelow;

            fn max_bytes(shape: &ListBelow) -> usize {
                shape.max_bytes()
            }

            fn check(&self, shape: &ListBelow) -> Result<(), Malformed> {
                shape.check(&self.values)
            }
        }

        impl Lists for $name {
            fn list(&self, place: usize) -> &[BigUint] {
                if place == 0 { &self.values } else { &[] }
            }
        }
    };
}

/// A message that consists of lists of integers.
pub(crate) trait Lists {
    /// The list at a place, in the order of the shape; empty if there is none.
    fn list(&self, place: usize) -> &[BigUint];
}

/// A message of several lists of integers, each below a bound of its own, without `Debug`.
macro_rules! several_lists {
    ($(#[$attribute:meta])* $name:ident, $round:literal, $count:literal, {
        $($(#[$doc:meta])* $place:literal $field:ident),+ $(,)?
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            $($(#[$doc])* #[serde(with = "wire::uints")] pub $field: Vec<BigUint>,)+
        }

        impl Lists for $name {
            fn list(&self, place: usize) -> &[BigUint] {
                match place {
                    $($place => &self.$field,)+
                    _ => &[],
                }
            }
        }

        impl Message for $name {
            const ROUND: &'static str = $round;
            type Shape = [ListBelow; $count];

            fn max_bytes(shape: &Self::Shape) -> usize {
                shape.iter().map(ListBelow::max_bytes).fold(0, usize::saturating_add)
            }

            fn check(&self, shape: &Self::Shape) -> Result<(), Malformed> {
                shape.iter().enumerate().try_for_each(|(place, shape)| shape.check(self.list(place)))
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

/// A list of shares of secrets. It wipes itself and is not printed.
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
            // Redacted, because enough shares give the secret.
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
several_lists! {
    /// W1, to one party: shares for the modulus that passed every test.
    WinnerShares, "keygen/winner-shares", 2, {
        /// Shares of p′ᵢ and q′ᵢ modulo P₃.
        0 lifts,
        /// Shares modulo Q: of β and r, of every β′, of every ρ, of the masks μ and ν, of two triples, of zeros.
        1 values,
    }
}

impl Drop for WinnerShares {
    fn drop(&mut self) {
        self.lifts.iter_mut().chain(&mut self.values).for_each(subrosa_arith::wipe_uint);
    }
}

impl std::fmt::Debug for WinnerShares {
    // Redacted, because enough shares give the factors.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WinnerShares(<redacted>, {} values)", self.lifts.len() + self.values.len())
    }
}

list_message! {
    /// W2, to all: shares of u, of every w, and of m of both triples.
    WinnerProducts, "keygen/winner-products"
}
several_lists! {
    /// W3, to all: answers to the challenges.
    #[derive(Debug)]
    WinnerAnswers, "keygen/winner-answers", 3, {
        /// Masked combinations of p′ᵢ and q′ᵢ, over ℤ.
        0 small,
        /// Masked combinations of βᵢ, β′ᵢ and ρᵢ, over ℤ.
        1 wide,
        /// Shares of δ and η of both product checks.
        2 differences,
    }
}
list_message! {
    /// W4, to all: shares of what must be 0, for each dealer and for both product checks.
    WinnerZeros, "keygen/winner-zeros"
}
several_lists! {
    /// K9, to all: the party's verification key, and the residue that θ takes.
    #[derive(Debug)]
    VerificationKey, "keygen/verification-key", 2, {
        /// vⱼ.
        0 key,
        /// rⱼ mod N.
        1 residue,
    }
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
    // Redacted, because t+1 of them give dᵢ.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntegerShareMessage(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_many_as_they_should_be_and_below_their_bound() {
        let shape = ListBelow { count: 2, bound: BigUint::from(256u32) };
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
