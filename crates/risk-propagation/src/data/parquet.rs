//! Parquet in and out, a batch at a time.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::arrow;
use super::output::write_atomically;
use crate::banks::{BankId, Banks};
use crate::error::Error;
use crate::network::{Network, NetworkBuilder};

/// Rows that are read at a time.
const BATCH: usize = 8192;

pub(super) fn read_accounts(file: &Path, banks: Banks, own: BankId) -> Result<NetworkBuilder, Error> {
    let origin = file.display().to_string();
    arrow::accounts_from(&origin, Batches::open(file)?, banks, own)
}

pub(super) fn read_transfers(file: &Path, period: usize, builder: &mut NetworkBuilder) -> Result<(), Error> {
    let origin = file.display().to_string();
    arrow::transfers_from(&origin, Batches::open(file)?, period, builder)
}

/// Writes the scores of a run as [`arrow::scores`] gives them.
///
/// # Errors
/// [`Error::Io`], [`Error::Columnar`]. An existing file is replaced only when the new one is complete on disk.
pub fn write_scores_parquet(file: &Path, network: &Network, scores: &[f64]) -> Result<(), Error> {
    let batch = arrow::scores(network, scores)?;
    write_atomically(file, |out| {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer = ArrowWriter::try_new(out, batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.close()?;
        Ok(())
    })
}

/// The batches of a file. A file that makes the decoder panic, as damaged ones may, ends in an error.
struct Batches {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
}

impl Batches {
    fn open(file: &Path) -> Result<Self, Error> {
        let source = File::open(file).map_err(|source| Error::io(file, source))?;
        let open = || ParquetRecordBatchReaderBuilder::try_new(source)?.with_batch_size(BATCH).build();
        let reader =
            guarded(open).map_err(|reason| Error::Columnar { origin: file.display().to_string(), reason })?;
        let schema = reader.schema();
        Ok(Self { reader, schema })
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        guarded(|| self.reader.next().transpose()).map_err(ArrowError::ParquetError).transpose()
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Runs the decoder; what it panics about becomes an error.
fn guarded<T, E: std::fmt::Display>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the file is damaged".to_owned()),
    }
}
