//! The card holder's process.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;

use super::progress;
use crate::exchange::Connection;
use crate::metrics::Confusion;
use crate::table::{FEATURE_NAMES, Purchase, Table};
use crate::times::{Bytes, Times};
use crate::train::{CLASSES, is_fraud};
use crate::{Error, Result, model_file};
use subrosa_decision_tree::ClientKey;

/// How a batch is asked.
#[derive(Clone, Copy, Debug)]
pub struct PredictOptions {
    /// Connections that ask at the same time.
    pub connections: usize,
    /// How long an answer may take, queue and rate limit included.
    pub grace: Duration,
}

/// Asks a bank about every purchase of `input` and writes them with the verdicts to `output`: all of them, or no
/// file.
///
/// # Errors
/// [`Error::File`], [`Error::Line`] and [`Error::Value`] for the input, before anything is sent; [`Error::Network`] for
/// the server; [`Error::NoVerdict`] for an answer that names neither class; [`Error::Output`].
pub fn run(
    out: &mut impl Write,
    server: &str,
    input: &Path,
    output: &Path,
    options: &PredictOptions,
) -> Result<()> {
    let table = Table::read(input)?;
    let asked = ask_all(server, &table.rows, options)?;
    model_file::replace(output, csv(&table.rows, &asked.verdicts).as_bytes())?;
    report(out, &table, &asked).map_err(Error::Output)?;
    writeln!(out, "verdicts: {}", output.display()).map_err(Error::Output)
}

/// The result of a batch.
struct Asked {
    /// Whether each purchase was judged fraudulent.
    verdicts: Vec<bool>,
    key: Times,
    spent: Spent,
}

/// Times of one connection, and the sizes of its last query and answer.
#[derive(Default)]
struct Spent {
    encrypt: Times,
    answer: Times,
    decrypt: Times,
    query_bytes: usize,
    answer_bytes: usize,
}

/// What the connections share.
struct Batch<'a> {
    server: &'a str,
    rows: &'a [Purchase],
    grace: Duration,
    next: AtomicUsize,
    failed: AtomicBool,
    /// Whether each purchase was judged fraudulent; `None` until its answer has been decrypted.
    verdicts: Mutex<Vec<Option<bool>>>,
    bar: ProgressBar,
}

fn ask_all(server: &str, rows: &[Purchase], options: &PredictOptions) -> Result<Asked> {
    let connection = Connection::open(server, options.grace)?;
    let mut key_times = Times::default();
    let key = key_times.time(|| ClientKey::generate(connection.terms().parameters, &mut rand::rng()));
    let batch = Batch {
        server,
        rows,
        grace: options.grace,
        next: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        verdicts: Mutex::new(vec![None; rows.len()]),
        bar: progress(rows.len(), "asking"),
    };
    let spent = thread::scope(|scope| {
        let (batch, key) = (&batch, &key);
        let extra = 1..options.connections.clamp(1, rows.len().max(1));
        let others: Vec<_> = extra.map(|_| scope.spawn(move || batch.work(None, key))).collect();
        let mut spent = vec![batch.work(Some(connection), key)];
        spent.extend(
            others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
        );
        spent
    });
    batch.bar.finish_and_clear();
    let mut sum = Spent::default();
    for part in spent {
        sum.add(part?);
    }
    let verdicts = batch.verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Asked { verdicts: complete(verdicts)?, key: key_times, spent: sum })
}

/// The verdicts of all purchases.
fn complete(verdicts: Vec<Option<bool>>) -> Result<Vec<bool>> {
    let numbered = (1..).zip(verdicts);
    numbered.map(|(purchase, verdict)| verdict.ok_or(Error::NoVerdict { purchase })).collect()
}

impl Batch<'_> {
    /// Asks about one purchase after the other until none is left or some connection has failed.
    fn work(&self, connection: Option<Connection>, key: &ClientKey) -> Result<Spent> {
        let result = self.ask(connection, key);
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    fn ask(&self, connection: Option<Connection>, key: &ClientKey) -> Result<Spent> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => Connection::open(self.server, self.grace)?,
        };
        let mut spent = Spent::default();
        while !self.failed.load(Ordering::Relaxed) {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(row) = self.rows.get(index) else { break };
            let query = spent.encrypt.time(|| connection.encrypt(key, row))?;
            let answer = spent.answer.time(|| connection.ask(&query))?;
            let verdict = spent.decrypt.time(|| key.decrypt(&answer))?;
            (spent.query_bytes, spent.answer_bytes) = (query.to_bytes().len(), answer.to_bytes().len());
            let fraud = is_fraud(verdict.class()).ok_or(Error::NoVerdict { purchase: index + 1 })?;
            let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = verdicts.get_mut(index) {
                *place = Some(fraud);
            }
            self.bar.inc(1);
        }
        Ok(spent)
    }
}

impl Spent {
    fn add(&mut self, other: Self) {
        self.encrypt.add(other.encrypt);
        self.answer.add(other.answer);
        self.decrypt.add(other.decrypt);
        self.query_bytes = self.query_bytes.max(other.query_bytes);
        self.answer_bytes = self.answer_bytes.max(other.answer_bytes);
    }
}

/// The purchases with their verdicts.
fn csv(rows: &[Purchase], verdicts: &[bool]) -> String {
    let mut text = FEATURE_NAMES.join(",");
    text.push_str(",verdict\n");
    for (row, &fraud) in rows.iter().zip(verdicts) {
        for value in row {
            // Writing to a string cannot fail.
            let _ = write!(text, "{value},");
        }
        text.push_str(CLASSES[usize::from(fraud)]);
        text.push('\n');
    }
    text
}

fn report(out: &mut impl Write, table: &Table, asked: &Asked) -> std::io::Result<()> {
    let Asked { verdicts, key, spent } = asked;
    let fraud = verdicts.iter().filter(|fraud| **fraud).count();
    writeln!(out, "{} purchases, {fraud} judged fraudulent", verdicts.len())?;
    if let Some(labels) = &table.labels {
        let pairs = verdicts.iter().copied().zip(labels.iter().copied());
        writeln!(out, "against the labels of the file:\n{}", Confusion::count(pairs))?;
    }
    writeln!(out, "times (median):")?;
    writeln!(out, "  key                {key}")?;
    writeln!(out, "  encrypt            {}", spent.encrypt)?;
    writeln!(out, "  wait for answer    {}", spent.answer)?;
    writeln!(out, "  decrypt            {}", spent.decrypt)?;
    writeln!(out, "sizes: query {}, answer {}", Bytes(spent.query_bytes), Bytes(spent.answer_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purchase_without_a_verdict_is_an_error_and_not_genuine() {
        assert_eq!(complete(vec![Some(true), Some(false)]).unwrap(), [true, false]);
        let error = complete(vec![Some(true), None]).unwrap_err();
        assert!(matches!(error, Error::NoVerdict { purchase: 2 }), "{error}");
        assert_eq!([None, Some(0), Some(1), Some(2)].map(is_fraud), [None, Some(false), Some(true), None]);
    }

    #[test]
    fn the_table_names_the_class_of_each_purchase() {
        let text = csv(&[[0.5; 7], [1.0; 7]], &[false, true]);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines, ["0.5,0.5,0.5,0.5,0.5,0.5,0.5,genuine", "1,1,1,1,1,1,1,fraud"]);
    }
}
