//! Step R0: the name of the protocol, and what all banks must have in common before they begin.

use crate::plan::Settings;
use crate::steps::messages::CHUNK;
use subrosa_encoding::{Hasher, Hex};
use subrosa_threshold_decryption::ThresholdKey;
use subrosa_transport::{Parameters, Protocol};

/// Name and version of the protocol, for [`Session::open`](subrosa_transport::Session::open).
pub const PROTOCOL: Protocol = Protocol { name: "subrosa/risk-propagation", version: 5 };

/// Step R0: the parameters of a session, which must be equal at all banks.
#[must_use]
pub fn parameters(key: &ThresholdKey, columns: &[String], settings: &Settings) -> Parameters {
    let mut hash = Hasher::new("subrosa/risk-propagation/columns", 1);
    for column in columns {
        hash = hash.field("column", column.as_bytes());
    }
    let columns_hash = Hex(&hash.finish()[..8]).to_string();
    Parameters::new()
        .with("key", key.public().id())
        .with("key_bits", key.public().bits())
        .with("parties", key.access().parties())
        .with("threshold", key.access().threshold())
        .with("risk_types", columns.len())
        .with("risk_types_hash", columns_hash)
        .with("iterations", settings.iterations)
        .with("delta", short("subrosa/risk-propagation/delta", settings.delta.to_string()))
        .with("accuracy", settings.accuracy)
        .with("mismatch", settings.mismatch)
        .with(
            "most_accounts",
            short("subrosa/risk-propagation/most-accounts", format!("{:?}", settings.most_accounts)),
        )
        .with("periods", settings.periods.map_or("all".to_owned(), |periods| periods.to_string()))
        .with("least_activity", settings.least_activity)
        .with("min_foreign_senders", settings.min_foreign_senders)
        .with("checks", settings.checks)
        .with("key_use", settings.key_use)
        .with("chunk", CHUNK)
}

/// A value as it is where it is short, and its hash where it is not.
fn short(domain: &str, value: String) -> String {
    if value.len() <= 200 {
        return value;
    }
    let hash = Hasher::new(domain, 1).field("value", value.as_bytes()).finish();
    Hex(&hash).to_string()
}
