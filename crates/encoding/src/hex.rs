//! Bytes in hexadecimal.

use std::fmt::{self, Debug, Display, Formatter};

/// Bytes that print as lower-case hexadecimal digits, two for each byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex<'a>(pub &'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Debug for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Parses `N` bytes from hexadecimal digits, upper or lower case. Returns `None` unless there are exactly 2·`N` digits.
#[must_use]
pub fn parse_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_for_bytes() {
        assert_eq!(Hex(&[0, 0x1f, 0xa0]).to_string(), "001fa0");
        assert_eq!(format!("{:?}", Hex(&[0xff])), "ff");
        assert_eq!(parse_hex::<3>("001fA0"), Some([0, 0x1f, 0xa0]));
        for bad in ["", "00", "001fa", "001fa00", "001fg0", "+01fa0", "00 fa0", "é1fa0"] {
            assert_eq!(parse_hex::<3>(bad), None, "{bad}");
        }
    }
}
