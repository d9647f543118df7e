//! Masks, for code whose running time does not depend on its data.

use std::hint::black_box;

/// All ones for `flag` = 1, all zeros for `flag` = 0.
///
/// The optimiser must not see that the value has only two states. Otherwise it may insert a branch.
#[inline(always)]
pub(crate) fn mask(flag: u64) -> u64 {
    black_box(flag).wrapping_neg()
}

/// All ones where `a == b`, else zero.
#[inline(always)]
pub(crate) fn eq_mask(a: u64, b: u64) -> u64 {
    let difference = a ^ b;
    mask(1 ^ ((difference | difference.wrapping_neg()) >> 63))
}
