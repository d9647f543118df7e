//! Steps R7 to R9 on the wire: announcement, noise and decryption towards each owner.

use subrosa_arith::hash::Hasher;
use subrosa_paillier::{Blinded, Blinder, Ciphertext, CiphertextBatch, PublicKey};
use subrosa_threshold_decryption::protocol::{self as decryption, Checks, DecryptionSettings};
use subrosa_transport::{PartyId, PerParty, Session, Transport};

use super::scores::piece;
use super::{PassedOver, Role, blame};
use crate::checkpoint::format::{Digest, Run, State};
use crate::disclosure;
use crate::error::Error;
use crate::messages::{BatchShape, CHUNK, NoiseChunk};
use crate::plan::Plan;
use crate::randomness::Purpose;
use crate::resume::{self, Keeper, Positions};

/// R7 to R9: puts my plaintexts into `state`; the parties that were passed over, or `None` for an auditor, who reads nothing.
#[expect(clippy::too_many_arguments, reason = "one caller, and each is used in another round")]
pub(super) fn decrypt<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    share: &Role<'_>,
    checks: Checks,
    plan: &Plan,
    blinder: &Blinder,
    run: &Run,
    state: &mut State,
    announced: &[Digest],
    keeper: &mut Keeper<'_>,
) -> Result<Option<PassedOver>, Error> {
    let ciphertexts = |accounts: &u64| disclosure::ciphertexts(size(*accounts), plan);
    let counts: PerParty<usize> = PerParty::from_vec(run.accounts.iter().map(ciphertexts).collect());
    if counts.values().all(|count| *count == 0) {
        session.confirm()?;
        return Ok(Some(PassedOver::default()));
    }
    let key = share.key().public();
    // R7
    let packed = disclosure::blind(
        &state.packed,
        blinder,
        &mut run.seed.derive(Purpose::Packed, &[&state.packed_in]).first(),
    )?;
    let batches = decryption::announce(session, key, &packed, &counts)?;
    state.announced = batches.values().map(|batch| announcement(batch)).collect();
    // Noise covers one set of ciphertexts only: the difference of two under the same noise would be bare.
    if let Some(party) = resume::changed(announced, &state.announced) {
        let reason = "it announces other ciphertexts than before the run was stopped";
        let party = resume::party_at(session.roster(), party);
        return Err(
            party.map_or(Error::Roster(reason.to_owned()), |party| blame(session.roster(), party, reason))
        );
    }
    keeper.save(Positions::new(plan).announced(), share, run, state)?;
    // R8
    let total: usize = counts.values().sum();
    let others = |party: PartyId| total - counts.get(party).copied().unwrap_or(0);
    let accounts = session.roster().parties().zip(&run.accounts).filter(|(party, _)| *party != session.me());
    let used = accounts.flat_map(|(_, accounts)| disclosure::used_slots(size(*accounts), plan));
    let mine = disclosure::noise(
        &used.collect::<Vec<_>>(),
        plan,
        blinder,
        &mut run.seed.derive(Purpose::Noise, &[]).first(),
    )?;
    let noise = broadcast_noise(session, key, &mine, &others)?;
    let mut noisy = Vec::with_capacity(batches.len());
    for (owner, batch) in batches.iter() {
        // Where the owner's ciphertexts lie in the list of each adder, which leaves the adder's own out.
        let parts: Vec<&[Ciphertext]> = noise
            .iter()
            .filter(|(adder, _)| *adder != owner)
            .filter_map(|(adder, list)| {
                let before = counts.iter().filter(|(party, _)| *party < owner && *party != adder);
                let start: usize = before.map(|(_, count)| count).sum();
                list.get(start..start + batch.len())
            })
            .collect();
        noisy.push(disclosure::add_noise(key, batch, &parts)?);
    }
    session.confirm()?;
    // R9
    let noisy = PerParty::from_vec(noisy);
    let share = match share {
        Role::Bank(share) => share,
        Role::Auditor(auditor) => {
            auditor.noisy.replace(Some(noisy));
            return Ok(None);
        }
    };
    let mut masks = run.seed.derive(Purpose::Proofs, &[session.id()]).first();
    let checks = DecryptionSettings::new().with_checks(checks);
    let decrypted = decryption::decrypt_towards_with(session, share, &noisy, &checks, None, &mut masks)?;
    state.plaintexts = decrypted.plaintexts;
    Ok(Some(PassedOver { absent: decrypted.absent, deviations: decrypted.deviations }))
}

/// R5 takes no more than 32 bits.
fn size(accounts: u64) -> usize {
    usize::try_from(accounts).unwrap_or(0)
}

/// Hash of what a bank announced.
fn announcement(batch: &[Ciphertext]) -> Digest {
    let hash = Hasher::new("subrosa/risk-propagation/announced", 1);
    hash.uints("ciphertexts", batch.iter().map(Ciphertext::value)).finish()
}

/// R8: everybody's noise, checked. `count` is how many ciphertexts each party owes.
fn broadcast_noise<T: Transport + ?Sized>(
    session: &mut Session<'_, T>,
    key: &PublicKey,
    mine: &[Blinded<Ciphertext>],
    count: &impl Fn(PartyId) -> usize,
) -> Result<PerParty<Vec<Ciphertext>>, Error> {
    let roster = session.roster().clone();
    let mut all: Vec<Vec<Ciphertext>> = vec![Vec::new(); roster.len()];
    let longest = roster.parties().map(count).max().unwrap_or(0);
    for start in (0..longest).step_by(CHUNK) {
        let batch = CiphertextBatch::new(key, piece(mine, start / CHUNK))?;
        let shape = |party: PartyId| BatchShape {
            key: key.clone(),
            count: count(party).saturating_sub(start).min(CHUNK),
        };
        for (party, message) in session.broadcast_shaped(&NoiseChunk { batch }, shape)? {
            let ciphertexts =
                message.batch.accept(key).map_err(|error| blame(&roster, party, error.to_string()))?;
            if let Some(list) = all.get_mut(party.index()) {
                list.extend(ciphertexts);
            }
        }
    }
    Ok(PerParty::from_vec(all))
}
