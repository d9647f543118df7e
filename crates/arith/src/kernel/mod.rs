//! Multiplication and squaring modulo m, in Montgomery form: one file for each way of doing it.

#[cfg(target_arch = "x86_64")]
pub(crate) mod ifma;
#[cfg(target_arch = "x86_64")]
pub(crate) mod lanes;
#[cfg(target_arch = "x86_64")]
pub(crate) mod mulx;
pub(crate) mod portable;
#[cfg(target_arch = "x86_64")]
pub(crate) mod remainders;
pub(crate) mod rows;

/// A way to multiply modulo m.
///
/// [`Modulus::new`](crate::Modulus::new) takes the fastest one that the processor has;
/// [`Modulus::with_kernel`](crate::Modulus::with_kernel) takes the one that it is given, which tests use to hold
/// them against each other. All give the same residues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// 64-bit words and safe Rust; runs everywhere.
    Portable,
    /// 64-bit words and rows of `mulx`/`adcx`/`adox`; x86-64 with BMI2 and ADX.
    Mulx,
    /// 52-bit words on the vector unit; x86-64 with AVX-512 IFMA.
    Ifma,
}

/// Up to 512 bits, eight words in rows are faster than the least that the vector kernel does.
const IFMA_FROM_BITS: u64 = 513;

impl Kernel {
    /// Every kernel, whether or not this processor can run it.
    pub const ALL: [Kernel; 3] = [Kernel::Portable, Kernel::Mulx, Kernel::Ifma];

    /// Whether this processor can run the kernel.
    pub fn is_available(self) -> bool {
        match self {
            Kernel::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Kernel::Mulx => mulx::is_available(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Ifma => ifma::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Kernel::Mulx | Kernel::Ifma => false,
        }
    }

    /// The kernel that [`Modulus::new`](crate::Modulus::new) takes for a modulus of this many bits.
    pub fn fastest(bits: u64) -> Kernel {
        if bits >= IFMA_FROM_BITS && Kernel::Ifma.is_available() {
            Kernel::Ifma
        } else if Kernel::Mulx.is_available() {
            Kernel::Mulx
        } else {
            Kernel::Portable
        }
    }
}
