//! Checkpoints, and the file of scores: what must not get lost between the two.

use std::cell::Cell;
use std::io::Read;

use std::path::PathBuf;

use subrosa_paillier::KeyId;
use subrosa_risk_propagation::RunSeed;
use subrosa_risk_propagation::checkpoint::{
    CheckpointError, CheckpointProblem, CheckpointStore, FileStore, WriteBytes,
};
use subrosa_risk_propagation::record::Seeds;

use crate::audit::seeds_file;
use crate::config::Config;

/// A folder of checkpoints that outlives the end of the run: it is cleared when the scores are on disk and all banks have
/// said so, and not before.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    store: FileStore,
    /// Where the seeds of runs are kept, so that the runs can be computed again.
    seeds: Option<PathBuf>,
    /// The run has begun; clearing from now on means that it has ended.
    begun: &'a Cell<bool>,
}

impl<'a> Kept<'a> {
    pub(crate) fn open(config: &Config, begun: &'a Cell<bool>) -> Result<Self, CheckpointError> {
        let trail = config.audit.as_deref().filter(|_| config.record);
        let seeds = trail.map(seeds_file);
        Ok(Self { store: FileStore::open(&config.checkpoints)?, seeds, begun })
    }

    /// Gives the run up, or ends it.
    pub(crate) fn end(&mut self) -> Result<(), CheckpointError> {
        self.store.clear()
    }
}

impl CheckpointStore for Kept<'_> {
    fn positions(&self) -> Result<Vec<u32>, CheckpointError> {
        self.store.positions()
    }

    fn name(&self, position: u32) -> String {
        self.store.name(position)
    }

    fn read(&self, position: u32) -> Result<Box<dyn Read + '_>, CheckpointError> {
        self.store.read(position)
    }

    fn write(&mut self, position: u32, bytes: &mut WriteBytes<'_>) -> Result<(), CheckpointError> {
        self.store.write(position, bytes)
    }

    fn remove(&mut self, position: u32) -> Result<(), CheckpointError> {
        self.store.remove(position)
    }

    fn keep_seed(&mut self, run: &[u8; 32], seed: &RunSeed) -> Result<(), CheckpointError> {
        let Some(file) = &self.seeds else { return Ok(()) };
        Seeds::append(file, run, seed).map_err(|error| CheckpointError {
            name: file.display().to_string(),
            problem: CheckpointProblem::Io(error),
        })
    }

    fn clear(&mut self) -> Result<(), CheckpointError> {
        if self.begun.get() { Ok(()) } else { self.store.clear() }
    }

    fn used(&self, key: KeyId) -> Result<Option<[u8; 32]>, CheckpointError> {
        self.store.used(key)
    }

    fn mark_used(&mut self, key: KeyId, run: &[u8; 32]) -> Result<(), CheckpointError> {
        self.store.mark_used(key, run)
    }
}
