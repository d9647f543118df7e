//! Domain-separated hashing of structured data, with an encoding that can be read in one way only.

use num_bigint::BigUint;
use num_traits::Zero;
use sha2::{Digest, Sha256};

use crate::wire;

/// Extra bits of [`Hasher::below`]: its distance from uniform is below 2^−128.
const EXTRA_BITS: u64 = 128;

/// SHA-256 over a domain, a version and named fields.
///
/// A tag of its kind and its length (8 bytes, little-endian) precede every part, so that two different sequences of
/// fields never give the same bytes. The domain separates the hashes of different protocols.
///
/// ```
/// use subrosa_encoding::Hasher;
///
/// let digest = Hasher::new("my-protocol/challenge", 1).u64("round", 3).field("message", b"abc").finish();
/// assert_ne!(digest, Hasher::new("my-protocol/challenge", 2).u64("round", 3).field("message", b"abc").finish());
/// ```
#[derive(Clone)]
#[must_use]
#[doc(alias("random oracle", "Fiat-Shamir", "domain separation"))]
pub struct Hasher(Sha256);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(<redacted>)")
    }
}

/// Tags of the kinds of parts.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Tag {
    Domain = 1,
    Version = 2,
    Name = 3,
    Bytes = 4,
    Uint = 5,
    Word = 6,
}

impl Hasher {
    /// Creates a hasher for one purpose. `domain` names protocol and use ("subrosa/paillier/djn"), and `version` its
    /// revision.
    pub fn new(domain: &str, version: u32) -> Self {
        Self(Sha256::new())
            .part(Tag::Domain, domain.as_bytes())
            .part(Tag::Version, &u64::from(version).to_le_bytes())
    }

    /// Adds bytes under a name.
    pub fn field(self, name: &str, bytes: &[u8]) -> Self {
        self.part(Tag::Name, name.as_bytes()).part(Tag::Bytes, bytes)
    }

    /// Adds an integer under a name, as its shortest little-endian bytes (none for 0).
    pub fn uint(self, name: &str, value: &BigUint) -> Self {
        self.part(Tag::Name, name.as_bytes()).part(Tag::Uint, &wire::minimal_le(value))
    }

    /// Adds integers under a name, with their number.
    pub fn uints<'a>(self, name: &str, values: impl IntoIterator<Item = &'a BigUint>) -> Self {
        let mut count = 0u64;
        let mut hasher = self;
        for value in values {
            hasher = hasher.uint(name, value);
            count += 1;
        }
        hasher.u64(name, count)
    }

    /// Adds a word under a name.
    pub fn u64(self, name: &str, value: u64) -> Self {
        self.part(Tag::Name, name.as_bytes()).part(Tag::Word, &value.to_le_bytes())
    }

    /// Returns the hash of all parts.
    pub fn finish(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }

    /// Draws a number in [0, 2^`bits`) from the hash.
    pub fn expand_bits(&self, bits: u64) -> BigUint {
        let length = usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX);
        let mut bytes = self.expand(length);
        if let Some(top) = bytes.last_mut() {
            *top >>= (8 - bits % 8) % 8;
        }
        BigUint::from_bytes_le(&bytes)
    }

    /// Draws a number in [0, `bound`) from the hash, reduced from 128 bits more than the bound has. Returns 0 for a
    /// `bound` of 0.
    pub fn below(&self, bound: &BigUint) -> BigUint {
        if bound.is_zero() {
            return BigUint::ZERO;
        }
        self.expand_bits(bound.bits() + EXTRA_BITS) % bound
    }

    /// Draws `length` bytes from the hash: SHA-256 of a fixed prefix, the hash and a counter.
    #[doc(alias = "XOF")]
    pub fn expand(&self, length: usize) -> Vec<u8> {
        let seed = self.finish();
        let mut out = Vec::with_capacity(length.next_multiple_of(32));
        let mut counter = 0u64;
        while out.len() < length {
            let block = Hasher::new("subrosa/arith/expand", 1).field("seed", &seed).u64("counter", counter);
            out.extend_from_slice(&block.finish());
            counter += 1;
        }
        out.truncate(length);
        out
    }

    fn part(mut self, tag: Tag, bytes: &[u8]) -> Self {
        self.0.update([tag as u8]);
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Hasher {
        Hasher::new("test/hash", 1)
    }

    #[test]
    fn bytes_are_pinned() {
        // From an independent implementation of the encoding, in Python with hashlib.
        let digest =
            base().field("a", b"xyz").u64("b", 7).uint("c", &BigUint::from(0x0102_0304_0506u64)).finish();
        assert_eq!(hex(&digest), PINNED_DIGEST);
        assert_eq!(hex(&base().expand(40)), PINNED_EXPANSION);
        // Of 189 bits of the expansion, so that no remainder is more likely than others.
        assert_eq!(base().below(&((1u64 << 61) - 1).into()), 927_982_640_728_569_790u64.into());
    }

    const PINNED_DIGEST: &str = "f102d4d5ff22203fd3c6f554ba8d573182fa7b33ab52d7e1108d6038f36da53c";
    const PINNED_EXPANSION: &str =
        "3792829d2fb6e05733a5581272136cb9ee4c682d267e26f9feff801a72fdea527406bd5b1e60a687";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn fields_are_told_apart() {
        let one = BigUint::from(1u8);
        let all = [
            base().finish(),
            Hasher::new("test/hash", 2).finish(),
            Hasher::new("test/hasi", 1).finish(),
            base().field("a", b"bc").finish(),
            base().field("ab", b"c").finish(),
            base().field("a", b"b").field("a", b"c").finish(),
            base().field("a", &[1]).finish(),
            base().uint("a", &one).finish(),
            base().uint("a", &BigUint::ZERO).finish(),
            base().field("a", &1u64.to_le_bytes()).finish(),
            base().u64("a", 1).finish(),
            base().uints("a", [&one]).finish(),
            base().uints("a", [&one, &one]).finish(),
            base().uints("a", []).finish(),
        ];
        for (i, a) in all.iter().enumerate() {
            for b in &all[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }

    #[test]
    fn expansion_keeps_to_its_size() {
        let hasher = base().u64("seed", 5);
        for bits in [0u64, 1, 7, 8, 9, 255, 256, 257, 2048] {
            let drawn: Vec<_> =
                (0..20).map(|i| hasher.clone().u64("i", i).expand_bits(bits).bits()).collect();
            assert!(drawn.iter().all(|&b| b <= bits), "{bits}");
            assert!(drawn.iter().any(|&b| b + 8 > bits), "{bits}");
        }
        let bound = BigUint::from(1000u32);
        let drawn: Vec<_> = (0..200).map(|i| hasher.clone().u64("i", i).below(&bound)).collect();
        assert!(drawn.iter().all(|x| x < &bound));
        assert!(drawn.iter().any(|x| x > &BigUint::from(900u32)));
        assert_eq!(hasher.below(&BigUint::ZERO), BigUint::ZERO);
        assert_eq!(hasher.expand(7), hasher.expand(70)[..7]);
    }
}
