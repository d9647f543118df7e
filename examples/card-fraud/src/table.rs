//! Tables of purchases: the columns of the public card-transaction set, as CSV.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::{Error, Result};

/// How many features a purchase has.
pub const FEATURES: usize = 7;

/// The features, in the order in which a model reads them.
pub const FEATURE_NAMES: [&str; FEATURES] = [
    "distance_from_home",
    "distance_from_last_transaction",
    "ratio_to_median_purchase_price",
    "repeat_retailer",
    "used_chip",
    "used_pin_number",
    "online_order",
];

/// How many of the features are amounts; the others are switches.
pub const AMOUNTS: usize = 3;

/// The column that says whether a purchase was fraudulent.
pub const LABEL_NAME: &str = "fraud";

/// A purchase: two distances in kilometres, a ratio, four switches (0 or 1).
pub type Purchase = [f64; FEATURES];

/// Purchases and, where the file has them, their labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The purchases in the file's order.
    pub rows: Vec<Purchase>,
    /// Whether each was fraudulent; `None` without the column `fraud`.
    pub labels: Option<Vec<bool>>,
}

impl Table {
    /// Reads a CSV file. Columns may stand in any order, and others may stand among them.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Line`] (missing column, wrong number of fields, invalid UTF-8) and
    /// [`Error::Value`] (not a number, negative, not finite, a switch that is neither 0 nor 1).
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::file(path, error))?;
        Self::parse(&path.display().to_string(), BufReader::new(file))
    }

    /// As [`Self::read`], and the column `fraud` must be there.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_labelled(path: &Path) -> Result<(Vec<Purchase>, Vec<bool>)> {
        let table = Self::read(path)?;
        let missing = || Error::Line {
            file: path.display().to_string(),
            line: 1,
            reason: format!("the column {LABEL_NAME} is missing"),
        };
        Ok((table.rows, table.labels.ok_or_else(missing)?))
    }

    /// Reads CSV from anything; `file` is the name in messages.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(file: &str, reader: impl Read) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(reader);
        let header = reader.headers().map_err(|error| line_error(file, &error))?.clone();
        let columns = Columns::find(file, &header)?;
        let mut table = Self { rows: Vec::new(), labels: columns.label.map(|_| Vec::new()) };
        for record in reader.records() {
            let record = record.map_err(|error| line_error(file, &error))?;
            let line = record.position().map_or(0, csv::Position::line);
            let mut row = [0.0; FEATURES];
            for (index, (value, &column)) in row.iter_mut().zip(&columns.features).enumerate() {
                *value = parse_value(file, line, index, field(file, line, &record, column)?)?;
            }
            table.rows.push(row);
            if let (Some(labels), Some(column)) = (&mut table.labels, columns.label) {
                let text = field(file, line, &record, column)?;
                labels.push(parse_switch(file, line, LABEL_NAME, text)? == 1.0);
            }
        }
        Ok(table)
    }
}

/// Where the columns stand in a file.
struct Columns {
    features: [usize; FEATURES],
    label: Option<usize>,
}

impl Columns {
    fn find(file: &str, header: &csv::StringRecord) -> Result<Self> {
        let fault = |reason| Error::Line { file: file.to_owned(), line: 1, reason };
        let find = |name: &str| {
            let mut places =
                header.iter().enumerate().filter(|(_, column)| *column == name).map(|(at, _)| at);
            match (places.next(), places.next()) {
                (Some(_), Some(_)) => Err(fault(format!("the column {name} appears twice"))),
                (place, _) => Ok(place),
            }
        };
        let mut features = [0; FEATURES];
        for (place, name) in features.iter_mut().zip(FEATURE_NAMES) {
            *place = find(name)?.ok_or_else(|| fault(format!("the column {name} is missing")))?;
        }
        Ok(Self { features, label: find(LABEL_NAME)? })
    }
}

/// Reads the text of one feature; messages carry the line and the column.
///
/// # Errors
/// [`Error::Value`].
pub fn parse_value(file: &str, line: u64, feature: usize, text: &str) -> Result<f64> {
    let column = FEATURE_NAMES.get(feature).copied().unwrap_or("");
    if feature >= AMOUNTS {
        return parse_switch(file, line, column, text);
    }
    let value: f64 = text.parse().map_err(|_| fault(file, line, column, text, "is not a number"))?;
    if !value.is_finite() {
        return Err(fault(file, line, column, text, "is not a finite number"));
    }
    if value < 0.0 {
        return Err(fault(file, line, column, text, "is negative"));
    }
    Ok(value)
}

fn field<'a>(file: &str, line: u64, record: &'a csv::StringRecord, column: usize) -> Result<&'a str> {
    let reason = || format!("field {} is missing", column + 1);
    record.get(column).ok_or_else(|| Error::Line { file: file.to_owned(), line, reason: reason() })
}

fn parse_switch(file: &str, line: u64, column: &'static str, text: &str) -> Result<f64> {
    match text.parse() {
        Ok(value @ (0.0 | 1.0)) => Ok(value),
        _ => Err(fault(file, line, column, text, "is neither 0 nor 1")),
    }
}

fn fault(file: &str, line: u64, column: &'static str, text: &str, reason: &'static str) -> Error {
    let value = text.chars().take(40).collect();
    Error::Value { file: file.to_owned(), line, column, value, reason }
}

fn line_error(file: &str, error: &csv::Error) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => format!("field {} is not valid UTF-8", err.field() + 1),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, the header has {expected_len}")
        }
        csv::ErrorKind::Io(error) => error.to_string(),
        _ => "not CSV".to_owned(),
    };
    Error::Line { file: file.to_owned(), line, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "distance_from_home,distance_from_last_transaction,ratio_to_median_purchase_price,\
                          repeat_retailer,used_chip,used_pin_number,online_order,fraud";

    fn error(text: &str) -> String {
        Table::parse("rows.csv", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn columns_in_any_order_with_others_among_them() {
        let text = "id,fraud,online_order,used_pin_number,used_chip,repeat_retailer,\
                    ratio_to_median_purchase_price,distance_from_last_transaction,distance_from_home\n\
                    a,1.0,1,0,1.0,0,2.5,3e-1, 40\n";
        let table = Table::parse("rows.csv", text.as_bytes()).unwrap();
        assert_eq!(table.rows, [[40.0, 0.3, 2.5, 0.0, 1.0, 0.0, 1.0]]);
        assert_eq!(table.labels, Some(vec![true]));
    }

    #[test]
    fn errors_name_file_line_and_column() {
        let row = |row: &str| error(&format!("{HEADER}\n1,1,1,1,1,1,1,0\n{row}\n"));
        let cases = [
            ("x,1,1,1,1,1,1,0", "rows.csv, line 3, column distance_from_home: \"x\" is not a number"),
            (
                "1,,1,1,1,1,1,0",
                "rows.csv, line 3, column distance_from_last_transaction: \"\" is not a number",
            ),
            ("1,1,-2,1,1,1,1,0", "line 3, column ratio_to_median_purchase_price: \"-2\" is negative"),
            ("1,1,NaN,1,1,1,1,0", "\"NaN\" is not a finite number"),
            ("1,1,inf,1,1,1,1,0", "\"inf\" is not a finite number"),
            ("1,1,1,1,0.5,1,1,0", "column used_chip: \"0.5\" is neither 0 nor 1"),
            ("1,1,1,1,1,1,1,2", "column fraud: \"2\" is neither 0 nor 1"),
            ("1,1,1,1,1,1,1", "line 3: 7 fields, the header has 8"),
        ];
        for (bad, message) in cases {
            assert!(row(bad).contains(message), "{}", row(bad));
        }
        assert!(error("a,b\n1,2\n").contains("line 1: the column distance_from_home is missing"));
        let twice = format!("{HEADER},fraud\n");
        assert!(error(&twice).contains("the column fraud appears twice"));
        let bytes = [format!("{HEADER}\n1,1,1,1,1,1,").as_bytes(), b"\xff,0\n"].concat();
        let message = Table::parse("rows.csv", &bytes[..]).unwrap_err().to_string();
        assert!(message.contains("line 2: field 7 is not valid UTF-8"), "{message}");
    }

    #[test]
    fn labels_are_optional_unless_they_are_needed() {
        let text = HEADER.trim_end_matches(",fraud");
        assert_eq!(Table::parse("rows.csv", format!("{text}\n").as_bytes()).unwrap(), Table::default());
    }
}
