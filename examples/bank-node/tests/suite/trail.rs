//! The audit trail: what an auditor can see in it, and what nobody can change in it.

use std::path::Path;
use std::process::Command;

use crate::common::{Banks, binary, text};
use subrosa_node::audit::{self, AuditError, Event, Trail};

fn ended(outcome: &str) -> Event {
    Event::Ended { outcome: outcome.to_owned() }
}

/// A trail of six lines, and the hash of its last one.
fn written(file: &Path) -> String {
    let mut trail = Trail::open(file).unwrap();
    for number in 0..6 {
        trail.write(ended(&format!("number {number}"))).unwrap();
    }
    trail.hash()
}

#[test]
fn nothing_in_it_can_be_changed_added_or_removed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trail.jsonl");
    let last = written(&file);
    let trail = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = trail.split_inclusive('\n').collect();
    assert_eq!(audit::verify(&trail).unwrap().last_hash(), last);

    let wrong = |lines: &[&str], at: usize| {
        let error = audit::verify(&lines.concat()).unwrap_err();
        assert_eq!(error.line, at, "{error}");
    };
    for at in 0..lines.len() {
        let changed = lines[at].replace("number ", "another ");
        let mut spoiled = lines.clone();
        spoiled[at] = &changed;
        wrong(&spoiled, at + 1);
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        wrong(&doubled, at + 2);
        if at + 1 < lines.len() {
            let mut removed = lines.clone();
            removed.remove(at);
            wrong(&removed, at + 1);
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            wrong(&swapped, at + 1);
        }
    }

    // What is cut off at the end shows only to whoever knows the last hash.
    let shorter = folder.path().join("shorter.jsonl");
    std::fs::write(&shorter, lines[..4].concat()).unwrap();
    let verify = |file: &Path, hash: &str| {
        let output = binary().args(["audit", "verify", "--last-hash", hash]).arg(file).output().unwrap();
        (output.status.success(), text(&output.stdout))
    };
    assert_eq!(audit::verify(&lines[..4].concat()).unwrap().records.len(), 4);
    let (good, told) = verify(&shorter, &last);
    assert!(!good && told.contains("lines were changed or cut off"), "{told}");
    let (good, told) = verify(&file, &last.to_uppercase());
    assert!(good && told.contains("the last hash is the one that was told"), "{told}");
    // A trail that went on keeps what was there when the hash was told.
    Trail::open(&file).unwrap().write(ended("later")).unwrap();
    let (good, told) = verify(&file, &last);
    assert!(good && told.contains("that of line 6") && told.contains("the other 1 lines"), "{told}");
}

#[test]
fn a_torn_line_is_dropped_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trail.jsonl");
    written(&file);
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{whole}{{\"hash\":\"12")).unwrap();
    let output = binary().args(["audit", "verify"]).arg(&file).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stdout).contains("line 7: it has no end"), "{}", text(&output.stdout));

    Trail::open(&file).unwrap().write(ended("after")).unwrap();
    let report = audit::verify(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(report.records[6].event, Event::Repaired { dropped_bytes: 11 });
    assert_eq!(report.records.len(), 8);
}

#[test]
fn two_processes_do_not_write_the_same_trail() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trail.jsonl");
    let first = Trail::open(&file).unwrap();
    assert!(matches!(Trail::open(&file), Err(AuditError::InUse(_))));
    drop(first);
    Trail::open(&file).unwrap();

    // A bank that is started twice by mistake leaves the first one's files as they are.
    let mut banks = Banks::new(30);
    banks.start(0, &[]);
    banks.wait_for(0, "waiting for the other banks", 1);
    let before = banks.read("amber.jsonl");
    let second = binary().arg("--config").arg(banks.path("amber.toml")).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another process writes to it"), "{}", text(&second.stderr));
    assert_eq!(banks.read("amber.jsonl"), before);
    banks.start(1, &[]);
    banks.start(2, &[]);
    banks.all_succeed();
    banks.trails_agree();
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_whole_lines() {
    let banks = Banks::new(30);
    let trail = banks.path("amber.jsonl");
    written(&trail);
    let length = std::fs::metadata(&trail).unwrap().len();
    let config = banks.path("amber.toml");
    // Room for a part of the next line.
    let output = Command::new("prlimit")
        .arg(format!("--fsize={}", length + 100))
        .args([
            "sh",
            "-c",
            "trap '' XFSZ; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_bank-node"),
            "keygen",
            "--config",
        ])
        .arg(&config)
        .output()
        .unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("amber.jsonl cannot be read or written: File too large"), "{told}");
    assert_eq!(std::fs::metadata(&trail).unwrap().len(), length);
    let report = audit::verify(&std::fs::read_to_string(&trail).unwrap()).unwrap();
    assert_eq!(report.records.len(), 6);
}

#[test]
fn the_round_in_which_a_run_failed_is_in_it() {
    let mut banks = Banks::new(30);
    banks.configure(2, |changes| changes.iterations = 3);
    banks.start_all(&["keygen"]);
    banks.all_succeed();
    let before = audit::verify(&banks.read("amber.jsonl")).unwrap().records.len();
    banks.start_all(&["run"]);
    for bank in 0..3 {
        assert_eq!(banks.wait(bank).code(), Some(1), "{}", banks.log(bank));
    }
    // All three tell each other their parameters, see that they differ, and tell why they give up.
    let report = audit::verify(&banks.read("amber.jsonl")).unwrap();
    let rounds = report.records[before..].iter().filter_map(|record| match &record.event {
        Event::Round { session, abort, sent, received, .. } => {
            Some((session.bytes().all(|digit| digit == b'0'), *abort, sent.len(), received.len()))
        }
        _ => None,
    });
    let rounds: Vec<_> = rounds.collect();
    let [.., (true, false, 2, told), (true, true, 2, _)] = rounds[..] else { panic!("{rounds:?}") };
    assert!(told >= 1, "{rounds:?}");
    // What was agreed on before is in it, too: the meeting at which the banks compared their keys.
    let sessions = report.records[before..].iter().filter_map(|record| match &record.event {
        Event::Session { protocol, parameters, .. } => Some((protocol.as_str(), parameters["task"].as_str())),
        _ => None,
    });
    assert_eq!(sessions.collect::<Vec<_>>(), [("subrosa/bank-node/meeting", "propagation")]);
    let reason = report.records[before..].iter().find_map(|record| match &record.event {
        Event::Failed { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.unwrap().contains("iterations"), "{report:?}");
    banks.trails_agree();
}
