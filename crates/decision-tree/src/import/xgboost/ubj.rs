//! UBJSON, as far as XGBoost writes it: <https://ubjson.org>, all numbers big-endian.

use serde_json::{Map, Number, Value};

/// Greatest number of objects and arrays within each other.
const MAX_NESTING: usize = 32;

/// Reads one value that takes the whole file.
pub(super) fn read(file: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { file, place: 0 };
    let marker = reader.marker()?;
    let value = reader.value(marker, 0)?;
    if reader.place == file.len() { Ok(value) } else { Err(reader.fault("more follows the object")) }
}

struct Reader<'a> {
    file: &'a [u8],
    place: usize,
}

impl<'a> Reader<'a> {
    fn fault(&self, what: &str) -> String {
        format!("byte {}: {what}", self.place)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.place.checked_add(count);
        let bytes = end.and_then(|end| self.file.get(self.place..end));
        let bytes = bytes.ok_or_else(|| self.fault("the file ends within a value"))?;
        self.place += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| self.fault("the file ends within a value"))
    }

    /// The next byte that is no padding.
    fn marker(&mut self) -> Result<u8, String> {
        loop {
            let [byte] = self.array()?;
            if byte != b'N' {
                return Ok(byte);
            }
        }
    }

    /// Skips the next marker if it is this one.
    fn skip(&mut self, marker: u8) -> bool {
        let here = self.file.get(self.place) == Some(&marker);
        self.place += usize::from(here);
        here
    }

    fn value(&mut self, marker: u8, nesting: usize) -> Result<Value, String> {
        Ok(match marker {
            b'{' | b'[' if nesting >= MAX_NESTING => return Err(self.fault("objects are nested too deeply")),
            b'{' => self.object(nesting)?,
            b'[' => self.list(nesting)?,
            b'S' => Value::String(self.text()?),
            b'T' => Value::Bool(true),
            b'F' => Value::Bool(false),
            b'Z' => Value::Null,
            b'd' => {
                let value = f32::from_be_bytes(self.array()?);
                self.real(f64::from(value))?
            }
            b'D' => {
                let value = f64::from_be_bytes(self.array()?);
                self.real(value)?
            }
            _ => Value::Number(self.integer(marker)?.into()),
        })
    }

    fn real(&self, value: f64) -> Result<Value, String> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.fault("a number is not finite"))
    }

    fn integer(&mut self, marker: u8) -> Result<i64, String> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Err(self.fault("this is no marker of UBJSON that XGBoost uses")),
        })
    }

    fn length(&mut self) -> Result<usize, String> {
        let marker = self.marker()?;
        let length = self.integer(marker)?;
        usize::try_from(length).map_err(|_| self.fault("a length is negative"))
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.fault("a text is not UTF-8"))
    }

    fn object(&mut self, nesting: usize) -> Result<Value, String> {
        let mut entries = Map::new();
        while !self.skip(b'}') {
            let name = self.text()?;
            let marker = self.marker()?;
            let value = self.value(marker, nesting + 1)?;
            if entries.insert(name, value).is_some() {
                return Err(self.fault("a name appears twice"));
            }
        }
        Ok(Value::Object(entries))
    }

    fn list(&mut self, nesting: usize) -> Result<Value, String> {
        let kind = if self.skip(b'$') { Some(self.marker()?) } else { None };
        if kind.is_some_and(|kind| !b"iUIlLdDS".contains(&kind)) {
            return Err(self.fault("a list is of a type that XGBoost does not use"));
        }
        let mut values = Vec::new();
        if self.skip(b'#') {
            // Each value takes a byte at least, so that the file's end stops a wrong count.
            for _ in 0..self.length()? {
                let marker = kind.map_or_else(|| self.marker(), Ok)?;
                values.push(self.value(marker, nesting + 1)?);
            }
        } else if kind.is_some() {
            return Err(self.fault("a typed list has no length"));
        } else {
            while !self.skip(b']') {
                let marker = self.marker()?;
                values.push(self.value(marker, nesting + 1)?);
            }
        }
        Ok(Value::Array(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind() {
        let file = b"{i\x01a[$l#i\x02\0\0\0\x07\xff\xff\xff\xffi\x01b[TFZ]i\x01cd\x3f\x80\0\0i\x01dSU\x02hi}";
        let expected = serde_json::json!({"a": [7, -1], "b": [true, false, null], "c": 1.0, "d": "hi"});
        assert_eq!(read(file).unwrap(), expected);
        for end in 0..file.len() {
            assert!(read(&file[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn damage_is_named_with_its_place() {
        for (file, message) in [
            (&b"{i\x01aX}"[..], "byte 5: this is no marker"),
            (b"[#L\x7f\0\0\0\0\0\0\0", "ends within"),
            (b"[$T#i\x05", "does not use"),
            (b"[$i]", "no length"),
            (b"{i\x01aTi\x01aT}", "twice"),
            (b"{}}", "more follows"),
            (b"Si\xff", "negative"),
            (b"Si\x01\xff", "UTF-8"),
            (b"d\x7f\xc0\0\0", "not finite"),
        ] {
            let error = read(file).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        assert!(read(&[b'['; 100]).unwrap_err().contains("nested"));
    }
}
