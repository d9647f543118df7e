//! Three banks in processes of their own, over TLS: the scores, the trails, the script.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(unix)]

mod common;

use std::process::Command;

use common::{BANKS, Banks, binary, free_ports, text};

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
fn a_run_without_a_key_says_so() {
    let mut banks = Banks::new(30);
    banks.start(0, &["run"]);
    assert_eq!(banks.wait(0).code(), Some(1));
    assert!(banks.log(0).contains("there is no key file"), "{}", banks.log(0));
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

#[test]
fn the_script_does_it_with_one_command() {
    // The packaged data with a small key, compared with what the plain computation says.
    let folder = tempfile::tempdir().unwrap();
    let [port, _, _] = free_ports();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/three-nodes.sh");
    let output = Command::new("sh")
        .arg(script)
        .arg(folder.path())
        .env("BANK_NODE", env!("CARGO_BIN_EXE_bank-node"))
        .env("KEY_BITS", "512")
        .env("FIRST_PORT", port.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));

    use subrosa_risk_propagation::{Settings, data, plaintext};
    let packaged = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../three-banks/data");
    let names = data::banks_in(&packaged).unwrap();
    let networks: Vec<_> =
        names.iter().map(|bank| data::read_bank(&packaged, &names, names.name(bank)).unwrap()).collect();
    let settings = Settings::default();
    let reference = plaintext::reference(&networks, &settings).unwrap();
    let scores: Vec<Vec<f64>> = names
        .iter()
        .map(|bank| {
            let file = folder.path().join(format!("scores/{}.csv", names.name(bank)));
            let text = std::fs::read_to_string(file).unwrap();
            text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect()
        })
        .collect();
    assert!(plaintext::largest_difference(&scores, &reference) <= settings.accuracy);
}
