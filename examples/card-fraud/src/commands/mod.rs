//! What the subcommands do.

pub mod predict;
pub mod serve;
pub mod web;
pub mod whole;

use crate::model_file;
use crate::table::{self, Purchase};
use crate::train::{self, Labelled, TrainOptions, Trained};
use crate::{Result, generate as made_up};
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Writes made-up labelled purchases.
///
/// # Errors
/// [`crate::Error::File`].
pub fn generate(output: &Path, rows: usize, seed: u64) -> Result<()> {
    let (rows, labels) = made_up::purchases(rows, seed);
    model_file::replace(output, csv(&rows, &labels).as_bytes())?;
    println!("{} purchases, {} fraudulent: {}", rows.len(), frauds(&labels), output.display());
    Ok(())
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

/// Learns a tree, says how good it is on rows that it has not seen, and writes it.
///
/// # Errors
/// [`crate::Error::Data`] where there is too little to learn from; [`crate::Error::File`].
pub fn train(data: &Labelled, model: &Path, options: &TrainOptions) -> Result<()> {
    let trained = train::train(data, options)?;
    report(data, &trained);
    model_file::write(model, &trained.model, trained.quantized.schema())?;
    println!("\nmodel file (holds the tree in the clear, stays with the bank): {}", model.display());
    Ok(())
}

fn report(data: &Labelled, trained: &Trained) {
    let held_out = trained.held_out.rows.len();
    println!("{} purchases, {} fraudulent", data.rows.len(), frauds(&data.labels));
    println!("trained on {}, held out {held_out}, the same share of each class", trained.training_rows);
    println!("tree: {} splits, depth {}", trained.model.splits(), trained.model.depth());
    println!("\nlearned tree on the held-out purchases:\n{}", trained.original_counts);
    println!("\non the schema's grid ({} splits are left):", trained.quantized.splits());
    println!("{}", trained.quantized_counts);
    println!("  agrees with the learned tree on {} of {held_out}", trained.agreeing);
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
    use crate::Error;

    #[test]
    fn what_is_generated_is_read_back_to_the_last_bit() {
        let (rows, labels) = made_up::purchases(500, 4);
        let table = table::Table::parse("made", csv(&rows, &labels).as_bytes()).unwrap();
        assert_eq!((table.rows, table.labels), (rows, Some(labels)));
    }

    #[test]
    fn errors_of_writing_name_the_file() {
        let error = generate(Path::new("/nowhere/at/all.csv"), 3, 1).unwrap_err();
        assert!(matches!(&error, Error::File { file, .. } if file == "/nowhere/at/all.csv"), "{error}");
    }
}
