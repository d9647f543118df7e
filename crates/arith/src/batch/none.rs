//! For processors without eight lanes: nothing is computed side by side.

use num_bigint::BigUint;

use crate::context::Context;
use crate::multi_pow::Step;
use crate::pow::Digits;
use crate::wiped::Wiped;
use crate::{FixedBase, SecretInt};

pub(super) fn size(_: &Context) -> Option<(usize, usize)> {
    None
}

pub(super) fn pow(_: &[&Context], _: &[&[u64]], _: &[&SecretInt]) -> Option<Vec<Wiped>> {
    None
}

pub(super) fn pow_small(_: &[&Context], _: &[u64], _: &[&SecretInt]) -> Option<Vec<Wiped>> {
    None
}

pub(super) fn vartime_pow(_: &Context, _: &[&[u64]], _: &BigUint) -> Option<Vec<Wiped>> {
    None
}

pub(super) fn mul(_: &Context, _: &[&[u64]], _: &[&[u64]]) -> Option<Vec<Wiped>> {
    None
}

pub(super) fn square(_: &Context, _: &[&[u64]]) -> Option<Vec<Wiped>> {
    None
}

pub(super) fn comb(_: &Context, _: &FixedBase, _: &[Digits]) -> Option<Vec<Wiped>> {
    None
}

pub(super) fn product<'a>(
    _: &Context,
    _: &[&[Step]],
    _: impl Fn(usize, Step) -> &'a [u64],
) -> Option<Vec<Wiped>> {
    None
}
