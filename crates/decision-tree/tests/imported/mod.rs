//! The committed model files and the rows with their frameworks' predictions.

#![allow(unreachable_pub, dead_code)] // shared by several tests, each of which uses a part

use std::path::PathBuf;

use subrosa_decision_tree::Model;
use subrosa_decision_tree::import::ImportOptions;

/// The path of a committed file.
pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// An imported model, by its file's name.
pub fn load(name: &str) -> Model {
    Model::from_file(data(name), &ImportOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// What one program predicts for a row.
pub struct Expected {
    pub source: &'static str,
    /// Absent for a regression.
    pub label: Option<String>,
    pub scores: Vec<f64>,
}

/// A row of a model's CSV.
pub struct Row {
    pub features: Vec<f64>,
    pub expected: Vec<Expected>,
}

/// The rows of a model's CSV.
pub fn rows(name: &str) -> Vec<Row> {
    let text = std::fs::read_to_string(data(&format!("{name}.csv"))).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    lines.map(|line| row(&header, &line.split(',').collect::<Vec<_>>())).collect()
}

fn row(header: &[&str], fields: &[&str]) -> Row {
    let columns = |prefix: &str| -> Vec<f64> {
        let numbered = |name: &str| {
            name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let chosen = header.iter().zip(fields).filter(|(name, _)| numbered(name));
        chosen.map(|(_, field)| field.parse().unwrap()).collect()
    };
    let text = |name: &str| header.iter().position(|column| *column == name).map(|at| fields[at].to_owned());
    let expected = [("framework", ""), ("runtime", "runtime_")].into_iter().filter_map(|(source, prefix)| {
        let scores = columns(&format!("{prefix}score"));
        (!scores.is_empty()).then(|| Expected { source, label: text(&format!("{prefix}label")), scores })
    });
    Row { features: columns("x"), expected: expected.collect() }
}
