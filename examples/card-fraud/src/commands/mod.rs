//! The subcommands. Those that end by themselves write their report to `out`, and fail if it cannot be written. Servers go on
//! if standard output cannot be written.

pub mod predict;
pub mod serve;
pub mod web;
pub mod whole;

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

use crate::model_file;
use crate::table::{self, Purchase};
use crate::train::{self, Labelled, TrainOptions, Trained};
use crate::{Error, Result, generate as made_up};

/// Writes made-up labelled purchases.
///
/// # Errors
/// [`Error::File`]; [`Error::Output`].
pub fn generate(out: &mut impl Write, output: &Path, rows: usize, seed: u64) -> Result<()> {
    let (rows, labels) = made_up::purchases(rows, seed);
    model_file::replace(output, csv(&rows, &labels).as_bytes())?;
    writeln!(out, "{} purchases, {} fraudulent: {}", rows.len(), frauds(&labels), output.display())
        .map_err(Error::Output)
}

/// The purchases as [`table::Table::read`] reads them, to the last bit.
fn csv(rows: &[Purchase], labels: &[bool]) -> String {
    let mut text = table::FEATURE_NAMES.join(",");
    text.push(',');
    text.push_str(table::LABEL_NAME);
    text.push('\n');
    for (row, label) in rows.iter().zip(labels) {
        for value in row {
            // Writing to a string cannot fail.
            let _ = write!(text, "{value},");
        }
        text.push_str(if *label { "1\n" } else { "0\n" });
    }
    text
}

/// Learns a tree, writes it, and says how good it is on rows that it has not seen.
///
/// # Errors
/// [`Error::Data`] where there is too little to learn from; [`Error::File`]; [`Error::Output`].
pub fn train(out: &mut impl Write, data: &Labelled, model: &Path, options: &TrainOptions) -> Result<()> {
    let trained = train::train(data, options)?;
    model_file::write(model, &trained.model, trained.quantized.schema())?;
    report(out, data, &trained).map_err(Error::Output)?;
    writeln!(out, "\nmodel file (holds the tree in the clear, stays with the bank): {}", model.display())
        .map_err(Error::Output)
}

fn report(out: &mut impl Write, data: &Labelled, trained: &Trained) -> std::io::Result<()> {
    let held_out = trained.held_out.rows.len();
    writeln!(out, "{} purchases, {} fraudulent", data.rows.len(), frauds(&data.labels))?;
    writeln!(out, "trained on {}, held out {held_out}, the same share of each class", trained.training_rows)?;
    writeln!(out, "tree: {} splits, depth {}", trained.model.splits(), trained.model.depth())?;
    writeln!(out, "\nlearned tree on the held-out purchases:\n{}", trained.original_counts)?;
    writeln!(out, "\non the schema's grid ({} splits are left):", trained.quantized.splits())?;
    writeln!(out, "{}", trained.quantized_counts)?;
    writeln!(out, "  agrees with the learned tree on {} of {held_out}", trained.agreeing)
}

/// Prints a line now, also into a pipe; a reader that has left does not matter.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// A bar for a batch; silent where nobody watches.
fn progress(steps: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left") {
        bar.set_style(style);
    }
    bar.with_message(what)
}

fn frauds(labels: &[bool]) -> usize {
    labels.iter().filter(|label| **label).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn what_is_generated_is_read_back_to_the_last_bit() {
        let (rows, labels) = made_up::purchases(500, 4);
        let table = table::Table::parse("made", csv(&rows, &labels).as_bytes()).unwrap();
        assert_eq!((table.rows, table.labels), (rows, Some(labels)));
    }

    #[test]
    fn errors_of_writing_name_the_file() {
        let error = generate(&mut Vec::new(), Path::new("/nowhere/at/all.csv"), 3, 1).unwrap_err();
        assert!(matches!(&error, Error::File { file, .. } if file == "/nowhere/at/all.csv"), "{error}");
    }
}
