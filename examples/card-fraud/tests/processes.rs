//! The commands as processes of their own, as people run them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use card_fraud::{exchange::Connection, generate, model_file, table::Table};
use subrosa_decision_tree::{ClientKey, ParameterSet};

fn card_fraud() -> Command {
    Command::new(env!("CARGO_BIN_EXE_card-fraud"))
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = run(command);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out
}

/// What a command says on its way to a failure.
#[track_caller]
fn fails(command: &mut Command) -> String {
    let output = run(command);
    assert_eq!(output.status.code(), Some(1), "{command:?}: {output:?}");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("card-fraud: ") && !message.contains("panicked"), "{message}");
    message
}

/// A model that all tests share, learned by the `train` command from what `generate` made.
fn model() -> &'static Path {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(|| {
        // Statics are never dropped, so this is not a folder that would have to be removed.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (data, model) = (folder.join("processes.csv"), folder.join("processes.json"));
        succeeds(card_fraud().args(["generate", "--rows", "6000", "--output"]).arg(&data));
        let said = succeeds(card_fraud().arg("train").arg("--data").arg(&data).arg("--model").arg(&model));
        for word in ["accuracy", "precision", "recall", "F1", "predicted fraud", "held out 1200"] {
            assert!(said.contains(word), "{said}");
        }
        model
    })
}

/// A running server; killed if a test forgets to stop it.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(options: &[&str]) -> Self {
        let mut command = card_fraud();
        command.args(["serve", "--listen", "127.0.0.1:0", "--model"]).arg(model()).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("listening on ").map(String::from));
        // Somebody has to read what the server says later.
        thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("the server says where it listens") }
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    fn wait(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut said = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                return (status, said);
            }
            assert!(Instant::now() < deadline, "the server does not stop");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn predict(&self, input: &Path, output: &Path) -> Command {
        let mut command = card_fraud();
        command
            .args(["predict", "--server", &self.address, "--input"])
            .arg(input)
            .arg("--output")
            .arg(output);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of purchases without labels.
fn purchases(folder: &Path, name: &str, count: usize, seed: u64) -> PathBuf {
    let path = folder.join(name);
    let (rows, _) = generate::purchases(count, seed);
    let lines = rows.iter().map(|row| row.map(|value| value.to_string()).join(","));
    let header = card_fraud::table::FEATURE_NAMES.join(",");
    fs::write(&path, std::iter::once(header).chain(lines).collect::<Vec<_>>().join("\n")).unwrap();
    path
}

/// Every verdict in `output` is the clear quantised model's on the row of `input`.
fn check_verdicts(input: &Path, output: &Path) {
    let model = model_file::read(model()).unwrap();
    let rows = Table::read(input).unwrap().rows;
    let text = fs::read_to_string(output).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), rows.len() + 1);
    assert!(lines[0].ends_with(",verdict"), "{}", lines[0]);
    for (row, line) in rows.iter().zip(&lines[1..]) {
        let class = model.predict(row).unwrap().class().unwrap();
        assert!(line.ends_with(["genuine", "fraud"][class]), "{line}");
    }
    // The purchases themselves stand beside the verdicts.
    assert_eq!(Table::read(output).unwrap().rows, rows);
}

#[test]
fn train_serve_and_predict_as_processes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let (input, output) = (purchases(folder.path(), "rows.csv", 120, 7), folder.path().join("verdicts.csv"));
    let said = succeeds(&mut server.predict(&input, &output));
    for word in ["120 purchases", "encrypt", "decrypt", "query", "answer", "key"] {
        assert!(said.contains(word), "{said}");
    }
    check_verdicts(&input, &output);
    assert!(fs::read_to_string(&output).unwrap().contains(",fraud"));
    server.terminate();
    let (status, _) = server.wait();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn clients_at_the_same_time_get_their_own_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--places", "2"]);
    thread::scope(|scope| {
        for seed in 20..25 {
            let (server, folder) = (&server, folder.path());
            scope.spawn(move || {
                let input = purchases(folder, &format!("rows-{seed}.csv"), 40, seed);
                let output = folder.join(format!("verdicts-{seed}.csv"));
                succeeds(&mut server.predict(&input, &output));
                check_verdicts(&input, &output);
            });
        }
    });
}

/// A thousand clients ask at the same moment; all get their own verdict, and the server's memory stays small.
#[test]
fn a_thousand_queries_at_once_are_queued_without_loss() {
    const CLIENTS: usize = 1_000;
    rlimit::increase_nofile_limit(4_096).unwrap();
    let server = Server::start(&["--rate", "0"]);
    let clear = model_file::read(model()).unwrap();
    let key = ClientKey::generate(ParameterSet::Standard, &mut rand::rng());
    let grace = Duration::from_secs(300);
    // Forty rows and their queries; any query may be sent twice.
    let (rows, _) = generate::purchases(40, 31);
    let first = Connection::open(&server.address, grace).unwrap();
    let queries: Vec<_> = rows.iter().map(|row| first.encrypt(&key, row).unwrap()).collect();
    let all_are_there = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (server, key, clear, all_are_there) = (&server, &key, &clear, &all_are_there);
            let (row, query) = (&rows[number % rows.len()], &queries[number % rows.len()]);
            let ask = move || {
                let mut connection = Connection::open(&server.address, grace).unwrap();
                all_are_there.wait();
                let answer = connection.ask(query).unwrap();
                assert_eq!(key.decrypt(&answer).unwrap(), clear.predict(row).unwrap());
            };
            thread::Builder::new().stack_size(1 << 20).spawn_scoped(scope, ask).unwrap();
        }
    });
    #[cfg(target_os = "linux")]
    {
        let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kilobytes: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
        println!("the server's memory was at most {kilobytes} kB");
        assert!(kilobytes < 200_000, "{kilobytes} kB");
    }
    server.terminate();
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_server_that_is_away_or_goes_away_is_an_error_with_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let input = purchases(folder.path(), "rows.csv", 5_000, 8);
    let output = folder.path().join("verdicts.csv");
    let server = Server::start(&[]);
    let address = server.address.clone();
    let predicting =
        server.predict(&input, &output).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(1_500));
    server.terminate();
    let (status, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    let ended = predicting.wait_with_output().unwrap();
    let message = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{message}");
    assert!(message.contains(&address) && !message.contains("panicked"), "{message}");
    // All verdicts or none.
    assert!(!output.exists());
    let mut again = card_fraud();
    again.args(["predict", "--server", &address, "--input"]).arg(&input).arg("--output").arg(&output);
    assert!(fails(&mut again).contains(&address));
}

#[test]
fn bad_rows_are_named_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("rows.csv");
    let header = card_fraud::table::FEATURE_NAMES.join(",");
    fs::write(&input, format!("{header}\n1,2,3,0,0,0,1\n1,two,3,0,0,0,1\n")).unwrap();
    let server = Server::start(&[]);
    let output = folder.path().join("verdicts.csv");
    let message = fails(&mut server.predict(&input, &output));
    assert!(
        message.contains("rows.csv, line 3, column distance_from_last_transaction: \"two\" is not a number"),
        "{message}"
    );
    assert!(!output.exists());
    let missing = folder.path().join("none.csv");
    assert!(fails(&mut server.predict(&missing, &output)).contains("none.csv"));
}

#[test]
fn a_rate_limit_slows_a_client_down_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (purchases(folder.path(), "rows.csv", 12, 9), folder.path().join("verdicts.csv"));
    let server = Server::start(&["--rate", "300", "--burst", "4"]);
    let start = Instant::now();
    succeeds(&mut server.predict(&input, &output));
    // Four at once, the others a fifth of a second apart.
    assert!(start.elapsed() >= Duration::from_millis(1_500), "{:?}", start.elapsed());
    check_verdicts(&input, &output);
}

#[test]
fn what_is_no_model_or_no_address_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.json");
    fs::write(&broken, "{}").unwrap();
    let mut serve = card_fraud();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--model"]).arg(&broken);
    assert!(fails(&mut serve).contains("broken.json"));
    let mut serve = card_fraud();
    serve.args(["serve", "--listen", "nowhere.invalid:1", "--model"]).arg(model());
    assert!(fails(&mut serve).contains("nowhere.invalid:1"));
    let mut train = card_fraud();
    train.args(["train", "--data", "/none.csv", "--model"]).arg(&broken);
    assert!(fails(&mut train).contains("/none.csv"));
}

/// As with `card-fraud | head -1`: what is asked for is done, and nothing panics.
#[test]
fn a_reader_that_leaves_ends_a_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let (data, model) = (folder.path().join("data.csv"), folder.path().join("model.json"));
    let leave = |command: &mut Command| {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{command:?}");
    };
    leave(card_fraud().args(["generate", "--rows", "3000", "--output"]).arg(&data));
    leave(card_fraud().arg("train").arg("--data").arg(&data).arg("--model").arg(&model));
    assert!(model_file::read(&model).is_ok());
    leave(card_fraud().args(["--rows", "3000", "--queries", "20"]));
    let server = Server::start(&[]);
    let (input, output) = (purchases(folder.path(), "rows.csv", 5, 3), folder.path().join("verdicts.csv"));
    leave(&mut server.predict(&input, &output));
    check_verdicts(&input, &output);
}

/// Where the output cannot be written for another reason, the command fails and says so.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = card_fraud();
    command.args(["--rows", "3000", "--queries", "20"]).stdout(full).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with("card-fraud: standard output: "), "{message}");
}

#[test]
fn the_whole_job_in_one_process() {
    let said = succeeds(card_fraud().args(["--rows", "4000", "--queries", "150"]));
    assert!(said.contains("verdicts equal to the clear ones: 150 of 150"), "{said}");
    assert!(said.contains("evaluation key none"), "{said}");
}

#[test]
fn the_whole_job_on_a_file_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.csv");
    succeeds(card_fraud().args(["generate", "--rows", "3000", "--seed", "5", "--output"]).arg(&data));
    let said = succeeds(card_fraud().args(["--queries", "50", "--data"]).arg(&data));
    assert!(said.contains("3000 purchases") && said.contains("50 of 50"), "{said}");
}
