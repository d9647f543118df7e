//! Every operation on residues against `num-bigint`, for every kernel that this machine has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{One, Zero};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use subrosa_arith::{
    ArithError, FixedBase, Kernel, Modulus, SecretInt, WindowTable, vartime_multi_pow_tables,
    vartime_multi_pow_tables_wide,
};
use subrosa_encoding::Hasher;

/// Words with extremes more often than chance would have them: they make the carries run far.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![4 => any::<u32>(), 2 => Just(u32::MAX), 2 => Just(0), 1 => Just(1), 1 => Just(1 << 31)]
}

fn number(words: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = BigUint> {
    prop::collection::vec(word(), words).prop_map(BigUint::new)
}

/// Odd and at least 3.
fn modulus(words: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = BigUint> {
    number(words).prop_map(|mut m| {
        m.set_bit(0, true);
        if m.is_one() { BigUint::from(3u8) } else { m }
    })
}

fn contexts(m: &BigUint) -> Vec<Modulus> {
    Kernel::ALL
        .into_iter()
        .filter(|kernel| kernel.is_available())
        .map(|kernel| Modulus::with_kernel(m, kernel).unwrap())
        .collect()
}

/// Numbers at the edges of [0, m) and beyond it.
fn edges(m: &BigUint) -> Vec<BigUint> {
    let one = BigUint::one();
    let ones = (&one << m.bits()) - 1u8;
    vec![
        BigUint::zero(),
        one.clone(),
        BigUint::from(2u8),
        m - 1u8,
        m - 2u8,
        m >> 1,
        m.clone(),
        m + 1u8,
        ones.clone(),
        &one << (m.bits() - 1),
        (&one << (m.bits() * 2 + 70)) - 1u8,
        &ones << 64,
    ]
}

fn check_arithmetic(m: &BigUint, a: &BigUint, b: &BigUint, c: u64) {
    for context in contexts(m) {
        let (x, y) = (context.residue(a), context.residue(b));
        let kernel = context.kernel();
        let check = |what: &str, got: &subrosa_arith::Residue, want: BigUint| {
            assert_eq!(context.to_uint(got), want, "{what} by {kernel:?} mod {m:x}: {a:x}, {b:x}, {c}");
        };
        check("residue", &x, a % m);
        check("add", &context.add(&x, &y), (a + b) % m);
        check("sub", &context.sub(&x, &y), ((a % m) + m - (b % m)) % m);
        check("neg", &context.neg(&x), (m - a % m) % m);
        check("mul", &context.mul(&x, &y), (a * b) % m);
        check("square", &context.square(&x), (a * a) % m);
        check("mul_u64", &context.mul_u64(&x, c), (a * c) % m);
        let negative = BigInt::from_biguint(Sign::Minus, a.clone());
        check("signed", &context.residue_signed(&negative), (m - a % m) % m);
        let mut in_place = x.clone();
        context.mul_assign(&mut in_place, &y);
        context.square_assign(&mut in_place);
        context.add_assign(&mut in_place, &x);
        context.sub_assign(&mut in_place, &y);
        let product = a * b % m;
        check("in place", &in_place, (&product * &product + a % m + m - b % m) % m);
        assert_eq!(context.is_zero(&x), (a % m).is_zero());
        assert_eq!(context.is_one(&x), (a % m).is_one());
        assert_eq!(context.eq(&x, &y), a % m == b % m);
        assert_eq!(x == y, a % m == b % m);
        let inverse = context.vartime_invert(&x).map(|inverse| context.to_uint(&inverse));
        assert_eq!(inverse, a.modinv(m));
    }
}

#[test]
fn edge_values_at_every_size() {
    for bits in
        (2..70).chain([127, 128, 129, 191, 192, 415, 416, 417, 512, 1023, 1024, 1025, 2048, 4096, 4160])
    {
        let one = BigUint::one();
        let mut moduli: Vec<BigUint> =
            vec![(&one << bits) - 1u8, (&one << (bits - 1)) + 1u8, (&one << bits) - 3u8];
        moduli.retain(|m| m > &BigUint::from(2u8) && m.bit(0));
        for m in moduli {
            let edges = edges(&m);
            for (i, a) in edges.iter().enumerate() {
                for b in &edges[..=i] {
                    check_arithmetic(&m, a, b, u64::MAX - a.iter_u64_digits().next().unwrap_or(0));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arithmetic_is_that_of_num_bigint(m in modulus(1..=144), a in number(0..=150), b in number(0..=150), c: u64) {
        check_arithmetic(&m, &a, &b, c);
        check_arithmetic(&m, &a, &b, c >> 8);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn large_moduli(m in modulus(145..=512), a in number(0..=520), b in number(0..=520), c: u64) {
        check_arithmetic(&m, &a, &b, c);
    }

    #[test]
    fn powers(
        m in modulus(1..=70),
        a in number(0..=70),
        e in number(0..=30),
        slack in 0u64..200,
        small in prop_oneof![0u64..20, any::<u64>()],
    ) {
        for context in contexts(&m) {
            let base = context.residue(&a);
            let want = a.modpow(&e, &m);
            let secret = SecretInt::new(e.clone(), e.bits() + slack).unwrap();
            prop_assert_eq!(context.to_uint(&context.vartime_pow(&base, &e)), want.clone());
            prop_assert_eq!(context.to_uint(&context.pow(&base, &secret)), want.clone());
            let want_small = BigUint::from(small).modpow(&e, &m);
            prop_assert_eq!(context.to_uint(&context.vartime_pow_small_base(small, &e)), want_small.clone());
            prop_assert_eq!(context.to_uint(&context.pow_small_base(small, &secret)), want_small);
            for bytes in [2 * context.residue_bytes(), 40_000] {
                let Ok(comb) = FixedBase::new(&context, &base, e.bits() + slack, bytes) else { continue };
                prop_assert!(comb.table_bytes() <= bytes);
                prop_assert_eq!(context.to_uint(&comb.pow(&secret)), want.clone());
                prop_assert_eq!(context.to_uint(&comb.vartime_pow(&e)), want.clone());
                // Longer than the table is made for.
                let long = SecretInt::new(e.clone(), e.bits() + slack + 1).unwrap();
                prop_assert_eq!(context.to_uint(&comb.pow(&long)), want.clone());
            }
            if let Ok(comb) = FixedBase::new(&context, &base, e.bits() / 2, 40_000) {
                prop_assert_eq!(context.to_uint(&comb.pow(&secret)), want.clone());
                prop_assert_eq!(context.to_uint(&comb.vartime_pow(&e)), want);
            }
        }
    }

    #[test]
    fn products_of_powers(
        m in modulus(1..=70),
        terms in prop::collection::vec((number(0..=70), any::<u128>(), 0u32..128, 1u32..=6), 0..40),
    ) {
        for context in contexts(&m) {
            let bases: Vec<_> = terms.iter().map(|term| context.residue(&term.0)).collect();
            let tables: Vec<_> = terms
                .iter()
                .zip(&bases)
                .map(|(term, base)| WindowTable::new(&context, base, term.3).unwrap())
                .collect();
            let wide: Vec<_> = tables.iter().zip(&terms).map(|(table, term)| (table, term.1 >> term.2)).collect();
            let exponents: Vec<_> = wide.iter().map(|&(_, e)| BigUint::from(e)).collect();
            let short: Vec<_> = wide.iter().map(|&(table, e)| (table, u64::try_from(e >> 64).unwrap())).collect();
            let expected = |exponents: &[BigUint]| {
                let powers = terms.iter().zip(exponents).map(|(term, e)| term.0.modpow(e, &m));
                powers.fold(BigUint::one() % &m, |product, power| product * power % &m)
            };
            let want = expected(&exponents);
            prop_assert_eq!(context.to_uint(&vartime_multi_pow_tables_wide(&context, &wide)), want.clone());
            prop_assert_eq!(context.to_uint(&context.vartime_multi_pow(&bases, &exponents)), want);
            let short_exponents: Vec<_> = short.iter().map(|&(_, e)| BigUint::from(e)).collect();
            prop_assert_eq!(
                context.to_uint(&vartime_multi_pow_tables(&context, &short)),
                expected(&short_exponents)
            );
        }
    }
}

/// Enough terms for buckets to be cheaper than windows.
#[test]
fn products_of_many_powers() {
    let m = (BigUint::one() << 192) - 237u8;
    for context in contexts(&m) {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 4
        };
        let terms: Vec<_> = (0..3000).map(|i| (BigUint::from(next()) << 100, next() >> (i % 60))).collect();
        let want = terms
            .iter()
            .fold(BigUint::one(), |acc, (b, e): &(BigUint, u64)| acc * b.modpow(&(*e).into(), &m) % &m);
        let bases: Vec<_> = terms.iter().map(|(base, _)| context.residue(base)).collect();
        let exponents: Vec<BigUint> = terms.iter().map(|&(_, e)| e.into()).collect();
        assert_eq!(context.to_uint(&context.vartime_multi_pow(&bases, &exponents)), want);
        let tables: Vec<_> = bases.iter().map(|base| WindowTable::new(&context, base, 2).unwrap()).collect();
        let with_tables: Vec<_> = tables.iter().zip(&terms).map(|(table, &(_, e))| (table, e)).collect();
        assert_eq!(context.to_uint(&vartime_multi_pow_tables(&context, &with_tables)), want);
    }
}

#[test]
fn a_residue_of_another_modulus_is_taken_as_its_integer() {
    let small = Modulus::new(&BigUint::from(1_000_003u32)).unwrap();
    let large = Modulus::new(&((BigUint::one() << 521) - 1u8)).unwrap();
    let a = small.residue_u64(999_999);
    let b = large.residue(&(BigUint::one() << 500));
    assert_eq!(large.to_uint(&large.mul(&a, &b)), (BigUint::from(999_999u32) << 500) % large.value());
    assert_eq!(small.to_uint(&small.mul(&a, &b)), (BigUint::from(999_999u32) << 500) % small.value());
    assert_eq!(small.to_uint(&small.vartime_pow(&b, &2u8.into())), (BigUint::one() << 1000) % small.value());
    let mut c = a.clone();
    large.add_assign(&mut c, &b);
    assert_eq!(large.to_uint(&c), (BigUint::one() << 500) + 999_999u32);
    assert_ne!(a, large.residue_u64(999_999));
    let table = WindowTable::new(&small, &a, 3).unwrap();
    assert_eq!(large.to_uint(&vartime_multi_pow_tables(&large, &[(&table, 2)])), 999_998_000_001u64.into());
    for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
        let twin = Modulus::with_kernel(large.value(), kernel).unwrap();
        assert_eq!(twin.to_uint(&twin.mul(&b, &b)), (BigUint::one() << 1000) % large.value());
        assert_eq!(twin.residue(&(BigUint::one() << 500)), b);
    }
}

#[test]
fn unfit_moduli_and_parameters_are_refused() {
    let even = Modulus::new(&BigUint::from(10u8));
    assert_eq!(even.unwrap_err(), ArithError::EvenModulus);
    for small in [0u8, 1] {
        assert_eq!(Modulus::new(&BigUint::from(small)).unwrap_err(), ArithError::ModulusTooSmall);
    }
    let large = (BigUint::one() << 16_384) + 1u8;
    assert!(matches!(Modulus::new(&large).unwrap_err(), ArithError::ModulusTooLarge { bits: 16_385, .. }));
    let context = Modulus::new(&BigUint::from(1_000_003u32)).unwrap();
    let base = context.residue_u64(5);
    assert!(matches!(FixedBase::new(&context, &base, 100, 8), Err(ArithError::TableTooSmall { .. })));
    for window in [0, 13] {
        assert!(matches!(
            WindowTable::new(&context, &base, window),
            Err(ArithError::WindowOutOfRange { .. })
        ));
    }
}

#[test]
fn nothing_secret_is_printed() {
    let context = Modulus::new(&BigUint::from(1_000_003u32)).unwrap();
    let residue = context.residue_u64(424_242);
    let secret = SecretInt::new(424_242u32.into(), 40).unwrap();
    for text in [format!("{residue:?}"), format!("{secret:?}"), format!("{context:?}")] {
        assert!(!text.contains("424242") && !text.contains("1000003"), "{text}");
    }
}

/// b^e mod m for numbers drawn from hashes; the digests of the results are from Python's `pow` and `hashlib`.
#[test]
fn known_powers() {
    let known = [
        (256u64, "d8c81d0abd105c97e5e481e5e0eb33dc605f0fbfee9c7391408eba95ce24538d"),
        (512u64, "c9ad79a89571b3b6e42dfec5cdde254ec892a42c34719d7a4b803c330bfde2a7"),
        (1024u64, "b9c2ec8da5b5fa57adf6374face844efdf7a220aadf23b83e2d8b31ea70757e3"),
        (2048u64, "5cb90a4f45d4cac41c610f5b27df0c33ffa04fcb4531ed717e5ab9aa9ec1eeae"),
        (3072u64, "cff846ed77219bbfcd8881405e4c042ff44d3c1f091876fe2d0c5851e61c10e8"),
        (4096u64, "54e73ea681d04d945990e7a9a45ec08e6028d9354cb362129bba5552a9f9dca1"),
        (6144u64, "30c7c6bd1aa35ffc93620f626fd1278a4f3da7b3f7266a6db342a1cc9687fe36"),
        (8192u64, "9fd48c4311780df20b66b7d07d46bb3cf8b20d38ebf6e0ddd6bb8122ab57efca"),
    ];
    for (bits, digest) in known {
        let draw =
            |what| Hasher::new("test/known-answer", 1).u64("bits", bits).u64("what", what).expand_bits(bits);
        let (mut m, base, exponent) = (draw(0), draw(1), draw(2));
        m.set_bit(0, true);
        m.set_bit(bits - 1, true);
        for context in contexts(&m) {
            let base = context.residue(&base);
            let secret = SecretInt::new(exponent.clone(), bits).unwrap();
            for power in [context.vartime_pow(&base, &exponent), context.pow(&base, &secret)] {
                let bytes = context.to_uint(&power).to_bytes_le();
                let hex: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(hex, digest, "{bits} bits, {:?}", context.kernel());
            }
        }
    }
}
