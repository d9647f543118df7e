//! The kernel's words against the formula, limb by limb: (a·b + q·m)/R with q = −a·b·m⁻¹ mod R.

use num_bigint::BigUint;
use num_traits::One;
use proptest::prelude::*;

use super::form::{LANES, MIN_WORDS, NARROW_BITS, NARROW_LIMB_BITS, PAD};
use super::*;
use crate::Kernel;
use crate::kernel::ifma::WORD_BITS;
use crate::words::{join, low_mask, split};

fn number(bits: u64) -> impl Strategy<Value = BigUint> {
    let word = prop_oneof![4 => any::<u64>(), 2 => Just(u64::MAX), 2 => Just(0), 1 => Just(1)];
    let words = usize::try_from(bits.div_ceil(64)).unwrap();
    prop::collection::vec(word, words).prop_map(move |words| {
        let words =
            words.iter().flat_map(|word| [(word & 0xffff_ffff) as u32, (word >> 32) as u32]).collect();
        BigUint::new(words) & ((BigUint::one() << bits) - 1u8)
    })
}

/// Moduli of exactly `bits` bits, and factors below twice the modulus, with the edges among them.
fn operands(bits: u64) -> impl Strategy<Value = Vec<[BigUint; 3]>> {
    let lane =
        (number(bits), number(bits), number(bits), any::<[u8; 2]>()).prop_map(move |(m, a, b, edges)| {
            let m = m | BigUint::one() | (BigUint::one() << (bits - 1));
            let edge = |edge: u8, x: BigUint| match edge % 12 {
                0 => BigUint::ZERO,
                1 => BigUint::one(),
                2 => &m - 1u8,
                3 => &m * 2u8 - 1u8,
                4 => m.clone(),
                5 => (BigUint::one() << (bits - 1)) - 1u8,
                _ => x % (&m * 2u8),
            };
            let (a, b) = (edge(edges[0], a), edge(edges[1], b));
            [m, a, b]
        });
    prop::collection::vec(lane, LANES)
}

/// −m⁻¹ mod R, and the word of it.
fn negated_inverse(m: &BigUint, r: &BigUint) -> (BigUint, u64) {
    let inverse = r - m.modinv(r).unwrap();
    (inverse.clone(), inverse.iter_u64_digits().next().unwrap())
}

/// Words of the kernel for one number that hold `n` limbs, and their bits.
fn words_for(form: Form, n: usize) -> (usize, u32) {
    let bits = form.word_bits();
    ((n * form.limb_bits() as usize).div_ceil(bits as usize), bits)
}

fn eight(form: Form, n: usize, numbers: &[BigUint]) -> Eight {
    let mut eight = Eight::zeros(form, n);
    let (count, bits) = words_for(form, n);
    numbers.iter().enumerate().for_each(|(lane, x)| eight.set(lane, &split(x, count, bits)));
    eight
}

fn numbers(eight: &Eight) -> Vec<BigUint> {
    let (count, bits) = words_for(eight.form, eight.limbs());
    for lane in 0..LANES {
        for i in 0..eight.limbs() + PAD {
            let limb = eight.limb(lane, i);
            assert!(if i < eight.limbs() { limb >> eight.form.limb_bits() == 0 } else { limb == 0 });
        }
    }
    let number = |lane| {
        let mut words = vec![1; count];
        eight.get(lane, &mut words);
        join(&words, bits)
    };
    (0..LANES).map(number).collect()
}

/// Both ways to hold the moduli; `shared` takes lane 0's.
fn check(kernel: Kernel, n: usize, lanes: &[[BigUint; 3]]) {
    let bits = lanes[0][0].bits();
    let Some(form) = Form::of(kernel, bits) else { return };
    let r = BigUint::one() << (n as u64 * u64::from(form.limb_bits()));
    for shared in [false, true] {
        let m: Vec<&BigUint> =
            lanes.iter().map(|lane| if shared { &lanes[0][0] } else { &lane[0] }).collect();
        let inverses: Vec<_> = m.iter().map(|m| negated_inverse(m, &r)).collect();
        let (count, width) = words_for(form, n);
        let words: Vec<_> = m.iter().map(|m| split(m, count, width)).collect();
        let size = (kernel, bits);
        let moduli = if shared {
            Moduli::shared(size, n, LANES, &words[0], inverses[0].1)
        } else {
            Moduli::each(size, n, LANES, std::array::from_fn(|lane| (&words[lane][..], inverses[lane].1)))
        };
        let Some(moduli) = moduli else { panic!("{n} limbs do not fit {kernel:?}") };
        let reduce = |lane: usize, t: BigUint| {
            let q = (&t * &inverses[lane].0) % &r;
            let sum = t + q * m[lane];
            assert_eq!(&sum % &r, BigUint::ZERO);
            sum / &r
        };
        let factor = |which: usize| -> Vec<BigUint> {
            lanes.iter().zip(&m).map(|(lane, m)| &lane[which] % (*m * 2u8)).collect()
        };
        let (a, b) = (factor(1), factor(2));
        let what = format!("{n} limbs, {form:?}, shared: {shared}");
        let mut scratch = eight(form, n, &b);
        let mut x = eight(form, n, &a);
        moduli.mul_assign(&mut x, &eight(form, n, &b), &mut scratch);
        let products: Vec<_> = (0..LANES).map(|lane| reduce(lane, &a[lane] * &b[lane])).collect();
        assert_eq!(numbers(&x), products, "products, {what}");
        moduli.square_assign(&mut x, &mut scratch);
        let squares: Vec<_> =
            (0..LANES).map(|lane| reduce(lane, &products[lane] * &products[lane])).collect();
        assert_eq!(numbers(&x), squares, "squares, {what}");
        for loose in [&squares, &a, &b] {
            let mut x = eight(form, n, loose);
            moduli.finish(&mut x);
            let reduced: Vec<_> = loose.iter().zip(&m).map(|(x, m)| x % *m).collect();
            assert_eq!(numbers(&x), reduced, "reduced, {what}");
        }
    }
}

/// Every edge in every lane, for moduli with all bits set and with few.
#[test]
fn edge_values_in_every_lane() {
    let one = BigUint::one();
    for bits in [514u64, 1030, 2048, 3072, 4096, 6144, 8192, NARROW_BITS, 16_384] {
        for m in
            [(&one << bits) - 1u8, (&one << (bits - 1)) + 1u8, (&one << bits) - (&one << (bits / 2)) - 1u8]
        {
            let edges =
                [BigUint::ZERO, one.clone(), &m - 1u8, &m * 2u8 - 1u8, m.clone(), (&one << (bits - 1)) - 1u8];
            for turn in 0..LANES {
                let lanes: Vec<_> = (0..LANES)
                    .map(|lane| {
                        let edge = |by: usize| edges[(lane + by) % edges.len()].clone();
                        [m.clone(), edge(turn), edge(turn / 2)]
                    })
                    .collect();
                for kernel in [Kernel::Ifma, Kernel::Mulx] {
                    let Some(form) = Form::of(kernel, bits) else { continue };
                    check(kernel, form.limbs(bits), &lanes);
                }
            }
        }
    }
}

#[test]
fn every_number_of_limbs() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for n in (MIN_WORDS..70).chain([79, 80, 118, 119, 157, 158, 160, 315, 316]) {
        for slack in [2, 3, 29] {
            for (kernel, n, width) in [(Kernel::Ifma, n, WORD_BITS), (Kernel::Mulx, 2 * n, NARROW_LIMB_BITS)]
            {
                let strategy = operands(n as u64 * u64::from(width) - slack);
                let lanes = proptest::strategy::ValueTree::current(&strategy.new_tree(&mut runner).unwrap());
                check(kernel, n, &lanes);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_words_are_those_of_the_formula((n, lanes) in (MIN_WORDS..=90, 2u64..=60).prop_flat_map(|(n, slack)| {
        operands(n as u64 * u64::from(WORD_BITS) - slack).prop_map(move |lanes| (n, lanes))
    })) {
        check(Kernel::Ifma, n, &lanes);
    }

    #[test]
    fn look_ups_give_each_lane_its_entry(
        half in MIN_WORDS / 2..20,
        bits in 0u32..7,
        digits: [u64; LANES],
        seed: u64,
    ) {
        let (n, entries) = (2 * half, 1usize << bits);
        let digits = digits.map(|digit| digit % entries as u64);
        let number = |entry: usize, lane: usize| {
            let words = (0..n as u64).map(|i| {
                (seed ^ ((entry << 20 | lane) as u64) ^ i << 10).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            });
            words.map(|word| word & low_mask(NARROW_LIMB_BITS)).collect::<Vec<u64>>()
        };
        for kernel in [Kernel::Ifma, Kernel::Mulx] {
            let Some(form) = Form::of(kernel, 1000) else { continue };
            let Some(moduli) = Moduli::shared((kernel, 1000), n, LANES, &[3], 1) else { continue };
            let read = |eight: &Eight, lane: usize| (0..n).map(|i| eight.limb(lane, i)).collect::<Vec<u64>>();
            let mut table = Table::new(form, n, entries);
            let mut single = Vec::new();
            // Whatever was there before.
            let mut out = eight(form, n, &vec![BigUint::from(5u8); LANES]);
            for entry in 0..entries {
                let mut powers = Eight::zeros(form, n);
                for lane in 0..LANES {
                    (0..).zip(number(entry, lane)).for_each(|(i, word)| powers.set_limb(lane, i, word));
                }
                table.set(entry, &powers);
                single.extend(number(entry, 0));
                table.vartime_get(entry, &mut out);
                prop_assert!((0..LANES).all(|lane| read(&out, lane) == number(entry, lane)));
            }
            table.select(&mut out, digits, &moduli);
            for (lane, &digit) in digits.iter().enumerate() {
                prop_assert_eq!(read(&out, lane), number(usize::try_from(digit).unwrap(), lane));
            }
            if form == Form::Wide {
                select_shared(&mut out, &single, digits, &moduli);
                for (lane, &digit) in digits.iter().enumerate() {
                    prop_assert_eq!(read(&out, lane), number(usize::try_from(digit).unwrap(), 0));
                }
            }
        }
    }
}
