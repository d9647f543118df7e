//! Step D1: everybody's ciphertexts, in a stream of chunks.

use rayon::prelude::*;

use super::{Announcement, AnnouncementShape, CHUNK};
use crate::DecryptionError;
use subrosa_paillier::{Blinded, Ciphertext, CiphertextBatch, PaillierError, PublicKey};
use subrosa_transport::{BroadcastStream, PartyId, PerParty};

/// Ciphertexts that are checked together, with one gcd.
const PIECE: usize = 256;

/// The chunks of D1.
pub(super) struct Announcements<'a> {
    pub(super) key: &'a PublicKey,
    pub(super) mine: &'a [Blinded<Ciphertext>],
    /// How many each party announces.
    pub(super) counts: &'a PerParty<usize>,
    /// What each party has announced.
    pub(super) all: Vec<Vec<Ciphertext>>,
}

impl BroadcastStream for Announcements<'_> {
    type Message = Announcement;
    type Error = DecryptionError;

    fn outgoing(&mut self, chunk: usize) -> Result<Announcement, DecryptionError> {
        let some = self.mine.iter().skip(chunk * CHUNK).take(CHUNK);
        let batch = CiphertextBatch::new(self.key, some).map_err(DecryptionError::Ciphertext)?;
        Ok(Announcement { batch })
    }

    fn shape(&self, chunk: usize, from: PartyId) -> AnnouncementShape {
        let count = self.counts.get(from).copied().unwrap_or(0);
        AnnouncementShape { key: self.key.clone(), count: count.saturating_sub(chunk * CHUNK).min(CHUNK) }
    }

    fn take(&mut self, _: usize, announced: PerParty<Option<Announcement>>) -> Result<(), DecryptionError> {
        let announced: Vec<_> =
            announced.into_iter().filter_map(|(party, announced)| Some((party, announced?.batch))).collect();
        let checked = announced.into_par_iter().map(|(party, batch)| (party, accept(self.key, batch)));
        // In order and after all are checked: the first party is named, and not the one whose check fails first.
        for (party, ciphertexts) in checked.collect::<Vec<_>>() {
            let reason = "an announced ciphertext is not valid";
            let bad = |_| DecryptionError::BadPartial { party, reason };
            self.all[party.index()].extend(ciphertexts.map_err(bad)?);
        }
        Ok(())
    }
}

fn accept(key: &PublicKey, batch: CiphertextBatch) -> Result<Vec<Ciphertext>, PaillierError> {
    if batch.len() <= PIECE {
        // Also an empty batch must be of the right key.
        return batch.accept(key);
    }
    let pieces = batch.split(PIECE).into_par_iter().map(|piece| piece.accept(key));
    Ok(pieces.collect::<Result<Vec<_>, _>>()?.concat())
}
