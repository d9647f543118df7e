//! One folder per bank: reading accounts and transfers, writing scores.
//!
//! A bank's folder carries its name and holds
//!
//! - `accounts.csv` with the columns `id` and `risk_score`; every further column is a further risk type;
//! - `transactions.csv` with `id_source,bank_source,id_destination,bank_destination,amount`, or
//!   `transactions-0.csv`, `transactions-1.csv`, … for successive periods. Other columns are passed over.
//!
//! Columns may stand in any order. A file is read once, row by row; nothing of it is kept but the network.

mod input;
mod output;

use std::path::{Path, PathBuf};

pub use input::{read_accounts, read_transfers};
pub use output::{write_atomically, write_scores};

use crate::banks::Banks;
use crate::error::{Error, Problem, Rejected};
use crate::network::Network;

/// File name of the list of accounts.
pub const ACCOUNTS: &str = "accounts.csv";
/// File name of the transfers, where there is one period.
pub const TRANSACTIONS: &str = "transactions.csv";

/// Names of the banks that have a folder in `directory`, sorted.
///
/// Files beside the folders are passed over, as are folders that hold neither accounts nor transfers.
///
/// # Errors
/// A folder that cannot be read or whose name is not UTF-8; no bank at all.
pub fn banks_in(directory: &Path) -> Result<Banks, Error> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|source| Error::io(directory, source))? {
        let path = entry.map_err(|source| Error::io(directory, source))?.path();
        if !path.is_dir() {
            continue;
        }
        if !path.join(ACCOUNTS).is_file() && transaction_names(&path)?.is_empty() {
            continue;
        }
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) => names.push(name.to_owned()),
            None => return Err(Error::directory(&path, "the folder's name is not valid UTF-8")),
        }
    }
    if names.is_empty() {
        return Err(Error::directory(directory, format!("no folder in it holds a file `{ACCOUNTS}`")));
    }
    names.sort_unstable();
    Banks::new(names)
}

/// Reads one bank's folder.
///
/// # Arguments
/// `directory` is the folder of all banks, `bank` the name of one in `banks`.
///
/// # Errors
/// [`Error::Data`] names file, line and column; [`Error::Directory`] says what is missing, doubled or left out
/// among the files.
pub fn read_bank(directory: &Path, banks: &Banks, bank: &str) -> Result<Network, Error> {
    let own = banks.find(bank).ok_or_else(|| Error::Banks(format!("`{bank}` is not among them")))?;
    let folder = directory.join(bank);
    let accounts = folder.join(ACCOUNTS);
    let mut builder = read_accounts(&accounts, banks.clone(), own)?;
    let files = transaction_files(&folder)?;
    builder.periods(files.len());
    for (period, file) in files.iter().enumerate() {
        read_transfers(file, period, &mut builder)?;
    }
    builder.finish().map_err(|rejected: Rejected| match rejected.problem {
        Problem::SumTooLarge | Problem::TooManyAccounts => Error::directory(&folder, rejected.to_string()),
        _ => Error::Record(rejected),
    })
}

/// The files of transfers in a bank's folder, one for each period.
///
/// A folder without any is that of a bank without transfers.
///
/// # Errors
/// A gap in the numbers, `transactions.csv` beside numbered files, a number that is none.
pub fn transaction_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let names = transaction_names(folder)?;
    let single = names.iter().any(|name| name == TRANSACTIONS);
    let mut numbers = Vec::new();
    for name in names.iter().filter(|name| *name != TRANSACTIONS) {
        let digits = name.strip_prefix("transactions-").and_then(|rest| rest.strip_suffix(".csv"));
        match digits.and_then(|digits| digits.parse::<usize>().ok().filter(|n| n.to_string() == digits)) {
            Some(number) => numbers.push(number),
            None => {
                return Err(Error::directory(
                    &folder.join(name),
                    "files of transfers are named `transactions.csv` or `transactions-0.csv`, \
                     `transactions-1.csv` and so on",
                ));
            }
        }
    }
    if single && !numbers.is_empty() {
        return Err(Error::directory(
            folder,
            "it holds both `transactions.csv` and numbered files; which are meant?",
        ));
    }
    if single {
        return Ok(vec![folder.join(TRANSACTIONS)]);
    }
    numbers.sort_unstable();
    for (expected, &found) in numbers.iter().enumerate() {
        if expected != found {
            return Err(Error::directory(folder, format!("`transactions-{expected}.csv` is missing")));
        }
    }
    Ok(numbers.iter().map(|number| folder.join(format!("transactions-{number}.csv"))).collect())
}

fn transaction_names(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|source| Error::io(folder, source))? {
        let entry = entry.map_err(|source| Error::io(folder, source))?;
        if let Some(name) = entry.file_name().to_str()
            // Names in capitals are found here and refused by `transaction_files`, rather than read as no transfers.
            && name.to_ascii_lowercase().starts_with("transactions")
            && Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
