//! Checkpoints: what a bank keeps so that a run that was stopped goes on where it was.
//!
//! A bank saves its state after the agreement, after each iteration, once its ciphertexts are packed, before its noise is
//! sent and once its plaintexts are read; section "Checkpoints" of `docs/protocols/risk-propagation.md` has the rules. The
//! last two are kept, since banks that stopped at different moments go back to the last state that all of them have.
//!
//! # Security
//! A checkpoint holds plaintext scores and the seed of the bank's noise: keep it where the bank's accounts are kept.
//! [`FileStore`] lets nobody but the owner of the process read its files.

pub(crate) mod format;
mod store;

use std::io::{Read, Write};

use crate::steps::randomness::RunSeed;
use subrosa_paillier::KeyId;

pub use crate::error::{CheckpointError, CheckpointProblem};
pub use store::FileStore;

/// Gives a checkpoint's bytes to the writer that it is called with.
pub type WriteBytes<'a> = dyn FnMut(&mut dyn Write) -> std::io::Result<()> + 'a;

/// Where the checkpoints of a bank's present run are kept, by position: a greater one is a later state. It remembers as well
/// which keys the bank has used, also when the run has ended.
///
/// The bytes are checked by this crate; a store keeps them whole and secret. [`FileStore`] is one.
pub trait CheckpointStore {
    /// Positions that are kept, ascending.
    ///
    /// # Errors
    /// [`CheckpointProblem::Io`].
    fn positions(&self) -> Result<Vec<u32>, CheckpointError>;

    /// How errors call the checkpoint at a position.
    fn name(&self, position: u32) -> String;

    /// Opens the checkpoint at a position.
    ///
    /// # Errors
    /// [`CheckpointProblem::Io`].
    fn read(&self, position: u32) -> Result<Box<dyn Read + '_>, CheckpointError>;

    /// Writes the checkpoint at a position, all or nothing: after a crash at any moment there is the old one, if there was
    /// one, or the new one. It is safe on disk when this returns.
    ///
    /// # Errors
    /// [`CheckpointProblem::Io`].
    fn write(&mut self, position: u32, bytes: &mut WriteBytes<'_>) -> Result<(), CheckpointError>;

    /// Removes the checkpoint at a position, if there is one.
    ///
    /// # Errors
    /// [`CheckpointProblem::Io`].
    fn remove(&mut self, position: u32) -> Result<(), CheckpointError>;

    /// Keeps the seed of a run that begins in the session `run`, before anything depends on it. Does nothing unless overridden.
    ///
    /// Whoever wants a run to be computed again later needs its seed, which goes with the checkpoints otherwise.
    ///
    /// # Security
    /// The seed is as secret as a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointProblem::Io`].
    fn keep_seed(&mut self, run: &[u8; 32], seed: &RunSeed) -> Result<(), CheckpointError> {
        let _ = (run, seed);
        Ok(())
    }

    /// The run for which a key was used, if it was.
    ///
    /// # Errors
    /// [`CheckpointProblem::Io`]; [`CheckpointProblem::Corrupt`].
    fn used(&self, key: KeyId) -> Result<Option<[u8; 32]>, CheckpointError>;

    /// Remembers that a key is used for a run, for good: [`clear`](Self::clear) does not forget it. It is safe on disk when this
    /// returns. A later run takes an earlier one's place.
    ///
    /// # Errors
    /// [`CheckpointProblem::Io`].
    fn mark_used(&mut self, key: KeyId, run: &[u8; 32]) -> Result<(), CheckpointError>;

    /// Removes all checkpoints: the run is given up. The latest goes last, so that a crash in between loses no state that
    /// others may still need.
    ///
    /// # Errors
    /// [`CheckpointProblem::Io`].
    fn clear(&mut self) -> Result<(), CheckpointError> {
        self.positions()?.into_iter().try_for_each(|position| self.remove(position))
    }
}
