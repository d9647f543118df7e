//! From what a field holds to a score or an amount, whatever the format of the file.

use crate::error::{Problem, Rejected};
use crate::limits::MAX_AMOUNT;

/// Longest piece of a field that an error repeats, in characters.
const QUOTED: usize = 40;

/// A score between 0 and 1, in any decimal notation.
pub(super) fn parse_score(text: &str) -> Result<f64, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    match text.parse::<f64>() {
        Ok(score) if score.is_nan() => Err(Problem::NotANumber(shorten(text))),
        Ok(score) if (0.0..=1.0).contains(&score) => Ok(score),
        Ok(_) => Err(Problem::ScoreOutOfRange(shorten(text))),
        Err(_) => Err(Problem::NotANumber(shorten(text))),
    }
}

/// A whole number from 0 to 2^63. Never by way of a float, which would round from 2^53.
pub(super) fn parse_amount(text: &str) -> Result<u64, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse::<u64>() {
            Ok(amount) if amount <= MAX_AMOUNT => Ok(amount),
            _ => Err(Problem::AmountTooLarge(shorten(text))),
        };
    }
    // A plus sign is the one thing in which numbers differ from amounts.
    match text.parse::<f64>() {
        Ok(number) if number.is_nan() || text.starts_with('+') => Err(Problem::NotAnAmount(shorten(text))),
        Ok(number) if number.is_sign_negative() => Err(Problem::NegativeAmount(shorten(text))),
        Ok(number) if number.is_finite() => Err(Problem::FractionalAmount(shorten(text))),
        _ => Err(Problem::NotAnAmount(shorten(text))),
    }
}

pub(super) fn shorten(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let short = text.chars().take(QUOTED).map(visible);
    if text.chars().nth(QUOTED).is_some() { short.chain(['…']).collect() } else { short.collect() }
}

/// The columns that hold scores, `first` before the others, and their names.
///
/// # Errors
/// A name that the output could not tell from its columns of scores before the run.
pub(super) fn risk_types(
    header: &[String],
    id: usize,
    first: usize,
) -> Result<(Vec<usize>, Vec<String>), Rejected> {
    let further = (0..header.len()).filter(|&index| index != id && index != first);
    let columns: Vec<usize> = std::iter::once(first).chain(further).collect();
    let names: Vec<String> = columns.iter().filter_map(|&index| header.get(index).cloned()).collect();
    for name in &names {
        if name == BEFORE || names.iter().any(|other| *name == before(other)) {
            return Err(Rejected::new(name, Problem::ReservedColumn));
        }
    }
    Ok((columns, names))
}

/// Output column with the first risk type's score before the run.
pub(super) const BEFORE: &str = "before";

/// Output column with a further risk type's score before the run.
pub(super) fn before(column: &str) -> String {
    format!("{column}_before")
}
