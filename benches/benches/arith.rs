//! The parts of `subrosa-arith`, by Criterion.

#![allow(clippy::unwrap_used, missing_docs, reason = "bench code")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use num_bigint::BigUint;
use rand_core::Rng;

use subrosa_arith::sieve::TrialDivision;
use subrosa_arith::{FixedBase, Kernel, Modulus, SecretInt, WindowTable, jacobi, vartime_multi_pow_tables};
use subrosa_benches::{number, odd_number, rng};

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
criterion_main!(arith);
