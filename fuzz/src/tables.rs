//! Columnar data: Parquet files, and Arrow record batches as an application may hand them over.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::{Arc, LazyLock, Once};

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int8Array, Int64Array,
    LargeStringArray, NullArray, RecordBatch, RecordBatchIterator, StringArray, StringViewArray, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::banks::spoil::patched;
use subrosa_risk_propagation::data::{self, arrow};
use subrosa_risk_propagation::{BankId, Banks, NetworkBuilder};

const ACCOUNTS: [&str; 3] = ["id", "risk_score", "other_risk"];
const TRANSFERS: [&str; 5] = ["id_source", "bank_source", "id_destination", "bank_destination", "amount"];

/// Parquet files and record batches; the first byte chooses: the input as it is, a valid file of accounts or of
/// transfers with patches, or batches whose types and values the input says.
pub fn parquet(input: &[u8]) {
    let_decoders_panic();
    let Some((which, input)) = input.split_first() else { return };
    let (accounts, transfers) = &*VALID;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.parquet");
    let (bytes, read): (_, fn(&Path) -> bool) = match which % 5 {
        0 => (input.to_vec(), read_accounts),
        1 => (input.to_vec(), read_transfers),
        2 => (patched(accounts, input), read_accounts),
        3 => (patched(transfers, input), read_transfers),
        _ => return batches(input),
    };
    std::fs::write(&file, bytes).unwrap();
    let accepted = read(&file);
    assert!(accepted || !input.is_empty() || which % 5 < 2, "the unspoiled file is refused");
}

/// libFuzzer ends the process at every panic. Damaged files make the decoders of Parquet panic, and the library turns
/// that into an error; code of our own must not panic, nor may any panic get past the library.
fn let_decoders_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
            let ours = |file: &str| file.contains("risk-propagation/src") || file.contains("fuzz/src");
            if panic.location().is_none_or(|place| ours(place.file())) {
                before(panic);
            }
        }));
    });
}

fn banks() -> (Banks, BankId) {
    let banks = Banks::new(["amber", "birch"]).unwrap();
    let own = banks.find("amber").unwrap();
    (banks, own)
}

fn builder() -> NetworkBuilder {
    let (banks, own) = banks();
    let mut builder = NetworkBuilder::new(banks, own, vec!["risk_score".to_owned()]);
    builder.account("A1", &[0.5]).unwrap();
    builder.account("A2", &[0.0]).unwrap();
    builder
}

/// A bank's folder as the library finds it, with the file in question as one of its two.
fn read_accounts(file: &Path) -> bool {
    let (banks, own) = banks();
    data::read_accounts(file, banks, own).is_ok_and(|builder| builder.finish().is_ok())
}

fn read_transfers(file: &Path) -> bool {
    let mut builder = builder();
    data::read_transfers(file, 0, &mut builder).is_ok() && builder.finish().is_ok()
}

/// A file of accounts and one of transfers that are accepted: small, with names in a dictionary and several row groups.
static VALID: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let texts = |values: [&str; 4]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let floats = |values: [f64; 4]| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) };
    let accounts =
        [texts(["A1", "A2", "A3", "A4"]), floats([0.5, 0.0, 1.0, 0.25]), floats([0.0, 0.0, 0.125, 1.0])];
    let transfers: [ArrayRef; 5] = [
        texts(["A1", "B1", "B2", "A2"]),
        texts(["amber", "birch", "birch", "amber"]),
        texts(["A2", "A1", "A1", "B1"]),
        texts(["amber", "amber", "amber", "birch"]),
        Arc::new(Int64Array::from(vec![100, 250, 1, 9_000_000_000])),
    ];
    (file(&ACCOUNTS, &accounts), file(&TRANSFERS, &transfers))
});

fn file(names: &[&str], columns: &[ArrayRef]) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(names.iter().copied().zip(columns.iter().cloned())).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(3))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Batches in memory: two of them, of accounts or of transfers.
fn batches(input: &[u8]) {
    let mut input = Input(input);
    let accounts = input.byte() % 2 == 0;
    let names: &[&str] = if accounts { &ACCOUNTS } else { &TRANSFERS };
    let kinds: Vec<u8> = names.iter().map(|_| input.byte()).collect();
    let rows = usize::from(input.byte() % 8);
    let mut batch = || {
        let columns = kinds.iter().map(|&kind| input.column(kind, rows));
        RecordBatch::try_from_iter(names.iter().copied().zip(columns))
    };
    // Columns of no rows have no types that differ; a batch that Arrow itself refuses is none.
    let (Ok(first), Ok(second)) = (batch(), batch()) else { return };
    let schema = first.schema();
    let both = RecordBatchIterator::new([Ok(first), Ok(second)], schema);
    if accounts {
        let (banks, own) = banks();
        let _ = arrow::accounts(both, banks, own).map(NetworkBuilder::finish);
    } else {
        let mut builder = builder();
        let _ = arrow::transfers(both, 0, &mut builder);
        let _ = builder.finish();
    }
}

/// Bytes that say what to make; zeros when they are used up.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let (byte, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *byte
    }

    fn number(&mut self) -> u64 {
        // Small ones more often than not.
        let length = self.byte() % 9;
        (0..length).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    fn text(&mut self) -> String {
        match self.byte() {
            0 => "A1".to_owned(),
            1 => "B1".to_owned(),
            2 => "amber".to_owned(),
            3 => "birch".to_owned(),
            4 => "0.5".to_owned(),
            5 => self.number().to_string(),
            length => {
                let bytes: Vec<u8> = (0..length % 12).map(|_| self.byte()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    /// A value, or none now and then.
    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.byte() % 8 == 7 { None } else { Some(value(self)) }
    }

    fn values<T>(&mut self, rows: usize, mut value: impl FnMut(&mut Self) -> T) -> Vec<Option<T>> {
        (0..rows).map(|_| self.maybe(&mut value)).collect()
    }

    fn column(&mut self, kind: u8, rows: usize) -> ArrayRef {
        let float = |input: &mut Self| match input.byte() % 4 {
            0 => f64::from_bits(input.number()),
            _ => f64::from(input.byte()) / 200.0,
        };
        match kind % 14 {
            0 => Arc::new(StringArray::from(self.values(rows, Self::text))),
            1 => Arc::new(LargeStringArray::from(self.values(rows, Self::text))),
            2 => Arc::new(StringViewArray::from(self.values(rows, Self::text))),
            3 => {
                let mut dictionary = StringDictionaryBuilder::<Int8Type>::new();
                let texts = self.values(rows, Self::text);
                texts.iter().for_each(|text| dictionary.append_option(text.as_deref()));
                Arc::new(dictionary.finish())
            }
            4 => Arc::new(Int64Array::from(self.values(rows, |input| input.number().cast_signed()))),
            5 => Arc::new(UInt64Array::from(self.values(rows, Self::number))),
            6 => Arc::new(Int8Array::from(self.values(rows, |input| input.byte().cast_signed()))),
            7 => Arc::new(Float64Array::from(self.values(rows, float))),
            #[allow(clippy::cast_possible_truncation, reason = "any value will do")]
            8 => Arc::new(Float32Array::from(self.values(rows, |input| float(input) as f32))),
            9 => {
                let scale = self.byte().cast_signed() % 39;
                let value = |input: &mut Self| i128::from(input.number().cast_signed()) * 1_000_000_007;
                let decimals = Decimal128Array::from(self.values(rows, value));
                match decimals.clone().with_precision_and_scale(38, scale) {
                    Ok(decimals) => Arc::new(decimals),
                    Err(_) => Arc::new(decimals),
                }
            }
            10 => Arc::new(BooleanArray::from(self.values(rows, |input| input.byte() % 2 == 0))),
            11 => {
                let texts = self.values(rows, Self::text);
                let bytes: Vec<_> = texts.iter().map(|text| text.as_ref().map(String::as_bytes)).collect();
                Arc::new(BinaryArray::from(bytes))
            }
            12 => Arc::new(NullArray::new(rows)),
            _ => {
                let mut dictionary = StringDictionaryBuilder::<Int8Type>::new();
                (0..rows).for_each(|_| dictionary.append_null());
                Arc::new(dictionary.finish())
            }
        }
    }
}
