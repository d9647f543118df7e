//! Where a run begins: at the start, or at the last state that all banks have.

use super::parameters::parameters;
use super::role::Role;
use crate::checkpoint::format::{self, Binding, Run, State};
use crate::checkpoint::{CheckpointError, CheckpointProblem, CheckpointStore, WriteBytes};
use crate::error::Error;
use crate::network::{Digest, Network};
use crate::plan::{KeyUse, Plan, Settings};
use crate::steps::agreement::Agreed;
use crate::steps::messages::Resume;
use crate::steps::randomness::RunSeed;
use crate::steps::sequence::{CannotResume, Resumption, Sequence};
use subrosa_paillier::KeyId;
use subrosa_transport::{PartyId, Roster, Session, Transport};

/// How a session goes on from the first round.
pub(crate) enum Start {
    /// From a state that all banks have.
    GoOn(Box<Loaded>, Seen),
    /// With a new run. Where this bank has a state of another, the banks that do not.
    Anew {
        /// These banks.
        asked_by: Vec<PartyId>,
    },
}

/// What a bank has heard before a run was stopped. It comes from the last state, also where banks go back to an earlier one.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) committed: Vec<Digest>,
    pub(crate) noise_committed: Vec<Digest>,
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

impl Loaded {
    pub(crate) fn sequence(&self) -> Sequence {
        Sequence::new(&self.plan, self.run.has_ciphertexts())
    }
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

    /// Refuses a key that was used in another run. `asked_by` are the banks that are not at a run of which this one has a state.
    pub(crate) fn check_unused(
        &self,
        key: KeyId,
        settings: &Settings,
        roster: &Roster,
        asked_by: &[PartyId],
    ) -> Result<(), Error> {
        let Some(store) = self.store.as_ref().filter(|_| settings.key_use == KeyUse::Once) else {
            return Ok(());
        };
        let banks = asked_by.iter().map(|party| roster.name(*party).to_owned()).collect();
        match store.used(key)? {
            Some(run) => Err(Error::KeyUsed { key, run, banks, culprits: asked_by.to_vec() }),
            None => Ok(()),
        }
    }

    /// Remembers that the key is used in this run, before the first ciphertext leaves; refuses one that was used in another.
    pub(crate) fn use_key(&mut self, key: KeyId, run: &Digest, settings: &Settings) -> Result<(), Error> {
        let Some(store) = &mut self.store else { return Ok(()) };
        match store.used(key)? {
            Some(used) if used == *run => Ok(()),
            Some(used) if settings.key_use == KeyUse::Once => {
                Err(Error::KeyUsed { key, run: used, banks: Vec::new(), culprits: Vec::new() })
            }
            _ => Ok(store.mark_used(key, run)?),
        }
    }

    /// Keeps the seed of a run that begins.
    pub(crate) fn keep_seed(&mut self, run: &Digest, seed: &RunSeed) -> Result<(), CheckpointError> {
        self.store.as_mut().map_or(Ok(()), |store| store.keep_seed(run, seed))
    }

    pub(crate) fn clear(&mut self) -> Result<(), CheckpointError> {
        self.store.as_mut().map_or(Ok(()), |store| store.clear())
    }

    /// The first round: the state from which all banks go on, or that they begin a new run.
    ///
    /// # Errors
    /// Checkpoints that cannot be used; a bank that cannot be where it says that it is; a start anew where ciphertexts may have
    /// been shown already.
    pub(crate) fn meet<T: Transport>(
        &mut self,
        session: &mut Session<T>,
        share: &Role<'_>,
        network: &Network,
        settings: &Settings,
    ) -> Result<Start, Error> {
        let latest = self.latest(share, network, settings)?;
        let mine = Resume {
            run: latest.as_ref().map(|latest| latest.run.id),
            position: latest.as_ref().map_or(0, |latest| latest.position),
        };
        let all = session.broadcast(&mine, &())?;
        let Some(latest) = latest else { return Ok(Start::Anew { asked_by: Vec::new() }) };
        let roster = session.roster();
        let bank = |party| roster.name(party).to_owned();
        let failed = |problem| CheckpointError::new(self.name(latest.position), problem).into();
        let common = match latest.sequence().resume(&mine, &all) {
            Ok(Resumption::GoOn { position }) => position,
            Ok(Resumption::Anew { asked_by }) => return Ok(Start::Anew { asked_by }),
            Err(CannotResume::StartOver { party }) => {
                return Err(failed(CheckpointProblem::StartOver { party, bank: bank(party) }));
            }
            Err(CannotResume::NoState) => return Err(failed(CheckpointProblem::Corrupt)),
            Err(CannotResume::Apart { party, theirs }) => {
                let mine = latest.position;
                let reason = format!(
                    "it says that it is at state {theirs} of the run, and this bank is at {mine}: banks cannot be so far apart. \
                     It does not say where it is, or one of the two went back to an older backup"
                );
                return Err(Error::peer(roster, party, reason));
            }
        };
        let seen = Seen {
            committed: latest.state.committed.clone(),
            noise_committed: latest.state.noise_committed.clone(),
        };
        let loaded =
            if common == latest.position { latest } else { self.load(common, share, network, settings)? };
        Ok(Start::GoOn(Box::new(loaded), seen))
    }

    fn name(&self, position: u32) -> String {
        self.store.as_ref().map_or(String::new(), |store| store.name(position))
    }
}

/// The network of a run as its banks agreed on it, from a checkpoint.
pub(crate) fn restore(network: Network, run: &Run) -> Result<Agreed, Error> {
    Agreed::restore(network, run.exports.clone(), run.imports.clone())
}

/// The first bank that says something else than before the run was stopped, if this one has heard it before.
pub(crate) fn changed(roster: &Roster, before: &[Digest], now: &[Digest]) -> Option<PartyId> {
    if before.is_empty() {
        return None;
    }
    let parties = roster.parties().enumerate();
    parties.filter(|(place, _)| before.get(*place) != now.get(*place)).map(|(_, party)| party).next()
}
