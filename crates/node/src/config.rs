//! The configuration of a node.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::keys::Passphrase;
use crate::names::{address_problem, name_problem, same_name};
use subrosa_distributed_paillier::KeygenParameters;
use subrosa_risk_propagation::{self as propagation, Settings, data};

/// A field of a configuration with a value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The file that the configuration was read from.
    pub file: Option<PathBuf>,
    /// The field, such as `peers[1].address`.
    pub field: String,
    /// What was expected and what was found.
    pub problem: String,
}

impl ConfigError {
    /// Creates an error about a field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { file: None, field: field.into(), problem: problem.into() }
    }

    /// Names the file that the configuration was read from.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        write!(f, "`{}`: {}", self.field, self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// Another bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Name of the bank, also in its certificate.
    pub name: String,
    /// Address, `host:port`.
    pub address: String,
    /// PEM file with the bank's certificate, if banks are identified by their certificates.
    pub certificate: Option<PathBuf>,
}

impl Peer {
    /// Creates a bank whose certificate an authority signs.
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self { name: name.into(), address: address.into(), certificate: None }
    }

    /// Identifies the bank by a certificate. Use this for every bank if there is no authority.
    #[must_use]
    pub fn pinned(mut self, certificate: impl Into<PathBuf>) -> Self {
        self.certificate = Some(certificate.into());
        self
    }
}

/// Files with which the banks authenticate each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file with this bank's certificate. Intermediate certificates may follow in the file.
    pub certificate: PathBuf,
    /// PEM file with the private key of the certificate.
    pub key: PathBuf,
    /// PEM file with the certificate of the banks' authority. Without it, each peer has a pinned certificate.
    pub authority: Option<PathBuf>,
}

/// How long a node waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Timeout for all other banks to be connected. Default 120 seconds.
    pub connect: Duration,
    /// Timeout of a round. It includes the time in which the other banks compute. Default 600 seconds.
    pub round: Duration,
    /// Timeout for a lost connection to come back. Default 60 seconds.
    pub reconnect: Duration,
    /// Interval between keepalives on an idle connection. A connection that is silent for four intervals is closed.
    /// Default 5 seconds.
    pub keepalive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(120),
            round: Duration::from_secs(600),
            reconnect: Duration::from_secs(60),
            keepalive: Duration::from_secs(5),
        }
    }
}

/// Where a node writes its audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFiles {
    /// The trail, a file of JSON lines. The secret of the trail lies beside it.
    pub trail: PathBuf,
    /// Whether frames and seeds are kept beside the trail, so that an auditor can recompute the runs.
    pub record: bool,
}

/// The configuration of one bank.
///
/// [`NodeConfig::new`] sets the defaults. The fields can then be changed. [`Node::new`](crate::Node::new) checks them.
#[derive(Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// File that the configuration was read from, if there is one. Errors name it.
    pub file: Option<PathBuf>,
    /// Name of this bank, also in its certificate.
    pub name: String,
    /// Address to listen on, `host:port`.
    pub listen: String,
    /// The other banks, in any order. There are at least two.
    pub peers: Vec<Peer>,
    /// Files with which the banks authenticate each other.
    pub tls: TlsFiles,
    /// Folder that holds this bank's folder of accounts and transfers. Default `data`.
    pub data: PathBuf,
    /// File of the key share, encrypted under the passphrase. Default `NAME.key`.
    pub key_file: PathBuf,
    /// Passphrase of the key file.
    pub passphrase: Passphrase,
    /// CSV file for the scores. Default `NAME.csv`.
    pub output: PathBuf,
    /// Folder of checkpoints. It also remembers which keys were used, and must not be removed between runs. Default
    /// `NAME.checkpoints`.
    pub checkpoints: PathBuf,
    /// The audit trail. Default none.
    pub audit: Option<AuditFiles>,
    /// Settings of the propagation. They are equal at all banks.
    pub settings: Settings,
    /// Parameters of the key. They are equal at all banks.
    pub key: KeygenParameters,
    /// How long the node waits.
    pub timeouts: Timeouts,
    /// Greatest number of attempts after network failures and restarts of banks, 1 to 1000. Default 5.
    pub attempts: u32,
}

impl NodeConfig {
    /// Creates a configuration with default settings and files in the working directory.
    ///
    /// - `listen`: address to listen on, `host:port`.
    /// - `key`: parameters of the key for `peers.len() + 1` parties.
    pub fn new(
        name: impl Into<String>,
        listen: impl Into<String>,
        peers: Vec<Peer>,
        tls: TlsFiles,
        passphrase: Passphrase,
        key: KeygenParameters,
    ) -> Self {
        let name = name.into();
        Self {
            file: None,
            listen: listen.into(),
            peers,
            tls,
            data: "data".into(),
            key_file: format!("{name}.key").into(),
            passphrase,
            output: format!("{name}.csv").into(),
            checkpoints: format!("{name}.checkpoints").into(),
            audit: None,
            settings: Settings::default(),
            key,
            timeouts: Timeouts::default(),
            attempts: 5,
            name,
        }
    }

    /// Returns the names of all banks in the order that all banks use, which is alphabetical.
    pub fn banks(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.peers.iter().map(|peer| peer.name.as_str()).collect();
        names.push(&self.name);
        names.sort_unstable();
        names
    }

    /// Returns the files of this bank's data. The audit trail commits to them.
    ///
    /// # Errors
    /// The folder cannot be read, or a file has an unexpected name.
    pub fn input_files(&self) -> Result<Vec<PathBuf>, propagation::Error> {
        let folder = self.data.join(&self.name);
        let mut files = vec![folder.join(data::ACCOUNTS)];
        files.extend(data::transaction_files(&folder)?);
        Ok(files)
    }

    /// Checks the fields. Files are not opened.
    ///
    /// # Errors
    /// [`ConfigError`] for the first field that cannot be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_fields().map_err(|error| self.in_file(error))
    }

    fn check_fields(&self) -> Result<(), ConfigError> {
        check_banks(&self.name, &self.listen, &self.peers, &self.tls)?;
        let banks = self.banks();
        if let Some(name) = self.settings.most_accounts.keys().find(|name| !banks.contains(&name.as_str())) {
            let field = format!("settings.most_accounts.{name}");
            return Err(ConfigError::new(field, "there is no such bank"));
        }
        let parties = self.key.access().parties();
        if parties as usize != banks.len() {
            let problem = format!("it is for {parties} parties, and there are {} banks", banks.len());
            return Err(ConfigError::new("key", problem));
        }
        let Timeouts { connect, round, reconnect, keepalive } = self.timeouts;
        for (field, timeout) in
            [("connect", connect), ("round", round), ("reconnect", reconnect), ("keepalive", keepalive)]
        {
            if timeout.is_zero() {
                return Err(ConfigError::new(format!("timeouts.{field}"), "greater than zero"));
            }
        }
        if !(1..=1000).contains(&self.attempts) {
            return Err(ConfigError::new("attempts", "from 1 to 1000"));
        }
        Ok(())
    }

    /// Adds the configuration's file to an error.
    pub(crate) fn in_file(&self, error: ConfigError) -> ConfigError {
        match &self.file {
            Some(file) => error.in_file(file),
            None => error,
        }
    }
}

/// Checks the names, addresses and certificates of all banks. [`NodeConfig::check`] includes this.
///
/// # Errors
/// [`ConfigError`] for the first field that cannot be used.
pub fn check_banks(name: &str, listen: &str, peers: &[Peer], tls: &TlsFiles) -> Result<(), ConfigError> {
    let certified = tls.authority.is_some();
    let check_name = |field: &str, name: &str| {
        name_problem(name, certified).map_or(Ok(()), |problem| Err(ConfigError::new(field, problem)))
    };
    let check_address = |field: &str, address: &str| {
        address_problem(address).map_or(Ok(()), |problem| Err(ConfigError::new(field, problem)))
    };
    check_name("name", name)?;
    check_address("listen", listen)?;
    if peers.len() < 2 {
        let problem = "at least two other banks are needed, or one could decrypt alone";
        return Err(ConfigError::new("peers", problem));
    }
    let mut names = BTreeSet::from([same_name(name)]);
    for (index, peer) in peers.iter().enumerate() {
        let field = |name: &str| format!("peers[{index}].{name}");
        check_name(&field("name"), &peer.name)?;
        check_address(&field("address"), &peer.address)?;
        if !names.insert(same_name(&peer.name)) {
            let problem = format!("two banks are called {:?}, capitals or not", peer.name);
            return Err(ConfigError::new(field("name"), problem));
        }
        let problem = match (&peer.certificate, certified) {
            (None, false) => "missing: without `tls.authority`, each bank is known by its certificate",
            (Some(_), true) => "not used together with `tls.authority`; remove one of them",
            _ => continue,
        };
        return Err(ConfigError::new(field("certificate"), problem));
    }
    Ok(())
}
