//! One folder per bank: reading accounts and transfers, writing scores.
//!
//! A bank's folder carries its name and holds
//!
//! - `accounts.csv` with the columns `id` and `risk_score`; every further column is a further risk type;
//! - `transactions.csv` with `id_source,bank_source,id_destination,bank_destination,amount`, or
//!   `transactions-0.csv`, `transactions-1.csv`, … for successive periods. Other columns are passed over.
//!
//! Columns may stand in any order. A file is read once, row by row; nothing of it is kept but the network. With the feature
//! `arrow` each of the files may be Parquet instead: `accounts.parquet`, `transactions.parquet` or
//! `transactions-0.parquet` and so on, with the same columns. Equal names, scores and amounts give equal
//! networks, whatever the format.
//!
//! A damaged file is an error, of either format, with one exception that is known: the `parquet` crate can be kept busy for
//! minutes by a few bytes that announce a list of elements without any. Read Parquet files of your own making.

#[cfg(feature = "arrow")]
pub mod arrow;
mod files;
#[cfg(feature = "csv")]
mod output;
#[cfg(feature = "arrow")]
mod parquet;
#[cfg(feature = "csv")]
mod rows;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use files::write_atomically;
#[cfg(feature = "csv")]
pub use output::{write_outcome, write_scores};
#[cfg(feature = "arrow")]
pub use parquet::{write_outcome_parquet, write_scores_parquet};

use crate::banks::{BankId, Banks, BanksError};
use crate::error::{Error, Problem, Rejected};
use crate::network::{Network, NetworkBuilder};

/// File name of the list of accounts, as CSV.
pub const ACCOUNTS: &str = "accounts.csv";
/// File name of the transfers, as CSV, where there is one period.
pub const TRANSACTIONS: &str = "transactions.csv";
/// How the names of all files of transfers begin.
const TRANSACTIONS_STEM: &str = "transactions";
/// Endings of the formats.
const FORMATS: [&str; 2] = ["csv", "parquet"];

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
        if accounts_file(&path)?.is_none() && transaction_names(&path)?.is_empty() {
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
    Ok(Banks::new(names)?)
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
    let own = banks.find(bank).ok_or_else(|| BanksError::Unknown { name: bank.to_owned() })?;
    let folder = directory.join(bank);
    let accounts = accounts_file(&folder)?.unwrap_or_else(|| folder.join(ACCOUNTS));
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

/// Reads a list of accounts and starts a network with it. The format is that of the file's ending.
///
/// # Errors
/// [`Error::Data`] with file, line and column, for Parquet [`Error::Row`] or [`Error::Schema`]; [`Error::Io`].
pub fn read_accounts(file: &Path, banks: Banks, own: BankId) -> Result<NetworkBuilder, Error> {
    if is_parquet(file) {
        #[cfg(feature = "arrow")]
        return parquet::read_accounts(file, banks, own);
        #[cfg(not(feature = "arrow"))]
        return Err(no_parquet(file));
    }
    #[cfg(feature = "csv")]
    return rows::read_accounts(file, banks, own);
    #[cfg(not(feature = "csv"))]
    return Err(no_csv(file));
}

/// Reads the transfers of one period, counted from 0, into a network. The format is that of the file's ending.
///
/// # Errors
/// As [`read_accounts`].
pub fn read_transfers(file: &Path, period: usize, builder: &mut NetworkBuilder) -> Result<(), Error> {
    if is_parquet(file) {
        #[cfg(feature = "arrow")]
        return parquet::read_transfers(file, period, builder);
        #[cfg(not(feature = "arrow"))]
        return Err(no_parquet(file));
    }
    #[cfg(feature = "csv")]
    return rows::read_transfers(file, period, builder);
    #[cfg(not(feature = "csv"))]
    return Err(no_csv(file));
}

fn is_parquet(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

#[cfg(not(feature = "arrow"))]
fn no_parquet(file: &Path) -> Error {
    Error::directory(file, "Parquet is read only by a build with the feature `arrow`")
}

#[cfg(not(feature = "csv"))]
fn no_csv(file: &Path) -> Error {
    Error::directory(file, "CSV is read only by a build with the feature `csv`")
}

/// A folder's list of accounts, if it has one.
fn accounts_file(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let files = FORMATS.map(|format| folder.join(ACCOUNTS).with_extension(format));
    match files.each_ref().map(|file| file.is_file()) {
        [true, true] => Err(Error::directory(
            folder,
            "it holds both `accounts.csv` and `accounts.parquet`; which is meant?",
        )),
        [true, false] | [false, true] => Ok(files.into_iter().find(|file| file.is_file())),
        [false, false] => Ok(None),
    }
}

/// The files of transfers in a bank's folder, one for each period.
///
/// A folder without any is that of a bank without transfers.
///
/// # Errors
/// A gap in the numbers, a period in two formats, one file for all beside numbered ones, a name without a proper number.
pub fn transaction_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut single = None;
    let mut numbered = BTreeMap::new();
    for name in transaction_names(folder)? {
        let twice = |other: String| {
            Err(Error::directory(folder, format!("it holds both `{other}` and `{name}`; which is meant?")))
        };
        let stem = FORMATS.iter().find_map(|format| name.strip_suffix(format)?.strip_suffix('.'));
        let number = stem.and_then(|stem| stem.strip_prefix(TRANSACTIONS_STEM)?.strip_prefix('-'));
        let number =
            number.and_then(|digits| digits.parse::<usize>().ok().filter(|n| n.to_string() == digits));
        if stem == Some(TRANSACTIONS_STEM) {
            if let Some(other) = single.replace(name.clone()) {
                return twice(other);
            }
        } else if let Some(number) = number {
            if let Some(other) = numbered.insert(number, name.clone()) {
                return twice(other);
            }
        } else {
            return Err(Error::directory(
                &folder.join(name),
                "files of transfers are named `transactions.csv` or `transactions-0.csv`, \
                 `transactions-1.csv` and so on (or `.parquet`)",
            ));
        }
    }
    if let Some(single) = single {
        return match numbered.is_empty() {
            true => Ok(vec![folder.join(single)]),
            false => Err(Error::directory(
                folder,
                format!("it holds both `{single}` and numbered files; which are meant?"),
            )),
        };
    }
    for (expected, found) in numbered.keys().enumerate() {
        if expected != *found {
            return Err(Error::directory(folder, format!("`transactions-{expected}.csv` is missing")));
        }
    }
    Ok(numbered.into_values().map(|name| folder.join(name)).collect())
}

/// Names of all files that look like transfers, sorted.
fn transaction_names(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|source| Error::io(folder, source))? {
        let entry = entry.map_err(|source| Error::io(folder, source))?;
        if let Some(name) = entry.file_name().to_str()
            // Names in capitals are found here and refused by `transaction_files`, rather than read as no transfers.
            && name.to_ascii_lowercase().starts_with(TRANSACTIONS_STEM)
            && let Some(extension) = Path::new(name).extension()
            && FORMATS.iter().any(|format| extension.eq_ignore_ascii_case(format))
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}
