//! Step R6 on the wire: the scores that one bank needs of another.

use subrosa_paillier::{Blinded, Ciphertext, CiphertextBatch, PublicKey};
use subrosa_transport::{PartyId, Session, Transport};

use super::blame;
use crate::agreement::Agreed;
use crate::banks::BankId;
use crate::checkpoint::format::Run;
use crate::encrypted::Received;
use crate::error::Error;
use crate::messages::{BatchShape, CHUNK, ScoreChunk};
use crate::settings::Step;

/// R6: sends the scores that other banks need and takes theirs.
pub(super) fn exchange_scores<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    agreed: &Agreed,
    key: &PublicKey,
    step: Step,
    exported: &[u32],
    blinded: &[Blinded<Ciphertext>],
    run: &Run,
) -> Result<Received, Error> {
    let me = session.me();
    let network = agreed.network();
    let roster = session.roster().clone();
    let banks: Vec<BankId> = network.banks().iter().collect();
    let mut received = Received::new(agreed);
    let chunks = run.chunks.get(step.period).copied().unwrap_or(0);
    for chunk in 0..usize::try_from(chunks).unwrap_or(usize::MAX) {
        let batch = |&bank: &BankId| -> Result<Option<ScoreChunk>, Error> {
            let accounts = piece(agreed.exports(step.period, bank), chunk);
            let place = |account| exported.binary_search(account).ok();
            let ciphertexts = accounts.iter().filter_map(|account| blinded.get(place(account)?));
            let batch = CiphertextBatch::new(key, ciphertexts)?;
            Ok((!batch.is_empty()).then_some(ScoreChunk { batch }))
        };
        let mut outgoing: Vec<Option<ScoreChunk>> = banks.iter().map(batch).collect::<Result<_, Error>>()?;
        let expected = |party: PartyId| {
            banks.get(party.index()).map_or(&[][..], |&bank| piece(agreed.imports(step.period, bank), chunk))
        };
        let shape = |party: PartyId| BatchShape {
            key: key.clone(),
            count: if party == me { CHUNK } else { expected(party).len() },
        };
        let messages = session.exchange_shaped(
            |party| outgoing.get_mut(party.index()).and_then(Option::take),
            |party| !expected(party).is_empty(),
            shape,
        )?;
        for (party, message) in messages {
            let Some(message) = message else { continue };
            let ciphertexts =
                message.batch.accept(key).map_err(|error| blame(&roster, party, error.to_string()))?;
            received.insert(key, expected(party), ciphertexts);
        }
    }
    Ok(received)
}

/// The part of a list that belongs to one message.
pub(super) fn piece<X>(list: &[X], chunk: usize) -> &[X] {
    let start = chunk.saturating_mul(CHUNK).min(list.len());
    list.get(start..list.len().min(start + CHUNK)).unwrap_or(&[])
}
