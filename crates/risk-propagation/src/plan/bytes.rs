//! Settings and plans as bytes, for files and for other programs of the same bank.
//!
//! Eight bytes of magic, the version in two bytes (little-endian), the value in postcard's encoding, SHA-256 of everything before.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{Foundations, Plan, PlanError, Settings};

const SETTINGS: Kind = Kind { magic: *b"SUBROSAR", name: "settings of a run" };
const PLAN: Kind = Kind { magic: *b"SUBROSAL", name: "a plan" };
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 8 + 2;
const CHECKSUM_BYTES: usize = 32;
/// More than the longest plan takes.
const MAX_BYTES: usize = 1 << 20;

/// What bytes stand for.
struct Kind {
    magic: [u8; 8],
    name: &'static str,
}

/// Why bytes are not the settings or the plan that they should be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// They begin in another way.
    #[error("the bytes are not {expected}")]
    OtherFormat {
        /// What they should be.
        expected: &'static str,
    },
    /// They are of another version.
    #[error("the bytes have the format {found}, this version reads {expected}")]
    Version {
        /// Number of the format found.
        found: u16,
        /// Number of the format that is read.
        expected: u16,
    },
    /// There are too few or too many.
    #[error("{found} bytes are not {expected}")]
    Length {
        /// Bytes that there are.
        found: usize,
        /// What they should be.
        expected: &'static str,
    },
    /// The checksum is wrong.
    #[error("the bytes are damaged")]
    Checksum,
    /// The value does not decode, or bytes follow it.
    #[error("the bytes do not decode to {expected}")]
    Malformed {
        /// What they should be.
        expected: &'static str,
    },
    /// The plan does not exist.
    #[error("the bytes describe a plan that does not exist")]
    Plan(#[from] PlanError),
}

impl Settings {
    /// The settings as bytes. Public among the banks, except for `max_accounts`, which is the bank's own affair.
    ///
    /// # Errors
    /// [`DecodeError::Length`] for more than 1 MiB: a list of too many banks, or too many values of δ.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DecodeError> {
        encode(&SETTINGS, self)
    }

    /// The settings in the bytes that [`to_bytes`](Self::to_bytes) made. Whether a run can have them, [`Plan::new`] says.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes of another kind or version, and for damaged ones.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(&SETTINGS, bytes)
    }
}

impl Plan {
    /// The plan as bytes. Public among the banks.
    ///
    /// # Errors
    /// [`DecodeError::Length`], which no plan leads to.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DecodeError> {
        encode(&PLAN, &self.foundations)
    }

    /// The plan in the bytes that [`to_bytes`](Self::to_bytes) made. Only what the plan rests on is stored: everything else is
    /// derived, and checked as [`Plan::new`] does.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes of another kind or version, for damaged ones, and for a plan that does not exist.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self::derive(decode::<Foundations>(&PLAN, bytes)?)?)
    }
}

fn encode(kind: &Kind, value: &impl Serialize) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = kind.magic.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    let mut bytes =
        postcard::to_extend(value, bytes).map_err(|_| DecodeError::Malformed { expected: kind.name })?;
    bytes.extend_from_slice(&Sha256::digest(&bytes));
    if bytes.len() > MAX_BYTES {
        return Err(DecodeError::Length { found: bytes.len(), expected: kind.name });
    }
    Ok(bytes)
}

fn decode<V: DeserializeOwned>(kind: &Kind, bytes: &[u8]) -> Result<V, DecodeError> {
    let length = DecodeError::Length { found: bytes.len(), expected: kind.name };
    if bytes.len() > MAX_BYTES || bytes.len() < HEADER_BYTES + CHECKSUM_BYTES {
        return Err(length);
    }
    let Some((checked, checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else { return Err(length) };
    let Some((magic, rest)) = checked.split_first_chunk::<8>() else { return Err(length) };
    if *magic != kind.magic {
        return Err(DecodeError::OtherFormat { expected: kind.name });
    }
    let Some((version, body)) = rest.split_first_chunk::<2>() else { return Err(length) };
    let found = u16::from_le_bytes(*version);
    if found != VERSION {
        return Err(DecodeError::Version { found, expected: VERSION });
    }
    if Sha256::digest(checked).as_slice() != checksum {
        return Err(DecodeError::Checksum);
    }
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(DecodeError::Malformed { expected: kind.name }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Delta, NetworkSizes};
    use super::*;

    fn sizes() -> NetworkSizes {
        NetworkSizes {
            key_bits: 2048,
            columns: 2,
            in_degree_bits: 8,
            active_periods: vec![true, false, true],
            noise_contributors: 2,
        }
    }

    fn settings() -> Settings {
        Settings {
            delta: Delta::by_iteration(3, |iteration| 0.5 / f64::from(iteration + 1)),
            most_accounts: [("amber".to_owned(), 7), ("birch".to_owned(), 9)].into(),
            ..Settings::default()
        }
    }

    #[test]
    fn bytes_come_back() {
        let settings = settings();
        assert_eq!(Settings::from_bytes(&settings.to_bytes().unwrap()), Ok(settings.clone()));
        let plan = Plan::new(&sizes(), &settings).unwrap();
        let bytes = plan.to_bytes().unwrap();
        assert_eq!(Plan::from_bytes(&bytes), Ok(plan));
        assert!(matches!(Settings::from_bytes(&bytes), Err(DecodeError::OtherFormat { .. })));
    }

    #[test]
    fn the_format_is_pinned() {
        let bytes = Settings::default().to_bytes().unwrap();
        let expected = "535542524f5341520100";
        assert_eq!(subrosa_encoding::Hex(&bytes[..10]).to_string(), expected);
        let checksum = subrosa_encoding::Hex(&bytes[bytes.len() - 4..]).to_string();
        assert_eq!((bytes.len(), checksum.as_str()), (72, "0e7cb6a4"));
    }

    #[test]
    fn a_plan_that_does_not_exist_is_refused() {
        let mut foundations = Plan::new(&sizes(), &settings()).unwrap().foundations;
        foundations.accuracy = 0.0;
        let error = Plan::from_bytes(&encode(&PLAN, &foundations).unwrap()).unwrap_err();
        assert_eq!(error, DecodeError::Plan(PlanError::Accuracy { accuracy: 0.0 }));
        foundations.accuracy = 1e-6;
        foundations.steps[0].delta = 1.5;
        let error = Plan::from_bytes(&encode(&PLAN, &foundations).unwrap()).unwrap_err();
        assert!(matches!(error, DecodeError::Plan(PlanError::Delta { iteration: 0, .. })));
        foundations.steps[0].delta = 0.5;
        foundations.key_bits = usize::MAX;
        let error = Plan::from_bytes(&encode(&PLAN, &foundations).unwrap()).unwrap_err();
        assert_eq!(error, DecodeError::Plan(PlanError::KeyTooLong { bits: usize::MAX }));
        foundations.key_bits = 64;
        let error = Plan::from_bytes(&encode(&PLAN, &foundations).unwrap()).unwrap_err();
        assert!(matches!(error, DecodeError::Plan(PlanError::DoesNotFit { .. })));
    }

    #[test]
    fn other_versions_and_damage_are_told_apart() {
        let good = settings().to_bytes().unwrap();
        let mut other = good.clone();
        other[8] = 2;
        assert_eq!(Settings::from_bytes(&other), Err(DecodeError::Version { found: 2, expected: 1 }));
        let mut damaged = good.clone();
        damaged[12] ^= 1;
        assert_eq!(Settings::from_bytes(&damaged), Err(DecodeError::Checksum));
        assert!(matches!(Settings::from_bytes(&good[..20]), Err(DecodeError::Length { found: 20, .. })));
        assert_eq!(Settings::from_bytes(&good[..good.len() - 1]), Err(DecodeError::Checksum));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            // Behind a right header and checksum, so that the decoder meets them.
            for kind in [SETTINGS, PLAN] {
                let mut whole = kind.magic.to_vec();
                whole.extend(VERSION.to_le_bytes());
                whole.extend(&bytes);
                let checksum = Sha256::digest(&whole);
                whole.extend_from_slice(&checksum);
                let _ = Settings::from_bytes(&whole);
                let _ = Plan::from_bytes(&whole);
            }
        }
    }
}
