//! Key generation among parties in one process: CPU time of all of them together, bytes, and where the time goes.
//!
//! The number of candidates is geometric, so that single runs scatter widely: medians of ten.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

mod verification;

use std::time::Instant;

use cpu_time::ProcessTime;

use subrosa_benches::median;
use subrosa_distributed_paillier::candidates::{self, Sampler};
use subrosa_distributed_paillier::{Keygen, KeygenParameters, KeygenStage, SecurityLevel, biprimality};
use subrosa_transport::{PartyId, PerParty, testing::run_parties};

struct Run {
    cpu: f64,
    wall: f64,
    megabytes: f64,
    candidates: f64,
    sieved: f64,
}

/// One whole run: sessions opened, key generated, shared and tried.
fn run(parties: u32, threshold: u32, bits: u64, number: u64) -> Run {
    let level = if bits < 2048 { SecurityLevel::Insecure } else { SecurityLevel::Secure };
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    let results = run_parties(parties as usize, |me, mut transport| {
        let mut rng = subrosa_benches::rng(number * 1000 + me.index() as u64);
        let parameters = KeygenParameters::with_level(parties, threshold, bits, level).unwrap();
        let (mut last, mut sent) = ((0, 0), 0);
        let keygen = Keygen::new(&parameters).progress(|event| {
            sent = event.traffic.bytes_sent;
            if let KeygenStage::Candidates { tried, sieved, .. } = event.stage {
                last = (tried, sieved);
            }
        });
        let share = keygen.run(&mut transport, &mut rng);
        assert_eq!(share.unwrap().key().public().bits(), bits);
        (sent, last)
    });
    let (candidates, sieved) = results[0].1;
    Run {
        cpu: cpu.elapsed().as_secs_f64(),
        wall: wall.elapsed().as_secs_f64(),
        megabytes: results.iter().map(|(bytes, _)| *bytes as f64).sum::<f64>() / 1e6,
        candidates: candidates as f64,
        sieved: sieved as f64,
    }
}

/// CPU time of a step at all parties, in milliseconds for each candidate of the batches.
#[derive(Default)]
struct Steps(Vec<(&'static str, f64)>);

impl Steps {
    fn measure<R>(&mut self, name: &'static str, per: usize, step: impl FnOnce() -> R) -> R {
        let started = ProcessTime::now();
        let result = step();
        let milliseconds = started.elapsed().as_secs_f64() * 1e3 / per as f64;
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += milliseconds,
            None => self.0.push((name, milliseconds)),
        }
        result
    }
}

/// Each party does the same public work; the result of one of them.
fn each<R>(parties: &[PartyId], mut work: impl FnMut() -> R) -> R {
    for _ in 1..parties.len() {
        std::hint::black_box(work());
    }
    work()
}

/// K1 to K4 for batches of candidates, step by step without a network: where the time of a candidate goes.
fn steps(parties: u16, threshold: u32, bits: u64, batches: u64) -> Steps {
    let parameters =
        KeygenParameters::with_level(u32::from(parties), threshold, bits, SecurityLevel::Insecure).unwrap();
    let everyone: Vec<PartyId> = (0..parties).map(PartyId::new).collect();
    let samplers: Vec<Sampler> = everyone.iter().map(|&me| Sampler::new(&parameters, me).unwrap()).collect();
    let mut rng = subrosa_benches::rng(7);
    let (mut steps, batch) = (Steps::default(), parameters.batch());
    let per = batch * usize::try_from(batches).unwrap();
    for number in 0..batches {
        let first = number * batch as u64;
        let (secrets, sent): (Vec<_>, Vec<_>) = steps.measure("K1 draw and deal", per, || {
            let deal = |me: &PartyId| {
                let sampler = &samplers[me.index()];
                let (secrets, messages) =
                    candidates::deal(&parameters, sampler, *me, first, &mut rng).unwrap();
                (secrets, messages.into_vec())
            };
            everyone.iter().map(deal).unzip()
        });
        let received: Vec<_> = everyone
            .iter()
            .map(|me| PerParty::from_vec(sent.iter().map(|messages| messages[me.index()].clone()).collect()))
            .collect();
        let products = steps.measure("K2 multiply", per, || {
            let multiply =
                |me: &PartyId| candidates::multiply(&parameters, *me, &received[me.index()]).unwrap();
            PerParty::from_vec(everyone.iter().map(multiply).collect())
        });
        let moduli = steps.measure("K2 open", per, || {
            each(&everyone, || candidates::open(&parameters, &products).unwrap())
        });
        let survivors = steps.measure("K3 trial division", per, || {
            each(&everyone, || candidates::sieve(&parameters, &moduli))
        });
        let survivors = steps.measure("K4 prepare", per, || {
            each(&everyone, || biprimality::prepare(&moduli, &survivors).unwrap())
        });
        let tests = steps.measure("K4 first test", per, || {
            let test = |me: &PartyId| {
                biprimality::first_test(&parameters, *me, &secrets[me.index()], &survivors).unwrap()
            };
            PerParty::from_vec(everyone.iter().map(test).collect())
        });
        steps.measure("K4 compare", per, || {
            everyone.iter().for_each(|_| {
                biprimality::passed(&parameters, first, &survivors, &tests).unwrap();
            });
        });
    }
    steps
}

/// Prints where the time of a candidate goes, against a whole run's.
fn print_steps(parties: u16, threshold: u32, bits: u64, batches: u64) {
    let steps = steps(parties, threshold, bits, batches);
    let total: f64 = steps.0.iter().map(|(_, milliseconds)| milliseconds).sum();
    println!("\n## Where a candidate's time goes: {parties} parties, k = {bits}, all parties together\n");
    println!("| step | CPU for each candidate | part |");
    println!("| --- | ---: | ---: |");
    for (name, milliseconds) in &steps.0 {
        println!("| {name} | {:.1} µs | {:.0} % |", milliseconds * 1e3, 100.0 * milliseconds / total);
    }
    println!("| all | {:.1} µs | 100 % |", total * 1e3);
}

/// Prints what the checks and the receipts add to the median run of three parties with 2048 bits.
fn print_verification(cpu: f64, candidates: f64) {
    let parameters = KeygenParameters::new(3, 1, 2048).unwrap();
    let batches = candidates / parameters.batch() as f64;
    println!("\n## What security against cheaters adds, CPU time of all parties together, k = 2048\n");
    println!("| parties | W1 to W4 | sent in W1 to W4 | commitments and receipts of a batch |");
    println!("| --- | ---: | ---: | ---: |");
    for (parties, threshold) in [(3, 1), (5, 2), (7, 3)] {
        let all: Vec<_> = (0..5).map(|_| verification::cost(parties, threshold, 2048)).collect();
        let of = |value: fn(&verification::Cost) -> f64| median(all.iter().map(value).collect());
        println!(
            "| {parties}, t = {threshold} | {:.1} ms | {:.2} MB | {:.2} ms |",
            of(|cost| cost.winner) * 1e3,
            all[0].bytes as f64 / 1e6,
            of(|cost| cost.receipts) * 1e3,
        );
        if parties == 3 {
            // The batch after the winner's is dealt and committed to in vain.
            let receipts = (batches + 1.0) * of(|cost| cost.receipts) + of(|cost| cost.dealing);
            let winner = of(|cost| cost.winner);
            let bare = cpu - receipts - winner;
            let ratio = |added: f64, reach: f64| {
                let ratio = (bare + added) / bare;
                format!("{ratio:.4} x (target {reach}, {})", if ratio <= reach { "met" } else { "MISSED" })
            };
            println!();
            println!("median run {cpu:.3} s; without the new steps {bare:.3} s");
            println!(
                "with W1 to W4: {}; with receipts, too: {}",
                ratio(winner, 1.03),
                ratio(winner + receipts, 1.08)
            );
            let eighty = verification::trials(3, 1, 2048, 80) - verification::trials(3, 1, 2048, 1);
            println!(
                "80 trial ciphertexts in place of one would add {:.3} s, {:.1} %\n",
                eighty,
                100.0 * eighty / bare
            );
            println!("| parties | W1 to W4 | sent in W1 to W4 | commitments and receipts of a batch |");
            println!("| --- | ---: | ---: | ---: |");
        }
    }
}

fn main() {
    println!("\n## Key generation, CPU time of all parties together\n");
    println!(
        "| parties | k | runs | CPU, median | target | wall, median | sent, median | candidates | first tests |"
    );
    println!("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |");
    let mut whole = None;
    for (parties, threshold, bits, runs, reach) in [
        (3, 1, 512, 10, Some(0.3)),
        (3, 1, 2048, 10, Some(15.0)),
        (5, 2, 2048, 5, None),
        (3, 1, 3072, 5, None),
    ] {
        let all: Vec<Run> = (0..runs).map(|number| run(parties, threshold, bits, number)).collect();
        let of = |value: fn(&Run) -> f64| median(all.iter().map(value).collect());
        let cpu = of(|run| run.cpu);
        if (parties, bits) == (3, 2048) {
            whole = Some((cpu, of(|run| run.candidates)));
        }
        let reach = reach.map_or("–".to_owned(), |reach| {
            format!("≤ {reach} s {}", if cpu <= reach { "met" } else { "MISSED" })
        });
        println!(
            "| {parties}, t = {threshold} | {bits} | {runs} | {cpu:.3} s | {reach} | {:.3} s | {:.1} MB | {:.0} | {:.0} |",
            of(|run| run.wall),
            of(|run| run.megabytes),
            of(|run| run.candidates),
            of(|run| run.sieved),
        );
    }
    if let Some((cpu, candidates)) = whole {
        print_verification(cpu, candidates);
    }
    print_steps(3, 1, 512, 20);
    print_steps(3, 1, 2048, 6);
}
