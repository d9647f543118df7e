//! One line of a trail, and how it is bound to the line before.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use subrosa_encoding::Hasher;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) hash: String,
    pub(super) record: Box<RawValue>,
}

/// Computes the hash of a line from the hash of the line before and the bytes of the record.
pub(super) fn chained(before: &[u8; 32], record: &str) -> [u8; 32] {
    Hasher::new("subrosa/bank-node/audit", 1)
        .field("before", before)
        .field("record", record.as_bytes())
        .finish()
}
