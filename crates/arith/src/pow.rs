//! Exponentiation with one base: variable time for public exponents, constant time for secret ones.

use num_bigint::BigUint;

use crate::context::Context;
use crate::wiped::Wiped;
use crate::words::{self, SMALL_BITS};
use crate::{Modulus, Residue, SecretInt, ct};

/// Widest window of the small-base exponentiation: wider ones save no squaring.
const SMALL_WINDOW_LIMIT: u32 = 6;

impl Modulus {
    /// `base^exponent`, by sliding windows.
    ///
    /// # Security
    /// The time taken depends on the exponent: for public exponents only. The base may be secret.
    #[doc(alias("powm", "modpow", "modular exponentiation"))]
    pub fn vartime_pow(&self, base: &Residue, exponent: &BigUint) -> Residue {
        let context = &*self.context;
        let base = self.own(base);
        let bits = exponent.bits();
        if bits == 0 {
            return self.one();
        }
        let window = sliding_window(bits);
        let mut scratch = self.scratch();
        let table = odd_powers(context, &base, window, &mut scratch);
        let digits = Digits::new(exponent);
        let n = context.words();
        let mut acc = Wiped::zeros(n);
        let mut started = false;
        let mut next = bits;
        while next > 0 {
            if !digits.bit(next - 1) {
                context.square_assign(&mut acc, &mut scratch);
                next -= 1;
                continue;
            }
            // The longest window below `next` that is at most `window` wide and ends with a one.
            let mut low = next.saturating_sub(u64::from(window));
            while !digits.bit(low) {
                low += 1;
            }
            let entry = words::index(digits.range(low, next - low)) >> 1;
            let power = &table[entry * n..(entry + 1) * n];
            if started {
                for _ in low..next {
                    context.square_assign(&mut acc, &mut scratch);
                }
                context.mul_assign(&mut acc, power, &mut scratch);
            } else {
                acc.copy_from_slice(power);
                started = true;
            }
            next = low;
        }
        self.wrap_loose(acc)
    }

    /// `base^exponent` for a small base, at hardly more than the cost of the squarings: whole windows of the exponent
    /// become one multiplication by a word.
    ///
    /// # Security
    /// The time taken depends on the exponent: for public exponents only.
    pub fn vartime_pow_small_base(&self, base: u64, exponent: &BigUint) -> Residue {
        let Some(powers) = small_powers(base, SMALL_BITS) else {
            return self.vartime_pow(&self.residue_u64(base), exponent);
        };
        let digits = Digits::new(exponent);
        self.pow_small(&powers, &digits, exponent.bits(), |table, digit| table[words::index(digit)])
    }

    /// `base^exponent` in a time that depends on the sizes and on the public bound of the exponent's bits only, by
    /// fixed windows: every table entry is read for every window.
    ///
    /// # Security
    /// Constant time in base and exponent. Copying the exponent's words out of its `BigUint` takes a time that
    /// depends on the number of its words, that is, on whether 64 leading bits are all zero.
    #[doc(alias("powm_sec", "modpow", "modular exponentiation"))]
    pub fn pow(&self, base: &Residue, exponent: &SecretInt) -> Residue {
        let context = &*self.context;
        let base = self.own(base);
        let bits = exponent.bits();
        let window = fixed_window(bits);
        let mut scratch = self.scratch();
        let table = all_powers(context, &base, window, &mut scratch);
        let digits = Digits::with_bits(exponent.expose(), bits);
        let n = context.words();
        let mut acc = Wiped::from(context.one());
        let mut entry = Wiped::zeros(n);
        let windows = bits.div_ceil(u64::from(window));
        for i in (0..windows).rev() {
            if i + 1 != windows {
                for _ in 0..window {
                    context.square_assign(&mut acc, &mut scratch);
                }
            }
            let digit = digits.range(i * u64::from(window), u64::from(window));
            context.select(&mut entry, &table, digit);
            context.mul_assign(&mut acc, &entry, &mut scratch);
        }
        self.wrap_loose(acc)
    }

    /// `base^exponent` for a small public base in constant time: as [`Modulus::vartime_pow_small_base`], with a masked
    /// selection of the multiplier and a multiplication in every step.
    ///
    /// # Security
    /// As [`Modulus::pow`]; the base is public.
    pub fn pow_small_base(&self, base: u64, exponent: &SecretInt) -> Residue {
        let Some(powers) = small_powers(base, SMALL_BITS) else {
            return self.pow(&self.residue_u64(base), exponent);
        };
        let digits = Digits::with_bits(exponent.expose(), exponent.bits());
        self.pow_small(&powers, &digits, exponent.bits(), select_small)
    }

    /// Windows of log₂(powers.len()) bits; `look_up` returns the power for a digit.
    fn pow_small(
        &self,
        powers: &[u64],
        digits: &Digits,
        bits: u64,
        look_up: impl Fn(&[u64], u64) -> u64,
    ) -> Residue {
        let context = &*self.context;
        let window = u64::from(powers.len().ilog2());
        let mut scratch = self.scratch();
        let mut acc = Wiped::from(context.one());
        let windows = bits.div_ceil(window);
        for i in (0..windows).rev() {
            if i + 1 != windows {
                for _ in 0..window {
                    context.square_assign(&mut acc, &mut scratch);
                }
            }
            context.mul_small_assign(&mut acc, look_up(powers, digits.range(i * window, window)));
        }
        self.wrap_loose(acc)
    }
}

/// The power for a digit, reading every one.
pub(crate) fn select_small(powers: &[u64], digit: u64) -> u64 {
    (0u64..).zip(powers).fold(0, |acc, (i, &power)| acc | (power & ct::eq_mask(i, digit)))
}

/// base^0, base^1, …, base^(2^w − 1) with the greatest useful w for which all are below 2^`bits`; `None` where the base itself is
/// not.
pub(crate) fn small_powers(base: u64, bits: u32) -> Option<Vec<u64>> {
    if base >> bits != 0 {
        return None;
    }
    let mut powers = vec![1u64];
    while powers.len() < 1 << SMALL_WINDOW_LIMIT {
        match powers.last().and_then(|&last| last.checked_mul(base)) {
            Some(next) if next >> bits == 0 => powers.push(next),
            _ => break,
        }
    }
    powers.truncate(1 << powers.len().ilog2());
    Some(powers)
}

/// Width of the sliding window that costs the fewest multiplications for an exponent of this many bits.
pub(crate) fn sliding_window(bits: u64) -> u32 {
    (1..=8).min_by_key(|&w| (1u64 << (w - 1)) + bits / (u64::from(w) + 1)).unwrap_or(1)
}

/// Width of the fixed window, counting the reading of the table as 1/32 of a multiplication for each entry.
fn fixed_window(bits: u64) -> u32 {
    (1..=7)
        .min_by_key(|&w| {
            let windows = bits.div_ceil(u64::from(w));
            32 * ((1u64 << w) + windows) + (windows << w)
        })
        .unwrap_or(1)
}

/// base, base³, base⁵, …, base^(2^window − 1), one after the other.
pub(crate) fn odd_powers(context: &Context, base: &[u64], window: u32, scratch: &mut [u64]) -> Wiped {
    let n = context.words();
    let count = 1usize << (window - 1);
    let mut table = Wiped::zeros(n * count);
    let mut squared = Wiped::from(base);
    context.square_assign(&mut squared, scratch);
    table[..n].copy_from_slice(base);
    for i in 1..count {
        let (made, next) = table.split_at_mut(i * n);
        next[..n].copy_from_slice(&made[(i - 1) * n..]);
        context.mul_assign(&mut next[..n], &squared, scratch);
    }
    table
}

/// 1, base, base², …, base^(2^window − 1), one after the other.
pub(crate) fn all_powers(context: &Context, base: &[u64], window: u32, scratch: &mut [u64]) -> Wiped {
    let n = context.words();
    let count = 1usize << window;
    let mut table = Wiped::zeros(n * count);
    table[..n].copy_from_slice(context.one());
    table[n..2 * n].copy_from_slice(base);
    for i in 2..count {
        let (made, next) = table.split_at_mut(i * n);
        if i % 2 == 0 {
            next[..n].copy_from_slice(&made[(i / 2) * n..(i / 2 + 1) * n]);
            context.square_assign(&mut next[..n], scratch);
        } else {
            next[..n].copy_from_slice(&made[(i - 1) * n..]);
            context.mul_assign(&mut next[..n], base, scratch);
        }
    }
    table
}

/// An exponent as words, for reading any range of its bits.
pub(crate) struct Digits(Wiped);

impl Digits {
    pub(crate) fn new(x: &BigUint) -> Self {
        Self::with_bits(x, x.bits())
    }

    /// With as many words as `bits` asks for; one more lets a range reach past the end.
    pub(crate) fn with_bits(x: &BigUint, bits: u64) -> Self {
        let count = usize::try_from(bits / 64).unwrap_or(usize::MAX - 2) + 2;
        Self(Wiped::from(crate::words::split(x, count, 64)))
    }

    /// Bit `at`, 0 past the end.
    pub(crate) fn bit(&self, at: u64) -> bool {
        self.range(at, 1) == 1
    }

    /// `count` bits from `at` upwards, 1 ≤ `count` ≤ 64; zeros past the end.
    pub(crate) fn range(&self, at: u64, count: u64) -> u64 {
        let word = words::index(at / 64);
        let offset = at % 64;
        let low = self.0.get(word).copied().unwrap_or(0) >> offset;
        // Two shifts, since one by 64 is none.
        let high = (self.0.get(word + 1).copied().unwrap_or(0) << 1) << (63 - offset);
        (low | high) & (u64::MAX >> (64 - count))
    }
    /// The bits at these positions as a number, lowest first.
    pub(crate) fn gather(&self, positions: impl Iterator<Item = u64>) -> u64 {
        positions.zip(0..).fold(0, |number, (at, place)| number | (self.range(at, 1) << place))
    }
}
