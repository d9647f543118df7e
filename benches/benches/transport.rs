//! Rounds of a session over the in-memory network: the cost of framing, hashing and checking alone.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};

use subrosa_transport::{Limits, Message, Parameters, Protocol, Session, testing::run_parties};

#[derive(Serialize, Deserialize)]
struct Blob(Vec<u8>);

impl Message for Blob {
    const ROUND: &'static str = "bench/blob";
    type Shape = usize;

    fn max_bytes(shape: &usize) -> usize {
        shape + 10
    }
}

/// The time that `rounds` broadcasts of `bytes` bytes take among `parties`.
fn broadcasts(parties: usize, bytes: usize, rounds: u64) -> Duration {
    let times = run_parties(parties, |me, mut transport| {
        let mut rng = subrosa_benches::rng(me.index() as u64);
        let protocol = Protocol { name: "bench", version: 1 };
        let mut session =
            Session::open(&mut transport, protocol, &Parameters::new(), Limits::default(), &mut rng).unwrap();
        let message = Blob(vec![7; bytes]);
        let started = Instant::now();
        for _ in 0..rounds {
            assert_eq!(session.broadcast(&message, &bytes).unwrap().len(), parties);
        }
        let elapsed = started.elapsed();
        session.confirm().unwrap();
        elapsed
    });
    times.into_iter().max().unwrap_or_default()
}

fn transport(c: &mut Criterion) {
    let mut group = c.benchmark_group("session, broadcast among 3");
    group.sample_size(20);
    for bytes in [32, 1 << 20] {
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("{bytes} bytes"), |bencher| {
            bencher.iter_custom(|rounds| broadcasts(3, bytes, rounds));
        });
    }
    group.finish();
}

criterion_group!(benches, transport);
criterion_main!(benches);
