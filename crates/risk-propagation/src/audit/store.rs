//! Checkpoints in memory: how a recomputation carries a run from one session to the next.

use std::collections::BTreeMap;
use std::io::Read;

use crate::checkpoint::{CheckpointError, CheckpointProblem, CheckpointStore, WriteBytes};
use subrosa_paillier::KeyId;

#[derive(Default)]
pub(super) struct Memory {
    states: BTreeMap<u32, Vec<u8>>,
    used: Option<(KeyId, [u8; 32])>,
}

impl Memory {
    /// The positions that are kept, ascending.
    pub(super) fn kept(&self) -> Vec<u32> {
        self.states.keys().copied().collect()
    }

    /// Goes back to a position.
    pub(super) fn go_back(&mut self, position: u32) {
        self.states.retain(|&kept, _| kept <= position);
    }
}

impl CheckpointStore for Memory {
    fn positions(&self) -> Result<Vec<u32>, CheckpointError> {
        Ok(self.kept())
    }

    fn name(&self, position: u32) -> String {
        format!("at position {position}")
    }

    fn read(&self, position: u32) -> Result<Box<dyn Read + '_>, CheckpointError> {
        let bytes = self.states.get(&position);
        let bytes =
            bytes.ok_or_else(|| CheckpointError::new(self.name(position), CheckpointProblem::Missing))?;
        Ok(Box::new(&bytes[..]))
    }

    fn write(&mut self, position: u32, bytes: &mut WriteBytes<'_>) -> Result<(), CheckpointError> {
        let mut out = Vec::new();
        bytes(&mut out)
            .map_err(|error| CheckpointError::new(self.name(position), CheckpointProblem::Io(error)))?;
        self.states.insert(position, out);
        Ok(())
    }

    fn remove(&mut self, position: u32) -> Result<(), CheckpointError> {
        self.states.remove(&position);
        Ok(())
    }

    fn used(&self, key: KeyId) -> Result<Option<[u8; 32]>, CheckpointError> {
        Ok(self.used.filter(|(used, _)| *used == key).map(|(_, run)| run))
    }

    fn mark_used(&mut self, key: KeyId, run: &[u8; 32]) -> Result<(), CheckpointError> {
        self.used = Some((key, *run));
        Ok(())
    }
}
