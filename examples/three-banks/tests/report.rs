//! Web pages of a run: equal to the other results, and a bank's page without anything of another bank's.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

mod common;

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use common::{
    BANKS, BEFORE, HOSTILE, before, id, index, page, refused, run, text, three_banks, transfers, view,
    write_data,
};
use subrosa_risk_propagation::{Error, Settings, data, plaintext};

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

/// Bank and name of an account of a page.
fn name(page: &Value, account: &Value) -> (String, String) {
    let bank = index(&account["bank"]);
    (
        list(&page["banks"])[bank]["name"].as_str().unwrap().to_owned(),
        account["id"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn joint_page_holds_the_numbers_of_the_other_results() {
    let run = run(2);
    let (joint, _) = page(&run.read("report.html"));
    assert_eq!(joint["measured"], run.json());
    assert!(joint["measured"]["largest_difference"].as_f64().unwrap() <= 1e-6);
    assert_eq!(joint.get("bank"), None);

    let parameters = &joint["parameters"];
    assert_eq!((parameters["key_bits"].as_u64(), parameters["threshold"].as_u64()), (Some(512), Some(1)));
    assert_eq!((parameters["iterations"].as_u64(), parameters["delta"].as_str()), (Some(2), Some("0.5")));
    assert_eq!(parameters["accuracy"].as_f64(), Some(1e-6));
    assert_eq!(
        (parameters["insecure_seed"].as_bool(), parameters["periods"].as_u64()),
        (Some(false), Some(1))
    );
    assert_eq!(parameters["plan"]["steps"].as_u64(), Some(2));
    assert!(parameters["error_bound"].as_f64().unwrap() <= 1e-6);

    assert_eq!(list(&joint["views"]).len(), 2);
    for (column, before) in BEFORE.iter().enumerate() {
        let joint = view(&joint, column);
        assert_eq!(joint["risk_type"], ["risk_score", "sanctions"][column]);
        let after = run.after(column);
        let start = |(bank, id): &(String, String)| {
            let bank = BANKS.iter().position(|name| name == bank).unwrap();
            let number = (0..8).find(|number| common::id(bank, *number) == *id).unwrap();
            before(bank, number)
        };
        let rank = |scores: &dyn Fn(&(String, String)) -> f64, of: &(String, String)| {
            1 + after.keys().filter(|other| scores(other) > scores(of)).count() as u64
        };
        assert!(list(&joint["accounts"]).len() > 10);
        for account in list(&joint["accounts"]) {
            let key = name(&joint, account);
            let score = &account["score"];
            assert_eq!(score["before"].as_f64().unwrap(), start(&key), "{key:?}");
            assert_eq!(score["after"].as_f64().unwrap(), after[&key], "{key:?}");
            assert_eq!(score["rank_before"].as_u64().unwrap(), rank(&start, &key), "{key:?}");
            assert_eq!(score["rank_after"].as_u64().unwrap(), rank(&|key| after[key], &key), "{key:?}");
        }
        // Ranks are in order and begin with the first.
        let ranks: Vec<u64> = list(&joint["ranks"])
            .iter()
            .map(|account| joint["accounts"][index(account)]["score"]["rank_after"].as_u64().unwrap())
            .collect();
        assert!(ranks[0] == 1 && ranks.is_sorted(), "{ranks:?}");
    }
}

#[test]
fn movement_is_that_of_the_plain_computation() {
    let run = run(2);
    let (joint, _) = page(&run.read("report.html"));
    // Before the last step as well as after it, and for each risk type.
    let bound = joint["parameters"]["fixed_point_error"].as_f64().unwrap();
    let directory = run.path("data");
    let banks = data::banks_in(&directory).unwrap();
    let networks = banks.iter().map(|bank| data::read_bank(&directory, &banks, banks.name(bank)));
    let networks = networks.collect::<Result<Vec<_>, Error>>().unwrap();
    for (step, column) in (0..=2).flat_map(|step| [(step, 0), (step, 1)]) {
        let joint = view(&joint, column);
        let movement = &joint["movement"];
        assert!(movement["difference"].as_f64().unwrap() <= 1e-6);
        let settings = Settings { iterations: u32::try_from(step).unwrap(), ..Settings::default() };
        let scores = plaintext::reference(&networks, &settings).unwrap();
        let close =
            |shown: &Value, expected: f64, bound: f64| (shown.as_f64().unwrap() - expected).abs() <= bound;
        assert!(list(&movement["scores"]).len() > 3);
        for course in list(&movement["scores"]) {
            let account = &joint["accounts"][index(&course["account"])];
            let bank = index(&account["bank"]);
            let place = networks[bank].position(account["id"].as_str().unwrap()).unwrap();
            assert!(close(&course["scores"][step], scores[bank][2 * place + column], bound), "{account}");
        }
        for (bank, scores) in scores.iter().enumerate() {
            let of_type = || scores.iter().skip(column).step_by(2);
            assert!(close(&movement["totals"][bank][step], of_type().sum(), 8.0 * bound));
            let reached = of_type().filter(|score| **score > 0.0).count() as u64;
            assert_eq!(movement["reached"][bank][step].as_u64(), Some(reached));
        }
    }
}

/// All numbers and all texts of a value, names of fields included.
fn leaves(value: &Value, numbers: &mut Vec<f64>, texts: &mut Vec<String>) {
    match value {
        Value::Number(number) => numbers.push(number.as_f64().unwrap()),
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| leaves(value, numbers, texts)),
        Value::Object(fields) => {
            for (field, value) in fields {
                texts.push(field.clone());
                leaves(value, numbers, texts);
            }
        }
        Value::Bool(_) | Value::Null => {}
    }
}

/// What a page tells of accounts, measurements apart: its numbers, its texts, and all of it as JSON.
fn told(page: &Value) -> (Vec<f64>, Vec<String>, String) {
    let mut page = page.clone();
    page["measured"].as_object_mut().unwrap().remove("phases").unwrap();
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    leaves(&page, &mut numbers, &mut texts);
    (numbers, texts, page.to_string())
}

#[test]
fn a_banks_own_page_tells_nothing_of_the_others() {
    let run = run(2);
    let after = [run.after(0), run.after(1)];
    let (joint, around_joint) = page(&run.read("report.html"));
    let (joint_numbers, joint_texts, _) = told(&joint);
    let close = |left: f64, right: f64| (left - right).abs() < 2e-6;
    let mut scores_found_in_joint = 0;
    for (own, bank) in BANKS.iter().enumerate() {
        let html = run.read(&format!("reports/{bank}.html"));
        let (page, around) = page(&html);
        assert_eq!(around, around_joint, "all that differs is in the data");
        assert_eq!(page["bank"], *bank);
        let (numbers, texts, json) = told(&page);

        // Neither score nor risk of a foreign account, rounded or not.
        for other in (0..3).filter(|other| *other != own) {
            for number in 0..8 {
                let key = (BANKS[other].to_owned(), id(other, number));
                let starts = BEFORE.map(|before| before(other, number));
                for secret in starts.into_iter().chain(after.each_ref().map(|after| after[&key])) {
                    assert!(
                        !numbers.iter().any(|told| close(*told, secret)),
                        "{bank} is told {secret} of {key:?}"
                    );
                    assert!(!json.contains(&format!("{secret:.6}")), "{bank} is told {secret} of {key:?}");
                    scores_found_in_joint +=
                        usize::from(joint_numbers.iter().any(|told| close(*told, secret)));
                }
            }
        }
        // No transfer that is not the bank's.
        for (from, to, amount) in transfers() {
            if from.0 != own && to.0 != own {
                let amount = amount.to_string();
                assert!(!html.contains(&amount), "{bank} is told of {from:?} to {to:?}");
            }
        }
        // No account without a transfer with the bank's, and of those that have one nothing but the name.
        let near: HashSet<String> = transfers()
            .iter()
            .filter(|(from, to, _)| from.0 == own || to.0 == own)
            .flat_map(|(from, to, _)| [id(from.0, from.1), id(to.0, to.1)])
            .collect();
        for other in (0..3).filter(|other| *other != own) {
            for stranger in (0..8).map(|number| id(other, number)).filter(|id| !near.contains(id)) {
                assert!(!texts.iter().any(|text| text.contains(&stranger)), "{bank} is told of {stranger}");
            }
        }
        for column in [0, 1] {
            let shown = view(&page, column);
            assert_eq!(shown.get("movement"), None);
            let mut strangers = 0;
            for account in list(&shown["accounts"]) {
                let (its_bank, its_id) = name(&shown, account);
                if its_bank != *bank {
                    strangers += 1;
                    assert!(near.contains(&its_id));
                    assert_eq!(account.get("score"), None);
                    assert_eq!(
                        (&account["senders"], &account["sender_count"]),
                        (&serde_json::json!([]), &0.into())
                    );
                }
            }
            assert!(strangers > 0, "{bank}'s page shows who pays its accounts");
            for edge in list(&shown["edges"]) {
                let receiver = &shown["accounts"][account_of(&shown, &edge["to"])];
                assert_eq!(receiver["bank"], own, "transfers shown end at {bank}'s accounts");
            }
        }
        // Its own costs, its own sizes, and no course of scores that nobody has seen.
        let phases = list(&page["measured"]["phases"]);
        let all = run.json();
        let of_bank: Vec<&Value> =
            list(&all["phases"]).iter().filter(|phase| phase["party"] == *bank).collect();
        assert!(phases.iter().eq(of_bank) && phases.len() == 6);
        let incoming = transfers().iter().filter(|(_, to, _)| to.0 == own).count();
        assert_eq!(page["measured"]["accounts"], 8);
        assert_eq!(page["measured"]["edges"], incoming);
        assert_eq!(page["measured"].get("largest_difference"), None);
    }
    // What was searched for is there to be found.
    assert!(scores_found_in_joint > 40, "{scores_found_in_joint}");
    assert!(joint_texts.iter().any(|text| text.contains("east-01")));
}

/// Index of a node's account.
fn account_of(page: &Value, node: &Value) -> usize {
    index(&page["nodes"][index(node)]["account"])
}

#[test]
fn a_name_is_no_markup() {
    let run = run(2);
    for file in ["report.html", "reports/north.html", "reports/south.html"] {
        let html = run.read(file);
        assert!(!html.contains(HOSTILE) && !html.contains("<script>alert"), "{file}");
        let (page, around) = page(&html);
        assert!(!around.contains("alert(1)"), "{file}");
        assert!(list(&page["views"][0]["accounts"]).iter().any(|account| account["id"] == HOSTILE), "{file}");
    }
}

#[test]
fn an_account_is_explained_from_what_its_bank_holds() {
    let run = run(2);
    let start = run.shown.find("What reached east/east-04, as east can tell").unwrap();
    let (table, rest) = run.shown[start..].split_once("What reached north/").unwrap();
    // south-00 and east-03 pay east-04.
    let amount = |from: (usize, usize)| transfers().iter().find(|t| t.0 == from && t.1 == (0, 4)).unwrap().2;
    let (foreign, own) = (amount((2, 0)), amount((0, 3)));
    let line = |sender: &str| table.lines().find(|line| line.contains(sender)).unwrap();
    let weight = |part: u64| format!("{:.6}", 0.5 * part as f64 / (foreign + own) as f64);
    let (south, east) = (line("south/south-00"), line("east/east-03"));
    assert!(south.contains(&foreign.to_string()) && south.contains("from iteration 1"), "{table}");
    assert!(south.contains(&weight(foreign)) && east.contains(&weight(own)), "{table}");
    assert!(east.contains(&own.to_string()) && east.contains("none"), "{table}");
    assert!(table.contains("1 of 2 carried"), "{table}");
    // The account's own scores stand there, the sender's do not.
    for (name, before) in ["risk_score", "sanctions"].into_iter().zip(BEFORE) {
        assert!(table.contains(&format!("{name} {:.4} before", before(0, 4))), "{table}");
    }
    for number in [before(2, 0), run.after(0)[&("south".to_owned(), id(2, 0))]] {
        assert!(!table.contains(&format!("{number:.4}")), "{table}");
    }
    assert!(rest.starts_with(HOSTILE) && rest.contains("nobody paid it"), "{rest}");
}

#[test]
fn accounts_that_cannot_be_explained() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    write_data(directory.path(), 1);
    let said = |account: &str| refused(&["--data", data, "--explain", account]);
    for unknown in ["nobody", "east/south-01", "west/east-01", "east/", ""] {
        let (code, said) = said(unknown);
        assert_eq!(code, 1);
        assert!(said.contains(&format!("no bank has an account `{unknown}`")), "{said}");
    }
    let file = directory.path().join("south/accounts.csv");
    let accounts = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{accounts}east-01,0\n")).unwrap();
    let (code, said) = said("east-01");
    assert_eq!(code, 1);
    assert!(said.contains("several banks (east, south)") && said.contains("BANK/east-01"), "{said}");
    let found = three_banks(&[
        "--data",
        data,
        "--key-bits",
        "256",
        "--iterations",
        "1",
        "--explain",
        "south/east-01",
    ]);
    assert!(text(&found.stdout).contains("What reached south/east-01"), "{}", text(&found.stderr));
}

#[test]
fn nothing_half_written_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.html");
    std::fs::write(&report, "of last week").unwrap();
    let (json, pages) = (directory.path().join("run.json"), directory.path().join("pages"));
    let mut running = Command::new(env!("CARGO_BIN_EXE_three-banks"))
        .args(["--key-bits", "4096", "--report", report.to_str().unwrap()])
        .args(["--json", json.to_str().unwrap(), "--bank-reports", pages.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The folder is made when the command has looked at where it will write.
    while !pages.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(running.try_wait().unwrap().is_none(), "a key of 4,096 bits takes longer");
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(std::fs::read_to_string(&report).unwrap(), "of last week");
    let mut left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["pages", "report.html"]);
    assert_eq!(std::fs::read_dir(pages).unwrap().count(), 0);
}

#[test]
fn places_where_no_report_can_be_are_refused_first() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().to_str().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("report.html");
    assert_eq!(refused(&["--report", folder]).0, 1);
    assert_eq!(refused(&["--report", below.to_str().unwrap()]).0, 1);
    assert_eq!(refused(&["--bank-reports", below.to_str().unwrap()]).0, 1);
    for option in ["--report", "--bank-reports", "--explain", "--json", "--output"] {
        assert_eq!(refused(&["--plan", option, "x"]).0, 2);
    }
}
