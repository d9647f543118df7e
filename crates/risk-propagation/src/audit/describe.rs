//! Differences in words: which step, which message, which accounts.

use num_bigint::BigUint;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::replay::{Found, Heading, is_abort};
use super::store::Memory;
use super::{End, Subject};
use crate::checkpoint::format::{Run, State};
use crate::plan::Plan;
use crate::run::{Keeper, restore};
use crate::run::{Role, announcement, noise};
use crate::steps::agreement::Agreed;
use crate::steps::agreement::senders;
use crate::steps::disclosure;
use crate::steps::messages::{
    CHUNK, Commitment, Declaration, Digests, Finished, NoiseChunk, NoiseCommitment, OfferChunk, PlanValues,
    Resume, ScoreChunk, SelectionBits, Sent, Sizes,
};
use subrosa_paillier::{Blinder, Ciphertext, KeyId};
use subrosa_threshold_decryption::protocol::{
    self as decryption, Announcement, Checks, Part, PartialMessage, ProvenMessage, Request,
};
use subrosa_threshold_decryption::{BatchProof, PartialDecryption, ProofContext, proof};
use subrosa_transport::{HEADER_BYTES, Message, PartyId, PerParty, round_tag};

/// Something that a bank did otherwise than the protocol, its input and its seed say.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The session.
    pub session: [u8; 32],
    /// The step of `docs/protocols/risk-propagation.md`, such as `R6`.
    pub step: &'static str,
    /// The iteration, from 1; 0 outside.
    pub iteration: usize,
    /// The session's step, as every frame carries it.
    pub round: u32,
    /// The round's name; empty for one that this version does not know.
    pub message: &'static str,
    /// The bank that got the message; `None` where all got the same.
    pub to: Option<String>,
    /// The accounts concerned, as far as that can be told. Names of the bank's customers.
    pub accounts: Vec<String>,
    /// What is different.
    pub what: String,
}

/// Accounts that are named in one line.
const MOST_NAMES: usize = 8;

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.step)?;
        if self.iteration > 0 {
            write!(f, ", iteration {}", self.iteration)?;
        }
        if let Some(to) = &self.to {
            write!(f, ", to {to}")?;
        }
        if !self.message.is_empty() {
            write!(f, ", {}", self.message)?;
        }
        let names: Vec<&str> = self.accounts.iter().take(MOST_NAMES).map(String::as_str).collect();
        match (names.len(), self.accounts.len().saturating_sub(names.len())) {
            (0, _) => {}
            (1, _) => write!(f, ", account {}", names.concat())?,
            (_, 0) => write!(f, ", accounts {}", names.join(", "))?,
            (_, more) => write!(f, ", accounts {} and {more} more", names.join(", "))?,
        }
        write!(f, ": {}", self.what)
    }
}

impl std::fmt::Debug for Difference {
    // Redacted: accounts are names of customers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (step, iteration, accounts) = (self.step, self.iteration, self.accounts.len());
        write!(f, "Difference({step}, iteration {iteration}, <redacted>, {accounts} accounts: {})", self.what)
    }
}

/// The rounds of a session and the steps that they are.
const ROUNDS: [(&str, &str); 19] = [
    ("session/open", "R0"),
    ("session/confirm", "confirmation"),
    (Resume::ROUND, "R0a"),
    (Sizes::ROUND, "R1"),
    (PlanValues::ROUND, "R1"),
    (Digests::ROUND, "R2"),
    (OfferChunk::ROUND, "R3"),
    (SelectionBits::ROUND, "R4"),
    (Declaration::ROUND, "R5"),
    (ScoreChunk::ROUND, "R6"),
    (Sent::ROUND, "R6b"),
    (Commitment::ROUND, "R7a"),
    (NoiseCommitment::ROUND, "R7b"),
    (Announcement::ROUND, "R7"),
    (NoiseChunk::ROUND, "R8"),
    (PartialMessage::ROUND, "R9"),
    (ProvenMessage::ROUND, "R9"),
    (Request::ROUND, "R9"),
    (Finished::ROUND, "R10"),
];

fn round_of(tag: [u8; 8]) -> (&'static str, &'static str) {
    ROUNDS.into_iter().find(|(name, _)| round_tag(name) == tag).unwrap_or(("", "unknown step"))
}

/// The bytes of a batch of ciphertexts, unchecked.
#[derive(Deserialize)]
struct Batch {
    key: KeyId,
    #[serde(with = "subrosa_encoding::wire::uints")]
    values: Vec<BigUint>,
}

/// The bytes of a message of R9, unchecked.
#[derive(Deserialize)]
struct Partials {
    #[serde(with = "subrosa_encoding::wire::uints")]
    values: Vec<BigUint>,
    proof: BatchProof,
}

fn payload<M: DeserializeOwned>(frame: &[u8]) -> Option<M> {
    postcard::from_bytes(frame.get(HEADER_BYTES..)?).ok()
}

/// A session of the bank that is audited.
pub(super) struct Scene<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) session: [u8; 32],
}

/// What the banks had agreed on.
struct Context {
    agreed: Agreed,
    plan: Plan,
    run: Run,
    state: State,
}

impl Scene<'_> {
    fn difference(&self, frame: &[u8], to: Option<PartyId>, what: impl Into<String>) -> Difference {
        let (message, step) = Heading::of(frame).map_or(("", ""), |heading| round_of(heading.tag));
        let roster = self.subject.roster;
        Difference {
            session: self.session,
            step,
            iteration: 0,
            round: Heading::of(frame).map_or(0, |heading| heading.step),
            message,
            to: to.map(|party| roster.name(party).to_owned()),
            accounts: Vec::new(),
            what: what.into(),
        }
    }

    /// R0a: whether a bank can be where it says that it is. What it saved last may have got lost, nothing else.
    pub(super) fn check_position(
        &self,
        claimed: Option<([u8; 32], u32)>,
        store: &mut Memory,
    ) -> Option<Difference> {
        let (_, claimed) = claimed?;
        let kept = store.kept();
        if kept.contains(&claimed) {
            store.go_back(claimed);
            return None;
        }
        let reached = kept.last().map_or("none".to_owned(), |last| format!("state {last}"));
        let what = format!("it says that it is at state {claimed} of the run, and had reached {reached}");
        let mut difference = self.difference(&[], None, what);
        (difference.step, difference.message) = ("R0a", Resume::ROUND);
        Some(difference)
    }

    fn context(&self, store: &mut Memory) -> Option<Context> {
        let &Subject { network, settings, key, roster, .. } = self.subject;
        let no_seed = |_: &[u8; 32]| None;
        let auditor = crate::run::Auditor { key, seed: &no_seed, noisy: Default::default() };
        let role = Role::Auditor(&auditor);
        let keeper = Keeper::new(Some(store), &role, roster, network, settings);
        let latest = keeper.latest(&role, network, settings).ok()??;
        let agreed = restore(network.clone(), &latest.run).ok()?;
        Some(Context { agreed, plan: latest.plan, run: latest.run, state: latest.state })
    }

    /// The differences of a session. One broadcast to all is one difference; what only follows from others is left out.
    ///
    /// `leftover` are frames that were sent later.
    pub(super) fn describe(
        &self,
        found: Vec<Found>,
        leftover: &[(PartyId, Vec<u8>)],
        store: &mut Memory,
    ) -> Vec<Difference> {
        if found.is_empty() {
            return Vec::new();
        }
        let context = self.context(store);
        let mut all: Vec<Difference> = Vec::new();
        for found in &found {
            let difference = self.describe_one(found, leftover, context.as_ref());
            let follows = difference.message == Sent::ROUND && all.iter().any(|before| before.to.is_some());
            let like = |before: &Difference| {
                (before.round, before.message, &before.what, &before.accounts)
                    == (difference.round, difference.message, &difference.what, &difference.accounts)
            };
            let personal = matches!(
                difference.message,
                Digests::ROUND
                    | OfferChunk::ROUND
                    | SelectionBits::ROUND
                    | ScoreChunk::ROUND
                    | Finished::ROUND
            );
            match all.iter_mut().find(|before| like(before)).filter(|_| !personal) {
                Some(before) => before.to = None,
                None if !follows => all.push(difference),
                None => {}
            }
        }
        all
    }

    fn describe_one(
        &self,
        found: &Found,
        leftover: &[(PartyId, Vec<u8>)],
        context: Option<&Context>,
    ) -> Difference {
        let Found { to, expected, sent, .. } = found;
        let mut difference = self.difference(expected, Some(*to), "it sent something else");
        difference.iteration = found.iteration;
        if expected.get(..HEADER_BYTES) != sent.get(..HEADER_BYTES) {
            let (other, _) = Heading::of(sent).map_or(("", ""), |heading| round_of(heading.tag));
            let elsewhere = other != difference.message;
            difference.what = match elsewhere {
                true if other.is_empty() => "it sent a message of no known round instead".to_owned(),
                true => format!("it sent a message of the round {other} instead"),
                false if expected.get(..44) == sent.get(..44) => {
                    "by its message it had seen other broadcasts than those in the record".to_owned()
                }
                false => "the message is of another place in the session".to_owned(),
            };
            return difference;
        }
        match difference.message {
            Declaration::ROUND => describe_declaration(&mut difference, expected, sent),
            OfferChunk::ROUND => {
                let names =
                    |frame| payload::<OfferChunk>(frame).map(|offer| offer.senders).unwrap_or_default();
                let (expected, sent) = (names(expected), names(sent));
                let more = sent.iter().filter(|sender| !expected.contains(sender));
                let less = expected.iter().filter(|sender| !sent.contains(sender));
                difference.accounts = more.chain(less).map(|(_, name)| name.clone()).collect();
                difference.what = "it offered other accounts".to_owned();
            }
            Sent::ROUND => difference.what = "it tells other hashes than those of what it sent".to_owned(),
            ScoreChunk::ROUND | Announcement::ROUND | NoiseChunk::ROUND => {
                self.describe_ciphertexts(&mut difference, found, context);
            }
            Commitment::ROUND | NoiseCommitment::ROUND => {
                difference.what = "its hash is not that of what its input and seed give".to_owned();
                if let Some(context) = context {
                    self.describe_commitment(&mut difference, found.to, leftover, context);
                }
            }
            _ => {}
        }
        difference
    }

    /// What stood behind a hash, if it was shown later.
    fn describe_commitment(
        &self,
        difference: &mut Difference,
        to: PartyId,
        leftover: &[(PartyId, Vec<u8>)],
        context: &Context,
    ) {
        let Context { plan, run, state, .. } = context;
        let (key, me) = (self.subject.key.public(), self.subject.roster.me());
        let Ok(blinder) = Blinder::with_default_table(key) else { return };
        let (expected, round) = match difference.message {
            Commitment::ROUND => (announcement(run, state, &blinder), Announcement::ROUND),
            _ => (noise(run, state, me, plan, &blinder), NoiseChunk::ROUND),
        };
        let Ok(expected) = expected else { return };
        let is_of = |frame: &[u8]| Heading::of(frame).is_some_and(|heading| heading.tag == round_tag(round));
        let mut shown: Vec<BigUint> = Vec::new();
        for (_, frame) in leftover.iter().filter(|(party, frame)| *party == to && is_of(frame)) {
            shown.extend(batch(round, frame).map(|batch| batch.values).unwrap_or_default());
        }
        if shown.len() != expected.len() {
            return;
        }
        let pairs = expected.iter().zip(&shown).enumerate();
        let other = pairs.filter(|(_, (expected, shown))| expected.value() != *shown);
        let places: Vec<usize> = other.map(|(place, _)| place).collect();
        if !places.is_empty() {
            self.describe_places(difference, round, &places, context);
        }
    }

    /// Which ciphertexts of a batch are others.
    fn describe_ciphertexts(&self, difference: &mut Difference, found: &Found, context: Option<&Context>) {
        let batch = |frame| batch(difference.message, frame);
        let (Some(expected), Some(sent)) = (batch(&found.expected), batch(&found.sent)) else {
            difference.what = "it sent what are no ciphertexts".to_owned();
            return;
        };
        if expected.key != sent.key {
            difference.what = "its ciphertexts are of another key".to_owned();
            return;
        }
        if expected.values.len() != sent.values.len() {
            let (expected, sent) = (expected.values.len(), sent.values.len());
            difference.what = format!("it sent {sent} ciphertexts instead of {expected}");
            return;
        }
        let pairs = expected.values.iter().zip(&sent.values).enumerate();
        let places: Vec<usize> =
            pairs.filter(|(_, (expected, sent))| expected != sent).map(|(place, _)| place).collect();
        difference.what = match places.len() {
            0 => "the salt is not what its seed gives".to_owned(),
            1 => "the ciphertext is not what its input and seed give".to_owned(),
            count => format!("{count} ciphertexts are not what its input and seed give"),
        };
        let (Some(context), false) = (context, places.is_empty()) else { return };
        if difference.message != ScoreChunk::ROUND {
            let size = if difference.message == Announcement::ROUND { decryption::CHUNK } else { CHUNK };
            let places: Vec<usize> = places.iter().map(|place| found.chunk * size + place).collect();
            return self.describe_places(difference, difference.message, &places, context);
        }
        let Context { agreed, plan, .. } = context;
        let period = plan.steps().get(found.iteration.wrapping_sub(1)).map(|step| step.period);
        let bank = agreed.network().banks().get(found.to.index());
        let (Some(period), Some(bank)) = (period, bank) else { return };
        let list = agreed.exports(period, bank);
        let accounts = places.iter().filter_map(|place| list.get(found.chunk * CHUNK + place));
        difference.accounts = named(agreed, accounts);
    }

    /// Of a list of announced ciphertexts, or of noise, which are others.
    fn describe_places(&self, difference: &mut Difference, round: &str, places: &[usize], context: &Context) {
        let Context { agreed, plan, .. } = context;
        if round == Announcement::ROUND {
            difference.what = match places.len() {
                1 => "the ciphertext is not what its input and seed give".to_owned(),
                count => format!("{count} ciphertexts are not what its input and seed give"),
            };
            // The accounts are an addition: what differs is said without them, too.
            let Ok(disclosed) = senders::disclosed(agreed.network(), plan) else { return };
            let per = plan.accounts_per_ciphertext().max(1);
            let packed = places.iter().filter_map(|place| disclosed.chunks(per).nth(*place));
            difference.accounts = named(agreed, packed.flatten());
            return;
        }
        let mut owners: Vec<String> = Vec::new();
        for place in places {
            let Some(owner) = self.owner(context, *place) else { continue };
            let owner = self.subject.roster.name(owner).to_owned();
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        }
        let owners = owners.join(", ");
        difference.what = match places.len() {
            1 => format!("the noise for a ciphertext of {owners} is not what its seed gives"),
            count => format!("the noise for {count} ciphertexts of {owners} is not what its seed gives"),
        };
    }

    /// Whose ciphertext it is to which the noise at a place of this bank's list belongs.
    fn owner(&self, context: &Context, place: usize) -> Option<PartyId> {
        let (mut before, roster) = (0, self.subject.roster);
        let banks = roster.parties().zip(&context.run.accounts).filter(|(party, _)| *party != roster.me());
        for (party, accounts) in banks {
            before += disclosure::ciphertexts(usize::try_from(*accounts).ok()?, &context.plan);
            if place < before {
                return Some(party);
            }
        }
        None
    }

    /// Frames that the bank sent where the protocol has none.
    pub(super) fn unexpected(&self, leftover: &[(PartyId, Vec<u8>)], reason: &str) -> Option<Difference> {
        let is_more = |(_, frame): &&(PartyId, Vec<u8>)| !is_abort(frame);
        let (to, frame) = leftover.iter().find(is_more)?;
        Some(self.difference(frame, Some(*to), format!("it went on, although: {reason}")))
    }

    /// R9: verifies the proofs of this bank's partial decryptions of `noisy`, which begin after so many steps.
    pub(super) fn check_partials(
        &self,
        noisy: &PerParty<Vec<Ciphertext>>,
        steps: u64,
        leftover: &[(PartyId, Vec<u8>)],
    ) -> (End, Vec<Difference>) {
        let roster = self.subject.roster;
        let context = ProofContext::new(self.session, roster.parties().map(|party| roster.name(party)));
        let batch = |owner: PartyId| noisy.get(owner).map_or(&[][..], Vec::as_slice);
        let own_chunks = batch(roster.me()).chunks(decryption::CHUNK).len();
        let (mut proven, mut unproven, mut differences) = (0, 0, Vec::new());
        for owner in roster.others() {
            let chunks: Vec<_> = batch(owner).chunks(decryption::CHUNK).collect();
            // No step takes two frames to one receiver.
            let mut last = None;
            for (_, frame) in leftover.iter().filter(|(to, _)| *to == owner) {
                let Some(heading) = Heading::of(frame).filter(|_| !is_abort(frame)) else {
                    continue;
                };
                let step =
                    u64::from(heading.step).checked_sub(steps).and_then(|step| usize::try_from(step).ok());
                let place = step.map(Part::of_step).filter(|_| last < step);
                last = last.max(step);
                let mut differs = |what: &str| differences.push(self.difference(frame, Some(owner), what));
                match round_of(heading.tag).0 {
                    PartialMessage::ROUND => {
                        unproven += 1;
                        if matches!(self.subject.settings.checks, Checks::Proofs(_)) {
                            differs("its partial decryptions come without a proof");
                        }
                    }
                    ProvenMessage::ROUND => {
                        proven += 1;
                        let due = place.filter(|(_, part)| match part {
                            Part::Helpers => decryption::helps(self.subject.key.access(), roster.me(), owner),
                            Part::Requests => false,
                            Part::Asked => true,
                        });
                        match due.and_then(|(chunk, _)| chunks.get(chunk)) {
                            None => differs("its partial decryptions are not due in this step"),
                            Some(ciphertexts) if self.holds(&context, ciphertexts, frame) => {}
                            Some(_) => differs("its partial decryptions are not those of its key share"),
                        }
                    }
                    Request::ROUND => {
                        let due =
                            place.is_some_and(|(chunk, part)| chunk < own_chunks && part == Part::Requests);
                        if !due || payload::<Request>(frame).is_none() {
                            differs("its request for partial decryptions is none that is due");
                        }
                    }
                    Finished::ROUND => {}
                    _ => {
                        differences.extend(self.unexpected(&[(owner, frame.clone())], "decryption is next"));
                    }
                }
            }
        }
        (End::Decrypted { proven, unproven }, differences)
    }

    fn holds(&self, context: &ProofContext, ciphertexts: &[Ciphertext], frame: &[u8]) -> bool {
        let Some(Partials { values, proof }) = payload::<Partials>(frame) else { return false };
        let partial = PartialDecryption::new(self.subject.roster.me(), values);
        let Checks::Proofs(challenges) = self.subject.settings.checks else { return false };
        proof::verify(context, self.subject.key, ciphertexts, &partial, &proof, challenges).is_ok()
    }
}

/// Names of accounts.
fn named<'a>(agreed: &Agreed, accounts: impl Iterator<Item = &'a u32>) -> Vec<String> {
    let names: Vec<&str> = agreed.network().account_ids().collect();
    accounts.filter_map(|account| names.get(*account as usize)).map(|name| (*name).to_owned()).collect()
}

/// The ciphertexts in a frame of a round.
fn batch(round: &str, frame: &[u8]) -> Option<Batch> {
    if round == NoiseChunk::ROUND {
        return payload::<(Option<[u8; 32]>, Batch)>(frame).map(|(_, batch)| batch);
    }
    payload(frame)
}

/// Which of its numbers a bank declared otherwise.
fn describe_declaration(difference: &mut Difference, expected: &[u8], sent: &[u8]) {
    let (Some(expected), Some(sent)) = (payload::<Declaration>(expected), payload::<Declaration>(sent))
    else {
        return;
    };
    difference.what = if expected.seed_hash != sent.seed_hash {
        "the seed is not the one that it announced".to_owned()
    } else if expected.input_hash != sent.input_hash {
        "the input is not the one that it announced".to_owned()
    } else if expected.accounts != sent.accounts {
        format!("it declared {} accounts instead of {}", sent.accounts, expected.accounts)
    } else {
        "it declared other numbers".to_owned()
    };
}
