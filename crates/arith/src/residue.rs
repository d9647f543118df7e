//! An element of ℤ/m in the form that the kernels multiply.

use std::fmt;
use std::sync::Arc;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::context::Context;
use crate::wiped::Wiped;

/// An element of ℤ/m in Montgomery form, always fully reduced.
///
/// It is made and used by its [`Modulus`](crate::Modulus). Used with another modulus, it is taken as the integer in
/// [0, m) that it stands for, and reduced: slow, but never a panic or a wrong word.
///
/// # Security
/// The words are overwritten when the value is dropped, and `Debug` shows none of them, since any residue may be
/// a secret. Comparison with `==` reads all words, whatever they hold.
#[derive(Clone)]
pub struct Residue {
    pub(crate) context: Arc<Context>,
    pub(crate) words: Wiped,
}

impl Zeroize for Residue {
    /// Makes the residue 0.
    fn zeroize(&mut self) {
        self.words.wipe();
    }
}

impl ZeroizeOnDrop for Residue {}

impl fmt::Debug for Residue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Residue(<redacted>, modulus of {} bits)", self.context.bits())
    }
}

impl PartialEq for Residue {
    /// Equal are the same residues of equal moduli.
    fn eq(&self, other: &Self) -> bool {
        if self.context.same_form(&other.context) {
            let difference = self.words.iter().zip(other.words.iter()).fold(0, |acc, (a, b)| acc | (a ^ b));
            return difference == 0;
        }
        self.context.value() == other.context.value() && self.to_integer() == other.to_integer()
    }
}

impl Eq for Residue {}

impl Residue {
    /// The number in [0, m) that it stands for.
    pub(crate) fn to_integer(&self) -> num_bigint::BigUint {
        let mut scratch = Wiped::zeros(self.context.scratch_words());
        self.context.integer_from(&self.words, &mut scratch)
    }
}
