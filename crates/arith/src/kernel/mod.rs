//! Multiplication and squaring modulo m, in Montgomery form: one file for each way of doing it.

pub(crate) mod portable;

/// A way to multiply modulo m.
///
/// [`Modulus::new`](crate::Modulus::new) takes the fastest one that the processor has;
/// [`Modulus::with_kernel`](crate::Modulus::with_kernel) takes the one that it is told, which tests use to hold
/// them against each other. All give the same residues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// 64-bit words and safe Rust; runs everywhere.
    Portable,
}

impl Kernel {
    /// Every kernel, whether or not this processor can run it.
    pub const ALL: [Kernel; 1] = [Kernel::Portable];

    /// Whether this processor can run the kernel.
    pub fn is_available(self) -> bool {
        match self {
            Kernel::Portable => true,
        }
    }

    /// The kernel that [`Modulus::new`](crate::Modulus::new) takes for a modulus of so many bits.
    pub fn fastest(bits: u64) -> Kernel {
        let _ = bits;
        Kernel::Portable
    }

    /// Bits in a word of this kernel.
    pub(crate) fn word_bits(self) -> u32 {
        match self {
            Kernel::Portable => 64,
        }
    }

    /// Words that a residue modulo a number of `bits` bits takes.
    pub(crate) fn words(self, bits: u64) -> usize {
        let words = match self {
            Kernel::Portable => bits.div_ceil(64),
        };
        usize::try_from(words).unwrap_or(usize::MAX)
    }
}
