//! The seeds of a bank's runs in a file: a line for each run with the session in which it began and the seed, both in
//! hexadecimal.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use super::private;
use crate::steps::randomness::RunSeed;

/// Digits of a session id or a seed.
const DIGITS: usize = 64;
/// Bytes of a line.
const LINE: usize = 2 * DIGITS + 2;
/// Longest file that is read.
const MOST_BYTES: u64 = 16 << 20;

/// Why a file of seeds is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedFileError {
    /// Reading or writing failed.
    #[error("it cannot be read or written")]
    Io(#[from] std::io::Error),
    /// A line that does not hold a session and a seed.
    #[error("line {line} is not 64 hexadecimal digits of a session, a space and 64 of a seed")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// Longer than any bank's.
    #[error("it is longer than {MOST_BYTES} bytes")]
    TooLong,
}

/// The seeds of runs, by the session in which each began.
#[derive(Debug, Clone, Default)]
pub struct Seeds(BTreeMap<[u8; 32], RunSeed>);

impl Seeds {
    /// Adds a run's seed.
    pub fn insert(&mut self, run: [u8; 32], seed: RunSeed) {
        self.0.insert(run, seed);
    }

    /// The seed of a run.
    #[must_use]
    pub fn get(&self, run: &[u8; 32]) -> Option<&RunSeed> {
        self.0.get(run)
    }

    /// Reads a file of seeds.
    ///
    /// # Errors
    /// [`SeedFileError`].
    pub fn read(path: &Path) -> Result<Self, SeedFileError> {
        let mut text = Zeroizing::new(Vec::new());
        std::fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MOST_BYTES {
            return Err(SeedFileError::TooLong);
        }
        let mut seeds = Self::default();
        for (line, text) in (1..).zip(text.split_inclusive(|&byte| byte == b'\n')) {
            let wrong = || SeedFileError::Line { line };
            let [run @ .., b'\n'] = text else { return Err(wrong()) };
            let (run, seed) = run.split_at_checked(DIGITS).ok_or_else(wrong)?;
            let [b' ', seed @ ..] = seed else { return Err(wrong()) };
            let seed = Zeroizing::new(bytes(seed).ok_or_else(wrong)?);
            seeds.insert(bytes(run).ok_or_else(wrong)?, RunSeed::from_bytes(*seed));
        }
        Ok(seeds)
    }

    /// Adds a run's seed to a file, which only its owner may read (mode 0600 on Unix), and brings it to the disk. What a killed
    /// process left of its last line is dropped.
    ///
    /// # Errors
    /// The system's.
    pub fn append(path: &Path, run: &[u8; 32], seed: &RunSeed) -> std::io::Result<()> {
        let mut file = private().create(true).append(true).read(true).open(path)?;
        let length = file.metadata()?.len();
        file.set_len(length - length % LINE as u64)?;
        let mut line = Zeroizing::new(Vec::with_capacity(LINE));
        for byte in run {
            line.extend_from_slice(&digits(*byte));
        }
        line.push(b' ');
        for byte in seed.expose() {
            line.extend_from_slice(&digits(*byte));
        }
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_all()
    }
}

fn digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 })
}

fn bytes(digits: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != DIGITS {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_found_by_their_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seeds");
        Seeds::append(&path, &[1; 32], &RunSeed::from_bytes([0xab; 32])).unwrap();
        // A torn line, as a crash may leave it.
        let torn = [&std::fs::read(&path).unwrap()[..], b"12"].concat();
        std::fs::write(&path, torn).unwrap();
        assert!(matches!(Seeds::read(&path), Err(SeedFileError::Line { line: 2 })));
        Seeds::append(&path, &[2; 32], &RunSeed::from_bytes([9; 32])).unwrap();
        let seeds = Seeds::read(&path).unwrap();
        assert_eq!(seeds.get(&[1; 32]).unwrap().expose(), &[0xab; 32]);
        assert_eq!(seeds.get(&[2; 32]).unwrap().expose(), &[9; 32]);
        assert!(seeds.get(&[3; 32]).is_none());
        let mut bad = std::fs::read(&path).unwrap();
        bad[LINE + 70] = b'G';
        std::fs::write(&path, bad).unwrap();
        assert!(matches!(Seeds::read(&path), Err(SeedFileError::Line { line: 2 })));
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
            0o600
        );
    }
}
