//! The configuration file in TOML: this bank, the other banks, and the computation.
//!
//! It is converted into a [`NodeConfig`] and checked once. Every error names the file and the field.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use subrosa_distributed_paillier::{KeygenParameters, SecurityLevel};
use subrosa_node::{AuditFiles, NodeConfig, Passphrase, Peer, TlsFiles, check_banks};
use subrosa_risk_propagation::{Delta, KeyUse, MAX_STEPS, Mismatch, Settings};

/// The environment variable of the passphrase, if the configuration names no file.
pub const PASSPHRASE_VARIABLE: &str = "BANK_NODE_PASSPHRASE";

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file is not TOML, or has fields that are missing, unknown or of the wrong kind.
    #[error("{}: {reason}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, field and what is wrong.
        reason: String,
    },
    /// A field has a value that cannot be used.
    #[error(transparent)]
    Field(#[from] subrosa_node::ConfigError),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    listen: String,
    data: PathBuf,
    key_file: PathBuf,
    passphrase_file: Option<PathBuf>,
    output: Option<PathBuf>,
    checkpoints: Option<PathBuf>,
    audit: Option<PathBuf>,
    record: Option<bool>,
    tls: TlsSection,
    peers: Vec<PeerSection>,
    #[serde(default)]
    settings: SettingsSection,
    #[serde(default)]
    key: KeySection,
    #[serde(default)]
    network: NetworkSection,
    #[serde(default)]
    log: LogSection,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsSection {
    certificate: PathBuf,
    key: PathBuf,
    authority: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerSection {
    name: String,
    address: String,
    certificate: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsSection {
    iterations: Option<u32>,
    delta: Option<DeltaField>,
    accuracy: Option<f64>,
    mismatch: Option<String>,
    max_accounts: Option<u32>,
    periods: Option<u32>,
    least_activity: Option<u32>,
    min_foreign_senders: Option<u32>,
    key_use: Option<String>,
    #[serde(default)]
    most_accounts: BTreeMap<String, u32>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum DeltaField {
    Fixed(f64),
    ByIteration(Vec<f64>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySection {
    bits: Option<u64>,
    threshold: Option<u32>,
    batch: Option<usize>,
    #[serde(default)]
    insecure: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkSection {
    connect_seconds: Option<u64>,
    round_seconds: Option<u64>,
    reconnect_seconds: Option<u64>,
    keepalive_seconds: Option<u64>,
    attempts: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogSection {
    format: Option<LogFormat>,
    level: Option<LogLevel>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Readable,
    /// One JSON object per line.
    Json,
}

/// Which log lines are written: this level and the graver ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the usual levels")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

/// The configuration of the program. Paths are absolute or relative to the working directory.
#[derive(Debug)]
pub struct Config {
    /// The bank.
    pub node: NodeConfig,
    /// Whether keys that can be factored are allowed.
    pub insecure: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_level: LogLevel,
}

impl Config {
    /// Reads and checks a file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`ConfigError`], naming file and field.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
        Self::parse(file, &text)
    }

    /// Checks the text of a configuration file.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let parsed: File = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            file: file.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        })?;
        Check { file }.config(parsed)
    }
}

/// Candidates in a batch of key generation among banks that are far apart: each batch costs three rounds, and half of the
/// last one is wasted on average. See `docs/benchmarks.md`.
const DISTANT_BATCH: usize = 4096;
const MAX_BATCH: usize = 65_536;

/// The sizes of keys, in bits.
const KEY_BITS: [u64; 9] = [256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096];

struct Check<'a> {
    file: &'a Path,
}

impl Check<'_> {
    fn refuse(&self, field: impl Into<String>, problem: impl ToString) -> ConfigError {
        subrosa_node::ConfigError::new(field, problem.to_string()).in_file(self.file).into()
    }

    fn path(&self, path: PathBuf) -> PathBuf {
        self.file.parent().map_or(path.clone(), |folder| folder.join(path))
    }

    fn config(&self, file: File) -> Result<Config, ConfigError> {
        let tls = TlsFiles {
            certificate: self.path(file.tls.certificate),
            key: self.path(file.tls.key),
            authority: file.tls.authority.map(|path| self.path(path)),
        };
        let peer = |section: PeerSection| {
            let peer = Peer::new(section.name, section.address);
            match section.certificate {
                Some(certificate) => peer.pinned(self.path(certificate)),
                None => peer,
            }
        };
        let peers: Vec<Peer> = file.peers.into_iter().map(peer).collect();
        check_banks(&file.name, &file.listen, &peers, &tls).map_err(|error| error.in_file(self.file))?;
        if file.record == Some(true) && file.audit.is_none() {
            return Err(self.refuse("record", "a record goes beside an audit trail: set `audit`"));
        }
        let settings = self.settings(file.settings)?;
        let key = self.key(&file.key, peers.len() + 1)?;
        let passphrase = match file.passphrase_file {
            Some(path) => Passphrase::file(self.path(path)),
            None => Passphrase::variable(PASSPHRASE_VARIABLE),
        };
        let mut node = NodeConfig::new(file.name, file.listen, peers, tls, passphrase, key);
        node.file = Some(self.file.to_owned());
        node.data = self.path(file.data);
        node.key_file = self.path(file.key_file);
        node.output = self.path(file.output.unwrap_or(node.output));
        node.checkpoints = self.path(file.checkpoints.unwrap_or(node.checkpoints));
        let record = file.record.unwrap_or(true);
        node.audit = file.audit.map(|trail| AuditFiles { trail: self.path(trail), record });
        node.settings = settings;
        self.network(&file.network, &mut node)?;
        node.check()?;
        Ok(Config {
            node,
            insecure: file.key.insecure,
            log_format: file.log.format.unwrap_or_default(),
            log_level: file.log.level.unwrap_or_default(),
        })
    }

    fn settings(&self, section: SettingsSection) -> Result<Settings, ConfigError> {
        let default = Settings::default();
        let iterations = section.iterations.unwrap_or(default.iterations);
        if iterations as usize > MAX_STEPS {
            return Err(self.refuse("settings.iterations", format!("at most {MAX_STEPS}")));
        }
        let in_range = |delta: f64| (0.0..=1.0).contains(&delta);
        let delta = match section.delta {
            None => default.delta,
            Some(DeltaField::Fixed(delta)) if in_range(delta) => Delta::fixed(delta),
            Some(DeltaField::Fixed(_)) => return Err(self.refuse("settings.delta", "between 0 and 1")),
            Some(DeltaField::ByIteration(deltas)) => {
                if deltas.len() != iterations as usize || !deltas.iter().copied().all(in_range) {
                    let problem = "a list has one number between 0 and 1 for each iteration";
                    return Err(self.refuse("settings.delta", problem));
                }
                Delta::by_iteration(iterations, |step| deltas.get(step as usize).copied().unwrap_or_default())
            }
        };
        let accuracy = section.accuracy.unwrap_or(default.accuracy);
        if !(accuracy > 0.0 && accuracy <= 0.1) {
            return Err(self.refuse("settings.accuracy", "greater than 0, at most 0.1"));
        }
        let mismatch = match section.mismatch.as_deref() {
            None | Some("refuse") => Mismatch::Refuse,
            Some("leave-out") => Mismatch::LeaveOut,
            Some(_) => return Err(self.refuse("settings.mismatch", "`refuse` or `leave-out`")),
        };
        let key_use = match section.key_use.as_deref() {
            None => default.key_use,
            Some("once") => KeyUse::Once,
            Some("shared") => KeyUse::Shared,
            Some(_) => return Err(self.refuse("settings.key_use", "`once` or `shared`")),
        };
        let max_accounts = section.max_accounts.unwrap_or(default.max_accounts);
        let periods = section.periods;
        if periods.is_some_and(|periods| periods as usize > MAX_STEPS) {
            return Err(self.refuse("settings.periods", format!("at most {MAX_STEPS}")));
        }
        let min_foreign_senders = section.min_foreign_senders.unwrap_or(default.min_foreign_senders);
        let least_activity = section.least_activity.unwrap_or(default.least_activity);
        let most_accounts = section.most_accounts;
        Ok(Settings {
            iterations,
            delta,
            accuracy,
            mismatch,
            max_accounts,
            most_accounts,
            periods,
            least_activity,
            min_foreign_senders,
            key_use,
            ..default
        })
    }

    fn key(&self, section: &KeySection, parties: usize) -> Result<KeygenParameters, ConfigError> {
        let parties = u32::try_from(parties).unwrap_or(u32::MAX);
        let threshold = section.threshold.unwrap_or((parties - 1) / 2);
        if threshold == 0 || threshold > (parties - 1) / 2 {
            let problem = format!("from 1 to {} with {parties} banks", (parties - 1) / 2);
            return Err(self.refuse("key.threshold", problem));
        }
        let level = if section.insecure { SecurityLevel::Insecure } else { SecurityLevel::Secure };
        let bits = section.bits.unwrap_or(2048);
        // Parameters of other sizes take seconds or minutes to find, even if no key is generated.
        if !KEY_BITS.contains(&bits) {
            let sizes = KEY_BITS.map(|bits| bits.to_string()).join(", ");
            return Err(self.refuse("key.bits", format!("one of {sizes}")));
        }
        let parameters = KeygenParameters::with_level(parties, threshold, bits, level).map_err(|error| {
            self.refuse("key.bits", format!("{error} (`key.insecure` allows small keys)"))
        })?;
        match section.batch {
            Some(batch @ 1..=MAX_BATCH) => Ok(parameters.with_batch(batch)),
            Some(_) => Err(self.refuse("key.batch", format!("from 1 to {MAX_BATCH}"))),
            None if bits >= 2048 => Ok(parameters.with_batch(DISTANT_BATCH)),
            None => Ok(parameters),
        }
    }

    fn network(&self, section: &NetworkSection, node: &mut NodeConfig) -> Result<(), ConfigError> {
        let set = |field: &str, value: Option<u64>, timeout: &mut Duration| {
            match value {
                Some(seconds @ 1..=604_800) => *timeout = Duration::from_secs(seconds),
                Some(_) => return Err(self.refuse(format!("network.{field}"), "from a second to a week")),
                None => {}
            }
            Ok(())
        };
        node.attempts = section.attempts.unwrap_or(node.attempts);
        if !(1..=1000).contains(&node.attempts) {
            return Err(self.refuse("network.attempts", "from 1 to 1000"));
        }
        let timeouts = &mut node.timeouts;
        set("connect_seconds", section.connect_seconds, &mut timeouts.connect)?;
        set("round_seconds", section.round_seconds, &mut timeouts.round)?;
        set("reconnect_seconds", section.reconnect_seconds, &mut timeouts.reconnect)?;
        set("keepalive_seconds", section.keepalive_seconds, &mut timeouts.keepalive)
    }
}
