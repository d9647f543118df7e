//! Sharing, masked products and openings in the fields of key generation.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{Criterion, criterion_group, criterion_main};
use num_bigint::{BigInt, BigUint};
use num_traits::One;

use subrosa_benches::{number, rng};
use subrosa_shamir::{IntegerSharing, ShareRing};

fn shamir(c: &mut Criterion) {
    let mut rng = rng(1);
    let field = ShareRing::assume_prime((BigUint::one() << 2050u32) + 1435u32);
    let secret = BigInt::from(number(&mut rng, 1024));
    let mut group = c.benchmark_group("shamir, 2050-bit field");
    for (n, t) in [(3, 1), (7, 3)] {
        group.bench_function(format!("share among {n}, t = {t}"), |bencher| {
            bencher.iter(|| field.share(&secret, t, n, &mut rng).unwrap());
        });
        let a = field.share(&secret, t, n, &mut rng).unwrap();
        let zero = field.share_zero(2 * t, n, &mut rng).unwrap();
        group.bench_function(format!("masked product, n = {n}"), |bencher| {
            bencher.iter(|| field.masked_product(&a[0], &a[0], &zero[0]).unwrap());
        });
        let points: Vec<u32> = a.iter().map(|share| share.point()).collect();
        let values: Vec<&BigUint> = zero.iter().map(|share| share.value().expose()).collect();
        let opener = field.opener(&points, 2 * t).unwrap();
        group.bench_function(format!("open, n = {n}"), |bencher| {
            bencher.iter(|| opener.open(&values).unwrap());
        });
    }
    group.finish();
    let bound = BigUint::one() << 4184u32;
    let sharing = IntegerSharing::new(7, 3, bound).unwrap();
    c.bench_function("shamir over the integers, share of 4184 bits among 7", |bencher| {
        bencher.iter(|| sharing.share(&secret, &mut rng));
    });
}

criterion_group!(benches, shamir);
criterion_main!(benches);
