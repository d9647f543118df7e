//! Parquet and Arrow in and out: the same networks as from CSV, and what is wrong named by row and column.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, Decimal128Array, Float32Array, Float64Array, Int64Array, LargeStringArray, RecordBatch,
    RecordBatchIterator, StringArray, StringViewArray, UInt8Array, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use subrosa_risk_propagation::data::{self, arrow};
use subrosa_risk_propagation::synthetic::{NetworkShape, generate};
use subrosa_risk_propagation::{Banks, Error, Network, Problem};

fn array<A: Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

fn texts(values: &[&str]) -> ArrayRef {
    array(StringArray::from(values.to_vec()))
}

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    RecordBatch::try_from_iter(columns.iter().cloned()).unwrap()
}

/// Writes batches of one schema in row groups of ten rows.
fn write(file: &Path, compression: Compression, batches: &[RecordBatch]) {
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(10))
        .build();
    let mut writer =
        ArrowWriter::try_new(File::create(file).unwrap(), batches[0].schema(), Some(properties)).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.close().unwrap();
}

/// The same file as Parquet: names in a dictionary, scores as floats, amounts as whole numbers.
fn convert(csv: &Path) {
    let mut reader = csv::Reader::from_path(csv).unwrap();
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let column = |index: usize| -> ArrayRef {
        let fields = rows.iter().map(|row| &row[index]);
        match header[index].as_str() {
            "amount" => array(fields.map(|field| field.parse::<i64>().unwrap()).collect::<Int64Array>()),
            "risk_score" => {
                array(fields.map(|field| field.parse::<f64>().unwrap()).collect::<Float64Array>())
            }
            _ => {
                let mut names = StringDictionaryBuilder::<Int32Type>::new();
                fields.for_each(|field| names.append_value(field));
                array(names.finish())
            }
        }
    };
    // Columns in another order, too.
    let columns: Vec<(&str, ArrayRef)> =
        (0..header.len()).rev().map(|index| (header[index].as_str(), column(index))).collect();
    write(&csv.with_extension("parquet"), Compression::SNAPPY, &[batch(&columns)]);
    std::fs::remove_file(csv).unwrap();
}

#[test]
fn parquet_makes_the_same_network_as_csv() {
    let shape = NetworkShape { accounts: 60, transfers: 500, periods: 2, ..NetworkShape::default() };
    let generated = generate(&shape, &mut ChaCha20Rng::seed_from_u64(5)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    generated.write(directory.path()).unwrap();
    let banks = data::banks_in(directory.path()).unwrap();
    let read = || shape.banks.iter().map(|bank| data::read_bank(directory.path(), &banks, bank)).collect();
    let from_csv: Vec<Network> = Result::<_, Error>::unwrap(read());
    for bank in &shape.banks {
        let folder = directory.path().join(bank);
        convert(&folder.join("accounts.csv"));
        // One period stays CSV: each file's format is its own.
        convert(&folder.join("transactions-1.csv"));
    }
    assert_eq!(data::banks_in(directory.path()).unwrap(), banks);
    let from_parquet: Vec<Network> = Result::<_, Error>::unwrap(read());
    assert!(from_csv.iter().all(|network| network.periods().iter().all(|period| period.edge_count() > 20)));
    assert!(from_csv == from_parquet);
}

fn accounts(columns: &[(&str, ArrayRef)]) -> Result<Network, Error> {
    let batch = batch(columns);
    let schema = batch.schema();
    // Two batches, so that rows are counted on.
    let half = batch.num_rows() / 2;
    let parts = [batch.slice(0, half), batch.slice(half, batch.num_rows() - half)];
    let banks = Banks::new(["a", "b"]).unwrap();
    let own = banks.find("a").unwrap();
    let batches = RecordBatchIterator::new(parts.map(Ok), schema);
    arrow::accounts(batches, banks, own)?.finish().map_err(Error::from)
}

fn transfers(names: [ArrayRef; 4], amounts: ArrayRef) -> Result<Network, Error> {
    let [id_source, bank_source, id_destination, bank_destination] = names;
    let columns = [
        ("note", array(Float32Array::from(vec![0.0; amounts.len()]))),
        ("bank_destination", bank_destination),
        ("amount", amounts),
        ("id_destination", id_destination),
        ("bank_source", bank_source),
        ("id_source", id_source),
    ];
    let batch = batch(&columns);
    let schema = batch.schema();
    let banks = Banks::new(["a", "b"]).unwrap();
    let own = banks.find("a").unwrap();
    let mut builder = accounts_of(banks, own);
    arrow::transfers(RecordBatchIterator::new([Ok(batch)], schema), 0, &mut builder)?;
    builder.finish().map_err(Error::from)
}

fn accounts_of(
    banks: Banks,
    own: subrosa_risk_propagation::BankId,
) -> subrosa_risk_propagation::NetworkBuilder {
    let mut builder =
        subrosa_risk_propagation::NetworkBuilder::new(banks, own, vec!["risk_score".to_owned()]);
    builder.account("1", &[0.5]).unwrap();
    builder.account("2", &[0.5]).unwrap();
    builder
}

fn to_a(amounts: ArrayRef) -> Result<Network, Error> {
    let same = |text: &str| texts(&vec![text; amounts.len()]);
    transfers([same("1"), same("b"), same("2"), same("a")], amounts)
}

#[test]
fn names_scores_and_amounts_of_many_types() {
    let scores = [0.25, 1.0, 0.0, 0.5];
    let by_type: Vec<ArrayRef> = vec![
        array(Float64Array::from(scores.to_vec())),
        array(Float32Array::from(vec![0.25, 1.0, 0.0, 0.5])),
        texts(&["0.25", "1", "-0", "5e-1"]),
        array(Decimal128Array::from(vec![25, 100, 0, 50]).with_precision_and_scale(5, 2).unwrap()),
    ];
    for column in by_type {
        let network =
            accounts(&[("id", array(UInt8Array::from(vec![9, 8, 7, 6]))), ("risk_score", column)]).unwrap();
        assert_eq!(network.account_ids().collect::<Vec<_>>(), ["9", "8", "7", "6"]);
        assert_eq!(network.initial_scores(), scores);
    }
    let amounts = vec![0_u64, 1 << 63];
    let by_type: Vec<ArrayRef> = vec![
        array(UInt64Array::from(amounts.clone())),
        array(Decimal128Array::from(vec![0, 1 << 63]).with_precision_and_scale(38, 0).unwrap()),
        texts(&["0", "9223372036854775808"]),
    ];
    for column in by_type {
        let network = to_a(column).unwrap();
        let incoming: Vec<_> = network.incoming(0, 1).map(|(_, id, amount)| (id, amount)).collect();
        assert_eq!(incoming, [("1", 1 << 63)]);
    }
    let names = [
        array(LargeStringArray::from(vec!["1"])),
        array(StringViewArray::from(vec!["b"])),
        array(Int64Array::from(vec![2])),
        texts(&["a"]),
    ];
    let network = transfers(names, array(Int64Array::from(vec![3]))).unwrap();
    assert_eq!(network.incoming(0, 1).map(|(_, id, amount)| (id, amount)).collect::<Vec<_>>(), [("1", 3)]);
}

#[test]
fn several_risk_types() {
    let network = accounts(&[
        ("fraud", texts(&["0.5", "0"])),
        ("id", texts(&["x", "y"])),
        ("risk_score", array(Float64Array::from(vec![0.0, 1.0]))),
    ])
    .unwrap();
    assert_eq!(network.columns(), ["risk_score", "fraud"]);
    assert_eq!(network.initial_scores(), [0.0, 0.5, 1.0, 0.0]);
    let out = arrow::scores(&network, &[0.1, 0.2, 0.3, 0.4]).unwrap();
    let names: Vec<_> = out.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "risk_score", "before", "fraud", "fraud_before"]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.parquet");
    data::write_scores_parquet(&file, &network, &[0.1, 0.2, 0.3, 0.4]).unwrap();
    let mut back =
        ParquetRecordBatchReaderBuilder::try_new(File::open(&file).unwrap()).unwrap().build().unwrap();
    assert_eq!(back.next().unwrap().unwrap(), out);
    assert!(arrow::scores(&network, &[0.1]).is_err());
}

#[test]
fn bad_rows_are_named() {
    let refused = |result: Result<Network, Error>| match result.unwrap_err() {
        Error::Row { origin, row, rejected } => {
            assert_eq!(origin, "record batch");
            (row, rejected.field, rejected.problem)
        }
        other => panic!("{other:?}"),
    };
    let ids = || ("id", texts(&["w", "x", "y", "z"]));
    let bad_score = |scores: ArrayRef| refused(accounts(&[ids(), ("risk_score", scores)]));
    let at = |row: u64, column: &str, problem: Problem| (row, column.to_owned(), problem);
    let score = |problem| at(3, "risk_score", problem);
    let floats = |third: f64| array(Float64Array::from(vec![0.0, 0.0, third, 2.0]));
    assert_eq!(bad_score(floats(1.5)), score(Problem::ScoreOutOfRange("1.5".into())));
    assert_eq!(bad_score(floats(f64::NAN)), score(Problem::NotANumber("NaN".into())));
    let missing = array(Float64Array::from(vec![Some(0.0), Some(0.0), None, None]));
    assert_eq!(bad_score(missing), score(Problem::Empty));
    assert_eq!(bad_score(texts(&["0", "0", "high", ""])), score(Problem::NotANumber("high".into())));
    let zeros = || ("risk_score", array(Float64Array::from(vec![0.0; 4])));
    let twice = refused(accounts(&[("id", texts(&["w", "x", "y", "x"])), zeros()]));
    assert_eq!(twice, at(4, "id", Problem::RepeatedAccount("x".into())));
    let gap = array(StringArray::from(vec![Some("w"), None, Some("y"), Some("z")]));
    assert_eq!(refused(accounts(&[("id", gap), zeros()])), at(2, "id", Problem::Empty));
    let hidden = texts(&["w", "x\u{1b}[2J", "y", "z"]);
    assert_eq!(refused(accounts(&[("id", hidden), zeros()])), at(2, "id", Problem::ControlCharacter));

    let amount = |problem| at(2, "amount", problem);
    let negative = refused(to_a(array(Int64Array::from(vec![1, -5]))));
    assert_eq!(negative, amount(Problem::NegativeAmount("-5".into())));
    let above = (1_u64 << 63) + 1;
    let large = refused(to_a(array(UInt64Array::from(vec![1, above]))));
    assert_eq!(large, amount(Problem::AmountTooLarge(above.to_string())));
    let missing = refused(to_a(array(Int64Array::from(vec![Some(1), None]))));
    assert_eq!(missing, amount(Problem::Empty));
    assert_eq!(refused(to_a(texts(&["1", "5.25"]))), amount(Problem::FractionalAmount("5.25".into())));
}

#[test]
fn bad_columns_are_named() {
    let refused = |result: Result<Network, Error>| match result.unwrap_err() {
        Error::Schema { rejected, .. } => (rejected.field, rejected.problem),
        other => panic!("{other:?}"),
    };
    let floats = || array(Float64Array::from(vec![1.0, 2.0]));
    let (field, problem) = refused(to_a(floats()));
    assert_eq!(field, "amount");
    assert!(matches!(problem, Problem::WrongType { found, .. } if found == "Float64"));
    let cents = Decimal128Array::from(vec![1, 2]).with_precision_and_scale(9, 2).unwrap();
    assert!(matches!(refused(to_a(array(cents))).1, Problem::WrongType { .. }));
    let id = || ("id", texts(&["x", "y"]));
    assert_eq!(refused(accounts(&[id()])), ("risk_score".to_owned(), Problem::MissingColumn));
    let score = || ("risk_score", array(Float64Array::from(vec![0.0, 0.0])));
    assert!(matches!(refused(accounts(&[("id", floats()), score()])).1, Problem::WrongType { .. }));
    let (field, problem) = refused(accounts(&[id(), score(), ("before", floats())]));
    assert_eq!((field.as_str(), problem), ("before", Problem::ReservedColumn));
    assert_eq!(refused(accounts(&[id(), score(), ("id ", floats())])).1, Problem::RepeatedColumn);
}

#[test]
fn batches_must_have_the_same_columns() {
    let score = || ("risk_score", array(Float64Array::from(vec![0.0, 0.5])));
    let first =
        batch(&[("id", texts(&["w", "x"])), score(), ("fraud", array(Float64Array::from(vec![0.0, 0.5])))]);
    let columns =
        |order: [usize; 3]| {
            RecordBatch::try_from_iter(order.map(|column| {
                (first.schema().field(column).name().clone(), Arc::clone(first.column(column)))
            }))
            .unwrap()
        };
    for second in [columns([0, 2, 1]), first.project(&[0, 1]).unwrap()] {
        let banks = Banks::new(["a", "b"]).unwrap();
        let own = banks.find("a").unwrap();
        let batches = RecordBatchIterator::new([Ok(first.clone()), Ok(second)], first.schema());
        match arrow::accounts(batches, banks, own).unwrap_err() {
            Error::Columnar { reason, .. } => assert!(reason.starts_with("after row 2"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn dictionaries_with_gaps() {
    let mut names = StringDictionaryBuilder::<Int32Type>::new();
    names.append_value("x");
    names.append_null();
    let ids = || ("id", texts(&["1", "2"]));
    let zeros = || ("risk_score", array(Float64Array::from(vec![0.0, 0.0])));
    let problem = |ids: ArrayRef| match accounts(&[("id", ids), zeros()]).unwrap_err() {
        Error::Row { row, rejected, .. } => (row, rejected.problem),
        other => panic!("{other:?}"),
    };
    assert_eq!(problem(array(names.finish())), (2, Problem::Empty));
    let mut empty = StringDictionaryBuilder::<Int32Type>::new();
    empty.append_nulls(2);
    assert_eq!(problem(array(empty.finish())), (1, Problem::Empty));
    assert!(accounts(&[ids(), zeros()]).is_ok());
}

#[test]
fn columns_that_are_not_needed_are_not_decoded() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("transactions.parquet");
    let columns =
        [("id_source", "1"), ("bank_source", "b"), ("id_destination", "2"), ("bank_destination", "a")];
    let mut all: Vec<(&str, ArrayRef)> =
        columns.iter().map(|(name, value)| (*name, texts(&[value]))).collect();
    all.insert(1, ("memo", texts(&["a long text"])));
    all.push(("amount", array(Int64Array::from(vec![7]))));
    write(&file, Compression::UNCOMPRESSED, &[batch(&all)]);
    // The memo's pages are damaged, of which nobody takes notice.
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(10).position(|window| window == b"\x0b\0\0\0a long").unwrap();
    bytes[at..at + 4].fill(0xff);
    std::fs::write(&file, bytes).unwrap();
    let banks = Banks::new(["a", "b"]).unwrap();
    let own = banks.find("a").unwrap();
    let mut builder = accounts_of(banks, own);
    data::read_transfers(&file, 0, &mut builder).unwrap();
    assert_eq!(builder.finish().unwrap().incoming(0, 1).count(), 1);
}

#[test]
fn files_that_contradict_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("a");
    std::fs::create_dir(&folder).unwrap();
    let reason = |files: &[&str]| {
        for file in files {
            std::fs::write(folder.join(file), "").unwrap();
        }
        let error = data::transaction_files(&folder).map(|_| ()).unwrap_err();
        files.iter().for_each(|file| std::fs::remove_file(folder.join(file)).unwrap());
        error.to_string()
    };
    assert!(reason(&["transactions.csv", "transactions.parquet"]).contains("which is meant"));
    assert!(reason(&["transactions-0.csv", "transactions-0.parquet"]).contains("which is meant"));
    assert!(reason(&["transactions-0.parquet", "transactions.csv"]).contains("numbered"));
    for file in ["accounts.csv", "accounts.parquet"] {
        std::fs::write(folder.join(file), "").unwrap();
    }
    let error = data::banks_in(directory.path()).unwrap_err().to_string();
    assert!(error.contains("both `accounts.csv` and `accounts.parquet`"), "{error}");
}

fn file_of_accounts() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("accounts.parquet");
    let ids: Vec<String> = (0..25).map(|id| format!("account {id}")).collect();
    let ids = texts(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let scores = array((0..25).map(|score| f64::from(score) / 25.0).collect::<Float64Array>());
    write(&file, Compression::LZ4_RAW, &[batch(&[("id", ids), ("risk_score", scores)])]);
    std::fs::read(file).unwrap()
}

fn read(bytes: &[u8]) -> Result<usize, Error> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("accounts.parquet");
    std::fs::write(&file, bytes).unwrap();
    let banks = Banks::new(["a", "b"]).unwrap();
    let own = banks.find("a").unwrap();
    let network = data::read_accounts(&file, banks, own)?.finish()?;
    Ok(network.account_count())
}

#[test]
fn no_parquet_at_all() {
    let whole = file_of_accounts();
    assert_eq!(read(&whole).unwrap(), 25);
    for bytes in [&b""[..], b"id,risk_score\n", &whole[..whole.len() - 9], &whole[4..]] {
        match read(bytes).unwrap_err() {
            Error::Columnar { origin, reason } => {
                assert!(origin.ends_with("accounts.parquet") && !reason.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn damaged_files_end_in_errors_or_in_other_accounts(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = file_of_accounts();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Err(error) = read(&bytes) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
