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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::portable::PortableRows;
    use crate::kernel::rows::{multiply, reduce, scratch_words, square};

    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![4 => any::<u64>(), 2 => Just(u64::MAX), 2 => Just(0), 1 => Just(1), 1 => Just(1 << 63)]
    }

    /// Two operands and an odd modulus of 4 to 160 words, in steps of four.
    fn operands() -> impl Strategy<Value = [Vec<u64>; 3]> {
        (1usize..=40).prop_flat_map(|quarter| {
            let words = || prop::collection::vec(word(), 4 * quarter);
            (words(), words(), words()).prop_map(|(a, b, mut m)| {
                m[0] |= 1;
                [a, b, m]
            })
        })
    }

    proptest! {
        #[test]
        fn assembly_gives_the_words_of_safe_rust([a, b, m] in operands(), inverse: u64) {
            let Some(mulx) = MulxRows::new() else { return Ok(()) };
            let n = a.len();
            let mut scratch = vec![0; scratch_words(n)];
            let (mut rows, mut twin) = (b.clone(), b.clone());
            prop_assert_eq!(mulx.add_row(&mut rows, &a, b[0]), PortableRows.add_row(&mut twin, &a, b[0]));
            prop_assert_eq!(rows, twin);
            let (mut ours, mut theirs) = (vec![1; 2 * n], vec![2; 2 * n]);
            multiply(mulx, &mut ours, &a, &b, &mut scratch);
            multiply(PortableRows, &mut theirs, &a, &b, &mut scratch);
            prop_assert_eq!(&ours, &theirs);
            // `reduce` is the same function of its words for any factor.
            prop_assert_eq!(reduce(mulx, &mut ours, &m, inverse), reduce(PortableRows, &mut theirs, &m, inverse));
            prop_assert_eq!(&ours, &theirs);
            square(mulx, &mut ours, &a, &mut scratch);
            square(PortableRows, &mut theirs, &a, &mut scratch);
            prop_assert_eq!(&ours, &theirs);
            multiply(PortableRows, &mut ours, &a, &a, &mut scratch);
            prop_assert_eq!(&ours, &theirs);
        }
    }
}
