//! CSV in, row by row.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use csv::ByteRecord;

use super::values::{parse_amount, parse_score, risk_types};
use crate::banks::{BankId, Banks};
use crate::error::{Error, Problem, Rejected};
use crate::network::{NetworkBuilder, Transfer};

/// Greatest length of a row, in bytes, give or take what is read at a time.
const LONGEST_ROW: usize = 1 << 20;

/// Reads a list of accounts and starts a network with it.
pub(super) fn read_accounts(file: &Path, banks: Banks, own: BankId) -> Result<NetworkBuilder, Error> {
    let mut rows = Rows::open(file)?;
    let id = rows.column("id")?;
    let first = rows.column("risk_score")?;
    let (columns, names) = risk_types(&rows.header, id, first).map_err(|rejected| rows.at(1, rejected))?;

    let mut builder = NetworkBuilder::new(banks, own, names);
    let mut scores = Vec::with_capacity(columns.len());
    while rows.next()? {
        scores.clear();
        for &column in &columns {
            scores.push(rows.parse(column, parse_score)?);
        }
        let name = rows.text(id)?;
        builder.account(name, &scores).map_err(|rejected| rows.error(rejected))?;
    }
    Ok(builder)
}

/// Reads the transfers of one period into a network.
pub(super) fn read_transfers(file: &Path, period: usize, builder: &mut NetworkBuilder) -> Result<(), Error> {
    let mut rows = Rows::open(file)?;
    let id_source = rows.column("id_source")?;
    let bank_source = rows.column("bank_source")?;
    let id_destination = rows.column("id_destination")?;
    let bank_destination = rows.column("bank_destination")?;
    let amount = rows.column("amount")?;
    builder.periods(period + 1);
    while rows.next()? {
        let transfer = Transfer {
            id_source: rows.text(id_source)?,
            bank_source: rows.text(bank_source)?,
            id_destination: rows.text(id_destination)?,
            bank_destination: rows.text(bank_destination)?,
            amount: rows.parse(amount, parse_amount)?,
        };
        builder.transfer(period, &transfer).map_err(|rejected| rows.error(rejected))?;
    }
    Ok(())
}

/// The rows of a file under a header, with the place of whatever goes wrong.
struct Rows<'a> {
    file: &'a Path,
    reader: csv::Reader<Metered>,
    /// Bytes read since the last row.
    since: Rc<Cell<usize>>,
    header: Vec<String>,
    record: ByteRecord,
}

impl<'a> Rows<'a> {
    fn open(file: &'a Path) -> Result<Self, Error> {
        let source = File::open(file).map_err(|source| Error::io(file, source))?;
        let since = Rc::new(Cell::new(0));
        let source = Metered { source, since: Rc::clone(&since) };
        // Rows of another length are met by `next`, which says which column is missing.
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).buffer_capacity(1 << 16).from_reader(source);
        let bytes = reader.byte_headers().map_err(|error| csv_error(file, &error))?.clone();
        let mut rows = Self { file, reader, since, header: Vec::new(), record: ByteRecord::new() };
        for (index, field) in bytes.iter().enumerate() {
            let Ok(name) = std::str::from_utf8(field) else {
                return Err(rows.at(1, Rejected::new(&format!("{}", index + 1), Problem::InvalidUtf8)));
            };
            let name = name.trim();
            if rows.header.iter().any(|other| other == name) {
                return Err(rows.at(1, Rejected::new(name, Problem::RepeatedColumn)));
            }
            rows.header.push(name.to_owned());
        }
        Ok(rows)
    }

    /// Index of a column that must be there.
    fn column(&self, name: &str) -> Result<usize, Error> {
        let found = self.header.iter().position(|other| other == name);
        found.ok_or_else(|| self.at(1, Rejected::new(name, Problem::MissingColumn)))
    }

    /// Goes to the next row; false at the end.
    fn next(&mut self) -> Result<bool, Error> {
        self.since.set(0);
        let line = self.reader.position().line();
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => Ok(false),
            Ok(true) if self.record.len() == self.header.len() => Ok(true),
            Ok(true) => {
                let (found, expected) = (self.record.len(), self.header.len());
                let column = self.name(found.min(expected.saturating_sub(1))).to_owned();
                Err(self.error(Rejected::new(&column, Problem::WrongFieldCount { found, expected })))
            }
            Err(_) if self.since.get() > LONGEST_ROW => Err(Error::Csv {
                file: self.file.to_owned(),
                line,
                reason: "the row is longer than a megabyte; is a quote not closed?".to_owned(),
            }),
            Err(error) => Err(csv_error(self.file, &error)),
        }
    }

    fn text(&self, column: usize) -> Result<&str, Error> {
        let bytes = self.record.get(column).unwrap_or_default();
        std::str::from_utf8(bytes)
            .map_err(|_| self.error(Rejected::new(self.name(column), Problem::InvalidUtf8)))
    }

    fn parse<T>(&self, column: usize, parse: impl Fn(&str) -> Result<T, Problem>) -> Result<T, Error> {
        parse(self.text(column)?).map_err(|problem| self.error(Rejected::new(self.name(column), problem)))
    }

    fn name(&self, column: usize) -> &str {
        self.header.get(column).map_or("", |name| name)
    }

    /// An error in the present row.
    fn error(&self, rejected: Rejected) -> Error {
        self.at(self.line(), rejected)
    }

    /// Line on which the present row begins.
    fn line(&self) -> u64 {
        let Some(position) = self.record.position() else { return 1 };
        line_at(self.file, position.byte()).unwrap_or(position.line())
    }

    fn at(&self, line: u64, rejected: Rejected) -> Error {
        Error::Data { file: self.file.to_owned(), line, rejected }
    }
}

/// A file of which no row may be too long: one quote that is not closed would make a row of the whole rest.
struct Metered {
    source: File,
    since: Rc<Cell<usize>>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.since.get() > LONGEST_ROW {
            return Err(std::io::Error::other("a row is longer than a megabyte"));
        }
        let count = self.source.read(buffer)?;
        self.since.set(self.since.get().saturating_add(count));
        Ok(count)
    }
}

/// Line of the first row that begins at byte `start` or after it. The reader counts blank lines before a row as the row's.
fn line_at(file: &Path, start: u64) -> Option<u64> {
    let mut line = 1;
    // A pipe cannot be read again.
    let source = Some(file).filter(|file| file.is_file()).and_then(|file| File::open(file).ok())?;
    for (place, byte) in (0..).zip(BufReader::new(source).bytes()) {
        match byte.ok()? {
            b'\n' => line += 1,
            b'\r' => {}
            _ if place >= start => break,
            _ => {}
        }
    }
    Some(line)
}

fn csv_error(file: &Path, error: &csv::Error) -> Error {
    if let csv::ErrorKind::Io(source) = error.kind() {
        // The kind is all that can be carried on: the cause is borrowed.
        return Error::io(file, std::io::Error::new(source.kind(), source.to_string()));
    }
    let line = error.position().map_or(1, csv::Position::line);
    Error::Csv { file: file.to_owned(), line, reason: error.to_string() }
}
