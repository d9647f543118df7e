//! The meeting of the banks: which key they use next.

use serde::{Deserialize, Serialize};

use super::{KeyFileError, KeyFiles};
use subrosa_encoding::Hex;
use subrosa_threshold_decryption::{KeyShare, ThresholdKey};
use subrosa_transport::{Limits, Message, Parameters, Protocol, Session, SessionError, Transport};

/// The next step of the banks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// All banks hold shares of one key, and propagate with it.
    Propagate,
    /// All banks hold shares of one key, and have their scores.
    Leave,
    /// No bank has a key in use, or the key has served its run. The banks generate a key.
    Generate,
}

/// The protocol of the meeting. Each bank broadcasts which keys it has, what they were used for, and whether it has its scores.
pub(crate) const MEETING: Protocol = Protocol { name: "subrosa/bank-node/meeting", version: 2 };

/// What a bank has used its key for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyUsage {
    /// For nothing yet, or the key may be used again.
    Free,
    /// For a run that was stopped and can start again with another key.
    Stopped([u8; 32]),
    /// For a run in which ciphertexts may have been shown. The run must be finished.
    Shown([u8; 32]),
    /// For a run that has ended, or that cannot be continued.
    Spent,
}

impl KeyUsage {
    fn run(self) -> Option<[u8; 32]> {
        match self {
            Self::Stopped(run) | Self::Shown(run) => Some(run),
            Self::Free | Self::Spent => None,
        }
    }
}

/// The state of a bank: the digests of its keys, the usage of the key in use, and whether its scores are on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct BankStatus {
    active: Option<[u8; 32]>,
    pending: Option<[u8; 32]>,
    usage: KeyUsage,
    finished: bool,
}

impl Message for BankStatus {
    const ROUND: &'static str = "bank-node/meeting";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        100
    }
}

/// Whether all banks continue with the key in use, given its usage at each bank.
fn is_usable(usages: &[KeyUsage]) -> bool {
    let runs: Vec<_> = usages.iter().map(|usage| usage.run()).collect();
    let same_run = runs.first().is_some_and(|first| first.is_some() && runs.iter().all(|run| run == first));
    // If a bank must finish a run, the propagation names the bank that prevents this.
    let must_finish = usages.iter().any(|usage| matches!(usage, KeyUsage::Shown(_)));
    same_run || must_finish || usages.iter().all(|usage| *usage == KeyUsage::Free)
}

/// Why the meeting of the banks failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeetingError {
    /// The session failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A key file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The banks hold different keys.
    #[error(
        "the banks hold different keys ({}). Restore the key files that belong together, or remove them at all banks and \
         generate a new key",
        list(.0)
    )]
    Different(Vec<HeldKey>),
}

/// The key that a bank holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldKey {
    /// Name of the bank.
    pub bank: String,
    /// First bytes of the key's digest, in hexadecimal. `None` if the bank has no key in use.
    pub key: Option<String>,
}

fn list(keys: &[HeldKey]) -> String {
    let text = |held: &HeldKey| format!("{}: {}", held.bank, held.key.as_deref().unwrap_or("none"));
    keys.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Compares the keys of all banks, and returns the next step. A pending key that all banks have is put into use.
///
/// - `usage`: usage of this bank's key in use.
/// - `finished`: whether this bank's scores are on disk.
pub(crate) fn meet<T: Transport + ?Sized>(
    transport: &mut T,
    keys: &mut KeyFiles,
    parameters: &Parameters,
    limits: Limits,
    usage: KeyUsage,
    finished: bool,
) -> Result<NextStep, MeetingError> {
    let mut session = Session::open(transport, MEETING, parameters, limits, &mut rand::rng())?;
    let digest = |share: &KeyShare| ThresholdKey::digest(share.key());
    let (active, pending) = (keys.active().map(digest), keys.pending().map(digest));
    let mine = BankStatus { active, pending, usage, finished };
    let held = session.broadcast(&mine, &())?;
    session.confirm()?;
    let everywhere = |key: &[u8; 32]| {
        held.values().all(|held| held.active.as_ref() == Some(key) || held.pending.as_ref() == Some(key))
    };
    let in_use: Vec<[u8; 32]> = held.values().filter_map(|held| held.active).collect();
    // A key that is pending at some banks and in use at others is the newer one.
    match mine.pending.into_iter().chain(in_use.iter().copied()).find(everywhere) {
        Some(key) => {
            if mine.active != Some(key) {
                keys.promote()?;
            }
            let usage =
                |held: &BankStatus| if held.active == Some(key) { held.usage } else { KeyUsage::Free };
            Ok(if held.values().all(|held| held.finished) {
                NextStep::Leave
            } else if is_usable(&held.values().map(usage).collect::<Vec<_>>()) {
                NextStep::Propagate
            } else {
                NextStep::Generate
            })
        }
        // Pending shares that not all banks have are useless. Key generation overwrites them.
        None if in_use.is_empty() => Ok(NextStep::Generate),
        None => {
            let roster = session.roster();
            let keys = held.iter().map(|(party, held)| HeldKey {
                bank: roster.name(party).to_owned(),
                key: held.active.map(|key| Hex(&key[..4]).to_string()),
            });
            Err(MeetingError::Different(keys.collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeyUsage::{Free, Shown, Spent, Stopped};
    use super::*;

    #[test]
    fn a_key_is_usable_for_one_run() {
        let (one, two) = ([1; 32], [2; 32]);
        // Before a run, in any state of a run, and if a run must be finished.
        for usages in [
            [Free, Free, Free],
            [Stopped(one), Stopped(one), Stopped(one)],
            [Stopped(one), Shown(one), Shown(one)],
            [Shown(one), Spent, Free],
        ] {
            assert!(is_usable(&usages), "{usages:?}");
        }
        // After a run, and if one bank lost its state.
        for usages in [
            [Spent, Spent, Spent],
            [Spent, Free, Free],
            [Stopped(one), Free, Stopped(one)],
            [Stopped(one), Stopped(two), Stopped(one)],
        ] {
            assert!(!is_usable(&usages), "{usages:?}");
        }
    }
}
