//! What one bank does: meet the others, generate a key if there is none, propagate, write the scores.

mod run;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use subrosa_distributed_paillier::KeygenError;
use subrosa_risk_propagation::{
    self as propagation, Banks, CheckpointStore, Network, Outcome, Propagation, data, network::Period,
};
use subrosa_transport::tls::{TlsConfig, TlsError, TlsParty, TlsTransport};
use subrosa_transport::{Deadline, FailureKind, Limits, Roster, SessionError};

use crate::audit::{AuditError, Event, Member, Trail, hex};
use crate::certs::CertError;
use crate::config::{Config, ConfigError};
use crate::kept::Kept;
use crate::keys::{KeyFileError, Keys, MeetingError};
use crate::wire::Wire;
use run::Run;

/// Why a bank ends without a result.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A certificate or its key.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// The key file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The audit trail.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The network could not be set up, or not everybody came.
    #[error("{}", .0.with_causes())]
    Tls(#[from] TlsError),
    /// The address is not free, or not this machine's.
    #[error("{}: `listen`: {address}: {source}", file.display())]
    Listen {
        /// The configuration file.
        file: PathBuf,
        /// The address.
        address: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The banks met and hold different keys.
    #[error(transparent)]
    Meeting(#[from] MeetingError),
    /// Key generation.
    #[error("key generation: {0}")]
    Keygen(#[from] KeygenError),
    /// Data, plan or propagation.
    #[error(transparent)]
    Propagation(#[from] propagation::Error),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] propagation::CheckpointError),
    /// A session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Going on was asked for, and there is nothing to go on with.
    #[error("there is no stopped run in {}; `run` begins one", .0.display())]
    NothingToResume(PathBuf),
    /// There is no key file, and making one was not asked for.
    #[error("there is no key file {}; `keygen` makes one together with the other banks", .0.display())]
    NoKey(PathBuf),
    /// A signal.
    #[error("stopped by a signal")]
    Stopped,
    /// Other banks say again and again that they are not done.
    #[error("the banks met again and again, and some still have no scores")]
    NoEnd,
    /// The network failed too often.
    #[error("{last} (attempt {attempts}, the last one; the first failed because: {first})")]
    GaveUp {
        /// How often it was tried.
        attempts: u32,
        /// Why the first attempt failed.
        first: String,
        /// Why the last attempt failed.
        last: Box<NodeError>,
    },
}

impl NodeError {
    /// Whether another attempt may succeed: a bank left, was restarted or could not be reached.
    fn is_passing(&self) -> bool {
        let session = match self {
            Self::Session(error)
            | Self::Meeting(MeetingError::Session(error))
            | Self::Keygen(KeygenError::Session(error))
            | Self::Propagation(propagation::Error::Session(error)) => error,
            Self::Propagation(propagation::Error::Decryption(error)) => return is_passing_decryption(error),
            _ => return false,
        };
        matches!(session.kind(), FailureKind::Network | FailureKind::Abort)
    }

    /// What may be written into the audit trail: reasons that all banks were told, and no more than the kind of others.
    fn public_reason(&self) -> String {
        match self {
            Self::Session(_) | Self::Meeting(_) | Self::Keygen(_) | Self::Tls(_) | Self::Stopped => {
                self.to_string()
            }
            Self::Propagation(propagation::Error::Session(error)) => error.to_string(),
            Self::GaveUp { last, .. } => last.public_reason(),
            Self::Propagation(_) => "the propagation failed; this bank's log says why".to_owned(),
            _ => "this bank failed; its log says why".to_owned(),
        }
    }
}

fn is_passing_decryption(error: &subrosa_threshold_decryption::DecryptionError) -> bool {
    use subrosa_threshold_decryption::DecryptionError;
    match error {
        DecryptionError::Session(error) => matches!(error.kind(), FailureKind::Network | FailureKind::Abort),
        _ => false,
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// A key and nothing else.
    Keygen,
    /// The scores, with a key that is there.
    Run,
    /// The scores of a run that was stopped.
    Resume,
    /// A key if there is none, then the scores.
    Both,
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Self::Keygen => "keygen",
            Self::Run | Self::Resume | Self::Both => "propagation",
        }
    }
}

/// One bank, ready to meet the others.
#[derive(Debug)]
pub struct Node<'a> {
    config: &'a Config,
    stop: Arc<AtomicBool>,
    roster: Roster,
    keys: Keys,
    trail: Option<Trail>,
    /// The scores are on disk, or refused, and only the others are waited for.
    finished: bool,
    /// Why the run gave no scores although it ended as always; the others do not hear of it.
    refused: Option<propagation::Error>,
}

impl<'a> Node<'a> {
    /// Reads certificates, key files and the audit trail. `stop` ends the run when it becomes true.
    ///
    /// # Errors
    /// Files that cannot be used.
    pub fn new(config: &'a Config, stop: Arc<AtomicBool>) -> Result<Self, NodeError> {
        let roster = tls_config(config)?.roster()?;
        let keys = Keys::open(config, roster.me())?;
        let open = |file: &Path| match config.record {
            true => Trail::open(file)?.with_record(),
            false => Trail::open(file),
        };
        let trail = config.audit.as_deref().map(open).transpose()?;
        Ok(Self { config, stop, roster, keys, trail, finished: false, refused: None })
    }

    /// Does the task with the other banks, and begins again where the network failed or a bank was restarted.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn perform(&mut self, task: Task) -> Result<(), NodeError> {
        if matches!(task, Task::Run | Task::Resume) && !self.keys.is_any() {
            return Err(NodeError::NoKey(self.config.key_file.clone()));
        }
        if task == Task::Resume && self.is_fresh()? {
            return Err(NodeError::NothingToResume(self.config.checkpoints.clone()));
        }
        let member = |party| Member {
            name: self.roster.name(party).to_owned(),
            identity: hex(self.roster.identity(party)),
        };
        let started = Event::Started {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            bank: self.config.name.clone(),
            command: task.name().to_owned(),
            roster: self.roster.parties().map(member).collect(),
        };
        self.note(started)?;
        let refused = |node: &mut Self| node.refused.take().map_or(Ok(()), |error| Err(error.into()));
        let result = self.attempts(task).and_then(|()| refused(self));
        match self.note_end(task, &result) {
            Err(error) if result.is_ok() => return Err(error.into()),
            Err(error) => tracing::error!("{error}"),
            Ok(()) => {}
        }
        result
    }

    fn note_end(&mut self, task: Task, result: &Result<(), NodeError>) -> Result<(), AuditError> {
        if let Err(error) = result {
            self.note(Event::Failed { phase: task.name().to_owned(), reason: error.public_reason() })?;
        }
        let outcome = match result {
            Ok(()) => "success",
            Err(NodeError::Stopped) => "stopped",
            Err(_) => "failure",
        };
        self.note(Event::Ended { outcome: outcome.to_owned() })?;
        if let Some(trail) = &self.trail {
            tracing::info!(hash = trail.hash(), "the audit trail ends here; hand this hash to its readers");
        }
        Ok(())
    }

    /// Whether there is no checkpoint.
    fn is_fresh(&self) -> Result<bool, propagation::Error> {
        Ok(Kept::open(self.config)?.positions()?.is_empty())
    }

    fn note(&mut self, event: Event) -> Result<(), AuditError> {
        self.trail.as_mut().map_or(Ok(()), |trail| trail.write(event))
    }

    fn attempts(&mut self, task: Task) -> Result<(), NodeError> {
        // Places and data that cannot be used are refused before anybody is bothered.
        self.check_places(task)?;
        let network = if task == Task::Keygen { None } else { Some(self.read()?) };
        if let Some(network) = &network {
            self.recover(network)?;
        }
        let address = &self.config.listen;
        let listener = TcpListener::bind(address).map_err(|source| NodeError::Listen {
            file: self.config.file.clone(),
            address: address.clone(),
            source,
        })?;
        let mut first = None;
        let mut attempt = 1;
        loop {
            tracing::info!(attempt, task = task.name(), "waiting for the other banks");
            let error = match self.attempt(task, network.as_ref(), &listener) {
                Ok(()) => return Ok(()),
                Err(_) if self.stop.load(Ordering::Relaxed) => return Err(NodeError::Stopped),
                Err(NodeError::Tls(TlsError::NotConnected(_))) if self.finished => {
                    tracing::warn!(
                        "the scores are here, but other banks are not; the checkpoints are kept for them"
                    );
                    return Ok(());
                }
                Err(error) => error,
            };
            match first {
                None if !error.is_passing() || self.config.patience.attempts <= 1 => return Err(error),
                Some(first) if !error.is_passing() || attempt >= self.config.patience.attempts => {
                    return Err(NodeError::GaveUp { attempts: attempt, first, last: Box::new(error) });
                }
                _ => {}
            }
            tracing::warn!(attempt, reason = %error, "beginning again");
            first = first.or_else(|| Some(error.to_string()));
            attempt += 1;
        }
    }

    /// Where the results go, there is a folder for them: found out before hours are spent on them.
    fn check_places(&self, task: Task) -> Result<(), ConfigError> {
        let config = self.config;
        let places: &[(&str, &Path)] = match task {
            Task::Keygen => &[("key_file", &config.key_file)],
            _ => &[("key_file", &config.key_file), ("output", &config.output)],
        };
        for (field, place) in places {
            let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
            let problem = match folder {
                _ if place.is_dir() => format!("{} is a folder, not a file", place.display()),
                Some(folder) if !folder.is_dir() => format!("there is no folder {}", folder.display()),
                _ => continue,
            };
            return Err(ConfigError::Field {
                file: config.file.clone(),
                field: (*field).to_owned(),
                problem,
            });
        }
        Ok(())
    }

    /// The bank's data; the trail commits to them.
    fn read(&mut self) -> Result<Network, NodeError> {
        let banks = Banks::new(self.config.banks())?;
        let network = data::read_bank(&self.config.data, &banks, &self.config.name)?;
        tracing::info!(
            accounts = network.account_count(),
            edges = network.periods().iter().map(Period::edge_count).sum::<usize>(),
            periods = network.periods().len(),
            "data read"
        );
        if let Some(trail) = &mut self.trail {
            let commitment = crate::audit::commitment(trail.secret(), &input_files(self.config)?)?;
            trail.write(Event::Input { commitment })?;
        }
        Ok(network)
    }

    /// Writes the scores of a run that had ended here when the process did.
    fn recover(&mut self, network: &Network) -> Result<(), NodeError> {
        let Some(share) = self.keys.active() else { return Ok(()) };
        let mut kept = Kept::open(self.config)?;
        let propagation = Propagation::new(share, network.clone()).settings(self.config.settings.clone());
        match propagation.checkpoints(&mut kept).recover(&self.roster) {
            Ok(None) => {}
            Ok(Some(outcome)) => {
                tracing::info!("this bank's part of the run had ended before");
                write(self.config, &outcome)?;
                self.finished = true;
            }
            Err(error) => self.refused = Some(refused(error, &mut self.finished)?),
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        task: Task,
        network: Option<&Network>,
        listener: &TcpListener,
    ) -> Result<(), NodeError> {
        let patience = self.config.patience;
        let listening = listener.try_clone().map_err(TlsError::from)?;
        let transport = TlsTransport::start(tls_config(self.config)?, listening)?;
        self.wait_connected(&transport)?;
        tracing::info!("all banks are connected");
        let mut run = Run {
            config: self.config,
            wire: Wire::new(transport, Arc::clone(&self.stop), self.trail.as_mut()),
            keys: &mut self.keys,
            limits: Limits::new().with_open_timeout(patience.connect).with_round_timeout(patience.round),
            finished: &mut self.finished,
            refused: &mut self.refused,
        };
        let result = run.all(task, network);
        // Above all where it failed: in this round it did. A trail that cannot be written is the better reason.
        run.wire.finish()?;
        result
    }

    /// Waits for the others, as long as the configuration says and nobody says stop; the log hears who is missing, and why.
    fn wait_connected(&self, transport: &TlsTransport) -> Result<(), NodeError> {
        let deadline = Deadline::after(self.config.patience.connect);
        let mut told = BTreeSet::new();
        loop {
            let glance = Deadline::after(std::time::Duration::from_millis(200));
            let error = match transport.wait_connected(deadline.or_sooner(glance)) {
                Ok(()) => return Ok(()),
                Err(_) if self.stop.load(Ordering::Relaxed) => return Err(NodeError::Stopped),
                Err(error) if deadline.has_passed() => return Err(error.into()),
                Err(error) => error,
            };
            let TlsError::NotConnected(missing) = error else { return Err(error.into()) };
            for missing in missing {
                let (bank, reason) = (missing.name, missing.problem.with_causes());
                // Strangers have a say in some reasons, and not in how long the log becomes.
                if told.len() < MOST_REASONS && told.insert((bank.clone(), reason.clone())) {
                    tracing::info!(bank, reason, "not connected yet");
                }
            }
        }
    }
}

/// How many reasons for missing connections are told in one attempt.
const MOST_REASONS: usize = 40;

/// The files that the computation reads.
///
/// # Errors
/// The folder cannot be read, or its files are not named as they should be.
pub fn input_files(config: &Config) -> Result<Vec<PathBuf>, propagation::Error> {
    let folder = config.data.join(&config.name);
    let mut files = vec![folder.join(data::ACCOUNTS)];
    files.extend(data::transaction_files(&folder)?);
    Ok(files)
}

/// An error of which the others must not hear: this bank goes on as if it had its scores, and ends with it. All others end the
/// attempt.
fn refused(error: propagation::Error, finished: &mut bool) -> Result<propagation::Error, propagation::Error> {
    if !matches!(error, propagation::Error::Range(_)) {
        return Err(error);
    }
    tracing::error!("{error}");
    *finished = true;
    Ok(error)
}

fn write(config: &Config, outcome: &Outcome) -> Result<(), NodeError> {
    data::write_outcome(&config.output, outcome)?;
    if !outcome.withheld.is_empty() {
        tracing::warn!(
            accounts = outcome.withheld.len(),
            min_foreign_senders = outcome.plan.min_foreign_senders(),
            "scores withheld: too few accounts of other banks determine them; their fields are empty"
        );
    }
    for failure in &outcome.absent {
        tracing::warn!(bank = failure.name, "took no part in the decryption: {failure}");
    }
    tracing::info!(file = %config.output.display(), "scores written");
    Ok(())
}

/// Certificates and addresses as the transport wants them.
///
/// # Errors
/// Files that cannot be read, or that contradict each other.
pub fn tls_config(config: &Config) -> Result<TlsConfig, NodeError> {
    let chain = crate::certs::read_certificates(&config.tls.certificate)?;
    let key = crate::certs::read_key(&config.tls.key)?;
    let mut parties = Vec::new();
    for name in config.banks() {
        let peer = config.peers.iter().find(|peer| peer.name == name);
        let address = peer.map_or(config.listen.as_str(), |peer| peer.address.as_str());
        let pinned = match (&config.tls.authority, peer) {
            (Some(_), _) => None,
            (None, None) => chain.first().cloned(),
            (None, Some(peer)) => {
                let file = peer.certificate.as_deref().unwrap_or(std::path::Path::new(""));
                crate::certs::read_certificates(file)?.first().cloned()
            }
        };
        parties.push(match pinned {
            Some(certificate) => TlsParty::pinned(name, address, certificate),
            None => TlsParty::named(name, address),
        });
    }
    let tls = match &config.tls.authority {
        None => TlsConfig::pinned(&config.name, parties, key)?,
        Some(file) => {
            let Some(authority) = crate::certs::read_certificates(file)?.into_iter().next() else {
                let problem = "it holds no certificate".to_owned();
                return Err(CertError::Pem { file: file.clone(), problem }.into());
            };
            TlsConfig::with_authority(&config.name, parties, authority, chain, key)?
        }
    };
    let mut limits = subrosa_transport::tls::TlsLimits::default();
    limits.give_up = config.patience.reconnect;
    limits.keepalive = config.patience.keepalive;
    Ok(tls.with_limits(limits))
}
