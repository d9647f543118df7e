//! The two forms of eight numbers.

use crate::Kernel;
use crate::kernel::ifma::{self, WORD_BITS};

/// Numbers that are computed side by side.
pub(super) const LANES: usize = 8;

/// Zero limbs behind an operand.
pub(super) const PAD: usize = LANES;

/// Fewest limbs of a number.
pub(super) const MIN_WORDS: usize = 10;

/// Bits of a limb in the form [`Form::Narrow`].
pub(super) const NARROW_LIMB_BITS: u32 = 27;

/// Lanes of a vector in the form [`Form::Narrow`].
pub(super) const NARROW_LANES: usize = 4;

/// How eight numbers lie in memory, and what multiplies them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Limbs of 52 bits, one of all eight numbers in a vector: AVX-512 IFMA.
    Wide,
    /// Limbs of 27 bits, four numbers and then the other four: AVX2.
    Narrow,
}

impl Form {
    /// The form that goes with a kernel for one number and a modulus of this many bits; `None` where the processor cannot.
    pub(crate) fn of(kernel: Kernel, bits: u64) -> Option<Self> {
        match kernel {
            Kernel::Ifma => ifma::is_available().then_some(Self::Wide),
            // Above this the sums of a column have not been bounded.
            Kernel::Mulx => (is_x86_feature_detected!("avx2") && bits <= NARROW_BITS).then_some(Self::Narrow),
            Kernel::Portable => None,
        }
    }

    /// Bits of a limb.
    pub(crate) fn limb_bits(self) -> u32 {
        match self {
            Self::Wide => WORD_BITS,
            Self::Narrow => NARROW_LIMB_BITS,
        }
    }

    /// Bits of the words in which numbers come and go.
    pub(super) fn word_bits(self) -> u32 {
        match self {
            Self::Wide => WORD_BITS,
            Self::Narrow => 64,
        }
    }

    /// Numbers in a vector.
    pub(super) fn lanes(self) -> usize {
        match self {
            Self::Wide => LANES,
            Self::Narrow => NARROW_LANES,
        }
    }

    /// Limbs for a modulus of this many bits: R > 4m.
    pub(crate) fn limbs(self, bits: u64) -> usize {
        let n = (bits + 2).div_ceil(u64::from(self.limb_bits()));
        // At most 316 or 456, for the longest moduli.
        let n = usize::try_from(n).map_or(usize::MAX, |n| n.max(MIN_WORDS));
        if self == Self::Narrow { n.next_multiple_of(2) } else { n }
    }
}

/// Longest modulus for limbs of 27 bits: 2·456 products below 2^54 and a carry are below 2^64.
pub(super) const NARROW_BITS: u64 = 12_288;
