//! Batches on every kernel of this machine against the portable one, one number at a time.

use num_bigint::BigUint;
use num_traits::One;
use proptest::prelude::*;

use super::*;
use crate::{WindowTable, vartime_multi_pow_tables};

/// Numbers of up to so many bits with extreme words, from a seed.
fn number(seed: u64, bits: u64) -> BigUint {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..bits.div_ceil(32))
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match state >> 61 {
                0 => 0,
                1 => u32::MAX,
                _ => (state >> 20 & 0xffff_ffff) as u32,
            }
        })
        .collect();
    BigUint::new(words) & ((BigUint::one() << bits) - 1u8)
}

/// The `which`-th value of a batch: an edge of [0, m), or any number.
fn value(m: &BigUint, seed: u64, which: u64) -> BigUint {
    match (seed >> 8).wrapping_add(which) % 7 {
        0 => BigUint::ZERO,
        1 => BigUint::one(),
        2 => m - 1u8,
        3 => (BigUint::one() << (m.bits() - 1)) - 1u8,
        _ => number(seed ^ which << 32, m.bits()) % m,
    }
}

fn contexts(m: &BigUint) -> impl Iterator<Item = Modulus> {
    let available = Kernel::ALL.into_iter().filter(|kernel| kernel.is_available());
    available.map(|kernel| Modulus::with_kernel(m, kernel).unwrap())
}

/// A batch, and one after the other by the portable kernel.
fn check(m: &BigUint, count: usize, bits: u64, seed: u64) {
    let portable = Modulus::with_kernel(m, Kernel::Portable).unwrap();
    let values: Vec<_> = (0..count as u64).map(|which| value(m, seed, which)).collect();
    let exponents: Vec<_> = (0..count as u64)
        .map(|which| {
            let value = match which % 4 {
                0 => BigUint::ZERO,
                1 => (BigUint::one() << bits) - 1u8,
                _ => number(seed ^ which, bits),
            };
            SecretInt::new(value, bits + which % 3).unwrap()
        })
        .collect();
    let first = SecretInt::new(number(!seed, bits), bits).unwrap();
    for modulus in contexts(m) {
        let same = |what: &str, got: Vec<Residue>, want: &dyn Fn(usize) -> Residue| {
            assert_eq!(got.len(), count);
            for (index, got) in got.iter().enumerate() {
                let (got, want) = (modulus.to_uint(got), portable.to_uint(&want(index)));
                assert_eq!(got, want, "{what} {index} of {count} by {:?} mod {m:x}", modulus.kernel());
            }
        };
        let bases: Vec<_> = values.iter().map(|value| modulus.residue(value)).collect();
        let plain: Vec<_> = values.iter().map(|value| portable.residue(value)).collect();
        same("pow", modulus.pow_batch(&bases, &first), &|i| portable.pow(&plain[i], &first));
        let public = first.expose();
        same("public", modulus.vartime_pow_batch(&bases, public), &|i| {
            portable.vartime_pow(&plain[i], public)
        });
        let terms: Vec<_> = bases.iter().zip(&exponents).collect();
        same("each", modulus.pow_each(&terms), &|i| portable.pow(&plain[i], &exponents[i]));
        same("square", modulus.square_batch(&bases), &|i| portable.square(&plain[i]));
        let pairs: Vec<_> = bases.iter().zip(bases.iter().rev()).collect();
        same("mul", modulus.mul_batch(&pairs), &|i| portable.mul(&plain[i], &plain[count - 1 - i]));
        let Some(base) = bases.last() else { continue };
        for bytes in [4, 40].map(|entries| entries * modulus.residue_bytes()) {
            let comb = FixedBase::new(&modulus, base, bits + 2, bytes).unwrap();
            same("comb", comb.pow_batch(&exponents), &|i| portable.pow(&plain[count - 1], &exponents[i]));
        }
    }
}

#[test]
fn batches_of_every_length() {
    for bits in [514u64, 1030] {
        let m = (BigUint::one() << bits) - 1u8;
        for count in 0..=17 {
            check(&m, count, 70, 0x1234_5600 + count as u64 * 0x101);
        }
    }
}

#[test]
fn moduli_of_many_sizes() {
    // 52·79 − 2 and its neighbours are where the number of limbs changes.
    for bits in [512u64, 570, 778, 1024, 1030, 2048, 3072, 4052, 4056, 4057, 4096, 4106, 4107, 6144, 8192] {
        let m = number(bits, bits) | BigUint::one() | (BigUint::one() << (bits - 1));
        check(&m, 8, 24, bits << 5);
        check(&((BigUint::one() << bits) - 1u8), 5, 9, bits << 9);
    }
}

/// The form with fewer limbs takes doublings where 52·(2n − w) is not below the bits of m.
#[test]
fn a_power_of_two_above_the_modulus() {
    for bits in 513u64..=1200 {
        let m = (BigUint::one() << (bits - 1)) + 1u8;
        let Ok(modulus) = Modulus::with_kernel(&m, Kernel::Ifma) else { return };
        let base = modulus.residue(&number(bits, bits));
        let exponent = SecretInt::new(5u8.into(), 3).unwrap();
        let bases = vec![base.clone(); 8];
        assert_eq!(modulus.pow_batch(&bases, &exponent), vec![modulus.pow(&base, &exponent); 8], "{bits}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batches_are_what_one_number_gives(
        bits in 514u64..2200,
        count in 1usize..=17,
        exponent_bits in 0u64..130,
        seed: u64,
    ) {
        let m = number(seed, bits) | BigUint::one() | (BigUint::one() << (bits - 1));
        check(&m, count, exponent_bits, seed);
    }

    /// Sizes and kernels mixed, residues of other moduli among the bases.
    #[test]
    fn different_moduli(
        terms in prop::collection::vec(
            (any::<u64>(), prop_oneof![4 => Just(1024u64), 2 => 1020u64..1100, 1 => 100u64..600], 0u64..80, 0usize..6),
            0..=20,
        ),
    ) {
        let owned: Vec<_> = terms
            .iter()
            .map(|&(seed, bits, exponent_bits, kernel)| {
                let m = number(seed, bits) | BigUint::one() | (BigUint::one() << (bits - 1));
                let modulus = Modulus::new(&m).unwrap();
                let modulus = match Kernel::ALL.get(kernel) {
                    Some(&kernel) => Modulus::with_kernel(&m, kernel).unwrap_or(modulus),
                    None => modulus,
                };
                let other = Modulus::with_kernel(&m, Kernel::Portable).unwrap();
                let owner = if seed.is_multiple_of(5) { &other } else { &modulus };
                let base = owner.residue(&value(&m, seed, 3));
                let exponent = SecretInt::new(number(!seed, exponent_bits), exponent_bits).unwrap();
                (modulus, base, exponent)
            })
            .collect();
        let borrowed: Vec<_> = owned.iter().map(|(modulus, base, exponent)| (modulus, base, exponent)).collect();
        let powers = pow_moduli(&borrowed);
        prop_assert_eq!(powers.len(), owned.len());
        for (power, (modulus, base, exponent)) in powers.iter().zip(&owned) {
            let portable = Modulus::with_kernel(modulus.value(), Kernel::Portable).unwrap();
            prop_assert_eq!(modulus.to_uint(power), portable.to_uint(&portable.pow(base, exponent)));
            // The residue belongs to its modulus: no conversion is hidden in the comparison.
            prop_assert!(std::sync::Arc::ptr_eq(&power.context, &modulus.context));
        }
    }

    /// Small bases from none to as long as a word, moduli with little and much room in their limbs.
    #[test]
    fn small_bases(
        bits in prop_oneof![Just(512u64), Just(1024), Just(2048), Just(2078), 514u64..1500],
        terms in prop::collection::vec(
            (any::<u64>(), prop_oneof![6 => 0u64..14, 2 => Just(31u64), 1 => 32u64..=1 << 20, 1 => any::<u64>()], 0u64..90),
            0..=17,
        ),
        full: bool,
    ) {
        let owned: Vec<_> = terms
            .iter()
            .map(|&(seed, base, exponent_bits)| {
                let m = number(seed, bits) | BigUint::one() | (BigUint::one() << (bits - 1));
                // A modulus and an exponent with all bits set, too.
                let (m, exponent) = if full {
                    ((BigUint::one() << bits) - 1u8, (BigUint::one() << exponent_bits) - 1u8)
                } else {
                    (m, number(!seed, exponent_bits))
                };
                (Modulus::new(&m).unwrap(), base, SecretInt::new(exponent, exponent_bits).unwrap())
            })
            .collect();
        let borrowed: Vec<_> = owned.iter().map(|(modulus, base, exponent)| (modulus, *base, exponent)).collect();
        let powers = pow_moduli_small_base(&borrowed);
        prop_assert_eq!(powers.len(), owned.len());
        for (power, (modulus, base, exponent)) in powers.iter().zip(&owned) {
            let expected = BigUint::from(*base).modpow(exponent.expose(), modulus.value());
            prop_assert_eq!(modulus.to_uint(power), expected);
            prop_assert!(std::sync::Arc::ptr_eq(&power.context, &modulus.context));
        }
    }

    #[test]
    fn products_side_by_side(
        bits in 514u64..1500,
        lengths in prop::collection::vec(prop_oneof![6 => 0usize..12, 1 => Just(300)], 0..=18),
        exponent_bits in 0u32..=64,
        seed: u64,
    ) {
        let m = number(seed, bits) | BigUint::one() | (BigUint::one() << (bits - 1));
        for modulus in contexts(&m) {
            let table = |i: u64| {
                let base = modulus.residue(&value(&m, seed, i));
                WindowTable::new(&modulus, &base, 1 + u32::from(i.is_multiple_of(2)) + u32::from(i.is_multiple_of(3))).unwrap()
            };
            let tables: Vec<_> = (0..12).map(table).collect();
            let exponent = |i: usize, j: usize| {
                let x = (seed ^ (i << 20 | j) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                x.checked_shr(64 - exponent_bits).unwrap_or(0)
            };
            let products: Vec<Vec<_>> = lengths
                .iter()
                .enumerate()
                .map(|(i, &length)| (0..length).map(|j| (&tables[(i + j) % 12], exponent(i, j))).collect())
                .collect();
            let expected: Vec<_> =
                products.iter().map(|terms| vartime_multi_pow_tables(&modulus, terms)).collect();
            prop_assert_eq!(vartime_multi_pow_batch(&modulus, &products), expected);
        }
    }
}
