//! Accounts, transfers and scores as Arrow record batches: for applications that hold them in memory, and for Parquet.
//!
//! Columns are found by name and may stand in any order. Names of accounts and banks may be texts of any layout, also
//! as a dictionary, or whole numbers; scores floats, whole numbers, decimals or texts; amounts whole numbers, decimals
//! without a fraction or texts. Amounts are never read from floats, which cannot hold every whole number beyond 2^53.
//! Scores of 32-bit floats are taken as they are: 0.1 is then 0.10000000149…
//!
//! ```
//! use std::sync::Arc;
//! use arrow_array::{ArrayRef, Float64Array, RecordBatch, RecordBatchIterator, StringArray};
//! use subrosa_risk_propagation::{Banks, data::arrow};
//!
//! let ids: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
//! let scores: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 0.0]));
//! let batch = RecordBatch::try_from_iter([("id", ids), ("risk_score", scores)])?;
//! let schema = batch.schema();
//!
//! let banks = Banks::new(["amber", "birch"])?;
//! let own = banks.find("amber").expect("it is in the list");
//! let builder = arrow::accounts(RecordBatchIterator::new([Ok(batch)], schema), banks, own)?;
//! let network = builder.finish()?;
//! assert_eq!(network.initial_scores(), [0.5, 0.0]);
//!
//! let after = arrow::scores(&network, &[0.25, 0.25])?;
//! assert_eq!(after.num_columns(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, Float64Array, LargeStringArray, RecordBatch, RecordBatchReader, StringArray,
    StringViewArray,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, Schema};

use super::values::{BEFORE, before, parse_amount, parse_score, risk_types, shorten};
use crate::banks::{BankId, Banks};
use crate::error::{Error, Problem, Rejected};
use crate::limits::MAX_AMOUNT;
use crate::network::{Network, NetworkBuilder, Transfer};
use crate::run::Outcome;
use subrosa_transport::with_causes;

/// What an error calls data that come from memory.
const MEMORY: &str = "record batch";

/// Starts a network with a list of accounts: the columns `id` and `risk_score`; every further column is a further risk
/// type.
///
/// # Errors
/// [`Error::Row`] with row and column, [`Error::Schema`] with the column, [`Error::Columnar`] where the batches
/// themselves fail.
pub fn accounts(batches: impl RecordBatchReader, banks: Banks, own: BankId) -> Result<NetworkBuilder, Error> {
    accounts_from(MEMORY, batches, banks, own)
}

/// Adds the transfers of one period, counted from 0: the columns `id_source`, `bank_source`, `id_destination`,
/// `bank_destination` and `amount`. Other columns are passed over.
///
/// # Errors
/// As [`accounts`].
pub fn transfers(
    batches: impl RecordBatchReader,
    period: usize,
    builder: &mut NetworkBuilder,
) -> Result<(), Error> {
    transfers_from(MEMORY, batches, period, builder)
}

/// The scores of a run as one batch, with the columns of [`write_scores`](super::write_scores): `id`, the risk types as
/// 64-bit floats, each followed by its scores before the run.
///
/// # Errors
/// [`Error::Columnar`] for a number of scores that does not fit the network.
pub fn scores(network: &Network, scores: &[f64]) -> Result<RecordBatch, Error> {
    rows(network, scores, None)
}

/// [`scores`] for the outcome of a run. The scores of withheld accounts are null.
///
/// # Errors
/// As [`scores`].
pub fn outcome(outcome: &Outcome) -> Result<RecordBatch, Error> {
    rows(outcome.agreed.network(), &outcome.scores, Some(outcome))
}

fn rows(network: &Network, scores: &[f64], outcome: Option<&Outcome>) -> Result<RecordBatch, Error> {
    let fail = |reason: String| Error::Columnar { origin: MEMORY.to_owned(), reason };
    let width = network.columns().len();
    if scores.len() != network.account_count() * width {
        return Err(fail(format!("{} scores do not fit the network", scores.len())));
    }
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(network.account_ids()));
    let mut fields = vec![Field::new("id", DataType::Utf8, false)];
    let mut columns = vec![ids];
    for (index, name) in network.columns().iter().enumerate() {
        let earlier = if index == 0 { BEFORE.to_owned() } else { before(name) };
        let after = scores.iter().skip(index).step_by(width).enumerate().map(|(account, score)| {
            Some(*score).filter(|_| !outcome.is_some_and(|outcome| outcome.is_withheld(account)))
        });
        fields.push(Field::new(name.clone(), DataType::Float64, outcome.is_some()));
        columns.push(Arc::new(Float64Array::from_iter(after)));
        let before = network.initial_scores().iter().skip(index).step_by(width).copied();
        fields.push(Field::new(earlier, DataType::Float64, false));
        columns.push(Arc::new(Float64Array::from_iter_values(before)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| fail(with_causes(&error)))
}

/// [`accounts`], for data of which errors say that they are `origin`.
pub(super) fn accounts_from(
    origin: &str,
    batches: impl RecordBatchReader,
    banks: Banks,
    own: BankId,
) -> Result<NetworkBuilder, Error> {
    let mut table = Table::new(origin, batches)?;
    let id = table.column("id")?;
    let first = table.column("risk_score")?;
    let (columns, names) = risk_types(&table.header, id, first).map_err(|rejected| table.schema(rejected))?;
    let mut builder = NetworkBuilder::new(banks, own, names);
    let mut row_scores = Vec::with_capacity(columns.len());
    while let Some(batch) = table.next()? {
        let ids = table.texts(&batch, id)?;
        let scores =
            columns.iter().map(|&column| table.scores(&batch, column)).collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            row_scores.clear();
            for (&column, scores) in columns.iter().zip(&scores) {
                row_scores.push(scores.at(row).map_err(|problem| table.error(row, column, problem))?);
            }
            let name = ids.at(row).map_err(|problem| table.error(row, id, problem))?;
            builder.account(name, &row_scores).map_err(|rejected| table.refuse(row, rejected))?;
        }
        table.rows_before += batch.num_rows() as u64;
    }
    Ok(builder)
}

/// The columns of a list of transfers.
pub(super) const TRANSFERS: [&str; 5] =
    ["id_source", "bank_source", "id_destination", "bank_destination", "amount"];

/// [`transfers`], for data of which errors say that they are `origin`.
pub(super) fn transfers_from(
    origin: &str,
    batches: impl RecordBatchReader,
    period: usize,
    builder: &mut NetworkBuilder,
) -> Result<(), Error> {
    let mut table = Table::new(origin, batches)?;
    let mut columns = [0; 5];
    for (column, name) in columns.iter_mut().zip(TRANSFERS) {
        *column = table.column(name)?;
    }
    let [places @ .., amount] = columns;
    builder.periods(period + 1);
    while let Some(batch) = table.next()? {
        let [id_source, bank_source, id_destination, bank_destination] =
            places.map(|column| table.texts(&batch, column));
        let texts = [id_source?, bank_source?, id_destination?, bank_destination?];
        let amounts = table.amounts(&batch, amount)?;
        for row in 0..batch.num_rows() {
            let mut fields = [""; 4];
            for ((field, texts), column) in fields.iter_mut().zip(&texts).zip(places) {
                *field = texts.at(row).map_err(|problem| table.error(row, column, problem))?;
            }
            let [id_source, bank_source, id_destination, bank_destination] = fields;
            let amount = amounts.at(row).map_err(|problem| table.error(row, amount, problem))?;
            let transfer = Transfer { id_source, bank_source, id_destination, bank_destination, amount };
            builder.transfer(period, &transfer).map_err(|rejected| table.refuse(row, rejected))?;
        }
        table.rows_before += batch.num_rows() as u64;
    }
    Ok(())
}

/// Batches under one schema, with the place of whatever goes wrong.
struct Table<'a, B> {
    origin: &'a str,
    batches: B,
    header: Vec<String>,
    /// Rows of the batches before the present one.
    rows_before: u64,
}

impl<'a, B: RecordBatchReader> Table<'a, B> {
    fn new(origin: &'a str, batches: B) -> Result<Self, Error> {
        let header: Vec<String> =
            batches.schema().fields().iter().map(|field| field.name().trim().to_owned()).collect();
        let table = Self { origin, batches, header, rows_before: 0 };
        for (index, name) in table.header.iter().enumerate() {
            if table.header.iter().take(index).any(|other| other == name) {
                return Err(table.schema(Rejected::new(name, Problem::RepeatedColumn)));
            }
        }
        Ok(table)
    }

    fn column(&self, name: &str) -> Result<usize, Error> {
        let found = self.header.iter().position(|other| other == name);
        found.ok_or_else(|| self.schema(Rejected::new(name, Problem::MissingColumn)))
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        let failed = |error: ArrowError| Error::Columnar {
            origin: self.origin.to_owned(),
            reason: format!("after row {}: {}", self.rows_before, with_causes(&error)),
        };
        let batch = self.batches.next().transpose().map_err(failed)?;
        match batch {
            Some(batch) if !self.fits(&batch) => Err(Error::Columnar {
                origin: self.origin.to_owned(),
                reason: format!("after row {}: a batch with other columns than the first", self.rows_before),
            }),
            batch => Ok(batch),
        }
    }

    fn fits(&self, batch: &RecordBatch) -> bool {
        let schema = batch.schema();
        schema.fields().iter().map(|field| field.name().trim()).eq(self.header.iter())
    }

    fn texts(&self, batch: &RecordBatch, column: usize) -> Result<Texts, Error> {
        let array = batch.column(column);
        if array.data_type().is_integer() {
            let texts = self.cast(array, &DataType::Utf8, column, "a name")?;
            return Ok(Texts::Short(texts.as_string().clone()));
        }
        Texts::new(array).ok_or_else(|| self.wrong_type(column, array, "a name"))
    }

    fn scores(&self, batch: &RecordBatch, column: usize) -> Result<Scores, Error> {
        let array = batch.column(column);
        if is_text(array.data_type()) {
            return self.texts(batch, column).map(Scores::Texts);
        }
        if !array.data_type().is_numeric() {
            return Err(self.wrong_type(column, array, "a score"));
        }
        let floats = self.cast(array, &DataType::Float64, column, "a score")?;
        Ok(Scores::Floats(floats.as_primitive::<Float64Type>().clone()))
    }

    fn amounts(&self, batch: &RecordBatch, column: usize) -> Result<Amounts, Error> {
        let array = batch.column(column);
        let cast = |to| self.cast(array, to, column, "an amount");
        Ok(match array.data_type() {
            text if is_text(text) => Amounts::Texts(self.texts(batch, column)?),
            whole if whole.is_unsigned_integer() => {
                Amounts::Unsigned(cast(&DataType::UInt64)?.as_primitive::<UInt64Type>().clone())
            }
            whole if whole.is_signed_integer() => {
                Amounts::Signed(cast(&DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            DataType::Decimal128(_, 0) => Amounts::Decimals(array.as_primitive::<Decimal128Type>().clone()),
            _ => {
                return Err(self.wrong_type(
                    column,
                    array,
                    "amounts in whole numbers of the smallest unit of money",
                ));
            }
        })
    }

    fn cast(
        &self,
        array: &ArrayRef,
        to: &DataType,
        column: usize,
        expected: &'static str,
    ) -> Result<ArrayRef, Error> {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(array, to, &strict).map_err(|_| self.wrong_type(column, array, expected))
    }

    fn wrong_type(&self, column: usize, array: &ArrayRef, expected: &'static str) -> Error {
        let problem = Problem::WrongType { found: array.data_type().to_string(), expected };
        self.schema(Rejected::new(self.name(column), problem))
    }

    fn name(&self, column: usize) -> &str {
        self.header.get(column).map_or("", |name| name)
    }

    fn error(&self, row: usize, column: usize, problem: Problem) -> Error {
        self.refuse(row, Rejected::new(self.name(column), problem))
    }

    /// An error in a row of the present batch.
    fn refuse(&self, row: usize, rejected: Rejected) -> Error {
        Error::Row { origin: self.origin.to_owned(), row: self.rows_before + row as u64 + 1, rejected }
    }

    fn schema(&self, rejected: Rejected) -> Error {
        Error::Schema { origin: self.origin.to_owned(), rejected }
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Texts as they lie in memory: what is repeated many times is not written out.
enum Texts {
    Short(StringArray),
    Long(LargeStringArray),
    View(StringViewArray),
    /// The value of each row, if it has one, among the texts.
    Dictionary(Vec<Option<usize>>, Box<Texts>),
}

impl Texts {
    fn new(array: &ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Utf8 => Self::Short(array.as_string().clone()),
            DataType::LargeUtf8 => Self::Long(array.as_string().clone()),
            DataType::Utf8View => Self::View(array.as_string_view().clone()),
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary();
                let values = Self::new(dictionary.values())?;
                let keys = match dictionary.values().is_empty() {
                    true => vec![None; array.len()],
                    false => dictionary.normalized_keys().into_iter().map(Some).collect(),
                };
                let valid = |(row, key): (usize, Option<usize>)| key.filter(|_| array.is_valid(row));
                Self::Dictionary(keys.into_iter().enumerate().map(valid).collect(), Box::new(values))
            }
            _ => return None,
        })
    }

    /// The text in a row; a missing value is an empty one.
    fn at(&self, row: usize) -> Result<&str, Problem> {
        match self {
            Self::Short(texts) if texts.is_valid(row) => Ok(texts.value(row)),
            Self::Long(texts) if texts.is_valid(row) => Ok(texts.value(row)),
            Self::View(texts) if texts.is_valid(row) => Ok(texts.value(row)),
            Self::Dictionary(keys, texts) => {
                texts.at(keys.get(row).copied().flatten().ok_or(Problem::Empty)?)
            }
            _ => Err(Problem::Empty),
        }
    }
}

enum Scores {
    Floats(Float64Array),
    Texts(Texts),
}

impl Scores {
    fn at(&self, row: usize) -> Result<f64, Problem> {
        match self {
            Self::Texts(texts) => parse_score(texts.at(row)?),
            Self::Floats(floats) if floats.is_null(row) => Err(Problem::Empty),
            Self::Floats(floats) => match floats.value(row) {
                score if score.is_nan() => Err(Problem::NotANumber(score.to_string())),
                score if (0.0..=1.0).contains(&score) => Ok(score),
                score => Err(Problem::ScoreOutOfRange(score.to_string())),
            },
        }
    }
}

enum Amounts {
    Unsigned(arrow_array::UInt64Array),
    Signed(arrow_array::Int64Array),
    Decimals(arrow_array::Decimal128Array),
    Texts(Texts),
}

impl Amounts {
    fn at(&self, row: usize) -> Result<u64, Problem> {
        let present = match self {
            Self::Unsigned(amounts) => amounts.is_valid(row),
            Self::Signed(amounts) => amounts.is_valid(row),
            Self::Decimals(amounts) => amounts.is_valid(row),
            Self::Texts(_) => true,
        };
        if !present {
            return Err(Problem::Empty);
        }
        let amount = match self {
            Self::Unsigned(amounts) => i128::from(amounts.value(row)),
            Self::Signed(amounts) => i128::from(amounts.value(row)),
            Self::Decimals(amounts) => amounts.value(row),
            Self::Texts(texts) => return parse_amount(texts.at(row)?),
        };
        match u64::try_from(amount) {
            Ok(amount) if amount <= MAX_AMOUNT => Ok(amount),
            _ if amount < 0 => Err(Problem::NegativeAmount(amount.to_string())),
            _ => Err(Problem::AmountTooLarge(shorten(&amount.to_string()))),
        }
    }
}
