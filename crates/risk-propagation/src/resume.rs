//! Where a run begins: at the start, or at the last state that all banks have.

use subrosa_transport::{PartyId, Roster, Session, Transport};

use crate::agreement::Agreed;
use crate::checkpoint::format::{self, Binding, Digest, Run, State};
use crate::checkpoint::{CheckpointError, CheckpointProblem, CheckpointStore, WriteBytes};
use crate::error::Error;
use crate::messages::Resume;
use crate::network::Network;
use crate::plan::Plan;
use crate::protocol::{Role, parameters};
use crate::randomness::RunSeed;
use crate::settings::Settings;

/// The states in which a bank is saved, as numbers that grow: 0 after the agreement, j after iteration j (but the last), then
/// these.
#[derive(Clone, Copy)]
pub(crate) struct Positions {
    steps: u32,
}

impl Positions {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { steps: u32::try_from(plan.steps().len()).unwrap_or(u32::MAX - 3) }
    }

    /// All iterations are done and the ciphertexts are packed.
    pub(crate) fn packed(self) -> u32 {
        self.steps + 1
    }

    /// Announcements are compared; from here on noise may have been sent.
    pub(crate) fn announced(self) -> u32 {
        self.steps + 2
    }

    /// The bank has its plaintexts.
    pub(crate) fn disclosed(self) -> u32 {
        self.steps + 3
    }
}

/// A bank's checkpoints with what they are bound to; without a store nothing is ever kept.
pub(crate) struct Keeper<'a> {
    store: Option<&'a mut dyn CheckpointStore>,
    binding: Option<Binding>,
}

/// A checkpoint that was read.
pub(crate) struct Loaded {
    pub(crate) position: u32,
    pub(crate) run: Run,
    pub(crate) plan: Plan,
    pub(crate) state: State,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(
        store: Option<&'a mut dyn CheckpointStore>,
        share: &Role<'_>,
        roster: &Roster,
        network: &Network,
        settings: &Settings,
    ) -> Self {
        let fields = || parameters(share.key(), network.columns(), settings);
        let binding = store.is_some().then(|| Binding::new(share.key().public(), roster, &fields(), network));
        Self { store, binding }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.store.is_some()
    }

    /// The latest checkpoint, if there is one.
    pub(crate) fn latest(
        &self,
        share: &Role<'_>,
        network: &Network,
        settings: &Settings,
    ) -> Result<Option<Loaded>, CheckpointError> {
        let Some(store) = &self.store else { return Ok(None) };
        let latest = store.positions()?.last().copied();
        latest.map(|position| self.load(position, share, network, settings)).transpose()
    }

    fn load(
        &self,
        position: u32,
        share: &Role<'_>,
        network: &Network,
        settings: &Settings,
    ) -> Result<Loaded, CheckpointError> {
        let (Some(store), Some(binding)) = (&self.store, &self.binding) else {
            return Err(CheckpointError::new("", CheckpointProblem::Missing));
        };
        let failed = |problem| CheckpointError::new(store.name(position), problem);
        if !store.positions()?.contains(&position) {
            return Err(failed(CheckpointProblem::Missing));
        }
        let plan_of = |sizes: &_| Plan::new(sizes, settings).ok();
        let mut source = store.read(position)?;
        let read = format::read(&mut *source, binding, share.key().public(), network, &plan_of);
        let (run, plan, state) = read.map_err(failed)?;
        Ok(Loaded { position, run, plan, state })
    }

    /// Saves a state and removes all but the last two.
    pub(crate) fn save(
        &mut self,
        position: u32,
        share: &Role<'_>,
        run: &Run,
        state: &State,
    ) -> Result<(), CheckpointError> {
        let (Some(store), Some(binding)) = (&mut self.store, &self.binding) else { return Ok(()) };
        let key = share.key().public();
        let bytes: &mut WriteBytes<'_> = &mut |out| format::write(out, binding, run, state, key);
        store.write(position, bytes)?;
        let mut kept = store.positions()?;
        kept.retain(|&kept| kept <= position);
        let old = kept.len().saturating_sub(2);
        kept.into_iter().take(old).try_for_each(|old| store.remove(old))
    }

    /// Keeps the seed of a run that begins.
    pub(crate) fn keep_seed(&mut self, run: &Digest, seed: &RunSeed) -> Result<(), CheckpointError> {
        self.store.as_mut().map_or(Ok(()), |store| store.keep_seed(run, seed))
    }

    pub(crate) fn clear(&mut self) -> Result<(), CheckpointError> {
        self.store.as_mut().map_or(Ok(()), |store| store.clear())
    }

    /// The first round: the state from which all banks go on, or `None` for a new run.
    ///
    /// With it come the announcements that this bank has answered with noise before, if it has.
    ///
    /// # Errors
    /// Checkpoints that cannot be used; a start anew where noise may have been sent already.
    pub(crate) fn meet<T: Transport + ?Sized>(
        &mut self,
        session: &mut Session<'_, T>,
        share: &Role<'_>,
        network: &Network,
        settings: &Settings,
    ) -> Result<Option<(Loaded, Vec<Digest>)>, Error> {
        let latest = self.latest(share, network, settings)?;
        let mine = Resume {
            run: latest.as_ref().map(|latest| latest.run.id),
            position: latest.as_ref().map_or(0, |latest| latest.position),
        };
        let all = session.broadcast(&mine, &())?;
        let Some(latest) = latest else { return Ok(None) };
        if let Some((other, _)) = all.iter().find(|(_, theirs)| theirs.run != mine.run) {
            if latest.position >= Positions::new(&latest.plan).announced() {
                let bank = session.roster().name(other).to_owned();
                let problem = CheckpointProblem::StartOver { bank };
                return Err(CheckpointError::new(self.name(latest.position), problem).into());
            }
            return Ok(None);
        }
        let common = all.values().map(|theirs| theirs.position).min().unwrap_or(0);
        let announced = latest.state.announced.clone();
        let loaded =
            if common == latest.position { latest } else { self.load(common, share, network, settings)? };
        Ok(Some((loaded, announced)))
    }

    fn name(&self, position: u32) -> String {
        self.store.as_ref().map_or(String::new(), |store| store.name(position))
    }
}

/// The network of a run as its banks agreed on it, from a checkpoint.
pub(crate) fn restore(network: Network, run: &Run) -> Agreed {
    Agreed::restore(network, run.exports.clone(), run.imports.clone())
}

/// Whether everybody announces what it announced before the run was stopped, if this bank has seen it before.
pub(crate) fn changed(before: &[Digest], now: &[Digest]) -> Option<usize> {
    if before.is_empty() {
        return None;
    }
    (0..now.len().max(before.len())).find(|&party| before.get(party) != now.get(party))
}

/// The party at a place of the roster.
pub(crate) fn party_at(roster: &Roster, place: usize) -> Option<PartyId> {
    roster.parties().nth(place)
}
