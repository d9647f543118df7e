//! Words that are overwritten when they are dropped.

use std::ops::{Deref, DerefMut};

/// A fixed number of words, overwritten with zeros on drop.
///
/// Against `zeroize`'s own wrapper: one `memset` and a barrier behind it in place of a volatile store for each word,
/// which would cost as much as a small multiplication.
#[derive(Clone)]
pub(crate) struct Wiped(Vec<u64>);

impl Wiped {
    /// So many zeros.
    pub(crate) fn zeros(count: usize) -> Self {
        Self(vec![0; count])
    }

    /// Overwrites the words with zeros.
    pub(crate) fn wipe(&mut self) {
        self.0.fill(0);
        // The compiler must take the zeros for read, so that it cannot leave them out as dead stores.
        zeroize::optimization_barrier(self.0.as_slice());
    }
}

impl From<Vec<u64>> for Wiped {
    fn from(words: Vec<u64>) -> Self {
        Self(words)
    }
}

impl From<&[u64]> for Wiped {
    fn from(words: &[u64]) -> Self {
        Self(words.to_vec())
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Deref for Wiped {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }
}
