//! The file that holds this bank's share of the decryption key, and how all banks come to hold shares of the same key.
//!
//! A fresh share is first written beside its final place (`….pending`). It takes that place only when all banks have said
//! that theirs is on disk, so a bank that is killed at any moment leaves either no key anywhere or one that all can use. So it
//! is as well where the key in use has served its run and another is to take its place.
//!
//! The public part of each key stays in a file of its own (`….<fingerprint>.public`), for auditors of its run.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use subrosa_threshold_decryption::storage::{self, KdfCost, SealingError, StorageError};
use subrosa_threshold_decryption::{KeyShare, ThresholdKey};
use subrosa_transport::{Message, Parameters, PartyId, Protocol, Session, SessionError, Transport};
use zeroize::Zeroizing;

use crate::config::Config;

/// Where a passphrase is looked for if the configuration names no file.
pub const PASSPHRASE_VARIABLE: &str = "BANK_NODE_PASSPHRASE";

/// Why a key file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file of the passphrase cannot be read.
    #[error("passphrase file {}: {source}", file.display())]
    Passphrase {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// There is no passphrase.
    #[error("no passphrase for the key file: set `passphrase_file` in {}, or the variable {PASSPHRASE_VARIABLE}", .0.display())]
    NoPassphrase(PathBuf),
    /// The file cannot be read or written, is damaged, or has another passphrase.
    #[error("{}: {}", file.display(), WithCauses(source))]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: StorageError,
    },
    /// The file of the key's public part cannot be read or written, or is damaged.
    #[error("{}: {}", file.display(), WithCauses(source))]
    Public {
        /// The file.
        file: PathBuf,
        /// Why.
        source: StorageError,
    },
    /// The file is another bank's.
    #[error("key file {}: it holds the share of {found}, this bank is {expected}", file.display())]
    OtherBank {
        /// The file.
        file: PathBuf,
        /// Whose share it is.
        found: PartyId,
        /// This bank.
        expected: PartyId,
    },
}

/// An error with what caused it, on one line.
struct WithCauses<'a>(&'a StorageError);

impl std::fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)?;
        let mut cause = std::error::Error::source(self.0);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The passphrase of the key file: the first line of its file, or the environment's.
fn passphrase(config: &Config) -> Result<Zeroizing<String>, KeyFileError> {
    let text = match &config.passphrase_file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|source| KeyFileError::Passphrase { file: file.clone(), source })
            .map(Zeroizing::new)?,
        None => Zeroizing::new(std::env::var(PASSPHRASE_VARIABLE).unwrap_or_default()),
    };
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
        _ => Err(KeyFileError::NoPassphrase(config.file.clone())),
    }
}

/// The share in a file; `None` if there is no such file.
fn read(file: &Path, passphrase: &str) -> Result<Option<KeyShare>, KeyFileError> {
    match storage::load(file, passphrase.as_bytes()) {
        Ok(share) => Ok(Some(share)),
        Err(StorageError::Sealing(SealingError::Io(error)))
            if error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(source) => Err(KeyFileError::File { file: file.to_owned(), source }),
    }
}

/// Where the public part of a key is kept beside the shares; `key` is its fingerprint.
#[must_use]
pub fn public_file(key_file: &Path, key: &str) -> PathBuf {
    let mut name = key_file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{key}.public"));
    key_file.with_file_name(name)
}

/// The public part of a key, as it was kept.
///
/// # Errors
/// [`KeyFileError::Public`].
pub fn read_public(file: &Path) -> Result<ThresholdKey, KeyFileError> {
    let failed = |source| KeyFileError::Public { file: file.to_owned(), source };
    let length = std::fs::metadata(file).map_err(|error| failed(error.into()))?.len();
    if length > storage::MAX_FILE_BYTES as u64 {
        return Err(failed(SealingError::TooLong { limit: storage::MAX_FILE_BYTES }.into()));
    }
    let bytes = std::fs::read(file).map_err(|error| failed(error.into()))?;
    ThresholdKey::from_bytes(&bytes).map_err(failed)
}

fn keep_public(key_file: &Path, key: &ThresholdKey) -> Result<(), KeyFileError> {
    let file = public_file(key_file, &key.public().id().to_string());
    let failed = |source| KeyFileError::Public { file: file.clone(), source };
    if read_public(&file).is_ok_and(|kept| kept.digest() == key.digest()) {
        return Ok(());
    }
    std::fs::write(&file, key.to_bytes().map_err(failed)?).map_err(|error| failed(error.into()))
}

/// The key files of this bank: the one in use, and the one that waits for the others.
pub struct Keys {
    file: PathBuf,
    pending_file: PathBuf,
    passphrase: Zeroizing<String>,
    active: Option<KeyShare>,
    pending: Option<KeyShare>,
}

/// What the banks do next about their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// All hold shares of one key; now for the scores.
    Use,
    /// All hold shares of one key, and all have their scores.
    Leave,
    /// Nobody has a key in use, or it has served its run: generate one.
    Generate,
}

impl Keys {
    /// Looks what is there.
    ///
    /// # Errors
    /// [`KeyFileError`]; a pending file that is damaged counts as none.
    pub fn open(config: &Config, me: PartyId) -> Result<Self, KeyFileError> {
        let file = &config.key_file;
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".pending");
        let pending_file = file.with_file_name(name);
        let passphrase = passphrase(config)?;
        let active = read(file, &passphrase)?;
        let pending = read(&pending_file, &passphrase).unwrap_or(None).filter(|share| share.party() == me);
        if let Some(found) = active.as_ref().map(KeyShare::party).filter(|&found| found != me) {
            return Err(KeyFileError::OtherBank { file: file.clone(), found, expected: me });
        }
        let keys = Self { file: file.clone(), pending_file, passphrase, active, pending };
        keys.active.iter().try_for_each(|share| keep_public(file, share.key()))?;
        Ok(keys)
    }

    /// Whether there is a share, in use or waiting for the others.
    pub fn is_any(&self) -> bool {
        self.active.is_some() || self.pending.is_some()
    }

    /// The share in use.
    pub fn active(&self) -> Option<&KeyShare> {
        self.active.as_ref()
    }

    /// Keeps a fresh share until all banks have theirs.
    ///
    /// # Errors
    /// [`KeyFileError::File`].
    pub fn keep(&mut self, share: KeyShare) -> Result<(), KeyFileError> {
        let failed = |source| KeyFileError::File { file: self.pending_file.clone(), source };
        match std::fs::remove_file(&self.pending_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error.into())),
            _ => {}
        }
        let passphrase = self.passphrase.as_bytes();
        storage::save(&self.pending_file, &share, passphrase, KdfCost::default(), &mut rand::rng())
            .map_err(failed)?;
        self.pending = Some(share);
        Ok(())
    }

    /// Puts the waiting share into the place of the one in use.
    fn promote(&mut self) -> Result<(), KeyFileError> {
        self.pending.iter().try_for_each(|share| keep_public(&self.file, share.key()))?;
        std::fs::rename(&self.pending_file, &self.file)
            .map_err(|error| KeyFileError::File { file: self.file.clone(), source: error.into() })?;
        self.active = self.pending.take();
        Ok(())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the passphrase.
        f.debug_struct("Keys").field("file", &self.file).field("active", &self.active).finish_non_exhaustive()
    }
}

/// The meeting at which banks tell each other which keys they have, what they used them for, and whether they have their
/// scores.
pub const MEETING: Protocol = Protocol { name: "subrosa/bank-node/meeting", version: 2 };

/// What a bank has done with its key in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Usage {
    /// Nothing yet, or it may be used again.
    Free,
    /// A run, which was stopped and can be started over with another key.
    Stopped([u8; 32]),
    /// A run in which ciphertexts may have been shown: it has to be finished.
    Shown([u8; 32]),
    /// A run that has ended, or of which nothing is left to go on with.
    Spent,
}

impl Usage {
    fn run(self) -> Option<[u8; 32]> {
        match self {
            Self::Stopped(run) | Self::Shown(run) => Some(run),
            Self::Free | Self::Spent => None,
        }
    }
}

/// What a bank has: the digests of its keys, what the one in use was used for, and whether its scores are on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    active: Option<[u8; 32]>,
    pending: Option<[u8; 32]>,
    usage: Usage,
    finished: bool,
}

impl Message for Held {
    const ROUND: &'static str = "bank-node/meeting";
    type Shape = ();

    fn max_bytes((): &()) -> usize {
        100
    }
}

/// Whether all go on with the key that they have, from what each has done with it.
fn is_of_use(usages: &[Usage]) -> bool {
    let runs: Vec<_> = usages.iter().map(|usage| usage.run()).collect();
    let same_run = runs.first().is_some_and(|first| first.is_some() && runs.iter().all(|run| run == first));
    // Where one must finish a run, it is the propagation that says who keeps it from that.
    let must_finish = usages.iter().any(|usage| matches!(usage, Usage::Shown(_)));
    same_run || must_finish || usages.iter().all(|usage| *usage == Usage::Free)
}

/// Why the banks cannot go on with the keys that they have.
#[derive(Debug, thiserror::Error)]
pub enum MeetingError {
    /// The session failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A key file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// Some banks hold another key than others, or none.
    #[error(
        "the banks hold different keys ({0}). Restore the key files that belong together, or remove them at all banks and \
         generate a new key"
    )]
    Different(String),
}

/// Compares the keys of all banks, and puts a pending one into use where all have it; returns what is next.
///
/// `usage` is of the key in use; `finished` says whether this bank has its scores.
///
/// # Errors
/// [`MeetingError`].
pub fn meet<T: Transport + ?Sized>(
    transport: &mut T,
    keys: &mut Keys,
    parameters: &Parameters,
    settings: subrosa_transport::Limits,
    usage: Usage,
    finished: bool,
) -> Result<Next, MeetingError> {
    let mut session = Session::open(transport, MEETING, parameters, settings, &mut rand::rng())?;
    let digest = |share: &KeyShare| ThresholdKey::digest(share.key());
    let (active, pending) = (keys.active.as_ref().map(digest), keys.pending.as_ref().map(digest));
    let mine = Held { active, pending, usage, finished };
    let held = session.broadcast(&mine, &())?;
    session.confirm()?;
    let everywhere = |key: &[u8; 32]| {
        held.values().all(|held| held.active.as_ref() == Some(key) || held.pending.as_ref() == Some(key))
    };
    let in_use: Vec<[u8; 32]> = held.values().filter_map(|held| held.active).collect();
    // A key that waits at some banks and is in use at others is the newer one.
    match mine.pending.into_iter().chain(in_use.iter().copied()).find(everywhere) {
        Some(key) => {
            if mine.active != Some(key) {
                keys.promote()?;
            }
            let usage = |held: &Held| if held.active == Some(key) { held.usage } else { Usage::Free };
            Ok(if held.values().all(|held| held.finished) {
                Next::Leave
            } else if is_of_use(&held.values().map(usage).collect::<Vec<_>>()) {
                Next::Use
            } else {
                Next::Generate
            })
        }
        // Pending shares of which not all banks have one are of no use; key generation writes over them.
        None if in_use.is_empty() => Ok(Next::Generate),
        None => {
            let name =
                |key: Option<[u8; 32]>| key.map_or("none".to_owned(), |key| crate::audit::hex(&key[..4]));
            let roster = session.roster();
            let all: Vec<String> = held
                .iter()
                .map(|(party, held)| format!("{}: {}", roster.name(party), name(held.active)))
                .collect();
            Err(MeetingError::Different(all.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_of_use_for_one_run() {
        use Usage::{Free, Shown, Spent, Stopped};
        let (one, two) = ([1; 32], [2; 32]);
        // Before a run, in it wherever the banks are, and where it must be finished.
        for usages in [
            [Free, Free, Free],
            [Stopped(one), Stopped(one), Stopped(one)],
            [Stopped(one), Shown(one), Shown(one)],
            [Shown(one), Spent, Free],
        ] {
            assert!(is_of_use(&usages), "{usages:?}");
        }
        // After it, and where one bank lost its state.
        for usages in [
            [Spent, Spent, Spent],
            [Spent, Free, Free],
            [Stopped(one), Free, Stopped(one)],
            [Stopped(one), Stopped(two), Stopped(one)],
        ] {
            assert!(!is_of_use(&usages), "{usages:?}");
        }
    }
}
