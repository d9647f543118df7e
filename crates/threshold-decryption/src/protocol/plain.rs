//! D2 without proofs: everybody helps everybody.

use super::{Chunk, Decrypted, PartialMessage, PartialShape, Reading, chunks};
use crate::{DecryptionError, KeyShare, PartialDecryption};
use subrosa_paillier::Ciphertext;
use subrosa_transport::{PartyId, PerParty, Session, Transport};

/// D2 to D4, chunk after chunk.
pub(super) fn decrypt<T: Transport>(
    session: &mut Session<T>,
    share: &KeyShare,
    batches: &PerParty<Vec<Ciphertext>>,
    spares: usize,
) -> Result<Decrypted, DecryptionError> {
    let mut decrypted = Decrypted::new(session);
    for chunk in chunks(batches) {
        let reading = collect(session, share, &chunk, spares, &mut decrypted)?;
        if !chunk.of(session.me()).is_empty() {
            let (plaintexts, _) = reading.finish(share, &chunk, spares > 0)?;
            decrypted.plaintexts.extend(plaintexts);
        }
    }
    Ok(decrypted)
}

fn collect<T: Transport>(
    session: &mut Session<T>,
    share: &KeyShare,
    chunk: &Chunk<'_>,
    spares: usize,
    decrypted: &mut Decrypted,
) -> Result<Reading, DecryptionError> {
    let (key, me) = (share.key(), session.me());
    let mut partials = Vec::with_capacity(session.roster().len());
    for party in session.roster().parties() {
        let ciphertexts = if party == me { &[] } else { chunk.of(party) };
        partials.push(share.partially_decrypt(ciphertexts)?.into_values());
    }
    let count = chunk.of(me).len();
    let outgoing = |party: PartyId| {
        let values = partials.get_mut(party.index()).map(std::mem::take)?;
        (!chunk.of(party).is_empty()).then_some(PartialMessage { values })
    };
    let shape = |party: PartyId| PartialShape {
        key: key.public().clone(),
        // My own messages are as long as the longest chunk; what I receive is as long as mine.
        count: if party == me { super::CHUNK } else { count },
    };
    let enough = if count == 0 { 0 } else { key.access().threshold() as usize + spares };
    let collected = session.collect_shaped(outgoing, |_| count > 0, enough, shape)?;
    decrypted.absent.extend(collected.failures);
    let mut reading = Reading::default();
    for (party, message) in collected.messages {
        reading.answers.extend(message.map(|message| PartialDecryption::new(party, message.values)));
    }
    Ok(reading)
}
