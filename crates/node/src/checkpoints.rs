//! A folder of checkpoints, with the seeds of the runs beside the audit trail.

use std::io::Read;
use std::path::PathBuf;

use crate::NodeConfig;
use crate::audit::seeds_file;
use subrosa_paillier::KeyId;
use subrosa_risk_propagation::RunSeed;
use subrosa_risk_propagation::checkpoint::{
    CheckpointError, CheckpointProblem, CheckpointStore, FileStore, WriteBytes,
};
use subrosa_risk_propagation::record::Seeds;

/// A folder of checkpoints. If runs are recorded, it also appends the seed of each run to the file beside the audit trail.
///
/// # Security
/// The seed determines all randomness of this bank in the run. Only the owner can read the file.
#[derive(Debug)]
pub struct CheckpointFolder {
    store: FileStore,
    /// File of seeds, which an auditor needs to recompute the runs.
    seeds: Option<PathBuf>,
}

impl CheckpointFolder {
    /// Opens the folder that a configuration names, and makes it if there is none.
    ///
    /// # Errors
    /// The folder cannot be made or is in use.
    pub fn open(config: &NodeConfig) -> Result<Self, CheckpointError> {
        let audit = config.audit.as_ref().filter(|audit| audit.record);
        let seeds = audit.map(|audit| seeds_file(&audit.trail));
        Ok(Self { store: FileStore::open(&config.checkpoints)?, seeds })
    }
}

impl CheckpointStore for CheckpointFolder {
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
