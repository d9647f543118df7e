//! Reading a bank's files of a million transfers: seconds, and memory with the network that comes of them.
//!
//! `cargo bench -p subrosa-benches --features arrow --bench reading`. The reference of both formats is the network itself: what
//! it weighs, and the time that building it from records in memory takes.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use parquet::arrow::ArrowWriter;

use subrosa_benches::{peak_memory, reset_peak_memory, resident_memory};
use subrosa_risk_propagation::{Banks, Network, NetworkBuilder, Transfer, data};

const TRANSFERS: u32 = 1_000_000;
const ACCOUNTS: u32 = 200_000;

/// The transfer in a row: half of the bank `amber` to itself, the others from `birch`.
fn row(number: u32) -> (String, &'static str, String, u64) {
    // Multipliers that are coprime to the number of accounts visit all of them.
    let source = u64::from(number) * 7_919 % u64::from(ACCOUNTS);
    let destination = (u64::from(number) * 104_729 + u64::from(number) / 7) % u64::from(ACCOUNTS);
    let bank = if number.is_multiple_of(2) { "amber" } else { "birch" };
    (format!("account-{source}"), bank, format!("account-{destination}"), u64::from(number) * 31 + 1)
}

fn write_csv(folder: &Path) {
    let mut out = csv::Writer::from_path(folder.join("accounts.csv")).unwrap();
    out.write_record(["id", "risk_score"]).unwrap();
    (0..ACCOUNTS).for_each(|id| out.write_record([&format!("account-{id}"), "0.25"]).unwrap());
    out.flush().unwrap();
    let mut out = csv::Writer::from_path(folder.join("transactions.csv")).unwrap();
    out.write_record(["id_source", "bank_source", "id_destination", "bank_destination", "amount"]).unwrap();
    for (source, bank, destination, amount) in (0..TRANSFERS).map(row) {
        out.write_record([&source, bank, &destination, "amber", &amount.to_string()]).unwrap();
    }
    out.flush().unwrap();
}

fn write_parquet(folder: &Path) {
    let texts = |values: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let write = |name: &str, columns: Vec<(&str, ArrayRef)>| {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut out =
            ArrowWriter::try_new(File::create(folder.join(name)).unwrap(), batch.schema(), None).unwrap();
        out.write(&batch).unwrap();
        out.close().unwrap();
    };
    let ids = texts((0..ACCOUNTS).map(|id| format!("account-{id}")).collect());
    let scores: ArrayRef = Arc::new(Float64Array::from(vec![0.25; ACCOUNTS as usize]));
    write("accounts.parquet", vec![("id", ids), ("risk_score", scores)]);
    let rows: Vec<_> = (0..TRANSFERS).map(row).collect();
    let amounts: ArrayRef = Arc::new(rows.iter().map(|row| row.3).collect::<UInt64Array>());
    let columns = vec![
        ("id_source", texts(rows.iter().map(|row| row.0.clone()).collect())),
        ("bank_source", texts(rows.iter().map(|row| row.1.to_owned()).collect())),
        ("id_destination", texts(rows.iter().map(|row| row.2.clone()).collect())),
        ("bank_destination", texts(vec!["amber".to_owned(); TRANSFERS as usize])),
        ("amount", amounts),
    ];
    write("transactions.parquet", columns);
}

/// The same network from records in memory.
fn from_records(banks: &Banks) -> Network {
    let own = banks.find("amber").unwrap();
    let mut builder = NetworkBuilder::new(banks.clone(), own, vec!["risk_score".to_owned()]);
    (0..ACCOUNTS).for_each(|id| builder.account(&format!("account-{id}"), &[0.25]).unwrap());
    for (source, bank, destination, amount) in (0..TRANSFERS).map(row) {
        let transfer = Transfer {
            id_source: &source,
            bank_source: bank,
            id_destination: &destination,
            bank_destination: "amber",
            amount,
        };
        builder.transfer(0, &transfer).unwrap();
    }
    builder.finish().unwrap()
}

fn main() {
    // In a process of its own each, so that memory is counted from nothing.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    if let (Some(job), Some(folder)) = (arguments.next(), arguments.next()) {
        return measure(&job, Path::new(&folder));
    }
    let directory = tempfile::tempdir().unwrap();
    println!("\n## Reading {TRANSFERS} transfers of {ACCOUNTS} accounts\n");
    println!("| from | time | peak memory | before |\n| --- | ---: | ---: | ---: |");
    for job in ["records", "csv", "parquet"] {
        let folder = directory.path().join(job);
        std::fs::create_dir_all(folder.join("amber")).unwrap();
        match job {
            "csv" => write_csv(&folder.join("amber")),
            "parquet" => write_parquet(&folder.join("amber")),
            _ => {}
        }
        let this = std::env::current_exe().unwrap();
        let status = std::process::Command::new(this).arg(job).arg(&folder).status().unwrap();
        assert!(status.success());
    }
}

fn measure(job: &str, folder: &Path) {
    let banks = Banks::new(["amber", "birch"]).unwrap();
    let before = resident_memory();
    reset_peak_memory();
    let start = Instant::now();
    let network = match job {
        "records" => from_records(&banks),
        _ => data::read_bank(folder, &banks, "amber").unwrap(),
    };
    let (seconds, peak) = (start.elapsed().as_secs_f64(), peak_memory());
    assert_eq!(network.account_count(), ACCOUNTS as usize);
    assert!(network.periods()[0].edge_count() > TRANSFERS as usize / 2);
    println!("| {job} | {seconds:.2} s | {:.0} MB | {:.0} MB |", peak as f64 / 1e6, before as f64 / 1e6);
}
