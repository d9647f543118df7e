//! Parquet in and out, a batch at a time.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::arrow;
use super::files::write_atomically;
use crate::banks::{BankId, Banks};
use crate::error::Error;
use crate::network::{Network, NetworkBuilder};
use crate::run::Outcome;
use subrosa_transport::with_causes;

/// Rows that are read at a time.
const BATCH: usize = 8192;

pub(super) fn read_accounts(file: &Path, banks: Banks, own: BankId) -> Result<NetworkBuilder, Error> {
    let origin = file.display().to_string();
    let read = || arrow::accounts_from(&origin, Batches::open(file, &[])?, banks, own);
    guarded(read).unwrap_or_else(|| Err(damaged(file)))
}

pub(super) fn read_transfers(file: &Path, period: usize, builder: &mut NetworkBuilder) -> Result<(), Error> {
    let origin = file.display().to_string();
    let read = || arrow::transfers_from(&origin, Batches::open(file, &arrow::TRANSFERS)?, period, builder);
    guarded(read).unwrap_or_else(|| Err(damaged(file)))
}

/// Writes the scores of a run as [`arrow::scores`] gives them.
///
/// # Errors
/// [`Error::Io`], [`Error::Columnar`]. An existing file is replaced only when the new one is complete on disk.
pub fn write_scores_parquet(file: &Path, network: &Network, scores: &[f64]) -> Result<(), Error> {
    write_batch(file, &arrow::scores(network, scores)?)
}

/// Writes the outcome of a run as [`arrow::outcome`] gives it.
///
/// # Errors
/// As [`write_scores_parquet`].
pub fn write_outcome_parquet(file: &Path, outcome: &Outcome) -> Result<(), Error> {
    write_batch(file, &arrow::outcome(outcome)?)
}

fn write_batch(file: &Path, batch: &RecordBatch) -> Result<(), Error> {
    write_atomically(file, |out| {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer = ArrowWriter::try_new(out, batch.schema(), Some(properties))?;
        writer.write(batch)?;
        writer.close()?;
        Ok(())
    })
}

/// The batches of a file.
struct Batches {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
}

impl Batches {
    /// Only the columns `wanted` are decoded, or all if the list is empty. Columns that are missing are found later.
    fn open(file: &Path, wanted: &[&str]) -> Result<Self, Error> {
        let source = File::open(file).map_err(|source| Error::io(file, source))?;
        let open = || {
            let builder = ParquetRecordBatchReaderBuilder::try_new(source)?.with_batch_size(BATCH);
            let fields = builder.schema().fields().iter().enumerate();
            let roots =
                fields.filter(|(_, field)| wanted.is_empty() || wanted.contains(&field.name().trim()));
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots.map(|(root, _)| root));
            builder.with_projection(mask).build()
        };
        let failed = |error: ParquetError| Error::Columnar {
            origin: file.display().to_string(),
            reason: with_causes(&error),
        };
        let reader = open().map_err(failed)?;
        let schema = reader.schema();
        Ok(Self { reader, schema })
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.reader.next()
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Runs the decoder; `None` where it panics, as damaged files may make it.
fn guarded<T>(decode: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(decode)).ok()
}

fn damaged(file: &Path) -> Error {
    Error::Columnar { origin: file.display().to_string(), reason: "the file is damaged".to_owned() }
}
