//! Runs of real processes that are computed again from what the banks kept.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use crate::common::{BANKS, Banks, binary, text};

/// What the auditor of a bank is told, and whether all is as it should be.
fn recompute(banks: &Banks, bank: usize, more: &[&str]) -> (bool, String) {
    let name = BANKS[bank];
    let output = binary()
        .args(["audit", "recompute", "--config"])
        .arg(banks.path(&format!("{name}.toml")))
        .arg("--trail")
        .arg(banks.path(&format!("{name}.jsonl")))
        .args(more)
        .output()
        .unwrap();
    (output.status.success(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

fn peers(banks: &Banks, bank: usize) -> Vec<String> {
    let others = (0..3).filter(|&other| other != bank);
    others.map(|other| banks.path(&format!("{}.jsonl", BANKS[other])).display().to_string()).collect()
}

fn all_are_clean(banks: &Banks) {
    for bank in 0..3 {
        let peers = peers(banks, bank);
        let more = ["--peers", &peers[0], &peers[1]];
        let (good, told) = recompute(banks, bank, &more);
        assert!(good && told.contains("did what its data and its seed say"), "{told}");
        // The bank helps one other unasked.
        assert!(told.contains("computed again from R0 to R8; proofs of R9 looked at: "), "{told}");
        assert!(!told.contains("looked at: 0"), "{told}");
    }
}

#[test]
fn one_changed_byte_in_any_file_is_named() {
    let mut banks = Banks::new(30);
    banks.start_all(&[]);
    banks.all_succeed();
    all_are_clean(&banks);
    for ending in ["frames", "seeds"] {
        let mode = fs::metadata(banks.path(&format!("amber.jsonl.{ending}"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let found = |file: &str, place: fn(usize) -> usize, words: &str| {
        let path = banks.path(file);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        changed[place(bytes.len())] ^= 1;
        fs::write(&path, changed).unwrap();
        let peers = peers(&banks, 0);
        let (good, told) = recompute(&banks, 0, &["--peers", &peers[0], &peers[1]]);
        assert!(!good && told.contains(words), "{file}: {told}");
        fs::write(&path, bytes).unwrap();
    };
    found("amber.jsonl", |length| length / 2, "amber.jsonl cannot be used: line ");
    found("birch.jsonl", |length| length / 2, "birch.jsonl cannot be used: line ");
    found(
        "amber.jsonl.frames",
        |length| length / 2,
        "the record does not hold the frames to which the trail commits",
    );
    found("amber.jsonl.frames", |_| 3, "it is no record of frames");
    found("amber.jsonl.seeds", |_| 64, "amber.jsonl.seeds cannot be used: line 1 is not");
    let seeds = fs::read_to_string(banks.path("amber.jsonl.seeds")).unwrap();
    for (place, words) in
        [(10, "the seed of the run that began in session"), (100, "R4, to birch, propagate/selection")]
    {
        let digit = if &seeds[place..=place] == "0" { "1" } else { "0" };
        let changed = format!("{}{digit}{}", &seeds[..place], &seeds[place + 1..]);
        fs::write(banks.path("amber.jsonl.seeds"), changed).unwrap();
        let (good, told) = recompute(&banks, 0, &[]);
        assert!(!good && told.contains(words), "{told}");
    }
    fs::write(banks.path("amber.jsonl.seeds"), seeds).unwrap();
    found(
        "data/amber/accounts.csv",
        |length| length - 2,
        "R5, propagate/declaration: the input is not the one",
    );
    // Cut off at the end.
    let frames = banks.path("amber.jsonl.frames");
    let bytes = fs::read(&frames).unwrap();
    fs::write(&frames, &bytes[..bytes.len() - 200]).unwrap();
    let (good, told) = recompute(&banks, 0, &[]);
    assert!(!good && told.contains("is cut short"), "{told}");
    fs::write(&frames, bytes).unwrap();
    // Other settings than those of the run.
    let config = fs::read_to_string(banks.path("amber.toml")).unwrap();
    fs::write(banks.path("amber.toml"), config.replace("iterations = 2", "iterations = 3")).unwrap();
    let (good, told) = recompute(&banks, 0, &[]);
    assert!(!good && told.contains("the run had iterations = 2, the configuration says 3"), "{told}");
    fs::write(banks.path("amber.toml"), config).unwrap();
    let (good, told) = recompute(&banks, 0, &["--last-hash", &"0".repeat(64)]);
    assert!(!good && told.contains("no line of the trail has the hash"), "{told}");
    all_are_clean(&banks);

    // Another bank's trail that never saw this session, as if it was made up; and nobody else's trail at all.
    let birch = banks.read("birch.jsonl");
    let before: String = birch.lines().take(3).map(|line| format!("{line}\n")).collect();
    fs::write(banks.path("birch.jsonl"), before).unwrap();
    let others = peers(&banks, 0);
    let (good, told) = recompute(&banks, 0, &["--peers", &others[0], &others[1]]);
    assert!(!good && told.contains("birch.jsonl does not have the broadcasts before it"), "{told}");
    let (good, told) = recompute(&banks, 0, &[]);
    assert!(good && told.contains("give their trails with --peers"), "{told}");
}

#[test]
fn a_run_that_was_killed_and_went_on_is_computed_again() {
    let mut banks = Banks::new(90);
    banks.start_all(&["keygen"]);
    banks.all_succeed();
    banks.start_all(&["run"]);
    banks.wait_for(0, "iteration", 1);
    banks.kill(0);
    thread::sleep(Duration::from_millis(100));
    banks.start(0, &["run"]);
    banks.all_succeed();
    banks.scores_are_right(2);
    all_are_clean(&banks);
}

#[test]
fn without_a_record_nothing_is_kept() {
    let mut banks = Banks::new(30);
    let file = banks.path("amber.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("audit =", "record = false\naudit =")).unwrap();
    banks.start_all(&[]);
    banks.all_succeed();
    assert!(!banks.path("amber.jsonl.frames").exists() && !banks.path("amber.jsonl.seeds").exists());
    let (good, told) = recompute(&banks, 0, &[]);
    assert!(!good && told.contains("amber.jsonl.seeds cannot be used: "), "{told}");
    banks.trails_agree();
    fs::write(&file, config.replace("audit = \"amber.jsonl\"", "record = true")).unwrap();
    let (good, told) = recompute(&banks, 0, &[]);
    assert!(!good && told.contains("`record`: a record goes beside an audit trail"), "{told}");
}
