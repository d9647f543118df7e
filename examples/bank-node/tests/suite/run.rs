//! Three banks in processes of their own, over TLS: the scores, the trails, the script.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::common::{BANKS, Banks, binary, free_ports, text};

#[test]
fn three_processes_compute_what_a_plain_computation_does() {
    let mut banks = Banks::new(60);
    banks.start_all(&["keygen"]);
    banks.all_succeed();
    assert!(BANKS.iter().all(|bank| banks.path(&format!("{bank}.key")).exists()));
    assert!(BANKS.iter().all(|bank| !banks.path(&format!("{bank}.csv")).exists()));
    banks.start_all(&["run"]);
    banks.all_succeed();
    banks.scores_are_right(2);
    banks.trails_agree();
    assert!(BANKS.iter().all(|bank| !banks.path(&format!("{bank}.key.pending")).exists()));
    // Nothing is left to go on with.
    banks.start(0, &["resume"]);
    assert_eq!(banks.wait(0).code(), Some(1));
    assert!(banks.log(0).contains("there is no stopped run"), "{}", banks.log(0));

    // The commitment in the trail is to this input and no other.
    let verify = |banks: &Banks| {
        let config = banks.path("amber.toml");
        let trail = banks.path("amber.jsonl");
        binary().args(["audit", "verify", "--input"]).arg(trail).arg("--config").arg(config).output().unwrap()
    };
    assert!(verify(&banks).status.success());
    let accounts = banks.path("data/amber/accounts.csv");
    let changed = std::fs::read_to_string(&accounts).unwrap() + "A9999,0.5\n";
    std::fs::write(&accounts, changed).unwrap();
    assert!(!verify(&banks).status.success());

    // Nothing private in log or trail: no account, no score, no passphrase.
    let told = format!("{}{}", banks.log(0), banks.read("amber.jsonl"));
    for id in ["A0001", "A0002", "B0001", "of amber"] {
        assert!(!told.contains(id), "{id} was told");
    }
    let mut scores = banks.read("amber.csv").lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    scores.retain(|line| !line.contains(",0.0000000,"));
    for line in scores {
        let score = line.split(',').nth(1).unwrap();
        assert!(!told.contains(score), "a score was told: {line}");
    }
}

#[test]
fn scores_that_one_foreign_sender_determines_are_withheld() {
    let mut banks = Banks::new(60);
    for bank in BANKS {
        let file = banks.path(&format!("{bank}.toml"));
        let config = std::fs::read_to_string(&file).unwrap();
        let settings = "iterations = 2, min_foreign_senders = 2, periods = 1, least_activity = 5";
        assert!(config.contains("iterations = 2"));
        std::fs::write(&file, config.replace("iterations = 2", settings)).unwrap();
    }
    let planned = |banks: &Banks, bank: &str| {
        let plan =
            binary().arg("plan").arg("--config").arg(banks.path(&format!("{bank}.toml"))).output().unwrap();
        let plan = text(&plan.stdout);
        assert!(plan.contains("pairs of a sender and another account, told to all banks"), "{plan}");
        let line = plan.lines().find_map(|line| line.strip_prefix("scores withheld")).unwrap();
        let count = line.trim().split(',').next().unwrap();
        count.parse::<usize>().unwrap()
    };
    banks.start_all(&[]);
    banks.all_succeed();
    banks.trails_agree();
    for (index, bank) in BANKS.into_iter().enumerate() {
        let scores = banks.read(&format!("{bank}.csv"));
        let empty = scores.lines().filter(|line| line.split(',').nth(1) == Some("")).count();
        assert!(empty > 0 && empty + 1 < scores.lines().count(), "{scores}");
        assert_eq!(planned(&banks, bank), empty);
        // Before the first score is encrypted, the log says which bank makes the period count and how many are withheld.
        let log = banks.log(index);
        let before = log.split("encrypting scores").next().unwrap();
        assert!(before.contains("a period that counts") && before.contains("amber "), "{log}");
        assert!(before.contains("scores that will be withheld"), "{log}");
        let trail = banks.read(&format!("{bank}.jsonl"));
        assert!(trail.contains("\"period 1\":\"counted: amber "), "{trail}");
    }
}

/// The public parts of keys that a bank has kept.
fn keys_of(banks: &Banks, bank: &str) -> Vec<String> {
    let names = std::fs::read_dir(banks.folder.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&format!("{bank}.key.")) && name.ends_with(".public")).collect()
}

#[test]
fn each_run_has_a_key_of_its_own() {
    let mut banks = Banks::new(60);
    for runs in 1..=2 {
        banks.start_all(if runs == 1 { &[] } else { &["run"] });
        banks.all_succeed();
        banks.scores_are_right(2);
        for bank in BANKS {
            assert_eq!(keys_of(&banks, bank).len(), runs);
            assert!(!banks.path(&format!("{bank}.key.pending")).exists());
        }
    }
    assert!(banks.log(0).contains("the key in use has served a run"));
    // The next key can be made ahead, and is not made twice.
    for _ in 0..2 {
        banks.start_all(&["keygen"]);
        banks.all_succeed();
        assert!(BANKS.iter().all(|bank| keys_of(&banks, bank).len() == 3));
    }
    banks.start_all(&["run"]);
    banks.all_succeed();
    banks.trails_agree();
    assert!(BANKS.iter().all(|bank| keys_of(&banks, bank).len() == 3));
    // Each run is computed again under its own key.
    let trail = banks.path("amber.jsonl");
    let text = std::fs::read_to_string(&trail).unwrap();
    let runs: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("\"protocol\":\"subrosa/risk-propagation\""))
        .map(|line| line.split("\"session\":\"").nth(1).unwrap().split('"').next().unwrap())
        .collect();
    assert_eq!(runs.len(), 3, "{runs:?}");
    for run in runs {
        let recomputed = binary()
            .args(["audit", "recompute", "--run", run, "--config"])
            .arg(banks.path("amber.toml"))
            .arg("--trail")
            .arg(&trail)
            .output()
            .unwrap();
        assert!(
            recomputed.status.success(),
            "{}{}",
            crate::common::text(&recomputed.stdout),
            crate::common::text(&recomputed.stderr)
        );
    }
}

#[test]
fn banks_may_agree_to_keep_their_key() {
    let mut banks = Banks::new(60);
    for bank in BANKS {
        let file = banks.path(&format!("{bank}.toml"));
        let config = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, config.replace("iterations = 2", "iterations = 2, key_use = \"shared\""))
            .unwrap();
    }
    for _ in 0..2 {
        banks.start_all(&[]);
        banks.all_succeed();
    }
    banks.scores_are_right(2);
    assert!(BANKS.iter().all(|bank| keys_of(&banks, bank).len() == 1));
}

#[test]
fn a_run_without_a_key_says_so() {
    let mut banks = Banks::new(30);
    banks.start(0, &["run"]);
    assert_eq!(banks.wait(0).code(), Some(1));
    assert!(banks.log(0).contains("there is no key file"), "{}", banks.log(0));
}

#[test]
fn places_for_results_are_looked_at_first() {
    let banks = Banks::new(30);
    let file = banks.path("amber.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let refused = [
        ("output = \"amber.csv\"", "output = \"results/amber.csv\"", "`output`: there is no folder"),
        ("output = \"amber.csv\"", "output = \"data\"", "data is a folder, not a file"),
        ("key_file = \"amber.key\"", "key_file = \"keys/amber.key\"", "`key_file`: there is no folder"),
    ];
    for (from, to, words) in refused {
        assert!(config.contains(from));
        std::fs::write(&file, config.replace(from, to)).unwrap();
        let output = binary().arg("--config").arg(&file).output().unwrap();
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(1) && told.contains(words), "{told}");
    }
}

#[test]
fn another_key_at_one_bank_is_found_before_anything_is_sent() {
    let mut banks = Banks::new(30);
    banks.start_all(&["keygen"]);
    banks.all_succeed();
    for bank in BANKS {
        std::fs::rename(banks.path(&format!("{bank}.key")), banks.path(&format!("{bank}.key.old"))).unwrap();
    }
    banks.start_all(&["keygen"]);
    banks.all_succeed();
    std::fs::rename(banks.path("birch.key.old"), banks.path("birch.key")).unwrap();
    banks.start_all(&["run"]);
    for bank in 0..3 {
        assert_eq!(banks.wait(bank).code(), Some(1));
        assert!(banks.log(bank).contains("hold different keys"), "{}", banks.log(bank));
    }
    // Another bank's file, and a wrong passphrase.
    std::fs::copy(banks.path("coral.key"), banks.path("amber.key")).unwrap();
    std::fs::copy(banks.path("coral.passphrase"), banks.path("amber.passphrase")).unwrap();
    banks.start(0, &["run"]);
    assert_eq!(banks.wait(0).code(), Some(1));
    assert!(banks.log(0).contains("holds the share of party 3"), "{}", banks.log(0));
    std::fs::write(banks.path("coral.passphrase"), "guessed\n").unwrap();
    banks.start(2, &["run"]);
    assert_eq!(banks.wait(2).code(), Some(1));
    assert!(banks.log(2).contains("passphrase is wrong"), "{}", banks.log(2));
}

/// The program `three-banks` beside the bank-node that is tested.
///
/// Who tests the whole workspace has built it just now. Otherwise it may be missing, or older than its sources: cargo
/// builds it then.
fn three_banks() -> PathBuf {
    let node = Path::new(env!("CARGO_BIN_EXE_bank-node"));
    let program = node.with_file_name("three-banks");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let sources = [examples.join("three-banks"), examples.parent().unwrap().join("crates")];
    let built = std::fs::metadata(&program).and_then(|data| data.modified());
    if built.is_ok_and(|built| sources.iter().all(|folder| newest_source(folder) < built)) {
        return program;
    }
    let folder = node.parent().unwrap();
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        profile => profile,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--package", "three-banks", "--profile", profile])
        .arg("--manifest-path")
        .arg(examples.join("three-banks/Cargo.toml"))
        .arg("--target-dir")
        .arg(folder.parent().unwrap())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", text(&built.stderr));
    program
}

/// When the newest of the sources in a folder was changed.
fn newest_source(folder: &Path) -> SystemTime {
    let time = |entry: std::fs::DirEntry| {
        let path = entry.path();
        let source = path.extension().is_some_and(|ending| ending == "rs" || ending == "toml");
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => newest_source(&path),
            _ if source => entry.metadata().unwrap().modified().unwrap(),
            _ => SystemTime::UNIX_EPOCH,
        }
    };
    let times = std::fs::read_dir(folder).unwrap().map(|entry| time(entry.unwrap()));
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

#[test]
fn three_processes_over_tls_have_the_scores_of_three_banks_in_one() {
    // The packaged data with a small key. The script runs both, and fails where they differ.
    let folder = tempfile::tempdir().unwrap();
    let [port, _, _] = free_ports();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/three-nodes.sh");
    let output = Command::new("sh")
        .arg(script)
        .arg(folder.path())
        .env("BANK_NODE", env!("CARGO_BIN_EXE_bank-node"))
        .env("THREE_BANKS", three_banks())
        .env("KEY_BITS", "512")
        .env("FIRST_PORT", port.to_string())
        .output()
        .unwrap();
    let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{told}");
    for line in ["amber: ", "birch: ", "coral: ", "largest difference "] {
        assert!(told.lines().any(|told| told.starts_with(line)), "{told}");
    }

    let (scores, others) = (folder.path().join("scores"), folder.path().join("three-banks"));
    agrees_with_a_plain_computation(&scores);
    agrees_with_a_plain_computation(&others);
    a_changed_score_is_found(&scores, &others);
}

/// The scores in a folder are those of a computation over all the packaged data in the clear.
fn agrees_with_a_plain_computation(folder: &Path) {
    use subrosa_risk_propagation::{Settings, data, plaintext};
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("../three-banks/data");
    let names = data::banks_in(&packaged).unwrap();
    let networks: Vec<_> =
        names.iter().map(|bank| data::read_bank(&packaged, &names, names.name(bank)).unwrap()).collect();
    let settings = Settings::default();
    let reference = plaintext::reference(&networks, &settings).unwrap();
    let scores_of = |bank| {
        let text = std::fs::read_to_string(folder.join(format!("{}.csv", names.name(bank)))).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect()
    };
    let scores: Vec<Vec<f64>> = names.iter().map(scores_of).collect();
    let difference = plaintext::largest_difference(&scores, &reference);
    assert!(difference <= settings.accuracy, "{}: {difference:e}", folder.display());
}

/// What the script ends with fails where one score is another one.
fn a_changed_score_is_found(scores: &Path, others: &Path) {
    let compare = || binary().args(["compare", "--accuracy=1e-6"]).arg(scores).arg(others).output().unwrap();
    assert!(compare().status.success());
    let file = scores.join("coral.csv");
    let mut lines: Vec<String> = std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    let fields: Vec<&str> = lines[7].split(',').collect();
    let (id, score): (_, f64) = (fields[0].to_owned(), fields[1].parse().unwrap());
    lines[7] = format!("{id},{:.7},{}", (score - 0.001).abs(), fields[2]);
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let output = compare();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    assert!(told.contains("coral") && told.contains(&format!("(account {id})")), "{told}");
    assert!(told.contains("MORE than 1e-6"), "{told}");
}
