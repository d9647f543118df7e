//! Key generation among parties in one process: CPU time of all of them together, bytes, and where the time goes.
//!
//! The number of candidates is geometric, so that single runs scatter widely: medians of ten.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::time::Instant;

use cpu_time::ProcessTime;
use subrosa_benches::median;
use subrosa_distributed_paillier::{KeygenParameters, PROTOCOL, Progress, SecurityLevel, generate};
use subrosa_transport::{Session, Settings, testing::run_parties};

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
        let fields = parameters.session_parameters();
        let mut session =
            Session::open(&mut transport, PROTOCOL, &fields, Settings::default(), &mut rng).unwrap();
        let mut last = (0, 0);
        let share = generate(&mut session, &parameters, &mut rng, |event| {
            if let Progress::Candidates { tried, sieved, .. } = event {
                last = (tried, sieved);
            }
        });
        assert_eq!(share.unwrap().key().public().bits(), bits);
        (session.counters().total().bytes_sent, last)
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

fn main() {
    println!("\n## Key generation, CPU time of all parties together\n");
    println!(
        "| parties | k | runs | CPU, median | reach | wall, median | sent, median | candidates | first tests |"
    );
    println!("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |");
    for (parties, threshold, bits, runs, reach) in [
        (3, 1, 512, 10, Some(0.3)),
        (3, 1, 2048, 10, Some(15.0)),
        (5, 2, 2048, 5, None),
        (3, 1, 3072, 5, None),
    ] {
        let all: Vec<Run> = (0..runs).map(|number| run(parties, threshold, bits, number)).collect();
        let of = |value: fn(&Run) -> f64| median(all.iter().map(value).collect());
        let cpu = of(|run| run.cpu);
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
}
