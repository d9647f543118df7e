//! Threshold decryption: what proofs cost beside the decryption itself, two liars among five, and combining for up to
//! fifty parties beside Tiresias.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs, reason = "a bench")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use num_bigint::{BigInt, BigUint};
use serde::{Deserialize, Serialize};

use subrosa_benches::{Row, median, print_table, rng, side_by_side};
use subrosa_paillier::{Blinded, Blinder, Ciphertext, PrivateKey, Randomness};
use subrosa_threshold_decryption::{
    AccessStructure, BatchProof, Challenges, Combiner, KeyShare, PartialDecryption, ProofContext, dealer,
    proof,
    protocol::{Checks, Decryption, DecryptionSettings},
};
use subrosa_transport::{
    HEADER_BYTES, Limits, MemoryNetwork, PartyId, PerParty, memory::Action, testing::run_network,
};

const KEY_BITS: u64 = 2048;
const ROUNDS: usize = 5;

fn main() {
    // Measurements count the calling thread's time, so that is where the work must be done.
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().unwrap();
    let private = PrivateKey::generate(KEY_BITS, &mut rng(1)).unwrap();
    one_thread.install(|| {
        println!("\n## Proofs, n = 5, t = 2, k = {KEY_BITS}\n");
        print_table(&proofs(&deal(&private, 5, 2)));
        combining(&private);
    });
    liars(&private);
}

fn deal(private: &PrivateKey, n: u32, t: u32) -> Vec<KeyShare> {
    dealer::deal(private, AccessStructure::new(n, t).unwrap(), &mut rng(2)).unwrap()
}

fn encrypt(share: &KeyShare, count: usize) -> Vec<Blinded<Ciphertext>> {
    let blinder = Blinder::new(share.key().public(), Randomness::Short, 1 << 22).unwrap();
    let mut rng = rng(3);
    (0..count).map(|m| blinder.encrypt(&BigInt::from(m), &mut rng).unwrap()).collect()
}

fn inner(ciphertexts: &[Blinded<Ciphertext>]) -> Vec<Ciphertext> {
    ciphertexts.iter().map(|ciphertext| ciphertext.clone().into_inner()).collect()
}

/// One party's proof and its verification, beside computing the partial decryptions.
fn proofs(shares: &[KeyShare]) -> Vec<Row> {
    let (share, key) = (&shares[0], shares[0].key());
    let context = ProofContext::new([1; 32], ["a", "b", "c", "d", "e"]);
    let mut rows = Vec::new();
    for (count, reaches) in [(1, [None, None]), (10, [None, None]), (100, [Some(0.15), Some(0.25)])] {
        let ciphertexts = inner(&encrypt(share, count));
        let partial = share.partially_decrypt(&ciphertexts).unwrap();
        let prove = || share.prove(&context, &ciphertexts, &partial, Challenges::Wide, &mut rng(4)).unwrap();
        let made = prove();
        let verify =
            || proof::verify(&context, key, &ciphertexts, &partial, &made, Challenges::Wide).unwrap();
        let compute = || drop(black_box(share.partially_decrypt(&ciphertexts).unwrap()));
        let reference = format!("computing {count}");
        rows.push(side_by_side(
            &format!("proving {count}"),
            &reference,
            reaches[0],
            ROUNDS,
            || drop(prove()),
            compute,
        ));
        rows.push(side_by_side(
            &format!("verifying {count}"),
            &reference,
            reaches[1],
            ROUNDS,
            verify,
            compute,
        ));
    }
    rows
}

/// Combining with t+1 partial decryptions, and what one party computes, per decryption on one core.
fn combining(private: &PrivateKey) {
    const BATCH: usize = 20;
    println!("\n## Combining, k = {KEY_BITS}, per decryption on one core\n");
    println!(
        "| parties | t | combining | per partial decryption | one party's partial | Tiresias, published |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | --- |");
    let timed = |job: &mut dyn FnMut()| {
        let once = |job: &mut dyn FnMut()| {
            let start = cpu_time::ThreadTime::now();
            job();
            start.elapsed().as_secs_f64() / BATCH as f64
        };
        once(job);
        median((0..ROUNDS).map(|_| once(job)).collect())
    };
    for (n, t) in [(3, 1), (5, 2), (50, 6), (50, 12), (50, 24), (100, 49)] {
        let shares = deal(private, n, t);
        let ciphertexts = inner(&encrypt(&shares[0], BATCH));
        let quorum: Vec<PartialDecryption> = shares[..=t as usize]
            .iter()
            .map(|share| share.partially_decrypt(&ciphertexts).unwrap())
            .collect();
        let parties: Vec<PartyId> = quorum.iter().map(PartialDecryption::party).collect();
        let combiner = Combiner::new(shares[0].key(), &parties).unwrap();
        let combine = timed(&mut || {
            let plaintexts = combiner.combine(&quorum).unwrap();
            assert_eq!(plaintexts[7], BigInt::from(7));
        });
        let partial = timed(&mut || drop(black_box(shares[0].partially_decrypt(&ciphertexts).unwrap())));
        let published = if n == 100 { "about 20 ms in all, 50 per second" } else { "–" };
        println!(
            "| {n} | {t} | {:.2} ms | {:.3} ms | {:.2} ms | {published} |",
            combine * 1e3,
            combine * 1e3 / f64::from(t + 1),
            partial * 1e3,
        );
    }
}

/// Partial decryptions with their proof, as they cross the wire.
#[derive(Serialize, Deserialize)]
struct Proven {
    values: Values,
    proof: BatchProof,
}

#[derive(Serialize, Deserialize)]
struct Values(#[serde(with = "subrosa_encoding::wire::uints")] Vec<BigUint>);

/// Party 1 of five reads 1,000 ciphertexts; parties 2 and 4 shift one plaintext each.
fn liars(private: &PrivateKey) {
    const COUNT: usize = 1000;
    // Hello, echo, announcement and confirmation come before the partial decryptions.
    const PARTIALS: u64 = 4;
    let shares = deal(private, 5, 2);
    let n = private.public().n().clone();
    let shift = move |from: PartyId, _: PartyId, number: u64, frame: &mut Vec<u8>| {
        if [1, 3].contains(&from.index()) && number == PARTIALS && frame.len() > 1000 {
            let mut message: Proven = postcard::from_bytes(&frame[HEADER_BYTES..]).unwrap();
            let value = &mut message.values.0[17 * from.index()];
            *value = &*value * (&n + 1u32) % (&n * &n);
            frame.truncate(HEADER_BYTES);
            frame.extend(postcard::to_stdvec(&message).unwrap());
        }
        Action::Deliver
    };
    let network = MemoryNetwork::builder(["a", "b", "c", "d", "e"]).intercept(shift).build().unwrap();
    let mine = encrypt(&shares[0], COUNT);
    let settings = DecryptionSettings::new()
        .with_checks(Checks::Proofs(Challenges::Wide))
        .with_grace(Duration::from_secs(600));
    let waiting = Limits::default().with_timeout(Duration::from_secs(600));
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    let results = run_network(network, |me, mut transport| {
        let share = &shares[me.index()];
        let mut rng = rng(10 + me.index() as u64);
        let counts = PerParty::from_vec(vec![COUNT, 0, 0, 0, 0]);
        let mine = if me.index() == 0 { &mine[..] } else { &[] };
        Decryption::new(share)
            .settings(settings.clone())
            .limits(waiting.clone())
            .run(&mut transport, mine, &counts, &mut rng)
            .unwrap()
    });
    let (cpu, wall) = (cpu.elapsed().as_secs_f64(), wall.elapsed().as_secs_f64());
    let decrypted = &results[0];
    let right = decrypted.plaintexts.iter().zip(0..).filter(|&(m, i)| *m == BigInt::from(i)).count();
    let named: Vec<usize> = decrypted.absent.iter().map(|failure| failure.party.index() + 1).collect();
    println!("\n## Two liars: n = 5, t = 2, k = {KEY_BITS}, {COUNT} ciphertexts\n");
    println!("{right} of {COUNT} plaintexts are right; parties {named:?} are named.");
    for deviation in &decrypted.deviations {
        println!("Party {} lied about ciphertexts {:?}.", deviation.party.index() + 1, deviation.ciphertexts);
    }
    println!("CPU time of all parties {cpu:.1} s, wall {wall:.1} s.");
    assert_eq!((right, named), (COUNT, vec![2, 4]));
}
