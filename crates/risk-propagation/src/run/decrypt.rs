//! Steps R7 to R9 on the wire: announcement, noise and decryption towards each owner.
//!
//! Every bank binds itself to its announcement (R7a) and to its noise (R7b) before it sees anything of the others', and all save
//! what they are bound to before anything is shown.

use rayon::prelude::*;

use super::arrivals::accept;
use super::exchange::piece;
use super::outcome::PassedOver;
use super::resume::{self, Seen};
use super::role::Role;
use crate::checkpoint::format::{Run, State};
use crate::error::Error;
use crate::network::Digest;
use crate::plan::Plan;
use crate::steps::disclosure::{self, Committed, commitment};
use crate::steps::messages::{BatchShape, CHUNK, Commitment, NoiseChunk, NoiseCommitment, NoiseShape};
use crate::steps::randomness::Purpose;
use subrosa_paillier::{Blinded, Blinder, Ciphertext, CiphertextBatch, PublicKey};
use subrosa_threshold_decryption::protocol::{self as decryption, Checks, DecryptionSettings};
use subrosa_transport::{BroadcastStream, PartyId, PerParty, Roster, Session, Transport};

/// R7a to R9 in one session: each bank's own announcement and noise, and what was heard of the others'.
pub(super) struct Decryption<'a> {
    share: &'a Role<'a>,
    checks: Checks,
    plan: &'a Plan,
    blinder: &'a Blinder,
    run: &'a Run,
    /// What this bank had heard before the run was stopped.
    seen: &'a Seen,
    /// What this bank announces.
    announcement: Vec<Blinded<Ciphertext>>,
    noise: Vec<Blinded<Ciphertext>>,
    /// What each bank announced, once it is compared.
    announced: Option<PerParty<Vec<Ciphertext>>>,
}

impl<'a> Decryption<'a> {
    pub(super) fn new(
        share: &'a Role<'a>,
        checks: Checks,
        plan: &'a Plan,
        blinder: &'a Blinder,
        run: &'a Run,
        seen: &'a Seen,
    ) -> Self {
        let (announcement, noise) = (Vec::new(), Vec::new());
        Self { share, checks, plan, blinder, run, seen, announcement, noise, announced: None }
    }

    /// R7a: binds all banks to what they will announce.
    pub(super) fn commit<T: Transport>(
        &mut self,
        session: &mut Session<T>,
        state: &mut State,
    ) -> Result<(), Error> {
        self.announcement = announcement(self.run, state, self.blinder)?;
        let announcement = self.commitment(session, Committed::Announcement, &self.announcement);
        let all = session.broadcast(&Commitment { announcement }, &())?;
        state.committed = all.values().map(|theirs| theirs.announcement).collect();
        self.compare(session, &self.seen.committed, &state.committed)
    }

    /// R7b and R7: binds all banks to their noise; what they announce is what they were bound to.
    pub(super) fn announce<T: Transport>(
        &mut self,
        session: &mut Session<T>,
        state: &mut State,
    ) -> Result<(), Error> {
        self.noise = noise(self.run, state, session.me(), self.plan, self.blinder)?;
        let noise = self.commitment(session, Committed::Noise, &self.noise);
        let all =
            session.broadcast(&NoiseCommitment { noise, salt: self.salt(Committed::Announcement) }, &())?;
        state.noise_committed = all.values().map(|theirs| theirs.noise).collect();
        self.compare(session, &self.seen.noise_committed, &state.noise_committed)?;
        let salts: Vec<Digest> = all.values().map(|theirs| theirs.salt).collect();

        let key = self.share.key().public();
        let announced = decryption::announce(session, key, &self.announcement, &self.counts()?)?;
        self.check(session, Committed::Announcement, &state.committed, &salts, &announced)?;
        self.announced = Some(announced);
        Ok(())
    }

    /// R8 and R9: puts my plaintexts into `state`. The parties that were passed over, or `None` for an auditor, who reads nothing.
    pub(super) fn decrypt<T: Transport>(
        &self,
        session: &mut Session<T>,
        state: &mut State,
    ) -> Result<Option<PassedOver>, Error> {
        let place = "a decryption before the banks announced what is to be decrypted";
        let announced = self.announced.as_ref().ok_or(Error::Internal { place })?;
        let noise = self.broadcast_noise(session, state)?;
        let noisy = self.add_noise(announced, &noise)?;
        session.confirm()?;
        self.read(session, noisy, state)
    }

    /// R8: everybody's noise, which is what they were bound to.
    fn broadcast_noise<T: Transport>(
        &self,
        session: &mut Session<T>,
        state: &State,
    ) -> Result<PerParty<Vec<Ciphertext>>, Error> {
        let (key, roster, counts) = (self.share.key().public(), session.roster().clone(), self.counts()?);
        let total: usize = counts.values().sum();
        if counts.len() != roster.len() {
            return Err(Error::internal("another number of banks declared ciphertexts"));
        }
        let owed = counts.values().map(|count| total - count).collect::<Vec<usize>>();
        let longest = owed.iter().copied().max().unwrap_or(0);
        let mut stream = Noise {
            key,
            salt: self.salt(Committed::Noise),
            mine: &self.noise,
            owed,
            salts: Vec::with_capacity(roster.len()),
            all: vec![Vec::new(); roster.len()],
            roster,
        };
        session.broadcast_stream(longest.div_ceil(CHUNK), &mut stream)?;
        let Noise { salts, all, .. } = stream;
        let all = PerParty::from_vec(all);
        self.check(session, Committed::Noise, &state.noise_committed, &salts, &all)?;
        Ok(all)
    }

    /// What is decrypted: every announced ciphertext with the noise of all banks but its owner.
    fn add_noise(
        &self,
        batches: &PerParty<Vec<Ciphertext>>,
        noise: &PerParty<Vec<Ciphertext>>,
    ) -> Result<PerParty<Vec<Ciphertext>>, Error> {
        let counts = self.counts()?;
        let mut noisy = Vec::with_capacity(batches.len());
        for (owner, batch) in batches.iter() {
            // Where the owner's ciphertexts lie in the list of each noise contributor, which leaves its own out.
            let parts = noise
                .iter()
                .filter(|(adder, _)| *adder != owner)
                .map(|(adder, list)| {
                    let before = counts.iter().filter(|(party, _)| *party < owner && *party != adder);
                    let start: usize = before.map(|(_, count)| count).sum();
                    let part = list.get(start..start + batch.len());
                    part.ok_or(Error::Internal { place: "a bank's noise does not cover all ciphertexts" })
                })
                .collect::<Result<Vec<&[Ciphertext]>, Error>>()?;
            if parts.len() + 1 != counts.len() {
                return Err(Error::internal("the noise of a bank is missing"));
            }
            noisy.push(disclosure::add_noise(self.share.key().public(), batch, &parts)?);
        }
        Ok(PerParty::from_vec(noisy))
    }

    /// R9.
    fn read<T: Transport>(
        &self,
        session: &mut Session<T>,
        noisy: PerParty<Vec<Ciphertext>>,
        state: &mut State,
    ) -> Result<Option<PassedOver>, Error> {
        let share = match self.share {
            Role::Bank(share) => share,
            Role::Auditor(auditor) => {
                auditor.noisy.replace(Some(noisy));
                return Ok(None);
            }
        };
        let mut masks = self.run.seed.derive(Purpose::Proofs, &[session.id()]).first();
        let checks = DecryptionSettings::new().with_checks(self.checks);
        let decrypted = decryption::decrypt_towards(session, share, &noisy, &checks, None, &mut masks)?;
        state.plaintexts = decrypted.plaintexts;
        Ok(Some(PassedOver { absent: decrypted.absent, deviations: decrypted.deviations }))
    }

    /// Ciphertexts of each bank.
    fn counts(&self) -> Result<PerParty<usize>, Error> {
        let ciphertexts =
            |accounts: &u64| Ok::<_, Error>(disclosure::ciphertexts(size(*accounts)?, self.plan));
        let counts = self.run.accounts.iter().map(ciphertexts).collect::<Result<_, Error>>()?;
        Ok(PerParty::from_vec(counts))
    }

    fn salt(&self, what: Committed) -> Digest {
        self.run.seed.derive(Purpose::Commitment, &[what.label().as_bytes()]).salt()
    }

    /// The hash by which this bank binds itself.
    fn commitment<T: Transport>(
        &self,
        session: &Session<T>,
        what: Committed,
        mine: &[Blinded<Ciphertext>],
    ) -> Digest {
        let mine = mine.iter().map(|ciphertext| &**ciphertext);
        commitment(&self.run.id, session.me(), what, &self.salt(what), mine)
    }

    /// Whether all banks are bound to what they were bound to before the run was stopped.
    fn compare<T: Transport>(
        &self,
        session: &Session<T>,
        before: &[Digest],
        now: &[Digest],
    ) -> Result<(), Error> {
        match resume::changed(session.roster(), before, now) {
            None => Ok(()),
            Some(party) => {
                let reason = "it commits to other ciphertexts than before the run was stopped";
                Err(Error::peer(session.roster(), party, reason))
            }
        }
    }

    /// Whether all banks show what they are bound to.
    fn check<T: Transport>(
        &self,
        session: &Session<T>,
        what: Committed,
        committed: &[Digest],
        salts: &[Digest],
        shown: &PerParty<Vec<Ciphertext>>,
    ) -> Result<(), Error> {
        if committed.len() != shown.len() || salts.len() != shown.len() {
            return Err(Error::internal("commitments of another number of banks"));
        }
        let banks: Vec<_> = shown.iter().zip(salts).zip(committed).collect();
        let differs = |&(((party, shown), salt), committed): &(((_, &Vec<_>), _), &Digest)| {
            commitment(&self.run.id, party, what, salt, shown) != *committed
        };
        // The first bank in the order of the roster, whichever is hashed first.
        if let Some((((party, _), _), _)) = banks.into_par_iter().find_first(differs) {
            let reason = format!("its {} is not what it committed to", what.label());
            return Err(Error::peer(session.roster(), party, reason));
        }
        Ok(())
    }
}

/// The chunks of R8.
struct Noise<'a> {
    key: &'a PublicKey,
    roster: Roster,
    /// The salt of my commitment.
    salt: Digest,
    mine: &'a [Blinded<Ciphertext>],
    /// Ciphertexts that each bank sends.
    owed: Vec<usize>,
    salts: Vec<Digest>,
    /// What each bank sent.
    all: Vec<Vec<Ciphertext>>,
}

impl BroadcastStream for Noise<'_> {
    type Message = NoiseChunk;
    type Error = Error;

    fn outgoing(&mut self, chunk: usize) -> Result<NoiseChunk, Error> {
        let batch = CiphertextBatch::new(self.key, piece(self.mine, chunk))?;
        Ok(NoiseChunk { salt: (chunk == 0).then_some(self.salt), batch })
    }

    fn shape(&self, chunk: usize, from: PartyId) -> NoiseShape {
        let owed = self.owed.get(from.index()).copied().unwrap_or(0);
        let count = owed.saturating_sub(chunk.saturating_mul(CHUNK)).min(CHUNK);
        NoiseShape { batch: BatchShape { key: self.key.clone(), count }, first: chunk == 0 }
    }

    fn take(&mut self, _: usize, messages: PerParty<Option<NoiseChunk>>) -> Result<(), Error> {
        let mut batches = Vec::with_capacity(self.roster.len());
        for (party, message) in messages {
            let message = message.ok_or(Error::Internal { place: "a bank was left out before R8" })?;
            self.salts.extend(message.salt);
            batches.push((party, message.batch));
        }
        for (party, ciphertexts) in accept(self.key, &self.roster, batches)? {
            let list = self.all.get_mut(party.index());
            let place = "a party sent noise that is not in the roster";
            list.ok_or(Error::Internal { place })?.extend(ciphertexts);
        }
        Ok(())
    }
}

/// What a bank announces in R7.
pub(crate) fn announcement(
    run: &Run,
    state: &State,
    blinder: &Blinder,
) -> Result<Vec<Blinded<Ciphertext>>, Error> {
    let mut randomisers = run.seed.derive(Purpose::Packed, &[&state.packed_in]).first();
    disclosure::blind(&state.packed, blinder, &mut randomisers)
}

/// The noise of a bank in R8, for the ciphertexts of all other banks in roster order.
pub(crate) fn noise(
    run: &Run,
    state: &State,
    me: PartyId,
    plan: &Plan,
    blinder: &Blinder,
) -> Result<Vec<Blinded<Ciphertext>>, Error> {
    let mut used: Vec<usize> = Vec::new();
    for (_, accounts) in run.accounts.iter().enumerate().filter(|(party, _)| *party != me.index()) {
        used.extend(disclosure::used_slots(size(*accounts)?, plan));
    }
    let context = disclosure::noise_context(&run.id, &state.committed);
    disclosure::noise(&used, plan, blinder, &mut run.seed.derive(Purpose::Noise, &[&context]).first())
}

/// R5 takes no more than 32 bits.
fn size(accounts: u64) -> Result<usize, Error> {
    usize::try_from(accounts)
        .map_err(|_| Error::Internal { place: "a bank declared more accounts than R5 takes" })
}
