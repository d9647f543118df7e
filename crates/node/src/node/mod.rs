//! One bank: it meets the others, generates a key if there is none, propagates, and writes the scores.

mod error;
mod results;
mod run;
mod tls;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::audit::{AuditError, Event, Member, Trail, hex};
use crate::audited_transport::AuditedTransport;
use crate::checkpoints::CheckpointFolder;
use crate::config::{AuditFiles, ConfigError, NodeConfig};
use crate::keys::KeyFiles;
pub use error::NodeError;
use results::{hold_back, write_scores};
use run::Run;
use subrosa_risk_propagation::{
    self as propagation, Banks, CheckpointStore, Network, Outcome, Period, Propagation, data,
};
use subrosa_transport::tls::{TlsError, TlsTransport};
use subrosa_transport::{Deadline, Limits, Roster, with_causes};
use tls::tls_config;

/// What a node does with the other banks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// Generates a key, if there is none or the key has served its run.
    Keygen,
    /// Propagates, or continues a stopped run. There must be a key; if it has served its run, a new one is generated.
    Run,
    /// Continues a stopped run, as [`Run`](Self::Run). There must be a checkpoint.
    Resume,
    /// Propagates as [`Run`](Self::Run), and first generates a key if there is none.
    KeygenAndRun,
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Self::Keygen => "keygen",
            Self::Run | Self::Resume | Self::KeygenAndRun => "propagation",
        }
    }
}

/// One bank, ready to meet the others.
///
/// The node writes log events with `tracing`. They hold names, sizes, times and errors, but no secret, score or account.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    stop: Arc<AtomicBool>,
    roster: Roster,
    keys: KeyFiles,
    trail: Option<Trail>,
    progress: Progress,
}

/// What a bank has reached in its present task.
#[derive(Debug, Default)]
struct Progress {
    /// Whether the scores are on disk or held back, and the node only waits for the other banks.
    finished: bool,
    /// What was written to the output file.
    outcome: Option<Outcome>,
    /// An error that was held back from the other banks, because it would disclose something about the data.
    held_back: Option<propagation::Error>,
}

impl Node {
    /// Checks a configuration, and reads certificates, key files and the audit trail.
    ///
    /// # Errors
    /// [`NodeError`] names the field or the file that cannot be used.
    pub fn new(config: NodeConfig) -> Result<Self, NodeError> {
        config.check()?;
        let roster = tls_config(&config)?.roster()?;
        let keys = KeyFiles::open(&config.key_file, &config.passphrase, roster.me())?;
        let open = |audit: &AuditFiles| match audit.record {
            true => Trail::open(&audit.trail)?.with_record(),
            false => Trail::open(&audit.trail),
        };
        let trail = config.audit.as_ref().map(open).transpose()?;
        Ok(Self { config, stop: Arc::default(), roster, keys, trail, progress: Progress::default() })
    }

    /// Sets a flag that stops the node. While it is true, [`run`](Self::run) stops at its next wait for another bank, reports the
    /// reason to the other banks, and returns [`NodeError::Stopped`]. Checkpoints are kept.
    #[must_use]
    pub fn with_stop(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = stop;
        self
    }

    /// Performs a task with the other banks. After a failure of the network or a restart of a bank, the banks meet again and
    /// continue from their last common checkpoint.
    ///
    /// # Returns
    /// The outcome whose scores are in the output file. `None` for [`Task::Keygen`].
    ///
    /// # Errors
    /// [`NodeError`]. Its [`culprits`](NodeError::culprits) are the banks that are to blame.
    pub fn run(&mut self, task: Task) -> Result<Option<Outcome>, NodeError> {
        self.progress = Progress::default();
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
        let result = self.attempts(task).and_then(|()| match self.progress.held_back.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        });
        match self.note_end(task, &result) {
            Err(error) if result.is_ok() => return Err(error.into()),
            Err(error) => tracing::error!("{}", with_causes(&error)),
            Ok(()) => {}
        }
        result.map(|()| self.progress.outcome.take())
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
        Ok(CheckpointFolder::open(&self.config)?.positions()?.is_empty())
    }

    fn note(&mut self, event: Event) -> Result<(), AuditError> {
        self.trail.as_mut().map_or(Ok(()), |trail| trail.write(event))
    }

    fn attempts(&mut self, task: Task) -> Result<(), NodeError> {
        // Places and data that cannot be used are refused before the other banks are involved.
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
                Err(NodeError::Tls(TlsError::NotConnected(_))) if self.progress.finished => {
                    tracing::warn!(
                        "the scores are here, but other banks are not; the checkpoints are kept for them"
                    );
                    return Ok(());
                }
                Err(error) => error,
            };
            match first {
                None if !error.is_passing() || self.config.attempts <= 1 => return Err(error),
                Some(first) if !error.is_passing() || attempt >= self.config.attempts => {
                    return Err(NodeError::GaveUp { attempts: attempt, first, last: Box::new(error) });
                }
                _ => {}
            }
            tracing::warn!(attempt, reason = with_causes(&error), "beginning again");
            first = first.or_else(|| Some(Box::new(error)));
            attempt += 1;
        }
    }

    /// Checks that the folders of the results exist, before hours are spent on them.
    fn check_places(&self, task: Task) -> Result<(), ConfigError> {
        let config = &self.config;
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
            return Err(config.in_file(ConfigError::new(*field, problem)));
        }
        Ok(())
    }

    /// Reads the bank's data. The trail commits to them.
    fn read(&mut self) -> Result<Network, NodeError> {
        let banks = Banks::new(self.config.banks()).map_err(propagation::Error::from)?;
        let network = data::read_bank(&self.config.data, &banks, &self.config.name)?;
        tracing::info!(
            accounts = network.account_count(),
            edges = network.periods().iter().map(Period::edge_count).sum::<usize>(),
            periods = network.periods().len(),
            "data read"
        );
        if let Some(trail) = &mut self.trail {
            let commitment = trail.secret().commitment(&self.config.input_files()?)?;
            trail.write(Event::Input { commitment })?;
        }
        Ok(network)
    }

    /// Writes the scores of a run that had ended at this bank before the process ended.
    fn recover(&mut self, network: &Network) -> Result<(), NodeError> {
        let Some(share) = self.keys.active() else { return Ok(()) };
        let mut checkpoints = CheckpointFolder::open(&self.config)?;
        let propagation = Propagation::new(share, network.clone()).settings(self.config.settings.clone());
        match propagation.checkpoints(&mut checkpoints).recover(&self.roster) {
            Ok(None) => {}
            Ok(Some(outcome)) => {
                tracing::info!("this bank's part of the run had ended before");
                write_scores(&self.config, &outcome)?;
                self.progress.finished = true;
                self.progress.outcome = Some(outcome);
            }
            Err(error) => {
                self.progress.held_back = Some(hold_back(error)?);
                self.progress.finished = true;
            }
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        task: Task,
        network: Option<&Network>,
        listener: &TcpListener,
    ) -> Result<(), NodeError> {
        let timeouts = self.config.timeouts;
        let listening = listener.try_clone().map_err(TlsError::from)?;
        let transport = TlsTransport::start(tls_config(&self.config)?, listening)?;
        self.wait_connected(&transport)?;
        tracing::info!("all banks are connected");
        let mut run = Run {
            config: &self.config,
            transport: AuditedTransport::new(transport, Arc::clone(&self.stop), self.trail.as_mut()),
            keys: &mut self.keys,
            limits: Limits::new().with_open_timeout(timeouts.connect).with_round_timeout(timeouts.round),
            progress: &mut self.progress,
        };
        let result = run.all(task, network);
        // The trail gets the round in which the attempt failed. A trail that cannot be written is the better reason.
        run.transport.finish()?;
        result
    }

    /// Waits until all banks are connected, and logs which are missing and why.
    fn wait_connected(&self, transport: &TlsTransport) -> Result<(), NodeError> {
        let deadline = Deadline::after(self.config.timeouts.connect);
        let mut logged = BTreeSet::new();
        loop {
            let poll = Deadline::after(std::time::Duration::from_millis(200));
            let error = match transport.wait_connected(deadline.or_sooner(poll)) {
                Ok(()) => return Ok(()),
                Err(_) if self.stop.load(Ordering::Relaxed) => return Err(NodeError::Stopped),
                Err(error) if deadline.has_passed() => return Err(error.into()),
                Err(error) => error,
            };
            let TlsError::NotConnected(missing) = error else { return Err(error.into()) };
            for missing in missing {
                let (bank, reason) = (missing.name, missing.problem.with_causes());
                // Strangers influence some reasons. They must not fill the log.
                if logged.len() < MOST_REASONS && logged.insert((bank.clone(), reason.clone())) {
                    tracing::info!(bank, reason, "not connected yet");
                }
            }
        }
    }
}

/// Greatest number of reasons for missing connections that one attempt logs.
const MOST_REASONS: usize = 40;
