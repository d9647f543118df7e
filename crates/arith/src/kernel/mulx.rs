//! Schoolbook rows for x86-64 with BMI2 and ADX: `mulx` multiplies without touching the flags, `adcx` and `adox` run two
//! chains of carries side by side.
#![allow(
    unsafe_code,
    reason = "inline assembly: rows of mulx/adcx/adox, which the compiler does not produce"
)]

use std::arch::asm;

use super::rows::Rows;

/// Whether this processor has the instructions.
pub(crate) fn is_available() -> bool {
    is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("adx")
}

/// Shows that the processor has the instructions.
#[derive(Clone, Copy)]
pub(crate) struct MulxRows(());

/// Words that the loop takes at a time.
const STEP: usize = 4;

impl MulxRows {
    /// `None` where the processor cannot.
    pub(crate) fn new() -> Option<Self> {
        is_available().then_some(Self(()))
    }
}

impl Rows for MulxRows {
    const STEP: usize = STEP;
    const KARATSUBA: usize = 64;

    #[inline]
    fn add_row(self, row: &mut [u64], a: &[u64], b: u64) -> u64 {
        let steps = a.len() / STEP;
        assert!(row.len() == a.len() && a.len() == steps * STEP && steps > 0);
        let carry: u64;
        // SAFETY: the instructions exist, since `Self` does. The loop runs `steps` times and reads and writes 4 words at
        // `a` and `row` each time: exactly the slices, as asserted. It leaves the stack and other memory alone.
        //
        // Of a word's two additions, that of the previous upper half runs in the carry flag (adcx), that of the old
        // word in the overflow flag (adox). `lea` and `jrcxz` count without touching either.
        unsafe {
            asm!(
                "xor {c:e}, {c:e}", // also clears both flags
                "2:",
                "mulx {h}, {l}, [{a}]",
                "adcx {l}, {c}",
                "adox {l}, [{r}]",
                "mov [{r}], {l}",
                "mulx {c}, {l}, [{a} + 8]",
                "adcx {l}, {h}",
                "adox {l}, [{r} + 8]",
                "mov [{r} + 8], {l}",
                "mulx {h}, {l}, [{a} + 16]",
                "adcx {l}, {c}",
                "adox {l}, [{r} + 16]",
                "mov [{r} + 16], {l}",
                "mulx {c}, {l}, [{a} + 24]",
                "adcx {l}, {h}",
                "adox {l}, [{r} + 24]",
                "mov [{r} + 24], {l}",
                "lea {a}, [{a} + 32]",
                "lea {r}, [{r} + 32]",
                "lea rcx, [rcx - 1]",
                "jrcxz 3f",
                "jmp 2b",
                "3:",
                "mov {l:e}, 0",
                "adcx {c}, {l}",
                "adox {c}, {l}",
                a = inout(reg) a.as_ptr() => _,
                r = inout(reg) row.as_mut_ptr() => _,
                inout("rcx") steps => _,
                in("rdx") b,
                c = out(reg) carry,
                h = out(reg) _,
                l = out(reg) _,
                options(nostack),
            );
        }
        carry
    }
}
