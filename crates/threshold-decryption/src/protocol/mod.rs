//! Decryption among the parties of a session: everyone's ciphertexts are announced, each party helps the others, and
//! each reads only its own plaintexts.
//!
//! Steps D1 to D4 are in `docs/protocols/threshold-decryption.md`. [`KeyShare::partially_decrypt`], [`KeyShare::prove`],
//! [`proof::verify`](crate::proof::verify) and [`Combiner`] are the pure steps. [`Decryption`] connects them to a session of their
//! own. Other protocols that decrypt in their own session call [`announce`] and [`decrypt_towards`].

mod announce;
mod decryption;
mod messages;
mod plain;
mod proven;
mod settings;

use num_bigint::BigInt;
use rand_core::CryptoRng;

use crate::{Combiner, DecryptionError, Deviation, KeyShare, Ledger, PartialDecryption};
use subrosa_paillier::{Blinded, Ciphertext, PublicKey};
use subrosa_transport::{Failure, PartyId, PerParty, Protocol, Session, Transport};

pub use decryption::Decryption;
pub use messages::{
    Announcement, AnnouncementShape, PartialMessage, PartialShape, ProvenMessage, ProvenShape, Request,
};
pub use proven::{Part, helps};
pub use settings::{Checks, DecryptionSettings};

use announce::Announcements;

/// Name and version of the protocol, for [`Session::open`].
pub const PROTOCOL: Protocol = Protocol { name: "subrosa/threshold-decryption", version: 3 };

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

impl Decrypted {
    /// Nothing yet, but the parties that were given up before.
    fn new<T: Transport>(session: &Session<T>) -> Self {
        Self { plaintexts: vec![], absent: session.failures().to_vec(), deviations: vec![] }
    }
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
    let all = vec![Vec::new(); session.roster().len()];
    let mut stream = Announcements { key, mine, counts, all };
    session.broadcast_stream(longest.div_ceil(CHUNK), &mut stream)?;
    let all = stream.all;
    session.confirm()?;
    Ok(PerParty::from_vec(all))
}

/// D2 and D3: decrypts `batches[j]` towards party j, for every j, and returns my own plaintexts.
///
/// All parties must hold the same `batches`, as after [`announce`] or a computation on what was announced, and the
/// transcript must be confirmed; all have the same `settings.checks`. With proofs, the t parties that follow a reader in
/// the roster compute for it, and the others only if it asks for them, because one of these t failed, was slow, or sent a proof that
/// does not hold. Without proofs everybody computes for everybody.
///
/// Goes on as soon as enough others have answered, or `settings.grace` later. A party that is gone, or whose proof does not hold, is
/// named in the result and passed over.
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
    let parties = access.parties();
    if session.roster().len() != parties as usize || batches.len() != parties as usize {
        return Err(DecryptionError::Roster { expected: parties, found: session.roster().len() });
    }
    let before = session.set_collect_grace(settings.grace);
    let decrypted = match settings.checks {
        Checks::Proofs(challenges) => proven::decrypt(session, share, batches, challenges, rng),
        Checks::Quorum | Checks::Spares(_) => plain::decrypt(session, share, batches, spares),
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

/// The pieces of everybody's batch, in order. All parties count the same.
fn chunks(batches: &PerParty<Vec<Ciphertext>>) -> impl Iterator<Item = Chunk<'_>> {
    let longest = batches.values().map(Vec::len).max().unwrap_or(0);
    (0..longest).step_by(CHUNK).map(move |start| Chunk { batches, start })
}

/// What the others answered for one chunk of my ciphertexts.
#[derive(Default)]
struct Reading {
    answers: Vec<PartialDecryption>,
    /// Values whose proof did not hold.
    refused: Vec<PartialDecryption>,
}

impl Reading {
    /// D3 and D4: my plaintexts, and which values of those whose proof did not hold are wrong. With `compare`, spare answers must
    /// fit.
    fn finish(
        self,
        share: &KeyShare,
        chunk: &Chunk<'_>,
        compare: bool,
    ) -> Result<(Vec<BigInt>, Vec<Deviation>), DecryptionError> {
        let mine = share.partially_decrypt(chunk.of(share.party()))?;
        let mut quorum: Vec<_> = [mine].into_iter().chain(self.answers).collect();
        let spares = quorum.split_off(share.key().access().quorum().min(quorum.len()));
        let members: Vec<PartyId> = quorum.iter().map(PartialDecryption::party).collect();
        let combiner = Combiner::new(share.key(), &members)?;
        let plaintexts = combiner.combine(&quorum)?;
        if compare && let Some(deviation) = combiner.deviations(&quorum, &spares)?.first() {
            // Who of them lied cannot be told from so few.
            let place = "decrypt: a batch deviates, and none of its ciphertexts does";
            let first = deviation.ciphertexts.first().ok_or(DecryptionError::Internal { place })?;
            return Err(DecryptionError::Inconsistent { index: chunk.start + first });
        }
        let mut deviations = Vec::with_capacity(self.refused.len());
        for liar in &self.refused {
            let found = match combiner.deviations(&quorum, std::slice::from_ref(liar)) {
                Ok(found) => found,
                // What was refused may be malformed: then there is nothing to compare.
                Err(DecryptionError::BadPartial { party, .. }) if party == liar.party() => vec![],
                Err(error) => return Err(error),
            };
            let wrong = found.into_iter().flat_map(|deviation| deviation.ciphertexts);
            let ciphertexts = wrong.map(|index| chunk.start + index).collect();
            deviations.push(Deviation { party: liar.party(), ciphertexts });
        }
        Ok((plaintexts, deviations))
    }
}
