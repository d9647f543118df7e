//! The operations on a group of up to eight numbers, one in each lane. `None` where the processor cannot.
//!
//! The words that come and go are those of a [`Residue`](crate::Residue) for the kernel [`crate::Kernel::Ifma`], in
//! Montgomery form with R = 2^(52w) for its w words. Powers are computed with as few limbs as the modulus needs, n ≤ w,
//! and so in another form: [`Group::enter`] and [`Group::leave`] go from one to the other by a multiplication each. What
//! takes few multiplications keeps the form, n = w.

use num_bigint::BigUint;

use super::GROUP;
use crate::context::Context;
use crate::kernel::lanes::{self, Eight, Form, Moduli, Table};
use crate::multi_pow::Step;
use crate::pow::{Digits, select_small, sliding_window, small_powers};
use crate::wiped::Wiped;
use crate::words;
use crate::{FixedBase, SecretInt};

/// The form for a modulus, and its fewest limbs.
pub(super) fn size(context: &Context) -> Option<(Form, usize)> {
    let form = Form::of(context.kernel(), context.bits())?;
    Some((form, form.limbs(context.bits())))
}

/// Fewest limbs for a modulus.
fn limbs(context: &Context) -> Option<usize> {
    size(context).map(|(_, limbs)| limbs)
}

/// Words of a residue, where the limbs can be the same.
fn words(context: &Context) -> Option<usize> {
    matches!(size(context), Some((Form::Wide, _))).then(|| context.words())
}

/// The moduli of a group, and what its operations share.
struct Group<'a> {
    /// One for all lanes, or one for each.
    contexts: &'a [&'a Context],
    moduli: Moduli,
    /// Words of the residues that come and go.
    words: usize,
    /// Takes numbers to the form with fewer limbs, and back; `None` where the form is the same.
    forms: Option<(Eight, Eight)>,
    scratch: Eight,
}

impl<'a> Group<'a> {
    /// For `count` numbers of one modulus, or of one for each; `n` limbs.
    fn new(contexts: &'a [&'a Context], n: usize, count: usize) -> Option<Self> {
        let (first, others) = contexts.split_first()?;
        let is_shared = others.iter().all(|other| first.same_form(other));
        let contexts = if is_shared { &contexts[..1] } else { contexts };
        let size = (first.kernel(), first.bits());
        let moduli = if is_shared {
            Moduli::shared(size, n, count, first.modulus_words(), first.negated_inverse())?
        } else {
            Moduli::each(
                size,
                n,
                count,
                std::array::from_fn(|lane| {
                    let context = contexts.get(lane).unwrap_or(first);
                    (context.modulus_words(), context.negated_inverse())
                }),
            )?
        };
        let words = first.words();
        let scratch = Eight::zeros(moduli.form(), n);
        let mut group = Self { contexts, moduli, words, forms: None, scratch };
        let ours = n as u64 * u64::from(group.moduli.form().limb_bits());
        let theirs = words as u64 * u64::from(first.word_bits());
        if ours != theirs {
            // x·2^theirs times 2^(2·ours − theirs), divided by R = 2^ours, is x·R. The way back takes 2^theirs, the one of
            // the kernel for one number.
            let enter = group.for_each_modulus(|context| context.power_of_two(2 * ours - theirs));
            let leave = group.for_each_modulus(|context| Wiped::from(context.one()));
            group.forms = Some((enter, leave));
        }
        Some(group)
    }

    /// A number of each modulus. Lanes without a number have the first one's modulus.
    fn for_each_modulus(&self, words: impl Fn(&Context) -> Wiped) -> Eight {
        let mut numbers = Eight::same(self.moduli.form(), self.moduli.limbs(), &words(self.contexts[0]));
        if self.contexts.len() > 1 {
            (0..).zip(self.contexts).for_each(|(lane, context)| numbers.set(lane, &words(context)));
        }
        numbers
    }

    /// 1 in each lane.
    fn one(&mut self) -> Eight {
        let mut one = self.for_each_modulus(|context| Wiped::from(context.one()));
        if let Some((enter, _)) = &self.forms {
            self.moduli.mul_assign(&mut one, enter, &mut self.scratch);
        }
        one
    }

    /// The numbers with these words; zeros in the other lanes.
    fn enter(&mut self, numbers: &[&[u64]]) -> Eight {
        let mut eight = Eight::zeros(self.moduli.form(), self.moduli.limbs());
        numbers.iter().enumerate().for_each(|(lane, words)| eight.set(lane, words));
        if let Some((enter, _)) = &self.forms {
            self.moduli.mul_assign(&mut eight, enter, &mut self.scratch);
        }
        eight
    }

    /// The reduced words of the first `count` numbers.
    fn leave(&mut self, mut eight: Eight, count: usize) -> Vec<Wiped> {
        if let Some((_, leave)) = &self.forms {
            self.moduli.mul_assign(&mut eight, leave, &mut self.scratch);
        }
        self.moduli.finish(&mut eight);
        let number = |lane| {
            let mut words = Wiped::zeros(self.words);
            eight.get(lane, &mut words);
            words
        };
        (0..count).map(number).collect()
    }

    fn mul(&mut self, a: &mut Eight, b: &Eight) {
        self.moduli.mul_assign(a, b, &mut self.scratch);
    }

    fn square(&mut self, a: &mut Eight) {
        self.moduli.square_assign(a, &mut self.scratch);
    }

    /// 1, base, base², …, base^(2^window − 1).
    fn all_powers(&mut self, one: &Eight, base: &Eight, window: u32) -> Table {
        let mut table = Table::new(self.moduli.form(), self.moduli.limbs(), 1 << window);
        let mut power = one.clone();
        table.set(0, one);
        for entry in 1..1 << window {
            if entry == 1 {
                power.copy_from(base);
            } else {
                self.mul(&mut power, base);
            }
            table.set(entry, &power);
        }
        table
    }
}

/// Width of the fixed window that costs least: the reading of an entry counts 1/n of a multiplication.
fn fixed_window(n: usize, bits: u64) -> u32 {
    let n = n as u64;
    (1..=7)
        .min_by_key(|&w| {
            let windows = bits.div_ceil(u64::from(w));
            n * ((1u64 << w) + windows) + (windows << w)
        })
        .unwrap_or(1)
}

/// Digits of each lane's exponent; zeros in the other lanes.
fn digits_at(exponents: &[Digits], at: u64, count: u64) -> [u64; GROUP] {
    std::array::from_fn(|lane| exponents.get(lane).map_or(0, |digits| digits.range(at, count)))
}

/// Each base to the power of its exponent, for one modulus or one for each, all of the same number of limbs.
pub(super) fn pow(contexts: &[&Context], bases: &[&[u64]], exponents: &[&SecretInt]) -> Option<Vec<Wiped>> {
    let n = limbs(contexts.first()?)?;
    let mut group = Group::new(contexts, n, bases.len())?;
    let base = group.enter(bases);
    let bits = exponents.iter().map(|exponent| exponent.bits()).max().unwrap_or(0);
    let digits: Vec<_> =
        exponents.iter().map(|exponent| Digits::with_bits(exponent.expose(), bits)).collect();
    let window = fixed_window(n, bits);
    let mut acc = group.one();
    let table = group.all_powers(&acc, &base, window);
    let mut entry = Eight::zeros(group.moduli.form(), n);
    let windows = bits.div_ceil(u64::from(window));
    for i in (0..windows).rev() {
        if i + 1 != windows {
            for _ in 0..window {
                group.square(&mut acc);
            }
        }
        let digits = digits_at(&digits, i * u64::from(window), u64::from(window));
        table.select(&mut entry, digits, &group.moduli);
        group.mul(&mut acc, &entry);
    }
    Some(group.leave(acc, bases.len()))
}

/// Each small base to the power of its exponent, as [`pow`]: in place of a multiplication by an entry of a table, each window takes
/// one by a word. `None` also where a word is too long for the modulus.
pub(super) fn pow_small(
    contexts: &[&Context],
    bases: &[u64],
    exponents: &[&SecretInt],
) -> Option<Vec<Wiped>> {
    let (form, n) = size(contexts.first()?)?;
    // A number below 2m times a word below 2^room has a square below m·R.
    let longest = contexts.iter().map(|context| context.bits()).max()?;
    let spare = (n as u64 * u64::from(form.limb_bits())).checked_sub(longest)?;
    let room = u32::try_from(spare.saturating_sub(2) / 2).ok()?;
    let tables: Vec<Vec<u64>> = bases.iter().map(|&base| small_powers(base, room)).collect::<Option<_>>()?;
    let window = tables.iter().map(|powers| powers.len().ilog2()).min()?;
    if form != Form::Wide || window == 0 {
        return None;
    }
    let mut group = Group::new(contexts, n, bases.len())?;
    let bits = exponents.iter().map(|exponent| exponent.bits()).max().unwrap_or(0);
    let digits: Vec<_> =
        exponents.iter().map(|exponent| Digits::with_bits(exponent.expose(), bits)).collect();
    let one = group.one();
    let mut acc = one.clone();
    let windows = bits.div_ceil(u64::from(window));
    for i in (0..windows).rev() {
        if i + 1 != windows {
            for _ in 0..window {
                group.square(&mut acc);
            }
        }
        let digits = digits_at(&digits, i * u64::from(window), u64::from(window));
        let factors = std::array::from_fn(|lane| {
            tables.get(lane).map_or(1, |powers| select_small(&powers[..1 << window], digits[lane]))
        });
        group.moduli.mul_small_assign(&mut acc, factors);
    }
    // Back below 2m.
    group.mul(&mut acc, &one);
    Some(group.leave(acc, bases.len()))
}

/// Each base to the power of a public exponent, by sliding windows.
pub(super) fn vartime_pow(context: &Context, bases: &[&[u64]], exponent: &BigUint) -> Option<Vec<Wiped>> {
    let n = limbs(context)?;
    let contexts = [context];
    let mut group = Group::new(&contexts, n, bases.len())?;
    let bits = exponent.bits();
    let digits = Digits::new(exponent);
    let window = sliding_window(bits);
    let mut power = group.enter(bases);
    let mut squared = power.clone();
    group.square(&mut squared);
    // base, base³, …, base^(2^window − 1)
    let mut table = Table::new(group.moduli.form(), n, 1 << (window - 1));
    table.set(0, &power);
    for entry in 1..1 << (window - 1) {
        group.mul(&mut power, &squared);
        table.set(entry, &power);
    }
    let mut acc = group.one();
    let mut next = bits;
    while next > 0 {
        if !digits.bit(next - 1) {
            group.square(&mut acc);
            next -= 1;
            continue;
        }
        let mut low = next.saturating_sub(u64::from(window));
        while !digits.bit(low) {
            low += 1;
        }
        for _ in low..next {
            group.square(&mut acc);
        }
        table.vartime_get(words::index(digits.range(low, next - low)) >> 1, &mut power);
        group.mul(&mut acc, &power);
        next = low;
    }
    Some(group.leave(acc, bases.len()))
}

/// The products of numbers.
pub(super) fn mul(context: &Context, a: &[&[u64]], b: &[&[u64]]) -> Option<Vec<Wiped>> {
    let contexts = [context];
    let mut group = Group::new(&contexts, words(context)?, a.len())?;
    let mut product = group.enter(a);
    let b = group.enter(b);
    group.mul(&mut product, &b);
    Some(group.leave(product, a.len()))
}

/// The squares of numbers.
pub(super) fn square(context: &Context, a: &[&[u64]]) -> Option<Vec<Wiped>> {
    let contexts = [context];
    let mut group = Group::new(&contexts, words(context)?, a.len())?;
    let mut square = group.enter(a);
    group.square(&mut square);
    Some(group.leave(square, a.len()))
}

/// A fixed base to the power of each exponent: all lanes read one table, each its own entry.
pub(super) fn comb(context: &Context, base: &FixedBase, exponents: &[Digits]) -> Option<Vec<Wiped>> {
    let n = words(context)?;
    let contexts = [context];
    let mut group = Group::new(&contexts, n, exponents.len())?;
    let mut acc = group.one();
    let mut entry = Eight::zeros(group.moduli.form(), n);
    base.for_each_column(|square, block, positions| {
        if square {
            group.square(&mut acc);
        }
        let digits = std::array::from_fn(|lane| {
            exponents.get(lane).map_or(0, |digits| digits.gather(positions.clone()))
        });
        lanes::select_shared(&mut entry, block, digits, &group.moduli);
        group.mul(&mut acc, &entry);
    });
    Some(group.leave(acc, exponents.len()))
}

/// ∏ power(lane, step)^(2^position) for the steps of each lane. Each lane's steps come by descending positions.
///
/// The products of one position are collected first, in each lane at its own pace, so that the lanes wait for each other
/// at the end only. Then the accumulator is squared from position to position and multiplied by these products.
pub(super) fn product<'a>(
    context: &Context,
    steps: &[&[Step]],
    power: impl Fn(usize, Step) -> &'a [u64],
) -> Option<Vec<Wiped>> {
    let n = words(context)?;
    let contexts = [context];
    let mut group = Group::new(&contexts, n, steps.len())?;
    let positions =
        steps.iter().filter_map(|steps| steps.first()).map(|step| step.position + 1).max().unwrap_or(0);
    let mut collected = vec![group.one(); positions];
    let mut acc = Eight::zeros(group.moduli.form(), n);
    let mut factor = Eight::zeros(group.moduli.form(), n);
    let mut words = Wiped::zeros(n);
    let mut rest: Vec<&[Step]> = steps.to_vec();
    // The first step of a position is copied, and the next one multiplied to it.
    let mut current: Vec<Option<usize>> = vec![None; steps.len()];
    loop {
        let mut any = false;
        for (lane, rest) in rest.iter_mut().enumerate() {
            loop {
                let Some((&step, others)) = rest.split_first() else {
                    factor.set(lane, context.one());
                    break;
                };
                *rest = others;
                if current[lane] == Some(step.position) {
                    factor.set(lane, power(lane, step));
                    any = true;
                    break;
                }
                if let Some(position) = current[lane].replace(step.position) {
                    acc.get(lane, &mut words);
                    collected[position].set(lane, &words);
                }
                acc.set(lane, power(lane, step));
            }
        }
        if !any {
            break;
        }
        group.mul(&mut acc, &factor);
    }
    for (lane, position) in current.iter().enumerate() {
        if let &Some(position) = position {
            acc.get(lane, &mut words);
            collected[position].set(lane, &words);
        }
    }
    let mut result = collected.pop().unwrap_or_else(|| group.one());
    for factor in collected.iter().rev() {
        group.square(&mut result);
        group.mul(&mut result, factor);
    }
    Some(group.leave(result, steps.len()))
}
