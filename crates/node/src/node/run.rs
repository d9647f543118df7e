//! One attempt: banks that are connected meet, generate a key, propagate, and meet again until all have what they came for.

use std::collections::BTreeMap;

use subrosa_distributed_paillier::{self as keygen, Keygen};
use subrosa_risk_propagation::{
    self as propagation, BankId, Banks, CheckpointStore, Event as Told, KeyUse, Network, PeriodActivity,
    Propagation, Stage,
};
use subrosa_transport::{Limits, Parameters, Traffic, Transport};

use super::{NodeError, Task, refused, write};
use crate::audit::Event;
use crate::config::Config;
use crate::kept::Kept;
use crate::keys::{Keys, MEETING, Next, Usage, meet};
use crate::wire::Wire;

/// One attempt: connected, all in one go.
pub(super) struct Run<'r, 't> {
    pub(super) config: &'r Config,
    pub(super) wire: Wire<'t>,
    pub(super) keys: &'r mut Keys,
    pub(super) limits: Limits,
    pub(super) finished: &'r mut bool,
    pub(super) refused: &'r mut Option<propagation::Error>,
}

/// How often banks that meet may find that there is more to do: a key, scores, scores that another bank lost.
const MEETINGS: usize = 8;

impl Run<'_, '_> {
    pub(super) fn all(&mut self, task: Task, network: Option<&Network>) -> Result<(), NodeError> {
        for _ in 0..MEETINGS {
            match (self.meet(task, network)?, network) {
                // The next meeting puts the new key into use, once everybody has it on disk.
                (Next::Generate, _) => self.generate()?,
                (Next::Use, Some(network)) => self.propagate(network)?,
                (Next::Use, None) => return Ok(()),
                // Nobody leaves before all have what they came for.
                (Next::Leave, _) => return Ok(Kept::open(self.config)?.clear()?),
            }
        }
        Err(NodeError::NoEnd)
    }

    /// What this bank has done with its key in use.
    fn usage(&self, network: Option<&Network>) -> Result<Usage, propagation::Error> {
        let settings = &self.config.settings;
        let Some(share) = self.keys.active().filter(|_| settings.key_use == KeyUse::Once) else {
            return Ok(Usage::Free);
        };
        let mut kept = Kept::open(self.config)?;
        let used = kept.used(share.key().public().id())?;
        let roster = self.wire.roster().clone();
        let stopped = match network {
            Some(network) => Propagation::new(share, network.clone())
                .settings(settings.clone())
                .checkpoints(&mut kept)
                .stopped(&roster)?,
            None if kept.positions()?.is_empty() => None,
            // Without the data nobody can tell how far it is.
            None => return Ok(Usage::Shown(used.unwrap_or_default())),
        };
        Ok(match (stopped, used) {
            (Some(stopped), _) if stopped.shown => Usage::Shown(stopped.run),
            (Some(stopped), _) => Usage::Stopped(stopped.run),
            (None, Some(_)) => Usage::Spent,
            (None, None) => Usage::Free,
        })
    }

    fn meet(&mut self, task: Task, network: Option<&Network>) -> Result<Next, NodeError> {
        let usage = self.usage(network)?;
        let parameters = Parameters::new().with("task", task.name());
        self.wire.announce(MEETING, &parameters, false);
        Ok(meet(&mut self.wire, self.keys, &parameters, self.limits.clone(), usage, *self.finished)?)
    }

    fn generate(&mut self) -> Result<(), NodeError> {
        if self.keys.active().is_some() {
            tracing::info!("the key in use has served a run; a new one takes its place");
            // A state under it is one that the banks do not go on with.
            Kept::open(self.config)?.clear()?;
        }
        let parameters = &self.config.key;
        tracing::info!(bits = parameters.key_bits(), "generating a key");
        self.wire.announce(keygen::PROTOCOL, &parameters.session_parameters(), false);
        let mut traffic = Traffic::default();
        let generation = Keygen::new(parameters).limits(self.limits.clone()).progress(|event| {
            traffic = event.traffic;
            match event.stage {
                keygen::KeygenStage::Candidates { tried, expected, .. } => {
                    tracing::debug!(tried, expected, "candidates");
                }
                keygen::KeygenStage::Modulus { tried } => tracing::info!(tried, "a modulus is found"),
                _ => {}
            }
        });
        let share = generation.run(&mut self.wire, &mut rand::rng())?;
        let key = share.key().public().id().to_string();
        tracing::info!(key, bytes_sent = traffic.bytes_sent, "key generated");
        self.keys.keep(share)?;
        let facts = [("key".to_owned(), key)].into();
        Ok(self.wire.note(Event::Done { phase: "keygen".to_owned(), facts })?)
    }

    fn propagate(&mut self, network: &Network) -> Result<(), NodeError> {
        let Some(share) = self.keys.active().cloned() else {
            return Err(NodeError::NoKey(self.config.key_file.clone()));
        };
        let config = self.config;
        let mut kept = Kept::open(config)?;
        if let Some(position) = kept.positions()?.last() {
            tracing::info!(position, "going on with a run that was stopped");
        }
        let propagation = Propagation::new(&share, network.clone())
            .settings(config.settings.clone())
            .limits(self.limits.clone())
            .checkpoints(&mut kept)
            .progress(|event| tell(event, network.banks()));
        self.wire.announce(propagation::PROTOCOL, &propagation.parameters(), true);
        // Not committed: the checkpoints go when all banks have written their scores.
        let outcome = match propagation.run(&mut self.wire, &mut rand::rng()) {
            Ok(outcome) => outcome,
            Err(error) => {
                *self.refused = Some(refused(error, self.finished)?);
                return Ok(());
            }
        };
        write(config, &outcome)?;
        *self.finished = true;
        let mut facts: BTreeMap<String, String> =
            [("iterations".to_owned(), outcome.plan.steps().len().to_string())].into();
        for period in outcome.periods.iter().filter(|period| period.most() > 0) {
            let counted = if period.counted { "counted" } else { "passed over" };
            let told = told(period, network.banks());
            facts.insert(format!("period {}", period.period + 1), format!("{counted}: {told}"));
        }
        Ok(self.wire.note(Event::Done { phase: "propagation".to_owned(), facts })?)
    }
}

/// What each bank tells of a period.
fn told(period: &PeriodActivity, banks: &Banks) -> String {
    let bank =
        |(bank, (least, most)): (BankId, (u64, u64))| format!("{} {least} to {most}", banks.name(bank));
    banks.iter().zip(period.ranges()).map(bank).collect::<Vec<_>>().join(", ")
}

fn tell(event: &Told<'_>, banks: &Banks) {
    let (sent, received) = (event.traffic.bytes_sent, event.traffic.bytes_received);
    match event.stage {
        Stage::Agree => tracing::info!("comparing the transfers between the banks"),
        Stage::Encrypt { plan, periods, withheld, .. } => {
            for period in periods.iter().filter(|period| period.most() > 0) {
                let (number, told) = (period.period + 1, told(period, banks));
                if period.counted {
                    tracing::info!(period = number, told, "a period that counts");
                } else {
                    tracing::warn!(period = number, told, "a period that is passed over");
                }
            }
            if withheld > 0 {
                let min_foreign_senders = plan.min_foreign_senders();
                tracing::info!(accounts = withheld, min_foreign_senders, "scores that will be withheld");
            }
            tracing::info!(steps = plan.steps().len(), slot_bits = plan.slot_bits(), "encrypting scores");
        }
        Stage::Iterate { number, of } => tracing::info!(number, of, sent, received, "iteration"),
        Stage::Decrypt { ciphertexts } => tracing::info!(ciphertexts, sent, received, "decrypting"),
        _ => tracing::info!(sent, received, "done"),
    }
}
