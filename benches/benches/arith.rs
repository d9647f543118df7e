//! The parts of `subrosa-arith`, by Criterion; at the end a table of batches against one number at a time, and, with
//! `--features gmp`, against GMP. `-- batches` prints that table alone.

#![allow(clippy::unwrap_used, missing_docs, reason = "bench code")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group};
use num_bigint::BigUint;
use rand_core::Rng;

use subrosa_arith::sieve::TrialDivision;
use subrosa_arith::{
    FixedBase, Kernel, Modulus, Residue, SecretInt, WindowTable, jacobi, pow_moduli, vartime_multi_pow_batch,
    vartime_multi_pow_tables,
};
use subrosa_benches::{Row, number, odd_number, print_table, rng, side_by_side};

fn multiplications(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("arith/multiply");
    for bits in [512, 1024, 2048, 3072, 4096, 6144, 8192] {
        let mut rng = rng(bits);
        let m = odd_number(&mut rng, bits);
        let (a, b) = (number(&mut rng, bits), number(&mut rng, bits));
        for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
            let modulus = Modulus::with_kernel(&m, kernel).unwrap();
            let (a, b) = (modulus.residue(&a), modulus.residue(&b));
            let mut x = a.clone();
            group.bench_function(BenchmarkId::new(format!("{kernel:?} multiply"), bits), |bencher| {
                bencher.iter(|| modulus.mul_assign(black_box(&mut x), &b));
            });
            group.bench_function(BenchmarkId::new(format!("{kernel:?} square"), bits), |bencher| {
                bencher.iter(|| modulus.square_assign(black_box(&mut x)));
            });
        }
    }
}

fn powers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("arith/power");
    for bits in [2048, 4096] {
        let mut rng = rng(bits);
        let modulus = Modulus::new(&odd_number(&mut rng, bits)).unwrap();
        let base = modulus.residue(&number(&mut rng, bits));
        let exponent = number(&mut rng, bits);
        let secret = SecretInt::new(exponent.clone(), bits).unwrap();
        group.bench_function(BenchmarkId::new("vartime", bits), |bencher| {
            bencher.iter(|| modulus.vartime_pow(black_box(&base), &exponent));
        });
        group.bench_function(BenchmarkId::new("constant time", bits), |bencher| {
            bencher.iter(|| modulus.pow(black_box(&base), &secret));
        });
        group.bench_function(BenchmarkId::new("small base, constant time", bits), |bencher| {
            bencher.iter(|| modulus.pow_small_base(black_box(3), &secret));
        });
    }
}

fn tables(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("arith/tables");
    let mut rng = rng(7);
    let modulus = Modulus::new(&odd_number(&mut rng, 4096)).unwrap();
    let base = modulus.residue(&number(&mut rng, 4096));
    let secret = SecretInt::new(number(&mut rng, 1024), 1024).unwrap();
    for kilobytes in [64, 256, 1024, 4096, 16_384] {
        let comb = FixedBase::new(&modulus, &base, 1024, kilobytes << 10).unwrap();
        group.bench_function(BenchmarkId::new("fixed base, 1024-bit secret, KiB", kilobytes), |bencher| {
            bencher.iter(|| comb.pow(black_box(&secret)));
        });
    }
    let tables: Vec<_> = (0..1024)
        .map(|_| WindowTable::new(&modulus, &modulus.residue(&number(&mut rng, 4096)), 3).unwrap())
        .collect();
    for terms in [2, 6, 32, 256, 1024] {
        let terms_and_weights: Vec<_> =
            tables[..terms].iter().map(|table| (table, rng.next_u64() >> 30)).collect();
        group.bench_function(BenchmarkId::new("product of 34-bit powers, terms", terms), |bencher| {
            bencher.iter(|| vartime_multi_pow_tables(&modulus, black_box(&terms_and_weights)));
        });
    }
}

fn sieving(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("arith/sieve");
    let sieve = TrialDivision::new(1 << 17);
    // Without a divisor below the bound, so that every prime is tried: 2^2203 − 1 is prime.
    let free = (BigUint::from(1u8) << 2203u32) - 1u8;
    group.bench_function("2203 bits by all primes below 2^17", |bencher| {
        bencher.iter(|| sieve.has_small_factor(black_box(&free)));
    });
    let mut rng = rng(8);
    let (a, n) = (number(&mut rng, 2048), odd_number(&mut rng, 2048));
    group.bench_function("Jacobi symbol, 2048 bits", |bencher| {
        bencher.iter(|| jacobi::jacobi(black_box(&a), &n));
    });
}

criterion_group! {
    name = arith;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = multiplications, powers, tables, sieving
}

fn main() {
    if !std::env::args().any(|argument| argument == "batches") {
        arith();
        Criterion::default().configure_from_args().final_summary();
    }
    let mut rows = Vec::new();
    for (bits, reach, gmp_reach) in [
        (1024, None, None),
        (2048, Some(0.4), None),
        (3072, None, None),
        (4096, Some(0.55), Some(0.1)),
        (6144, None, None),
        (8192, None, None),
    ] {
        batches(&mut rows, bits, reach, gmp_reach);
    }
    for bits in [512, 1024, 2048, 4096] {
        if Kernel::Mulx.is_available() {
            by_fours(&mut rows, bits);
        }
    }
    println!();
    print_table(&rows);
}

/// Eight powers with the kernel for processors without IFMA.
fn by_fours(rows: &mut Vec<Row>, bits: u64) {
    let mut rng = rng(bits);
    let modulus = Modulus::with_kernel(&odd_number(&mut rng, bits), Kernel::Mulx).unwrap();
    let bases: Vec<Residue> = (0..8).map(|_| modulus.residue(&number(&mut rng, bits))).collect();
    let exponent = SecretInt::new(number(&mut rng, bits), bits).unwrap();
    rows.push(side_by_side(
        &format!("8 powers, one secret exponent, {bits} bits, Mulx"),
        "one after the other",
        Some(0.9),
        9,
        || drop(black_box(modulus.pow_batch(&bases, &exponent))),
        || bases.iter().for_each(|base| drop(black_box(modulus.pow(base, &exponent)))),
    ));
}

/// Eight at once against one after the other, eight of them each.
fn batches(rows: &mut Vec<Row>, bits: u64, reach: Option<f64>, gmp_reach: Option<f64>) {
    const COUNT: usize = 8;
    const ROUNDS: usize = 9;
    let mut rng = rng(bits);
    let modulus = Modulus::new(&odd_number(&mut rng, bits)).unwrap();
    let bases: Vec<Residue> = (0..COUNT).map(|_| modulus.residue(&number(&mut rng, bits))).collect();
    let secret = |rng: &mut _, bits| SecretInt::new(number(rng, bits), bits).unwrap();
    let exponent = secret(&mut rng, bits);
    let mut row = |what: &str, reach, batch: &dyn Fn() -> Vec<Residue>, single: &dyn Fn() -> Vec<Residue>| {
        assert_eq!(batch(), single());
        rows.push(side_by_side(
            &format!("{what}, {bits} bits"),
            "one after the other",
            reach,
            ROUNDS,
            || drop(black_box(batch())),
            || drop(black_box(single())),
        ));
    };
    row("8 powers, one secret exponent", reach, &|| modulus.pow_batch(&bases, &exponent), &|| {
        bases.iter().map(|base| modulus.pow(base, &exponent)).collect()
    });
    let public = exponent.expose();
    row("8 powers, one public exponent", None, &|| modulus.vartime_pow_batch(&bases, public), &|| {
        bases.iter().map(|base| modulus.vartime_pow(base, public)).collect()
    });
    let moduli: Vec<_> = (0..COUNT).map(|_| Modulus::new(&odd_number(&mut rng, bits)).unwrap()).collect();
    let exponents: Vec<_> = (0..COUNT).map(|_| secret(&mut rng, bits)).collect();
    let terms: Vec<_> = moduli
        .iter()
        .zip(&bases)
        .zip(&exponents)
        .map(|((modulus, base), exponent)| (modulus, base, exponent))
        .collect();
    row("8 powers, 8 moduli", None, &|| pow_moduli(&terms), &|| {
        terms.iter().map(|(modulus, base, exponent)| modulus.pow(base, exponent)).collect()
    });
    let comb = FixedBase::new(&modulus, &bases[0], bits / 4, 1 << 20).unwrap();
    let short: Vec<_> = (0..COUNT).map(|_| secret(&mut rng, bits / 4)).collect();
    row("8 powers of a fixed base", None, &|| comb.pow_batch(&short), &|| {
        short.iter().map(|exponent| comb.pow(exponent)).collect()
    });
    let tables: Vec<_> = (0..32)
        .map(|_| WindowTable::new(&modulus, &modulus.residue(&number(&mut rng, bits)), 3).unwrap())
        .collect();
    let products: Vec<Vec<_>> =
        (0..COUNT).map(|_| tables.iter().map(|table| (table, rng.next_u64() >> 30)).collect()).collect();
    row("8 products of 32 powers", None, &|| vartime_multi_pow_batch(&modulus, &products), &|| {
        products.iter().map(|terms| vartime_multi_pow_tables(&modulus, terms)).collect()
    });
    row("8 squares", None, &|| modulus.square_batch(&bases), &|| {
        bases.iter().map(|base| modulus.square(base)).collect()
    });
    let pairs: Vec<_> = bases.iter().zip(bases.iter().rev()).collect();
    row("8 products", None, &|| modulus.mul_batch(&pairs), &|| {
        pairs.iter().map(|(a, b)| modulus.mul(a, b)).collect()
    });
    against_gmp(rows, &modulus, &bases, &exponent, gmp_reach);
}

#[cfg(not(feature = "gmp"))]
fn against_gmp(_: &mut Vec<Row>, _: &Modulus, _: &[Residue], _: &SecretInt, _: Option<f64>) {}

/// A batch of eight against eight calls of `mpz_powm_sec`.
#[cfg(feature = "gmp")]
fn against_gmp(
    rows: &mut Vec<Row>,
    modulus: &Modulus,
    bases: &[Residue],
    exponent: &SecretInt,
    reach: Option<f64>,
) {
    use rug::Integer;
    use rug::integer::Order;

    let gmp = |x: &BigUint| Integer::from_digits(&x.to_u64_digits(), Order::Lsf);
    let (gmp_m, gmp_exponent) = (gmp(modulus.value()), gmp(exponent.expose()));
    let gmp_bases: Vec<_> = bases.iter().map(|base| gmp(&modulus.to_uint(base))).collect();
    let theirs = || -> Vec<Integer> {
        gmp_bases.iter().map(|base| Integer::from(base.secure_pow_mod_ref(&gmp_exponent, &gmp_m))).collect()
    };
    let ours = modulus.pow_batch(bases, exponent);
    assert_eq!(ours.iter().map(|power| gmp(&modulus.to_uint(power))).collect::<Vec<_>>(), theirs());
    rows.push(side_by_side(
        &format!("8 powers, one secret exponent, {} bits", modulus.bits()),
        "mpz_powm_sec",
        reach,
        3,
        || drop(black_box(modulus.pow_batch(bases, exponent))),
        || drop(black_box(theirs())),
    ));
}
