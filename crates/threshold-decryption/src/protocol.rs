//! Decryption among the parties of a session: everyone's ciphertexts are announced, each party helps the others, and
//! each reads only its own plaintexts.
//!
//! Steps D1 to D3 are in `docs/protocols/threshold-decryption.md`. [`KeyShare::partially_decrypt`] and [`Combiner`] are
//! the pure steps; the functions here connect them to a [`Session`].

use num_bigint::{BigInt, BigUint};
use serde::{Deserialize, Serialize};
use subrosa_arith::wire;
use subrosa_paillier::{Blinded, Ciphertext, CiphertextBatch, PublicKey};
use subrosa_transport::{Failure, Malformed, Message, PartyId, PerParty, Protocol, Session, Transport};

use crate::{Combiner, DecryptionError, KeyShare, PartialDecryption};

/// Name and version of the protocol, for [`Session::open`].
pub const PROTOCOL: Protocol = Protocol { name: "subrosa/threshold-decryption", version: 1 };

/// How many ciphertexts one message holds at the most; larger batches take several messages.
pub const CHUNK: usize = 4096;

/// D1, to all: the ciphertexts that the sender wants to read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Announcement {
    batch: CiphertextBatch,
}

/// How many ciphertexts an [`Announcement`] holds, and under which key.
#[derive(Clone, Debug)]
pub struct AnnouncementShape {
    key: PublicKey,
    count: usize,
}

impl Message for Announcement {
    const ROUND: &'static str = "decrypt/announce";
    type Shape = AnnouncementShape;

    fn max_bytes(shape: &AnnouncementShape) -> usize {
        CiphertextBatch::max_bytes(&shape.key, shape.count)
    }

    fn check(&self, shape: &AnnouncementShape) -> Result<(), Malformed> {
        if self.batch.len() == shape.count {
            return Ok(());
        }
        Err(Malformed::new(format!("{} ciphertexts where {} were agreed", self.batch.len(), shape.count)))
    }
}

/// D2, to the reader alone: the sender's partial decryptions.
#[derive(Clone, Serialize, Deserialize)]
pub struct PartialMessage {
    #[serde(with = "wire::uints")]
    values: Vec<BigUint>,
}

/// How many partial decryptions a [`PartialMessage`] holds, and under which key.
#[derive(Clone, Debug)]
pub struct PartialShape {
    key: PublicKey,
    count: usize,
}

impl Message for PartialMessage {
    const ROUND: &'static str = "decrypt/partial";
    type Shape = PartialShape;

    fn max_bytes(shape: &PartialShape) -> usize {
        wire::max_uints_len(shape.count, shape.key.modulus_squared().bits())
    }

    fn check(&self, shape: &PartialShape) -> Result<(), Malformed> {
        if self.values.len() != shape.count {
            let text = format!("{} partial decryptions of {} ciphertexts", self.values.len(), shape.count);
            return Err(Malformed::new(text));
        }
        if self.values.iter().any(|value| value >= shape.key.modulus_squared().value()) {
            return Err(Malformed::new("a partial decryption is not below N²"));
        }
        Ok(())
    }
}

impl std::fmt::Debug for PartialMessage {
    // Redacted: t+1 of them give the plaintexts away.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartialMessage(<redacted>, {} values)", self.values.len())
    }
}

/// What a decryption brought.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decrypted {
    /// My plaintexts, signed, in the order of my ciphertexts.
    pub plaintexts: Vec<BigInt>,
    /// The parties that were passed over, with the reasons.
    pub absent: Vec<Failure>,
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
pub fn announce<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
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
/// transcript must be confirmed. Goes on as soon as t others have answered; who did not is named in the result and
/// passed over.
///
/// # Security
/// Each party computes partial decryptions of everything in `batches`: the caller decides what belongs there.
///
/// # Errors
/// [`DecryptionError::Session`] if fewer than t others answer, [`DecryptionError::Roster`] if the session is not that
/// of the key, [`DecryptionError::BadPartial`] naming a party whose values are not valid,
/// [`DecryptionError::Inconsistent`].
pub fn decrypt_towards<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    share: &KeyShare,
    batches: &PerParty<Vec<Ciphertext>>,
) -> Result<Decrypted, DecryptionError> {
    let key = share.key().clone();
    let parties = key.access().parties();
    if session.roster().len() != parties as usize || batches.len() != parties as usize {
        return Err(DecryptionError::Roster { expected: parties, found: session.roster().len() });
    }
    let me = session.me();
    let longest = batches.values().map(Vec::len).max().unwrap_or(0);
    let mut decrypted = Decrypted { plaintexts: Vec::new(), absent: session.failures().to_vec() };
    for start in (0..longest).step_by(CHUNK) {
        let chunk = |party: PartyId| {
            let batch: &[Ciphertext] = batches.get(party).map_or(&[], Vec::as_slice);
            &batch[start.min(batch.len())..(start + CHUNK).min(batch.len())]
        };
        let mut partials = Vec::with_capacity(parties as usize);
        for party in session.roster().parties() {
            partials.push(share.partially_decrypt(chunk(party))?.into_values());
        }
        let mine = PartialDecryption::new(me, std::mem::take(&mut partials[me.index()]));
        let count = chunk(me).len();
        let outgoing = |party: PartyId| {
            let values = partials.get_mut(party.index()).map(std::mem::take)?;
            (!chunk(party).is_empty()).then_some(PartialMessage { values })
        };
        let shape = |party: PartyId| PartialShape {
            key: key.public().clone(),
            // My own messages are as long as the longest chunk; what I receive is as long as mine.
            count: if party == me { CHUNK } else { count },
        };
        let enough = if count == 0 { 0 } else { key.access().threshold() as usize };
        let collected = session.collect_shaped(outgoing, |_| count > 0, enough, shape)?;
        let answers = collected.messages.into_iter();
        let answers =
            answers.filter_map(|(party, message)| Some(PartialDecryption::new(party, message?.values)));
        decrypted.absent.extend(collected.failures);
        if count > 0 {
            let quorum: Vec<_> = [mine].into_iter().chain(answers).take(key.access().quorum()).collect();
            let members: Vec<PartyId> = quorum.iter().map(PartialDecryption::party).collect();
            decrypted.plaintexts.extend(Combiner::new(&key, &members)?.combine(&quorum)?);
        }
    }
    Ok(decrypted)
}

/// D1 to D3: everyone announces up to its share of `counts` ciphertexts and reads its own.
///
/// # Security
/// Whoever announces a ciphertext learns its plaintext, whoever made it. Agree on `counts`, and on what may be
/// announced, before.
///
/// # Errors
/// As [`announce`] and [`decrypt_towards`]. When an error ends the protocol here, the others are told why.
pub fn decrypt<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    share: &KeyShare,
    mine: &[Blinded<Ciphertext>],
    counts: &PerParty<usize>,
) -> Result<Decrypted, DecryptionError> {
    session.guard(|session| {
        let batches = announce(session, share.key().public(), mine, counts)?;
        decrypt_towards(session, share, &batches)
    })
}
