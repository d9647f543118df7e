//! The command as people use it, on small data with a small key.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use common::{refused, text, three_banks};
use subrosa_risk_propagation::synthetic::{NetworkShape, generate};

fn small(directory: &Path, accounts: usize, periods: usize) {
    let shape =
        NetworkShape { accounts, transfers: accounts * 3, chains: 2, periods, ..NetworkShape::default() };
    generate(&shape, &mut ChaCha20Rng::seed_from_u64(3)).unwrap().write(directory).unwrap();
}

#[test]
fn packaged_data_is_what_the_generator_makes() {
    let directory = tempfile::tempdir().unwrap();
    let shape = NetworkShape::default();
    generate(&shape, &mut ChaCha20Rng::seed_from_u64(1)).unwrap().write(directory.path()).unwrap();
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    for bank in &shape.banks {
        for file in ["accounts.csv", "transactions.csv"] {
            let read = |base: &Path| std::fs::read_to_string(base.join(bank).join(file)).unwrap();
            let (made, packaged) = (read(directory.path()), read(&packaged));
            assert!(made.lines().eq(packaged.lines()), "{bank}/{file} differs");
        }
    }
}

#[test]
fn whole_run() {
    let directory = tempfile::tempdir().unwrap();
    let (data, output) = (directory.path().join("data"), directory.path().join("out"));
    small(&data, 60, 2);
    std::fs::write(data.join("notes.txt"), "files beside the folders do not count").unwrap();
    let json = directory.path().join("report.json");
    let run = three_banks(&[
        "--data",
        data.to_str().unwrap(),
        "--key-bits",
        "512",
        "--iterations",
        "2",
        "--delta",
        "0.25",
        "--check",
        "--output",
        output.to_str().unwrap(),
        "--json",
        json.to_str().unwrap(),
        "--seed-insecure",
        "4",
    ]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let (shown, warned) = (text(&run.stdout), text(&run.stderr));
    assert!(shown.contains("largest difference from the plain computation"), "{shown}");
    assert!(shown.contains("Riskiest accounts") && shown.contains("══▶"), "{shown}");
    assert!(warned.contains("512 bits can be factored") && warned.contains("predictable"), "{warned}");

    for bank in ["amber", "birch", "coral"] {
        let scores = std::fs::read_to_string(output.join(format!("{bank}.csv"))).unwrap();
        let mut lines = scores.lines();
        assert_eq!(lines.next(), Some("id,risk_score,before"));
        let mut moved = 0;
        let mut accounts = 0;
        for line in lines {
            let fields: Vec<&str> = line.split(',').collect();
            let (after, before): (f64, f64) = (fields[1].parse().unwrap(), fields[2].parse().unwrap());
            assert!((0.0..=1.0).contains(&after) && (0.0..=1.0).contains(&before), "{line}");
            moved += usize::from((after - before).abs() > 1e-6);
            accounts += 1;
        }
        assert_eq!(accounts, 20);
        assert!(moved > 3, "{bank}: {moved} scores moved");
    }

    for picture in ["network.svg", "ranks.svg"] {
        let drawing = std::fs::read_to_string(output.join(picture)).unwrap();
        let head = "<svg width=\"1600\" height=\"900\" viewBox=\"0 0 12800 7200\"";
        assert!(drawing.starts_with(head) && drawing.trim_end().ends_with("</svg>"), "{picture}");
        // Every bank is in the legend, and accounts are labelled with their bank.
        for bank in ["amber", "birch", "coral"] {
            assert!(drawing.lines().any(|line| line.trim() == bank), "{picture}: {bank}");
        }
        assert!(drawing.contains("amber/A0"), "{picture}");
    }

    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["accounts"], 60);
    assert!(report["edges"].as_u64().unwrap() > 100);
    assert!(report["largest_difference"].as_f64().unwrap() <= 1e-6);
    let phases = report["phases"].as_array().unwrap();
    for bank in ["amber", "birch", "coral"] {
        let of_bank = phases.iter().filter(|phase| phase["party"] == bank);
        let names: Vec<&str> = of_bank.map(|phase| phase["name"].as_str().unwrap()).collect();
        let iterations = ["iteration 1", "iteration 2", "iteration 3", "iteration 4"];
        assert_eq!(names, [&["keygen", "agree", "encrypt"], &iterations[..], &["decrypt"]].concat());
    }
    for phase in phases.iter().filter(|phase| phase["name"] == "keygen") {
        assert!(phase["wall_s"].as_f64().unwrap() > 0.0 && phase["cpu_s"].as_f64().unwrap() > 0.0);
        assert!(phase["bytes_sent"].as_u64().unwrap() > 1000 && phase["messages"].as_u64().unwrap() > 10);
    }
}

/// Exit code and standard error of a run whose standard output nobody reads.
fn unread(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_three-banks"));
    let mut running = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(running.stdout.take());
    let output = running.wait_with_output().unwrap();
    (output.status.code(), text(&output.stderr).to_owned())
}

#[test]
fn ends_quietly_where_nobody_reads_on() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    small(&data, 30, 1);
    let small = ["--data", data.to_str().unwrap(), "--iterations", "1"];
    assert_eq!(unread(&[&small[..], &["--plan"]].concat()), (Some(0), String::new()));
    assert_eq!(unread(&small), (Some(0), String::new()));
    // Files are what such a run may be for.
    let json = directory.path().join("run.json");
    let (code, said) =
        unread(&[&small[..], &["--key-bits", "512", "--json", json.to_str().unwrap()]].concat());
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["accounts"], 30);
}

#[test]
fn each_risk_type_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let (data, output) = (directory.path().join("data"), directory.path().join("out"));
    common::write_data(&data, 2);
    let (data, folder) = (data.to_str().unwrap(), output.to_str().unwrap());
    let run = three_banks(&[
        "--data",
        data,
        "--key-bits",
        "512",
        "--iterations",
        "2",
        "--check",
        "--output",
        folder,
    ]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let shown = text(&run.stdout);
    for risk_type in ["risk_score", "sanctions"] {
        assert!(shown.contains(&format!("Riskiest accounts of each bank by {risk_type},")), "{shown}");
        assert!(shown.contains(&format!("Where risk of the type {risk_type} arrived from")), "{shown}");
    }
    let read = |name: &str| std::fs::read_to_string(output.join(name)).unwrap();
    for (picture, title) in [("network-2.svg", "Where risk arrives"), ("ranks-2.svg", "How ranks moved")] {
        assert!(read(picture).contains(&format!("{title}: sanctions")), "{picture}");
    }
    assert!(read("ranks.svg").contains("How ranks moved: risk_score"));
}

#[test]
fn plan_is_printed_without_running() {
    let run = three_banks(&["--plan"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let shown = text(&run.stdout);
    assert!(shown.contains("scale of weights") && !shown.contains("Riskiest"), "{shown}");
    // Costs of each of the three banks.
    for line in ["blindings  ", "multiplications  ", "ciphertexts sent  ", "memory  "] {
        assert_eq!(shown.lines().filter(|shown| shown.starts_with(line)).count(), 3, "{line}: {shown}");
    }
}

/// For each bank the number behind the words at the beginning of a line of its part of a plan.
fn planned(shown: &str, words: &str) -> Vec<usize> {
    let lines = shown.lines().filter(|line| line.starts_with(words));
    lines.map(|line| line.split_whitespace().last().unwrap().parse().unwrap()).collect()
}

#[test]
fn scores_that_one_foreign_sender_determines_are_withheld() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    small(&directory.path().join("data"), 60, 1);
    let with = |least: &str, more: &[&str]| {
        let data = path("data");
        let arguments = ["--data", &data, "--key-bits", "512", "--iterations", "2"];
        three_banks(&[&arguments[..], &["--min-foreign-senders", least], more].concat())
    };
    let said = |least: &str| text(&with(least, &["--plan"]).stdout).to_owned();
    assert!(!said("1").contains("withheld"));
    let plan = said("2");
    assert!(plan.contains("foreign senders           at least 2"), "{plan}");
    let planned_2 = planned(&plan, "scores withheld");
    let planned_3 = planned(&said("3"), "scores withheld");
    assert!(planned_2.len() == 3 && planned_2.iter().zip(&planned_3).all(|(two, three)| two < three));

    let (output, report, reports) = (path("out"), path("report.html"), path("reports"));
    let files = ["--check", "--output", &output, "--report", &report, "--bank-reports", &reports];
    // An account that is withheld, found in a first run.
    let run = with("2", &files);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let shown = text(&run.stdout);
    let counts: Vec<String> = planned_2.iter().map(usize::to_string).collect();
    let line = format!("{} of amber, {} of birch, {} of coral", counts[0], counts[1], counts[2]);
    assert!(shown.contains("fewer than 2 accounts of other banks") && shown.contains(&line), "{shown}");
    let mut withheld = Vec::new();
    for (bank, count) in ["amber", "birch", "coral"].into_iter().zip(&planned_2) {
        let scores = std::fs::read_to_string(directory.path().join(format!("out/{bank}.csv"))).unwrap();
        let empty: Vec<String> = scores
            .lines()
            .filter(|line| line.split(',').nth(1) == Some(""))
            .map(|line| format!("{bank}/{}", line.split(',').next().unwrap()))
            .collect();
        assert_eq!(empty.len(), *count, "{scores}");
        withheld.extend(empty);
        // The bank's own page says how many, and names none of them among the ranks.
        let html = std::fs::read_to_string(directory.path().join(format!("reports/{bank}.html"))).unwrap();
        let (page, _) = common::page(&html);
        assert_eq!(page["withheld"], *count);
        assert_eq!(page["parameters"]["min_foreign_senders"], 2);
        let view = common::view(&page, 0);
        let account = |place: &serde_json::Value| &view["accounts"][common::index(place)];
        for ranked in view["ranks"].as_array().unwrap() {
            let id = account(ranked)["id"].as_str().unwrap();
            assert!(
                !withheld.contains(&format!("{bank}/{id}"))
                    && account(ranked)["score"]["rank_after"].is_u64()
            );
        }
        for shown in view["accounts"].as_array().unwrap().iter().filter(|shown| shown.get("score").is_some())
        {
            let withheld = withheld.contains(&format!("{bank}/{}", shown["id"].as_str().unwrap()));
            assert_eq!(shown["score"].get("rank_after").is_none(), withheld);
        }
    }
    for riskiest in shown.split("Riskiest").nth(1).unwrap().split("Withheld").next().unwrap().lines() {
        assert!(
            !withheld.iter().any(|name| riskiest.contains(name.split('/').nth(1).unwrap())),
            "{riskiest}"
        );
    }
    let explained = with("2", &["--explain", &withheld[0]]);
    let explained = text(&explained.stdout);
    assert!(explained.contains("before, at least 0."), "{explained}");
    assert!(explained.contains("withheld: fewer than 2 accounts of other banks"), "{explained}");
}

#[test]
fn a_period_is_agreed_on_or_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    small(directory.path(), 30, 1);
    let stray = "id_source,bank_source,id_destination,bank_destination,amount\nA0001,amber,A0002,amber,1\n";
    for bank in ["amber", "birch", "coral"] {
        let file = directory.path().join(bank).join("transactions.csv");
        std::fs::rename(&file, file.with_file_name("transactions-0.csv")).unwrap();
    }
    std::fs::write(directory.path().join("amber/transactions-1.csv"), stray).unwrap();
    let with = |more: &[&str]| {
        let data = directory.path().to_str().unwrap();
        three_banks(&[&["--data", data, "--key-bits", "512", "--plan"][..], more].concat())
    };
    let steps = |more: &[&str]| planned(text(&with(more).stdout), "steps");
    assert_eq!(steps(&[]), [6]);
    assert_eq!(steps(&["--least-activity", "2"]), [3]);
    let shown = with(&["--least-activity", "2"]);
    let told = text(&shown.stdout).lines().find(|line| line.starts_with("│ 2 ")).unwrap().to_owned();
    let fields: Vec<&str> = told.split(['│', '┆']).map(str::trim).filter(|field| !field.is_empty()).collect();
    assert_eq!(fields, ["2", "no", "1", "none", "none"], "{told}");
    let refused = with(&["--periods", "1"]);
    assert!(text(&refused.stderr).contains("there are 2 periods where the settings say 1"));
}

#[test]
fn banks_that_disagree() {
    let directory = tempfile::tempdir().unwrap();
    small(directory.path(), 30, 1);
    let file = directory.path().join("birch/transactions.csv");
    let rows = std::fs::read_to_string(&file).unwrap();
    let crossing = |line: &&str| line.contains("amber") && line.contains("birch");
    let one = rows.lines().find(crossing).unwrap().to_owned();
    std::fs::write(&file, rows.replacen(&format!("{one}\n"), "", 1)).unwrap();
    let data = directory.path().to_str().unwrap();

    let (code, said) = refused(&["--data", data, "--key-bits", "512", "--iterations", "1"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("amber") && said.contains("birch") && said.contains("different transfers"),
        "{said}"
    );
    assert!(said.contains("leave-out"), "{said}");
    let left_out = three_banks(&[
        "--data",
        data,
        "--key-bits",
        "512",
        "--iterations",
        "1",
        "--mismatch",
        "leave-out",
        "--check",
    ]);
    assert!(left_out.status.success(), "{}", text(&left_out.stderr));
}

#[test]
fn wrong_options_end_with_code_2() {
    for arguments in [
        &["--key-bits", "many"][..],
        &["--key-bits", "128"],
        &["--delta", "1.5"],
        &["--delta", "NaN"],
        &["--accuracy", "0"],
        &["--mismatch", "ignore"],
        &["--iterations", "-1"],
        &["--unknown"],
        &["surplus"],
    ] {
        let (code, said) = refused(arguments);
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains("error:"), "{said}");
    }
}

#[test]
fn bad_data_ends_with_code_1_and_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    assert!(refused(&["--data", data]).1.contains("no folder"));
    assert!(refused(&["--data", "/nowhere/at/all"]).1.contains("/nowhere/at/all"));
    small(directory.path(), 30, 1);
    std::fs::remove_dir_all(directory.path().join("coral")).unwrap();
    let (code, said) = refused(&["--data", data]);
    assert_eq!(code, 1);
    assert!(said.contains("at least three"), "{said}");
    small(directory.path(), 30, 1);
    std::fs::write(directory.path().join("coral/accounts.csv"), "id,risk_score\nC1,0.5\nC2,2\n").unwrap();
    let (code, said) = refused(&["--data", data]);
    assert_eq!(code, 1);
    assert!(said.contains("accounts.csv: line 3, column `risk_score`"), "{said}");
    std::fs::write(directory.path().join("coral/accounts.csv"), "id,risk_score,sanctions\nC1,0.5,0\n")
        .unwrap();
    assert!(refused(&["--data", data]).1.contains("risk types differ"));
}

#[test]
fn what_cannot_work_is_refused_before_any_work() {
    assert!(refused(&["--key-bits", "513"]).1.contains("513"));
    assert!(refused(&["--iterations", "70"]).1.contains("does not fit"));
    assert!(refused(&["--iterations", "4000000000"]).1.contains("steps"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("out");
    assert_eq!(refused(&["--output", below.to_str().unwrap()]).0, 1);
    assert_eq!(refused(&["--json", directory.path().to_str().unwrap()]).0, 1);
}
