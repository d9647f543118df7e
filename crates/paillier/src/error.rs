use crate::KeyId;
use subrosa_failure::FailureKind;

/// What can be wrong with a key, a plaintext or a ciphertext.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PaillierError {
    /// A modulus of this size is refused: too small to be secure, or too large to be of use.
    #[error("a modulus of {bits} bits is outside the range of {least} to {greatest} bits")]
    KeySize {
        /// Size of the modulus in bits.
        bits: u64,
        /// The least size accepted.
        least: u64,
        /// The greatest size accepted.
        greatest: u64,
    },
    /// A modulus that no honest key generation makes.
    #[error("the modulus is not acceptable: {reason}")]
    BadModulus {
        /// Why not.
        reason: &'static str,
    },
    /// Bytes that are not those of a public key, or are damaged.
    #[error("the bytes are not a public key: {reason}")]
    BadEncoding {
        /// Why not.
        reason: &'static str,
    },
    /// The bytes of a public key in a version that this library does not know.
    #[error("the public key's bytes have version {found}, this program reads version {known}")]
    Version {
        /// The version of the bytes.
        found: u16,
        /// The version that this library writes.
        known: u16,
    },
    /// The primes of a private key are not what they should be.
    #[error("the primes are not acceptable: {reason}")]
    BadPrimes {
        /// Why not.
        reason: &'static str,
    },
    /// A plaintext whose magnitude is not below N/2.
    #[error("a plaintext of {bits} bits does not fit a key of {key_bits} bits")]
    PlaintextTooLarge {
        /// Size of the plaintext in bits.
        bits: u64,
        /// Size of the modulus in bits.
        key_bits: u64,
    },
    /// A ciphertext under another key.
    #[error("a ciphertext under key {found} met one under key {expected}")]
    OtherKey {
        /// The key of the operation.
        expected: KeyId,
        /// The key of the ciphertext.
        found: KeyId,
    },
    /// A value that is not a ciphertext under this key.
    #[error("entry {index} is not a ciphertext: {reason}")]
    InvalidCiphertext {
        /// Its place in the batch, from 0.
        index: usize,
        /// Why not.
        reason: &'static str,
    },
    /// A value that cannot blind anything under this key.
    #[error("the randomness is not a unit modulo N")]
    BadRandomness,
    /// A computation whose result could pass N/2.
    #[error("a value of up to {bits} bits could pass half of a modulus of {key_bits} bits")]
    BoundTooLarge {
        /// Size of the bound in bits.
        bits: u64,
        /// Size of the modulus in bits.
        key_bits: u64,
    },
    /// Two numbers with different scales cannot be added.
    #[error("numbers of scale 2^-{left} and 2^-{right} cannot be added")]
    ScaleMismatch {
        /// Bits behind the point of the one.
        left: u32,
        /// Bits behind the point of the other.
        right: u32,
    },
    /// A number that no fixed-point encoding holds, or that lies outside its bound.
    #[error("the number cannot be encoded: {reason}")]
    NotEncodable {
        /// Why not.
        reason: &'static str,
    },
    /// More slots, or wider ones, than a plaintext holds.
    #[error("{slots} slots of {slot_bits} bits do not fit a plaintext of {plaintext_bits} bits")]
    PackingTooLarge {
        /// How many slots.
        slots: usize,
        /// Width of a slot in bits.
        slot_bits: u32,
        /// Room in a plaintext, in bits.
        plaintext_bits: u64,
    },
    /// A plaintext that was not made by this packing.
    #[error("the plaintext does not hold {slots} slots of {slot_bits} bits")]
    NotPacked {
        /// How many slots.
        slots: usize,
        /// Width of a slot in bits.
        slot_bits: u32,
    },
    /// An invariant does not hold. This is a mistake in this library.
    #[error("internal error: {place}")]
    Internal {
        /// The invariant, and its place.
        place: &'static str,
    },
    /// The table for blinding could not be made.
    #[error("the blinding table cannot be made")]
    Table(#[from] subrosa_arith::ArithError),
}

impl PaillierError {
    /// Returns whose failure it is. An invalid ciphertext counts as input. A caller that got it from a peer knows
    /// better.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::KeySize { .. }
            | Self::BadModulus { .. }
            | Self::BadEncoding { .. }
            | Self::Version { .. }
            | Self::BadPrimes { .. }
            | Self::PlaintextTooLarge { .. }
            | Self::OtherKey { .. }
            | Self::InvalidCiphertext { .. }
            | Self::BadRandomness
            | Self::BoundTooLarge { .. }
            | Self::ScaleMismatch { .. }
            | Self::NotEncodable { .. }
            | Self::PackingTooLarge { .. }
            | Self::NotPacked { .. } => FailureKind::Input,
            Self::Internal { .. } => FailureKind::Internal,
            Self::Table(error) => error.kind(),
        }
    }
}
