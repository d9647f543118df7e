//! Decryption among the parties of a session: everyone's ciphertexts are announced, each party helps the others, and
//! each reads only its own plaintexts.
//!
//! Steps D1 to D4 are in `docs/protocols/threshold-decryption.md`. [`KeyShare::partially_decrypt`], [`KeyShare::prove`],
//! [`proof::verify`](crate::proof::verify) and [`Combiner`] are the pure steps. [`Decryption`] connects them to a session of their
//! own. Other protocols that decrypt in their own session call [`announce`] and [`decrypt_towards`].

mod decryption;
mod messages;
mod settings;

use std::sync::{Arc, Mutex, PoisonError};

use num_bigint::BigInt;
use rand_core::CryptoRng;

use crate::{Combiner, DecryptionError, Deviation, KeyShare, Ledger, PartialDecryption, ProofContext};
use subrosa_paillier::{Blinded, Ciphertext, CiphertextBatch, PublicKey};
use subrosa_transport::{Failure, PartyId, PerParty, Protocol, Session, Transport};

pub use decryption::Decryption;
use messages::Claim;
pub use messages::{
    Announcement, AnnouncementShape, PartialMessage, PartialShape, ProvenMessage, ProvenShape,
};
pub use settings::{Checks, DecryptionSettings};

/// Name and version of the protocol, for [`Session::open`].
pub const PROTOCOL: Protocol = Protocol { name: "subrosa/threshold-decryption", version: 1 };

/// How many ciphertexts one message holds at the most; larger batches take several messages.
pub const CHUNK: usize = 4096;

/// What a decryption brought. The plaintexts print as `<redacted>`.
#[derive(Clone)]
#[non_exhaustive]
pub struct Decrypted {
    /// My plaintexts, signed, in the order of my ciphertexts.
    pub plaintexts: Vec<BigInt>,
    /// The parties that were passed over, with the reasons: they were silent, or their proof did not hold.
    pub absent: Vec<Failure>,
    /// Of the parties whose proof did not hold, which of their partial decryptions of my ciphertexts are wrong; an
    /// empty list where only the proof is.
    pub deviations: Vec<Deviation>,
}

impl std::fmt::Debug for Decrypted {
    // Redacted: the plaintexts are the reader's secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decrypted")
            .field("plaintexts", &format_args!("<redacted>, {} values", self.plaintexts.len()))
            .field("absent", &self.absent)
            .field("deviations", &self.deviations)
            .finish()
    }
}

/// D1: sends my ciphertexts to everybody; everybody's, mine included, checked and in roster order.
///
/// `counts` is how many each party may announce; they must have been agreed before, so that no party can have more
/// decrypted than it declared. The transcript is confirmed before the function returns: all parties hold the same
/// ciphertexts. Parties that were given up before announce nothing.
///
/// # Security
/// Blinded ciphertexts tell nothing to whoever does not hold t+1 shares.
///
/// # Errors
/// [`DecryptionError::Session`] naming the parties that failed, [`DecryptionError::BadPartial`] naming a party whose
/// ciphertexts are not valid, [`DecryptionError::Ciphertext`] if mine are under another key.
pub fn announce<T: Transport>(
    session: &mut Session<T>,
    key: &PublicKey,
    mine: &[Blinded<Ciphertext>],
    counts: &PerParty<usize>,
) -> Result<PerParty<Vec<Ciphertext>>, DecryptionError> {
    let longest = counts.values().copied().max().unwrap_or(0);
    let mut all: Vec<Vec<Ciphertext>> = vec![Vec::new(); session.roster().len()];
    for start in (0..longest).step_by(CHUNK) {
        let size = |count: usize| count.saturating_sub(start).min(CHUNK);
        let some = mine.iter().skip(start).take(CHUNK);
        let batch = CiphertextBatch::new(key, some).map_err(DecryptionError::Ciphertext)?;
        let shape = |party: PartyId| AnnouncementShape {
            key: key.clone(),
            count: size(counts.get(party).copied().unwrap_or(0)),
        };
        let announced = session.broadcast_remaining(&Announcement { batch }, shape)?;
        for (party, announcement) in announced {
            let Some(announcement) = announcement else { continue };
            let reason = "an announced ciphertext is not valid";
            let bad = |_| DecryptionError::BadPartial { party, reason };
            all[party.index()].extend(announcement.batch.accept(key).map_err(bad)?);
        }
    }
    session.confirm()?;
    Ok(PerParty::from_vec(all))
}

/// D2 and D3: decrypts `batches[j]` towards party j, for every j, and returns my own plaintexts.
///
/// All parties must hold the same `batches`, as after [`announce`] or a computation on what was announced, and the
/// transcript must be confirmed; all have the same `settings.checks`. Goes on as soon as enough others have answered,
/// or `settings.grace` later; whoever did not, or whose proof does not hold, is named in the result and passed over.
///
/// Before anything is computed, `ledger` is asked whether each of the others may have its batch decrypted. A party
/// with an empty batch of its own, such as a regulator, helps the others and reads nothing.
///
/// `rng` is for the masks of proofs; other checks leave it alone.
///
/// # Security
/// Each party computes partial decryptions of everything in `batches`: without a ledger the caller decides what
/// belongs there.
///
/// # Errors
/// [`DecryptionError::Refused`] naming the asker; [`DecryptionError::Session`] if too few others answer or their
/// proofs do not hold; [`DecryptionError::Roster`] if the session is not that of the key;
/// [`DecryptionError::BadPartial`] naming a party whose values are not valid; [`DecryptionError::Inconsistent`] if
/// they contradict each other, or, with [`Checks::Spares`], those of one more party.
pub fn decrypt_towards<T: Transport>(
    session: &mut Session<T>,
    share: &KeyShare,
    batches: &PerParty<Vec<Ciphertext>>,
    settings: &DecryptionSettings,
    ledger: Option<&mut Ledger>,
    rng: &mut impl CryptoRng,
) -> Result<Decrypted, DecryptionError> {
    if let Some(ledger) = ledger {
        let others = batches.iter().filter(|(party, batch)| *party != session.me() && !batch.is_empty());
        ledger.admit_all(session.id(), others.map(|(party, batch)| (party, batch.as_slice())))?;
    }
    let access = share.key().access();
    let spares = settings.checks.spares();
    if access.quorum() + spares > access.parties() as usize {
        return Err(DecryptionError::TooManySpares { spares, parties: access.parties() });
    }
    let before = session.set_collect_grace(settings.grace);
    let decrypted = match settings.checks {
        Checks::Proofs(challenges) => in_chunks(session, share, batches, 0, |session, chunk| {
            proven_round(session, share, chunk, challenges, rng)
        }),
        Checks::Quorum | Checks::Spares(_) => in_chunks(session, share, batches, spares, |session, chunk| {
            plain_round(session, share, chunk, spares)
        }),
    };
    session.set_collect_grace(before);
    decrypted
}

/// The same piece of everybody's batch.
struct Chunk<'a> {
    batches: &'a PerParty<Vec<Ciphertext>>,
    start: usize,
}

impl<'a> Chunk<'a> {
    fn of(&self, party: PartyId) -> &'a [Ciphertext] {
        let batch: &[Ciphertext] = self.batches.get(party).map_or(&[], Vec::as_slice);
        &batch[self.start.min(batch.len())..(self.start + CHUNK).min(batch.len())]
    }
}

/// What a round brought for one chunk of my ciphertexts.
struct Answers {
    mine: PartialDecryption,
    others: Vec<PartialDecryption>,
    failures: Vec<Failure>,
    refused: Vec<PartialDecryption>,
}

/// D2 and D3, chunk after chunk.
fn in_chunks<T: Transport>(
    session: &mut Session<T>,
    share: &KeyShare,
    batches: &PerParty<Vec<Ciphertext>>,
    spares: usize,
    mut round: impl FnMut(&mut Session<T>, &Chunk<'_>) -> Result<Answers, DecryptionError>,
) -> Result<Decrypted, DecryptionError> {
    let key = share.key();
    let parties = key.access().parties();
    if session.roster().len() != parties as usize || batches.len() != parties as usize {
        return Err(DecryptionError::Roster { expected: parties, found: session.roster().len() });
    }
    let longest = batches.values().map(Vec::len).max().unwrap_or(0);
    let mut decrypted =
        Decrypted { plaintexts: vec![], absent: session.failures().to_vec(), deviations: vec![] };
    for start in (0..longest).step_by(CHUNK) {
        let chunk = Chunk { batches, start };
        let Answers { mine, others, failures, refused } = round(session, &chunk)?;
        decrypted.absent.extend(failures);
        if chunk.of(session.me()).is_empty() {
            continue;
        }
        let mut quorum: Vec<_> = [mine].into_iter().chain(others).collect();
        let others = quorum.split_off(key.access().quorum().min(quorum.len()));
        let members: Vec<PartyId> = quorum.iter().map(PartialDecryption::party).collect();
        let combiner = Combiner::new(key, &members)?;
        let plaintexts = combiner.combine(&quorum)?;
        if spares > 0
            && let Some(deviation) = combiner.deviations(&quorum, &others)?.first()
        {
            // Who of them lied cannot be told from so few.
            let place = "decrypt: a batch deviates, and none of its ciphertexts does";
            let first = deviation.ciphertexts.first().ok_or(DecryptionError::Internal { place })?;
            return Err(DecryptionError::Inconsistent { index: start + first });
        }
        decrypted.plaintexts.extend(plaintexts);
        for liar in &refused {
            let found = match combiner.deviations(&quorum, std::slice::from_ref(liar)) {
                Ok(found) => found,
                // What was refused may be malformed: then there is nothing to compare.
                Err(DecryptionError::BadPartial { party, .. }) if party == liar.party() => vec![],
                Err(error) => return Err(error),
            };
            let wrong = found.into_iter().flat_map(|deviation| deviation.ciphertexts);
            let ciphertexts = wrong.map(|index| start + index).collect();
            decrypted.deviations.push(Deviation { party: liar.party(), ciphertexts });
        }
    }
    Ok(decrypted)
}

/// D2 without proofs.
fn plain_round<T: Transport>(
    session: &mut Session<T>,
    share: &KeyShare,
    chunk: &Chunk<'_>,
    spares: usize,
) -> Result<Answers, DecryptionError> {
    let (key, me) = (share.key(), session.me());
    let mut partials = Vec::with_capacity(session.roster().len());
    for party in session.roster().parties() {
        partials.push(share.partially_decrypt(chunk.of(party))?.into_values());
    }
    let mine = PartialDecryption::new(me, std::mem::take(&mut partials[me.index()]));
    let count = chunk.of(me).len();
    let outgoing = |party: PartyId| {
        let values = partials.get_mut(party.index()).map(std::mem::take)?;
        (!chunk.of(party).is_empty()).then_some(PartialMessage { values })
    };
    let shape = |party: PartyId| PartialShape {
        key: key.public().clone(),
        // My own messages are as long as the longest chunk; what I receive is as long as mine.
        count: if party == me { CHUNK } else { count },
    };
    let enough = if count == 0 { 0 } else { key.access().threshold() as usize + spares };
    let collected = session.collect_shaped(outgoing, |_| count > 0, enough, shape)?;
    let answers = collected.messages.into_iter();
    let answers = answers.filter_map(|(party, message)| Some(PartialDecryption::new(party, message?.values)));
    Ok(Answers { mine, others: answers.collect(), failures: collected.failures, refused: vec![] })
}

/// D2 with proofs: an answer counts if its proof holds.
fn proven_round<T: Transport>(
    session: &mut Session<T>,
    share: &KeyShare,
    chunk: &Chunk<'_>,
    challenges: crate::Challenges,
    rng: &mut impl CryptoRng,
) -> Result<Answers, DecryptionError> {
    let (key, me) = (share.key(), session.me());
    let context = ProofContext::of(session);
    let mine = share.partially_decrypt(chunk.of(me))?;
    let mut messages = Vec::with_capacity(session.roster().len());
    for party in session.roster().parties() {
        let ciphertexts = chunk.of(party);
        if party == me || ciphertexts.is_empty() {
            messages.push(None);
            continue;
        }
        let partial = share.partially_decrypt(ciphertexts)?;
        let proof = share.prove(&context, ciphertexts, &partial, challenges, rng)?;
        messages.push(Some(ProvenMessage { values: partial.into_values(), proof }));
    }
    let ciphertexts: Arc<[Ciphertext]> = chunk.of(me).into();
    let refused = Arc::new(Mutex::new(Vec::new()));
    let shape = |sender: PartyId| {
        ProvenShape(Arc::new(Claim {
            key: key.clone(),
            context: context.clone(),
            challenges,
            sender,
            ciphertexts: Arc::clone(&ciphertexts),
            longest: if sender == me { CHUNK } else { ciphertexts.len() },
            refused: Arc::clone(&refused),
        }))
    };
    let count = ciphertexts.len();
    let enough = if count == 0 { 0 } else { key.access().threshold() as usize };
    let outgoing = |party: PartyId| messages.get_mut(party.index()).and_then(Option::take);
    let collected = session.collect_shaped(outgoing, |_| count > 0, enough, shape)?;
    let answers = collected.messages.into_iter();
    let answers = answers.filter_map(|(party, message)| Some(PartialDecryption::new(party, message?.values)));
    let refused = std::mem::take(&mut *refused.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Answers { mine, others: answers.collect(), failures: collected.failures, refused })
}
