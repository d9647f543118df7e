//! A propagation among banks: what an application holds, and what runs behind it.

mod agree;
mod arrivals;
mod decrypt;
mod driver;
mod exchange;
mod offers;
mod outcome;
mod parameters;
mod resume;
mod role;
mod stage;

use rand_core::CryptoRng;

use crate::checkpoint::CheckpointStore;
use crate::error::Error;
use crate::network::Network;
use crate::plan::Settings;
use crate::steps::agreement::periods;
use subrosa_threshold_decryption::KeyShare;
use subrosa_transport::{Limits, Parameters, Roster, Session, SessionError, Transport};

pub(crate) use decrypt::{announcement, noise};
pub(crate) use driver::run;
pub use outcome::Outcome;
pub use parameters::{PROTOCOL, parameters};
pub(crate) use resume::{Keeper, restore};
pub(crate) use role::{Auditor, Role};
pub use stage::{Event, Stage};

use outcome::{PassedOver, outcome};
use resume::Loaded;

/// A propagation among the banks of a transport's roster.
///
/// The roster, the network's banks and the parties of the key are the same in the same order. The work is done in the current
/// rayon pool.
///
/// ```no_run
/// # use subrosa_risk_propagation::{Error, FileStore, Network, Outcome, Propagation, Settings, subrosa_transport::Transport};
/// # use subrosa_risk_propagation::subrosa_threshold_decryption::KeyShare;
/// # fn store(_: &Outcome) {}
/// # fn bank(wire: &mut impl Transport, share: &KeyShare, network: Network) -> Result<(), Error> {
/// let mut checkpoints = FileStore::open("checkpoints")?;
/// let outcome = Propagation::new(share, network)
///     .settings(Settings { iterations: 3, ..Settings::default() })
///     .checkpoints(&mut checkpoints)
///     .progress(|event| eprintln!("{:?}", event.stage))
///     .run(wire, &mut rand::rng())?;
/// store(&outcome);
/// outcome.commit(&mut checkpoints)?;
/// # Ok(())
/// # }
/// ```
///
/// # Checkpoints
/// With a store, a run that is stopped at any moment goes on when a new `Propagation` with the same input and the same store is
/// run: at the last state that all banks have. A run that goes on sends the noise of the first attempt again, so that stopping and
/// resuming tells nothing more. Checkpoints stay until [`Outcome::commit`].
///
/// # Security
/// See `docs/security.md` and `docs/protocols/risk-propagation.md` for who learns what. False inputs are not noticed. Do not
/// repeat a run on the same data for the asking: each run narrows what the noise hides. Without a store nothing remembers which
/// keys were used: see [`KeyUse`](crate::KeyUse).
#[must_use = "nothing is computed before `run`"]
#[doc(alias("AML", "PageRank", "risk score", "anti-money laundering"))]
pub struct Propagation<'a> {
    share: &'a KeyShare,
    network: Network,
    settings: Settings,
    limits: Limits,
    checkpoints: Option<&'a mut dyn CheckpointStore>,
    progress: Box<dyn FnMut(&Event<'_>) + 'a>,
}

impl<'a> Propagation<'a> {
    /// A propagation of this bank's network under a key, with [`Settings::default`], [`Limits::default`], no checkpoints and no
    /// reports.
    pub fn new(share: &'a KeyShare, network: Network) -> Self {
        Self {
            share,
            network,
            settings: Settings::default(),
            limits: Limits::default(),
            checkpoints: None,
            progress: Box::new(|_| ()),
        }
    }

    /// Sets what the banks agreed on.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets this bank's time-outs and sizes. They do not concern a session that the caller opened.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Saves the run's states in a store, and goes on with the run that it holds.
    pub fn checkpoints(mut self, store: &'a mut dyn CheckpointStore) -> Self {
        self.checkpoints = Some(store);
        self
    }

    /// Calls `report` at the beginning of every [`Stage`].
    pub fn progress(mut self, report: impl FnMut(&Event<'_>) + 'a) -> Self {
        self.progress = Box::new(report);
        self
    }

    /// Step R0: the parameters of the session, which must be equal at all banks.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        parameters(self.share.key(), self.network.columns(), &self.settings)
    }

    /// Opens a session for this protocol with these parameters.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open<T: Transport>(
        &self,
        transport: T,
        rng: &mut impl CryptoRng,
    ) -> Result<Session<T>, SessionError> {
        Session::open(transport, PROTOCOL, &self.parameters(), self.limits.clone(), rng)
    }

    /// Opens a session and runs the propagation with the other banks.
    ///
    /// # Errors
    /// [`Error::Roster`] before the first message; [`Error::Plan`] for a run that does not fit the key; [`Error::Mismatch`] for two
    /// banks that disagree; [`Error::Session`], [`Error::Peer`] or [`Error::Decryption`] for banks that fail. All banks are told.
    /// [`Error::Range`] for decrypted numbers that no scores can have led to: the others are not told, and for them the run ends
    /// as always. [`Error::KeyUsed`] and [`Error::Checkpoint`] for a key and a store that cannot be used.
    pub fn run<T: Transport>(self, transport: T, rng: &mut impl CryptoRng) -> Result<Outcome, Error> {
        let mut session = self.open(transport, rng)?;
        self.run_in(&mut session, rng)
    }

    /// As [`run`](Self::run), in a session that the caller opened.
    ///
    /// # Errors
    /// As [`run`](Self::run); a session for another protocol or with other parameters.
    pub fn run_in<T: Transport>(
        mut self,
        session: &mut Session<T>,
        rng: &mut impl CryptoRng,
    ) -> Result<Outcome, Error> {
        session.expect(PROTOCOL, &self.parameters())?;
        let bank = Role::Bank(self.share);
        let (network, settings) = (self.network, &self.settings);
        let store = self.checkpoints.take();
        let verdict = session
            .guard(|session| run(session, &bank, network, settings, store, rng, &mut *self.progress))?;
        verdict.unwrap_or_else(|| Err(no_outcome()))
    }

    /// The outcome of a run that had ended for this bank when it was stopped; `None` if it had not, or if there are no checkpoints.
    /// Needs no other bank and leaves the checkpoints as they are.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a checkpoint that cannot be used; [`Error::Range`].
    pub fn recover(mut self, roster: &Roster) -> Result<Option<Outcome>, Error> {
        let share = &Role::Bank(self.share);
        let Some(latest) = self.latest(roster)? else { return Ok(None) };
        if latest.position < latest.sequence().disclosed() {
            return Ok(None);
        }
        let periods = periods::agree(&latest.run.activity, &self.settings)?;
        let agreed = restore(self.network, &latest.run)?;
        outcome(agreed, latest.plan, periods, &latest.state, PassedOver::default(), share.key()).map(Some)
    }

    /// The run that was stopped, as the latest checkpoint has it. Needs no other bank.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a checkpoint that cannot be used.
    pub fn stopped(mut self, roster: &Roster) -> Result<Option<Stopped>, Error> {
        Ok(self.latest(roster)?.map(|latest| Stopped {
            run: latest.run.id,
            position: latest.position,
            shown: latest.position >= latest.sequence().committed(),
        }))
    }

    fn latest(&mut self, roster: &Roster) -> Result<Option<Loaded>, Error> {
        let share = &Role::Bank(self.share);
        driver::check_roster(roster, share, &self.network)?;
        let store = self.checkpoints.take();
        let keeper = Keeper::new(store, share, roster, &self.network, &self.settings);
        Ok(keeper.latest(share, &self.network, &self.settings)?)
    }
}

impl std::fmt::Debug for Propagation<'_> {
    // Redacted: the network is the bank's secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Propagation(<redacted>, bank {})", self.network.bank())
    }
}

/// A run that was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// The session in which it began.
    pub run: [u8; 32],
    /// Position of the last state: see [`checkpoint`](crate::checkpoint).
    pub position: u32,
    /// What is to be decrypted may have been shown: the run has to be finished, and is not started over.
    pub shown: bool,
}

/// No bank meets this: only the run of an auditor ends without an outcome.
fn no_outcome() -> Error {
    Error::internal("the run ended without an outcome")
}
