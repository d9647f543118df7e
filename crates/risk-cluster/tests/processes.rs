//! Workers as processes of their own, over TLS on this machine: they conform, and they end when one of them does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io::Read};

use rcgen::generate_simple_self_signed;

use subrosa_risk_cluster::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use subrosa_risk_cluster::subrosa_risk_propagation::shards::conformance::Check;
use subrosa_risk_cluster::subrosa_risk_propagation::shards::{Exchange, ExchangeError, Record, Shards};
use subrosa_risk_cluster::{Cluster, Limits, Worker, exit_on_panic};

const SILENCE: Duration = Duration::from_secs(2);

/// Exit codes of the workers of these tests.
const FAILED: i32 = 3;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()).collect()
}

// What a worker does. It is this same program, called for one test with its task in the environment.

fn variable(name: &str) -> String {
    env::var(format!("WORKER_{name}")).unwrap()
}

/// Not a test by itself: the process that the other tests start.
#[test]
fn worker() {
    if env::var("WORKER_ME").is_err() {
        return;
    }
    exit_on_panic();
    let certificates = variable("CERTIFICATES");
    let addresses = variable("ADDRESSES");
    let workers = certificates.split(',').zip(addresses.split(',')).enumerate();
    let workers = workers.map(|(number, (certificate, address))| {
        Worker::new(format!("w{number}"), address, CertificateDer::from(unhex(certificate)))
    });
    let me = variable("ME");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(unhex(&variable("KEY"))));
    let mut limits = Limits::default();
    limits.silence = SILENCE;
    limits.connect = Duration::from_secs(variable("CONNECT").parse().unwrap());
    let stall =
        env::var("WORKER_STALL").map_or(limits.stall, |ms| Duration::from_millis(ms.parse().unwrap()));
    limits.stall = stall;
    let cluster = Cluster::new(&me, workers.collect(), key)
        .unwrap()
        .generation(variable("GENERATION").parse().unwrap())
        .limits(limits);
    let shards = Shards::new(variable("SHARDS").parse().unwrap()).unwrap();
    let task = variable("TASK");
    let outcome = cluster.run(shards, |exchange| job(&task, &me, exchange));
    let problem = match outcome {
        Ok(results) => results
            .into_iter()
            .find_map(|(shard, result)| result.err().map(|problem| format!("{shard}: {problem}"))),
        Err(error) => {
            Some(format!("workers {:?}: {}", error.workers(), subrosa_transport::with_causes(&error)))
        }
    };
    if let Some(problem) = problem {
        println!("outcome: {problem}");
        std::process::exit(FAILED);
    }
    println!("outcome: done");
}

fn job(task: &str, me: &str, exchange: &mut dyn Exchange) -> Result<(), String> {
    match task {
        "rounds" => rounds(exchange).map_err(|error| subrosa_transport::with_causes(&error)),
        "panic" => {
            assert!(me != "w1", "of the test");
            rounds(exchange).map_err(|error| error.to_string())
        }
        "hang" => {
            exchange.gather(Vec::new()).map_err(|error| error.to_string())?;
            if exchange.shard().index() == 1 {
                thread::sleep(Duration::from_secs(3));
                return Ok(());
            }
            let error = exchange.gather(Vec::new()).unwrap_err();
            Err(subrosa_transport::with_causes(&error))
        }
        check => {
            let check: Check = check.parse()?;
            check.run(exchange, &Default::default()).map_err(|error| error.to_string())
        }
    }
}

/// Shuffles for ever.
fn rounds(exchange: &mut dyn Exchange) -> Result<(), ExchangeError> {
    let shards = exchange.shards();
    let record = Record::new(1, vec![7; 500]).unwrap();
    loop {
        let mut outgoing =
            shards.iter().flat_map(|to| (0..500).map(move |_| to)).map(|to| Ok((to, record.clone())));
        exchange.shuffle(&mut outgoing, &mut |_, _| Ok(()))?;
        if exchange.shard().index() == 0 {
            println!("outcome: round");
        }
    }
}

// The tests.

/// What all workers of a cluster are given.
struct Plan {
    certificates: Vec<String>,
    keys: Vec<String>,
    addresses: Vec<String>,
    shards: u16,
    task: &'static str,
    connect: u64,
    stall: Option<u64>,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended in most cases.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Ended {
    status: ExitStatus,
    outcome: String,
    took: Duration,
}

fn certificate() -> (String, String) {
    let made = generate_simple_self_signed(vec!["worker".to_owned()]).unwrap();
    (hex(made.cert.der()), hex(&made.signing_key.serialize_der()))
}

impl Plan {
    fn new(workers: usize, shards: u16, task: &'static str) -> Self {
        let (certificates, keys) = (0..workers).map(|_| certificate()).unzip();
        let listeners: Vec<_> = (0..workers).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
        Self { certificates, keys, addresses, shards, task, connect: 30, stall: None }
    }

    fn start(&self, me: usize, generation: u64) -> Running {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "worker", "--nocapture", "--test-threads=1"]);
        let variables = [
            ("ME", format!("w{me}")),
            ("CERTIFICATES", self.certificates.join(",")),
            ("ADDRESSES", self.addresses.join(",")),
            ("KEY", self.keys[me].clone()),
            ("GENERATION", generation.to_string()),
            ("SHARDS", self.shards.to_string()),
            ("TASK", self.task.to_owned()),
            ("CONNECT", self.connect.to_string()),
        ];
        command.envs(variables.map(|(name, value)| (format!("WORKER_{name}"), value)));
        command.envs(self.stall.map(|stall| ("WORKER_STALL", stall.to_string())));
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn start_all(&self) -> Vec<Running> {
        (0..self.keys.len()).map(|me| self.start(me, 5)).collect()
    }
}

/// Waits until a process has ended by itself.
fn end(mut running: Running) -> Ended {
    let started = Instant::now();
    let mut output = String::new();
    running.0.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    let status = running.0.wait().unwrap();
    let took = started.elapsed();
    let mut errors = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    let outcome = output.lines().rev().find_map(|line| line.split("outcome: ").nth(1));
    let outcome =
        outcome.map_or_else(|| format!("{output}{errors}"), |outcome| format!("{outcome}\n{errors}"));
    Ended { status, outcome, took }
}

/// Ends of several processes at the same time.
fn end_all(running: Vec<Running>) -> Vec<Ended> {
    thread::scope(|scope| {
        let threads: Vec<_> = running.into_iter().map(|one| scope.spawn(|| end(one))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Lets a cluster shuffle for a while.
fn shuffling(plan: &Plan) -> Vec<Running> {
    let mut running = plan.start_all();
    let stdout = running[0].0.stdout.as_mut().unwrap();
    let mut seen = String::new();
    while seen.matches("outcome: round").count() < 2 {
        let mut some = [0; 64];
        let count = stdout.read(&mut some).unwrap();
        assert!(count > 0, "the first worker has ended: {seen}");
        seen.push_str(std::str::from_utf8(&some[..count]).unwrap());
    }
    running
}

fn signal(running: &Running, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &running.0.id().to_string()]).status();
    assert!(status.unwrap().success());
}

fn conforms(workers: usize, shards: u16) {
    for check in Check::ALL {
        let ended = end_all(Plan::new(workers, shards, check.name()).start_all());
        let outcomes: Vec<_> = ended.iter().map(|ended| &ended.outcome).collect();
        let well = |ended: &Ended| ended.status.success() && ended.outcome.starts_with("done");
        assert!(ended.iter().all(well), "{check:?}: {outcomes:#?}");
    }
}

#[test]
fn one_process_conforms() {
    conforms(1, 2);
}

#[test]
fn two_processes_conform() {
    conforms(2, 2);
}

#[test]
fn three_processes_with_seven_shards_conform() {
    conforms(3, 7);
}

#[test]
fn when_a_worker_is_killed_the_others_end_within_two_seconds_and_name_it() {
    let plan = Plan::new(3, 6, "rounds");
    let mut running = shuffling(&plan);
    let killed = running.pop().unwrap();
    signal(&killed, "KILL");
    for ended in end_all(running) {
        assert_eq!(ended.status.code(), Some(FAILED), "{}", ended.outcome);
        assert!(
            ended.outcome.starts_with("workers [2]: a worker was lost: worker 2 (`w2`)"),
            "{}",
            ended.outcome
        );
        assert!(ended.took < Duration::from_secs(2), "{:?}", ended.took);
    }
}

#[test]
fn when_a_worker_is_silent_the_others_end_within_the_limit_and_name_it() {
    let plan = Plan::new(3, 3, "rounds");
    let mut running = shuffling(&plan);
    let stopped = running.pop().unwrap();
    signal(&stopped, "STOP");
    for ended in end_all(running) {
        assert_eq!(ended.status.code(), Some(FAILED), "{}", ended.outcome);
        assert!(
            ended.outcome.starts_with("workers [2]: a worker was lost: worker 2 (`w2`)"),
            "{}",
            ended.outcome
        );
        assert!(ended.took < SILENCE + Duration::from_secs(2), "{:?}", ended.took);
    }
    signal(&stopped, "CONT");
}

#[test]
fn a_worker_that_panics_ends_with_its_exit_code_and_one_line() {
    let plan = Plan::new(2, 2, "panic");
    let ended = end_all(plan.start_all());
    assert_eq!(ended[1].status.code(), Some(subrosa_risk_cluster::EXIT_CODE), "{}", ended[1].outcome);
    assert!(ended[1].outcome.contains("panicked at"), "{}", ended[1].outcome);
    assert!(ended[1].outcome.contains("of the test"), "{}", ended[1].outcome);
    assert_eq!(ended[0].status.code(), Some(FAILED), "{}", ended[0].outcome);
    assert!(
        ended[0].outcome.starts_with("workers [1]: a worker was lost: worker 1 (`w1`)"),
        "{}",
        ended[0].outcome
    );
}

#[test]
fn a_shard_that_waits_for_too_long_names_the_one_that_is_missing() {
    let mut plan = Plan::new(2, 2, "hang");
    plan.stall = Some(500);
    let ended = end_all(plan.start_all());
    let outcome = &ended[0].outcome;
    assert!(
        outcome.starts_with("shard 0: shard 1 is out of reach in round 1: nothing has come for 500ms"),
        "{outcome}"
    );
}

#[test]
fn a_worker_with_another_certificate_is_refused() {
    let mut plan = Plan::new(2, 2, "working");
    plan.connect = 2;
    let first = plan.start(0, 5);
    let (another, key) = certificate();
    plan.certificates[1] = another;
    plan.keys[1] = key;
    let ended = end_all(vec![first, plan.start(1, 5)]);
    let expected = [
        "worker 1 (`w1`: it has not come; somebody was refused: ",
        "worker 0 (`w0`: the TLS handshake failed",
    ];
    for (ended, expected) in ended.iter().zip(expected) {
        assert_eq!(ended.status.code(), Some(FAILED), "{}", ended.outcome);
        assert!(ended.outcome.contains(expected), "{}", ended.outcome);
    }
}

#[test]
fn a_worker_of_another_generation_is_refused() {
    let mut plan = Plan::new(2, 2, "working");
    plan.connect = 2;
    let ended = end_all(vec![plan.start(0, 6), plan.start(1, 5)]);
    let expected = [
        "worker 1 (`w1`: it is of generation 5, and this worker is of generation 6)",
        "workers [0]: worker 0 (`w0`) is of generation 6, and this worker is of generation 5",
    ];
    for (ended, expected) in ended.iter().zip(expected) {
        assert_eq!(ended.status.code(), Some(FAILED), "{}", ended.outcome);
        assert!(ended.outcome.contains(expected), "{}", ended.outcome);
    }
    // The earlier one need not wait for its limit.
    assert!(ended[1].took < Duration::from_secs(2), "{:?}", ended[1].took);
}

#[test]
fn a_worker_that_was_given_another_number_of_shards_is_refused() {
    let mut plan = Plan::new(2, 2, "working");
    plan.connect = 5;
    let first = plan.start(0, 5);
    plan.shards = 3;
    let ended = end_all(vec![first, plan.start(1, 5)]);
    for (me, ended) in ended.iter().enumerate() {
        let expected = "has another number of shards";
        assert!(ended.outcome.contains(expected), "{me}: {}", ended.outcome);
    }
}
