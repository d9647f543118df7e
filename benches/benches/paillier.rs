//! Paillier: encryption, blinding, addition, packing, decryption with a real key size.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use num_bigint::BigInt;

use subrosa_benches::rng;
use subrosa_paillier::{Blinder, Packing, PrivateKey, Randomness};

fn paillier(c: &mut Criterion) {
    let mut rng = rng(1);
    let private = PrivateKey::generate(2048, &mut rng).unwrap();
    let key = private.public();
    let short = Blinder::new(key, Randomness::Short, 16 << 20).unwrap();
    let full = Blinder::new(key, Randomness::Full, 0).unwrap();
    let m = BigInt::from(123_456_789);
    let a = short.encrypt(&m, &mut rng).unwrap().into_inner();
    let b = short.encrypt(&m, &mut rng).unwrap().into_inner();
    let mut group = c.benchmark_group("paillier 2048");
    group.sample_size(20);
    group.bench_function("encrypt, short randomness", |bencher| {
        bencher.iter(|| short.encrypt(&m, &mut rng).unwrap());
    });
    group.bench_function("encrypt, full randomness", |bencher| {
        bencher.iter(|| full.encrypt(&m, &mut rng).unwrap());
    });
    group.bench_function("add", |bencher| bencher.iter(|| key.add(black_box(&a), &b).unwrap()));
    group.bench_function("multiply by 32 bits", |bencher| {
        bencher.iter(|| key.vartime_mul_plain(&a, &BigInt::from(0xdead_beef_u32)).unwrap());
    });
    group.bench_function("decrypt", |bencher| bencher.iter(|| private.decrypt(&a).unwrap()));
    let packing = Packing::widest(key, 64).unwrap();
    let values = vec![a.clone(); packing.slots()];
    group.bench_function("pack 31 slots of 64 bits", |bencher| {
        bencher.iter(|| packing.pack_encrypted(key, &values).unwrap());
    });
    group.bench_function("check 100 on arrival", |bencher| {
        bencher.iter(|| key.accept_all(vec![a.value().clone(); 100]).unwrap());
    });
    group.finish();
}

criterion_group!(benches, paillier);
criterion_main!(benches);
