//! The protocol among the banks: connects the steps R0 to R10 of `docs/protocols/risk-propagation.md` to a [`Session`].

mod agree;
mod decrypt;
mod role;
mod scores;

use rand_core::CryptoRng;
use subrosa_encoding::{Hasher, Hex};
use subrosa_paillier::Blinder;
use subrosa_threshold_decryption::{Deviation, KeyShare, ThresholdKey};
use subrosa_transport::{
    Failure, Limits, Parameters, PartyId, Protocol, Roster, Session, SessionError, Transport,
};

use crate::agreement::Agreed;
use crate::banks::BankId;
use crate::checkpoint::format::{Run, State};
use crate::checkpoint::{CheckpointError, CheckpointStore};
use crate::disclosure::{self, Ceilings};
use crate::encrypted::Encrypted;
use crate::error::Error;
use crate::links::Links;
use crate::messages::{CHUNK, Finished};
use crate::network::Network;
use crate::periods::{self, PeriodActivity};
use crate::plan::Plan;
use crate::protocol::agree::Terms;
use crate::protocol::decrypt::Disclosure;
use crate::protocol::scores::Outgoing;
use crate::resume::{self, Keeper, Loaded, Positions, Seen, Start};
use crate::senders;
use crate::settings::Settings;

pub(crate) use decrypt::{announcement, noise};
pub(crate) use role::{Auditor, Role};

/// Name and version of the protocol, for [`Session::open`].
pub const PROTOCOL: Protocol = Protocol { name: "subrosa/risk-propagation", version: 3 };

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

/// What a run is about to do.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Stage<'a> {
    /// R1 to R5: sizes, hashes, offers, selections, declarations.
    Agree,
    /// The plan is made; the first scores are encrypted.
    #[non_exhaustive]
    Encrypt {
        /// The plan of the run.
        plan: &'a Plan,
        /// Its periods, and which bank made each of them count.
        periods: &'a [PeriodActivity],
        /// Own accounts whose scores will be withheld: see [`Outcome::withheld`].
        withheld: usize,
    },
    /// R6: an iteration, the encryption of its scores included except for the first.
    Iterate {
        /// Which, from 1.
        number: usize,
        /// Out of how many.
        of: usize,
    },
    /// R7 to R9.
    Decrypt {
        /// Own ciphertexts to be decrypted.
        ciphertexts: usize,
    },
    /// All is done.
    Done,
}

/// Reported whenever a stage begins.
pub type Event<'a> = subrosa_transport::Event<Stage<'a>>;

/// What a run brought.
#[derive(Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The network of which all banks agreed.
    pub agreed: Agreed,
    /// The plan that was followed.
    pub plan: Plan,
    /// The periods, and which bank made each of them count.
    pub periods: Vec<PeriodActivity>,
    /// Final scores of the own accounts: one row of risk types for each, in the network's order. For accounts that are
    /// withheld, the part that the bank's own accounts contribute: a lower bound, and no score.
    pub scores: Vec<f64>,
    /// Accounts of which only a lower bound is known, by their place in the network, ascending: fewer foreign senders than
    /// [`Settings::min_foreign_senders`] determine their scores.
    pub withheld: Vec<u32>,
    /// Accounts whose scores were decrypted.
    pub decrypted_accounts: usize,
    /// Ciphertexts that were decrypted for them.
    pub ciphertexts: usize,
    /// Parties that did not take part in the decryption, with the reasons: they were silent, or their proof did not hold.
    pub absent: Vec<Failure>,
    /// Of the parties whose proof did not hold, which of their partial decryptions are wrong, by the own ciphertexts' places;
    /// an empty list where only the proof is.
    pub deviations: Vec<Deviation>,
    /// Banks that were at another run, or at none, so that all gave up one of which this bank had a state.
    pub anew_for: Vec<PartyId>,
    /// Whether all banks have said that they have their plaintexts (R10): no bank needs this one's checkpoints any more.
    pub complete: bool,
}

impl Outcome {
    /// Removes the run's checkpoints. Call this once the outcome is stored where it is safe.
    ///
    /// Where some bank has not said that it is done, they stay, and the result is `false`: run again if that bank comes back, and
    /// [`clear`](CheckpointStore::clear) the store if it does not.
    ///
    /// # Errors
    /// [`CheckpointError`]: they cannot be removed.
    pub fn commit(&self, checkpoints: &mut dyn CheckpointStore) -> Result<bool, CheckpointError> {
        if self.complete {
            checkpoints.clear()?;
        }
        Ok(self.complete)
    }

    /// The own accounts with scores, in the network's order: name and scores, one for each risk type. Those that are
    /// [withheld](Outcome::withheld_accounts) are left out.
    pub fn by_account(&self) -> impl Iterator<Item = (&str, &[f64])> + '_ {
        self.rows().filter(|(account, ..)| !self.is_withheld(*account)).map(|(_, id, scores)| (id, scores))
    }

    /// The own accounts without scores, in the network's order: name and lower bounds of the scores, one for each risk type.
    pub fn withheld_accounts(&self) -> impl Iterator<Item = (&str, &[f64])> + '_ {
        self.rows().filter(|(account, ..)| self.is_withheld(*account)).map(|(_, id, scores)| (id, scores))
    }

    /// Whether an account, named by its place in the network, has a lower bound in place of a score.
    #[must_use]
    pub fn is_withheld(&self, account: usize) -> bool {
        u32::try_from(account).is_ok_and(|account| self.withheld.binary_search(&account).is_ok())
    }

    fn rows(&self) -> impl Iterator<Item = (usize, &str, &[f64])> + '_ {
        let rows = self.agreed.network().account_ids().zip(self.scores.chunks(self.plan.columns().max(1)));
        rows.enumerate().map(|(account, (id, scores))| (account, id, scores))
    }

    /// The own accounts of which some score is at least `threshold`: name and scores, one for each risk type. Of a withheld
    /// account, its lower bounds count.
    ///
    /// # Security
    /// A display filter, for lists that are handed on inside the bank, and nothing more: all scores of the own accounts were
    /// disclosed to this bank, those below the threshold as well, and no other bank learns of the threshold.
    pub fn at_least(&self, threshold: f64) -> impl Iterator<Item = (&str, &[f64])> + '_ {
        let high = move |scores: &[f64]| scores.iter().any(|score| *score >= threshold);
        self.rows().filter(move |(_, _, scores)| high(scores)).map(|(_, id, scores)| (id, scores))
    }
}

impl std::fmt::Debug for Outcome {
    // Redacted: the scores are the bank's secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outcome(<redacted>, {} scores)", self.scores.len())
    }
}

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
        if latest.position < Positions::new(&latest.plan).disclosed() {
            return Ok(None);
        }
        let periods = periods::agree(&latest.run.activity, &self.settings)?;
        let agreed = resume::restore(self.network, &latest.run)?;
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
            shown: latest.position >= Positions::new(&latest.plan).committed(),
        }))
    }

    fn latest(&mut self, roster: &Roster) -> Result<Option<Loaded>, Error> {
        let share = &Role::Bank(self.share);
        check_roster(roster, share, &self.network)?;
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

/// Parties without which the decryption went on.
#[derive(Default)]
struct PassedOver {
    absent: Vec<Failure>,
    deviations: Vec<Deviation>,
}

/// What all banks agreed on, and where this one is.
struct Begun {
    agreed: Agreed,
    plan: Plan,
    periods: Vec<PeriodActivity>,
    run: Run,
    position: u32,
    state: State,
    /// What was sent to single banks in this session.
    links: Links,
    /// What this bank had heard before the run was stopped.
    seen: Seen,
    /// Banks for which all begin anew.
    anew_for: Vec<PartyId>,
}

/// What a bank has when the protocol has ended. An error here is one of which the others do not hear.
pub(crate) type Verdict = Result<Outcome, Error>;

/// The protocol; without a verdict for an auditor, who reads nothing.
pub(crate) fn run<T: Transport>(
    session: &mut Session<T>,
    share: &Role<'_>,
    network: Network,
    settings: &Settings,
    checkpoints: Option<&mut dyn CheckpointStore>,
    rng: &mut impl CryptoRng,
    progress: &mut dyn FnMut(&Event<'_>),
) -> Result<Option<Verdict>, Error> {
    check_roster(session.roster(), share, &network)?;
    check_accounts(&network, settings)?;
    tell(session, progress, Stage::Agree);
    let mut keeper = Keeper::new(checkpoints, share, session.roster(), &network, settings);
    let mut begun = begin(session, &mut keeper, share, network, settings, rng)?;
    let withheld = senders::withheld(begun.agreed.network(), &begun.plan)?.len();
    tell(session, progress, Stage::Encrypt { plan: &begun.plan, periods: &begun.periods, withheld });
    let blinder = Blinder::with_default_table(share.key().public())?;
    iterate(session, &mut keeper, share, &blinder, &mut begun, progress)?;

    let Begun { agreed, plan, periods, run, position, mut state, seen, anew_for, .. } = begun;
    let disclosed = senders::disclosed(agreed.network(), &plan)?;
    let ciphertexts = disclosure::ciphertexts(disclosed.len(), &plan);
    tell(session, progress, Stage::Decrypt { ciphertexts });
    let positions = Positions::new(&plan);
    if position < positions.packed() {
        state.packed = disclosure::pack(&state.scores, &disclosed, &plan, blinder.key())?;
        state.packed_in = *session.id();
        state.scores.forget_mixed();
        keeper.save(positions.packed(), share, &run, &state)?;
    }
    let mut passed_over = PassedOver::default();
    if position < positions.disclosed() {
        let disclosure = Disclosure {
            share,
            checks: settings.checks,
            plan: &plan,
            blinder: &blinder,
            run: &run,
            position,
            seen: &seen,
            keeper: &mut keeper,
        };
        let decrypted = disclosure.decrypt(session, &mut state)?;
        keeper.save(positions.disclosed(), share, &run, &state)?;
        match decrypted {
            Some(found) => passed_over = found,
            None => return Ok(None),
        }
    } else {
        session.confirm()?;
    }
    // Kept until the protocol has ended: whether there are scores is nobody else's affair.
    let verdict = match share {
        Role::Bank(_) => {
            let outcome = outcome(agreed, plan, periods, &state, passed_over, share.key());
            Some(outcome.map(|outcome| Outcome { anew_for, ..outcome }))
        }
        Role::Auditor(_) => None,
    };
    let complete = finish(session, &keeper);
    let verdict = verdict.map(|verdict| verdict.map(|outcome| Outcome { complete, ..outcome }));
    tell(session, progress, Stage::Done);
    Ok(verdict)
}

fn tell<T: Transport>(session: &Session<T>, progress: &mut dyn FnMut(&Event<'_>), stage: Stage<'_>) {
    progress(&Event::new(stage, session.counters().total()));
}

/// R6, as often as the plan says and the state has not seen yet.
fn iterate<T: Transport>(
    session: &mut Session<T>,
    keeper: &mut Keeper<'_>,
    share: &Role<'_>,
    blinder: &Blinder,
    begun: &mut Begun,
    progress: &mut dyn FnMut(&Event<'_>),
) -> Result<(), Error> {
    let Begun { agreed, plan, run, position, state, links, .. } = begun;
    let of = plan.steps().len();
    let first = *position as usize;
    for (index, &step) in plan.steps().iter().enumerate().skip(first) {
        let number = index + 1;
        let mut outgoing = Outgoing::new(agreed, step, run.seed.scores(session.id(), index))?;
        if index == first {
            // Told of as a stage of its own.
            outgoing.encrypt_all(&state.scores, blinder)?;
        }
        tell(session, progress, Stage::Iterate { number, of });
        let received = scores::exchange_scores(session, links, outgoing, &state.scores, blinder, run)?;
        // R6b. By this a bank to which nobody pays does not run ahead of the others, and of the states that they can go back to.
        links.compare(session)?;
        state.scores.advance(agreed, plan, blinder.key(), step, received)?;
        if number < of {
            let position = u32::try_from(number);
            let position = position.map_err(|_| Error::Internal { place: "more than 2^32 steps" })?;
            keeper.save(position, share, run, state)?;
        }
    }
    Ok(())
}

/// The first round, and R1 to R5 unless all banks have been through them.
fn begin<T: Transport>(
    session: &mut Session<T>,
    keeper: &mut Keeper<'_>,
    share: &Role<'_>,
    network: Network,
    settings: &Settings,
    rng: &mut impl CryptoRng,
) -> Result<Begun, Error> {
    let mut links = Links::new(session.id(), session.roster());
    let key = share.key().public().id();
    let anew_for = match keeper.meet(session, share, &network, settings)? {
        Start::Anew { asked_by } => {
            keeper.check_unused(key, settings, session.roster(), &asked_by)?;
            asked_by
        }
        Start::GoOn(loaded, seen) => {
            let Loaded { position, run, plan, state } = *loaded;
            keeper.use_key(key, &run.id, settings)?;
            let agreed = resume::restore(network, &run)?;
            let periods = periods::agree(&run.activity, settings)?;
            let anew_for = Vec::new();
            return Ok(Begun { agreed, plan, periods, run, position, state, links, seen, anew_for });
        }
    };
    let seed = share.seed(session.id(), rng)?;
    let hashes = [seed.digest(), seed.input_hash(&network)];
    keeper.keep_seed(session.id(), &seed)?;
    let Terms { agreed, plan, sizes, activity } =
        agree::agree(session, &mut links, &seed, share.key(), network, settings)?;
    let periods = periods::agree(&activity, settings)?;
    let own = senders::disclosed(agreed.network(), &plan)?.len();
    let (accounts, chunks) = agree::declare(session, &agreed, own, hashes, settings)?;
    let (exports, imports) = agreed.lists();
    let run = Run {
        id: *session.id(),
        seed,
        sizes,
        activity,
        exports: exports.clone(),
        imports: imports.clone(),
        accounts,
        chunks,
    };
    let state = State::new(Encrypted::initial(&agreed, &plan)?);
    keeper.clear()?;
    keeper.save(0, share, &run, &state)?;
    keeper.use_key(key, &run.id, settings)?;
    let seen = Seen::default();
    Ok(Begun { agreed, plan, periods, run, position: 0, state, links, seen, anew_for })
}

/// The end of R9: scores from plaintexts.
fn outcome(
    agreed: Agreed,
    plan: Plan,
    periods: Vec<PeriodActivity>,
    state: &State,
    passed_over: PassedOver,
    key: &ThresholdKey,
) -> Result<Outcome, Error> {
    let disclosed = senders::disclosed(agreed.network(), &plan)?;
    let withheld = senders::withheld(agreed.network(), &plan)?;
    let ceilings = Ceilings::new(&agreed, &plan)?;
    let scores =
        disclosure::disclose(&state.scores, &disclosed, &state.plaintexts, &ceilings, &plan, key.public())?;
    let ciphertexts = state.plaintexts.len();
    let PassedOver { absent, deviations } = passed_over;
    let decrypted_accounts = disclosed.len();
    Ok(Outcome {
        agreed,
        plan,
        periods,
        scores,
        withheld,
        decrypted_accounts,
        ciphertexts,
        absent,
        deviations,
        anew_for: Vec::new(),
        complete: false,
    })
}

/// R10: says that this bank has its plaintexts; whether all have said so.
fn finish<T: Transport>(session: &mut Session<T>, keeper: &Keeper<'_>) -> bool {
    let enough = if keeper.is_active() { session.roster().len() - 1 } else { 0 };
    // A bank that does not answer may need the others again. This one has what it came for.
    let heard = session.collect(|_| Some(Finished {}), |_| true, enough, &()).is_ok();
    heard && keeper.is_active()
}

/// Whether session, key and network are of the same banks in the same order.
fn check_roster(roster: &Roster, share: &Role<'_>, network: &Network) -> Result<(), Error> {
    let banks = network.banks();
    if roster.len() != banks.len() || roster.len() != share.key().access().parties() as usize {
        return Err(Error::Roster(format!(
            "the session has {} parties, the network {} banks and the key {} shares",
            roster.len(),
            banks.len(),
            share.key().access().parties()
        )));
    }
    for (party, bank) in roster.parties().zip(banks.iter()) {
        if roster.name(party) != banks.name(bank) {
            let (session, network) = (roster.name(party), banks.name(bank));
            return Err(Error::Roster(format!(
                "the session has `{session}` where the network has `{network}`"
            )));
        }
    }
    let other = matches!(share, Role::Bank(share) if share.party() != roster.me());
    if roster.me().index() != network.own().index() || other {
        return Err(Error::Roster("session, key share and network are not of the same bank".to_owned()));
    }
    Ok(())
}

/// What a bank never meets: only an auditor ends without an outcome.
fn no_outcome() -> Error {
    Error::internal("the run ended without an outcome")
}

/// Whether the banks for which a number of accounts was agreed are there, and the own accounts are no more than that.
fn check_accounts(network: &Network, settings: &Settings) -> Result<(), Error> {
    if let Some(name) = settings.most_accounts.keys().find(|name| network.banks().find(name).is_none()) {
        return Err(Error::Roster(format!("accounts were agreed for `{name}`, which takes no part")));
    }
    let (accounts, agreed) = (network.account_count(), settings.agreed_accounts(network.bank()));
    match agreed {
        Some(most) if accounts > most as usize => Err(Error::TooManyAccounts { accounts, most }),
        _ => Ok(()),
    }
}

/// The bank of a party: banks and parties stand in the same order.
fn bank_of(agreed: &Network, party: PartyId) -> Result<BankId, Error> {
    agreed.banks().get(party.index()).ok_or(Error::Internal { place: "a party of the roster has no bank" })
}

pub(crate) fn blame(roster: &Roster, party: PartyId, reason: impl Into<String>) -> Error {
    Error::Peer { party, bank: roster.name(party).to_owned(), reason: reason.into() }
}
