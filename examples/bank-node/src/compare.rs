//! Compares the scores of two runs on the same data.
//!
//! **How far apart two runs may be.** A disclosed score differs from the exact one by at most the accuracy. The fixed
//! point takes a quarter of it, the noise of the disclosure a quarter to each side, and the grid of the decimals a
//! quarter to each side. On the same data and settings, the fixed point gives the same number in both runs. Only noise
//! and grid differ, by at most half the accuracy in each run. So two runs differ by at most the accuracy.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why two runs cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A file of scores cannot be read.
    #[error("{} cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: csv::Error,
    },
    /// A score is not a number.
    #[error("{}: line {line}: {text:?} is not a number", file.display())]
    NoNumber {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// Text in its place.
        text: String,
    },
    /// A folder cannot be read.
    #[error("folder {} cannot be read", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// There are no files to compare.
    #[error("{}: no file of scores (`.csv`) is there", .0.display())]
    Nothing(PathBuf),
    /// A file is on one side only.
    #[error("{} has no file {name}", missing_in.display())]
    OneSided {
        /// The file.
        name: String,
        /// The folder that lacks it.
        missing_in: PathBuf,
    },
    /// The two files have other accounts, other columns, or other scores that are withheld.
    #[error("{} and {}: {what} are not the same", one.display(), other.display())]
    Different {
        /// One file.
        one: PathBuf,
        /// The other one.
        other: PathBuf,
        /// Accounts, columns, or which scores are withheld.
        what: &'static str,
    },
}

/// The greatest difference between two files of scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Name of the files, without ending.
    pub name: String,
    /// How many accounts both have.
    pub accounts: usize,
    /// The greatest absolute difference.
    pub largest: f64,
    /// The account where it is; `None` if nothing differs.
    pub account: Option<String>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} accounts, largest difference {:.1e}", self.name, self.accounts, self.largest)?;
        self.account.as_ref().map_or(Ok(()), |account| write!(f, " (account {account})"))
    }
}

/// Compares two files of scores, or each file of one folder with the file of the same name in another.
///
/// # Errors
/// [`CompareError`]: files that are missing or that cannot be read, other accounts, other risk types.
pub fn compare(one: &Path, other: &Path) -> Result<Vec<Comparison>, CompareError> {
    if !one.is_dir() && !other.is_dir() {
        return Ok(vec![compare_files(one, other)?]);
    }
    let (ones, others) = (scores_in(one)?, scores_in(other)?);
    let one_sided = |name: &String, folder: &Path| CompareError::OneSided {
        name: name.clone(),
        missing_in: folder.to_owned(),
    };
    if let Some(name) = others.keys().find(|name| !ones.contains_key(*name)) {
        return Err(one_sided(name, one));
    }
    let pair = |(name, file): (&String, &PathBuf)| match others.get(name) {
        Some(theirs) => compare_files(file, theirs),
        None => Err(one_sided(name, other)),
    };
    ones.iter().map(pair).collect()
}

/// The files of scores in a folder, by name.
fn scores_in(folder: &Path) -> Result<BTreeMap<String, PathBuf>, CompareError> {
    let failed = |source| CompareError::Folder { folder: folder.to_owned(), source };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "csv") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, path);
        }
    }
    if files.is_empty() { Err(CompareError::Nothing(folder.to_owned())) } else { Ok(files) }
}

/// What is in a file of scores.
struct Scores {
    header: csv::StringRecord,
    ids: Vec<String>,
    /// One row for each account.
    /// `None` for a score that is withheld.
    numbers: Vec<Vec<Option<f64>>>,
}

fn read(file: &Path) -> Result<Scores, CompareError> {
    let failed = |source| CompareError::Unreadable { file: file.to_owned(), source };
    let mut reader = csv::Reader::from_path(file).map_err(failed)?;
    let header = reader.headers().map_err(failed)?.clone();
    let mut scores = Scores { header, ids: Vec::new(), numbers: Vec::new() };
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let mut fields = record.iter();
        scores.ids.push(fields.next().unwrap_or_default().to_owned());
        let number = |text: &str| match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ if text.is_empty() => Ok(None),
            _ => Err(CompareError::NoNumber {
                file: file.to_owned(),
                line: record.position().map_or(0, csv::Position::line),
                text: text.to_owned(),
            }),
        };
        scores.numbers.push(fields.map(number).collect::<Result<_, _>>()?);
    }
    Ok(scores)
}

fn compare_files(one: &Path, other: &Path) -> Result<Comparison, CompareError> {
    let (ours, theirs) = (read(one)?, read(other)?);
    let different = |what| {
        let (one, other) = (one.to_owned(), other.to_owned());
        Err(CompareError::Different { one, other, what })
    };
    if ours.header != theirs.header {
        return different("the columns");
    }
    if ours.ids != theirs.ids {
        return different("the accounts");
    }
    let name = one.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut comparison = Comparison { name, accounts: ours.ids.len(), largest: 0.0, account: None };
    let rows = ours.numbers.iter().zip(&theirs.numbers);
    for (id, (ours, theirs)) in ours.ids.iter().zip(rows) {
        for (ours, theirs) in ours.iter().zip(theirs) {
            let difference = match (ours, theirs) {
                (Some(ours), Some(theirs)) => (ours - theirs).abs(),
                (None, None) => 0.0,
                _ => return different("the withheld scores"),
            };
            if difference > comparison.largest {
                (comparison.largest, comparison.account) = (difference, Some(id.clone()));
            }
        }
    }
    Ok(comparison)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;

    #[test]
    fn differences_are_found_and_placed() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
            file
        };
        let one = put("one/amber.csv", "id,risk_score,before\nx,0.5000000,0\n\"y,z\",0.25,1\n");
        let same = put("two/amber.csv", "id,risk_score,before\nx,0.5,0\n\"y,z\",0.2500004,1\n");
        let found = compare(&one, &same).unwrap();
        assert!((found[0].largest - 4e-7).abs() < 1e-12, "{found:?}");
        assert_eq!(found[0].to_string(), "amber: 2 accounts, largest difference 4.0e-7 (account y,z)");
        let (one_folder, two_folder) = (folder.path().join("one"), folder.path().join("two"));
        assert_eq!(compare(&one_folder, &two_folder).unwrap(), found);
        assert_eq!(compare(&one, &one).unwrap()[0].account, None);

        let said = |one: &Path, other: &Path| compare(one, other).unwrap_err().to_string();
        let fewer = put("fewer.csv", "id,risk_score,before\nx,0.5,0\n");
        assert!(said(&one, &fewer).contains("the accounts are not the same"));
        let others = put("others.csv", "id,risk_score\nx,0.5\n\"y,z\",0.25\n");
        assert!(said(&one, &others).contains("the columns are not the same"));
        let withheld = put("withheld.csv", "id,risk_score,before\nx,,0\n\"y,z\",0.25,1\n");
        assert_eq!(compare(&withheld, &withheld).unwrap()[0].largest, 0.0);
        assert!(said(&one, &withheld).contains("the withheld scores are not the same"));
        let wrong = put("wrong.csv", "id,risk_score,before\nx,0.5,0\ny,NaN,0\n");
        assert!(said(&one, &wrong).contains("wrong.csv: line 3: \"NaN\" is not a number"));
        assert!(said(&one, &folder.path().join("nowhere.csv")).contains("nowhere.csv"));
        put("one/birch.csv", "id,risk_score\n");
        assert!(said(&one_folder, &two_folder).contains("two has no file birch.csv"));
        assert!(said(&two_folder, &one_folder).contains("two has no file birch.csv"));
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(said(&one_folder, &folder.path().join("empty")).contains("no file of scores"));
    }
}
