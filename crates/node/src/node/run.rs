//! One attempt: the banks are connected, meet, generate a key, propagate, and meet again until all are done.

use std::collections::BTreeMap;

use super::{NodeError, Progress, Task, hold_back, write_scores};
use crate::NodeConfig;
use crate::audit::Event;
use crate::audited_transport::AuditedTransport;
use crate::checkpoints::CheckpointFolder;
use crate::keys::{KeyFiles, KeyUsage, MEETING, NextStep, meet};
use subrosa_distributed_paillier::{self as keygen, Keygen};
use subrosa_risk_propagation::{
    self as propagation, BankId, Banks, CheckpointStore, Event as ProgressEvent, KeyUse, Network,
    PeriodActivity, Propagation, Stage,
};
use subrosa_transport::{Limits, Parameters, Traffic, Transport};

/// One attempt.
pub(super) struct Run<'r, 't> {
    pub(super) config: &'r NodeConfig,
    pub(super) transport: AuditedTransport<'t>,
    pub(super) keys: &'r mut KeyFiles,
    pub(super) limits: Limits,
    pub(super) progress: &'r mut Progress,
}

/// Greatest number of meetings in an attempt. Each leads to a key, to scores, or to scores that another bank lost.
const MEETINGS: usize = 8;

impl Run<'_, '_> {
    pub(super) fn all(&mut self, task: Task, network: Option<&Network>) -> Result<(), NodeError> {
        for _ in 0..MEETINGS {
            match (self.meet(task, network)?, network) {
                // The next meeting puts the new key into use, once all banks have it on disk.
                (NextStep::Generate, _) => self.generate()?,
                (NextStep::Propagate, Some(network)) => self.propagate(network)?,
                (NextStep::Propagate, None) => return Ok(()),
                // No bank leaves before all are done.
                (NextStep::Leave, _) => return Ok(CheckpointFolder::open(self.config)?.clear()?),
            }
        }
        Err(NodeError::NoEnd)
    }

    /// What this bank has used its key for.
    fn usage(&self, network: Option<&Network>) -> Result<KeyUsage, propagation::Error> {
        let settings = &self.config.settings;
        let Some(share) = self.keys.active().filter(|_| settings.key_use == KeyUse::Once) else {
            return Ok(KeyUsage::Free);
        };
        let mut checkpoints = CheckpointFolder::open(self.config)?;
        let used = checkpoints.used(share.key().public().id())?;
        let roster = self.transport.roster().clone();
        let stopped = match network {
            Some(network) => Propagation::new(share, network.clone())
                .settings(settings.clone())
                .checkpoints(&mut checkpoints)
                .stopped(&roster)?,
            None if checkpoints.positions()?.is_empty() => None,
            // Its progress cannot be known without the data.
            None => return Ok(KeyUsage::Shown(used.unwrap_or_default())),
        };
        Ok(match (stopped, used) {
            (Some(stopped), _) if stopped.shown => KeyUsage::Shown(stopped.run),
            (Some(stopped), _) => KeyUsage::Stopped(stopped.run),
            (None, Some(_)) => KeyUsage::Spent,
            (None, None) => KeyUsage::Free,
        })
    }

    fn meet(&mut self, task: Task, network: Option<&Network>) -> Result<NextStep, NodeError> {
        let usage = self.usage(network)?;
        let parameters = Parameters::new().with("task", task.name());
        self.transport.announce(MEETING, &parameters, false);
        Ok(meet(
            &mut self.transport,
            self.keys,
            &parameters,
            self.limits.clone(),
            usage,
            self.progress.finished,
        )?)
    }

    fn generate(&mut self) -> Result<(), NodeError> {
        if self.keys.active().is_some() {
            tracing::info!("the key in use has served a run; a new one takes its place");
            // The banks do not continue from checkpoints under the old key.
            CheckpointFolder::open(self.config)?.clear()?;
        }
        let parameters = &self.config.key;
        tracing::info!(bits = parameters.key_bits(), "generating a key");
        self.transport.announce(keygen::PROTOCOL, &parameters.session_parameters(), false);
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
        let share = generation.run(&mut self.transport, &mut rand::rng())?;
        let key = share.key().public().id().to_string();
        tracing::info!(key, bytes_sent = traffic.bytes_sent, "key generated");
        self.keys.store_pending(share)?;
        let facts = [("key".to_owned(), key)].into();
        Ok(self.transport.note(Event::Done { phase: "keygen".to_owned(), facts })?)
    }

    fn propagate(&mut self, network: &Network) -> Result<(), NodeError> {
        let Some(share) = self.keys.active().cloned() else {
            return Err(NodeError::NoKey(self.config.key_file.clone()));
        };
        let config = self.config;
        let mut checkpoints = CheckpointFolder::open(config)?;
        if let Some(position) = checkpoints.positions()?.last() {
            tracing::info!(position, "going on with a run that was stopped");
        }
        let propagation = Propagation::new(&share, network.clone())
            .settings(config.settings.clone())
            .limits(self.limits.clone())
            .checkpoints(&mut checkpoints)
            .progress(|event| log(event, network.banks()));
        self.transport.announce(propagation::PROTOCOL, &propagation.parameters(), true);
        // The checkpoints stay until all banks have written their scores.
        let outcome = match propagation.run(&mut self.transport, &mut rand::rng()) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.progress.held_back = Some(hold_back(error)?);
                self.progress.finished = true;
                return Ok(());
            }
        };
        write_scores(config, &outcome)?;
        self.progress.finished = true;
        let mut facts: BTreeMap<String, String> =
            [("iterations".to_owned(), outcome.plan.steps().len().to_string())].into();
        for period in outcome.periods.iter().filter(|period| period.most() > 0) {
            let counted = if period.counted { "counted" } else { "passed over" };
            let reported = reported(period, network.banks());
            facts.insert(format!("period {}", period.period + 1), format!("{counted}: {reported}"));
        }
        self.progress.outcome = Some(outcome);
        Ok(self.transport.note(Event::Done { phase: "propagation".to_owned(), facts })?)
    }
}

/// The activity that each bank reported for a period.
fn reported(period: &PeriodActivity, banks: &Banks) -> String {
    let bank =
        |(bank, (least, most)): (BankId, (u64, u64))| format!("{} {least} to {most}", banks.name(bank));
    banks.iter().zip(period.ranges()).map(bank).collect::<Vec<_>>().join(", ")
}

fn log(event: &ProgressEvent<'_>, banks: &Banks) {
    let (sent, received) = (event.traffic.bytes_sent, event.traffic.bytes_received);
    match event.stage {
        Stage::Agree => tracing::info!("comparing the transfers between the banks"),
        Stage::Encrypt { plan, periods, withheld, .. } => {
            for period in periods.iter().filter(|period| period.most() > 0) {
                let (number, reported) = (period.period + 1, reported(period, banks));
                if period.counted {
                    tracing::info!(period = number, reported, "a period that counts");
                } else {
                    tracing::warn!(period = number, reported, "a period that is passed over");
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
