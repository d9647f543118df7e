//! Runs of the command, and data whose every name, score and amount can be recognised.
#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

pub(crate) fn three_banks(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_three-banks")).args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Exit code and what was said on standard error.
pub(crate) fn refused(arguments: &[&str]) -> (i32, String) {
    let output = three_banks(arguments);
    assert!(!output.status.success(), "{}", text(&output.stdout));
    (output.status.code().unwrap(), text(&output.stderr).to_owned())
}

pub(crate) const BANKS: [&str; 3] = ["east", "north", "south"];
/// A name that would run a script on a page that took it for markup.
pub(crate) const HOSTILE: &str = "</script><script>alert(1)</script>";
const ACCOUNTS: usize = 8;

/// Name of the account `number` of a bank.
pub(crate) fn id(bank: usize, number: usize) -> String {
    if (bank, number) == (1, 0) { HOSTILE.to_owned() } else { format!("{}-{number:02}", BANKS[bank]) }
}

/// A transfer: sender, receiver, amount. Accounts are bank and number.
pub(crate) type Transfer = ((usize, usize), (usize, usize), u64);

/// In each bank 0 pays 1, 1 pays 2 and 2 pays 3; 0, 4 and 5 pay accounts of other banks.
pub(crate) fn transfers() -> Vec<Transfer> {
    let mut pairs = Vec::new();
    for bank in 0..BANKS.len() {
        pairs.extend((0..3).map(|number| ((bank, number), (bank, number + 1))));
        let (next, last) = ((bank + 1) % 3, (bank + 2) % 3);
        pairs.extend([
            ((bank, 0), (next, 4)),
            ((bank, 3), (bank, 4)),
            ((bank, 5), (next, 6)),
            ((bank, 4), (last, 7)),
        ]);
    }
    let amount = |number: usize| 700_000_001 + 1_000_003 * number as u64;
    pairs.into_iter().enumerate().map(|(place, (from, to))| (from, to, amount(place))).collect()
}

/// The account's score at the start: each a number of its own, the first of each bank high.
pub(crate) fn before(bank: usize, number: usize) -> f64 {
    // Scattered, so that no sum of some comes near another.
    let place = bank * ACCOUNTS + number + 1;
    let scattered = (place.pow(3) * 7919 % 99_991) as f64 / 99_991.0;
    let score = if number == 0 { 0.9 + 0.09 * scattered } else { 0.01 + 0.25 * scattered };
    (score * 1e5).round() / 1e5
}

/// The account's score of the second risk type at the start.
pub(crate) fn sanctions(bank: usize, number: usize) -> f64 {
    let place = bank * ACCOUNTS + number + 1;
    let scattered = (place.pow(3) * 6143 % 99_961) as f64 / 99_961.0;
    let score = if number == 2 { 0.7 + 0.2 * scattered } else { 0.02 + 0.2 * scattered };
    (score * 1e5).round() / 1e5
}

/// The account's scores at the start, by risk type.
pub(crate) const BEFORE: [fn(usize, usize) -> f64; 2] = [before, sanctions];

/// Writes the data of all banks, with one risk type or two.
pub(crate) fn write_data(directory: &Path, types: usize) {
    for (bank, name) in BANKS.iter().enumerate() {
        let folder = directory.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut accounts = ["id", "risk_score", "sanctions"][..=types].join(",");
        for number in 0..ACCOUNTS {
            let scores = BEFORE[..types].iter().map(|before| format!(",{}", before(bank, number)));
            write!(accounts, "\n{}{}", id(bank, number), scores.collect::<String>()).unwrap();
        }
        accounts.push('\n');
        std::fs::write(folder.join("accounts.csv"), accounts).unwrap();
        let mut rows = String::from("id_source,bank_source,id_destination,bank_destination,amount\n");
        for (from, to, amount) in transfers() {
            if from.0 == bank || to.0 == bank {
                let (source, destination) = (id(from.0, from.1), id(to.0, to.1));
                writeln!(rows, "{source},{},{destination},{},{amount}", BANKS[from.0], BANKS[to.0]).unwrap();
            }
        }
        std::fs::write(folder.join("transactions.csv"), rows).unwrap();
    }
}

/// A finished run with everything that it can write.
pub(crate) struct Run {
    directory: tempfile::TempDir,
    pub(crate) shown: String,
}

/// Runs the recognisable data, with one risk type or two.
pub(crate) fn run(types: usize) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    write_data(&directory.path().join("data"), types);
    let output = three_banks(&[
        "--data",
        &path("data"),
        "--key-bits",
        "512",
        "--iterations",
        "2",
        "--check",
        "--output",
        &path("out"),
        "--json",
        &path("run.json"),
        "--report",
        &path("report.html"),
        "--bank-reports",
        &path("reports"),
        "--explain",
        "east-04",
        "--explain",
        &format!("north/{HOSTILE}"),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    Run { shown: text(&output.stdout).to_owned(), directory }
}

impl Run {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// What `--json` wrote.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.read("run.json")).unwrap()
    }

    /// Scores of a risk type after the run by bank and account, as `--output` wrote them.
    pub(crate) fn after(&self, column: usize) -> HashMap<(String, String), f64> {
        let mut scores = HashMap::new();
        for bank in BANKS {
            for line in self.read(&format!("out/{bank}.csv")).lines().skip(1) {
                let fields: Vec<&str> = line.split(',').collect();
                scores
                    .insert((bank.to_owned(), fields[0].to_owned()), fields[1 + 2 * column].parse().unwrap());
            }
        }
        scores
    }
}

/// A page's data, and the file around them.
pub(crate) fn page(html: &str) -> (Value, String) {
    let (start, rest) = html.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let (data, end) = rest.split_once("</script>").unwrap();
    (serde_json::from_str(data).unwrap(), format!("{start}…{end}"))
}

/// A page's data with what it shows of one risk type at the top.
pub(crate) fn view(page: &Value, column: usize) -> Value {
    let mut page = page.clone();
    let views = page.as_object_mut().unwrap().remove("views").unwrap();
    let shown = views[column].as_object().unwrap().clone();
    page.as_object_mut().unwrap().extend(shown);
    page
}

/// A number of a page that is an index.
pub(crate) fn index(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}
