//! A look at the wire format before it is decoded.
//!
//! A message that takes two bytes in the file takes over a hundred in memory, so a file of empty messages could ask
//! for a hundred times its size. Counting them first keeps memory near the size of the file.

use super::damaged;
use crate::import::ImportError;

/// Greatest number of messages (operators, attributes, inputs, outputs) that a file may hold.
const MAX_MESSAGES: usize = 20_000;

/// Where messages lie within messages: `(field, what it holds)`.
struct Shape(&'static [(u64, &'static Shape)]);

static PLAIN: Shape = Shape(&[]);
static DIMENSIONS: Shape = Shape(&[(1, &PLAIN)]);
static TENSOR_TYPE: Shape = Shape(&[(2, &DIMENSIONS)]);
static TYPE: Shape = Shape(&[(1, &TENSOR_TYPE)]);
static VALUE: Shape = Shape(&[(2, &TYPE)]);
/// Inputs, outputs (strings) and attributes, which hold nothing repeated but numbers and strings.
static OPERATOR: Shape = Shape(&[(1, &PLAIN), (2, &PLAIN), (5, &PLAIN)]);
static GRAPH: Shape = Shape(&[(1, &OPERATOR), (5, &PLAIN), (11, &VALUE), (12, &VALUE)]);
static MODEL: Shape = Shape(&[(7, &GRAPH), (8, &PLAIN)]);

/// Refuses a file with too many messages, or one that is no protocol-buffer file at all.
pub(super) fn check_counts(file: &[u8]) -> Result<(), ImportError> {
    let mut count = 0;
    // At most one entry for each level and message: the shapes are finite and have no cycle.
    let mut open = vec![(file, &MODEL)];
    while let Some((mut rest, shape)) = open.pop() {
        while !rest.is_empty() {
            let (field, content) = take_field(&mut rest).ok_or_else(|| damaged("a field is cut short"))?;
            let Some((_, inner)) = shape.0.iter().find(|(known, _)| *known == field) else { continue };
            count += 1;
            if count > MAX_MESSAGES {
                let what = "operators, attributes and tensors".into();
                return Err(ImportError::TooLarge { what, count, limit: MAX_MESSAGES });
            }
            if let (Some(content), false) = (content, inner.0.is_empty()) {
                open.push((content, inner));
            }
        }
    }
    Ok(())
}

/// One field and, where it is length-delimited, its content; `None` if the bytes end within it.
fn take_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let key = take_varint(rest)?;
    let content = match key & 7 {
        0 => {
            take_varint(rest)?;
            None
        }
        1 => {
            take(rest, 8)?;
            None
        }
        2 => {
            let length = usize::try_from(take_varint(rest)?).ok()?;
            Some(take(rest, length)?)
        }
        5 => {
            take(rest, 4)?;
            None
        }
        // Groups do not occur in ONNX.
        _ => return None,
    };
    Some((key >> 3, content))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, back) = rest.split_at_checked(count)?;
    *rest = back;
    Some(front)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_empty_operators_is_refused_before_it_is_decoded() {
        let operators = [0x0a, 0x00].repeat(MAX_MESSAGES + 1);
        let mut file = vec![0x3a];
        prost::encode_length_delimiter(operators.len(), &mut file).unwrap();
        file.extend(operators);
        assert!(matches!(check_counts(&file), Err(ImportError::TooLarge { .. })));
    }

    #[test]
    fn short_fields_are_damage() {
        for file in [&[0x3a, 0x05, 0x00][..], &[0x80], &[0x09, 1, 2], &[0x0b]] {
            assert!(matches!(check_counts(file), Err(ImportError::Malformed { .. })), "{file:?}");
        }
    }
}
