//! Many residues of one modulus in one piece of memory.

use std::fmt;
use std::sync::Arc;

use crate::context::Context;
use crate::wiped::Wiped;
use crate::words::repack;
use crate::{Modulus, Residue};

/// A list of residues of one modulus, in as few 64-bit words as the modulus takes: for millions of ciphertexts, of which
/// each as a [`Residue`] would be an allocation of its own, up to a third larger.
///
/// The modulus is that of the first residue; others are taken as in [`Residue`].
///
/// # Security
/// For values that are no secret, such as ciphertexts: they are not wiped. `Debug` shows none of them all the same.
///
/// ```
/// use subrosa_arith::{Modulus, ResidueVec};
///
/// let modulus = Modulus::new(&1_000_003_u32.into())?;
/// let mut list = ResidueVec::new();
/// list.push(&modulus.residue_u64(5));
/// list.push(&modulus.residue_u64(7));
/// assert_eq!(list.get(1), Some(modulus.residue_u64(7)));
/// assert_eq!(list.get(2), None);
/// # Ok::<(), subrosa_arith::ArithError>(())
/// ```
#[derive(Clone, Default)]
pub struct ResidueVec {
    context: Option<Arc<Context>>,
    len: usize,
    /// The words of the residues one after the other, each packed to whole 64-bit words.
    words: Vec<u64>,
}

impl fmt::Debug for ResidueVec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResidueVec(<redacted>, {} residues)", self.len)
    }
}

impl ResidueVec {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of residues.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the residues take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// Appends a residue.
    pub fn push(&mut self, residue: &Residue) {
        let context = Arc::clone(self.context.get_or_insert_with(|| Arc::clone(&residue.context)));
        let (width, size) = (context.word_bits(), packed_words(&context));
        let modulus = Modulus { context };
        let start = self.words.len();
        self.words.resize(start + size, 0);
        // What is beyond these words is zero: residues are reduced.
        repack(&mut self.words[start..], 64, &modulus.own(residue), width);
        self.len += 1;
    }

    /// The residue at `index`, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Residue> {
        let context = self.context.as_ref()?;
        let size = packed_words(context);
        let start = index.checked_mul(size)?;
        let packed = self.words.get(start..start.checked_add(size)?)?;
        let mut words = Wiped::zeros(context.words());
        repack(&mut words, context.word_bits(), packed, 64);
        Some(Residue { context: Arc::clone(context), words })
    }

    /// Appends what another list holds.
    pub fn append(&mut self, other: &Self) {
        let same = match (&self.context, &other.context) {
            (Some(ours), Some(theirs)) => ours.same_form(theirs),
            (None, _) => true,
            (_, None) => return,
        };
        if same {
            self.context = self.context.take().or_else(|| other.context.clone());
            self.words.extend_from_slice(&other.words);
            self.len += other.len;
        } else {
            (0..other.len).filter_map(|index| other.get(index)).for_each(|residue| self.push(&residue));
        }
    }
}

/// 64-bit words that a residue takes here.
fn packed_words(context: &Context) -> usize {
    // At most 256, for the longest modulus.
    usize::try_from(context.bits().div_ceil(64)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;
    use crate::Kernel;

    proptest! {
        #[test]
        fn gives_back_what_was_put_in(
            modulus in proptest::collection::vec(any::<u8>(), 1..300),
            values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..5),
        ) {
            let modulus = BigUint::from_bytes_le(&modulus) * 2_u8 + 3_u8;
            for kernel in [Kernel::Portable, Kernel::Mulx, Kernel::Ifma] {
                let Ok(m) = Modulus::with_kernel(&modulus, kernel) else { continue };
                let other = Modulus::with_kernel(&modulus, Kernel::Portable).unwrap();
                let residues: Vec<Residue> =
                    values.iter().map(|value| m.residue(&BigUint::from_bytes_le(value))).collect();
                let mut list = ResidueVec::new();
                residues.iter().for_each(|residue| list.push(residue));
                let mut mixed = ResidueVec::new();
                mixed.append(&list);
                mixed.append(&mixed.clone());
                for (index, residue) in residues.iter().enumerate() {
                    prop_assert_eq!(list.get(index), Some(residue.clone()));
                    prop_assert_eq!(mixed.get(residues.len() + index), Some(residue.clone()));
                    // A residue in another kernel's form is converted.
                    mixed.push(&other.residue(&m.to_uint(residue)));
                    prop_assert_eq!(mixed.get(2 * residues.len() + index), Some(residue.clone()));
                }
                prop_assert_eq!(list.get(residues.len()), None);
                prop_assert_eq!(list.len(), residues.len());
                let words = usize::try_from(m.bits().div_ceil(64)).unwrap();
                prop_assert_eq!(list.bytes(), residues.len() * words * 8);
            }
        }
    }
}
