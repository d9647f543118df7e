//! The one error type of this crate.

use crate::Kernel;
use subrosa_failure::FailureKind;

/// What can be wrong with the arguments of this crate's functions.
///
/// No variant carries a secret value: sizes only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArithError {
    /// Montgomery arithmetic needs an odd modulus.
    #[error("the modulus is even")]
    EvenModulus,
    /// The modulus is 0 or 1, so that there is only one residue.
    #[error("the modulus is smaller than 3")]
    ModulusTooSmall,
    /// The modulus has more bits than this crate handles.
    #[error("the modulus has {bits} bits, at most {limit} are supported")]
    ModulusTooLarge {
        /// Bits of the modulus given.
        bits: u64,
        /// Greatest number of bits.
        limit: u64,
    },
    /// A kernel was asked for that this processor cannot run.
    #[error("the {0:?} kernel cannot run on this processor")]
    KernelUnavailable(Kernel),
    /// A value has more bits than the public bound that was stated for it.
    #[error("a value exceeds its stated bound of {bound} bits")]
    BoundExceeded {
        /// The stated bound, in bits.
        bound: u64,
    },
    /// A difference of non-negative integers would be negative.
    #[error("the difference is negative")]
    NegativeDifference,
    /// An interval to sample from is empty, or a divisor is zero.
    #[error("the range is empty")]
    EmptyRange,
    /// A fixed-base table cannot be made within the memory that it was given.
    #[error("a table needs at least {needed} bytes, {given} are allowed")]
    TableTooSmall {
        /// Bytes of the smallest table for these parameters.
        needed: usize,
        /// Bytes that the caller allowed.
        given: usize,
    },
    /// A window width outside the supported range.
    #[error("a window of {given} bits is not supported: 1 to {limit} bits are")]
    WindowOutOfRange {
        /// The width given, in bits.
        given: u32,
        /// Greatest width, in bits.
        limit: u32,
    },
}

impl ArithError {
    /// Returns whose failure it is. All errors of this crate are about arguments.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::EvenModulus
            | Self::ModulusTooSmall
            | Self::ModulusTooLarge { .. }
            | Self::KernelUnavailable(_)
            | Self::BoundExceeded { .. }
            | Self::NegativeDifference
            | Self::EmptyRange
            | Self::TableTooSmall { .. }
            | Self::WindowOutOfRange { .. } => FailureKind::Input,
        }
    }
}
