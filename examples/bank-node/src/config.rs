//! The TOML file that says who this bank is, who the others are and what to compute.
//!
//! What the file holds is turned into [`Config`] once, checked; every refusal names the file and the field.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use subrosa_distributed_paillier::{KeygenParameters, SecurityLevel};
use subrosa_risk_propagation::{Delta, KeyUse, Mismatch, Settings, settings::MAX_STEPS};

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's answer.
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
    /// A field has a value that makes no sense.
    #[error("{}: `{field}`: {problem}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// The field, such as `peers[1].address`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
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

/// Another bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name, also in its certificate.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// Its certificate, where banks are known by their certificates.
    pub certificate: Option<PathBuf>,
}

/// How banks prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// This bank's certificate, PEM; certificates between it and the authority may follow.
    pub certificate: PathBuf,
    /// The certificate's private key, PEM.
    pub key: PathBuf,
    /// The private authority's certificate, PEM; without one, every peer's certificate is pinned.
    pub authority: Option<PathBuf>,
}

/// How long to wait, and how often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the others to be there.
    pub connect: Duration,
    /// For the others' messages of a round, their computing included.
    pub round: Duration,
    /// For a connection that broke to come back.
    pub reconnect: Duration,
    /// Between signs of life on a connection that is not used; four times as much silence is its end.
    pub keepalive: Duration,
    /// How often a phase is begun again after the network failed or a bank was restarted.
    pub attempts: u32,
}

/// Everything about this bank, checked. Paths are absolute or relative to the working directory.
#[derive(Debug)]
pub struct Config {
    /// The file itself.
    pub file: PathBuf,
    /// This bank.
    pub name: String,
    /// Address to listen on, `host:port`.
    pub listen: String,
    /// The folder that holds this bank's folder of accounts and transfers.
    pub data: PathBuf,
    /// Where the share of the decryption key is kept.
    pub key_file: PathBuf,
    /// The passphrase of the key file; without one, the environment variable `BANK_NODE_PASSPHRASE`.
    pub passphrase_file: Option<PathBuf>,
    /// Where the scores go.
    pub output: PathBuf,
    /// Folder of checkpoints.
    pub checkpoints: PathBuf,
    /// The audit trail.
    pub audit: Option<PathBuf>,
    /// Whether frames and seeds are kept beside the trail, so that runs can be computed again.
    pub record: bool,
    /// Certificates.
    pub tls: Tls,
    /// The other banks.
    pub peers: Vec<Peer>,
    /// What to compute.
    pub settings: Settings,
    /// The key to generate.
    pub key: KeygenParameters,
    /// Whether keys that can be factored are allowed.
    pub insecure: bool,
    /// Times.
    pub patience: Patience,
    /// Log lines.
    pub log_format: LogFormat,
    /// Log lines.
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

    /// The names of all banks in the order that all of them use, which is that of the alphabet.
    pub fn banks(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.peers.iter().map(|peer| peer.name.as_str()).collect();
        names.push(&self.name);
        names.sort_unstable();
        names
    }
}

/// Candidates in a batch of key generation among banks that are far apart: each batch costs three rounds, and half of the
/// last one is wasted on average. See `docs/benchmarks.md`.
const DISTANT_BATCH: usize = 4096;
const MAX_BATCH: usize = 65_536;

/// The sizes of keys, in bits.
const KEY_BITS: [u64; 9] = [256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096];

/// Why a bank cannot be called so; `certified` is whether an authority vouches for the name.
pub(crate) fn name_problem(name: &str, certified: bool) -> Option<&'static str> {
    if name.is_empty() || name.len() > 63 || name.chars().any(char::is_control) {
        return Some("a name has 1 to 63 characters, none of them a control character");
    }
    // It becomes a part of file names.
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Some("a name has no slash and does not begin with a dot");
    }
    if certified && rustls::pki_types::DnsName::try_from(name).is_err() {
        return Some(
            "with an authority, a name is one that a host could have: letters, digits, dashes inside, and dots",
        );
    }
    None
}

/// What is the same to whoever compares the names in certificates.
pub(crate) fn same_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

struct Check<'a> {
    file: &'a Path,
}

impl Check<'_> {
    fn refuse(&self, field: impl Into<String>, problem: impl ToString) -> ConfigError {
        ConfigError::Field { file: self.file.to_owned(), field: field.into(), problem: problem.to_string() }
    }

    fn path(&self, path: PathBuf) -> PathBuf {
        self.file.parent().map_or(path.clone(), |folder| folder.join(path))
    }

    fn config(&self, file: File) -> Result<Config, ConfigError> {
        let authority = file.tls.authority.is_some();
        self.name("name", &file.name, authority)?;
        self.address("listen", &file.listen)?;
        let peers = self.peers(file.peers, &file.name, authority)?;
        let insecure = file.key.insecure;
        if file.record == Some(true) && file.audit.is_none() {
            return Err(self.refuse("record", "a record goes beside an audit trail: set `audit`"));
        }
        Ok(Config {
            file: self.file.to_owned(),
            listen: file.listen,
            data: self.path(file.data),
            key_file: self.path(file.key_file),
            passphrase_file: file.passphrase_file.map(|path| self.path(path)),
            output: self.path(file.output.unwrap_or_else(|| format!("{}.csv", file.name).into())),
            checkpoints: self
                .path(file.checkpoints.unwrap_or_else(|| format!("{}.checkpoints", file.name).into())),
            record: file.audit.is_some() && file.record.unwrap_or(true),
            audit: file.audit.map(|path| self.path(path)),
            tls: Tls {
                certificate: self.path(file.tls.certificate),
                key: self.path(file.tls.key),
                authority: file.tls.authority.map(|path| self.path(path)),
            },
            settings: self.settings(file.settings, &file.name, &peers)?,
            key: self.key(&file.key, peers.len() + 1)?,
            insecure,
            patience: self.patience(&file.network)?,
            log_format: file.log.format.unwrap_or_default(),
            log_level: file.log.level.unwrap_or_default(),
            name: file.name,
            peers,
        })
    }

    fn name(&self, field: &str, name: &str, authority: bool) -> Result<(), ConfigError> {
        match name_problem(name, authority) {
            Some(problem) => Err(self.refuse(field, problem)),
            None => Ok(()),
        }
    }

    fn address(&self, field: &str, address: &str) -> Result<(), ConfigError> {
        let port = address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        match port {
            Some((host, Ok(_))) if !host.is_empty() => Ok(()),
            _ => Err(self.refuse(field, format!("{address:?} is not of the form host:port"))),
        }
    }

    fn peers(&self, peers: Vec<PeerSection>, me: &str, authority: bool) -> Result<Vec<Peer>, ConfigError> {
        if peers.len() < 2 {
            return Err(
                self.refuse("peers", "at least two other banks are needed, or one could decrypt alone")
            );
        }
        let mut names = BTreeSet::from([same_name(me)]);
        let mut checked = Vec::with_capacity(peers.len());
        for (index, peer) in peers.into_iter().enumerate() {
            let field = |name: &str| format!("peers[{index}].{name}");
            self.name(&field("name"), &peer.name, authority)?;
            self.address(&field("address"), &peer.address)?;
            if !names.insert(same_name(&peer.name)) {
                let problem = format!("two banks are called {:?}, capitals or not", peer.name);
                return Err(self.refuse(field("name"), problem));
            }
            match (&peer.certificate, authority) {
                (None, false) => {
                    let problem = "missing: without `tls.authority`, each bank is known by its certificate";
                    return Err(self.refuse(field("certificate"), problem));
                }
                (Some(_), true) => {
                    let problem = "not used together with `tls.authority`; remove one of them";
                    return Err(self.refuse(field("certificate"), problem));
                }
                _ => {}
            }
            let certificate = peer.certificate.map(|path| self.path(path));
            checked.push(Peer { name: peer.name, address: peer.address, certificate });
        }
        Ok(checked)
    }

    fn settings(&self, section: SettingsSection, me: &str, peers: &[Peer]) -> Result<Settings, ConfigError> {
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
        let is_bank = |name: &String| name == me || peers.iter().any(|peer| peer.name == *name);
        if let Some(name) = most_accounts.keys().find(|name| !is_bank(name)) {
            return Err(self.refuse(format!("settings.most_accounts.{name}"), "there is no such bank"));
        }
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
        // Parameters of other sizes take seconds or minutes to find, also where no key is generated.
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

    fn patience(&self, section: &NetworkSection) -> Result<Patience, ConfigError> {
        let seconds = |field: &str, value: Option<u64>, default: u64| match value.unwrap_or(default) {
            seconds @ 1..=604_800 => Ok(Duration::from_secs(seconds)),
            _ => Err(self.refuse(format!("network.{field}"), "from a second to a week")),
        };
        let attempts = section.attempts.unwrap_or(5);
        if attempts == 0 || attempts > 1000 {
            return Err(self.refuse("network.attempts", "from 1 to 1000"));
        }
        Ok(Patience {
            connect: seconds("connect_seconds", section.connect_seconds, 120)?,
            round: seconds("round_seconds", section.round_seconds, 600)?,
            reconnect: seconds("reconnect_seconds", section.reconnect_seconds, 60)?,
            keepalive: seconds("keepalive_seconds", section.keepalive_seconds, 5)?,
            attempts,
        })
    }
}
