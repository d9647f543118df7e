//! What two workers say to each other before anything else.

use std::io::{self, Read, Write};

/// How a greeting begins.
const MAGIC: [u8; 8] = *b"subrosaC";

/// The version of everything that workers send each other, the engine's own messages included: raise it with the engine's.
const VERSION: u16 = 1;

/// Bytes before the version is known.
const START: usize = 10;

/// Bytes of the rest.
const REST: usize = 47;

/// In which direction a connection is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The worker that connects writes.
    Forth,
    /// The worker that accepts writes.
    Back,
}

impl Direction {
    pub(crate) const BOTH: [Self; 2] = [Self::Forth, Self::Back];
}

/// What a worker is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) version: u16,
    pub(crate) generation: u64,
    pub(crate) workers: u16,
    pub(crate) worker: u16,
    pub(crate) shards: u16,
    pub(crate) direction: Direction,
    /// SHA-256 of the workers' certificates in order.
    pub(crate) certificates: [u8; 32],
}

impl Greeting {
    pub(crate) const VERSION: u16 = VERSION;

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(START + REST);
        bytes.extend(MAGIC);
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.generation.to_le_bytes());
        bytes.extend(self.workers.to_le_bytes());
        bytes.extend(self.worker.to_le_bytes());
        bytes.extend(self.shards.to_le_bytes());
        bytes.push(u8::from(self.direction == Direction::Back));
        bytes.extend(self.certificates);
        bytes
    }

    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.to_bytes())?;
        to.flush()
    }

    /// Reads a greeting. One of another version has that version and nothing else of value.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut start = [0; START];
        from.read_exact(&mut start)?;
        let Some(version) = start.strip_prefix(&MAGIC).and_then(|rest| rest.first_chunk()) else {
            return Ok(None);
        };
        let mut greeting = Self {
            version: u16::from_le_bytes(*version),
            generation: 0,
            workers: 0,
            worker: 0,
            shards: 0,
            direction: Direction::Forth,
            certificates: [0; 32],
        };
        if greeting.version != VERSION {
            return Ok(Some(greeting));
        }
        let mut rest = [0; REST];
        from.read_exact(&mut rest)?;
        let number = |place: usize| u16::from_le_bytes([rest[place], rest[place + 1]]);
        let (mut generation, mut certificates) = ([0; 8], [0; 32]);
        generation.copy_from_slice(&rest[..8]);
        certificates.copy_from_slice(&rest[15..]);
        greeting.generation = u64::from_le_bytes(generation);
        (greeting.workers, greeting.worker, greeting.shards) = (number(8), number(10), number(12));
        greeting.certificates = certificates;
        greeting.direction = match rest[14] {
            0 => Direction::Forth,
            1 => Direction::Back,
            _ => return Ok(None),
        };
        Ok(Some(greeting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_pinned() {
        let greeting = Greeting {
            version: VERSION,
            generation: 0x0102_0304,
            workers: 3,
            worker: 2,
            shards: 64,
            direction: Direction::Back,
            certificates: [9; 32],
        };
        let bytes = greeting.to_bytes();
        let expected = [b"subrosaC\x01\0\x04\x03\x02\x01\0\0\0\0\x03\0\x02\0\x40\0\x01".as_slice(), &[9; 32]];
        assert_eq!(bytes, expected.concat());
        assert_eq!(Greeting::read(&mut bytes.as_slice()).unwrap(), Some(greeting));
    }

    #[test]
    fn other_bytes_are_no_greeting() {
        let read = |bytes: &[u8]| Greeting::read(&mut &*bytes);
        assert!(read(b"subrosa").is_err());
        assert_eq!(read(&[7; START + REST]).unwrap(), None);
        let later = read(b"subrosaC\x02\0").unwrap().unwrap();
        assert_eq!(later.version, 2);
        assert!(read(b"subrosaC\x01\0\0\0").is_err());
    }
}
