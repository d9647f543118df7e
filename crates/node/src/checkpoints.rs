//! Checkpoints, with the seeds of runs beside the audit trail.

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

/// A folder of checkpoints. Seeds are kept as well where runs are recorded.
#[derive(Debug)]
pub(crate) struct Kept {
    store: FileStore,
    /// Where the seeds of runs are kept, so that the runs can be computed again.
    seeds: Option<PathBuf>,
}

impl Kept {
    pub(crate) fn open(config: &Config) -> Result<Self, CheckpointError> {
        let trail = config.audit.as_deref().filter(|_| config.record);
        Ok(Self { store: FileStore::open(&config.checkpoints)?, seeds: trail.map(seeds_file) })
    }
}

impl CheckpointStore for Kept {
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

    fn used(&self, key: KeyId) -> Result<Option<[u8; 32]>, CheckpointError> {
        self.store.used(key)
    }

    fn mark_used(&mut self, key: KeyId, run: &[u8; 32]) -> Result<(), CheckpointError> {
        self.store.mark_used(key, run)
    }
}
